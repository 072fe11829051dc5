"""Verdicts on two engines: plain torch in fp32 and this machine's default, with the same seeds.

    python -m benchmarks.training.verdicts [step-09 …] [--seeds 0-4] [--epochs N] [--runs runs/verdicts] [--device cpu|cuda]

Trains every run in full, into ``<runs>/reference`` and ``<runs>/fast``, where finished runs are kept. Both engines draw
the same random numbers and round differently, so that single seeds differ as two seeds do. The verdicts are compared,
and the interval of the difference of the means.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from benchmarks import common
from benchmarks.turns import say
from budgetnet.arguments.types import parse_seeds
from budgetnet.catalogue import load_default
from budgetnet.engine.choice import Settings
from budgetnet.environment import usable_cores
from budgetnet.jobs.running import Failure, Job, run_all, workers_for
from budgetnet.progress import ConsoleProgress
from budgetnet.report.collect import Row
from budgetnet.report.text import aligned
from budgetnet.results import Result
from budgetnet.run import Options, resolve_device, trains_together
from budgetnet.verdict import Comparison, compare

STEPS = ("step-09", "step-10", "step-11", "step-12")
ENGINES = {"reference": ("eager", "fp32"), "fast": ("auto", "auto")}  # engine and precision


def train(jobs: Sequence[Job], which: str, arguments: Any, device: str) -> list[Row]:
    """Train unfinished runs on one engine; return a row for each experiment, as the report judges it."""
    engine, precision = ENGINES[which]
    settings = Settings(device=device, engine=engine, threads=usable_cores(), precision=precision)
    options = Options(runs=arguments.runs / which, settings=settings, epochs=arguments.epochs)
    workers = 1 if trains_together(settings) else workers_for(len(jobs), device, None)
    results: dict[Any, list[Result]] = {}
    for job, outcome in zip(jobs, run_all(jobs, options, workers, ConsoleProgress()), strict=True):
        if isinstance(outcome, Failure):
            sys.exit(f"benchmark: {job.name} failed on the {which} engine: {outcome.error}")
        assert isinstance(outcome, Result)
        results.setdefault(job.experiment, []).append(outcome)
    return [Row(experiment, None, which, tuple(own), (), (), ()) for experiment, own in results.items()]


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


def figures(row: Row) -> dict[str, Any]:
    return {
        "engines": sorted({f"{result.engine} {result.precision}" for result in row.results}),
        "accuracies": row.accuracies,
        "aim": row.aim.as_dict(),
        "reproduction": row.reproduction.as_dict(),
        "seconds_a_run": row.seconds,
    }


def main() -> None:
    parser = common.make_parser(__doc__)
    common.add_device(parser)
    parser.add_argument("experiments", nargs="*", default=STEPS, help=f"default: {' '.join(STEPS)}")
    parser.add_argument("--seeds", type=parse_seeds, default=parse_seeds("0-4"), help="default: 0-4")
    parser.add_argument("--epochs", type=int, help="stop early, to try the command: an unfinished run has no verdict")
    parser.add_argument("--runs", type=Path, default=Path("runs/verdicts"), metavar="DIR")
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    torch.set_num_threads(usable_cores())
    experiments = load_default().select(arguments.experiments)
    common.load_data(experiments[0])
    jobs = [Job(experiment, seed) for experiment in experiments for seed in arguments.seeds]
    reference, fast = (train(jobs, which, arguments, device) for which in ENGINES)
    pairs = [*zip(reference, fast, strict=True)]
    rows: list[tuple[Any, ...]] = [("", "engine", "%", "aim", "reproduction", "difference, 95 %", "s a run")]
    content, changed = {}, []
    for pair in pairs:
        difference = compare(pair[0].accuracies, pair[1].accuracies)
        name = pair[0].experiment.name
        content[name] = {row.place: figures(row) for row in pair} | {"comparison": difference.as_dict()}
        if len({(row.aim.word, row.reproduction.word) for row in pair}) > 1:
            changed.append(name)
        for row, shown in zip(pair, ("", interval(difference)), strict=True):
            accuracy = "–" if row.aim.mean is None else f"{row.aim.mean:.2f} ± {row.aim.sd or 0:.2f}"
            engine = f"{row.place} ({', '.join(figures(row)['engines'])})"
            seconds = f"{row.seconds or 0:.0f}"
            rows.append((name, engine, accuracy, row.aim.text, row.reproduction.text, shown, seconds))
    say(f"\n{aligned(rows, right={6})}\n\nverdicts that differ: {', '.join(changed) or 'none'}")
    over_all = pooled(pairs)
    say(f"fast − reference over all, 95 %: {interval(over_all)}")
    common.write_json(arguments.json, {"seeds": arguments.seeds, "experiments": content, "pooled": over_all.as_dict()}, device)


if __name__ == "__main__":
    main()
