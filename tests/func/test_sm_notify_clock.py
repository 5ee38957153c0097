# SPDX-License-Identifier: GPL-2.0-or-later
"""sm-notify and a clock that is set while it works, as a time service does soon after a boot: times
of calls and the end of the time for retries do not change (case 73 of the reference).

The machine's clock is not touched: a library in the program's way gives it another time of day, and
a trace shows that it never makes the kernel wait for a time of day.
"""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import sm_lab  # noqa: E402
import xtest  # noqa: E402
from sm_peers import UDP  # noqa: E402
from wall_clock import WallClock  # noqa: E402

LIVE, HOUR, RETRY = '10.81.0.1', 3600, 6


class Clock(sm_lab.Case):

    def setUp(self):
        super().setUp()
        self.clock = WallClock(self)

    def silent(self):
        """One by its address, one by a name that no resolver knows yet."""
        self.etc['resolv.conf'] = 'nameserver 10.82.0.53\noptions timeout:1 attempts:1\n'
        self.record('lost.lab.test', 'lost.lab.test')
        self.record('client.lab.test', LIVE)
        return self.peer(LIVE, mode=lambda p, call, reply: [])

    def rounds(self, peer):
        times = [c.at for c in peer.asked(UDP)]
        return [t for i, t in enumerate(times) if i == 0 or t - times[i - 1] > 0.2]

    def run_with(self, *steps):
        """Each of the steps is made after another round of calls."""
        peer, began = self.silent(), time.monotonic()
        run = self.begin(retry=RETRY, env=self.clock.env)
        for n, seconds in enumerate(steps, 1):
            self.until(lambda n=n: len(self.rounds(peer)) >= n, f'round {n}')
            self.clock.set(seconds)
        self.assertEqual(run.wait().status, 1, run.log)
        return peer, began, run

    def check(self, *steps):
        peer, began, run = self.run_with(*steps)
        self.assertGreaterEqual(run.seconds, RETRY - 0.5)
        self.assertGreaterEqual(run.summary['seconds'], RETRY)
        self.assertLess(run.summary['seconds'], 10 * RETRY)
        times = self.rounds(peer)
        self.assertIn(len(times), (2, 3, 4), times)  # a slow machine may leave some out
        for at, due in zip(times, (0, 1, 2, 4)):
            self.assertGreaterEqual(at - began, due)
        self.assertEqual(len(run.summary['failed']), 2)

    def test_forward(self):
        """73"""
        self.check(HOUR)

    def test_back(self):
        """73"""
        self.check(-HOUR)

    def test_to_and_fro(self):
        self.check(HOUR, -HOUR, 24 * HOUR)

    def test_library_works(self):
        """A program that waits by the time of day is misled by it."""
        self.clock.set(HOUR)
        out = self.run_cmd('/usr/bin/env', 'date', '+%s', env=self.clock.env)
        self.assertGreater(int(out), time.time() + HOUR // 2)
        self.assertGreater(self.clock.looks(), 0)

    def test_no_wait_for_a_time_of_day(self):
        self.require('strace')
        self.silent()
        out = self.path('trace')
        argv = self.argv('-d', '-f', '--retry-seconds', '3')
        at = argv.index(xtest.program('sm-notify'))
        argv[at:at] = ['strace', '-f', '-o', out, '-e', 'trace=futex,timerfd_create,'
                       'timerfd_settime,timer_create,clock_nanosleep,setitimer,alarm,epoll_wait,'
                       'epoll_pwait2']
        d = self.spawn(argv, env={'ASAN_OPTIONS': 'detect_leaks=0'})
        self.assertEqual(d.wait(60), 1, d.stderr())
        trace = xtest.text_of(out).splitlines()
        self.assertTrue(any('epoll' in t for t in trace), trace[-20:])
        # Without a time the flag says nothing: FUTEX_WAIT_BITSET|FUTEX_CLOCK_REALTIME, 0, NULL
        waits = [t for t in trace if 'CLOCK_REALTIME' in t and not re.search(r', NULL, ', t)]
        self.assertEqual(waits, [])
        self.assertEqual([t for t in trace if re.search(r'\b(setitimer|alarm)\(', t)], [])


if __name__ == '__main__':
    sm_lab.main(at_once=4)
