"""Rehearse a step on real images before training, to find at once what would end a run later, with the layer at fault.

It takes networks of its own, built anew, because not every network can be copied.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from budgetnet import definition
from budgetnet.definition import DefinitionError
from budgetnet.engine.cpu.lowering import plain_values
from budgetnet.optim import build_optimizer
from budgetnet.run.data import RunData
from budgetnet.seeds import global_states

log = logging.getLogger("budgetnet.engine.rehearsal")  # in the runs' logs, and warnings on stderr

SAME = 1e-3  # the largest difference of two logits that are the same but for rounding, as a share of the largest logit


class NetworkError(DefinitionError):
    """The network cannot be trained on these images, or its state not be kept; the message names the layer where there is one."""


def rehearse(build: Callable[[], nn.Module], data: RunData, optimizer: definition.Optimizer) -> str | None:
    """Train a network of ``build`` on the first batch and on one of the last batch's size, evaluate it, and restore it in another one.

    Raises NetworkError where plain torch fails, the logits are no finite float tensor (images, classes), or the state_dict does not
    restore what was trained. Warns where an evaluation depends on more than the image. Returns what ``forward`` does in Python at every
    step, if anything, which a captured or traced step would not repeat. torch's random state stays as it was.
    """
    devices = [data.device] if data.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        network = build().to(data.device)
        parameters, values, states = dict(network.named_parameters()), dict(plain_values(network)), global_states()
        probe = _Probe(network)
        for images, labels in data.rehearsal_batches():
            where = f"a batch of {len(images):,} image{'s' if len(images) > 1 else ''}"
            hint = "; choose a batch size that leaves no single image at the end of an epoch" if len(images) == 1 else ""
            logits = _checked(probe.run(images, where, hint), len(images), data.classes, where)
            _check_parameters(network, parameters)
            _backward(network, functional.cross_entropy(logits.float(), labels), where)
        changed = [name for name, value in plain_values(network) if values.get(name, value) != value]
        draws = global_states() != states
        probe.model.eval()
        with torch.no_grad():
            _checked(probe.run(images, f"{where} in evaluation mode"), len(images), data.classes, where)
        _step(network, optimizer)
        _check_evaluation(network, images)
        _check_restored(network, build().to(data.device), images, changed)
        return f"forward changes {changed[0]}" if changed else "forward draws from Python's or NumPy's random numbers" if draws else None


def _check_parameters(network: nn.Module, counted: dict[str, nn.Parameter]) -> None:
    """Raise NetworkError where ``forward`` made a parameter, which is neither counted nor trained."""
    for name, parameter in network.named_parameters():
        if parameter is not counted.get(name):
            raise NetworkError(
                f"forward makes the parameter {name}, after the parameters were counted and given to the optimizer; "
                "make it in __init__ (a lazy layer, such as nn.LazyLinear, finds its size by itself)"
            )


def _step(network: nn.Module, optimizer: definition.Optimizer) -> None:
    """Take a step with the gradients at hand. Raises NetworkError where the optimizer does not take them."""
    try:
        build_optimizer(optimizer, network.parameters()).step()
    except Exception as error:  # torch's optimizers raise several kinds, for sparse gradients and complex parameters
        raise NetworkError(f"the recipe's {type(optimizer).__name__} cannot train the network ({_sentence(error)})") from error


def _check_evaluation(network: nn.Module, images: Tensor) -> None:
    """Warn where the logits of an image in evaluation mode are others at another time, or beside other images."""
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    logits = _evaluated(network, images)
    moved = [name for name, buffer in network.named_buffers() if not torch.equal(buffer, buffers.get(name, buffer))]
    if moved:
        log.warning(
            "the network changes %s%s in evaluation mode: every evaluation gives another accuracy (observers of fake quantization "
            "need torch.ao.quantization.disable_observer there)", moved[0], " and others" if len(moved) > 1 else "",
        )  # fmt: skip
    elif not _same(_evaluated(network, images, seed=1), logits):
        log.warning(
            "the network draws random numbers in evaluation mode: every evaluation gives another accuracy, and no compiled network "
            "agrees with it (nn.functional.dropout needs training=self.training)"
        )
    elif (some := max(2, len(images) // 2)) < len(images) and not _same(_evaluated(network, images[:some]), logits[:some]):
        log.warning(
            "in evaluation mode the logits of an image depend on the other images of its batch: the accuracy changes with the batch "
            "size, predictions of single images differ, and no compiled network agrees with it (batch normalization needs "
            "track_running_stats=True)"
        )


def _check_restored(network: nn.Module, other: nn.Module, images: Tensor, changed: list[str]) -> None:
    """Write the state as a checkpoint does, and read it into ``other``. Raises NetworkError where that is another network then."""
    file = io.BytesIO()
    try:
        torch.save(network.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # pickling and load_state_dict run a user's code
        raise NetworkError(f"the network's state_dict cannot be kept in a checkpoint and loaded again ({_sentence(error)})") from error
    names = f"{', '.join(changed[:3])}{', …' if len(changed) > 3 else ''}"
    if not _same(_evaluated(other, images), _evaluated(network, images)):
        raise NetworkError(
            "a network that loads the state_dict of a trained one gives other logits, so that its weights would be worth nothing"
            f"{f'; forward changes {names}' if changed else ''}; keep all that training changes in parameters and persistent buffers "
            "(register_buffer)"
        )
    if changed:
        log.warning(
            "forward changes %s, which no checkpoint holds: an interrupted run goes on with another value; keep it in a buffer "
            "(register_buffer)", names,
        )  # fmt: skip


def _evaluated(network: nn.Module, images: Tensor, seed: int = 0) -> Tensor:
    """The logits in evaluation mode, drawing from ``seed``."""
    torch.manual_seed(seed)
    with torch.no_grad():
        logits: Tensor = network.eval()(images)
    return logits


def _same(logits: Tensor, expected: Tensor) -> bool:
    """Tell whether two are equal up to rounding; a step may have made both of them infinite or NaN."""
    finite = expected[expected.isfinite()]
    largest = float(finite.abs().max()) if len(finite) else 0.0
    return torch.allclose(logits, expected, rtol=0.0, atol=SAME * largest, equal_nan=True)


class _Probe:
    """A network that knows which of its modules runs."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model.train()
        self._running: list[str] = []
        for name, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # takes no hooks
            module.register_forward_pre_hook(lambda _, __, name=name: self._running.append(name))
            module.register_forward_hook(self._leave)

    def _leave(self, *_: Any) -> None:
        self._running.pop()

    def run(self, images: Tensor, where: str, hint: str = "") -> Any:
        """Return the output of ``forward``. Raises NetworkError with the module that failed."""
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
    """Leave the gradients of ``loss`` alone in the parameters. Raises NetworkError where they cannot be had or are not finite."""
    model.zero_grad()
    if not loss.requires_grad:
        raise NetworkError("the network has nothing to train: its logits depend on no parameter that requires a gradient")
    try:
        loss.backward()
    except Exception as error:  # of a custom backward pass
        raise NetworkError(f"the network's backward pass fails on {where}: {_sentence(error)}") from error
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not _finite(parameter.grad):
            raise NetworkError(f"the gradient of {name} is NaN or infinite on {where}; expected a finite one")


def _finite(gradient: Tensor) -> bool:
    values = gradient.coalesce().values() if gradient.is_sparse else gradient
    return bool(values.isfinite().all())


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return (" ".join(" ".join(lines).split()) if lines[0].startswith("Error(s) in loading") else lines[0])[:200]
