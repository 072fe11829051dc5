"""Record of a study for reports, made from its trials and replaced after each of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budgetnet.definition import Choices, Experiment, Plan, Point, Study, definition_hash
from budgetnet.definition.study import stored
from budgetnet.environment import stamp
from budgetnet.results import Result
from budgetnet.rundir import write_atomically
from budgetnet.study_results import (
    PLAN,
    STUDY,
    AxisRecord,
    FinalRecord,
    PlanRecord,
    PointRecord,
    StudyRecord,
    to_json,
)  # fmt: skip
from budgetnet.sweep.points import EPOCHS
from budgetnet.sweep.trials import BY_SEED, REASON, RUN, SECONDS, Trials

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

STATES = {"COMPLETE": "complete", "FAIL": "failed", "PRUNED": "failed", "RUNNING": "running", "WAITING": "waiting"}


def study_record(trials: Trials, fixed: Point, storage: str, device: str) -> StudyRecord:
    """The study as its trials are now. ``fixed`` are the values that earlier studies chose."""
    study, base = trials.study, trials.base
    tickets = trials.tickets()
    points = tuple(_point(trials, index, tickets.get(index)) for index in range(trials.count))
    best = best_of(points)
    return StudyRecord(
        name=study.name, digest=trials.digest, sampler=study.sampler, axes=tuple(_axis(field, study) for field in study.fields),
        seeds=trials.seeds, points=points, best=None if best is None else best.number,
        fixed={field: stored(value) for field, value in fixed.items()},
        reported=tuple((tuple(stored(value) for value in one.point), one.accuracy) for one in study.reported),
        base=base.name, data_set=base.data_set.name, holdout=base.recipe.protocol.holdout, notes=study.notes, source=study.source,
        storage=storage, environment=stamp(device),
    )  # fmt: skip


def best_of(points: tuple[PointRecord, ...]) -> PointRecord | None:
    """The highest value; of equal ones that with fewer epochs, then the earlier one."""
    complete = [point for point in points if point.value is not None]
    return min(complete, key=lambda p: (-(p.value or 0.0), p.point.get(EPOCHS, 0), p.number), default=None)


def _point(trials: Trials, index: int, trial: FrozenTrial | None) -> PointRecord:
    if trial is None:  # read off a longer run, once that has ended
        return PointRecord(index, "waiting", trials.stored_point(index, trial) or {})
    attributes: Mapping[str, Any] = trial.user_attrs
    state = STATES[trial.state.name]
    if state == "waiting" and "failed_trial" in trial.system_attrs:
        state = "interrupted"
    told = state in ("complete", "failed")
    return PointRecord(
        number=index, state=state, point=trials.stored_point(index, trial) or {}, value=trial.value if state == "complete" else None,
        by_seed=attributes.get(BY_SEED, {}) if told else {}, seconds=attributes.get(SECONDS) if told else None,
        reason=attributes.get(REASON) if told else None, run=attributes.get(RUN) if told else None,
    )  # fmt: skip


def _axis(field: str, study: Study) -> AxisRecord:
    axis = dict(study.space)[field]
    if isinstance(axis, Choices) or study.sampler == "grid":
        return AxisRecord(field, values=tuple(stored(value) for value in axis.values))
    return AxisRecord(field, low=axis.low, high=axis.high, log=axis.log)


def plan_record(plan: Plan, chosen: Point, final: Experiment, results: list[Result], device: str) -> PlanRecord:
    """The end of a plan; every result has been scored on the test set."""
    runs = tuple(
        FinalRecord(r.seed, r.last.validation_accuracy, r.test_accuracy, r.test_loss, r.seconds)
        for r in results
        if r.test_accuracy is not None and r.test_loss is not None
    )
    return PlanRecord(
        name=plan.name, studies=tuple(study.name for study in plan.studies), chosen={f: stored(v) for f, v in chosen.items()}, final=runs,
        definition_hash=definition_hash(final), notes=plan.notes, source=plan.source, environment=stamp(device),
    )  # fmt: skip


def write_record(folder: Path, record: StudyRecord | PlanRecord) -> None:
    """Replace ``study.json`` or ``plan.json`` in ``folder``. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / (STUDY if isinstance(record, StudyRecord) else PLAN), to_json(record).encode())
