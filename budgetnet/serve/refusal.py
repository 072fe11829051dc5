"""Refused requests: a status, a code for programs, the field that is wrong, and a sentence for people."""

from __future__ import annotations

import orjson

RETRY_AFTER = 1  # seconds; batches take milliseconds

Headers = tuple[tuple[bytes, bytes], ...]
_LATER: Headers = ((b"retry-after", str(RETRY_AFTER).encode()),)


class Refusal(Exception):
    """Answered as ``{"error": {"code", "field", "message"}}``; the message holds the offending value, what was expected, how to mend it."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field
        self.headers = headers

    @property
    def body(self) -> bytes:
        return orjson.dumps({"error": {"code": self.code, "field": self.field, "message": self.message}})


def invalid(message: str, field: str | None = None) -> Refusal:
    """422: the body can be read and a value is wrong."""
    return Refusal(422, "invalid", message, field)


def busy(message: str) -> Refusal:
    """503: try again later."""
    return Refusal(503, "busy", message, headers=_LATER)


def failed(message: str) -> Refusal:
    """503: an unexpected error."""
    return Refusal(503, "failed", message, headers=_LATER)


def shutting_down() -> Refusal:
    """503: the server ends."""
    return Refusal(503, "shutting_down", "the server is shutting down; ask another one, or later", headers=_LATER)


def warming_up() -> Refusal:
    """503: the models are not warm yet."""
    return Refusal(503, "warming_up", "the models are being warmed up; ask again in a moment", headers=_LATER)
