#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Proxies behind proxies, and many proxies of one golden image: what is written stays on its level,
a level can be switched or killed while the next one runs, and what all of this costs the origin."""

import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from proxy_fixture import BLOCK, ProxyCase  # noqa: E402
from workload import Workload  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

LEAVES = 20
PIECE, EVERY = 16 * KIB, 128 * KIB  # what a machine reads of its image when it starts


class Chain(ProxyCase):
    """origin <- inner <- outer."""

    SIZE = 16 * MIB

    def setUp(self):
        super().setUp()
        self.origin = self.file_origin(holes=((4 * MIB, 2 * MIB),))
        self.inner = self.proxy(self.origin, '--origin-timeout=5')
        self.outer = self.proxy(self.inner, '--origin-timeout=5')

    def work(self, content=None):
        load = Workload(content or self.origin.content, clients=3)
        load.start(lambda: self.client(self.outer))
        self.addCleanup(setattr, load, 'stopping', True)
        load.go_on()
        return load

    def test_what_is_written_stays_on_its_level(self):
        content = self.origin.content
        outer, inner = self.client(self.outer), self.client(self.inner)
        self.assertEqual(outer.write(BLOCK, b'o' * BLOCK).error, 0)
        self.assertEqual(outer.write(2 * BLOCK + 100, b'o' * 50).error, 0)
        self.assertEqual(inner.write(8 * MIB, b'i' * 2 * BLOCK).error, 0)
        self.assertEqual(inner.write(8 * MIB + BLOCK, b'I').error, 0)
        self.assertTrue(inner.read(0, MIB) == content[:MIB], 'nothing comes from above')
        model = bytearray(content)
        model[8 * MIB:8 * MIB + 2 * BLOCK] = b'i' * BLOCK + b'I' + b'i' * (BLOCK - 1)
        self.check_all(self.inner, bytes(model))
        model[BLOCK:2 * BLOCK], model[2 * BLOCK + 100:2 * BLOCK + 150] = b'o' * BLOCK, b'o' * 50
        self.check_all(self.outer, bytes(model))
        self.check_file(self.origin.image, content)
        self.assertEqual(inner.call(n.TRIM, 12 * MIB, MIB).error, 0)
        self.assertTrue(outer.read(12 * MIB, MIB) == model[12 * MIB:13 * MIB], 'it has them')
        self.assertEqual(self.query(self.outer)['written'], 2)

    def test_zeros_of_the_inner_one_are_holes_of_the_outer(self):
        """Those of the origin, and what was trimmed on the way."""
        self.assertEqual(self.client(self.inner).call(n.TRIM, 12 * MIB, MIB).error, 0)
        self.cache_all(self.inner)
        self.assertEqual(self.origin.read_bytes(), self.SIZE - 3 * MIB)
        q = self.cache_all(self.outer)
        self.assertEqual(q['origin']['bytes_read'], self.SIZE - 3 * MIB)
        model = bytearray(self.origin.content)
        model[12 * MIB:13 * MIB] = bytes(MIB)
        self.check_all(self.outer, bytes(model))

    def test_inner_is_switched_while_the_outer_runs(self):
        load = self.work()
        self.done(self.outer, 'cache-all', rate=3 * MIB)
        self.cache_all(self.inner)
        self.done(self.inner, 'switch')
        self.origin.kill()
        load.go_on()
        q = self.query(self.outer)
        self.assertEqual((q['origin']['state'], q['origin']['reconnects']), ('connected', 0))
        self.cache_all(self.outer)
        self.assertEqual(self.done(self.outer, 'verify')['different'], 0)
        self.done(self.outer, 'switch')
        self.inner.stop()
        load.go_on()
        load.stop()
        self.check_all(self.outer, load.model)
        self.check_file(self.inner.cache, self.origin.content)

    def test_outer_is_switched_while_the_inner_is_a_proxy(self):
        """The inner one has everything then too, whether asked to or not."""
        load = self.work()
        self.cache_all(self.outer)
        self.done(self.outer, 'switch')
        self.origin.kill()
        self.inner.kill()
        load.go_on()
        load.stop()
        self.check_all(self.outer, load.model)

    def test_inner_is_killed_and_comes_back(self):
        """Clients of the outer one wait, and what the inner had acknowledged is there."""
        self.assertEqual(self.client(self.inner).write(15 * MIB, b'i' * MIB).error, 0)
        content = self.origin.content[:15 * MIB] + b'i' * MIB
        load = self.work(content)
        self.done(self.outer, 'cache-all', rate=4 * MIB)
        argv, socket, control = self.inner.args, self.inner.socket, self.inner.control
        for _ in range(3):
            time.sleep(0.3)
            self.inner.kill()
            self.origin_state(self.outer, 'lost')
            self.inner = self.start(argv, [socket, control])
            self.origin_state(self.outer, 'connected')
        self.cache_all(self.outer)
        load.stop()
        self.check_all(self.outer, load.model)


class Golden(ProxyCase):
    """Many proxies of one image that nobody writes."""

    def leaves(self, origin):
        return [self.proxy(origin) for _ in range(LEAVES)]

    def boot(self, leaf, content):
        """Small reads here and there, none of which looks like a sequential reader's."""
        c, places = self.client(leaf), [(at, PIECE) for at in range(0, len(content), EVERY)]
        random.Random(leaf.pid).shuffle(places)
        for at, length, reply in c.pipeline(places, 8):
            self.assertTrue(reply.data == content[at:at + length], at)
        c.disconnect()

    def boot_all(self, leaves, content):
        xtest.in_threads(*[lambda leaf=leaf: self.boot(leaf, content) for leaf in leaves])

    def test_each_fetches_what_it_reads_once(self):
        origin = self.file_origin()
        leaves = self.leaves(origin)
        self.assertEqual(origin.read_bytes(), 0)
        self.boot_all(leaves, origin.content)
        cost = LEAVES * (len(origin.content) // EVERY) * PIECE
        self.assertEqual(origin.read_bytes(), cost)
        self.boot_all(leaves, origin.content)
        self.assertEqual(origin.read_bytes(), cost, 'the second start costs nothing')
        told = [self.query(leaf)['origin']['bytes_read'] for leaf in leaves]
        self.assertEqual(told, [cost // LEAVES] * LEAVES)

    def test_behind_one_more_proxy_the_origin_is_read_once(self):
        """Also when all start at the same time."""
        origin = self.slow_origin('5ms')
        site = self.proxy(origin)
        self.boot_all(self.leaves(site), origin.content)
        self.assertEqual(origin.read_bytes(), len(origin.content) // EVERY * PIECE)

    def test_writes_are_of_one_alone(self):
        origin = self.file_origin(options=('-r',))
        leaves = self.leaves(origin)
        for i, leaf in enumerate(leaves):
            c = self.client(leaf)
            self.assertEqual(c.write(MIB, bytes([i]) * BLOCK).error, 0)
            self.assertEqual(c.write(5000, bytes([i])).error, 0)
        for i, leaf in enumerate(leaves):
            c = self.client(leaf)
            self.assertEqual(c.read(MIB, 2 * BLOCK),
                             bytes([i]) * BLOCK + origin.content[MIB + BLOCK:MIB + 2 * BLOCK])
            self.assertEqual(c.read(4999, 3), origin.content[4999:5000] + bytes([i])
                             + origin.content[5001:5002])
        self.check_file(origin.image, origin.content)

    def test_one_that_copies_all_does_not_hold_up_the_others(self):
        """An origin that needs 10 ms for each request: a fetch of the others stays near that."""
        origin = self.slow_origin('10ms', size=64 * MIB)
        leaves = self.leaves(origin)
        greedy, others = leaves[0], leaves[1:]
        self.done(greedy, 'cache-all', blocks_per_request=4)
        times = []
        for i, leaf in enumerate(others):
            c = self.client(leaf)
            took, _ = self.timed(lambda c=c, i=i: c.read(i * MIB, BLOCK))
            again, _ = self.timed(lambda c=c, i=i: c.read(i * MIB, BLOCK))
            times.append((took, again))
        self.assertIn(self.query(greedy)['copy']['state'], ('running',))
        self.assertLess(sorted(t for t, _ in times)[LEAVES // 2], 0.2, times)
        self.assertLess(max(t for t, _ in times), 2, times)
        self.assertLess(sorted(t for _, t in times)[LEAVES // 2], 0.05, times)


if __name__ == '__main__':
    xtest.main()
