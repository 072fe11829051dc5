"""Every request is observed, whatever became of it: its status, and the seconds it took."""

from __future__ import annotations

import time
from collections.abc import Callable

from budgetnet.serve.asgi import App, Message, Receive, Scope, Send

CLOSED = 499  # the client went before it was answered


class Observation:
    def __init__(self, app: App, observe: Callable[[Scope, int, float], None]) -> None:
        self._app, self._observe = app, observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), CLOSED

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._observe(scope, status, time.perf_counter() - started)
