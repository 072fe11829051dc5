"""Closing a listening socket without losing whom the kernel has let in.

Connections that are established and wait to be accepted are reset when a listening socket is closed, and there is no call that only stops
new ones. A packet filter on the socket is one: it drops the packets that would open further connections, whose clients try again a
second later and find the port closed, while everything that is under way goes on.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from collections.abc import Sequence

TURNS = 0.05  # seconds in which the event loop reads what had been sent before
SETTLED = 0.2  # seconds after which connections that were being opened are there
QUEUE_PLACE = 24  # of tcpi_unacked in struct tcp_info, which is the length of the queue where a socket listens
ATTACH_FILTER = 26  # SO_ATTACH_FILTER, which Python does not name

# Berkeley packet filter: operation, jump if true, jump if false, operand. Packets are seen from the TCP header on.
_NO_SYN = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x45, 0, 1, 0x02),  # is SYN among them?
    (0x06, 0, 0, 0),  # then drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # else keep all of it
)


def turn_away(sockets: Sequence[socket.socket]) -> None:
    """No further connections to these listening sockets, on Linux; elsewhere, or where it is not allowed, nothing changes."""
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in _NO_SYN))
    given = struct.pack("HP", len(_NO_SYN), ctypes.addressof(program))
    for one in sockets:
        try:
            one.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, given)
        except OSError:
            continue


def queued(sockets: Sequence[socket.socket]) -> int:
    """Connections that the kernel has let in and that wait to be accepted, as far as it says (Linux); uvloop accepts one a turn."""
    if sys.platform != "linux":
        return 0
    number = 0
    for one in sockets:
        try:
            told = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, QUEUE_PLACE + 4)
        except OSError:  # it is closed
            continue
        if len(told) == QUEUE_PLACE + 4:
            number += struct.unpack_from("I", told, QUEUE_PLACE)[0]
    return number


def unread(number: int) -> bool:
    """Whether something has come on a connection, by its file's number, that was not read yet."""
    try:
        import fcntl
        import termios
    except ImportError:  # Windows does not say
        return False
    try:
        (waiting,) = struct.unpack("i", fcntl.ioctl(number, termios.FIONREAD, b"\0\0\0\0"))
    except (OSError, ValueError):  # it is closed
        return False
    return bool(waiting)
