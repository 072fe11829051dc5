"""Folded networks compute the same, and only what can be folded exactly is."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from budgetnet.catalogue import load_default
from budgetnet.inference.folding import fold_batch_norms
from tests.inference_demo import distinct_experiments, with_statistics
from tests.own_networks import NETWORKS


def assert_same(network, inputs):
    network = with_statistics(network).double()
    folded, names = fold_batch_norms(network)
    with torch.no_grad():
        assert torch.allclose(folded(inputs), network(inputs), rtol=0, atol=1e-12)
    return names


@given(
    channels=st.integers(1, 4),
    padding=st.sampled_from([0, 1]),
    bias=st.booleans(),
    between=st.lists(st.sampled_from(["dropout", "max", "average"]), max_size=3),
)
def test_into_convolutions_without_padding_only(channels, padding, bias, between):
    layers = {"dropout": lambda: nn.Dropout2d(0.3), "max": lambda: nn.MaxPool2d(2), "average": lambda: nn.AvgPool2d(2)}
    network = nn.Sequential(
        nn.Conv2d(2, channels, 3), nn.ReLU(), nn.BatchNorm2d(channels), *[layers[name]() for name in between],
        nn.Conv2d(channels, 5, 2, padding=padding, bias=bias),
    )  # fmt: skip
    names = assert_same(network, torch.randn(3, 2, 24, 24, dtype=torch.float64))
    assert names == ([] if padding else ["2"])


@pytest.mark.parametrize("pooled", [False, True])
def test_into_a_dense_layer_through_flattening(pooled):
    pool = [nn.AdaptiveAvgPool2d(2)] if pooled else []
    network = nn.Sequential(nn.BatchNorm2d(3), *pool, nn.Flatten(), nn.Linear(3 * (4 if pooled else 25), 7))
    assert assert_same(network, torch.randn(4, 3, 5, 5, dtype=torch.float64)) == ["0"]


def test_of_features_into_a_dense_layer():
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3, bias=False))
    assert assert_same(network, torch.randn(4, 6, dtype=torch.float64)) == ["2"]


@pytest.mark.parametrize(
    "behind",
    [
        [nn.ReLU(), nn.Conv2d(3, 2, 1)],
        [nn.Conv2d(3, 3, 1, groups=3)],
        [nn.Conv2d(3, 2, 3, padding="same")],
        [nn.MaxPool2d(2, padding=1), nn.Conv2d(3, 2, 1)],
        [nn.BatchNorm2d(3)],
    ],
    ids=["activation", "grouped", "padded", "padded pooling", "another normalization"],
)
def test_what_stands_in_the_way(behind):
    network = nn.Sequential(nn.BatchNorm2d(3), *behind)
    assert assert_same(network, torch.randn(2, 3, 8, 8, dtype=torch.float64)) == []


def test_falling_scales_do_not_pass_max_pooling():
    network = with_statistics(nn.Sequential(nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.Conv2d(3, 2, 1))).double()
    with torch.no_grad():
        network[0].weight[1] = -1.0
    inputs = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    folded, names = fold_batch_norms(network)
    assert names == []
    assert torch.equal(folded(inputs), network(inputs))


def test_the_network_itself_stays():
    network = with_statistics(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1)))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fold_batch_norms(network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_step_13_keeps_the_normalizations_before_padded_convolutions():
    experiment = load_default()["step-13"]
    network = experiment.model.build((1, 28, 28), 10)
    assert assert_same(network, torch.randn(2, 1, 28, 28, dtype=torch.float64)) == ["norm4", "norm5"]


@pytest.mark.parametrize("experiment", distinct_experiments(), ids=lambda experiment: experiment.name)
def test_every_network_of_the_catalogue_computes_the_same(experiment):
    if experiment.budget.exact and experiment.budget.exact > 10_000_000:
        pytest.skip("gigabytes in float64; its layers are those of the smaller ports")
    network = experiment.model.build(experiment.data_set.image_shape, experiment.data_set.classes)
    assert_same(network, torch.randn(2, *experiment.data_set.image_shape, dtype=torch.float64))


@pytest.mark.parametrize("network", ["backwards", "pruned", "weight norm behind normalization"])
def test_nothing_is_folded_where_the_order_or_the_weights_are_not_what_they_seem(network):
    made = {
        "weight norm behind normalization": lambda: nn.Sequential(
            nn.Flatten(), nn.BatchNorm1d(784), nn.utils.parametrizations.weight_norm(nn.Linear(784, 10))
        )
    } | NETWORKS
    model = made[network]()
    with torch.no_grad():
        model.train()(torch.rand(32, 1, 28, 28))  # leaves statistics, and weights that can be copied
        folded, names = fold_batch_norms(model.eval())
        images = torch.rand(5, 1, 28, 28)
        assert torch.equal(folded(images), model(images))
    assert names == []
