"""The Keras ports, figure by figure, against the documents' tables."""

import pytest

from budgetnet.catalogue import load_default
from budgetnet.data.specs import MNIST, MNIST_UNIT
from budgetnet.definition import Adadelta, Adam, Augmentation, Budget, RMSprop, difference
from budgetnet.models import BatchNormalization, Dense, Dropout
from experiments.separable import SeparableBranches

CATALOGUE = load_default()
ADADELTA = Adadelta(lr=1.0, rho=0.95, epsilon=1e-7)
ADAM = Adam(lr=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-7)
SLOW_ADAM = Adam(lr=1e-4, beta1=0.9, beta2=0.999, epsilon=1e-7)
RMS = RMSprop(lr=1e-3, rho=0.9, epsilon=1e-8)

# optimizer, batch size (None: not given), epochs (None: not given); reported, last epoch: validation %, loss, train %, train loss, test %
TABLE = {
    "explore-separable": (SLOW_ADAM, 32, 3, 97.808, None, None, None, 97.87),
    "explore-separable-bn": (SLOW_ADAM, 32, 3, 94.08, None, None, None, None),
    "explore-separable-dropout": (SLOW_ADAM, 32, 3, 94.17, None, None, None, None),
    "explore-separable-bn-dropout": (SLOW_ADAM, 32, 3, 90.48, None, None, None, None),
    "lenet": (ADAM, 128, 15, 99.23, 0.0301, 99.45, 0.0161, None),
    "lenet-deeper": (RMS, None, None, 98.114, None, None, None, None),
    "lenet-augmented": (RMS, None, None, 99.67, None, None, None, None),
    "cnn3-lenet": (ADADELTA, 128, 20, 99.24, 0.03021, 98.99, 0.0440, None),
    "cnn3-vgg": (ADADELTA, 128, 20, 99.49, 0.03050, 99.08, 0.0495, None),
    "cnn3-seven": (ADADELTA, 128, 20, 99.32, 0.03418, 98.89, 0.0617, None),
    "mlp-2": (ADAM, 100, 20, 97.87, 0.096706, 99.76, 0.006622, None),
    "mlp-2-bn": (ADAM, 100, 20, 98.12, 0.062077, 98.63, 0.042406, None),
    "mlp-3": (ADAM, 100, 20, 98.37, 0.088478, 99.73, 0.010192, None),
    "mlp-3-bn": (ADAM, 100, 20, 98.59, 0.046506, 98.45, 0.048634, None),
    "mlp-5": (ADAM, 100, 20, 98.53, 0.080871, 99.70, 0.012197, None),
    "mlp-5-bn": (ADAM, 100, 20, 98.42, 0.058819, 98.30, 0.066537, None),
}


@pytest.mark.parametrize("name", TABLE)
def test_port_is_the_document_s(name):
    optimizer, batch_size, epochs, *figures = TABLE[name]
    port = CATALOGUE[name]
    marked = {mark.field for mark in port.marks}
    assert port.recipe.optimizer == optimizer
    assert port.recipe.batch_size == batch_size or (batch_size is None and "recipe.batch_size" in marked)
    assert port.recipe.epochs == epochs or (epochs is None and "recipe.epochs" in marked)
    said = port.reported
    assert [said.validation_accuracy, said.validation_loss, said.train_accuracy, said.train_loss, said.test_accuracy] == figures
    assert port.aim.accuracy == said.validation_accuracy
    assert port.recipe.precision == "fp32"


@pytest.mark.parametrize("name", [experiment.name for experiment in CATALOGUE if "Keras" in experiment.source])
def test_pixels_are_divided_by_255_and_not_standardized(name):
    assert CATALOGUE[name].data_set is MNIST_UNIT
    assert (MNIST_UNIT.mean, MNIST_UNIT.std, MNIST_UNIT.files) == (0.0, 1.0, MNIST.files)


def test_groups_are_the_documents():
    groups = {name: len(CATALOGUE.select([name])) for name in ("separable", "lenets", "convnets", "mlps", "keras-ports")}
    assert groups == {"separable": 4, "lenets": 3, "convnets": 6, "mlps": 6, "keras-ports": 19}


def test_normalized_perceptrons_follow_each_hidden_layer_with_norm_and_dropout():
    for name, rate, deviations in (
        ("mlp-2-bn", 0.3, (0.055, 0.088)),
        ("mlp-3-bn", 0.5, (0.050, 0.044, 0.062)),
        ("mlp-5-bn", 0.5, (0.050, 0.031, 0.044, 0.088, 0.125)),
    ):
        layers = CATALOGUE[name].model.layers[1:]
        assert tuple(layer.stddev for layer in layers[::3]) == deviations
        assert set(layers[1::3]) == {BatchNormalization()}
        assert set(layers[2::3]) == {Dropout(rate)}
        hidden = tuple(layer for layer in layers if isinstance(layer, Dense))
        assert hidden == tuple(layer for layer in CATALOGUE[name.removesuffix("-bn")].model.layers if isinstance(layer, Dense))


