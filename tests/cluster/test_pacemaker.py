# SPDX-License-Identifier: GPL-2.0-or-later
"""Two nodes with corosync and Pacemaker, fence_xnbd, and PDUs that really take their power away: of
two nodes exactly one survives what happens, the service is never on both, and all outlets are on
afterwards.

XNBD_CLUSTER_ROUNDS: how many partitions, 3 if not set.
"""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_cluster  # noqa: E402
import stonith_pacemaker  # noqa: E402
import xtest  # noqa: E402

ROUNDS = int(os.environ.get('XNBD_CLUSTER_ROUNDS') or 3)
SHOT = 6000  # milliseconds: longer than a shot takes, and a bit for a node that notices later


class Cluster(stonith_pacemaker.Case):

    def fault(self, do):
        """Of the active node; the other one is to take over. Returns both."""
        victim, before = self.active(), self.counts()
        survivor = self.other(victim)
        do(victim)
        self.wait_cut(victim, before)
        self.wait_active(survivor)
        return victim, survivor

    def test_crash_and_freeze(self):
        self.form()
        crashed, _ = self.fault(lambda n: n.signal('corosync', signal.SIGKILL))
        self.wait_well()
        frozen, _ = self.fault(lambda n: n.signal('corosync', signal.SIGSTOP))
        self.wait_well()
        self.check(crashed, frozen)
        self.assertEqual([e['who'] for n in self.nodes for e in n.audit()
                          if e['event'] == 'begin'], ['fence_xnbd'] * 2)

    def test_partitions(self):
        """Each shoots; the one that should survive has a delay, and does. Here it is always the one
        without the service, so each time something is to be taken over."""
        self.form()
        victims = []
        for _ in range(ROUNDS):
            self.shots_as(delays={self.other(self.active()).name: SHOT})
            victim, _ = self.fault(lambda _: self.cut_link())
            self.mend_link()
            self.wait_well()
            victims.append(victim)
            self.check(*victims)

    def test_tie_break(self):
        """The active node has a delay and would win, but has lost the network that it serves: it
        does not shoot, and is shot."""
        self.form()
        lost = self.active()
        self.shots_as({lost.name: SHOT}, ping=[stonith_cluster.GATEWAY], **{'ping-wait': 1000})
        route = ('ip', 'route', '{}', 'blackhole', stonith_cluster.GATEWAY)
        lost.host.run(*(w.format('add') for w in route))
        self.fault(lambda _: self.cut_link())
        lost.host.run(*(w.format('delete') for w in route))
        self.mend_link()
        self.wait_well()
        self.check(lost)
        self.assertTrue(lost.shots('refused'))
        self.assertEqual([e for e in lost.audit() if e['event'] == 'begin'], [])

    def test_cut_off(self):
        """A node that has lost all networks, and with them the PDUs."""
        self.form()
        lost = self.active()
        self.fault(lambda n: self.host.run('ip', 'link', 'set', n.port, 'down'))
        self.host.run('ip', 'link', 'set', lost.port, 'up')
        self.wait_well()
        self.check(lost)

    def test_race_is_repaired(self):
        """The loser was first, and half of its shot succeeded: the winner goes on with one outlet,
        and the daemon there switches the other one on again."""
        self.shots_as(**{'repair-own': 'true', 'audit-interval': 2})
        self.form(watch=True)
        winner, loser = self.active(), self.other(self.active())
        self.shots_as({loser.name: SHOT}, **{'repair-own': 'true', 'audit-interval': 2})
        self.right.put('stuck', str(winner.number))
        before = self.counts()
        self.cut_link()
        self.until(lambda: winner.outlets() == ['off', 'on'], 'half of a shot')
        self.wait_cut(loser, before)
        self.right.drop('stuck', str(winner.number))
        self.mend_link()
        self.wait_well()
        self.check(loser)
        self.wait_active(winner)
        self.assertIn(('xnbd-stonithd', 'on', winner.name, 'done'),
                      [(e['who'], e['action'], e['victim'], e.get('outcome'))
                       for e in winner.audit()])

    def test_dead_pdu(self):
        """Nobody can say that the node is off, so nothing is taken over until somebody can."""
        self.shots_as(deadline=5)
        self.form()
        victim = self.active()
        survivor = self.other(victim)
        self.right.stop()
        victim.signal('corosync', signal.SIGSTOP)
        self.until(lambda: len(survivor.shots('failed')) >= 2, 'shots that fail')
        self.assertEqual((self.active(), survivor.held(), victim.outlets()),
                         (victim, [], ['off', 'on']))
        self.assertEqual(self.counts(), {'n1': 0, 'n2': 0})
        self.right.start()
        self.wait_active(survivor)
        self.wait_well()
        self.check(victim)

    def test_confirmation(self):
        """The PDU does not come back: somebody pulls the plug, says so, and is believed."""
        self.shots_as(deadline=5)
        self.form()
        victim, before = self.active(), self.counts()
        survivor = self.other(victim)
        stonith = (xtest.program('xnbd-stonith'), f'--config={self.config}')
        self.right.stop()
        victim.signal('corosync', signal.SIGSTOP)
        self.until(lambda: survivor.shots('failed'), 'a shot that fails')
        self.right.put('relay', str(victim.number), 'off')
        self.wait_cut(victim, before)
        self.assertEqual(survivor.held(), [])
        survivor.run(*stonith, '--reason', 'plug pulled', 'confirm', victim.name)
        self.wait_active(survivor)
        self.assertEqual(len(survivor.shots('confirmed')), 1)
        self.assertEqual(survivor.shots('done'), [])
        self.right.start()
        self.until(lambda: survivor.run(*stonith, 'on', victim.name, status=None).returncode == 0,
                   'it is switched on')
        self.wait_well()
        self.check(victim)


if __name__ == '__main__':
    xtest.main()
