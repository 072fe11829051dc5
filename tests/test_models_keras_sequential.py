"""The chain of Keras layers: what it builds, and what it refuses."""

import pytest
import torch
from torch import nn

from budgetnet.definition import DefinitionError
from budgetnet.models import BatchNormalization, Conv2D, Dense, Dropout, Flatten, KerasSequential, MaxPooling2D

SHAPE = (1, 28, 28)


def test_layers_become_modules_in_order():
    model = KerasSequential((
        Conv2D(4, 5, "same"), BatchNormalization(), MaxPooling2D(), Conv2D(6), Dropout(0.5), Flatten(), Dense(7), BatchNormalization(),
    )).build(SHAPE, 10)  # fmt: skip
    assert [name for name, _ in model.named_children()] == [
        "conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "dropout1", "flatten1", "dense1", "relu3", "norm2", "classifier",
    ]  # fmt: skip
    assert isinstance(model.norm1, nn.BatchNorm2d)
    assert isinstance(model.norm2, nn.BatchNorm1d)
    assert (model.norm1.eps, model.norm1.momentum) == (1e-3, 0.01)
    assert (model.dense1.in_features, model.classifier.in_features) == (12 * 12 * 6, 7)
    assert model(torch.zeros(3, *SHAPE)).shape == (3, 10)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ((Dense(3),), "has no Flatten() before Dense(units=3, stddev=None); expected one"),
        ((Conv2D(3),), "has no Flatten() before the classifier; expected one"),
        ((Flatten(), Conv2D(3)), "has Conv2D(filters=3, kernel=3, padding='valid') after Flatten(); expected it before"),
        ((Conv2D(3, 29), Flatten()), "only (28, 28) pixels are left; expected fewer layers"),
        (("relu",), "KerasSequential.layers is ('relu',); expected a tuple of Conv2D, MaxPooling2D"),
        ((), "KerasSequential.layers is (); expected a tuple"),
    ],
)
def test_impossible_chains_are_refused(layers, words):
    with pytest.raises(DefinitionError) as error:
        KerasSequential(layers).build(SHAPE, 10)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Conv2D(0), "Conv2D.filters is 0"),
        (lambda: Conv2D(3, padding="full"), "Conv2D.padding is 'full'; expected 'valid' or 'same'"),
        (lambda: MaxPooling2D(0), "MaxPooling2D.pool is 0"),
        (lambda: Dropout(1), "Dropout.rate is 1"),
        (lambda: Dense(3, stddev=0), "Dense.stddev is 0"),
    ],
)
def test_impossible_layers_name_their_field(build, words):
    with pytest.raises(DefinitionError) as error:
        build()
    assert str(error.value).startswith(words)
