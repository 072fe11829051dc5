"""torch's optimizers without what only torch.compile needs.

The first of their methods to be called imports torch._dynamo, to tell the compiler to stay away: 900 modules and nearly half of
the time that a run takes to start. Nothing here compiles an optimizer, so these call what lies beneath; the arithmetic is torch's.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.optim import Optimizer

__all__ = ["SGD", "Adadelta", "Adam", "RMSprop"]


def _step(kind: type[Optimizer]) -> Any:
    """The optimizer's own step, without gradients, as the wrapper around it has it for all that is not differentiable."""
    return torch.no_grad()(inspect.unwrap(kind.step))


class _Uncompiled(Optimizer):
    add_param_group: Any = inspect.unwrap(Optimizer.add_param_group)
    zero_grad: Any = inspect.unwrap(Optimizer.zero_grad)
    state_dict: Any = inspect.unwrap(Optimizer.state_dict)
    load_state_dict: Any = inspect.unwrap(Optimizer.load_state_dict)


class SGD(_Uncompiled, torch.optim.SGD):
    step: Any = _step(torch.optim.SGD)


class Adam(_Uncompiled, torch.optim.Adam):
    step: Any = _step(torch.optim.Adam)


class RMSprop(_Uncompiled, torch.optim.RMSprop):
    step: Any = _step(torch.optim.RMSprop)


class Adadelta(_Uncompiled, torch.optim.Adadelta):
    step: Any = _step(torch.optim.Adadelta)
