"""Sweeps in full on small digits: values, nested epochs, failures, what stays on disk, the test set used once."""

import json
import shutil

import pytest

pytest.importorskip("optuna")
pytest.importorskip("sklearn")

from budgetnet.commands import sweeping
from budgetnet.jobs.running import Failure, WorkerDied, run_supplied
from budgetnet.results import Result
from budgetnet.rundir import RunInUse
from budgetnet.study_results import read_plan, read_study
from budgetnet.sweep import chain
from tests.command_line import main

OWN = ["--catalogue", "tests.own_studies", "--device", "cpu", "--workers", "1", "--threads", "1", "--engine", "eager"]


def sweep(root, name, *more):
    return main("sweep", name, *OWN, "--runs", root / "runs", "--out", root / "report", *more)


def study(root, name):
    return read_study(root / "runs" / "studies" / name / "study.json")


def results(root, name):
    found = sorted((root / "runs" / "studies" / name).glob("*/seed-*/result.json"))
    return {path.parent.parent.name: Result.from_json(path.read_text()) for path in found}


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    root = tmp_path_factory.mktemp("planned")
    assert sweep(root, "digits") == 0
    return root


def test_a_plan_searches_each_study_on_what_the_ones_before_chose(planned):
    batch, rate, parts = (study(planned, name) for name in ("digits-batch", "digits-rate", "digits-parts"))
    assert [len(record.complete) for record in (batch, rate, parts)] == [6, 4, 4]
    assert batch.fixed == {}
    assert rate.fixed == batch.best_point.point
    assert parts.fixed == batch.best_point.point | rate.best_point.point
    plan = read_plan(planned / "runs" / "studies" / "digits" / "plan.json")
    assert plan.chosen == parts.fixed | parts.best_point.point
    assert parts.seeds == (0, 1)
    assert all(point.value == pytest.approx(sum(point.by_seed.values()) / 2) for point in parts.points)
    assert batch.best_point.value == max(point.value for point in batch.points)


def test_the_test_set_is_used_once_at_the_end(planned):
    for name in ("digits-batch", "digits-rate", "digits-parts"):
        assert all(result.test_accuracy is None and result.finished for result in results(planned, name).values())
    (final,) = results(planned, "digits").values()
    plan = read_plan(planned / "runs" / "studies" / "digits" / "plan.json")
    assert plan.final[0].test_accuracy == final.test_accuracy is not None


def test_finished_trials_keep_their_record_and_no_weights(planned):
    runs = planned / "runs" / "studies"
    assert [path.parent.parent.name for path in runs.rglob("checkpoint.pt")] == ["digits-final"]
    assert [path.parent.parent.name for path in runs.rglob("weights.safetensors")] == ["digits-final"]


def test_again_nothing_is_trained_and_the_final_result_is_shown(planned, capsys):
    before = {path: path.stat().st_mtime_ns for path in (planned / "runs").rglob("result.json")}
    assert sweep(planned, "digits") == 0
    output = capsys.readouterr().out
    assert "epoch  1/" not in output
    assert "digits-final seed 0  is finished" in output
    assert "seed 0: test accuracy" in output
    assert {path: path.stat().st_mtime_ns for path in (planned / "runs").rglob("result.json")} == before


def test_a_lost_storage_costs_no_training(planned, tmp_path, capsys):
    shutil.copytree(planned / "runs", tmp_path / "runs")
    (tmp_path / "runs" / "studies" / "digits-batch" / "trials.db").unlink()
    assert sweep(tmp_path, "digits-batch") == 0
    assert "is finished: validation" in (output := capsys.readouterr().out)
    assert "epoch  1/" not in output
    assert [point.value for point in study(tmp_path, "digits-batch").points] == [
        point.value for point in study(planned, "digits-batch").points
    ]


