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
    loss: Tensor | None = None
    confusion: Tensor | None = None
    with torch.no_grad():
        for images, labels in batches:
            logits = forward(images).float()
            batch_loss = functional.cross_entropy(logits, labels, reduction="sum").double()
            pairs = torch.bincount(labels * classes + logits.argmax(1), minlength=classes * classes)
            loss = batch_loss if loss is None else loss + batch_loss
            confusion = pairs if confusion is None else confusion + pairs
    if loss is None or confusion is None:
        raise ValueError("there is no image to evaluate on")
    table = confusion.reshape(classes, classes).cpu()
    images_seen = int(table.sum())
    correct = int(table.diagonal().sum())
    rows = tuple(tuple(int(n) for n in row) for row in table.tolist())
    return Scores(loss=float(loss) / images_seen, accuracy=100.0 * correct / images_seen, images=images_seen, confusion=rows)
