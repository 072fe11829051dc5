"""The sockets that the server listens on, or the sentence for why it cannot."""

from __future__ import annotations

import contextlib
import errno
import os
import socket


class AddressError(Exception):
    """The server cannot listen there; the message says why and how to mend it."""


def bind(host: str, port: int) -> list[socket.socket]:
    """A socket for every address of ``host``, bound and not listening yet. Raises AddressError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        told = getattr(error, "strerror", None) or error
        raise AddressError(f"--host {host!r} is unknown ({told}); expected a name or an address of this machine") from error
    sockets: list[socket.socket] = []
    trouble: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sockets.append(_bound(family, (address[0], port, *address[2:])))
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):  # localhost is ::1 also where there is no IPv6
                for other in sockets:
                    other.close()
                raise AddressError(_sentence(host, port, error)) from error
            trouble = error
        else:
            port = sockets[0].getsockname()[1]  # the same for all, where any is asked for
    if not sockets:
        assert trouble is not None, "an address has a socket or a reason"
        raise AddressError(_sentence(host, port, trouble)) from trouble
    return sockets


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
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
    """Where a browser finds the server."""
    found = sockets[0].getsockname()
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(found[0], f"[{found[0]}]" if ":" in found[0] else found[0])
    return f"http://{host}:{found[1]}"


def allow_files(number: int) -> None:
    """Let this process have so many files and connections open, as far as the system lets it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
