"""The ways to run a training step: plain torch, which is the oracle, its variants, and the C kernels on a CPU."""

from __future__ import annotations

import ctypes
from dataclasses import asdict
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from budgetnet import definition
from budgetnet.definition import Recipe
from budgetnet.engine.cpu.lowering import lower
from budgetnet.engine.cpu.network import KernelNetwork
from budgetnet.optim import build_optimizer
from budgetnet.uncompiled import SGD


class Path(Protocol):
    """Trains a network with its optimizer; a step updates the parameters in place."""

    name: str
    precision: str
    optimizer: torch.optim.Optimizer

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor | float, Tensor | int]:
        """Train on one batch of float32 images and int64 labels; returns the mean loss and the number of right predictions.

        They are numbers, or 0-dimensional tensors on the device, so that nothing waits for it.
        """

    def forward(self, images: Tensor) -> Tensor:
        """Logits in evaluation mode, without gradient."""


class EagerPath:
    """Plain torch: the reference. bf16 means autocast around forward and loss; parameters stay fp32.

    ``name`` 'channels-last' keeps images and weights with the channels innermost, 'compiled' hands the network to
    torch.compile, 'compiled-channels-last' does both.
    """

    def __init__(
        self, model: nn.Module, recipe: Recipe, device: torch.device, precision: str, name: str = "eager"
    ) -> None:
        self.name, self.model, self.device, self.precision = name, model, device, precision
        self._format = torch.channels_last if name.endswith("channels-last") else torch.contiguous_format
        model.to(memory_format=self._format)
        self._network = torch.compile(model, dynamic=False) if name.startswith("compiled") else model
        self.optimizer = build_optimizer(recipe.optimizer, model.parameters())

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor | float, Tensor | int]:
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            logits = self._network(images.contiguous(memory_format=self._format))
            loss = functional.cross_entropy(logits.float(), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

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


class KernelSGD(SGD):
    """torch.optim.SGD over one flat parameter on the CPU, with its state and its arithmetic, in one call of the kernels' library."""

    def __init__(self, parameter: nn.Parameter, library: ctypes.CDLL, **options: Any) -> None:
        super().__init__([parameter], **options)
        self._library = library

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            [parameter] = group["params"]
            state, first, buffer = self.state[parameter], False, None
            if group["momentum"]:
                if state.get("momentum_buffer") is None:
                    state["momentum_buffer"], first = torch.zeros_like(parameter.detach()), True
                buffer = state["momentum_buffer"].data_ptr()
            self._library.sgd(
                ctypes.c_void_p(parameter.data_ptr()),
                ctypes.c_void_p(parameter.grad.data_ptr()),
                ctypes.c_void_p(buffer),
                ctypes.c_int64(parameter.numel()),
                ctypes.c_float(group["lr"]),
                ctypes.c_float(group["momentum"]),
                ctypes.c_float(group["weight_decay"]),
                int(group["nesterov"]),
                int(first),
            )

    step.hooked = True  # type: ignore[attr-defined]  # else torch wraps it for its profiler, which takes ten times as long as the step


class KernelPath:
    """The C kernels: fp32 on a CPU. The optimizer is torch's, on the gradients that the kernels write."""

    name, precision = "kernels", "fp32"

    def __init__(self, model: nn.Module, recipe: Recipe, image_shape: tuple[int, int, int], threads: int) -> None:
        lower(model, image_shape)  # before the parameters are moved
        flat = flatten_parameters(model)
        self.network = KernelNetwork(model, image_shape, recipe.batch_size, threads)
        described = recipe.optimizer
        if isinstance(described, definition.SGD):
            self.optimizer: torch.optim.Optimizer = KernelSGD(flat, self.network.kernels, **asdict(described))
        else:
            self.optimizer = build_optimizer(described, [flat])

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor | float, Tensor | int]:
        result = self.network.train(images, labels)
        self.optimizer.step()
        return result

    def forward(self, images: Tensor) -> Tensor:
        return self.network.forward(images)
