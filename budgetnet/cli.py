"""Argument parsing and lazy dispatch: nothing heavy is imported before a command needs it.

Exit status: 0 fine, 2 usage, 3 budget, 4 accuracy (with --assert-aim), 5 data, 1 anything else, 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from budgetnet import __version__
from budgetnet.catalogue import Catalogue, UnknownExperiment, load, load_default
from budgetnet.definition import DefinitionError

OK, OTHER, USAGE, BUDGET, ACCURACY, DATA, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

Command = Callable[[argparse.Namespace, Catalogue], int]
Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

# Command -> module of budgetnet.commands and function in it; imported when the command is given.
COMMANDS = {
    "list": ("inspection", "list_experiments"),
    "show": ("inspection", "show"),
    "diff": ("inspection", "diff"),
    "check": ("inspection", "check"),
    "run": ("launch", "run"),
    "eval": ("evaluation", "score_weights"),
    "inspect": ("diagnosis", "inspect"),
    "report": ("reporting", "report"),
    "sweep": ("sweeping", "sweep"),
}


# As budgetnet.engine.choice has them, which imports torch; a test holds them together.
ENGINES = (
    "auto", "kernels", "eager", "channels-last", "compiled", "compiled-channels-last", "stacked", "grouped", "vmapped", "branches",
)  # fmt: skip
PRECISIONS = ("auto", "fp32", "bf16")


def parse_seeds(text: str) -> tuple[int, ...]:
    """'0-4', '0,2,5' or '3' as seeds, ascending, each once."""
    seeds: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            raise argparse.ArgumentTypeError(f"{text!r} names no seeds; expected for example 0, 0-4 or 0,2,5")
        if int(match[2] or match[1]) - int(match[1]) >= 10_000:
            raise argparse.ArgumentTypeError(f"{text!r} names more than 10,000 seeds")
        seeds.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(seeds))


def _positive(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def _command(subparsers: Subparsers, name: str, summary: str, examples: str) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--catalogue", metavar="SOURCE", help="a folder, .py file or module that defines CATALOGUE (default: the shipped experiments)"
    )
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="EXPERIMENT", help="experiments, or 'all', or a document's group such as 'progression'")
    parser.add_argument("--seeds", type=parse_seeds, default=(0,), metavar="SEEDS", help="such as 0, 0-4 or 0,2,5 (default: 0)")
    parser.add_argument(
        "--epochs", type=_positive, metavar="N", help="stop after N epochs: a partial run, which is never judged and goes on later"
    )
    parser.add_argument("--workers", type=_positive, metavar="N", help="runs side by side (default: one a core on a CPU)")
    parser.add_argument("--assert-aim", action="store_true", help=f"exit with status {ACCURACY} when an aim is missed")
    parser.add_argument(
        "--digits-fallback",
        action="store_true",
        help="train on scikit-learn's small digits where MNIST cannot be had; nothing is judged then",
    )


def _add_sweep_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="PLAN-OR-STUDY", help="what to search (default: list what there is)")
    parser.add_argument("--workers", type=_positive, metavar="N", help="trials side by side (default: one a core on a CPU)")
    parser.add_argument(
        "--storage", metavar="URL", help="any Optuna storage URL, or journal:FILE (default: a SQLite file in the study's folder)"
    )
    parser.add_argument("--trials", type=_positive, metavar="N", help="points that TPE studies propose (default: as declared)")
    parser.add_argument("--seeds", type=parse_seeds, metavar="SEEDS", help="seeds of every trial, such as 0-2 (default: as declared)")
    parser.add_argument("--adopt", action="store_true", help="also take over trials of other machines; be sure that they are dead")
    parser.add_argument("--keep-weights", action="store_true", help="keep weights and checkpoints of finished trials")
    parser.set_defaults(epochs=None)


def _add_inspection(commands: Subparsers) -> list[argparse.ArgumentParser]:
    listing = _command(commands, "list", "list the experiments", "  budgetnet list\n  budgetnet list --json")
    show = _command(
        commands, "show", "show a resolved definition and its layer table", "  budgetnet show step-07\n  budgetnet show step-07 --json"
    )
    show.add_argument("name", metavar="EXPERIMENT")
    diff = _command(commands, "diff", "show the computed difference of two definitions", "  budgetnet diff step-06 step-07")
    diff.add_argument("before", metavar="BEFORE")
    diff.add_argument("after", metavar="AFTER")
    check = _command(commands, "check", "hold every budget against the exact count", "  budgetnet check\n  budgetnet check step-09 step-13")
    check.add_argument("names", nargs="*", metavar="EXPERIMENT")
    return [listing, show, diff, check]


def _add_run(commands: Subparsers) -> argparse.ArgumentParser:
    run = _command(
        commands, "run", "train, resume or skip runs, then print verdicts",
        "  budgetnet run step-13 --seeds 0-2\n  budgetnet run progression --seeds 0-4 --device cuda\n  budgetnet run step-07 --epochs 2",
    )  # fmt: skip
    _add_run_options(run)
    return run


def _add_closer_looks(commands: Subparsers) -> list[argparse.ArgumentParser]:
    evaluate = _command(
        commands, "eval", "score trained weights on the test set", "  budgetnet eval step-13\n  budgetnet eval step-13 --seed 2 --runs runs"
    )
    inspect = _command(
        commands, "inspect", "look closely at a finished run: confusion, worst errors, and what the report's pictures are drawn from",
        "  budgetnet inspect step-13\n  budgetnet inspect step-13 --seed 2 --runs runs",
    )  # fmt: skip
    for command in (evaluate, inspect):
        command.add_argument("name", metavar="EXPERIMENT")
        command.add_argument("--seed", type=int, help="which run's weights (default: the first there are)")
    return [evaluate, inspect]


def _add_report(commands: Subparsers) -> argparse.ArgumentParser:
    report = _command(
        commands, "report", "turn stored results into tables, plots and a page",
        "  budgetnet report\n  budgetnet report --results results/cpu --out report",
    )  # fmt: skip
    report.add_argument(
        "--results", action="append", type=Path, metavar="DIR", help="folders with results; the first that has an experiment speaks for it"
    )
    report.add_argument(
        "--out", type=Path, default=Path("report"), metavar="DIR", help="where index.html and the rest go (default: report)"
    )
    return report


def _add_sweep(commands: Subparsers) -> argparse.ArgumentParser:
    sweep = _command(
        commands, "sweep", "search values for an experiment's fields; list the searches there are",
        "  budgetnet sweep\n  budgetnet sweep explore --workers 2\n  budgetnet sweep explore --storage sqlite:///explore.db",
    )  # fmt: skip
    _add_sweep_options(sweep)
    sweep.add_argument("--out", type=Path, default=Path("report"), metavar="DIR", help="where sweeps.html goes (default: report)")
    return sweep


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="budgetnet",
        description="How much accuracy does a parameter budget buy?",
        epilog="Every command explains itself: budgetnet run --help",
    )
    parser.add_argument("--version", action="version", version=f"budgetnet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    inspection, run, looks = _add_inspection(commands), _add_run(commands), _add_closer_looks(commands)
    report, sweep = _add_report(commands), _add_sweep(commands)
    for command in (run, *looks, report, sweep):
        command.add_argument(
            "--runs", type=Path, default=Path("runs"), metavar="DIR", help="the folder of the run directories (default: runs)"
        )
    for command in (run, sweep):
        command.add_argument("--threads", type=_positive, metavar="N", help="CPU threads of a run that is alone (default: every core)")
        command.add_argument(
            "--engine",
            choices=ENGINES,
            default="auto",
            metavar="ENGINE",
            help=f"how to compute: {', '.join(ENGINES)} (default: auto, the fastest here; 'eager' is the plain torch reference)",
        )
        command.add_argument(
            "--precision", choices=PRECISIONS, default="auto", help="for recipes that leave it open (default: auto, the fastest here)"
        )
    for command in (run, *looks, sweep):
        command.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto", help="where to compute (default: auto)")
        command.add_argument(
            "--data", type=Path, metavar="DIR", help="the folder that holds the data set's files (default: BUDGETNET_DATA, ./data, …)"
        )
    for command in (*inspection, report):
        command.add_argument("--json", action="store_true", help="machine-readable output")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status. A user's mistake is a sentence on stderr, never a traceback."""
    arguments = build_parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no "±" shows a question mark, not a traceback
    if "" not in sys.path:
        sys.path.append("")  # so that --catalogue finds a module in the current folder, installed or not
    try:
        catalogue = load(arguments.catalogue) if arguments.catalogue else load_default()
        module, function = COMMANDS[arguments.command]
        command: Command = getattr(import_module(f"budgetnet.commands.{module}"), function)
        status = command(arguments, catalogue)
        sys.stdout.flush()
        return status
    except (DefinitionError, UnknownExperiment) as error:
        return complain(error, USAGE)
    except KeyboardInterrupt:
        print("budgetnet: interrupted; what was finished is kept, and the same command goes on from the last whole epoch", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OTHER
    except OSError as error:
        return complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", OTHER)


def complain(error: object, status: int) -> int:
    print(f"budgetnet: {error}", file=sys.stderr)
    return status
