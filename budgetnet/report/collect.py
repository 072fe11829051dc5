"""Definitions and stored results, brought together: one row per experiment, one pair per twin.

Accuracies are in percent, times in seconds. Verdicts use only finished runs of the present definition, and all of
them from one root, so that results of two machines are never mixed.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from budgetnet.catalogue import Catalogue
from budgetnet.convergence import Convergence, convergence
from budgetnet.definition import Experiment, definition_hash
from budgetnet.diagnostics.record import Diagnostics
from budgetnet.report.diagnosed import first_record
from budgetnet.results import Result, ResultError, read_result
from budgetnet.verdict import MIN_SEEDS, ROUNDING, AimVerdict, Comparison, ReproductionVerdict, aim_verdict, compare, reproduction_verdict

OWN_RUNS = "your runs"


@dataclass(frozen=True)
class Shelf:
    """The results of one experiment in one root; ``problems`` are the messages of records that cannot be read."""

    place: str
    current: tuple[Result, ...] = ()
    partial: tuple[Result, ...] = ()
    stale: tuple[Result, ...] = ()
    problems: tuple[str, ...] = ()
    diagnostics: Diagnostics | None = None


@dataclass(frozen=True)
class Row:
    """An experiment and its results.

    ``results`` are the finished runs of the present definition that verdicts use; ``partial`` and ``stale`` are shown
    and never judged. ``place`` says where they come from: 'your runs', or the hardware; None without any. ``notes``
    are sentences about what was left out or cannot be read. ``diagnostics`` is the closer look at the first of ``results`` that has one.
    """

    experiment: Experiment
    parent: Experiment | None
    place: str | None
    results: tuple[Result, ...]
    partial: tuple[Result, ...]
    stale: tuple[Result, ...]
    notes: tuple[str, ...]
    unreadable: bool = False
    diagnostics: Diagnostics | None = None

    @property
    def status(self) -> str:
        """'3 seeds', 'partial (2 of 15 epochs)', 'stale', 'unreadable' or 'missing'."""
        if self.results:
            return counted(len(self.results), "seed")
        if self.partial:
            longest = max(self.partial, key=lambda result: len(result.epochs))
            return f"partial ({len(longest.epochs)} of {longest.epochs_planned} epochs)"
        return "stale" if self.stale else "unreadable" if self.unreadable else "missing"

    @property
    def accuracies(self) -> list[float]:
        """The last epoch's validation accuracy of every seed, in percent: the only figures that are judged."""
        return [result.last.validation_accuracy for result in self.results]

    @property
    def best_accuracies(self) -> list[float]:
        """The highest validation accuracy of any epoch of every seed, in percent: what a document's best epoch is compared with."""
        return [result.best.validation_accuracy for result in self.results]

    @property
    def best_mean(self) -> float | None:
        """The mean of the seeds' best epochs, in percent; for information."""
        return mean(self.best_accuracies)

    @property
    def seconds(self) -> float | None:
        """The mean time of a run, in seconds."""
        return mean([result.seconds for result in self.results])

    @property
    def parameters(self) -> int | None:
        """Trainable parameters: as counted by a run, else as the definition demands; None where neither says."""
        for result in (*self.results, *self.partial):
            if "trainable" in result.parameters:
                return result.parameters["trainable"]
        return self.experiment.budget.exact

    @property
    def setup(self) -> str:
        """Device, threads, engine and precision of the runs, each combination once."""
        return "; ".join(dict.fromkeys(setup(result) for result in (self.results or self.partial)))

    @cached_property
    def aim(self) -> AimVerdict:
        return aim_verdict(self.accuracies, self.experiment.aim.accuracy if self.experiment.aim else None)

    @cached_property
    def reproduction(self) -> ReproductionVerdict:
        """The document's last epoch against our last epochs."""
        reported = self.experiment.reported
        return reproduction_verdict(self.accuracies, reported.validation_accuracy if reported else None)

    @cached_property
    def best_reproduction(self) -> ReproductionVerdict:
        """The document's best epoch against our best epochs."""
        reported = self.experiment.reported
        return reproduction_verdict(self.best_accuracies, reported.best_validation_accuracy if reported else None)

    @cached_property
    def convergences(self) -> list[Convergence]:
        """Stability and speed of convergence of every run that counts."""
        aim = self.experiment.aim.accuracy if self.experiment.aim else None
        return [convergence([record.validation_accuracy for record in result.epochs], aim) for result in self.results]

    @property
    def announcing(self) -> int | None:
        """In how many runs the best epoch reaches the aim; None without an aim or runs."""
        aim = self.experiment.aim
        return sum(value >= aim.accuracy - ROUNDING for value in self.best_accuracies) if aim and self.results else None


