"""Training images that live on the device as 8-bit pixels, and batches of them as the network wants them.

A batch is an index, a gather, an augmentation and a normalization. All random numbers of an epoch are drawn before
its first batch, from generators that are the caller's: the images of an epoch are the same however the work is cut
into pieces, and restoring two generator states between epochs is all that a resumed run needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from budgetnet.data.augment import draw, is_identity, matrices, resample
from budgetnet.definition import Augmentation

__all__ = ["Epoch", "Resident", "evaluation_batches", "to_input"]

# Images worked on at once. Small pieces pay for calls, large ones for memory traffic: on the CPU 256 to 512 images were
# measured to be fastest (a seventh faster than 128, a third than 64); on a GPU only the number of launches counts.
PIECE = {"cpu": 256}
PIECE_ELSEWHERE = 8192


@dataclass(frozen=True, eq=False)
class Epoch:
    """The random part of one epoch, on the device: ``order`` (N,) int64, an index into the images for each position,
    and ``maps`` (N, 2, 3) float32 for resample, by position too; None where nothing is augmented."""

    order: Tensor
    maps: Tensor | None
    interpolation: str
    fill: float


class Resident:
    """Training images on one device: ``images`` (N, C, H, W) uint8, ``labels`` (N,) int64; mean and std of pixels 0..1."""

    def __init__(self, images: Tensor, labels: Tensor, mean: float, std: float, device: torch.device | str = "cpu") -> None:
        if images.dtype != torch.uint8 or images.dim() != 4 or labels.shape != images.shape[:1]:
            got = f"{images.dtype} {tuple(images.shape)} and {tuple(labels.shape)}"
            raise ValueError(f"expected (N, C, H, W) uint8 images and (N,) labels, got {got}")
        self.images = images.to(device).contiguous()
        self.labels = labels.to(device=device, dtype=torch.int64)
        self.mean, self.std = mean, std

    def __len__(self) -> int:
        return len(self.images)

    def epoch(self, augmentation: Augmentation, order: torch.Generator, draws: torch.Generator) -> Epoch:
        """Draw an epoch: its order from ``order``, a CPU generator, its augmentation from ``draws``.

        ``draws`` may be a generator of the CPU, for the same images on every device, or of the device itself.
        """
        device = self.images.device
        permutation = torch.randperm(len(self), generator=order).to(device)
        if is_identity(augmentation):
            return Epoch(permutation, None, augmentation.interpolation, augmentation.fill)
        height, width = self.images.shape[-2:]
        parameters = draw(augmentation, len(self), draws).to(device)
        return Epoch(permutation, matrices(parameters, height, width), augmentation.interpolation, augmentation.fill)

    def gather(self, epoch: Epoch, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """Positions ``begin`` to ``end`` of ``epoch``: (n, C, H, W) float32, augmented and normalized, and (n,) int64."""
        order = epoch.order[begin:end]
        inputs = torch.empty((len(order), *self.images.shape[1:]), device=self.images.device)
        piece = PIECE.get(self.images.device.type, PIECE_ELSEWHERE)
        for start in range(0, len(order), piece):
            images = self.images.index_select(0, order[start : start + piece])
            if epoch.maps is not None:
                maps = epoch.maps[begin + start : min(begin + start + piece, end)]
                images = resample(images.float(), maps, epoch.interpolation, epoch.fill)
            to_input(images, self.mean, self.std, out=inputs[start : start + piece])
        return inputs, self.labels.index_select(0, order)

    def batches(
        self, batch_size: int, augmentation: Augmentation, order: torch.Generator, draws: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch, (B, C, H, W) float32 and (B,) int64; the last one may be smaller, none is left out.

        Both generators have their final state of the epoch as soon as this returns. Batches may be views of a larger
        tensor: change them in place only if no other batch of the epoch is wanted unchanged.
        """
        return self._batches(batch_size, self.epoch(augmentation, order, draws))

    def _batches(self, batch_size: int, epoch: Epoch) -> Iterator[tuple[Tensor, Tensor]]:
        piece = PIECE.get(self.images.device.type, PIECE_ELSEWHERE)
        together = batch_size * max(1, piece // batch_size)  # small batches are prepared several at a time
        for begin in range(0, len(self), together):
            inputs, labels = self.gather(epoch, begin, min(begin + together, len(self)))
            yield from zip(inputs.split(batch_size), labels.split(batch_size), strict=True)


def to_input(images: Tensor, mean: float, std: float, out: Tensor | None = None) -> Tensor:
    """``images`` in pixel values 0 to 255, uint8 or float32, as the network's input: (images / 255 - mean) / std, float32."""
    # One multiply-add in one pass over the pixels, with the constants folded; a 0-dimensional CPU tensor costs no copy.
    return torch.add(torch.tensor(-mean / std, dtype=torch.float32), images, alpha=1 / (255 * std), out=out)


def evaluation_batches(images: Tensor, labels: Tensor, batch_size: int, mean: float, std: float) -> Iterator[tuple[Tensor, Tensor]]:
    """``images`` (N, C, H, W) uint8 in order, as (B, C, H, W) float32 inputs with their (B,) labels, where they are."""
    for some, their_labels in zip(images.split(batch_size), labels.split(batch_size), strict=True):
        yield to_input(some, mean, std), their_labels
