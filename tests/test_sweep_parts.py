"""The parts of a sweep alone: names and groups of points, proposals, owners, trials."""

import re
import time
from dataclasses import replace

import pytest

optuna = pytest.importorskip("optuna")

from budgetnet.definition import SGD, Choices, Range, Study  # noqa: E402
from budgetnet.sweep import points, sampling  # noqa: E402
from budgetnet.sweep.storage import Store  # noqa: E402
from budgetnet.sweep.trials import Outcome, Trials  # noqa: E402
from tests.own_studies import BASE, BATCH, EXTREME, SCHEDULED, TPE  # noqa: E402


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (32, "32"), (0.0001, "0p0001"), (1.5e-05, "1p5e-05"), (1e16, "1e16"), (1e-16, "1e-16"), (-0.5, "minus-0p5"), (True, "true"),
        (None, "none"), ("nearest", "nearest"), ("a b", "a-b-c8687a"),
    ],
)  # fmt: skip
def test_values_in_folder_names(value, text):
    assert points.slug(value) == text


def test_records_in_folder_names_are_short_and_plain():
    assert re.fullmatch(r"sgd-lr-0p1-momentum-[a-z0-9-]{1,40}", points.slug(SGD(0.1)))


def test_different_values_have_different_names():
    values = [0.1, 0.01, 1e-16, 1e16, -0.5, 0.5, "a b", "a-b", "A-b", None, True, SGD(0.1), SGD(0.2), "x" * 300, "x" * 301]
    assert len({points.slug(value) for value in values}) == len(values)


def test_names_of_fields_that_end_alike_are_whole():
    assert points.short_names(["model.lr", "recipe.optimizer.lr", "recipe.batch_size"]) == {
        "model.lr": "model-lr", "recipe.optimizer.lr": "recipe-optimizer-lr", "recipe.batch_size": "batch-size",
    }  # fmt: skip
    assert points.trial_experiment(BATCH, BASE, BATCH.grid()[2]).name == "batch-size-32--epochs-3"


def test_epochs_are_nested_only_where_no_schedule_looks_at_them():
    assert points.groups(BATCH, BASE) == [points.Group(2, (0, 1, 2)), points.Group(5, (3, 4, 5))]
    assert points.groups(BATCH, BASE)[0].telling_order == (0, 1, 2)
    assert points.groups(SCHEDULED, SCHEDULED.base) == [points.Group(0, (0,)), points.Group(1, (1,))]


def test_choices_may_be_records():
    study = Study("records", BASE, (("recipe.optimizer", Choices((SGD(0.1), SGD(0.2)))),))
    assert sampling.point_of(study, {"recipe.optimizer": repr(SGD(0.2))}) == {"recipe.optimizer": SGD(0.2)}


@pytest.mark.parametrize("axis", [Range(16, 61, step=10), Range(0.1, 0.75, step=0.2), Range(0.0, 0.35, step=0.1), Range(1, 2, step=5)])
def test_a_step_that_does_not_divide_its_range_ends_at_the_last_value_it_reaches(axis):
    """Optuna would warn, and a warning is an error here."""
    study = replace(TPE, space=(("model.dropout" if axis.high < 1 else "recipe.epochs", axis),))
    (distribution,) = sampling.distributions(study).values()
    assert (distribution.low, distribution.high) == (axis.values[0], axis.values[-1])


# --- trials -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["default", "sqlite", "journal"])
def store(request, tmp_path):
    url = {"default": None, "sqlite": f"sqlite:///{tmp_path}/own.db", "journal": f"journal:{tmp_path}/own.log"}[request.param]
    opened = Store(url, tmp_path / "study")
    yield opened
    opened.close()


@pytest.fixture
def trials_of(store):
    """Open trials of a study; all are closed at the end."""
    opened = []

    def open_trials(study, **more):
        opened.append(Trials(store, study, study.base, (0,), **more))
        return opened[-1]

    yield open_trials
    for trials in opened:
        trials.close()


def test_trials_are_queued_once_claimed_once_and_told_once(trials_of):
    first, second = trials_of(BATCH), trials_of(BATCH)
    assert list(second.tickets()) == [2, 5]
    group, point = first.claim()
    assert (group.members, point) == ((0, 1, 2), {"recipe.batch_size": 32, "recipe.epochs": 3})
    assert second.others == 1
    assert second.claim()[0].members == (3, 4, 5)
    assert first.claim() is None
    for index in group.telling_order:
        first.tell(index, Outcome(90.0 + index, {0: 90.0 + index}, 1.5), "a-run")
    first.tell(0, Outcome(1.0, {}, 1.0), "a-run")
    trials = second.tickets()
    assert [trials[index].value for index in range(3)] == [90.0, 91.0, 92.0]
    assert [trials[index].params["recipe.epochs"] for index in range(3)] == [1, 2, 3]
    assert second.unfinished == 3


def test_a_run_that_its_process_gave_up_is_claimed_by_the_next(trials_of):
    first = trials_of(BATCH)
    group, _ = first.claim()
    first.close()
    assert first.tickets()[group.leader].system_attrs["failed_trial"] == 0
    assert sorted(claimed.leader for claimed, _ in (trials_of(BATCH).claim() for _ in range(2))) == [2, 5]


def test_a_trial_that_runs_is_left_to_its_process_unless_adopted(trials_of):
    group, _ = trials_of(SCHEDULED).claim()
    other = trials_of(SCHEDULED)
    assert other.claim()[0].leader != group.leader
    assert other.claim() is None
    other.close()
    adopting = trials_of(SCHEDULED, adopt=True)
    assert sorted(adopting.claim()[0].leader for _ in range(2)) == [0, 1]


def test_a_trial_without_a_heartbeat_is_taken_over_with_its_point(tmp_path, monkeypatch):
    monkeypatch.setattr("budgetnet.sweep.storage.GRACE", 1)
    store = Store(None, tmp_path)
    dead = Trials(store, TPE, TPE.base, (0,), 1)
    _, point = dead.claim()
    dead._stopped.set()
    time.sleep(2.1)
    other = Trials(store, TPE, TPE.base, (0,), 1)
    assert other.claim()[1] == point
    other.tell(0, Outcome(90.0, {0: 90.0}, 1.0), "a-run")
    assert [trial.value for trial in other.tickets().values()] == [90.0]
    dead.tell(0, Outcome(10.0, {0: 10.0}, 1.0), "a-run")
    assert [trial.value for trial in other.tickets().values()] == [90.0]
    other.close()
    store.close()


def test_more_proposals_are_added_and_fewer_are_looked_at(trials_of):
    assert len(trials_of(TPE, count=2).tickets()) == 2
    assert len(trials_of(TPE, count=5).tickets()) == 5
    assert len(trials_of(TPE, count=3).tickets()) == 3


def test_groups_that_share_a_run_are_those_of_one_rate():
    assert [group.members for group in points.groups(EXTREME, BASE)] == [(0, 1), (2, 3)]
