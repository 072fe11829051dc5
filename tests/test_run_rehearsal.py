"""The rehearsal before training: what would end a run later ends it before its first step, with a sentence."""

import re

import pytest
import torch

from budgetnet.cli import main as command
from budgetnet.data.specs import DIGITS
from budgetnet.definition import SGD, Experiment, Recipe
from budgetnet.results import read_result
from budgetnet.weights import load_trained, read_weights
from tests.own_networks import Own, catalogue

pytest.importorskip("sklearn")


def said_by(capsys, *words):
    """Status and output of a command."""
    status = command([*map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


def run(tmp_path, capsys, network, batch_size=64, engine="auto"):
    """Train one epoch from a catalogue file that names the network; returns status and output."""
    path = catalogue(tmp_path, network, batch_size)
    return said_by(capsys, "run", "own", "--catalogue", path, "--runs", tmp_path / "runs", "--device", "cpu", "--engine", engine)


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ("twenty outputs", "the network returns float32 of (64, 20) for a batch of 64 images; expected a float tensor of (64, 10)"),
        ("too few dimensions", "the network returns float32 of (640,) for a batch of 64 images"),
        ("tuple", "the network returns a tuple for a batch of 64 images; expected a float tensor of (64, 10)"),
        ("dict", "the network returns a dict for a batch of 64 images"),
        ("none", "the network returns a NoneType for a batch of 64 images"),
        ("whole numbers", "the network returns int64 of (64, 10) for a batch of 64 images"),
        ("NaN", "the untrained network returns NaN or infinite logits for a batch of 64 images"),
        ("wrong width", "the network fails on a batch of 64 images in 1 (Linear): mat1 and mat2 shapes cannot be multiplied"),
        ("two inputs", "the network fails on a batch of 64 images: "),
        ("float64", "the network fails on a batch of 64 images in 1 (Linear): mat1 and mat2 must have the same dtype"),
        ("all frozen", "the network has nothing to train: its logits depend on no parameter that requires a gradient"),
        ("no parameters", "the network has nothing to train"),
        ("NaN gradient", "the gradient of 1.weight is NaN or infinite on a batch of 64 images"),
        ("late layer", "forward makes the parameter hidden.weight, after the parameters were counted and given to the optimizer"),
        ("sparse gradients", "the recipe's SGD cannot train the network (`_fused_sgd` does not support sparse gradients)"),
        ("complex parameter", "the recipe's SGD cannot train the network (`fused=True` requires all the params to be floating point"),
        ("counter", "a network that loads the state_dict of a trained one gives other logits, so that its weights would be worth nothing"),
        ("state that is code", "the network's state_dict cannot be kept in a checkpoint and loaded again ("),
    ],
)
def test_network_that_cannot_be_trained_is_one_sentence_before_training(tmp_path, capsys, network, sentence):
    status, said = run(tmp_path, capsys, network)
    assert status == 2
    assert re.search(r"^budgetnet: own seed 0: " + re.escape(sentence), said, re.MULTILINE), said
    assert "Traceback" not in said
    assert "epoch  1" not in said


def test_last_batch_of_one_image_before_normalization_is_one_sentence(tmp_path, capsys):
    status, said = run(tmp_path, capsys, "normalized vector", batch_size=131)  # 1,442 = 11 · 131 + 1
    assert status == 2
    assert "fails on a batch of 1 image in 2 (BatchNorm1d): Expected more than 1 value per channel when training" in said
    assert "choose a batch size that leaves no single image at the end of an epoch" in said
    assert run(tmp_path, capsys, "normalized vector", batch_size=64)[0] == 0


@pytest.mark.parametrize(
    "network", ["whole dropout", "tied weights", "one module twice", "weight norm", "old weight norm", "LSTM", "spectral norm",
     "scripted layers", "pruned", "lock"],
)  # fmt: skip
def test_odd_network_trains_to_a_result_and_its_weights_load(tmp_path, capsys, network):
    status, said = run(tmp_path, capsys, network)
    assert status == 0, said
    directory = tmp_path / "runs" / "own" / "seed-0"
    assert read_result(directory).finished
    experiment = Experiment("own", DIGITS, Own(network), Recipe(SGD(0.05), batch_size=64, epochs=1))
    weights = next(path for name in ("weights.safetensors", "checkpoint.pt") if (path := directory / name).exists())
    images = torch.rand(3, *DIGITS.image_shape)
    with torch.no_grad():
        assert load_trained(experiment, weights).model(images).isfinite().all()


