"""Training in turns: every entrant trains step 13 in processes of its own while all others wait."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import load_data
from benchmarks.turns import Unavailable, Worker, alternate, ratio, say, spread
from budgetnet.catalogue import load_default
from budgetnet.definition import SGD, Budget, Experiment
from budgetnet.report.text import aligned

EXPERIMENT = "step-13"
EPOCH = 60_000  # images; no turn is longer
WARM_BATCHES = 10


@dataclass(frozen=True)
class Stretch:
    """Training on ``images`` images from ``began`` to ``ended``, in seconds of ``time.perf_counter``."""

    images: int
    began: float
    ended: float

    @property
    def speed(self) -> float:
        """Images per second."""
        return self.images / (self.ended - self.began)


class Trainer:
    """Base of what an entrant's factory makes, in a process of its own. The constructor sets both attributes."""

    description: str  # how it trains, in a few words
    parameters: int  # trainable ones

    def describe(self) -> tuple[str, int]:
        return self.description, self.parameters

    def train(self, images: int) -> Stretch:
        """Train once over the first ``images`` images of the training set."""
        raise NotImplementedError


@dataclass(frozen=True)
class Entrant:
    """A way to train: ``factory`` is a Trainer's 'module:class', made in each of ``processes`` processes."""

    name: str
    factory: str
    experiment: Experiment
    arguments: Mapping[str, Any]
    peer: bool = False
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: int = 1


class Crew:
    """The processes of an entrant."""

    def __init__(self, entrant: Entrant, seconds: float, stack: contextlib.ExitStack) -> None:
        self.entrant, self._seconds = entrant, seconds
        arguments = {"experiment": entrant.experiment, **entrant.arguments}
        made = (
            Worker(entrant.factory, arguments, entrant.environment, entrant.needs) for _ in range(entrant.processes)
        )
        self._workers = [stack.enter_context(worker) for worker in made]
        self._asked = 0  # images of a turn, in each process
        self.description, self.parameters, self.peak_mib = "", 0, 0.0

    def turn(self) -> float:
        """Train for about the length of a turn; return images per second of all processes. Raises Unavailable."""
        if not self._asked:
            self._warm_up()
        speed = self._train(self._asked).speed
        self.peak_mib = sum(worker.peak_mib() for worker in self._workers)
        return speed

    def _warm_up(self) -> None:
        """Start the processes, and find how many images take the length of a turn."""
        for worker in self._workers:
            self.description, self.parameters = worker.call("describe")
        expected = self.entrant.experiment.budget.exact
        if expected not in (None, self.parameters):
            raise Unavailable(f"its network has {self.parameters:,} parameters, not {expected:,}")
        batch_size = self.entrant.experiment.recipe.batch_size
        asked = WARM_BATCHES * batch_size
        self._train(asked)
        for wanted in (min(1.0, self._seconds), self._seconds):
            trained = self._train(asked)
            images = min(EPOCH, asked * wanted / (trained.ended - trained.began))
            asked = max(1, int(images) // batch_size) * batch_size
        self._asked = asked

    def _train(self, images: int) -> Stretch:
        """Train in every process at once: from the begin of the first to the end of the last."""
        for worker in self._workers:
            worker.begin("train", images)
        found: list[Stretch] = [worker.result() for worker in self._workers]
        began, ended = min(one.began for one in found), max(one.ended for one in found)
        return Stretch(sum(one.images for one in found), began, ended)


def hold(
    entrants: Sequence[Entrant], rounds: int, seconds: float, report: Callable[[str], None] = say
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the figures of all entrants, fastest first, and why others are missing; JSON-ready.

    Ratios are to the fastest peer, the one with the highest median; above 1 is faster.
    """
    with contextlib.ExitStack() as stack:
        crews = {entrant.name: Crew(entrant, seconds, stack) for entrant in entrants}
        speeds, left_out = alternate({name: crew.turn for name, crew in crews.items()}, rounds, report)
    names = sorted(speeds, key=lambda name: statistics.median(speeds[name]), reverse=True)
    fastest = next((name for name in names if crews[name].entrant.peer), None)
    found = {}
    for name in names:
        crew, own = crews[name], spread(speeds[name])
        found[name] = {
            "description": crew.description,
            "processes": crew.entrant.processes,
            "parameters": crew.parameters,
            "batch_size": crew.entrant.experiment.recipe.batch_size,
            "images_per_second": speeds[name],
            **own._asdict(),
            "seconds_per_epoch": EPOCH / own.median,
            "peak_mib": crew.peak_mib,
            "ratio": ratio(speeds[name], speeds[fastest])._asdict() if fastest else None,
        }
    return found, left_out


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    rows: list[tuple[Any, ...]] = [("", "images/s", "min", "max", "s/epoch", "ratio", "min", "max", "MiB", "")]
    for name, own in found.items():
        speeds = (f"{own[key]:,.0f}" for key in ("median", "low", "high"))
        ratios = (f"{value:.2f}" for value in own["ratio"].values()) if own["ratio"] else ("–",) * 3
        cells = (*speeds, f"{own['seconds_per_epoch']:.1f}", *ratios, f"{own['peak_mib']:,.0f}", own["description"])
        rows.append((name, *cells))
    return aligned(rows, right=set(range(1, 9)))


def experiment(batch_size: int | None = None, widths: int = 1) -> Experiment:
    """Return step 13, with another batch size or all layers ``widths`` times as wide on request."""
    found = load_default()[EXPERIMENT]
    if widths != 1:
        wider = replace(found.model, widths=tuple(widths * width for width in found.model.widths))
        found = replace(found, model=wider, budget=Budget())
    return replace(found, recipe=replace(found.recipe, batch_size=batch_size or found.recipe.batch_size))


def training_images(experiment: Experiment) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return all training images, (N, C, H, W), and their labels, (N,)."""
    images, labels, *_ = load_data(experiment)
    return images.copy(), labels.astype(np.int64)


def sgd(experiment: Experiment) -> SGD:
    """Return the optimizer; the peers implement SGD with momentum only."""
    optimizer = experiment.recipe.optimizer
    if not isinstance(optimizer, SGD):
        raise TypeError(f"the peers train with SGD, not with {optimizer!r}")
    return optimizer
