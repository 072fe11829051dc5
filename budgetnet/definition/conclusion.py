"""A conclusion that a document draws and that runs can test."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.definition.checks import is_number, is_text, require

COMPARING = ("accuracy", "loss gap", "last sd")
MEASURES = (*COMPARING, "confused", "weights around 0", "weights normal", "search")


@dataclass(frozen=True)
class Conclusion:
    """A conclusion of a document, in our words, and the comparison that tests it.

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
        require(self, "first", lambda v: _are_names(v) and len(v) > 0, "a tuple of at least one experiment's name")
        require(self, "second", _are_names, "a tuple of experiments' names")
        for name in ("document", "sentence"):
            require(self, name, is_text, "a text")
        require(self, "point", lambda v: isinstance(v, tuple), "a tuple")
        if self.measure in COMPARING:
            require(self, "second", lambda v: len(v) > 0, f"the experiments that the {self.measure} of the first is compared with")
            require(self, "second", lambda v: not set(v) & set(self.first), "other experiments than in first")
        if self.measure == "search":
            require(self, "first", lambda v: len(v) == 1, "a tuple of one study's name")
        if self.measure == "confused":
            require(self, "first", lambda v: len(v) == 1, "a tuple of one experiment's name")
            require(self, "point", lambda v: len(v) == 2 and v[0] < v[1], "two classes by their numbers, the lower one first")
        require(self, "margin", lambda v: is_number(v) and v >= 0, "a number of at least 0")


def _are_names(value: object) -> bool:
    return isinstance(value, tuple) and all(map(is_text, value))
