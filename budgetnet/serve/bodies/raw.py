"""application/octet-stream: 784 bytes an image, row by row."""

from __future__ import annotations

import numpy as np

from budgetnet.serve.bodies.wish import Wish, check_number
from budgetnet.serve.refusal import invalid

SIDE = 28
PIXELS = SIDE * SIDE


def parse(body: bytes) -> Wish:
    """Raises Refusal for a body that is not of whole images."""
    number, rest = divmod(len(body), PIXELS)
    if rest or not body:
        raise invalid(f"the body has {len(body):,} bytes; expected {PIXELS} for each image of {SIDE}×{SIDE} pixels, row by row", "body")
    check_number(number, "body")
    return Wish(np.frombuffer(body, dtype=np.uint8).reshape(number, SIDE, SIDE))
