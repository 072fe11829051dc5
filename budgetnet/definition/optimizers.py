"""Optimizers and schedules as frozen descriptions; optim.py makes torch's objects of them."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.definition.checks import is_count, is_fraction, is_number, require


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent as in torch.optim.SGD."""

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        require(self, "lr", lambda v: is_number(v) and v > 0, "a number above 0")
        require(self, "momentum", is_fraction, "a number in [0, 1)")
        require(self, "weight_decay", lambda v: is_number(v) and v >= 0, "a number of at least 0")
        require(self, "nesterov", lambda v: isinstance(v, bool) and (self.momentum > 0 or not v), "True (with a momentum above 0) or False")


@dataclass(frozen=True)
class Adam:
    """Adam as Keras defines it: lr·√(1-β₂ᵗ)/(1-β₁ᵗ) · m/(√v + epsilon), with epsilon beside the uncorrected root.

    torch.optim.Adam adds its epsilon to the corrected root instead, which is a larger one in the first steps.
    Source: Kingma and Ba, arXiv:1412.6980, the form before section 2.1; keras/optimizers.py of Keras 2.1 (2018).
    """

    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        _require_positive(self, "lr", "epsilon")
        require(self, "beta1", is_fraction, "a number in [0, 1)")
        require(self, "beta2", is_fraction, "a number in [0, 1)")


@dataclass(frozen=True)
class RMSprop:
    """RMSprop as Keras of 2018 defines it: lr · g/(√v + epsilon), v the moving mean of g² with weight ``rho`` on the past.

    Source: keras/optimizers.py of Keras 2.1 (2018). Keras 3 has epsilon under the root.
    """

    lr: float
    rho: float = 0.9
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        _require_positive(self, "lr", "epsilon")
        require(self, "rho", is_fraction, "a number in [0, 1)")


@dataclass(frozen=True)
class Adadelta:
    """Adadelta, with epsilon under both roots; the defaults are those of Keras in 2018, not torch's.

    Source: Zeiler, arXiv:1212.5701; keras/optimizers.py of Keras 2.1 (2018).
    """

    lr: float = 1.0
    rho: float = 0.95
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        _require_positive(self, "lr", "epsilon")
        require(self, "rho", is_fraction, "a number in [0, 1)")


Optimizer = SGD | Adam | RMSprop | Adadelta


def _require_positive(owner: object, *names: str) -> None:
    for name in names:
        require(owner, name, lambda v: is_number(v) and v > 0, "a number above 0")


@dataclass(frozen=True)
class StepLR:
    """The learning rate is multiplied by ``gamma`` after every ``step_size`` epochs, as in torch's StepLR."""

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        require(self, "step_size", is_count, "a whole number of epochs, at least 1")
        require(self, "gamma", lambda v: is_number(v) and v > 0, "a number above 0")


@dataclass(frozen=True)
class ReduceLROnPlateau:
    """The learning rate is multiplied by ``factor`` after ``patience`` epochs without a better validation accuracy.

    Better means higher by more than ``min_delta``, in percent; the rate never falls below ``min_lr``. Counts as Keras
    counts: with a patience of 3 the third epoch in a row that is not better lowers the rate for the next one.
    """

    factor: float = 0.5
    patience: int = 3
    min_lr: float = 0.0
    min_delta: float = 0.01

    def __post_init__(self) -> None:
        require(self, "factor", lambda v: is_number(v) and 0 < v < 1, "a factor in (0, 1)")
        require(self, "patience", is_count, "a whole number of epochs, at least 1")
        require(self, "min_lr", lambda v: is_number(v) and v >= 0, "a number of at least 0")
        require(self, "min_delta", lambda v: is_number(v) and v >= 0, "percentage points, at least 0")


Schedule = StepLR | ReduceLROnPlateau
