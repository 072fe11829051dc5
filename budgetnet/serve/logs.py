"""The server's log: one line for each request and event, as JSON or as text. Bodies and keys are never logged.

A thread formats and writes the lines: a terminal or a pipe that stalls does not stall the server, it loses lines.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from budgetnet.serve.asgi import Scope

PAUSE = 0.1  # seconds between writes
MOST = 20_000  # lines that may wait
LONGEST = 200  # characters of a path


class Log:
    """``request`` and ``event`` only append to a queue; ``close`` writes the remaining lines."""

    def __init__(self, form: str, stream: TextIO) -> None:
        self._line = _json if form == "json" else _text
        self._stream = stream
        self._entries: deque[tuple[Any, ...] | dict[str, Any]] = deque()
        self._lost = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    def request(self, scope: Scope, status: int, seconds: float) -> None:
        self._add((time.time(), scope["method"], scope["path"], status, seconds, scope.get("client"), scope.get("served")))

    def event(self, level: str, event: str, **more: Any) -> None:
        self._add({"time": datetime.now(UTC), "level": level, "event": event} | more)

    def close(self) -> None:
        self._ending.set()
        self._thread.join(timeout=2)

    def _add(self, entry: tuple[Any, ...] | dict[str, Any]) -> None:
        if len(self._entries) >= MOST:
            self._lost += 1
        else:
            self._entries.append(entry)

    def _work(self) -> None:
        ended = False
        while not ended:
            ended = self._ending.wait(PAUSE)
            if self._lost:
                self._lost, lost = 0, self._lost
                self._entries.append({"time": datetime.now(UTC), "level": "warning", "event": "lines lost", "lines": lost})
            entries = [self._entries.popleft() for _ in range(len(self._entries))]
            lines = [self._line(entry if isinstance(entry, dict) else _request(*entry)) for entry in entries]
            try:
                if lines:
                    self._stream.write("".join(lines))
                    self._stream.flush()
            except (OSError, ValueError):  # the reader of the log is gone
                return


def _request(at: float, method: str, path: str, status: int, seconds: float, client: Any, served: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "time": datetime.fromtimestamp(at, UTC), "level": "info", "event": "request", "method": method, "route": path[:LONGEST],
        "status": status, "ms": round(1000 * seconds, 2), "client": client[0] if client else None,
    }  # fmt: skip
    if served:
        told["model"], told["images"] = served
    return told


def _json(entry: dict[str, Any]) -> str:
    return orjson.dumps(entry, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE).decode()


def _text(entry: dict[str, Any]) -> str:
    time_of_day = entry["time"].astimezone().strftime("%H:%M:%S")
    rest = [f"{value} ms" if key == "ms" else _word(value) for key, value in entry.items() if key not in ("time", "level")]
    return " ".join([time_of_day, entry["level"], *rest]) + "\n"


def _word(value: object) -> str:
    """Escape a value to one line."""
    return orjson.dumps(value).decode()[1:-1] if isinstance(value, str) else str(value)


class Handler(logging.Handler):
    """Passes records of Python's logging to the server's log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        more = {"error": logging.Formatter().formatException(record.exc_info)} if record.exc_info else {}
        self._log.event(record.levelname.lower(), record.getMessage(), **more)
