"""Queue of the batcher: requests with their images, and batches made of parts of them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from budgetnet.serve.models import Served

Images = npt.NDArray[Any]  # (n, 28, 28), uint8 0..255 or float32 0..1


class Answer(NamedTuple):
    """Predictions of a request's images; seconds in the queue, and seconds of its batches in the model."""

    digits: list[int]
    probabilities: list[list[float]]
    queued: float
    computed: float


class Job:
    """A request's images and the future of its answer, which is cancelled if the client disconnects. ``taken`` images are in batches.

    ``watched`` is false for the server's own requests, which metrics leave out.
    """

    __slots__ = (
        "computed",
        "digits",
        "future",
        "images",
        "model",
        "number",
        "probabilities",
        "since",
        "started",
        "taken",
        "watched",
    )

    def __init__(self, model: Served, images: Images, future: asyncio.Future[Answer], watched: bool = True) -> None:
        self.model, self.images, self.future, self.watched = model, images, future, watched
        self.number, self.taken = len(images), 0
        self.since, self.started, self.computed = time.perf_counter(), 0.0, 0.0
        self.digits: list[int] = []
        self.probabilities: list[list[float]] = []

    @property
    def wanted(self) -> bool:
        return not self.future.done()

    def add(self, digits: list[int], probabilities: list[list[float]], seconds: float) -> None:
        """Add the results of the next part; the last one completes the future."""
        self.digits += digits
        self.probabilities += probabilities
        self.computed += seconds
        if len(self.digits) == self.number and not self.future.done():
            self.future.set_result(Answer(self.digits, self.probabilities, self.started - self.since, self.computed))

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Images of one model that are computed together: jobs, each with the range of its images, start included and stop excluded."""

    model: Served
    parts: list[tuple[Job, int, int]]
    number: int

    @property
    def images(self) -> Images:
        """Return uint8 if all images are uint8; float32 from 0 to 1 otherwise."""
        arrays = [job.images[start:stop] for job, start, stop in self.parts]
        if len(arrays) == 1:
            return arrays[0]
        if len({array.dtype for array in arrays}) > 1:
            arrays = [as_floats(array) for array in arrays]
        return np.concatenate(arrays)


def as_floats(images: Images) -> Images:
    """Return uint8 pixels as float32 from 0 to 1, scaled as the predictor does."""
    return np.multiply(images, np.float32(1 / 255), dtype=np.float32) if images.dtype == np.uint8 else images


class Waiting:
    """Waiting jobs by model. Models take turns, and so do jobs larger than a batch.

    ``images`` is how many wait. Not thread-safe: the batcher has the lock.
    """

    def __init__(self) -> None:
        self.images = 0
        self._queues: dict[Served, deque[Job]] = {}

    def add(self, job: Job) -> None:
        queue = self._queues.get(job.model)
        if queue is None:
            queue = self._queues[job.model] = deque()
        queue.append(job)
        self.images += job.number

    def take(self) -> Batch | None:
        """Return the next batch; None if nothing waits. Cancelled jobs are dropped."""
        while self._queues:
            model = next(iter(self._queues))
            queue = self._queues.pop(model)
            batch = self._batch(model, queue)
            if queue:
                self._queues[model] = queue
            if batch.parts:
                return batch
        return None

    def _batch(self, model: Served, queue: deque[Job]) -> Batch:
        parts, room, now = [], model.largest, time.perf_counter()
        while queue and room:
            job = queue.popleft()
            left = job.number - job.taken
            if not job.wanted:
                self.images -= left
                continue
            if not job.taken:
                job.started = now
            number = min(room, left)
            parts.append((job, job.taken, job.taken + number))
            job.taken += number
            room -= number
            self.images -= number
            if number < left:
                queue.append(job)
        return Batch(model, parts, model.largest - room)
