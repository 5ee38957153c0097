#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A busy disk moves from host A to host B by migrate-in of B's wrapper; on the way the origin is
killed, the link is cut and slow, servers and wrappers of B are killed. No request fails, no write
is lost."""

import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from migration_fixture import PORT, SIZE, Migration  # noqa: E402
from wrapper_fixture import is_running, kill  # noqa: E402
from xtest import KIB, MIB  # noqa: E402


class Destination(Migration):
    """A wrapper at B. Who derives from it says what is at A."""

    NAME = 'vm1'

    def setUp(self):
        super().setUp()
        self.w = self.wrap_on(self.lab.b)
        self.uri = f'nbd://{self.lab.a.address}:{PORT}/{self.NAME}'

    def wrap_on(self, host, **options):
        w = self.wrapper_args(*self.listen(host), **options)
        w.daemon = self.on(host, *w.argv, ready=[w.control])
        return self._ready(w)

    def again(self, w, host, exports=None):
        return self.wrap_on(host, control=w.control, state=w.state, exports=exports)

    def begin(self, *args):
        self.w.ctl('migrate-in', self.NAME, self.uri, '--cache', self.cache, *args)

    def status(self, of=None):
        [m] = json.loads((of or self.w).ctl('migrate-status', self.NAME, '--json'))
        return m

    def phase(self, phase, of=None, seconds=30):
        xtest.wait_for(lambda: self.load.check() or self.status(of)['phase'] == phase,
                       f'phase is {phase}', seconds, 0.05)

    def copied(self, percent, seconds=30):
        xtest.wait_for(lambda: self.load.check() or self.status()['percent'] >= percent,
                       f'{percent} % are copied', seconds, 0.1)

    def figures(self, slowest, fastest):
        """What is shown of the speed, once it is in these limits, fits together; in words too."""
        m = xtest.wait_for(lambda: slowest <= (m := self.status())['rate'] <= fastest and m,
                           f'a rate from {slowest} to {fastest}', 20, 0.1)
        self.assertEqual((m['phase'], m['bytes_total']), ('copying', SIZE))
        self.assertAlmostEqual(m['percent'], 100 * m['bytes'] / SIZE, delta=0.2)
        left = (SIZE - m['bytes']) / m['rate']
        self.assertAlmostEqual(m['seconds_left'], left, delta=1 + left / 10)
        self.assertRegex(self.w.ctl('migrate-status'), rf'^{self.NAME} : copying, [0-9.]+ %, '
                         r'[0-9.]+ MiB/s, [0-9]+:[0-9]{2}:[0-9]{2} left\n$')

    def hook(self):
        path = self.path('hook')
        with open(path, 'w') as f:
            f.write(f'#!/bin/sh\necho "$@" >> {self.path("hooked")}\n')
        os.chmod(path, 0o755)
        return path

    def hooked(self, word):
        """The hook runs, once."""
        said = xtest.wait_for(lambda: xtest.text_of(self.path('hooked')), 'the hook runs')
        self.assertEqual(said, f'{self.NAME} {word}\n')

    def finish(self):
        """A has ended, clients go on; then B ends, and its file is the disk."""
        self.load.go_on()
        self.load.stop()
        m = self.status()
        self.assertEqual((m['phase'], m['percent'], m['seconds_left']), ('done', 100, None))
        self.assertEqual(self.w.export(self.NAME)['mode'], 'target')
        self.served_as(self.lab.b, self.load.model, self.NAME)
        self.w.stop()
        self.same(self.cache, self.load.model)
        self.w = self.again(self.w, self.lab.b)
        self.served_as(self.lab.b, self.load.model, self.NAME)


class ByWrapper(Destination):
    """A wrapper at A too."""

    def setUp(self):
        super().setUp()
        self.origin = self.wrap_on(self.lab.a, exports={self.NAME: self.disk})

    def move(self, *args):
        """The clients leave A, the migration begins, the clients go on at B."""
        self.work_at(self.lab.a, self.NAME)
        self.leave_a()
        self.begin(*args)
        self.work_at(self.lab.b, self.NAME)

    def is_served(self):
        """A cache that another server still has is refused, with that as the reason."""
        client = n.Raw(self.lab.b.connect(PORT))
        try:
            client.enter('structured', self.NAME)
            return True
        except n.ProtocolError as e:
            self.assertIn('in use', str(e))
            return False
        finally:
            client.close()

    def end_of_a(self):
        self.origin.stop()
        self.same(self.disk, self.at_a)

    def test_whole(self):
        self.move('--rate', '2560K', '--verify', '--hook', self.hook())
        server = self.w.worker(self.NAME)
        self.figures(MIB, 3 * MIB)
        self.assertEqual(self.status()['rate_limit'], 2560 * KIB)
        self.copied(30)
        self.origin.stop()
        self.phase('waiting')
        self.origin = self.again(self.origin, self.lab.a, exports={self.NAME: self.disk})
        self.phase('copying')
        self.copied(45)
        self.lab.cut()
        time.sleep(3)
        self.lab.mend()
        self.copied(60)
        self.lab.slow(20)
        self.copied(75)
        self.lab.fast()
        self.phase('done', seconds=60)
        self.assertEqual(self.w.worker(self.NAME), server, 'it was one and the same to the end')
        self.assertEqual(self.w.client_count(self.NAME), self.load.count)
        self.hooked('done')
        self.end_of_a()
        self.lab.cut()
        self.finish()

    def test_there_and_back(self):
        """The disk comes home, onto the file it once left, which holds old data now."""
        self.move('--verify')
        self.phase('done')
        self.origin.ctl('--remove-by-exportname', self.NAME)
        self.load.go_on(400)
        self.load.stop()
        self.origin.ctl('migrate-in', self.NAME, f'nbd://{self.lab.b.address}:{PORT}/{self.NAME}',
                        '--cache', self.disk, '--rate', '8M', '--verify')
        self.work_at(self.lab.a, self.NAME)
        self.phase('done', of=self.origin)
        self.w.stop()
        self.load.go_on()
        self.load.stop()
        self.origin.stop()
        self.same(self.disk, self.load.model)

    def test_server_of_b_is_killed(self):
        """What it had acknowledged is there, flushed or not; the migration goes on by itself."""
        self.move('--rate', '6M', '--verify')
        self.copied(30)
        for percent in (45, 60):
            self.load.stop(flush=False)
            self.kill_worker(self.w, self.w.worker(self.NAME))
            self.work_at(self.lab.b, self.NAME)
            self.copied(percent)
        self.phase('done', seconds=60)
        self.end_of_a()
        self.finish()

    def test_wrapper_of_b_is_killed(self):
        """Clients go on with their server; when they have left it, the next wrapper has its own."""
        self.move('--rate', '6M', '--verify')
        self.copied(30)
        kill(self.w.pid)
        self.w.daemon.process.wait()
        self.load.go_on()
        self.w = self.again(self.w, self.lab.b)
        self.load.go_on()
        self.load.stop(flush=False)
        xtest.wait_for(self.is_served, 'the server without a wrapper has ended', 20)
        self.work_at(self.lab.b, self.NAME)
        self.phase('done', seconds=60)
        self.end_of_a()
        self.finish()

    def kill_b(self):
        """Wrapper, negotiator and server at the same time."""
        pids = [self.w.pid, self.w.negotiator(), self.w.worker(self.NAME)]
        for pid in pids:
            kill(pid)
        self.w.daemon.process.wait()
        xtest.wait_for(lambda: not any(is_running(p) for p in pids), 'all of B has ended')

    def test_everything_of_b_is_killed_under_requests(self):
        """Nothing that was acknowledged is lost, and the next wrapper goes on by itself."""
        self.move('--rate', '4M', '--verify', '--hook', self.hook())
        for percent in (30, 50):
            self.copied(percent)
            self.load.crash(self.kill_b)
            self.w = self.again(self.w, self.lab.b)
            xtest.wait_for(self.is_served, 'the next server has the cache')
            self.work_at(self.lab.b, self.NAME)
        self.phase('done', seconds=60)
        self.hooked('done')
        self.end_of_a()
        self.finish()

    def test_origin_was_written_to(self):
        """The comparison finds it: B stays a proxy until somebody has seen to it."""
        at, length, self.load.cold = self.load.hot, MIB, 0
        self.move('--rate', '4M', '--verify', '--hook', self.hook())
        self.copied(35)
        with open(self.disk, 'r+b') as f:
            f.seek(at)
            f.write(bytes(length))
        self.phase('failed')
        self.hooked('failed')
        found = re.match('([0-9]+) of ([0-9]+) blocks .* first at byte ([0-9]+); not switched$',
                         self.status()['error'])
        different, checked, first = map(int, found.groups())
        self.assertLess(different, checked / 4)
        self.assertTrue(at <= first < at + length, first)
        self.load.go_on()
        self.assertEqual(self.w.export(self.NAME)['mode'], 'proxy')
        with open(self.disk, 'r+b') as f:
            f.write(self.at_a)
        self.begin('--verify')
        self.phase('done')
        self.end_of_a()
        self.finish()

    def test_abort_before_the_switch(self):
        """It stays a proxy and loses nothing; later it is begun again."""
        self.move('--rate', '3M', '--verify')
        self.copied(25)
        self.w.ctl('migrate-abort', self.NAME)
        self.assertEqual(self.status()['phase'], 'aborted')
        cached = self.status()['percent']
        self.load.go_on(400)
        self.load.stop()
        self.served_as(self.lab.b, self.load.model, self.NAME)
        self.assertEqual(self.w.export(self.NAME)['mode'], 'proxy')
        self.assertGreaterEqual(self.status()['percent'], cached)
        self.same(self.disk, self.at_a)
        self.work_at(self.lab.b, self.NAME)
        self.w.ctl('migrate-in', self.NAME, self.uri, '--verify')
        self.phase('done')
        self.end_of_a()
        self.finish()


class SlowOrigin(Destination):
    """nbdkit at A, which answers late and sends no more than somebody allows it."""

    def setUp(self):
        super().setUp()
        self.require('nbdkit')
        self.allow('16M')
        self.origin = self.nbdkit()

    def allow(self, bits):
        """So many bits a second."""
        with open(self.path('rate.new'), 'w') as f:
            f.write(bits)
        os.rename(self.path('rate.new'), self.path('rate'))

    def answers(self):
        try:
            self.lab.a.connect(PORT).close()
            return True
        except OSError:
            return False

    def nbdkit(self):
        origin = self.on(self.lab.a, 'nbdkit', '--foreground', '--readonly', '--threads=1',
                         f'--ipaddr={self.lab.a.address}', f'--port={PORT}', '--filter=delay',
                         '--filter=rate', 'file', self.disk, 'rdelay=4ms', 'rate=16M',
                         f'rate-file={self.path("rate")}', ready=[])
        xtest.wait_for(self.answers, 'nbdkit is there')
        return origin

    def test_status_tells_how_it_goes(self):
        at_a = bytes(self.load.model)
        self.begin()
        self.work_at(self.lab.b, self.NAME)
        self.figures(MIB, 4 * MIB)
        self.origin.kill()
        self.phase('waiting')
        m = self.status()
        self.assertEqual((m['rate'], m['seconds_left']), (0, None))
        self.assertTrue(m['error'])
        self.assertRegex(self.w.ctl('migrate-status'), rf'^{self.NAME} : waiting, [0-9.]+ %; .+\n$')
        self.load.go_on(clients=[0])
        self.origin = self.nbdkit()
        self.phase('copying')
        self.allow('10G')
        self.phase('done')
        self.assertEqual(self.w.ctl('migrate-status'), f'{self.NAME} : done, 100.0 %\n')
        self.origin.kill()
        self.same(self.disk, at_a)
        self.finish()


if __name__ == '__main__':
    xtest.main()
