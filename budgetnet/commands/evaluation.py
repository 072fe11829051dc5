"""``eval``: score the weights of a finished run, one's own or a committed one, on the test set."""

from __future__ import annotations

import importlib.util
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from budgetnet.catalogue import Catalogue
from budgetnet.cli import DATA, OTHER, complain
from budgetnet.commands.reporting import result_roots
from budgetnet.data import arrays
from budgetnet.data.files import DataError
from budgetnet.data.resident import evaluation_batches
from budgetnet.definition import Experiment, definition_hash
from budgetnet.engine.choice import EngineError
from budgetnet.evaluate import evaluate
from budgetnet.results import ResultError, read_result
from budgetnet.run import build_model, resolve_device


class WeightsError(Exception):
    """There are no weights, or they do not fit the definition; the message says how to mend it."""


def find_weights(roots: list[Path], experiment: Experiment, seed: int | None) -> Path:
    """The weights of the experiment's first finished run of the present definition, by root, then by seed."""
    stale = 0
    for root in roots:
        found = root.glob(f"{experiment.name}/seed-{'*' if seed is None else seed}")
        for directory in sorted(found, key=lambda path: (len(path.name), path.name)):
            result = read_result(directory)
            weights = [directory / name for name in ("weights.safetensors", "checkpoint.pt") if (directory / name).exists()]
            if result is None or not result.finished or not weights:
                continue
            if result.definition_hash == definition_hash(experiment):
                return weights[0] if _can_read(weights[0]) else weights[-1]
            stale += 1
    which = "" if seed is None else f" of seed {seed}"
    older = f" ({stale} of an older definition)" if stale else ""
    command = f"budgetnet run {experiment.name}{'' if seed is None else f' --seeds {seed}'}"
    places = ", ".join(map(str, roots))
    raise WeightsError(f"{experiment.name} has no weights of a finished run{which} in {places}{older}; make them with: {command}")


def _can_read(path: Path) -> bool:
    return path.suffix == ".pt" or importlib.util.find_spec("safetensors") is not None


def load_weights(model: nn.Module, path: Path) -> None:
    """Put a run's weights into ``model``. Raises WeightsError where the file is damaged or of another network."""
    state: dict[str, Tensor]
    try:
        if path.suffix == ".pt":
            state = torch.load(path, map_location="cpu", weights_only=True)["model"]
        else:
            from safetensors.torch import load_file

            state = load_file(path)
        model.load_state_dict(state)
    except ImportError as error:
        raise WeightsError(f"{path} needs safetensors: pip install safetensors") from error
    except Exception as error:  # damaged files raise many kinds
        raise WeightsError(f"{path} does not hold weights of this definition ({type(error).__name__}); run the experiment again") from error


def score_weights(arguments: Namespace, catalogue: Catalogue) -> int:
    """Accuracy, loss and confusion on the test set; nothing is trained."""
    experiment = catalogue[arguments.name]
    try:
        device = torch.device(resolve_device(arguments.device))
        model = build_model(experiment)
        path = find_weights([arguments.runs, *result_roots()], experiment, arguments.seed)
        load_weights(model, path)
        data = arrays.load(experiment.data_set, arguments.data)
    except (WeightsError, EngineError, ResultError) as error:
        return complain(error, OTHER)
    except DataError as error:
        return complain(error, DATA)
    spec = experiment.data_set
    test = evaluation_batches(data.test_images.to(device), data.test_labels.to(device), 1000, spec.mean, spec.std)
    scores = evaluate(model.to(device).eval(), test, spec.classes)
    print(f"{experiment.name}, weights of {path}")
    print(f"test accuracy {scores.accuracy:.2f} %, loss {scores.loss:.4f}, on {scores.images:,} images of {spec.name}")
    print(confusion_text(scores.confusion))
    return 0


def confusion_text(confusion: Sequence[Sequence[int]]) -> str:
    """True classes down, predicted classes across."""
    width = max(len(str(max(map(max, confusion)))), 4) + 1
    header = "true \\ predicted".ljust(17) + "".join(f"{n:>{width}}" for n in range(len(confusion)))
    return "\n".join([header, *(f"{n:<17}" + "".join(f"{count or '·':>{width}}" for count in row) for n, row in enumerate(confusion))])
