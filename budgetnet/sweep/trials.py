"""Trials of a study, asked of Optuna and told to it.

Every run of a study is queued as one Optuna trial with a ticket, the index of its point. Optuna hands each trial to one process
(``ask``) and its heartbeat finds the trials of dead processes, which are queued again; their run directories hold how far they
came. Points that are read off a longer run are added when it has ended.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from budgetnet.definition import Experiment, Point, Study
from budgetnet.definition.study import stored
from budgetnet.sweep import points
from budgetnet.sweep.points import Group
from budgetnet.sweep.sampling import distributions, point_of, proposed
from budgetnet.sweep.storage import HEARTBEAT, Store

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

TICKET, SECONDS, BY_SEED, REASON, RUN, MENDABLE = "ticket", "seconds", "by_seed", "reason", "run", "mendable"


@dataclass(frozen=True)
class Outcome:
    """Outcome of a trial: its value, or the reason it failed; accuracies in percent.

    ``mendable``: the code that builds or trains the network may be at fault, so the next sweep tries the point again.
    """

    value: float | None
    by_seed: Mapping[int, float]
    seconds: float
    reason: str | None = None
    mendable: bool = False


class Trials:
    """The trials of ``study`` on ``base`` (earlier best points put in) for ``seeds``; ``count`` of them for TPE.

    ``adopt`` queues every trial again that is marked as running, without waiting for its heartbeat to stop.
    Storage errors are left to the caller (``Store.translated``). Call ``close`` at the end.
    """

    def __init__(
        self, store: Store, study: Study, base: Experiment, seeds: Sequence[int], count: int | None = None, adopt: bool = False
    ) -> None:
        self.study, self.base, self.seeds = study, base, tuple(seeds)
        self.digest = study.digest(base, self.seeds)
        self._grid = study.grid() if study.sampler == "grid" else None
        self.count = len(self._grid) if self._grid is not None else count or study.trials or 0
        self._storage = store.storage
        self._mine: dict[int, Trial] = {}  # by ticket
        self._distributions = distributions(study)
        self._open(adopt)
        self._stopped = threading.Event()
        self._heartbeat = threading.Thread(target=self._beat, daemon=True)
        self._heartbeat.start()

    def _open(self, adopt: bool) -> None:
        """Find or create the study and queue the runs that it lacks."""
        import optuna

        self._study = optuna.create_study(
            study_name=f"{self.study.name}-{self.digest}-queue", storage=self._storage, direction="maximize", load_if_exists=True
        )
        there = self.tickets()
        if adopt:
            self._retry(trial for trial in there.values() if trial.state.name == "RUNNING")
        for group in self.groups:
            known = there.get(group.leader)
            if known is None:
                point = {} if self._grid is None else self._stored(self._grid[group.leader])
                self._study.enqueue_trial(point, user_attrs={TICKET: group.leader})
            elif any(index in there and _is_superseded(there[index]) for index in group.members):
                self._queue_again(known)

    def tickets(self) -> dict[int, FrozenTrial]:
        """The trial that counts for each ticket: the first one, or the one that tries it again."""
        found: dict[int, FrozenTrial] = {}
        for trial in self._study.get_trials(deepcopy=False):
            index = trial.user_attrs.get(TICKET, self.count)
            if index < self.count and (index not in found or _is_superseded(found[index])):
                found[index] = trial
        return dict(sorted(found.items()))

    def stored_point(self, index: int, trial: FrozenTrial | None) -> dict[str, Any] | None:
        """The stored values of a point; None where TPE has not proposed it yet."""
        if self._grid is not None:
            return self._stored(self._grid[index])
        return proposed(self.study, trial.params) if trial is not None and trial.params else None

    def _stored(self, point: Point) -> dict[str, Any]:
        return {field: stored(value) for field, value in point.items()}

    @cached_property
    def groups(self) -> Sequence[Group]:
        if self._grid is not None:
            return points.groups(self.study, self.base)
        return [Group(index, (index,)) for index in range(self.count)]

    @property
    def unfinished(self) -> int:
        """Points without an outcome."""
        return self.count - sum(trial.state.is_finished() for trial in self.tickets().values())

    @property
    def others(self) -> int:
        """Trials that other processes run."""
        return sum(t.state.name == "RUNNING" and index not in self._mine for index, t in self.tickets().items())

    def claim(self) -> tuple[Group, Point] | None:
        """Ask for the next run; None where no run is queued."""
        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the heartbeat is experimental in Optuna, and beats here outside of optimize()
            optuna.storages.fail_stale_trials(self._study)
            by_leader = {group.leader: group for group in self.groups}
            while "WAITING" in (states := [trial.state.name for trial in self.tickets().values()]):
                # seeded by trial: what a continued search proposes depends on its trials only
                self._study.sampler = optuna.samplers.TPESampler(seed=self.seeds[0] + len(states) - states.count("WAITING"))
                trial = self._study.ask(self._distributions)
                index = trial.user_attrs.get(TICKET, self.count)
                if index not in by_leader or self.tickets()[index].number != trial.number:  # queued twice, or not by this sweep
                    self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
                    continue
                self._mine[index] = trial
                self._record_heartbeats()
                if self._grid is not None:
                    return by_leader[index], self._grid[index]
                return by_leader[index], point_of(self.study, proposed(self.study, trial.params))
        return None

    def tell(self, index: int, outcome: Outcome, run: str | None) -> None:
        """Finish a trial with its value, or as failed with the reason. ``run`` is its folder's name; None where there is none."""
        import optuna

        found = {SECONDS: outcome.seconds, BY_SEED: {str(seed): value for seed, value in outcome.by_seed.items()}, RUN: run}
        found |= {REASON: outcome.reason, MENDABLE: outcome.mendable}
        state = optuna.trial.TrialState.FAIL if outcome.value is None else optuna.trial.TrialState.COMPLETE
        trial = self._mine.get(index)
        if trial is not None:
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # taken over while this process was suspended
                for key, value in found.items():
                    trial.set_user_attr(key, value)
                self._study.tell(trial, outcome.value, state if outcome.value is None else None, skip_if_finished=True)
            del self._mine[index]
            return
        known = self.tickets().get(index)
        if known is None or _is_superseded(known):
            assert self._grid is not None
            answered = optuna.create_trial(
                state=state,
                value=outcome.value,
                params=self._stored(self._grid[index]),
                distributions=self._distributions,
                user_attrs={TICKET: index, **found},
            )
            self._study.add_trial(answered)

    def release(self, leaders: Iterable[int]) -> None:
        """Queue runs of this process again."""
        tickets = self.tickets()
        mine = [index for index in leaders if self._mine.pop(index, None) is not None]
        self._retry(tickets[index] for index in mine if not tickets[index].state.is_finished())

    def close(self) -> None:
        """Queue again what this process did not finish, and stop its heartbeat."""
        self._stopped.set()
        self._heartbeat.join()
        self.release(list(self._mine))

    def _retry(self, trials: Iterable[FrozenTrial]) -> None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        for trial in trials:
            with contextlib.suppress(UpdateFinishedTrialError):  # by another process
                self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                self._queue_again(trial)

    def _queue_again(self, trial: FrozenTrial) -> None:
        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again = optuna.create_trial(
                state=optuna.trial.TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs={TICKET: trial.user_attrs[TICKET]},
                system_attrs={**trial.system_attrs, "failed_trial": trial.number},
            )
            self._study.add_trial(again)

    def _beat(self) -> None:
        while not self._stopped.wait(HEARTBEAT):
            with contextlib.suppress(Exception):  # a storage that is away for a moment; what lasts is met by the search itself
                self._record_heartbeats()

    def _record_heartbeats(self) -> None:
        from optuna.storages import RDBStorage

        backend = getattr(self._storage, "_backend", self._storage)
        if isinstance(backend, RDBStorage):
            for trial in list(self._mine.values()):
                backend.record_heartbeat(trial._trial_id)


def _is_superseded(trial: FrozenTrial) -> bool:
    """Whether a failed trial is tried again: its process died or was interrupted, or its code may have been mended."""
    return trial.state.name == "FAIL" and (trial.user_attrs.get(REASON) is None or bool(trial.user_attrs.get(MENDABLE)))
