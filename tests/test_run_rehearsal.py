"""The rehearsal before training: what would end a run later ends it before its first step, with a sentence."""

import re

import pytest
import torch

from budgetnet.cli import main as command
from budgetnet.data.specs import DIGITS
from budgetnet.definition import SGD, Experiment, Recipe
from budgetnet.results import read_result
from budgetnet.weights import load_trained
from tests.own_networks import Own

pytest.importorskip("sklearn")


def run(tmp_path, capsys, network, batch_size=64, engine="auto"):
    """Train one epoch from a catalogue file that names the network; returns status and output."""
    name = f"cat_{network}_{batch_size}_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(
        "from budgetnet.data.specs import DIGITS\nfrom budgetnet.definition import SGD, Experiment, Recipe\n"
        "from tests.own_networks import Own\n"
        f"CATALOGUE = (Experiment('own', DIGITS, Own({network!r}), Recipe(SGD(0.05), batch_size={batch_size}, epochs=1)),)\n"
    )
    words = ["run", "own", "--catalogue", str(tmp_path / f"{name}.py"), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    status = command([*words, "--engine", engine])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


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
    "network", ["whole dropout", "tied weights", "one module twice", "weight norm", "old weight norm", "LSTM", "spectral norm"]
)
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
    rehearse(build_model(experiment), data)
    assert torch.equal(state, torch.random.get_rng_state())
