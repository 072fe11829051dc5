"""Which network of an experiment there is to predict with: its artifact, one's own run's weights, the committed weights, in this order."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from budgetnet.commands.reporting import result_roots
from budgetnet.definition import Experiment
from budgetnet.inference.artifact import Sidecar, verify_files
from budgetnet.inference.backends import backend
from budgetnet.inference.backends.base import check_machine
from budgetnet.inference.errors import BackendUnavailable
from budgetnet.inference.store import best_artifact
from budgetnet.weights import find_weights


def artifact_for(
    experiment: Experiment, arguments: Namespace, passed_over: Callable[[str], None], device: str = "cpu"
) -> tuple[Path, Sidecar] | None:
    """The likely fastest artifact under ``--out``, of the seed that was asked for; ``passed_over`` is told of those that cannot be used."""
    return best_artifact(arguments.out, experiment, device, passed_over, arguments.seed)


def check_artifact(folder: Path, sidecar: Sidecar) -> None:
    """Raises InferenceError where the artifact is damaged, or made for another machine or other versions; nothing is loaded."""
    verify_files(folder, sidecar)
    made = backend(sidecar.backend)
    lacking = made.missing(sidecar.device, sidecar.precision)
    if lacking is not None:
        raise BackendUnavailable(f"{folder} cannot be run here: {lacking}")
    check_machine(made, sidecar)


def weights_for(experiment: Experiment, arguments: Namespace) -> Path:
    """The weights under ``--runs``, else the committed ones. Raises WeightsError with the command that makes some, or ResultError."""
    return find_weights(weight_roots(arguments), experiment, arguments.seed)


def weight_roots(arguments: Namespace) -> list[Path]:
    return [arguments.runs, *result_roots()]
