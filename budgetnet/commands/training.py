"""``run``: every budget first, then every run, then the verdicts."""

from __future__ import annotations

import sys
import time
import traceback
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace

import torch

from budgetnet.catalogue import Catalogue
from budgetnet.cli import ACCURACY, BUDGET, DATA, OK, OTHER, USAGE, complain
from budgetnet.data import arrays
from budgetnet.data.files import DataError, DataNotFound
from budgetnet.data.specs import DIGITS
from budgetnet.definition import DefinitionError, Experiment
from budgetnet.engine.choice import EngineError, Settings
from budgetnet.engine.loop import Diverged
from budgetnet.environment import usable_cores
from budgetnet.jobs.running import Failure, Job, Outcome, WorkerDied, run_all, workers_for
from budgetnet.progress import ConsoleProgress
from budgetnet.report.tables import verdict_lines
from budgetnet.results import Result, ResultError
from budgetnet.run import BudgetExceeded, Options, assert_budget, resolve_device, target_epochs, trains_together
from budgetnet.rundir import RunDirectoryError
from budgetnet.verdict import aim_verdict

FALLBACK = "-digits"  # behind the name of an experiment that had to train on other data

STATUS: dict[type[BaseException], int] = {
    BudgetExceeded: BUDGET, DataError: DATA, DefinitionError: USAGE, Diverged: OTHER, EngineError: OTHER, OSError: OTHER,
    ResultError: OTHER, RunDirectoryError: OTHER, WorkerDied: OTHER,
}  # fmt: skip


def run(arguments: Namespace, catalogue: Catalogue) -> int:
    """Train what is not finished, then print what the results say."""
    experiments = catalogue.select(arguments.names)
    try:
        options = options_from(arguments)
        for experiment in experiments:
            target_epochs(experiment, options)
            assert_budget(experiment)
        experiments = _with_data(experiments, arguments, options)
    except tuple(STATUS) as error:
        return complain(error, status_of(error))
    trained = {e.runs_name: catalogue[e.runs_name] if e.same_as else e for e in experiments}
    jobs = [Job(experiment, seed) for experiment in trained.values() for seed in arguments.seeds]
    together = trains_together(options.settings) and arguments.workers is None
    workers = 1 if together else workers_for(len(jobs), options.settings.device, arguments.workers)
    if workers == 1 and options.settings.device == "cpu":
        torch.set_num_threads(options.settings.threads)
    outcomes = run_all(jobs, options, workers, ConsoleProgress())
    failed, judged = report_failures(outcomes), _report_verdicts(experiments, outcomes, arguments.assert_aim)
    return failed or judged


def options_from(arguments: Namespace) -> Options:
    settings = Settings(
        device=resolve_device(arguments.device),
        engine=arguments.engine,
        threads=arguments.threads or usable_cores(),
        precision=arguments.precision,
        probed_since=time.time() if arguments.reprobe else 0.0,
    )
    return Options(runs=arguments.runs, settings=settings, data_dir=arguments.data, epochs=arguments.epochs)


def _with_data(experiments: Sequence[Experiment], arguments: Namespace, options: Options) -> list[Experiment]:
    """See that every data set is there before any run starts; fall back to the small digits only where that was asked for."""
    ready = []
    for experiment in experiments:
        try:
            arrays.load(experiment.data_set, options.data_dir, options.download)
        except DataNotFound as error:  # data that is there and wrong is never passed over
            if not arguments.digits_fallback:
                raise
            print(
                f"\n*** {error}\n*** Falling back to scikit-learn's 8×8 digits scaled up: this is NOT MNIST, and nothing is judged.\n",
                file=sys.stderr,
            )
            experiment = replace(
                experiment,
                name=f"{experiment.name}{FALLBACK}",
                same_as=None,
                data_set=DIGITS,
                aim=None,
                reported=None,
                notes="Trained on small digits, not MNIST.",
            )
        ready.append(experiment)
    return ready


def status_of(error: BaseException) -> int:
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), OTHER)


def report_failures(outcomes: Sequence[Outcome]) -> int:
    """A sentence per failed run; the exit status of the first. What no user can cause keeps its traceback."""
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    for failure in failures:
        error = failure.error
        if isinstance(error, OSError):
            where = f" ({error.filename})" if error.filename else ""
            complain(f"{failure.job.name}: {error.strerror or error}{where}; what was finished before is kept", OTHER)
        else:
            if not isinstance(error, tuple(STATUS)):
                traceback.print_exception(error)
            complain(f"{failure.job.name}: {error}", OTHER)
    return status_of(failures[0].error) if failures else OK


def _report_verdicts(experiments: Sequence[Experiment], outcomes: Sequence[Outcome], assert_aim: bool) -> int:
    status = OK
    for experiment in experiments:
        results = [outcome for outcome in outcomes if isinstance(outcome, Result) and outcome.experiment == experiment.runs_name]
        if not results:
            continue
        print()
        if experiment.same_as is not None:
            print(f"{experiment.name} trains exactly what {experiment.same_as} does; the runs are those of {experiment.same_as}")
        print("\n".join(verdict_lines(experiment, results)))
        if experiment.data_set is DIGITS and experiment.name.endswith(FALLBACK):
            print("  on scikit-learn's small digits, NOT on MNIST: this says nothing about the aim")
        finished = [result.last.validation_accuracy for result in results if result.finished]
        aim = None if experiment.aim is None else experiment.aim.accuracy
        if assert_aim and aim_verdict(finished, aim).word == "missed":
            status = ACCURACY
    return status