@dataclass(frozen=True)
class Pair:
    """A step and its twin: ``comparison.difference`` is the twin's mean minus the step's, in percentage points."""

    step: Row
    twin: Row

    @property
    def one_place(self) -> bool:
        """Tell whether both have results, and from the same root."""
        return self.step.place is not None and self.step.place == self.twin.place

    @cached_property
    def comparison(self) -> Comparison:
        return compare(self.step.accuracies, self.twin.accuracies)

    @property
    def text(self) -> str:
        """Which of the two is better, or why that is not said."""
        if not self.step.results or not self.twin.results:
            return "missing"
        if not self.one_place:
            return "not compared: two machines"
        names = {"first": self.step.experiment.name, "second": self.twin.experiment.name}
        word = self.comparison.word
        return f"{names[word]} is better" if word in names else word


def collect(catalogue: Catalogue, roots: Sequence[Path]) -> list[Row]:
    """A row for every experiment of the catalogue, in its order.

    For each experiment your own finished runs of the present definition are used, else those of the first root that has enough of them
    for a verdict, else of the first that has any; without one, the first with a partial run, then the first with a stale
    one. A record that cannot be read becomes a note of its row.
    """
    rows = []
    for experiment in catalogue:
        shelves = [read_shelf(root, experiment) for root in roots]
        parent = catalogue[experiment.parent] if experiment.parent else None
        rows.append(make_row(experiment, parent, shelves))
    return rows


def twins(rows: Sequence[Row]) -> list[Pair]:
    """The pairs of steps and twins, in the order of the twins."""
    by_name = {row.experiment.name: row for row in rows}
    return [Pair(by_name[row.experiment.twin_of], row) for row in rows if row.experiment.twin_of in by_name]


def place_name(root: Path) -> str:
    """Return the name of a root in reports: ``runs`` is 'your runs', ``results/<hardware>`` the hardware."""
    name = root.name or root.resolve().name
    return OWN_RUNS if name == "runs" else name


def read_shelf(root: Path, experiment: Experiment) -> Shelf:
    """All records of one experiment under one root, sorted out; never raises for a bad record."""
    wanted = definition_hash(experiment)
    current: list[Result] = []
    partial: list[Result] = []
    stale: list[Result] = []
    problems: list[str] = []
    for directory in sorted((root / experiment.runs_name).glob("seed-*"), key=lambda path: (len(path.name), path.name)):
        if re.fullmatch(r"seed-\d+", directory.name) is None:
            continue
        try:
            result = read_result(directory)
            if result is not None:
                check(result, directory, experiment)
        except (ResultError, OSError, UnicodeDecodeError) as error:
            problems.append(str(error))
            continue
        if result is not None:
            same = result.definition_hash == wanted and not another_network(result, experiment)
            (stale if not same else current if result.finished else partial).append(result)
    diagnostics, more = first_record(root, current)
    return Shelf(place_name(root), tuple(current), tuple(partial), tuple(stale), (*problems, *more), diagnostics)


