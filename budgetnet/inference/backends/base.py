"""Interface of the backends, and its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from budgetnet.environment import cpu_name, instruction_sets
from budgetnet.inference.artifact import Sidecar
from budgetnet.inference.contract import Contract, Pixels
from budgetnet.inference.errors import ArtifactError

if TYPE_CHECKING:
    from budgetnet.inference.network import InferenceNetwork

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Request:
    """The network to build, for the batch sizes 1 to ``max_batch``.

    ``network`` gives a new one on the CPU, which computes in the precision that it is called with. ``optimum`` is the batch
    size to be fastest at, ``fixed`` are further ones that get a program of their own where the backend gains by it.
    ``calibration`` gives training images as pixels (N, C, H, W), for quantization.
    """

    network: Callable[[str], InferenceNetwork]
    contract: Contract
    precision: str
    device: str
    optimum: int
    fixed: tuple[int, ...]
    max_batch: int
    calibration: Callable[[], Pixels]


class Session(Protocol):
    """A loaded network: pixels (n, C, H, W) float32, 1 <= n <= the artifact's largest batch, to logits (n, classes) float32.

    It trusts its input. ``concurrent`` says whether several threads may call it at once. ``close`` frees what it holds.
    """

    concurrent: bool

    def __call__(self, pixels: Pixels) -> Logits: ...

    def close(self) -> None: ...


class BySize:
    """A session that hands batches of certain sizes to sessions made for them, and all others to ``general``."""

    def __init__(self, general: Session, fixed: Mapping[int, Session]) -> None:
        self._general, self._fixed = general, fixed
        self.concurrent = general.concurrent and all(session.concurrent for session in fixed.values())

    def __call__(self, pixels: Pixels) -> Logits:
        return self._fixed.get(len(pixels), self._general)(pixels)

    def close(self) -> None:
        for session in (self._general, *self._fixed.values()):
            session.close()


class Backend(Protocol):
    """A way to run a network. ``precisions`` are the supported ones, by device; ``title`` is its name in tables."""

    name: str
    title: str
    precisions: Mapping[str, tuple[str, ...]]

    def missing(self, device: str, precision: str) -> str | None:
        """Return what this machine lacks, as a sentence that says how to get it; None if nothing is missing."""

    def build(self, request: Request, folder: Path) -> tuple[int, ...]:
        """Write the artifact's files into ``folder``; the batch sizes that got a program of their own."""

    def load(self, folder: Path, sidecar: Sidecar, threads: int) -> Session:
        """A session on the files of an artifact that has been verified."""

    def versions(self) -> dict[str, str]:
        """The packages that an artifact depends on, which must be the same when it is loaded."""

    def machine(self, device: str) -> dict[str, Any]:
        """The hardware that an artifact depends on; empty for one that runs anywhere."""


def lacks_precision(backend: Backend, device: str, precision: str) -> str | None:
    """The sentence for a precision that the backend does not have."""
    offered = backend.precisions.get(device, ())
    if not offered:
        return f"{backend.title} does not run on {device}"
    if precision not in offered:
        return f"{backend.title} has no {precision} on {device}; it has {', '.join(offered)}"
    return None


def this_processor() -> dict[str, Any]:
    """Return the properties of this CPU that native code depends on."""
    return {"cpu": cpu_name(), "instructions": sorted(instruction_sets())}


def check_machine(backend: Backend, sidecar: Sidecar) -> None:
    """Raises ArtifactError where the artifact was built with other versions or for other hardware than there is here."""
    again = f"compile it again here: budgetnet compile {sidecar.experiment} --backend {sidecar.backend} --precision {sidecar.precision}"
    here = backend.versions()
    for package, version in sidecar.versions.items():
        if here.get(package) != version:
            raise ArtifactError(f"the artifact was built with {package} {version}, and here is {here.get(package) or 'none'}; {again}")
    now = backend.machine(sidecar.device)
    gpu = sidecar.machine.get("gpu")
    if gpu is not None and gpu != now.get("gpu"):
        raise ArtifactError(f"the artifact was built for {gpu}, and here is {now.get('gpu') or 'no GPU'}; {again}")
    lacking = set(sidecar.machine.get("instructions", ())) - set(now.get("instructions", ()))
    if lacking:
        raise ArtifactError(
            f"the artifact was built for {sidecar.machine.get('cpu')}; this processor lacks {', '.join(sorted(lacking))}; {again}"
        )
