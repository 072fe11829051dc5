"""Results of the inference benchmark: percentiles, images per second, ratios to the baseline, a table and a plot."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from budgetnet.report.text import aligned

LEAST_CALLS, MOST_CALLS = 5, 5000


@dataclass
class Measured:
    """One way to predict: ``rounds`` holds, by batch size, the seconds of every call of every round."""

    name: str
    artifact: dict[str, Any] | None = None
    expected: dict[int, float] = field(default_factory=dict)
    best_batch: int = 0
    rounds: dict[int, list[list[float]]] = field(default_factory=dict)
    peak_mib: float = 0.0

    def expect(self, batch: int, seconds: float) -> None:
        self.expected[batch] = seconds

    def calls(self, batch: int, seconds: float) -> int:
        """Return how many calls fill a turn."""
        return int(min(max(seconds / self.expected[batch], LEAST_CALLS), MOST_CALLS))

    def settle(self) -> None:
        """Choose the batch size with the most images per second, from the warm-up."""
        self.best_batch = max((batch for batch in self.expected if batch > 1), key=lambda batch: batch / self.expected[batch])

    def last_ms(self, batch: int) -> float:
        return 1e3 * statistics.median(self.rounds[batch][-1])

    def medians(self, batch: int) -> list[float]:
        """The median seconds of a call, round by round."""
        return [statistics.median(seconds) for seconds in self.rounds[batch]]


def figures(own: Measured, baseline: Measured | None, one: int, many: int) -> dict[str, Any]:
    """Milliseconds at batch ``one``, images per second at ``many`` and at the best batch; ratios round by round, above 1 is faster."""
    latencies = np.concatenate(own.rounds[one])
    p50, p95, p99 = (1e3 * float(np.percentile(latencies, q)) for q in (50, 95, 99))
    found: dict[str, Any] = {
        "calls": len(latencies), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99,
        "many_images_per_second": many / statistics.median(own.medians(many)), "best_batch": own.best_batch,
        "best_images_per_second": own.best_batch / statistics.median(own.medians(own.best_batch)), "peak_mib": own.peak_mib,
    }  # fmt: skip
    found |= own.artifact or {}
    if baseline is not None:
        for name, batch in (("ratio_one", one), ("ratio_many", many)):
            pairs = zip(baseline.medians(batch), own.medians(batch), strict=True)
            found[name] = statistics.median(base / mine for base, mine in pairs)
    return found


def content(measured: Sequence[Measured], baseline: str, one: int, many: int) -> dict[str, dict[str, Any]]:
    """The figures by name, the quickest for one image first."""
    base = next((own for own in measured if own.name == baseline), None)
    found = {own.name: figures(own, base, one, many) for own in measured}
    return dict(sorted(found.items(), key=lambda item: item[1]["p50_ms"]))


def table(found: dict[str, dict[str, Any]]) -> str:
    heads = (
        "",
        "p50 ms",
        "p95",
        "p99",
        "ratio",
        "64: images/s",
        "ratio",
        "best batch",
        "images/s",
        "MiB",
        "kB",
        "build s",
        "largest Δ",
        "changed",
    )
    rows: list[tuple[Any, ...]] = [heads]
    for name, own in found.items():
        parity = own.get("parity")
        rows.append((
            name, f"{own['p50_ms']:.3f}", f"{own['p95_ms']:.3f}", f"{own['p99_ms']:.3f}", _times(own.get("ratio_one")),
            f"{own['many_images_per_second']:,.0f}", _times(own.get("ratio_many")), own["best_batch"],
            f"{own['best_images_per_second']:,.0f}", f"{own['peak_mib']:,.0f}",
            f"{own['bytes'] / 1000:,.0f}" if "bytes" in own else "–", f"{own['build_seconds']:.1f}" if "build_seconds" in own else "–",
            f"{parity['largest_difference']:.1e}" if parity else "–", parity["changed"] if parity else "–",
        ))  # fmt: skip
    return aligned(rows, right=set(range(1, len(heads))))


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}×"


def plot(experiments: dict[str, dict[str, Any]], baseline: str, title: str, path: Path) -> None:
    """A row an experiment: latency of one image, up to its 99th percentile, and images per second at batch 64; the baseline in grey."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    most = max(len(found["entries"]) for found in experiments.values())
    size = (11, (0.34 * most + 1.1) * len(experiments))
    figure, panels = plt.subplots(len(experiments), 2, figsize=size, squeeze=False, layout="constrained", sharex="col", sharey="row")
    for (experiment, found), (left, right) in zip(experiments.items(), panels, strict=True):
        entries = dict(reversed(found["entries"].items()))
        places = range(len(entries))
        p50 = [own["p50_ms"] for own in entries.values()]
        colours = ["0.45" if name == baseline else "#4c72b0" for name in entries]
        left.hlines(places, p50, [own["p99_ms"] for own in entries.values()], colors=colours, linewidth=1.5)
        left.scatter(p50, places, color=colours, zorder=3)
        left.set_xscale("log")
        left.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        left.xaxis.set_minor_formatter(NullFormatter())
        left.set_yticks(places, [*entries])
        left.set_title(f"{experiment}: one image, milliseconds (p50, line to p99)", fontsize=10)
        speeds = [own["many_images_per_second"] for own in entries.values()]
        right.barh(places, speeds, color=colours, height=0.6)
        right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        right.set_title("64 images at once: images a second", fontsize=10)
        for panel in (left, right):
            panel.grid(axis="x", alpha=0.3)
            panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    plt.close(figure)
