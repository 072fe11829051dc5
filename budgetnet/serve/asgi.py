"""Types of ASGI, and responses sent without a framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from budgetnet.serve.refusal import Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]


class Gone(Exception):
    """The client has closed the connection."""


JSON: Header = (b"content-type", b"application/json")


def header(scope: Scope, name: bytes) -> bytes:
    """Return the first value of a header, given in lower case; empty without it."""
    headers: Iterable[Header] = scope["headers"]
    return next((value for key, value in headers if key == name), b"")


async def send_json(send: Send, status: int, body: bytes, headers: Iterable[Header] = ()) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [JSON, length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def send_refusal(send: Send, refusal: Refusal) -> None:
    await send_json(send, refusal.status, refusal.body, refusal.headers)
