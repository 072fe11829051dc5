"""The server under twice the load that it can sustain: what it answers, what it refuses, its memory, and its end in the middle of it.

    python -m benchmarks.serving_soak [step-13 step-09] [--seconds 60] [--overload 2] [--without picture form] [--json FILE]

The load is mixed: bytes, JSON, pictures, forms, lists, two models, malformed requests, clients that go, are slow, or too slow. Requests
come at random times whether the server keeps up or not. First the rate is searched that it sustains: nothing refused, and 99 % answered
within a quarter of a second. Then 10,000 malformed requests, a good one, and twice that rate: every 200 is held against the offline
predictor, a malformed request must get its own status, and the only other thing that may happen is a 503. In the end the server gets
SIGTERM under this load, several times, and must answer all that it has accepted. Exit status 1 says that something of this is not so.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import serving_ending, task
from benchmarks.serving import PACKAGES, Cores, compiled, settle, test_images
from benchmarks.serving_apart import Apart, Fallen
from benchmarks.serving_course import Figures, figures, sustains, table, total
from benchmarks.serving_judge import Outcome
from benchmarks.serving_open_loop import Course, Plan, load
from benchmarks.serving_payloads import PATH
from benchmarks.serving_processes import Server, free_port, place
from benchmarks.serving_traffic import Traffic, malformed, traffic
from budgetnet.catalogue import load_default
from budgetnet.environment import version_of
from budgetnet.inference.predictor import Predictor

TIMEOUT = 5  # seconds that the server gives its clients
LONGEST = 20.0  # seconds for the malformed requests
SEARCHED = 3.0  # seconds at each rate of the search
FIRST, FACTOR, STEPS = 100.0, 1.8, 3  # of the search: the first rate, the growth, and how often the gap is halved
FLAT = 5.0  # percent that the memory may grow
BEFORE = 2.0  # seconds of load before SIGTERM
SAMPLES = 0.5  # seconds between looks at the memory


@dataclass(frozen=True)
class Wish:
    """``seconds`` of load after ``warm`` seconds of it, at ``overload`` times the ``rate`` that is sustained (0: search it).

    ``malformed`` requests come before, and ``endings`` times it is told to end.
    """

    seconds: float
    warm: float
    rate: float = 0.0
    overload: float = 2.0
    malformed: int = 10_000
    endings: int = 5


class Soak:
    """A running server and its clients."""

    def __init__(self, server: Server, client: Apart, malformed: Apart, seed: int) -> None:
        self.server, self._client, self._malformed = server, client, malformed
        self._seed = 1000 * seed

    def course(self, rate: float, seconds: float, ends: bool = False) -> tuple[Course, list[int]]:
        """Run a load; return its results and the server's memory meanwhile, in bytes. Raises Fallen."""
        self._seed += 1
        self._client.begin(Plan(self.server.port, rate, seconds, self._seed, self.server.pid if ends else None))
        memory = []
        while not self._client.done(SAMPLES):
            memory.append(self.server.resident())
        found: Course = self._client.answer()
        return found, memory

    def malformed(self, number: int, seconds: float) -> Course:
        found: Course = self._malformed.ask(Plan(self.server.port, number / seconds, seconds))
        return found

    def sustained(self, seconds: float) -> float:
        """The highest rate, in requests a second, that is found to be sustained. Raises Fallen where the first is not."""
        good, rate = 0.0, FIRST
        while sustains(self.course(rate, seconds)[0]):
            good, rate = rate, rate * FACTOR
        bad = rate
        for _ in range(STEPS):
            rate = (good + bad) / 2
            if sustains(self.course(rate, seconds)[0]):
                good = rate
            else:
                bad = rate
        if not good:
            raise Fallen(f"not even {bad:.0f} requests a second are sustained; leave it more of the machine, or give --rate")
        return good

    def good_request_ms(self) -> float:
        """For a good one, on a new connection."""
        started = time.perf_counter()
        self.server.ask(PATH, bytes(range(196)) * 4)
        return 1e3 * (time.perf_counter() - started)


def soak(running: Soak, wish: Wish) -> Figures:
    """All but the end, told as it comes. Raises Fallen."""
    rate = wish.rate or running.sustained(SEARCHED)
    _say(f"sustained: {rate:,.0f} requests a second")
    found: Figures = {"sustained_per_second": rate, "overload": wish.overload}
    seconds = min(wish.malformed / rate, LONGEST)
    course = running.malformed(wish.malformed, seconds)
    found["malformed"] = figures(course, (), seconds) | {"good_request_ms": running.good_request_ms()}
    _say(f"\n{len(course.fates):,} malformed requests; a good one afterwards took {found['malformed']['good_request_ms']:.0f} ms")
    rate *= wish.overload
    running.course(rate, wish.warm)
    course, memory = running.course(rate, wish.seconds)
    found["soak"] = own = figures(course, memory, wish.seconds) | {"good_request_ms": running.good_request_ms()}
    _say(f"\n{wish.seconds:g} s at {rate:,.0f} requests a second\n{table(own)}\n\n{_told(own)}")
    return found


