"""The weights of finished runs: finding them, reading them, and the network that they make."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from budgetnet.definition import Experiment, definition_hash
from budgetnet.results import read_result

if TYPE_CHECKING:
    from torch import Tensor, nn


class WeightsError(Exception):
    """There are no weights, or they do not fit the definition; the message says how to mend it."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished run's network, in evaluation mode on the CPU; ``digest`` is the SHA-256 of its weights."""

    experiment: Experiment
    seed: int
    model: nn.Module
    weights: Path
    digest: str
    class_names: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())


def find_weights(roots: Sequence[Path], experiment: Experiment, seed: int | None) -> Path:
    """The weights of the experiment's first finished run of the present definition, by root, then by seed.

    Raises WeightsError where there are none, with the command that makes some and how long that took elsewhere.
    """
    stale, took = 0, ""
    for root in roots:
        found = root.glob(f"{experiment.runs_name}/seed-{'*' if seed is None else seed}")
        for directory in sorted(found, key=lambda path: (len(path.name), path.name)):
            result = read_result(directory)
            weights = [directory / name for name in ("weights.safetensors", "checkpoint.pt") if (directory / name).exists()]
            if result is None or not result.finished:
                continue
            if not weights:
                if not took and result.definition_hash == definition_hash(experiment):
                    took = f", which took {_minutes(result.seconds)} on {root.name}"
                continue
            if result.definition_hash == definition_hash(experiment):
                return weights[0] if _can_read(weights[0]) else weights[-1]
            stale += 1
    which = "" if seed is None else f" of seed {seed}"
    older = f" ({stale} of an older definition)" if stale else ""
    command = f"budgetnet run {experiment.name}{'' if seed is None else f' --seeds {seed}'}"
    places = ", ".join(map(str, roots))
    raise WeightsError(f"{experiment.name} has no weights of a finished run{which} in {places}{older}; make them with: {command}{took}")


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes:,} minute{'' if minutes == 1 else 's'}"


def _can_read(path: Path) -> bool:
    return path.suffix == ".pt" or importlib.util.find_spec("safetensors") is not None


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a run's weights by name. Raises WeightsError where the file is damaged."""
    import torch

    state: dict[str, Tensor]
    try:
        if path.suffix == ".pt":
            state = torch.load(path, map_location="cpu", weights_only=True)["model"]
        else:
            from safetensors.torch import load_file

            state = load_file(path)
    except ImportError as error:
        raise WeightsError(f"{path} needs safetensors: pip install safetensors") from error
    except Exception as error:  # damaged files raise many kinds
        raise _unfit(path, error) from error
    return state


def _load_weights(model: nn.Module, path: Path) -> None:
    """Put a run's weights into ``model``. Raises WeightsError where the file is damaged or does not fit."""
    state = read_weights(path)
    try:
        model.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise _unfit(path, error) from error


def load_trained(experiment: Experiment, weights: Path) -> Trained:
    """Return the network of a run with its weights, built with the run's seed: ``build`` may draw tensors that no state_dict holds.

    Raises WeightsError, BuildError.
    """
    from budgetnet.building import build_model

    result = read_result(weights.parent)
    model = build_model(experiment, result.seed if result else 0)
    _check_network(experiment, weights)
    _load_weights(model, weights)
    _detach_computed(model)
    names = experiment.data_set.class_names or (result.class_names if result else ())
    return Trained(experiment, result.seed if result else 0, model.eval(), weights, digest(model), names)


def _detach_computed(model: nn.Module) -> None:
    """Detach weights that hooks compute from others, as pruning and the old weight_norm do: only then can the network be copied."""
    from torch import Tensor

    for module in model.modules():
        vars(module).update({name: value.detach() for name, value in vars(module).items() if isinstance(value, Tensor)})


def digest(model: nn.Module) -> str:
    """The SHA-256 over names, types, shapes and bytes of all weights and statistics."""
    found = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _unfit(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path} does not hold weights of this definition ({type(error).__name__}); run the experiment again")


def _check_network(experiment: Experiment, weights: Path) -> None:
    """Raise WeightsError where the experiment's network is not the one that the run of ``weights`` trained."""
    from budgetnet.fingerprint import differences, network_fingerprint

    result = read_result(weights.parent)
    changed = differences(result.network, network_fingerprint(experiment)) if result is not None else []
    if changed:
        more = "; …" if len(changed) > 3 else ""
        raise WeightsError(f"{weights} is of another network ({'; '.join(changed[:3])}{more}); run the experiment again")
