"""The Keras ports on a CUDA device: their layers, optimizers and runs; skipped without one."""

import pytest
import torch
from torch import nn

from budgetnet.catalogue import load_default
from budgetnet.definition import Adadelta, Adam, RMSprop
from budgetnet.engine.choice import Settings
from budgetnet.layers.depthwise import depthwise_same
from budgetnet.optim import build_optimizer
from budgetnet.run import Options, build_model, run
from tests.silent import Silent

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
CATALOGUE = load_default()


@pytest.mark.parametrize(("channels", "kernel"), [(1, 28), (32, 14)])
def test_depthwise_layers_are_the_cpu_s(channels, kernel):
    torch.manual_seed(0)
    images, weight = torch.randn(8, channels, 28, 28), torch.randn(channels, 1, kernel, kernel) / kernel
    gradient = torch.randn_like(images)
    found = []
    for device in ("cpu", "cuda"):
        inputs = [value.to(device).requires_grad_() for value in (images, weight)]
        output = depthwise_same(*inputs)
        found.append([value.cpu() for value in (output.detach(), *torch.autograd.grad(output, inputs, gradient.to(device)))])
    for on_cpu, on_cuda in zip(*found, strict=True):
        torch.testing.assert_close(on_cuda, on_cpu, rtol=1e-2, atol=float(on_cpu.abs().max()) * 2e-3)  # cuDNN may use TF32


@pytest.mark.parametrize("description", [Adam(lr=1e-3), RMSprop(lr=1e-3, epsilon=1e-8), Adadelta()], ids=lambda one: type(one).__name__)
def test_optimizers_step_as_on_the_cpu(description):
    torch.manual_seed(0)
    start, gradients = torch.randn(1000), torch.randn(5, 1000)
    ends = []
    for device in ("cpu", "cuda"):
        parameter = nn.Parameter(start.clone().to(device))
        optimizer = build_optimizer(description, [parameter])
        for gradient in gradients:
            parameter.grad = gradient.to(device)
            optimizer.step()
        ends.append(parameter.detach().cpu())
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["explore-separable-bn", "lenet-augmented", "cnn3-vgg", "mlp-3-bn"])
def test_logits_are_the_cpu_s(name):
    model = build_model(CATALOGUE[name]).eval()
    images = torch.rand(16, 1, 28, 28)
    with torch.no_grad():
        expected = model(images)
        torch.testing.assert_close(model.cuda()(images.cuda()).cpu(), expected, rtol=1e-2, atol=1e-2)


def test_an_epoch_of_lenet_end_to_end(tmp_path, mnist):
    result = run(CATALOGUE["lenet"], 0, Options(runs=tmp_path, settings=Settings(device="cuda"), epochs=1), Silent())
    assert result.last.validation_accuracy > 96
