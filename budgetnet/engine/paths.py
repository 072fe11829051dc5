"""The ways to run a training step: plain torch, which is the oracle, and the C kernels on a CPU."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from budgetnet.definition import Recipe
from budgetnet.engine.cpu.build import KernelsUnavailable
from budgetnet.engine.cpu.lowering import NotLowerable, lower
from budgetnet.engine.cpu.network import KernelNetwork
from budgetnet.optim import build_optimizer

log = logging.getLogger(__name__)


class EngineError(Exception):
    """A path was asked for that this machine or network cannot take; the message says why."""


class Path(Protocol):
    """One network and its optimizer; a step changes the network's parameters in place."""

    name: str
    precision: str
    optimizer: torch.optim.Optimizer

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Train on one batch of float32 images and int64 labels; returns the detached mean loss and logits."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits in evaluation mode, without gradient."""


class EagerPath:
    """Plain torch: the reference. bf16 means autocast around forward and loss; parameters stay fp32."""

    name = "eager"

    def __init__(self, model: nn.Module, recipe: Recipe, device: torch.device, precision: str) -> None:
        self.model, self.device, self.precision = model, device, precision
        self.optimizer = build_optimizer(recipe.optimizer, model.parameters())

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            logits = self.model(images)
            loss = functional.cross_entropy(logits.float(), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach(), logits.detach()

    def forward(self, images: Tensor) -> Tensor:
        self.model.eval()
        with torch.no_grad(), self._autocast():
            return self.model(images).float()


def flatten_parameters(model: nn.Module) -> nn.Parameter:
    """Make every parameter and its gradient a view of one vector, which is returned: an optimizer then updates all at once."""
    parameters = [*model.parameters()]
    flat = nn.Parameter(torch.cat([parameter.detach().reshape(-1) for parameter in parameters]))
    flat.grad = torch.zeros_like(flat)
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.grad = None
        parameter.data = flat.data[start:end].view_as(parameter)
        parameter.grad = flat.grad[start:end].view_as(parameter)
        start = end
    return flat


def cross_entropy_with_gradient(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The mean cross-entropy of logits (N, classes) and its gradient by them: softmax less one at the label, over N."""
    log_probabilities = torch.log_softmax(logits, 1)
    loss = functional.nll_loss(log_probabilities, labels)
    gradient = log_probabilities.exp_()
    gradient[torch.arange(len(labels)), labels] -= 1
    return loss, gradient.div_(len(labels))


class KernelPath:
    """The C kernels: fp32 on a CPU. The optimizer is torch's, on the gradients that the kernels write."""

    name, precision = "kernels", "fp32"

    def __init__(self, model: nn.Module, recipe: Recipe, image_shape: tuple[int, int, int], threads: int) -> None:
        lower(model)  # before the parameters are moved
        self.optimizer = build_optimizer(recipe.optimizer, [flatten_parameters(model)])
        self.network = KernelNetwork(model, image_shape, recipe.batch_size, threads)

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network.forward(images, training=True)
        loss, gradient = cross_entropy_with_gradient(logits, labels)
        self.network.backward(gradient)
        self.optimizer.step()
        return loss, logits

    def forward(self, images: Tensor) -> Tensor:
        return self.network.forward(images)


@dataclass(frozen=True)
class Settings:
    """How to run: ``engine`` 'auto' takes the kernels where they are to be had, 'eager' and 'kernels' insist."""

    device: str = "cpu"
    engine: str = "auto"
    threads: int = 1


def processor_has_bf16() -> bool:
    """Whether bf16 is worth autocasting to on this CPU: without matrix or dot instructions it is emulated and slower."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "").split()
    except OSError:
        return False
    return bool({"amx_bf16", "avx512_bf16", "bf16"} & set(flags))


def choose_path(model: nn.Module, recipe: Recipe, image_shape: tuple[int, int, int], settings: Settings) -> Path:
    """The path that measures fastest here among those that keep the recipe's precision (docs/performance.md).

    Raises EngineError where 'kernels' is insisted on and cannot be had.
    """
    device = torch.device(settings.device)
    reason = "the recipe asks for bf16" if recipe.precision == "bf16" else "the device is no CPU" if device.type != "cpu" else ""
    if settings.engine in ("auto", "kernels") and not reason:
        try:
            return KernelPath(model, recipe, image_shape, settings.threads)
        except KernelsUnavailable as error:
            reason = str(error)
            log.warning("training takes the slower plain torch path, because the C kernels cannot be had: %s", reason)
        except NotLowerable as error:
            reason = str(error)
            log.info("training takes the plain torch path: %s", reason)
    if settings.engine == "kernels":
        raise EngineError(f"the kernels cannot train this: {reason}; use --engine eager")
    precision = recipe.precision
    if precision == "auto":
        precision = "bf16" if device.type == "cpu" and settings.engine == "auto" and processor_has_bf16() else "fp32"
    return EagerPath(model, recipe, device, precision)
