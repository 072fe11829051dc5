"""Training steps of several networks as one piece of device work, which a CUDA graph can hold.

Everything that differs between steps is read from tensors that stay where they are: the epoch's images, the dropout
masks and the two counters. So a step needs nothing from Python, and replaying the captured graph is all there is to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from budgetnet.engine.stacked.layouts import Layout
from budgetnet.engine.stacked.masks import Masks

MASK_MEMORY = 1 << 29  # bytes of dropout masks drawn ahead, at most


class StackedData(Protocol):
    """Images of M networks on one device; inputs are float32 (M, N, C, H, W), labels int64 (M, N)."""

    length: int
    classes: int
    device: torch.device

    def draw(self, orders: Sequence[torch.Generator], augmentations: Sequence[torch.Generator]) -> None:
        """Draw the next epoch of every network."""

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Every network's images at ``positions`` (N,) of its epoch, by device work alone."""

    def validation_batches(self, size: int) -> Iterable[tuple[Tensor, Tensor]]: ...


class Steps:
    """Runs batches: forward, loss, backward, optimizer, and the sums that the epoch's record needs, per network."""

    def __init__(
        self, layout: Layout, masks: Masks, optimizer: torch.optim.Optimizer, data: StackedData, networks: int, batch_size: int,
        precision: str,
    ) -> None:  # fmt: skip
        self.optimizer, self._layout, self._masks, self._data, self._precision = optimizer, layout, masks, data, precision
        affordable = MASK_MEMORY // max(1, masks.bytes_per_image() * networks) // batch_size
        self.stretch = min(data.length, batch_size * max(1, affordable))  # positions whose masks are drawn at once
        self._drawn = masks.reserve(networks, self.stretch, data.device)
        self.position = torch.zeros(1, dtype=torch.int64, device=data.device)
        self.number = torch.zeros(1, dtype=torch.int64, device=data.device)
        self.losses = torch.zeros((networks, -(-data.length // batch_size)), device=data.device)
        self.correct = torch.zeros(networks, dtype=torch.int64, device=data.device)
        self._offsets = torch.arange(min(batch_size, data.length), device=data.device)

    def begin_epoch(self) -> None:
        for counter in self.counters():
            counter.zero_()

    def draw_masks(self, generators: Sequence[torch.Generator]) -> None:
        """The masks of the next ``stretch`` positions."""
        self._masks.draw(self._drawn, generators)

    def counters(self) -> list[Tensor]:
        return [self.position, self.number, self.losses, self.correct]

    def run(self, size: int) -> None:
        """Run a step on the next ``size`` positions, without waiting for the device."""
        positions = self.position + self._offsets[:size]
        images, labels = self._data.batch(positions)
        masks = {name: mask.index_select(1, positions % self.stretch) for name, mask in self._drawn.items()}
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._precision == "bf16"):
            logits = self._layout.train(images, masks)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        entropy = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses = entropy.unflatten(0, labels.shape).mean(1)
        losses.sum().backward()  # networks share nothing: each gets its own gradient
        self.optimizer.step()
        self.losses.index_copy_(1, self.number, losses.detach().float().unsqueeze(1))
        self.correct += (logits.detach().argmax(2) == labels).sum(1)
        self.position += size
        self.number += 1


@contextlib.contextmanager
def put_back(changed: Callable[[], list[Tensor]]) -> Iterator[None]:
    """Undo what happens to the tensors that ``changed`` lists; those that are new at the end become zeros."""
    before = {tensor: tensor.detach().clone() for tensor in changed()}
    yield
    for tensor in changed():
        if tensor in before:
            tensor.copy_(before[tensor])
        else:
            tensor.zero_()


class Replayed:
    """``Steps`` on CUDA: each batch size is captured once as a graph and replayed; again when the learning rate changes."""

    REHEARSALS = 3  # a capture needs a warm device

    def __init__(self, steps: Steps, weights: Callable[[], list[Tensor]]) -> None:
        """``weights`` names what a step changes, but for counters and the optimizer's state."""
        self._steps, self._weights = steps, weights
        self._graphs: dict[tuple[int, tuple[float, ...]], torch.cuda.CUDAGraph] = {}

    def run(self, size: int) -> None:
        rates = tuple(float(group["lr"]) for group in self._steps.optimizer.param_groups)
        if (size, rates) not in self._graphs:
            self._graphs = {key: graph for key, graph in self._graphs.items() if key[1] == rates}
            self._graphs[size, rates] = self._capture(size)
        self._graphs[size, rates].replay()

    def _capture(self, size: int) -> torch.cuda.CUDAGraph:
        side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        with put_back(self.changed):  # an optimizer's state is born in the first rehearsal, and belongs at zero
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(self.REHEARSALS):
                    self._steps.run(size)
            torch.cuda.current_stream().wait_stream(side)
            with torch.cuda.graph(graph):
                self._steps.run(size)
        return graph

    def changed(self) -> list[Tensor]:
        states = self._steps.optimizer.state.values()
        return [*self._weights(), *self._steps.counters(), *(value for s in states for value in s.values() if isinstance(value, Tensor))]
