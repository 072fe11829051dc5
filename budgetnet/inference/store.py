"""Where artifacts lie: ``<root>/<experiment>/seed-<n>/<backend>-<precision>/``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from budgetnet.definition import Experiment, definition_hash
from budgetnet.inference.artifact import SIDECAR, Sidecar, read_sidecar
from budgetnet.inference.backends import PREFERENCE
from budgetnet.inference.errors import ArtifactError

ROOT = Path("compiled")


def artifacts(root: Path, experiment: str) -> Iterator[tuple[Path, Sidecar]]:
    """Every readable artifact of an experiment under ``root``, by seed, then by name."""
    for path in sorted(root.glob(f"{experiment}/seed-*/*/{SIDECAR}"), key=lambda path: (len(path.parent.parent.name), str(path))):
        if not path.parent.name.startswith("."):
            try:
                yield path.parent, read_sidecar(path.parent)
            except ArtifactError:
                continue  # said where it is asked for by its folder


def best_artifact(root: Path, experiment: Experiment, device: str) -> tuple[Path, Sidecar] | None:
    """The experiment's artifact of the present definition that is likely the fastest, in fp32 if there is one."""
    order = PREFERENCE[device]
    found = [
        (folder, sidecar)
        for folder, sidecar in artifacts(root, experiment.name)
        if sidecar.definition_hash == definition_hash(experiment) and sidecar.device == device and sidecar.backend in order
    ]
    return min(found, key=lambda one: (one[1].precision != "fp32", order.index(one[1].backend)), default=None)
