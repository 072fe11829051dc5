"""The server under more load than it can answer: its memory, its refusals, and its end in the middle of a load.

    python -m benchmarks.serving.soak [step-13 step-09] [--seconds 60] [--clients 256] [--endings 3]

wrk sends requests of every kind at once: bytes, JSON, lists, pictures, forms, for all models. A request may be answered
or refused with a 503, and some answers are compared before and after. Then the server gets SIGTERM under load, several
times, and the requests without an answer are counted. Among them are those whose connection the kernel had queued and
the server not accepted: wrk cannot tell them apart, and nothing is promised for them. Few clients keep that queue
short. Exit status 1 says that a request failed before the first SIGTERM, that memory grew by more than 5 %, that an
answer changed, that the server logged an error, or that it did not end with exit status 0.
"""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.serving import load
from benchmarks.serving.process import Server, free_port, split_cores
from benchmarks.turns import Unavailable, say
from budgetnet.catalogue import load_default

WARM = 5  # seconds of load before memory is watched
ENDING = 4  # seconds of load around a SIGTERM, which comes in the middle
GROWTH = 0.05  # of memory
TOLERANCE = 1e-5  # of a probability: batches of another size round differently


def soak(
    server: Server, requests: list[load.Request], manifest: Path, clients: int, seconds: int
) -> tuple[dict[str, Any], list[str]]:
    """Return figures of the load, and what is not as promised. Raises Unavailable."""
    before = load.answers(server, requests[:40])
    load.finish(load.start(server.port, manifest, clients, WARM))
    wrk, memory = load.start(server.port, manifest, clients, seconds), []
    while wrk.poll() is None:
        memory.append(server.resident_mib())
        time.sleep(0.5)
    counts = load.finish(wrk)
    server.wait_until_idle()  # until the requests that wrk has left behind are answered
    after = load.answers(server, requests[:40])
    first, most = statistics.median(memory[: max(1, len(memory) // 6)]), max(memory)
    say(
        f"{counts.rate:,.0f} answers a second, p50 {counts.p50_ms:.0f} ms, p99 {counts.p99_ms:.0f} ms; refused "
        f"{counts.refused:,} of {counts.requests:,}, failed {counts.failed}; memory {first:.0f} MiB, at most {most:.0f}"
    )
    broken = []
    if counts.failed or counts.unconnected:
        broken.append(f"{counts.failed} requests failed, {counts.unconnected} connections were refused")
    if most > (1 + GROWTH) * first:
        broken.append(f"memory grew from {first:.0f} to {most:.0f} MiB")
    if not all(np.allclose(one, other, rtol=0, atol=TOLERANCE) for one, other in zip(before, after, strict=True)):
        broken.append("an answer changed under load")
    return asdict(counts) | {"memory_mib": memory}, broken


def end(server: Server, manifest: Path, clients: int) -> dict[str, Any]:
    """Send SIGTERM under load; return the counts, the exit status and the seconds it took. Raises Unavailable."""
    wrk = load.start(server.port, manifest, clients, ENDING)
    time.sleep(ENDING / 2)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    try:
        status: int | None = server.process.wait(60)
    except subprocess.TimeoutExpired:
        status = None
    seconds = time.monotonic() - began
    counts = load.finish(wrk)
    say(f"SIGTERM: exit status {status}, {seconds:.2f} s; {counts.requests:,} answers, {counts.failed} missing")
    return asdict(counts) | {"exit_status": status, "ended_seconds": seconds}


def run(names: list[str], root: Path, arguments: Any) -> dict[str, Any]:
    """Soak the server, then end it several times, started anew each time; JSON-ready. Raises Unavailable."""
    images = common.load_data(load_default()[names[0]])[2][:320, 0].copy()
    requests, log, port = load.mixed(images, names), root / "server.log", free_port()
    manifest = load.write_requests(requests, root / "requests")
    command = [sys.executable, "-m", "budgetnet", "serve", *names, "--port", str(port), "--out", str(root / "compiled")]
    found: dict[str, Any] = {"endings": []}
    broken: list[str] = []
    while len(found["endings"]) < arguments.endings or "soak" not in found:
        with Server(command, port, "/readyz", log) as server:
            server.ready()
            server.wait_until_idle()
            server.place(split_cores()[0])
            if "soak" not in found:
                found["soak"], broken = soak(server, requests, manifest, arguments.clients, arguments.seconds)
            found["endings"].append(end(server, manifest, arguments.ending_clients))
    broken += [f"exit status {one['exit_status']}, expected 0" for one in found["endings"] if one["exit_status"] != 0]
    if errors := log.read_bytes().count(b'"level":"error"'):
        broken.append(f"the server logged {errors} errors")
    return found | {"broken": broken}


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("experiments", nargs="*", default=["step-13", "step-09"], help="default: step-13 step-09")
    parser.add_argument("--seconds", type=int, default=60, help="of load, whole seconds (default: 60)")
    parser.add_argument("--clients", type=int, default=256, metavar="N", help="connections (default: 256)")
    parser.add_argument("--endings", type=int, default=3, metavar="N", help="how often it is ended (default: 3)")
    parser.add_argument("--ending-clients", type=int, default=16, metavar="N", help="of the endings (default: 16)")
    arguments = parser.parse_args()
    load.require_wrk()
    names = [experiment.name for experiment in load_default().select(arguments.experiments)]
    with tempfile.TemporaryDirectory() as directory:
        for name in names:
            made = common.compile_artifact(name, "onnx", "fp32", Path(directory, "compiled"))
            if isinstance(made, str):
                sys.exit(f"benchmark: {name} cannot be compiled: {made}")
        try:
            found = run(names, Path(directory), arguments)
        except (Unavailable, OSError) as reason:
            sys.exit(f"benchmark: {reason}")
    common.write_json(arguments.json, found)
    if found["broken"]:
        sys.exit("benchmark: not as promised:\n  " + "\n  ".join(found["broken"]))
    say("as promised")


if __name__ == "__main__":
    main()
