#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What clients see of a caching proxy whose origin is well: reads from origins of every make, one
fetch for each block, what is read ahead, writes that stay here, holes."""

import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import proxy_fixture as f  # noqa: E402
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from proxy_fixture import BLOCK, FILL, SAFE, ProxyCase  # noqa: E402
from xtest import KIB, MIB, TIB  # noqa: E402

LENGTHS = (1, 511, 512, 513, 4095, 4096, 4097, 65536, 100000, 262144, 262145, 1048576)


class Origins(ProxyCase):
    """The same reads, whatever the origin is."""

    def battery(self, origin, content, *options):
        p = self.proxy(origin, *options)
        rnd = random.Random(len(content))
        clients = [self.client(p, m) for m in ('simple', 'structured', 'extended')]
        for i in range(60):
            c, length = clients[i % 3], rnd.choice(LENGTHS)
            at = rnd.randrange(len(content) - length + 1)
            if i % 4 == 0:
                at = at // BLOCK * BLOCK
            self.assertTrue(c.read(at, length) == content[at:at + length], (at, length))
        tail = len(content) - 10
        self.assertEqual(clients[0].read(tail, 10), content[tail:])
        self.pipelined(clients[1], content, rnd)
        self.check_all(p, content)
        self.check_file(p.cache, content)
        self.stop(p)
        self.assertEqual(len(self.present(p)), f.blocks_of(len(content)))

    def pipelined(self, c, content, rnd):
        """Many at once: answers of the origin in any order go where they belong."""
        places = [(rnd.randrange(0, len(content) - 30000), rnd.choice(LENGTHS[:8]))
                  for _ in range(150)]
        places = [(at, min(length, len(content) - at)) for at, length in places]
        for at, length, reply in c.pipeline(places, 64):
            self.assertEqual(reply.error, 0)
            self.assertTrue(reply.data == content[at:at + length], (at, length))

    def test_nbdkit_file(self):
        origin = self.file_origin()
        self.battery(origin, origin.content)

    def test_one_connection(self):
        origin = self.file_origin()
        self.battery(origin, origin.content, '--origin-connections=1')

    def test_sizes_that_are_no_multiple_of_a_block(self):
        for size in (MIB + 512, MIB - 1, MIB + 4097, 4095):
            with self.subTest(size=size):
                origin = self.file_origin(size, seed=size)
                content = origin.content
                p = self.proxy(origin)
                c = self.client(p)
                self.assertEqual(c.read(size - 1, 1), content[-1:])
                self.check_all(p, content)
                self.stop(p)
                self.assertEqual(max(self.present(p)), f.blocks_of(size) - 1)

    def test_nbdkit_memory_slow_and_out_of_order(self):
        origin = self.slow_origin('5ms', size=2 * MIB)
        self.battery(origin, origin.content)

    def test_nbdkit_noparallel(self):
        origin = self.file_origin(4 * MIB, filters=('noparallel',), extra=('serialize=requests',))
        self.battery(origin, origin.content)

    def test_nbdkit_oldstyle(self):
        origin = self.file_origin(4 * MIB, options=('-o',))
        self.battery(origin, origin.content)

    def test_nbdkit_without_structured_replies(self):
        origin = self.file_origin(4 * MIB, options=('--no-sr',))
        self.battery(origin, origin.content)

    def test_qemu_nbd_raw(self):
        path, content = self.disk()
        self.battery(f.qemu_nbd(self, path, 'raw').start(), content)

    def test_qemu_nbd_qcow2(self):
        path, content = self.disk(holes=((MIB, 2 * MIB),))
        f.to_qcow2(path, path + '.qcow2')
        self.battery(f.qemu_nbd(self, path + '.qcow2', 'qcow2').start(), content)

    def test_nbd_server(self):
        path, content = self.disk()
        self.battery(f.nbd_server(self, path).start(), content)

    def test_own_server(self):
        path, content = self.disk(8 * MIB + 100)
        self.battery(self.own_origin(path), content)

    def test_proxy_of_a_proxy(self):
        origin = self.file_origin(4 * MIB)
        first = self.proxy(origin)
        self.battery(first, origin.content)
        self.assertEqual(origin.read_bytes(), len(origin.content), 'each byte was fetched once')

    def test_host_port_and_export_name(self):
        path, content = self.disk(MIB)
        server = f.nbd_server(self, path).start()
        host, port = server.socket
        p = self.proxy([host, str(port)], '--target-exportname=disk')
        self.check_all(p, content)

    def test_blocks_of_512(self):
        self.strict_blocks(512)

    def test_blocks_of_4096(self):
        self.strict_blocks(4096)

    def test_blocks_of_64k(self):
        """Larger than ours."""
        self.strict_blocks(65536)

    def strict_blocks(self, block):
        """An origin that refuses what is not on its blocks."""
        size = 4 * MIB
        origin = self.file_origin(
            size, filters=('blocksize-policy',), extra=(
                f'blocksize-minimum={block}', f'blocksize-preferred={max(block, 4096)}',
                'blocksize-maximum=128k', 'blocksize-error-policy=error'))
        self.battery(origin, origin.content)
        for at, length in origin.reads():
            self.assertEqual((at % block, length % block), (0, 0))
            self.assertLessEqual(length, 128 * KIB)


class Fetches(ProxyCase):

    def test_fault_4_6_each_block_is_fetched_once(self):
        """50 clients that miss the same block cost the origin one read."""
        origin = self.slow_origin('300ms')
        p = self.proxy(origin)
        clients = [self.client(p) for _ in range(50)]
        for i, c in enumerate(clients):
            c.request(n.READ, 2 * MIB + i * 64, 100)
        for i, c in enumerate(clients):
            at = 2 * MIB + i * 64
            self.assertEqual(c.reply().data, origin.content[at:at + 100])
        self.assertEqual(origin.reads_of(2 * MIB), 1, origin.reads())
        self.assertLessEqual(len(origin.reads()), 2)

    def test_overlapping_reads(self):
        """Reads that overlap at every edge: no byte comes twice, and all is right."""
        origin = self.slow_origin('20ms')
        p, rnd = self.proxy(origin), random.Random(5)
        clients = [self.client(p) for _ in range(16)]
        places = [(rnd.randrange(0, 3 * MIB), rnd.randrange(1, 700000)) for _ in clients]
        for c, (at, length) in zip(clients, places):
            c.request(n.READ, at, length)
        for c, (at, length) in zip(clients, places):
            self.assertTrue(c.reply().data == origin.content[at:at + length])
        seen = set()
        for at, length in origin.reads():
            blocks = set(range(at // BLOCK, (at + length) // BLOCK))
            self.assertFalse(seen & blocks)
            seen |= blocks

    def test_sequential_reader_is_read_ahead(self):
        """At 50 ms a read, 4 MiB in pieces of 32 KiB take 128 waits without; few with."""
        origin = self.slow_origin('50ms')
        p = self.proxy(origin)
        c = self.client(p)
        took, _ = self.timed(lambda: [c.read(at, 32 * KIB)
                                      for at in range(0, 4 * MIB, 32 * KIB)])
        self.assertLess(took, 5)
        self.assertLess(len(origin.reads()), 60)

    def test_random_reader_is_not(self):
        origin = self.file_origin()
        p, rnd = self.proxy(origin), random.Random(1)
        c, places = self.client(p), list(range(0, 8 * MIB, 128 * KIB))
        rnd.shuffle(places)
        for at in places[:24]:
            c.read(at, BLOCK)
        self.assertLess(origin.read_bytes(), 8 * 24 * BLOCK)

    def test_fault_2_3_cached_read_is_never_behind_a_fetch(self):
        """With an origin that takes 2 s, what is here comes at once, on the same connection too."""
        origin = self.slow_origin('2')
        p = self.proxy(origin)
        c, other = self.client(p), self.client(p)
        self.assertEqual(c.write(0, b'x' * MIB).error, 0)
        for i in range(25):
            other.request(n.READ, 2 * MIB + i * 128 * KIB, BLOCK)
            c.request(n.READ, 2 * MIB + (2 * i + 1) * 64 * KIB, BLOCK, cookie=1000 + i)
        for i in range(20):
            c.request(n.READ, i * BLOCK, BLOCK, cookie=i + 1)
        for i in range(20):
            reply = c.reply()
            self.assertLess(reply.cookie, 1000, 'what was asked first comes last')
            self.assertEqual(reply.data, b'x' * BLOCK)
        for i in range(25):
            self.assertEqual((other.reply().error, c.reply().error), (0, 0))

    def test_client_goes_before_the_copy(self):
        origin = self.file_origin(32 * MIB, filters=('rate',), extra=('rate=20M',))
        p = self.proxy(origin)
        self.done(p, 'cache-all')
        c, worst = self.client(p), 0
        for at in range(31 * MIB, 28 * MIB, -512 * KIB):
            took, data = self.timed(lambda at=at: c.read(at, BLOCK))
            self.assertEqual(data, origin.content[at:at + BLOCK])
            worst = max(worst, took)
        self.assertLess(worst, 8)
        self.done(p, 'pause')

    def test_cache_command(self):
        """NBD_CMD_CACHE brings it here; the next read asks nobody."""
        origin = self.file_origin()
        p = self.proxy(origin)
        c = self.client(p)
        self.assertTrue(c.flags & n.SEND_CACHE)
        self.assertEqual(c.call(n.CACHE, 1000, 3 * MIB).error, 0)
        before = len(origin.reads())
        self.assertEqual(c.read(1000, 2 * MIB), origin.content[1000:1000 + 2 * MIB])
        self.assertEqual(len(origin.reads()), before)

    def test_block_status(self):
        """What is absent is said to be data, in one piece; nothing is fetched for it."""
        origin = self.file_origin()
        p = self.proxy(origin)
        c = self.client(p)
        self.assertEqual(c.call(n.BLOCK_STATUS, 0, 8 * MIB).extents, [(8 * MIB, 0)])
        self.assertEqual(c.call(n.WRITE_ZEROES, MIB, MIB).error, 0)
        self.assertEqual(c.call(n.BLOCK_STATUS, 0, 8 * MIB).extents,
                         [(MIB, 0), (MIB, 3), (6 * MIB, 0)])
        self.assertEqual(origin.reads(), [])


class Writes(ProxyCase):

    def test_stay_here(self):
        origin = self.file_origin()
        p, model = self.proxy(origin), bytearray(origin.content)
        c, rnd = self.client(p), random.Random(3)
        for _ in range(100):
            length = rnd.choice(LENGTHS[:8])
            at = rnd.randrange(0, self.SIZE - length)
            model[at:at + length] = rnd.randbytes(length)
            self.assertEqual(c.write(at, bytes(model[at:at + length])).error, 0)
        self.check_all(p, model)
        self.stop(p)
        self.check_file(origin.image, origin.content)
        self.assertNotIn('Write', xtest.text_of(origin.log))

    def test_only_partial_blocks_are_fetched(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        c = self.client(p)
        self.assertEqual(c.write(BLOCK * 10, b'w' * BLOCK * 5).error, 0)
        self.assertEqual(origin.reads(), [])
        self.assertEqual(c.write(BLOCK * 20 + 5, b'w' * BLOCK * 5).error, 0)
        self.assertEqual(sorted(origin.reads()), [(BLOCK * 20, BLOCK), (BLOCK * 25, BLOCK)])
        want = bytearray(origin.content)
        want[BLOCK * 10:BLOCK * 15] = b'w' * BLOCK * 5
        want[BLOCK * 20 + 5:BLOCK * 25 + 5] = b'w' * BLOCK * 5
        self.check_all(p, want)

    def test_write_during_the_fetch_wins(self):
        """Old data never lands on new."""
        origin = self.slow_origin('300ms')
        p = self.proxy(origin)
        reader, writer = self.client(p), self.client(p)
        reader.request(n.READ, 0, FILL)
        xtest.wait_for(origin.reads, 'fetch')
        for at in (0, 5000, 3 * BLOCK):
            writer.request(n.WRITE, at, 100, payload=b'n' * 100)
        self.assertEqual(len(reader.reply().data), FILL)
        for _ in range(3):
            self.assertEqual(writer.reply().error, 0)
        want = bytearray(origin.content[:FILL])
        for at in (0, 5000, 3 * BLOCK):
            want[at:at + 100] = b'n' * 100
        self.assertTrue(reader.read(0, FILL) == want)

    def zeroed(self, kind):
        origin = self.file_origin(options=SAFE)
        p = self.proxy(origin)
        c = self.client(p)
        self.assertEqual(c.call(kind, MIB + 100, MIB).error, 0)
        inner = (2 * MIB) // BLOCK - (MIB + 100) // BLOCK - 1
        after = c.read(MIB, MIB + BLOCK)
        want = bytearray(origin.content[MIB:2 * MIB + BLOCK])
        self.assertEqual(after[BLOCK:BLOCK + inner * BLOCK], bytes(inner * BLOCK))
        self.assertEqual(after[:100], want[:100])
        self.assertEqual(after[MIB + 100:], want[MIB + 100:])
        if kind == n.WRITE_ZEROES:
            self.assertEqual(after[100:MIB + 100], bytes(MIB))
        return origin, p, after

    def test_fault_4_2_9_trimmed_blocks_do_not_come_back(self):
        for kind in (n.TRIM, n.WRITE_ZEROES):
            for end in ('stop', 'kill'):
                with self.subTest(kind=kind, end=end):
                    origin, p, after = self.zeroed(kind)
                    if end == 'stop':
                        self.stop(p)
                    else:
                        p.kill()
                    c = self.client(self.again(p, origin))
                    self.assertTrue(c.read(MIB, MIB + BLOCK) == after)

    def test_fault_1_11_trim_and_zeroes_of_everything(self):
        for kind in (n.TRIM, n.WRITE_ZEROES):
            origin = self.file_origin(8 * MIB - 1000)
            p = self.proxy(origin)
            c = self.client(p)
            self.assertEqual(c.call(kind, 0, c.size, flags=n.FUA).error, 0)
            self.assertEqual(c.read(0, c.size), bytes(c.size))
            self.assertEqual(origin.reads(), [])
            self.assertLess(os.stat(p.cache).st_blocks * 512, 64 * KIB)

    def test_readonly(self):
        origin = self.file_origin()
        p = self.proxy(origin, '--readonly')
        c = self.client(p)
        self.assertTrue(c.flags & n.READ_ONLY)
        self.assertEqual(c.write(0, b'x').error, 1)
        self.assertEqual(c.call(n.TRIM, 0, BLOCK).error, 1)
        self.assertTrue(c.in_sync())
        self.check_all(p, origin.content)
        self.stop(p)
        self.assertEqual(len(self.present(p)), f.blocks_of(self.SIZE), 'kept for the next time')


class Holes(ProxyCase):
    HOLES = ((MIB, 3 * MIB), (5 * MIB + 64 * KIB, MIB))

    def test_stay_holes_and_cost_nothing(self):
        origin = self.file_origin(holes=self.HOLES)
        p = self.proxy(origin)
        q = self.cache_all(p)
        self.assertEqual(q['cached'], q['blocks'])
        self.assertEqual(origin.read_bytes(), 4 * MIB)
        for at, length in origin.reads():
            self.assertFalse(any(at < h + size and h < at + length for h, size in self.HOLES))
        self.assertLess(os.stat(p.cache).st_blocks * 512, 4 * MIB + 128 * KIB)
        self.check_all(p, origin.content)
        self.check_file(p.cache, origin.content)
        c = self.client(p)
        self.assertIn((3 * MIB, 3), c.call(n.BLOCK_STATUS, 0, 8 * MIB).extents)

    def test_zeros_that_are_transferred_become_holes_too(self):
        """An origin that cannot tell its holes."""
        origin = self.file_origin(holes=self.HOLES, filters=('noextents',))
        p = self.proxy(origin)
        self.cache_all(p)
        self.assertEqual(origin.read_bytes(), 8 * MIB)
        self.assertLess(os.stat(p.cache).st_blocks * 512, 4 * MIB + 128 * KIB)
        self.check_file(p.cache, origin.content)


class Huge(ProxyCase):

    def test_16_tib(self):
        """Starts as fast as a small one; memory follows use, not size."""
        origin = self.nbdkit('memory', str(16 * TIB), log=False)
        small = self.nbdkit('memory', '1M', log=False)
        base, _ = self.timed(lambda: self.proxy(small))
        folder = self.mount('tmpfs', '64m')  # ext4 has no file so long
        took, p = self.timed(lambda: self.proxy(origin, cache=folder + '/cache'))
        if not xtest.is_sanitized():
            self.assertLess(took, base + 1)
        c = self.client(p)
        for at in (0, 5 * TIB + 17, 16 * TIB - 100):
            self.assertEqual(c.read(at, 100), bytes(100))
            self.assertEqual(c.write(at, b'w' * 100, flags=n.FUA).error, 0)
            self.assertEqual(c.read(at, 100), b'w' * 100)
        if not xtest.is_sanitized():
            self.assertLess(self.rss(p), 200 * MIB)
        took, _ = self.timed(lambda: p.stop(seconds=60))
        if not xtest.is_sanitized():
            self.assertLess(took, 5)
        p = self.again(p, origin)
        self.assertEqual(self.client(p).read(5 * TIB + 17, 100), b'w' * 100)
        p.kill()
        took, p = self.timed(lambda: self.again(p, origin))
        if not xtest.is_sanitized():
            self.assertLess(took, 5)
        self.assertEqual(self.client(p).read(16 * TIB - 100, 100), b'w' * 100)

    def test_big_copy_of_holes(self):
        """A terabyte of nothing is not fetched, and not walked block by block."""
        origin = self.nbdkit('memory', str(TIB), log=True)
        p = self.proxy(origin)
        q = self.cache_all(p, 40)
        self.assertEqual(q['cached'], TIB // BLOCK)
        self.assertEqual(origin.reads(), [])
        self.assertLess(os.stat(p.cache).st_blocks * 512, MIB)


class Bounds(ProxyCase):

    def test_fault_4_3_memory_is_bounded(self):
        """Clients that ask for much and read nothing."""
        origin = self.file_origin(64 * MIB)
        p = self.proxy(origin, '--max-buf-size=32M')
        clients = [self.client(p) for _ in range(8)]
        for c in clients:
            c.send(b''.join(c.request_bytes(n.READ, i * MIB % (64 * MIB), MIB) for i in range(60)))
        time.sleep(1)  # it has every chance to take more
        if not xtest.is_sanitized():
            self.assertLess(self.rss(p), 200 * MIB)
        for c in clients:
            c.close()
        self.assertEqual(self.client(p).read(0, 100), origin.content[:100])

    def test_fault_5_many_absent_runs_in_one_read(self):
        """A read over every second block, 2048 runs: more than there are fetches at once."""
        origin = self.file_origin(16 * MIB)
        p, model = self.proxy(origin), bytearray(origin.content)
        c = self.client(p)
        for at in range(0, 16 * MIB, 2 * BLOCK):
            c.request(n.WRITE, at, BLOCK, payload=b'w' * BLOCK)
            model[at:at + BLOCK] = b'w' * BLOCK
            if at % (256 * KIB) == 0:
                c.replies(len(c.waiting))
        c.replies(len(c.waiting))
        readers = [self.client(p) for _ in range(4)]
        threads = [threading.Thread(target=self.assert_reads, args=(r, 0, model))
                   for r in readers[1:]]
        for t in threads:
            t.start()
        self.assert_reads(readers[0], 0, model)
        for t in threads:
            t.join()
        self.assertEqual(origin.read_bytes(), 8 * MIB)

    def assert_reads(self, c, at, model):
        self.assertTrue(c.read(at, len(model)) == model)


if __name__ == '__main__':
    xtest.main()
