"""The soak's mixed load: every kind of request that the server knows, good and bad, each with what may be answered."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.serving_payloads import PATH, Images, Probabilities, as_text, request
from budgetnet.inference.digit_form import mnist_form
from budgetnet.inference.pictures import decode_picture
from budgetnet.inference.predictor import Predictor

BOUNDARY = "0123456789"
OCTETS, JSON, PNG, FORM = "application/octet-stream", "application/json", "image/png", f"multipart/form-data; boundary={BOUNDARY}"
LIST = 64
VARIANTS = 40  # requests of each kind


@dataclass(frozen=True, eq=False)
class Ask:
    """A request; ``expected`` probabilities of ``model`` with the status 200, or one of ``statuses``. 503 is allowed for all.

    ``seconds`` are how long its client takes to send it. A client that is ``gone`` does not wait for the answer.
    """

    kind: str
    content: bytes
    model: str = ""
    expected: Probabilities | None = None
    statuses: frozenset[int] = frozenset({200})
    seconds: float = 0.0
    gone: bool = False
    known: set[bytes] = field(default_factory=set)  # answers that have been found right


@dataclass(frozen=True, eq=False)
class Traffic:
    """Kinds of requests with how many there are of each among all."""

    kinds: Mapping[str, tuple[int, Sequence[Ask]]]

    def without(self, words: Sequence[str]) -> Traffic:
        """The kinds whose names have none of the words in them."""
        return Traffic({name: kind for name, kind in self.kinds.items() if not any(word in name for word in words)})

    def asks(self, seed: int) -> Iterator[Ask]:
        """Requests without end, the same for the same seed."""
        chosen = random.Random(seed)
        names, weights = [*self.kinds], [weight for weight, _ in self.kinds.values()]
        while True:
            for name in chosen.choices(names, weights, k=1000):
                yield chosen.choice(self.kinds[name][1])


def traffic(images: Images, predictors: Mapping[str, Predictor], timeout: float) -> Traffic:
    """The mixture, made of ``images`` (n, 28, 28) for models by name, the default one first, and a server with this ``timeout``."""
    made = _Maker(images, predictors)
    (default, *others) = predictors
    kinds = {
        "bytes": (26, made.arrays("bytes", default, 1)),
        "bytes, 16 images": (4, made.arrays("bytes, 16 images", default, 16)),
        "JSON, base64": (14, made.texts("JSON, base64", default, 1)),
        f"JSON, {LIST} images": (2, made.texts(f"JSON, {LIST} images", default, LIST)),
        "JSON, numbers": (10, made.numbers("JSON, numbers", default, 255)),
        "JSON, fractions": (3, made.numbers("JSON, fractions", default, 1)),
        "picture": (6, made.pictures("picture", default)),
        "form": (4, made.forms("form", default, 1)),
        "form, 3 pictures": (1, made.forms("form, 3 pictures", default, 3)),
        "malformed": (12, malformed()),
        "slow client": (1, [_paced(ask, "slow client", timeout / 5) for ask in made.texts("", default, 1)]),
        "too slow client": (1, [_paced(ask, "too slow client", 1.4 * timeout, {200, 408}) for ask in made.texts("", default, 1)]),
        "gone client": (4, [_gone(ask) for ask in (*made.texts("", default, 4), *made.pictures("", default))]),
    }
    for name in others:
        kinds[f"bytes, {name}"] = (10 // len(others), made.arrays(f"bytes, {name}", name, 1))
    return Traffic(kinds)


class _Maker:
    """Good requests, with what the offline predictor says."""

    def __init__(self, images: Images, predictors: Mapping[str, Predictor]) -> None:
        self._images, self._predictors = images, predictors
        self._default = next(iter(predictors))

    def arrays(self, kind: str, model: str, size: int) -> list[Ask]:
        return [self._ask(kind, model, group.tobytes(), OCTETS, group) for group in self._groups(size)]

    def texts(self, kind: str, model: str, size: int) -> list[Ask]:
        return [
            self._ask(kind, model, json.dumps({"images": [as_text(image) for image in group]}).encode(), JSON, group)
            for group in self._groups(size)
        ]

    def numbers(self, kind: str, model: str, scale: int) -> list[Ask]:
        found = []
        for group in self._groups(1):
            given = group[0].tolist() if scale == 255 else (group[0] / 255).round(4).tolist()
            seen = group if scale == 255 else np.array(given, dtype=np.float32)[None]
            found.append(self._ask(kind, model, json.dumps({"image": given, "scale": scale}).encode(), JSON, seen))
        return found

    def pictures(self, kind: str, model: str) -> list[Ask]:
        return [self._ask(kind, model, content, PNG, _seen(content)[None]) for content in self._files()]

    def forms(self, kind: str, model: str, size: int) -> list[Ask]:
        files = self._files()
        groups = [[files[(start + place) % len(files)] for place in range(size)] for start in range(len(files))]
        return [self._ask(kind, model, _form(group), FORM, np.stack([_seen(content) for content in group])) for group in groups]

    def _groups(self, size: int) -> list[Images]:
        starts = [size * number % (len(self._images) - size + 1) for number in range(VARIANTS if size < LIST else VARIANTS // 4)]
        return [self._images[start : start + size] for start in starts]

    def _files(self) -> list[bytes]:
        return [photograph(image, number) for number, image in enumerate(self._images[:VARIANTS])]

    def _ask(self, kind: str, model: str, body: bytes, content_type: str, seen: npt.NDArray[np.generic]) -> Ask:
        target = PATH if model == self._default else f"{PATH}?model={model}"
        return Ask(kind, request(body, content_type, target), model, self._predictors[model].predict(seen).probabilities)


def photograph(image: Images, seed: int) -> bytes:
    """A PNG of about 150 pixels, dark ink on light, uneven paper."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((40, 40), dtype=np.uint8)
    row, column = rng.integers(0, 12, 2)
    canvas[row : row + 28, column : column + 28] = image
    side = int(rng.integers(120, 180))
    large = np.asarray(Image.fromarray(canvas).resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64)
    paper = 235 - 0.8 * large + rng.normal(0, 3, large.shape)
    file = io.BytesIO()
    Image.fromarray(paper.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _seen(content: bytes) -> Images:
    return mnist_form(decode_picture(content, "picture")).image


def _form(files: Sequence[bytes]) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="digit.png"\r\nContent-Type: image/png\r\n\r\n'.encode()
    return b"".join(head + content + b"\r\n" for content in files) + f"--{BOUNDARY}--\r\n".encode()


def _paced(ask: Ask, kind: str, seconds: float, statuses: Iterable[int] = (200,)) -> Ask:
    """The same from a client that takes so many seconds to send it: a server that is busy may not notice before all of it is there."""
    return Ask(kind, ask.content, ask.model, ask.expected, frozenset(statuses), seconds)


def _gone(ask: Ask) -> Ask:
    return Ask("gone client", ask.content, ask.model, ask.expected, gone=True)


def malformed() -> list[Ask]:
    """Return requests that must be refused, each with its status."""
    picture = io.BytesIO()
    Image.new("1", (64, 64), 1).save(picture, "PNG")
    cut = picture.getvalue()[:-30]
    zeros = base64.b64encode(bytes(784)).decode()
    bodies: list[tuple[int, str, bytes, str]] = [
        (400, JSON, b'{"image": [[0, 1', PATH), (400, JSON, b"\xff\xfe", PATH), (422, JSON, b"[]", PATH), (422, JSON, b"{}", PATH),
        (422, JSON, json.dumps({"image": "no base64!"}).encode(), PATH), (422, JSON, json.dumps({"image": [[0] * 28] * 27}).encode(), PATH),
        (422, JSON, json.dumps({"image": [[256] * 28] * 28}).encode(), PATH), (422, JSON, json.dumps({"images": []}).encode(), PATH),
        (422, JSON, json.dumps({"images": [zeros, zeros[:-8]]}).encode(), PATH), (422, JSON, b"[" * 500 + b"]" * 500, PATH),
        (404, JSON, json.dumps({"image": zeros, "model": "nobody"}).encode(), PATH), (404, OCTETS, bytes(784), "/v1/nothing"),
        (404, OCTETS, bytes(784), f"{PATH}?model=nobody"), (415, "text/plain", b"7", PATH), (422, OCTETS, bytes(783), PATH),
        (422, PNG, cut, PATH), (422, PNG, b"\x89PNG\r\n\x1a\n", PATH), (400, "multipart/form-data", b"--x--", PATH),
        (400, FORM, b"no form", PATH), (422, FORM, f"--{BOUNDARY}--\r\n".encode(), PATH),
    ]  # fmt: skip
    found = [Ask("malformed", request(body, kind, target), statuses=frozenset({status})) for status, kind, body, target in bodies]
    large = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {OCTETS}\r\nContent-Length: 99999999\r\n\r\n".encode()
    return [*found, Ask("malformed", large, statuses=frozenset({413}))]
