"""The whole progression: its 13 steps, every seed, trained together, against the sum of single runs.

    python -m benchmarks.progression [--epochs 1] [--seeds 0-1] [--device cpu|cuda] [--json FILE]

A single run is what ``budgetnet run step-07`` does, on all cores, without the start of Python; "together" is what
``budgetnet run progression`` does, workers and their start included. Both write their results, into a temporary
directory. One short run beforehand compiles what is compiled once a machine.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import task
from budgetnet.arguments.types import parse_seeds
from budgetnet.catalogue import load_default
from budgetnet.engine.choice import Settings
from budgetnet.environment import usable_cores
from budgetnet.jobs.running import Failure, Job, run_all, workers_for
from budgetnet.progress import ConsoleProgress
from budgetnet.run import Options, resolve_device

GROUP = "progression"


def timed(jobs: Sequence[Job], options: Options) -> float:
    """Seconds to run ``jobs`` as the command line runs them; a failure ends the benchmark."""
    workers = workers_for(len(jobs), options.settings.device, None)
    started = time.perf_counter()
    outcomes = run_all(jobs, options, workers, ConsoleProgress(bars=False))
    seconds = time.perf_counter() - started
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            sys.exit(f"benchmark: {outcome.job.name} failed: {outcome.error}")
    return seconds


def compare(jobs: Sequence[Job], options: Options, directory: Path) -> dict[str, Any]:
    """Seconds of every single run, of their sum, and of all together; ``ratio`` above 1 says that together is faster."""
    timed(jobs[:1], _into(options, directory / "warm-up"))
    single = {job.name: timed([job], _into(options, directory / "single")) for job in jobs}
    together = timed(jobs, _into(options, directory / "together"))
    total = sum(single.values())
    return {"single_seconds": single, "sum_seconds": total, "together_seconds": together, "ratio": total / together}


def by_step(single: dict[str, float]) -> dict[str, float]:
    """The seconds of single runs, by experiment, summed over the seeds."""
    steps: dict[str, float] = {}
    for job, seconds in single.items():
        step = job.partition(" ")[0]
        steps[step] = steps.get(step, 0.0) + seconds
    return steps


def _into(options: Options, runs: Path) -> Options:
    return Options(runs=runs, settings=options.settings, epochs=options.epochs)


def main() -> None:
    parser = task.parser(__doc__)
    parser.add_argument("--epochs", type=int, default=1, help="of every run (default: 1)")
    parser.add_argument("--seeds", type=parse_seeds, default=(0,), help="such as 0, 0-4 or 0,2,5 (default: 0)")
    arguments = parser.parse_args()
    task.require_data()
    device, cores = resolve_device(arguments.device), usable_cores()
    torch.set_num_threads(cores)
    experiments = load_default().select([GROUP])
    jobs = [Job(experiment, seed) for experiment in experiments for seed in arguments.seeds]
    options = Options(settings=Settings(device=device, threads=cores), epochs=arguments.epochs)
    with tempfile.TemporaryDirectory() as directory:
        found = compare(jobs, options, Path(directory))
    print(f"\nseconds; {len(experiments)} steps, seeds: {len(arguments.seeds)}, epochs: {arguments.epochs}, {device}, cores: {cores}")
    for step, seconds in by_step(found["single_seconds"]).items():
        print(f"{step:<24}{seconds:>10.1f}")
    print(f"{'sum of single runs':<24}{found['sum_seconds']:>10.1f}")
    print(f"{'together':<24}{found['together_seconds']:>10.1f}")
    print(f"{'together, a step':<24}{found['together_seconds'] / len(experiments):>10.1f}")
    print(f"{'ratio':<24}{found['ratio']:>10.2f}")
    if arguments.json:
        content = {
            "device": device, "epochs": arguments.epochs, "seeds": arguments.seeds, "environment": task.environment(device),
        }  # fmt: skip
        arguments.json.write_text(json.dumps(content | found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
