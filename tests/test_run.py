"""One run from definition to result, on the embedded digits: skipped, resumed, set aside, refused."""

import json

import pytest
import torch

from budgetnet.catalogue import Catalogue
from budgetnet.data.arrays import load
from budgetnet.definition import DefinitionError, change, definition_hash, derive
from budgetnet.engine.choice import EngineError, Settings
from budgetnet.engine.loop import Diverged
from budgetnet.results import FINISHED, PARTIAL
from budgetnet.run import BudgetExceeded, Options, assert_budget, build_model, run
from tests.own_catalogue import CATALOGUE
from tests.silent import Silent

pytest.importorskip("sklearn")
EXPERIMENTS = Catalogue(CATALOGUE)


def train(name, root, seed=0, epochs=None, experiment=None, **settings):
    progress = Silent()
    return run(experiment or EXPERIMENTS[name], seed, Options(root, Settings(**settings), epochs=epochs), progress), progress.told


def weights(root, name, seed=0):
    return torch.load(root / name / f"seed-{seed}" / "checkpoint.pt", weights_only=True)["model"]


def test_a_run_leaves_what_the_design_says(tmp_path):
    result, told = train("small", tmp_path)
    directory = tmp_path / "small" / "seed-0"
    assert result.finished
    assert [record.epoch for record in result.epochs] == [1, 2, 3, 4]
    assert result.last.validation_accuracy > 50
    assert told[0] == ("start", 0)
    assert json.loads((directory / FINISHED).read_text())["definition_hash"] == definition_hash(EXPERIMENTS["small"])
    names = {path.name.split(".")[0] if "tfevents" in path.name else path.name for path in directory.iterdir()}
    assert {"result.json", "checkpoint.pt", "weights.safetensors", "diagnostics.json", "events", "log.txt"} <= names
    assert result.parameters == {"trainable": 1950, "non_trainable": 0, "keras_total": 2010}
    assert result.test_accuracy is None, "the test set validated: there is nothing left to score once"


def test_event_files_hold_every_epoch_once_also_after_a_resume(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train("small", tmp_path, epochs=2)
    result, _ = train("small", tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / "small" / "seed-0"), size_guidance={"histograms": 0})
    events.Reload()
    values = {event.step: event.value for event in events.Scalars("validation/accuracy")}
    assert values == pytest.approx({record.epoch: record.validation_accuracy for record in result.epochs})
    assert [event.step for event in events.Histograms("weights/conv1.weight")] == [1, 2, 3, 4]
    assert [node.op for node in events.Graph().node][:2] == ["Input", "Conv2d"]


def test_a_finished_run_is_skipped(tmp_path):
    first, _ = train("small", tmp_path)
    again, told = train("small", tmp_path)
    assert again == first
    assert [kind for kind, _ in told] == ["finish"]


def test_stopped_early_is_partial_and_goes_on_bit_identically(tmp_path):
    partial, _ = train("small", tmp_path / "a", epochs=2, engine="eager")
    assert not partial.finished
    assert (tmp_path / "a" / "small" / "seed-0" / PARTIAL).exists()
    resumed, told = train("small", tmp_path / "a")
    whole, _ = train("small", tmp_path / "b", engine="eager")
    assert told[0] == ("start", 2)
    assert not (tmp_path / "a" / "small" / "seed-0" / PARTIAL).exists()
    figures = [[(r.epoch, r.lr, r.train_loss, r.validation_loss, r.validation_accuracy) for r in x.epochs] for x in (resumed, whole)]
    assert figures[0] == figures[1]
    a, b = weights(tmp_path / "a", "small"), weights(tmp_path / "b", "small")
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(("engine", "precision"), [("channels-last", "fp32"), ("eager", "bf16")])
def test_a_resumed_run_takes_the_engine_and_precision_that_began_it(tmp_path, engine, precision):
    train("long", tmp_path, epochs=1, engine=engine, precision=precision)
    for epochs, settings in enumerate(({}, {"precision": "auto"}, {"engine": engine}, {"precision": precision}), 2):
        result, told = train("long", tmp_path, epochs=epochs, **settings)
        assert told[0] == ("start", epochs - 1)
        assert (result.engine, result.precision) == (engine, precision)


