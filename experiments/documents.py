"""Shared parts of the definitions of documents: curves from ``reported_curves.json``, and aims that are a document's own figure."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from budgetnet.definition import Aim, Curve


def curve(run: str) -> Curve:
    """The figures of one reported run, epoch by epoch. KeyError for a run that no document prints."""
    return Curve(run, **{name: tuple(values) for name, values in _runs()[run].items() if name != "source"})


def own_figure(accuracy: float) -> Aim:
    """The aim of a port: the validation accuracy, in percent, that its document states as a result."""
    return Aim(accuracy, "the document's own figure")


@cache
def _runs() -> dict[str, Any]:
    content = json.loads(Path(__file__).with_name("reported_curves.json").read_text(encoding="utf-8"))
    return content["runs"]
