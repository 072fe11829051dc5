"""Arguments of the commands that train: ``run`` and ``sweep``."""

from __future__ import annotations

import argparse
from pathlib import Path

from budgetnet.arguments.common import Subparsers, add_command
from budgetnet.arguments.status import ACCURACY
from budgetnet.arguments.types import ENGINES, PRECISIONS, parse_seeds, positive


def add_run(commands: Subparsers) -> argparse.ArgumentParser:
    run = add_command(
        commands, "run", "train, resume or skip runs, then print verdicts",
        "  budgetnet run step-13 --seeds 0-2\n  budgetnet run progression --seeds 0-4 --device cuda\n  budgetnet run step-07 --epochs 2",
    )  # fmt: skip
    _add_run_options(run)
    return run


def add_sweep(commands: Subparsers) -> argparse.ArgumentParser:
    sweep = add_command(
        commands, "sweep", "search values for an experiment's fields; list the searches there are",
        "  budgetnet sweep\n  budgetnet sweep explore --workers 2\n  budgetnet sweep explore --storage sqlite:///explore.db",
    )  # fmt: skip
    _add_sweep_options(sweep)
    sweep.add_argument("--out", type=Path, default=Path("report"), metavar="DIR", help="where sweeps.html goes (default: report)")
    return sweep


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="EXPERIMENT", help="experiments, or 'all', or a document's group such as 'progression'")
    parser.add_argument("--seeds", type=parse_seeds, default=(0,), metavar="SEEDS", help="such as 0, 0-4 or 0,2,5 (default: 0)")
    parser.add_argument(
        "--epochs", type=positive, metavar="N", help="stop after N epochs: a partial run, which is never judged and goes on later"
    )
    parser.add_argument("--workers", type=positive, metavar="N", help="runs side by side (default: one a core on a CPU)")
    parser.add_argument("--assert-aim", action="store_true", help=f"exit with status {ACCURACY} when an aim is missed")
    parser.add_argument(
        "--digits-fallback",
        action="store_true",
        help="train on scikit-learn's small digits where MNIST cannot be had; nothing is judged then",
    )


def _add_sweep_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="PLAN-OR-STUDY", help="what to search (default: list what there is)")
    parser.add_argument("--workers", type=positive, metavar="N", help="trials side by side (default: one a core on a CPU)")
    parser.add_argument(
        "--storage", metavar="URL", help="any Optuna storage URL, or journal:FILE (default: a SQLite file in the study's folder)"
    )
    parser.add_argument("--trials", type=positive, metavar="N", help="points that TPE studies propose (default: as declared)")
    parser.add_argument("--seeds", type=parse_seeds, metavar="SEEDS", help="seeds of every trial, such as 0-2 (default: as declared)")
    parser.add_argument("--adopt", action="store_true", help="take over running trials at once; be sure that their processes are dead")
    parser.add_argument("--keep-weights", action="store_true", help="keep weights and checkpoints of finished trials")
    parser.set_defaults(epochs=None)


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=positive, metavar="N", help="CPU threads of a run that is alone (default: every core)")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        metavar="ENGINE",
        help=f"how to compute: {', '.join(ENGINES)} (default: auto, the fastest here; 'eager' is the plain torch reference)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="recipe",
        help="what to compute in where the recipe leaves it open: recipe (the default) and fp32 are float32, bf16 is autocast, "
        "auto is the fastest of fp32 and bf16 on this CPU",
    )
    parser.add_argument(
        "--reprobe", action="store_true", help="measure the engines again, instead of taking what an earlier measurement found fastest"
    )
