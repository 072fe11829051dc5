"""Several seeds at once: a directory, checkpoint and result each; interrupted, resumed, broken and too large for the device."""

import pytest
import torch

from budgetnet.cli import main
from budgetnet.definition import Protocol, ReduceLROnPlateau, change, derive
from budgetnet.engine.choice import EngineError, Settings
from budgetnet.engine.loop import Diverged
from budgetnet.results import Result, read_result
from budgetnet.run import Options, run, run_together, together, trains_together
from budgetnet.rundir import RunInUse, open_run
from tests import own_catalogue
from tests.silent import Silent

SMALL = derive(own_catalogue.SMALL, "small-and-short", recipe=change(epochs=2, batch_size=128))
pytest.importorskip("sklearn")
STACKED = Settings(engine="stacked")


def options(folder, **changes):
    return Options(runs=folder, settings=STACKED, **changes)


def figures(result):
    return [(r.epoch, r.lr, r.train_loss, r.validation_loss, r.validation_accuracy) for r in result.epochs]


def test_every_seed_leaves_what_a_run_leaves(tmp_path):
    outcomes = run_together(SMALL, [0, 1, 4], options(tmp_path), Silent())
    assert [*outcomes] == [0, 1, 4]
    for seed, result in outcomes.items():
        folder = tmp_path / "small-and-short" / f"seed-{seed}"
        assert read_result(folder) == result
        assert (result.seed, result.engine, result.precision, result.finished) == (seed, "stacked", "fp32", True)
        assert {"checkpoint.pt", "weights.safetensors", "diagnostics.json", "log.txt"} <= {path.name for path in folder.iterdir()}
    assert figures(outcomes[0]) != figures(outcomes[1])


def test_one_by_itself_is_one_among_others(tmp_path):
    branches = Settings(engine="branches")
    among = run_together(SMALL, [0, 1], Options(tmp_path / "two", branches), Silent())[1]
    alone = run(SMALL, 1, Options(tmp_path / "one", branches), Silent())
    # later, rounding is amplified as between any two ways to compute the same
    assert alone.epochs[0].train_loss == pytest.approx(among.epochs[0].train_loss, abs=1e-3)
    assert alone.epochs[0].train_loss != pytest.approx(run(SMALL, 2, Options(tmp_path, branches), Silent()).epochs[0].train_loss, abs=1e-3)


def test_finished_runs_are_found_and_begun_ones_go_on(tmp_path):
    first = run_together(SMALL, [0], options(tmp_path), Silent())[0]
    run_together(SMALL, [1], options(tmp_path, epochs=1), Silent())
    outcomes = run_together(SMALL, [0, 1, 2], options(tmp_path), Silent())
    assert outcomes[0] == first
    assert [record.epoch for record in outcomes[1].epochs] == [1, 2]
    assert outcomes[2].finished


def test_one_directory_in_use_does_not_keep_the_others(tmp_path):
    with open_run(tmp_path, "small-and-short", 1):
        outcomes = run_together(SMALL, [0, 1], options(tmp_path), Silent())
    assert isinstance(outcomes[0], Result)
    assert isinstance(outcomes[1], RunInUse)


def test_one_that_breaks_leaves_no_result_and_the_others_theirs(tmp_path, monkeypatch):
    build = together.build_model

    def with_a_broken_one(experiment, seed):
        model = build(experiment, seed)
        if seed == 1:
            with torch.no_grad():
                next(model.parameters()).fill_(float("nan"))
        return model

    monkeypatch.setattr(together, "build_model", with_a_broken_one)
    outcomes = run_together(SMALL, [0, 1, 2], options(tmp_path), Silent())
    assert isinstance(outcomes[1], Diverged)
    assert "step 1 of epoch 1" in str(outcomes[1])
    assert read_result(tmp_path / "small-and-short" / "seed-1") is None
    assert outcomes[0].finished
    assert outcomes[2].finished


def test_too_little_memory_for_all_is_enough_for_half(tmp_path, monkeypatch):
    at_once, groups = together._train_at_once, []

    def limited(sessions, *arguments):
        groups.append([session.seed for session in sessions])
        if len(sessions) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return at_once(sessions, *arguments)

    monkeypatch.setattr(together, "_train_at_once", limited)
    outcomes = run_together(SMALL, [0, 1, 2], options(tmp_path, epochs=1), Silent())
    assert groups == [[0, 1, 2], [0], [1, 2], [1], [2]]
    assert all(isinstance(outcome, Result) for outcome in outcomes.values())
    assert "too small for 3 runs at once" in (tmp_path / "small-and-short" / "seed-0" / "log.txt").read_text()

    def never(sessions, *arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(together, "_train_at_once", never)
    assert "memory is too small for this run" in str(run_together(SMALL, [7], options(tmp_path), Silent())[7])


def test_a_checkpoint_that_cannot_go_on_ends_its_own_run_only(tmp_path):
    run(SMALL, 0, Options(tmp_path, Settings(engine="eager"), epochs=1), Silent())
    outcomes = run_together(SMALL, [0, 1], options(tmp_path), Silent())
    assert "begun with (cpu, eager, fp32)" in str(outcomes[0])
    assert outcomes[1].finished


def test_seeds_on_a_cpu_are_stacked_where_that_is_asked_for(tmp_path, monkeypatch):
    at_once, groups = together._train_at_once, []
    monkeypatch.setattr(together, "_train_at_once", lambda sessions, *rest: groups.append(len(sessions)) or at_once(sessions, *rest))
    status = main(["run", "small", "--seeds", "0-2", "--epochs", "1", "--engine", "stacked", "--device", "cpu", "--runs", str(tmp_path),
                   "--catalogue", "tests.own_catalogue"])  # fmt: skip
    assert (status, groups) == (0, [3])


def test_a_rate_that_follows_the_validation_trains_seeds_apart(tmp_path, monkeypatch):
    plateau = derive(SMALL, "plateau", recipe=change(schedule=ReduceLROnPlateau(), protocol=Protocol("holdout", holdout=200)))
    at_once, groups = together._train_at_once, []
    monkeypatch.setattr(together, "_train_at_once", lambda sessions, *rest: groups.append(len(sessions)) or at_once(sessions, *rest))
    outcomes = run_together(plateau, [0, 1], options(tmp_path, epochs=1), Silent())
    assert groups == [1, 1]
    assert all(isinstance(outcome, Result) for outcome in outcomes.values())


def test_what_cannot_be_stacked_is_refused_or_trained_one_by_one(tmp_path, monkeypatch):
    def unstackable(*_):
        raise together.NotStackable("it is a poem")

    monkeypatch.setattr(together, "StackedTraining", unstackable)
    [refused] = run_together(SMALL, [0], options(tmp_path), Silent()).values()
    assert isinstance(refused, EngineError)
    assert str(refused) == "small-and-short cannot be trained as a stack: it is a poem; use --engine eager"
    outcomes = run_together(SMALL, [0, 1], Options(runs=tmp_path, settings=Settings(engine="auto"), epochs=1), Silent())
    assert {outcome.engine for outcome in outcomes.values()} == {"eager"}
    assert "it is a poem" in (tmp_path / "small-and-short" / "seed-0" / "log.txt").read_text()


def test_when_runs_are_stacked():
    assert trains_together(Settings(device="cuda"))
    assert not trains_together(Settings(device="cuda", engine="eager"))
    assert not trains_together(Settings())
    assert trains_together(Settings(engine="grouped"))
