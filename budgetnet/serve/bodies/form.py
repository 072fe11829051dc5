"""multipart/form-data: one or several pictures as ``file``; ``model`` and ``seen`` beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from budgetnet.serve.bodies import pictures
from budgetnet.serve.bodies.wish import MOST_IMAGES, Wish, check_number
from budgetnet.serve.flags import as_flag
from budgetnet.serve.refusal import Refusal, invalid

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELDS = ("file", "model", "seen")


@dataclass
class _Part:
    name: str = ""
    content: bytearray = field(default_factory=bytearray)


def parse(body: bytes, content_type: str) -> Wish:
    """Raises Refusal for what is no form, for other fields, and for pictures that cannot be read."""
    files: list[bytes] = []
    values: dict[str, str] = {}
    for part in _parts(body, content_type):
        if part.name == "file":
            files.append(bytes(part.content))
        elif part.name in values:
            raise invalid(f"{part.name} is given twice; expected once", part.name)
        else:
            values[part.name] = _text(part)
    if not files:
        raise invalid("the form has no field file; expected one or several pictures in it: curl -F file=@digit.png", "file")
    check_number(len(files), "file")
    names = ["file"] if len(files) == 1 else [f"file[{place}]" for place in range(len(files))]
    seen = as_flag(values["seen"], "seen") if "seen" in values else None
    return Wish.of_pictures(pictures.digits(list(zip(files, names, strict=True))), values.get("model"), seen)


def _text(part: _Part) -> str:
    try:
        return part.content.decode()
    except UnicodeDecodeError as error:
        raise invalid(f"{part.name} is not UTF-8 ({error.reason}); expected a text", part.name) from error


def _parts(body: bytes, content_type: str) -> list[_Part]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise Refusal(400, "bad_form", "the content type multipart/form-data has no boundary; let your HTTP library set it", "Content-Type")
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks)
        parser.write(body)
    except FormParserError as error:
        raise Refusal(400, "bad_form", f"the body is no multipart/form-data with this boundary: {error}", "body") from error
    if not reader.ended:
        raise Refusal(400, "bad_form", "the form is cut off: its last boundary is missing; send it again", "body")
    return reader.parts


class _Reader:
    """What the parser calls."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.ended = False
        self._header, self._value, self._disposition = bytearray(), bytearray(), b""
        self.callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin, "on_part_data": self._data, "on_end": self._end, "on_header_field": self._on_field,
            "on_header_value": self._on_value, "on_header_end": self._header_end, "on_headers_finished": self._headers_finished,
        }  # fmt: skip

    def _begin(self) -> None:
        if len(self.parts) >= MOST_IMAGES + len(FIELDS):
            raise invalid(f"the form has more than {MOST_IMAGES} pictures; expected 1 to {MOST_IMAGES}", "file")
        self.parts.append(_Part())
        self._disposition = b""

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        kind, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or name not in FIELDS:
            raise invalid(f"the form has a field {name[:40]!r}; expected file, and perhaps model and seen", name[:40] or None)
        self.parts[-1].name = name

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].content += data[start:end]

    def _end(self) -> None:
        self.ended = True
