"""Settings of the server, from the command line."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Settings:
    """``queue``: images that may wait. ``max_body``: bytes of a request. ``timeout``: seconds in which a request must have arrived.

    ``connections`` may be open at once. ``grace``: seconds in which accepted requests are finished at the end.
    ``api_key`` is required by ``/v1`` if it is given; pages of ``cors_origins`` may call the server from a browser.
    ``allowed_hosts``: names that the Host header may have, without a port; any if empty.
    """

    queue: int = 1024
    max_body: int = 8 * MIB
    timeout: float = 10.0
    connections: int = 1000
    grace: float = 30.0
    api_key: bytes | None = None
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    log_format: str = "json"
