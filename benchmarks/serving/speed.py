"""The server against LitServe: requests per second and latency with 1 to 128 clients, single images and lists of 64.

    python -m benchmarks.serving.speed [step-13] [--rounds 5] [--seconds 2] [--clients 1 8 32 128]

Both serve one artifact (ONNX, float32, one thread) through the same Predictor, and get the same JSON from wrk, over
connections that stay open. They take turns; the others are stopped, since LitServe polls. Some answers of each are
checked against the offline predictor first. budgetnet's process runs on one core and wrk on another. LitServe has four
processes, with and without batches of up to 32 requests; it takes part on budgetnet's core and on all cores.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.serving import load
from benchmarks.serving.load import Load, Request
from benchmarks.serving.process import Server, free_port, split_cores
from benchmarks.turns import Unavailable, alternate, ratio, say
from budgetnet.catalogue import load_default
from budgetnet.inference.predictor import Predictor
from budgetnet.report.text import aligned

OURS, PEERS = "budgetnet", {"LitServe": 1, "LitServe, batches of 32": 32}
LIST = 64
TOLERANCE = 1e-5  # of a probability
QUEUE = 128 * LIST * 2  # images that may wait, so that nothing is refused: LitServe refuses nothing

Turn = tuple[Load, float]  # with the server's processor milliseconds a request


def turn(server: Server, cores: set[int], manifest: Path, last: Request, clients: int, seconds: int) -> Turn:
    """Load one server while all others are stopped; ``last`` waits for what wrk leaves behind. Raises Unavailable."""
    server.place(cores)
    before = server.processor_seconds()
    server.go_on()
    try:
        found = load.finish(load.start(server.port, manifest, clients, seconds))
        server.ask(last.path, last.body, last.content_type)
    except OSError as error:
        raise Unavailable(str(error)) from error
    finally:
        server.stop()
    if found.refused or found.failed or found.unconnected or not found.requests:
        raise Unavailable(f"refused or failed requests: {found}")
    return found, 1e3 * (server.processor_seconds() - before) / found.requests


def figures(turns: Mapping[str, Sequence[Turn]], images: int) -> dict[str, dict[str, Any]]:
    """Return the medians of every entrant, and budgetnet's ratios to the best peer, above 1 is better; JSON-ready."""
    found: dict[str, dict[str, Any]] = {}
    rates = {name: [one.rate for one, _ in own] for name, own in turns.items()}
    latencies = {name: [one.p50_ms for one, _ in own] for name, own in turns.items()}
    for name, own in turns.items():
        rate = statistics.median(rates[name])
        found[name] = {"requests_per_second": rate, "images_per_second": images * rate}
        found[name] |= {key: statistics.median(asdict(one)[key] for one, _ in own) for key in ("p50_ms", "p99_ms")}
        found[name] |= {"processor_ms": statistics.median(spent for _, spent in own), "rates": rates[name]}
    peers = [name for name in turns if name != OURS]
    if OURS in turns and peers:
        most = max(peers, key=lambda name: statistics.median(rates[name]))
        least = min(peers, key=lambda name: statistics.median(latencies[name]))
        found[OURS]["ratio_requests"] = ratio(rates[OURS], rates[most])._asdict()
        found[OURS]["ratio_p50"] = ratio(latencies[least], latencies[OURS])._asdict()
    return found


