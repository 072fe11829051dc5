"""One connection: uvicorn's, with the bounds that it leaves out.

A client has a time in which its request must be there, headers and body, and in which it must take the answer; headers have a size; and
there are only so many connections. uvicorn's own timeout covers connections that rest between two requests, and nothing else.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from budgetnet.serve.http.closing import TURNS, unread
from budgetnet.serve.refusal import Refusal, busy

LARGEST_HEADERS = 65536  # bytes
LINGER = 2.0  # seconds in which a client must have taken its last answer
FRESH = 0.5  # seconds in which one that has just connected must have sent something, once the server ends
TOO_MANY = 4  # times the connections that are allowed: from then on they are not even told
PHRASES = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large", 503: b"Service Unavailable"}


@dataclass
class Limits:
    """``seconds`` for a request to arrive and for an answer to be taken; ``connections`` at once. ``closing``: no further requests."""

    seconds: float
    connections: int
    closing: bool = False
    open: set[GuardedProtocol] = field(default_factory=set)

    def sweep(self, now: float) -> None:
        """Ends the connections that have been waited for too long; called now and then."""
        for connection in list(self.open):
            connection.check(now)


class _Transport:
    """What uvicorn's answers write to. It closes gently: who is still sending would lose the answer by a reset."""

    def __init__(self, protocol: GuardedProtocol, transport: asyncio.Transport) -> None:
        self._protocol = protocol
        self.write, self.is_closing, self.get_extra_info = transport.write, transport.is_closing, transport.get_extra_info

    def close(self) -> None:
        self._protocol.close_gently()


class GuardedProtocol(HttpToolsProtocol):
    limits: Limits  # of the class that ``guarded`` makes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._gentle = cast(asyncio.Transport, _Transport(self, transport))
        self._since: float | None = self.loop.time()  # when a request began to arrive, or could have
        self._stuck: float | None = None  # when the client stopped taking the answer
        self._left: float | None = None  # when it got its last answer, while it was still sending
        self._in_headers, self._header_bytes = True, 0
        self.limits.open.add(self)
        self._crowded = len(self.limits.open) > self.limits.connections
        if len(self.limits.open) > TOO_MANY * self.limits.connections:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.limits.open.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._left is not None:
            return
        if self._crowded:  # told without a look at what it wants: this must cost next to nothing
            self.refuse(CROWDED)
            return
        super().data_received(data)
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > LARGEST_HEADERS:
                told = f"the headers have more than {LARGEST_HEADERS:,} bytes; expected fewer"
                self.refuse(Refusal(431, "too_large", told))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._since, self._in_headers, self._header_bytes = self.loop.time(), True, 0
        self.scope["gone"] = self.transport.is_closing  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        self._in_headers = False
        super().on_headers_complete()
        self.cycle.transport = self._gentle
        if self.limits.closing:
            self.announce_end()

    def on_message_complete(self) -> None:
        self._since = None
        super().on_message_complete()

    def pause_writing(self) -> None:
        self._stuck = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stuck = None
        super().resume_writing()

    def check(self, now: float) -> None:
        """Give up on a client that sends its request, or takes its answer, too slowly."""
        seconds = self.limits.seconds
        if (self._stuck is not None and now - self._stuck > seconds) or (self._left is not None and now - self._left > LINGER):
            self.transport.abort()
        elif self._since is not None and self._left is None and now - self._since > seconds and not self.transport.is_closing():
            if self._in_headers:
                self.refuse(Refusal(408, "too_slow", f"the request was not there after {seconds:g} seconds; send it faster"))
            elif self.cycle.response_complete or now - self._since > 2 * seconds:
                self.transport.abort()  # whoever reads a body has a timeout of its own, and says so

    def send_400_response(self, msg: str) -> None:
        self.refuse(Refusal(400, "not_http", "what was sent is no HTTP request"))

    def refuse(self, refusal: Refusal) -> None:
        """Answer without the application, and close."""
        if self.transport.is_closing() or self._left is not None:
            return
        if self.cycle is None or self.cycle.response_complete or not (self.cycle.response_started or self.pipeline):
            headers = [b"%s: %s" % header for header in refusal.headers]
            lines = [
                b"HTTP/1.1 %d %s" % (refusal.status, PHRASES[refusal.status]), b"content-type: application/json",
                b"content-length: %d" % len(refusal.body), *headers, b"connection: close", b"", refusal.body,
            ]  # fmt: skip
            self.transport.write(b"\r\n".join(lines))
        self.close_gently()

    def close_gently(self) -> None:
        """Close once everything is written; of a client that is still sending, throw away the rest, for a while."""
        if self._since is None or not self.transport.can_write_eof():
            self.transport.close()
        elif self._left is None and not self.transport.is_closing():
            self._left = self.loop.time()
            self.pipeline.clear()
            if self.cycle is not None:
                self.cycle.disconnected = True  # an answer that is still being computed can no longer be written
            self.flow.resume_reading()
            self.transport.write_eof()

    def announce_end(self) -> None:
        """Let the answer that is owed say that it is the last one. An answer that has begun without that keeps its connection."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """The server ends: this connection does after the answers that it owes.

        One on which a request may be on its way, since it is new or has begun to arrive, is waited for; the limits end it in time.
        """
        if self.cycle is not None and not self.cycle.response_complete:
            super().shutdown()
        elif self._since is not None and self._left is None:
            self.loop.call_later(FRESH, self._shut_if_idle)
        elif unread(self.transport.get_extra_info("socket").fileno()):
            self.loop.call_later(TURNS, self._shut_if_resting)
        else:
            self.transport.close()

    def _shut_if_idle(self) -> None:
        if self._in_headers and self._header_bytes == 0 and not self.transport.is_closing():
            self.transport.close()

    def _shut_if_resting(self) -> None:
        if not self.transport.is_closing() and self._since is None:
            self.shutdown()


CROWDED = busy("there are too many connections; try again in a second")


def guarded(limits: Limits) -> type[GuardedProtocol]:
    """The class of a server's connections."""
    return type("Guarded", (GuardedProtocol,), {"limits": limits})
