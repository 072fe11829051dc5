"""Structures: what is connected to what, counted as Keras does; torchsummary is the oracle of the totals."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from budgetnet.catalogue import load_default
from budgetnet.params import count, layer_table
from budgetnet.run import build_model
from budgetnet.structure import Layer, plain_rows, table
from budgetnet.tracing import StructureUnavailable, trace

SHAPE = (1, 28, 28)
CATALOGUE = load_default()


class Separable(nn.Module):
    """A composite layer as Keras has it: one row, with the parameters of both parts."""

    is_layer = True

    def __init__(self, channels, filters):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, filters, 1)

    def forward(self, images):
        return self.pointwise(self.depthwise(images))


class Parallel(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, images):
        return torch.cat([branch(images) for branch in self.branches], 1)


class Reading(nn.Module):
    """Uses a parameter, sizes and functions directly, one layer twice, and one never."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.conv = nn.Conv2d(1, 4, 3)
        self.act = nn.ReLU()
        self.spare = nn.Linear(2, 3)

    def forward(self, images):
        x = self.act(self.conv(images)) * self.scale
        x = self.act(functional.max_pool2d(x, 2) + 1)
        return x.view(x.size(0), -1)[:, :10]


class Deciding(nn.Module):
    def forward(self, images):
        return images if images.sum() > 0 else -images


def by_name(layers):
    return {layer.name: layer for layer in layers}


@pytest.mark.parametrize("experiment", list(CATALOGUE), ids=lambda experiment: experiment.name)
def test_every_experiment_can_be_traced_and_counts_agree(experiment):
    model = build_model(experiment)
    layers = trace(model, experiment.data_set.image_shape)
    counts = count(model)
    assert sum(layer.parameters for layer in layers) == counts.keras_total
    assert sum(layer.trainable for layer in layers) == counts.trainable
    assert layers[0] == Layer("input", "Input", experiment.data_set.image_shape, 0, 0, ())
    assert layers[-1].output_shape == (experiment.data_set.classes,)
    names = [layer.name for layer in layers]
    assert len(names) == len(set(names))
    assert all(set(layer.inputs) <= set(names[:number]) and layer.inputs for number, layer in enumerate(layers) if number)


@pytest.mark.parametrize("name", ["step-01", "step-13", "mlp-2-bn", "lenet"])
def test_shapes_and_trainable_parameters_are_torchsummarys(name):
    experiment = CATALOGUE[name]
    model = build_model(experiment)
    ours = [(layer.output_shape, layer.trainable) for layer in trace(model, SHAPE)[1:]]
    theirs = layer_table(model, SHAPE)
    assert ours == [(row.output_shape, row.parameters) for row in theirs.rows]
    assert sum(trainable for _, trainable in ours) == theirs.total


def test_branches_are_visible():
    branches = [nn.Sequential(Separable(8, 16), nn.MaxPool2d(2)) for _ in range(2)]
    layers = trace(nn.Sequential(Separable(1, 8), Parallel(*branches)), SHAPE)
    found = by_name(layers)
    assert [layer.kind for layer in layers] == ["Input", "Separable", "Separable", "MaxPool2d", "Separable", "MaxPool2d", "cat"]
    assert found["0"].parameters == 9 + 8 + 8
    assert found["1.branches.0.0"].inputs == found["1.branches.1.0"].inputs == ("0",)
    assert found["cat"].inputs == ("1.branches.0.1", "1.branches.1.1")
    assert found["cat"].output_shape == (32, 14, 14)


def test_operations_parameters_second_calls_and_unused_layers_are_rows():
    layers = by_name(trace(Reading(), SHAPE))
    assert layers["scale"] == Layer("scale", "parameter", (4, 1, 1), 4, 4, ())
    assert layers["mul"].inputs == ("act", "scale")
    assert layers["act#2"].kind == "ReLU"
    assert layers["view"].inputs == ("act#2",), "a size is no layer"
    assert (layers["view"].output_shape, layers["getitem"].output_shape) == ((676,), (10,))
    assert (layers["spare"].output_shape, layers["spare"].parameters, layers["spare"].shape_text) == (None, 9, "not used")
    assert sum(layer.parameters for layer in layers.values()) == count(Reading()).keras_total


def test_what_is_shared_counts_where_it_is_first_used():
    layer = nn.Linear(5, 5)
    tied = nn.Linear(5, 5, bias=False)
    tied.weight = layer.weight
    frozen = nn.Linear(5, 2).requires_grad_(False)
    layers = trace(nn.Sequential(nn.Flatten(), layer, layer, tied, frozen), (1, 1, 5))
    assert [row.parameters for row in layers] == [0, 0, 30, 0, 0, 12]
    assert [row.trainable for row in layers] == [0, 0, 30, 0, 0, 0]


def test_a_layer_alone_is_a_network():
    assert [layer.kind for layer in trace(nn.Flatten(), SHAPE)] == ["Input", "Flatten"]


def test_tracing_changes_neither_model_nor_random_state():
    model = build_model(CATALOGUE["step-13"]).train()
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    trace(model, SHAPE)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


@pytest.mark.parametrize(
    ("model", "sentence"),
    [(Deciding(), "cannot be traced symbolically"), (nn.Sequential(nn.Conv2d(3, 4, 3)), r"fails on an image of \(1, 28, 28\)")],
)
def test_what_cannot_be_traced_is_one_sentence(model, sentence):
    with pytest.raises(StructureUnavailable, match=sentence) as error:
        trace(model, SHAPE)
    assert "\n" not in str(error.value)


def test_the_table_is_keras_like():
    rows = table(trace(build_model(CATALOGUE["step-13"]), SHAPE))
    assert rows[1] == ("conv1 (Conv2d)", "(10, 28, 28)", 90, "input")
    assert rows[-1] == ("total", "", 5_854, "")
    assert set(plain_rows(trace(nn.Flatten(), SHAPE))[0]) == {"layer", "kind", "output_shape", "parameters", "connected_to"}


def test_a_structure_can_be_read_without_torch():
    code = "import sys, budgetnet.structure; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
