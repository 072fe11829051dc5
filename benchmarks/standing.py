"""Results of a contest: medians, ratios to the fastest peer, a table and JSON-ready figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.contest import Record

EPOCH = 60_000  # images


def median(record: Record) -> float:
    return statistics.median(record.speeds)


def fastest_peer(records: Sequence[Record]) -> Record | None:
    """The peer with the highest median; None where no peer took part."""
    return max((record for record in records if record.entrant.peer), key=median, default=None)


def figures(record: Record, fastest: Record | None) -> dict[str, Any]:
    """Images per second, seconds an epoch, MiB; ratios are taken round by round, above 1 is faster than ``fastest``."""
    found: dict[str, Any] = {
        "description": record.description, "peer": record.entrant.peer, "processes": record.entrant.processes,
        "parameters": record.parameters, "batch_size": record.entrant.batch_size, "images_a_turn": record.images,
        "images_per_second": record.speeds, "median": median(record), "min": min(record.speeds), "max": max(record.speeds),
        "seconds_per_epoch": EPOCH / median(record), "peak_mib": record.peak_mib,
    }  # fmt: skip
    if record.device_mib is not None:
        found["device_peak_mib"] = record.device_mib
    if fastest is not None:
        ratios = [own / peer for own, peer in zip(record.speeds, fastest.speeds, strict=True)]
        found |= {"ratios": ratios, "ratio_to_fastest_peer": statistics.median(ratios)}
    return found


def content(records: Sequence[Record], left_out: dict[str, str]) -> dict[str, Any]:
    """All figures by the entrants' names, fastest first, and why entrants are missing."""
    fastest = fastest_peer(records)
    ordered = sorted(records, key=median, reverse=True)
    return {
        "fastest_peer": fastest and fastest.entrant.name,
        "entries": {record.entrant.name: figures(record, fastest) for record in ordered},
        "left_out": left_out,
    }


def table(found: dict[str, Any]) -> str:
    """The ``entries`` of ``content`` as text."""
    entries: dict[str, dict[str, Any]] = found["entries"]
    columns = {
        "images/s": ("median", ",.0f"), "min": ("min", ",.0f"), "max": ("max", ",.0f"), "s/epoch": ("seconds_per_epoch", ".1f"),
        "ratio": ("ratio_to_fastest_peer", ".2f"), "MiB": ("peak_mib", ",.0f"), "GPU MiB": ("device_peak_mib", ",.0f"),
    }  # fmt: skip
    columns = {head: column for head, column in columns.items() if any(column[0] in entry for entry in entries.values())}
    wide = max(map(len, entries), default=0) + 2
    lines = [" " * wide + "".join(f"{head:>10}" for head in columns)]
    for name, entry in entries.items():
        cells = [format(entry[key], form) if key in entry else "–" for key, form in columns.values()]
        lines.append(f"{name:<{wide}}" + "".join(f"{cell:>10}" for cell in cells))
    return "\n".join(lines)
