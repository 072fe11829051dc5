"""Arguments of the commands that look: at definitions, at finished runs, at all results."""

from __future__ import annotations

import argparse
from pathlib import Path

from budgetnet.arguments.common import Subparsers, add_command


def add_inspection(commands: Subparsers) -> list[argparse.ArgumentParser]:
    listing = add_command(commands, "list", "list the experiments", "  budgetnet list\n  budgetnet list --json")
    show = add_command(
        commands, "show", "show a resolved definition and its layer table", "  budgetnet show step-07\n  budgetnet show step-07 --json"
    )
    show.add_argument("name", metavar="EXPERIMENT")
    diff = add_command(commands, "diff", "show the computed difference of two definitions", "  budgetnet diff step-06 step-07")
    diff.add_argument("before", metavar="BEFORE")
    diff.add_argument("after", metavar="AFTER")
    check = add_command(
        commands, "check", "hold every budget against the exact count", "  budgetnet check\n  budgetnet check step-09 step-13"
    )
    check.add_argument("names", nargs="*", metavar="EXPERIMENT")
    return [listing, show, diff, check]


def add_closer_looks(commands: Subparsers) -> list[argparse.ArgumentParser]:
    evaluate = add_command(
        commands, "eval", "score trained weights on the test set", "  budgetnet eval step-13\n  budgetnet eval step-13 --seed 2 --runs runs"
    )
    inspect = add_command(
        commands, "inspect", "look closely at a finished run: confusion, worst errors, and what the report's pictures are drawn from",
        "  budgetnet inspect step-13\n  budgetnet inspect step-13 --seed 2 --runs runs",
    )  # fmt: skip
    for command in (evaluate, inspect):
        command.add_argument("name", metavar="EXPERIMENT")
        command.add_argument("--seed", type=int, help="which run's weights (default: the first there are)")
    return [evaluate, inspect]


def add_report(commands: Subparsers) -> argparse.ArgumentParser:
    report = add_command(
        commands, "report", "turn stored results into tables, plots and a page",
        "  budgetnet report\n  budgetnet report --results results/cpu --out report",
    )  # fmt: skip
    report.add_argument(
        "--results",
        action="append",
        type=Path,
        metavar="DIR",
        help="folders with results; for each experiment the first that can be judged speaks, else the first that has it",
    )
    report.add_argument(
        "--out", type=Path, default=Path("report"), metavar="DIR", help="where index.html and the rest go (default: report)"
    )
    return report
