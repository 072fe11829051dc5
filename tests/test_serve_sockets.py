"""Where the server listens, and the sentences for why it cannot."""

import os
import socket

import pytest

from budgetnet.serve.sockets import AddressError, address_of, listen


def closed(sockets):
    for one in sockets:
        one.close()


def test_any_free_port_is_one_for_all_addresses():
    sockets = listen("localhost", 0)
    try:
        ports = {one.getsockname()[1] for one in sockets}
        assert len(ports) == 1
        assert address_of(sockets).endswith(f":{ports.pop()}")
    finally:
        closed(sockets)


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://127.0.0.1:")])
def test_the_address_is_one_that_a_browser_can_open(host, shown):
    sockets = listen(host, 0)
    try:
        assert address_of(sockets).startswith(shown)
    finally:
        closed(sockets)


def test_a_port_in_use_is_a_sentence():
    taken = listen("127.0.0.1", 0)
    try:
        port = taken[0].getsockname()[1]
        with pytest.raises(AddressError, match=f"port {port} of 127.0.0.1 is in use already; .* choose another with --port"):
            listen("127.0.0.1", port)
    finally:
        closed(taken)


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("no.such.host.invalid", "--host 'no.such.host.invalid' is unknown"),
        ("192.0.2.1", "--host '192.0.2.1' is no address of this machine"),
        ("x" * 300, "is unknown"),
        ("a..b", "is unknown"),
    ],
)
def test_a_host_that_is_not_here_is_a_sentence(host, sentence):
    with pytest.raises(AddressError, match=sentence):
        listen(host, 0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every port")
def test_a_port_for_others_is_a_sentence():
    with pytest.raises(AddressError, match=r"port 80 of 127.0.0.1 may not be used by you"):
        listen("127.0.0.1", 80)


def test_nothing_is_left_open_where_one_address_cannot_be_used(monkeypatch):
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(AddressError):
        listen("localhost", taken.getsockname()[1])
