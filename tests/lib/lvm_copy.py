# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies by lvm_copy, on this host and by the real ssh and sshd to 'another' one (sshd.Far)."""

import hashlib
import json
import os
import random
import shlex
import signal
import subprocess

import sshd
import xtest

CHUNK = 64 * xtest.KIB


def digest(path, length=None):
    """Of the content of a file or device, or of its first bytes."""
    h = hashlib.sha256()
    with open(path, 'rb') as f:
        h.update(f.read() if length is None else f.read(length))
    return h.hexdigest()


def write(path, text):
    with open(path, 'w') as f:
        f.write(text)
    return path


def serve_command(*args):
    """What a key may do."""
    return shlex.join([xtest.program('lvm_copy'), '--serve', *args])


def forget_manifests(mark):
    """Those of devices and exports are outside of our folder, by names that have MARK."""
    folder = '/var/lib/xnbd/lvm_copy'
    mark = mark.replace('%', '%25').replace('/', '%2F')
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if mark in name:
            os.unlink(os.path.join(folder, name))


class Case(xtest.Case):

    def setUp(self):
        super().setUp()
        self.conf = write(self.path('lvm_tools.conf'), 'MIN_TRANSFER_RATE=0\n')

    # Sources.

    def sparse(self, size, name='src', seed=1, part=0.4, piece=CHUNK):
        """A file of which about so much is random bytes, in pieces; the rest are holes."""
        rnd = random.Random(seed)
        path = self.image(size, name)
        with open(path, 'r+b') as f:
            for at in range(0, size, piece):
                if rnd.random() < part:
                    f.seek(at)
                    f.write(rnd.randbytes(min(piece, size - at)))
        return path

    @staticmethod
    def scribble(path, rnd, count=3):
        """Random writes: bytes, blocks, zeros; the size stays."""
        size = os.path.getsize(path)
        with open(path, 'r+b') as f:
            for _ in range(count):
                length = min(rnd.choice((1, 511, 4096, 70000)), size)
                f.seek(rnd.randrange(size - length + 1))
                f.write(rnd.choice((rnd.randbytes, bytes))(length))

    # Copies.

    def argv(self, source, target, *args, config=None):
        return [xtest.program('lvm_copy'), '-c', config or self.conf, '-s', source, '-t', target,
                *args]

    def copy(self, source, target, *args, **options):
        """The result, from its JSON."""
        return json.loads(self.run_cmd(*self.argv(source, target, '--json', *args), **options))

    def refused(self, source, target, *args, status=1, say=''):
        """It must fail with one line on stderr that has SAY."""
        p = self.run_cmd(*self.argv(source, target, *args), status=None)
        self.assertEqual(p.returncode, status, p.stderr)
        lines = [line for line in p.stderr.splitlines() if line.startswith('lvm_copy: error: ')]
        self.assertEqual(len(lines), 1, p.stderr)
        self.assertIn(say, lines[0])
        return lines[0]

    def verify(self, copy, *args, status=0):
        return self.run_cmd(xtest.program('lvm_copy'), '--verify', copy, *args, status=status)

    def damaged(self, copy, *args, say='damaged'):
        p = self.run_cmd(xtest.program('lvm_copy'), '--verify', copy, *args, status=None)
        self.assertEqual(p.returncode, 1, p.stderr)
        self.assertIn(say, p.stderr)

    def assert_copy(self, source, copy, length=None):
        self.assertEqual(digest(source), digest(copy, length), f'{source}, {copy}')

    def start_slow(self, source, target, *args, rate=1, reached=1):
        """A copy of a megabyte a second, begun: its partial file has REACHED blocks."""
        d = self.spawn(self.argv(source, target, f'--max-rate={rate}', *args))
        partial = target.split(':', 1)[1] + '.partial'

        def is_begun():
            self.assertTrue(d.is_alive(), d.stderr())
            return os.path.exists(partial) and os.stat(partial).st_blocks >= reached
        xtest.wait_for(is_begun, 'the first chunks')
        return d

    @staticmethod
    def interrupt(daemon, number=signal.SIGTERM):
        daemon.send_signal(number)
        return daemon.wait(60)

    # The other host.

    def set_up_far(self, command=None):
        """Host 'far'. COMMAND: the key's forced one, else whatever is asked for."""
        self.ssh_config = sshd.Far(self, command).config
        self.far = ('-F', self.ssh_config, '--far-program', xtest.program('lvm_copy'))

    @staticmethod
    def children(pid):
        out = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(pid)], capture_output=True,
                             text=True, check=False).stdout
        return [int(word) for word in out.split()]
