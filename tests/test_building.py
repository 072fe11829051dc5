"""From an experiment to its network: lazy layers, and builds that fail."""

import json
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from budgetnet.building import BuildError, build, build_without_values
from budgetnet.data.specs import DIGITS
from budgetnet.definition import SGD, Budget, Experiment, Recipe
from budgetnet.fingerprint import fingerprint, network_fingerprint
from budgetnet.run import assert_budget, build_model, gate
from budgetnet.run.gates import BudgetExceeded
from budgetnet.weights import find_weights, load_trained
from tests.command_line import main

HERE = ["--catalogue", __name__]


class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.out = nn.LSTM(28, 12, batch_first=True), nn.Linear(12, 10)

    def forward(self, x):
        return self.out(self.lstm(x.squeeze(1))[0][:, -1])


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.spare = nn.Linear(784, 10), nn.LazyLinear(10)

    def forward(self, x):
        return self.used(x.flatten(1))


@dataclass(frozen=True)
class Own:
    kind: str

    def build(self, image_shape, classes):
        if self.kind == "lazy":
            convolution = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Dropout(0.5))
            return nn.Sequential(convolution, nn.Flatten(), nn.LazyLinear(classes))
        if self.kind == "raising":
            return {}["no such key"]
        if self.kind == "no module":
            return "a text"
        if self.kind == "lazy and wrong":
            return nn.Sequential(nn.LazyLinear(5), nn.Linear(4, classes))
        return Unused() if self.kind == "unused" else Rows()


def experiment(kind, bound=100_000):
    return Experiment(kind.replace(" ", "-"), DIGITS, Own(kind), Recipe(SGD(0.01), 256, 1), Budget(bound=bound))


CATALOGUE = (experiment("lazy"), experiment("raising"), experiment("lstm", bound=100))


def test_lazy_layers_are_materialized_as_the_seed_says_and_stay_in_training_mode():
    lazy = experiment("lazy")
    model, again, other = build_model(lazy, 1), build_model(lazy, 1), build_model(lazy, 2)
    assert gate(lazy).counts.trainable == 40 + 8 + 4 * 26 * 26 * 10 + 10
    assert all(module.training for module in model.modules())
    assert torch.equal(model[2].weight, again[2].weight)
    assert not torch.equal(model[2].weight, other[2].weight)
    assert model[0][1].running_mean.tolist() == [0.0] * 4, "no statistics of the black image"


def test_a_lazy_network_has_one_fingerprint_with_and_without_values():
    lazy = experiment("lazy")
    assert network_fingerprint(lazy) == fingerprint(build_model(lazy, 3))
    assert next(build_without_values(lazy).parameters()).is_meta


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("raising", r"^raising cannot be built: Own\.build raises KeyError: 'no such key'$"),
        ("no module", r"^no-module cannot be built: Own\.build returns a str; expected a torch\.nn\.Module$"),
        ("lazy and wrong", r"^lazy-and-wrong cannot be built: it has lazy layers, and its forward raises RuntimeError: .*\(1, 28, 28\)$"),
        ("unused", r"^unused cannot be built: spare\.weight is lazy and no image reaches it; remove it, or give its size$"),
    ],
)
def test_what_cannot_be_built_is_said_in_a_sentence(kind, message):
    with pytest.raises(BuildError, match=message):
        build(experiment(kind))


def test_a_lazy_network_trains_and_its_weights_load(tmp_path):
    pytest.importorskip("sklearn")
    assert main("run", "lazy", *HERE, "--runs", tmp_path / "runs", "--device", "cpu") == 0
    trained = load_trained(CATALOGUE[0], find_weights([tmp_path / "runs"], CATALOGUE[0], None))
    assert trained.model(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def test_check_goes_on_after_what_cannot_be_built(capsys):
    assert main("check", *HERE) == 2
    output = capsys.readouterr()
    assert "2 experiments, 1 within their budgets; broken: lstm; not built: raising" in output.out
    assert output.err == "budgetnet: raising cannot be built: Own.build raises KeyError: 'no such key'\n"
    assert main("check", "--json", *HERE) == 2
    rows = {row["name"]: row["verdict"] for row in json.loads(capsys.readouterr().out)}
    assert rows == {"lazy": "ok", "lstm": "over the bound", "raising": "not built"}


def test_run_says_what_cannot_be_built(capsys, tmp_path):
    assert main("run", "raising", *HERE, "--runs", tmp_path / "runs") == 2
    assert capsys.readouterr().err == "budgetnet: raising cannot be built: Own.build raises KeyError: 'no such key'\n"


def test_a_budget_is_broken_also_where_there_is_no_layer_table(capsys, tmp_path):
    with pytest.raises(BudgetExceeded, match="there is no layer table, because torchsummary cannot read this network"):
        assert_budget(experiment("lstm", bound=100))
    assert main("run", "lstm", *HERE, "--runs", tmp_path / "runs") == 3
    assert "lstm has 2,146 trainable parameters, over the bound" in capsys.readouterr().err
