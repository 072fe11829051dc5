"""Keras's order of reading, and branches."""

import torch
from torch import nn

from budgetnet.layers.keras import ChannelsLastFlatten, ChannelsLastReshape, Parallel, SeparableConv2d, convolution, dense


def test_flatten_and_reshape_read_height_width_channel():
    images = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    channels_last = images.numpy().transpose(0, 2, 3, 1)
    assert ChannelsLastFlatten()(images).tolist() == channels_last.reshape(2, -1).tolist()
    reshaped = ChannelsLastReshape(2, 2, 12)(images)
    assert reshaped.numpy().transpose(0, 2, 3, 1).tolist() == channels_last.reshape(2, 2, 2, 12).tolist()


def test_even_same_padding_keeps_the_size():
    for kernel in (1, 2, 3, 4, 5):
        block = nn.Sequential(*convolution(2, 4, kernel, "same").values())
        assert block(torch.zeros(1, 2, 7, 6)).shape == (1, 4, 7, 6)


def test_separable_is_depthwise_then_pointwise_with_one_bias():
    layer = SeparableConv2d(3, 5, 2)
    assert {name: tuple(value.shape) for name, value in layer.state_dict().items()} == {
        "depthwise.weight": (3, 1, 2, 2), "pointwise.weight": (5, 3, 1, 1), "pointwise.bias": (5,),
    }  # fmt: skip


def test_branches_are_concatenated_along_the_channels():
    images = torch.randn(2, 3, 4, 4)
    assert torch.equal(Parallel([nn.Identity(), nn.ReLU()])(images), torch.cat([images, images.relu()], 1))


def test_stated_deviation_replaces_glorot():
    torch.manual_seed(0)
    assert abs(dense(500, 400, stddev=0.2).weight.std().item() - 0.2) < 0.005
    assert dense(500, 400).weight.abs().max().item() <= (6 / 900) ** 0.5
