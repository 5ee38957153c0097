#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The clock of the wall jumps while clients write: nobody waits longer or shorter for that, nothing
is lost, and what tells times tells possible ones."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wall_clock import WallClock  # noqa: E402
from wrapper_fixture import MIB  # noqa: E402
from wrapper_loaded import LoadedCase  # noqa: E402

DAY, YEAR = 86400, 365 * 86400


class ClockJumps(LoadedCase):
    def setUp(self):
        super().setUp()
        self.clock = WallClock(self)

    def start(self, argv, ready, seconds=20.0, **options):
        return super().start(argv, ready, seconds, env=self.clock.env, **options)

    def clients(self):
        return json.loads(self.w.ctl('--json', '--clients'))

    def snapshot(self, *args):
        made = json.loads(self.w.ctl('--json', '--snapshot', 'disk0', *args))
        xtest.wait_for(lambda: f'snapshot {made["id"]} is complete' in self.w.log(), 'the copy')
        return made

    def newest(self):
        return self.w.export('disk0@snapshot')['snapshot_id']

    def test_the_test_itself(self):
        w = self.start_loaded()
        self.clock.set(10 * YEAR)
        since = w.enter('disk0') and self.clients()[-1]['since']
        self.assertGreater(since, time.time() + 9 * YEAR)
        self.finish_all()

    def test_service_goes_on(self):
        """A day, and ten years, to and fro: clients, commands, timers."""
        w = self.start_loaded()
        for by in (DAY, -DAY, 10 * YEAR, -10 * YEAR, 0):
            self.clock.set(by)
            self.go_on_all(2)
            with w.enter('disk1') as c:
                self.assertTrue(c.in_sync())
                shown = self.clients()
                self.assertEqual(len(shown), 3)
                self.assertTrue(all(0 <= x['seconds'] < 3600 for x in shown), shown)
                c.disconnect()
            self.settle_count(w, 2)
            w.ctl('reload')
            w.ctl('--stats')
        self.assertLess(w.status()['seconds'], 3600)
        # Timers: a server without clients ends in its time, neither at once nor never.
        self.clock.set(-YEAR)
        w.ctl('--add-target', 'idle', self.image(MIB))
        w.enter('idle').disconnect()
        worker, began = w.worker('idle'), time.monotonic()
        self.clock.set(YEAR)
        time.sleep(1)
        self.assertEqual(w.worker('idle'), worker)
        xtest.wait_for(lambda: w.worker('idle') is None, 'ended when idle', 30)
        self.assertGreater(time.monotonic() - began, 2)
        self.finish_all()

    def test_between_wrappers(self):
        """Adopted servers tell times of the wall: nonsense becomes "just now" or "long ago"."""
        w = self.start_loaded()
        before = [c['id'] for c in self.clients()]
        for by in (-DAY, DAY, -10 * YEAR, 10 * YEAR):
            self.clock.set(by)
            self.crash(w)
            self.succeed(w)
            shown = self.clients()
            self.assertEqual([c['id'] for c in shown], before)
            self.assertTrue(all(c['seconds'] >= 0 for c in shown), shown)
            self.upgrade(w)
            self.assertEqual([c['id'] for c in self.clients()], before)
            self.go_on_all()
        self.finish_all()

    def test_snapshots(self):
        """Their numbers are times, and go on growing: the newest is the newest."""
        w = self.start_loaded()
        first = self.snapshot()
        self.clock.set(-DAY)
        second = self.snapshot()
        self.assertGreater(second['id'], first['id'])
        self.assertEqual(self.newest(), second['id'])
        self.finish_all()
        for writer in self.writers:  # the next server knows nothing of those
            writer.client.disconnect()
        self.kill_worker(w, self.workers[0])
        third = self.snapshot('--to', self.path('third.img'))
        self.assertGreater(third['id'], second['id'])
        self.assertEqual(self.newest(), third['id'])
        w.ctl('--drop-snapshot', 'disk0', str(third['id']))
        self.assertEqual(self.newest(), second['id'])

if __name__ == '__main__':
    xtest.main()
