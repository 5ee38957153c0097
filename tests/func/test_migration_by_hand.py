#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A busy disk moves from host A to host B by xnbd-server at both ends and xnbd-bgctl, and by the
lines README.md prints; on the way the origin is killed, the link is cut and slow."""

import json
import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from migration_fixture import BLOCK, PORT, SIZE, Migration  # noqa: E402
from xtest import MIB  # noqa: E402


class ByHand(Migration):
    """xnbd-server at both ends, xnbd-bgctl."""

    def setUp(self):
        super().setUp()
        self.control = self.path('b.ctl')
        self.origin = self.serve_a()

    def serve_a(self):
        sock = self.path('a.sock')
        return self.on(self.lab.a, *self.serve_args(self.disk), *self.listen(self.lab.a),
                       f'--socket={sock}', ready=[sock])

    def proxy_b(self, *options):
        engine = [f'--engine={xtest.ENGINE}'] if xtest.ENGINE else []
        return self.on(self.lab.b, xtest.program('xnbd-server'), '--proxy', *engine,
                       *self.listen(self.lab.b), *options, self.lab.a.address, str(PORT),
                       self.cache, f'{self.cache}.bm', self.control, ready=[self.control])

    def bgctl(self, *args, status=0):
        return self.run_cmd(xtest.program('xnbd-bgctl'), *args, self.control, status=status,
                            seconds=40)

    def query(self):
        return json.loads(self.bgctl('--query', '--json'))

    def copied(self, part, seconds=40):
        """Waits until so much of the disk is here."""
        return xtest.wait_for(
            lambda: self.load.check() or (q := self.query())['cached'] >= part * q['blocks'] and q,
            f'{part} is copied', seconds, 0.1)

    def origin_is(self, state, seconds=20):
        return xtest.wait_for(lambda: (q := self.query())['origin']['state'] == state and q,
                              f'origin is {state}', seconds, 0.1)

    def lose_origin(self):
        self.origin.kill()
        self.origin_is('lost')
        self.assertEqual(self.query()['copy']['state'], 'waiting')
        time.sleep(1)
        self.origin = self.serve_a()
        self.origin_is('connected')

    def cut_link(self):
        """What is hot is here by now: the client that keeps to it must not notice."""
        before = self.query()['cached']
        self.lab.cut()
        self.load.go_on(clients=[0])
        self.origin_is('lost')
        self.load.go_on(clients=[0])
        lost_at = self.query()
        self.lab.mend()
        self.origin_is('connected')
        self.assertGreaterEqual(lost_at['cached'], before)
        self.copied(min(1, (lost_at['cached'] + 100) / lost_at['blocks']))

    def warm(self):
        """Everything hot is here."""
        c = self.connect_to(self.lab.b)()
        c.read(0, self.load.hot)
        c.disconnect()

    def test_whole(self):
        self.work_at(self.lab.a)
        proxy = self.proxy_b('--origin-timeout=2')
        self.assertEqual(self.query()['cached'], 0, 'nothing is read while A is written to')
        self.leave_a()
        self.work_at(self.lab.b)
        self.bgctl('--cache-all', '--no-wait', '--rate', '5M', status=3)
        self.warm()
        self.copied(0.3)
        self.lose_origin()
        self.copied(0.45)
        self.cut_link()
        self.copied(0.6)
        self.lab.slow(20)
        self.copied(0.75)
        self.lab.fast()
        self.bgctl('--cache-all', '--rate', '0')
        self.assertEqual(self.query()['copy']['state'], 'done')
        verdict = json.loads(self.bgctl('--verify', '--json'))
        self.assertEqual(verdict['different'], 0)
        self.assertGreater(verdict['checked'], 0)
        self.switch_and_end(proxy)

    def switch_and_end(self, proxy):
        self.bgctl('--switch')
        q = self.query()
        self.assertEqual((q['mode'], q['clients'], q['size']), ('target', self.load.count, SIZE))
        self.load.go_on()
        self.origin.stop()
        self.lab.cut()
        self.load.go_on()
        self.bgctl('--cache-all')
        self.load.stop()
        self.same(self.disk, self.at_a)
        self.served_as(self.lab.b, self.load.model)
        proxy.stop()
        self.same(self.cache, self.load.model)
        self.on(self.lab.b, *self.serve_args(self.cache), *self.listen(self.lab.b),
                f'--control={self.control}', ready=[self.control])
        self.served_as(self.lab.b, self.load.model)

    def test_link_is_cut_for_less_than_the_time_limit(self):
        """TCP bridges it: the same connections go on, and no request of a client waits on."""
        self.work_at(self.lab.a)
        self.leave_a()
        self.proxy_b()
        self.work_at(self.lab.b)
        self.bgctl('--cache-all', '--no-wait', '--rate', '10M', status=3)
        self.copied(0.2)
        self.lab.cut()
        time.sleep(2)
        self.lab.mend()
        self.bgctl('--cache-all', '--rate', '0')
        self.assertEqual(self.query()['origin']['reconnects'], 0)
        self.load.stop()
        self.served_as(self.lab.b, self.load.model)

    def test_client_does_not_stand_in_line_behind_the_copy(self):
        """A line of 20 Mbit/s, of which the copy takes what it can get."""
        content, rnd = self.load.model, random.Random(1)
        self.proxy_b()
        c = self.connect_to(self.lab.b)()
        self.lab.slow(20)
        self.bgctl('--cache-all', '--no-wait', status=3)
        time.sleep(1)
        times = []
        for at in rnd.sample(range(SIZE // 2, SIZE, BLOCK), 20):
            began = time.monotonic()
            self.assertEqual(c.read(at, BLOCK), content[at:at + BLOCK])
            times.append(time.monotonic() - began)
        self.assertLess(max(times), 1.5, times)
        self.assertLess(sorted(times)[10], 0.5, times)
        begun = self.query()['origin']['bytes_read']
        time.sleep(2)
        moved = self.query()['origin']['bytes_read'] - begun
        self.assertGreater(moved, 2 * 20e6 / 8 * 0.6, 'and the line is used')

    def test_switch_by_force_while_the_origin_is_lost(self):
        """A is gone for good. Who waits for its blocks gets an error, or zeros as all do from then
        on; what is here stays."""
        at_a = bytes(self.load.model)
        self.proxy_b('--origin-timeout=2')
        c, waiting = [self.connect_to(self.lab.b)() for _ in range(2)]
        self.assertTrue(c.read(0, MIB) == at_a[:MIB])
        self.bgctl('--cache-all', '--no-wait', '--rate', '2M', status=3)
        self.copied(0.1)
        self.lab.cut()
        waiting.request(n.READ, SIZE - MIB, MIB)
        self.origin_is('lost')
        self.bgctl('--switch', status=3)
        began = time.monotonic()
        self.bgctl('--switch', '--force')
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(self.query()['mode'], 'target')
        reply = waiting.reply()
        self.assertTrue(reply.error or reply.data == bytes(MIB))
        for client in (c, waiting):
            self.assertTrue(client.read(0, MIB) == at_a[:MIB])
            self.assertEqual(client.read(SIZE - BLOCK, BLOCK), bytes(BLOCK))


class AsPrinted(Migration):
    """The lines of README.md that begin with a# and b#, each on its host with folders of its own."""

    README = os.path.join(xtest.HERE, '..', '..', 'README.md')

    def printed(self):
        return re.findall(r'^    ([ab])# (.*)$', xtest.text_of(self.README), re.M)

    def setUp(self):
        super().setUp()
        self.require('unshare', 'mount')
        with open(self.path('hosts'), 'w') as f:
            f.write(f'{self.lab.a.address} a\n{self.lab.b.address} b\n')
        for folder in ('a', 'a/srv', 'a/run', 'b', 'b/srv', 'b/run'):
            os.mkdir(self.path(folder))
        os.rename(self.disk, self.path('a/srv/vm1.img'))
        folders = {os.path.dirname(xtest.program(p)) for p in ('xnbd-server', 'xnbd-bgctl')}
        self.env = {'PATH': ':'.join([*folders, os.environ['PATH']])}

    def on_host(self, name, command):
        mounts = f'mount --bind {self.path("hosts")} /etc/hosts'
        for folder in ('srv', 'run'):
            mounts += f' && mount --bind {self.path(name)}/{folder} /{folder}'
        host = getattr(self.lab, name)
        return host.run('unshare', '--mount', 'sh', '-c', f'{mounts} && {command}', env=self.env)

    def test_by_hand(self):
        lines = self.printed()
        self.assertEqual([host for host, _ in lines], list('abbbb'))
        for i, (host, command) in enumerate(lines):
            self.on_host(host, command)
            if i == 1:
                self.work_at(self.lab.b)
        self.load.go_on()
        self.load.stop()
        self.served_as(self.lab.b, self.load.model)
        self.same(self.path('b/srv/vm1.img'), self.load.model)


if __name__ == '__main__':
    xtest.main()
