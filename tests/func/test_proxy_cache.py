#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Caches that belong to something else, those of the original, and file systems without room."""

import contextlib
import errno
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from proxy_fixture import BLOCK, FILL, SAFE, ProxyCase  # noqa: E402
from xtest import KIB, MIB  # noqa: E402


class Belongs(ProxyCase):
    """What a bitmap is of."""

    def setUp(self):
        super().setUp()
        self.origin = self.file_origin()
        p = self.proxy(self.origin)
        self.client(p).read(0, MIB)
        self.assertEqual(self.client(p).write(2 * MIB, b'w' * BLOCK).error, 0)
        self.stop(p)
        self.cache, self.bitmap = p.cache, p.bitmap

    def intact(self, *options):
        p = self.proxy(self.origin, *options, cache=self.cache)
        want = bytearray(self.origin.content)
        want[2 * MIB:2 * MIB + BLOCK] = b'w' * BLOCK
        self.check_all(p, want)
        self.stop(p)

    def test_fault_4_2_5_another_origin(self):
        other = self.file_origin(seed=2)
        line = self.last_line(other)
        self.assertIn('belongs to origin', line)
        self.assertIn('--clear-bitmap', line)
        self.intact()

    def last_line(self, origin, *options):
        out = self.run_cmd(*self.proxy_args(origin, *options, cache=self.cache), status=None)
        self.assertEqual(out.returncode, 1, out.stderr)
        errors = [s for s in out.stderr.splitlines() if 'error' in s]
        self.assertEqual(len(errors), 1, out.stderr)
        return errors[0]

    def test_fault_4_2_5_another_cache_file(self):
        os.rename(self.cache, self.cache + '.old')
        with open(self.cache, 'wb') as file:
            file.truncate(self.SIZE)
        self.assertIn('another cache file', self.last_line(self.origin))
        os.rename(self.cache + '.old', self.cache)
        self.intact()

    def test_clear_bitmap(self):
        other = self.file_origin(seed=2)
        p = self.proxy(other, '--clear-bitmap', cache=self.cache)
        self.check_all(p, other.content)
        self.stop(p)
        self.check_all(self.proxy(other, cache=self.cache), other.content)

    def test_clear_bitmap_for_an_origin_of_another_size(self):
        other = self.file_origin(9 * MIB, seed=2)
        self.last_line(other)
        p = self.proxy(other, '--clear-bitmap', cache=self.cache)
        self.check_all(p, other.content)

    def test_origin_of_another_size_at_the_start(self):
        """The same address, but not what it was: held, and what is here can be read."""
        self.origin.kill()
        os.truncate(self.origin.image, 9 * MIB)
        self.origin.start()
        p = self.proxy(self.origin, cache=self.cache)
        c = self.client(p)
        self.assertEqual(c.size, 8 * MIB)
        self.assertTrue(c.read(0, MIB) == self.origin.content[:MIB])
        self.origin_state(p, 'held')

    def test_second_process(self):
        p = self.proxy(self.origin, cache=self.cache)
        self.assertIn('in use', self.last_line(self.origin))
        self.assertIn('in use', self.last_line(self.origin, '--clear-bitmap'))
        self.check_all(p, self.client(p).read(0, self.SIZE))
        self.stop(p)
        self.intact()

    def test_second_process_with_another_bitmap(self):
        """The cache is in use too: two processes would each believe their own half of it."""
        self.proxy(self.origin, cache=self.cache)
        argv = self.proxy_args(self.origin, cache=self.cache)
        argv[-2] = self.path('other.bm')
        out = self.run_cmd(*argv, status=None, seconds=10)
        self.assertEqual(out.returncode, 1, out.stderr)
        self.assertIn('in use', out.stderr)

    def test_longer_cache_file(self):
        os.truncate(self.cache, 20 * MIB)
        self.intact()
        p = self.proxy(self.origin, cache=self.cache)
        self.assertEqual(self.client(p).size, self.SIZE)
        self.assertEqual(os.stat(self.cache).st_size, 20 * MIB, 'it is kept')

    def test_shorter_cache_file(self):
        """Blocks that were present are gone: they must not read as zeros."""
        os.truncate(self.cache, 512 * KIB)
        self.assertIn('524288 bytes', self.last_line(self.origin))
        p = self.proxy(self.origin, '--clear-bitmap', cache=self.cache)
        self.check_all(p, self.origin.content)

    def test_bitmap_and_cache_removed_by_hand(self):
        """What is left of them (.info) says nothing about an origin of another size."""
        os.unlink(self.bitmap)
        os.unlink(self.cache)
        other = self.file_origin(9 * MIB, seed=2)
        self.check_all(self.proxy(other, cache=self.cache), other.content)

    def test_bitmap_of_another_length(self):
        os.truncate(self.bitmap, 100)
        self.assertIn('100 bytes', self.last_line(self.origin))

    def test_damaged_info(self):
        for text in ('', '{', '{}', '[1]', json.dumps({'version': 7}), '\0' * 100):
            with open(self.bitmap + '.info', 'w') as file:
                file.write(text)
            self.assertIn('.info', self.last_line(self.origin))

    def test_removed_bitmap_begins_anew(self):
        os.unlink(self.bitmap)
        p = self.proxy(self.origin, cache=self.cache)
        self.check_all(p, self.origin.content)
        self.assertIn('begins anew', p.stderr())


