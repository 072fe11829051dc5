"""Images per second of step 13 with more seeds at once, larger batches and wider layers.

    python -m benchmarks.training.scaling [--rounds 3] [--seconds 3] [--device cpu|cuda] [--plot scaling.png]

On a CPU seeds train in processes that share the cores, on a GPU as one stack; their images are added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.training import contest
from benchmarks.training.contest import Entrant
from benchmarks.training.speed import own_runs
from benchmarks.turns import say
from budgetnet.environment import usable_cores

BATCH_SIZES = (32, 64, 128, 256, 512, 1024)
WIDTHS = (1, 2, 4)
MOST_STACKED = 32  # seeds at once on a GPU
LABELS = {"seeds": "seeds at once", "batch size": "batch size", "widths": "widths, times those of step 13"}


def entrants(device: str, cores: int) -> dict[tuple[str, int], Entrant]:
    """Return the entrants by axis and place on it; seeds double up to twice the cores on a CPU."""
    most = max(4, 2 * cores) if device == "cpu" else MOST_STACKED
    found = {}
    count = 1
    while count <= most:
        found["seeds", count] = own_runs(f"seeds {count}", contest.experiment(), device, cores, count)
        count *= 2
    for size in BATCH_SIZES:
        found["batch size", size] = own_runs(f"batch size {size}", contest.experiment(size), device, cores, 1)
    for factor in WIDTHS:
        wider = contest.experiment(widths=factor)
        found["widths", factor] = own_runs(f"widths ×{factor}", wider, device, cores, 1)
    return found


def plot(found: Mapping[str, Mapping[int, Mapping[str, Any]]], title: str, path: Path) -> None:
    """Draw a panel an axis: medians with minimum and maximum."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    size = (4.2 * len(found), 3.8)
    figure, panels = plt.subplots(1, len(found), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for panel, (axis, entries) in zip(panels[0], found.items(), strict=True):
        work, medians = [*entries], [own["median"] for own in entries.values()]
        below = [own["median"] - own["low"] for own in entries.values()]
        above = [own["high"] - own["median"] for own in entries.values()]
        panel.errorbar(work, medians, yerr=[below, above], marker="o", capsize=3)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(work, [f"{value:,}" for value in work])
        panel.set_xlabel(LABELS[axis])
        panel.grid(alpha=0.3, which="both")
    panels[0][0].set_ylabel("images per second, all seeds together")
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = common.make_parser(__doc__, rounds=3, seconds=3)
    common.add_device(parser)
    parser.add_argument("--plot", type=Path, default=Path("scaling.png"), help="a PNG (default: scaling.png)")
    arguments = parser.parse_args()
    common.load_data(contest.experiment())
    cores = usable_cores()
    measured = entrants(arguments.device, cores)
    figures, left_out = contest.hold([*measured.values()], arguments.rounds, arguments.seconds)
    say(f"\nmedians of {arguments.rounds} rounds; images of all seeds together\n{contest.table(figures)}")
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for (axis, work), entrant in measured.items():
        if entrant.name in figures:
            found.setdefault(axis, {})[work] = figures[entrant.name]
    if found:
        machine = common.environment(arguments.device)
        title = machine.get("gpu") or f"{machine['cpu']}, cores: {cores}"
        plot(found, f"Training {contest.EXPERIMENT}: {title}", arguments.plot)
        say(f"plot: {arguments.plot}")
    common.write_json(arguments.json, {"series": found, "left_out": left_out}, arguments.device)


if __name__ == "__main__":
    main()
