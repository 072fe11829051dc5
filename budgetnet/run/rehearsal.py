"""One step on real images before training: what would end a run later is found in a moment, with the layer that is at fault.

It takes a network of its own, built anew, because not every network can be copied.
"""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from budgetnet.definition import DefinitionError
from budgetnet.run.data import RunData


class NetworkError(DefinitionError):
    """The network cannot be trained on these images, or its state not be kept; the message names the layer where there is one."""


def rehearse(network: nn.Module, data: RunData) -> None:
    """Train ``network``, which is used up, on the first batch and on one of the last batch's size, and evaluate it.

    Raises NetworkError where plain torch fails, the logits are no finite float tensor (images, classes), or the state cannot
    be kept. The random state stays as it was.
    """
    devices = [data.device] if data.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        _rehearse_checkpoint(network)
        probe = _Probe(network.to(data.device))
        for images, labels in data.rehearsal_batches():
            where = f"a batch of {len(images):,} image{'s' if len(images) > 1 else ''}"
            hint = (
                "; choose a batch size that leaves no single image at the end of an epoch" if len(images) == 1 else ""
            )
            logits = _checked(probe.run(images, where, hint), len(images), data.classes, where)
            _backward(probe.model, functional.cross_entropy(logits.float(), labels), where)
        probe.model.eval()
        with torch.no_grad():
            _checked(probe.run(images, f"{where} in evaluation mode"), len(images), data.classes, where)


def _rehearse_checkpoint(network: nn.Module) -> None:
    """Write the state as a checkpoint does and read it back. Raises NetworkError where that fails."""
    file = io.BytesIO()
    try:
        torch.save(network.state_dict(), file)
        file.seek(0)
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # pickling and load_state_dict run a user's code
        raise NetworkError(
            f"the network's state_dict cannot be kept in a checkpoint and loaded again ({_sentence(error)})"
        ) from error


class _Probe:
    """A network that knows which of its modules runs."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model.train()
        self._running: list[str] = []
        for name, module in model.named_modules():
            module.register_forward_pre_hook(lambda _, __, name=name: self._running.append(name))
            module.register_forward_hook(self._leave)

    def _leave(self, *_: Any) -> None:
        self._running.pop()

    def run(self, images: Tensor, where: str, hint: str = "") -> Any:
        """What ``forward`` returns. Raises NetworkError with the module that failed."""
        self._running.clear()
        try:
            return self.model(images)
        except Exception as error:  # of a user's forward
            raise NetworkError(f"the network fails on {where}{self._layer()}: {_sentence(error)}{hint}") from error

    def _layer(self) -> str:
        name = self._running[-1] if self._running else ""
        return f" in {name} ({type(self.model.get_submodule(name)).__name__})" if name else ""


def _checked(logits: Any, images: int, classes: int, where: str) -> Tensor:
    """The logits. Raises NetworkError for anything that is no finite float tensor (images, classes)."""
    expected = f"expected a float tensor of ({images}, {classes}): logits, a row an image and a column a class"
    if not isinstance(logits, Tensor):
        raise NetworkError(f"the network returns a {type(logits).__name__} for {where}; {expected}")
    if not logits.is_floating_point() or tuple(logits.shape) != (images, classes):
        dtype = str(logits.dtype).removeprefix("torch.")
        raise NetworkError(f"the network returns {dtype} of {tuple(logits.shape)} for {where}; {expected}")
    if not logits.isfinite().all():
        raise NetworkError(f"the untrained network returns NaN or infinite logits for {where}; expected finite ones")
    return logits


def _backward(model: nn.Module, loss: Tensor, where: str) -> None:
    if not loss.requires_grad:
        raise NetworkError(
            "the network has nothing to train: its logits depend on no parameter that requires a gradient"
        )
    try:
        loss.backward()
    except Exception as error:  # of a custom backward pass
        raise NetworkError(f"the network's backward pass fails on {where}: {_sentence(error)}") from error
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not _finite(parameter.grad):
            raise NetworkError(f"the gradient of {name} is NaN or infinite on {where}; expected a finite one")
        parameter.grad = None


def _finite(gradient: Tensor) -> bool:
    values = gradient.coalesce().values() if gradient.is_sparse else gradient
    return bool(values.isfinite().all())


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
