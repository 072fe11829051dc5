"""Requests that come at random times, at a rate, whether the server keeps up or not; and what became of each.

A request takes a connection that rests, or a new one. So as the server falls behind, connections become more, as with real clients.
With ``ends`` the server is told to end (SIGTERM) while the requests go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving_client import length_of
from benchmarks.serving_judge import Outcome, judged
from benchmarks.serving_traffic import Ask, Traffic

PATIENCE = 20.0  # seconds for an answer, after the last request
RESTING = 3.0  # seconds after which a connection is not used again: the server is about to close it
AFTER = 2.5  # seconds for which requests go on after the signal
PIECES = 5  # in which slow clients send


@dataclass(frozen=True)
class Plan:
    """``rate`` requests a second for ``seconds``; then the process ``ends`` gets SIGTERM, if there is one."""

    port: int
    rate: float
    seconds: float
    seed: int = 0
    ends: int | None = None


@dataclass(frozen=True)
class Fate:
    """Fate of a request: when it was due, wholly sent (None: never) and ended, in seconds of one clock."""

    kind: str
    due: float
    sent: float | None
    ended: float
    outcome: Outcome
    told: str = ""  # what was wrong with the answer


@dataclass(frozen=True)
class Course:
    """All fates; when the server was told to end, and when it did not listen any more; how late the client itself was, at most."""

    fates: list[Fate]
    told_at: float | None
    closed_at: float | None
    client_late: float
    connections: int


class Call:
    """A request on its way."""

    __slots__ = ("ask", "due", "sent")

    def __init__(self, ask: Ask, due: float) -> None:
        self.ask, self.due = ask, due
        self.sent: float | None = None


class Connection(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self._load = load
        self._call: Call | None = None
        self._buffer = b""
        self._written = False
        self.rests_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "of a stream"
        self.transport = transport
        transport.set_write_buffer_limits(high=0)

    def start(self, call: Call) -> None:
        self._call, self._buffer, self._written = call, b"", False
        if call.ask.seconds:
            size = -(-len(call.ask.content) // PIECES)
            pieces = [call.ask.content[start : start + size] for start in range(0, len(call.ask.content), size)]
            self._send_slowly(call, pieces)
        else:
            self._send(call.ask.content, last=True)
            if call.ask.gone:
                asyncio.get_running_loop().call_later(self._load.chance.uniform(0, 0.01), self._leave)

    def resume_writing(self) -> None:
        if self._written and self._call is not None:
            self._call.sent = time.perf_counter()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._call is None:
            return
        head, content = self._buffer[:end].lower(), self._buffer[end + 4 :]
        if len(content) < length_of(head):
            return
        call, self._call = self._call, None
        outcome, told = judged(call.ask, head, content)
        self._load.finish(call, outcome, told)
        if b"connection: close" in head or head[9:12] in (b"408", b"413") or self.transport.is_closing():
            self.transport.close()
        else:
            self.rests_since = time.perf_counter()
            self._load.resting.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(self)
        self._fail(Outcome.CLOSED)

    def _send_slowly(self, call: Call, pieces: list[bytes]) -> None:
        if self._call is not call or self.transport.is_closing():
            return
        self._send(pieces[0], last=len(pieces) == 1)
        if pieces[1:]:
            asyncio.get_running_loop().call_later(call.ask.seconds / (PIECES - 1), self._send_slowly, call, pieces[1:])

    def _send(self, piece: bytes, last: bool) -> None:
        self.transport.write(piece)
        if last:
            self._written = True
            if self.transport.get_write_buffer_size() == 0 and self._call is not None:
                self._call.sent = time.perf_counter()

    def _leave(self) -> None:
        self._fail(Outcome.GONE)
        self.transport.abort()

    def _fail(self, outcome: Outcome) -> None:
        if self._call is not None:
            call, self._call = self._call, None
            self._load.finish(call, outcome)


class Load:
    def __init__(self, traffic: Traffic, plan: Plan) -> None:
        self._plan = plan
        self.chance = random.Random(plan.seed)
        self._asks = traffic.asks(plan.seed)
        self._pending: set[Call] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._open: set[Connection] = set()
        self._fates: list[Fate] = []
        self._late, self._most = 0.0, 0
        self.resting: list[Connection] = []

    async def run(self) -> Course:
        started = time.perf_counter()
        ends = started + self._plan.seconds
        told_at = closed_at = None
        arrivals = self._arrivals(started)
        await self._arrive(arrivals, ends)
        if self._plan.ends is not None:
            told_at = time.perf_counter()
            os.kill(self._plan.ends, signal.SIGTERM)
            watching = asyncio.create_task(_closed(self._plan.port))
            await self._arrive(arrivals, told_at + AFTER)
            closed_at = await watching
        until = time.perf_counter() + PATIENCE
        while self._pending and time.perf_counter() < until:
            await asyncio.sleep(0.01)
        for call in list(self._pending):
            self.finish(call, Outcome.UNANSWERED)
        for connection in list(self._open):
            connection.transport.abort()
        await asyncio.sleep(0.01)
        return Course(self._fates, told_at, closed_at, self._late, self._most)

    def finish(self, call: Call, outcome: Outcome, told: str = "") -> None:
        if call in self._pending:
            self._pending.remove(call)
            self._fates.append(Fate(call.ask.kind, call.due, call.sent, time.perf_counter(), outcome, told))

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        with contextlib.suppress(ValueError):
            self.resting.remove(connection)

    def _arrivals(self, started: float) -> Iterator[float]:
        while True:
            started += self.chance.expovariate(self._plan.rate)
            yield started

    async def _arrive(self, arrivals: Iterator[float], until: float) -> None:
        for due in arrivals:
            if due >= until:
                return
            while (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            self._late = max(self._late, -early)
            self._fire(Call(next(self._asks), due))

    def _fire(self, call: Call) -> None:
        self._pending.add(call)
        while self.resting:
            connection = self.resting.pop()
            if connection.transport.is_closing():
                continue
            if call.due - connection.rests_since < RESTING:
                connection.start(call)
                return
            connection.transport.close()
        task = asyncio.create_task(self._connect(call))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, call: Call) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(self), "127.0.0.1", self._plan.port)
        except OSError:
            self.finish(call, Outcome.UNCONNECTED)
            return
        self._open.add(connection)
        self._most = max(self._most, len(self._open))
        if call in self._pending:
            connection.start(call)
        else:
            connection.transport.abort()


def load(traffic: Traffic, plan: Plan) -> Course:
    """The course of a load, which lasts as long as the plan says and until everything is answered."""
    return asyncio.run(Load(traffic, plan).run())


async def _closed(port: int) -> float:
    """When nothing listens at the port any more."""
    while _listening(port):
        await asyncio.sleep(0.001)
    return time.perf_counter()


def _listening(port: int) -> bool:
    """By the kernel's table, whose first lines are of the sockets that listen."""
    with open(Path("/proc/net/tcp"), "rb", buffering=0) as table:
        lines = table.read(8192).decode("ascii", errors="replace").splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines if line.count(":") > 2)
