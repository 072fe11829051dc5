"""Compare the kernels with plain torch on a copy of the network before it trains.

torch.fx sees the calls of ``forward`` and not what surrounds them: gradient modes, aliases that are changed in place, custom backward
passes, modes set inside. Two steps on random images find whatever of these matters.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from budgetnet.engine.cpu.build import KernelsUnavailable
from budgetnet.engine.cpu.lowering import NotLowerable
from budgetnet.engine.cpu.network import KernelNetwork

IMAGES = 9
LOGITS, GRADIENT = (
    1e-3,
    2e-2,
)  # relative differences that rounding may make; a value at the edge of a ReLU moves the gradient


def check_agreement(model: nn.Module, image_shape: tuple[int, int, int]) -> None:
    """Raise NotLowerable where the kernels do not take ``model``, or logits, gradients, buffers or random numbers differ.

    Changes neither ``model`` nor the random state. Raises KernelsUnavailable where there are no kernels.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            reference, own = (copy.deepcopy(model).to(memory_format=torch.contiguous_format) for _ in range(2))
            network = KernelNetwork(own, image_shape, IMAGES)
            for count in (IMAGES, IMAGES - 2):
                images, weights = torch.randn(count, *image_shape), torch.randn(count, network.classes)
                _compare_step(reference, own, network, images, weights)
            with torch.no_grad():
                _compare("logits in evaluation", [network.forward(images)], [reference.eval()(images)], LOGITS)
        except (NotLowerable, KernelsUnavailable, MemoryError):
            raise
        except Exception as error:  # of the user's forward: plain torch will meet it as well, and report it
            raise NotLowerable(f"a step on random images fails ({type(error).__name__})") from error


def _compare_step(
    reference: nn.Module, own: nn.Module, network: KernelNetwork, images: Tensor, weights: Tensor
) -> None:
    state = torch.get_rng_state()
    reference.zero_grad()
    expected = reference.train()(images)
    (expected * weights).sum().backward()
    after = torch.get_rng_state()
    torch.set_rng_state(state)
    logits = network.forward(images, training=True)
    network.backward(weights)
    _compare("logits", [logits], [expected.detach()], LOGITS)
    if not torch.equal(torch.get_rng_state(), after):
        raise NotLowerable("the kernels draw other random numbers than plain torch")
    trained = [(a, b) for a, b in zip(own.parameters(), reference.parameters(), strict=True) if a.requires_grad]
    if any(b.grad is None for _, b in trained):
        raise NotLowerable("plain torch does not train all of its parameters")
    _compare("gradients", [a.grad for a, _ in trained], [b.grad for _, b in trained], GRADIENT)
    for name, a in own.named_buffers():
        _compare(name, [a], [reference.get_buffer(name)], LOGITS)


def _compare(what: str, own: list[Tensor | None], expected: list[Tensor | None], tolerance: float) -> None:
    pairs = [(a.double(), b.double()) for a, b in zip(own, expected, strict=True) if a is not None and b is not None]
    difference = sum(float(((a - b) ** 2).sum()) for a, b in pairs) ** 0.5
    size = sum(float((b**2).sum()) for _, b in pairs) ** 0.5
    if not difference <= tolerance * size + 1e-6:  # not: NaN differs
        raise NotLowerable(f"the kernels' {what} differ from plain torch's by {difference:.1e} of {size:.1e}")
