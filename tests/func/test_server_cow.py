# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy-on-write targets: private and shared overlays. What a client wrote it reads, what nobody
wrote is the base's, the base never changes, and nothing is left behind."""

import errno
import os
import random
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import cow  # noqa: E402
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from cow import BLOCK, SIZE  # noqa: E402
from xtest import KIB, MIB  # noqa: E402


class Private(cow.Case):

    def setUp(self):
        super().setUp()
        self.folder = self.path('images')
        os.mkdir(self.folder)
        self.base(folder=self.folder)
        os.chmod(self.path_of_base, 0o444)
        self.server = self.serve(self.path_of_base)

    def files(self):
        return os.listdir(self.folder)

    def overlays(self):
        """Files without a name that the server has open, of the folder."""
        return {p for p in cow.links_of(self.server.pid)
                if p.startswith(self.folder) and p.endswith('(deleted)')}

    def test_each_sees_the_base_and_its_own(self):
        clients = [self.client(m) for m in ('simple', 'structured', 'extended')]
        models = [bytearray(self.content) for _ in clients]
        for i, (c, model) in enumerate(zip(clients, models)):
            for at, length in ((0, 10), (BLOCK - 5, 10), (100 * i, 7), (2 * BLOCK, BLOCK),
                               (SIZE - 3, 3)):
                model[at:at + length] = bytes([i + 1]) * length
                self.ok(c.write(at, bytes([i + 1]) * length))
        for c, model in zip(clients, models):
            self.same(c, model)
        self.same(self.client(), self.content)
        self.finish(*clients)

    def test_nobody_but_its_client_sees_it_again(self):
        c = self.client()
        self.ok(c.write(0, b'x' * 1000, flags=n.FUA))
        c.disconnect()
        c = self.client()
        self.same(c, self.content)
        self.finish(c)

    def test_nothing_is_left_when_a_client_ends(self):
        c = self.client()
        self.ok(c.write(0, b'x' * MIB))
        self.assertEqual(self.files(), ['base.img'])
        self.assertEqual(len(self.overlays()), 1)
        c.close()  # without a word
        xtest.wait_for(lambda: not self.overlays(), 'the overlay is gone')
        self.assertEqual(self.files(), ['base.img'])
        self.finish()

    def test_nothing_is_left_after_sigterm(self):
        c = self.client()
        self.ok(c.write(0, b'x' * MIB))
        self.server.stop()
        self.assertEqual(self.files(), ['base.img'])
        self.base_is_unchanged()

    def test_nothing_is_left_after_a_kill(self):
        clients = [self.client() for _ in range(3)]
        for c in clients:
            self.ok(c.write(0, b'x' * MIB))
        self.assertEqual(self.files(), ['base.img'])
        self.server.kill()
        self.assertEqual(self.files(), ['base.img'])
        self.base_is_unchanged()

    def test_base_is_open_for_reading_only(self):
        c = self.client()
        self.ok(c.write(5, b'x'))
        modes = []
        for fd in os.listdir(f'/proc/{self.server.pid}/fd'):
            if os.readlink(f'/proc/{self.server.pid}/fd/{fd}') == self.path_of_base:
                flags = xtest.text_of(f'/proc/{self.server.pid}/fdinfo/{fd}')
                modes.append(int(re.search(r'flags:\s+(\d+)', flags)[1], 8) & os.O_ACCMODE)
        self.assertTrue(modes)
        self.assertEqual(set(modes), {os.O_RDONLY})
        self.finish(c)

    def test_flags(self):
        c = self.client()
        self.assertFalse(c.flags & n.MULTI_CONN, 'each connection sees another disk')
        self.assertFalse(c.flags & n.READ_ONLY)
        for flag in (n.SEND_FLUSH, n.SEND_FUA, n.SEND_TRIM, n.SEND_WRITE_ZEROES, n.SEND_CACHE):
            self.assertTrue(c.flags & flag)
        self.assertEqual(c.size, SIZE)
        self.finish(c)

    def test_readonly(self):
        self.server.stop()
        self.server = self.serve(self.path_of_base, '--readonly')
        c = self.client()
        self.assertTrue(c.flags & n.READ_ONLY)
        self.assertEqual(c.write(0, b'x').error, errno.EPERM)
        self.same(c, self.content)
        self.finish(c)

    def test_many_clients_come_and_go(self):
        before = None
        for i in range(60):
            c = self.client()
            self.ok(c.write(i * 1000, b'y' * 1000))
            c.close()
            if i == 10:
                before = xtest.wait_for(lambda: not self.overlays() and
                                        xtest.count_fds(self.server.pid), 'quiet')
        xtest.wait_for(lambda: not self.overlays(), 'overlays gone')
        self.assertLessEqual(xtest.count_fds(self.server.pid), before + 2)
        self.finish()

    def test_relative_path_in_the_background(self):
        """Overlays are beside the base, not where a daemon happens to be."""
        self.server.stop()
        with self.in_background('base.img', folder=self.folder) as (pid, address):
            c = n.Raw(address).enter()
            self.ok(c.write(0, b'x'))
            links = cow.links_of(pid)
            self.assertTrue([p for p in links if p.startswith(self.folder) and 'deleted' in p])
            c.disconnect()

    def test_cow_dir(self):
        self.server.stop()
        other = self.path('other')
        os.mkdir(other)
        self.server = self.serve(self.path_of_base, '--cow-dir', other)
        c = self.client()
        self.ok(c.write(0, b'x'))
        links = {p for p in cow.links_of(self.server.pid) if p.startswith(other)}
        self.assertEqual(len(links), 1)
        self.assertEqual(os.listdir(other), [])
        self.finish(c)


