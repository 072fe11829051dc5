"""``eval``: score the weights of a finished run, one's own or a committed one, on the test set."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

import torch

from budgetnet.catalogue import Catalogue
from budgetnet.cli import DATA, OTHER, complain
from budgetnet.commands.reporting import result_roots
from budgetnet.data import arrays
from budgetnet.data.files import DataError
from budgetnet.data.resident import evaluation_batches
from budgetnet.definition import class_name
from budgetnet.engine.choice import EngineError
from budgetnet.evaluate import evaluate
from budgetnet.results import ResultError
from budgetnet.run import resolve_device
from budgetnet.weights import WeightsError, find_weights, load_trained


def score_weights(arguments: Namespace, catalogue: Catalogue) -> int:
    """Accuracy, loss and confusion on the test set; nothing is trained."""
    experiment = catalogue[arguments.name]
    try:
        device = torch.device(resolve_device(arguments.device))
        path = find_weights([arguments.runs, *result_roots()], experiment, arguments.seed)
        model = load_trained(experiment, path).model
        data = arrays.load(experiment.data_set, arguments.data)
    except (WeightsError, EngineError, ResultError) as error:
        return complain(error, OTHER)
    except DataError as error:
        return complain(error, DATA)
    spec = experiment.data_set
    test = evaluation_batches(data.test_images.to(device), data.test_labels.to(device), 1000, spec.mean, spec.std)
    scores = evaluate(model.to(device), test, spec.classes)
    print(f"{experiment.name}, weights of {path}")
    print(f"test accuracy {scores.accuracy:.2f} %, loss {scores.loss:.4f}, on {scores.images:,} images of {spec.name}")
    print(confusion_text(scores.confusion, data.class_names))
    return 0


def confusion_text(confusion: Sequence[Sequence[int]], class_names: tuple[str, ...] = ()) -> str:
    """True classes down, predicted classes across."""
    names = [class_name(class_names, number) for number in range(len(confusion))]
    first = max(17, *(len(name) + 2 for name in names))
    width = max(len(str(max(map(max, confusion)))), 4, *map(len, names)) + 1
    header = "true \\ predicted".ljust(first) + "".join(f"{name:>{width}}" for name in names)
    rows = (f"{name:<{first}}" + "".join(f"{count or '·':>{width}}" for count in row) for name, row in zip(names, confusion, strict=True))
    return "\n".join([header, *rows])
