"""Dropout of several networks at once: every network's masks come from a generator of its own, ahead of the steps.

A generator inside a captured graph would be one for all networks; and a draw per layer and network would cost more
than the layer. So the masks of many batches are drawn in one call per layer and network, as one byte per value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from budgetnet.engine.stacked.stack import NotStackable

_KINDS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_OTHERS = (nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RNNBase, nn.MultiheadAttention)


class MaskedDropout(nn.Module):
    """Takes a dropout module's place: multiplies by ``mask`` / (1 - p), where ``mask`` (N, …) of zeros and ones is set from outside."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        assert self.mask is not None
        return x * self.mask.to(x.dtype).div_(1 - self.p)


class Masks:
    """The dropout of one kind of network: ``shapes`` holds each dropout layer's mask of one image, by the layer's name."""

    def __init__(self, model: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """Learns the shapes from one image. Raises NotStackable for dropout of a kind that masks cannot stand for."""
        if any(isinstance(module, _OTHERS) for module in model.modules()):
            raise NotStackable("the network draws random numbers of a kind that cannot be drawn ahead")
        layers = {name: module for name, module in model.named_modules() if isinstance(module, _KINDS) and module.p > 0}
        self.keep = {name: 1 - module.p for name, module in layers.items()}
        self.shapes = _mask_shapes(model, layers, image_shape)

    def bytes_per_image(self) -> int:
        return sum(torch.Size(shape).numel() for shape in self.shapes.values())

    def reserve(self, networks: int, images: int, device: torch.device) -> dict[str, Tensor]:
        """Room for the masks of ``images`` positions of each network: uint8 (networks, images, …) by layer."""
        return {name: torch.ones((networks, images, *shape), dtype=torch.uint8, device=device) for name, shape in self.shapes.items()}

    def draw(self, into: Mapping[str, Tensor], generators: Sequence[torch.Generator]) -> None:
        """Fill what ``reserve`` gave: network by network from its generator, in the order of the layers."""
        for place, generator in enumerate(generators):
            for name, room in into.items():
                room[place].bernoulli_(self.keep[name], generator=generator)

    def install(self, model: nn.Module) -> dict[str, MaskedDropout]:
        """Exchange the dropout layers of ``model`` for masked ones; they have no parameters, so its state dict stays."""
        masked = {name: MaskedDropout(1 - keep) for name, keep in self.keep.items()}
        for name, module in masked.items():
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module)
        return masked


def _mask_shapes(model: nn.Module, layers: Mapping[str, nn.Module], image_shape: tuple[int, int, int]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}

    def look(name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if name in found:
            raise NotStackable(f"the dropout layer {name} is used twice")
        shape = tuple(inputs[0].shape[1:])
        # channel dropout has one value for a whole channel
        found[name] = shape if type(module) is nn.Dropout else (shape[0], *(1 for _ in shape[1:]))

    hooks = [
        module.register_forward_pre_hook(lambda module, inputs, name=name: look(name, module, inputs)) for name, module in layers.items()
    ]
    training, parameter = model.training, next(model.parameters())
    try:
        with torch.no_grad():
            model.eval()(torch.zeros((1, *image_shape), device=parameter.device, dtype=parameter.dtype))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    if missing := set(layers) - set(found):
        raise NotStackable(f"the dropout layer {min(missing)} is not used")
    return {name: found[name] for name in layers}
