"""``POST /v1/predict``, written against ASGI directly, because it has to be fast."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import orjson

from budgetnet.inference.pictures import doubt
from budgetnet.serve.asgi import JSON, Gone, Header, Receive, Scope, Send
from budgetnet.serve.batcher import Batcher
from budgetnet.serve.decoding import Decoders
from budgetnet.serve.inputs import OCTETS, PredictionInput, flag, kind_of, parse, parse_octets
from budgetnet.serve.jobs import Answer, Images
from budgetnet.serve.middleware import API, CLOSED, Keys, as_refusal
from budgetnet.serve.models import Models, Served
from budgetnet.serve.reading import LAST, Reader, discard
from budgetnet.serve.refusal import invalid, shutting_down

PATH = "/v1/predict"

log = logging.getLogger("budgetnet.serve")


class Predict:
    """The route: an ASGI application that never raises and returns the status of its response."""

    def __init__(self, models: Models, batcher: Batcher, reader: Reader, decoders: Decoders, keys: Keys | None) -> None:
        self._models, self._batcher, self._reader, self._decoders, self._keys = models, batcher, reader, decoders, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> int:
        more: tuple[Header, ...] = ()
        try:
            if self._keys is not None:
                self._keys.check(scope)
            status, body = 200, await self._answered(scope, receive)
        except Gone:
            return CLOSED
        except (Exception, asyncio.CancelledError) as error:  # cancelled is what is not finished when the server's time is over
            refusal = as_refusal(error, scope) if isinstance(error, Exception) else shutting_down()
            status, body, more = refusal.status, refusal.body, refusal.headers
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": status, "headers": [JSON, length, *API, *more]})
        unread = status in (413, 503) and LAST in more
        await send({"type": "http.response.body", "body": body, "more_body": unread})
        if unread:
            await discard(receive)
            await send({"type": "http.response.body", "body": b""})
        return status

    async def _answered(self, scope: Scope, receive: Receive) -> bytes:
        content_type, encoding, announced = _headers(scope)
        kind = kind_of(content_type, encoding)
        model, seen = _query(scope["query_string"]) if scope["query_string"] else (None, None)
        served = self._models.named(model)
        body = await self._reader.read(announced, receive)
        started = time.perf_counter()
        try:
            given = parse_octets(body) if kind == OCTETS else await parse(kind, content_type.decode("latin-1"), body, self._decoders)
        finally:
            self._reader.release(len(body))
            del body
        if given.model is not None:
            served = self._agreed(model, given.model)
        given.check_ink()
        scope["served"] = served.name, len(given.images)
        answer = await _answer_or_gone(self._batcher.submit(served, given.images), receive)
        return _written(served, given, answer, bool(given.seen if seen is None else seen), started)

    def _agreed(self, query: str | None, body: str) -> Served:
        if query not in (None, body):
            raise invalid(f"the query asks for the model {query[:80]!r} and the body for {body[:80]!r}; expected one of them", "model")
        return self._models.named(body)


async def _answer_or_gone(answer: asyncio.Future[Answer], receive: Receive) -> Answer:
    """Wait for the model; if the client disconnects first, cancel the computation and raise Gone."""
    await asyncio.sleep(0)  # the batcher answers most requests in this turn of the event loop
    if not answer.done():
        disconnected = asyncio.ensure_future(receive())
        try:
            await asyncio.wait((answer, disconnected), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise Gone
        finally:
            disconnected.cancel()
            answer.cancel()  # has no effect on one that is done
    return answer.result()


def _headers(scope: Scope) -> tuple[bytes, bytes, bytes]:
    """Return content type, content encoding and content length, each empty if it is not given."""
    kind = encoding = length = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"content-length":
            length = value
        elif name == b"content-encoding":
            encoding = value
    return kind, encoding, length


@lru_cache(64)
def _query(query: bytes) -> tuple[str | None, bool | None]:
    """Return ``model`` and ``seen`` of a query. Raises Refusal for other parameters, which would be misspelled."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in ("model", "seen"):
            raise invalid(f"the query has {name[:40]!r}; expected model or seen", name[:40])
        if name in found:
            raise invalid(f"the query has {name} twice; expected once", name)
        found[name] = value
    return found.get("model"), flag(found["seen"], "seen") if "seen" in found else None


def _written(served: Served, given: PredictionInput, answer: Answer, seen: bool, started: float) -> bytes:
    predictions: list[dict[str, Any]] = [
        {"digit": digit, "probabilities": probabilities} for digit, probabilities in zip(answer.digits, answer.probabilities, strict=True)
    ]
    for prediction, form in zip(predictions, given.forms, strict=False):
        warning = None if form is None else doubt(form.warning, prediction["probabilities"], served.predictor.contract.class_names)
        if warning is not None:
            prediction["warning"] = warning
    if seen:
        for prediction, image in zip(predictions, given.images, strict=True):
            prediction["seen"] = as_text(image)
    total = time.perf_counter() - started
    milliseconds = {
        "model": round(1000 * answer.computed, 3), "queue": round(1000 * answer.queued, 3), "total": round(1000 * total, 3),
    }  # fmt: skip
    return orjson.dumps(
        {"model": served.name, "parameters": served.facts.parameters, "predictions": predictions, "milliseconds": milliseconds}
    )


def as_text(image: Images) -> str:
    """Return the 784 pixels of an image as base64."""
    whole = image if image.dtype == np.uint8 else np.rint(image * 255).astype(np.uint8)
    return base64.b64encode(whole.tobytes()).decode()
