"""The peer: the same artifact behind LitServe, through the same Predictor, with the same requests and answers.

    python -m benchmarks.serving.peer compiled/step-13/seed-0/onnx-fp32 --port 8100 [--batch 32]

Options are chosen in its favour: no access log, no client file, one worker, and answers that are finished JSON, since a
dictionary goes through FastAPI's encoder, which takes 5 ms for 64 images.
"""

from __future__ import annotations

import argparse
import base64
import time
from pathlib import Path
from typing import Any

import litserve
import numpy as np
import orjson
from starlette.responses import Response

from budgetnet.inference.predictor import Predictor

TIMEOUT = 0.001  # seconds in which a batch may fill


class Digits(litserve.LitAPI):
    """Predicts every request by itself, or all that come within a millisecond, up to ``batch``."""

    def __init__(self, artifact: Path, batch: int) -> None:
        super().__init__(max_batch_size=batch, batch_timeout=TIMEOUT if batch > 1 else 0.0, api_path="/v1/predict")
        self.artifact, self.batched = artifact, batch > 1

    def setup(self, device: object) -> None:
        self.predictor = Predictor.load(self.artifact)
        assert self.predictor.sidecar is not None
        self.name, self.parameters = self.predictor.sidecar.experiment, self.predictor.sidecar.parameters

    def decode_request(self, request):  # type: ignore[no-untyped-def] # an annotation would make it a query parameter
        texts = request["images"] if "images" in request else [request["image"]]
        return np.frombuffer(b"".join(map(base64.b64decode, texts)), dtype=np.uint8).reshape(-1, 28, 28)

    def batch(self, inputs: Any) -> Any:
        return inputs

    def predict(self, requests: Any) -> Any:
        if not self.batched:
            return self._predicted([requests])[0]
        return self._predicted(requests)

    def unbatch(self, output: Any) -> Any:
        return output

    def encode_response(self, output):  # type: ignore[no-untyped-def] # its annotation would become the route's
        digits, probabilities, seconds = output
        predictions = [{"digit": digit, "probabilities": own} for digit, own in zip(digits, probabilities, strict=True)]
        answer = {"model": self.name, "parameters": self.parameters, "predictions": predictions}
        answer["milliseconds"] = {"model": round(1000 * seconds, 3)}
        return Response(orjson.dumps(answer), media_type="application/json")

    def _predicted(self, requests: Any) -> list[tuple[list[int], list[list[float]], float]]:
        started = time.perf_counter()
        found = self.predictor.predict(requests[0] if len(requests) == 1 else np.concatenate(requests))
        seconds = time.perf_counter() - started
        ends = np.cumsum([len(images) for images in requests])[:-1]
        digits = np.split(found.digits, ends)
        probabilities = np.split(found.probabilities.astype(np.float64).round(6), ends)
        return [(one.tolist(), own.tolist(), seconds) for one, own in zip(digits, probabilities, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--batch", type=int, default=1, help="requests of a batch (default: 1)")
    arguments = parser.parse_args()
    server = litserve.LitServer(Digits(arguments.artifact, arguments.batch), accelerator="cpu")
    server.run(host="127.0.0.1", port=arguments.port, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
