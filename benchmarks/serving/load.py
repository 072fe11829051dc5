"""Load from wrk: requests for it, its results, and a check of some answers against the offline predictor."""

from __future__ import annotations

import base64
import io
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.serving.process import Server, on_cores
from benchmarks.turns import Unavailable
from budgetnet.inference.digit_form import mnist_form
from budgetnet.inference.pictures import decode_picture
from budgetnet.inference.predictor import Predictor

SCRIPT = Path(__file__).with_name("post.lua")
TOLERANCE = 1e-5  # of a probability: batches of another size round differently
OCTETS, JSON, PNG = "application/octet-stream", "application/json", "image/png"
FORM = "multipart/form-data; boundary=0123456789"

Images = npt.NDArray[np.uint8]  # (N, 28, 28)


@dataclass(frozen=True, eq=False)
class Request:
    """A POST with the images, (N, 28, 28), that the network should see."""

    content_type: str
    body: bytes
    images: Images
    path: str = "/v1/predict"


@dataclass(frozen=True)
class Load:
    """Counts of wrk: ``refused`` requests have a status above 399; the last four are socket errors and time-outs."""

    seconds: float
    requests: int
    p50_ms: float
    p99_ms: float
    refused: int
    connect: int
    read: int
    write: int
    timeout: int

    @property
    def failed(self) -> int:
        """Requests that were sent and not answered."""
        return self.read + self.timeout

    @property
    def unconnected(self) -> int:
        """Refused connections: wrk notices most of them as it writes. When a server has ended it tries again at once."""
        return self.connect + self.write

    @property
    def rate(self) -> float:
        """Requests per second that were not refused."""
        return (self.requests - self.refused) / self.seconds


def require_wrk() -> str:
    found = shutil.which("wrk")
    if found is None:
        sys.exit("benchmark: wrk is not installed: apt install wrk (Debian, Ubuntu), brew install wrk (macOS)")
    return found


def write_requests(requests: Iterable[Request], folder: Path) -> Path:
    """Write bodies and the manifest that post.lua reads; return the manifest."""
    folder.mkdir()
    lines = []
    for number, one in enumerate(requests):
        body = folder / str(number)
        body.write_bytes(one.body)
        lines.append(f"{one.path}\t{one.content_type}\t{body}\n")
    manifest = folder / "manifest"
    manifest.write_text("".join(lines), encoding="utf-8")
    return manifest


def start(port: int, manifest: Path, clients: int, seconds: int, cores: set[int]) -> subprocess.Popen[str]:
    """Start wrk: ``clients`` connections that stay open, each with one request at a time."""
    options = ["--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s", "--timeout", "60s"]
    command = [require_wrk(), *options, "--script", str(SCRIPT), f"http://127.0.0.1:{port}", "--", str(manifest)]
    return subprocess.Popen(on_cores(command, cores), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(wrk: subprocess.Popen[str]) -> Load:
    """Raises Unavailable."""
    output, _ = wrk.communicate()
    last = (output.strip().splitlines() or [""])[-1]
    if not last.startswith("{"):
        raise Unavailable(f"wrk failed: {last}")
    return Load(**json.loads(last))


def check_answers(server: Server, requests: Sequence[Request], predictor: Predictor) -> None:
    """Raises Unavailable unless the answers equal the offline predictor's."""
    for one in requests:
        expected = predictor.predict(one.images).probabilities
        answer = json.loads(server.ask(one.path, one.body, one.content_type))
        found = np.array([own["probabilities"] for own in answer["predictions"]])
        if found.shape != expected.shape or np.abs(found - expected).max() > TOLERANCE:
            raise Unavailable(f"a wrong answer to {one.content_type} on {one.path}")


def in_json(images: Images) -> Request:
    """Images as base64 in JSON: one as ``image``, several as ``images``."""
    texts = [base64.b64encode(image.tobytes()).decode() for image in images]
    return Request(JSON, json.dumps({"image": texts[0]} if len(texts) == 1 else {"images": texts}).encode(), images)


def pictures(images: Images) -> Request:
    """Pictures with dark ink on light paper: one as a PNG, several as a form."""
    files = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(255 - image).resize((140, 140)).save(file, "PNG")
        files.append(file.getvalue())
    seen = np.stack([mnist_form(decode_picture(file, "picture")).image for file in files])
    if len(files) == 1:
        return Request(PNG, files[0], seen)
    head = b'--0123456789\r\nContent-Disposition: form-data; name="file"; filename="digit.png"\r\nContent-Type: image/png\r\n\r\n'
    return Request(FORM, b"".join(head + file + b"\r\n" for file in files) + b"--0123456789--\r\n", seen)


def mixed(images: Images, models: Sequence[str]) -> list[Request]:
    """Return requests of every kind in random order: bytes, JSON, lists, numbers, pictures, forms, every model."""
    found = []
    for number in range(40):
        own = images[8 * number : 8 * number + 8]
        numbers = json.dumps({"image": own[0].tolist(), "scale": 255}).encode()
        found += [Request(OCTETS, own[:1].tobytes(), own[:1]), Request(OCTETS, own.tobytes(), own)]
        found += [in_json(own[:1]), in_json(own), Request(JSON, numbers, own[:1]), pictures(own[:1]), pictures(own[:3])]
        found += [Request(OCTETS, own[:1].tobytes(), own[:1], f"/v1/predict?model={model}") for model in models[1:]]
    random.Random(0).shuffle(found)
    return found
