# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that differ in where they come from: loopback addresses, IPv6, users of a unix socket."""

import os
import socket
import subprocess

import rawnbd
import xtest
from wrapper_fixture import WrapperCase, quote, try_go

A, B, C = '127.0.0.2', '127.0.0.3', '127.0.0.4'
NOBODY = 65534
READ_ONLY_LACKS = rawnbd.SEND_TRIM | rawnbd.SEND_WRITE_ZEROES | rawnbd.SEND_FAST_ZERO


def value(v):
    """A value of the configuration file; a list is one of texts."""
    if isinstance(v, (list, tuple)):
        return '{' + ', '.join(quote(x) for x in v) + '}'
    return quote(v) if isinstance(v, str) else str(v).lower()


def section(kind, name=None, **keys):
    """`_` in a key stands for `-`."""
    lines = [f'\t{key.replace("_", "-")} = {value(v)}' for key, v in keys.items()]
    return '\n'.join([f'{kind} {quote(name) + " " if name else ""}{{', *lines, '}']) + '\n'


def as_user(uid, function, groups=()):
    """Runs function() in a child as another user; what it returned (text)."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(groups)
            os.setgid(uid)
            os.setuid(uid)
            os.write(into, function().encode())
        except BaseException as e:
            os.write(into, f'{type(e).__name__}: {e}'.encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as f:
        text = f.read()
    os.waitpid(pid, 0)
    return text


class AccessCase(WrapperCase):
    """One wrapper on 127.0.0.1, ::1 and a unix socket."""

    def setUp(self):
        super().setUp()
        self.w = None

    def serve_access(self, *sections, args=()):
        path = self.path('clients.sock')
        self.w = self.wrap_tcp('--lsocket', path, *args, exports=''.join(sections),
                               hosts=('127.0.0.1', '::1'))
        self.unix = path
        return self.w

    def export_section(self, name, **keys):
        path = self.image(1 << 20, f'{name}.img')
        return section('export', name, image=path, **keys)

    def connect(self, source=A):
        """A socket from this address, or '::1', or 'unix'."""
        if source == 'unix':
            return xtest.connect(self.unix)
        host = '::1' if ':' in source else '127.0.0.1'
        s = socket.create_connection((host, self.w.port), 10, source_address=(source, 0))
        self.addCleanup(s.close)
        return s

    def raw(self, source=A):
        client = rawnbd.Raw(self.connect(source))
        self.addCleanup(client.close)
        client.greet()
        return client

    def enter(self, name, source=A, **more):
        """A client in transmission; its first read is done, so the master knows it."""
        client = rawnbd.Raw(self.connect(source))
        self.addCleanup(client.close)
        client.enter(name=name, **more).read(0, 1)
        return client

    def names(self, source=A):
        """What LIST shows."""
        return list(self.raw(source).list())

    def refused(self, name, source=A, option=rawnbd.OPT_GO):
        """(reply, text) of a GO or INFO that is refused."""
        client = self.raw(source)
        answer = try_go(client, name, option)
        client.close()
        return answer

    def info(self, name, source=A):
        """Flags that INFO shows."""
        client = self.raw(source)
        client.send(client.go_bytes(name, option=rawnbd.OPT_INFO))
        client.take_infos(rawnbd.OPT_INFO)
        client.close()
        return client.flags

    def assert_reader(self, flags):
        self.assertTrue(flags & rawnbd.READ_ONLY, hex(flags))
        self.assertFalse(flags & READ_ONLY_LACKS, hex(flags))

    def assert_writer(self, flags):
        self.assertFalse(flags & rawnbd.READ_ONLY, hex(flags))
        self.assertEqual(flags & READ_ONLY_LACKS, READ_ONLY_LACKS)

    def gone(self, name, left=0):
        """Waits until the master knows that clients have gone."""
        xtest.wait_for(lambda: self.w.client_count(name) == left, f'{left} clients of {name}')

    def run_as(self, uid, *argv, groups=()):
        """A tool as another user: the finished process."""
        self.require(argv[0])
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, user=uid,
                              group=uid, extra_groups=groups, cwd='/')