def test_another_choice_does_not_use_the_test_set_a_second_time(planned, tmp_path, capsys):
    shutil.copytree(planned / "runs", tmp_path / "runs")
    (path,) = (tmp_path / "runs" / "studies" / "digits").rglob("result.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"definition_hash": "0" * 16}))
    assert sweep(tmp_path, "digits") == 1
    assert "the test set was used by the configuration that was chosen before" in capsys.readouterr().err


def test_shorter_runs_are_the_beginning_of_longer_ones(planned, tmp_path):
    """What reading points off the longest run rests on: each of them trained alone gives the same value, bit for bit."""
    from budgetnet.engine.choice import Settings
    from budgetnet.run import Options, run
    from budgetnet.sweep.points import trial_experiment
    from tests.own_studies import BASE, BATCH
    from tests.silent import Silent

    nested = study(planned, "digits-batch")
    for index in (0, 1, 4):
        alone = run(trial_experiment(BATCH, BASE, BATCH.grid()[index]), 0, Options(tmp_path, Settings(engine="eager")), Silent())
        assert alone.last.validation_accuracy == nested.points[index].value
        whole = results(planned, "digits-batch")[nested.points[index].run]
        assert [r.validation_loss for r in alone.epochs] == [r.validation_loss for r in whole.epochs[: len(alone.epochs)]]


def test_with_a_schedule_every_point_has_its_run(tmp_path):
    assert sweep(tmp_path, "scheduled") == 0
    assert set(results(tmp_path, "scheduled")) == {"epochs-1", "epochs-2"}
    assert {point.run for point in study(tmp_path, "scheduled").points} == {"epochs-1", "epochs-2"}


def test_a_diverging_trial_fails_with_its_reason_and_the_others_go_on(tmp_path, capsys):
    assert sweep(tmp_path, "extreme") == 0
    record = study(tmp_path, "extreme")
    assert [point.state for point in record.points] == ["complete", "complete", "failed", "failed"]
    assert all(point.reason.startswith("seed 0: the loss is") for point in record.points[2:])
    output = capsys.readouterr().out
    assert "trial 3/4  lr 1e+18, epochs 1: failed: seed 0: the loss is" in output
    assert "extreme: 4 points, 2 complete, 2 failed" in output
    assert sweep(tmp_path, "extreme") == 0
    assert "starts" not in capsys.readouterr().out  # a failed trial is finished: never a second time


def test_proposals_are_the_same_again(tmp_path):
    for root in (tmp_path / "a", tmp_path / "b"):
        assert sweep(root, "proposed", "--trials", "5") == 0
    a, b = ([(point.point, point.value) for point in study(root, "proposed").points] for root in (tmp_path / "a", tmp_path / "b"))
    assert a == b
    assert len({json.dumps(point) for point, _ in a}) == 5
    assert sweep(tmp_path / "a", "proposed", "--trials", "7") == 0
    assert [(point.point, point.value) for point in study(tmp_path / "a", "proposed").points][:5] == a


def test_seeds_and_a_storage_of_one_s_own(tmp_path):
    assert sweep(tmp_path, "scheduled", "--seeds", "0-1", "--storage", f"sqlite:///{tmp_path}/my.db", "--keep-weights") == 0
    record = study(tmp_path, "scheduled")
    assert record.storage == str(tmp_path / "my.db")
    assert [list(point.by_seed) for point in record.points] == [["0", "1"]] * 2
    assert not (tmp_path / "runs" / "studies" / "scheduled" / "trials.db").exists()
    assert len([*tmp_path.rglob("checkpoint.pt")]) == 4


class Unlucky:
    """Runs jobs, but ends the first one with ``error``."""

    def __init__(self, error):
        self.error = error

    def __call__(self, supply, options, workers, progress):
        if self.error is None:
            yield from run_supplied(supply, options, workers, progress)
            return
        key, job = supply()
        error, self.error = self.error, None
        yield key, Failure(job, error)
        yield from run_supplied(supply, options, workers, progress)


@pytest.mark.parametrize(
    ("error", "status", "others"),
    [(WorkerDied("killed"), 1, 3), (OSError(28, "No space left on device"), 1, 0), (ValueError("a bug"), 1, 3), (RunInUse("held"), 0, 6)],
    ids=["a worker dies", "full disk", "a bug", "in use"],
)
def test_what_says_nothing_about_a_point_leaves_it_to_the_next_command(tmp_path, capsys, monkeypatch, error, status, others):
    monkeypatch.setattr(chain, "run_supplied", Unlucky(error))
    assert sweep(tmp_path, "digits-batch") == status
    record = study(tmp_path, "digits-batch")
    assert len(record.complete) == others
    assert "running" not in [point.state for point in record.points], "nobody works on them any more"
    if isinstance(error, ValueError):  # nothing of the machine: the point's trial has failed
        assert [point.reason for point in record.points[:3]] == ["seed 0: a bug"] * 3
    else:
        assert ("same command goes on" in capsys.readouterr().err) == (status == 1)
    assert sweep(tmp_path, "digits-batch") == 0
    assert len(study(tmp_path, "digits-batch").complete) == 6


# --- the command ------------------------------------------------------------------------------------------------------


def test_without_a_name_it_lists(capsys):
    assert main("sweep", *OWN) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0] == "digits  a whole plan in seconds"
    assert output[1] == "  digits-batch  6 points over recipe.batch_size, recipe.epochs of base"


def test_mistakes_are_one_sentence(tmp_path, capsys, monkeypatch):
    assert sweep(tmp_path, "digit") == 2
    assert "there is no plan or study 'digit' in the catalogue; did you mean digits" in capsys.readouterr().err
    assert sweep(tmp_path, "scheduled", "--trials", "3") == 2
    assert "--trials is 3; expected none, because scheduled is a grid" in capsys.readouterr().err
    damaged = tmp_path / "runs" / "studies" / "scheduled" / "trials.db"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no data base")
    assert sweep(tmp_path, "scheduled") == 1
    assert f"the storage {damaged} cannot be used" in (errors := capsys.readouterr().err)
    assert "Traceback" not in errors
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    assert sweep(tmp_path, "scheduled") == 1
    assert "install it with: pip install 'budgetnet[sweep]'" in capsys.readouterr().err


def test_a_study_alone_brings_the_ones_it_comes_after():
    from budgetnet.catalogue import load

    catalogue = load("tests.own_studies")
    assert [one.name for one in sweeping._studies(catalogue.search("digits-parts"), catalogue)] == [
        "digits-batch",
        "digits-rate",
        "digits-parts",
    ]


def test_a_storage_beside_its_record_is_recorded_without_the_folder(planned):
    assert study(planned, "digits-batch").storage == "trials.db"


def test_what_an_earlier_study_trained_is_not_trained_again(tmp_path):
    """The second study's first point is the first one's best with fewer epochs than were trained; its other point is new."""
    assert sweep(tmp_path, "again") == 0
    first, second = study(tmp_path, "again-epochs"), study(tmp_path, "again-rate")
    same = next(point for point in second.points if point.point["recipe.optimizer.lr"] == 0.05)
    assert same.by_seed == first.best_point.by_seed
    trained = {*results(tmp_path, "again-rate")}
    assert trained == {"lr-0p01"}
    assert sum(point.value is not None for point in second.points) == 2
