"""Scoring a network on images it is not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional

from budgetnet.metrics import Scores


def evaluate(forward: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]], classes: int) -> Scores:
    """Mean cross-entropy, accuracy and confusion over ``batches`` of (images, labels).

    ``forward`` gives logits (N, classes) in evaluation mode; labels are int64. Waits for the device once, at the end.
    Raises ValueError when there is no image.
    """
    as_one = ((images, labels.unsqueeze(0)) for images, labels in batches)
    return evaluate_stacked(lambda images: forward(images).unsqueeze(0), as_one, classes)[0]


def evaluate_stacked(forward: Callable[[Tensor], Tensor], batches: Iterable[tuple[Tensor, Tensor]], classes: int) -> list[Scores]:
    """``evaluate`` for M networks at once: logits (M, N, classes), labels (M, N), and the scores of each network."""
    loss: Tensor | None = None
    confusion: Tensor | None = None
    with torch.no_grad():
        for images, labels in batches:
            logits = forward(images).float()
            entropy = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
            batch_loss = entropy.double().sum(1)
            pairs = labels * classes + logits.argmax(2)
            if confusion is None:
                confusion = pairs.new_zeros(len(pairs), classes * classes)
            confusion.scatter_add_(1, pairs, torch.ones_like(pairs))  # unlike bincount, does not wait for the device
            loss = batch_loss if loss is None else loss + batch_loss
    if loss is None or confusion is None:
        raise ValueError("there is no image to evaluate on")
    return [_scores(float(own), table) for own, table in zip(loss.cpu(), confusion.view(-1, classes, classes).cpu(), strict=True)]


def _scores(loss: float, table: Tensor) -> Scores:
    images, correct = int(table.sum()), int(table.diagonal().sum())
    rows = tuple(tuple(int(n) for n in row) for row in table.tolist())
    return Scores(loss=loss / images, accuracy=100.0 * correct / images, images=images, confusion=rows)
