"""From a recipe's descriptions to torch's optimizer and schedule."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from budgetnet.definition import SGD, StepLR


def build_optimizer(description: SGD, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer over ``parameters``; fused, because at these sizes the calls cost more than the arithmetic."""
    return torch.optim.SGD(
        parameters, lr=description.lr, momentum=description.momentum, weight_decay=description.weight_decay,
        nesterov=description.nesterov, fused=True,
    )  # fmt: skip


def build_schedule(description: StepLR | None, optimizer: torch.optim.Optimizer) -> LRScheduler:
    """A schedule that is stepped once after every epoch; without a description the rate stays as it is."""
    if description is None:
        return LambdaLR(optimizer, _constant)
    return torch.optim.lr_scheduler.StepLR(optimizer, description.step_size, description.gamma)


def _constant(epoch: int) -> float:
    return 1.0
