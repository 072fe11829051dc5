"""What a request asks for, whatever kind of body it came in."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.inference.contract import BLANK, blank_images
from budgetnet.serve.jobs import Images
from budgetnet.serve.refusal import invalid

MOST_IMAGES = 256  # of a request


@dataclass(frozen=True, eq=False)
class Wish:
    """``images`` (n, 28, 28) uint8 or float32; ``model`` and ``seen`` as the body says, None where it does not.

    ``names`` are the images' fields in the body, empty where it has none.
    """

    images: Images
    model: str | None = None
    seen: bool | None = None
    names: tuple[str, ...] = ()

    def check_ink(self) -> None:
        """Raises Refusal where an image is blank."""
        for place in blank_images(self.images):
            field = self.names[place] if self.names else "body"
            which = field if self.names or len(self.images) == 1 else f"image {place} of the body"
            raise invalid(f"{which} is {BLANK}", field)


def check_number(images: int, field: str) -> None:
    """Raises Refusal for none, or too many."""
    if not 1 <= images <= MOST_IMAGES:
        raise invalid(f"{field} holds {images} images; expected 1 to {MOST_IMAGES}: split them over several requests", field)