class Original(ProxyCase):
    """Raw bitmaps as the original wrote them."""

    def test_imported_with_a_warning(self):
        """Bit i of the map is bit i % 8 of byte i / 8."""
        origin = self.file_origin()
        cache, ours = self.path('old'), {0, 3, 9, 64, 100, 2047}
        bits = bytearray(self.SIZE // BLOCK // 8)
        for block in ours:
            bits[block // 8] |= 1 << block % 8
        want = bytearray(origin.content)
        with open(cache, 'wb') as file:
            file.truncate(self.SIZE)
            for block in ours:
                data = bytes([block % 251 + 1]) * BLOCK
                file.seek(block * BLOCK)
                file.write(data)
                want[block * BLOCK:(block + 1) * BLOCK] = data
        with open(cache + '.bm', 'wb') as file:
            file.write(bits)
        p = self.proxy(origin, cache=cache)
        self.assertIn('warning', p.stderr())
        self.assertIn('trust', p.stderr())
        self.assertEqual(self.query(p)['cached'], len(ours))
        self.check_all(p, want)
        self.assertEqual(origin.read_bytes(), self.SIZE - len(ours) * BLOCK)
        self.stop(p)
        p = self.again(p, origin)
        self.assertNotIn('trust', p.stderr())

    def test_of_another_length(self):
        origin = self.file_origin()
        with open(self.path('old.bm'), 'wb') as file:
            file.write(bytes(257))
        out = self.run_cmd(*self.proxy_args(origin, cache=self.path('old')), status=None)
        self.assertEqual(out.returncode, 1)
        self.assertIn('257 bytes', out.stderr)


class Full(ProxyCase):
    """A cache on a file system without room."""

    def setUp(self):
        super().setUp()
        self.folder = self.mount('tmpfs', '4m')
        self.origin = self.file_origin(options=SAFE)
        self.p = self.proxy(self.origin, cache=self.folder + '/cache')
        self.ballast = self.folder + '/ballast'

    def fill_up(self, leave=0):
        with open(self.ballast, 'wb', buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(self.ballast, max(os.stat(self.ballast).st_size - leave, 0))

    def test_fault_4_2_6_only_that_request_fails(self):
        c = self.client(self.p)
        self.assertTrue(c.read(0, MIB) == self.origin.content[:MIB])
        self.fill_up()
        reply = c.call(n.READ, 4 * MIB, FILL)
        self.assertIn(reply.error, (errno.ENOSPC, errno.EIO))
        self.assertEqual(c.write(5 * MIB, b'w' * FILL).error, errno.ENOSPC)
        self.assertTrue(c.read(0, MIB) == self.origin.content[:MIB])
        self.assertEqual(c.write(BLOCK, b'w' * BLOCK).error, 0, 'it is here already')
        self.assertEqual(self.query(self.p)['origin']['state'], 'connected')
        os.unlink(self.ballast)
        self.assertTrue(c.read(4 * MIB, FILL) == self.origin.content[4 * MIB:4 * MIB + FILL])
        self.assertEqual(c.write(5 * MIB, b'w' * FILL).error, 0)
        self.assertEqual(c.call(n.FLUSH).error, 0)
        self.assertEqual(c.read(BLOCK, BLOCK), b'w' * BLOCK)
        self.stop(self.p)

    def test_nothing_wrong_is_believed_after_it(self):
        """Kill after failed fetches: no block is present that is not right."""
        c = self.client(self.p)
        self.fill_up(leave=700 * KIB)
        for at in range(0, self.SIZE, 64 * KIB):
            c.call(n.READ, at, 64 * KIB)
        self.p.kill()
        os.unlink(self.ballast)
        p = self.again(self.p, self.origin)
        c = self.client(p)
        present = self.query(p)['cached']
        self.assertGreater(present, 0)
        for at in range(0, 2 * MIB, 64 * KIB):
            self.assertTrue(c.read(at, 64 * KIB) == self.origin.content[at:at + 64 * KIB])
        p.kill()

    def test_the_copy_waits_for_room(self):
        self.fill_up(leave=MIB)
        self.done(self.p, 'cache-all')
        q = xtest.wait_for(lambda: (q := self.query(self.p))['copy']['state'] == 'waiting' and q,
                           'copy waits')
        self.assertIn('space', q['copy']['error'])
        c = self.client(self.p)
        os.unlink(self.ballast)
        self.assertEqual(c.call(n.TRIM, 0, 6 * MIB).error, 0)
        xtest.wait_for(lambda: self.query(self.p)['copy']['state'] == 'done', 'copy', 20)


if __name__ == '__main__':
    xtest.main()
