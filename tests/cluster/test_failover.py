# SPDX-License-Identifier: GPL-2.0-or-later
"""A pair fails over, again and again, while clients write: its node dies, hangs, loses its power,
is asked to hand over, or cannot stop; or only the wrapper dies. Clients see a pause and no error,
what was acknowledged is there, and neither the address nor a server is ever on both nodes.

How long it took is printed, and not judged: that depends on what else the machine does.
XNBD_CLUSTER_ROUNDS: how often all of these happen, once if not set.
"""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import pair_client  # noqa: E402
import pair_load  # noqa: E402
import pair_pacemaker  # noqa: E402
import xtest  # noqa: E402
from stonith_cluster import SERVICE  # noqa: E402

ROUNDS = int(os.environ.get('XNBD_CLUSTER_ROUNDS') or 1)
NAME, NOBODY = 'nfs-ha', 65534


class Failover(pair_pacemaker.Case):
    group = (*pair_pacemaker.Case.group, 'notify')
    token, consensus = (pair_load.example('cluster/corosync.conf', f'{key}:')
                        for key in ('token', 'consensus'))

    def setUp(self):
        super().setUp()
        self.shots_as(dwell=pair_load.example('stonith.conf.example', 'dwell ='))
        self.locks = self.path('locks')  # of NFS, on what both nodes share
        for folder in (self.locks, f'{self.locks}/sm', f'{self.locks}/sm.bak'):
            os.mkdir(folder, 0o755)
            os.chown(folder, NOBODY, NOBODY)
        for n in self.nodes:
            with open(f'{n.folder}/bind/etc-hosts', 'a') as f:
                f.write(f'{SERVICE} {NAME}\n')
        self.kinds = {'death': self.death, 'freeze': self.freeze, 'power': self.power,
                      'move': self.move, 'stop': self.stop_fails, 'wrapper': self.wrapper_dies}

    def agents(self):
        return {**super().agents(), 'notify': ('ocf:xnbd:smnotify', {
            'name': NAME, 'folder': self.locks, 'binary': xtest.program('sm-notify')})}

    # What happens to the active node. Each returns whether it is shot, and who serves then.

    def death(self, node):
        node.signal('corosync', signal.SIGKILL)
        return True, self.other(node)

    def freeze(self, node):
        """All of its programs; its kernel goes on to acknowledge what clients send."""
        space = os.readlink(f'/proc/{node.init()}/ns/pid')
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                if os.readlink(f'/proc/{pid}/ns/pid') == space:
                    os.kill(int(pid), signal.SIGSTOP)
            except OSError:
                continue
        return True, self.other(node)

    def power(self, node):
        node.unplug()
        return True, self.other(node)

    def move(self, node):
        self.move_to(self.other(node))
        return False, self.other(node)

    def stop_fails(self, node):
        """The wrapper's agent misses a program: whether it could stop cannot be told."""
        node.run('mount', '--bind', '/dev/null', '/usr/bin/ss')
        self.move_to(self.other(node))
        return True, self.other(node)

    def wrapper_dies(self, node):
        for pid in node.processes('xnbd-wrapper'):
            os.kill(pid, signal.SIGKILL)
        return False, node

    # The test.

    def test_all(self):
        self.form()
        self.clients = [pair_client.Client(self), pair_load.Knocker(self), pair_load.Fio(self)]
        self.watch = pair_load.Watch(self)
        victims = []
        for number in range(ROUNDS):
            for kind, do in self.kinds.items():
                self.go_on()
                victims += self.once(f'{number + 1}: {kind}', do)
                self.check(*victims)
        self.assertEqual(self.watch.both, [])
        self.clients[0].check()

    def once(self, name, do):
        """Nodes that were shot."""
        node, before, since = self.active(), self.counts(), time.time()
        is_shot, target = do(node)
        if is_shot:
            self.wait_cut(node, before)
        if do == self.wrapper_dies:
            self.until(lambda: 'wrapper' in self.failed(node), 'the failure is seen')
        self.wait_active(target)
        self.go_on()
        print(f'{name} of {node.name}:', pair_load.times(target, node, self.clients[1], since),
              flush=True)
        self.wait_well()
        if not is_shot:
            self.n1.run('crm_resource', '--cleanup')
        self.n1.run('crm_resource', '--resource', 'pair', '--clear')
        self.judge(do)
        return [node] if is_shot else []

    def go_on(self):
        for c in self.clients:
            c.goes_on()

    def judge(self, do):
        client, knocker, _ = self.clients
        if do == self.wrapper_dies:  # until the cluster sees it, nobody holds clients
            client.faults = [e for e in client.faults if not isinstance(e, ConnectionRefusedError)]
            knocker.refused.clear()
        self.assertEqual((client.faults, knocker.refused), ([], []))
        self.assertEqual(self.watch.both, [])
        self.watch.check()


if __name__ == '__main__':
    xtest.main()
