"""The baseline: training as the write-up's notebooks do it, kept plain on purpose.

A DataLoader over PIL images with torchvision transforms, ``log_softmax`` and ``nll_loss``, and ``.item()`` on the loss
and the number of correct images of every batch.
"""

from __future__ import annotations

import time

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from budgetnet.definition import SGD, Experiment


class PictureDataset(Dataset[tuple[Tensor, int]]):
    """8-bit images (N, 28, 28) handed out as torchvision's MNIST does: a PIL image through the transforms, and its label."""

    def __init__(self, images: Tensor, labels: Tensor, transform: transforms.Compose) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[index].numpy(), mode=None)
        return self.transform(picture), int(self.labels[index])


def notebook_transforms(experiment: Experiment) -> transforms.Compose:
    augmentation, spec = experiment.recipe.augmentation, experiment.data_set
    angle = augmentation.rotation
    return transforms.Compose([
        transforms.RandomRotation((-angle, angle), fill=(int(augmentation.fill),)),
        transforms.ToTensor(),
        transforms.Normalize((spec.mean,), (spec.std,)),
    ])  # fmt: skip


class NotebookTraining:
    """``epoch()`` trains once over the given images (N, 1, 28, 28) uint8 and returns images per second."""

    def __init__(self, experiment: Experiment, images: Tensor, labels: Tensor, device: str, workers: int) -> None:
        self.device = torch.device(device)
        self.model: nn.Module = experiment.model.build(experiment.data_set.image_shape, experiment.data_set.classes).to(self.device)
        optimizer = experiment.recipe.optimizer
        if not isinstance(optimizer, SGD):
            raise TypeError(f"the notebook trains with SGD, not with {optimizer!r}")
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=optimizer.lr, momentum=optimizer.momentum)
        self.loader = DataLoader(
            PictureDataset(images[:, 0], labels, notebook_transforms(experiment)), batch_size=experiment.recipe.batch_size, shuffle=True,
            num_workers=workers, pin_memory=device == "cuda", persistent_workers=workers > 0,
        )  # fmt: skip

    def epoch(self) -> float:
        self.model.train()
        started, processed, correct, losses = time.perf_counter(), 0, 0.0, []
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
            processed += len(labels)
        return processed / (time.perf_counter() - started)
