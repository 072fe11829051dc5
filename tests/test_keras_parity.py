"""Every port against Keras itself: counts, shapes, dropout, logits of the same weights, moving statistics, initial weights."""

import numpy as np
import pytest
import torch
from torch import nn

from budgetnet.catalogue import load_default
from budgetnet.layers import keras as keras_layers
from budgetnet.layers.keras import SeparableConv2d
from budgetnet.params import count
from budgetnet.run import build_model
from tests.keras_models import LAYERS, MODELS, lenet, separable

CATALOGUE = load_default()
PORTS = [experiment for experiment in CATALOGUE if "Keras" in experiment.source]
# Keras 3.15 hands its variables to numpy in numpy 1's way
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
WEIGHTED = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, SeparableConv2d)


def layers_of(model):
    """The layers with weights, in the order of Keras's model.layers: a separable convolution is one of them."""
    inside = {part for module in model.modules() if isinstance(module, SeparableConv2d) for part in module.modules()} - {
        module for module in model.modules() if isinstance(module, SeparableConv2d)
    }
    return [module for module in model.modules() if isinstance(module, WEIGHTED) and module not in inside]


def keras_layers_of(model):
    """The layers with weights in ours' order: one branch after the other, where Keras goes level by level."""
    found = [layer for layer in model.layers if layer.weights]
    if sum("separable" in layer.name for layer in found) == 3 and any("batch" in layer.name for layer in found):
        assert [type(layer).__name__[:5] for layer in found[:6]] == ["Separ", "Batch", "Separ", "Separ", "Batch", "Batch"]
        found[3], found[4] = found[4], found[3]
    return found


def as_torch(layer):
    """A Keras layer's weights under our names and in torch's axes."""
    arrays = [weight.value.detach().cpu() for weight in layer.weights]
    kind = type(layer).__name__
    if kind == "Dense":
        return {"weight": arrays[0].T, "bias": arrays[1]}
    if kind == "Conv2D":
        return {"weight": arrays[0].permute(3, 2, 0, 1), "bias": arrays[1]}
    if kind == "SeparableConv2D":
        depthwise, pointwise, bias = arrays
        return {
            "depthwise.weight": depthwise.permute(2, 3, 0, 1), "pointwise.weight": pointwise.permute(3, 2, 0, 1), "pointwise.bias": bias,
        }  # fmt: skip
    assert kind == "BatchNormalization"
    return dict(zip(("weight", "bias", "running_mean", "running_var"), arrays, strict=True))


