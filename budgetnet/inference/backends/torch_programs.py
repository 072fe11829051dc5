"""Exported programs run by torch: operation by operation (``eager``), or compiled when they are first called (``inductor``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from budgetnet.environment import version_of
from budgetnet.inference.artifact import Sidecar
from budgetnet.inference.backends.base import Logits, Request, Session, lacks_precision
from budgetnet.inference.backends.replay import Replaying
from budgetnet.inference.contract import Pixels
from budgetnet.inference.export import exported

PROGRAM = "model.pt2"
PRECISIONS: Mapping[str, tuple[str, ...]] = {"cpu": ("fp32", "bf16", "fp16"), "cuda": ("fp32", "fp16", "bf16")}

Forward = Callable[[Tensor], Tensor]


class TorchSession:
    """A torch callable as a session on the CPU; ``threads`` are torch's own, which a process has once."""

    def __init__(self, forward: Forward, threads: int, concurrent: bool = True) -> None:
        self._forward = forward
        self._threads = threads
        self.concurrent = concurrent

    def __call__(self, pixels: Pixels) -> Logits:
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            logits: Logits = self._forward(torch.from_numpy(pixels)).numpy()
        return logits

    def close(self) -> None:
        pass


def on_device(forward: Forward, sidecar: Sidecar, threads: int, concurrent: bool = True) -> Session:
    """A torch callable as a session where the artifact runs: on CUDA as captured graphs of padded batches."""
    if sidecar.device == "cuda":
        return Replaying(forward, sidecar.contract.image_shape, sidecar.max_batch, (*sidecar.fixed_batches, sidecar.optimum_batch))
    return TorchSession(forward, threads, concurrent)


class TorchProgram:
    """Both backends: they differ in what they do with the program that they loaded."""

    precisions = PRECISIONS

    def __init__(self, name: str, title: str, compiled: bool) -> None:
        self.name, self.title = name, title
        self._compiled = compiled

    def missing(self, device: str, precision: str) -> str | None:
        if device == "cuda" and not torch.cuda.is_available():
            return "there is no CUDA device"
        return lacks_precision(self, device, precision)

    def build(self, request: Request, folder: Path) -> tuple[int, ...]:
        network = request.network(request.precision).to(request.device)
        torch.export.save(exported(network, request.contract, request.optimum, request.max_batch, request.device), folder / PROGRAM)
        return request.fixed if request.device == "cuda" else ()

    def load(self, folder: Path, sidecar: Sidecar, threads: int) -> Session:
        module = torch.export.load(folder / PROGRAM).module()
        if not self._compiled:
            return on_device(module, sidecar, threads)
        compiled: Forward = torch.compile(module, dynamic=True)
        return on_device(compiled, sidecar, threads, concurrent=False)  # any call may compile, for a size that is new

    def versions(self) -> dict[str, str]:
        return {"torch": version_of("torch") or torch.__version__}

    def machine(self, device: str) -> dict[str, Any]:
        return {}


BACKENDS = {
    "eager": TorchProgram("eager", "torch, eager", compiled=False),
    "inductor": TorchProgram("inductor", "torch.compile", compiled=True),
}
