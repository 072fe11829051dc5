"""Origin of weights: a run of the user's own, or the committed results."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from budgetnet.commands.networks import weight_roots
from budgetnet.definition import Experiment
from budgetnet.inference.artifact import Sidecar
from budgetnet.results import Result, read_result
from budgetnet.weights import WeightsError, find_weights


@dataclass(frozen=True)
class Origin:
    """Which run the weights are of, in words, and its record."""

    text: str
    own: bool
    result: Result | None

    @property
    def accuracy(self) -> float | None:
        """Percent on the test set, as training scored it; None where it did not."""
        if self.result is None:
            return None
        return self.result.last.validation_accuracy if self.result.validation == "test" else self.result.test_accuracy


def of_weights(weights: Path, arguments: Namespace) -> Origin:
    """The run that ``weights`` lie in."""
    run = weights.parent
    own = run.resolve().is_relative_to(arguments.runs.resolve())
    whose = "a run of your own" if own else f"of this project's committed results, trained on {run.parent.parent.name}"
    return Origin(f"weights of {run}; {whose}", own, read_result(run))


def of_artifact(folder: Path, sidecar: Sidecar, experiment: Experiment, arguments: Namespace) -> Origin:
    """The run that an artifact was compiled from: the one of its seed, or of several the one with its weights."""
    candidates = []
    for root in weight_roots(arguments):
        try:
            candidates.append(find_weights([root], experiment, sidecar.seed))
        except WeightsError:
            continue
    if len(candidates) > 1:
        candidates = [weights for weights in candidates if weights_digest(experiment, weights) == sidecar.weights_hash]
    if not candidates:
        return Origin(f"compiled weights of {folder}; their run is no longer here", True, None)
    return of_weights(candidates[0], arguments)


def weights_digest(experiment: Experiment, weights: Path) -> str:
    """Return ``budgetnet.weights.digest`` of the network, without importing torch if the file allows."""
    if weights.suffix != ".safetensors":
        from budgetnet.weights import load_trained

        return load_trained(experiment, weights).digest
    from safetensors.numpy import load_file

    found = hashlib.sha256()
    for name, array in sorted(load_file(weights).items()):
        found.update(f"{name} torch.{array.dtype} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()
