"""Listening sockets for the server, with a sentence for each reason why there can be none."""

from __future__ import annotations

import errno
import os
import socket

BACKLOG = 2048


class AddressError(Exception):
    """The server cannot listen on an address; the message says why and how to mend it."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for every address of ``host``. Raises AddressError.

    All of them have the same port, also where ``port`` is 0. Listening at once makes the second of two servers on one port fail.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AddressError(f"--host {host!r} is unknown ({reason}); expected a name or an address of this machine") from error
    sockets: list[socket.socket] = []
    skipped: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sockets.append(_listening(family, (address[0], port, *address[2:])))
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):  # localhost is ::1 also where there is no IPv6
                for other in sockets:
                    other.close()
                raise AddressError(_sentence(host, port, error)) from error
            skipped = error
        else:
            port = sockets[0].getsockname()[1]
    if not sockets:
        assert skipped is not None, "an address has a socket or a reason"
        raise AddressError(_sentence(host, port, skipped)) from skipped
    return sockets


def _listening(family: int, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


def _sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use already; end the program that has it, or choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} may not be used by you; choose one above 1023 with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host!r} is no address of this machine; expected 127.0.0.1, 0.0.0.0 for all, or one that it has"
    return f"{host}:{port} cannot be listened on: {error.strerror}"


def address_of(sockets: list[socket.socket]) -> str:
    """Return the URL at which a browser on this machine finds the server."""
    found = sockets[0].getsockname()
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(found[0], f"[{found[0]}]" if ":" in found[0] else found[0])
    return f"http://{host}:{found[1]}"
