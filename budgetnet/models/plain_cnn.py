"""The network of the thirteen steps and of their twins."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from budgetnet.definition import DefinitionError, is_count, is_fraction, require

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class PlainCNN:
    """A chain of 3×3 convolutions with 2×2 max-pooling in between and global average pooling at the end.

    ``widths`` are the channels of the 3×3 convolutions before the classifier; ``pool_after`` says after which of them
    (counted from one) pooling stands. Convolutions up to the last pooling are padded by one, later ones are not.
    ``consolidate``, if given, holds the channels of a 1×1 convolution right before each pooling. ``classifier_kernel``
    is the kernel size of the last convolution, whose channels are the classes; it has no activation, normalization or
    dropout.
    Every other convolution is followed by ReLU and, as asked, batch normalization and channel dropout.
    """

    widths: tuple[int, ...]
    bias: bool = False
    norm: bool = True
    dropout: float = 0.0
    pool_after: tuple[int, ...] = (2, 4)
    consolidate: tuple[int, ...] = ()
    classifier_kernel: int = 3

    def __post_init__(self) -> None:
        require(
            self,
            "widths",
            lambda v: isinstance(v, tuple) and len(v) > 0 and all(map(is_count, v)),
            "a tuple of channel counts, each at least 1",
        )
        require(self, "bias", lambda v: isinstance(v, bool), "True or False")
        require(self, "norm", lambda v: isinstance(v, bool), "True or False")
        require(self, "dropout", is_fraction, "a probability in [0, 1)")
        require(
            self, "pool_after",
            lambda v: isinstance(v, tuple) and list(v) == sorted(set(v)) and set(v) <= set(range(1, len(self.widths) + 1)),
            f"ascending numbers of convolutions between 1 and {len(self.widths)}",
        )  # fmt: skip
        require(
            self, "consolidate", lambda v: isinstance(v, tuple) and len(v) in (0, len(self.pool_after)) and all(map(is_count, v)),
            f"() or {len(self.pool_after)} channel counts, one for each pooling",
        )  # fmt: skip
        require(self, "classifier_kernel", lambda v: v in (1, 3), "1 or 3")

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """The module: float32 images (N, *image_shape) to logits (N, classes), initialized as torch initializes.

        Raises DefinitionError where the images are too small for the poolings and unpadded convolutions.
        """
        from torch import nn

        from budgetnet.layers.blocks import convolution_block

        parts: dict[str, nn.Module] = {}
        channels, *size = image_shape
        padded = max(self.pool_after, default=0)
        for number, width in enumerate(self.widths, start=1):
            padding = int(number <= padded)
            size = [side + 2 * padding - 2 for side in size]
            block = convolution_block(channels, width, padding=padding, bias=self.bias, norm=self.norm, dropout=self.dropout)
            parts |= {f"{part}{number}": module for part, module in block.items()}
            channels = width
            if number in self.pool_after:
                place = self.pool_after.index(number)
                if self.consolidate:
                    width = self.consolidate[place]
                    block = convolution_block(channels, width, kernel=1, bias=self.bias, norm=self.norm, dropout=self.dropout)
                    parts |= {f"consolidate{place + 1}_{part}": module for part, module in block.items()}
                    channels = width
                parts[f"pool{place + 1}"] = nn.MaxPool2d(2)
                size = [side // 2 for side in size]
        if min(size) < self.classifier_kernel:
            raise DefinitionError(
                f"PlainCNN.widths is {self.widths!r}; expected fewer unpadded convolutions or poolings for images of {image_shape}"
            )
        parts["classifier"] = nn.Conv2d(channels, classes, self.classifier_kernel, bias=self.bias)
        parts["average"] = nn.AdaptiveAvgPool2d(1)
        parts["flatten"] = nn.Flatten()
        return nn.Sequential(OrderedDict(parts))
