"""The recipe: everything that shapes training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from budgetnet.definition.checks import is_count, is_fraction, is_number, one_of, require
from budgetnet.definition.optimizers import Optimizer, ReduceLROnPlateau, Schedule


@dataclass(frozen=True)
class Augmentation:
    """Random affine changes of the training images, drawn per image and uniformly.

    ``rotation`` is in degrees (±), ``shift`` a fraction of height and width (±), ``zoom`` a fraction of the size (±),
    ``fill`` the 8-bit pixel value of what comes in from outside.
    """

    rotation: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    interpolation: str = "nearest"
    fill: float = 0.0

    def __post_init__(self) -> None:
        require(self, "rotation", lambda v: is_number(v) and 0 <= v <= 180, "degrees in [0, 180]")
        require(self, "shift", is_fraction, "a fraction in [0, 1)")
        require(self, "zoom", is_fraction, "a fraction in [0, 1)")
        require(self, "interpolation", lambda v: v in ("nearest", "bilinear"), "'nearest' or 'bilinear'")
        require(self, "fill", lambda v: is_number(v) and 0 <= v <= 255, "a pixel value in [0, 255]")


@dataclass(frozen=True)
class Protocol:
    """Which images validate.

    ``test``: train on all training images, validate on the test set every epoch, as the documents do.
    ``holdout``: hold ``holdout`` training images out (which ones depends on the seed only) and validate on them; the
    test set is scored once, after the last epoch, or, with ``test_at_end`` False, not at all: so that a search cannot
    be steered by it.
    """

    validation: str = "test"
    holdout: int = 0
    test_at_end: bool = True

    def __post_init__(self) -> None:
        require(self, "validation", lambda v: v in ("test", "holdout"), "'test' or 'holdout'")
        if self.validation == "holdout":
            require(self, "holdout", is_count, "the number of training images to hold out, at least 1")
        else:
            require(self, "holdout", lambda v: v == 0, "0, unless validation is 'holdout'")
        require(
            self, "test_at_end", lambda v: v is True or (v is False and self.validation == "holdout"),
            "True, or False where validation is 'holdout'",
        )  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes training. ``precision`` 'auto' leaves it to ``--precision``, which is fp32 unless a user asks for another."""

    optimizer: Optimizer
    batch_size: int
    epochs: int
    schedule: Schedule | None = None
    augmentation: Augmentation = Augmentation()
    loss: str = "cross_entropy"
    precision: str = "auto"
    protocol: Protocol = Protocol()

    def __post_init__(self) -> None:
        require(self, "optimizer", one_of(*get_args(Optimizer)), f"an optimizer description: {_listed(Optimizer)}")
        require(self, "batch_size", is_count, "a whole number of at least 1")
        require(self, "epochs", is_count, "a whole number of at least 1")
        require(self, "schedule", one_of(*get_args(Schedule), type(None)), f"a schedule description: {_listed(Schedule)}, or None")
        require(self, "augmentation", one_of(Augmentation), "Augmentation(...)")
        require(self, "loss", lambda v: v == "cross_entropy", "'cross_entropy'")
        require(self, "precision", lambda v: v in ("auto", "fp32", "bf16"), "'auto', 'fp32' or 'bf16'")
        require(self, "protocol", one_of(Protocol), "Protocol(...)")
        if isinstance(self.schedule, ReduceLROnPlateau):
            require(
                self, "protocol", lambda v: v.validation == "holdout",
                "a hold-out, because a schedule that follows the validation accuracy must not follow the test set",
            )  # fmt: skip


def _listed(kinds: Any) -> str:
    return ", ".join(f"{kind.__name__}(...)" for kind in get_args(kinds))
