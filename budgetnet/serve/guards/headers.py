"""Headers that keep browsers from doing with the answers what they are not for."""

from __future__ import annotations

from budgetnet.serve.asgi import App, Header, Message, Receive, Scope, Send

POLICY = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
NO_SNIFFING: Header = (b"x-content-type-options", b"nosniff")
API: tuple[Header, ...] = (NO_SNIFFING, (b"cache-control", b"no-store"))  # for programs; what is under /v1 is stored nowhere
PAGES: tuple[Header, ...] = (
    NO_SNIFFING,
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", POLICY.encode()),
)


class Headers:
    """Adds them to every answer that does not have its own."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = API if scope["path"].startswith("/v1/") else PAGES

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(one for one in added if one[0] not in own)]
            await send(message)

        await self._app(scope, receive, with_headers)
