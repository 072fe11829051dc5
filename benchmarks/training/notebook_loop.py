"""The baseline: training as the write-up's notebooks do it, kept plain on purpose.

A DataLoader over PIL images with torchvision transforms, ``log_softmax`` and ``nll_loss``, and ``.item()`` on the loss
and the number of correct images of every batch.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.training.contest import Stretch, Trainer, sgd, training_images
from budgetnet.definition import Experiment


class PictureDataset(Dataset[tuple[Tensor, int]]):
    """8-bit images (N, H, W) as torchvision's MNIST returns them: a PIL image through the transforms, and its label."""

    def __init__(self, images: Tensor, labels: Tensor, transform: transforms.Compose) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[index].numpy(), mode=None)
        return self.transform(picture), int(self.labels[index])


def picture_transforms(experiment: Experiment) -> transforms.Compose:
    """Return rotation, conversion and normalization, as users of torchvision write them."""
    augmentation, spec = experiment.recipe.augmentation, experiment.data_set
    rotation = transforms.RandomRotation(augmentation.rotation, fill=(int(augmentation.fill),))
    return transforms.Compose([rotation, transforms.ToTensor(), transforms.Normalize((spec.mean,), (spec.std,))])


class PictureLoaders:
    """Make DataLoaders over the first images of the training set; ``workers`` 0 loads in the training process."""

    def __init__(self, experiment: Experiment, device: str, workers: int) -> None:
        images, labels = training_images(experiment)
        self.images, self.labels = torch.from_numpy(images[:, 0]), torch.from_numpy(labels)
        self.transform = picture_transforms(experiment)
        self.options: dict[str, Any] = {"batch_size": experiment.recipe.batch_size, "shuffle": True}
        self.options |= {"num_workers": workers, "persistent_workers": workers > 0, "pin_memory": device == "cuda"}

    def first(self, images: int) -> DataLoader[tuple[Tensor, int]]:
        return DataLoader(PictureDataset(self.images[:images], self.labels[:images], self.transform), **self.options)


class NotebookTraining(Trainer):
    """The loop itself."""

    def __init__(self, experiment: Experiment, device: str, threads: int, workers: int) -> None:
        torch.set_num_threads(threads)
        self.device = torch.device(device)
        self.model: nn.Module = experiment.model.build(experiment.data_set.image_shape, experiment.data_set.classes).to(
            self.device
        )
        optimizer = sgd(experiment)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=optimizer.lr, momentum=optimizer.momentum)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.description = f"threads: {threads}, loader workers: {workers}"
        self.loaders = PictureLoaders(experiment, device, workers)
        self.loader = self.loaders.first(experiment.recipe.batch_size)

    def train(self, images: int) -> Stretch:
        if len(self.loader.dataset) != images:  # type: ignore[arg-type]
            self.loader = self.loaders.first(images)
        began = time.perf_counter()
        self._epoch()
        return Stretch(images, began, time.perf_counter())

    def _epoch(self) -> None:
        self.model.train()
        correct, losses = 0.0, []
        for images, labels in self.loader:
            images, labels = images.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            output = functional.log_softmax(self.model(images), dim=-1)
            loss = functional.nll_loss(output, labels)
            losses.append(loss.item())
            loss.backward()
            self.optimizer.step()
            predicted = output.argmax(dim=1, keepdim=True)
            correct += predicted.eq(labels.view_as(predicted)).sum().item()
