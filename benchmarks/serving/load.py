"""Load from wrk: the requests that it sends, and its results."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.serving.process import Server, split_cores
from benchmarks.turns import Unavailable

SCRIPT = Path(__file__).with_name("post.lua")
OCTETS, JSON, PNG = "application/octet-stream", "application/json", "image/png"
FORM = "multipart/form-data; boundary=0123456789"

Images = npt.NDArray[np.uint8]  # (N, 28, 28)


@dataclass(frozen=True)
class Request:
    content_type: str
    body: bytes
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
        """Refused connections, most of which wrk notices as it writes. It tries again at once."""
        return self.connect + self.write

    @property
    def rate(self) -> float:
        """Requests per second that were not refused."""
        return (self.requests - self.refused) / self.seconds


def require_wrk() -> str:
    found = shutil.which("wrk")
    if found is None:
        sys.exit("benchmark: wrk is not installed: apt install wrk (Debian, Ubuntu)")
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


def start(port: int, manifest: Path, clients: int, seconds: int) -> subprocess.Popen[str]:
    """Start wrk on the clients' core: ``clients`` connections that stay open, each with one request at a time."""
    options = ["--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s", "--timeout", "60s"]
    command = [require_wrk(), *options, "--script", str(SCRIPT), f"http://127.0.0.1:{port}", "--", str(manifest)]
    usable, (_, core) = os.sched_getaffinity(0), split_cores()
    os.sched_setaffinity(0, core)  # wrk inherits it
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    finally:
        os.sched_setaffinity(0, usable)


def finish(wrk: subprocess.Popen[str]) -> Load:
    """Raises Unavailable."""
    output, _ = wrk.communicate()
    last = (output.strip().splitlines() or [""])[-1]
    if not last.startswith("{"):
        raise Unavailable(f"wrk failed: {last}")
    return Load(**json.loads(last))


def answers(server: Server, requests: Sequence[Request]) -> list[npt.NDArray[np.float64]]:
    """Return the probabilities, (N, 10), in the answer to each request. Raises OSError."""
    found = (json.loads(server.ask(one.path, one.body, one.content_type)) for one in requests)
    return [np.array([own["probabilities"] for own in answer["predictions"]]) for answer in found]


def in_json(images: Images) -> Request:
    """Images as base64 in JSON: one as ``image``, several as ``images``."""
    texts = [base64.b64encode(image.tobytes()).decode() for image in images]
    return Request(JSON, json.dumps({"image": texts[0]} if len(texts) == 1 else {"images": texts}).encode())


def picture(image: Images) -> bytes:
    """Return a PNG with dark ink on light paper."""
    file = io.BytesIO()
    Image.fromarray(255 - image).resize((140, 140)).save(file, "PNG")
    return file.getvalue()


def form(images: Images) -> Request:
    head = b'--0123456789\r\nContent-Disposition: form-data; name="file"; filename="digit.png"\r\n'
    head += b"Content-Type: image/png\r\n\r\n"
    return Request(FORM, b"".join(head + picture(image) + b"\r\n" for image in images) + b"--0123456789--\r\n")


def mixed(images: Images, models: Sequence[str]) -> list[Request]:
    """Return requests of every kind in turn: bytes, JSON, lists, numbers, pictures, forms, every model."""
    found = []
    for own in images.reshape(-1, 8, 28, 28):
        first = own[:1].tobytes()
        numbers = json.dumps({"image": own[0].tolist(), "scale": 255}).encode()
        found += [
            Request(OCTETS, first),
            in_json(own[:1]),
            Request(PNG, picture(own[0])),
            Request(OCTETS, own.tobytes()),
        ]
        found += [Request(JSON, numbers), in_json(own), form(own[:3])]
        found += [Request(OCTETS, first, f"/v1/predict?model={model}") for model in models[1:]]
    return found
