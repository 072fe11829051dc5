"""The thirteen steps trained together, against the sum of single runs.

    python -m benchmarks.training.progression [--epochs 1] [--seeds 0-1] [--steps step-12 step-13] [--device cpu|cuda]

A single run is that of ``budgetnet run step-07``, on all cores, without the start of Python. "Together" is that of
``budgetnet run progression``, with its workers and their start. A short run beforehand compiles the kernels.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import common
from benchmarks.turns import say
from budgetnet.arguments.types import parse_seeds
from budgetnet.catalogue import load_default
from budgetnet.engine.choice import Settings
from budgetnet.environment import usable_cores
from budgetnet.jobs.running import Failure, Job, run_all, workers_for
from budgetnet.progress import ConsoleProgress
from budgetnet.report.text import aligned
from budgetnet.run import Options, resolve_device


def seconds_of(jobs: Sequence[Job], options: Options, runs: Path) -> float:
    """Return the seconds to run ``jobs`` as the command line runs them; a failure ends the benchmark."""
    workers = workers_for(len(jobs), options.settings.device, None)
    started = time.perf_counter()
    outcomes = run_all(jobs, replace(options, runs=runs), workers, ConsoleProgress(bars=False))
    seconds = time.perf_counter() - started
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            sys.exit(f"benchmark: {outcome.job.name} failed: {outcome.error}")
    return seconds


def main() -> None:
    parser = common.make_parser(__doc__)
    common.add_device(parser)
    parser.add_argument("--epochs", type=int, default=1, help="of every run (default: 1)")
    parser.add_argument("--seeds", type=parse_seeds, default=(0,), help="such as 0, 0-4 or 0,2,5 (default: 0)")
    parser.add_argument("--steps", nargs="+", default=["progression"], metavar="EXPERIMENT", help="default: all")
    arguments = parser.parse_args()
    device, cores = resolve_device(arguments.device), usable_cores()
    torch.set_num_threads(cores)
    experiments = load_default().select(arguments.steps)
    common.load_data(experiments[0])
    options = Options(settings=Settings(device=device, threads=cores), epochs=arguments.epochs)
    single: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        jobs = [Job(experiment, seed) for experiment in experiments for seed in arguments.seeds]
        seconds_of(jobs[:1], options, root / "warm-up")
        for job in jobs:
            name = job.experiment.name
            single[name] = single.get(name, 0.0) + seconds_of([job], options, root / "single")
        together = seconds_of(jobs, options, root / "together")
    total = sum(single.values())
    found = {"single_seconds": single, "sum_seconds": total, "together_seconds": together, "ratio": total / together}
    rows = [(name, f"{value:.1f}") for name, value in single.items()]
    rows += [("sum of single runs", f"{total:.1f}"), ("together", f"{together:.1f}"), ("ratio", f"{total / together:.2f}")]
    say("\n" + aligned([(f"{device}, cores: {cores}", "seconds"), *rows], right={1}))
    settings = {"device": device, "epochs": arguments.epochs, "seeds": arguments.seeds}
    common.write_json(arguments.json, settings | found, device)


if __name__ == "__main__":
    main()
