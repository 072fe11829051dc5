"""A chain of Keras layers, written as the documents write them, built with Keras's semantics."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from budgetnet.definition import DefinitionError, is_count, is_fraction, is_number, require

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Conv2D:
    """``filters`` kernels of ``kernel``×``kernel`` with bias, stride 1, followed by ReLU."""

    filters: int
    kernel: int = 3
    padding: str = "valid"

    def __post_init__(self) -> None:
        require(self, "filters", is_count, "a whole number of at least 1")
        require(self, "kernel", is_count, "a whole number of at least 1")
        require(self, "padding", lambda v: v in ("valid", "same"), "'valid' or 'same'")


@dataclass(frozen=True)
class MaxPooling2D:
    """The largest of every ``pool``×``pool`` pixels; what does not fill a window is left out."""

    pool: int = 2

    def __post_init__(self) -> None:
        require(self, "pool", is_count, "a whole number of at least 1")


@dataclass(frozen=True)
class Dropout:
    """Every value is set to 0 with probability ``rate`` in training, the others scaled up."""

    rate: float

    def __post_init__(self) -> None:
        require(self, "rate", is_fraction, "a probability in [0, 1)")


@dataclass(frozen=True)
class BatchNormalization:
    """Over the last axis, the channels, with Keras's momentum 0.99 and epsilon 1e-3."""


@dataclass(frozen=True)
class Flatten:
    """Flatten to one row of features, in (height, width, channel) order."""


@dataclass(frozen=True)
class Dense:
    """``units`` weighted sums with bias, followed by ReLU; ``stddev`` asks for a normal initializer instead of Glorot's."""

    units: int
    stddev: float | None = None

    def __post_init__(self) -> None:
        require(self, "units", is_count, "a whole number of at least 1")
        require(self, "stddev", lambda v: v is None or (is_number(v) and v > 0), "a number above 0, or None")


Layer = Conv2D | MaxPooling2D | Dropout | BatchNormalization | Flatten | Dense
KINDS = (Conv2D, MaxPooling2D, Dropout, BatchNormalization, Flatten, Dense)


@dataclass(frozen=True)
class KerasSequential:
    """``layers`` one after the other, then a dense layer with a unit a class and no activation (softmax is in the loss)."""

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        require(
            self, "layers", lambda v: isinstance(v, tuple) and len(v) > 0 and all(isinstance(layer, KINDS) for layer in v),
            f"a tuple of {', '.join(kind.__name__ for kind in KINDS)}",
        )  # fmt: skip

    @property
    def hidden_layers(self) -> tuple[str, ...]:
        """The layers with weights before the classifier, in words, for tables."""
        words = (
            f"conv {layer.filters} {layer.kernel}×{layer.kernel}" if isinstance(layer, Conv2D) else f"dense {layer.units}"
            for layer in self.layers
            if isinstance(layer, Conv2D | Dense)
        )
        return tuple(words)

    def build(self, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """The module: float32 images (N, *image_shape) to logits (N, classes), initialized as Keras initializes.

        Raises DefinitionError where a layer does not fit the shape that reaches it.
        """
        import torch
        from torch import nn

        from budgetnet.layers.keras import dense

        builder = _Builder(image_shape)
        for layer in self.layers:
            builder.add(layer)
        parts = builder.parts | {"classifier": dense(builder.features("the classifier"), classes)}
        # the layout in which torch convolves fastest here, and in which flattening copies nothing
        return nn.Sequential(OrderedDict(parts)).to(memory_format=torch.channels_last)


class _Builder:
    """Modules by name, and the shape that reaches the next one: (C, H, W), or (features,) once flat."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        self.parts: dict[str, nn.Module] = {}
        self.shape: tuple[int, ...] = image_shape
        self._numbers: dict[str, int] = {}

    def add(self, layer: Layer) -> None:
        from torch import nn

        from budgetnet.layers import keras

        if isinstance(layer, Conv2D):
            channels, height, width = self._image(layer)
            lost = 0 if layer.padding == "same" else layer.kernel - 1
            self._reaches(layer, (layer.filters, height - lost, width - lost))
            self._put(keras.convolution(channels, layer.filters, layer.kernel, layer.padding) | {"relu": nn.ReLU()})
        elif isinstance(layer, MaxPooling2D):
            channels, height, width = self._image(layer)
            self._reaches(layer, (channels, height // layer.pool, width // layer.pool))
            self._put({"pool": nn.MaxPool2d(layer.pool)})
        elif isinstance(layer, Dropout):
            self._put({"dropout": nn.Dropout(layer.rate)})
        elif isinstance(layer, BatchNormalization):
            kind: Any = nn.BatchNorm2d if len(self.shape) == 3 else nn.BatchNorm1d
            self._put({"norm": kind(self.shape[0], **keras.BATCH_NORM)})
        elif isinstance(layer, Flatten):
            channels, height, width = self._image(layer)
            self.shape = (channels * height * width,)
            self._put({"flatten": keras.ChannelsLastFlatten()})
        else:
            self._put({"dense": keras.dense(self.features(repr(layer)), layer.units, layer.stddev), "relu": nn.ReLU()})
            self.shape = (layer.units,)

    def features(self, wanted_by: str) -> int:
        if len(self.shape) != 1:
            raise DefinitionError(f"KerasSequential.layers has no Flatten() before {wanted_by}; expected one")
        return self.shape[0]

    def _image(self, layer: Layer) -> tuple[int, int, int]:
        if len(self.shape) != 3:
            raise DefinitionError(f"KerasSequential.layers has {layer!r} after Flatten(); expected it before")
        channels, height, width = self.shape
        return channels, height, width

    def _reaches(self, layer: Layer, shape: tuple[int, int, int]) -> None:
        if min(shape) < 1:
            raise DefinitionError(
                f"KerasSequential.layers has {layer!r} where only {self.shape[1:]} pixels are left; expected fewer layers"
            )
        self.shape = shape

    def _put(self, modules: dict[str, nn.Module]) -> None:
        for kind, module in modules.items():
            self._numbers[kind] = self._numbers.get(kind, 0) + 1
            self.parts[f"{kind}{self._numbers[kind]}"] = module
