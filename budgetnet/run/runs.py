"""Running: what is finished is found again, what was begun goes on, and every run has a directory of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from budgetnet.data import arrays
from budgetnet.definition import Experiment
from budgetnet.engine.choice import Settings
from budgetnet.engine.memory import keep_freed_memory
from budgetnet.engine.stacked.layouts import LAYOUTS
from budgetnet.engine.subnormals import flushed_subnormals
from budgetnet.progress import Progress
from budgetnet.results import Result
from budgetnet.run.alone import train_alone
from budgetnet.run.gates import assert_budget
from budgetnet.run.options import Options
from budgetnet.run.session import open_session
from budgetnet.run.together import Outcomes, train_together
from budgetnet.rundir import RunDirectoryError


def run(experiment: Experiment, seed: int, options: Options, progress: Progress) -> Result:
    """Train one experiment with one seed, or take up where it was left; a finished run is returned as it is.

    Raises BudgetExceeded before any data is read, DataError, RunDirectoryError, Diverged, EngineError, or OSError for a disk that
    is full; what was there before stays.
    """
    if trains_together(options.settings):
        outcome = run_together(experiment, [seed], options, progress)[seed]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome
    keep_freed_memory()
    assert_budget(experiment)
    with flushed_subnormals(), open_session(experiment, seed, options, progress) as session:
        earlier = session.finished()
        if earlier is not None:
            return earlier
        data_set = arrays.load(experiment.data_set, options.data_dir, options.download)
        return train_alone(session, data_set, options.settings)


def trains_together(settings: Settings) -> bool:
    """Tell whether runs use the stacked engine: on CUDA unless another engine is asked for, on a CPU only if it is."""
    return settings.engine in ("stacked", *LAYOUTS) or (settings.engine == "auto" and settings.device == "cuda")


def run_together(experiment: Experiment, seeds: Sequence[int], options: Options, progress: Progress) -> Outcomes:
    """Train the seeds of one experiment at once, or take them up where they were left: a result for each, or the error that ended it.

    Raises what would end all of them before they start: BudgetExceeded before any data is read, DataError.
    """
    keep_freed_memory()
    assert_budget(experiment)
    outcomes: Outcomes = {}
    with flushed_subnormals(), contextlib.ExitStack() as open_sessions:
        sessions = []
        for seed in seeds:
            try:
                session = open_sessions.enter_context(open_session(experiment, seed, options, progress))
            except (RunDirectoryError, OSError) as error:
                outcomes[seed] = error
                continue
            earlier = session.finished()
            if earlier is not None:
                outcomes[seed] = earlier
            else:
                sessions.append(session)
        if sessions:
            data_set = arrays.load(experiment.data_set, options.data_dir, options.download)
            outcomes |= train_together(sessions, data_set, options.settings)
    return outcomes
