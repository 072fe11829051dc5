"""Dynamic batching: requests that have arrived together are computed together; none waits for a batch to fill.

The event loop collects the requests that arrive in one of its turns. A batch that is expected to take less than ``INLINE`` seconds is
computed on the event loop, because handing it to a thread would cost more. Otherwise the inference thread computes it, and then what has
been queued meanwhile, until the queue is empty. The two never compute at the same time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from budgetnet.serve.jobs import Answer, Batch, Images, Job, Waiting
from budgetnet.serve.models import Served
from budgetnet.serve.refusal import Refusal, busy, failed, shutting_down
from budgetnet.serve.speed import Speed

WARMED = (1, 8, 32, 128)  # batch sizes; on CUDA backends pad to the next one themselves, on a processor padding only costs
PATIENCE = 1.0  # seconds for the batch that is being computed when the server ends
INLINE = 0.0005  # seconds for which the event loop computes itself; a thread overlaps with HTTP, and costs a hand-over each way

Results = tuple[list[int], list[list[float]]]
Observer = Callable[[Batch, float], None]

log = logging.getLogger("budgetnet.serve")


class Batcher:
    """The batcher of a process, on its event loop. ``limit`` images may wait; ``observe`` is called with every batch and its seconds."""

    def __init__(self, limit: int, observe: Observer = lambda batch, seconds: None, inline: float = INLINE) -> None:
        self._limit, self._observe, self._inline = limit, observe, inline
        self._loop = asyncio.get_running_loop()
        self._waiting = Waiting()
        self._speeds: dict[Served, Speed] = {}
        self._changed = threading.Condition()
        self._handed: Batch | None = None  # to the thread
        self._busy = self._closed = self._scheduled = False
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return self._waiting.images

    def submit(self, model: Served, images: Images, watched: bool = True) -> asyncio.Future[Answer]:
        """Return the answer's future, which gets a Refusal if the model fails. Raises Refusal if the queue is full.

        Images whose future has been cancelled are not computed.
        """
        job = Job(model, images, self._loop.create_future(), watched)
        with self._changed:
            waiting = self._waiting.images
            if waiting and waiting + job.number > self._limit:
                raise busy(f"{waiting} images are waiting already and {self._limit} may; try again in a second")
            if self._closed:
                raise shutting_down()
            self._waiting.add(job)
            if self._busy or self._scheduled:
                return job.future
            self._scheduled = True
        self._loop.call_soon(self._turn)
        return job.future

    async def warm(self, model: Served) -> None:
        """Run every batch size twice: backends initialize at the first call, and the second one is timed."""
        speed = self._speeds[model] = Speed()
        for size in (size for size in WARMED if size <= model.largest):
            blank = np.zeros((size, *model.predictor.contract.image_shape), dtype=np.uint8)
            for _ in range(2):
                started = time.perf_counter()
                await asyncio.to_thread(model.predictor.predict, blank)
                seconds = time.perf_counter() - started
            speed.learn(size, seconds)

    def close(self) -> None:
        """Stop: the thread ends after its batch, and requests that still wait are refused."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=PATIENCE)
        while (batch := self._waiting.take()) is not None:
            self._deliver(batch, shutting_down(), 0.0)

    # --- on the event loop --------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Compute the waiting requests, or hand them to the thread."""
        with self._changed:
            self._scheduled = False
            if self._busy:
                return  # the thread takes it
            waiting = self._waiting.images
            batch = self._waiting.take()
            if batch is None:
                return
            if self._expected(batch.model, waiting) > self._inline:
                self._busy, self._handed = True, batch
                self._changed.notify()
                return
        self._deliver(batch, *_computed(batch))
        with self._changed:
            if self._waiting.images and not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._turn)

    def _deliver(self, batch: Batch, results: Results | Refusal, seconds: float) -> None:
        if isinstance(results, Refusal):
            for job, _, _ in batch.parts:
                job.fail(results)
            return
        digits, probabilities = results
        place = 0
        for job, start, stop in batch.parts:
            following = place + stop - start
            job.add(digits[place:following], probabilities[place:following], seconds)
            place = following
        self._observe(batch, seconds)
        if (speed := self._speeds.get(batch.model)) is not None:
            speed.learn(batch.number, seconds)

    def _expected(self, model: Served, images: int) -> float:
        """Return the expected seconds; infinite for a model that is not warm yet."""
        speed = self._speeds.get(model)
        return float("inf") if speed is None else speed.expect(images)

    # --- on the thread ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            results, seconds = _computed(batch)
            try:
                self._loop.call_soon_threadsafe(self._deliver, batch, results, seconds)
            except RuntimeError:  # the loop is closed: nobody is left to answer
                return

    def _next(self) -> Batch | None:
        with self._changed:
            batch = self._handed or (None if self._closed else self._waiting.take())
            while batch is None:
                if self._closed:
                    return None
                self._busy = False
                self._changed.wait()
                batch = self._handed
            self._handed = None
            return batch


def _computed(batch: Batch) -> tuple[Results | Refusal, float]:
    """Return the predictions, or the reason why there are none, and the seconds in the model."""
    started = time.perf_counter()
    try:
        said = batch.model.predictor.predict(batch.images)
        seconds = time.perf_counter() - started
        return (said.digits.tolist(), said.probabilities.astype(np.float64).round(6).tolist()), seconds
    except Exception as error:  # backends have kinds of their own; the server outlives them all
        log.exception("a batch of %s with %d images failed", batch.model.name, batch.number)
        told = f"{batch.model.name} could not compute the images ({type(error).__name__}); try again, or another model"
        return failed(told), time.perf_counter() - started
