"""Connections as they come: slow ones, endless ones, too many, and what is no HTTP at all."""

import json
import time

import pytest

from budgetnet.serve.settings import Settings
from tests.serve_demo import connect, images_of, offer, read_all, read_answer, request_bytes, server

SEVEN = images_of(7)
BRIEF = Settings(timeout=0.3)


def digit(answer):
    status, _, body = answer
    assert status == 200, body
    return json.loads(body)["predictions"][0]["digit"]


def status_of(content):
    return int(content.split(b" ", 2)[1]) if content else None


def closes_on(connection, sent):
    """Whether the server closes the connection while this is sent again and again."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            connection.sendall(sent)
        except OSError:  # a broken pipe or a reset
            return True
    return False


def answers_again(port):
    with connect(port) as connection:
        connection.sendall(request_bytes(SEVEN))
        return digit(read_answer(connection)) == 7


def test_several_requests_on_one_connection():
    with server() as (_, port, _), connect(port) as connection:
        for number in (1, 2, 3):
            connection.sendall(request_bytes(images_of(number)))
            assert digit(read_answer(connection)) == number


def test_requests_sent_at_once_are_answered_in_order():
    with server() as (_, port, _), connect(port) as connection:
        last = request_bytes(images_of(3), headers="Connection: close\r\n")
        connection.sendall(request_bytes(images_of(1)) + request_bytes(images_of(2)) + last)
        content = read_all(connection)
    parts = [part for part in content.split(b"HTTP/1.1 ") if part]
    assert [json.loads(part[part.index(b"{") :])["predictions"][0]["digit"] for part in parts] == [1, 2, 3]


def test_a_body_that_does_not_come_is_408():
    with server(settings=BRIEF) as (_, port, _), connect(port) as connection:
        connection.sendall(request_bytes(SEVEN)[:-100])
        content = read_all(connection)
        assert status_of(content) == 408
        assert b"connection: close" in content
        assert answers_again(port)


def test_a_connection_between_two_requests_is_not_too_slow():
    with server(settings=BRIEF) as (_, port, _), connect(port) as connection:
        for number in (1, 2):
            connection.sendall(request_bytes(images_of(number)))
            assert digit(read_answer(connection)) == number
            time.sleep(1)


def test_chunks_that_grow_too_large_are_413():
    with server(settings=Settings(max_body=100_000)) as (_, port, _), connect(port) as connection:
        connection.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: test\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(20):
            connection.sendall(b"2710\r\n" + bytes(10_000) + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        status, headers, _ = read_answer(connection)
        assert (status, headers["connection"]) == (413, "close")
        assert read_all(connection) == b""


def test_a_large_body_is_refused_by_what_it_announces_before_it_is_sent():
    with server(settings=Settings(max_body=100_000)) as (_, port, _), connect(port) as connection:
        connection.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: test\r\nContent-Type: application/octet-stream\r\nContent-Length: 99999999999\r\n\r\n"
        )
        content = read_all(connection)
        assert status_of(content) == 413
        assert b"connection: close" in content
        assert content.endswith(b"}")


def test_who_sends_on_after_the_last_answer_still_gets_it():
    """Its bytes are thrown away for a while: a reset would take the answer from it."""
    with server(settings=Settings(max_body=100_000)) as (_, port, _), connect(port) as connection:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: test\r\nContent-Type: application/octet-stream\r\nContent-Length: 5000000\r\n\r\n"
        connection.sendall(head)
        for _ in range(50):
            connection.sendall(bytes(100_000))
        assert status_of(read_all(connection)) == 413


def test_whoever_waits_for_continue_is_told_so_only_if_the_body_is_wanted():
    head = b"POST /v1/predict HTTP/1.1\r\nHost: test\r\nContent-Type: %s\r\nContent-Length: 784\r\nExpect: 100-continue\r\n\r\n"
    with server() as (_, port, _):
        with connect(port) as connection:
            connection.sendall(head % b"application/octet-stream")
            assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
            connection.sendall(SEVEN.tobytes())
            assert digit(read_answer(connection)) == 7
        with connect(port) as connection:
            connection.sendall(head % b"text/plain")
            assert connection.recv(100).startswith(b"HTTP/1.1 415")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"nonsense\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nBad Header\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"CONNECT test:80 HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"\x00" * 100,
    ],
)  # fmt: skip
def test_what_is_no_http_is_400_and_the_end(sent):
    with server(settings=BRIEF) as (_, port, _), connect(port) as connection:
        connection.sendall(sent)
        content = read_all(connection)
        assert status_of(content) in (400, 404, 405)
        assert answers_again(port)


def test_an_upgrade_is_not_taken_and_does_no_harm():
    with server(settings=BRIEF) as (_, port, _), connect(port) as connection:
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert read_answer(connection)[0] == 200
        assert answers_again(port)


def test_more_connections_than_allowed_are_told_to_come_again():
    with server(settings=Settings(connections=3)) as (_, port, _):
        kept = [connect(port) for _ in range(3)]
        for connection in kept:
            connection.sendall(request_bytes(SEVEN))
            assert digit(read_answer(connection)) == 7
        others = [connect(port) for _ in range(8)]
        for connection in others:
            with connection:
                connection.sendall(request_bytes(SEVEN))
                content = read_all(connection)
            assert status_of(content) == 503
            assert b"connection: close" in content
        for connection in kept:
            connection.sendall(request_bytes(SEVEN))
            assert digit(read_answer(connection)) == 7
            connection.close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not _taken(port):
            time.sleep(0.02)
        assert answers_again(port)


def _taken(port):
    with connect(port) as connection:
        connection.sendall(request_bytes(SEVEN, headers="Connection: close\r\n"))
        return status_of(read_all(connection)) == 200


def test_a_client_that_leaves_is_not_computed_for():
    slow = offer(seconds=0.4)
    with server(slow) as (_, port, running):
        with connect(port) as first:
            first.sendall(request_bytes(SEVEN))
            time.sleep(0.1)  # in the model now
            with connect(port) as leaving:
                leaving.sendall(request_bytes(images_of(1, 2, 3)))
                time.sleep(0.1)
            assert digit(read_answer(first)) == 7
        assert answers_again(port)
        model = running.config.app._models.default
        assert 3 not in model.predictor._session.batches
