"""Decode images of requests: rows of numbers, base64, and picture files."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from budgetnet.inference.contract import ROUNDING
from budgetnet.inference.digit_form import DigitForm, mnist_form
from budgetnet.inference.errors import InputError
from budgetnet.inference.pictures import KINDS, decode_picture
from budgetnet.serve.jobs import Images
from budgetnet.serve.refusal import Refusal, busy, invalid

SIDE = 28
PIXELS = SIDE * SIDE
SECONDS = 10.0  # for all pictures of a request
DATA_URL = re.compile(r"data:[\w.+/;=-]{0,100};base64,", re.ASCII)
# of picture files that may have exactly 784 bytes
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*", b"P5\n", b"P6\n")
ACCEPTED = KINDS.partition(", or images as")[0]  # arrays are not picture files
HOW_SCALED = 'send "scale": 1 if the numbers run from 0 to 1, or "scale": 255 if they are whole ones from 0 to 255'

log = logging.getLogger("budgetnet.serve")

T = TypeVar("T")


class Decoders:
    """A few threads, and a bound on the requests that wait for them."""

    def __init__(self, threads: int = 2, waiting: int = 64) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decoding")
        self._most, self._now = threads + waiting, 0

    async def run(self, work: Callable[[], T]) -> T:
        """Return the result of ``work``, run on one of the threads. Raises Refusal if too many wait already."""
        if self._now >= self._most:
            raise busy(f"{self._now} requests wait for their pictures to be decoded; try again in a second")
        self._now += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._now -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def decode_pictures(files: Sequence[tuple[bytes, str]]) -> list[DigitForm]:
    """Return the digit in each file, given with its field's name. Raises Refusal, also if decoding takes too long."""
    started, found = time.monotonic(), []
    for content, field in files:
        if time.monotonic() - started > SECONDS:
            message = f"the pictures before {field} took {SECONDS:g} seconds to decode; send fewer or smaller ones"
            raise Refusal(413, "too_large", message, field)
        found.append(_decode_picture(content, field))
    return found


def _decode_picture(content: bytes, field: str) -> DigitForm:
    try:
        return mnist_form(decode_picture(content, field))
    except InputError as error:
        message = str(error).replace(KINDS, ACCEPTED)
        raise invalid(message if message.startswith(field) else f"{field}: {message}", field) from error
    except Exception as error:  # an unforeseen picture is the client's fault, not a 500
        log.exception("no digit can be made out on a picture of %d bytes", len(content))
        message = f"{field}: no digit can be made out ({type(error).__name__}); expected one digit on paper of one colour"
        raise invalid(message, field) from error


def decode_base64(text: str, field: str) -> bytes:
    """Return the bytes, with or without ``data:…;base64,`` in front. Raises Refusal."""
    prefix = DATA_URL.match(text)
    try:
        return base64.b64decode("".join(text[prefix.end() if prefix else 0 :].split()).encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        reason = "it holds other characters" if isinstance(error, UnicodeEncodeError) else str(error)
        expected = "base64 of 784 bytes or of a picture file, or 28 rows of 28 numbers"
        raise invalid(f"{field} is a text that is no base64 ({reason}); expected {expected}", field) from error


def is_pixels(content: bytes) -> bool:
    """Tell the pixels of an image from a picture file."""
    return len(content) == PIXELS and not content.startswith(SIGNATURES)


def pixels_of_bytes(content: bytes, field: str, scale: int | None) -> Images:
    """Return 784 bytes as an image (28, 28), see ``scaled``."""
    return scaled(np.frombuffer(content, dtype=np.uint8).reshape(SIDE, SIDE), field, scale)


def pixels_of_rows(rows: list[Any], field: str, scale: int | None) -> Images:
    """Return 28 rows of 28 numbers as an image (28, 28): uint8, or float32 with a ``scale`` of 1.

    Raises Refusal with the row and column of the first wrong number.
    """
    image = None if scale == 1 else _bytes_of_rows(rows)
    if image is None:
        image = _numbers_of_rows(rows, field, scale)
    return image if scale == 1 else scaled(image, field, scale)


def scaled(image: Images, field: str, scale: int | None) -> Images:
    """Return uint8 pixels as they are, or as float32 if none is above 1 and ``scale`` is 1. Raises Refusal if the scale is ambiguous."""
    if image.max() != 1 or scale == 255:
        return image
    if scale is None:
        raise invalid(f"{field} holds nothing above 1, and it is not said what white is; {HOW_SCALED}", field)
    return image.astype(np.float32)


def _bytes_of_rows(rows: list[Any]) -> Images | None:
    """The fast path: None for anything but whole numbers from 0 to 255 in rows of the right length."""
    if len(rows) != SIDE or set(map(type, rows)) != {list} or set(map(len, rows)) != {SIDE}:
        return None
    if any(bool in map(type, row) for row in rows):
        return None
    try:
        content = b"".join(map(bytes, rows))
    except (TypeError, ValueError):
        return None
    return np.frombuffer(content, dtype=np.uint8).reshape(SIDE, SIDE)


def _numbers_of_rows(rows: list[Any], field: str, scale: int | None) -> Images:
    _check_shape(rows, field)
    values = np.array(rows, dtype=np.float64)
    white, slack = (1, ROUNDING) if scale == 1 else (255, 0.0)
    wrong = (values < -slack) | (values > white + slack)
    if wrong.any():
        row, column = (int(index) for index in np.argwhere(wrong)[0])
        where = f"{field}[{row}][{column}]"
        raise invalid(f"{where} is {shown(rows[row][column])}; expected 0 to {white}{'' if scale else f', or {HOW_SCALED}'}", where)
    if scale == 1:
        return values.clip(0, 1).astype(np.float32)
    fractions = values != np.floor(values)
    if fractions.any():
        row, column = (int(index) for index in np.argwhere(fractions)[0])
        where = f"{field}[{row}][{column}]"
        mend = 'expected whole numbers from 0 to 255: round them, or send numbers from 0 to 1 with "scale": 1' if scale else HOW_SCALED
        raise invalid(f"{where} is {shown(rows[row][column])}, a fraction; {mend}", where)
    return values.astype(np.uint8)


def _check_shape(rows: list[Any], field: str) -> None:
    """Raises Refusal unless it is 28 rows of 28 numbers."""
    if len(rows) != SIDE:
        flat = ", as a list of rows" if len(rows) == PIXELS else ""
        raise invalid(f"{field} has {len(rows)} rows; expected {SIDE} rows of {SIDE} numbers{flat}", field)
    for index, row in enumerate(rows):
        where = f"{field}[{index}]"
        if not isinstance(row, list):
            raise invalid(f"{where} is {shown(row)}; expected a row of {SIDE} numbers", where)
        if len(row) != SIDE:
            raise invalid(f"{where} has {len(row)} numbers; expected {SIDE}", where)
        for column, value in enumerate(row):
            if type(value) not in (int, float):
                raise invalid(f"{where}[{column}] is {shown(value)}; expected a number", f"{where}[{column}]")


def shown(value: Any) -> str:
    """Return a JSON value for a message, shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with {len(value)} fields"
    if isinstance(value, str):
        return f"the text {value[:20] + ('…' if len(value) > 20 else '')!r}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
