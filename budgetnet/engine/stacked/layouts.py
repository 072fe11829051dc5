"""Three ways to compute several networks at once; all give the same numbers, and which is fastest depends on the device.

``grouped``   one convolution with a group of channels for each network; for plain chains of convolutions
``vmapped``   torch.func.vmap over the stacked parameters
``branches``  one network after the other; in a captured graph they become branches on streams of their own

Images are (M, N, C, H, W) for M networks, masks uint8 (M, N, …) by layer, logits (M, N, classes).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from budgetnet.engine.stacked.chain import LayerPlan, NotAChain, lower
from budgetnet.engine.stacked.masks import Masks
from budgetnet.engine.stacked.stack import NotStackable, Stack


class Layout(Protocol):
    def train(self, images: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
        """Logits in training mode; running statistics are updated in place."""

    def evaluate(self, images: Tensor) -> Tensor:
        """Logits in evaluation mode."""


class Grouped:
    """The networks' channels side by side: (N, M·C, H, W), with as many groups as networks."""

    def __init__(self, stack: Stack, masks: Masks) -> None:
        model = stack.models[0]
        try:
            plans = lower(model)
        except NotAChain as error:
            raise NotStackable(str(error)) from error
        names = {id(module): name for name, module in model.named_modules()}
        self._count, self._masks = len(stack), masks
        self._layers = [_GroupedLayer(plan, names, stack, masks) for plan in plans]

    def train(self, images: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
        return self._forward(images.transpose(0, 1).flatten(1, 2), masks, training=True)

    def evaluate(self, images: Tensor) -> Tensor:
        return self._forward(images.transpose(0, 1).flatten(1, 2), {}, training=False)

    def _forward(self, x: Tensor, masks: Mapping[str, Tensor], training: bool) -> Tensor:
        for layer in self._layers:
            x = layer(x, masks, training)
        return x.mean((2, 3)).unflatten(1, (self._count, -1)).transpose(0, 1)


class _GroupedLayer:
    """Convolution, ReLU, batch normalization, channel dropout, pooling, as lowering found them."""

    def __init__(self, plan: LayerPlan, names: Mapping[int, str], stack: Stack, masks: Masks) -> None:
        self._plan, self._networks = plan, len(stack)
        convolution, norm = names[id(plan.convolution)], names.get(id(plan.norm), "")
        self._weight = stack.parameters[f"{convolution}.weight"]
        self._bias = stack.parameters.get(f"{convolution}.bias")
        self._gamma, self._beta = stack.parameters.get(f"{norm}.weight"), stack.parameters.get(f"{norm}.bias")
        self._mean, self._variance = stack.buffers.get(f"{norm}.running_mean"), stack.buffers.get(f"{norm}.running_var")
        self._seen = stack.buffers.get(f"{norm}.num_batches_tracked")
        self._dropout = names.get(id(plan.dropout), "")
        self._keep = masks.keep.get(self._dropout)

    def __call__(self, x: Tensor, masks: Mapping[str, Tensor], training: bool) -> Tensor:
        plan = self._plan
        bias = None if self._bias is None else self._bias.flatten()
        x = functional.conv2d(x, self._weight.flatten(0, 1), bias, padding=plan.convolution.padding, groups=self._networks)
        if plan.relu:
            x = functional.relu(x)
        if plan.norm is not None:
            assert self._mean is not None
            assert self._variance is not None
            assert self._gamma is not None
            assert self._beta is not None
            x = functional.batch_norm(
                x, self._mean.view(-1), self._variance.view(-1), self._gamma.flatten(), self._beta.flatten(), training,
                plan.norm.momentum or 0.0, plan.norm.eps,
            )  # fmt: skip
            if training and self._seen is not None:
                self._seen += 1
        if training and self._keep is not None:
            x = x * masks[self._dropout].transpose(0, 1).flatten(1, 2).to(x.dtype).div_(self._keep)
        return functional.max_pool2d(x, 2) if plan.pool else x


class Vmapped:
    """torch.func.vmap: the network is written for one set of parameters and run for all of them."""

    def __init__(self, stack: Stack, masks: Masks) -> None:
        self._stack = stack
        self._model = copy.deepcopy(stack.models[0]).to("meta")
        self._masked = masks.install(self._model)

    def _call(self, training: bool) -> Callable[..., Tensor]:
        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], masks: dict[str, Tensor], images: Tensor) -> Tensor:
            for name, module in self._masked.items():
                module.mask = masks.get(name)
            logits: Tensor = torch.func.functional_call(self._model, (parameters, buffers), (images,))
            return logits

        self._model.train(training)
        return one

    def train(self, images: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
        logits: Tensor = torch.vmap(self._call(True))(self._stack.parameters, self._stack.buffers, dict(masks), images)
        return logits

    def evaluate(self, images: Tensor) -> Tensor:
        logits: Tensor = torch.vmap(self._call(False))(self._stack.parameters, self._stack.buffers, {}, images)
        return logits


class Branches:
    """Every network by itself; under capture on a stream of its own, so that small kernels run side by side."""

    def __init__(self, stack: Stack, masks: Masks) -> None:
        self._stack = stack
        self._models = [copy.deepcopy(model).to("meta") for model in stack.models]
        self._masked = [masks.install(model) for model in self._models]
        cuda = next(stack.models[0].parameters()).device.type == "cuda"
        self._streams = [torch.cuda.Stream() for _ in stack.models] if cuda else []

    def _networks(self) -> list[Callable[[Tensor], Tensor]]:
        """A function for each network; unbound and not indexed, so that the way back stacks the gradients once."""
        tensors = self._stack.parameters | self._stack.buffers
        unbound = {name: tensor.unbind() for name, tensor in tensors.items()}

        def network(place: int) -> Callable[[Tensor], Tensor]:
            own = {name: parts[place] for name, parts in unbound.items()}
            return lambda images: torch.func.functional_call(self._models[place], own, (images,))

        return [network(place) for place in range(len(self._models))]

    def train(self, images: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
        for place, model in enumerate(self._models):
            model.train()
            for name, module in self._masked[place].items():
                module.mask = masks[name][place]
        networks = self._networks()
        return self._side_by_side(lambda place: networks[place](images[place]))

    def evaluate(self, images: Tensor) -> Tensor:
        for model in self._models:
            model.eval()
        networks = self._networks()
        return self._side_by_side(lambda place: networks[place](images[place]))

    def _side_by_side(self, run: Callable[[int], Tensor]) -> Tensor:
        if not self._streams:
            return torch.stack([run(place) for place in range(len(self._models))])
        here, results = torch.cuda.current_stream(), []
        for place, stream in enumerate(self._streams):
            stream.wait_stream(here)
            with torch.cuda.stream(stream):  # autograd runs the way back on the streams of the way there
                results.append(run(place))
        for stream in self._streams:
            here.wait_stream(stream)
        return torch.stack(results)


LAYOUTS: dict[str, Callable[[Stack, Masks], Layout]] = {"grouped": Grouped, "vmapped": Vmapped, "branches": Branches}
