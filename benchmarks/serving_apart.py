"""Clients work apart, in a process of their own, so that nothing else of a benchmark takes their time."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from typing import Any

from benchmarks.other_process import OtherProcess


class Fallen(Exception):
    """A server that does not answer, or says something wrong; the message is a sentence for the user."""


def serve(connection: Any, work: Callable[..., Any], given: Any) -> None:
    """Answer every tuple with what ``work(given, *tuple)`` returns, or with the sentence of what went wrong."""
    gc.collect()
    gc.freeze()
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            asked = connection.recv()
            gc.disable()
            try:
                answer = True, work(given, *asked)
            except (Fallen, OSError) as reason:
                answer = False, str(reason)
            gc.enable()
            connection.send(answer)


class Apart(OtherProcess):
    """The process; as a context manager it ends it. ``work``, ``given``, and what is asked and answered can be pickled."""

    def __init__(self, work: Callable[..., Any], given: Any) -> None:
        super().__init__(serve, work, given)

    def ask(self, *asked: Any) -> Any:
        """Return the result of ``work``. Raises Fallen."""
        self.begin(*asked)
        return self.answer()

    def begin(self, *asked: Any) -> None:
        """Ask, and do something else meanwhile."""
        self._connection.send(asked)

    def done(self, seconds: float) -> bool:
        """Tell whether the answer is there after so many seconds at most."""
        return bool(self._connection.poll(seconds))

    def answer(self) -> Any:
        """Raises Fallen."""
        try:
            fine, found = self._connection.recv()
        except EOFError:
            raise Fallen("the client's process ended without a word") from None
        if not fine:
            raise Fallen(found)
        return found