def test_tied_weights_stay_tied(tmp_path, capsys):
    assert run(tmp_path, capsys, "tied weights")[0] == 0
    experiment = Experiment("own", DIGITS, Own("tied weights"), Recipe(SGD(0.05), batch_size=64, epochs=1))
    model = load_trained(experiment, tmp_path / "runs" / "own" / "seed-0" / "weights.safetensors").model
    assert model[1].weight is model[3].weight


def test_state_that_safetensors_cannot_hold_stays_in_the_checkpoint(tmp_path, capsys):
    assert run(tmp_path, capsys, "complex buffer of no use")[0] == 0
    directory = tmp_path / "runs" / "own" / "seed-0"
    assert read_result(directory).finished
    assert (directory / "checkpoint.pt").exists()


def test_rehearsal_changes_no_random_number():
    from budgetnet.data import arrays
    from budgetnet.run import build_model
    from budgetnet.run.data import RunData
    from budgetnet.run.rehearsal import rehearse

    experiment = Experiment("own", DIGITS, Own("dropout"), Recipe(SGD(0.05), batch_size=64, epochs=1))
    data = RunData(experiment, arrays.load(DIGITS, None), 0, torch.device("cpu"))
    state = torch.random.get_rng_state()
    rehearse(lambda: build_model(experiment), data, SGD(0.05))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ("counter in training", "forward changes steps, which no checkpoint holds: an interrupted run goes on with another value"),
        ("batch statistics", "in evaluation mode the logits of an image depend on the other images of its batch"),
        ("fake quantization", "and others in evaluation mode: every evaluation gives another accuracy"),
        ("dropout in evaluation", "the network draws random numbers in evaluation mode: every evaluation gives another accuracy"),
    ],
)
def test_network_whose_figures_depend_on_more_than_its_weights_is_warned_of_and_trains(tmp_path, capsys, network, sentence):
    status, said = run(tmp_path, capsys, network)
    assert status == 0
    assert said.count(sentence) == 1
    assert sentence in (tmp_path / "runs" / "own" / "seed-0" / "log.txt").read_text()
    words = "--catalogue", catalogue(tmp_path, network), "--runs", tmp_path / "runs", "--device", "cpu"
    assert said_by(capsys, "eval", "own", *words)[0] == 0


@pytest.mark.parametrize("network", ["random projection", "pruned", "layer drop", "normalized vector"])
def test_weights_score_what_their_run_scored(tmp_path, capsys, network):
    words = "--catalogue", catalogue(tmp_path, network), "--runs", tmp_path / "runs", "--device", "cpu"
    status, said = said_by(capsys, "run", "own", *words, "--seeds", 1, "--workers", 1)
    assert status == 0, said
    assert "budgetnet:" not in said
    assert not re.search("forward changes|depend on the other|draws random", said)
    accuracy = read_result(tmp_path / "runs" / "own" / "seed-1").last.validation_accuracy
    for name in ("eval", "inspect"):
        status, said = said_by(capsys, name, "own", *words)
        assert status == 0, said
        assert f"accuracy {accuracy:.2f} %" in said


def test_layers_dropped_by_python_and_numpy_are_those_of_the_seed_after_a_resume_as_well(tmp_path, capsys):
    words = "--catalogue", catalogue(tmp_path, "layer drop", epochs=2, optimizer="SGD(0.01, momentum=0.9)"), "--device", "cpu"
    for folder, epochs in (("whole", ()), ("parts", ("--epochs", 1)), ("parts", ())):
        status, said = said_by(capsys, "run", "own", *words, "--runs", tmp_path / folder, *epochs)
        assert status == 0, said
    whole, parts = (read_weights(tmp_path / folder / "own" / "seed-0" / "weights.safetensors") for folder in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("network", ["counter in training", "layer drop"])
def test_stack_does_not_take_what_forward_does_in_python(tmp_path, capsys, network):
    status, said = run(tmp_path, capsys, network, engine="stacked")
    assert status == 1
    assert "own cannot be trained as a stack: forward " in said
