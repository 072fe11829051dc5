"""What a request asks for, whatever kind of body it came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from budgetnet.inference.contract import BLANK, blank_images
from budgetnet.inference.digit_form import DigitForm
from budgetnet.serve.jobs import Images
from budgetnet.serve.refusal import invalid

MOST_IMAGES = 256  # of a request


@dataclass(frozen=True, eq=False)
class Wish:
    """``images`` (n, 28, 28) uint8 or float32; ``model`` and ``seen`` as the body says, None where it does not.

    ``names`` are the images' fields in the body, empty where it has none. ``forms`` are the images again, where any came as a
    picture: None for one that came as pixels.
    """

    images: Images
    model: str | None = None
    seen: bool | None = None
    names: tuple[str, ...] = ()
    forms: tuple[DigitForm | None, ...] = ()

    @classmethod
    def of_pictures(cls, forms: Sequence[DigitForm], model: str | None = None, seen: bool | None = None) -> Wish:
        return cls(np.stack([form.image for form in forms]), model, seen, forms=tuple(forms))

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
