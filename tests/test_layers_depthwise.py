"""The fast depthwise convolution against torch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from budgetnet.layers.depthwise import depthwise_same, same_padding


def reference(images, weight):
    rows, columns = (same_padding(size) for size in weight.shape[-2:])
    return functional.conv2d(functional.pad(images, (*columns, *rows)), weight, groups=images.shape[1])


def compare(images, weight, tolerance):
    gradient = torch.randn_like(images)
    found, expected = ([images.detach().clone().requires_grad_(), weight.detach().clone().requires_grad_()] for _ in range(2))
    result, wanted = depthwise_same(*found), reference(*expected)
    torch.testing.assert_close(result, wanted, rtol=tolerance, atol=tolerance)
    result.backward(gradient)
    wanted.backward(gradient)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=tolerance, atol=tolerance)


@given(
    st.integers(1, 3), st.integers(1, 12), st.integers(1, 9), st.integers(1, 9), st.integers(1, 11), st.integers(1, 11), st.booleans()
)  # fmt: skip
def test_values_and_gradients_are_torch_s(number, channels, height, width, rows, columns, channels_last):
    torch.manual_seed(0)
    images = torch.randn(number, channels, height, width, dtype=torch.float64)
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
    compare(images, torch.randn(channels, 1, rows, columns, dtype=torch.float64), 1e-9)


@pytest.mark.parametrize(("channels", "kernel"), [(1, 28), (32, 14)])
def test_the_layers_of_explore_in_single_precision(channels, kernel):
    torch.manual_seed(0)
    compare(torch.randn(4, channels, 28, 28), torch.randn(channels, 1, kernel, kernel) / kernel, 1e-4)


@pytest.mark.parametrize("channels", [1, 12])
def test_under_autocast_it_computes_in_that_precision_and_gradients_arrive_in_the_parameter_s(channels):
    torch.manual_seed(0)
    images, weight = torch.randn(4, channels, 9, 9), torch.randn(channels, 1, 4, 4)
    found, expected = ([images.clone().requires_grad_(), weight.clone().requires_grad_()] for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        result = depthwise_same(*found)
    assert result.dtype == torch.bfloat16
    result.float().square().sum().backward()
    reference(*expected).square().sum().backward()
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.grad.dtype == torch.float32
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0.05, atol=0.03 * theirs.grad.abs().max().item())


def test_only_the_gradients_that_are_wanted():
    images, weight = torch.randn(2, 3, 5, 5), torch.randn(3, 1, 2, 2, requires_grad=True)
    depthwise_same(images, weight).sum().backward()
    assert images.grad is None
    assert weight.grad.shape == weight.shape
    assert depthwise_same(images, weight.detach()).grad_fn is None


def test_same_padding_is_one_more_behind_for_even_kernels():
    assert [same_padding(kernel) for kernel in (1, 2, 3, 14, 28)] == [(0, 0), (0, 1), (1, 1), (6, 7), (13, 14)]
