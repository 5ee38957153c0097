# SPDX-License-Identifier: GPL-2.0-or-later
"""Where images live: ext4, xfs, tmpfs, loop devices with 512 and 4096 byte sectors. Holes, zeroes,
and durability: what FLUSH and FUA promise, seen from below."""

import errno
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE = 16 * MIB

NO_FALLOCATE = r'''
#include <errno.h>
#include <fcntl.h>
int fallocate(int fd, int mode, off_t offset, off_t len)
{
	(void)fd, (void)mode, (void)offset, (void)len;
	errno = EOPNOTSUPP;
	return -1;
}
int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	return fallocate(fd, mode, offset, len);
}
'''


class Storage(xtest.Case):
    OPTIONS = ()

    def client(self, mode='structured'):
        c = n.Raw(self.server.socket).enter(mode)
        self.addCleanup(c.close)
        return c

    def finish(self, *clients):
        for c in clients:
            c.disconnect()
        self.server.stop()

    def blocks(self):
        return os.stat(self.file).st_blocks * 512

    def random_requests(self, c, model, seed, count):
        """Writes, zeroes and trims of any alignment against a copy in memory."""
        rnd = random.Random(seed)
        for _ in range(count):
            at = rnd.randrange(SIZE)
            length = min(rnd.choice((1, 100, 511, 512, 513, 4096, 5000, 100000)), SIZE - at)
            self.one_request(c, model, rnd, at, length)
        self.assertTrue(c.read(0, SIZE) == bytes(model), f'seed {seed}')

    def one_request(self, c, model, rnd, at, length):
        kind = rnd.choice(('write', 'write', 'zero', 'trim', 'read'))
        if kind == 'write':
            model[at:at + length] = rnd.randbytes(length)
            reply = c.write(at, bytes(model[at:at + length]), flags=rnd.choice((0, 0, n.FUA)))
        elif kind == 'zero':
            model[at:at + length] = bytes(length)
            reply = c.call(n.WRITE_ZEROES, at, length, flags=rnd.choice((0, n.NO_HOLE)))
        elif kind == 'trim':
            reply = c.call(n.TRIM, at, length)
            after = c.read(at, length)
            self.assertTrue(all(a in (0, b) for a, b in zip(after, model[at:at + length])))
            model[at:at + length] = after
        else:
            reply = c.call(n.READ, at, length)
            self.assertTrue(reply.data == model[at:at + length], (at, length))
        self.assertEqual(reply.error, 0, kind)


class Files(Storage):

    def battery(self, folder, keeps_allocation):
        self.file = self.image(SIZE, folder=folder)
        self.server = self.serve(self.file, *self.OPTIONS)
        c = self.client()
        self.holes(c)
        if keeps_allocation:
            self.fast_zero(c)
        self.assertEqual(c.call(n.TRIM, 0, SIZE).error, 0)
        self.random_requests(c, bytearray(SIZE), 7, 250)
        for kind, flags in ((n.FLUSH, 0), (n.CACHE, 0)):
            self.assertEqual(c.call(kind, 0, SIZE if kind == n.CACHE else 0, flags=flags).error, 0)
        content = c.read(0, SIZE)
        self.finish(c)
        with open(self.file, 'rb') as f:
            self.assertTrue(f.read() == content)

    def holes(self, c):
        """81: TRIM and WRITE_ZEROES give blocks back, NO_HOLE keeps them."""
        for kind in (n.TRIM, n.WRITE_ZEROES):
            c.write(0, b'x' * 4 * MIB, flags=n.FUA)
            full = self.blocks()
            self.assertGreaterEqual(full, 4 * MIB)
            self.assertEqual(c.call(kind, MIB, 2 * MIB, flags=n.FUA).error, 0)
            self.assertLessEqual(self.blocks(), full - 2 * MIB + 64 * KIB)
            self.assertEqual(c.call(n.BLOCK_STATUS, MIB, 2 * MIB).extents, [(2 * MIB, 3)])
            self.assertEqual(c.read(MIB, 2 * MIB), bytes(2 * MIB))
        self.assertEqual(c.call(n.WRITE_ZEROES, 0, 8 * MIB, flags=n.NO_HOLE | n.FUA).error, 0)
        self.assertGreaterEqual(self.blocks(), 8 * MIB)
        self.assertEqual(c.read(0, 8 * MIB), bytes(8 * MIB))

    def fast_zero(self, c):
        c.write(0, b'x' * MIB)
        for flags in (n.FAST_ZERO, n.FAST_ZERO | n.NO_HOLE):
            c.write(0, b'x' * MIB)
            self.assertEqual(c.call(n.WRITE_ZEROES, 5, MIB - 10, flags=flags).error, 0)
            self.assertEqual(c.read(0, MIB), b'x' * 5 + bytes(MIB - 10) + b'x' * 5)

    def test_ext4(self):
        self.battery(self.mount('ext4', 64 * MIB), True)

    def test_xfs(self):
        self.battery(self.mount('xfs', 320 * MIB), True)

    def test_tmpfs(self):
        self.battery(self.mount('tmpfs', '64m'), False)


