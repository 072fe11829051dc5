"""Test whether the fast path changes a verdict: plain torch in fp32 and the path that is the default here, the same seeds, side by side.

    python -m benchmarks.verdicts [step-09 …] [--seeds 0-4] [--runs runs/verdicts] [--device cpu|cuda] [--json FILE]

Trains every run in full, into ``<runs>/reference`` and ``<runs>/fast``; what is finished there is kept, so that it may be
interrupted. The two paths draw the same numbers but round differently, so that single seeds differ as two seeds
do: it is the verdicts, and the interval of the difference of the means, that are compared.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from benchmarks import task
from budgetnet.arguments.types import parse_seeds
from budgetnet.catalogue import load_default
from budgetnet.definition import Experiment
from budgetnet.engine.choice import Settings
from budgetnet.environment import usable_cores
from budgetnet.jobs.running import Failure, Job, run_all, workers_for
from budgetnet.progress import ConsoleProgress
from budgetnet.report.collect import Row
from budgetnet.report.text import aligned
from budgetnet.results import Result
from budgetnet.run import Options, resolve_device, trains_together
from budgetnet.verdict import Comparison, aim_verdict, compare

STEPS = ("step-09", "step-10", "step-11", "step-12")
CHOSEN = 5  # seeds
PATHS = {"reference": ("eager", "fp32"), "fast": ("auto", "auto")}


@dataclass(frozen=True)
class Pair:
    """One experiment on both paths."""

    reference: Row
    fast: Row

    @property
    def changed(self) -> bool:
        """Tell whether one of the two verdicts differs on the other path."""
        return (self.reference.aim.word, self.reference.reproduction.word) != (self.fast.aim.word, self.fast.reproduction.word)

    @cached_property
    def comparison(self) -> Comparison:
        return compare(self.reference.accuracies, self.fast.accuracies)


def row(experiment: Experiment, path: str, results: Sequence[Result]) -> Row:
    """The finished ones of ``results`` that are of this experiment, as the report judges them."""
    own = tuple(result for result in results if result.experiment == experiment.runs_name and result.finished)
    return Row(experiment, None, path, own, (), (), ())


def figure(own: Row) -> str:
    """'99.40 ± 0.10', in percent."""
    if own.aim.mean is None:
        return "–"
    return f"{own.aim.mean:.2f}" + (f" ± {own.aim.sd:.2f}" if own.aim.sd is not None else "")


def engines(own: Row) -> list[str]:
    return [*dict.fromkeys(f"{result.engine} {result.precision}" for result in own.results)]


def train(jobs: Sequence[Job], runs: Path, path: str, device: str) -> list[Result]:
    """Train what is not finished on one path; a failure ends the benchmark."""
    engine, precision = PATHS[path]
    settings = Settings(device=device, engine=engine, threads=usable_cores(), precision=precision)
    workers = 1 if trains_together(settings) else workers_for(len(jobs), device, None)
    outcomes = run_all(jobs, Options(runs=runs / path, settings=settings), workers, ConsoleProgress())
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            sys.exit(f"benchmark: {outcome.job.name} failed on the {path} path: {outcome.error}")
    return [outcome for outcome in outcomes if isinstance(outcome, Result)]


def pooled(pairs: Sequence[Pair]) -> Comparison:
    """All experiments together, each about its own mean: what a path as such adds to an accuracy, in percent.

    Welch's interval does not know that a mean was taken out for each experiment: with five of them and five seeds
    it is about 5 % too narrow.
    """
    reference: list[float] = []
    fast: list[float] = []
    for pair in pairs:
        middle = fmean((*pair.reference.accuracies, *pair.fast.accuracies))
        reference += [accuracy - middle for accuracy in pair.reference.accuracies]
        fast += [accuracy - middle for accuracy in pair.fast.accuracies]
    return compare(reference, fast)


def by_choice(own: Row) -> dict[str, int]:
    """The words about the aim, counted over every choice of CHOSEN of the seeds: how much a word owes to the seeds it was said of."""
    aim = None if own.experiment.aim is None else own.experiment.aim.accuracy
    return dict(Counter(aim_verdict(chosen, aim).word for chosen in combinations(own.accuracies, CHOSEN)))


def interval(found: Comparison) -> str:
    """'+0.006 (-0.065 to +0.077)', in percent."""
    return "–" if found.lower is None else f"{found.difference:+.3f} ({found.lower:+.3f} to {found.upper:+.3f})"


def table(pairs: Sequence[Pair]) -> str:
    rows: list[tuple[Any, ...]] = [("experiment", "seeds", "path", "%", "aim", "reproduction", "fast − reference, 95 %", "s a run")]
    for pair in pairs:
        for name, own, told in (("reference", pair.reference, ""), ("fast", pair.fast, interval(pair.comparison))):
            path = f"{name} ({', '.join(engines(own))})"
            rows.append(
                (
                    own.experiment.name,
                    len(own.accuracies),
                    path,
                    figure(own),
                    own.aim.text,
                    own.reproduction.text,
                    told,
                    f"{own.seconds or 0:.0f}",
                )
            )
    return aligned(rows, right={1, 7})


def choices(pairs: Sequence[Pair]) -> str:
    """Lines such as 'step-13 fast: open 54, missed 2 of all choices of 5 seeds'."""
    return "\n".join(
        f"{own.experiment.name} {own.place}: {', '.join(f'{word} {number}' for word, number in by_choice(own).items())}"
        f" of all choices of {CHOSEN} seeds"
        for pair in pairs
        for own in (pair.reference, pair.fast)
    )


def content(pairs: Sequence[Pair]) -> dict[str, Any]:
    """All figures, JSON-ready."""

    def one(own: Row) -> dict[str, Any]:
        return {
            "accuracies": own.accuracies, "engines": engines(own), "seconds_a_run": own.seconds, "aim": own.aim.as_dict(),
            "reproduction": own.reproduction.as_dict(), "aim_by_choice": by_choice(own),
        }  # fmt: skip

    return {
        pair.reference.experiment.name: {
            "reference": one(pair.reference), "fast": one(pair.fast), "comparison": pair.comparison.as_dict(), "changed": pair.changed,
        }
        for pair in pairs
    }  # fmt: skip


def main() -> None:
    parser = task.parser(__doc__)
    parser.add_argument("experiments", nargs="*", default=STEPS, help=f"default: {' '.join(STEPS)}")
    parser.add_argument("--seeds", type=parse_seeds, default=parse_seeds("0-4"), help="default: 0-4")
    parser.add_argument("--runs", type=Path, default=Path("runs/verdicts"), metavar="DIR")
    arguments = parser.parse_args()
    task.require_data()
    device = resolve_device(arguments.device)
    torch.set_num_threads(usable_cores())
    experiments = load_default().select(arguments.experiments)
    jobs = [Job(experiment, seed) for experiment in experiments for seed in arguments.seeds]
    found = {path: train(jobs, arguments.runs, path, device) for path in PATHS}
    pairs = [Pair(*(row(experiment, path, found[path]) for path in PATHS)) for experiment in experiments]
    print(f"\n{table(pairs)}")
    changed = [pair.reference.experiment.name for pair in pairs if pair.changed]
    print(f"\nverdicts that differ: {', '.join(changed) or 'none'}")
    over_all = pooled(pairs)
    print(f"fast − reference over all, 95 %: {interval(over_all)}")
    if len(arguments.seeds) > CHOSEN:
        print(choices(pairs))
    if arguments.json:
        made = {
            "seeds": arguments.seeds, "environment": task.environment(device), "experiments": content(pairs), "pooled": over_all.as_dict(),
        }  # fmt: skip
        arguments.json.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
