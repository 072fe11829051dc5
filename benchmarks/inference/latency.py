"""Inference on every backend: latency of one image, throughput of 64, memory, size, and build time.

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
from functools import partial
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

PLAIN = "plain torch fp32"
ONE, MANY = 1, 64
LEAST_CALLS, MOST_CALLS = 5, 5000

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Turn:
    """Seconds of every call with one image and with many, and the most memory so far."""

    one: list[float]
    many: list[float]
    peak_mib: float


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


def turn(worker: Worker, images: Images, seconds: float) -> Turn:
    """Raises Unavailable."""
    one, many = (worker.call("seconds", images, batch, seconds) for batch in (ONE, MANY))
    return Turn(one, many, worker.peak_mib())


def artifacts(name: str, device: str, root: Path, only: Sequence[str]) -> dict[str, Path]:
    """Compile for every backend and precision of this machine; one that cannot be compiled is reported and left out."""
    found = {}
    for backend in only or backends.PREFERENCE[device]:
        for precision in backends.backend(backend).precisions.get(device, ()):
            options = ("--device", device, "--max-batch", str(MANY))
            made = common.compile_artifact(name, backend, precision, root, *options)
            if isinstance(made, Path):
                found[f"{backend} {precision}"] = made
                say(f"compiled: {backend} {precision}")
            else:
                say(f"left out: {backend} {precision}: {made}")
    return found


def figures(turns: Sequence[Turn], baseline: Sequence[Turn] | None, artifact: Path | None) -> dict[str, Any]:
    """Return percentiles in milliseconds and images per second; ratios to the baseline, above 1 is faster."""
    latencies = 1e3 * np.concatenate([turn.one for turn in turns])
    found: dict[str, Any] = {"calls": len(latencies), "peak_mib": turns[-1].peak_mib}
    found |= {f"p{q}_ms": float(np.percentile(latencies, q)) for q in (50, 95, 99)}
    one, many = ([statistics.median(getattr(turn, name)) for turn in turns] for name in ("one", "many"))
    found["images_per_second"] = MANY / statistics.median(many)
    if baseline is not None:
        found["ratio_one"] = ratio([statistics.median(turn.one) for turn in baseline], one)._asdict()
        found["ratio_many"] = ratio([statistics.median(turn.many) for turn in baseline], many)._asdict()
    if artifact is not None:
        sidecar = read_sidecar(artifact)
        found |= {"bytes": sidecar.bytes, "build_seconds": sidecar.build_seconds, "parity": dict(sidecar.parity)}
    return found


def table(found: dict[str, dict[str, Any]]) -> str:
    heads = (
        "",
        "p50 ms",
        "p95",
        "p99",
        "ratio",
        f"{MANY}: images/s",
        "ratio",
        "MiB",
        "kB",
        "build s",
        "largest Δ",
        "changed",
    )
    rows: list[tuple[Any, ...]] = [heads]
    for name, own in found.items():
        one, many = (f"{own[key]['median']:.2f}×" if key in own else "–" for key in ("ratio_one", "ratio_many"))
        cells = [*(f"{own[f'p{q}_ms']:.3f}" for q in (50, 95, 99)), one]
        cells += [f"{own['images_per_second']:,.0f}", many, f"{own['peak_mib']:,.0f}"]
        if "parity" in own:
            cells += [f"{own['bytes'] / 1000:,.0f}", f"{own['build_seconds']:.1f}"]
            cells += [f"{own['parity']['largest_difference']:.1e}", str(own["parity"]["changed"])]
        rows.append((name, *cells, *["–"] * (11 - len(cells))))
    return aligned(rows, right=set(range(1, 12)))


def measure(experiment: Experiment, weights: Path, arguments: Any, root: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of one experiment by source, the quickest for one image first; JSON-ready."""
    images = common.load_data(experiment)[2][: 8 * MANY].copy()
    made: dict[str, Path] = artifacts(experiment.name, arguments.device, root, arguments.backends)
    module = "benchmarks.inference.latency"
    plain = {"experiment": experiment, "weights": weights, "device": arguments.device, "threads": arguments.threads}
    workers = {PLAIN: Worker(f"{module}:PlainTorch", plain)}
    for name, artifact in made.items():
        workers[name] = Worker(f"{module}:Compiled", {"artifact": artifact, "threads": arguments.threads})
    with contextlib.ExitStack() as stack:
        for worker in workers.values():
            stack.enter_context(worker)
        turning = {name: partial(turn, worker, images, arguments.seconds) for name, worker in workers.items()}
        turns, _ = alternate(turning, arguments.rounds)
    found = {name: figures(own, turns.get(PLAIN), made.get(name)) for name, own in turns.items()}
    return dict(sorted(found.items(), key=lambda item: item[1]["p50_ms"]))


def main() -> None:
    parser = common.make_parser(__doc__, rounds=7, seconds=0.5)
    common.add_device(parser)
    parser.add_argument("experiments", nargs="*", default=["step-13"], help="default: step-13")
    parser.add_argument("--backends", nargs="+", choices=backends.NAMES, default=(), help="default: all")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    content: dict[str, Any] = {"threads": arguments.threads, "turn_seconds": arguments.seconds, "experiments": {}}
    with tempfile.TemporaryDirectory() as directory:
        for experiment in load_default().select(arguments.experiments):
            try:
                weights = find_weights([Path("runs"), *result_roots()], experiment, None)
            except WeightsError as error:
                sys.exit(f"benchmark: {error}")
            say(f"\n{experiment.name}")
            found = measure(experiment, weights, arguments, Path(directory))
            say(f"\n{table(found)}")
            content["experiments"][experiment.name] = {"weights": str(weights), "entries": found}
            common.write_json(arguments.json, content, arguments.device)  # keeps what is measured if interrupted


if __name__ == "__main__":
    main()
