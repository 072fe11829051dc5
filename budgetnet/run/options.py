"""Options of a run; none of them changes the experiment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from budgetnet.definition import DefinitionError, Experiment
from budgetnet.engine.choice import EngineError, Settings


@dataclass(frozen=True)
class Options:
    """``epochs`` stops early; what it leaves is partial, is never judged, and goes on when asked for more epochs."""

    runs: Path = Path("runs")
    settings: Settings = field(default_factory=Settings)
    data_dir: Path | None = None
    download: bool = True
    epochs: int | None = None


def resolve_device(device: str) -> str:
    """'auto' is CUDA where there is one. Raises EngineError when 'cuda' is asked for and there is none."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError("device 'cuda' was asked for, but torch finds no usable CUDA device; use --device cpu or auto")
    return device


def target_epochs(experiment: Experiment, options: Options) -> int:
    """The epoch to stop after. Raises DefinitionError when more are asked for than the recipe has."""
    planned = experiment.recipe.epochs
    if options.epochs is None:
        return planned
    if not 1 <= options.epochs <= planned:
        raise DefinitionError(
            f"--epochs is {options.epochs}; expected 1 to {planned}, the epochs of {experiment.name}'s recipe "
            "(derive an experiment to train longer)"
        )
    return options.epochs
