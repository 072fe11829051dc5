"""The client of the contest: so many connections that stay open, each with one request on its way at any time.

Plain sockets and a selector, requests that are made beforehand, and of an answer only the status and the length looked at while the
clock runs: it costs a small part of what the quickest server does. The answers are checked afterwards, every one.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.serving_apart import Fallen
from benchmarks.serving_payloads import Payload, Wrong, checked

WARM = 0.3  # seconds before a turn's clock starts
TIMES = 2  # answers for each client in a turn, however long that takes: a server may answer all of them at once, now and then
PATIENCE = 60.0  # seconds for an answer
PIECE = 262_144  # bytes read at once

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Turn:
    """Measurements: of every request its latency in seconds and what its answer says, in milliseconds.

    ``busy`` is the client's share of its core. ``answers`` are all, also those before and after the clock ran.
    """

    latencies: Seconds
    model: Seconds
    queue: Seconds
    total: Seconds
    seconds: float
    busy: float
    answers: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds


class Connection:
    """One client; ``place`` is that of its request."""

    def __init__(self, port: int, place: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.place, self.sent, self.answers = place, 0.0, 0
        self._got, self._missing = b"", -1

    def send(self, requests: Sequence[bytes]) -> None:
        """The next of the requests."""
        self.place = (self.place + 1) % len(requests)
        self.sent = time.perf_counter()
        self.socket.sendall(requests[self.place])

    def received(self) -> bytes | None:
        """The whole answer, or None while it is not there. Raises Fallen."""
        piece = self.socket.recv(PIECE)
        if not piece:
            raise Fallen("the server has closed a connection")
        self._got = self._got + piece if self._got else piece
        if self._missing < 0:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return None
            self._missing = end + 4 + length_of(self._got[:end])
        if len(self._got) < self._missing:
            return None
        answer, self._got, self._missing = self._got, b"", -1
        self.answers += 1
        return answer


def length_of(head: bytes) -> int:
    """Return the length of a response from its headers."""
    start = head.lower().index(b"content-length:") + 15
    end = head.find(b"\r", start)
    return int(head[start : end if end >= 0 else None])


Heard = tuple[int, float, bytes]  # a request's place, its latency, its answer


def exchange(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> tuple[list[Heard], float, float, int]:
    """The answers, in how many seconds, and in how many of the processor's; and how many answers there were in all.

    The clock starts when every client has had an answer, so that the queues are as long as they will be; what is still on its way
    in the end is waited for, so that no server begins its next turn with the rest of this one.
    """
    connections = [Connection(port, number * 7 % len(requests)) for number in range(clients)]
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for one in connections:
            stack.callback(one.socket.close)
            selector.register(one.socket, selectors.EVENT_READ, one)
            one.send(requests)
        warm = time.perf_counter() + WARM
        while not all(one.answers for one in connections) or time.perf_counter() < warm:
            _pump(selector, requests, 0.0, 1)
        started, used = time.perf_counter(), time.process_time()
        heard = _pump(selector, requests, started + seconds, TIMES * clients)
        wall, used = time.perf_counter() - started, time.process_time() - used
        for one in connections:
            while one.received() is None:
                pass
        return heard, wall, used, sum(one.answers for one in connections)


def _pump(selector: selectors.BaseSelector, requests: Sequence[bytes], until: float, least: int) -> list[Heard]:
    """Take answers, and send the next request for each, until a time, but so many at least."""
    heard: list[Heard] = []
    clock = time.perf_counter
    while True:
        ready = selector.select(PATIENCE)
        if not ready:
            raise Fallen(f"no answer within {PATIENCE:.0f} s")
        for key, _ in ready:
            one: Connection = key.data
            answer = one.received()
            if answer is not None:
                heard.append((one.place, clock() - one.sent, answer))
                one.send(requests)
        if len(heard) >= least and clock() >= until:
            return heard


def turn(payloads: Mapping[str, Payload], port: int, name: str, clients: int, seconds: float) -> Turn:
    """A turn's figures. Raises Fallen, also for an answer that is not the offline predictor's."""
    payload = payloads[name]
    heard, wall, used, answers = exchange(port, payload.requests, clients, seconds)
    model, queue, total = np.array([_judged(answer, payload, place) for place, _, answer in heard]).T
    return Turn(np.array([latency for _, latency, _ in heard]), model, queue, total, wall, used / wall, answers)


def _judged(answer: bytes, payload: Payload, place: int) -> tuple[float, float, float]:
    head, _, content = answer.partition(b"\r\n\r\n")
    if head[9:12] != b"200":
        raise Fallen(f"an answer has the status {head[9:12].decode()}: {content[:200].decode(errors='replace')}")
    try:
        return checked(content, payload.expected[place])
    except Wrong as wrong:
        raise Fallen(f"a wrong answer to {payload.name} number {place}: {wrong}") from wrong
