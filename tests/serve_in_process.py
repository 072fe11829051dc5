"""The application in this process, asked thousands of times: no socket, no client library, one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from budgetnet.serve.app import Application
from budgetnet.serve.logs import Log
from budgetnet.serve.models import Models
from budgetnet.serve.settings import Settings
from tests.serve_demo import served

PATIENCE = 60.0  # seconds after which a request is taken to hang
LONGEST = 1000  # characters that explain enough


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[bytes, bytes]
    content: bytes

    @property
    def error(self) -> dict[str, Any]:
        """What every refusal tells, checked."""
        assert self.headers[b"content-type"] == b"application/json"
        found = json.loads(self.content)
        assert found.keys() == {"error"}
        assert found["error"].keys() == {"code", "field", "message"}
        assert 10 < len(found["error"]["message"]) < LONGEST
        assert "Traceback" not in found["error"]["message"]
        return found["error"]


class InProcess:
    """The application on an event loop that turns while it is asked."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._runner = asyncio.Runner()
        self._running = application.running()

    def __enter__(self) -> InProcess:
        self._runner.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._running.__aexit__(None, None, None))
        self._runner.close()

    def post(self, body: bytes, content_type: str = "application/json", query: str = "") -> Answer:
        """``POST /v1/predict``."""
        headers = [(b"content-type", content_type.encode("latin-1")), (b"content-length", str(len(body)).encode())]
        return self._runner.run(asyncio.wait_for(self._asked(body, headers, query), PATIENCE))

    async def _start(self) -> None:
        ready = asyncio.Event()
        self._application.state.when_ready.append(ready.set)
        await self._running.__aenter__()
        await asyncio.wait_for(ready.wait(), PATIENCE)

    async def _asked(self, body: bytes, headers: list[tuple[bytes, bytes]], query: str) -> Answer:
        sent: list[dict[str, Any]] = []
        messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not messages:
                await asyncio.Event().wait()  # the client stays connected
            return messages.pop()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/v1/predict", "raw_path": b"/v1/predict", "query_string": query.encode("latin-1"),
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1), "scheme": "http", "root_path": "",
            "http_version": "1.1", "asgi": {"version": "3.0"},
        }  # fmt: skip
        await self._application(scope, receive, send)
        start, *rest = sent
        assert start["type"] == "http.response.start"
        return Answer(start["status"], dict(start["headers"]), b"".join(message["body"] for message in rest))


@contextlib.contextmanager
def in_process(settings: Settings | None = None) -> Iterator[InProcess]:
    """The application with the demo network, ready. That it logged no error is asserted in the end."""
    stream = io.StringIO()
    log = Log("json", stream)
    try:
        with InProcess(Application(Models([served()]), settings or Settings(), log)) as running:
            yield running
    finally:
        log.close()
    assert '"level":"error"' not in stream.getvalue()
