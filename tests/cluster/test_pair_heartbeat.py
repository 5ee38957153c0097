# SPDX-License-Identifier: GPL-2.0-or-later
"""The agents as heartbeat calls them, by haresources: as test_pair_agents.py, with a planned move
and a node that is frozen and shot, with deadtime and dwell of the worked examples. How long it took
is printed."""

import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]
import agents  # noqa: E402
import netlab  # noqa: E402
import pair_client  # noqa: E402
import pair_load  # noqa: E402
import test_heartbeat  # noqa: E402
import xtest  # noqa: E402
from pair_client import PORT  # noqa: E402
from stonith_cluster import SERVICE  # noqa: E402

STANDBY = '/usr/share/heartbeat/hb_standby'


class Pair(test_heartbeat.Heartbeat):
    test_frozen_and_stuck = None  # is tried there
    deadtime = pair_load.example('cluster/ha.cf', 'deadtime')

    def setUp(self):
        super().setUp()
        self.require(STANDBY)
        self.shots_as(dwell=pair_load.example('stonith.conf.example', 'dwell ='))
        self.exports = pair_client.install(self)
        self.programs = self.path('programs')
        os.mkdir(self.programs)
        for name in pair_client.PROGRAMS:
            os.symlink(xtest.program(name), f'{self.programs}/{name}')
        self.bind(self.programs, '/usr/local/sbin')

    def _prepare(self, n):
        super()._prepare(n)
        etc = f'{n.folder}/bind/etc-ha.d'
        for name in os.listdir(f'{agents.SCRIPTS}/heartbeat'):
            shutil.copy(f'{agents.SCRIPTS}/heartbeat/{name}', f'{etc}/resource.d')
        with open(f'{etc}/haresources', 'w') as f:
            f.write(f'n1 xnbd-block::block::{SERVICE}::{PORT}::120 xnbd-wrapper::{self.exports} '
                    f'IPaddr2::{SERVICE}/24/{netlab.LINK} '
                    f'xnbd-block::unblock::{SERVICE}::{PORT}::120\n')

    def test_moves(self):
        self.form()
        self.assertIs(self.active(), self.n1)
        client = pair_client.Client(self)
        knocker = pair_load.Knocker(self)
        client.goes_on()
        knocker.goes_on()
        since = time.time()
        self.n1.run(STANDBY)
        self.wait_active(self.n2)
        client.goes_on()
        knocker.goes_on()
        print('move:', pair_load.times(self.n2, self.n1, knocker, since), flush=True)
        self.until(self.is_well, 'cluster', interval=0.5)
        self.check()
        before, since = self.counts(), time.time()
        self.freeze(self.n2)
        self.wait_cut(self.n2, before)
        self.wait_active(self.n1)
        client.goes_on()
        knocker.goes_on()
        print('freeze:', pair_load.times(self.n1, self.n2, knocker, since), flush=True)
        self.until(self.is_well, 'cluster', interval=0.5)
        self.check(self.n2)
        client.check()
        self.assertEqual(knocker.refused, [])


if __name__ == '__main__':
    xtest.main()
