"""Taking turns: every entrant trains in processes of its own while all others wait, round after round.

Keras fixes its backend per process, and peak memory is a process's: hence the processes. Each entrant is warmed up before
the first round (imports, compilation, first batches), and trained until the length of its turn is known.
"""

from __future__ import annotations

import contextlib
import importlib.util
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.contestant import Lap, Stretch, serve

EXTRA = "pip install --editable '.[bench]'"
FIRST, SECOND = 10, 1.0  # the warm-up: batches of its first lap, seconds of its second
GRACE = 10.0  # seconds that a process has to end by itself
MOST_IMAGES = 60_000  # of a turn: MNIST's training images


class Fallen(Exception):
    """An entrant cannot take part, or no longer; the message is a sentence for its user."""


@dataclass(frozen=True)
class Entrant:
    """``factory``, as 'module:callable', makes a Contestant of ``arguments``, in each of ``processes`` processes.

    ``needs`` names the modules that must be importable, ``environment`` is set before anything of ``factory`` is imported.
    ``batch_size`` divides the images of a turn; ``parameters``, where given, is what the network must have.
    """

    name: str
    factory: str
    arguments: Mapping[str, Any]
    batch_size: int = 64
    peer: bool = False
    parameters: int | None = None
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: int = 1


@dataclass
class Record:
    """Results of an entrant: images per second of every round, peak memory in MiB.

    ``asked`` is the number of images that each of its processes is told to train on in a turn, ``images`` what that makes in all.
    """

    entrant: Entrant
    description: str
    parameters: int
    asked: int = 0
    images: int = 0
    peak_mib: float = 0.0
    device_mib: float | None = None
    speeds: list[float] = field(default_factory=list)


class Crew:
    """The processes of one entrant; as a context manager it ends them."""

    def __init__(self, entrant: Entrant, patience: float) -> None:
        missing = [name for name in entrant.needs if importlib.util.find_spec(name) is None]
        if missing:
            raise Fallen(f"not installed: {', '.join(missing)}; {EXTRA}")
        self.entrant, self.patience = entrant, patience
        context = multiprocessing.get_context("spawn")
        self.members: list[tuple[Any, Any]] = []
        for _ in range(entrant.processes):
            ours, its = context.Pipe()
            # no daemon: those may have no children, and loaders have workers
            process = context.Process(target=serve, args=(its, entrant.factory, dict(entrant.arguments), dict(entrant.environment)))
            process.start()
            its.close()
            self.members.append((ours, process))

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End the processes, one that is stuck by force."""
        for connection, _process in self.members:
            connection.close()  # which ends the process
        for _connection, process in self.members:
            process.join(GRACE)
            if process.is_alive():
                process.kill()
                process.join()
        self.members = []

    def hear(self) -> list[Any]:
        """One answer of every process. Raises Fallen for one that failed, died or stays silent, and ends them all."""
        try:
            return [self._answer(connection, process) for connection, process in self.members]
        except Fallen:
            self.end()  # what is stuck would slow the others down
            raise

    def _answer(self, connection: Any, process: Any) -> Any:
        if not connection.poll(self.patience):
            raise Fallen(f"no answer within {self.patience:.0f} s")
        try:
            kind, content = connection.recv()
        except (EOFError, OSError):
            process.join(GRACE)
            raise Fallen(f"its process ended without a word (exit code {process.exitcode})") from None
        if kind == "failed":
            raise Fallen(content)
        return content

    def lap(self, images: int, watch: bool = False) -> Lap:
        """Train on ``images`` images in every process at once: from the first one's begin to the last one's end.

        ``watch`` also looks at the memory of loader workers, which costs time.
        """
        for connection, _process in self.members:
            with contextlib.suppress(OSError):  # one that died is found by hear
                connection.send((images, watch))
        laps: list[Lap] = self.hear()
        on_device = [lap.device_mib for lap in laps if lap.device_mib is not None]
        began, ended = min(lap.trained.began for lap in laps), max(lap.trained.ended for lap in laps)
        trained = Stretch(sum(lap.trained.images for lap in laps), began, ended)
        return Lap(trained, sum(lap.peak_mib for lap in laps), sum(on_device) if on_device else None)


def warm_up(crew: Crew, seconds: float) -> Record:
    """Meet an entrant and find the images of a turn of about ``seconds``, at most an epoch; all of it off the clock."""
    entrant = crew.entrant
    members = crew.hear()
    description, parameters = members[0]
    if entrant.parameters not in (None, parameters):
        raise Fallen(f"its network has {parameters:,} parameters, not {entrant.parameters:,}")
    asked = FIRST * entrant.batch_size
    crew.lap(asked)
    for wanted in (min(SECOND, seconds), seconds):
        trained = crew.lap(asked).trained
        asked = _whole_batches(trained.speed * wanted * asked / trained.images, entrant.batch_size)
    lap = crew.lap(asked, watch=True)
    return Record(entrant, description, parameters, asked, lap.trained.images, lap.peak_mib, lap.device_mib)


def _whole_batches(images: float, batch_size: int) -> int:
    return max(1, int(min(images, MOST_IMAGES)) // batch_size) * batch_size


def hold(
    entrants: Sequence[Entrant], rounds: int, seconds: float, say: Callable[[str], None] = print, patience: float = 900.0
) -> tuple[list[Record], dict[str, str]]:
    """Warm all up, then give each its turn in every round; the records, and why whoever is not among them is left out.

    ``seconds`` is the length of a turn, ``patience`` how many an entrant may keep the others waiting.
    """
    left_out: dict[str, str] = {}
    running: list[tuple[Crew, Record]] = []

    def leave_out(entrant: Entrant, reason: Fallen) -> None:
        left_out[entrant.name] = str(reason)
        say(f"left out: {entrant.name}: {reason}")

    with contextlib.ExitStack() as stack:
        for entrant in entrants:
            try:
                crew = stack.enter_context(Crew(entrant, patience))
                record = warm_up(crew, seconds)
            except Fallen as reason:
                leave_out(entrant, reason)
                continue
            running.append((crew, record))
            say(f"warm: {entrant.name} ({record.description}); {record.images:,} images a turn")
        for number in range(1, rounds + 1):
            for crew, record in [*running]:
                try:
                    lap = crew.lap(record.asked)
                except Fallen as reason:
                    leave_out(record.entrant, reason)
                    running.remove((crew, record))
                    continue
                record.speeds.append(lap.trained.speed)
                record.peak_mib = max(record.peak_mib, lap.peak_mib)
            say(f"round {number}/{rounds}: " + "  ".join(f"{record.entrant.name} {record.speeds[-1]:,.0f}" for _, record in running))
    return [record for _, record in running], left_out
