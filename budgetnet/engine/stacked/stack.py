"""Several networks of one kind as one set of tensors, each with the networks along its first dimension."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class NotStackable(Exception):
    """The network cannot be trained together with others of its kind; the message says why."""


class Stack:
    """The parameters and buffers of ``models``, stacked: a tensor of shape (M, …) for each, M being the number of models.

    The models stay what they are: their parameters and buffers become views of the stacked tensors, so that whoever
    reads a model sees what was trained. Raises NotStackable where the models are not of one kind.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        self.models = tuple(models)
        shapes = [{name: (value.shape, value.dtype, value.device) for name, value in _tensors(model).items()} for model in models]
        if not models or any(shape != shapes[0] for shape in shapes):
            raise NotStackable("networks of different shapes, or none at all, cannot be trained together")
        if any(not parameter.requires_grad for model in models for parameter in model.parameters()):
            raise NotStackable("some parameters are frozen")
        if any(parameter.dim() == 0 for parameter in models[0].parameters()):
            raise NotStackable("a parameter is a single number without a dimension")
        parameters, buffers = ([dict(get(model)) for model in models] for get in (nn.Module.named_parameters, nn.Module.named_buffers))
        self.parameters = {name: nn.Parameter(_stacked(parameters, name)) for name in parameters[0]}
        self.buffers = {name: _stacked(buffers, name) for name in buffers[0]}
        for place in range(len(models)):
            for name, parameter in parameters[place].items():
                parameter.data = self.parameters[name].data[place]
            for name, buffer in buffers[place].items():
                buffer.data = self.buffers[name][place]

    def __len__(self) -> int:
        return len(self.models)

    def tensors(self) -> list[Tensor]:
        """Everything that a training step changes, but for the optimizer's state."""
        return [*(parameter.data for parameter in self.parameters.values()), *self.buffers.values()]


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _stacked(tensors: Sequence[dict[str, Tensor]], name: str) -> Tensor:
    return torch.stack([some[name].detach() for some in tensors])
