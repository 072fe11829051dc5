"""Parse the body of ``POST /v1/predict``: JSON, a form, a picture file, or raw pixels."""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from budgetnet.inference.contract import BLANK, blank_images
from budgetnet.inference.digit_form import DigitForm
from budgetnet.serve.decoding import (
    PIXELS,
    SIDE,
    Decoders,
    decode_base64,
    decode_pictures,
    is_pixels,
    pixels_of_bytes,
    pixels_of_rows,
    shown,
)
from budgetnet.serve.jobs import Images, as_floats
from budgetnet.serve.refusal import Refusal, invalid

JSON, FORM, OCTETS = "application/json", "multipart/form-data", "application/octet-stream"
ACCEPTED = "application/json, multipart/form-data, image/png, image/jpeg or another image, or application/octet-stream"
IMAGE_FORMS = "28 rows of 28 numbers, or base64 of 784 bytes or of a picture's file"
MOST_IMAGES = 256  # of a request
QUICK = 2**16  # bytes of JSON that are parsed on the event loop
SHORT = 1200  # characters of base64 that hold no picture file
FLAGS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, eq=False)
class PredictionInput:
    """``images`` (n, 28, 28) uint8 or float32; ``model`` and ``seen`` are None if the body does not give them.

    ``names`` are the images' fields in the body, empty if it has no fields. ``forms`` has an element for each image if any came as a
    picture file: its preprocessed form, or None for one that came as pixels.
    """

    images: Images
    model: str | None = None
    seen: bool | None = None
    names: tuple[str, ...] = ()
    forms: tuple[DigitForm | None, ...] = ()

    @classmethod
    def of_pictures(cls, forms: Sequence[DigitForm], model: str | None = None, seen: bool | None = None) -> PredictionInput:
        return cls(np.stack([form.image for form in forms]), model, seen, forms=tuple(forms))

    def check_ink(self) -> None:
        """Raises Refusal if an image is blank."""
        for index in blank_images(self.images):
            field = self.names[index] if self.names else "body"
            which = field if self.names or len(self.images) == 1 else f"image {index} of the body"
            raise invalid(f"{which} is {BLANK}", field)


@lru_cache(64)
def kind_of(content_type: bytes, encoding: bytes) -> str:
    """Return the content type without its parameters. Raises Refusal for one that is not accepted."""
    kind, _, parameters = content_type.decode("latin-1").lower().partition(";")
    kind = kind.strip()
    if encoding.strip().lower() not in (b"", b"identity"):
        message = f"the content encoding is {encoding.decode('latin-1')[:40]!r}; expected none: send it uncompressed"
        raise Refusal(415, "unsupported_type", message, "Content-Encoding")
    if kind not in (JSON, FORM, OCTETS) and not kind.startswith("image/"):
        given = repr(content_type.decode("latin-1")[:60]) if content_type else "missing"
        raise Refusal(415, "unsupported_type", f"the content type is {given}; expected {ACCEPTED}", "Content-Type")
    if kind == JSON and "charset" in parameters and parameters.partition("charset=")[2].strip('" ') not in ("utf-8", "utf8"):
        raise Refusal(415, "unsupported_type", f"the charset is {parameters.strip()[:40]!r}; expected UTF-8", "Content-Type")
    return kind


async def parse(kind: str, content_type: str, body: bytes, decoders: Decoders) -> PredictionInput:
    """Return the input in a body of a ``kind`` that ``kind_of`` returned. Slow work is done on ``decoders``. Raises Refusal."""
    if kind == OCTETS:
        return parse_octets(body)
    if kind == FORM:
        files, model, seen = await read_form(body, content_type)
        return await decoders.run(lambda: PredictionInput.of_pictures(decode_pictures(files), model, seen))
    if kind == JSON:
        if len(body) > QUICK:
            return await decoders.run(lambda: JsonBody(body).decode())
        read = JsonBody(body)
        return await decoders.run(read.decode) if read.has_pictures else read.decode()
    return await decoders.run(lambda: PredictionInput.of_pictures(decode_pictures([(body, "body")])))


def parse_octets(body: bytes) -> PredictionInput:
    """Return 784 bytes an image, row by row. Raises Refusal for a body that is not of whole images."""
    number, rest = divmod(len(body), PIXELS)
    if rest or not body:
        raise invalid(f"the body has {len(body):,} bytes; expected {PIXELS} for each image of {SIDE}×{SIDE} pixels, row by row", "body")
    _check_number(number, "body")
    images = np.frombuffer(body, dtype=np.uint8).reshape(number, SIDE, SIDE)
    if images.max() == 1:
        message = 'the body holds no byte above 1; expected 0 to 255: multiply by 255 where 1 is white, or send JSON with "scale"'
        raise invalid(message, "body")
    return PredictionInput(images)


