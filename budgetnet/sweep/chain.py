"""Studies one after the other, each on what the earlier ones chose, and the plan's end: the test set, used once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from budgetnet.definition import Experiment, Plan, Point, Study, definition_hash
from budgetnet.definition.study import at
from budgetnet.jobs.running import Failure, Job, run_all, run_supplied, workers_for
from budgetnet.progress import ConsoleProgress
from budgetnet.results import Result, read_result
from budgetnet.run import Options
from budgetnet.rundir import RunInUse, open_run
from budgetnet.study_results import STUDIES, StudyRecord
from budgetnet.sweep.sampling import point_of
from budgetnet.sweep.search import POLL, Search
from budgetnet.sweep.storage import Store
from budgetnet.sweep.summary import plan_record, study_record, write_record
from budgetnet.sweep.trials import Trials


class TestSetUsed(Exception):
    """The test set was already used, by another configuration; the message says where and what to do."""

    __test__ = False  # not a test, whatever pytest makes of the name


@dataclass(frozen=True)
class Settings:
    """Options of a sweep from the command line, beside the options of its runs (whose ``runs`` holds ``studies/``)."""

    options: Options
    workers: int | None = None
    storage: str | None = None
    trials: int | None = None
    seeds: tuple[int, ...] | None = None
    adopt: bool = False
    keep_weights: bool = False


@dataclass
class Chain:
    """The choices of the studies so far, and their failures."""

    settings: Settings
    say: Callable[[str], None]
    best: dict[str, Point] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def study(self, study: Study, known: Mapping[str, Study]) -> StudyRecord:
        """Search ``study`` to its end, or as far as it goes; the record says which. ``known`` are studies by name, for ``after``.

        Raises StorageError, OptunaMissing, and what stops runs before they start.
        """
        folder = self.settings.options.runs / STUDIES / study.name
        fixed = self._fixed(study, known)
        base = at(study.base, fixed) if fixed else study.base
        options = replace(self.settings.options, runs=folder)
        device = options.settings.device
        store = Store(self.settings.storage, folder)
        with contextlib.closing(store), store.translated():
            seeds = self.settings.seeds or study.seeds
            trials = Trials(store, study, base, seeds, self.settings.trials, self.settings.adopt)

            def told(lines: Sequence[str]) -> None:
                write_record(folder, study_record(trials, fixed, store.recorded, device))
                for line in lines:
                    self.say(line)

            told(())
            earlier = [folder.parent / one.name for one in before(study, known)[:-1]]
            search = Search(trials, folder, told, self.settings.keep_weights, earlier, device)
            workers = workers_for(len(trials.groups) * len(seeds), device, self.settings.workers)
            try:
                search.run(
                    lambda supply: run_supplied(supply, options, workers, ConsoleProgress()), lambda line: self.say(f"{study.name}  {line}")
                )
            finally:  # an interrupted sweep leaves no trial that is called running
                trials.close()
                record = study_record(trials, fixed, store.recorded, device)
                write_record(folder, record)
            self.failures += search.failures
        if not record.left and record.best_point is not None:
            self.best[study.name] = point_of(study, record.best_point.point)
        return record

    def _fixed(self, study: Study, known: Mapping[str, Study]) -> dict[str, object]:
        """The best points of the studies before, the latest last: what a later one chose is what counts."""
        if study.after is None:
            return {}
        return {**self._fixed(known[study.after], known), **self.best[study.after]}

    def finish(self, plan: Plan) -> list[Result]:
        """Train the chosen configuration, unless that is done, and score it on the test set. Raises TestSetUsed.

        What another process is training is waited for, and taken over should it be killed.
        """
        final = plan.final(self.best)
        folder = self.settings.options.runs / STUDIES / plan.name
        options = replace(self.settings.options, runs=folder)
        waiting = [Job(final, seed) for seed in plan.final_seeds]
        found: dict[int, Result] = {}
        said = set[str]()
        while waiting:
            self._assert_unused(folder / final.name, final)  # each time: who was waited for may have chosen otherwise
            workers = workers_for(len(waiting), options.settings.device, self.settings.workers)
            outcomes = run_all(waiting, options, workers, ConsoleProgress())
            found |= {outcome.seed: outcome for outcome in outcomes if isinstance(outcome, Result)}
            failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
            self.failures += [one for one in failures if not isinstance(one.error, RunInUse)]
            waiting = [one.job for one in failures if isinstance(one.error, RunInUse)]
            for job in waiting:
                self._wait_for(job, folder, said)
        results = [found[seed] for seed in plan.final_seeds if seed in found]
        if len(results) == len(plan.final_seeds):
            chosen = {name: value for study in plan.studies for name, value in self.best[study.name].items()}
            write_record(folder, plan_record(plan, chosen, final, results, options.settings.device))
        return results

    def _wait_for(self, job: Job, folder: Path, said: set[str]) -> None:
        """Until nobody has the run's directory any more; says once who has it."""
        while True:
            try:
                with open_run(folder, job.experiment.name, job.seed):
                    return
            except RunInUse as error:
                now = f"{folder.name}  waits for {job.name}: {str(error).partition(';')[0]}"
                if now not in said:
                    self.say(now)
                    said.add(now)
                time.sleep(POLL)

    def _assert_unused(self, folder: Path, final: Experiment) -> None:
        for directory in sorted(folder.glob("seed-*")):
            result = read_result(directory)
            if result is not None and result.finished and result.definition_hash != definition_hash(final):
                raise TestSetUsed(
                    f"the test set was used by the configuration that was chosen before (its result: {directory}), and now another one is "
                    f"chosen. The first use is the one that counts; to use the test set a second time, and to say so, move {folder} away"
                )


def before(study: Study, known: Mapping[str, Study]) -> list[Study]:
    """The studies that ``study`` comes after, in order, and itself."""
    return [*(before(known[study.after], known) if study.after else ()), study]