class LoopDevices(Storage):

    def open_device(self, sector):
        self.file = self.image(SIZE, f'{sector}.disk', pattern=3)
        self.device = self.loop_device(self.file, sector)
        self.server = self.serve(self.device, *self.OPTIONS)
        with open(self.device, 'rb') as f:
            return bytearray(f.read())

    def test_512(self):
        self.whole(512)

    def test_4096(self):
        self.whole(4096)

    def whole(self, sector):
        model = self.open_device(sector)
        c = self.client('extended')
        self.assertEqual(c.size, SIZE)
        self.neighbours(c, sector, model)
        self.random_requests(c, model, sector, 250)
        self.assertEqual(c.call(n.BLOCK_STATUS, 0, SIZE).extents, [(SIZE, 0)])
        self.assertEqual(c.call(n.FLUSH).error, 0)
        self.finish(c)
        with open(self.file, 'rb') as f:
            self.assertTrue(f.read() == model)

    def neighbours(self, c, sector, model):
        """79, 80: requests smaller than a sector, or across the edges of some."""
        for offset, length in ((1, 1), (sector - 1, 2), (sector + 3, sector - 6), (10, sector * 3),
                               (sector * 8, sector), (SIZE - 1, 1), (SIZE - sector - 1, sector)):
            for flags in (0, n.NO_HOLE):
                self.assertEqual(c.call(n.WRITE_ZEROES, offset, length, flags=flags).error, 0)
                model[offset:offset + length] = bytes(length)
                self.assertTrue(c.read(0, SIZE) == model, (offset, length))
                self.assertEqual(c.write(offset, b'\xee' * length).error, 0)
                model[offset:offset + length] = b'\xee' * length

    def test_trim_frees_the_file_below(self):
        self.open_device(512)
        c, full = self.client(), self.blocks()
        self.assertEqual(c.call(n.TRIM, 0, 8 * MIB).error, 0)
        self.assertLess(self.blocks(), full - 7 * MIB)
        self.finish(c)

    def test_fast_zero_of_part_of_a_sector(self):
        model = self.open_device(4096)
        c = self.client()
        for offset, length in ((0, 100), (512, 4096), (1, 8191)):
            reply = c.call(n.WRITE_ZEROES, offset, length, flags=n.FAST_ZERO)
            self.assertEqual(reply.error, errno.EOPNOTSUPP)
        self.assertTrue(c.read(0, SIZE) == model)
        self.finish(c)

    def test_read_only_device(self):
        self.require('blockdev')
        self.open_device(512)
        self.server.stop()
        self.addCleanup(self.run_cmd, 'blockdev', '--setrw', self.device)  # it would remember
        self.run_cmd('blockdev', '--setro', self.device)
        self.server = self.serve(self.device)
        c = self.client()
        self.assertTrue(c.flags & n.READ_ONLY)
        self.assertEqual(c.write(0, b'x').error, errno.EPERM)
        self.finish(c)


