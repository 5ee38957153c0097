#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A caching proxy whose origin is lost, hangs, fails, or comes back as another one; and that starts
without it."""

import errno
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import proxy_fixture as f  # noqa: E402
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from proxy_fixture import BLOCK, Line, ProxyCase  # noqa: E402
from xtest import KIB, MIB  # noqa: E402


class Lost(ProxyCase):

    def served_without(self, p, origin):
        """What is here comes at once; the rest waits, and comes when the origin is back."""
        c, waiting = self.client(p), self.client(p)
        waiting.request(n.READ, 4 * MIB, MIB)
        for i in range(30):
            took, data = self.timed(lambda i=i: c.read(i * BLOCK, BLOCK))
            self.assertEqual(data, origin.content[i * BLOCK:(i + 1) * BLOCK])
            self.assertLess(took, 3)
        self.assertEqual(c.write(7 * MIB, b'w' * BLOCK).error, 0)
        self.assertEqual(c.call(n.FLUSH).error, 0)
        self.assertEqual(c.read(7 * MIB, BLOCK), b'w' * BLOCK)
        return waiting

    def test_fault_2_5_cached_reads_go_on_and_the_rest_waits(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        self.client(p).read(0, MIB)
        origin.kill()
        self.origin_state(p, 'lost')
        waiting = self.served_without(p, origin)
        q = self.query(p)
        self.assertGreater(q['origin']['waiting'], 0)
        self.assertNotEqual(q['origin']['error'], '')
        origin.start()
        self.assertTrue(waiting.reply().data == origin.content[4 * MIB:5 * MIB])
        self.assertGreaterEqual(self.query(p)['origin']['reconnects'], 1)

    def test_fault_6_it_comes_back_by_itself_again_and_again(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        c = self.client(p)
        for i in range(5):
            origin.kill()
            c.request(n.READ, i * MIB, MIB)
            origin.start()
            self.assertTrue(c.reply().data == origin.content[i * MIB:(i + 1) * MIB])

    def test_error_after_origin_wait(self):
        origin = self.file_origin()
        p = self.proxy(origin, '--origin-wait=1')
        c = self.client(p)
        c.read(0, BLOCK)
        origin.kill()
        took, reply = self.timed(lambda: c.call(n.READ, 4 * MIB, BLOCK))
        self.assertEqual(reply.error, errno.EIO)
        self.assertTrue(0.8 < took < 6, took)
        took, reply = self.timed(lambda: c.call(n.READ, 4 * MIB, BLOCK))
        self.assertEqual(reply.error, errno.EIO)
        self.assertLess(took, 0.9, 'nobody waits twice')
        self.assertEqual(c.read(0, BLOCK), origin.content[:BLOCK])
        self.assertEqual(c.write(5 * MIB + 1, b'x').error, errno.EIO, 'its block is not here')
        origin.start()
        self.origin_state(p, 'connected')
        self.assertEqual(c.read(4 * MIB, BLOCK), origin.content[4 * MIB:4 * MIB + BLOCK])

    def test_hung_origin(self):
        """It accepts and answers nothing: found after --origin-timeout, and asked again."""
        origin = self.file_origin()
        p = self.proxy(origin, '--origin-timeout=1', '--origin-connections=2')
        c = self.client(p)
        c.read(0, BLOCK)
        origin.freeze()
        c.request(n.READ, 4 * MIB, BLOCK)
        self.origin_state(p, 'lost')  # each connection has its second
        other = self.client(p)
        self.assertEqual(other.read(0, BLOCK), origin.content[:BLOCK])
        origin.thaw()
        self.assertEqual(c.reply().data, origin.content[4 * MIB:4 * MIB + BLOCK])

    def test_it_comes_back_with_another_size(self):
        """Held: no wrong data, and good again when the right one is back."""
        origin = self.file_origin()
        p = self.proxy(origin)
        c = self.client(p)
        c.read(0, BLOCK)
        origin.kill()
        self.origin_state(p, 'lost')
        os.truncate(origin.image, 9 * MIB)
        origin.start()
        q = self.origin_state(p, 'held')
        self.assertIn(str(9 * MIB), q['origin']['error'])
        c.request(n.READ, 4 * MIB, MIB)
        xtest.wait_for(lambda: self.query(p)['origin']['waiting'], 'it waits')
        self.assertEqual(self.query(p)['origin']['state'], 'held')
        origin.kill()
        os.truncate(origin.image, 8 * MIB)
        origin.start()
        self.assertTrue(c.reply().data == origin.content[4 * MIB:5 * MIB])

    def test_errors_of_the_origin(self):
        """It is asked again; if it goes on failing, that request alone fails."""
        path, content = self.disk()
        flag = self.path('fail')
        origin = self.nbdkit('file', path, f'error-file={flag}', 'error-pread-rate=100%',
                             'error-pread=EIO', filters=('error',), content=content)
        p = self.proxy(origin)
        c = self.client(p)
        c.read(0, BLOCK)
        open(flag, 'w').close()
        c.request(n.READ, MIB, BLOCK)
        xtest.wait_for(lambda: 'EIO' in xtest.text_of(origin.log), 'error')
        os.unlink(flag)
        self.assertEqual(c.reply().data, content[MIB:MIB + BLOCK])
        open(flag, 'w').close()
        self.assertEqual(c.call(n.READ, 2 * MIB, BLOCK).error, errno.EIO)
        self.assertEqual(c.read(0, BLOCK), content[:BLOCK])
        os.unlink(flag)
        self.assertEqual(c.read(2 * MIB, BLOCK), content[2 * MIB:2 * MIB + BLOCK])

    def test_line_cut_at_random_bytes(self):
        path, content = self.disk()
        line, rnd = Line(self, self.own_origin(path).socket), random.Random(8)
        p = self.proxy(line, '--origin-connections=1')
        c, places = self.client(p), list(range(0, self.SIZE, 512 * KIB))
        rnd.shuffle(places)
        for at in places:
            line.limit, cuts = rnd.randrange(10, 400 * KIB), line.cuts
            line.cut()
            c.request(n.READ, at, 512 * KIB)
            xtest.wait_for(lambda cuts=cuts: line.cuts > cuts, 'cut', 20)
            line.limit = None
            self.assertTrue(c.reply().data == content[at:at + 512 * KIB], at)
        self.check_file(p.cache, content)

    def test_client_leaves_while_its_read_waits(self):
        """2.5: its request must harm nobody when the origin is back."""
        origin = self.file_origin()
        p = self.proxy(origin)
        self.client(p).read(0, BLOCK)
        origin.kill()
        for i in range(10):
            c = self.client(p)
            for j in range(20):
                c.request(n.READ, MIB + (i * 20 + j) * 8192, BLOCK)
            c.close()
        origin.start()
        self.check_all(p, origin.content)
        xtest.wait_for(lambda: self.query(p)['clients'] <= 1, 'they have gone')

    def test_stop_while_reads_wait(self):
        """The orderly end does not wait for an origin that is gone, or hangs."""
        proxies = []
        for way in ('kill', 'freeze'):
            origin = self.file_origin()
            p = self.proxy(origin)
            c = self.client(p)
            self.assertEqual(c.write(0, b'w' * BLOCK).error, 0)
            getattr(origin, way)()
            for i in range(50):
                c.request(n.READ, (i + 1) * 100 * KIB, BLOCK)
            c.request(n.READ, 0, BLOCK, cookie=999)
            self.assertEqual(c.reply().data, b'w' * BLOCK)
            proxies.append(p)
        took, _ = self.timed(lambda: xtest.in_threads(*[p.stop for p in proxies]))
        self.assertLess(took, 12)
        for p in proxies:
            p = self.again(p, p.args[-4])
            self.assertEqual(self.client(p).read(0, BLOCK), b'w' * BLOCK)


class Start(ProxyCase):

    def test_origin_down_and_cache_known(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        self.client(p).read(0, MIB)
        p.stop()
        origin.kill()
        p = self.again(p, origin)
        c = self.client(p)
        self.assertEqual(c.size, self.SIZE)
        self.assertTrue(c.read(0, MIB) == origin.content[:MIB])
        self.assertEqual(self.query(p)['origin']['state'], 'connecting')
        c.request(n.READ, 4 * MIB, BLOCK)
        origin.start()
        self.assertEqual(c.reply().data, origin.content[4 * MIB:4 * MIB + BLOCK])

    def test_origin_that_comes_up_a_moment_later(self):
        origin = self.file_origin()
        origin.kill()
        os.unlink(origin.socket)
        argv = self.proxy_args(origin)
        d = self.spawn(argv)
        xtest.wait_for(lambda: 'not reached' in d.stderr(), 'first attempt')
        origin.start()
        xtest.wait_for(lambda: xtest.answers(argv[-1]), 'it serves')
        d.stop()

    def test_origins_that_cannot_be(self):
        """Down and nothing known, no bytes, no such export, no URI: one line each, in bounded time
        (not at once: it may be just starting)."""
        path, _ = self.disk()
        empty = self.nbdkit('null', '0', log=False)
        cases = (('nbd+unix:///?socket=' + self.path('nobody'), self.path('nobody')),
                 (empty.uri, 'no bytes'),
                 (f.unix_uri(self.own_origin(path).socket, 'nothing'), 'nothing'),
                 ('nbd://', 'nbd://'), ('http://x/', 'http'), ('nbd+unix:///', 'socket'),
                 ('x' * 5000, '4096 bytes'))
        argvs = [self.proxy_args(uri) for uri, _ in cases]
        daemons = [self.spawn(argv) for argv in argvs]
        for d, (_, text) in zip(daemons, cases):
            self.assertIn(d.wait(30), (1, 2))
            errors = [line for line in d.stderr().splitlines() if 'error' in line]
            self.assertEqual(len(errors), 1, d.stderr())
            self.assertIn(text, errors[0])


if __name__ == '__main__':
    xtest.main()
