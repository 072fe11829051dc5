"""Depthwise convolutions with large kernels, 'same' size, made fast out of ordinary grouped convolutions.

torch's own forward pass of such a layer is fast; its backward pass is not (docs/performance.md has the figures). But
both gradients are depthwise convolutions again: the input's is one with the kernel turned by 180 degrees, and the
weight's takes every image's channel as a group of its own, with the outgoing gradient as its kernel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

FEW_CHANNELS = 8  # below it, one group a channel leaves the vector units idle; groups over images and channels fill them


def same_padding(kernel: int) -> tuple[int, int]:
    """Return the padding of 'same' before and after, for stride 1: an even kernel has one more after, as in Keras."""
    return (kernel - 1) // 2, kernel // 2


def depthwise_same(images: Tensor, weight: Tensor) -> Tensor:
    """The depthwise cross-correlation of (N, C, H, W) with one kernel a channel, (C, 1, h, w), to (N, C, H, W).

    Zero padding, stride 1, no bias. Equal to ``conv2d`` on padded images with ``groups=C``, to rounding. Under autocast
    it computes in autocast's precision, as ``conv2d`` does.
    """
    kind = images.device.type
    if torch.is_autocast_enabled(kind):
        precision = torch.get_autocast_dtype(kind)
        images, weight = images.to(precision), weight.to(precision)
    if torch.compiler.is_exporting():  # other compilers know the ordinary form, and have no backward pass to be slow in
        rows, columns = same_padding(weight.shape[-2]), same_padding(weight.shape[-1])
        return functional.conv2d(_padded(images, rows, columns), weight, groups=weight.shape[0])
    result: Tensor = _DepthwiseSame.apply(images, weight)
    return result


class _DepthwiseSame(torch.autograd.Function):
    """First derivatives only: that is all that training takes."""

    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor) -> Tensor:
        context.save_for_backward(images, weight)
        height, width = weight.shape[-2:]
        return _depthwise(_padded(images, same_padding(height), same_padding(width)), weight)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        images, weight = context.saved_tensors
        rows, columns = same_padding(weight.shape[-2]), same_padding(weight.shape[-1])
        gradient = gradient.contiguous()
        by_images = by_weight = None
        if context.needs_input_grad[0]:
            by_images = _depthwise(_padded(gradient, rows[::-1], columns[::-1]), weight.flip(-2, -1))
        if context.needs_input_grad[1]:
            number, channels = images.shape[:2]
            padded = _padded(images, rows, columns)
            each = functional.conv2d(
                padded.reshape(1, number * channels, *padded.shape[2:]),
                gradient.reshape(number * channels, 1, *gradient.shape[2:]),
                groups=number * channels,
            )
            by_weight = each.view(number, channels, *each.shape[2:]).sum(0).unsqueeze(1)
        return by_images, by_weight


def _padded(images: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    return functional.pad(images.contiguous(), (*columns, *rows))


def _depthwise(padded: Tensor, weight: Tensor) -> Tensor:
    number, channels = padded.shape[:2]
    if channels >= FEW_CHANNELS:
        return functional.conv2d(padded, weight, groups=channels)
    together = functional.conv2d(
        padded.reshape(1, number * channels, *padded.shape[2:]), weight.repeat(number, 1, 1, 1), groups=number * channels
    )
    return together.view(number, channels, *together.shape[2:])
