"""JSON values in sentences."""

from __future__ import annotations

from typing import Any


def told(value: Any) -> str:
    """A value, never more than a few words of it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with {len(value)} fields"
    if isinstance(value, str):
        return f"the text {value[:20] + ('…' if len(value) > 20 else '')!r}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
