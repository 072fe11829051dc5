"""Cost against work: images per second of step 13 with more seeds at once, larger batches and wider layers, as a plot.

    python -m benchmarks.scaling [--rounds 3] [--seconds 3] [--device cpu|cuda] [--plot scaling.png] [--json FILE]

Taken in turns, as in ``benchmarks.training_speed``. On a CPU seeds train in processes of their own that share the cores, on
a GPU several are one stack. Their images are added up.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import standing, task
from benchmarks.contest import Entrant, Record, hold
from benchmarks.training_speed import own_runs
from budgetnet.environment import usable_cores

BATCH_SIZES = (32, 64, 128, 256, 512, 1024)
WIDTHS = (1, 2, 4)
MOST_STACKED = 32  # seeds at once on a GPU


@dataclass(frozen=True)
class Point:
    """One measurement: the axis that it lies on, its place there, and who trains."""

    axis: str
    work: int
    entrant: Entrant


def seed_counts(device: str, cores: int) -> list[int]:
    """1, 2, 4, …: on a CPU up to twice the cores, and at least to 4."""
    counts = [1]
    while counts[-1] < (max(4, 2 * cores) if device == "cpu" else MOST_STACKED):
        counts.append(2 * counts[-1])
    return counts


def points(device: str, cores: int) -> list[Point]:
    """What is measured; step 13 itself, which lies on all three axes, only once for each."""

    def point(axis: str, work: int, name: str, batch_size: int | None = None, widths: int = 1, runs: int = 1) -> Point:
        return Point(axis, work, own_runs(name, task.experiment(batch_size, widths), device, cores, runs))

    found = [point("seeds", count, f"seeds {count}", runs=count) for count in seed_counts(device, cores)]
    found += [point("batch size", size, f"batch size {size}", batch_size=size) for size in BATCH_SIZES]
    return found + [point("widths", factor, f"widths ×{factor}", widths=factor) for factor in WIDTHS]


def series(measured: Sequence[Point], records: Sequence[Record]) -> dict[str, list[dict[str, Any]]]:
    """Axis -> its measurements, in order of work; those that failed are missing."""
    by_name = {record.entrant.name: record for record in records}
    found: dict[str, list[dict[str, Any]]] = {}
    for point in measured:
        record = by_name.get(point.entrant.name)
        if record is not None:
            found.setdefault(point.axis, []).append({"work": point.work} | standing.figures(record, None))
    return found


def plot(found: dict[str, list[dict[str, Any]]], title: str, path: Path) -> None:
    """A panel an axis: medians with minimum and maximum, both scales logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter, NullFormatter

    labels = {"seeds": "seeds at once", "batch size": "batch size", "widths": "widths, times those of step 13"}
    figure, panels = plt.subplots(1, len(found), figsize=(4.2 * len(found), 3.8), sharey=True, squeeze=False, layout="constrained")
    for panel, (axis, entries) in zip(panels[0], found.items(), strict=True):
        work, medians = [entry["work"] for entry in entries], [entry["median"] for entry in entries]
        spread = [[entry["median"] - entry["min"] for entry in entries], [entry["max"] - entry["median"] for entry in entries]]
        panel.errorbar(work, medians, yerr=spread, marker="o", capsize=3, label="measured")
        if axis == "widths":
            first = entries[0]
            proportional = [first["median"] * first["parameters"] / entry["parameters"] for entry in entries]
            panel.plot(work, proportional, linestyle="--", color="grey", label="if time grew with parameters")
            panel.legend(frameon=False)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(work, [f"{value:,}" for value in work])
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel(labels[axis])
        panel.grid(alpha=0.3, which="both")
    panels[0][0].set_ylabel("images per second, all seeds together")
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = task.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn (default: 3), at most an epoch")
    parser.add_argument("--plot", type=Path, default=Path("scaling.png"), help="a PNG (default: scaling.png)")
    arguments = parser.parse_args()
    task.require_data()
    cores = usable_cores()
    measured = points(arguments.device, cores)
    records, left_out = hold([p.entrant for p in measured], arguments.rounds, arguments.seconds, lambda line: print(line, flush=True))
    if not records:
        sys.exit("benchmark: nothing could be measured")
    environment = task.environment(arguments.device)
    found = series(measured, records)
    print(f"\nmedians of {arguments.rounds} rounds; images of all seeds together; an epoch is {standing.EPOCH:,} images")
    print(standing.table({"entries": {record.entrant.name: standing.figures(record, None) for record in records}}))
    machine = environment.get("gpu") or f"{environment['cpu']}, cores: {cores}"
    plot(found, f"Training {task.EXPERIMENT}: {machine}", arguments.plot)
    print(f"plot: {arguments.plot}")
    if arguments.json:
        content = {"experiment": task.EXPERIMENT, "device": arguments.device, "environment": environment}
        content |= {"rounds": arguments.rounds, "turn_seconds": arguments.seconds, "series": found, "left_out": left_out}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
