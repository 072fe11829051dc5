"""The answers in OpenAPI: what a 200 holds, and of the errors, which have one schema, what every status means."""

from __future__ import annotations

from typing import Any

from budgetnet.serve.schemas import Error

MEANINGS = {
    400: "The body is not what its content type says.",
    401: "The API key is missing or wrong.",
    404: "There is no such model.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or its pictures take too long to decode.",
    415: "The content type is none of those that are taken.",
    422: "It was understood and cannot be done; `field` says what is wrong.",
    503: "Busy, warming up, shutting down, or failed; try again after `Retry-After` seconds.",
}


def answer(description: str) -> dict[int | str, dict[str, Any]]:
    """For ``responses``: what a 200 holds, in words."""
    return {200: {"description": description}}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For FastAPI's ``responses``."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {"model": Error, "description": MEANINGS[status]}
        if status == 503:
            found[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return found
