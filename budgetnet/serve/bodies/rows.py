"""An image as JSON has it: 28 rows of 28 numbers, whole ones from 0 to 255, or 0 to 1 where that is said.

The usual case is quick and is not looked at number by number; what it does not take is looked at closely, so that the offending
place has a name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from budgetnet.inference.contract import ROUNDING
from budgetnet.serve.bodies.raw import PIXELS, SIDE
from budgetnet.serve.bodies.words import told
from budgetnet.serve.jobs import Images
from budgetnet.serve.refusal import Refusal, invalid

HOW_SCALED = 'send "scale": 1 if the numbers run from 0 to 1, or "scale": 255 if they are whole ones from 0 to 255'


def pixels(rows: list[Any], field: str, scale: int | None, suspicious: bool) -> Images:
    """The image (28, 28): uint8, or float32 with a ``scale`` of 1. ``suspicious``: there may be true or false among the numbers.

    Raises Refusal, which names the place.
    """
    image = None if suspicious or scale == 1 else _bytes(rows)
    if image is None:
        image = _numbers(rows, field, scale)
    return image if scale == 1 else scaled(image, field, scale)


def scaled(image: Images, field: str, scale: int | None) -> Images:
    """Bytes as they are, or as floats where none is above 1 and 1 is white. Raises Refusal where that is not said."""
    if image.max() != 1 or scale == 255:
        return image
    if scale is None:
        raise invalid(f"{field} holds nothing above 1, and it is not said what white is; {HOW_SCALED}", field)
    return image.astype(np.float32)


def _bytes(rows: list[Any]) -> Images | None:
    """None for anything but whole numbers from 0 to 255 in rows of the right length; true counts as 1."""
    if len(rows) != SIDE or set(map(type, rows)) != {list} or set(map(len, rows)) != {SIDE}:
        return None
    try:
        content = b"".join(map(bytes, rows))
    except (TypeError, ValueError):
        return None
    return np.frombuffer(content, dtype=np.uint8).reshape(SIDE, SIDE)


def _numbers(rows: list[Any], field: str, scale: int | None) -> Images:
    _check_form(rows, field)
    values = np.array(rows, dtype=np.float64)
    white, slack = (1, ROUNDING) if scale == 1 else (255, 0.0)
    wrong = (values < -slack) | (values > white + slack)
    if wrong.any():
        row, column = (int(place) for place in np.argwhere(wrong)[0])
        where = f"{field}[{row}][{column}]"
        raise invalid(f"{where} is {told(rows[row][column])}; expected 0 to {white}{'' if scale else f', or {HOW_SCALED}'}", where)
    if scale == 1:
        return values.clip(0, 1).astype(np.float32)
    fractions = values != np.floor(values)
    if fractions.any():
        row, column = (int(place) for place in np.argwhere(fractions)[0])
        raise _fraction(rows[row][column], f"{field}[{row}][{column}]", scale)
    return values.astype(np.uint8)


def _fraction(value: Any, where: str, scale: int | None) -> Refusal:
    mend = 'expected whole numbers from 0 to 255: round them, or send numbers from 0 to 1 with "scale": 1' if scale else HOW_SCALED
    return invalid(f"{where} is {told(value)}, a fraction; {mend}", where)


def _check_form(rows: list[Any], field: str) -> None:
    """Raises Refusal unless it is 28 rows of 28 numbers."""
    if len(rows) != SIDE:
        flat = ", as a list of rows" if len(rows) == PIXELS else ""
        raise invalid(f"{field} has {len(rows)} rows; expected {SIDE} rows of {SIDE} numbers{flat}", field)
    for place, row in enumerate(rows):
        where = f"{field}[{place}]"
        if not isinstance(row, list):
            raise invalid(f"{where} is {told(row)}; expected a row of {SIDE} numbers", where)
        if len(row) != SIDE:
            raise invalid(f"{where} has {len(row)} numbers; expected {SIDE}", where)
        if not set(map(type, row)) <= {int, float}:
            column = next(column for column, value in enumerate(row) if type(value) not in (int, float))
            raise invalid(f"{where}[{column}] is {told(row[column])}; expected a number", f"{where}[{column}]")
