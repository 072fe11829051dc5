"""The server against LitServe: latency and throughput of 1 to 128 clients, with single images and with lists of 64.

    python -m benchmarks.serving [step-13] [--rounds 5] [--seconds 1.5] [--plot FILE] [--json FILE]

Both serve one artifact (ONNX, float32, one thread) through the same Predictor, answer the same JSON requests with the same JSON, and are
asked by one client in a process of its own, over connections that stay open. They take turns; whoever is not on turn is stopped, since
LitServe polls while it waits for a batch. Every answer is held against the offline predictor: a wrong one ends the benchmark.

budgetnet's one process runs on one core and the client on another. LitServe has four processes (HTTP, inference, the manager between
them, the first one). Before the rounds it is tried on budgetnet's core alone and on both cores, for every number of clients, and then
takes part as it was quicker. It takes part twice: without batches, and with batches of up to 32 requests that wait a millisecond. Its
access log is off, budgetnet's is on. "processor" is what a request costs all the server's processes together, in milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import serving_standing as standing
from benchmarks import task
from benchmarks.serving_apart import Apart, Fallen
from benchmarks.serving_client import Turn, turn
from benchmarks.serving_payloads import Images, Payload, lists, single_images
from benchmarks.serving_processes import Server, free_port, place, usable
from budgetnet.catalogue import load_default
from budgetnet.data.files import find_data, load_files
from budgetnet.definition import Experiment
from budgetnet.environment import version_of
from budgetnet.inference.predictor import Predictor

OURS, PEERS = "budgetnet", {"LitServe": 1, "LitServe, batches of 32": 32}
CLIENTS = (1, 8, 32, 128)
LIST = 64
QUEUE = 128 * LIST * 2  # images that may wait, so that nobody is refused: LitServe refuses nobody
HEAT = 0.5  # seconds
PACKAGES = ("litserve", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "orjson", "onnxruntime")

Turns = dict[str, list[tuple[Turn, float]]]  # with the server's processor seconds in each


@dataclass(frozen=True)
class Cores:
    """``own`` is the servers', ``client`` the client's; ``both`` is where the peer may run as well."""

    own: set[int]
    client: set[int]

    @classmethod
    def found(cls) -> Cores:
        there = usable()
        return cls({there[0]}, {there[1]}) if len(there) > 1 else cls(set(there), set(there))

    @property
    def both(self) -> set[int]:
        return self.own | self.client


@dataclass
class Contest:
    """The servers that run, the client, and where the peers were quicker."""

    servers: Mapping[str, Server]
    client: Apart
    cores: Cores

    def turn(self, name: str, payload: str, clients: int, seconds: float, cores: set[int]) -> tuple[Turn, float]:
        """One entrant under load while all others are stopped, and its processor seconds. Raises Fallen."""
        server = self.servers[name]
        server.put_on(cores)
        before = server.processor_seconds()
        server.go_on()
        try:
            found: Turn = self.client.ask(server.port, payload, clients, seconds)
            return found, server.processor_seconds() - before
        except Fallen as reason:
            raise Fallen(f"{name}: {reason}") from reason
        finally:
            server.hold()

    def heats(self, payload: str, clients: int) -> dict[str, set[int]]:
        """For every entrant the cores on which it answers more requests."""
        chosen = {OURS: self.cores.own}
        for name in self.servers.keys() - {OURS}:
            rates = [0.0, 0.0]
            for _ in range(2):
                for number, cores in enumerate((self.cores.own, self.cores.both)):
                    rates[number] = max(rates[number], self.turn(name, payload, clients, HEAT, cores)[0].rate)
            chosen[name] = self.cores.own if rates[0] > rates[1] else self.cores.both
        return chosen

    def rounds(self, payload: Payload, clients: int, rounds: int, seconds: float) -> tuple[Turns, dict[str, list[int]]]:
        """The turns by entrant, and on which cores they were. Every round begins with another entrant."""
        cores = self.heats(payload.name, clients)
        found: Turns = {name: [] for name in self.servers}
        names = list(self.servers)
        for number in range(rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                found[name].append(self.turn(name, payload.name, clients, seconds, cores[name]))
        return found, {name: sorted(own) for name, own in cores.items()}


def compiled(experiment: Experiment, root: Path) -> Path:
    """The artifact that all entrants serve."""
    command = [sys.executable, "-m", "budgetnet", "compile", experiment.name, "--backend", "onnx", "--precision", "fp32"]
    done = subprocess.run([*command, "--out", str(root)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"benchmark: {experiment.name} cannot be compiled: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return next(root.glob(f"{experiment.name}/seed-*/onnx-fp32"))


def commands(experiment: Experiment, root: Path, artifact: Path) -> dict[str, tuple[list[str], int, str]]:
    """By entrant: what starts it, its port, and where it says that it is ready."""
    python = [sys.executable, "-m"]
    port = free_port()
    serve = ["budgetnet", "serve", experiment.name, "--out", str(root), "--port", str(port), "--queue", str(QUEUE), "--threads", "1"]
    found = {OURS: ([*python, *serve], port, "/readyz")}
    for name, batch in PEERS.items():
        port = free_port()
        found[name] = ([*python, "benchmarks.serving_litserve", str(artifact), "--port", str(port), "--batch", str(batch)], port, "/health")
    return found


def settle(server: Server) -> None:
    """Wait until it has looked through the test set for its gallery, which it does between requests once it is ready."""
    while (json.loads(server.ask("/v1/gallery"))["message"] or "").endswith("looked through"):
        time.sleep(0.2)


def measure(
    experiment: Experiment, root: Path, payloads: Mapping[str, Payload], artifact: Path, clients: Sequence[int], rounds: int, seconds: float
) -> dict[str, dict[int, Any]]:
    """The figures by payload, clients and entrant, printed as they come. Raises Fallen."""
    cores = Cores.found()
    with contextlib.ExitStack() as stack:
        servers = {}
        for name, command in commands(experiment, root, artifact).items():
            if name != OURS and version_of("litserve") is None:
                print(f"left out: {name}: litserve is not installed: pip install 'budgetnet[bench]'", flush=True)
                continue
            servers[name] = stack.enter_context(Server(*command))
        for name, server in servers.items():
            server.ready()
            if name == OURS:
                settle(server)
        for server in servers.values():
            server.hold()
        client = stack.enter_context(Apart(turn, dict(payloads)))
        place(client.pid, cores.client)
        contest = Contest(servers, client, cores)
        found: dict[str, dict[int, Any]] = {}
        for payload in payloads.values():
            for number in clients:
                turns, where = contest.rounds(payload, number, rounds, seconds)
                entries = standing.content(turns, payload.images, [*PEERS])
                for name, own in entries.items():
                    own["cores"] = where[name]
                found.setdefault(payload.name, {})[number] = entries
            print(f"\n{payload.name} a request\n{standing.table(found[payload.name])}", flush=True)
    return found


def test_images(experiment: Experiment, number: int) -> Images:
    return np.ascontiguousarray(load_files(experiment.data_set, find_data(experiment.data_set))[2][:number, 0])


def main() -> None:
    parser = task.parser(__doc__)
    parser.add_argument("experiment", nargs="?", default="step-13", help="default: step-13")
    parser.add_argument("--clients", nargs="+", type=int, default=CLIENTS, metavar="N", help="default: 1 8 32 128")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of a turn, at least (default: 1.5)")
    parser.add_argument("--plot", type=Path, default=Path("serving.png"), help="a PNG (default: serving.png)")
    arguments = parser.parse_args()
    if arguments.device != "cpu":
        parser.error("the contest is one of servers on two cores; there is nothing for --device cuda in it")
    task.require_data()
    experiment = load_default()[arguments.experiment]
    images = test_images(experiment, 32 * LIST)
    with tempfile.TemporaryDirectory() as directory:
        artifact = compiled(experiment, Path(directory))
        predictor = Predictor.load(artifact)
        made = (single_images(images[:512], predictor), lists(images, LIST, predictor))
        try:
            found = measure(
                experiment, Path(directory), {payload.name: payload for payload in made}, artifact, arguments.clients, arguments.rounds,
                arguments.seconds,
            )  # fmt: skip
        except Fallen as reason:
            sys.exit(f"benchmark: {reason}")
    environment = task.environment("cpu") | {name: version_of(name) for name in PACKAGES}
    standing.plot(found, f"{experiment.name} on {environment['cpu']}: one core for the server, one for the client", arguments.plot)
    print(f"plot: {arguments.plot}")
    if arguments.json:
        content = {"experiment": experiment.name, "rounds": arguments.rounds, "turn_seconds": arguments.seconds, "environment": environment}
        arguments.json.write_text(json.dumps(content | {"payloads": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
