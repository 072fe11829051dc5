"""Requests to the servers and their expected answers: whole HTTP requests with the answers of the offline predictor."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from budgetnet.inference.predictor import Predictor

PATH = "/v1/predict"
TOLERANCE = 1e-5  # of a probability: batches of another size round otherwise

Images = npt.NDArray[np.uint8]  # (n, 28, 28)
Probabilities = npt.NDArray[np.float32]  # (n, 10)


class Wrong(Exception):
    """An answer that is not the offline predictor's; the message says in what."""


class Times(NamedTuple):
    """Milliseconds that an answer tells of itself; NaN for what its server does not tell."""

    model: float
    queue: float
    total: float


@dataclass(frozen=True, eq=False)
class Payload:
    """Requests of so many ``images`` each, and for each its ``expected`` probabilities."""

    name: str
    images: int
    requests: tuple[bytes, ...]
    expected: tuple[Probabilities, ...]


def request(body: bytes, content_type: str = "application/json", target: str = PATH) -> bytes:
    """A whole HTTP/1.1 request, after which the connection stays open."""
    head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


def single_images(images: Images, predictor: Predictor) -> Payload:
    """One image a request, as JSON with base64 of its 784 bytes."""
    expected = predictor.predict(images).probabilities
    requests = [request(json.dumps({"image": as_text(image)}).encode()) for image in images]
    return Payload("1 image", 1, tuple(requests), tuple(own[None] for own in expected))


def lists(images: Images, size: int, predictor: Predictor) -> Payload:
    """``size`` images a request."""
    groups = [images[start : start + size] for start in range(0, len(images) - size + 1, size)]
    requests = [request(json.dumps({"images": [as_text(image) for image in group]}).encode()) for group in groups]
    return Payload(f"{size} images", size, tuple(requests), tuple(predictor.predict(group).probabilities for group in groups))


def as_text(image: Images) -> str:
    return base64.b64encode(image.tobytes()).decode()


def checked(content: bytes, expected: Probabilities) -> Times:
    """The times in an answer of status 200. Raises Wrong unless every digit and probability is the offline predictor's."""
    try:
        answer: dict[str, Any] = json.loads(content)
        said = np.array([own["probabilities"] for own in answer["predictions"]])
        digits = np.array([own["digit"] for own in answer["predictions"]])
        told = answer["milliseconds"]
    except (ValueError, KeyError, TypeError) as error:
        raise Wrong(f"the answer is none ({type(error).__name__}: {error}): {content[:80]!r}") from error
    if said.shape != expected.shape:
        raise Wrong(f"the answer has probabilities of the shape {said.shape}, not {expected.shape}")
    far = float(np.abs(said - expected).max())
    if not far <= TOLERANCE:
        raise Wrong(f"a probability is {far:.2g} from the offline predictor's; expected {TOLERANCE:g} at most")
    if not (expected[np.arange(len(digits)), digits] >= expected.max(1) - TOLERANCE).all():
        raise Wrong(f"the digits are {digits.tolist()}, not {expected.argmax(1).tolist()}")
    return Times(*(float(told.get(name, np.nan)) for name in Times._fields))
