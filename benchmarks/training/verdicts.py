"""Verdicts on two engines: plain torch in fp32 and this machine's default, with the same seeds.

    python -m benchmarks.training.verdicts [step-09 …] [--seeds 0-4] [--catalogue SOURCE] [--runs runs/verdicts]

``budgetnet run`` trains every run in full into ``<runs>/reference`` and ``<runs>/fast``, where finished runs are kept.
Both engines draw the same random numbers and round differently, so that single seeds differ as two seeds do. The
verdicts are compared, and the interval of the difference of the means.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import common
from benchmarks.turns import say
from budgetnet.catalogue import load, load_default
from budgetnet.report.collect import Row, collect
from budgetnet.report.text import aligned
from budgetnet.verdict import Comparison, compare

STEPS = ("step-09", "step-10", "step-11", "step-12")
ENGINES = {
    "reference": ("--engine", "eager", "--precision", "fp32"),
    "fast": ("--engine", "auto", "--precision", "auto"),
}


def pooled(pairs: Sequence[tuple[Row, Row]]) -> Comparison:
    """Compare all experiments at once, each about its own mean: what an engine as such adds to an accuracy, in percent.

    The interval does not account for the means: with five experiments and five seeds it is about 5 % too narrow.
    """
    reference: list[float] = []
    fast: list[float] = []
    for first, second in pairs:
        mean = fmean((*first.accuracies, *second.accuracies))
        reference += [accuracy - mean for accuracy in first.accuracies]
        fast += [accuracy - mean for accuracy in second.accuracies]
    return compare(reference, fast)


def interval(found: Comparison) -> str:
    """Return '+0.006 (-0.065 to +0.077)', in percent."""
    return "–" if found.lower is None else f"{found.difference:+.3f} ({found.lower:+.3f} to {found.upper:+.3f})"


def words(row: Row) -> tuple[str, str]:
    return row.aim.word, row.reproduction.word


def main() -> None:
    parser = common.make_parser(__doc__)
    common.add_device(parser)
    parser.add_argument("experiments", nargs="*", default=STEPS, help=f"default: {' '.join(STEPS)}")
    parser.add_argument("--seeds", default="0-4", help="default: 0-4")
    parser.add_argument("--catalogue", metavar="SOURCE", help="default: the shipped experiments")
    parser.add_argument("--runs", type=Path, default=Path("runs/verdicts"), metavar="DIR")
    arguments = parser.parse_args()
    catalogue = load(arguments.catalogue) if arguments.catalogue else load_default()
    names = [experiment.name for experiment in catalogue.select(arguments.experiments)]
    found: dict[str, dict[str, Row]] = {}
    for which, options in ENGINES.items():
        root = arguments.runs / which
        command = [sys.executable, "-m", "budgetnet", "run", *names, "--seeds", arguments.seeds, *options]
        more = ["--catalogue", arguments.catalogue] if arguments.catalogue else []
        done = subprocess.run([*command, *more, "--device", arguments.device, "--runs", str(root)], check=False)
        if done.returncode:
            sys.exit(f"benchmark: training on the {which} engine failed")
        found[which] = {row.experiment.name: row for row in collect(catalogue, [root])}
    rows: list[tuple[Any, ...]] = [("", "engine", "%", "aim", "reproduction", "difference, 95 %", "s a run")]
    content, pairs = {}, [(found["reference"][name], found["fast"][name]) for name in names]
    for name, pair in zip(names, pairs, strict=True):
        difference = interval(compare(pair[0].accuracies, pair[1].accuracies))
        for row, shown in zip(pair, ("", difference), strict=True):
            engine = ", ".join(sorted({f"{result.engine} {result.precision}" for result in row.results}))
            accuracy = "–" if row.aim.mean is None else f"{row.aim.mean:.2f} ± {row.aim.sd or 0:.2f}"
            rows.append((name, engine, accuracy, row.aim.text, row.reproduction.text, shown, f"{row.seconds or 0:.0f}"))
        content[name] = {which: row.accuracies for which, row in zip(ENGINES, pair, strict=True)}
    changed = [one.experiment.name for one, other in pairs if words(one) != words(other)]
    say(f"\n{aligned(rows, right={6})}\n\nverdicts that differ: {', '.join(changed) or 'none'}")
    say(f"fast − reference over all, 95 %: {interval(pooled(pairs))}")
    common.write_json(arguments.json, {"accuracies": content, "changed": changed}, arguments.device)


if __name__ == "__main__":
    main()
