"""The gate between a compiled network and an artifact: it computes what the trained network computes, on the whole test set.

Two float32 programs differ by their rounding, torch's own from the exact value as well. So a compiled network is held against
the trained one evaluated in float64, and the trained one's own distance in float32 stands beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from budgetnet.data.resident import to_input
from budgetnet.inference.contract import Contract, Pixels
from budgetnet.inference.errors import InferenceError

BATCH = 250


@dataclass(frozen=True)
class Bound:
    """``logits``: the largest difference, as a share of the largest logit; ``changed``: digits, as a share; ``lost``: percentage points."""

    logits: float
    changed: float
    lost: float


# In float32 only the order of additions differs. Half precisions keep 11 and 8 bits of every value, int8 256 levels a tensor.
BOUNDS = {
    "fp32": Bound(1e-6, 0.0, 0.0),
    "fp16": Bound(1e-2, 0.002, 0.05),
    "bf16": Bound(8e-2, 0.01, 0.15),
    "int8": Bound(2.5e-1, 0.02, 0.3),
}
# Where a network itself rounds more than that, in torch's float32 as well, another order of additions may round as much again.
OWN_ROUNDING = 2.0
AGAIN = 1e-3  # the largest difference of two evaluations of one network, as a share of the largest logit; on a GPU they differ by rounding


@dataclass(frozen=True)
class Reference:
    """Predictions of the trained network on the test set: ``logits`` (N, classes) of torch in float32, ``exact`` in float64."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    exact: npt.NDArray[np.float64]

    @property
    def accuracy(self) -> float:
        return _accuracy(self.logits, self.labels)


@dataclass(frozen=True)
class Parity:
    """Differences of logits: to the exact ones (``largest``, ``mean``; ``eager_difference`` is what torch in float32 has itself), and
    ``to_eager``, between the two in float32. ``changed`` digits; of them ``tied`` whose two largest logits were nearer to each other
    than the rounding. Accuracies in percent.
    """

    images: int
    largest_difference: float
    mean_difference: float
    eager_difference: float
    to_eager: float
    largest_logit: float
    changed: int
    tied: int
    accuracy: float
    reference_accuracy: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def text(self) -> str:
        changed = f"{self.changed} of {self.images:,} digits changed"
        return (
            f"logits within {self.largest_difference:.1e} (torch in float32: {self.eager_difference:.1e}), {changed}, "
            f"accuracy {self.accuracy:.2f} % (trained: {self.reference_accuracy:.2f} %)"
        )


def reference(
    model: nn.Module, contract: Contract, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], device: str = "cpu"
) -> Reference:
    """The trained network's logits, in float32 as its training validated it, and in float64. ``model`` stays as it is.

    Raises InferenceError for a network that cannot be copied, does not compute in float64, or answers differently when asked twice.
    """
    logits, exact = [], []
    try:
        single, double = copy.deepcopy(model).to(device), copy.deepcopy(model).to(device).double()
        with torch.inference_mode():
            for batch in torch.from_numpy(images).split(BATCH):
                batch = batch.to(device)
                logits.append(single(to_input(batch, contract.mean, contract.std)).cpu())
                exact.append(double((batch.double() / 255 - contract.mean) / contract.std).cpu())
            again = single(to_input(torch.from_numpy(images[:BATCH]).to(device), contract.mean, contract.std)).cpu()
    except Exception as error:  # of a user's forward, or of attributes that cannot be copied
        raise InferenceError(
            f"the trained network cannot be computed in float64 for comparison ({type(error).__name__}: {error}); "
            "keep its tensors in parameters and buffers (register_buffer), which change their type with it"
        ) from error
    if not torch.allclose(again, logits[0], rtol=0.0, atol=AGAIN * max(1.0, float(logits[0].abs().max()))):
        raise InferenceError(
            "the trained network gives other logits for the same images at every call, so that nothing can be compared with it: it draws "
            "random numbers or changes its buffers in evaluation mode"
        )
    return Reference(images, labels, torch.cat(logits).numpy(), torch.cat(exact).numpy())


def compare(run: Callable[[Pixels], npt.NDArray[np.float32]], contract: Contract, max_batch: int, expected: Reference) -> Parity:
    """The compiled network ``run`` on all images, in batches of several sizes, against ``expected``."""
    found = np.concatenate([run(contract.pixels(images)) for images in _cut(expected.images, max_batch)])
    eager_difference = float(np.abs(expected.logits - expected.exact).max())
    if not np.isfinite(found).all():
        far = float("inf")
        return Parity(len(found), far, far, eager_difference, far, 0.0, len(found), 0, 0.0, expected.accuracy)
    difference = np.abs(found - expected.exact)
    changed = found.argmax(1) != expected.logits.argmax(1)
    ordered = np.sort(expected.exact, axis=1)
    margins = ordered[:, -1] - ordered[:, -2]
    return Parity(
        images=len(found),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        eager_difference=eager_difference,
        to_eager=float(np.abs(found - expected.logits).max()),
        largest_logit=float(np.abs(expected.exact).max()),
        changed=int(changed.sum()),
        tied=int((changed & (margins <= 2 * difference.max())).sum()),
        accuracy=_accuracy(found, expected.labels),
        reference_accuracy=expected.accuracy,
    )


def verdict(parity: Parity, precision: str) -> str | None:
    """The sentence for what is out of bounds; None where nothing is."""
    bound = BOUNDS[precision]
    allowed = bound.logits * max(parity.largest_logit, 1.0)
    if precision == "fp32":
        allowed = max(allowed, OWN_ROUNDING * parity.eager_difference)
    if not parity.largest_difference <= allowed:
        return f"a logit differs by {parity.largest_difference:.2e} where {precision} may differ by {allowed:.2e}"
    changed = parity.changed - (parity.tied if precision == "fp32" else 0)
    if changed > bound.changed * parity.images:
        return f"{changed} of {parity.images:,} digits changed where {precision} may change {bound.changed * parity.images:.0f}"
    lost = parity.reference_accuracy - parity.accuracy
    if precision != "fp32" and lost > bound.lost + 1e-9:
        return f"the accuracy falls by {lost:.2f} points where {precision} may cost {bound.lost:.2f}"
    return None


def _cut(images: npt.NDArray[np.uint8], max_batch: int) -> list[npt.NDArray[np.uint8]]:
    """Return batches of one image, two, then the largest, so that programs for single sizes are compared as well."""
    places = [place for place in (1, 3) if place < len(images) and max_batch >= 2]
    start = places[-1] if places else 0
    places += range(start + max_batch, len(images), max_batch)
    return np.split(images, places)


def _accuracy(logits: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64]) -> float:
    return 100.0 * float((logits.argmax(1) == labels).mean())
