"""Lazy dispatch: nothing heavy is imported before a command needs it.

Exit status: 0 fine, 2 usage, 3 budget, 4 accuracy (with --assert-aim), 5 data, 1 anything else, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from budgetnet.arguments import build_parser
from budgetnet.arguments.status import ACCURACY, BUDGET, DATA, INTERRUPTED, OK, OTHER, USAGE
from budgetnet.catalogue import Catalogue, UnknownExperiment, load, load_default
from budgetnet.definition import DefinitionError
from budgetnet.terminal import spell_out

__all__ = ["ACCURACY", "BUDGET", "DATA", "INTERRUPTED", "OK", "OTHER", "USAGE", "complain", "main"]

Command = Callable[[argparse.Namespace, Catalogue], int]

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
    "compile": ("compiling", "compile_runs"),
    "predict": ("prediction", "predict"),
    "serve": ("serving", "serve"),
}
RESUMED = ("run", "sweep")  # commands that keep what they have finished


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status. A user's mistake is a sentence on stderr, never a traceback."""
    spell_out()  # before --help is printed
    arguments = build_parser().parse_args(argv)
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
        resumes = "; the same command resumes from the last whole epoch" if arguments.command in RESUMED else ""
        return complain(f"interrupted{resumes}", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OTHER
    except OSError as error:
        return complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", OTHER)


def complain(error: object, status: int) -> int:
    print(f"budgetnet: {error}", file=sys.stderr)
    return status
