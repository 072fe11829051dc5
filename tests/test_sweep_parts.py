"""The parts of a sweep alone: names and groups of points, proposals, owners, trials."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

optuna = pytest.importorskip("optuna")

from budgetnet.definition import SGD, Choices, Range, Study  # noqa: E402
from budgetnet.sweep import owners, points, sampling  # noqa: E402
from budgetnet.sweep.storage import Store  # noqa: E402
from budgetnet.sweep.trials import OWNER, Outcome, Trials  # noqa: E402
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


def test_proposals_depend_on_history_and_number_alone():
    study = optuna.create_study(direction="maximize")
    for number in range(12):
        kept = sampling.propose(TPE, study.trials, number)
        assert kept == sampling.propose(TPE, study.trials, number)
        assert 0.001 <= kept["recipe.optimizer.lr"] <= 1
        assert float(f"{kept['recipe.optimizer.lr']:.4g}") == kept["recipe.optimizer.lr"]
        assert kept["recipe.batch_size"] in range(16, 65)
        study.add_trial(
            optuna.create_trial(params=kept, distributions=sampling.distributions(TPE), value=-abs(kept["recipe.optimizer.lr"] - 0.1))
        )
    assert len({trial.params["recipe.optimizer.lr"] for trial in study.trials}) == 12


def test_a_range_with_a_step_proposes_its_values():
    study = replace(TPE, space=(("model.dropout", Range(0.0, 0.5, step=0.1)),))
    assert all(round(10 * sampling.propose(study, (), number)["model.dropout"], 6) in range(6) for number in range(8))


@pytest.mark.parametrize("axis", [Range(16, 61, step=10), Range(0.1, 0.75, step=0.2), Range(0.0, 0.35, step=0.1), Range(1, 2, step=5)])
def test_a_step_that_does_not_divide_its_range_proposes_the_values_it_reaches(axis):
    """Optuna would warn, and a warning is an error here."""
    study = replace(TPE, space=(("model.dropout" if axis.high < 1 else "recipe.epochs", axis),))
    found = {value for number in range(12) for value in sampling.propose(study, (), number).values()}
    assert found <= set(axis.values)
    (distribution,) = sampling.distributions(study).values()
    assert (distribution.low, distribution.high) == (axis.values[0], axis.values[-1])


# --- owners -----------------------------------------------------------------------------------------------------------


def test_owners_that_are_gone_are_told_from_those_that_live():
    me = owners.this_process()
    assert owners.may_be_alive(me)
    assert owners.owner_of(me.as_attribute()) == me
    assert owners.owner_of(None) is None
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = replace(me, pid=process.pid, started=owners._started(process.pid))
        assert owners.may_be_alive(other)
        process.kill()
    assert not owners.may_be_alive(other)
    assert not owners.may_be_alive(replace(me, started="1"))  # its number, given to another process
    assert not owners.may_be_alive(replace(me, boot="before"))
    assert owners.may_be_alive(replace(other, host="elsewhere"))


# --- trials -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["default", "sqlite", "journal"])
def store(request, tmp_path):
    url = {"default": None, "sqlite": f"sqlite:///{tmp_path}/own.db", "journal": f"journal:{tmp_path}/own.log"}[request.param]
    opened = Store(url, tmp_path / "study")
    yield opened
    opened.close()


def test_trials_are_made_once_claimed_once_and_told_once(store):
    first = Trials(store, BATCH, BASE, (0,))
    second = Trials(store, BATCH, BASE, (0,))
    assert [trial.user_attrs["ticket"] for trial in second.tickets().values()] == list(range(6))
    group, point = first.claim()
    assert (group.members, point) == ((0, 1, 2), {"recipe.batch_size": 32, "recipe.epochs": 3})
    for index in group.telling_order:
        first.tell(index, Outcome(90.0 + index, {0: 90.0 + index}, 1.5), "a-run")
    first.tell(0, Outcome(1.0, {}, 1.0), "a-run")
    assert first.claim()[0].members == (3, 4, 5)
    assert first.claim() is None
    trials = second.tickets()
    assert [trials[index].value for index in range(3)] == [90.0, 91.0, 92.0]
    assert [trials[index].params["recipe.epochs"] for index in range(3)] == [1, 2, 3]


def test_what_a_dead_process_claimed_is_adopted_and_what_a_live_one_has_is_not(store):
    first = Trials(store, SCHEDULED, SCHEDULED.base, (0,))
    first.claim()
    first.claim()
    first.tell(1, Outcome(50.0, {0: 50.0}, 1.0), "a-run")
    me = owners.this_process()
    for owner, adopt, adopted in [
        (replace(me, pid=1, started=owners._started(1)), False, False),
        (replace(me, host="elsewhere"), False, False),
        (replace(me, host="elsewhere"), True, True),
        (replace(me, started="1"), False, True),
        (me, False, True),  # an earlier sweep of this process
    ]:
        store.storage.set_trial_user_attr(first._trial_id(first.tickets()[0]), OWNER, owner.as_attribute())
        given = Trials(store, SCHEDULED, SCHEDULED.base, (0,), adopt=adopt).claim()
        assert (given is not None) == adopted, owner
    assert first.others() == {}


def test_what_is_given_back_is_claimed_by_the_next(store):
    first = Trials(store, BATCH, BASE, (0,))
    group, _ = first.claim()
    first.give_back(group)
    assert first.claim()[0].leader == 5
    assert Trials(store, BATCH, BASE, (0,)).claim()[0] == group


def killed_before_it_could_sign(store):
    """Trials with the first one claimed and running, but not signed."""
    trials = Trials(store, SCHEDULED, SCHEDULED.base, (0,))
    write = store.storage.set_trial_user_attr

    def until_signed(number, key, value):
        if key == OWNER:
            raise KeyboardInterrupt
        write(number, key, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.storage, "set_trial_user_attr", until_signed)
        with pytest.raises(KeyboardInterrupt):
            trials.claim()
    return trials


@pytest.mark.parametrize(
    ("changes", "adopt", "adopted"),
    [
        ({"host": "elsewhere"}, False, False),  # about to sign, for all that anyone here can know
        ({"host": "elsewhere"}, True, True),
        ({"pid": 1, "started": owners._started(1)}, False, False),
        ({"started": "1"}, False, True),  # killed
        ({}, False, True),  # this very process, interrupted
    ],
)
def test_a_trial_that_is_claimed_but_unsigned_is_its_claimer_s(store, monkeypatch, changes, adopt, adopted):
    me = owners.this_process()
    with monkeypatch.context() as patch:
        patch.setattr("budgetnet.sweep.trials.this_process", lambda: replace(me, **changes))
        killed_before_it_could_sign(store)
    mine = Trials(store, SCHEDULED, SCHEDULED.base, (0,), adopt=adopt)
    assert mine.others() == ({replace(me, **changes): 1} if changes else {})
    assert mine.claim()[0].leader == (0 if adopted else 1)


def test_who_loses_the_race_for_a_trial_leaves_it_to_the_winner(store, monkeypatch):
    """Two machines whose lock files are not the same see the same waiting trial; storages let one of them have it."""
    me = owners.this_process()
    with monkeypatch.context() as patch:
        patch.setattr("budgetnet.sweep.trials.this_process", lambda: replace(me, host="elsewhere"))
        winner = Trials(store, SCHEDULED, SCHEDULED.base, (0,))
    loser = Trials(store, SCHEDULED, SCHEDULED.base, (0,))
    waiting = list(store.storage.get_all_trials(loser._id, deepcopy=True))
    assert winner.claim()[0].leader == 0
    assert not loser._claim(waiting[0])
    assert loser.others() == {replace(me, host="elsewhere"): 1}
    assert loser.claim()[0].leader == 1
    assert loser.claim() is None


def test_a_half_written_proposal_is_completed(store):
    """A kill between the point and its parameters: the same point goes on."""
    first = Trials(store, TPE, TPE.base, (0,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.storage, "set_trial_param", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            first.claim()
    (before,) = [trial.user_attrs["point"] for trial in first.tickets().values() if "point" in trial.user_attrs]
    _, point = Trials(store, TPE, TPE.base, (0,)).claim()
    assert dict(point) == before == sampling.propose(TPE, (), 0)


def test_more_proposals_are_added_and_fewer_are_looked_at(store):
    assert len(Trials(store, TPE, BASE, (0,), 2).tickets()) == 2
    assert len(Trials(store, TPE, BASE, (0,), 5).tickets()) == 5
    assert len(Trials(store, TPE, BASE, (0,), 3).tickets()) == 3


def test_groups_that_share_a_run_are_those_of_one_rate():
    assert [group.members for group in points.groups(EXTREME, BASE)] == [(0, 1), (2, 3)]
