#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Control of a caching proxy: query, the copy, verify; by its socket and by xnbd-bgctl."""

import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import proxy_fixture as f  # noqa: E402
import xtest  # noqa: E402
from proxy_fixture import BLOCK, Busy, ProxyCase  # noqa: E402
from xtest import KIB, MIB  # noqa: E402


class Query(ProxyCase):

    def test_fields(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        c = self.client(p)
        c.read(0, 256 * KIB)
        self.assertEqual(c.write(MIB, b'w' * BLOCK).error, 0)
        q = self.query(p)
        self.assertEqual((q['pid'], q['mode'], q['readonly'], q['size'], q['clients']),
                         (p.pid, 'proxy', False, self.SIZE, 1))
        self.assertEqual((q['image'], q['bitmap'], q['block'], q['blocks'], q['written']),
                         (p.cache, p.bitmap, BLOCK, self.SIZE // BLOCK, 1))
        self.assertGreaterEqual(q['cached'], 65)
        o = q['origin']
        self.assertEqual((o['uri'], o['state'], o['error'], o['reconnects'], o['waiting']),
                         (origin.uri, 'connected', '', 0, 0))
        self.assertEqual(o['bytes_read'], origin.read_bytes())
        self.assertGreaterEqual(o['connections'], 1)
        self.assertEqual((q['copy']['state'], q['copy']['rate_limit'], q['copy']['seconds_left']),
                         ('none', 0, None))
        self.assertEqual(q['snapshots'], [])

    def test_target(self):
        server = self.serve(self.image(MIB), f'--control={self.path("ctl")}')
        server.control = self.path('ctl')
        xtest.wait_for(lambda: xtest.answers(server.control), 'control')
        q = self.query(server)
        self.assertEqual((q['mode'], q['size']), ('target', MIB))
        self.assertNotIn('origin', q)
        for cmd in ('cache-all', 'pause', 'resume', 'verify'):
            answer = self.ask(server, cmd)
            self.assertFalse(answer['ok'])
            self.assertIn('no proxy', answer['error'])
        self.assertTrue(self.ask(server, 'switch')['ok'], 'it is a target already')
        server.send_signal(signal.SIGUSR2)
        xtest.wait_for(lambda: 'SIGUSR2' in server.stderr(), 'warning')
        self.assertEqual(len(self.client(server).read(0, 100)), 100)

    def test_fault_4_4_bad_and_silent_peers(self):
        """None of them stops anybody else."""
        p = self.proxy(self.file_origin())
        silent = [self.control(p) for _ in range(10)]
        for junk in (b'\n', b'x' * 70000 + b'\n', b'{"v":1}\n', b'{"v":2,"cmd":"query"}\n',
                     b'[]\n', b'{"v":1,"cmd":"client","fd":true}\n', b'\0' * 100,
                     b'{"v":1,"cmd":"client","id":1,"features":"simple"}\n',
                     b'{"v":1,"cmd":"reconnect"}\n', b'{"v":1,"cmd":"reconnect","uri":7}\n',
                     b'{"v":1,"cmd":"reconnect","host":"h","port":1}\n',
                     b'{"v":1,"cmd":"verify","samples":-5}\n',
                     b'{"v":1,"cmd":"cache-all","rate":-1,"idle":7}\n',
                     b'{"v":1,"cmd":"switch","force":"yes"}\n'):
            s = xtest.connect(p.control)
            s.sendall(junk)
            s.close()
        self.assertEqual(len(self.client(p).read(0, 100)), 100)
        self.assertEqual(self.query(p)['mode'], 'proxy')
        for s in silent:
            s.close()

    def test_fault_1_4_stale_socket_is_taken_over(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        argv = p.argv
        p.kill()
        self.assertTrue(os.path.exists(p.control))
        d = self.start(argv, [p.socket, p.control])
        self.assertEqual(os.stat(p.control).st_mode & 0o777, 0o600)
        d.stop()
        self.assertFalse(os.path.exists(p.control))


class Copy(ProxyCase):

    def test_events_and_end(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        c = self.control(p)
        self.assertTrue(c.ask('cache-all')['ok'])
        c.event('copy', state='done')
        q = self.query(p)
        self.assertEqual((q['cached'], q['copy']['state'], q['copy']['error']),
                         (q['blocks'], 'done', ''))
        self.check_file(p.cache, origin.content)
        self.assertEqual(origin.read_bytes(), self.SIZE)
        self.assertTrue(c.ask('cache-all')['ok'], 'once more does no harm')
        xtest.wait_for(lambda: self.query(p)['copy']['state'] == 'done', 'done again')
        self.assertEqual(len(self.present(p)), self.SIZE // BLOCK, 'durable without a flush')

    def test_rate(self):
        p = self.proxy(self.file_origin())
        took, q = self.timed(lambda: self.cache_all(p, rate=4 * MIB))
        self.assertTrue(1.4 < took < 9, took)
        self.assertEqual(q['copy']['rate_limit'], 4 * MIB)

    def test_rate_is_changed_while_it_runs(self):
        p = self.proxy(self.file_origin())
        self.done(p, 'cache-all', rate=100 * KIB)
        xtest.wait_for(lambda: self.query(p)['cached'], 'it runs')
        took, _ = self.timed(lambda: self.cache_all(p, rate=0))
        self.assertLess(took, 15, 'it would be 80')

    def test_pause_and_resume(self):
        p = self.proxy(self.file_origin(16 * MIB))
        c = self.control(p)
        self.assertTrue(c.ask('cache-all', rate=4 * MIB)['ok'])
        xtest.wait_for(lambda: self.query(p)['cached'], 'it runs')
        self.assertTrue(c.ask('pause')['ok'])
        c.event('copy', state='paused')
        xtest.wait_for(lambda: self.stands_still(p), 'what was under way ends')
        self.assertEqual(self.query(p)['copy']['state'], 'paused')
        self.assertEqual(len(self.client(p).read(15 * MIB, 100)), 100, 'clients are not paused')
        self.assertTrue(c.ask('resume')['ok'])
        self.assertTrue(c.ask('cache-all')['ok'])
        c.event('copy', state='done')

    def stands_still(self, p):
        before = self.query(p)['cached']
        time.sleep(0.5)
        return self.query(p)['cached'] == before

    def test_blocks_per_request(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        self.cache_all(p, blocks_per_request=31)
        self.assertTrue(all(length <= 31 * BLOCK for _, length in origin.reads()))

    def test_idle(self):
        """Only while clients are quiet. One that has all it reads in the cache is not quiet."""
        for length in (BLOCK, MIB):
            p = self.proxy(self.file_origin())
            c = self.client(p)
            for _ in range(2):
                c.read(0, length)
            before = self.query(p)['cached']
            self.done(p, 'cache-all', idle=True, rate=8 * MIB)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                c.read(0, length)
            self.assertLess(self.query(p)['cached'] - before, 3 * MIB // BLOCK)
            self.cache_all(p, idle=True)  # now that it is quiet

    def test_idle_with_a_client_that_writes(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        busy = Busy(self.client(p), 0, origin.content[:MIB])
        xtest.wait_for(lambda: busy.rounds > 3, 'busy')
        before = self.query(p)['cached']
        self.done(p, 'cache-all', idle=True, rate=8 * MIB)
        time.sleep(1)
        self.assertLess(self.query(p)['cached'] - before, 3 * MIB // BLOCK)
        busy.end()
        self.cache_all(p, idle=True)

    def test_waits_for_a_lost_origin(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        self.done(p, 'cache-all', rate=4 * MIB)
        xtest.wait_for(lambda: self.query(p)['cached'], 'it runs')
        origin.kill()
        xtest.wait_for(lambda: self.query(p)['copy']['state'] == 'waiting', 'waits')
        origin.start()
        xtest.wait_for(lambda: self.query(p)['copy']['state'] == 'done', 'goes on', 20)
        self.check_file(p.cache, origin.content)

    def test_goes_on_after_errors(self):
        """Also after --origin-wait and its errors."""
        origin = self.file_origin()
        p = self.proxy(origin, '--origin-wait=1')
        self.done(p, 'cache-all', rate=4 * MIB)
        origin.kill()
        q = xtest.wait_for(lambda: (q := self.query(p))['copy']['error'] and q, 'error')
        self.assertEqual(q['copy']['state'], 'waiting')
        origin.start()
        xtest.wait_for(lambda: self.query(p)['copy']['state'] == 'done', 'goes on', 30)

    def test_sizes(self):
        """The last block may be a part of one; 128 MiB has a bit more than none behind its end."""
        for size in (BLOCK - 1, 128 * MIB, MIB + 1):
            with self.subTest(size=size):
                origin = self.file_origin(size, seed=size, log=False)
                p = self.proxy(origin)
                self.cache_all(p)
                self.check_file(p.cache, origin.content)
                self.done(p, 'switch')
                self.stop(p)


class Verify(ProxyCase):

    def damage(self, p, at):
        with open(p.cache, 'r+b') as file:
            file.seek(at)
            file.write(b'!')

    def test_finds_a_block_that_differs(self):
        origin = self.file_origin(MIB)
        p = self.proxy(origin)
        self.cache_all(p)
        self.assertEqual(self.client(p).write(8 * BLOCK, b'w' * BLOCK).error, 0)
        answer = self.done(p, 'verify')
        self.assertEqual((answer['checked'], answer['skipped'], answer['different'],
                          answer['first_different']), (255, 1, 0, None))
        self.damage(p, 100 * BLOCK + 7)
        self.damage(p, 50 * BLOCK + 4095)
        answer = self.done(p, 'verify', samples=100000)
        self.assertEqual((answer['different'], answer['first_different']), (2, 50 * BLOCK))

    def test_while_a_client_writes(self):
        """What is being written is no difference, at any moment of it."""
        origin = self.file_origin(8 * MIB)
        p = self.proxy(origin)
        self.cache_all(p)
        c, ends = self.client(p), time.monotonic() + 3
        verifies = [self.control(p) for _ in range(2)]
        at = 0
        while at < 2048 and time.monotonic() < ends:
            for v in verifies:
                v.send('verify', samples=200)
            for _ in range(64):
                self.assertEqual(c.write(at % 2048 * BLOCK + 512, b'w' * 1000).error, 0)
                at += 1
            for v in verifies:
                answer = v.answer()
                self.assertTrue(answer['ok'], answer)
                self.assertEqual(answer['different'], 0, answer)

    def test_absent_blocks_are_skipped(self):
        p = self.proxy(self.file_origin(MIB))
        answer = self.done(p, 'verify')
        self.assertEqual((answer['checked'], answer['skipped']), (0, 256))

    def test_origin_that_is_gone(self):
        origin = self.file_origin(MIB)
        p = self.proxy(origin, '--origin-wait=1')
        self.cache_all(p)
        origin.kill()
        answer = self.ask(p, 'verify')
        self.assertFalse(answer['ok'])
        self.assertNotEqual(answer['error'], '')

    def test_reconnect_while_it_waits(self):
        """A verify that hangs with its origin does not keep the remedy out, and then goes on."""
        origin = self.file_origin(MIB)
        other, p = self.nbdkit('file', origin.image), self.proxy(origin)
        self.cache_all(p)
        origin.freeze()
        c = self.control(p)
        c.send('verify')
        xtest.wait_for(lambda: self.query(p)['origin']['waiting'], 'it waits')
        took, _ = self.timed(lambda: self.done(p, 'reconnect', uri=other.uri))
        self.assertLess(took, 8)
        answer = c.answer()
        self.assertTrue(answer['ok'], answer)
        self.assertEqual((answer['checked'], answer['different']), (256, 0))

    def test_switch_while_it_runs(self):
        origin = self.file_origin(MIB)
        slow = self.nbdkit('file', origin.image, 'rdelay=1', filters=('delay',))
        p = self.proxy(origin)
        self.cache_all(p)
        self.done(p, 'reconnect', uri=slow.uri)
        controls = [self.control(p) for _ in range(4)]
        for c in controls:
            c.send('verify')
        xtest.wait_for(lambda: self.query(p)['origin']['waiting'] > 1, 'they wait')
        took, _ = self.timed(lambda: self.done(p, 'switch'))
        self.assertLess(took, 8)
        for c in controls:
            self.assertFalse(c.answer()['ok'])
        self.check_all(p, origin.content)

    def test_stop_while_it_waits(self):
        """Neither a verify nor anything else that waits for the origin holds up the end."""
        origin = self.file_origin(MIB)
        p = self.proxy(origin)
        self.cache_all(p)
        origin.freeze()
        c = self.control(p)
        c.send('verify')
        xtest.wait_for(lambda: self.query(p)['origin']['waiting'], 'it waits')
        took, _ = self.timed(p.stop)
        self.assertLess(took, 4)


class Bgctl(ProxyCase):
    """The tool with the real server: 0 done, 1 failed, 2 wrong usage, 3 blocks are absent."""

    def test_query(self):
        p = self.proxy(self.file_origin())
        self.assertIn('connected', self.bgctl('--query', p.control))
        self.assertEqual(json.loads(self.bgctl('-q', '--json', p.control))['pid'], p.pid)

    def test_statuses(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        self.bgctl('--query', self.path('nobody'), status=1)
        self.bgctl('--query', status=2)
        self.bgctl('--frobnicate', p.control, status=2)
        self.bgctl('--rate', '1M', p.control, status=2)
        self.bgctl('--switch', p.control, status=3)
        self.bgctl('--reconnect', p.control, f.unix_uri(self.path('nobody')), status=1)
        self.bgctl('--reconnect', p.control, origin.uri)
        self.bgctl('--cache-all', '--no-wait', '--rate', '1M', p.control, status=3)
        self.bgctl('--pause', p.control)
        self.bgctl('--resume', p.control)
        self.bgctl('--cache-all', '--progress', '--rate', '0', p.control)
        self.bgctl('--cache-all', '--no-wait', p.control)
        self.bgctl('--verify', p.control)
        with open(p.cache, 'r+b') as file:
            file.write(b'!!!!')
        self.bgctl('--verify', '--samples', '100000', p.control, status=1)
        self.bgctl('--switch', p.control)
        self.bgctl('--switch', p.control)
        self.bgctl('--cache-all', p.control)
        self.bgctl('--verify', p.control, status=1)

    def test_force(self):
        p = self.proxy(self.file_origin())
        self.bgctl('--switch', '--force', p.control)
        self.assertEqual(self.query(p)['mode'], 'target')

    def test_ctrl_c_does_not_stop_the_copy(self):
        p = self.proxy(self.file_origin())
        tool = self.spawn([xtest.program('xnbd-bgctl'), '--cache-all', '--rate', '4M', p.control],
                          stdout=subprocess.DEVNULL)
        xtest.wait_for(lambda: self.query(p)['cached'], 'it runs')
        tool.send_signal(signal.SIGINT)
        self.assertEqual(tool.wait(), 3, tool.stderr())
        self.assertLess(self.query(p)['cached'], self.SIZE // BLOCK)
        xtest.wait_for(lambda: self.query(p)['copy']['state'] == 'done', 'copy')

    def test_fault_1_5_relative_paths_and_other_folder(self):
        """The tool needs neither the bitmap nor the server's folder."""
        origin = self.file_origin()
        argv = self.proxy_args(origin)
        for i in (-3, -2, -1):
            argv[i] = os.path.basename(argv[i])
        self.start(argv, [self.path(argv[-1])], cwd=self.dir)
        self.bgctl('--query', self.path(argv[-1]), cwd='/')


if __name__ == '__main__':
    xtest.main()
