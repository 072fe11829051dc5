"""The block of the thirteen steps."""

from __future__ import annotations

from torch import nn


def convolution_block(
    in_channels: int, channels: int, *, kernel: int = 3, padding: int = 0, bias: bool = False, norm: bool = True, dropout: float = 0.0
) -> dict[str, nn.Module]:
    """Conv2d → ReLU → BatchNorm2d → Dropout2d, (N, in_channels, H, W) to (N, channels, H', W'); the parts by name.

    The order and the channel dropout are those of the thirteen steps (docs/method.md, "The progression").
    """
    parts: dict[str, nn.Module] = {"conv": nn.Conv2d(in_channels, channels, kernel, padding=padding, bias=bias), "relu": nn.ReLU()}
    if norm:
        parts["norm"] = nn.BatchNorm2d(channels)
    if dropout > 0:
        parts["dropout"] = nn.Dropout2d(dropout)
    return parts
