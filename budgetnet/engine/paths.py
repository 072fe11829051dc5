"""The ways to run a training step: plain torch, which is the oracle, its variants, and the C kernels on a CPU."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from budgetnet.definition import Recipe
from budgetnet.engine.cpu.lowering import lower
from budgetnet.engine.cpu.network import KernelNetwork
from budgetnet.optim import build_optimizer


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
    """Plain torch: the reference. bf16 means autocast around forward and loss; parameters stay fp32.

    ``name`` 'channels-last' keeps images and weights with the channels innermost, 'compiled' hands the network to
    torch.compile, 'compiled-channels-last' does both.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, device: torch.device, precision: str, name: str = "eager") -> None:
        self.name, self.model, self.device, self.precision = name, model, device, precision
        self._format = torch.channels_last if name.endswith("channels-last") else torch.contiguous_format
        model.to(memory_format=self._format)
        self._network = torch.compile(model, dynamic=False) if name.startswith("compiled") else model
        self.optimizer = build_optimizer(recipe.optimizer, model.parameters())

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            logits = self._network(images.contiguous(memory_format=self._format))
            loss = functional.cross_entropy(logits.float(), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach(), logits.detach()

    def forward(self, images: Tensor) -> Tensor:
        self.model.eval()
        with torch.no_grad(), self._autocast():
            return self._network(images.contiguous(memory_format=self._format)).float()


def flatten_parameters(model: nn.Module) -> nn.Parameter:
    """Make every parameter and its gradient a view of one vector, which is returned: an optimizer then updates all at once."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
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
        lower(model, image_shape)  # before the parameters are moved
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
