# SPDX-License-Identifier: GPL-2.0-or-later
"""sm-notify and very many peers, or few in a bad network: dead ones among the living, lost packets,
a narrow link, the memory it needs. Cases 52 and 53 of the reference; how fast it is, is for
test_sm_notify_quiet.py.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import sm_lab  # noqa: E402
import xtest  # noqa: E402

# More than it may take on any machine; the reference needed minutes.
SOON = 60
SANITIZED = xtest.is_sanitized('sm-notify')


class Crowds(sm_lab.Crowd):

    def test_half_dead(self):
        """52: 10,000, half of them dead: the living are told meanwhile, in 16 MiB."""
        stop = sm_lab.crowd(self)
        self.many(10000, live=lambda i: i % 2)
        run = self.begin()
        self.until(lambda: len(os.listdir(f'{self.state}/sm.bak')) == 5000, 'told', SOON)
        took = time.monotonic() - run.began
        memory = xtest.pss(run.daemon.pid)
        self.end(run)
        seen = stop()
        self.assertEqual((seen['peers'], seen['least']), (5000, 2))
        self.assertEqual(len(self.left()), 5000)
        if not SANITIZED:
            self.assertLess(memory, 16 * xtest.MIB)
        if took < 5:  # fast enough to hear replies in time: nothing was sent again
            self.assertEqual(seen['most'], 2)

    def test_loss(self):
        """53: 30 % of all packets lost, both ways."""
        stop = sm_lab.crowd(self)
        self.many(500)
        for host in (self.far, self.server):
            self.rules(host, 'numgen random mod 100 < 30 drop')
        summary = self.to_the_end()
        self.assertEqual(stop()['peers'], 500)
        self.assertLess(summary['seconds'], SOON)

    def test_slow_link(self):
        """2 Mbit/s with a queue of 6 kB: datagrams wait here, and are not lost there."""
        self.require('tc')
        stop = sm_lab.crowd(self)
        self.many(500)
        self.server.run('tc', 'qdisc', 'replace', 'dev', 'link0', 'root', 'tbf', 'rate', '2mbit',
                        'burst', '4k', 'limit', '6k')
        summary = self.to_the_end()
        self.assertEqual(stop()['peers'], 500)
        self.assertLess(summary['seconds'], SOON)
        self.assertLess(summary['datagrams']['sent'], 2500)  # of 1,500 that are needed

    def test_too_many_neighbours(self):
        """3,000 dead hosts on the link, more than the kernel's table holds, and a live one last."""
        self.server.run('ip', 'address', 'add', '10.78.0.1/16', 'dev', 'link0')
        self.records((f'c{i}.lab.test', f'10.78.{1 + (i >> 8)}.{i & 255}') for i in range(3000))
        peer = self.peer('10.81.0.1')
        os.utime(self.record('client.lab.test', '10.81.0.1'), (1, 1))
        run = self.begin()
        self.until(lambda: len(peer.told()) >= 2, 'told', SOON)
        self.end(run)

    def test_100000(self):
        """Memory for 100,000 records of peers that are silent: 16 MiB."""
        if SANITIZED:
            self.skipTest('memory of a sanitizer')
        self.server.run('ip', 'route', 'add', '10.128.0.0/9', 'via', sm_lab.FARM)
        self.far.run('ip', 'route', 'add', 'blackhole', '10.128.0.0/9')
        self.records((f'c{i}.lab.test', f'10.{128 + (i >> 16)}.{i >> 8 & 255}.{i & 255}')
                     for i in range(100000))
        run = self.begin(retry=10)
        peak = 0
        while run.alive():
            lines = dict(line.split(':', 1) for line in
                         xtest.text_of(f'/proc/{run.daemon.pid}/status').splitlines()
                         if ':' in line)
            if lines.get('Name', '').strip() == 'sm-notify' and 'VmHWM' in lines:
                peak = max(peak, int(lines['VmHWM'].split()[0]))
            time.sleep(0.1)
        self.assertEqual(run.wait().status, 1)
        self.assertEqual(run.summary['not_notified'], 100000)
        self.assertGreater(run.summary['datagrams']['sent'], 10000)
        self.assertGreater(peak, 1024)
        self.assertLess(peak, 16 * 1024)


if __name__ == '__main__':
    sm_lab.main(at_once=3)
