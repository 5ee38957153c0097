# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads from 64 KiB on, which go by splice: right bytes at odd places, warm and cold, on every file
system; errors instead of data when the image shrinks; a client that does not read costs its share."""

import errno
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE = 24 * MIB
PLACES = [(0, 64 * KIB), (1, 64 * KIB), (4095, 64 * KIB + 2), (MIB - 1, MIB), (MIB, MIB),
          (777, MIB + 4096), (3, 4 * MIB + 1), (0, SIZE), (SIZE - 64 * KIB, 64 * KIB)]


def content_of(path):
    with open(path, 'rb') as f:
        return f.read()


class LongReads(xtest.Case):

    def client(self, server, mode='simple'):
        c = n.Raw(server.socket).enter(mode)
        self.addCleanup(c.close)
        return c

    def forget(self, image):
        """Takes the image out of the page cache."""
        with open(image, 'rb') as f:
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def check_places(self, server, image, cold):
        content = content_of(image)
        for mode in ('simple', 'structured', 'extended'):
            c = self.client(server, mode)
            for at, length in PLACES:
                if cold:
                    self.forget(image)
                self.assertTrue(c.read(at, length) == content[at:at + length], (mode, at, length))

    def test_warm(self):
        image = self.image(SIZE, pattern=1)
        self.check_places(self.serve(image), image, cold=False)

    def test_cold(self):
        image = self.image(SIZE, pattern=2)
        self.check_places(self.serve(image), image, cold=True)

    def test_tmpfs_with_holes(self):
        folder = self.mount('tmpfs', '64m')
        image = self.image(SIZE, folder=folder)
        with open(image, 'r+b') as f:
            for at in range(0, SIZE, MIB):
                f.seek(at)
                f.write(random.Random(at).randbytes(300 * KIB))
        before = os.stat(image).st_blocks
        self.check_places(self.serve(image), image, cold=False)
        self.assertEqual(os.stat(image).st_blocks, before)

    def test_loop_device(self):
        image = self.image(SIZE, pattern=3)
        self.check_places(self.serve(self.loop_device(image)), image, cold=False)

    def test_many_at_once(self):
        """More in flight than there are pipes, replies in any order."""
        image = self.image(SIZE, pattern=4)
        content = content_of(image)
        server = self.serve(image, '--threads=1')
        clients = [self.client(server) for _ in range(4)]
        places = [(random.Random(i).randrange(SIZE - MIB), 64 * KIB + i) for i in range(60)]
        for c in clients:
            for cookie, (at, length) in enumerate(places):
                c.request(n.READ, at, length, cookie=cookie)
        for c in clients:
            for _ in places:
                reply = c.reply()
                at, length = places[reply.cookie]
                self.assertEqual(reply.error, 0)
                self.assertTrue(reply.data == content[at:at + length])

    def test_shrunk_image(self):
        """Whole or in part beyond the new end: EIO, the next read works, nothing of the old data."""
        image = self.image(SIZE, pattern=5)
        for mode in ('simple', 'structured'):
            server = self.serve(image)
            c = self.client(server, mode)
            os.truncate(image, 8 * MIB + 100)
            for at in (16 * MIB, 8 * MIB - 64 * KIB, 8 * MIB):
                self.assertEqual(c.call(n.READ, at, 128 * KIB).error, errno.EIO)
            self.assertEqual(len(c.read(0, 128 * KIB)), 128 * KIB)
            self.assertEqual(len(c.read(8 * MIB - 128 * KIB, 128 * KIB)), 128 * KIB)
            server.stop()
            os.truncate(image, SIZE)

    def test_client_that_does_not_read(self):
        """It holds its pipes; another one gets its data all the same, and the server stays small."""
        image = self.image(SIZE, pattern=6)
        server = self.serve(image, '--threads=1')
        lazy, other = self.client(server), self.client(server)
        for cookie in range(100):
            lazy.request(n.READ, 0, MIB, cookie=cookie)
        time.sleep(0.5)
        began = time.monotonic()
        for at in range(0, 16 * MIB, MIB):
            self.assertEqual(len(other.read(at, MIB)), MIB)
        self.assertLess(time.monotonic() - began, 10)
        if not xtest.is_sanitized():
            self.assertLess(xtest.pss(server.pid), 160 * MIB)
        lazy.close()
        server.stop()

    def test_client_that_dies(self):
        """Half-sent replies leave no pipe and no descriptor behind."""
        image = self.image(SIZE, pattern=7)
        server = self.serve(image)
        self.assertEqual(len(self.client(server).read(0, MIB)), MIB)
        before = None
        for _ in range(3):
            for _ in range(30):
                c = n.Raw(server.socket).enter('simple')
                for cookie in range(8):
                    c.request(n.READ, 0, MIB, cookie=cookie)
                c.close()
            xtest.wait_for(lambda: xtest.count_fds(server.pid) < 200, 'clients gone')
            time.sleep(0.3)
            before = before or xtest.count_fds(server.pid)
        self.assertLess(xtest.count_fds(server.pid), before + 140)  # pipes of two lanes
        content = content_of(image)
        self.assertTrue(self.client(server).read(5, 2 * MIB) == content[5:5 + 2 * MIB])


if __name__ == '__main__':
    xtest.main()
