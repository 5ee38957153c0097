# SPDX-License-Identifier: GPL-2.0-or-later
"""Two hosts joined by a link that can be cut and made slow: network namespaces of a test.

They have no names and no processes of their own: only this process holds them, by descriptors, so
they are gone when the test and what it started have ended, however that came about. The files of
the machine are theirs too: a unix socket is reached from everywhere, a port only over the link.
Needs root, iproute2 and nftables.
"""

import ctypes
import os
import socket

import xtest

CLONE_NEWNET = 0x40000000
LINK = 'link0'  # the name of its end on either host
CUT = f"""table inet lab {{
	chain arriving {{ type filter hook input priority 0; iif {LINK} drop; }}
}}"""


class Host:
    """One namespace. `prefix` stands before the command line of a program that runs there."""

    def __init__(self, case, address):
        self.case, self.address = case, address
        home = _current()
        try:
            _call(xtest.LIBC.unshare, CLONE_NEWNET)
            self.fd = _current()
        finally:
            _enter(home)
            os.close(home)
        case.addCleanup(os.close, self.fd)
        self.path = f'/proc/{os.getpid()}/fd/{self.fd}'
        self.prefix = ['nsenter', f'--net={self.path}']
        self.run('ip', 'link', 'set', 'lo', 'up')

    def run(self, *argv, **options):
        """Runs a command there to its end; its stdout."""
        return self.case.run_cmd(*self.prefix, *argv, **options)

    def within(self, function):
        """Calls it with this thread on the host; sockets made there stay there."""
        home = _current()
        try:
            _enter(self.fd)
            return function()
        finally:
            _enter(home)
            os.close(home)

    def connect(self, port, to=None):
        """A TCP connection from here to a host, or to itself."""
        address = ((to or self).address, port)
        s = self.within(lambda: socket.create_connection(address, 10))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s


class Lab:
    """Hosts .a and .b and what is between them."""

    def __init__(self, case):
        case.require('ip', 'nft', 'tc', 'nsenter', root=True)
        self.a, self.b = Host(case, '192.0.2.1'), Host(case, '192.0.2.2')
        self.a.run('ip', 'link', 'add', LINK, 'type', 'veth', 'peer', 'name', LINK, 'netns',
                   self.b.path)
        for host in (self.a, self.b):
            host.run('ip', 'address', 'add', f'{host.address}/24', 'dev', LINK)
            host.run('ip', 'link', 'set', LINK, 'up')

    def cut(self):
        """From now on what is sent is lost, both ways; nobody is told."""
        for host in (self.a, self.b):
            host.run('nft', '-f', '-', input=CUT)

    def mend(self):
        for host in (self.a, self.b):
            host.run('nft', 'delete', 'table', 'inet', 'lab')

    def slow(self, mbit):
        """Each way carries so much, with a queue of up to 0.2 s."""
        for host in (self.a, self.b):
            host.run('tc', 'qdisc', 'replace', 'dev', LINK, 'root', 'tbf', 'rate', f'{mbit}mbit',
                     'burst', '64k', 'latency', '200ms')

    def fast(self):
        for host in (self.a, self.b):
            host.run('tc', 'qdisc', 'delete', 'dev', LINK, 'root')


def _call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), function.__name__)


def _current():
    """A descriptor of this thread's namespace."""
    return os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)


def _enter(fd):
    _call(xtest.LIBC.setns, fd, CLONE_NEWNET)
