"""A process with a pipe to it: what is measured and who measures do not share an interpreter."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any, Self


class OtherProcess:
    """Runs ``target(connection, *given)``, a function of a module, in a new process; as a context manager it ends it.

    The other end of ``connection`` is closed at the end, on which ``target`` is to return: its next ``recv`` raises EOFError.
    """

    def __init__(self, target: Callable[..., None], *given: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, its = context.Pipe()
        self._process = context.Process(target=target, args=(its, *given), daemon=True)
        self._process.start()
        its.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None, "it was started"
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
