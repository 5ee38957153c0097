# SPDX-License-Identifier: GPL-2.0-or-later
"""A node with two outlets on one PDU, named by the map that Pacemaker's manuals show: "n1:1,5". Its
cluster software is frozen, and the other node takes over when the agent says that it is off.

fence_apc_snmp of Debian 12 switches the first outlet twice and says so: the service is on both.
That is the control, which shows that this test would notice; another version's is printed, not
judged. With ours it never is.
"""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_agents  # noqa: E402
import stonith_fixture  # noqa: E402
import stonith_pacemaker  # noqa: E402
import xtest  # noqa: E402

MAP = {'n1': ('1', '5'), 'n2': ('2', '6')}


class Seven(stonith_pacemaker.Case):

    def freeze_under(self, agent, **parameters):
        """n1, under n2 that shoots with this agent."""
        for n in self.nodes:
            n.feeds = [(self.left, key) for key in MAP[n.name]]
        self.shots_as()
        given = {'ip': self.left.address, 'community': stonith_fixture.COMMUNITY, **parameters}
        self.form({name: (f'stonith:{agent}', {
            **given, 'pcmk_host_map': f'{name}:{",".join(keys)}'}) for name, keys in MAP.items()})
        self.assertIs(self.active(), self.n1)
        self.n1.signal('corosync', signal.SIGSTOP)
        self.until(self.n2.holds, 'the service on n2')

    def test_control(self):
        self.require('/usr/sbin/fence_apc_snmp', 'snmpget')
        self.freeze_under('fence_apc_snmp', snmp_version=1)
        if not stonith_agents.are_known():
            print('another version: power cuts', self.counts(), 'on both', self.overlaps())
            return
        self.assertTrue(self.n1.holds())
        self.assertEqual(self.counts(), {'n1': 0, 'n2': 0})
        self.assertEqual(len(self.overlaps()), 1)
        self.assertNotIn('5', [key for key, _ in self.left.sets()])

    def test_ours(self):
        self.freeze_under('fence_xnbd', snmp_version='2c', power_wait=1)
        self.wait_well()
        self.check(self.n1)


if __name__ == '__main__':
    xtest.main()
