"""The server under more load than it can answer: its memory, its refusals, and its end in the middle of a load.

    python -m benchmarks.serving.soak [step-13 step-09] [--seconds 60] [--clients 256] [--endings 3]

wrk sends requests of every kind at once: bytes, JSON, lists, pictures, forms, for all models. A request may be answered
or refused with a 503, and nothing else. Some answers are checked against the offline predictor before and after. Then
the server gets SIGTERM under load, several times, and the requests without an answer are counted. Among them are those
whose connection the kernel had queued and the server not accepted: wrk cannot tell them apart, and nothing is promised
for them. Few clients keep that queue short. Exit status 1 says that a request failed before the first SIGTERM, that
memory grew by more than 5 %, that the server logged an error, or that it did not end with exit status 0.
"""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.serving import load
from benchmarks.serving.load import Load, Request
from benchmarks.serving.process import Server, free_port, split_cores
from benchmarks.turns import Unavailable, say
from budgetnet.catalogue import load_default
from budgetnet.inference.predictor import Predictor

WARM = 5  # seconds of load before memory is watched
ENDING = 4  # seconds of load around a SIGTERM, which comes in the middle
GROWTH = 0.05  # of memory


def soak(server: Server, manifest: Path, clients: int, seconds: int) -> tuple[Load, list[float]]:
    """Load the server; return the counts and its memory in MiB every half second. Raises Unavailable."""
    load.finish(load.start(server.port, manifest, clients, WARM, split_cores()[1]))
    wrk, memory = load.start(server.port, manifest, clients, seconds, split_cores()[1]), []
    while wrk.poll() is None:
        memory.append(server.resident_mib())
        time.sleep(0.5)
    return load.finish(wrk), memory


def end(server: Server, manifest: Path, clients: int) -> tuple[Load, int | None, float]:
    """Send SIGTERM under load; return the counts, the exit status and the seconds it took. Raises Unavailable."""
    wrk = load.start(server.port, manifest, clients, ENDING, split_cores()[1])
    time.sleep(ENDING / 2)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    try:
        status: int | None = server.process.wait(60)
    except subprocess.TimeoutExpired:
        status = None
    seconds = time.monotonic() - began
    return load.finish(wrk), status, seconds


def run(command: Sequence[str], port: int, log: Path, requests: Sequence[Request], predictor: Predictor, arguments: Any) -> dict[str, Any]:
    """Soak the server, then end it several times, started anew each time; JSON-ready. Raises Unavailable."""
    own_core, _ = split_cores()
    manifest = load.write_requests(requests, log.parent / "requests")
    checked = [one for one in requests if "model=" not in one.path][:20]
    found: dict[str, Any] = {"endings": [], "broken": []}
    for number in range(arguments.endings):
        with Server(command, port, "/readyz", log) as server:
            server.ready()
            server.wait_until_idle()
            server.place(own_core)
            if number == 0:
                load.check_answers(server, checked, predictor)
                counts, memory = soak(server, manifest, arguments.clients, arguments.seconds)
                load.check_answers(server, checked, predictor)
                part = max(1, len(memory) // 6)
                first, most = statistics.median(memory[:part]), max(memory)
                found["soak"] = asdict(counts) | {"memory_mib": memory}
                say(
                    f"{counts.rate:,.0f} answers a second, p50 {counts.p50_ms:.0f} ms, p99 {counts.p99_ms:.0f} ms; refused "
                    f"{counts.refused:,} of {counts.requests:,}, failed {counts.failed}; memory {first:.0f} MiB, at most {most:.0f}"
                )
                if counts.failed or counts.unconnected:
                    found["broken"].append(f"{counts.failed} requests failed, {counts.unconnected} connections were refused")
                if most > (1 + GROWTH) * first:
                    found["broken"].append(f"memory grew from {first:.0f} to {most:.0f} MiB")
            counts, status, seconds = end(server, manifest, arguments.ending_clients)
            found["endings"].append(asdict(counts) | {"exit_status": status, "ended_seconds": seconds})
            say(
                f"SIGTERM under load: ended after {seconds:.2f} s, exit status {status}; {counts.requests:,} answers, "
                f"{counts.failed} missing"
            )
            if status != 0:
                found["broken"].append(f"the server ended with exit status {status}, expected 0")
    errors = log.read_bytes().count(b'"level":"error"')
    if errors:
        found["broken"].append(f"the server logged {errors} errors")
    return found


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("experiments", nargs="*", default=["step-13", "step-09"], help="default: step-13 step-09")
    parser.add_argument("--seconds", type=int, default=60, help="of load, whole seconds (default: 60)")
    parser.add_argument("--clients", type=int, default=256, metavar="N", help="connections (default: 256)")
    parser.add_argument("--ending-clients", type=int, default=16, metavar="N", help="of the endings (default: 16)")
    parser.add_argument("--endings", type=int, default=3, metavar="N", help="how often it is ended (default: 3)")
    arguments = parser.parse_args()
    load.require_wrk()
    experiments = load_default().select(arguments.experiments)
    names = [experiment.name for experiment in experiments]
    images = common.load_data(experiments[0])[2][:512, 0].copy()
    with tempfile.TemporaryDirectory() as directory:
        root, log = Path(directory, "compiled"), Path(directory, "server.log")
        artifacts = [common.compile_artifact(name, "onnx", "fp32", root) for name in names]
        if failed := [made for made in artifacts if isinstance(made, str)]:
            sys.exit(f"benchmark: {failed[0]}")
        port = free_port()
        command = [sys.executable, "-m", "budgetnet", "serve", *names, "--port", str(port), "--out", str(root)]
        try:
            predictor = Predictor.load(Path(artifacts[0]))
            found = run(command, port, log, load.mixed(images, names), predictor, arguments)
        except (Unavailable, OSError) as reason:
            sys.exit(f"benchmark: {reason}")
    common.write_json(arguments.json, found)
    if found["broken"]:
        sys.exit("benchmark: not as promised:\n  " + "\n  ".join(found["broken"]))
    say("as promised")


if __name__ == "__main__":
    main()
