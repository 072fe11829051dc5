"""Files of a run while it trains and when it ends."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Protocol

from torch import Tensor, nn

from budgetnet import params
from budgetnet.activations import activations
from budgetnet.data import arrays
from budgetnet.definition import Experiment, definition_hash, plain
from budgetnet.diagnostics.compute import diagnose
from budgetnet.diagnostics.record import DIAGNOSTICS
from budgetnet.engine.choice import Settings
from budgetnet.environment import stamp
from budgetnet.evaluate import evaluate
from budgetnet.events import Events, event_file
from budgetnet.fingerprint import differences, network_fingerprint
from budgetnet.metrics import EpochRecord
from budgetnet.progress import Progress
from budgetnet.results import Result
from budgetnet.run.data import RunData
from budgetnet.run.options import Options, target_epochs
from budgetnet.rundir import RunDirectory, open_run
from budgetnet.structure import Layer
from budgetnet.tracing import StructureUnavailable, trace

# How the line that names the engine calls it.
ENGINE_NAMES = {
    "kernels": "the C kernels", "eager": "plain torch", "channels-last": "plain torch, channels last", "compiled": "compiled torch",
    "compiled-channels-last": "compiled torch, channels last", "stacked": "a stack of seeds",
}  # fmt: skip


class Trained(Protocol):
    """Interface of a trainer for a run: Training, or a member of a stack."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def epoch(self) -> int: ...

    @property
    def engine(self) -> str: ...

    @property
    def precision(self) -> str: ...

    def forward(self, images: Tensor) -> Tensor: ...

    def state_dict(self) -> dict[str, Any]: ...


