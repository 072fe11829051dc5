"""State of the server: warming up, ready, or shutting down."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from budgetnet.serve.refusal import shutting_down, warming_up


class State:
    """``when_ready`` are called once, as soon as every model is warm; ``when_ended`` once the last request is answered."""

    def __init__(self) -> None:
        self.name = "warming_up"
        self.when_ready: list[Callable[[], None]] = []
        self.when_ended: list[Callable[[], None]] = []

    def warmed(self) -> None:
        if self.name == "warming_up":
            self.name = "ready"
            for tell in self.when_ready:
                with contextlib.suppress(OSError):  # the reader of stdout is gone
                    tell()

    def drain(self) -> None:
        self.name = "shutting_down"

    def check(self) -> None:
        """Raises Refusal unless it is ready."""
        if self.name != "ready":
            raise shutting_down() if self.name == "shutting_down" else warming_up()
