"""Build the network of an experiment; the only caller of a model description's ``build``."""

from __future__ import annotations

import torch
from torch import nn

from budgetnet import params
from budgetnet.definition import DefinitionError, Experiment
from budgetnet.seeds import stream_seed


class BuildError(DefinitionError):
    """The experiment's network cannot be built; the message names the experiment and what its ``build`` raised."""


def build(experiment: Experiment) -> nn.Module:
    """Return the network as torch's random state initializes it, lazy layers included: the shape of an image is known.

    Raises BuildError where ``build`` raises, returns no module, or leaves a layer lazy that no image reaches.
    """
    try:
        model = experiment.model.build(experiment.data_set.image_shape, experiment.data_set.classes)
    except DefinitionError as error:
        raise BuildError(f"{experiment.name} cannot be built: {error}") from error
    except Exception as error:  # of a user's code
        raise BuildError(f"{experiment.name} cannot be built: {type(experiment.model).__name__}.build raises {_told(error)}") from error
    if not isinstance(model, nn.Module):
        raise BuildError(
            f"{experiment.name} cannot be built: {type(experiment.model).__name__}.build returns a {type(model).__name__}; "
            "expected a torch.nn.Module"
        )
    if _lazy(model):
        _materialize(model, experiment)
    return model


def build_model(experiment: Experiment, seed: int = 0) -> nn.Module:
    """Return the network as ``seed`` initializes it, on the CPU; torch's own random state stays as it was. Raises BuildError."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "initialization"))
        return build(experiment)


def build_without_values(experiment: Experiment) -> nn.Module:
    """Return the network without the values of its parameters, which take gigabytes and seconds of the largest.

    It has them where it computes with them while it is built. The random state stays as it was. Raises BuildError.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            with params.without_values():
                return build(experiment)
        except BuildError:  # a mistake that is none of the missing values' comes up again here
            return build(experiment)


def _lazy(model: nn.Module) -> list[str]:
    """The names of parameters and buffers that have no shape yet."""
    tensors = (*model.named_parameters(), *model.named_buffers())
    return [name for name, tensor in tensors if nn.parameter.is_lazy(tensor)]


def _materialize(model: nn.Module, experiment: Experiment) -> None:
    """Give lazy layers their shapes, by one black image in evaluation mode."""
    modes = {module: module.training for module in model.modules()}
    image = torch.zeros(1, *experiment.data_set.image_shape)
    try:
        with torch.no_grad():
            model.eval()(image)
    except Exception as error:  # of a user's code
        raise BuildError(
            f"{experiment.name} cannot be built: it has lazy layers, and its forward raises {_told(error)} "
            f"on an image of {experiment.data_set.image_shape}"
        ) from error
    for module, training in modes.items():
        module.training = training
    left = _lazy(model)
    if left:
        raise BuildError(f"{experiment.name} cannot be built: {left[0]} is lazy and no image reaches it; remove it, or give its size")


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
