"""A listening socket that turns newcomers away keeps whom it has."""

import contextlib
import socket
import sys

import pytest

from budgetnet.serve.http.closing import queued, turn_away, unread


@pytest.mark.skipif(sys.platform != "linux", reason="a packet filter of Linux")
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_those_who_are_in_stay_and_others_do_not_come_in(family, host):
    try:
        listening = socket.create_server((host, 0), family=family)
    except OSError as error:
        pytest.skip(f"no {host} here: {error}")
    port = listening.getsockname()[1]
    with listening, socket.create_connection((host, port), timeout=5) as waiting:
        turn_away([listening])
        with pytest.raises(TimeoutError):
            socket.create_connection((host, port), timeout=0.3)
        waiting.sendall(b"question")
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.recv(100) == b"question"
            accepted.sendall(b"answer")
            assert waiting.recv(100) == b"answer"


def test_what_is_no_listening_socket_is_left_alone():
    closed = socket.socket()
    closed.close()
    turn_away([closed])
    assert closed.fileno() == -1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells")
def test_who_waits_to_be_accepted_is_counted():
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        assert queued([listening]) == 0
        for _ in range(3):
            stack.enter_context(socket.create_connection(listening.getsockname(), timeout=5))
        assert queued([listening, listening]) == 6
        stack.enter_context(listening.accept()[0])
        assert queued([listening]) == 2
    assert queued([listening]) == 0


def test_what_was_not_read_is_seen():
    one, other = socket.socketpair()
    with one, other:
        assert not unread(one.fileno())
        other.sendall(b"x")
        assert unread(one.fileno())
        one.recv(1)
        assert not unread(one.fileno())
    assert not unread(-1)
