"""Served models by name, with their facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from budgetnet.inference.errors import InferenceError
from budgetnet.inference.predictor import Predictor
from budgetnet.serve.refusal import Refusal

IMAGE_SHAPE = (1, 28, 28)
LARGEST = {"cpu": 32, "cuda": 128}  # images of a batch: on a processor more gain nothing, and make the others wait

TestSet = tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]  # images (N, 1, 28, 28) and labels (N,)


@dataclass(frozen=True)
class Facts:
    """Description of a model for clients. ``accuracy`` in percent on the test set; ``source`` says whose weights they are."""

    name: str
    title: str
    parameters: int
    budget: int | None
    budget_text: str
    accuracy: float | None
    seed: int
    source: str
    own: bool


@dataclass(frozen=True)
class Offer:
    """A model that can be loaded, also in another process: ``load`` returns it, ``test_set`` reads the images for its gallery.

    ``test_set`` raises LookupError with a sentence where there is none.
    """

    facts: Facts
    load: Callable[[], Predictor]
    test_set: Callable[[], TestSet]


class Served:
    """A loaded model; ``largest`` is its maximum batch size."""

    def __init__(self, offer: Offer) -> None:
        """Raises InferenceError where it cannot be loaded or cannot predict, or takes other images than 28×28 grey ones."""
        self.offer, self.facts, self.name = offer, offer.facts, offer.facts.name
        self.predictor = offer.load()
        if self.predictor.contract.image_shape != IMAGE_SHAPE:
            shape = " × ".join(map(str, self.predictor.contract.image_shape))
            raise InferenceError(f"{self.name} takes images of {shape}; the server serves networks of 1 × 28 × 28")
        try:
            self.predictor.predict(np.zeros((1, *IMAGE_SHAPE), dtype=np.uint8))
        except Exception as error:  # backends have kinds of their own
            raise InferenceError(f"{self.name} can be loaded and cannot predict ({type(error).__name__}: {error})") from error
        device = self.predictor.sidecar.device if self.predictor.sidecar else "cpu"
        self.largest = min(LARGEST[device], self.predictor.max_batch)

    def as_json(self) -> dict[str, Any]:
        contract, sidecar = self.predictor.contract, self.predictor.sidecar
        return asdict(self.facts) | {
            "backend": sidecar.backend if sidecar else "torch",
            "precision": sidecar.precision if sidecar else "fp32",
            "image_shape": list(contract.image_shape),
            "classes": contract.labels,
        }


class Models:
    """The served models by name; the first is the default."""

    def __init__(self, served: Sequence[Served]) -> None:
        self._by_name = {one.name: one for one in served}
        self.default = served[0]

    def __iter__(self) -> Iterator[Served]:
        return iter(self._by_name.values())

    def named(self, name: str | None) -> Served:
        """Return the model of this name. Raises Refusal for an unknown one."""
        if name is None:
            return self.default
        found = self._by_name.get(name)
        if found is None:
            known = ", ".join(self._by_name)
            raise Refusal(404, "unknown_model", f"there is no model {name[:80]!r} here; there is {known}: see /v1/models", "model")
        return found

    def as_json(self) -> dict[str, Any]:
        return {"models": [one.as_json() for one in self], "default": self.default.name}
