"""Paths of artifacts: ``<root>/<experiment>/seed-<n>/<backend>-<precision>/``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from budgetnet.definition import Experiment, definition_hash
from budgetnet.inference.artifact import SIDECAR, Sidecar, read_sidecar
from budgetnet.inference.backends import PREFERENCE
from budgetnet.inference.errors import ArtifactError

ROOT = Path("compiled")


def artifacts(root: Path, experiment: str, unreadable: Callable[[str], None]) -> Iterator[tuple[Path, Sidecar]]:
    """Every artifact of an experiment under ``root``, by seed, then by name; of those that cannot be read ``unreadable`` is told why."""
    for path in sorted(root.glob(f"{experiment}/seed-*/*/{SIDECAR}"), key=lambda path: (len(path.parent.parent.name), str(path))):
        if not path.parent.name.startswith("."):
            try:
                yield path.parent, read_sidecar(path.parent)
            except ArtifactError as error:
                unreadable(str(error))


def best_artifact(
    root: Path, experiment: Experiment, device: str, passed_over: Callable[[str], None], seed: int | None = None
) -> tuple[Path, Sidecar] | None:
    """The experiment's artifact of the present definition that is likely the fastest, in fp32 if there is one; of ``seed`` if given.

    ``passed_over`` is told of those that cannot be used: damaged, or of a definition that has changed since.
    """
    order, present, found = PREFERENCE[device], definition_hash(experiment), []
    for folder, sidecar in artifacts(root, experiment.name, passed_over):
        if sidecar.device != device or sidecar.backend not in order or seed not in (None, sidecar.seed):
            continue
        if sidecar.definition_hash == present:
            found.append((folder, sidecar))
        else:
            passed_over(f"{folder} was compiled from another definition of {experiment.name} than the catalogue's; compile it again")
    return min(found, key=lambda one: (one[1].precision != "fp32", order.index(one[1].backend)), default=None)