class Session:
    """An experiment with a seed in its locked run directory. ``state`` is the checkpoint to resume from, if any."""

    def __init__(
        self, experiment: Experiment, seed: int, options: Options, directory: RunDirectory, progress: Progress, network: dict[str, str]
    ) -> None:
        self._network = network
        self.experiment, self.seed, self._options, self.directory, self._progress = experiment, seed, options, directory, progress
        self.job, self.until = f"{experiment.name} seed {seed}", target_epochs(experiment, options)
        self._digest = definition_hash(experiment)
        self._events = Events()
        self._sample: Tensor | None = None
        self._earlier = directory.result()
        self.records: list[EpochRecord] = []
        self.state: dict[str, Any] | None = None
        self.reload()
        begun = (
            self._earlier.definition_hash if self._earlier is not None else self.state["definition_hash"] if self.state else self._digest
        )
        changed = self._changed_network() if begun == self._digest else ["the definition"]
        if changed:
            folder = directory.set_aside(begun)
            self._earlier = self.state = None
            self.records = []
            if begun == self._digest:
                self._note(f"the network has changed ({'; '.join(changed[:3])}{'; …' if len(changed) > 3 else ''}): starts anew, {folder}")

    def _changed_network(self) -> list[str]:
        """Return the differences between the network of the earlier run and the current one."""
        if self._earlier is not None:
            return differences(self._earlier.network, self._network)
        return differences(self.state.get("network", {}), self._network) if self.state else []

    def reload(self) -> None:
        """Take up the last checkpoint."""
        self.state = self.directory.load_checkpoint()
        self.records = [EpochRecord(**record) for record in self.state["records"]] if self.state else []

    def finished(self) -> Result | None:
        """The result of an earlier day, if it has all epochs that are wanted."""
        earlier = self._earlier
        if earlier is None or len(earlier.epochs) < self.until:
            return None
        self._progress.finish(
            self.job, f"is finished: validation {earlier.last.validation_accuracy:.2f} % after epoch {earlier.last.epoch}"
        )
        return earlier

    @contextlib.contextmanager
    def training(self, trained: Trained, data: RunData) -> Iterator[None]:
        """While ``trained`` trains on ``data``."""
        self._sample = data.sample()
        self._progress.start(self.job, trained.epoch, self.until, data.images)
        self._note(f"trains on {_engine_words(trained, self._options.settings)}")
        with event_file(self.directory.path, trained.epoch, self.directory.log) as self._events:
            if trained.epoch == 0:
                self._events.graph(self._layers(trained.model))
            yield

    def _note(self, note: str) -> None:
        self.directory.log(note)
        self._progress.note(self.job, note)

    def tick(self, images: int) -> None:
        self._progress.tick(self.job, images)

    def keep(self, record: EpochRecord, trained: Trained, checkpoint: bool = True) -> None:
        """An epoch: events, checkpoint and log; no ``checkpoint`` where the next one comes too soon to be worth it."""
        self.records.append(record)
        # before the checkpoint: after a kill in between, the epoch is written again and purged once
        self._events.epoch(record, trained.model.named_parameters(), self._activations(trained.model))
        if checkpoint:
            records = [asdict(r) for r in self.records]
            own = {"definition_hash": self._digest, "network": self._network, "records": records}
            self.directory.save_checkpoint(trained.state_dict() | own)
        self.directory.log(f"epoch {record.epoch}: {asdict(record)}")
        self._progress.epoch(self.job, record, self.experiment.recipe.epochs)

    def finish(self, counts: params.Counts, trained: Trained, data: RunData, data_set: arrays.Arrays) -> Result:
        """Weights, diagnostics and, last, the result."""
        result = self._result(counts, trained, data)
        self.directory.save_weights(trained.model.state_dict())
        if result.finished:
            self._save_diagnostics(result, trained, data_set)
        self.directory.save_result(result)
        self._progress.finish(
            self.job, f"done: validation {result.last.validation_accuracy:.2f} % after epoch {result.last.epoch}, {result.seconds:.0f} s"
        )
        return result

    def fail(self, error: BaseException) -> None:
        self._progress.finish(self.job, f"failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}")

    def _result(self, counts: params.Counts, trained: Trained, data: RunData) -> Result:
        experiment, settings = self.experiment, self._options.settings
        test = data.test_batches() if len(self.records) == experiment.recipe.epochs else None  # the test set once, at the end
        scores = None if test is None else evaluate(trained.forward, test, data.classes)
        return Result(
            experiment=experiment.name, definition_hash=self._digest, seed=self.seed, definition=plain(experiment),
            parameters=asdict(counts), epochs_planned=experiment.recipe.epochs, epochs=tuple(self.records),
            validation=experiment.recipe.protocol.validation,
            device=settings.device, engine=trained.engine, precision=trained.precision, threads=settings.threads,
            environment=stamp(settings.device),
            network=self._network, class_names=data.class_names,
            test_accuracy=None if scores is None else scores.accuracy, test_loss=None if scores is None else scores.loss,
        )  # fmt: skip

    def _activations(self, model: nn.Module) -> list[tuple[str, Tensor]]:
        """The layers' outputs for TensorBoard; whatever fails in them is logged and costs the run nothing."""
        if not self._events.writing or self._sample is None:
            return []
        try:
            return activations(model, self._sample)
        except Exception as error:
            self._sample = None
            self.directory.log(f"TensorBoard gets no activations ({type(error).__name__}: {error})")
            return []

    def _layers(self, model: nn.Module) -> tuple[Layer, ...]:
        try:
            return trace(model, self.experiment.data_set.image_shape)
        except StructureUnavailable as error:
            self.directory.log(f"TensorBoard gets no graph: {error}")
            return ()

    def _save_diagnostics(self, result: Result, trained: Trained, data_set: arrays.Arrays) -> None:
        """The closer look at the finished network; whatever fails in it is logged, since it must not cost the run its result."""
        batch_size = self.experiment.recipe.batch_size
        try:
            record = diagnose(self.experiment, result, trained.model, trained.forward, data_set, result.device, batch_size)
        except Exception as error:
            again = f"to try again: budgetnet inspect {self.experiment.name}"
            self.directory.log(f"no {DIAGNOSTICS} ({type(error).__name__}: {error}); {again}")
            return
        self.directory.save_diagnostics(record)


def _engine_words(trained: Trained, settings: Settings) -> str:
    """Such as 'the C kernels, fp32, 1 thread' or 'plain torch, bf16, cuda'."""
    threads = f"{settings.threads} thread{'' if settings.threads == 1 else 's'}"
    engine = ENGINE_NAMES.get(trained.engine, trained.engine)
    return f"{engine}, {trained.precision}, {threads if settings.device == 'cpu' else settings.device}"


@contextlib.contextmanager
def open_session(experiment: Experiment, seed: int, options: Options, progress: Progress) -> Iterator[Session]:
    """The session in its locked directory. Raises RunDirectoryError where that is in use or cannot be written or read."""
    network = network_fingerprint(experiment)
    with open_run(options.runs, experiment.name, seed) as directory, _engine_log(directory.log):
        yield Session(experiment, seed, options, directory, progress, network)


class _Lines(logging.Handler):
    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        self._write(record.getMessage())
        if record.levelno >= logging.WARNING and not hasattr(record, "shown") and logging.lastResort is not None:
            record.shown = True
            logging.lastResort.handle(record)


@contextlib.contextmanager
def _engine_log(write: Callable[[str], None]) -> Iterator[None]:
    """Log the engine's messages to the run's log; warnings to stderr as well, once."""
    logger, handler = logging.getLogger("budgetnet.engine"), _Lines(write)
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
