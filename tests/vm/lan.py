# SPDX-License-Identifier: GPL-2.0-or-later
"""A network of several guests: a switch of unix sockets, which needs no rights and no ports.

QEMU sends each frame as a datagram to the switch, and the switch to all others. Guests come and go
as they like.
"""

import contextlib
import os
import select
import socket
import threading


class Lan:
    """FOLDER: for its socket; it stays until close()."""

    def __init__(self, folder):
        self.path, self.guests = os.path.join(folder, 'switch'), {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.end, self.told = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def options(self, number, path):
        """QEMU's for guest NUMBER, whose own socket is to be PATH."""
        self.guests[number] = path
        mac = f'52:54:00:00:01:{number:02x}'
        return ['-netdev', f'dgram,id=lan,local.type=unix,local.path={path},'
                           f'remote.type=unix,remote.path={self.path}',
                '-device', f'virtio-net-pci,netdev=lan,mac={mac},romfile=']

    def _run(self):
        while True:
            if self.end in select.select([self.socket, self.end], [], [])[0]:
                return
            frame, source = self.socket.recvfrom(1 << 16)
            for path in list(self.guests.values()):
                if path != source:
                    self._send(frame, path)

    def _send(self, frame, path):
        """Lost if nobody is there, or is too slow, as on any network."""
        with contextlib.suppress(OSError):
            self.socket.sendto(frame, path)

    def close(self):
        os.close(self.told)
        self.thread.join()
        self.socket.close()
        os.close(self.end)
        os.remove(self.path)