def another_network(result: Result, experiment: Experiment) -> bool:
    """Tell whether the run trained a network that the experiment's description no longer builds.

    Only asked of descriptions that are not budgetnet's own: it takes torch. One that cannot be built now is another one.
    """
    if not result.network or type(experiment.model).__module__.startswith("budgetnet."):
        return False
    from budgetnet.fingerprint import differences, network_fingerprint

    try:
        return bool(differences(result.network, network_fingerprint(experiment)))
    except Exception:  # a user's build() may raise anything; `budgetnet check` shows it
        return True


def check(result: Result, directory: Path, experiment: Experiment) -> None:
    """ResultError where a record stands in a directory that is not its own, or holds figures that cannot be.

    A run directory that was copied under another seed would otherwise count as a further, independent seed.
    """
    where = f"{directory.parent.name}/{directory.name}"
    if result.experiment != experiment.runs_name or f"seed-{result.seed}" != directory.name:
        raise ResultError(f"{where} holds the result of {result.experiment}/seed-{result.seed}; move it back and report again")
    for record in result.epochs:
        for value in (record.validation_accuracy, record.train_accuracy, record.validation_loss, record.train_loss, record.seconds):
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise ResultError(f"{where} holds {value!r} in epoch {record.epoch}; expected a finite number")


def make_row(experiment: Experiment, parent: Experiment | None, shelves: Sequence[Shelf]) -> Row:
    """Choose the shelf that stands for the experiment and say what the others hold."""
    finished = [shelf for shelf in shelves if shelf.current]
    wanted = (lambda s: s.place == OWN_RUNS, lambda s: len(s.current) >= MIN_SEEDS, lambda s: True)
    chosen = next((shelf for fits in wanted for shelf in finished if fits(shelf)), None)
    chosen = chosen or next((s for s in shelves if s.partial), None) or next((s for s in shelves if s.stale), None)
    notes = [f"unreadable ({shelf.place}): {problem}" for shelf in shelves for problem in shelf.problems]
    for shelf in shelves:
        notes += left_out(shelf, shelf is chosen, chosen is not None and bool(chosen.current))
    if chosen:
        notes += mixed(chosen.current, chosen.place)
    unreadable = any(shelf.problems for shelf in shelves)
    if chosen is None:
        return Row(experiment, parent, None, (), (), (), tuple(notes), unreadable)
    runs = (chosen.current, chosen.partial, chosen.stale)
    return Row(experiment, parent, chosen.place, *runs, tuple(notes), unreadable, chosen.diagnostics)


def left_out(shelf: Shelf, chosen: bool, judged: bool) -> list[str]:
    """Sentences about the runs of a shelf that do not count: all of another shelf, partial and stale ones of any."""
    notes = []
    if shelf.current and not chosen:
        notes.append(f"{counted(len(shelf.current), 'more seed')} on {shelf.place}, not counted here")
    if shelf.partial and (judged or not chosen):
        notes.append(f"{counted(len(shelf.partial), 'unfinished run')} ({shelf.place}), not counted")
    if shelf.stale:
        notes.append(f"{counted(len(shelf.stale), 'stale run')} ({shelf.place}): the definition has changed since; run again")
    return notes


def mixed(results: Sequence[Result], place: str) -> list[str]:
    """A sentence where the runs of one row differ in device, engine or precision, with the values of each that differs."""
    differing = []
    for name in ("device", "engine", "precision"):
        values = dict.fromkeys(getattr(result, name) for result in results)
        if len(values) > 1:
            differing.append(f"{name} ({', '.join(values)})")
    return [f"the runs of {place} differ in {', '.join(differing)}"] if differing else []


def setup(result: Result) -> str:
    """'cpu, 2 threads, kernels, fp32' or 'cuda, eager, bf16'."""
    threads = f", {counted(result.threads, 'thread')}" if result.device == "cpu" else ""
    return f"{result.device}{threads}, {result.engine}, {result.precision}"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
