# SPDX-License-Identifier: GPL-2.0-or-later
"""Two nodes with heartbeat in its first style (haresources), and external/xnbd as the plugin that
shoots: one that is frozen loses its power and then its service; if it cannot be said that it did,
nothing is taken over, and the shot is tried again until it can.
"""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import netlab  # noqa: E402
import stonith_cluster  # noqa: E402
import xtest  # noqa: E402

HEARTBEAT = '/usr/libexec/heartbeat/heartbeat'
TAKEOVER = '/usr/share/heartbeat/hb_takeover'
LOST, PATIENCE = 'NV failure', 30  # heartbeat could not read a message; seconds
OWN = stonith_cluster.HACLUSTER
CONF = """node n1 n2
bcast {link}
keepalive 500ms
deadtime {deadtime}
initdead 10
realtime off
crm no
auto_failback off
logfile /var/log/ha-log
logfacility none
use_logd no
stonith_host * external/xnbd {config}
"""


class Heartbeat(stonith_cluster.Case):
    deadtime = 6  # seconds of silence after which a node is lost

    def setUp(self):
        super().setUp()
        self.require(HEARTBEAT, 'cl_status', '/etc/ha.d/resource.d/IPaddr2')
        self.install_plugin()

    def form(self):
        for n in self.nodes:
            self._prepare(n)
        self.start_nodes()
        self.until(self.is_well, 'cluster', interval=0.5)

    def _prepare(self, n):
        roots = ['heartbeat', *[f'heartbeat/{f}' for f in ('api', 'casual', 'ckpt', 'lrm',
                                                           'cores')]]
        own = [f'heartbeat/{f}' for f in ('ccm', 'crm', 'pengine')]
        n.private('/var/lib', folders=[
            ('xnbd', 0o755, 'root:root'), *[(f, 0o755, 'root:root') for f in roots],
            *[(f, 0o750, OWN) for f in own], ('heartbeat/cores/root', 0o700, 'root:root'),
            ('heartbeat/cores/hacluster', 0o700, 'hacluster:root'),
            ('heartbeat/cores/nobody', 0o700, 'nobody:root')])
        n.private('/var/log')
        etc = n.private('/etc/ha.d', [
            ('ha.cf', CONF.format(
                link=netlab.LINK, config=self.config, deadtime=self.deadtime), 0o644),
            ('authkeys', 'auth 1\n1 sha1 a-secret\n', 0o600),
            ('haresources', f'n1 IPaddr2::{stonith_cluster.SERVICE}/24/{netlab.LINK}\n', 0o644)])
        self.run_cmd('cp', '-a', '--no-clobber', '/etc/ha.d/.', etc)
        n.folders = [['/run/heartbeat', 0o755, OWN], *[[f'/run/heartbeat/{f}', 0o750, OWN]
                                                       for f in ('ccm', 'crm', 'dopd')]]
        n.daemon(HEARTBEAT, '-f')

    def is_well(self):
        """Both see both, and one has the service."""
        def sees(n):
            said = [n.run('cl_status', 'nodestatus', m.name, status=None).stdout.strip()
                    for m in self.nodes]
            return said == ['active'] * 2
        return all(sees(n) for n in self.nodes) and self.active()

    def said(self, n):
        return xtest.text_of(f'{n.folder}/bind/var-log/ha-log')

    def wait_active(self, node):
        """A busy heartbeat 3.0.6 now and then garbles a message of its own scripts, by which it was
        to take over, and then it never does: people would ask it to, and so do we."""
        end = time.monotonic() + PATIENCE

        def is_active():
            nonlocal end
            if not self.active() and time.monotonic() > end and LOST in self.said(node):
                print(f'heartbeat of {node.name} has lost a message of its own', flush=True)
                node.run(TAKEOVER)
                end = time.monotonic() + PATIENCE
            return self.active() is node
        self.until(is_active, f'the service on {node.name}')

    def tell(self):
        super().tell()
        for n in self.nodes:
            sys.stderr.write(f'--- {n.name}\n{self.said(n)[-6000:]}\n')

    def freeze(self, n):
        n.signal('heartbeat', signal.SIGSTOP)

    def test_frozen_and_stuck(self):
        self.form()
        self.assertIs(self.active(), self.n1)
        before = self.counts()
        self.freeze(self.n1)
        self.wait_cut(self.n1, before)
        self.wait_active(self.n2)
        self.until(self.is_well, 'cluster', interval=0.5)
        self.check(self.n1)
        # A relay that is stuck: the node is on, whatever the PDU acknowledges.
        self.shots_as(deadline=4)
        self.right.put('stuck', '2')
        held, before = self.n1.held(), self.counts()
        self.freeze(self.n2)
        self.until(lambda: len(self.n1.shots('failed')) >= 2, 'shots that fail')
        self.assertEqual((self.active(), self.n1.held(), self.counts()), (self.n2, held, before))
        self.assertEqual(self.n2.outlets(), ['off', 'on'])
        self.right.drop('stuck', '2')
        self.wait_cut(self.n2, before)
        self.wait_active(self.n1)
        self.until(self.is_well, 'cluster', interval=0.5)
        self.check(self.n1, self.n2)
        self.assertEqual({e['who'] for n in self.nodes for e in n.audit()
                          if e['event'] == 'begin'}, {'external/xnbd'})


if __name__ == '__main__':
    xtest.main()
