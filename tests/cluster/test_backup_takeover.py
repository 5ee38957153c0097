# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-backup on a pair that fails over while a copy is being made: the move waits for nobody, the
copy ends with a line of its own, what was good stays good, and the node that serves then makes the
next one. Both nodes have the same plan, with active-if and a state directory that both see, as
conf/cluster/README.md tells."""

import glob
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import backup_fixture  # noqa: E402
import pair_client  # noqa: E402
import pair_load  # noqa: E402
import pair_pacemaker  # noqa: E402
import xtest  # noqa: E402
from stonith_cluster import LONG, SERVICE  # noqa: E402
from xtest import MIB  # noqa: E402

VOLUME = 'disk'
PROGRAMS = ('xnbd-backup', 'lvm_copy')
NOT_BEGUN, PASSIVE = 'another run is going on, on another host', 'this is not the active node'


def active_if():
    """What the worked example asks, of the address that is here."""
    text = xtest.text_of(f'{pair_load.CONF}/cluster/README.md')
    return re.search(r'active-if = "(.*)"', text)[1].replace('192.0.2.10', SERVICE)


class Backups(backup_fixture.BackupMixin):
    """xnbd-backup on a node; all else is the test's."""

    def __init__(self, case, node):
        self.case, self.node = case, node

    def __getattr__(self, name):
        return getattr(self.case, name)

    def argv(self, *args):
        return self.node.command(*super().argv(*args))

    def complains(self, *args, status):
        """Its only line."""
        p = self.run_cmd(*self.argv(*args), status=None, env=self.programs())
        self.assertEqual((p.returncode, p.stdout), (status, ''), p.stderr)
        self.assertEqual(len(p.stderr.splitlines()), 1, p.stderr)
        return p.stderr


class Takeover(pair_pacemaker.Case):
    size = 256 * MIB  # minutes of a slow copy, as holes count for the rate

    def setUp(self):
        super().setUp()
        self.backups = {n: Backups(self, n) for n in self.nodes}
        os.mkdir(self.path('copies'))

    def plan(self, **keys):
        for b in self.backups.values():
            b.configure({VOLUME: {'source': f'export:{VOLUME}', 'keep-last': 1,
                                  'target': f'file:{self.path("copies")}/%v.%n', **keys}},
                        {'active-if': active_if(), 'on-failure': f'touch {self.path("told")}'})

    # What happens while a copy is being made. Each returns what is said of that copy afterwards.

    def move(self, node, run):
        self.move_to(self.other(node))
        self.wait_active(self.other(node))
        return self.ended(node, run)

    def move_from_hung(self, node, run):
        """Nobody who could end the copy is asked, and still the service moves."""
        for name in PROGRAMS:
            node.signal(name, signal.SIGSTOP)
        self.move_to(self.other(node))
        self.wait_active(self.other(node))
        self.client.goes_on()
        waiting = self.backups[self.other(node)]
        self.assertIn(NOT_BEGUN, waiting.complains('run', status=3))
        self.assertIn("is another host's", waiting.complains('stop', status=1))
        node.signal(PROGRAMS[0], signal.SIGCONT)
        run.send_signal(signal.SIGCONT)  # to nsenter, which stops with what it has started
        return self.ended(node, run)

    def ended(self, node, run):
        self.assertEqual(run.wait(LONG), 4, run.stderr())
        why = f'{node.name} is not active any more'
        self.assertIn(f'{VOLUME}: stopped: {why}; last good copy', run.stderr())
        return f'the last attempt failed: {why}'

    def power(self, node, run):
        before = self.counts()
        node.unplug()
        self.wait_cut(node, before)
        self.wait_active(self.other(node))
        self.assertNotEqual(run.wait(), 0)
        return 'the last attempt was cut off'

    # The test.

    def test_all(self):
        self.form()
        self.client = pair_client.Client(self)
        self.client.goes_on()
        self.plan()
        self.backups[self.active()].run_all()
        victims = []
        for do in (self.move, self.move_from_hung, self.power):
            node = self.active()
            self.once(node, do)
            victims += [node] * (do == self.power)
            self.check(*victims)
        self.client.check()
        self.last(self.backups[self.active()])

    def once(self, node, do):
        """It is taken over from NODE in the middle of a copy."""
        new, old = self.backups[self.other(node)], self.backups[node]
        self.plan(**{'max-rate': 1})
        run = old.start_run()
        old.begun(run, 'copies/*.partial')
        self.assertIn(PASSIVE, new.backup('run'))
        self.assertIn(PASSIVE, new.backup('status'))
        said = do(node, run)
        self.client.goes_on()
        self.assertIn(said, new.backup('status', status=1))
        self.goes_on_with(new)
        self.wait_well()
        self.assertIn(PASSIVE, old.backup('run'))
        self.n1.run('crm_resource', '--resource', 'pair', '--clear')

    def goes_on_with(self, backups):
        """The copy of before is whole, and the next one that is due is made on this node."""
        self.plan()
        kept = backups.verify_all(VOLUME)
        self.assertGreaterEqual(kept, 1)
        self.assertEqual(backups.run_all()[VOLUME]['result'], 'skipped')
        backups.age(VOLUME, 24)
        report = backups.run_all()[VOLUME]
        self.assertEqual((report['result'], report['verified'], report['warning']),
                         ('good', True, None))
        self.assertEqual(backups.verify_all(VOLUME), 2)
        self.assertIn('BACKUP OK: 1 volumes', backups.backup('status'))
        self.nothing_is_left(backups)

    def nothing_is_left(self, backups):
        self.assertEqual(glob.glob(self.path('*.xnbd-backup-*')), [])
        self.assertEqual(glob.glob(self.path('copies/*.partial*')), [])
        self.assertIsNone(backups.records(VOLUME)['snapshot'])
        said = self.active().run(xtest.program('xnbd-wrapper-ctl'), '--snapshots', '--json')
        self.assertEqual(said.strip(), '[]')
        self.assertFalse(os.path.exists(self.path('told')), 'a take-over is no failure')

    def last(self, backups):
        """What is copied is what clients have written."""
        target = backups.run_all('-f')[VOLUME]['target'].removeprefix('file:')
        self.run_cmd('cmp', self.path('disk.img'), target)


if __name__ == '__main__':
    xtest.main()
