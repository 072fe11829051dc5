"""Whatever goes wrong inside is told as an answer: never a traceback, never a 500."""

from __future__ import annotations

import logging

from budgetnet.serve.asgi import App, Message, Receive, Scope, Send, send_refusal
from budgetnet.serve.refusal import Refusal, failed

log = logging.getLogger("budgetnet.serve")


class Failures:
    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise  # too late to say so
            await send_refusal(send, as_refusal(error, scope))


def as_refusal(error: Exception, scope: Scope) -> Refusal:
    """What the client is told; what is not meant for it is logged."""
    if isinstance(error, Refusal):
        return error
    log.error("%s %s failed", scope["method"], scope["path"][:80], exc_info=error)
    return failed(f"the server failed ({type(error).__name__}), and has logged it; try again")
