"""What a request asks for, whatever kind of body it came in."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.serve.jobs import Images
from budgetnet.serve.refusal import invalid

MOST_IMAGES = 256  # of a request


@dataclass(frozen=True, eq=False)
class Wish:
    """``images`` (n, 28, 28) uint8 or float32; ``model`` and ``seen`` as the body says, None where it does not."""

    images: Images
    model: str | None = None
    seen: bool | None = None


def check_number(images: int, field: str) -> None:
    """Raises Refusal for none, or too many."""
    if not 1 <= images <= MOST_IMAGES:
        raise invalid(f"{field} holds {images} images; expected 1 to {MOST_IMAGES}: split them over several requests", field)
