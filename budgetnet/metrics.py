"""Metrics of an epoch and of an evaluation. Accuracies in percent, losses in nats, times in seconds; no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochRecord:
    """Metrics of an epoch: training figures are running means over the augmented batches, validation is after the epoch.

    ``seconds`` covers training and validation of the epoch, not what is written to disk.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Scores:
    """Mean loss and accuracy over ``images`` images; ``confusion[true][predicted]`` counts images."""

    loss: float
    accuracy: float
    images: int
    confusion: tuple[tuple[int, ...], ...]
