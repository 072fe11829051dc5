"""Middleware around the routes: API key, response headers, errors as JSON, and the observation of every request."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Sequence

from budgetnet.serve.asgi import App, Header, Message, Receive, Scope, Send, header, send_refusal
from budgetnet.serve.refusal import Refusal, failed

CLOSED = 499  # the status logged for a client that disconnects before it is answered
POLICY = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
NO_SNIFFING: Header = (b"x-content-type-options", b"nosniff")
API: tuple[Header, ...] = (NO_SNIFFING, (b"cache-control", b"no-store"))
PAGES: tuple[Header, ...] = (
    NO_SNIFFING,
    (b"cache-control", b"no-cache"),  # browsers ask with the ETag whether a file has changed
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", POLICY.encode()),
)

log = logging.getLogger("budgetnet.serve")


class Surroundings:
    """Wraps an application: HEAD is answered like GET, headers are added, exceptions become JSON, and ``observe`` gets the outcome.

    Other ``hosts`` in the Host header are refused, if any are given.
    """

    def __init__(self, app: App, observe: Callable[[Scope, int, float], None], hosts: Sequence[str] = ()) -> None:
        self._app, self._observe, self._hosts = app, observe, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), CLOSED
        added = API if scope["path"].startswith("/v1/") else PAGES

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(one for one in added if one[0] not in own)]
            await send(message)

        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope  # the HTTP server leaves out the body
        try:
            if not host_allowed(scope, self._hosts):
                host = header(scope, b"host").decode("latin-1")
                message = f"the Host header is {host[:80]!r}; expected {', '.join(self._hosts)}: allow others with --allowed-host"
                raise Refusal(421, "wrong_host", message, "Host")
            await self._app(asked, receive, with_headers)
        except Exception as error:
            if status != CLOSED:
                raise  # the response has begun
            await send_refusal(with_headers, as_refusal(error, scope))
        finally:
            self._observe(scope, status, time.perf_counter() - started)


def as_refusal(error: Exception, scope: Scope) -> Refusal:
    """Return what the client is told of an error; the details of an unexpected one are logged only."""
    if isinstance(error, Refusal):
        return error
    log.error("%s %s failed", scope["method"], scope["path"][:80], exc_info=error)
    return failed(f"the server failed ({type(error).__name__}), and has logged it; try again")


def host_allowed(scope: Scope, allowed: Sequence[str]) -> bool:
    """Tell whether the Host header is one of ``allowed``, which may be empty for any; its port does not matter.

    Another one may be of a page of another site, whose name was made to resolve to this machine (DNS rebinding).
    """
    host = header(scope, b"host").decode("latin-1").lower()
    return not allowed or host in allowed or host.rpartition(":")[0] in allowed


class Keys:
    """An API key required under ``/v1``; the page and the probes stay open."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def check(self, scope: Scope) -> None:
        """Raises Refusal unless the request has the key."""
        authorization = header(scope, b"authorization")
        bearer = authorization[:7].lower() == b"bearer "
        given = authorization[7:].strip() if bearer else header(scope, b"x-api-key").strip()
        if not hmac.compare_digest(given, self._key):
            what = "the API key is not the right one" if given else "there is no API key"
            message = f"{what}; send it as Authorization: Bearer KEY, or as X-API-Key"
            raise Refusal(401, "unauthorized", message, "Authorization", ((b"www-authenticate", b"Bearer"),))

    def around(self, app: App) -> App:
        """Return the application behind the check."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"].startswith("/v1/"):
                self.check(scope)
            await app(scope, receive, send)

        return guarded