def table(found: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> str:
    columns = {
        "p50_ms": ".2f",
        "p99_ms": ".2f",
        "requests_per_second": ",.0f",
        "images_per_second": ",.0f",
        "processor_ms": ".2f",
    }
    heads = (
        "clients",
        "",
        "p50 ms",
        "p99 ms",
        "requests/s",
        "images/s",
        "processor ms",
        "p50 ratio",
        "requests/s ratio",
    )
    rows: list[tuple[Any, ...]] = [heads]
    for clients, entries in found.items():
        for name, own in entries.items():
            cells = [format(own[key], form) for key, form in columns.items()]
            for key in ("ratio_p50", "ratio_requests"):
                cells.append("{median:.2f} ({low:.2f} – {high:.2f})".format(**own[key]) if key in own else "")
            rows.append((clients, name, *cells))
    return aligned(rows, right={0, *range(2, 7)})


def servers(name: str, root: Path, artifact: Path, stack: contextlib.ExitStack) -> dict[str, Server]:
    """Start budgetnet's server and, where it is installed, LitServe; all stopped."""
    port, python = free_port(), [sys.executable, "-m"]
    command = [
        *python,
        "budgetnet",
        "serve",
        name,
        "--out",
        str(root),
        "--port",
        str(port),
        "--queue",
        str(QUEUE),
        "--threads",
        "1",
    ]
    found = {OURS: stack.enter_context(Server(command, port, "/readyz"))}
    for peer, batch in PEERS.items():
        if find_spec("litserve") is None:
            say(f"left out: {peer}: litserve is not installed: pip install --editable '.[bench]'")
            continue
        port = free_port()
        command = [*python, "benchmarks.serving.peer", str(artifact), "--port", str(port), "--batch", str(batch)]
        found[peer] = stack.enter_context(Server(command, port, "/health"))
    return found


def main() -> None:
    parser = common.make_parser(__doc__, rounds=5)
    parser.add_argument("experiment", nargs="?", default="step-13", help="default: step-13")
    parser.add_argument(
        "--clients", nargs="+", type=int, default=(1, 8, 32, 128), metavar="N", help="default: 1 8 32 128"
    )
    parser.add_argument("--seconds", type=int, default=2, help="length of a turn, whole seconds (default: 2)")
    arguments = parser.parse_args()
    load.require_wrk()
    experiment = load_default()[arguments.experiment]
    images = common.load_data(experiment)[2][: 32 * LIST, 0].copy()
    content: dict[str, dict[int, Any]] = {}
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        root = Path(directory)
        artifact = common.compile_artifact(experiment.name, "onnx", "fp32", root / "compiled")
        if not isinstance(artifact, Path):
            sys.exit(f"benchmark: {experiment.name} cannot be compiled: {artifact}")
        started = servers(experiment.name, root / "compiled", artifact, stack)
        payloads = {1: [load.in_json(image[None]) for image in images[:512]]}
        payloads[LIST] = [load.in_json(group) for group in images.reshape(-1, LIST, 28, 28)]
        predictor, (own_core, clients_core) = Predictor.load(artifact), split_cores()
        expected = predictor.predict(images[:4]).probabilities
        placed = {OURS: (started[OURS], own_core)}
        try:
            for name, server in started.items():
                server.ready()
                if np.abs(np.concatenate(load.answers(server, payloads[1][:4])) - expected).max() > TOLERANCE:
                    sys.exit(f"benchmark: wrong answers from {name}")
                if name != OURS:
                    placed |= {name: (server, own_core), f"{name}, all cores": (server, own_core | clients_core)}
        except (Unavailable, OSError) as error:
            sys.exit(f"benchmark: {error}")
        started[OURS].wait_until_idle()
        for server in started.values():
            server.stop()
        for size, requests in payloads.items():
            manifest = load.write_requests(requests, root / str(size))
            found = content[f"{size} images"] = {}
            for clients in arguments.clients:
                say(f"images a request: {size}, clients: {clients}")
                turns = {
                    name: partial(turn, server, cores, manifest, requests[0], clients, arguments.seconds)
                    for name, (server, cores) in placed.items()
                }
                measured, _ = alternate(turns, arguments.rounds)
                found[clients] = figures(measured, size)
            say(f"\nimages a request: {size}\n{table(found)}")
    common.write_json(
        arguments.json, {"experiment": experiment.name, "turn_seconds": arguments.seconds, "payloads": content}
    )


if __name__ == "__main__":
    main()
