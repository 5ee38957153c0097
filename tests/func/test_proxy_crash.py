#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A caching proxy against a model in memory, while it is killed and started again, its origin
comes and goes and its line is cut: what was acknowledged is there, and nothing is wrong."""

import errno
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from proxy_fixture import BLOCK, SAFE, Line, ProxyCase  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

GONE = (n.Closed, ConnectionError, TimeoutError, OSError)


class Actor(threading.Thread):
    """A client with an area of its own, [base, base + size), and what it must hold.

    After a request without an answer its range may be old or new, byte by byte; `doubt` holds both
    until the next read tells.
    """

    def __init__(self, number, base, content, connect):
        super().__init__()
        self.rnd, self.base, self.model = random.Random(number), base, bytearray(content)
        self.connect, self.doubt, self.error, self.requests = connect, None, None, 0
        self.stopping, self.client = False, None

    def run(self):
        try:
            while not self.stopping:
                self.life()
            self.client = self.client or self.connect()
            self.check(0, len(self.model))
            self.client.disconnect()
        except BaseException as e:
            self.error = e

    def life(self):
        """Requests until the connection is gone."""
        try:
            self.client = self.client or self.connect()
            while not self.stopping:
                self.one()
                self.requests += 1
        except GONE:
            if self.client:
                self.client.close()
            self.client = None
            time.sleep(0.01)

    def one(self):
        kind = self.rnd.choice(('write', 'write', 'read', 'read', 'zero', 'trim', 'flush'))
        length = self.rnd.choice((1, 511, 512, 4095, 4096, 4097, 20000, 65536, 200000))
        length = min(length, len(self.model))
        at = self.rnd.randrange(len(self.model) - length + 1)
        if self.rnd.random() < 0.4:
            at = min(at // BLOCK * BLOCK, len(self.model) - length)
        self.settle()
        getattr(self, kind)(at, length)

    def call(self, *args, **more):
        """A reply without error; a proxy that is being stopped is as good as gone."""
        reply = self.client.call(*args, **more)
        if reply.error == errno.ESHUTDOWN:
            raise n.Closed('it is shutting down')
        if reply.error:
            raise AssertionError(f'{args[:3]}: error {reply.error} {reply.text}')
        return reply

    def settle(self):
        """Finds out what became of the last request before a crash."""
        if not self.doubt:
            return
        at, new = self.doubt
        have = self.call(n.READ, self.base + at, len(new)).data
        old = self.model[at:at + len(new)]
        for i, byte in enumerate(have):
            if byte not in (old[i], new[i]):
                raise AssertionError(f'byte {self.base + at + i}: neither old nor new')
        self.model[at:at + len(new)] = have
        self.doubt = None

    def change(self, kind, at, new, flags=0, payload=b''):
        self.doubt = at, new
        self.call(kind, self.base + at, len(new), flags=flags, payload=payload)
        self.model[at:at + len(new)] = new
        self.doubt = None

    def write(self, at, length):
        data = self.rnd.randbytes(length)
        self.change(n.WRITE, at, data, self.rnd.choice((0, 0, n.FUA)), data)

    def zero(self, at, length):
        self.change(n.WRITE_ZEROES, at, bytes(length), self.rnd.choice((0, n.NO_HOLE, n.FUA)))

    def trim(self, at, length):
        """Each byte is as it was or zero; blocks covered whole are zero."""
        self.doubt = at, bytes(length)
        self.call(n.TRIM, self.base + at, length)
        self.settle()
        first = -(-(self.base + at) // BLOCK) * BLOCK - self.base
        last = (self.base + at + length) // BLOCK * BLOCK - self.base
        if first < last and any(self.model[first:last]):
            raise AssertionError('a trimmed block does not read as zeros')

    def read(self, at, length):
        self.check(at, length)

    def flush(self, at, length):
        self.call(n.FLUSH)

    def check(self, at, length):
        self.settle()
        have = self.call(n.READ, self.base + at, length).data
        want = self.model[at:at + length]
        if have != want:
            bad = next(i for i in range(length) if have[i] != want[i])
            raise AssertionError(f'byte {self.base + at + bad} of a read of {length}')


class Property(ProxyCase):
    SIZE, ACTORS, EDGE = 8 * MIB + 1000, 4, 1500  # areas meet inside of blocks

    def setUp(self):
        super().setUp()
        path, self.content = self.disk(holes=((MIB, MIB),))
        self.origin = self.own_origin(path)
        self.line = Line(self, self.origin.socket)
        self.p = self.proxy(self.line)
        self.lock = threading.Lock()
        self.seed = random.SystemRandom().randrange(1 << 30)
        self.rnd = random.Random(self.seed)
        share = self.SIZE // self.ACTORS
        bounds = [i * share + (self.EDGE if i else 0) for i in range(self.ACTORS)] + [self.SIZE]
        self.actors = [Actor(self.seed + i, bounds[i], self.content[bounds[i]:bounds[i + 1]],
                             self.connect) for i in range(self.ACTORS)]

    def connect(self):
        return n.Raw(self.p.socket, 30).enter('structured')

    def until(self, seconds, *disasters):
        """Lets the actors work, with a disaster now and then."""
        for a in self.actors:
            a.start()
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end and not any(a.error for a in self.actors):
                time.sleep(self.rnd.uniform(0.05, 0.6))
                self.rnd.choice(disasters)()
        finally:
            self.line.limit = None
            for a in self.actors:
                a.stopping = True
            for a in self.actors:
                a.join(60)
        errors = [a.error for a in self.actors if a.error]
        self.assertEqual(errors, [], f'seed {self.seed}')
        self.assertFalse(any(a.is_alive() for a in self.actors), 'stuck')
        self.assertGreater(sum(a.requests for a in self.actors), 40)

    def whole(self):
        want = bytearray()
        for a in self.actors:
            want += a.model
        return want

    # Disasters.

    def nothing(self):
        pass

    def kill(self):
        """kill -9 and start again."""
        self.p.kill()
        self.p = self.again(self.p, self.line)

    def restart(self):
        self.p.stop()
        self.p = self.again(self.p, self.line)

    def lose_origin(self):
        self.origin.kill()
        time.sleep(self.rnd.uniform(0, 0.3))
        self.origin.start()

    def cut(self):
        self.line.cut()

    def cut_inside(self):
        """New connections end after some bytes."""
        self.line.limit = self.rnd.randrange(10, 300 * KIB)
        self.line.cut()
        time.sleep(0.1)
        self.line.limit = None

    def test_fault_4_2_3_killed(self):
        self.until(5, self.kill, self.nothing)
        self.check_all(self.p, self.whole())

    def test_stopped(self):
        self.until(4, self.restart)
        self.check_all(self.p, self.whole())

    def test_origin_comes_and_goes(self):
        self.until(5, self.lose_origin, self.cut, self.cut_inside)
        self.check_all(self.p, self.whole())

    def test_everything_at_once_and_a_copy(self):
        """At the end all blocks are here, and it becomes a target."""
        self.done(self.p, 'cache-all', rate=MIB)
        self.until(7, self.kill, self.restart, self.lose_origin, self.cut, self.cut_inside)
        self.cache_all(self.p)
        self.done(self.p, 'switch')
        self.check_all(self.p, self.whole())
        self.p.stop()
        self.check_file(self.p.cache, self.whole())

    def test_switch_under_load(self):
        """Forced only when all is here; the actors notice nothing."""
        self.until(4, self.cut, self.nothing, self.copy_and_switch)
        self.copy_and_switch()
        self.assertEqual(self.query(self.p)['mode'], 'target')
        self.check_all(self.p, self.whole())

    def copy_and_switch(self):
        if self.query(self.p)['mode'] == 'target':
            return
        self.cache_all(self.p)
        self.done(self.p, 'switch')


class Kills(ProxyCase):

    def test_fault_4_2_3_killed_while_it_fetches(self):
        """The original set bits before the data came: zeros after a crash."""
        origin = self.slow_origin('100ms', options=SAFE)
        p = self.proxy(origin)
        for i in range(6):
            p.kill()
            p = self.again(p, origin)
            clients = [self.client(p) for _ in range(4)]
            for j, c in enumerate(clients):
                c.request(n.READ, (i * 4 + j) * 256 * KIB, 256 * KIB)
            time.sleep(0.02 + i * 0.03)
        p.kill()
        p = self.again(p, origin)
        self.check_all(p, origin.content)

    def test_killed_after_an_acknowledged_write(self):
        """The write is there, without any flush, however short the time was."""
        origin = self.file_origin(options=SAFE)
        p = self.proxy(origin)
        for i in range(8):
            c = self.client(p)
            for j in range(10):
                at = (i * 10 + j) * 5000
                self.assertEqual(c.write(at, bytes([i + 1]) * 3000).error, 0)
            p.kill()
            p = self.again(p, origin)
            c = self.client(p)
            for j in range(10):
                at = (i * 10 + j) * 5000
                self.assertEqual(c.read(at, 3000), bytes([i + 1]) * 3000)
                self.assertEqual(c.read(at + 3000, 2000), origin.content[at + 3000:at + 5000])
        self.assertIn('nothing is lost', p.stderr())

    def test_bits_are_only_proven_by_a_flush(self):
        """PATH itself, which another boot would believe, gets bits with FLUSH and FUA alone."""
        origin = self.file_origin(options=SAFE)
        p = self.proxy(origin)
        c = self.client(p)
        self.assertEqual(c.write(0, b'w' * BLOCK).error, 0)
        self.assertEqual(self.present(p), set())
        self.assertEqual(self.present(p, live=True), {0})
        self.assertEqual(c.call(n.FLUSH).error, 0)
        self.assertEqual(self.present(p), {0})
        self.assertEqual(c.write(BLOCK * 7, b'w' * BLOCK, flags=n.FUA).error, 0)
        self.assertEqual(self.present(p), {0, 7})

    def test_another_boot(self):
        """After a power cut what was flushed is believed, and nothing else."""
        origin = self.file_origin(options=SAFE)
        p = self.proxy(origin)
        c = self.client(p)
        self.assertEqual(c.write(0, b'w' * BLOCK).error, 0)
        self.assertEqual(c.call(n.FLUSH).error, 0)
        self.assertEqual(c.write(BLOCK, b'v' * BLOCK).error, 0)
        p.kill()
        with open(p.bitmap + '.info') as file:
            text = file.read()
        with open('/proc/sys/kernel/random/boot_id') as file:
            boot = file.read().strip()
        self.assertIn(boot, text)
        with open(p.bitmap + '.info', 'w') as file:
            file.write(text.replace(boot, '0' * len(boot)))
        p = self.again(p, origin)
        self.assertIn('warning', p.stderr())
        c = self.client(p)
        self.assertEqual(c.read(0, 2 * BLOCK), b'w' * BLOCK + origin.content[BLOCK:2 * BLOCK])

    def test_written_blocks_are_known_after_a_clean_end_only(self):
        origin = self.file_origin(options=SAFE)
        p = self.proxy(origin)
        c = self.client(p)
        c.read(0, MIB)
        self.assertEqual(c.write(0, b'w' * BLOCK).error, 0)
        self.assertEqual(self.query(p)['written'], 1)
        self.stop(p)
        p = self.again(p, origin)
        self.assertEqual(self.query(p)['written'], 1)
        p.kill()
        q = self.query(self.again(p, origin))
        self.assertEqual(q['written'], q['cached'], 'nobody knows, so all')

    def test_killed_in_the_middle_of_a_copy(self):
        origin = self.file_origin(16 * MIB, options=SAFE)
        p = self.proxy(origin)
        self.done(p, 'cache-all', rate=8 * MIB)
        xtest.wait_for(lambda: self.query(p)['cached'] > 3 * MIB // BLOCK, 'it runs')
        p.kill()
        p = self.again(p, origin)
        self.cache_all(p)
        self.assertLessEqual(origin.read_bytes(), 16 * MIB + 32 * 256 * KIB)
        self.check_file(p.cache, origin.content)
        self.assertGreater(self.query(p)['cached'], 0)


if __name__ == '__main__':
    xtest.main()
