"""The routes with their OpenAPI descriptions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, cast

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from budgetnet.serve import schemas
from budgetnet.serve.asgi import App
from budgetnet.serve.document import predict as predict_document
from budgetnet.serve.document.answers import answer, errors
from budgetnet.serve.document.page import documentation
from budgetnet.serve.gallery import Gallery
from budgetnet.serve.metrics import CONTENT_TYPE, Metrics
from budgetnet.serve.models import Models
from budgetnet.serve.prediction import PATH
from budgetnet.serve.refusal import Refusal, invalid
from budgetnet.serve.settings import Settings
from budgetnet.serve.state import State

PAGE = Path(__file__).parent / "page"

Running = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def routes(models: Models, gallery: Gallery, metrics: Metrics, state: State, settings: Settings, predict: App, running: Running) -> App:
    app = FastAPI(
        title="budgetnet", summary="Which digit a picture shows, read by networks of a few thousand parameters.",
        version=predict_document.VERSION, lifespan=running, docs_url=None, redoc_url=None, redirect_slashes=False,
        responses=errors(401) if settings.api_key is not None else {},
    )  # fmt: skip
    _add_refusals(app)
    _add_prediction(app, predict)
    _add_models(app, models, gallery)
    _add_probes(app, metrics, state)
    _add_page(app)
    documentation(app, secured=settings.api_key is not None)
    return cast(App, app)


def _add_prediction(app: FastAPI, predict: App) -> None:
    class Relayed(Response):
        """A response that passes the request to the prediction's ASGI application."""

        def __init__(self) -> None:
            self.background = None

        __call__ = staticmethod(cast(Any, predict))

    @app.post(PATH, tags=["predictions"], **predict_document.OPERATION)
    async def predict_digits() -> Response:
        return Relayed()


def _add_models(app: FastAPI, models: Models, gallery: Gallery) -> None:
    @app.get("/v1/models", tags=["models"], summary="Served models", response_model=schemas.ModelList, responses=answer("The models."))
    async def list_models() -> Response:
        """The networks with their facts; `default` is used by requests that name none."""
        return as_json(models.as_json())

    @app.get("/v1/gallery", tags=["models"], summary="A model's worst errors", response_model=schemas.GalleryAnswer,
        responses=answer("The images, or why there are none.") | errors(404, 422),
    )  # fmt: skip
    async def worst_errors(request: Request, model: str | None = None) -> Response:
        """The test images that a model misclassifies with the highest probability."""
        if len(request.query_params.getlist("model")) > 1:
            raise invalid("the query has model twice; expected once", "model")
        return as_json(gallery.of(models.named(model)))


def _add_probes(app: FastAPI, metrics: Metrics, state: State) -> None:
    @app.get("/healthz", tags=["probes"], summary="Liveness", response_model=schemas.Health, responses=answer("The process answers."))
    async def healthy() -> Response:
        """200 while the process can answer."""
        return as_json({"status": "ok"})

    @app.get(
        "/readyz", tags=["probes"], summary="Readiness", response_model=schemas.Health, responses=answer("Ready.") | errors(503)
    )
    async def ready() -> Response:
        """503 while the models warm up."""
        state.check()
        return as_json({"status": "ready"})

    @app.get("/metrics", tags=["probes"], summary="Prometheus metrics", response_class=Response,
        responses={200: {"description": "Text format, all workers together.", "content": {"text/plain": {}}}},
    )  # fmt: skip
    async def prometheus() -> Response:
        """Time in HTTP, in the queue and in the model; batch sizes; queue length; served models."""
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html")

    app.mount("/static", StaticFiles(directory=PAGE))


def _add_refusals(app: FastAPI) -> None:
    """Every error as ``{"error": …}``."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return as_response(error)

    async def no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = tuple((name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items())
        if error.status_code == 405:
            told = (
                f"{request.method} is not for {request.url.path[:80]}; expected {dict(error.headers or {}).get('Allow', 'another method')}"
            )
            return as_response(Refusal(405, "wrong_method", told, headers=headers))
        told = f"there is nothing at {request.url.path[:80]}; see /docs"
        return as_response(Refusal(error.status_code, "not_found", told, headers=headers))

    async def not_valid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        return as_response(invalid(f"{field}: {first['msg']}", field))

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, no_route)
    app.add_exception_handler(RequestValidationError, not_valid)


def as_json(data: dict[str, Any]) -> Response:
    return Response(orjson.dumps(data), media_type="application/json")


def as_response(refusal: Refusal) -> Response:
    headers = {name.decode(): value.decode() for name, value in refusal.headers}
    return Response(refusal.body, refusal.status, headers, "application/json")
