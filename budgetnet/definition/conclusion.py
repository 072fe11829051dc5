"""A conclusion that a document draws and that runs can test."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.definition.checks import is_number, require

MEASURES = ("accuracy", "loss gap", "last sd", "confused", "weights around 0", "weights normal", "search")


@dataclass(frozen=True)
class Conclusion:
    """What a document concludes, in our words, and the comparison that tests it.

    ``measure`` is a figure of a run or of its closer look: 'accuracy' (validation, last epoch, in percent), 'loss gap'
    (distance between training and validation loss of the last epoch, in nats), 'last sd' (standard deviation of the
    validation accuracy in the last five epochs, in points), 'confused' (the two classes that are confused most),
    'weights around 0' and 'weights normal' (the shape of the weights' distribution), 'search' (the best point of a study).

    The first three compare: every experiment of ``first`` is claimed to be ``claim`` than every one of ``second``: 'higher',
    'lower', or 'within', which is no further apart than ``margin``. The others look at each of ``first``, which for 'search'
    are studies; ``point`` is what is claimed: the two classes, or the values of the best point in the order of the study's space.
    """

    document: str
    sentence: str
    measure: str
    first: tuple[str, ...]
    second: tuple[str, ...] = ()
    claim: str = "higher"
    margin: float = 0.0
    point: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require(self, "measure", lambda v: v in MEASURES, f"one of {', '.join(MEASURES)}")
        require(self, "claim", lambda v: v in ("higher", "lower", "within"), "'higher', 'lower' or 'within'")
        require(
            self, "first", lambda v: isinstance(v, tuple) and len(v) > 0, "a tuple of at least one experiment's name"
        )
        require(self, "second", lambda v: isinstance(v, tuple), "a tuple of experiments' names")
        require(self, "margin", lambda v: is_number(v) and v >= 0, "a number of at least 0")
