# SPDX-License-Identifier: GPL-2.0-or-later
"""The agents as Pacemaker calls them, on two nodes that serve one image at an address that floats:
clients are held, the wrapper moves, clients go on. What they were told is written is there, and
nobody is refused, unless the wrapper dies alone: until the cluster sees that, nobody holds clients.
"""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import pair_client  # noqa: E402
import pair_pacemaker  # noqa: E402
import xtest  # noqa: E402


class Pair(pair_pacemaker.Case):

    def test_moves(self):
        self.form()
        self.assertIs(self.active(), self.n1)
        client = pair_client.Client(self)
        client.goes_on()
        for target in (self.n2, self.n1):
            self.move_to(target)
            self.wait_active(target)
            self.wait_well()
            client.goes_on()
            self.assertFalse(self.is_held(self.n1) or self.is_held(self.n2))
        self.n1.run('crm_resource', '--resource', 'pair', '--clear')
        self.check()
        self.assertEqual(client.faults, [])
        self.recovers(client)
        self.assertEqual({type(e) for e in client.faults} - {ConnectionRefusedError}, set())
        client.faults.clear()
        self.crash(client)
        client.check()

    def recovers(self, client):
        """The wrapper dies: it comes again where it was, or on the other node."""
        for pid in self.active().processes('xnbd-wrapper'):
            os.kill(pid, signal.SIGKILL)
        self.until(lambda: any(r == 'wrapper' for n in self.nodes for r in self.failed(n)),
                   'the failure is seen')
        self.wait_well()
        client.goes_on()

    def crash(self, client):
        victim, before = self.active(), self.counts()
        victim.signal('corosync', signal.SIGKILL)
        self.wait_cut(victim, before)
        self.wait_active(self.other(victim))
        self.wait_well()
        client.goes_on()
        self.check(victim)


if __name__ == '__main__':
    xtest.main()
