"""Worst errors of the test set for every served model, computed in the background through the batcher."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from budgetnet.serve.batcher import Batcher
from budgetnet.serve.models import Models, Served
from budgetnet.serve.refusal import Refusal

SHOWN = 24
CHUNK = 32  # images; requests come in between

log = logging.getLogger("budgetnet.serve")


class Gallery:
    """Answers of ``/v1/gallery``; without images until they are computed."""

    def __init__(self, models: Models) -> None:
        self._found: dict[str, dict[str, Any]] = {one.name: _empty(one, "the test set is still being looked through") for one in models}
        self._models = models

    def of(self, served: Served) -> dict[str, Any]:
        return self._found[served.name]

    async def compute(self, batcher: Batcher) -> None:
        """Predict the test set with every model, one after the other."""
        for served in self._models:
            try:
                images, labels = await asyncio.to_thread(served.offer.test_set)
                self._found[served.name] = await _errors(served, images, labels, batcher)
            except LookupError as error:
                self._found[served.name] = _empty(served, str(error.args[0]))
            except Refusal as refusal:
                self._found[served.name] = _empty(served, refusal.message)


def _empty(served: Served, message: str) -> dict[str, Any]:
    return {"model": served.name, "images": [], "errors": 0, "message": message}


async def _errors(served: Served, images: npt.NDArray[np.uint8], labels: npt.NDArray[Any], batcher: Batcher) -> dict[str, Any]:
    probabilities = []
    for start in range(0, len(images), CHUNK):
        probabilities += await _said(served, np.asarray(images[start : start + CHUNK, 0]), batcher)
    said = np.array(probabilities)
    digits = said.argmax(1)
    wrong = np.flatnonzero(digits != labels)
    surest = wrong[np.argsort(-said[wrong, digits[wrong]], kind="stable")]
    shown = [
        {
            "index": int(place), "label": int(labels[place]), "digit": int(digits[place]),
            "probability": float(said[place, digits[place]]), "pixels": base64.b64encode(images[place].tobytes()).decode(),
        }
        for place in surest[:SHOWN]
    ]  # fmt: skip
    return {"model": served.name, "images": shown, "errors": len(wrong), "message": None}


async def _said(served: Served, images: npt.NDArray[np.uint8], batcher: Batcher) -> list[list[float]]:
    while True:
        try:
            return (await batcher.submit(served, images, watched=False)).probabilities
        except Refusal as refusal:
            if refusal.code != "busy":
                raise
            await asyncio.sleep(1)
