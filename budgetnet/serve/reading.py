"""Read request bodies within bounds of size, time and total memory."""

from __future__ import annotations

import asyncio
import contextlib

from budgetnet.serve.asgi import Gone, Header, Receive
from budgetnet.serve.refusal import Refusal, busy

LINGER = 2.0  # seconds for which the rest of a refused body is read
LAST: Header = (b"connection", b"close")
BODIES = 32  # of the largest size that may be in memory at once


class _TooSlow(Exception):
    """Marks the cancellation of a task by its deadline."""


class Reader:
    """Reads bodies of at most ``largest`` bytes, each within ``seconds``. The caller releases those that were read."""

    def __init__(self, largest: int, seconds: float) -> None:
        self._largest, self._seconds = largest, seconds
        self._held, self._most = 0, BODIES * largest

    async def read(self, announced: bytes, receive: Receive) -> bytes:
        """Return the whole body; ``announced`` is the header Content-Length, empty without one. Raises Refusal or Gone."""
        if announced.isdigit() and int(announced[:20]) > self._largest:
            raise self._too_large(f"{int(announced[:20]):,}")
        task = asyncio.current_task()
        assert task is not None, "a request has a task"
        timer = asyncio.get_running_loop().call_later(self._seconds, task.cancel, _TooSlow)  # asyncio.timeout costs ten times as much
        try:
            return await self._read(receive)
        except asyncio.CancelledError as error:
            if error.args != (_TooSlow,):
                raise
            task.uncancel()
            told = f"the body was not there after {self._seconds:g} seconds; send it faster, or in parts"
            raise _last(Refusal(408, "too_slow", told, "body")) from error
        finally:
            timer.cancel()

    async def _read(self, receive: Receive) -> bytes:
        chunks, size = [], 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                chunk: bytes = message.get("body", b"")
                chunks.append(chunk)
                size += len(chunk)
                self._held += len(chunk)
                if size > self._largest:
                    raise self._too_large(f"more than {self._largest:,}")
                if self._held > self._most:
                    raise _last(busy("too many large requests are being sent at once; try again in a second"))
                if not message.get("more_body"):
                    return chunk if len(chunks) == 1 else b"".join(chunks)
        except BaseException:
            self.release(size)
            raise

    def release(self, size: int) -> None:
        """Report that so many bytes are no longer held."""
        self._held -= size

    def _too_large(self, size: str) -> Refusal:
        told = f"the body has {size} bytes; expected {self._largest:,} at most: send fewer images, or smaller pictures"
        return _last(Refusal(413, "too_large", told, "body"))


async def discard(receive: Receive) -> None:
    """Read and drop the rest of a body, because closing the connection under a sending client would lose it the answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass


def _last(refusal: Refusal) -> Refusal:
    """Mark a refusal after which the connection is closed, because the rest of the body is not read."""
    refusal.headers = (*refusal.headers, LAST)
    return refusal
