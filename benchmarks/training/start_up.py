"""Seconds from the start of a command to its first training step, here and in an older checkout, alternating.

    python -m benchmarks.start_up [--rounds 5] [--baseline FOLDER] [--json FILE]

A run counts until every job has made its first step, ``check`` and ``list`` until they end. Wall-clock seconds are taken from
outside, from before the process starts; CPU seconds are those of the command and all its worker processes, which say more on a
machine that is busy. Everything is started once off the clock, so that files, byte code and compiled kernels are cached. Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from budgetnet.data.files import DataError, find_data
from budgetnet.data.specs import MNIST
from budgetnet.environment import stamp

HERE = Path(__file__).resolve().parent.parent
RUN = ("run", "step-13", "--device", "cpu")
COMMANDS: dict[str, tuple[int, tuple[str, ...]]] = {  # what is started -> the number of jobs that step, and the arguments
    "run, one seed": (1, (*RUN, "--workers", "1")),
    "run, two seeds in two workers": (2, (*RUN, "--seeds", "0-1", "--workers", "2")),
    "check": (0, ("check",)),
    "list": (0, ("list",)),
}

# Runs the command as `python -m budgetnet` does. The progress display, which is told of every step, also of those in worker
# processes, is patched when the command itself imports it, so that the order of imports stays as it is.
WATCHED = """
import importlib.util, os, runpy, sys, time
pipe, jobs = int(sys.argv[1]), int(sys.argv[2])
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name != "budgetnet.progress":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def execute_and_patch(module):
            execute(module)
            tick, stepped = module.ConsoleProgress.tick, set()
            def told(display, job, images):
                if job not in stepped:
                    stepped.add(job)
                    if len(stepped) == jobs:
                        os.write(pipe, str(time.monotonic()).encode())
                tick(display, job, images)
            module.ConsoleProgress.tick = told
        spec.loader.exec_module = execute_and_patch
        return spec
sys.meta_path.insert(0, Watch())
sys.argv[:] = ["budgetnet", *sys.argv[3:]]
runpy.run_module("budgetnet", run_name="__main__", alter_sys=True)
"""


def cpu_seconds(session: int) -> float:
    """User and system time so far of all processes in ``session``, with the children that they have waited for."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[3]) == session:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(checkout: Path, jobs: int, arguments: tuple[str, ...], data: Path) -> tuple[float, float]:
    """Wall-clock and CPU seconds of one start; exits with the command's own words where it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as runs, tempfile.TemporaryFile("w+") as output:
        more = ("--runs", runs, "--data", str(data)) if jobs else ()
        ours, its = os.pipe()
        code = ("-c", WATCHED, str(its), str(jobs)) if jobs else ("-m", "budgetnet")
        command = [sys.executable, *code, *arguments, *more]
        started = time.monotonic()
        process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=output, stderr=output, pass_fds=[its], start_new_session=True
        )
        os.close(its)
        try:
            told = os.read(ours, 100)  # nothing, at the end of a command that makes no step
            ended, cpu = float(told or time.monotonic()), cpu_seconds(process.pid)
            failed = not told if jobs else process.wait() != 0
        finally:
            os.close(ours)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if failed:
            output.seek(0)
            sys.exit(f"benchmark: {' '.join(arguments)} in {checkout} failed:\n{output.read()}")
    return ended - started, cpu


def show(entries: dict[str, dict[str, list[tuple[float, float]]]]) -> None:
    """A line per command and checkout: medians over the rounds; the ratios to this checkout are taken round by round."""
    print(f"\n{'':<34}{'':<10}{'wall s':>8}{'min':>7}{'max':>7}{'CPU s':>8}{'wall ratio':>12}{'CPU ratio':>11}")
    for name, checkouts in entries.items():
        for checkout, figures in checkouts.items():
            walls, cpus = zip(*figures, strict=True)
            line = f"{name:<34}{checkout:<10}{statistics.median(walls):>8.2f}{min(walls):>7.2f}{max(walls):>7.2f}"
            line += f"{statistics.median(cpus):>8.2f}"
            if checkout != "here":
                rounds = [*zip(figures, checkouts["here"], strict=True)]
                line += "".join(f"{statistics.median(old[i] / new[i] for old, new in rounds):>{12 - i}.2f}" for i in (0, 1))
            print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--baseline", type=Path, metavar="FOLDER", help="an older checkout, for before and after")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        data = find_data(MNIST).resolve()
    except DataError as error:
        sys.exit(f"benchmark: {error}")
    checkouts = {"here": HERE} | ({"baseline": arguments.baseline.resolve()} if arguments.baseline else {})
    entries: dict[str, dict[str, list[tuple[float, float]]]] = {name: {checkout: [] for checkout in checkouts} for name in COMMANDS}
    for number in range(arguments.rounds + 1):  # the first fills the caches
        for name, (jobs, command) in COMMANDS.items():
            for checkout, folder in checkouts.items():
                figures = measure(folder, jobs, command, data)
                if number:
                    entries[name][checkout].append(figures)
        print(f"round {number}/{arguments.rounds}" if number else "warm", flush=True)
    show(entries)
    if arguments.json:
        content = {
            name: {
                checkout: {"wall_seconds": [wall for wall, _ in figures], "cpu_seconds": [cpu for _, cpu in figures]}
                for checkout, figures in of.items()
            }
            for name, of in entries.items()
        }
        arguments.json.write_text(json.dumps({"environment": stamp("cpu"), "commands": content}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
