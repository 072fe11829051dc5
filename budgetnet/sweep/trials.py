"""The trials of a study in its storage: made once, claimed by one process at a time, told once.

A study starts with one waiting trial, a ticket, for every point that it will have, so that no two processes can make a point
twice and none can be forgotten. A process claims a ticket by announcing itself, making the ticket running, and signing it: so
one that runs unsigned is left to those who announced themselves, as long as they may be alive. What a dead process had claimed
is adopted: its run directory holds how far it came. A trial that is told is finished for good; one that failed by an
error that code can mend gets another ticket when the sweep is started again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from budgetnet.definition import Experiment, Point, Study
from budgetnet.definition.study import stored
from budgetnet.sweep import points
from budgetnet.sweep.owners import Owner, may_be_alive, owner_of, this_process
from budgetnet.sweep.points import Group
from budgetnet.sweep.sampling import distributions, point_of, propose
from budgetnet.sweep.storage import Store

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

TICKET, POINT, OWNER, ANNOUNCED = "ticket", "point", "owner", "announced-"
NOBODY = "nobody"  # in place of an owner: given back
SECONDS, BY_SEED, REASON, RUN, KEPT, MENDABLE = "seconds", "by_seed", "reason", "run", "weights_kept", "mendable"


@dataclass(frozen=True)
class Outcome:
    """Outcome of a trial: its value, or the reason it failed; accuracies in percent.

    ``mendable``: the code that builds or trains the network may be at fault, so the point is tried again by the next sweep.
    """

    value: float | None
    by_seed: Mapping[int, float]
    seconds: float
    reason: str | None = None
    mendable: bool = False


class Trials:
    """The trials of ``study`` on ``base`` (earlier best points put in) for ``seeds``; ``count`` of them for TPE.

    ``adopt`` also takes over what processes on other hosts claimed, of which nobody here can know whether they live.
    What the storage raises is for the caller to translate (``Store.translated``).
    """

    def __init__(
        self, store: Store, study: Study, base: Experiment, seeds: Sequence[int], count: int | None = None, adopt: bool = False
    ) -> None:
        self.study, self.base, self.seeds = study, base, tuple(seeds)
        self.digest = study.digest(base, self.seeds)
        self.left_alone: set[int] = set()  # tickets that another process turned out to hold, or that cannot be done now
        self._grid = study.grid() if study.sampler == "grid" else None
        self.count = len(self._grid) if self._grid is not None else count or study.trials or 0
        self._store, self._adopt, self._me = store, adopt, this_process()
        self._announced = f"{ANNOUNCED}{self._me.host}-{self._me.pid}-{self._me.started}"  # a key that no other process writes
        self._before: dict[int, Any] = {}
        self._distributions = distributions(study)
        self._open()

    def _open(self) -> None:
        """Find the study, or make it, with a ticket for every trial, and another one for those that are worth it."""
        import optuna

        sampler = optuna.samplers.RandomSampler()  # never asked: points come from the grid or from propose()
        with self._store.lock():
            self._study = optuna.create_study(
                study_name=f"{self.study.name}-{self.digest}", storage=self._store.storage, sampler=sampler, direction="maximize",
                load_if_exists=True,
            )  # fmt: skip
            there = self.tickets()
            for index in range(self.count):
                if index not in there:
                    self._study.enqueue_trial({}, user_attrs={TICKET: index})
                elif _is_mendable(there[index]):
                    kept = there[index].user_attrs.get(POINT)
                    self._study.enqueue_trial({}, user_attrs={TICKET: index, **({} if kept is None else {POINT: kept})})
        self._id = self._store.storage.get_study_id_from_name(self._study.study_name)

    def tickets(self) -> dict[int, FrozenTrial]:
        """The trials by ticket, of those that were tried again the last.

        Where two machines made the same ticket at once, the first stands and nobody claims the other.
        """
        found: dict[int, FrozenTrial] = {}
        for trial in self._study.get_trials(deepcopy=False):
            index = trial.user_attrs.get(TICKET, self.count)
            if index < self.count and (index not in found or _is_mendable(found[index])):
                found[index] = trial
        return dict(sorted(found.items()))

    def stored_point(self, trial: FrozenTrial) -> dict[str, Any] | None:
        """The stored values of a trial's point; None where TPE has not proposed it yet."""
        if self._grid is not None:
            return {field: stored(value) for field, value in self._grid[trial.user_attrs[TICKET]].items()}
        return trial.user_attrs.get(POINT)

    @cached_property
    def groups(self) -> Sequence[Group]:
        if self._grid is not None:
            return points.groups(self.study, self.base)
        return [Group(index, (index,)) for index in range(self.count)]

    # --- claiming -----------------------------------------------------------------------------------------------------

    def claim(self) -> tuple[Group, Point] | None:
        """The next run that is to be done and its point, now this process's own; None where there is nothing to claim."""
        with self._store.lock():
            tickets = self.tickets()
            for group in self.groups:
                if group.leader in self.left_alone or not self._claim(tickets[group.leader]):
                    continue
                point = self._settle_point(tickets[group.leader], tickets)
                for index in group.members:
                    if index != group.leader and self._claim(tickets[index]):
                        self._settle_point(tickets[index], tickets)
                return group, point
        return None

    def _claim(self, trial: FrozenTrial) -> bool:
        """Make a waiting trial, or one that a dead process left, this process's own."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        storage, number = self._store.storage, self._trial_id(trial)
        if trial.state == TrialState.WAITING:
            try:
                storage.set_trial_user_attr(number, self._announced, self._me.as_attribute())
                claimed = storage.set_trial_state_values(number, TrialState.RUNNING)
            except UpdateFinishedTrialError:  # by a machine that does not share the lock file
                return False
        else:
            claimed = trial.state == TrialState.RUNNING and self._adoptable(trial)
        if claimed:
            self._before[trial.user_attrs[TICKET]] = trial.user_attrs.get(OWNER)
            storage.set_trial_user_attr(number, OWNER, self._me.as_attribute())
        return claimed

    def _adoptable(self, trial: FrozenTrial) -> bool:
        holders = _holders(trial)
        if self._me in holders and trial.user_attrs[TICKET] in self._before:
            return False
        others = [owner for owner in holders if owner != self._me]  # what is this process's own was left by an earlier sweep of it
        return not any(may_be_alive(owner) and not (self._adopt and owner.host != self._me.host) for owner in others)

    def _settle_point(self, trial: FrozenTrial, tickets: Mapping[int, FrozenTrial]) -> Point:
        """The trial's point, proposed now if it has none, and written so that a kill at any moment leaves all of it or none."""
        storage, number = self._store.storage, self._trial_id(trial)
        kept = self.stored_point(trial)
        if kept is None:
            kept = propose(self.study, tickets.values(), trial.user_attrs[TICKET], self.seeds[0])
            storage.set_trial_user_attr(number, POINT, kept)
        for field, distribution in self._distributions.items():
            if field not in trial.params:
                storage.set_trial_param(number, field, distribution.to_internal_repr(kept[field]), distribution)
        return self._grid[trial.user_attrs[TICKET]] if self._grid is not None else point_of(self.study, kept)

    def _trial_id(self, trial: FrozenTrial) -> int:
        return self._store.storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def tell(self, index: int, outcome: Outcome, run: str | None, weights_kept: bool = False) -> None:
        """Finish a trial: with its value, or as failed with the reason. ``run`` is its folder's name; None where there can be none."""
        from optuna.trial import TrialState

        trial = self.tickets()[index]
        if trial.state.is_finished():
            return
        number = self._trial_id(trial)
        found = {SECONDS: outcome.seconds, BY_SEED: {str(seed): value for seed, value in outcome.by_seed.items()}, RUN: run}
        for key, value in {**found, REASON: outcome.reason, KEPT: weights_kept, MENDABLE: outcome.mendable}.items():
            self._store.storage.set_trial_user_attr(number, key, value)
        if outcome.value is None:
            self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        else:
            self._study.tell(trial.number, outcome.value, skip_if_finished=True)

    def give_back(self, group: Group, still_held: bool = False) -> None:
        """Leave a run to whoever comes next; ``still_held``: another process has its directory, so it stays that one's."""
        self.left_alone.add(group.leader)
        with self._store.lock():
            tickets = self.tickets()
            for index in group.members:
                if not tickets[index].state.is_finished() and index in self._before:
                    owner = (self._before[index] if still_held else None) or NOBODY
                    self._store.storage.set_trial_user_attr(self._trial_id(tickets[index]), OWNER, owner)

    def is_running(self, trial: FrozenTrial, ended: bool = False) -> bool:
        """Tell whether a process that may be alive works on a claimed trial; ``ended``: this process no longer works on any."""
        return any(may_be_alive(owner) and not (ended and owner == self._me) for owner in _holders(trial))

    def others(self) -> dict[Owner, int]:
        """The processes, other than this one, that hold trials, and how many each."""
        from optuna.trial import TrialState

        found: dict[Owner, int] = {}
        for trial in self.tickets().values():
            if trial.state == TrialState.RUNNING:
                found.update({owner: found.get(owner, 0) + 1 for owner in _holders(trial) if owner != self._me})
        return found


def _is_mendable(trial: FrozenTrial) -> bool:
    return trial.state.name == "FAIL" and bool(trial.user_attrs.get(MENDABLE))


def _holders(trial: FrozenTrial) -> list[Owner]:
    """Return the owner of a running trial; before one has signed it, the processes that announced to."""
    attributes = trial.user_attrs
    said = [attributes[OWNER]] if OWNER in attributes else [attributes[key] for key in attributes if key.startswith(ANNOUNCED)]
    return [owner for owner in map(owner_of, said) if owner is not None]
