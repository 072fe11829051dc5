"""Inference: latency of one image, throughput of 64 and of the best batch, memory, size and build time of every backend.

    python -m benchmarks.inference [step-13 …] [--rounds 7] [--seconds 0.5] [--threads 1] [--plot FILE] [--json FILE]

Every backend that this machine can run, in every precision that it has, is compiled from the committed weights (or ``runs/``), held against
the trained network, and then measured in a process of its own, in turns. "plain torch" is the trained network itself, called
as training calls it; all others go through Predictor, whose checks and conversions are in their figures. ``--catalogue``
measures step-09 to step-13 and lenet.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import inference_standing as standing
from benchmarks import task
from benchmarks.inference_server import Fallen, Server, Source
from benchmarks.inference_standing import Measured
from budgetnet.catalogue import load_default
from budgetnet.commands.reporting import result_roots
from budgetnet.data.files import find_data, load_files
from budgetnet.definition import Experiment
from budgetnet.inference import backends
from budgetnet.inference.artifact import read_sidecar
from budgetnet.weights import WeightsError, find_weights

CATALOGUE = ("step-09", "step-10", "step-11", "step-12", "step-13", "lenet")
PLAIN = "plain torch fp32"
ONE, MANY = 1, 64
BATCHES = (16, 32, 64, 128, 256)
LARGEST = max(BATCHES)


def compiled(experiment: Experiment, device: str, root: Path, only: Sequence[str], say: Callable[[str], None]) -> list[Source]:
    """An artifact of every backend and precision that this machine has; what cannot be compiled is said and left out."""
    found = []
    for name in only or backends.PREFERENCE[device]:
        for precision in backends.backend(name).precisions.get(device, ()):
            command = [sys.executable, "-m", "budgetnet", "compile", experiment.name, "--backend", name, "--precision", precision]
            options = ["--device", device, "--out", str(root), "--max-batch", str(LARGEST)]
            done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
            if done.returncode:
                say(f"left out: {name} {precision}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
                continue
            folder = next(root.glob(f"{experiment.name}/seed-*/{name}-{precision}"))
            say(f"compiled: {name} {precision}")
            found.append(Source(f"{name} {precision}", artifact=folder))
    return found


def measure(
    sources: Sequence[Source], images: npt.NDArray[np.uint8], rounds: int, seconds: float, threads: int, say: Callable[[str], None]
) -> list[Measured]:
    """Warm every source up, find its best batch, then let all take turns; one that falls on the way is said and left out."""
    with contextlib.ExitStack() as stack:
        running: list[tuple[Server, Measured]] = []
        for source in sources:
            server = stack.enter_context(Server(source, images, threads))
            try:
                server.ready()
                own = Measured(source.name, _sidecar(source))
                for batch in dict.fromkeys((ONE, MANY, *BATCHES)):
                    _turn(server, own, batch, seconds / 5)
                own.settle()
            except Fallen as reason:
                say(f"left out: {source.name}: {reason}")
                continue
            say(f"warm: {source.name}; best batch {own.best_batch}")
            running.append((server, own))
        for number in range(1, rounds + 1):
            for server, own in [*running]:
                try:
                    for batch in dict.fromkeys((ONE, MANY, own.best_batch)):
                        own.rounds.setdefault(batch, []).append(server.seconds(batch, own.calls(batch, seconds)))
                    own.peak_mib = server.peak_mib()
                except Fallen as reason:
                    say(f"left out: {own.name}: {reason}")
                    running.remove((server, own))
            say(f"round {number}/{rounds}: " + "  ".join(f"{own.name} {own.last_ms(ONE):.3f}" for _, own in running))
        return [own for _, own in running]


def _turn(server: Server, own: Measured, batch: int, seconds: float) -> None:
    """A short, unrecorded turn: the first calls compile and allocate, the next say how long a call takes."""
    server.seconds(batch, 3)
    own.expect(batch, min(server.seconds(batch, 5)))
    own.expect(batch, float(np.median(server.seconds(batch, own.calls(batch, seconds)))))


def _sidecar(source: Source) -> dict[str, Any] | None:
    if source.artifact is None:
        return None
    sidecar = read_sidecar(source.artifact)
    return {"bytes": sidecar.bytes, "build_seconds": sidecar.build_seconds, "parity": dict(sidecar.parity), "fixed": sidecar.fixed_batches}


def trained(experiments: Sequence[Experiment], demanded: bool) -> dict[Experiment, Path]:
    """The weights of every experiment, looked for before anything is measured; one without is said, and ends it if ``demanded``."""
    found = {}
    for experiment in experiments:
        try:
            found[experiment] = find_weights([Path("runs"), *result_roots()], experiment, None)
        except WeightsError as error:
            if demanded:
                sys.exit(f"benchmark: {error}")
            print(f"left out: {experiment.name}: {error}", flush=True)
    return found


def benchmark(experiment: Experiment, weights: Path, arguments: Any, root: Path) -> dict[str, Any]:
    """All figures of one experiment, JSON-ready; the baseline first."""

    def say(line: str) -> None:
        print(line, flush=True)

    say(f"\n{experiment.name}")
    images = load_files(experiment.data_set, find_data(experiment.data_set))[2][: 8 * LARGEST].copy()
    plain = Source(PLAIN, experiment=experiment.name, weights=weights, device=arguments.device)
    sources = [plain, *compiled(experiment, arguments.device, root, arguments.backends, say)]
    measured = measure(sources, images, arguments.rounds, arguments.seconds, arguments.threads, say)
    found = standing.content(measured, PLAIN, ONE, MANY)
    print(f"\n{standing.table(found)}", flush=True)
    return {"weights": str(weights), "entries": found}


def main() -> None:
    parser = task.parser(__doc__)
    parser.add_argument("experiments", nargs="*", default=["step-13"], help="default: step-13")
    parser.add_argument("--catalogue", action="store_true", help=f"measure {', '.join(CATALOGUE)}")
    parser.add_argument("--backends", nargs="+", choices=backends.NAMES, default=(), help="default: all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn at each batch size (default: 0.5)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plot", type=Path, default=Path("inference.png"), help="a PNG (default: inference.png)")
    arguments = parser.parse_args()
    task.require_data()
    experiments = load_default().select(CATALOGUE if arguments.catalogue else arguments.experiments)
    weights = trained(experiments, demanded=not arguments.catalogue)
    environment = task.environment(arguments.device)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        for experiment, own in weights.items():
            found[experiment.name] = benchmark(experiment, own, arguments, Path(directory))
            save(found, arguments, environment)  # what is measured is kept if the next one is interrupted
    print(f"plot: {arguments.plot}")


def save(found: dict[str, Any], arguments: Any, environment: dict[str, Any]) -> None:
    """The plot, and the JSON if it was asked for, of the experiments measured so far."""
    machine = environment.get("gpu") or f"{environment['cpu']}, threads: {arguments.threads}"
    standing.plot(found, PLAIN, machine, arguments.plot)
    if arguments.json:
        content = {"device": arguments.device, "threads": arguments.threads, "rounds": arguments.rounds, "turn_seconds": arguments.seconds}
        arguments.json.write_text(
            json.dumps(content | {"environment": environment, "experiments": found}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
