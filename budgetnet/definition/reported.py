"""Figures that a document reports for an experiment: of single epochs, and whole curves where it prints them."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.definition.checks import DefinitionError, is_number, is_percent, is_text, require

PERCENT = "percent in (1, 100]; multiply a fraction by 100"
ACCURACIES, LOSSES = ("validation_accuracy", "train_accuracy"), ("validation_loss", "train_loss")


@dataclass(frozen=True)
class Curve:
    """Figures that a document prints after each epoch of one run, from the first epoch on.

    Accuracies in percent, losses in nats; a quantity that the document does not print is empty.
    """

    run: str
    validation_accuracy: tuple[float, ...] = ()
    train_accuracy: tuple[float, ...] = ()
    validation_loss: tuple[float, ...] = ()
    train_loss: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require(self, "run", is_text, "the run's name")
        for name in ACCURACIES:
            require(
                self,
                name,
                lambda v: isinstance(v, tuple) and all(is_number(one) and 0 < one <= 100 for one in v),
                "a tuple of percents in (0, 100]",
            )
            require(self, name, lambda v: not v or max(v) > 1, "percents; multiply fractions by 100")
        for name in LOSSES:
            require(self, name, lambda v: isinstance(v, tuple) and all(map(_is_loss, v)), "a tuple of nats, at least 0")
        lengths = {len(getattr(self, name)) for name in (*ACCURACIES, *LOSSES)} - {0}
        if len(lengths) > 1:
            raise DefinitionError(f"Curve {self.run!r} has quantities of {sorted(lengths)} epochs; expected one length")


@dataclass(frozen=True)
class Reported:
    """The figures of a document, which are a single run's unless the notes say otherwise.

    Accuracies in percent, losses in nats. Without a prefix they are those of the last epoch. ``validation_*`` belong to the
    images that the protocol validates on, ``test_accuracy`` to the test set where those are held-out ones. ``announces``
    names the epoch whose figures the document's text prints: 'last', or 'best' (the highest of any epoch). The curves
    are those of the reported run, followed by those of further runs.
    """

    validation_accuracy: float
    train_accuracy: float | None = None
    validation_loss: float | None = None
    train_loss: float | None = None
    test_accuracy: float | None = None
    announces: str = "last"
    curves: tuple[Curve, ...] = ()

    def __post_init__(self) -> None:
        require(self, "validation_accuracy", is_percent, PERCENT)
        for name in ("train_accuracy", "test_accuracy"):
            require(self, name, lambda v: v is None or is_percent(v), f"{PERCENT}, or None")
        for name in LOSSES:
            require(self, name, lambda v: v is None or _is_loss(v), "nats, at least 0, or None")
        require(
            self,
            "curves",
            lambda v: isinstance(v, tuple) and all(isinstance(c, Curve) for c in v),
            "a tuple of Curve(...)",
        )
        for name in (*ACCURACIES, *LOSSES):
            own, curve = getattr(self, name), getattr(self.curves[0], name) if self.curves else ()
            if own is not None and curve and abs(own - curve[-1]) > 1e-9:
                raise DefinitionError(
                    f"Reported.{name} is {own!r}, and its curve ends with {curve[-1]!r}; expected the figure of the last epoch"
                )
        require(self, "announces", lambda v: v in ("last", "best"), "'last' or 'best'")
        if self.announces == "best" and self.best_validation_accuracy is None:
            raise DefinitionError(
                "Reported.announces is 'best'; expected a curve with validation accuracies to find it in"
            )

    @classmethod
    def of_curves(cls, *curves: Curve, announces: str = "last") -> Reported:
        """The figures of the last epoch of the first curve. Raises DefinitionError for a curve without validation accuracies."""
        if not curves:
            raise DefinitionError("Reported.of_curves got no curve; expected that of the reported run, then those of further runs")
        first = curves[0]
        if not first.validation_accuracy:
            raise DefinitionError(f"Curve {first.run!r} has no validation accuracies; expected one for each epoch")
        last = {name: getattr(first, name)[-1] for name in (*ACCURACIES, *LOSSES) if getattr(first, name)}
        return cls(**last, announces=announces, curves=curves)

    @property
    def best_validation_accuracy(self) -> float | None:
        """The highest validation accuracy of any epoch of the reported run; None where the document prints no curve of it."""
        return max(self.curves[0].validation_accuracy, default=None) if self.curves else None

    @property
    def best_train_accuracy(self) -> float | None:
        """The highest training accuracy of any epoch of the reported run, which need not be the same epoch; None without a curve."""
        return max(self.curves[0].train_accuracy, default=None) if self.curves else None

    @property
    def announced(self) -> float:
        """The validation accuracy that the document's text prints."""
        best = self.best_validation_accuracy
        return best if self.announces == "best" and best is not None else self.validation_accuracy


def _is_loss(value: object) -> bool:
    return is_number(value) and value >= 0  # type: ignore[operator]
