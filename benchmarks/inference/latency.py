"""Inference on every backend: latency of one image, throughput of 64 and of the best batch, memory, size, build time.

    python -m benchmarks.inference.latency [step-13 …] [--rounds 7] [--seconds 0.5] [--threads 1] [--backends onnx …]

Every backend of this machine, in every precision, is compiled from the weights in ``runs/`` or the committed ones,
verified against the trained network, and measured in a process of its own, in turns. "plain torch" is the trained
network as training calls it; all others include Predictor's checks and conversions.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import common
from benchmarks.turns import Worker, alternate, ratio, say
from budgetnet.catalogue import load_default
from budgetnet.commands.reporting import result_roots
from budgetnet.definition import Experiment
from budgetnet.inference import backends
from budgetnet.inference.artifact import read_sidecar
from budgetnet.report.text import aligned
from budgetnet.weights import WeightsError, find_weights

CATALOGUE = ("step-09", "step-10", "step-11", "step-12", "step-13", "lenet")
PLAIN = "plain torch fp32"
ONE, MANY = 1, 64
BATCHES = (16, 32, 64, 128, 256)
LEAST_CALLS, MOST_CALLS = 5, 5000

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Turn:
    """Seconds of every call, by batch size."""

    seconds: dict[int, list[float]]
    best_batch: int
    peak_mib: float

    def median(self, batch: int) -> float:
        return statistics.median(self.seconds[batch])


class Timer:
    """Base of the networks in processes of their own: ``call`` predicts uint8 images (N, C, H, W)."""

    call: Callable[[Images], object]

    def seconds(self, images: Images, batch: int, length: float) -> list[float]:
        """Return the seconds of each call in a turn of ``length`` seconds, each on other images."""
        found: list[float] = []
        began = time.perf_counter()
        while len(found) < LEAST_CALLS or (time.perf_counter() - began < length and len(found) < MOST_CALLS):
            start = len(found) % (len(images) // batch) * batch
            some = images[start : start + batch]
            before = time.perf_counter()
            self.call(some)
            found.append(time.perf_counter() - before)
        return found


class Compiled(Timer):
    def __init__(self, artifact: Path, threads: int) -> None:
        from budgetnet.inference.predictor import Predictor

        self.call = Predictor.load(artifact, threads).logits


class PlainTorch(Timer):
    def __init__(self, experiment: Experiment, weights: Path, device: str, threads: int) -> None:
        import torch

        from budgetnet.data.resident import to_input
        from budgetnet.weights import load_trained

        torch.set_num_threads(threads)
        model, data_set = load_trained(experiment, weights).model.to(device), experiment.data_set

        @torch.inference_mode()
        def call(images: Images) -> object:
            return model(to_input(torch.from_numpy(images).to(device), data_set.mean, data_set.std)).cpu()

        self.call = call


class Source:
    """A way to predict; its first turn finds its best batch size."""

    def __init__(self, worker: Worker, images: Images, seconds: float) -> None:
        self._worker, self._images, self._seconds, self._best = worker, images, seconds, 0

    def turn(self) -> Turn:
        """Raises Unavailable."""
        if not self._best:
            warm = {batch: self._timed(batch, self._seconds / 5) for batch in (*BATCHES, ONE)}
            self._best = max(BATCHES, key=lambda batch: batch / statistics.median(warm[batch]))
        found = {batch: self._timed(batch, self._seconds) for batch in dict.fromkeys((ONE, MANY, self._best))}
        return Turn(found, self._best, self._worker.peak_mib())

    def _timed(self, batch: int, length: float) -> list[float]:
        found: list[float] = self._worker.call("seconds", self._images, batch, length)
        return found


def artifacts(name: str, device: str, root: Path, only: Sequence[str]) -> dict[str, Path]:
    """Compile for every backend and precision of this machine; one that cannot be compiled is reported and left out."""
    found = {}
    for backend in only or backends.PREFERENCE[device]:
        for precision in backends.backend(backend).precisions.get(device, ()):
            options = ("--device", device, "--max-batch", str(max(BATCHES)))
            made = common.compile_artifact(name, backend, precision, root, *options)
            if isinstance(made, Path):
                found[f"{backend} {precision}"] = made
                say(f"compiled: {backend} {precision}")
            else:
                say(f"left out: {backend} {precision}: {made}")
    return found


def figures(turns: Sequence[Turn], baseline: Sequence[Turn] | None, artifact: Path | None) -> dict[str, Any]:
    """Return percentiles in milliseconds and images per second; ratios to the baseline, above 1 is faster."""
    latencies = 1e3 * np.concatenate([turn.seconds[ONE] for turn in turns])
    found: dict[str, Any] = {"calls": len(latencies)}
    found |= {f"p{q}_ms": float(np.percentile(latencies, q)) for q in (50, 95, 99)}
    for name, batch in (("many", MANY), ("best", turns[0].best_batch)):
        found[f"{name}_images_per_second"] = batch / statistics.median(turn.median(batch) for turn in turns)
    found |= {"best_batch": turns[0].best_batch, "peak_mib": turns[-1].peak_mib}
    if baseline is not None:
        for name, batch in (("ratio_one", ONE), ("ratio_many", MANY)):
            pairs = ([turn.median(batch) for turn in side] for side in (baseline, turns))
            found[name] = ratio(*pairs)._asdict()
    if artifact is not None:
        sidecar = read_sidecar(artifact)
        found |= {"bytes": sidecar.bytes, "build_seconds": sidecar.build_seconds, "parity": dict(sidecar.parity)}
    return found


def table(found: dict[str, dict[str, Any]]) -> str:
    heads = ("", "p50 ms", "p95", "p99", "ratio", "64: images/s", "ratio", "best batch", "images/s", "MiB")
    rows: list[tuple[Any, ...]] = [(*heads, "kB", "build s", "largest Δ", "changed")]
    for name, own in found.items():
        one, many = (f"{own[key]['median']:.2f}×" if key in own else "–" for key in ("ratio_one", "ratio_many"))
        latencies = (f"{own[f'p{q}_ms']:.3f}" for q in (50, 95, 99))
        speeds = (f"{own['many_images_per_second']:,.0f}", many, own["best_batch"], f"{own['best_images_per_second']:,.0f}")
        made: tuple[Any, ...] = ("–",) * 4
        if "parity" in own:
            parity = own["parity"]
            made = (f"{own['bytes'] / 1000:,.0f}", f"{own['build_seconds']:.1f}")
            made += (f"{parity['largest_difference']:.1e}", parity["changed"])
        rows.append((name, *latencies, one, *speeds, f"{own['peak_mib']:,.0f}", *made))
    return aligned(rows, right=set(range(1, 14)))


def measure(experiment: Experiment, weights: Path, arguments: Any, root: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of one experiment by source, the quickest for one image first; JSON-ready."""
    images = common.load_data(experiment)[2][: 8 * max(BATCHES)].copy()
    made: dict[str, Path] = artifacts(experiment.name, arguments.device, root, arguments.backends)
    module = "benchmarks.inference.latency"
    plain = {"experiment": experiment, "weights": weights, "device": arguments.device, "threads": arguments.threads}
    workers = {PLAIN: Worker(f"{module}:PlainTorch", plain)}
    for name, artifact in made.items():
        workers[name] = Worker(f"{module}:Compiled", {"artifact": artifact, "threads": arguments.threads})
    with contextlib.ExitStack() as stack:
        for worker in workers.values():
            stack.enter_context(worker)
        sources = {name: Source(worker, images, arguments.seconds) for name, worker in workers.items()}
        turns, _ = alternate({name: source.turn for name, source in sources.items()}, arguments.rounds)
    found = {name: figures(own, turns.get(PLAIN), made.get(name)) for name, own in turns.items()}
    return dict(sorted(found.items(), key=lambda item: item[1]["p50_ms"]))


