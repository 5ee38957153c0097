# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of the storage under a running server: full file systems, shrinking images, devices that
fail, failing flushes. Clients get an error, the server stays, acknowledged data stays."""

import errno
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

FAILING_FLUSH = r'''
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>
#include <stdlib.h>
/* Fails once for each time the file named by FLUSH_FAULT is made. */
int fdatasync(int fd)
{
	static int (*real)(int);
	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	if (unlink(getenv("FLUSH_FAULT")) == 0) {
		errno = EIO;
		return -1;
	}
	return real(fd);
}
'''


class Faults(xtest.Case):

    def client(self, server, mode='structured'):
        c = n.Raw(server.socket).enter(mode)
        self.addCleanup(c.close)
        return c


class Full(Faults):

    def fill(self, folder, size):
        """Writes until the file system is full; everything acknowledged must stay."""
        image = self.image(size, folder=folder)
        server = self.serve(image)
        c, block, done = self.client(server), 256 * KIB, {}
        for at in range(0, size, block):
            data = random.Random(at).randbytes(block)
            reply = c.write(at, data)
            if reply.error:
                break
            done[at] = data
        self.assertEqual(reply.error, errno.ENOSPC, reply.text)
        self.assertGreater(len(done), 8)
        self.assertEqual(c.call(n.FLUSH).error, 0)
        self.check_content(c, done)
        return server, c, done

    def check_content(self, c, done):
        for at, data in done.items():
            self.assertTrue(c.read(at, len(data)) == data, f'block at {at}')

    def after(self, server, c, done, size):
        """Zeroes cannot be allocated either; freeing space makes writes possible again."""
        reply = c.call(n.WRITE_ZEROES, size - 8 * MIB, 8 * MIB, flags=n.NO_HOLE)
        self.assertEqual(reply.error, errno.ENOSPC)
        at, data = done.popitem()
        self.assertEqual(c.call(n.TRIM, at, len(data), flags=n.FUA).error, 0)
        self.assertEqual(c.write(size - 64 * KIB, b'!' * 64 * KIB).error, 0)
        self.check_content(self.client(server, 'extended'), done)
        server.stop()

    def test_tmpfs(self):
        size = 32 * MIB
        self.after(*self.fill(self.mount('tmpfs', '8m'), size), size)

    def test_ext4(self):
        size = 128 * MIB
        self.after(*self.fill(self.mount('ext4', 24 * MIB), size), size)


class Shrinking(Faults):

    def test_image_truncated_under_load(self):
        """4.2.6 of the original: SIGBUS and aborts.

        A reply whose head was out in the microseconds between check and use can only be cut.
        """
        size = 8 * MIB
        image = self.image(size, pattern=1)
        server = self.serve(image)
        end = time.monotonic() + 1.5
        seen, cut = set(), []

        def batch(c, rnd):
            for _ in range(16):
                c.request(n.READ, rnd.randrange(size - 65536), rnd.randrange(1, 65536))
            seen.update(r.error for r in c.replies(16))

        def load(seed):
            c, rnd = self.client(server), random.Random(seed)
            while time.monotonic() < end:
                try:
                    batch(c, rnd)
                except (n.Closed, BrokenPipeError, ConnectionResetError):
                    cut.append(seed)
                    c = self.client(server)

        def shrink():
            while time.monotonic() < end:
                os.truncate(image, random.randrange(0, size))
                time.sleep(0.02)
                os.truncate(image, size)
                time.sleep(0.02)
        xtest.in_threads(*[lambda s=s: load(s) for s in range(3)], shrink)
        self.assertEqual(seen, {0, errno.EIO})
        self.assertLessEqual(len(cut), 5)
        c = self.client(server)
        self.assertEqual(len(c.read(size - 4096, 4096)), 4096)
        self.assertEqual(c.write(size - 4096, b'new').error, 0)
        server.stop()


class Device(Faults):
    """A loop device over a sparse file on a file system that is full: new blocks give EIO."""

    GOOD, SIZE = MIB, 16 * MIB

    def setUp(self):
        super().setUp()
        folder = self.mount('tmpfs', '4m')
        disk = self.image(self.SIZE, 'disk', folder=folder)
        with open(disk, 'r+b') as f:
            f.write(random.Random(1).randbytes(self.GOOD))
        self.device = self.loop_device(disk)
        self.full = os.path.join(folder, 'full')
        with open(self.full, 'wb', buffering=0) as f:
            try:
                while f.write(b'x' * 65536):
                    pass
            except OSError as e:
                self.assertEqual(e.errno, errno.ENOSPC)
        self.server = self.serve(self.device)

    def test_fua_write_fails(self):
        c = self.client(self.server)
        self.assertIn(c.write(8 * MIB, b'x' * 4096, flags=n.FUA).error, (errno.EIO, errno.ENOSPC))
        self.check_alive(c)

    def test_flush_fails_and_keeps_failing(self):
        c = self.client(self.server)
        self.assertEqual(c.write(8 * MIB, b'x' * 65536).error, 0)
        self.assertIn(c.call(n.FLUSH).error, (errno.EIO, errno.ENOSPC))
        self.check_lost(c)

    def test_error_seen_by_fua_is_still_seen_by_flush(self):
        """The kernel reports a lost write once; whoever hears it first, later FLUSHes must fail."""
        c = self.client(self.server)
        self.assertEqual(c.write(8 * MIB, b'x' * 65536).error, 0)
        self.assertNotEqual(c.write(12 * MIB, b'y' * 4096, flags=n.FUA).error, 0)
        self.check_lost(c)

    def check_lost(self, c):
        os.unlink(self.full)  # room again: only the memory of the loss can fail a flush now
        for _ in range(3):
            self.assertIn(c.call(n.FLUSH).error, (errno.EIO, errno.ENOSPC))
        self.assertNotEqual(self.client(self.server).call(n.FLUSH).error, 0)
        self.check_alive(c)

    def check_alive(self, c):
        """Reads go on; the last flush at the end fails too and the exit status says so."""
        self.assertTrue(c.read(0, self.GOOD) == random.Random(1).randbytes(self.GOOD))
        self.server.stop(status=1)
        self.assertIn('last flush', self.server.stderr())


class FailingFlush(Faults):

    def setUp(self):
        super().setUp()
        self.fault = self.path('fault')
        env = dict(self.preload(FAILING_FLUSH), FLUSH_FAULT=self.fault)
        self.server = self.serve(self.image(MIB), env=env)

    def arm(self):
        open(self.fault, 'w').close()

    def test_85_failed_flush_is_remembered(self):
        a, b = self.client(self.server), self.client(self.server, 'simple')
        self.assertEqual(a.call(n.FLUSH).error, 0)
        self.arm()
        self.assertEqual(a.call(n.FLUSH).error, errno.EIO)
        for c in (a, b, a):
            self.assertEqual(c.call(n.FLUSH).error, errno.EIO)
        self.assertEqual(a.write(0, b'x').error, 0)
        self.server.stop(status=1)

    def test_fua_of_zeroes_and_trim(self):
        c = self.client(self.server)
        self.arm()
        self.assertEqual(c.call(n.WRITE_ZEROES, 0, 4096, flags=n.FUA).error, errno.EIO)
        self.assertEqual(c.call(n.TRIM, 0, 4096, flags=n.FUA).error, errno.EIO)
        self.assertEqual(c.call(n.TRIM, 0, 4096).error, 0)
        self.assertEqual(c.call(n.FLUSH).error, errno.EIO)
        self.server.stop(status=1)

    def test_last_flush(self):
        c = self.client(self.server)
        self.assertEqual(c.write(0, b'x').error, 0)
        self.arm()
        self.server.stop(status=1)
        self.assertIn('last flush', self.server.stderr())


if __name__ == '__main__':
    xtest.main()
