"""A listening socket that turns newcomers away keeps whom it has."""

import socket
import sys

import pytest

from budgetnet.serve.http.closing import turn_away, unread


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


def test_what_was_not_read_is_seen():
    one, other = socket.socketpair()
    with one, other:
        assert not unread(one.fileno())
        other.sendall(b"x")
        assert unread(one.fileno())
        one.recv(1)
        assert not unread(one.fileno())
    assert not unread(-1)
