# SPDX-License-Identifier: GPL-2.0-or-later
"""Storage that does not answer for a while: what waits for it waits alone. Cached data is read at
once meanwhile, by others and by the same client; FLUSH and writes that hang block no read.

The disk is silent until the test lets it speak, so every hot read that is answered shows that
nothing it needs was waiting, and none is measured against a clock. One lane: nobody can be lucky.
"""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import faulty  # noqa: E402
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE, HOT = 40 * MIB, MIB  # [0, HOT) is in the page cache
COLD, COLD_BYTES = 16 * MIB, 16 * MIB
PAGE = 4 * KIB
SHORT, LONG = 4 * KIB, 256 * KIB
PATIENCE = 10  # seconds for a hot read; a blocked one never comes


class Slow:

    def setUp(self):
        super().setUp()
        self.serve_disk(self.KIND, SIZE, '--threads=1')
        self.slow, self.other = self.client(timeout=PATIENCE), self.client(timeout=PATIENCE)
        self.assertEqual(self.check(self.other.pipeline([(0, HOT)])), 0)
        self.pin(0, HOT)

    def check_hot(self, c):
        """Short and long reads of cached data, one by one and many at once."""
        rnd = random.Random(1)
        places = [(rnd.randrange(HOT - length), length) for length in [SHORT] * 40 + [LONG] * 10]
        self.assertEqual(self.check(c.pipeline(places, 1)), 0)
        self.assertEqual(self.check(c.pipeline(places, 16)), 0)

    def ask(self, c, *places):
        """Sends READs; answered(c) takes the replies, in any order."""
        for i, (at, length) in enumerate(places):
            c.request(n.READ, at, length, cookie=(1 << 32) + i)
        c.asked = places

    def answered(self, c):
        replies = c.replies(len(c.asked))
        self.check((*c.asked[r.cookie - (1 << 32)], r) for r in replies)

    def hot_during(self, *places):
        """Hot reads while these reads hang, which then get their data or error."""
        with self.disk.holding('read', (COLD, COLD_BYTES)):
            self.ask(self.slow, *places)
            self.disk.wait_held()
            self.check_hot(self.other)
        self.answered(self.slow)

    def test_one_cold_read(self):
        self.hot_during((COLD, PAGE))
        self.hot_during((COLD + MIB, 60 * KIB))

    def test_one_long_cold_read(self):
        self.hot_during((COLD, 64 * KIB))
        self.hot_during((COLD + 2 * MIB, 8 * MIB))

    def test_several_cold_reads(self):
        self.hot_during(*[(COLD + i * MIB, length) for i in range(6)
                          for length in (PAGE, 100 * KIB)])

    def test_hot_reads_of_the_same_client(self):
        for length in (PAGE, 256 * KIB):
            with self.disk.holding('read', (COLD, COLD_BYTES)):
                self.slow.request(n.READ, COLD, length, cookie=7)
                self.disk.wait_held()
                for i, size in enumerate((SHORT, LONG) * 10):
                    self.slow.request(n.READ, i * PAGE, size, cookie=100 + i)
                for i, size in enumerate((SHORT, LONG) * 10):
                    reply = self.slow.reply()
                    self.assertNotEqual(reply.cookie, 7)
                    self.assertEqual(reply.error, 0)
            self.assertEqual(self.slow.reply().cookie, 7)

    def test_read_of_pages_on_their_way(self):
        """A page that somebody is reading is in the page cache and yet not there."""
        for length in (PAGE, 64 * KIB, 128 * KIB):
            with self.disk.holding('read', (COLD, COLD_BYTES)):
                self.ask(self.slow, (COLD, length))
                self.disk.wait_held()
                third = self.client()
                self.ask(third, (COLD, length), (COLD, PAGE))
                self.check_hot(self.other)
            self.answered(self.slow)
            self.answered(third)
            self.evict(COLD, MIB)

    def test_reads_beyond_the_queue_of_the_disk(self):
        """More than the kernel's queue for a device takes: to ask for more must not block."""
        self.hot_during(*[(COLD + i * 80 * KIB, PAGE) for i in range(200)])

    def test_reread_of_pages_that_failed(self):
        """A page that could not be read stays in the page cache without data; a drive tries again
        for seconds before it says so again."""
        for length in (PAGE, 64 * KIB):
            self.disk.fail('read', (COLD, PAGE))
            self.assertEqual(self.check(self.slow.pipeline([(COLD, length)])), 1)
            self.hot_during((COLD, length))
            self.disk.heal()
            self.hot_during((COLD, length))
            self.evict(COLD, MIB)

    def drop_and_read(self, length):
        """It was read often and a moment ago; then the kernel needed the memory."""
        self.warm(COLD, length)
        self.assertEqual(self.check(self.slow.pipeline([(COLD, length)] * 40, 4)), 0)
        self.evict(COLD, length)
        self.hot_during((COLD, length))

    def test_short_read_of_pages_just_dropped(self):
        self.drop_and_read(PAGE)

    def test_long_read_of_pages_just_dropped(self):
        self.drop_and_read(64 * KIB)

    def test_flush(self):
        with self.disk.holding('sync'):
            for c in (self.slow, self.other):
                c.request(n.FLUSH, cookie=9)
            self.disk.wait_held()
            self.check_hot(self.client(timeout=PATIENCE))
        for c in (self.slow, self.other):
            self.assertEqual(c.reply().error, 0)

    def test_many_flushes(self):
        """More than there are threads: no hot read needs one."""
        with self.disk.holding('sync'):
            for i in range(100):
                self.slow.request(n.FLUSH, cookie=i)
            self.disk.wait_held()
            self.check_hot(self.other)
        self.assertEqual({r.error for r in self.slow.replies(100)}, {0})

    def test_durable_writes(self):
        with self.disk.holding('write', (COLD, COLD_BYTES)):
            for i in range(8):
                self.slow.send(self.slow.write_bytes(COLD + i * MIB, b'x' * PAGE, flags=n.FUA))
            self.disk.wait_held()
            self.check_hot(self.other)
        self.assertEqual({r.error for r in self.slow.replies(8)}, {0})

    def test_zeroes(self):
        """Zeroing takes minutes on a large range of a drive that has no command for it."""
        with self.disk.holding('write', (COLD, COLD_BYTES)):
            self.slow.request(n.WRITE_ZEROES, COLD, MIB)
            self.disk.wait_held()
            self.check_hot(self.other)
        self.assertEqual(self.slow.reply().error, 0)

    def test_client_leaves(self):
        with self.disk.holding('read', (COLD, COLD_BYTES)):
            self.ask(self.slow, *[(COLD + i * MIB, length) for i in range(4)
                                  for length in (PAGE, LONG)])
            self.disk.wait_held()
            self.slow.close()
            self.check_hot(self.other)
        self.other.disconnect()
        self.server.stop()


class File(Slow, faulty.Case):
    KIND = 'file'

    def test_cold_reads_meanwhile(self):
        """(A loop device does one thing after the other, so only the file can show this.)"""
        with self.disk.holding('sync'), self.disk.holding('write'):
            for i in range(4):
                self.slow.request(n.FLUSH)
                self.slow.send(self.slow.write_bytes(COLD, b'x' * PAGE, flags=n.FUA))
            self.disk.wait_held()
            cold = [(2 * MIB, PAGE), (4 * MIB, MIB)]
            self.assertEqual(self.check(self.other.pipeline(cold)), 0)
        self.assertEqual({r.error for r in self.slow.replies(8)}, {0})


class Device(Slow, faulty.Case):
    KIND = 'device'


if __name__ == '__main__':
    xtest.main()