class DirectFiles(Files):
    """Aligned requests past the page cache, others through it, all mixed."""
    OPTIONS = ('--direct',)
    test_tmpfs = None  # has learnt it in Linux 6.6 only

    def cached(self):
        return int(self.run_cmd('fincore', '-b', '-n', '-o', 'PAGES', self.file))

    def test_leaves_the_page_cache_alone(self):
        self.require('fincore')
        folder = self.mount('ext4', 64 * MIB)
        self.file = self.image(SIZE, pattern=5, folder=folder)
        os.sync()
        with open(self.file, 'rb') as f:
            data = f.read()
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.assertEqual(self.cached(), 0)
        self.server = self.serve(self.file, *self.OPTIONS)
        c = self.client()
        self.assertTrue(c.read(MIB, 4 * KIB) == data[MIB:MIB + 4 * KIB])
        before = self.cached()  # it tried what the file can do
        self.assertLess(before, 64)
        for length in (4 * KIB, 60 * KIB, 256 * KIB, 4 * MIB):
            self.assertTrue(c.read(MIB, length) == data[MIB:MIB + length])
            self.assertEqual(c.write(MIB, data[:length]).error, 0)
            data = data[:MIB] + data[:length] + data[MIB + length:]
        self.assertEqual(self.cached(), before)
        self.assertTrue(c.read(MIB + 1, 100) == data[MIB + 1:MIB + 101])
        self.assertGreater(self.cached(), before)
        self.assertTrue(c.read(0, SIZE) == data)
        self.finish(c)


class DirectLoopDevices(LoopDevices):
    OPTIONS = ('--direct',)


class NoFallocate(Storage):
    """A file system that can neither punch nor zero."""

    def setUp(self):
        super().setUp()
        self.file = self.image(SIZE, pattern=4)
        self.server = self.serve(self.file, env=self.preload(NO_FALLOCATE))
        self.before = self.client().read(0, SIZE)

    def test_82_fast_zero_changes_nothing(self):
        c = self.client()
        for flags in (n.FAST_ZERO, n.FAST_ZERO | n.NO_HOLE, n.FAST_ZERO | n.FUA):
            reply = c.call(n.WRITE_ZEROES, 0, SIZE, flags=flags)
            self.assertEqual(reply.error, errno.EOPNOTSUPP)
        self.assertTrue(c.read(0, SIZE) == self.before)

    def test_81_without_fast_zero_it_works(self):
        c = self.client()
        for flags in (0, n.NO_HOLE):
            c.write(0, self.before)
            self.assertEqual(c.call(n.WRITE_ZEROES, 3, 5 * MIB, flags=flags).error, 0)
            want = self.before[:3] + bytes(5 * MIB) + self.before[3 + 5 * MIB:]
            self.assertTrue(c.read(0, SIZE) == want)

    def test_trim_does_nothing(self):
        c = self.client()
        self.assertEqual(c.call(n.TRIM, 0, SIZE).error, 0)
        self.assertTrue(c.read(0, SIZE) == self.before)


