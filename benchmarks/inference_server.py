"""One way to predict, in a process of its own: it loads, then times calls whenever it is told to."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.other_process import OtherProcess

Call = Callable[[npt.NDArray[np.uint8]], object]
PATIENCE = 900.0  # seconds: compiling at the first call takes its time


class Fallen(Exception):
    """A way to predict that does not load or run here; the message is a sentence for its user."""


@dataclass(frozen=True)
class Source:
    """The network to measure: an artifact's folder, or an experiment whose trained network torch runs as it is (``weights``)."""

    name: str
    artifact: Path | None = None
    experiment: str | None = None
    weights: Path | None = None
    device: str = "cpu"

    def loaded(self, threads: int) -> Call:
        """Return the logits of uint8 images (N, C, H, W), in this process."""
        if self.artifact is not None:
            from budgetnet.inference.predictor import Predictor

            return Predictor.load(self.artifact, threads).logits
        return self._plain(threads)

    def _plain(self, threads: int) -> Call:
        import torch

        from budgetnet.catalogue import load_default
        from budgetnet.data.resident import to_input
        from budgetnet.weights import load_trained

        assert self.experiment is not None
        assert self.weights is not None
        torch.set_num_threads(threads)
        experiment = load_default()[self.experiment]
        model, data_set = load_trained(experiment, self.weights).model.to(self.device), experiment.data_set

        @torch.inference_mode()
        def call(images: npt.NDArray[np.uint8]) -> object:
            return model(to_input(torch.from_numpy(images).to(self.device), data_set.mean, data_set.std)).cpu()

        return call


def serve(connection: Any, source: Source, images: npt.NDArray[np.uint8], threads: int) -> None:
    """Load, say so, then answer (batch, calls) with the seconds of every call, and None with the peak memory in MiB."""
    from benchmarks.memory import peak_mib

    try:
        call = source.loaded(threads)
        connection.send(("ready", None))
        while True:
            asked = connection.recv()
            if asked is None:
                connection.send(("memory", peak_mib()))
                continue
            connection.send(("seconds", timed(call, images, *asked)))
    except (EOFError, KeyboardInterrupt):
        pass
    except Exception as error:  # told to whoever asked
        with contextlib.suppress(OSError):
            connection.send(("failed", f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"))


def timed(call: Call, images: npt.NDArray[np.uint8], batch: int, calls: int) -> list[float]:
    """Seconds of each of ``calls`` calls on ``batch`` images, other ones every time as far as they reach."""
    seconds = []
    places = max(1, len(images) // batch)
    for number in range(calls):
        start = number % places * batch
        some = images[start : start + batch]
        began = time.perf_counter()
        call(some)
        seconds.append(time.perf_counter() - began)
    return seconds


class Server(OtherProcess):
    """The process of one source; as a context manager it ends it."""

    def __init__(self, source: Source, images: npt.NDArray[np.uint8], threads: int) -> None:
        super().__init__(serve, source, images, threads)
        self.source = source

    def ready(self) -> None:
        """Wait until it has loaded. Raises Fallen."""
        self._answer()

    def seconds(self, batch: int, calls: int) -> list[float]:
        """The seconds of every call. Raises Fallen."""
        self._connection.send((batch, calls))
        found: list[float] = self._answer()
        return found

    def peak_mib(self) -> float:
        self._connection.send(None)
        return float(self._answer())

    def _answer(self) -> Any:
        if not self._connection.poll(PATIENCE):
            raise Fallen(f"no answer within {PATIENCE:.0f} s")
        try:
            kind, content = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(10)
            raise Fallen(f"its process ended without a word (exit code {self._process.exitcode})") from None
        if kind == "failed":
            raise Fallen(content)
        return content
