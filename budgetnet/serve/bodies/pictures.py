"""A picture's file to the digit on it, as MNIST has them; and base64, which is a picture's file or an image's pixels."""

from __future__ import annotations

import base64
import binascii
import logging
import re
import time
from collections.abc import Sequence

import numpy as np

from budgetnet.inference.digit_form import DigitForm, mnist_form
from budgetnet.inference.errors import InputError
from budgetnet.inference.pictures import KINDS, decode_picture
from budgetnet.serve.bodies.raw import PIXELS, SIDE
from budgetnet.serve.jobs import Images
from budgetnet.serve.refusal import Refusal, invalid

PREFIX = re.compile(r"data:[\w.+/;=-]{0,100};base64,", re.ASCII)
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF")  # of pictures that may have exactly 784 bytes
TAKEN = KINDS.partition(", or images as")[0]  # arrays come as they are
SECONDS = 10.0  # for all pictures of a request

log = logging.getLogger("budgetnet.serve")


def decoded(text: str, field: str) -> bytes:
    """The bytes in base64, with or without ``data:…;base64,`` before it. Raises Refusal for anything else."""
    prefix = PREFIX.match(text)
    given = text[prefix.end() :] if prefix else text
    try:
        return base64.b64decode("".join(given.split()).encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        what = "base64 of 784 bytes or of a picture's file, or 28 rows of 28 numbers"
        raise invalid(f"{field} is a text that is no base64 ({_reason(error)}); expected {what}", field) from error


def _reason(error: ValueError) -> str:
    return "it holds other signs" if isinstance(error, UnicodeEncodeError) else str(error)


def is_pixels(content: bytes) -> bool:
    """Whether the bytes are an image's pixels and not a picture's file."""
    return len(content) == PIXELS and not content.startswith(SIGNATURES)


def as_pixels(content: bytes) -> Images:
    return np.frombuffer(content, dtype=np.uint8).reshape(SIDE, SIDE)


def digit(content: bytes, field: str) -> DigitForm:
    """The digit in a picture's file. Raises Refusal for what cannot be read, or shows none."""
    try:
        return mnist_form(decode_picture(content, field))
    except InputError as error:
        told = str(error).replace(KINDS, TAKEN)
        raise invalid(told if told.startswith(field) else f"{field}: {told}", field) from error
    except Exception as error:  # whatever a picture does to the arithmetic, it is the picture
        log.exception("no digit can be made out on a picture of %d bytes", len(content))
        told = f"{field}: no digit can be made out ({type(error).__name__}); expected one digit on paper of one colour"
        raise invalid(told, field) from error


def digits(contents: Sequence[tuple[bytes, str]]) -> list[DigitForm]:
    """The digits in several files, each with its field's name. Raises Refusal, also where they take too long."""
    started, found = time.monotonic(), []
    for content, field in contents:
        if time.monotonic() - started > SECONDS:
            told = f"the pictures before {field} took {SECONDS:g} seconds to decode; send fewer or smaller ones"
            raise Refusal(413, "too_large", told, field)
        found.append(digit(content, field))
    return found