class Shared(cow.Case):

    def setUp(self):
        super().setUp()
        self.base()
        self.server = self.serve(self.path_of_base, '--cow-shared')

    def test_all_see_all(self):
        a, b = self.client(), self.client('extended')
        self.assertTrue(a.flags & n.MULTI_CONN)
        model = bytearray(self.content)
        for i, c in enumerate((a, b, a, b)):
            at = i * 1000 + 10
            model[at:at + 500] = bytes([i]) * 500
            self.ok(c.write(at, bytes([i]) * 500))
            for other in (a, b):
                self.same(other, model)
        a.disconnect()
        self.same(self.client(), model)
        self.server.stop()
        self.base_is_unchanged()
        self.server = self.serve(self.path_of_base, '--cow-shared')
        self.same(self.client(), self.content)

    def test_nothing_is_left(self):
        before = set(os.listdir(self.dir))
        c = self.client()
        self.ok(c.write(0, b'x' * MIB))
        self.assertEqual(set(os.listdir(self.dir)), before)
        self.finish(c)
        self.assertLessEqual(set(os.listdir(self.dir)), before)


class Originals(cow.Case):
    """What went wrong in the original, each with its place in the reference."""

    def setUp(self):
        super().setUp()
        self.base(8 * MIB)

    def both(self):
        """With private overlays and with a shared one."""
        for args in ((), ('--cow-shared',)):
            with self.subTest(args=args):
                self.server = self.serve(self.path_of_base, *args)
                yield
                self.finish()

    def test_fact_2_flush_does_not_make_the_disk_read_as_zeros(self):
        for _ in self.both():
            c, other = self.client(), self.client()
            self.ok(c.write(0, self.content[:10]))
            self.ok(c.call(n.FLUSH))
            self.same(c, self.content)
            self.same(other, self.content)
            self.same(self.client(), self.content)

    def test_4_2_2_flush_while_others_watch(self):
        for _ in self.both():
            c, others = self.client(), [self.client(), self.client('simple')]

            def flush():
                for i in range(100):
                    self.ok(c.write(i * 70000, self.content[i * 70000:i * 70000 + 100]))
                    self.ok(c.call(n.FLUSH))

            def watch(other):
                return lambda: [self.same(other, self.content) for _ in range(10)]
            xtest.in_threads(flush, *map(watch, others))

    def test_1_11_flush_is_answered(self):
        for _ in self.both():
            self.ok(self.client().call(n.FLUSH))

    def test_1_11_reads_of_1024_blocks_and_more(self):
        for _ in self.both():
            c = self.client()
            for length in (4 * MIB - 4096, 4 * MIB, 4 * MIB + 4096, 8 * MIB):
                self.same(c, self.content[:length])
            model = bytearray(self.content)
            for at in range(4096, 8 * MIB, 2 * BLOCK):  # in as many pieces as there can be
                model[at:at + 1] = b'!'
                self.ok(c.write(at, b'!'))
            self.same(c, model)

    def test_1_11_trim_is_answered(self):
        for _ in self.both():
            c = self.client()
            self.ok(c.call(n.TRIM, BLOCK, BLOCK))
            self.same(c, self.content[:BLOCK] + bytes(BLOCK) + self.content[2 * BLOCK:])

    def test_1_11_unknown_commands_touch_nothing(self):
        for _ in self.both():
            c, other = self.client(), self.client()
            for kind in (9, 77, 0xffff):
                self.assertEqual(c.call(kind, 0, BLOCK).error, errno.EINVAL)
            self.ok(c.call(n.CACHE, 0, BLOCK))
            self.same(c, self.content)
            self.same(other, self.content)

    def test_1_11_write_with_fua(self):
        for _ in self.both():
            c, other = self.client(), self.client()
            self.ok(c.write(5, self.content[5:10], flags=n.FUA))
            self.same(c, self.content)
            self.same(other, self.content)

    def test_1_11_six_and_seven_are_the_protocols(self):
        for _ in self.both():
            c = self.client()
            self.ok(c.call(n.WRITE_ZEROES, 3, 10))
            self.same(c, self.content[:3] + bytes(10) + self.content[13:])
            self.assertEqual(c.call(n.BLOCK_STATUS, 0, 8 * MIB).extents[-1][1], 0)

    def test_1_11_out_of_range(self):
        for _ in self.both():
            c = self.client()
            self.assertEqual(c.write(8 * MIB - 1, b'xx').error, errno.ENOSPC)
            self.assertEqual(c.call(n.READ, 8 * MIB, 1).error, errno.EINVAL)
            self.assertEqual(c.call(n.READ, (1 << 64) - 1, 2).error, errno.EINVAL)
            self.assertEqual(c.call(n.TRIM, (1 << 64) - 4096, 8192).error, errno.EINVAL)
            self.same(c, self.content)

    def test_1_11_readonly_refuses_one_request(self):
        self.server = self.serve(self.path_of_base, '--readonly')
        c = self.client()
        for reply in (c.write(0, b'x'), c.call(n.TRIM, 0, 1), c.call(n.WRITE_ZEROES, 0, 1)):
            self.assertEqual(reply.error, errno.EPERM)
        self.same(c, self.content)

    def test_1_3_no_layers_of_former_servers(self):
        for number in (signal.SIGKILL, signal.SIGTERM):
            self.server = self.serve(self.path_of_base)
            self.ok(self.client().write(0, b'x'))
            self.server.send_signal(number)
            self.server.wait()
        self.assertFalse([f for f in os.listdir(self.dir) if 'cow' in f or 'layer' in f])


