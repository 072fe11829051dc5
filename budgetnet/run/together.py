"""Several sessions of one experiment that train at once on one device."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from budgetnet.building import build_model
from budgetnet.data import arrays
from budgetnet.definition import ReduceLROnPlateau
from budgetnet.engine.choice import EngineError, Settings
from budgetnet.engine.loop import Diverged
from budgetnet.engine.stacked.stack import NotStackable
from budgetnet.engine.stacked.training import StackedTraining
from budgetnet.results import Result
from budgetnet.run.alone import train_alone
from budgetnet.run.data import RunData, data_of_seeds, stacked
from budgetnet.run.gates import assert_budget
from budgetnet.run.rehearsal import rehearse
from budgetnet.run.session import Session

log = logging.getLogger("budgetnet.engine.together")  # in the runs' logs, as what the engine says

CHECKPOINT_SECONDS = 10  # an epoch may take a tenth of a second here, and its checkpoints as much
TICK_STEPS = 20  # steps between two reports of progress, for the same reason

Outcomes = dict[int, Result | BaseException]


def _of_one_epoch(sessions: Sequence[Session]) -> list[list[Session]]:
    """Those that can train at once: at the same epoch, where the learning rate is the same; one by one where it never surely is."""
    groups: dict[int, list[Session]] = {}
    apart = isinstance(sessions[0].experiment.recipe.schedule, ReduceLROnPlateau)
    for place, session in enumerate(sessions):
        groups.setdefault(-1 - place if apart else len(session.records), []).append(session)
    return [*groups.values()]


def train_together(sessions: Sequence[Session], data_set: arrays.Arrays, settings: Settings) -> Outcomes:
    """A result for each seed, or the error that ended its run; what ends one group does not end the others."""
    outcomes: Outcomes = {}
    for group in _of_one_epoch(sessions):
        try:
            outcomes |= _train(group, data_set, settings)
        except Exception as error:
            for session in group:
                session.fail(error)
            outcomes |= {session.seed: error for session in group}
    return outcomes


def _train(sessions: Sequence[Session], data_set: arrays.Arrays, settings: Settings) -> Outcomes:
    """Train a group; where the device's memory is too small for all at once, in halves."""
    try:
        return _train_at_once(sessions, data_set, settings)
    except torch.OutOfMemoryError as error:
        if len(sessions) == 1:
            sessions[0].fail(error)
            return {sessions[0].seed: EngineError("the device's memory is too small for this run; choose --device cpu")}
    half = len(sessions) // 2
    for session in sessions:
        session.directory.log(f"the device's memory is too small for {len(sessions)} runs at once: going on with fewer")
        session.reload()
    return _train(sessions[:half], data_set, settings) | _train(sessions[half:], data_set, settings)


def _train_at_once(sessions: Sequence[Session], data_set: arrays.Arrays, settings: Settings) -> Outcomes:
    experiment, seeds = sessions[0].experiment, [session.seed for session in sessions]
    data = data_of_seeds(experiment, data_set, seeds, torch.device(settings.device))
    models = [build_model(experiment, seed) for seed in seeds]
    counts = {seed: assert_budget(experiment, model) for seed, model in zip(seeds, models, strict=True)}
    in_python = rehearse(functools.partial(build_model, experiment, seeds[0]), data[0], experiment.recipe.optimizer)
    try:
        if in_python is not None:
            raise NotStackable(in_python)
        training = StackedTraining(
            models, experiment.recipe, experiment.data_set.image_shape, seeds,
            stacked(experiment, data), settings,
        )  # fmt: skip
    except NotStackable as error:
        if settings.engine == "auto":
            log.info("trained one by one, because they cannot be stacked: %s", error)
            return {session.seed: _alone(session, data_set, replace(settings, engine="eager")) for session in sessions}
        raise EngineError(f"{experiment.name} cannot be trained as a stack: {error}; use --engine eager") from error
    states = [session.state for session in sessions if session.state is not None]
    if states:
        training.load_state_dicts(states)
    outcomes = _epochs(training, sessions, data)
    for session, member, own in zip(sessions, training.members, data, strict=True):
        if session.seed not in outcomes:
            outcomes[session.seed] = session.finish(counts[session.seed], member, own, data_set)
    return outcomes


def _alone(session: Session, data_set: arrays.Arrays, settings: Settings) -> Result | BaseException:
    try:
        return train_alone(session, data_set, settings)
    except Exception as error:  # the next one goes on
        session.fail(error)
        return error


def _epochs(training: StackedTraining, sessions: Sequence[Session], data: Sequence[RunData]) -> Outcomes:
    """Train to the end, keeping every epoch of every run; returns those that broke on the way."""
    broken: Outcomes = {}
    until, saved = sessions[0].until, time.monotonic()
    with contextlib.ExitStack() as open_files:
        for session, member, own in zip(sessions, training.members, data, strict=True):
            open_files.enter_context(session.training(member, own))
        for records in training.train(until, _Ticks(sessions)):
            due = training.epoch == until or time.monotonic() - saved >= CHECKPOINT_SECONDS
            saved = time.monotonic() if due else saved
            for session, member, record in zip(sessions, training.members, records, strict=True):
                if session.seed in broken:
                    continue
                if isinstance(record, Diverged):
                    broken[session.seed] = record
                    session.fail(record)
                else:
                    session.keep(record, member, checkpoint=due)
            if len(broken) == len(sessions):
                break
    return broken


class _Ticks:
    """Passes progress on to every session, now and then."""

    def __init__(self, sessions: Iterable[Session]) -> None:
        self._sessions, self._steps, self._images = [*sessions], 0, 0

    def __call__(self, images: int) -> None:
        self._steps += 1
        self._images += images
        if self._steps % TICK_STEPS == 0:
            for session in self._sessions:
                session.tick(self._images)
            self._images = 0
