"""The peer: the same artifact behind LitServe, through the same Predictor, with the same requests and answers.

    python -m benchmarks.serving_litserve compiled/step-13/seed-0/onnx-fp32 --port 8100 [--batch 32]

What its users may choose is chosen in its favour: no access log, no client file, one server and one worker as for one CPU by default,
answers that are finished JSON (by orjson; a dictionary would go through FastAPI's encoder, which takes 5 ms for 64 images).
``fast_queue`` is left out: in 0.2.19 it changes nothing (it sets a field of TransportConfig that does not exist).
"""

from __future__ import annotations

import argparse
import base64
import time
from pathlib import Path
from typing import Any

import litserve
import numpy as np
import numpy.typing as npt
import orjson
from starlette.responses import Response

from budgetnet.inference.predictor import Predictor

PIXELS = 784
TIMEOUT = 0.001  # seconds in which a batch may fill

Pixels = npt.NDArray[np.uint8]
Said = tuple[list[int], list[list[float]], float]  # of a request: digits, probabilities, seconds of its batch


class Digits(litserve.LitAPI):
    """Every request for itself."""

    def __init__(self, artifact: Path, batch: int = 1) -> None:
        super().__init__(max_batch_size=batch, batch_timeout=TIMEOUT if batch > 1 else 0.0, api_path="/v1/predict")
        self.artifact = artifact

    def setup(self, device: object) -> None:
        self.predictor = Predictor.load(self.artifact)
        assert self.predictor.sidecar is not None
        self.name, self.parameters = self.predictor.sidecar.experiment, self.predictor.sidecar.parameters

    def decode_request(self, request):  # type: ignore[no-untyped-def] # annotated, it would be taken for a query's parameter
        texts = request["images"] if "images" in request else [request["image"]]
        return np.frombuffer(b"".join(map(base64.b64decode, texts)), dtype=np.uint8).reshape(-1, 28, 28)

    def predict(self, images: Any) -> Any:
        return self._said([images])[0]

    def encode_response(self, output):  # type: ignore[no-untyped-def] # its annotation would become the route's
        digits, probabilities, seconds = output
        predictions = [{"digit": digit, "probabilities": own} for digit, own in zip(digits, probabilities, strict=True)]
        answer = {
            "model": self.name, "parameters": self.parameters, "predictions": predictions,
            "milliseconds": {"model": round(1000 * seconds, 3)},
        }  # fmt: skip
        return Response(orjson.dumps(answer), media_type="application/json")

    def _said(self, requests: list[Pixels]) -> list[Said]:
        images = requests[0] if len(requests) == 1 else np.concatenate(requests)
        started = time.perf_counter()
        found = self.predictor.predict(images)
        seconds = time.perf_counter() - started
        digits, probabilities = found.digits.tolist(), found.probabilities.astype(np.float64).round(6).tolist()
        said, place = [], 0
        for own in requests:
            said.append((digits[place : place + len(own)], probabilities[place : place + len(own)], seconds))
            place += len(own)
        return said


class Batches(Digits):
    """Requests that come within a millisecond are computed together."""

    def batch(self, inputs: Any) -> Any:
        return inputs

    def predict(self, images: Any) -> Any:
        return self._said(images)

    def unbatch(self, output: Any) -> Any:
        return output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--batch", type=int, default=1, help="requests of a batch (default: 1)")
    arguments = parser.parse_args()
    api = Batches(arguments.artifact, arguments.batch) if arguments.batch > 1 else Digits(arguments.artifact)
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=arguments.port, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
