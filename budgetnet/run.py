"""The one place where definition, model, budget gate, data, engine and result meet: one experiment, one seed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from budgetnet import params
from budgetnet.data import arrays, splits
from budgetnet.data.resident import Resident, evaluation_batches
from budgetnet.definition import DefinitionError, Experiment, definition_hash, plain
from budgetnet.diagnostics.compute import diagnose
from budgetnet.diagnostics.record import DIAGNOSTICS
from budgetnet.engine.loop import Batches, Training, stream_seed, train
from budgetnet.engine.memory import keep_freed_memory
from budgetnet.engine.paths import EngineError, Settings
from budgetnet.environment import stamp
from budgetnet.evaluate import evaluate
from budgetnet.events import event_file
from budgetnet.metrics import EpochRecord
from budgetnet.progress import Progress
from budgetnet.results import Result
from budgetnet.rundir import RunDirectory, open_run
from budgetnet.structure import Layer
from budgetnet.tracing import StructureUnavailable, trace


class BudgetExceeded(Exception):
    """The budget gate is shut; the message holds a sentence and the layer table, largest layers first."""


@dataclass(frozen=True)
class Options:
    """How and where to run: no option changes what an experiment is.

    ``epochs`` stops early; what it leaves is partial, is never judged, and goes on when asked for more epochs.
    """

    runs: Path = Path("runs")
    settings: Settings = field(default_factory=Settings)
    data_dir: Path | None = None
    download: bool = True
    epochs: int | None = None


def resolve_device(device: str) -> str:
    """'auto' is CUDA where there is one. Raises EngineError when 'cuda' is asked for and there is none."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError("device 'cuda' was asked for, but torch finds no usable CUDA device; use --device cpu or auto")
    return device


def build_model(experiment: Experiment, seed: int = 0) -> nn.Module:
    """The network as the seed initializes it, on the CPU; torch's own random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "initialization"))
        model: nn.Module = experiment.model.build(experiment.data_set.image_shape, experiment.data_set.classes)
    return model


def gate(experiment: Experiment, model: nn.Module | None = None) -> params.GateVerdict:
    """The budget gate's verdict; needs no data."""
    return params.check_budget(params.count(model or build_model(experiment)), experiment.budget)


def assert_budget(experiment: Experiment, model: nn.Module | None = None) -> params.Counts:
    """The counts; raises BudgetExceeded, with the layer table, unless the budget is kept."""
    model = model or build_model(experiment)
    verdict = gate(experiment, model)
    if verdict.passed:
        return verdict.counts
    try:
        table = params.layer_table(model, experiment.data_set.image_shape).text(largest_first=True)
    except params.LayerTableUnavailable as error:
        table = str(error)
    raise BudgetExceeded(
        f"{experiment.name} has {verdict.sentence}; nothing was trained. Change the network, or the budget if it is wrong.\n{table}"
    )