class Model(cow.Case):
    """Requests of all alignments against copies in memory."""

    OPTIONS = ()

    def run_model(self, size, *args, count=150, clients=3):
        self.base(size)
        self.server = self.serve(self.path_of_base, *args)
        shared = '--cow-shared' in args
        model = bytearray(self.content)
        models = [model if shared else bytearray(self.content) for _ in range(clients)]
        conns = [self.client(m) for m in ('structured', 'extended', 'simple')[:clients]]

        def work(i):
            rnd = random.Random(i)
            for _ in range(count):
                self.one(conns[i], models[i], rnd, *self.range_of(rnd, size, i, shared, clients))
        xtest.in_threads(*[lambda i=i: work(i) for i in range(clients)])
        for c, m in zip(conns, models):
            self.same(c, m)
        self.finish(*conns)

    @staticmethod
    def range_of(rnd, size, i, shared, clients):
        """Of a shared overlay each client has bytes of its own, in blocks of all."""
        if not shared:
            at = rnd.randrange(size)
            return at, min(rnd.choice((1, 511, 512, 4096, 5000, BLOCK, 3 * BLOCK + 5)), size - at)
        stripe = rnd.randrange(max(size // 5000 // clients, 1)) * clients + i
        at = min(stripe * 5000 + rnd.randrange(4999), size - 1)
        return at, max(1, min(rnd.randrange(5000), stripe * 5000 + 5000 - at, size - at))

    def one(self, c, model, rnd, at, length):
        kind = rnd.choice(('write', 'write', 'zero', 'trim', 'read', 'flush', 'cache'))
        flags = rnd.choice((0, 0, 0, n.FUA))
        if kind == 'write':
            data = rnd.randbytes(length)
            self.ok(c.write(at, data, flags=flags))
            model[at:at + length] = data
        elif kind == 'zero':
            self.ok(c.call(n.WRITE_ZEROES, at, length, flags=flags | rnd.choice((0, n.NO_HOLE))))
            model[at:at + length] = bytes(length)
        elif kind == 'trim':
            self.ok(c.call(n.TRIM, at, length, flags=flags))
            after = c.read(at, length)
            self.assertTrue(all(a in (0, b) for a, b in zip(after, model[at:at + length])))
            model[at:at + length] = after
        elif kind == 'read':
            self.assertTrue(c.read(at, length) == model[at:at + length], (at, length))
        else:
            self.ok(c.call(n.FLUSH) if kind == 'flush' else c.call(n.CACHE, at, length))

    def test_private(self):
        self.run_model(SIZE)

    def test_shared(self):
        self.run_model(SIZE, '--cow-shared')

    def test_named(self):
        self.run_model(SIZE, '--cow-layer', self.path('o'), clients=1)

    def test_small_blocks(self):
        self.run_model(SIZE, '--cow-shared', '--cow-block=4K')

    def test_large_blocks(self):
        self.run_model(SIZE, '--cow-shared', '--cow-block=1M')

    def test_512_bytes(self):
        self.run_model(512, count=60)

    def test_one_byte(self):
        self.run_model(1, count=30)

    def test_odd_sizes(self):
        for size in (4097, BLOCK - 1, BLOCK + 1, 2 * BLOCK, 513):
            with self.subTest(size=size):
                self.run_model(size, '--cow-shared', count=50, clients=1)

    def test_alignments(self):
        """Every start and end around the edges of blocks, and of the short last one."""
        block, size = 4096, 5 * 4096 + 700
        self.base(size)
        self.server = self.serve(self.path_of_base, '--cow-block=4K')
        edges = sorted({e + d for e in (0, block, 2 * block, 5 * block, size) for d in (-1, 0, 1)
                        if 0 <= e + d <= size})
        for a in edges:
            for b in (b for b in edges if b > a):
                c = self.client()
                model = bytearray(self.content)
                self.ok(c.write(a, b'w' * (b - a)))
                model[a:b] = b'w' * (b - a)
                self.same(c, model)
                for kind in (n.WRITE_ZEROES, n.TRIM):
                    z = self.client()
                    self.ok(z.call(kind, a, b - a))
                    got = z.read(0, size)
                    want = self.content[:a] + bytes(b - a) + self.content[b:]
                    if kind == n.TRIM:  # whole blocks become zeros, of others what was there stays
                        first, end = -(-a // block) * block, b if b == size else b // block * block
                        want = self.content
                        if first < end:
                            want = want[:first] + bytes(end - first) + want[end:]
                    self.assertTrue(got == want, (kind, a, b))
                    z.close()
                c.close()


class Options(cow.Case):

    def test_wrong_ones(self):
        self.base()
        for args in (('--cow-block=3000',), ('--cow-block=2K',), ('--cow-block=2M',),
                     ('--cow-block=96K',), ('--cow-layer=x', '--cow-shared'),
                     ('--cow-layer=x', '--cow-dir=/tmp'), ('--direct',), ('--clear-bitmap',)):
            self.refused(*args, status=2)
        for option in ('--cow-shared', '--cow-dir=/tmp', '--cow-layer=x', '--cow-block=64K'):
            p = self.run_cmd(xtest.program('xnbd-server'), '--target', option, self.path_of_base,
                             status=2)
            self.assertEqual(p, '')

    def test_wrong_places(self):
        self.base()
        self.assertIn('--cow-dir', self.refused('--cow-dir', self.path('none')))
        self.assertIn('--cow-dir', self.refused('--cow-dir', self.path_of_base))
        self.path_of_base = self.path('missing')
        self.assertIn('missing', self.refused())
        self.image(0, 'empty')
        self.path_of_base = self.path('empty')
        self.assertIn('size is 0', self.refused())


class Clients(cow.Case):

    def setUp(self):
        super().setUp()
        self.base(8 * MIB)

    def test_qemu_io(self):
        self.require('qemu-io')
        self.server = self.serve(self.path_of_base, '--cow-shared')
        self.run_cmd('qemu-io', '-f', 'raw', self.server.uri, '-c', 'write -P 7 1000k 100k',
                     '-c', 'write -z 3M 1M', '-c', 'discard 5M 1M', '-c', 'flush',
                     '-c', 'read -P 7 1000k 100k', '-c', 'read -P 0 3M 1M')
        model = bytearray(self.content)
        model[1000 * KIB:1100 * KIB] = b'\7' * 100 * KIB
        model[3 * MIB:4 * MIB] = bytes(MIB)
        model[5 * MIB:6 * MIB] = bytes(MIB)
        self.same(self.client(), model)
        self.finish()

    def test_qemu_img(self):
        self.require('qemu-img')
        source = self.image(8 * MIB, 'source', pattern=4)
        for args in (('--cow-shared',), ('--cow-layer', self.path('o'))):
            self.server = self.serve(self.path_of_base, *args)
            self.run_cmd('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', source,
                         self.server.uri)
            self.run_cmd('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', source, self.server.uri)
            self.finish()
        self.server = self.serve(self.path_of_base)
        self.run_cmd('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', self.path_of_base,
                     self.server.uri)
        self.finish()

    def test_nbdcopy(self):
        self.require('nbdcopy')
        source, back = self.image(8 * MIB, 'source', pattern=5), self.path('back')
        self.server = self.serve(self.path_of_base, '--cow-shared')
        self.run_cmd('nbdcopy', '--flush', source, self.server.uri)
        self.run_cmd('nbdcopy', self.server.uri, back)
        self.run_cmd('cmp', source, back)
        self.finish()

    def test_nbdcopy_of_a_private_one(self):
        self.require('nbdcopy')
        self.server = self.serve(self.path_of_base)
        self.run_cmd('nbdcopy', self.server.uri, self.path('back'))
        self.run_cmd('cmp', self.path_of_base, self.path('back'))
        self.finish()

if __name__ == '__main__':
    xtest.main()
