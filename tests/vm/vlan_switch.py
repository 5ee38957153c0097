# SPDX-License-Identifier: GPL-2.0-or-later
"""A switch with VLANs between guests and this host, in place of lan.Lan.

A guest has two ports for a bond, which carry tagged frames of all VLANs, or one port in one VLAN. A
network namespace of this host gets into a VLAN by a device of its own (tap); that needs root. As
switches do, it learns where addresses are, and keeps what is for itself (LACP) to itself.
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
import threading

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 0x0002, 0x1000
MTU, BIGGEST = 9000, 1 << 16
TAG, ADDRESSES, FOR_SWITCHES = b'\x81\x00', 12, b'\x01\x80\xc2\x00\x00'


class Tap:
    """A port that is a network device of a namespace."""

    def __init__(self, host, name, vlan):
        self.vlan = vlan
        self.fd = host.within(lambda: self._open(name))
        host.run('ip', 'link', 'set', name, 'mtu', str(MTU), 'up')

    @staticmethod
    def _open(name):
        fd = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', name.encode(), IFF_TAP | IFF_NO_PI))
        return fd

    def send(self, frame):
        os.write(self.fd, frame)


class Port:
    """QEMU's socket."""

    def __init__(self, switch, path, vlan):
        self.switch, self.path, self.vlan = switch, path, vlan

    def send(self, frame):
        self.switch.socket.sendto(frame, self.path)


class Switch:
    """FOLDER: for its socket; it stays until close()."""

    def __init__(self, folder):
        self.path = os.path.join(folder, 'switch')
        self.ports, self.taps, self.learnt = {}, {}, {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.end, self.told = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def trunk(self, number):
        """For Guest's lan: two ports, eth1 and eth2 there, with all VLANs tagged."""
        return _Cable(self, 2, None), number

    def access(self, number, vlan):
        """For Guest's lan: one port, eth1 there, in one VLAN."""
        return _Cable(self, 1, vlan), number

    def join(self, host, name, vlan):
        """A device of that name for a network namespace (netlab.Host)."""
        tap = Tap(host, name, vlan)
        self.taps[tap.fd] = tap
        os.write(self.told, b'+')

    def forget(self):
        """Where addresses are; switches do that when a cable is pulled."""
        self.learnt = {}

    def _run(self):
        while True:
            ready = select.select([self.socket, self.end, *self.taps], [], [])[0]
            if self.end in ready and os.read(self.end, 1) == b'':
                return
            for fd in ready:
                with contextlib.suppress(BlockingIOError):
                    self._receive(fd)

    def _receive(self, fd):
        if fd is self.socket:
            frame, path = self.socket.recvfrom(BIGGEST)
            self._forward(frame, self.ports.get(path))
        elif fd in self.taps:
            self._forward(os.read(fd, BIGGEST), self.taps[fd])

    def _forward(self, frame, source):
        if source is None or len(frame) < ADDRESSES + 2 or frame.startswith(FOR_SWITCHES):
            return
        if source.vlan is not None:
            frame = b''.join((frame[:ADDRESSES], TAG, struct.pack('!H', source.vlan),
                              frame[ADDRESSES:]))
        if frame[ADDRESSES:ADDRESSES + 2] != TAG:
            return
        vlan = struct.unpack_from('!H', frame, ADDRESSES + 2)[0] & 0xfff
        self.learnt[vlan, frame[6:12]] = source
        known = self.learnt.get((vlan, frame[:6]))
        for port in [known] if known else [*self.ports.values(), *self.taps.values()]:
            if port is not source and port.vlan in (None, vlan):
                self._send(port, frame)

    @staticmethod
    def _send(port, frame):
        """Lost if nobody is there, or is too slow, as on any network."""
        if port.vlan is not None:
            frame = frame[:ADDRESSES] + frame[ADDRESSES + 4:]
        with contextlib.suppress(OSError):
            port.send(frame)

    def close(self):
        os.close(self.told)
        self.thread.join()
        self.socket.close()
        for fd in (self.end, *self.taps):
            os.close(fd)
        os.remove(self.path)


class _Cable:
    """What a guest plugs into."""

    def __init__(self, switch, count, vlan):
        self.switch, self.count, self.vlan = switch, count, vlan

    def options(self, number, path):
        """QEMU's for guest NUMBER; PATH begins the names of its sockets."""
        argv = []
        for i in range(self.count):
            own = f'{path}.{i}'
            with contextlib.suppress(FileNotFoundError):
                os.remove(own)  # of a QEMU that was killed
            self.switch.ports[own] = Port(self.switch, own, self.vlan)
            argv += ['-netdev', f'dgram,id=lan{i},local.type=unix,local.path={own},'
                                f'remote.type=unix,remote.path={self.switch.path}',
                     # A bond leaves out ports that do not tell their speed when they come back.
                     '-device', f'virtio-net-pci,netdev=lan{i},romfile=,speed=10000,duplex=full,'
                                f'mac=52:54:00:00:{i + 1:02x}:{number:02x}']
        return argv
