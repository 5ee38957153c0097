# SPDX-License-Identifier: GPL-2.0-or-later
"""The shortest way into the transmission phase of an NBD server, for Python: one socket, no state.

Measures of time and of crowds need many quick handshakes; tests/lib/rawnbd.py checks every byte.
"""
import socket
import struct

GO, INFO, ACK = 7, 3, 1
FLAGS = 3  # fixed newstyle, no zeroes
READ = 0


class Refused(Exception):
    """The server is there but does not let us in."""


def connect(address):
    """ADDRESS: path of a unix socket or (host, port)."""
    unix = isinstance(address, str)
    s = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    try:
        s.settimeout(20)
        s.connect(address)
        if not unix:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        s.close()
        raise
    return s


def receive(s, count):
    got = b""
    while len(got) < count:
        more = s.recv(count - len(got))
        if not more:
            raise Refused("connection closed")
        got += more
    return got


def enter(address, name):
    """A connected socket in transmission phase. OSError or Refused."""
    s = connect(address)
    try:
        raw = name.encode()
        receive(s, 18)
        s.sendall(struct.pack(">I8sIII", FLAGS, b"IHAVEOPT", GO, len(raw) + 6, len(raw)) + raw
                  + b"\0\0")
        kind = INFO
        while kind == INFO:
            _, _, kind, length = struct.unpack(">QIII", receive(s, 20))
            text = receive(s, length)
        if kind != ACK:
            raise Refused(f"refused: {kind:#x} {text.decode(errors='replace')}")
    except BaseException:
        s.close()
        raise
    return s


def read_block(s, offset=0, length=4096):
    """One simple read, so that the connection has had work to do."""
    s.sendall(struct.pack(">IHHQQI", 0x25609513, 0, READ, 1, offset, length))
    _, error, _ = struct.unpack(">IIQ", receive(s, 16))
    if error:
        raise Refused(f"read: error {error}")
    receive(s, length)
