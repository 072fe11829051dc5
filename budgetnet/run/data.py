"""An experiment's data on the device, in the forms that the training loops ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from budgetnet.data import arrays, splits
from budgetnet.data.resident import Resident, evaluation_batches
from budgetnet.data.stacked import StackedResident
from budgetnet.definition import Experiment
from budgetnet.engine.loop import Batches


class RunData:
    """The splits of one seed."""

    def __init__(self, experiment: Experiment, data_set: arrays.Arrays, seed: int, device: torch.device) -> None:
        spec, recipe = experiment.data_set, experiment.recipe
        split = splits.split(data_set, recipe.protocol, seed)
        self.classes, self.class_names, self.device = spec.classes, data_set.class_names, device
        self._spec, self._recipe = spec, recipe
        self.train = Resident(split.train_images, split.train_labels, spec.mean, spec.std, device)
        self.validation = (split.validation_images.to(device), split.validation_labels.to(device))
        self._test = None
        if split.test_images is not None and split.test_labels is not None and recipe.protocol.test_at_end:
            self._test = (split.test_images.to(device), split.test_labels.to(device))
        self.images = len(self.train)
        self.steps = -(-self.images // recipe.batch_size)

    def train_batches(self, order: torch.Generator, augmentation: torch.Generator) -> Batches:
        return self.train.batches(self._recipe.batch_size, self._recipe.augmentation, order, augmentation)

    def validation_batches(self) -> Batches:
        return evaluation_batches(*self.validation, self._recipe.batch_size, self._spec.mean, self._spec.std)

    def rehearsal_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """A batch of training images as they are, and one of the size of an epoch's last batch, where that is another."""
        size, last = min(self._recipe.batch_size, self.images), self.images % self._recipe.batch_size
        for count in dict.fromkeys((size, last or size)):
            images, labels = self.train.images[:count], self.train.labels[:count]
            yield from evaluation_batches(images, labels, count, self._spec.mean, self._spec.std)

    def sample(self) -> Tensor:
        """The same few validation images at every call, preprocessed: float32 (N, C, H, W), N at most the batch size."""
        return next(iter(self.validation_batches()))[0]

    def test_batches(self) -> Batches | None:
        """The test set, where another part of the data validates; else None."""
        return None if self._test is None else evaluation_batches(*self._test, self._recipe.batch_size, self._spec.mean, self._spec.std)


def data_of_seeds(experiment: Experiment, data_set: arrays.Arrays, seeds: Sequence[int], device: torch.device) -> list[RunData]:
    """The splits of each seed; one and the same object where they do not depend on the seed, so that it is on the device once."""
    if experiment.recipe.protocol.validation == "test":
        return [RunData(experiment, data_set, seeds[0], device)] * len(seeds)
    return [RunData(experiment, data_set, seed, device) for seed in seeds]


def stacked(experiment: Experiment, data: Sequence[RunData]) -> StackedResident:
    """The data of several seeds as the loop for several networks wants it."""
    return StackedResident(
        [own.train for own in data], [own.validation for own in data], experiment.recipe.augmentation, experiment.data_set.classes
    )
