"""The command line's grammar; parsing imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path

from budgetnet import __version__
from budgetnet.arguments.inference import add_compile, add_predict
from budgetnet.arguments.inspection import add_closer_looks, add_inspection, add_report
from budgetnet.arguments.serving import add_serve
from budgetnet.arguments.training import add_engine_options, add_run, add_sweep


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budgetnet",
        description="How much accuracy does a parameter budget buy?",
        epilog="Every command explains itself: budgetnet run --help",
    )
    parser.add_argument("--version", action="version", version=f"budgetnet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    inspection, run, looks = add_inspection(commands), add_run(commands), add_closer_looks(commands)
    report, sweep = add_report(commands), add_sweep(commands)
    compiling, prediction, serving = add_compile(commands), add_predict(commands), add_serve(commands)
    for command in (run, *looks, report, sweep, compiling, prediction, serving):
        command.add_argument(
            "--runs", type=Path, default=Path("runs"), metavar="DIR", help="the folder of the run directories (default: runs)"
        )
    for command in (run, sweep):
        add_engine_options(command)
    for command in (run, *looks, sweep, compiling, serving):
        command.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto", help="where to compute (default: auto)")
        command.add_argument(
            "--data", type=Path, metavar="DIR", help="the folder that holds the data set's files (default: BUDGETNET_DATA, ./data, …)"
        )
    for command in (*inspection, report):
        command.add_argument("--json", action="store_true", help="machine-readable output")
    return parser
