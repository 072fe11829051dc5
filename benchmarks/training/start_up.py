"""Seconds from the start of a command to its first training step, here and in another checkout, in turns.

    python -m benchmarks.training.start_up [--rounds 5] [--baseline FOLDER] [--only WORD …]

A run counts until every job has made its first step, ``check`` and ``list`` until they end. Everything is started once
beforehand, so that files and kernels are cached.
"""

from __future__ import annotations

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
COMMANDS: dict[str, tuple[int, tuple[str, ...]]] = {  # name -> the number of jobs that make a step, and the arguments
    "run, one seed": (1, ("run", "step-13", "--device", "cpu", "--workers", "1")),
    "run, two workers": (2, ("run", "step-13", "--device", "cpu", "--seeds", "0-1", "--workers", "2")),
    "check": (0, ("check",)),
    "list": (0, ("list",)),
}

# Runs the command and ends it, with all its processes, when every job has made a step: the display is told of each.
UNTIL_STEPPED = """
import os, runpy, signal, sys
try:
    from budgetnet.train import progress
except ImportError:  # a checkout in which it had another place
    from budgetnet import progress
stepped, jobs, pipe = set(), int(sys.argv[1]), int(sys.argv[2])
def tick(display, job, images):
    stepped.add(job)
    if len(stepped) == jobs:
        os.write(pipe, b"stepped")
        signal.pause()
progress.ConsoleProgress.tick = tick
sys.argv[:] = ["budgetnet", *sys.argv[3:]]
runpy.run_module("budgetnet", run_name="__main__", alter_sys=True)
"""


def measure(checkout: Path, jobs: int, arguments: Sequence[str], data: Path) -> float:
    """Return the seconds of one start. Raises Unavailable where the command fails."""
    with tempfile.TemporaryDirectory() as runs, tempfile.TemporaryFile("w+") as output:
        reading, writing = os.pipe()
        start = ["-c", UNTIL_STEPPED, str(jobs), str(writing)] if jobs else ["-m", "budgetnet"]
        more = ["--runs", runs, "--data", str(data)] if jobs else []
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *start, *arguments, *more],
            cwd=checkout,
            stdout=output,
            stderr=output,
            pass_fds=[writing],
            start_new_session=True,
        )
        os.close(writing)
        stepped = os.read(reading, 10)  # empty at the end of a command that makes no step
        seconds = time.perf_counter() - began
        os.close(reading)
        if stepped:
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        if not stepped if jobs else status:
            output.seek(0)
            raise Unavailable(f"{' '.join(arguments)} in {checkout} failed: {output.read()[-500:]}")
    return seconds


def main() -> None:
    parser = common.make_parser(__doc__, rounds=5)
    parser.add_argument("--baseline", type=Path, metavar="FOLDER", help="another checkout, for before and after")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="only commands whose name contains one of these words")
    arguments = parser.parse_args()
    experiment = load_default()["step-13"]
    common.load_data(experiment)
    data = find_data(experiment.data_set).resolve()
    checkouts = {"here": HERE} | ({"baseline": arguments.baseline.resolve()} if arguments.baseline else {})
    rows: list[tuple[str, ...]] = [("", "", "seconds", "min", "max", "ratio", "min", "max")]
    content = {}
    for name, (jobs, command) in COMMANDS.items():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        turns = {which: partial(measure, folder, jobs, command, data) for which, folder in checkouts.items()}
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