def main() -> None:
    parser = common.make_parser(__doc__, rounds=7, seconds=0.5)
    common.add_device(parser)
    parser.add_argument("experiments", nargs="*", default=["step-13"], help="default: step-13")
    parser.add_argument("--catalogue", action="store_true", help=f"measure {', '.join(CATALOGUE)}")
    parser.add_argument("--backends", nargs="+", choices=backends.NAMES, default=(), help="default: all")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    content: dict[str, Any] = {"threads": arguments.threads, "turn_seconds": arguments.seconds, "experiments": {}}
    with tempfile.TemporaryDirectory() as directory:
        for experiment in load_default().select(CATALOGUE if arguments.catalogue else arguments.experiments):
            try:
                weights = find_weights([Path("runs"), *result_roots()], experiment, None)
            except WeightsError as error:
                if not arguments.catalogue:
                    sys.exit(f"benchmark: {error}")
                say(f"left out: {experiment.name}: {error}")
                continue
            say(f"\n{experiment.name}")
            found = measure(experiment, weights, arguments, Path(directory))
            say(f"\n{table(found)}")
            content["experiments"][experiment.name] = {"weights": str(weights), "entries": found}
            common.write_json(arguments.json, content, arguments.device)  # keeps what is measured if interrupted


if __name__ == "__main__":
    main()
