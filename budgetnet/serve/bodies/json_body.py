"""application/json: ``image`` or ``images``, and beside them ``model``, ``seen`` and ``scale``."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson

from budgetnet.inference.digit_form import DigitForm
from budgetnet.serve.bodies import pictures, rows
from budgetnet.serve.bodies.wish import Wish, check_number
from budgetnet.serve.bodies.words import told
from budgetnet.serve.jobs import Images, as_floats
from budgetnet.serve.refusal import Refusal, invalid

FIELDS = ("image", "images", "model", "seen", "scale")
FORMS = "28 rows of 28 numbers, or base64 of 784 bytes or of a picture's file"


class Request:
    """A body that was read and is in order but for its images, which are not looked at yet: ``wish`` does that.

    ``slow`` says that it has pictures to decode.
    """

    def __init__(self, body: bytes) -> None:
        """Raises Refusal for what is no JSON, for unknown, missing or repeated fields, and for those of the wrong type."""
        data = _object(body)
        self.model = _of_type(data, "model", str, "the name of a model")
        self.seen = _of_type(data, "seen", bool, "true or false")
        self.scale = _scale(data)
        self.given, self.names = _images(data)
        words = body.count(b"true") + body.count(b"false")
        self._suspicious = words > (self.seen is not None)
        self.slow = any(isinstance(image, str) and len(image) > 1200 for image in self.given)

    def wish(self) -> Wish:
        """Raises Refusal for an image that cannot be read."""
        files: list[tuple[int, bytes]] = []
        images: list[Images | None] = []
        forms: dict[int, DigitForm] = {}
        for image, name in zip(self.given, self.names, strict=True):
            if isinstance(image, list):
                images.append(rows.pixels(image, name, self.scale, self._suspicious))
            elif isinstance(image, str):
                content = pictures.decoded(image, name)
                if pictures.is_pixels(content):
                    images.append(rows.scaled(pictures.as_pixels(content), name, self.scale))
                else:
                    files.append((len(images), content))
                    images.append(None)
            else:
                raise invalid(f"{name} is {told(image)}; expected {FORMS}", name)
        if files:
            found = pictures.digits([(content, self.names[place]) for place, content in files])
            forms = {place: form for (place, _), form in zip(files, found, strict=True)}
        stacked = _stacked([forms[place].image if image is None else image for place, image in enumerate(images)])
        return Wish(stacked, self.model, self.seen, tuple(self.names), tuple(map(forms.get, range(len(images)))) if forms else ())


def _stacked(images: list[Images]) -> Images:
    if len({image.dtype for image in images}) > 1:
        images = [as_floats(image) for image in images]
    return images[0][None] if len(images) == 1 else np.stack(images)


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, "not_json", f"the body is no JSON: {error}", "body") from error
    if not isinstance(data, dict):
        raise invalid(f'the body is {told(data)}; expected an object such as {{"image": [[0, …], …]}}', "body")
    for key in data:
        if key not in FIELDS:
            raise invalid(f"the body has a field {key[:40]!r}; expected image or images, and perhaps model, seen and scale", key[:40])
    _check_repeated(body, data)
    return data


def _check_repeated(body: bytes, data: dict[str, Any]) -> None:
    """Raises Refusal where a field is given twice, of which the parser takes the last.

    Without a backslash every quotation mark delimits a text, so there are as many texts as they say; only where the number is not
    that of the fields and of their values is the body read again.
    """
    values = [*data.values(), *(data["images"] if isinstance(data.get("images"), list) else ())]
    texts = len(data) + sum(isinstance(value, str) for value in values)
    if b"\\" not in body and body.count(b'"') == 2 * texts:
        return

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise invalid(f"the field {name[:40]!r} is given twice; expected once", name[:40])
            found[name] = value
        return found

    try:
        json.loads(body, object_pairs_hook=once)
    except RecursionError as error:
        raise invalid(f"the body is nested too deeply; expected {FORMS}", "image") from error


def _images(data: dict[str, Any]) -> tuple[list[Any], list[str]]:
    if ("image" in data) == ("images" in data):
        which = "both image and images" if "image" in data else "neither image nor images"
        raise invalid(f"the body has {which}; expected one of them: {FORMS}", "image")
    if "image" in data:
        return [data["image"]], ["image"]
    images = data["images"]
    if not isinstance(images, list):
        raise invalid(f"images is {told(images)}; expected a list of images, each {FORMS}", "images")
    check_number(len(images), "images")
    return images, [f"images[{place}]" for place in range(len(images))]


def _of_type(data: dict[str, Any], name: str, kind: type, expected: str) -> Any:
    value = data.get(name)
    if name in data and not isinstance(value, kind):
        raise invalid(f"{name} is {told(value)}; expected {expected}", name)
    return value


def _scale(data: dict[str, Any]) -> int | None:
    scale = data.get("scale")
    if "scale" in data and (isinstance(scale, bool) or scale not in (1, 255)):
        raise invalid(f"scale is {told(scale)}; expected 255 for whole numbers from 0 to 255, or 1 for numbers from 0 to 1", "scale")
    return scale
