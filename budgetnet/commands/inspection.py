"""``list``, ``show``, ``diff`` and ``check``: everything that looks at definitions and trains nothing."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from budgetnet.catalogue import Catalogue
from budgetnet.cli import BUDGET, OK, USAGE, complain
from budgetnet.definition import Experiment, Reported, difference, flatten, plain
from budgetnet.report.text import aligned  # the other commands take it from here


def list_experiments(arguments: Namespace, catalogue: Catalogue) -> int:
    """Names, bounds, aims and reported accuracies; imports no torch, so it answers at once."""
    if arguments.json:
        print(json.dumps([_summary(experiment) for experiment in catalogue], indent=1))
        return 0
    rows: Any = [("experiment", "data", "parameters", "bound", "aim", "reported", "notes")]
    for e in catalogue:
        aim = None if e.aim is None else f"{e.aim.accuracy:g} %"
        reported = None if e.reported is None else f"{e.reported.announced:.2f} %"
        rows.append((e.name, e.data_set.name, e.budget.exact, e.budget.bound, aim, reported, e.notes))
    print(aligned(rows, right={2, 3, 4, 5}))
    return 0


def _summary(experiment: Experiment) -> dict[str, Any]:
    return {
        "name": experiment.name, "parent": experiment.parent, "twin_of": experiment.twin_of, "same_as": experiment.same_as,
        "data_set": experiment.data_set.name,
        "exact": experiment.budget.exact, "bound": experiment.budget.bound,
        "aim": None if experiment.aim is None else experiment.aim.accuracy,
        "reported": None if experiment.reported is None else experiment.reported.announced,
        "notes": experiment.notes,
    }  # fmt: skip


def show(arguments: Namespace, catalogue: Catalogue) -> int:
    """The resolved definition with its marks, the counts and the table of layers with their connections."""
    from budgetnet import params, structure
    from budgetnet.definition import definition_hash
    from budgetnet.run import build_model
    from budgetnet.tracing import StructureUnavailable, trace

    experiment = catalogue[arguments.name]
    model = build_model(experiment)
    counts = params.count(model)
    try:
        layers, remark = trace(model, experiment.data_set.image_shape), ""
    except StructureUnavailable as error:
        layers, remark = (), f"no connections can be shown: {error}"
    if arguments.json:
        content = plain(experiment) | {
            "definition_hash": definition_hash(experiment),
            "parameters": vars(counts),
            "layers": structure.plain_rows(layers) or None,
        }
        print(json.dumps(content, indent=1))
        return 0
    print(f"{experiment.name}  (definition {definition_hash(experiment)})")
    _show_prose(experiment, catalogue)
    _show_definition(experiment)
    print(f"\n{counts.trainable:,} trainable, {counts.non_trainable:,} non-trainable parameters; as Keras counts: {counts.keras_total:,}\n")
    if layers:
        print(aligned([structure.HEADER, *structure.table(layers, experiment.budget.keras_total is not None)], right={2}))
        return 0
    print(remark)
    try:
        print(params.layer_table(model, experiment.data_set.image_shape).text())
    except params.LayerTableUnavailable as error:
        print(error)
    return 0


def _show_definition(experiment: Experiment) -> None:
    """Every value by its dotted name, with its mark; a network's layers one a line."""
    from budgetnet.report.words import record_kinds, record_lines

    marks = {mark.field: mark for mark in experiment.marks}
    kinds = record_kinds(experiment)
    for name, value in flatten(experiment).items():
        if (record := name.rpartition(".")[0]) in kinds:
            print(f"  {record:<36}{kinds.pop(record)}")
        mark = marks.get(name)
        records = record_lines(value)
        said = f"{len(records)}, in order:" if records else repr(value)
        print(f"  {name:<36}{said:<28}{f'  {mark.kind}: {mark.why}' if mark else ''}".rstrip())
        for line in records:
            print(f"    {line}")


def _show_prose(experiment: Experiment, catalogue: Catalogue) -> None:
    if experiment.notes:
        print(experiment.notes)
    if experiment.source:
        print(f"source: {experiment.source}")
    if experiment.aim is not None:
        words = f" ({experiment.aim.text})" if experiment.aim.text else ""
        print(f"aim: {experiment.aim.accuracy:g} %{words}")
    if experiment.reported is not None:
        print("\n".join(_reported_lines(experiment.reported)))
    if experiment.parent is not None:
        print(f"differs from {experiment.parent} in: {', '.join(difference(catalogue[experiment.parent], experiment)) or 'nothing'}")
    if experiment.same_as is not None:
        print(f"trains exactly what {experiment.same_as} trains, and shares its runs")
    print()


