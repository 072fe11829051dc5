"""The small JSON record of a run.

A root (``runs/``, or ``results/<hardware>/``) holds ``<experiment>/seed-<n>/result.json`` for a finished run and
``partial.json`` for one that was told to stop early. Accuracies are in percent, losses in nats, times in seconds.
Nothing here imports torch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from budgetnet.metrics import EpochRecord

__all__ = ["FINISHED", "FORMAT", "PARTIAL", "EpochRecord", "Result", "ResultError", "read_result"]

FORMAT = 1
FINISHED, PARTIAL = "result.json", "partial.json"


class ResultError(Exception):
    """A record that cannot be read; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class Result:
    """The result of an experiment trained with one seed.

    ``validation`` says which images validated: ``test`` or ``holdout``; ``test_accuracy`` and ``test_loss`` are given
    only under a hold-out protocol, where the test set is scored once. ``device`` is 'cpu' or 'cuda', ``engine`` the
    path that trained ('kernels', 'eager', …), ``threads`` the CPU threads of this run. ``network`` is the fingerprint of the
    built network (``budgetnet.fingerprint``), empty in records from before there was one. ``class_names`` is empty where the
    classes are numbers.
    """

    experiment: str
    definition_hash: str
    seed: int
    definition: dict[str, Any]
    parameters: dict[str, int]
    epochs_planned: int
    epochs: tuple[EpochRecord, ...]
    validation: str
    device: str
    engine: str
    precision: str
    threads: int
    environment: dict[str, Any] = field(default_factory=dict)
    test_accuracy: float | None = None
    test_loss: float | None = None
    network: dict[str, str] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    format: int = FORMAT

    @property
    def finished(self) -> bool:
        return len(self.epochs) >= self.epochs_planned

    @property
    def last(self) -> EpochRecord:
        """The last epoch: the figure of a run, the only one that verdicts use."""
        return self.epochs[-1]

    @property
    def best(self) -> EpochRecord:
        """The epoch of the highest validation accuracy; shown beside the last, never used for a verdict."""
        return max(self.epochs, key=lambda record: record.validation_accuracy)

    @property
    def seconds(self) -> float:
        return sum(record.seconds for record in self.epochs)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "result") -> Result:
        """The record in ``text``; ResultError names ``source`` where it is not one."""
        try:
            data = json.loads(text)
            if data.get("format") != FORMAT:
                raise ResultError(f"{source} has format {data.get('format')!r}; this version of budgetnet reads {FORMAT}")
            data["epochs"] = tuple(EpochRecord(**record) for record in data["epochs"])
            if not data["epochs"]:
                raise ResultError(f"{source} holds no epoch")
            data.setdefault("network", {})
            data["class_names"] = tuple(data.get("class_names", ()))
            return cls(**{f.name: data[f.name] for f in fields(cls)})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ResultError(f"{source} is not a readable result ({type(error).__name__}: {error}); move it away and run again") from error


def read_result(directory: Path) -> Result | None:
    """The record of one run directory: the finished one, else the partial one, else None. Raises ResultError for a damaged one."""
    for name in (FINISHED, PARTIAL):
        path = directory / name
        if path.exists():
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ResultError(f"{path} cannot be read ({error}); move it away and run again") from error
            return Result.from_json(text, str(path))
    return None
