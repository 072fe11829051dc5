"""Batch normalization folded into the layer behind it, where that is exact; elsewhere it stays.

In the thirteen steps it follows the ReLU, so that it cannot be folded into the convolution before it. Forward it can go into
a convolution without padding or a dense layer, on the way through dropout, pooling and flattening. Into a padded convolution
it cannot: what the padding adds is 0 behind the normalization and would be something else before it.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

BatchNorm = (nn.BatchNorm1d, nn.BatchNorm2d)


def fold_batch_norms(network: nn.Module) -> tuple[nn.Module, list[str]]:
    """A copy of ``network`` in evaluation mode with fewer normalizations, and the names of those that are gone.

    Only chains (``nn.Sequential`` with its own ``forward``) are looked into: there the order of the layers is known. Equal to the
    network to rounding.
    """
    folded: list[str] = []
    network = copy.deepcopy(network).eval()
    for prefix, module in network.named_modules():
        if type(module).forward is nn.Sequential.forward:
            folded += [f"{prefix}.{name}" if prefix else name for name in _fold_chain(module)]
    return network, folded


def _fold_chain(chain: nn.Sequential) -> list[str]:
    folded = []
    for name, module in list(chain.named_children()):
        if isinstance(module, BatchNorm) and module.running_mean is not None:
            scale, shift = _affine(module)
            target = _target(chain, name, increasing=bool((scale > 0).all()))
            if target is not None:
                setattr(chain, target, _with(getattr(chain, target), scale, shift))
                setattr(chain, name, nn.Identity())
                folded.append(name)
    return folded


def _affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the factor and the offset of the normalization in evaluation, (channels,) float64 each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift if norm.bias is None else shift + norm.bias.double()


def _target(chain: nn.Sequential, norm: str, increasing: bool) -> str | None:
    """The layer that the normalization can be folded into: the next with weights, if all in between lets it through."""
    children = list(chain.named_children())
    place = [name for name, _ in children].index(norm)
    for name, module in children[place + 1 :]:
        if isinstance(module, nn.Dropout | nn.Dropout2d | nn.Identity):
            continue
        if isinstance(module, nn.MaxPool2d) and increasing and module.padding == 0:
            continue  # the largest of rising values is where it was before
        if isinstance(module, nn.AdaptiveAvgPool2d) or (isinstance(module, nn.AvgPool2d) and module.padding == 0):
            continue
        if isinstance(module, nn.Flatten) and module.start_dim == 1:
            continue
        if module._forward_pre_hooks or is_parametrized(module):
            return None  # they compute the weights anew at every call
        if isinstance(module, nn.Conv2d) and module.padding in (0, (0, 0)) and module.groups == 1:
            return name
        return name if isinstance(module, nn.Linear) else None
    return None


def _with(layer: nn.Conv2d | nn.Linear, scale: Tensor, shift: Tensor) -> nn.Conv2d | nn.Linear:
    """``layer`` behind a multiplication by ``scale`` and an addition of ``shift``, as one layer; computed in float64."""
    inputs = layer.weight.shape[1]
    repeats = inputs // len(scale)  # flattened pixels: every channel's follow one another
    scale, shift = scale.repeat_interleave(repeats), shift.repeat_interleave(repeats)
    weight = layer.weight.detach().double()
    shaped = (1, -1) + (1,) * (weight.dim() - 2)
    bias = (weight * shift.view(shaped)).flatten(1).sum(1)
    if layer.bias is not None:
        bias = bias + layer.bias.detach().double()
    changed = copy.deepcopy(layer)
    with torch.no_grad():
        changed.weight.copy_(weight * scale.view(shaped))
        changed.bias = nn.Parameter(bias.to(layer.weight.dtype))
    return changed
