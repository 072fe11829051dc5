"""Prometheus metrics: requests, time in HTTP, in the queue and in the model, batch sizes, and served models.

Workers write into shared files, and ``/metrics`` of any of them adds them up: prometheus_client does that if the environment variable
PROMETHEUS_MULTIPROC_DIR is set before it is imported.
"""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)  # fmt: skip
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from budgetnet.serve.jobs import Batch
from budgetnet.serve.models import Models

SHARED = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST
ROUTES = frozenset({"/", "/docs", "/healthz", "/metrics", "/openapi.json", "/readyz", "/v1/gallery", "/v1/models", "/v1/predict"})
SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


def forget_dead_workers() -> None:
    """Remove the live gauges of workers that have died, from the folder that all of them share."""
    for file in Path(os.environ[SHARED]).glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid)


class Metrics:
    """The metrics of one application."""

    def __init__(self, models: Models) -> None:
        disable_created_metrics()
        self._registry = CollectorRegistry()
        if SHARED not in os.environ:
            for collector in (ProcessCollector, PlatformCollector, GCCollector):
                collector(registry=self._registry)
        here = self._registry
        self._http = Histogram(
            "budgetnet_http_seconds", "From headers to answer; _count is of requests.", ("route", "status"), registry=here, buckets=SECONDS
        )
        self._queue = Histogram("budgetnet_queue_seconds", "In the queue, before a batch.", ("model",), registry=here, buckets=SECONDS)
        self._model = Histogram("budgetnet_model_seconds", "A batch in the model.", ("model",), registry=here, buckets=SECONDS)
        self._sizes = Histogram("budgetnet_batch_images", "Images of a batch.", ("model",), registry=here, buckets=IMAGES)
        self._waiting = Gauge("budgetnet_queue_images", "Images that wait.", registry=here, multiprocess_mode="livesum")
        info = Gauge(
            "budgetnet_model_info", "What is served.", ("model", "backend", "precision", "parameters"), registry=here,
            multiprocess_mode="max",
        )  # fmt: skip
        for one in models:
            told = one.as_json()
            info.labels(one.name, told["backend"], told["precision"], str(told["parameters"])).set(1)
        self._answered: dict[tuple[str, int], Histogram] = {}
        self._batched = {one.name: tuple(each.labels(one.name) for each in (self._queue, self._model, self._sizes)) for one in models}

    def request(self, path: str, status: int, seconds: float) -> None:
        route = path if path in ROUTES else "/static" if path.startswith("/static/") else "other"
        known = self._answered.get((route, status))
        if known is None:
            known = self._answered[route, status] = self._http.labels(route, str(status))
        known.observe(seconds)

    def batch(self, batch: Batch, seconds: float, waiting: int) -> None:
        """Record a batch; ``waiting`` images are left in the queue. The server's own requests are left out."""
        parts = [job for job, start, _ in batch.parts if start == 0 and job.watched]
        if not parts and not any(job.watched for job, _, _ in batch.parts):
            return
        queue, model, sizes = self._batched[batch.model.name]
        model.observe(seconds)
        sizes.observe(batch.number)
        for job in parts:
            queue.observe(job.started - job.since)
        self._waiting.set(waiting)

    def text(self) -> bytes:
        """Return the metrics in Prometheus's format, of all workers together."""
        registry = self._registry
        if SHARED in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry)
