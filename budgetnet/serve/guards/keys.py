"""An API key for everything under ``/v1``, where one is set; the page and the probes stay open."""

from __future__ import annotations

import hmac

from budgetnet.serve.asgi import App, Receive, Scope, Send, header, send_refusal
from budgetnet.serve.refusal import Refusal

GUARDED = "/v1/"
BEARER = b"bearer "


class Keys:
    """Compares in constant time, so that answers do not tell how much of a guess was right."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def check(self, scope: Scope) -> None:
        """Raises Refusal unless the request has the key."""
        given = _given(scope)
        if not hmac.compare_digest(given, self._key):
            what = "the API key is not the right one" if given else "there is no API key"
            told = f"{what}; send it as Authorization: Bearer KEY, or as X-API-Key"
            raise Refusal(401, "unauthorized", told, "Authorization", ((b"www-authenticate", b"Bearer"),))

    def around(self, app: App) -> App:
        """The application behind the check."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"].startswith(GUARDED):
                try:
                    self.check(scope)
                except Refusal as refusal:
                    await send_refusal(send, refusal)
                    return
            await app(scope, receive, send)

        return guarded


def _given(scope: Scope) -> bytes:
    authorization = header(scope, b"authorization")
    if authorization[: len(BEARER)].lower() == BEARER:
        return authorization[len(BEARER) :].strip()
    return header(scope, b"x-api-key").strip()
