"""The thirteen steps trained together, against the sum of single runs.

    python -m benchmarks.training.progression [--epochs 1] [--seeds 0] [--steps step-12 step-13] [--device cpu|cuda]

All are runs of the command line, with its start: ``budgetnet run step-07`` on all cores, and ``budgetnet run`` with all
steps. The first single run is repeated, since it compiles the kernels.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from benchmarks import common
from benchmarks.turns import say
from budgetnet.catalogue import load_default
from budgetnet.report.text import aligned


def seconds_of(*command: str) -> float:
    """Return the seconds of ``budgetnet run`` into a fresh folder; a failure ends the benchmark."""
    with tempfile.TemporaryDirectory() as runs:
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "budgetnet", "run", *command, "--runs", runs], capture_output=True, text=True
        )
        seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"benchmark: {' '.join(command)} failed: {done.stderr[-500:]}")
    return seconds


def main() -> None:
    parser = common.make_parser(__doc__)
    common.add_device(parser)
    parser.add_argument("--epochs", default="1", help="of every run (default: 1)")
    parser.add_argument("--seeds", default="0", help="such as 0, 0-4 or 0,2,5 (default: 0)")
    parser.add_argument("--steps", nargs="+", default=["progression"], metavar="EXPERIMENT", help="default: all")
    arguments = parser.parse_args()
    experiments = load_default().select(arguments.steps)
    common.load_data(experiments[0])
    names = [experiment.name for experiment in experiments]
    options = ("--epochs", arguments.epochs, "--seeds", arguments.seeds, "--device", arguments.device)
    seconds_of(names[0], *options)
    single = {name: seconds_of(name, *options) for name in names}
    together, total = seconds_of(*names, *options), sum(single.values())
    rows = [("", "seconds"), *((name, f"{value:.1f}") for name, value in single.items())]
    rows += [
        ("sum of single runs", f"{total:.1f}"),
        ("together", f"{together:.1f}"),
        ("ratio", f"{total / together:.2f}"),
    ]
    say(aligned(rows, right={1}))
    found = {"single_seconds": single, "sum_seconds": total, "together_seconds": together, "ratio": total / together}
    common.write_json(arguments.json, {"epochs": arguments.epochs, "seeds": arguments.seeds} | found, arguments.device)


if __name__ == "__main__":
    main()
