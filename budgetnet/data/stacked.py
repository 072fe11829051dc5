"""Resident images for several networks that train at once, each with an order and an augmentation of its own.

What differs between batches is read from tensors that stay where they are, by positions that are a tensor as well: so
that a captured graph can make its own batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from budgetnet.data.augment import resample
from budgetnet.data.resident import Resident, to_input
from budgetnet.definition import Augmentation

__all__ = ["StackedResident"]


class StackedResident:
    """``train`` and ``validation`` of each network: all training parts equally long, and all validation parts.

    Networks that are given the very same object share its images; hold-outs, which differ by seed, stand one after the other.
    ``validation`` holds images (N, C, H, W) uint8 and labels (N,).
    """

    def __init__(
        self, train: Sequence[Resident], validation: Sequence[tuple[Tensor, Tensor]], augmentation: Augmentation, classes: int
    ) -> None:
        self.classes, self._train, self._augmentation = classes, train, augmentation
        own = list({id(resident): resident for resident in train}.values())
        self.length, self.device = len(own[0]), own[0].images.device
        if any(len(resident) != self.length for resident in own):
            raise ValueError(f"training parts of {sorted({len(resident) for resident in own})} images; expected equally many")
        self._images = _joined([resident.images for resident in own])
        self._labels = _joined([resident.labels for resident in own])
        place = {id(resident): number for number, resident in enumerate(own)}
        self._first = [place[id(resident)] * self.length for resident in train]
        self._validation = validation
        self._order = torch.zeros((len(train), self.length), dtype=torch.int64, device=self.device)
        self._maps: Tensor | None = None

    def draw(self, orders: Sequence[torch.Generator], augmentations: Sequence[torch.Generator]) -> None:
        """Every network's next epoch, with the calls that Resident makes for one alone."""
        for network, (resident, order, augmentation) in enumerate(zip(self._train, orders, augmentations, strict=True)):
            epoch = resident.epoch(self._augmentation, order, augmentation)
            torch.add(epoch.order, self._first[network], out=self._order[network])
            if epoch.maps is not None:
                if self._maps is None:
                    self._maps = torch.zeros((len(self._train), *epoch.maps.shape), device=self.device)
                self._maps[network] = epoch.maps

    def batch(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Positions (N,) of every one of M epochs: inputs float32 (M, N, C, H, W), augmented and normalized, and labels (M, N)."""
        chosen = self._order.index_select(1, positions)
        images = self._images.index_select(0, chosen.flatten())
        if self._maps is not None:
            maps = self._maps.index_select(1, positions).flatten(0, 1)
            images = resample(images.float(), maps, self._augmentation.interpolation, self._augmentation.fill)
        inputs = to_input(images, self._train[0].mean, self._train[0].std)
        return inputs.unflatten(0, chosen.shape), self._labels.index_select(0, chosen.flatten()).unflatten(0, chosen.shape)

    def validation_batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every network's validation images as batch gives them, ``size`` at a time for each, in order."""
        first, networks = self._train[0], len(self._validation)
        shared = all(images is self._validation[0][0] for images, _ in self._validation)
        for begin in range(0, len(self._validation[0][1]), size):
            parts = [(images[begin : begin + size], labels[begin : begin + size]) for images, labels in self._validation]
            if shared:
                images, labels = to_input(parts[0][0], first.mean, first.std), parts[0][1]
                yield images.expand(networks, *images.shape), labels.expand(networks, -1)
            else:
                yield torch.stack([to_input(images, first.mean, first.std) for images, _ in parts]), torch.stack([p[1] for p in parts])


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat([*tensors])
