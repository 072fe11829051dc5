"""What a network consists of, and that results of a changed build() are told from the present ones."""

import importlib
import sys

import pytest
import torch
from torch import nn

from budgetnet.catalogue import load, load_default
from budgetnet.cli import main as command
from budgetnet.fingerprint import VERSION, differences, fingerprint, network_fingerprint
from budgetnet.results import read_result
from budgetnet.run import build_model
from budgetnet.weights import WeightsError, load_trained

pytest.importorskip("sklearn")


def net(hidden=16, activation=nn.ReLU):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), activation(), nn.Linear(hidden, 10))


@pytest.mark.parametrize(
    ("other", "phrases"),
    [
        (net(), []),
        (net(activation=nn.Tanh), ["module 2: ReLU() → Tanh()"]),
        (
            net(32),
            [
                "module 1: Linear(in_features=784, out_features=16, bias=True) → Linear(in_features=784, out_features=32, bias=True)",
                "module 3: Linear(in_features=16, out_features=10, bias=True) → Linear(in_features=32, out_features=10, bias=True)",
                "parameter 1.weight: float32 (16, 784) → float32 (32, 784)", "parameter 1.bias: float32 (16,) → float32 (32,)",
                "parameter 3.weight: float32 (10, 16) → float32 (10, 32)",
            ],
        ),
        (net().double(), [f"parameter {name}: float32 {shape} → float64 {shape}" for name, shape in
                          (("1.weight", "(16, 784)"), ("1.bias", "(16,)"), ("3.weight", "(10, 16)"), ("3.bias", "(10,)"))]),
    ],
)  # fmt: skip
def test_differences_name_the_parts_that_changed(other, phrases):
    assert differences(fingerprint(net()), fingerprint(other)) == phrases


def test_fingerprint_sees_frozen_and_shared_parameters_and_settings():
    frozen, shared, slower = net(), net(10), net(10)
    frozen[1].bias.requires_grad_(False)
    assert differences(fingerprint(net()), fingerprint(frozen)) == ["parameter 1.bias: float32 (16,) → float32 (16,), frozen"]
    shared[3].bias = shared[1].bias
    (found,) = differences(fingerprint(net(10)), fingerprint(shared))
    assert found == "parameter 3.bias: float32 (10,) → float32 (10,), the same as 1.bias"
    slower.append(nn.BatchNorm1d(10, momentum=0.2))
    found = differences(fingerprint(nn.Sequential(*net(10), nn.BatchNorm1d(10))), fingerprint(slower))
    assert len(found) == 1
    assert "momentum=0.1" in found[0]


def test_fingerprint_needs_no_values_and_knows_every_shipped_network():
    for name in ("step-13", "lenet", "explore-separable-bn", "mlp-2-bn"):
        experiment = load_default()[name]
        assert network_fingerprint(experiment) == fingerprint(build_model(experiment, 3))
        assert network_fingerprint(experiment)["forward"] != "not traceable"


OWN = """
from torch import nn

class Scaled(nn.Module):
    '''{docstring}'''
    def __init__(self, factor):
        super().__init__()
        self.factor = factor  # {comment}

    def forward(self, x):
        return {expression}
"""


def own_class(folder, name, docstring="One.", comment="one", expression="self.factor * x"):
    (folder / f"{name}.py").write_text(OWN.format(docstring=docstring, comment=comment, expression=expression))
    return importlib.import_module(name).Scaled