def randomize(model, seed=0):
    """Weights that leave no constant without effect: biases and moving statistics included."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        new = []
        for weight in layer.weights:
            shape = tuple(weight.shape)
            if "variance" in weight.path:
                new.append(generator.uniform(0.002, 0.02, shape))  # as of units that hardly vary: there epsilon decides
            elif "gamma" in weight.path:
                new.append(generator.normal(0.1, 0.03, shape))  # which keeps the scale of what passes
            elif len(shape) == 1:
                new.append(generator.normal(0.0, 0.1, shape))
            else:
                new.append(generator.normal(0.0, (2.0 / np.prod(shape[:-1])) ** 0.5, shape))
        layer.set_weights(new)


def copy_weights(theirs, ours):
    mine, his = layers_of(ours), keras_layers_of(theirs)
    assert len(mine) == len(his)
    for module, layer in zip(mine, his, strict=True):
        state = as_torch(layer)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            state["num_batches_tracked"] = module.num_batches_tracked
        module.load_state_dict(state)


def digits(mnist, number):
    return mnist.test_images[:number].float() / 255


def logits_of(theirs, images):
    with torch.no_grad():
        return theirs(images.permute(0, 2, 3, 1), training=False).detach().cpu()


def assert_same_logits(theirs, ours, images):
    copy_weights(theirs, ours)
    expected = logits_of(theirs, images)
    assert expected.std() > 0.1  # or nothing would be compared
    with torch.no_grad():
        found = ours.eval()(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_every_port_has_a_keras_model():
    assert [experiment.name for experiment in PORTS] == [*MODELS]


@pytest.mark.parametrize("experiment", PORTS, ids=lambda experiment: experiment.name)
def test_counts_shapes_and_logits(experiment, keras, mnist):
    make, total, trainable = MODELS[experiment.name]
    theirs, ours = make(keras), build_model(experiment)
    counts = count(ours)
    their_trainable = sum(int(np.prod(weight.shape)) for weight in theirs.trainable_weights)
    assert (counts.keras_total, counts.trainable) == (theirs.count_params(), their_trainable)
    assert (experiment.budget.keras_total, experiment.budget.exact) == (theirs.count_params(), their_trainable)
    if total is not None:
        assert (counts.keras_total, counts.trainable) == (total, trainable)
    shapes = []
    hooks = [layer.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:]))) for layer in layers_of(ours)]
    randomize(theirs)
    assert_same_logits(theirs, ours, digits(mnist, 4 if "seven" in experiment.name else 16))
    for hook in hooks:
        hook.remove()
    his = keras_layers_of(theirs)
    assert [count(layer).keras_total for layer in layers_of(ours)] == [layer.count_params() for layer in his]
    assert shapes == [(layer.output.shape[-1], *layer.output.shape[1:-1]) for layer in his]
    assert [module.p for module in ours.modules() if isinstance(module, nn.Dropout)] == [
        layer.rate for layer in theirs.layers if type(layer).__name__ == "Dropout"
    ]
    if experiment.name in LAYERS:
        assert tuple(layer.count_params() for layer in his) == LAYERS[experiment.name]


def flipped(kernel):
    return kernel // 2, (kernel - 1) // 2


@pytest.mark.parametrize("broken", ["epsilon", "padding side", "flatten order", "reshape order"])
def test_a_changed_constant_is_noticed(broken, keras, mnist, monkeypatch):
    theirs = lenet(keras) if broken == "flatten order" else separable(keras, norm=True)
    if broken == "epsilon":
        monkeypatch.setitem(keras_layers.BATCH_NORM, "eps", 1e-5)
    elif broken == "padding side":
        monkeypatch.setattr("budgetnet.layers.depthwise.same_padding", flipped)
    elif broken == "flatten order":
        monkeypatch.setattr(keras_layers.ChannelsLastFlatten, "forward", lambda self, images: images.flatten(1))
    else:
        monkeypatch.setattr(keras_layers.ChannelsLastReshape, "forward", lambda self, images: images.reshape(-1, 512, 7, 7))
    randomize(theirs)
    ours = build_model(CATALOGUE["lenet" if broken == "flatten order" else "explore-separable-bn"])
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        assert_same_logits(theirs, ours, digits(mnist, 8))


@pytest.mark.parametrize("name", ["explore-separable", "lenet", "mlp-5"])
def test_initial_weights_are_distributed_as_keras_s(name, keras):
    """Glorot uniform, normal with the document's deviation, zeros: same mean, spread and bounds where there are enough weights."""
    theirs, ours = MODELS[name][0](keras), build_model(CATALOGUE[name])
    for layer, module in zip(keras_layers_of(theirs), layers_of(ours), strict=True):
        state = module.state_dict()
        for key, expected in as_torch(layer).items():
            if key.endswith("bias"):
                assert not state[key].any()
                assert not expected.any()
            elif expected.numel() > 600:
                assert state[key].std().item() == pytest.approx(expected.std().item(), rel=0.1)
                assert state[key].abs().max().item() == pytest.approx(expected.abs().max().item(), rel=0.35)


def compare_moving_statistics(keras):
    """A training batch through ours and Keras 3's, which keeps the biased variance where torch, and Keras 2.1, keep the unbiased one."""
    values = torch.randn(50, 7) * 3 + 1
    theirs = keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3)
    expected = theirs(values, training=True).detach()
    ours = nn.BatchNorm1d(7, **keras_layers.BATCH_NORM).train()
    torch.testing.assert_close(ours(values).detach(), expected, rtol=0, atol=1e-5)
    moving_mean, moving_variance = (variable.value.detach().cpu() for variable in theirs.non_trainable_variables)
    torch.testing.assert_close(ours.running_mean, moving_mean, rtol=0, atol=1e-6)
    unbiased = 0.99 + (moving_variance - 0.99) * 50 / 49
    torch.testing.assert_close(ours.running_var, unbiased, rtol=0, atol=1e-6)


def test_moving_statistics_move_as_keras_s(keras):
    compare_moving_statistics(keras)


@pytest.mark.parametrize(("constant", "value"), [("momentum", 0.1), ("eps", 1e-5)])
def test_another_constant_of_the_moving_statistics_is_noticed(constant, value, keras, monkeypatch):
    monkeypatch.setitem(keras_layers.BATCH_NORM, constant, value)
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        compare_moving_statistics(keras)
