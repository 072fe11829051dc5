"""Seconds from the start of a command until it trains, here and in another checkout, in turns.

    python -m benchmarks.training.start_up [--rounds 5] [--baseline FOLDER] [--only WORD …]

A run counts until it has reported the start of every job, ``check`` and ``list`` until they end. Everything is started
once beforehand, so that files and kernels are cached.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import common
from benchmarks.turns import Unavailable, alternate, ratio, say, spread
from budgetnet.catalogue import load_default
from budgetnet.data.files import find_data
from budgetnet.report.text import aligned

HERE = Path(__file__).resolve().parent.parent.parent
COMMANDS: dict[str, tuple[int, tuple[str, ...]]] = {  # name -> the number of jobs, and the arguments
    "run, one seed": (1, ("run", "step-13", "--device", "cpu", "--workers", "1")),
    "run, two workers": (2, ("run", "step-13", "--device", "cpu", "--seeds", "0-1", "--workers", "2")),
    "check": (0, ("check",)),
    "list": (0, ("list",)),
}


def measure(checkout: Path, jobs: int, arguments: Sequence[str], data: Path) -> float:
    """Return the seconds of one start. Raises Unavailable where the command fails."""
    with tempfile.TemporaryDirectory() as runs:
        more = ["--runs", runs, "--data", str(data)] if jobs else []
        command = [sys.executable, "-m", "budgetnet", *arguments, *more]
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        assert process.stdout is not None
        started, output = 0, ""
        for line in process.stdout:
            output += line
            started += " starts" in line
            if jobs and started == jobs:
                break
        seconds = time.perf_counter() - began
        if started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if started < jobs or (not jobs and process.returncode):
        raise Unavailable(f"{' '.join(arguments)} in {checkout} failed: {output[-500:]}")
    return seconds


def main() -> None:
    parser = common.make_parser(__doc__, rounds=5)
    common.add_only(parser)
    parser.add_argument("--baseline", type=Path, metavar="FOLDER", help="another checkout, for before and after")
    arguments = parser.parse_args()
    experiment = load_default()["step-13"]
    common.load_data(experiment)
    data = find_data(experiment.data_set).resolve()
    checkouts = {"here": HERE} | ({"baseline": arguments.baseline.resolve()} if arguments.baseline else {})
    rows: list[tuple[str, ...]] = [("", "", "seconds", "min", "max", "ratio", "min", "max")]
    content = {}
    for name in common.chosen(COMMANDS, arguments.only):
        turns = {which: partial(measure, folder, *COMMANDS[name], data) for which, folder in checkouts.items()}
        say(name)
        content[name], _ = alternate(turns, arguments.rounds)
        for which, seconds in content[name].items():
            cells = [f"{value:.2f}" for value in spread(seconds)]
            if which != "here" and "here" in content[name]:
                cells += [f"{value:.2f}" for value in ratio(seconds, content[name]["here"])]
            rows.append((name, which, *cells, *[""] * (6 - len(cells))))
    say(f"\n{aligned(rows, right=set(range(2, 8)))}")
    common.write_json(arguments.json, {"commands": content})


if __name__ == "__main__":
    main()