def end(running: Soak, rate: float) -> Figures:
    """The server is told to end under load, and has ended afterwards. Raises Fallen."""
    course, _ = running.course(rate, BEFORE, ends=True)
    ending = serving_ending.accounts(course) | {"exit_status": running.server.process.wait(60)}
    _say(_ended(ending))
    return ending


def _say(text: str) -> None:
    print(text, flush=True)


def _told(own: Figures) -> str:
    return (
        f"right answers a second: {own['right_per_second']:,.0f}; p50 {own['p50_ms']:.0f} ms, p99 {own['p99_ms']:.0f} ms; connections: "
        f"{own['connections']:,} at most; client late: {own['client_late_ms']:.0f} ms at most\n"
        f"memory: {own['first_mib']:.1f} MiB at first, {own['last_mib']:.1f} at last, {own['most_mib']:.1f} at most "
        f"({own['growth_percent']:+.1f} %)\n"
        f"a good request afterwards took {own['good_request_ms']:.0f} ms"
    )


def _ended(ending: Figures) -> str:
    return (
        f"it listened {ending['listened_seconds']:.2f} s longer; accepted {ending['accepted']:,}, of them answered "
        f"{ending['answered']:,}, lost {ending['lost']:,}; the last answer after {ending['last_answer_seconds']:.2f} s; came later: "
        f"{ending['came_later']:,}, of them answered {ending['answered_too']:,}; exit status {ending['exit_status']}"
    )


def broken(found: Figures) -> list[str]:
    """Return the failures, a sentence each."""
    own, said = found["soak"], []
    for name in ("malformed", "soak"):
        if wrong := total(found[name], Outcome.WRONG):
            said.append(f"{wrong} wrong answers: {'; '.join(found[name]['told'])}")
        if other := total(found[name], Outcome.CLOSED, Outcome.UNCONNECTED, Outcome.UNANSWERED):
            said.append(f"{other} requests of the {name} load were neither answered nor refused with a 503")
    if own["growth_percent"] > FLAT:
        said.append(f"the memory grew by {own['growth_percent']:.1f} %, expected {FLAT:g} % at most")
    for ending in found["endings"]:
        if ending["lost"]:
            said.append(f"{ending['lost']} accepted requests were not answered when the server was told to end")
        if ending["exit_status"]:
            said.append(f"the server ended with exit status {ending['exit_status']}, expected 0")
    if found["errors_logged"]:
        said.append(f"the server logged {found['errors_logged']} errors")
    return said


def run(command: Sequence[str], port: int, mixed: Traffic, log: Path, wish: Wish) -> Figures:
    """The soak of the server that a command starts at a port, which is started again for every further end. Raises Fallen."""
    cores = Cores.found()
    bad = Traffic({"malformed": (1, malformed())})
    found: Figures = {"endings": []}
    with Apart(load, mixed) as client, Apart(load, bad) as malicious:
        for one in (client, malicious):
            place(one.pid, cores.client)
        for number in range(wish.endings):
            with Server(command, port, "/readyz", log) as server:
                server.ready()
                settle(server)
                server.put_on(cores.own)
                running = Soak(server, client, malicious, seed=number)
                if number == 0:
                    found |= soak(running, wish)
                    _say("\nSIGTERM under this load")
                found["endings"].append(end(running, wish.overload * found["sustained_per_second"]))
    found["errors_logged"] = log.read_bytes().count(b'"level":"error"')
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", default=["step-13", "step-09"], help="default: step-13 step-09")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the load (default: 60)")
    parser.add_argument("--warm", type=float, default=15.0, metavar="SECONDS", help="of the same load before (default: 15)")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second that are sustained (default: searched)")
    parser.add_argument("--overload", type=float, default=2.0, metavar="FACTOR", help="times the sustained rate (default: 2)")
    parser.add_argument(
        "--endings", type=int, default=5, metavar="N", help="how often it is told to end, started anew each time (default: 5)"
    )
    parser.add_argument("--without", nargs="+", default=(), metavar="WORD", help="leave out requests of these kinds, such as picture form")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    arguments = parser.parse_args()
    task.require_data()
    experiments = load_default().select(arguments.experiments)
    with tempfile.TemporaryDirectory() as directory:
        root, log = Path(directory, "compiled"), Path(directory, "server.log")
        predictors = {experiment.name: Predictor.load(compiled(experiment, root)) for experiment in experiments}
        mixed = traffic(test_images(experiments[0], 512), predictors, TIMEOUT).without(arguments.without)
        port = free_port()
        command = [sys.executable, "-m", "budgetnet", "serve", *predictors, "--port", str(port), "--timeout", str(TIMEOUT)]
        wish = Wish(arguments.seconds, arguments.warm, arguments.rate, arguments.overload, endings=arguments.endings)
        try:
            found = run([*command, "--out", str(root)], port, mixed, log, wish)
        except Fallen as reason:
            sys.exit(f"benchmark: {reason}")
    if arguments.json:
        environment = task.environment("cpu") | {name: version_of(name) for name in PACKAGES}
        arguments.json.write_text(json.dumps(found | {"environment": environment}, indent=1) + "\n", encoding="utf-8")
    if said := broken(found):
        sys.exit("benchmark: not as promised:\n  " + "\n  ".join(said))
    print("\nas promised")


if __name__ == "__main__":
    main()