class JsonBody:
    """A JSON body whose fields are checked and whose images are not decoded yet."""

    FIELDS = ("image", "images", "model", "seen", "scale")

    def __init__(self, body: bytes) -> None:
        """Raises Refusal for what is no JSON, for unknown or missing fields, and for fields of the wrong type."""
        data = self._object(body)
        self.model: str | None = data.get("model")
        self.seen: bool | None = data.get("seen")
        self._scale: int | None = data.get("scale")
        if not isinstance(self.model, str | None):
            raise invalid(f"model is {shown(self.model)}; expected the name of a model", "model")
        if not isinstance(self.seen, bool | None):
            raise invalid(f"seen is {shown(self.seen)}; expected true or false", "seen")
        if isinstance(self._scale, bool) or self._scale not in (None, 1, 255):
            message = f"scale is {shown(self._scale)}; expected 255 for whole numbers from 0 to 255, or 1 for numbers from 0 to 1"
            raise invalid(message, "scale")
        self._images, self._names = self._listed(data)

    @property
    def has_pictures(self) -> bool:
        return any(isinstance(image, str) and len(image) > SHORT for image in self._images)

    def decode(self) -> PredictionInput:
        """Raises Refusal for an image that cannot be read."""
        images: list[Images | None] = []
        files: dict[int, tuple[bytes, str]] = {}
        for index, (image, name) in enumerate(zip(self._images, self._names, strict=True)):
            images.append(None)
            if isinstance(image, list):
                images[index] = pixels_of_rows(image, name, self._scale)
            elif isinstance(image, str):
                content = decode_base64(image, name)
                if is_pixels(content):
                    images[index] = pixels_of_bytes(content, name, self._scale)
                else:
                    files[index] = content, name
            else:
                raise invalid(f"{name} is {shown(image)}; expected {IMAGE_FORMS}", name)
        forms = dict(zip(files, decode_pictures(list(files.values())), strict=True))
        stacked = _stacked([forms[index].image if image is None else image for index, image in enumerate(images)])
        listed = tuple(map(forms.get, range(len(images)))) if forms else ()
        return PredictionInput(stacked, self.model, self.seen, tuple(self._names), listed)

    def _object(self, body: bytes) -> dict[str, Any]:
        try:
            data = orjson.loads(body.removeprefix(codecs.BOM_UTF8))
        except orjson.JSONDecodeError as error:
            raise Refusal(400, "not_json", f"the body is no JSON: {error}", "body") from error
        if not isinstance(data, dict):
            raise invalid(f'the body is {shown(data)}; expected an object such as {{"image": [[0, …], …]}}', "body")
        for key in data:
            if key not in self.FIELDS:
                message = f"the body has a field {key[:40]!r}; expected image or images, and perhaps model, seen and scale"
                raise invalid(message, key[:40])
        return data

    @staticmethod
    def _listed(data: dict[str, Any]) -> tuple[list[Any], list[str]]:
        image, images = data.get("image"), data.get("images")
        if (image is None) == (images is None):
            which = "neither image nor images" if image is None else "both image and images"
            raise invalid(f"the body has {which}; expected one of them: {IMAGE_FORMS}", "image")
        if image is not None:
            return [image], ["image"]
        if not isinstance(images, list):
            raise invalid(f"images is {shown(images)}; expected a list of images, each {IMAGE_FORMS}", "images")
        _check_number(len(images), "images")
        return images, [f"images[{index}]" for index in range(len(images))]


async def read_form(body: bytes, content_type: str) -> tuple[list[tuple[bytes, str]], str | None, bool | None]:
    """Return the picture files with their fields' names, ``model`` and ``seen``. Raises Refusal."""
    form = await _parsed_form(body, content_type)
    try:
        return await _form_fields(form)
    finally:
        await form.close()


async def _form_fields(form: FormData) -> tuple[list[tuple[bytes, str]], str | None, bool | None]:
    files: list[tuple[bytes, str]] = []
    given: dict[str, str] = {}
    number = len(form.getlist("file"))
    for name, value in form.multi_items():
        if name == "file" and isinstance(value, UploadFile):
            files.append((await value.read(), "file" if number == 1 else f"file[{len(files)}]"))
        elif name not in ("model", "seen") or isinstance(value, UploadFile):
            message = f"the form has a field {name[:40]!r}; expected pictures as file, with a file name, and perhaps model and seen"
            raise invalid(message, name[:40] or None)
        elif name in given:
            raise invalid(f"{name} is given twice; expected once", name)
        else:
            given[name] = value
    if not files:
        raise invalid("the form has no field file; expected one or several pictures in it: curl -F file=@digit.png", "file")
    return files, given.get("model"), flag(given["seen"], "seen") if "seen" in given else None


async def _parsed_form(body: bytes, content_type: str) -> FormData:
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary or b"--" + boundary + b"--" not in body:
        reason = "the form is cut off: its last boundary is missing" if boundary else "the content type has no boundary"
        raise Refusal(400, "bad_form", f"{reason}; let your HTTP library make both", "body")

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body[body.index(b"--" + boundary) :]  # the parser takes no preamble

    headers = Headers({"content-type": content_type})
    try:
        return await MultiPartParser(headers, stream(), max_files=MOST_IMAGES, max_fields=10).parse()
    except MultiPartException as error:
        message = f"the body is no form as its content type says: {error.message} Let your HTTP library make both"
        raise Refusal(400, "bad_form", message, "body") from error


def flag(text: str, field: str) -> bool:
    """Return a flag of a query or a form. Raises Refusal for another text than true or false."""
    found = FLAGS.get(text.strip().lower())
    if found is None:
        raise invalid(f"{field} is {text[:20]!r}; expected true or false", field)
    return found


def _stacked(images: list[Images]) -> Images:
    if len({image.dtype for image in images}) > 1:
        images = [as_floats(image) for image in images]
    return images[0][None] if len(images) == 1 else np.stack(images)


def _check_number(images: int, field: str) -> None:
    if not 1 <= images <= MOST_IMAGES:
        raise invalid(f"{field} holds {images} images; expected 1 to {MOST_IMAGES}: split them over several requests", field)
