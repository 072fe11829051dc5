"""The end of a server: nothing that it took is lost, and a second signal ends it at once."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from budgetnet.serve.settings import Settings
from tests.serve_demo import connect, images_of, offer, read_all, read_answer, request_bytes, server

ROOT = Path(__file__).parent.parent
SERVER = """
import sys
from tests.serve_demo import offer
from budgetnet.serve.http.sockets import bind
from budgetnet.serve.running import run
from budgetnet.serve.settings import Settings

run([offer(seconds=float(sys.argv[1]))], Settings(grace=float(sys.argv[2]), drain=float(sys.argv[3])), bind("127.0.0.1", 0), 1, [], print)
"""


@pytest.fixture
def started():
    """Starts servers in processes of their own: (process, port)."""
    processes = []

    def start(seconds=0.0, grace=20.0, drain=0.3):
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(seconds), str(grace), str(drain)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(process)
        line = process.stdout.readline()
        assert "serving demo at http://127.0.0.1:" in line, process.stderr.read()
        return process, int(line.split("127.0.0.1:")[1].split()[0])

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def ended(process, seconds=30):
    _, said = process.communicate(timeout=seconds)
    return process.returncode, said


class Client(threading.Thread):
    """Asks until the server no longer takes it. A request that was sent and is not answered is ``lost``.

    Whoever keeps its connection sends the next request only if the last answer did not announce the connection's end.
    """

    def __init__(self, port, number, keep):
        super().__init__()
        self.port, self.number, self.keep = port, number, keep
        self.answered, self.lost, self.wrong, self.refused = 0, [], [], False

    def run(self):
        while not self.refused and not self.lost and self.answered < 100_000:
            try:
                connection = connect(self.port)
            except OSError:
                self.refused = True
                return
            with connection:
                self._ask(connection)

    def _ask(self, connection):
        closing = False
        while not closing:
            digit = (self.number + self.answered) % 10
            try:
                connection.sendall(request_bytes(images_of(digit)))
                status, headers, body = read_answer(connection)
            except (AssertionError, OSError) as error:
                self.lost.append(repr(error))
                return
            if status != 200 or json.loads(body)["predictions"][0]["digit"] != digit:
                self.wrong.append((status, body))
            self.answered += 1
            closing = headers.get("connection") == "close" or not self.keep


@pytest.mark.parametrize("seconds", [0.0, 0.02])
def test_every_request_that_was_taken_is_answered(started, seconds):
    process, port = started(seconds)
    clients = [Client(port, number, keep=number % 3 > 0) for number in range(24)]
    for client in clients:
        client.start()
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join(30)
    status, said = ended(process)
    assert status == 0, said
    assert [client.lost for client in clients if client.lost] == []
    assert [client.wrong for client in clients if client.wrong] == []
    assert all(client.refused for client in clients)
    assert min(client.answered for client in clients) > 0


def test_at_first_it_says_that_it_is_not_ready_and_still_answers(started):
    process, port = started(drain=5)
    with connect(port) as idle:
        idle.sendall(request_bytes(images_of(1)))
        assert read_answer(idle)[1].get("connection") != "close"
        process.send_signal(signal.SIGTERM)
        time.sleep(0.4)
        with connect(port) as probe:
            probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: t\r\n\r\n")
            content = read_all(probe)
        assert content.startswith(b"HTTP/1.1 503")
        assert b"connection: close" in content
        assert b"shutting_down" in content
        idle.sendall(request_bytes(images_of(2)))
        status, headers, body = read_answer(idle)
        assert (status, headers["connection"], json.loads(body)["predictions"][0]["digit"]) == (200, "close", 2)
    assert ended(process)[0] == 0


def test_a_request_in_the_model_is_finished_and_one_that_is_on_its_way_is_waited_for(started):
    process, port = started(1.0)
    with connect(port) as computing, connect(port) as sending:
        computing.sendall(request_bytes(images_of(3)))
        whole = request_bytes(images_of(4))
        sending.sendall(whole[:200])
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.8)
        sending.sendall(whole[200:])
        for connection, digit in ((computing, 3), (sending, 4)):
            status, _, body = read_answer(connection)
            assert (status, json.loads(body)["predictions"][0]["digit"]) == (200, digit)
    assert ended(process)[0] == 0


def test_what_takes_longer_than_the_grace_is_not_waited_for(started):
    process, port = started(seconds=8.0, grace=1.0)
    with connect(port) as connection:
        connection.sendall(request_bytes(images_of(3)))
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        content = read_all(connection)
    assert content.startswith(b"HTTP/1.1 503")
    assert b"shutting_down" in content
    assert ended(process)[0] == 0


def test_ctrl_c_ends_it_as_well_and_twice_at_once(started):
    process, _ = started()
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 0
    process, port = started(seconds=20.0)
    with connect(port) as connection:
        connection.sendall(request_bytes(images_of(3)))
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert ended(process, 10)[0] == 130


def test_its_log_has_a_line_for_each_request_and_nothing_of_its_content(started):
    process, port = started()
    secret = images_of(7)
    with connect(port) as connection:
        connection.sendall(request_bytes(secret, path="/v1/predict?seen=true", headers="X-API-Key: hidden\r\n"))
        read_answer(connection)
        connection.sendall(b"GET /no%0Asuch%22page HTTP/1.1\r\nHost: t\r\n\r\n")
        read_answer(connection)
    process.send_signal(signal.SIGTERM)
    status, said = ended(process)
    assert status == 0
    lines = [json.loads(line) for line in said.splitlines()]
    first, second, last = lines
    assert {key: first[key] for key in ("event", "method", "route", "status", "model", "images", "client")} == {
        "event": "request", "method": "POST", "route": "/v1/predict", "status": 200, "model": "demo", "images": 1, "client": "127.0.0.1",
    }  # fmt: skip
    assert first["ms"] > 0
    assert first["time"].endswith("Z")
    assert (second["route"], second["status"]) == ('/no\nsuch"page', 404)
    assert last["event"] == "ended"
    assert "hidden" not in said


def test_new_connections_are_refused_once_it_has_ended():
    with server(settings=Settings(drain=0.1)) as (_, port, running):
        running.drain()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                connect(port, timeout=1).close()
            except OSError:
                break
            time.sleep(0.02)
        with pytest.raises(OSError):  # noqa: PT011
            socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_thread_s_server_leaves_signals_alone():
    before = signal.getsignal(signal.SIGTERM)
    with server(offer()):
        assert signal.getsignal(signal.SIGTERM) is before
    assert os.getpid() > 0
