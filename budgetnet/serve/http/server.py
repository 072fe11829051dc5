"""uvicorn's server with an end that loses nothing.

At the first signal ``/readyz`` says no and every answer closes its connection, while requests are still taken: whoever distributes them
looks elsewhere meanwhile. Then it stops listening, finishes what it has, and ends. A second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType

import uvicorn

from budgetnet.serve.app import Application
from budgetnet.serve.http.closing import SETTLED, TURNS, queued, turn_away
from budgetnet.serve.http.protocol import Limits, guarded
from budgetnet.serve.settings import Settings

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHORT = 0.005  # seconds between looks at who still waits to be accepted
SWEEPS = 0.5  # seconds between looks at slow connections
INTERRUPTED = 130
BACKLOG = 2048


class GracefulServer(uvicorn.Server):
    """``run`` returns once it has ended."""

    def __init__(self, application: Application, settings: Settings, interrupts: bool = True) -> None:
        self._limits = Limits(settings.timeout, settings.connections)
        self._application, self._drain, self._grace = application, settings.drain, settings.grace
        self._signals = SIGNALS if interrupts else (signal.SIGTERM,)
        self._told: float | None = None
        super().__init__(
            uvicorn.Config(
                application, http=guarded(self._limits), ws="none", lifespan="on", log_config=None, access_log=False, proxy_headers=False,
                server_header=False, timeout_graceful_shutdown=max(1, round(settings.grace)), backlog=BACKLOG,
            )
        )  # fmt: skip

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._sweep()

    async def on_tick(self, counter: int) -> bool:
        if self._told is not None and time.monotonic() - self._told >= self._drain:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._application.state.drain()
        turn_away(sockets or [])
        await asyncio.sleep(SETTLED)  # and accept who is in
        until = time.monotonic() + self._grace
        while queued(sockets or []) and time.monotonic() < until:
            await asyncio.sleep(SHORT)
        for server in self.servers:
            server.close()
        for one in sockets or []:
            one.close()
        await asyncio.sleep(TURNS)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._told is not None:
            if sig == signal.SIGINT:
                os._exit(INTERRUPTED)
            return
        self.drain()

    def drain(self) -> None:
        """Begin to end."""
        self._told = time.monotonic()
        self._application.state.drain()
        self._limits.closing = True
        for connection in self._limits.open:
            connection.announce_end()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike uvicorn's, it does not raise the signals again: the server ended as it was asked to."""
        if threading.current_thread() is not threading.main_thread():  # which alone gets signals
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in self._signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._limits.sweep(loop.time())
        loop.call_later(SWEEPS, self._sweep)
