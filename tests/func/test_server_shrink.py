# SPDX-License-Identifier: GPL-2.0-or-later
"""Images that change shape under readers, on tmpfs and on disk file systems: truncated and grown
again, holes punched by another client. What is beyond the end is EIO, what is inside is right, and
a server that reads through a mapping dies of no SIGBUS and fills no hole."""

import errno
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import hammer  # noqa: E402
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE, PAGE = 8 * MIB, 4 * KIB
SHORT, LONG = [PAGE] * 32, [256 * KIB] * 8
READERS = (('simple', SHORT), ('structured', LONG), ('structured', SHORT + LONG),
           ('extended', SHORT))


class Shapes:

    def setUp(self):
        super().setUp()
        self.file = self.image(SIZE, pattern=1, folder=self.folder())
        with open(self.file, 'rb') as f:
            self.content = f.read()
        self.server = self.serve(self.file)

    def client(self, mode='structured'):
        c = n.Raw(self.server.socket).enter(mode)
        self.addCleanup(c.close)
        return c

    def hammer(self, where=(0, SIZE)):
        def place(rnd, length):
            at = rnd.randrange(where[0], where[1] - length)
            return at - at % PAGE if rnd.random() < 0.9 else at
        return hammer.Hammer(self.client, READERS, place, self.check_changing)

    def holds(self, content, size=SIZE):
        """The strict check: the image holds this, and is so long."""
        def check(at, length, reply):
            inside = at + length <= size
            self.assertEqual(reply.error, 0 if inside else errno.EIO,
                             f'{at}+{length} of {size}: {reply.text}')
            if inside:
                self.assertTrue(reply.data == content[at:at + length], f'{at}+{length}')
        return check

    def check_changing(self, at, length, reply):
        self.assertIn(reply.error, (0, errno.EIO))
        for i in range(0, len(reply.data), PAGE):
            block, was = reply.data[i:i + PAGE], self.content[at + i:at + min(i + PAGE, length)]
            self.assertTrue(block == was or not any(block)
                            or all(a in (0, b) for a, b in zip(block, was)), f'at {at + i}')

    def restore(self):
        with open(self.file, 'r+b') as f:
            f.write(self.content)

    # Tests.

    def test_truncated_and_grown(self):
        h = self.hammer()
        h.may_be_cut = 3  # in the microseconds between check and use

        def change():
            for cut in (0, PAGE, 100, 4 * MIB, 4 * MIB + 100, 6 * MIB - 1, SIZE - PAGE, SIZE - 1):
                h.settle(self.holds(self.content))
                os.truncate(self.file, cut)
                h.settle(self.holds(self.content, cut))
                os.truncate(self.file, SIZE)
                h.settle(self.holds(self.content[:cut] + bytes(SIZE - cut)))
                self.restore()
        h.run(change)
        self.server.stop()

    def test_truncated_all_the_time(self):
        """Faster than readers can follow, between check and use: a reply whose head is out already
        can only be cut, never be wrong."""
        h, rnd = self.hammer(), random.Random(3)
        h.may_be_cut = 50

        def change():
            for _ in range(20):
                for _ in range(10):
                    os.truncate(self.file, rnd.randrange(0, SIZE, PAGE))
                    os.truncate(self.file, SIZE)
                self.restore()
                h.settle(self.holds(self.content))
        h.run(change)
        self.server.stop()

    def punch(self, kind):
        """Everybody reads zeros from the answer on, and reading allocates nothing."""
        at, end = 2 * MIB, 3 * MIB
        holes = self.content[:at] + bytes(end - at) + self.content[end:]
        c, h = self.client(), self.hammer((at - 512 * KIB, end + 512 * KIB))

        def change():
            for _ in range(10):
                h.settle(self.holds(self.content))
                self.assertEqual(c.call(kind, at, end - at).error, 0)
                blocks = os.stat(self.file).st_blocks
                with h.settled(self.holds(holes)):
                    self.assertEqual(os.stat(self.file).st_blocks, blocks)
                self.assertEqual(c.write(at, self.content[at:end], flags=n.FUA).error, 0)
                self.assertGreater(os.stat(self.file).st_blocks, blocks)
            c.disconnect()
        h.run(change)
        self.server.stop()

    def test_trim(self):
        self.punch(n.TRIM)

    def test_write_zeroes(self):
        self.punch(n.WRITE_ZEROES)


class Tmpfs(Shapes, xtest.Case):

    def folder(self):
        return self.mount('tmpfs', '32m')


class Ext4(Shapes, xtest.Case):

    def folder(self):
        return self.mount('ext4', 64 * MIB)


class Xfs(Shapes, xtest.Case):

    def folder(self):
        return self.mount('xfs', 320 * MIB)


if __name__ == '__main__':
    xtest.main()
