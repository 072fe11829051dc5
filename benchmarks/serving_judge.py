"""Judge answers: by what the request allows, and against the offline predictor."""

from __future__ import annotations

import enum
import json

from benchmarks.serving_payloads import Wrong, checked
from benchmarks.serving_traffic import Ask


class Outcome(enum.Enum):
    """Outcome of a request."""

    RIGHT = "right"  # 200, and the offline predictor's
    REFUSED = "refused as it should be"  # a malformed one, with its status
    BUSY = "503"
    GONE = "client gone"  # by its own will
    WRONG = "wrong"  # any other answer
    CLOSED = "closed"  # the connection ended before an answer
    UNCONNECTED = "no connection"
    UNANSWERED = "no answer"

    @property
    def answered(self) -> bool:
        return self in (Outcome.RIGHT, Outcome.REFUSED, Outcome.BUSY, Outcome.WRONG)


def judged(ask: Ask, head: bytes, content: bytes) -> tuple[Outcome, str]:
    """Its outcome, and what is wrong with it. ``head`` is in lower case."""
    status = int(head[9:12])
    try:
        if status == 503:
            _check_busy(head, content)
            return Outcome.BUSY, ""
        if status not in ask.statuses:
            raise Wrong(f"{ask.kind}: the status {status}, expected {sorted(ask.statuses)}: {content[:200].decode(errors='replace')}")
        if status == 200:
            _check_right(ask, content)
            return Outcome.RIGHT, ""
        _code(content)
        return Outcome.REFUSED, ""
    except Wrong as wrong:
        return Outcome.WRONG, str(wrong)


def _check_busy(head: bytes, content: bytes) -> None:
    if b"\r\nretry-after: " not in head:
        raise Wrong(f"a 503 without Retry-After: {content[:200].decode(errors='replace')}")
    if _code(content) not in ("busy", "shutting_down"):
        raise Wrong(f"a 503 that is neither busy nor shutting_down: {content[:200].decode(errors='replace')}")


def _check_right(ask: Ask, content: bytes) -> None:
    """An answer that has been found right before, but for its times, is right."""
    said, found, _ = content.rpartition(b',"milliseconds":')
    if not found or ask.expected is None:
        raise Wrong(f"{ask.kind}: 200 with {content[:200].decode(errors='replace')}")
    if said in ask.known:
        return
    checked(content, ask.expected)
    if json.loads(content)["model"] != ask.model:
        raise Wrong(f"{ask.kind}: the answer is of {json.loads(content)['model']}, not of {ask.model}")
    ask.known.add(said)


def _code(content: bytes) -> str:
    """Raises Wrong for what is no error as the server tells errors."""
    try:
        error = json.loads(content)["error"]
        if not error["message"] or "Traceback" in error["message"] or "field" not in error:
            raise Wrong(f"an error that explains nothing: {content[:200].decode(errors='replace')}")
        return str(error["code"])
    except (ValueError, KeyError, TypeError) as error:
        raise Wrong(f"an error that is no JSON error: {content[:200].decode(errors='replace')}") from error
