"""Compare ways to run a training step on this machine, and say whether the comparison can be trusted.

The candidates take turns, so that a load that comes or goes meets all of them. A busy machine only adds time, so the smallest cost
of a candidate counts. The comparison is trusted when enough turns were quiet and agree; else it goes on, up to a bound.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)

# The most that a quiet turn's wall time may be, as a multiple of its busy time. On a quiet machine it is 1.00 to 1.05 times as long,
# beside a competing process of the same priority twice as long.
QUIET = 1.2
# The leader is known when its third-best quiet turn costs at most this much more than any rival's best turn. A tie within a tenth
# is trusted as well: either choice is right.
AGREEMENT = 1.1
AGREEING_TURNS = 3
# A candidate that needs twice the leader's time on a quiet machine cannot win any more, and costs the probe most of its seconds.
OUT_OF_THE_RACE = 2.0
# A comparison that is not trusted decides by the order of the candidates below this factor, so that repeated runs choose alike.
UNTRUSTED_TIE = 1.25
# Bounds of a comparison on a busy machine; on a quiet one three rounds are enough.
MOST_ROUNDS, LONGEST = 30, 2.0


@dataclass(frozen=True)
class Reading:
    """Clocks in seconds: of the wall, of the processor for all threads of this process, and for the calling thread."""

    wall: float
    processor: float
    thread: float


def read_clocks() -> Reading:
    return Reading(time.perf_counter(), time.process_time(), time.thread_time())


@dataclass(frozen=True)
class Turn:
    """A measured step: its cost in seconds, and whether no other process took the processor away while it ran."""

    cost: float
    quiet: bool


@dataclass(frozen=True)
class Comparison(Generic[Name]):
    """The fastest candidate, the smallest cost of each in seconds, and whether the outcome can be trusted on another day."""

    fastest: Name
    seconds: dict[Name, float]
    trusted: bool


def compare(
    candidates: Mapping[Name, Callable[[], object]], threads: int, clock: Callable[[], Reading] | None = None
) -> Comparison[Name]:
    """Let the ``candidates`` take turns of one step until the fastest is known, or the bounds are reached.

    The cost of a step is its processor time for one thread, which no other process changes much. For several ``threads`` it is
    the wall time: threads that wait for each other spin, and their processor time says little. Each candidate has run before.
    """
    clock = clock or read_clocks
    turns: dict[Name, list[Turn]] = {name: [] for name in candidates}
    racing = [*candidates]
    started, trusted = clock().wall, False
    for done in range(1, MOST_ROUNDS + 1):
        for name in racing:
            turns[name].append(_turn(candidates[name], threads, clock))
        racing = _still_racing(racing, turns)
        trusted = _decided([turns[name] for name in racing])
        # A slow network on a quiet machine gets its three turns; on a busy one more seconds would not make them trusted.
        enough = done >= AGREEING_TURNS or not all(turn.quiet for taken in turns.values() for turn in taken)
        if trusted or (enough and clock().wall - started > LONGEST):
            break
    seconds = {name: min(turn.cost for turn in taken) for name, taken in turns.items()}
    least = min(seconds[name] for name in racing)
    bound = least if trusted else UNTRUSTED_TIE * least
    return Comparison(next(name for name in racing if seconds[name] <= bound), seconds, trusted)


def _turn(step: Callable[[], object], threads: int, clock: Callable[[], Reading]) -> Turn:
    before = clock()
    step()
    after = clock()
    wall, processor = after.wall - before.wall, after.processor - before.processor
    # The thread that calls is never idle on a quiet machine: it computes, or spins until the others are done.
    busy = max(processor / threads, after.thread - before.thread)
    # A clock that is too coarse for a step reads zero: wall time is then the cost, and no turn is quiet.
    return Turn(processor if threads == 1 and processor > 0 else wall, wall <= QUIET * busy)


def _least(turns: Sequence[Turn]) -> float:
    return min((turn.cost for turn in turns), default=math.inf)


def _quiet(turns: Sequence[Turn]) -> list[Turn]:
    return sorted((turn for turn in turns if turn.quiet), key=lambda turn: turn.cost)


def _still_racing(racing: Sequence[Name], turns: Mapping[Name, Sequence[Turn]]) -> list[Name]:
    """The candidates that may be the fastest; slow turns on a busy machine put none out."""
    bound = OUT_OF_THE_RACE * min(_least(turns[name]) for name in racing)
    enough = all(len(turns[name]) >= AGREEING_TURNS for name in racing)
    return [name for name in racing if not enough or not _quiet(turns[name]) or _least(_quiet(turns[name])) <= bound]


def _decided(racing: Sequence[Sequence[Turn]]) -> bool:
    """Return whether the leader is known: every candidate has enough quiet turns, and the leader's agree with its lead."""
    if any(len(_quiet(turns)) < AGREEING_TURNS for turns in racing):
        return False
    leader = min(racing, key=_least)
    settled = _quiet(leader)[AGREEING_TURNS - 1].cost
    return all(settled <= AGREEMENT * _least(turns) for turns in racing if turns is not leader)
