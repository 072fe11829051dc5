"""Every network of the catalogue leaves as one program for all batch sizes."""

import pytest
import torch

from budgetnet.inference.contract import Contract
from budgetnet.inference.export import example_pixels, exported, exported_fixed
from budgetnet.inference.network import InferenceNetwork
from tests.inference_demo import CONTRACT, TINY, distinct_experiments, with_statistics


def network(experiment, precision="fp32"):
    torch.manual_seed(0)
    contract = Contract.of(experiment.data_set)
    return InferenceNetwork(with_statistics(experiment.model.build(contract.image_shape, contract.classes)), contract, precision), contract


@pytest.mark.parametrize("experiment", distinct_experiments(), ids=lambda experiment: experiment.name)
def test_every_network_for_one_two_and_the_most_images(experiment):
    own, contract = network(experiment)
    large = (experiment.budget.exact or 0) > 1_000_000
    most = 3 if large else 20
    program = exported(own, contract, optimum=16, max_batch=most).module()
    for batch in (1, 2, most):
        pixels = torch.rand(batch, *contract.image_shape)
        with torch.no_grad():
            expected = own(pixels)
            assert torch.allclose(program(pixels), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_no_custom_operation_is_left():
    """explore-separable's fast depthwise layers leave as ordinary convolutions, which every compiler knows."""
    from budgetnet.catalogue import load_default

    own, contract = network(load_default()["explore-separable"])
    targets = {str(node.target) for node in exported(own, contract, 16, 8).graph.nodes if node.op == "call_function"}
    assert all(target.startswith("aten.") for target in targets), targets
    assert "aten.conv2d.default" in targets


def test_a_fixed_size_is_fixed():
    own, contract = network(TINY)
    program = exported_fixed(own, contract, 4).module()
    with torch.no_grad():
        assert program(example_pixels(contract, 4)).shape == (4, 10)
        with pytest.raises(Exception, match="4"):
            program(example_pixels(contract, 5))


def test_a_largest_batch_of_one():
    own, contract = network(TINY)
    with torch.no_grad():
        assert exported(own, contract, optimum=1, max_batch=1).module()(example_pixels(contract, 1)).shape == (1, 10)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_reduced_precision_has_a_float32_face(precision):
    own, contract = network(TINY, precision)
    program = exported(own, contract, 16, 8)
    with torch.no_grad():
        assert program.module()(example_pixels(contract, 2)).dtype == torch.float32
    inner = {node.meta["val"].dtype for node in program.graph.nodes if "conv2d" in str(node.target)}
    assert inner == {own.dtype}


def test_normalization_is_inside():
    own, _ = network(TINY)
    plain = InferenceNetwork(own.body, Contract((1, 28, 28), 10, 0.0, 1.0))
    pixels = torch.rand(3, 1, 28, 28)
    with torch.no_grad():
        assert torch.allclose(own(pixels), plain((pixels - CONTRACT.mean) / CONTRACT.std), atol=1e-6)
