"""Results of the contest of servers: percentiles, rates, where the time went, ratios to the best peer; as a table and as a plot."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving_client import Turn
from budgetnet.report.text import aligned

Rounds = Mapping[
    str, Sequence[tuple[Turn, float]]
]  # by entrant, in the order of the rounds: the turn, the server's processor seconds in it
Figures = dict[str, Any]

COLUMNS = {
    "p50 ms": ("p50_ms", ".2f"), "p95": ("p95_ms", ".2f"), "p99": ("p99_ms", ".2f"), "ratio": ("ratio_p50", ".2f"),
    "requests/s": ("requests_per_second", ",.0f"), "ratio ": ("ratio_requests", ".2f"), "images/s": ("images_per_second", ",.0f"),
    "model ms": ("model_ms", ".2f"), "queue": ("queue_ms", ".2f"), "rest": ("rest_ms", ".2f"), "processor": ("processor_ms", ".2f"),
    "client busy": ("client_busy", ".0%"),
}  # fmt: skip


def figures(rounds: Sequence[tuple[Turn, float]], images: int) -> Figures:
    """Milliseconds and rates of one entrant with one payload and so many clients.

    ``rest_ms`` is what a request takes outside of the model and, where it is told, the queue: HTTP, JSON, the kernel, the client.
    ``processor_ms`` is what a request costs the server's processes, whether they run at the same time or not.
    """
    turns = [turn for turn, _ in rounds]
    latencies = 1e3 * np.concatenate([turn.latencies for turn in turns])
    model, queue = np.concatenate([turn.model for turn in turns]), np.concatenate([turn.queue for turn in turns])
    told = not np.isnan(queue).any()
    p50, p95, p99 = (float(np.percentile(latencies, q)) for q in (50, 95, 99))
    rates = [turn.rate for turn in turns]
    return {
        "requests": len(latencies), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "requests_per_second": statistics.median(rates),
        "images_per_second": images * statistics.median(rates), "model_ms": float(np.median(model)),
        "queue_ms": float(np.median(queue)) if told else None,
        "rest_ms": float(np.median(latencies - model - (queue if told else 0.0))), "rates": rates,
        "processor_ms": statistics.median(1e3 * seconds / turn.answers for turn, seconds in rounds),
        "p50s_ms": [1e3 * float(np.median(turn.latencies)) for turn in turns], "client_busy": max(turn.busy for turn in turns),
    }  # fmt: skip


def content(rounds: Rounds, images: int, peers: Sequence[str]) -> dict[str, Figures]:
    """The figures by entrant; those that are no peer with ratios to the best peer, round by round: above 1 is better."""
    found = {name: figures(turns, images) for name, turns in rounds.items()}
    there = [name for name in peers if name in found]
    if there:
        most = found[max(there, key=lambda name: found[name]["requests_per_second"])]
        least = found[min(there, key=lambda name: found[name]["p50_ms"])]
        for name in found.keys() - set(peers):
            own = found[name]
            own["ratio_requests"] = _ratio(own["rates"], most["rates"])
            own["ratio_p50"] = _ratio(least["p50s_ms"], own["p50s_ms"])
    return found


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(above, below, strict=True))


def table(found: Mapping[int, Mapping[str, Figures]]) -> str:
    """A payload's figures by clients and entrant, as text."""
    heads = ("clients", "", *COLUMNS)
    rows: list[tuple[Any, ...]] = [heads]
    for clients, entries in found.items():
        for name, own in entries.items():
            cells = (format(own[key], form) if own.get(key) is not None else "–" for key, form in COLUMNS.values())
            rows.append((clients, name, *cells))
    return aligned(rows, right={0, *range(2, len(heads))})


def plot(payloads: Mapping[str, Mapping[int, Mapping[str, Figures]]], title: str, path: Path) -> None:
    """A row a payload: latency (p50, up to p99) and requests a second by clients; peers in grey."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure, panels = plt.subplots(len(payloads), 2, figsize=(11, 3.4 * len(payloads)), squeeze=False, layout="constrained")
    for (payload, found), (left, right) in zip(payloads.items(), panels, strict=True):
        names = list(next(iter(found.values())))
        for number, name in enumerate(names):
            entries = [entries[name] for entries in found.values()]
            places = np.arange(len(found)) + 0.08 * (number - (len(names) - 1) / 2)
            look = {"color": "#4c72b0", "marker": "o"} if "ratio_p50" in entries[0] else {"color": str(0.25 + 0.2 * number), "marker": "s"}
            left.vlines(places, [own["p50_ms"] for own in entries], [own["p99_ms"] for own in entries], color=look["color"], linewidth=1.2)
            left.plot(places, [own["p50_ms"] for own in entries], label=name, **look)
            right.plot(places, [own["requests_per_second"] for own in entries], label=name, **look)
        left.set_title(f"{payload} a request: milliseconds (p50, line to p99)", fontsize=10)
        right.set_title(f"{payload} a request: requests a second", fontsize=10)
        for panel in (left, right):
            panel.set_yscale("log")
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            panel.yaxis.set_minor_formatter(NullFormatter())
            panel.set_xticks(range(len(found)), [f"{clients:,}" for clients in found])
            panel.set_xlabel("clients")
            panel.grid(alpha=0.3)
            panel.spines[["top", "right"]].set_visible(False)
    panels[0][0].legend(frameon=False, fontsize=9)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    plt.close(figure)
