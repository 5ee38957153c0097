# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of copy-on-write targets share: a base with known content, and a server of it."""

import contextlib
import os
import signal

import rawnbd
import xtest
from xtest import KIB, MIB

SIZE = 3 * MIB + 1000
BLOCK = 64 * KIB
HOLE = rawnbd.STATE_HOLE | rawnbd.STATE_ZERO


def links_of(pid):
    """What the descriptors of a process stand for."""
    folder, links = f'/proc/{pid}/fd', []
    for fd in os.listdir(folder):
        try:
            links.append(os.readlink(os.path.join(folder, fd)))
        except FileNotFoundError:
            pass
    return links


def is_running(pid):
    return 'State:\tZ' not in xtest.text_of(f'/proc/{pid}/status') and os.path.exists(
        f'/proc/{pid}')


class Case(xtest.Case):

    def setUp(self):
        super().setUp()
        self.clients = []

    def base(self, size=SIZE, seed=1, name='base.img', folder=None):
        """Makes the base; its content is self.content."""
        self.path_of_base = self.image(size, name, pattern=seed, folder=folder)
        with open(self.path_of_base, 'rb') as f:
            self.content = f.read()
        return self.path_of_base

    def serve_args(self, image, *args):
        return ['--cow-target' if a == '--target' else a for a in super().serve_args(image, *args)]

    def serve(self, *args, **options):
        """It greets, so it is past its start: it listens a little before it takes signals."""
        d = super().serve(*args, **options)
        with rawnbd.Raw(d.socket) as c:
            c.greet()
        return d

    @contextlib.contextmanager
    def in_background(self, base, *args, folder=None):
        """A server with --daemonize, started in the folder: its process id and address."""
        address = self.path('background.sock')
        self.run_cmd(*self.serve_args(base, f'--socket={address}', '--daemonize', *args),
                     cwd=folder or self.dir)
        pid = next(int(p) for p in filter(str.isdigit, os.listdir('/proc'))
                   if address in xtest.text_of(f'/proc/{p}/cmdline'))
        try:
            yield pid, address
        finally:
            os.kill(pid, signal.SIGTERM)
            xtest.wait_for(lambda: not os.path.exists(address), 'end of the server', 15)
            xtest.wait_for(lambda: not is_running(pid), 'end of the process', 15)

    def client(self, mode='structured', server=None):
        c = rawnbd.Raw((server or self.server).socket).enter(mode)
        self.addCleanup(c.close)
        self.clients.append(c)
        return c

    def close_clients(self):
        """A server that ends waits a little for those who say nothing."""
        for c in self.clients:
            c.close()
        self.clients.clear()

    def ok(self, reply):
        self.assertEqual(reply.error, 0, reply.text)
        return reply

    def same(self, c, want, offset=0):
        got = c.read(offset, len(want))
        if got != bytes(want):
            at = next(i for i, (a, b) in enumerate(zip(got, want)) if a != b)
            self.fail(f'differs at {offset + at}: {got[at]} instead of {want[at]}')

    def base_is_unchanged(self):
        with open(self.path_of_base, 'rb') as f:
            self.assertTrue(f.read() == self.content)

    def refused(self, *args, status=1):
        """The server does not start: one line says why."""
        argv = self.serve_args(self.path_of_base, f'--socket={self.path("refused.sock")}', *args)
        p = self.run_cmd(*argv, status=None)
        self.assertEqual(p.returncode, status, p.stderr)
        self.assertEqual(len(p.stderr.splitlines()), 1, p.stderr)
        return p.stderr

    def finish(self, *clients):
        for c in clients:
            c.disconnect()
        self.close_clients()
        self.server.stop()
        self.base_is_unchanged()
