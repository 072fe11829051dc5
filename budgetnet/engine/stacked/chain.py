"""Reads a torch module as the chain of layers that the grouped layout computes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn


class NotAChain(Exception):
    """The module is no chain of layers that the layout knows; the message names the first that is not."""


@dataclass
class LayerPlan:
    """convolution → ReLU? → batch normalization? → channel dropout? → 2×2 max-pooling?, in this order."""

    convolution: nn.Conv2d
    relu: bool = False
    norm: nn.BatchNorm2d | None = None
    dropout: nn.Dropout2d | None = None
    pool: bool = False


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    if type(module) is nn.Sequential:  # a subclass may have a forward of its own
        for child in module:
            yield from _leaves(child)
    else:
        yield module


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


def _is_convolution(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.padding_mode == "zeros"
        and module.kernel_size in ((3, 3), (1, 1))
        and module.padding in ((0, 0), (1, 1), "valid")
        and (module.kernel_size == (3, 3) or module.padding != (1, 1))
        and module.stride == (1, 1)
        and module.dilation == (1, 1)
        and module.groups == 1
    )


def _is_pool(module: nn.Module) -> bool:
    return (
        type(module) is nn.MaxPool2d and module.kernel_size in (2, (2, 2)) and module.stride in (2, (2, 2))
        and module.padding in (0, (0, 0)) and module.dilation in (1, (1, 1)) and not module.ceil_mode and not module.return_indices
    )  # fmt: skip


def _is_norm(module: nn.Module, plan: LayerPlan) -> bool:
    return (
        type(module) is nn.BatchNorm2d
        and module.num_features == plan.convolution.out_channels
        and module.affine
        and module.track_running_stats
        and module.momentum is not None
    )


def _place(plan: LayerPlan, module: nn.Module) -> bool:
    """Put ``module`` behind what ``plan`` already holds; False where the order does not allow it."""
    if type(module) is nn.ReLU and not (plan.relu or plan.norm or plan.dropout or plan.pool):
        plan.relu = True
    elif _is_norm(module, plan) and not (plan.norm or plan.dropout or plan.pool):
        assert isinstance(module, nn.BatchNorm2d)
        plan.norm = module
    elif type(module) is nn.Dropout2d and not (plan.dropout or plan.pool):
        plan.dropout = module
    elif _is_pool(module) and not plan.pool:
        plan.pool = True
    else:
        return False
    return True


def lower(model: nn.Module) -> list[LayerPlan]:
    """The layers of ``model``, a Sequential that ends with plain convolution → global average → Flatten.

    Raises NotAChain for anything else; another layout then computes it.
    """
    modules = list(_leaves(model))
    if len(modules) < 3 or not isinstance(modules[-1], nn.Flatten) or not isinstance(modules[-2], nn.AdaptiveAvgPool2d) or (
        modules[-2].output_size not in (1, (1, 1))
    ):  # fmt: skip
        raise NotAChain("the network does not end with global average pooling and Flatten")
    if len({id(module) for module in modules}) < len(modules) or any(_has_hooks(module) for module in model.modules()):
        raise NotAChain("a module is used twice or has hooks")
    if len({id(parameter) for module in modules for parameter in module.parameters()}) < sum(len([*m.parameters()]) for m in modules):
        raise NotAChain("two modules share a parameter")
    plans: list[LayerPlan] = []
    for module in modules[:-2]:
        if _is_convolution(module):
            plans.append(LayerPlan(module))  # type: ignore[arg-type]
        elif not plans or not _place(plans[-1], module):
            raise NotAChain(f"the grouped layout has no {type(module).__name__} in this place: {module}")
    last = plans[-1]
    if last.relu or last.norm or last.dropout or last.pool:
        raise NotAChain("the classifier is not a plain convolution")
    if any(not parameter.requires_grad for parameter in model.parameters()):
        raise NotAChain("some parameters are frozen")
    return plans
