"""Searching: claim runs, have them trained, tell what came of them, until the study is done or nothing more can be done."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from budgetnet.data.files import DataError
from budgetnet.definition import DefinitionError, Experiment, Point
from budgetnet.engine.choice import EngineError
from budgetnet.engine.loop import Diverged
from budgetnet.jobs.running import Failure, Job, Supply, WorkerDied
from budgetnet.jobs.running import Outcome as RunOutcome
from budgetnet.metrics import EpochRecord
from budgetnet.results import ResultError
from budgetnet.run import BudgetExceeded
from budgetnet.rundir import RunDirectory, RunDirectoryError, RunInUse
from budgetnet.sweep.points import EPOCHS, Group, trial_experiment
from budgetnet.sweep.reuse import trained_before
from budgetnet.sweep.trials import Outcome, Trials

# What says something about the point: its trial has failed, and the search goes on.
POINTS_FAULT = (Diverged, BudgetExceeded, DefinitionError)
# What says something about the machine: the trial is left to be continued. The second kind would hit every other run as well.
PASSING = (WorkerDied, RunDirectoryError, EngineError, ResultError)
STOPPING = (OSError, DataError)

POLL = 1.0  # seconds between two looks at what other processes do

Runner = Callable[[Supply], Generator[tuple[Any, RunOutcome]]]


@dataclass
class _Open:
    """A claimed run with what its seeds have given so far: records of the whole epochs, and why there are no more of them."""

    group: Group
    point: Point
    experiment: Experiment
    records: dict[int, tuple[EpochRecord, ...]] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    mendable: bool = False  # whether code may be at fault: a run diverges each time, what a build raises may be mended
    running: int = 0
    left: Failure | None = None  # what ended a seed without saying anything about the point


class Search:
    """A study as this process works on it.

    ``runs`` is the folder of the study's run directories; ``told`` is called after trials were told, with a line for each.
    ``earlier`` are the folders of the studies before, where the same run may have been trained already, on ``device``.
    ``failures`` holds what ended runs without saying anything about their points.
    """

    def __init__(
        self,
        trials: Trials,
        runs: Path,
        told: Callable[[Sequence[str]], None],
        keep_weights: bool = False,
        earlier: Sequence[Path] = (),
        device: str = "cpu",
    ) -> None:
        self.trials, self.failures = trials, list[Failure]()
        self._runs, self._told, self._keep_weights = runs, told, keep_weights
        self._earlier, self._device = tuple(earlier), device
        self._waiting: deque[tuple[_Open, Job]] = deque()
        self._in_use: set[int] = set()  # left alone because another process has the directory: worth another look
        self._stopped = False

    def run(self, runner: Runner, wait_for_others: Callable[[str], None]) -> bool:
        """Work until every trial is told, by this process or another; False where some had to be left.

        ``runner`` trains what it is supplied with (``jobs.run_supplied``); ``wait_for_others`` is told once for whom it waits.
        """
        said = ""
        while True:
            with contextlib.closing(runner(self.supply)) as ended:
                for (opened, job), outcome in ended:
                    self._take(opened, job, outcome)
            others, left = self.trials.others, self.trials.unfinished
            if not left or self._stopped or not (others or self._in_use):
                return not left
            now = "waits for trials that another process runs, or left; --adopt takes them over at once"
            if now != said:
                wait_for_others(now)
                said = now
            time.sleep(POLL)
            self.trials.release(self._in_use)
            self._in_use.clear()

    def supply(self) -> tuple[tuple[_Open, Job], Job] | None:
        """The next seed of a claimed run, else of a run claimed now."""
        while not self._waiting and not self._stopped:
            claimed = self.trials.claim()
            if claimed is None:
                break
            self._open(*claimed)
        if not self._waiting or self._stopped:
            return None
        opened, job = self._waiting.popleft()
        opened.running += 1
        return (opened, job), job

    def _open(self, group: Group, point: Point) -> None:
        """Queue the seeds of a claimed run that no earlier study has trained; where there is none left, tell at once."""
        try:
            experiment = trial_experiment(self.trials.study, self.trials.base, point)
        except DefinitionError as error:  # each value can be, but not all of them together: nothing that trying again would mend
            impossible = Outcome(None, {}, 0.0, str(error))
            self._tell_all(group, lambda _: impossible, None)
            return
        opened = _Open(group, point, experiment)
        for seed in self.trials.seeds:
            records = trained_before(opened.experiment, seed, self._device, self._earlier)
            if records is None:
                self._waiting.append((opened, Job(opened.experiment, seed)))
            else:
                opened.records[seed] = records
        if len(opened.records) == len(self.trials.seeds):
            self._tell(opened)

    # --- outcomes -----------------------------------------------------------------------------------------------------

    def _take(self, opened: _Open, job: Job, outcome: RunOutcome) -> None:
        opened.running -= 1
        if not isinstance(outcome, Failure):
            opened.records[job.seed] = outcome.epochs
        elif isinstance(outcome.error, (*PASSING, *STOPPING)):
            opened.left = outcome
            self._stopped |= isinstance(outcome.error, STOPPING)
            self._waiting = deque(one for one in self._waiting if one[0] is not opened)
            if not isinstance(outcome.error, RunInUse):
                self.failures.append(outcome)
        else:
            said = str(outcome.error).splitlines()
            opened.reasons[job.seed] = said[0] if said else type(outcome.error).__name__
            opened.mendable |= not isinstance(outcome.error, Diverged)
            opened.records[job.seed] = self._records_before_the_end(job) if isinstance(outcome.error, Diverged) else ()
            if not isinstance(outcome.error, POINTS_FAULT):
                self.failures.append(outcome)  # nothing that a point should be able to cause: shown with its traceback
        if opened.left is not None and not opened.running:
            if isinstance(opened.left.error, RunInUse):
                self._in_use.add(opened.group.leader)
        elif len(opened.records) == len(self.trials.seeds):
            self._tell(opened)

    def _records_before_the_end(self, job: Job) -> tuple[EpochRecord, ...]:
        """The whole epochs of a run that diverged: where epochs are nested, the shorter points have their values."""
        directory = RunDirectory(self._runs / job.experiment.name / f"seed-{job.seed}")
        state = directory.load_checkpoint()
        return () if state is None else tuple(EpochRecord(**record) for record in state["records"])

    def _tell(self, opened: _Open) -> None:
        self._tell_all(opened.group, lambda index: self._outcome(opened, self._epochs(index, opened)), opened.experiment.name)

    def _tell_all(self, group: Group, outcome_of: Callable[[int], Outcome], run: str | None) -> None:
        """Tell every point of a run; None: the run cannot be, so that there is no folder either."""
        if run is not None and not self._keep_weights:
            self._drop_weights(run)  # first: a process killed before it tells finds the run finished next time
        lines = []
        for index in group.telling_order:
            outcome = outcome_of(index)
            self.trials.tell(index, outcome, run)
            lines.append(self._line(index, outcome))
        self._told(lines)

    def _epochs(self, index: int, opened: _Open) -> int:
        """The epoch after which a point's value stands in the record of the run that answers it."""
        if len(opened.group.members) == 1:
            return opened.experiment.recipe.epochs
        return int(self.trials.study.grid()[index][EPOCHS])

    def _outcome(self, opened: _Open, epochs: int) -> Outcome:
        reached = {seed: records[:epochs] for seed, records in sorted(opened.records.items()) if len(records) >= epochs}
        by_seed = {seed: records[-1].validation_accuracy for seed, records in reached.items()}
        seconds = sum(record.seconds for records in opened.records.values() for record in records[:epochs])
        if len(by_seed) < len(self.trials.seeds):
            short = [f"seed {seed}: {why}" for seed, why in sorted(opened.reasons.items()) if seed not in by_seed]
            return Outcome(None, by_seed, seconds, "; ".join(short), opened.mendable)
        return Outcome(math.fsum(by_seed.values()) / len(by_seed), by_seed, seconds)

    def _line(self, index: int, outcome: Outcome) -> str:
        study = self.trials.study
        kept = self.trials.stored_point(index, self.trials.tickets().get(index)) or {}
        at = ", ".join(f"{name.rpartition('.')[2].replace('_', ' ')} {value}" for name, value in kept.items())
        said = f"{outcome.value:.2f} %" if outcome.value is not None else f"failed: {outcome.reason}"
        return f"{study.name}  trial {index + 1}/{self.trials.count}  {at}: {said}"

    # --- what stays ---------------------------------------------------------------------------------------------------

    def _drop_weights(self, name: str) -> None:
        for seed in self.trials.seeds:
            RunDirectory(self._runs / name / f"seed-{seed}").drop_weights()
