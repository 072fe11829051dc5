"""Which images train, which validate, and which are kept for the end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from budgetnet.data.arrays import Arrays
from budgetnet.definition import DefinitionError, Protocol

__all__ = ["Splits", "split"]


@dataclass(frozen=True, eq=False)
class Splits:
    """Images, (N, C, H, W) uint8, and labels, (N,) int64. ``test_*`` is None where the test set validates."""

    train_images: Tensor
    train_labels: Tensor
    validation_images: Tensor
    validation_labels: Tensor
    test_images: Tensor | None
    test_labels: Tensor | None


def split(arrays: Arrays, protocol: Protocol, seed: int) -> Splits:
    """Divide ``arrays`` as ``protocol`` says; which images are held out depends on ``seed`` and nothing else.

    The images keep their order within a part, and the global random number generator is not touched. Raises
    DefinitionError if the hold-out would leave no image to train on.
    """
    images, labels = arrays.train_images, arrays.train_labels
    if protocol.validation == "test":
        return Splits(images, labels, arrays.test_images, arrays.test_labels, None, None)
    if protocol.holdout >= len(images):
        raise DefinitionError(f"Protocol.holdout is {protocol.holdout}; expected fewer than the {len(images)} training images there are")
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[: protocol.holdout]
    held = torch.zeros(len(images), dtype=torch.bool)
    held[chosen] = True
    return Splits(images[~held], labels[~held], images[held], labels[held], arrays.test_images, arrays.test_labels)