def test_augmented_lenet_differs_in_its_augmentation_alone():
    changed = difference(CATALOGUE["lenet-deeper"], CATALOGUE["lenet-augmented"])
    assert {name.rpartition(".")[0] for name in changed} == {"recipe.augmentation"}
    assert CATALOGUE["lenet-augmented"].recipe.augmentation == Augmentation(rotation=10, zoom=0.1, shift=0.1, interpolation="bilinear")
    schedule = CATALOGUE["lenet-augmented"].recipe.schedule
    assert (schedule.factor, schedule.patience) == (0.5, 3)


def test_ablation_never_sees_the_test_set():
    protocols = [CATALOGUE[name].recipe.protocol for name in TABLE if name.startswith("explore")]
    assert [protocol.test_at_end for protocol in protocols] == [True, False, False, False]
    assert {(protocol.validation, protocol.holdout) for protocol in protocols} == {("holdout", 10_000)}


def test_values_that_no_document_gives_are_marked():
    marks = {experiment.name: {mark.field: mark.kind for mark in experiment.marks} for experiment in CATALOGUE}
    assert marks["lenet"] == {"recipe.optimizer.lr": "inferred"}
    for name in ("lenet-deeper", "lenet-augmented"):
        assert marks[name]["model.layers"] == "inferred"
        assert {"recipe.batch_size", "recipe.epochs", "recipe.schedule.min_lr", "recipe.protocol.holdout"} <= set(marks[name])
    assert all(marks[name]["recipe.optimizer"] == "inferred" for name in TABLE if name.startswith("cnn3"))
    assert all(marks[name]["recipe.optimizer.lr"] == "inferred" for name in TABLE if name.startswith("mlp"))
    assert "model.layers" not in marks["cnn3-lenet-bn"]
    assert marks["cnn3-vgg-bn"]["model.layers"] == marks["cnn3-seven-bn"]["model.layers"] == "chosen"


def test_lenet_s_network_of_cnn3_is_normalized_twice_as_its_document_has_commented_out():
    layers = CATALOGUE["cnn3-lenet-bn"].model.layers
    places = [place for place, layer in enumerate(layers) if isinstance(layer, BatchNormalization)]
    assert [layers[place - 1] for place in places] == [Dropout(0.25), Dropout(0.25)]
    assert CATALOGUE["cnn3-lenet-bn"].budget == Budget(exact=717_002, keras_total=717_770)
    assert (CATALOGUE["cnn3-lenet-bn"].reported, CATALOGUE["cnn3-lenet-bn"].aim) == (None, None)


def test_curves_are_the_documents():
    first, second = CATALOGUE["lenet"].reported.curves
    assert (first.validation_accuracy[-1], first.validation_loss[-1], first.train_accuracy[-1]) == (99.23, 0.0301, 99.45)
    assert (second.validation_accuracy[-1], second.validation_loss[-1], second.train_loss[-1]) == (99.24, 0.0326, 0.0159)
    for name in ("cnn3-lenet", "cnn3-vgg", "cnn3-seven"):
        (curve,) = CATALOGUE[name].reported.curves
        assert (len(curve.train_accuracy), curve.validation_accuracy) == (20, ())


@pytest.mark.parametrize(
    ("place", "norms"),
    [
        ("convolutions", {"stem.norm": "relu", "branches.0.norm": "relu", "branches.1.norm": "relu"}),
        ("before relu", {"stem.norm": "conv", "branches.0.norm": "conv", "branches.1.norm": "conv"}),
        ("dense", {"norm1": "relu1", "norm2": "relu2"}),
        ("everywhere", {"stem.norm": "relu", "branches.0.norm": "relu", "branches.1.norm": "relu", "norm1": "relu1", "norm2": "relu2"}),
    ],
)
def test_explore_s_normalization_stands_where_it_is_asked_for(place, norms):
    network = SeparableBranches(norm=True, norm_place=place).build((1, 28, 28), 10)
    leaves = [name for name, module in network.named_modules() if not any(module.children())]
    found = [name for name in leaves if "norm" in name]
    assert found == list(norms)
    for name, before in norms.items():
        follows = [other for other in leaves if other.startswith(name.rpartition(".")[0])]
        assert before in follows[follows.index(name) - 1].split(".")
