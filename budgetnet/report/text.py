"""Tables as text columns, for every command and report that prints one; imports nothing, so that a listing answers at once."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any


def aligned(rows: Sequence[Sequence[Any]], right: Container[int], ruled: bool = True) -> str:
    """Rows as text columns; the first row is the header, with a rule below it if ``ruled``; columns in ``right`` are right-aligned."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else "–" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in cells
    ]
    rule = ["  ".join("─" * width for width in widths).rstrip()] if ruled else []
    return "\n".join([lines[0], *rule, *lines[1:]])
