"""``inspect``: look closely at a finished run, one's own or a committed one, and keep what was seen beside it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from budgetnet.catalogue import Catalogue
from budgetnet.cli import DATA, OTHER, complain
from budgetnet.commands.evaluation import confusion_text
from budgetnet.commands.reporting import result_roots
from budgetnet.data import arrays
from budgetnet.data.files import DataError
from budgetnet.definition import Experiment
from budgetnet.diagnostics.compute import diagnose
from budgetnet.diagnostics.record import DIAGNOSTICS, Diagnostics, confused_pairs
from budgetnet.engine.choice import EngineError
from budgetnet.report.text import aligned
from budgetnet.results import ResultError, read_result
from budgetnet.run import resolve_device
from budgetnet.rundir import RunDirectory
from budgetnet.weights import WeightsError, find_weights, load_trained

BATCH = 500


def inspect(arguments: Namespace, catalogue: Catalogue) -> int:
    """Confusion, most confused pairs and worst errors of a run's weights; the record goes into its directory."""
    experiment = catalogue[arguments.name]
    try:
        weights = find_weights([arguments.runs, *result_roots()], experiment, arguments.seed)
        record = _diagnose(experiment, weights, resolve_device(arguments.device), arguments.data)
    except (WeightsError, EngineError, ResultError) as error:
        return complain(error, OTHER)
    except DataError as error:
        return complain(error, DATA)
    print(f"{experiment.name}, seed {record.seed}, weights of {weights}")
    print(_text(record))
    try:
        RunDirectory(weights.parent).save_diagnostics(record)
    except OSError as error:
        print(f"\nnot kept: {weights.parent / DIAGNOSTICS} cannot be written ({error.strerror}), so the report will not show it")
        return 0
    print(f"\nkept as {weights.parent / DIAGNOSTICS}; the pictures: budgetnet report")
    return 0


def _diagnose(experiment: Experiment, weights: Path, device: str, data_dir: Path | None) -> Diagnostics:
    result = read_result(weights.parent)
    assert result is not None, "find_weights gives finished runs only"
    model = load_trained(experiment, weights).model.to(device)
    return diagnose(experiment, result, model, model, arrays.load(experiment.data_set, data_dir), device, BATCH)


def _text(record: Diagnostics) -> str:
    name = record.name
    parts = [
        f"accuracy {record.accuracy:.2f} %, loss {record.loss:.4f}, on {record.images_text}",
        confusion_text(record.confusion, record.class_names),
    ]
    pairs = confused_pairs(record.confusion)
    if pairs:
        parts += ["", "confused most: " + ", ".join(f"{name(pair.first)} and {name(pair.second)} ({pair.together}×)" for pair in pairs)]
    if record.errors:
        rows = [
            (f"#{e.index}", name(e.true), name(e.predicted), f"{100 * e.confidence:.2f} %", f"{100 * e.true_probability:.2f} %")
            for e in record.errors
        ]
        parts += ["", f"the worst of {record.error_count:,} errors, the most confident first:"]
        parts.append(aligned([("image", "true", "predicted", "confidence", "probability of the true"), *rows], right={0, 1, 2, 3, 4}))
    if record.layers_remark:
        parts += ["", f"no graph: {record.layers_remark}"]
    return "\n".join(parts)
