"""Activations of the layers of a network for a fixed batch of images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

UNCHANGED = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Flatten, nn.Identity)  # of their inputs' values


def activations(model: nn.Module, images: Tensor) -> list[tuple[str, Tensor]]:
    """The output of every layer by its dotted name, in order of execution; of a layer that runs several times, the last output.

    ``images`` are preprocessed, float32 (N, C, H, W), on the model's device. Layers that pass values on unchanged are left
    out. The network runs in evaluation mode; its mode and the random state are what they were before.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, output: object) -> None:
        if isinstance(output, tuple) and output:  # of a recurrent layer: its outputs, then its state
            output = output[0]
        if isinstance(output, Tensor) and output.is_floating_point():
            found.pop(name, None)  # the last output stands where it was made
            found[name] = output.detach().clone()  # a layer that works in place would overwrite it

    leaves = [(name, part) for name, part in model.named_modules() if not any(part.children()) and not isinstance(part, UNCHANGED)]
    with contextlib.ExitStack() as hooks:
        for name, part in leaves:
            hook = part.register_forward_hook(lambda _, __, output, name=name: keep(name, output))
            hooks.callback(hook.remove)
        hooks.enter_context(_evaluating(model))
        hooks.enter_context(torch.random.fork_rng(devices=[images.device] if images.is_cuda else []))
        hooks.enter_context(torch.no_grad())
        model(images)
    return [*found.items()]


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """In evaluation mode, every module; afterwards each is in the mode it was in."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
