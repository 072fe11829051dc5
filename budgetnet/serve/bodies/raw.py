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
    images = np.frombuffer(body, dtype=np.uint8).reshape(number, SIDE, SIDE)
    if images.max() == 1:
        told = 'the body holds no byte above 1; expected 0 to 255: multiply by 255 where 1 is white, or send JSON with "scale"'
        raise invalid(told, "body")
    return Wish(images)
