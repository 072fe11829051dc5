"""Training steps of a module on the C kernels beside the same steps on plain torch."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from budgetnet.engine.cpu import build
from budgetnet.engine.cpu.build import KernelsUnavailable
from budgetnet.engine.cpu.network import KernelNetwork

STABLE = 2e-5  # relative change of the gradient for a change of the images by 1e-6


def load_or_skip():
    """The compiled kernels; the test is skipped where there are none."""
    try:
        return build.load()
    except KernelsUnavailable as error:
        pytest.skip(f"the kernels: {error}")


def digits(count, shape, classes=10, seed=0):
    """Random images (N, *shape) and labels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *shape, generator=generator), torch.randint(0, classes, (count,), generator=generator)


def torch_step(model, images, labels, seed=7):
    """Logits of plain torch in training mode; gradients are left in the parameters. The random state is that of ``seed``."""
    model.zero_grad()
    torch.manual_seed(seed)
    logits = model.train()(images)
    functional.cross_entropy(logits, labels).backward()
    return logits.detach()


def kernel_step(network, images, labels, seed=7):
    """As ``torch_step``, on a KernelNetwork."""
    torch.manual_seed(seed)
    logits = network.forward(images, training=True).requires_grad_()
    (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, labels), logits)
    network.backward(gradient)
    return logits.detach()


class DrawnInFloat32(nn.Module):
    """A dropout whose random numbers are those of a float32 tensor, whatever it is applied to."""

    def __init__(self, dropout):
        super().__init__()
        self.dropout = dropout

    def forward(self, images):
        return images * self.dropout(torch.ones(images.shape)).to(images.dtype)


def in_double(model):
    """A copy of ``model`` in float64 that draws the same random numbers."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout | nn.Dropout2d):
                setattr(module, name, DrawnInFloat32(child))
    return model.double()


def norm_of(tensors):
    return torch.sqrt(sum((tensor.double() ** 2).sum() for tensor in tensors)).item()


def gradients(model):
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def is_stable(model, images, labels):
    """Return whether the gradient in float64 stays the same, but for a little, when the images change by about a millionth.

    It does not where a value lies at the edge of a ReLU or two values of a pooling window are nearly equal, where float32 may take
    either side; nor where a normalization over two or three values leaves hardly anything of a gradient.
    """
    reference = in_double(model)
    generator = torch.Generator().manual_seed(0)
    found = []
    for size in (0, 1e-6, 1e-6, 1e-6):
        changed = images.double() * (1 + size * torch.randn(images.shape, generator=generator))
        torch_step(copied := copy.deepcopy(reference), changed, labels)
        found.append(gradients(copied))
    return all(
        norm_of(a - b for a, b in zip(found[0], other, strict=True)) <= STABLE * norm_of(found[0])
        for other in found[1:]
    )


def step_errors(model, images, labels, library=None, threads=1):
    """Relative errors against float64 of one step: of the logits, of the whole gradient, and the largest of the buffers.

    The kernels' first, then those of plain torch in float32, which are larger than rounding where the problem is ill-conditioned,
    as a batch normalization over two images is.
    """
    reference = in_double(model)
    expected = torch_step(reference, images.double(), labels)
    own, plain = copy.deepcopy(model), copy.deepcopy(model)
    network = KernelNetwork(own, tuple(images.shape[1:]), max(len(images), 2), threads, library)
    return [
        _errors(some, logits, reference, expected)
        for some, logits in ((own, kernel_step(network, images, labels)), (plain, torch_step(plain, images, labels)))
    ]


def _errors(model, logits, reference, expected):
    buffers = [
        ((a.double() - b.double()).abs().max() / b.double().abs().max().clamp(min=1e-3)).item()
        for a, b in zip(model.buffers(), reference.buffers(), strict=True)
    ]
    return (
        norm_of([logits - expected]) / max(norm_of([expected]), 1e-3),
        norm_of(a - b for a, b in zip(gradients(model), gradients(reference), strict=True))
        / max(norm_of(gradients(reference)), 1e-6),
        max(buffers, default=0.0),
    )


def assert_one_step_equals_float64(model, images, labels, library=None):
    """To 1e-5, or where plain torch does not reach that itself, to three times its error."""
    for own, plain in zip(*step_errors(model, images, labels, library), strict=True):
        assert own <= max(1e-5, 3 * plain)
