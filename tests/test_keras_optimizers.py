"""Steps of the optimizers on a port's real gradients, against Keras's own optimizers."""

import numpy as np
import pytest
import torch
from torch import nn

from budgetnet.catalogue import load_default
from budgetnet.definition import Adadelta, Adam, RMSprop
from budgetnet.optim import build_optimizer
from budgetnet.run import build_model

CATALOGUE = load_default()
STEPS = 3


def train_ours(ours, optimizer, images, labels):
    """A few steps, without dropout; returns the weights and the gradients of every step."""
    gradients = []
    ours.eval()
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(ours(images), labels).backward()
        gradients.append([parameter.grad.clone() for parameter in ours.parameters()])
        optimizer.step()
    return [parameter.detach().clone() for parameter in ours.parameters()], gradients


@pytest.fixture
def small_port(mnist):
    """The lenet port with a batch of real digits: enough layers for gradients of all sizes, down to none at all."""
    return build_model(CATALOGUE["lenet"]), mnist.test_images[:32].float() / 255, mnist.test_labels[:32].long()


def keras_steps(keras, optimizer, start, gradients):
    variables = [keras.Variable(value.numpy()) for value in start]
    optimizer.build(variables)
    for step in gradients:
        optimizer.apply([gradient.clone() for gradient in step], variables)
    return [variable.value.detach().cpu() for variable in variables]


def largest_difference(found, expected):
    return max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True))


def test_adam_and_adadelta_step_as_keras_steps(keras, small_port):
    ours, images, labels = small_port
    start = [parameter.detach().clone() for parameter in ours.parameters()]
    for description, optimizer in (
        (Adam(lr=1e-3), keras.optimizers.Adam(learning_rate=1e-3, epsilon=1e-7)),
        (Adadelta(), keras.optimizers.Adadelta(learning_rate=1.0, rho=0.95, epsilon=1e-7)),
    ):
        with torch.no_grad():
            for parameter, value in zip(ours.parameters(), start, strict=True):
                parameter.copy_(value)
        found, gradients = train_ours(ours, build_optimizer(description, ours.parameters()), images, labels)
        expected = keras_steps(keras, optimizer, start, gradients)
        assert largest_difference(found, start) > 1e-4
        assert largest_difference(found, expected) < 1e-5


def test_rmsprop_steps_as_keras_of_2018_stepped(keras, small_port):
    """Keras 3 has moved epsilon under the root: where gradients are large against it, the two rules are one; and the rule of 2018
    itself, new_a = ρ·a + (1-ρ)·g², new_p = p - lr·g/(√new_a + ε), is transcribed for the others."""
    ours, images, labels = small_port
    start = [parameter.detach().clone() for parameter in ours.parameters()]
    found, gradients = train_ours(ours, build_optimizer(RMSprop(lr=1e-3, rho=0.9, epsilon=1e-8), ours.parameters()), images, labels)
    transcribed = [value.double().numpy().copy() for value in start]
    for index in range(len(start)):
        average = np.zeros_like(transcribed[index])
        for step in gradients:
            gradient = step[index].double().numpy()
            average = 0.9 * average + 0.1 * gradient**2
            transcribed[index] -= 1e-3 * gradient / (np.sqrt(average) + 1e-8)
    assert largest_difference(found, [torch.from_numpy(value).float() for value in transcribed]) < 1e-5
    expected = keras_steps(keras, keras.optimizers.RMSprop(learning_rate=1e-3, rho=0.9, epsilon=1e-16), start, gradients)
    compared = 0
    for index, value in enumerate(found):
        large = torch.stack([step[index].abs() for step in gradients]).min(0).values > 1e-4
        compared += int(large.sum())
        assert float(((value - expected[index]).abs() * large).max()) < 1e-5
    assert compared > 100_000


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda p: torch.optim.Adam(p, lr=1e-3, eps=1e-7), lambda o: o.Adam(learning_rate=1e-3, epsilon=1e-7)),
        (lambda p: build_optimizer(Adam(lr=1e-3, epsilon=1e-8), p), lambda o: o.Adam(learning_rate=1e-3, epsilon=1e-7)),
        (lambda p: build_optimizer(Adadelta(epsilon=1e-6), p), lambda o: o.Adadelta(learning_rate=1.0, rho=0.95, epsilon=1e-7)),
        (lambda p: build_optimizer(Adadelta(rho=0.9), p), lambda o: o.Adadelta(learning_rate=1.0, rho=0.95, epsilon=1e-7)),
        (lambda p: build_optimizer(RMSprop(lr=1e-3, epsilon=1e-8), p), lambda o: o.RMSprop(learning_rate=1e-3, rho=0.9, epsilon=1e-8)),
    ],
    ids=["torch's Adam", "Adam's epsilon", "Adadelta's epsilon", "Adadelta's rho", "RMSprop's place of epsilon"],
)
def test_a_changed_constant_is_noticed(ours, theirs, keras, small_port):
    model, images, labels = small_port
    start = [parameter.detach().clone() for parameter in model.parameters()]
    found, gradients = train_ours(model, ours(model.parameters()), images, labels)
    assert largest_difference(found, keras_steps(keras, theirs(keras.optimizers), start, gradients)) > 1e-5
