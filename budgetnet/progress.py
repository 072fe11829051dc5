"""Showing long work: tqdm bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

from tqdm import tqdm

from budgetnet.metrics import EpochRecord


class Progress(Protocol):
    """Receives the progress of runs; ``job`` names one, such as 'step-13 seed 0'."""

    def start(self, job: str, epoch: int, epochs: int, images: int) -> None:
        """Training goes on after ``epoch`` of ``epochs`` epochs of ``images`` images each."""

    def note(self, job: str, note: str) -> None:
        """Show a line about the job, such as the engine that trains it."""

    def tick(self, job: str, images: int) -> None: ...

    def epoch(self, job: str, record: EpochRecord, epochs: int) -> None: ...

    def finish(self, job: str, note: str) -> None: ...


def epoch_line(job: str, record: EpochRecord, epochs: int) -> str:
    return (
        f"{job}  epoch {record.epoch:>2}/{epochs}  lr {record.lr:<7.4g}  train {record.train_accuracy:6.2f} %  loss {record.train_loss:.4f}"
        f"  validation {record.validation_accuracy:6.2f} %  loss {record.validation_loss:.4f}  {record.seconds:6.1f} s"
    )


class ConsoleProgress:
    """Shows a bar per running job on a terminal, and a line per epoch everywhere."""

    def __init__(self, bars: bool | None = None) -> None:
        self._show_bars = sys.stderr.isatty() if bars is None else bars
        self._bars: dict[str, tqdm[Any]] = {}

    def start(self, job: str, epoch: int, epochs: int, images: int) -> None:
        self._say(f"{job}  resumes after epoch {epoch}/{epochs}" if epoch else f"{job}  starts: {epochs} epochs of {images:,} images")
        if self._show_bars:
            position = next(n for n in range(len(self._bars) + 1) if n not in {-bar.pos for bar in self._bars.values()})
            self._bars[job] = tqdm(
                total=epochs * images,
                initial=epoch * images,
                desc=job,
                unit=" images",
                unit_scale=True,
                position=position,
                leave=False,
                dynamic_ncols=True,
            )

    def note(self, job: str, note: str) -> None:
        self._say(f"{job}  {note}")

    def tick(self, job: str, images: int) -> None:
        if job in self._bars:
            self._bars[job].update(images)

    def epoch(self, job: str, record: EpochRecord, epochs: int) -> None:
        if job in self._bars:
            self._bars[job].set_postfix_str(f"epoch {record.epoch}/{epochs}, validation {record.validation_accuracy:.2f} %")
        self._say(epoch_line(job, record, epochs))

    def finish(self, job: str, note: str) -> None:
        bar = self._bars.pop(job, None)
        if bar is not None:
            bar.close()
        self._say(f"{job}  {note}")

    def close(self) -> None:
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()

    def _say(self, line: str) -> None:
        if self._show_bars:
            tqdm.write(line)
        else:
            print(line, flush=True)


class PipeProgress:
    """Passes everything on to another process through a pipe; ticks are gathered so that they cost nothing."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._images, self._sent = connection, 0, 0.0

    def start(self, job: str, epoch: int, epochs: int, images: int) -> None:
        self._connection.send(("start", (job, epoch, epochs, images)))

    def note(self, job: str, note: str) -> None:
        self._connection.send(("note", (job, note)))

    def tick(self, job: str, images: int) -> None:
        self._images += images
        if time.monotonic() - self._sent > 0.2:
            self._connection.send(("tick", (job, self._images)))
            self._images, self._sent = 0, time.monotonic()

    def epoch(self, job: str, record: EpochRecord, epochs: int) -> None:
        self._connection.send(("epoch", (job, record, epochs)))

    def finish(self, job: str, note: str) -> None:
        self._connection.send(("finish", (job, note)))