class Durability(Storage):
    """A loop device shows what is durable: written and not yet synced data is not in its file."""

    def setUp(self):
        super().setUp()
        self.file = self.image(SIZE)
        self.server = self.serve(self.loop_device(self.file))
        self.c, self.other = self.client(), self.client('simple')

    def below(self, offset, length):
        with open(self.file, 'rb') as f:
            f.seek(offset)
            return f.read(length)

    def test_plain_write_stays_in_memory(self):
        """Else the other tests of this class would prove nothing."""
        self.assertEqual(self.c.write(0, b'plain').error, 0)
        self.assertEqual(self.below(0, 5), bytes(5))
        self.finish(self.c, self.other)
        self.assertEqual(self.below(0, 5), b'plain', 'the server syncs at its end')

    def test_86_fua_write(self):
        for i in range(20):
            at = i * 300000
            self.assertEqual(self.c.write(at, b'fua!' * (i * 500 + 1), flags=n.FUA).error, 0)
            self.assertEqual(self.below(at, i * 2000 + 4), b'fua!' * (i * 500 + 1))
        self.finish(self.c, self.other)

    def test_86_fua_zeroes_and_trim(self):
        self.c.write(0, b'x' * MIB, flags=n.FUA)
        for at in (5, 8192):
            self.assertEqual(self.c.call(n.WRITE_ZEROES, at, 100, flags=n.FUA).error, 0)
            self.assertEqual(self.below(at, 100), bytes(100))
        self.finish(self.c, self.other)

    def test_85_flush_covers_all_connections(self):
        for i in range(50):
            at = i * 65536
            self.assertEqual(self.c.write(at, b'A' * 4096).error, 0)
            self.assertEqual(self.other.write(at + 8192, b'B' * 4096).error, 0)
            self.assertEqual((self.other if i % 2 else self.c).call(n.FLUSH).error, 0)
            self.assertEqual(self.below(at, 1), b'A')
            self.assertEqual(self.below(at + 8192, 1), b'B')
        self.finish(self.c, self.other)

    def test_87_writes_are_seen_by_other_connections_at_once(self):
        for i in range(100):
            data = bytes([i + 1]) * 512
            self.assertEqual(self.c.write(i * 1000, data).error, 0)
            self.assertEqual(self.other.read(i * 1000, 512), data)
        self.finish(self.c, self.other)


class SystemCalls(Storage):
    """The order of system calls, by strace (with threads: a ring's writes are no system calls)."""

    def trace(self, act):
        """What the server called during act(client), as lines of strace."""
        self.require('strace', root=True)
        out = self.path('strace')
        prefix = ('strace', '-D', '-f', '-o', out, '-e', 'trace=pwritev2,fdatasync,sendmsg')
        self.file = self.image(SIZE)
        self.server = self.serve(self.file, '--engine=threads', prefix=prefix, env={
            'ASAN_OPTIONS': 'detect_leaks=0'})
        c = self.client('simple')
        act(c)
        c.disconnect()
        self.server.stop()
        xtest.wait_for(lambda: '+++ exited' in xtest.text_of(out), 'strace')
        return xtest.text_of(out).splitlines()

    @staticmethod
    def ends_of(lines, call):
        """Numbers of the lines in which the call returned."""
        return [i for i, line in enumerate(lines)
                if re.search(rf'\b{call}(\(| resumed).*= ', line)]

    @staticmethod
    def starts_of(lines, call):
        return [i for i, line in enumerate(lines) if f'{call}(' in line]

    def test_fua_write_before_its_reply(self):
        lines = self.trace(lambda c: self.assertEqual(c.write(0, b'x', flags=n.FUA).error, 0))
        writes = [line for line in lines if 'pwritev2(' in line]
        self.assertEqual(len(writes), 1)
        self.assertIn('RWF_DSYNC', writes[0])
        self.assertLess(self.ends_of(lines, 'pwritev2')[0], self.starts_of(lines, 'sendmsg')[0])

    def test_flush_before_its_reply(self):
        lines = self.trace(lambda c: self.assertEqual(c.call(n.FLUSH).error, 0))
        self.assertLess(self.ends_of(lines, 'fdatasync')[0], self.starts_of(lines, 'sendmsg')[0])
        self.assertEqual(len(self.starts_of(lines, 'fdatasync')), 2, 'one more at the end')

    def test_plain_write_costs_no_sync(self):
        lines = self.trace(lambda c: c.write(0, b'x'))
        self.assertFalse([line for line in lines if 'DSYNC' in line])
        self.assertEqual(len(self.starts_of(lines, 'fdatasync')), 1, 'only at the end')


if __name__ == '__main__':
    xtest.main()
