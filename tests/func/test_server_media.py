# SPDX-License-Identifier: GPL-2.0-or-later
"""Media errors below the page cache, in a file and in a block device: whatever way a read takes
(inline, mapped, spliced, queued), a bad page in it is EIO, its neighbours are data, and the
connection stays. Errors come and go while clients read. Errors of writes and flushes."""

import errno
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import faulty  # noqa: E402
import hammer  # noqa: E402
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE = 40 * MIB
BAD = 20 * MIB + 72 * KIB  # one bad page
PAGE = 4 * KIB
MODES = ('simple', 'structured', 'extended')


class Media:
    """The tests of reads, for both kinds."""

    def setUp(self):
        super().setUp()
        self.serve_disk(self.KIND, SIZE)

    def finish(self, *clients):
        """Everybody is still in step, and the server ends in order."""
        self.disk.heal()
        for c in clients:
            self.assertTrue(c.in_sync())
            c.disconnect()
        self.server.stop()

    def test_small_reads_inside_and_beside(self):
        self.no_readahead()
        self.disk.fail('read', (BAD, PAGE), (BAD + 40 * KIB, 3 * PAGE))
        blocks = [(BAD + i * PAGE, PAGE) for i in range(-32, 32)]
        odd = [(BAD - 1, 1), (BAD, 1), (BAD + PAGE - 1, 1), (BAD + PAGE, 1), (BAD - 512, 512),
               (BAD - 100, 200), (BAD - 2048, PAGE), (BAD + PAGE, 36 * KIB), (BAD, 60 * KIB)]
        clients = [self.client(mode) for mode in MODES]
        for seed, c in enumerate(clients):
            places = (blocks + odd) * 3
            random.Random(seed).shuffle(places)
            self.assertGreater(self.check(c.pipeline(places)), 24)
        self.finish(*clients)

    def test_long_reads_with_one_bad_page(self):
        """In the middle, in the last page, in the first; asked twice: pages near it are cached.

        Good ones keep away from it as far as readahead goes, see no_readahead().
        """
        self.disk.fail('read', (BAD, PAGE))
        clients = [self.client(mode) for mode in MODES]
        for c in clients:
            places = [(BAD - before, length) for length in (64 * KIB, 256 * KIB, MIB)
                      for before in (length // 2, length - PAGE, 0, length + MIB, -MIB, 12345)] * 2
            self.assertEqual(self.check(c.pipeline(places, 8)), 24)
        self.finish(*clients)

    def test_very_long_reads_with_one_bad_page(self):
        self.disk.fail('read', (BAD, PAGE))
        clients = [self.client(mode) for mode in MODES]
        for c in clients:
            places = [(4 * MIB + 1, 32 * MIB), (0, 20 * MIB), (4 * MIB, 32 * MIB)]
            self.assertEqual(self.check(c.pipeline(places, 2)), 2)
        self.finish(*clients)

    def test_cached_then_bad_then_healed(self):
        """What is in the page cache is served from there; what was dropped is read again."""
        clients = [self.client(mode) for mode in MODES]
        around = (BAD - 512 * KIB, MIB)
        for c in clients:
            for length in (PAGE, 32 * KIB, 128 * KIB, MIB):
                places = [(BAD - length + PAGE, length)]
                self.assertEqual(self.check(c.pipeline(places * 2 + [around])), 0)
                self.disk.fail('read', (BAD, PAGE))
                self.assertTrue(c.read(*places[0]) == self.expected(*places[0]))
                self.evict(BAD, PAGE)
                self.assertEqual(self.check(c.pipeline(places * 2 + [(0, PAGE)])), 2)
                self.disk.heal()
                self.assertEqual(self.check(c.pipeline(places * 2)), 0)
        self.finish(*clients)

    def test_page_dropped_and_bad_at_once(self):
        """The server knows it as cached, for it was read often: now it is gone and bad."""
        self.no_readahead()
        self.drop_and_read_everywhere(PAGE)

    def test_page_of_a_long_reply_dropped_and_bad_at_once(self):
        """Pages before it can be had."""
        self.no_readahead()
        for length in (32 * KIB, 128 * KIB, 512 * KIB, MIB):
            self.drop_and_read_everywhere(length)

    def drop_and_read_everywhere(self, length):
        for mode in ('simple', 'structured'):
            self.drop_and_read(self.serve(self.exported, '--threads=1'), None, mode, length)
            server, port = self.start_tcp(self.serve_args(self.exported, '--threads=1'))
            self.drop_and_read(server, ('127.0.0.1', port), mode, length)

    def drop_and_read(self, server, address, mode, length):
        """Each time a new server: one that was surprised once is careful for a while."""
        c = self.client(mode, address=address or server.socket)
        at = BAD - length // 2 // PAGE * PAGE
        others = [(4 * MIB + i * length, length) for i in range(4)]
        for place in (at, length), *others:
            self.warm(*place)
        self.assertEqual(self.check(c.pipeline([(at, length), *others] * 16, 8)), 0)
        self.disk.fail('read', (BAD, PAGE))
        self.evict(BAD, PAGE)
        self.assertEqual(self.check(c.pipeline([*others, (at, length)] * 4)), 4)
        self.disk.heal()
        self.assertEqual(self.check(c.pipeline([(at, length), *others])), 0)
        c.disconnect()
        server.stop()

    def expected(self, at, length):
        return self.disk.content[at:at + length]

    def test_errors_come_and_go_under_load(self):
        """A batch of requests that saw one state only must show exactly this state."""
        self.no_readahead()
        zone, readers = (BAD, 16 * PAGE), [(mode, [PAGE] * 24 + [256 * KIB] * 4) for mode in MODES]

        def place(rnd, length):
            at = rnd.choice((BAD - 8 * PAGE, 4 * MIB)) + rnd.randrange(32 * PAGE)
            return at - at % 512

        def check(*allowed):
            def check_one(at, length, reply):
                expected = allowed if faulty.touches((zone,), at, length) else (0,)
                self.assertIn(reply.error, expected, f'{at}+{length}')
                if reply.error == 0:
                    self.assertTrue(reply.data == self.expected(at, length), f'{at}+{length}')
            return check_one

        def change():
            for settled in [True, False] * 10:
                for is_bad in (True, False) * 3 + (settled,):
                    self.disk.heal()
                    if is_bad:
                        self.disk.fail('read', zone)
                    self.evict(*zone)
                h.settle(check(errno.EIO if settled else 0))
        h = hammer.Hammer(self.client, readers, place, check(0, errno.EIO))
        h.may_be_cut = 1  # in the microseconds between check and use
        h.run(change)
        self.server.stop()


class File(Media, faulty.Case):
    KIND = 'file'

    def test_writes(self):
        """This file is written through: who wrote hears of the error."""
        self.disk.fail('write', (BAD, PAGE))
        clients = [self.client(mode) for mode in MODES]
        for c in clients:
            for flags in (0, n.FUA):
                for at, length in ((BAD, PAGE), (BAD + 5, 100), (BAD - MIB, 2 * MIB)):
                    reply = c.write(at, self.expected(at, length), flags=flags)
                    self.assertEqual(reply.error, errno.EIO)
                self.assertEqual(c.write(BAD + PAGE, b'good' * 5, flags=flags).error, 0)
            self.assertEqual(c.call(n.WRITE_ZEROES, BAD, PAGE).error, errno.EIO)
            self.assertEqual(c.read(BAD + PAGE, 20), b'good' * 5)
        self.disk.heal()
        self.assertEqual(clients[0].write(BAD, b'healed' * 100, flags=n.FUA).error, 0)
        self.assertEqual(clients[1].read(BAD, 600), b'healed' * 100)
        self.finish(*clients)

    def test_flush(self):
        c = self.client()
        self.disk.fail('sync')
        self.assertEqual(c.call(n.FLUSH).error, errno.EIO)
        self.disk.heal()
        self.assertEqual(c.call(n.FLUSH).error, errno.EIO)
        self.assertTrue(c.read(0, MIB) == self.expected(0, MIB))
        self.server.stop(status=1)


class Device(Media, faulty.Case):
    KIND = 'device'

    def check_lost(self, c):
        """Nothing fails any more, but what was lost stays lost; reads go on."""
        self.disk.heal()
        self.assertEqual(c.call(n.FLUSH).error, errno.EIO)
        self.assertEqual(self.client('simple').call(n.FLUSH).error, errno.EIO)
        self.assertEqual(self.check(c.pipeline([(0, PAGE), (2 * MIB, MIB)])), 0)
        self.server.stop(status=1)

    def test_lost_write(self):
        self.disk.fail('write', (BAD, PAGE))
        c = self.client()
        self.assertEqual(c.write(BAD - PAGE, b'x' * 3 * PAGE).error, 0)  # the cache takes it
        self.assertEqual(c.call(n.FLUSH).error, errno.EIO)
        self.check_lost(c)

    def test_flush_of_the_drive_fails(self):
        """All data was written; the drive's own cache could not be."""
        self.disk.fail('sync')
        c = self.client()
        self.assertEqual(c.write(BAD, b'x' * PAGE).error, 0)
        self.assertEqual(c.call(n.FLUSH).error, errno.EIO)
        self.check_lost(c)

    def test_fua(self):
        c = self.client()
        for kind in ('write', 'sync'):
            self.disk.fail(kind)
            self.assertEqual(c.write(BAD, b'x' * PAGE, flags=n.FUA).error, errno.EIO)
            self.disk.heal()
        self.assertEqual(self.check(c.pipeline([(0, PAGE), (2 * MIB, MIB)])), 0)

    def test_zeroes(self):
        self.disk.fail('write', (BAD, PAGE))
        c = self.client()
        for flags in (0, n.NO_HOLE):
            self.assertEqual(c.call(n.WRITE_ZEROES, BAD - MIB, 2 * MIB, flags=flags).error,
                             errno.EIO)
        self.assertEqual(c.call(n.WRITE_ZEROES, BAD + MIB, MIB).error, 0)
        self.assertEqual(c.read(BAD + MIB, MIB), bytes(MIB))

    def test_write_of_part_of_an_unreadable_page(self):
        """The rest of the page cannot be had: EIO. The whole page can be written, and heals."""
        self.disk.fail('read', (BAD, PAGE))
        c = self.client()
        for flags in (0, n.FUA):
            self.assertEqual(c.write(BAD + 10, b'part', flags=flags).error, errno.EIO)
        self.assertEqual(c.call(n.READ, BAD, PAGE).error, errno.EIO)
        self.assertEqual(c.write(BAD, b'whole page' * 409 + b'......', flags=n.FUA).error, 0)
        self.disk.heal()
        self.evict(BAD, PAGE)
        self.assertEqual(c.read(BAD, 10), b'whole page')
        self.finish(c)


if __name__ == '__main__':
    xtest.main()
