"""The ASGI application: models, batcher, routes and middleware."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import AsyncIterator
from typing import cast

from starlette.middleware.cors import CORSMiddleware

from budgetnet.serve.asgi import App, Receive, Scope, Send
from budgetnet.serve.batcher import Batcher
from budgetnet.serve.decoding import Decoders
from budgetnet.serve.gallery import Gallery
from budgetnet.serve.jobs import Batch
from budgetnet.serve.logs import Log
from budgetnet.serve.metrics import Metrics
from budgetnet.serve.middleware import Keys, Surroundings, host_allowed
from budgetnet.serve.models import Models
from budgetnet.serve.prediction import PATH, Predict
from budgetnet.serve.reading import Reader
from budgetnet.serve.routes import routes
from budgetnet.serve.settings import Settings
from budgetnet.serve.state import State

log = logging.getLogger("budgetnet.serve")


class Application:
    """The ASGI application. Batcher and decoder threads exist while ``running``."""

    def __init__(self, models: Models, settings: Settings, log: Log) -> None:
        self.state = State()
        self._models, self._settings = models, settings
        self._metrics = Metrics(models)
        self._gallery = Gallery(models)
        self._predict: Predict | None = None
        self._batcher: Batcher | None = None
        self._log = log
        self._keys = None if settings.api_key is None else Keys(settings.api_key)
        self._quick = not settings.cors_origins
        self._guarded = self._surrounded(routes(models, self._gallery, self._metrics, self.state, settings, self._predicted, self.running))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route a request. Predictions skip router and middleware, which cost more than the rest of a prediction; answers are the same."""
        quick = self._quick and scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST"
        if quick and host_allowed(scope, self._settings.allowed_hosts):
            started = time.perf_counter()
            status = await self._prediction()(scope, receive, send)
            self._observe_request(scope, status, time.perf_counter() - started)
        else:
            await self._guarded(scope, receive, send)

    def _prediction(self) -> Predict:
        assert self._predict is not None, "the application is not running"
        return self._predict

    async def _predicted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Predict, reached through the router."""
        await self._prediction()(scope, receive, send)

    @contextlib.asynccontextmanager
    async def running(self, _: object = None) -> AsyncIterator[None]:
        """Run the batcher and the threads on this event loop; warm the models and compute the gallery in the background."""
        self._batcher = batcher = Batcher(self._settings.queue, self._observe)
        decoders = Decoders()
        self._predict = Predict(self._models, batcher, Reader(self._settings.max_body, self._settings.timeout), decoders, self._keys)
        preparing = asyncio.create_task(self._prepare(batcher))
        try:
            yield
        finally:
            self.state.drain()
            preparing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await preparing
            batcher.close()
            decoders.close()
            for close in self.state.when_ended:
                close()

    async def _prepare(self, batcher: Batcher) -> None:
        try:
            for model in self._models:
                await batcher.warm(model)
            gc.collect()
            gc.freeze()  # the models stay alive: collecting them again and again costs some percent
            self.state.warmed()
            await self._gallery.compute(batcher)
        except Exception:
            log.exception("preparing the models failed")

    def _observe(self, batch: Batch, seconds: float) -> None:
        assert self._batcher is not None
        self._metrics.batch(batch, seconds, self._batcher.waiting)

    def _observe_request(self, scope: Scope, status: int, seconds: float) -> None:
        self._metrics.request(scope["path"], status, seconds)
        self._log.request(scope, status, seconds)

    def _surrounded(self, app: App) -> App:
        if self._keys is not None:
            app = self._keys.around(app)
        if self._settings.cors_origins:
            app = cast(
                App,
                CORSMiddleware(
                    app,
                    allow_origins=self._settings.cors_origins,
                    allow_methods=("GET", "POST"),
                    allow_headers=("Authorization", "Content-Type", "X-API-Key"),
                    expose_headers=("Retry-After",),
                    max_age=600,
                ),
            )
        return Surroundings(app, self._observe_request, self._settings.allowed_hosts)
