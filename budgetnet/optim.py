"""Build torch's optimizer and schedule from a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from budgetnet import uncompiled
from budgetnet.definition import SGD, Adadelta, Adam, Optimizer, ReduceLROnPlateau, RMSprop, Schedule


class KerasAdam(uncompiled.Adam):
    """torch's fused Adam with Keras's epsilon, which stands beside the uncorrected root of the second moment.

    torch divides by √v/√(1-β₂ᵗ) + eps, Keras by √v + epsilon under a rate of lr·√(1-β₂ᵗ)/(1-β₁ᵗ): the two are equal
    for eps = epsilon/√(1-β₂ᵗ), which is set before every step. The steps are counted in the parameter groups, so that
    they are in the state dict and nothing waits for a device.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float], epsilon: float) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=epsilon, fused=True)
        for group in self.param_groups:
            group["keras_epsilon"], group["steps"] = epsilon, 0

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        for group in self.param_groups:
            group["steps"] += 1
            group["eps"] = group["keras_epsilon"] / math.sqrt(1 - group["betas"][1] ** group["steps"])
        return super().step(closure)


class CapturableKerasAdam(torch.optim.Optimizer):
    """Adam as KerasAdam, with the number of steps on the device, so that a step can be captured in a CUDA graph."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float], epsilon: float) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "keras_epsilon": epsilon})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter] = {
                        "step": torch.zeros((), device=parameter.device), "exp_avg": torch.zeros_like(parameter),
                        "exp_avg_sq": torch.zeros_like(parameter),
                    }  # fmt: skip
            if parameters:
                self._update(group, parameters)

    def _update(self, group: dict[str, Any], parameters: list[nn.Parameter]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        steps, means, squares = ([self.state[p][name] for p in parameters] for name in ("step", "exp_avg", "exp_avg_sq"))
        (beta1, beta2), step = group["betas"], steps[0]
        torch._foreach_add_(steps, 1)
        torch._foreach_lerp_(means, gradients, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
        change = torch._foreach_sqrt(squares)
        torch._foreach_add_(change, group["keras_epsilon"])
        torch._foreach_reciprocal_(change)
        torch._foreach_mul_(change, means)
        torch._foreach_mul_(change, group["lr"] * torch.sqrt(1 - beta2**step) / (1 - beta1**step))
        torch._foreach_sub_([parameter.data for parameter in parameters], [*change])


def build_optimizer(description: Optimizer, parameters: Iterable[nn.Parameter], captured: bool = False) -> torch.optim.Optimizer:
    """The optimizer over ``parameters``; fused where torch can, because at these sizes the calls cost more than the arithmetic.

    ``captured``: its steps are to go into a CUDA graph; then all parameters must have gradients at every step.
    """
    if isinstance(description, SGD):
        sgd = uncompiled.SGD(
            parameters, lr=description.lr, momentum=description.momentum, weight_decay=description.weight_decay,
            nesterov=description.nesterov, fused=True,
        )  # fmt: skip
        if description.momentum:
            # The fused step fails where a parameter meets its first gradient later than others; a buffer of zeros changes no value.
            for parameter in sgd.param_groups[0]["params"]:
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd
    if isinstance(description, Adam):
        return (CapturableKerasAdam if captured else KerasAdam)(
            parameters, description.lr, (description.beta1, description.beta2), description.epsilon
        )
    if isinstance(description, RMSprop):
        return uncompiled.RMSprop(parameters, lr=description.lr, alpha=description.rho, eps=description.epsilon, capturable=captured)
    if isinstance(description, Adadelta):
        return uncompiled.Adadelta(parameters, lr=description.lr, rho=description.rho, eps=description.epsilon, capturable=captured)
    raise TypeError(f"there is no optimizer for {description!r}")


def build_schedule(description: Schedule | None, optimizer: torch.optim.Optimizer) -> LRScheduler:
    """A schedule for ``step_schedule`` after every epoch; without a description the rate stays as it is."""
    if description is None:
        return LambdaLR(optimizer, _constant)
    if isinstance(description, ReduceLROnPlateau):
        # torch acts on the epoch after the ``patience``-th bad one, Keras on that one
        return torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode="max", factor=description.factor, patience=description.patience - 1, threshold=description.min_delta,
            threshold_mode="abs", min_lr=description.min_lr, eps=0.0,
        )  # fmt: skip
    return torch.optim.lr_scheduler.StepLR(optimizer, description.step_size, description.gamma)


def step_schedule(schedule: LRScheduler, validation_accuracy: float) -> None:
    """Set the next epoch's rate; ``validation_accuracy`` (percent) is for the schedules that follow it."""
    if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        schedule.step(validation_accuracy)
    else:
        schedule.step()


def _constant(epoch: int) -> float:
    return 1.0