class _ResidentData:
    """Splits on the device, in the form the training loop asks for."""

    def __init__(self, experiment: Experiment, split: splits.Splits, device: torch.device) -> None:
        spec, recipe = experiment.data_set, experiment.recipe
        self.classes = spec.classes
        self._spec, self._recipe = spec, recipe
        self._train = Resident(split.train_images, split.train_labels, spec.mean, spec.std, device)
        self._validation = (split.validation_images.to(device), split.validation_labels.to(device))
        self._test = None
        if split.test_images is not None and split.test_labels is not None and recipe.protocol.test_at_end:
            self._test = (split.test_images.to(device), split.test_labels.to(device))
        self.images = len(self._train)
        self.steps = -(-self.images // recipe.batch_size)

    def train_batches(self, order: torch.Generator, augmentation: torch.Generator) -> Batches:
        return self._train.batches(self._recipe.batch_size, self._recipe.augmentation, order, augmentation)

    def validation_batches(self) -> Batches:
        return evaluation_batches(*self._validation, self._recipe.batch_size, self._spec.mean, self._spec.std)

    def test_batches(self) -> Batches | None:
        """The test set, where another part of the data validates; else None."""
        return None if self._test is None else evaluation_batches(*self._test, self._recipe.batch_size, self._spec.mean, self._spec.std)


def target_epochs(experiment: Experiment, options: Options) -> int:
    """The epoch to stop after. Raises DefinitionError when more are asked for than the recipe has."""
    planned = experiment.recipe.epochs
    if options.epochs is None:
        return planned
    if not 1 <= options.epochs <= planned:
        raise DefinitionError(
            f"--epochs is {options.epochs}; expected 1 to {planned}, the epochs of {experiment.name}'s recipe "
            "(derive an experiment to train longer)"
        )
    return options.epochs


def run(experiment: Experiment, seed: int, options: Options, progress: Progress) -> Result:
    """Train one experiment with one seed, or take up where it was left; a finished run is returned as it is.

    Raises BudgetExceeded before any data is read, DataError, RunDirectoryError, Diverged, EngineError, or OSError for a disk that
    is full; what was there before stays.
    """
    until = target_epochs(experiment, options)
    keep_freed_memory()
    model = build_model(experiment, seed)
    counts = assert_budget(experiment, model)
    job, digest = f"{experiment.name} seed {seed}", definition_hash(experiment)
    with open_run(options.runs, experiment.name, seed) as directory, _own_random_state(options.settings.device):
        earlier = directory.result()
        state = directory.load_checkpoint()
        before = earlier.definition_hash if earlier is not None else state["definition_hash"] if state is not None else digest
        if before != digest:
            directory.set_aside(before)
            earlier = state = None
        if earlier is not None and len(earlier.epochs) >= until:
            progress.finish(job, f"is finished: validation {earlier.last.validation_accuracy:.2f} % after epoch {earlier.last.epoch}")
            return earlier
        data_set = arrays.load(experiment.data_set, options.data_dir, options.download)
        data = _ResidentData(experiment, splits.split(data_set, experiment.recipe.protocol, seed), torch.device(options.settings.device))
        training = Training(model, experiment.recipe, experiment.data_set.image_shape, seed, options.settings)
        records = _resume(state, training)
        progress.start(job, training.epoch, until, data.images)
        _train_and_keep(experiment, training, data, until, records, directory, job, progress)
        result = _record(experiment, seed, counts, records, training, data, options)
        if not directory.save_weights(training.model.state_dict()):
            directory.log("safetensors is not installed: the weights are in checkpoint.pt only")
        if result.finished:
            _save_diagnostics(directory, experiment, result, training, data_set)
        directory.save_result(result)
        progress.finish(
            job, f"done: validation {result.last.validation_accuracy:.2f} % after epoch {result.last.epoch}, {result.seconds:.0f} s"
        )
    return result


def _train_and_keep(
    experiment: Experiment, training: Training, data: _ResidentData, until: int, records: list[EpochRecord], directory: RunDirectory,
    job: str, progress: Progress,
) -> None:  # fmt: skip
    """Train up to epoch ``until``; after each one ``records`` grows, and events, checkpoint and log are written."""
    digest = definition_hash(experiment)
    with event_file(directory.path, training.epoch, directory.log) as events:
        if training.epoch == 0:
            events.graph(_layers(training.model, experiment, directory))
        for record in train(training, data, until, lambda images: progress.tick(job, images)):
            records.append(record)
            state = training.state_dict() | {"definition_hash": digest, "records": [asdict(r) for r in records]}
            # before the checkpoint: after a kill in between, the epoch is written again and purged once
            events.epoch(record, training.model.named_parameters())
            directory.save_checkpoint(state)
            directory.log(f"epoch {record.epoch}: {asdict(record)}")
            progress.epoch(job, record, experiment.recipe.epochs)


@contextlib.contextmanager
def _own_random_state(device: str) -> Iterator[None]:
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        yield


def _resume(state: dict[str, Any] | None, training: Training) -> list[EpochRecord]:
    if state is None:
        return []
    training.load_state_dict(state)
    return [EpochRecord(**record) for record in state["records"]]


def _layers(model: nn.Module, experiment: Experiment, directory: RunDirectory) -> tuple[Layer, ...]:
    try:
        return trace(model, experiment.data_set.image_shape)
    except StructureUnavailable as error:
        directory.log(f"TensorBoard gets no graph: {error}")
        return ()


def _save_diagnostics(directory: RunDirectory, experiment: Experiment, result: Result, training: Training, data_set: arrays.Arrays) -> None:
    """The closer look at the finished network; whatever fails in it is logged, since it must not cost the run its result."""
    try:
        record = diagnose(experiment, result, training.model, training.path.forward, data_set, result.device, experiment.recipe.batch_size)
    except Exception as error:
        directory.log(f"no {DIAGNOSTICS} ({type(error).__name__}: {error}); to try again: budgetnet inspect {experiment.name}")
        return
    directory.save_diagnostics(record)


def _record(
    experiment: Experiment,
    seed: int,
    counts: params.Counts,
    records: list[EpochRecord],
    training: Training,
    data: _ResidentData,
    options: Options,
) -> Result:
    test = data.test_batches() if len(records) == experiment.recipe.epochs else None  # the test set once, at the end
    scores = None if test is None else evaluate(training.path.forward, test, data.classes)
    return Result(
        experiment=experiment.name, definition_hash=definition_hash(experiment), seed=seed, definition=plain(experiment),
        parameters=asdict(counts), epochs_planned=experiment.recipe.epochs, epochs=tuple(records),
        validation=experiment.recipe.protocol.validation,
        device=options.settings.device, engine=training.path.name, precision=training.path.precision, threads=options.settings.threads,
        environment=stamp(options.settings.device),
        test_accuracy=None if scores is None else scores.accuracy, test_loss=None if scores is None else scores.loss,
    )  # fmt: skip
