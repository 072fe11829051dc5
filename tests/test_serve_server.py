"""How a server ends: accepted requests are answered, and a second Ctrl-C ends it at once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from budgetnet.serve.sockets import AddressError, listen
from tests.serve_demo import connect, images_of, offer, read_all, read_answer, request_bytes, server

ROOT = Path(__file__).parent.parent
SERVER = """
import sys
from tests.serve_demo import offer
from budgetnet.serve.server import run
from budgetnet.serve.settings import Settings
from budgetnet.serve.sockets import listen

run([offer(seconds=float(sys.argv[1]))], Settings(grace=float(sys.argv[2])), listen("127.0.0.1", 0), 1, [])
"""


@pytest.fixture
def started():
    """Starts servers in processes of their own: (process, port)."""
    processes = []

    def start(seconds=0.0, grace=20.0):
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(seconds), str(grace)],
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


def test_requests_in_progress_are_answered_after_sigterm(started):
    process, port = started(seconds=0.3)
    connections = [connect(port) for _ in range(24)]
    for number, connection in enumerate(connections):
        connection.sendall(request_bytes(images_of(number % 10)))
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    for number, connection in enumerate(connections):
        with connection:
            status, _, body = read_answer(connection)
        assert (status, json.loads(body)["predictions"][0]["digit"]) == (200, number % 10)
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
        ended(process, 10)


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


def test_two_servers_do_not_share_a_port(started):
    _, port = started()
    with pytest.raises(AddressError, match="in use already"):
        listen("127.0.0.1", port)


def test_a_thread_s_server_leaves_signals_alone():
    before = signal.getsignal(signal.SIGTERM)
    with server(offer()):
        assert signal.getsignal(signal.SIGTERM) is before
    assert os.getpid() > 0
