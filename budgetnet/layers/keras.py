"""Layers that keep Keras's semantics: initializers, constants, padding side, channels-last order.

Networks of these take and give torch's (N, C, H, W); where Keras reads a tensor in (height, width, channel) order
(Flatten, Reshape), so do they, so that weights can be copied from one to the other. Source: keras.io, Keras 2 and 3;
the 2018 constants are those of Keras 2.1.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from budgetnet.layers.depthwise import depthwise_same, same_padding

Module = TypeVar("Module", bound=nn.Module)

BATCH_NORM: dict[str, Any] = {"eps": 1e-3, "momentum": 0.01}  # Keras's momentum 0.99 is the weight of the past, torch's that of the new


def convolution(in_channels: int, channels: int, kernel: int, padding: str) -> dict[str, nn.Module]:
    """Conv2D with bias and Glorot-uniform kernel, padding 'valid' or 'same'; the parts by name."""
    parts: dict[str, nn.Module] = {}
    around = 0
    if padding == "same":
        before, after = same_padding(kernel)
        if before == after:
            around = before
        else:
            parts["pad"] = nn.ZeroPad2d((before, after, before, after))
    parts["conv"] = glorot(nn.Conv2d(in_channels, channels, kernel, padding=around))
    return parts


def dense(inputs: int, units: int, stddev: float | None = None) -> nn.Linear:
    """Dense with bias; Glorot-uniform kernel, or normal with mean 0 and ``stddev``."""
    layer = glorot(nn.Linear(inputs, units))
    if stddev is not None:
        nn.init.normal_(layer.weight, 0.0, stddev)
    return layer


def glorot(layer: Module) -> Module:
    """Keras's defaults: Glorot uniform for the weight, zeros for the bias."""
    for name, parameter in layer.named_parameters():
        if name == "bias":
            nn.init.zeros_(parameter)
        else:
            nn.init.xavier_uniform_(parameter)
    return layer


class ChannelsLastFlatten(nn.Module):
    """(N, C, H, W) to (N, H·W·C), reading height, then width, then channel, as Keras's Flatten does."""

    is_layer = True

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


class ChannelsLastReshape(nn.Module):
    """(N, C, H, W) to (N, channels, height, width), reading and writing in (height, width, channel) order, as Keras's Reshape does."""

    is_layer = True

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.shape = (height, width, channels)

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1).reshape(-1, *self.shape).permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        return "height={}, width={}, channels={}".format(*self.shape)


class DepthwiseConv2d(nn.Module):
    """One kernel (1, k, k) for each channel, 'same' size, without bias: (N, C, H, W) to (N, C, H, W)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, kernel, kernel))

    def forward(self, images: Tensor) -> Tensor:
        return depthwise_same(images, self.weight)


class SeparableConv2d(nn.Module):
    """SeparableConv2D of Keras, 'same' size: a depthwise convolution without bias, then a 1×1 convolution with bias.

    (N, in_channels, H, W) to (N, channels, H, W). Both kernels are Glorot uniform; the fans of the depthwise one are
    Keras's (k·k·in_channels and k·k), whose sum torch's rule gives as well.
    """

    is_layer = True

    def __init__(self, in_channels: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = glorot(DepthwiseConv2d(in_channels, kernel))
        self.pointwise = glorot(nn.Conv2d(in_channels, channels, 1))

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.pointwise(self.depthwise(images))
        return result


class Parallel(nn.ModuleList):
    """Branches side by side on the same input, their outputs concatenated along the channels: (N, C, H, W) to (N, ΣC', H', W')."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([branch(images) for branch in self], 1)
