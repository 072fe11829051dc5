"""Train on the C kernels from one seed, and compare with what another processor got.

    python -m tests.arm.training FILE                  train 20 steps of two networks and save every step's result
    python -m tests.arm.training FILE --equals OTHER   the same, and compare each step with OTHER from its state

The steps are compared one by one: a value that rounds to the other side of a ReLU changes the gradient by 1e-5, and in free training such
changes multiply. After 20 steps of step-13 plain torch in float32 is as far as 0.1 from float64.
"""

from __future__ import annotations

import argparse
import platform
import sys
from typing import Any

import torch
from torch import Tensor

from budgetnet.catalogue import load_default
from budgetnet.engine.paths import KernelPath
from tests.kernel_oracle import norm_of
from tests.test_engine_cpu_passes import CLASSES, network

STEPS, BATCH, SHAPE = 20, 64, (1, 28, 28)
TOLERANCE = 1e-4


def uniform_mask(mask: Tensor, keep: float) -> Tensor:
    """Replacement of Tensor.bernoulli_, which draws other numbers where torch has Intel's MKL."""
    return mask.copy_(torch.rand(mask.shape) < keep)


def state_of(path: KernelPath, model: torch.nn.Module) -> dict[str, Any]:
    states = {"parameters": dict(model.named_parameters()), "buffers": dict(model.named_buffers())}
    copied = {kind: {name: tensor.detach().clone() for name, tensor in tensors.items()} for kind, tensors in states.items()}
    momenta = [state["momentum_buffer"].clone() for state in path.optimizer.state.values() if "momentum_buffer" in state]
    return copied | {"momenta": momenta}


def restore(path: KernelPath, model: torch.nn.Module, state: dict[str, Any]) -> None:
    model.load_state_dict(state["parameters"] | state["buffers"])
    for own, momentum in zip(path.optimizer.state.values(), state["momenta"], strict=True):
        own["momentum_buffer"].copy_(momentum)


def train(model: torch.nn.Module, states: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The state before the first step and after each, which begins from that in ``states`` if given.

    Images, labels and dropout's random numbers are the same bits on every processor.
    """
    torch.manual_seed(0)
    path = KernelPath(model, load_default()["step-13"].recipe, SHAPE, 1)
    found = [state_of(path, model)]
    for step in range(STEPS):
        if states is not None and step > 0:
            restore(path, model, states[step])
        path.step(torch.rand(BATCH, *SHAPE), torch.randint(0, CLASSES, (BATCH,)))
        found.append(state_of(path, model))
    return found


def distance(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Relative to the norm of ``b``'s parameters."""
    return norm_of(a["parameters"][name] - value for name, value in b["parameters"].items()) / norm_of(b["parameters"].values())


def main() -> int:
    """Return 1 where parameters differ by more than the tolerance after a step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--equals", metavar="OTHER")
    arguments = parser.parse_args()
    torch.Tensor.bernoulli_ = uniform_mask
    torch.manual_seed(0)
    residual = network("residual", "average and linear", 1, SHAPE[1:])
    models = {"step-13": load_default()["step-13"].model.build(SHAPE, CLASSES), "residual": residual}
    other = torch.load(arguments.equals) if arguments.equals else {}
    own = {name: train(model, other.get(name)) for name, model in models.items()}
    torch.save(own, arguments.file)
    worst = 0.0
    for name, states in other.items():
        differences = [distance(a, b) for a, b in zip(own[name], states, strict=True)]
        smallest = min(distance(a, b) for a, b in zip(states[1:], states, strict=False))
        worst = max(worst, *differences)
        print(
            f"{name}: after each of {STEPS} steps {platform.machine()} differs by at most {max(differences[1:]):.1e} "
            f"({differences[0]:.0e} before the first); a step changes the parameters by at least {smallest:.1e}"
        )
    return int(not worst <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
