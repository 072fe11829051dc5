"""The benchmarks: every command explains itself, and the harness alternates, leaves out and computes ratios."""

import importlib
import json
import multiprocessing
import shutil
import socket
import sys
import threading

import pytest

from benchmarks.serving import load
from benchmarks.serving.load import Load
from benchmarks.training import contest
from benchmarks.training.contest import Entrant
from benchmarks.turns import Unavailable, Worker, alternate, ratio

COMMANDS = (
    *("training.speed", "training.roofline", "training.networks", "training.scaling", "training.start_up"),
    *("training.verdicts", "training.progression", "inference.latency", "inference.pictures"),
    *("serving.speed", "serving.soak", "serving.peer"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, monkeypatch, capsys):
    if command == "serving.peer":
        pytest.importorskip("litserve", reason="litserve is not installed: pip install --editable '.[bench]'")
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.{command}").main()
    assert ended.value.code == 0
    assert f"python -m benchmarks.{command}" in capsys.readouterr().out


def test_alternate_begins_every_round_with_another_contestant_and_drops_the_warm_up():
    order = []
    results, left_out = alternate({name: lambda name=name: order.append(name) or len(order) for name in "abc"}, 2, str)
    assert "".join(order) == "abcbcacab"
    assert results == {"a": [6, 8], "b": [4, 9], "c": [5, 7]}
    assert not left_out


def test_alternate_leaves_out_a_contestant_that_fails_and_goes_on():
    values = iter([1, 2])

    def failing():
        try:
            return next(values)
        except StopIteration:
            raise Unavailable("out of breath") from None

    said = []
    results, left_out = alternate({"failing": failing, "steady": lambda: 7}, 3, said.append)
    assert results == {"steady": [7, 7, 7]}
    assert left_out == {"failing": "out of breath"}
    assert "left out: failing: out of breath" in said


def test_ratios_are_taken_round_by_round():
    assert ratio([10, 40, 90], [10, 20, 30]) == (2, 1, 3)


def test_worker_calls_methods_in_another_process():
    with Worker("tests.contestants:Failing", {}) as worker:
        assert worker.call("say", "hello") == "hello"
        assert worker.peak_mib() > 10
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("factory", "method", "needs", "message"),
    [
        ("Failing", "raise_error", (), "ValueError: out of breath"),
        ("Failing", "die", (), "its process ended with exit code 3"),
        ("unavailable", "say", (), "there is no track"),
        ("Failing", "say", ("no_such_library",), "not installed: no_such_library"),
    ],
)
def test_worker_reports_what_went_wrong(factory, method, needs, message):
    with Worker(f"tests.contestants:{factory}", {}, needs=needs) as worker, pytest.raises(Unavailable, match=message):
        worker.call(method)


def test_contest_compares_with_the_fastest_peer_and_adds_processes_up():
    def steady(name, speed, **more):
        return Entrant(name, "tests.contestants:Steady", contest.experiment(), {"speed": speed}, **more)

    entrants = [steady("slow", 100.0, peer=True), steady("fast", 200.0, peer=True), steady("ours", 400.0, processes=2)]
    found, left_out = contest.hold(entrants, rounds=2, seconds=3.0, report=str)
    assert [*found] == ["ours", "fast", "slow"]
    assert found["ours"]["images_per_second"] == pytest.approx([800.0, 800.0])
    assert found["ours"]["ratio"]["median"] == pytest.approx(4.0)
    assert found["slow"]["ratio"]["median"] == pytest.approx(0.5)
    assert found["ours"]["seconds_per_epoch"] == pytest.approx(75.0)
    assert contest.table(found).splitlines()[2].split()[:2] == ["ours", "800"]
    assert not left_out


def test_contest_leaves_out_another_network():
    wider = contest.replace(contest.experiment(), budget=contest.Budget(exact=7))
    found, left_out = contest.hold([Entrant("wide", "tests.contestants:Steady", wider, {"speed": 1.0})], 1, 1.0, str)
    assert not found
    assert left_out == {"wide": "its network has 5,854 parameters, not 7"}


def test_server_is_compared_with_the_best_peer():
    from benchmarks.serving.speed import figures, table

    def turns(*rates):
        return [(Load(1.0, rate, 1e3 / rate, 2e3 / rate, 0, 0, 0, 0, 0), 0.5) for rate in rates]

    found = figures({"budgetnet": turns(1000, 2000), "slow": turns(500, 500), "slower": turns(100, 100)}, 64)
    assert found["budgetnet"]["ratio_requests"]["median"] == found["budgetnet"]["ratio_p50"]["median"] == 3.0
    assert found["slow"]["images_per_second"] == 64 * 500
    assert "ratio_p50" not in found["slow"]
    assert table({8: found}).splitlines()[2].split()[:2] == ["8", "budgetnet"]
    json.dumps(found)


class Closing(threading.Thread):
    """Answers ``answers`` requests, one a connection, 503 to every fourth; the last gets no answer, then it ends."""

    def __init__(self, answers):
        super().__init__(daemon=True)
        self.listener, self.answers, self.bodies = socket.create_server(("127.0.0.1", 0)), answers, set()

    def run(self):
        with self.listener:
            self.listener.accept()[0].close()  # wrk first tries whether there is a server
            for number in range(self.answers + 1):
                connection, _ = self.listener.accept()
                with connection:
                    self.bodies.add(connection.recv(10_000).rpartition(b"\r\n\r\n")[2])
                    if number < self.answers:
                        status = "503 Busy" if number % 4 == 3 else "200 OK"
                        answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                        connection.sendall(answer.encode())


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: apt install wrk")
def test_wrk_counts_refused_and_missing_answers_and_not_those_after_the_end(tmp_path):
    server = Closing(8)
    server.start()
    requests = [load.Request(load.OCTETS, body) for body in (b"one", b"\x00\ntwo")]
    manifest = load.write_requests(requests, tmp_path / "requests")
    found = load.finish(load.start(server.listener.getsockname()[1], manifest, 1, 1))
    assert (found.requests, found.refused, found.failed) == (8, 2, 1)
    assert found.unconnected > 0
    assert server.bodies == {b"one", b"\x00\ntwo"}