def test_fingerprint_reads_the_source_of_own_classes_without_comments(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    first = fingerprint(own_class(tmp_path, "scaled_first")(2.0))
    said = fingerprint(own_class(tmp_path, "scaled_said", docstring="Another.", comment="two")(2.0))
    changed = fingerprint(own_class(tmp_path, "scaled_changed", expression="self.factor + x")(2.0))
    setting = fingerprint(sys.modules["scaled_first"].Scaled(3.0))
    assert differences(first, said) == []
    assert differences(first, changed) == ["forward has changed", "class Scaled has changed"]
    assert differences(first, setting) == ["module: Scaled(factor=2.0) → Scaled(factor=3.0)", "forward has changed"]


def test_differences_between_versions_of_torch_are_those_of_tensors():
    before = fingerprint(net()) | {VERSION: "1.0", "module 1": "Linear(784, 16)", "forward": "another way to write it"}
    assert differences(before, fingerprint(net())) == []
    assert len(differences(before, fingerprint(net(32)))) == 3
    assert differences({}, fingerprint(net())) == []


CATALOGUE = """
from dataclasses import dataclass
from torch import nn
from budgetnet.data.specs import DIGITS
from budgetnet.definition import SGD, Experiment, Recipe

@dataclass(frozen=True)
class Own:
    def build(self, s, n):
        return nn.Sequential(nn.Flatten(), nn.Linear(784, {hidden}), nn.{activation}(), nn.Linear({hidden}, n))

CATALOGUE = (Experiment("own", DIGITS, Own(), Recipe(SGD(0.1), batch_size=64, epochs=2)),)
"""


@pytest.fixture
def own(tmp_path, capsys):
    """Write the catalogue with a network and run a command on it; returns what it printed."""

    def do(network, *words, status=0):
        hidden, activation = network
        name = f"own_{hidden}_{activation.lower()}_{tmp_path.name}"  # unique: a module's name is taken once in a process
        (tmp_path / f"{name}.py").write_text(CATALOGUE.format(hidden=hidden, activation=activation))
        assert command([*words, "--catalogue", str(tmp_path / f"{name}.py"), "--runs", str(tmp_path / "runs")]) == status
        return "".join(capsys.readouterr())

    return do


def test_run_with_a_changed_build_is_not_finished_and_says_what_changed(own, tmp_path):
    own((16, "ReLU"), "run", "own", "--device", "cpu")
    assert "is finished" in own((16, "ReLU"), "run", "own", "--device", "cpu")
    said = own((32, "ReLU"), "run", "own", "--device", "cpu")
    assert "is finished" not in said
    assert "the network has changed (module 1: Linear(in_features=784, out_features=16, bias=True) → Linear(" in said
    (aside,) = (tmp_path / "runs" / "own" / "seed-0").glob("stale-*")
    assert read_result(aside).network["parameter 1.weight"] == "float32 (16, 784)"


@pytest.mark.parametrize("changed", [(16, "Tanh"), (32, "ReLU")])
def test_interrupted_run_with_a_changed_build_starts_anew(own, tmp_path, changed):
    own((16, "ReLU"), "run", "own", "--epochs", "1", "--device", "cpu")
    said = own(changed, "run", "own", "--device", "cpu")
    assert "the network has changed" in said
    result = read_result(tmp_path / "runs" / "own" / "seed-0")
    assert [record.epoch for record in result.epochs] == [1, 2]
    assert result.network["module 2"] == f"{changed[1]}()"


def test_weights_of_another_network_are_not_loaded(own, tmp_path):
    own((16, "ReLU"), "run", "own", "--device", "cpu")
    said = own((16, "Tanh"), "eval", "own", "--device", "cpu", status=1)
    assert "is of another network (module 2: ReLU() → Tanh()); run the experiment again" in said
    experiment = load(str(tmp_path / f"own_16_tanh_{tmp_path.name}.py"))["own"]
    (weights,) = (tmp_path / "runs").glob("*/*/weights.safetensors")
    with pytest.raises(WeightsError, match="of another network"):
        load_trained(experiment, weights)
    assert load_trained(load(str(tmp_path / f"own_16_relu_{tmp_path.name}.py"))["own"], weights).model[1].weight.dtype == torch.float32


def test_report_counts_runs_of_another_network_as_stale(own, tmp_path):
    own((16, "ReLU"), "run", "own", "--device", "cpu")
    out = ("report", "--out", str(tmp_path / "report"), "--results", str(tmp_path / "runs"))
    assert "1 seed, your runs" in own((16, "ReLU"), *out)
    assert "the definition has changed since" in own((16, "Tanh"), *out)
