"""Pages of other sites may call the server only where they are named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from starlette.middleware.cors import CORSMiddleware

from budgetnet.serve.asgi import App


def with_origins(app: App, origins: Sequence[str]) -> App:
    """The application, answering browsers' questions before requests from ``origins``; '*' is any."""
    made = CORSMiddleware(
        app,
        allow_origins=origins, allow_methods=("GET", "POST"), allow_headers=("Authorization", "Content-Type", "X-API-Key"),
        expose_headers=("Retry-After",), max_age=600,
    )  # fmt: skip
    return cast(App, made)