def _reported_lines(reported: Reported) -> list[str]:
    """The source's figures, accuracies in percent and losses in nats: of the last epoch, of the best one, of further runs."""
    lines = [f"reported, last epoch: {', '.join(f'{name} {text}' for name, text in _figures(reported).items())}"]
    if reported.best_validation_accuracy is not None:
        announced = ", which the source announces" if reported.announces == "best" else ""
        train = f", train accuracy {reported.best_train_accuracy:.2f} %" if reported.best_train_accuracy is not None else ""
        lines.append(f"reported, highest of any epoch: validation accuracy {reported.best_validation_accuracy:.2f} %{train}{announced}")
    for curve in reported.curves[1:]:
        if curve.validation_accuracy:  # a document may print the losses alone
            lines.append(f"reported, {curve.run}, last epoch: validation accuracy {curve.validation_accuracy[-1]:.2f} %")
    return lines


def _figures(reported: Reported) -> dict[str, str]:
    """The figures of the last epoch as they are written, by name."""
    names = ("validation_accuracy", "train_accuracy", "validation_loss", "train_loss", "test_accuracy")
    values = {name: getattr(reported, name) for name in names}
    units = {"accuracy": lambda value: f"{value:.2f} %", "loss": lambda value: f"{value:.4f}"}
    return {name.replace("_", " "): units[name.rpartition("_")[2]](value) for name, value in values.items() if value is not None}


def diff(arguments: Namespace, catalogue: Catalogue) -> int:
    """Print the differences by dotted name. Of two equal definitions the reported figures are compared."""
    found = difference(catalogue[arguments.before], catalogue[arguments.after])
    if arguments.json:
        print(json.dumps({name: [plain(before), plain(after)] for name, (before, after) in found.items()}, indent=1))
        return 0
    rows = [(name, *_side_by_side(before, after)) for name, (before, after) in found.items()]
    if not found:
        print(f"{arguments.before} and {arguments.after} train the same network in the same way")
        rows = _reported_differences(catalogue[arguments.before].reported, catalogue[arguments.after].reported)
    if rows:
        print(aligned([("field", arguments.before, arguments.after), *rows], right=set()))
    return 0


def _reported_differences(before: Reported | None, after: Reported | None) -> list[tuple[str, str, str]]:
    """The reported figures in which two sources of one definition differ."""
    sides = [{} if side is None else _figures(side) | _best(side) for side in (before, after)]
    names = dict.fromkeys([*sides[0], *sides[1]])
    pairs = [(f"reported {name}", *(side.get(name, "–") for side in sides)) for name in names]
    return [(name, a, b) for name, a, b in pairs if a != b]


def _best(reported: Reported) -> dict[str, str]:
    best = reported.best_validation_accuracy
    return {} if best is None else {"best validation accuracy": f"{best:.2f} %"}


def _side_by_side(before: Any, after: Any) -> tuple[str, str]:
    """Two values as they are written; of two lists of records, such as layers, what they hold and what the second changes."""
    from budgetnet.report.words import counted_kinds, record_lines, records_change

    if record_lines(before) and record_lines(after):
        return counted_kinds(before), records_change(before, after)
    return repr(before), repr(after)


def check(arguments: Namespace, catalogue: Catalogue) -> int:
    """Every budget against the exact count of the built network; exit status 3 when one does not hold, 2 when one cannot be built."""
    from budgetnet.building import BuildError
    from budgetnet.run import gate

    verdicts, unbuilt = {}, {}
    rows: Any
    for experiment in catalogue.select(arguments.names or ["all"]):
        try:
            verdicts[experiment.name] = gate(experiment)
        except BuildError as error:
            unbuilt[experiment.name] = str(error)
    if arguments.json:
        rows = [{"name": name, **vars(v.counts), "budget": vars(v.budget), "verdict": v.verdict} for name, v in verdicts.items()]
        print(json.dumps([*rows, *({"name": name, "verdict": "not built", "error": why} for name, why in unbuilt.items())], indent=1))
    else:
        rows = [("experiment", "exact", "counted", "as Keras", "Keras counts", "bound", "head-room", "verdict")]
        rows += [
            (name, v.budget.exact, v.counts.trainable, v.budget.keras_total, v.counts.keras_total, v.budget.bound, v.headroom, v.verdict)
            for name, v in verdicts.items()
        ]
        print(aligned(rows, right={1, 2, 3, 4, 5, 6}))
    broken = [name for name, v in verdicts.items() if not v.passed]
    if not arguments.json:
        print(
            f"\n{len(verdicts)} experiment{'' if len(verdicts) == 1 else 's'}, {len(verdicts) - len(broken)} within their budgets"
            + (f"; broken: {', '.join(broken)}" if broken else "")
            + (f"; not built: {', '.join(unbuilt)}" if unbuilt else "")
        )
    for why in unbuilt.values():
        complain(why, USAGE)
    return USAGE if unbuilt else BUDGET if broken else OK
