# SPDX-License-Identifier: GPL-2.0-or-later
"""The agents as Pacemaker calls them, on two nodes that serve one image at an address that floats:
clients are held, the wrapper moves, clients go on. What they were told is written is there, and
nobody is refused, unless the wrapper dies alone: until the cluster sees that, nobody holds clients.

A volume group has no place here (see pair_pacemaker.py), but what its agent asks the cluster, before
it takes a group with another node's tag, is asked at each start.
"""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import pair_client  # noqa: E402
import pair_pacemaker  # noqa: E402
import xtest  # noqa: E402

ALONE = """. "$XNBD_OCF_DIR/lib_vg.sh"
alone_defaults() { vg_defaults; }
alone_validate() { return 0; }
alone_start() {
	vg_runs_nowhere_else && agent_set_mark && return
	agent_fail "$OCF_ERR_GENERIC" "elsewhere: $vg_places"
}
alone_stop() { agent_drop_mark; }
alone_monitor() { agent_is_started; }
"""


class Pair(pair_pacemaker.Case):
    group = ('alone', *pair_pacemaker.Case.group)

    def setUp(self):
        super().setUp()
        folder = f'{self.path("resource.d")}/xnbd'
        with open(f'{folder}/lib_alone.sh', 'w') as f:
            f.write(ALONE)
        with open(f'{folder}/alone', 'w') as f:
            f.write(xtest.text_of(f'{folder}/confsync').replace('confsync', 'alone'))
        os.chmod(f.name, 0o755)

    def agents(self):
        return {**super().agents(), 'alone': ('ocf:xnbd:alone', {})}

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
        self.reload_refused(client)
        self.check()
        self.assertEqual(client.faults, [])
        self.recovers(client)
        self.assertEqual({type(e) for e in client.faults} - {ConnectionRefusedError}, set())
        client.faults.clear()
        self.crash(client)
        client.check()

    def reload_refused(self, client):
        """A configuration with a fault: the cluster stops nothing for it, and reloads it later."""
        good, before = xtest.text_of(self.exports), self.n1.processes('xnbd-wrapper')
        for count, text in enumerate((good + 'export {', good), 1):
            with open(self.exports, 'w') as f:
                f.write(text)
            self.n1.run('crm_resource', '--resource', 'wrapper', '--set-parameter', 'generation',
                        '--parameter-value', str(count))
            self.until(lambda n=count: self.reloads() == n, 'reload')
            self.wait_well()
            client.goes_on()
            self.assertEqual(self.n1.processes('xnbd-wrapper'), before)
            self.assertEqual(self.failed(self.n1), [])

    def reloads(self):
        """How many Pacemaker knows to have ended on the first node."""
        log = xtest.text_of(f'{self.n1.folder}/bind/var-log/pacemaker/pacemaker.log')
        return len([t for t in log.splitlines() if 'Result of reload' in t and 'for wrapper' in t])

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