def test_a_resumed_run_with_another_precision_is_refused(tmp_path):
    train("small", tmp_path, epochs=1, engine="eager", precision="bf16")
    with pytest.raises(EngineError, match=r"begun with \(cpu, eager, bf16\) .* choose the same with --device, --engine and --precision"):
        train("small", tmp_path, epochs=2, precision="fp32")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"engine": "eager"}, "trains on plain torch, fp32, 1 thread"),
        ({"engine": "channels-last", "threads": 2}, "trains on plain torch, channels last, fp32, 2 threads"),
        ({"engine": "eager", "precision": "bf16"}, "trains on plain torch, bf16, 1 thread"),
        ({"engine": "stacked"}, "trains on a stack of seeds, fp32, 1 thread"),
        ({"engine": "kernels"}, "trains on the C kernels, fp32, 1 thread"),
    ],
)
def test_the_engine_is_named_when_training_starts(tmp_path, settings, line):
    try:
        _, told = train("small", tmp_path, epochs=1, **settings)
    except EngineError as error:
        pytest.skip(str(error))
    assert told[:2] == [("start", 0), ("note", line)]
    assert line in (tmp_path / "small" / "seed-0" / "log.txt").read_text()


def test_seeds_differ(tmp_path):
    train("small", tmp_path, 0, epochs=1)
    train("small", tmp_path, 1, epochs=1)
    a, b = weights(tmp_path, "small", 0), weights(tmp_path, "small", 1)
    assert not torch.equal(a["conv1.weight"], b["conv1.weight"])


def test_torch_s_own_random_state_is_left_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train("small", tmp_path, epochs=1)
    assert torch.equal(torch.rand(1), expected)


def test_a_changed_definition_sets_the_old_result_aside(tmp_path):
    old, _ = train("small", tmp_path, epochs=1)
    changed = derive(EXPERIMENTS["small"], "small", recipe=change(batch_size=32), budget=change(exact=1_950))
    new, told = train("small", tmp_path, epochs=1, experiment=changed)
    assert told[0] == ("start", 0)
    assert new.definition_hash != old.definition_hash
    assert (tmp_path / "small" / "seed-0" / f"stale-{old.definition_hash}" / PARTIAL).exists()


def test_a_checkpoint_of_an_older_definition_is_set_aside_too(tmp_path):
    train("small", tmp_path, epochs=1)
    (tmp_path / "small" / "seed-0" / PARTIAL).unlink()  # as after a kill
    changed = derive(EXPERIMENTS["small"], "small", recipe=change(batch_size=32))
    _, told = train("small", tmp_path, epochs=1, experiment=changed)
    assert told[0] == ("start", 0)
    assert list((tmp_path / "small" / "seed-0").glob("stale-*/checkpoint.pt"))


def test_hold_out_validates_and_the_test_set_is_scored_once(tmp_path):
    result, _ = train("held-out", tmp_path)
    assert result.validation == "holdout"
    assert result.test_accuracy > 50
    partial, _ = train("held-out", tmp_path, seed=1, epochs=1)
    assert partial.test_accuracy is None


def test_a_broken_budget_stops_before_any_data(tmp_path):
    with pytest.raises(BudgetExceeded) as error:
        run(EXPERIMENTS["broken"], 0, Options(runs=tmp_path / "runs", data_dir=tmp_path / "nowhere"), Silent())
    lines = str(error.value).splitlines()
    assert lines[0].startswith("broken has 2,096 trainable parameters, over the bound: its budget is at most 2,000")
    sizes = [int(line.split()[-1].replace(",", "")) for line in lines[2:-1]]
    assert sizes == sorted(sizes, reverse=True)
    assert not (tmp_path / "runs").exists()


def test_a_wrong_exact_count_is_named():
    wrong = derive(EXPERIMENTS["small"], "wrong", budget=change(exact=1_951))
    with pytest.raises(BudgetExceeded, match=r"wrong has 1,950 trainable parameters, not the exact count: its budget is exactly 1,951"):
        assert_budget(wrong)


def test_a_diverging_run_is_not_recorded_as_finished(tmp_path):
    with pytest.raises(Diverged, match="at step"):
        train("diverging", tmp_path)
    assert not list(tmp_path.glob("*/*/*.json"))


def test_more_epochs_than_the_recipe_has_are_refused(tmp_path):
    with pytest.raises(DefinitionError, match="--epochs is 9; expected 1 to 4"):
        train("small", tmp_path, epochs=9)


def test_a_seed_fixes_the_initialization():
    a, b, c = (build_model(EXPERIMENTS["small"], seed).state_dict()["conv1.weight"] for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_a_batch_size_above_the_number_of_images_trains_on_whole_epochs(tmp_path):
    small = EXPERIMENTS["small"]
    whole = derive(small, "whole", recipe=change(batch_size=10**9, epochs=1))
    result, _ = train("whole", tmp_path, experiment=whole, engine="eager")
    assert result.finished
    images = derive(small, "images", recipe=change(batch_size=len(load(small.data_set).train_labels), epochs=1))
    assert train("images", tmp_path, experiment=images, engine="eager")[0].last.train_loss == result.last.train_loss
    assert train("whole", tmp_path / "auto", experiment=whole)[0].finished
