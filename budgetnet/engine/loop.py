"""The training loop: plain functions over device-resident batches; knows no experiment, result or report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from budgetnet.definition import Recipe
from budgetnet.engine.choice import EngineError, Settings, choose_path
from budgetnet.engine.paths import Path
from budgetnet.evaluate import evaluate
from budgetnet.metrics import EpochRecord, Scores
from budgetnet.optim import build_schedule, step_schedule
from budgetnet.seeds import global_states, restore_global_states, seed_globals, stream_seed

Batches = Iterable[tuple[Tensor, Tensor]]


class Diverged(Exception):
    """A loss was NaN or infinite; the message says where."""


class TrainingData(Protocol):
    """Interface of a data set for the loop; images are normalized, float32 (B, C, H, W), labels int64 (B,)."""

    steps: int
    classes: int

    def train_batches(self, order: torch.Generator, augmentation: torch.Generator) -> Batches: ...

    def validation_batches(self) -> Batches: ...


class Training:
    """Everything that changes while a run trains, and that a checkpoint must hold.

    One seed fixes initialization (the caller builds the model after ``torch.manual_seed(stream_seed(seed, "initialization"))``),
    data order, augmentation and dropout. Dropout draws from torch's default generator, which is seeded here,
    as are Python's and NumPy's for what a user's ``forward`` draws.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, image_shape: tuple[int, int, int], seed: int, settings: Settings) -> None:
        device = torch.device(settings.device)
        self.model = model.to(device)
        self.path: Path = choose_path(self.model, recipe, image_shape, settings)
        self.schedule = build_schedule(recipe.schedule, self.path.optimizer)
        self.order = torch.Generator().manual_seed(stream_seed(seed, "order"))
        self.augmentation = torch.Generator(device).manual_seed(stream_seed(seed, "augmentation"))
        torch.manual_seed(stream_seed(seed, "dropout"))
        seed_globals(seed)
        self.epoch = 0

    @property
    def engine(self) -> str:
        """The name of its path."""
        return self.path.name

    @property
    def precision(self) -> str:
        return self.path.precision

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of (N, C, H, W) in evaluation mode, without gradient."""
        return self.path.forward(images)

    @property
    def made_by(self) -> str:
        """Device, engine and precision: a run that changes one of them on the way is the run of neither."""
        return f"{self.augmentation.device.type}, {self.path.name}, {self.path.precision}"

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, so that it loads with ``weights_only=True``."""
        generators = {"order": self.order.get_state(), "augmentation": self.augmentation.get_state(), "default": torch.get_rng_state()}
        generators |= global_states()
        if self.augmentation.device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state()
        return {
            "epoch": self.epoch, "made_by": self.made_by, "model": self.model.state_dict(), "optimizer": self.path.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(), "generators": generators,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``. Raises EngineError where another device, engine or precision made it."""
        check_made_by(state["made_by"], self.made_by)
        self.model.load_state_dict(state["model"])
        self.path.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        generators = state["generators"]
        self.order.set_state(generators["order"])
        self.augmentation.set_state(generators["augmentation"])
        torch.set_rng_state(generators["default"])
        if "python" in generators:  # not in checkpoints of earlier versions
            restore_global_states(generators)
        if "cuda" in generators:
            torch.cuda.set_rng_state(generators["cuda"])
        self.epoch = state["epoch"]


def train(training: Training, data: TrainingData, until: int, tick: Callable[[int], None] | None = None) -> Iterator[EpochRecord]:
    """Train up to epoch ``until``, yielding after every epoch; between two epochs ``training`` may be checkpointed.

    ``tick`` is called with the number of images after every step. Raises Diverged when a loss is not finite.
    """
    while training.epoch < until:
        started = time.perf_counter()
        lr = float(training.path.optimizer.param_groups[0]["lr"])
        loss, accuracy = _train_epoch(training, data, tick or (lambda images: None))
        scores = evaluate(training.path.forward, data.validation_batches(), data.classes)
        training.epoch += 1
        check_validation(scores, training.epoch)
        step_schedule(training.schedule, scores.accuracy)
        yield EpochRecord(training.epoch, lr, loss, accuracy, scores.loss, scores.accuracy, time.perf_counter() - started)


def _train_epoch(training: Training, data: TrainingData, tick: Callable[[int], None]) -> tuple[float, float]:
    """Mean loss and accuracy (percent) of one epoch; losses stay on the device until its end, so nothing waits for them."""
    losses: list[Tensor | float] = []
    sizes: list[int] = []
    correct: Tensor | int = 0
    for images, labels in data.train_batches(training.order, training.augmentation):
        loss, right = training.path.step(images, labels)
        losses.append(loss)
        correct += right
        sizes.append(len(labels))
        tick(sizes[-1])
    together = torch.stack([loss for loss in losses if isinstance(loss, Tensor)]) if isinstance(losses[0], Tensor) else torch.tensor(losses)
    return mean_loss(together, sizes, training.epoch + 1), 100.0 * int(correct) / sum(sizes)


def check_made_by(before: str, now: str) -> None:
    """Raise EngineError where a checkpoint was made by another device, engine or precision than would go on."""
    if before != now:
        raise EngineError(
            f"the run was begun with ({before}) and would go on with ({now}); choose the same with --device, "
            "--engine and --precision, or delete its run directory to start again"
        )


def mean_loss(losses: Tensor, sizes: Sequence[int], epoch: int) -> float:
    """The mean over the images of an epoch's mean ``losses`` (steps,) of batches of ``sizes``. Raises Diverged where one is not finite."""
    values = losses.double().cpu()
    broken = torch.nonzero(~values.isfinite())
    if len(broken):
        step = int(broken[0])
        raise Diverged(f"the loss is {values[step].item()} at step {step + 1} of epoch {epoch}; try a lower learning rate")
    return float((values * torch.tensor(sizes, dtype=torch.float64)).sum()) / sum(sizes)


def check_validation(scores: Scores, epoch: int) -> Scores:
    """``scores``, unless their loss is not finite: then Diverged."""
    if not math.isfinite(scores.loss):
        raise Diverged(f"the validation loss is {scores.loss} after epoch {epoch}; try a lower learning rate")
    return scores
