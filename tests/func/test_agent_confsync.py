#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ocf:xnbd:confsync with the real xnbd-confsync on two nodes: who is known to have an old
configuration does not take over, and says why in one line, until its peer was really powered off or
has handed over what it has."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]
import agents  # noqa: E402
import confsync_lab  # noqa: E402
import test_confsync_fenced  # noqa: E402
import xtest  # noqa: E402
from agents import GENERIC, NOT_RUNNING  # noqa: E402
from confsync_lab import CONFIG, STATE  # noqa: E402

A, REASON = '/etc/app/a.conf', 'ocf-exit-reason:'


class Confsync(confsync_lab.Case):
    """.a, where the agent runs, is n1."""

    def setUp(self):
        super().setUp()
        self.require('/usr/sbin/ocf-tester')
        self.begin(writer='manual')
        self.a, self.ocf = self.n1, f'{agents.SCRIPTS}/ocf'
        self.agent_env = {'HA_RSCTMP': '/run/agents', 'HA_logfacility': 'none', 'PATH': ':'.join(
            [os.path.dirname(xtest.program('xnbd-confsync')), os.environ['PATH']])}
        self.heartbeat_env = {**self.agent_env, 'XNBD_OCF_DIR': self.ocf}
        self.agent = agents.Agent(self, 'confsync', config=CONFIG)

    def refused(self, agent, *words):
        """The reason, one line of it, has these words, and nothing is started."""
        said = [line for line in agent.start(GENERIC).splitlines() if line.startswith(REASON)]
        self.assertEqual(len(said), 1, said)
        for word in words:
            self.assertIn(word, said[0])
        agent.monitor(NOT_RUNNING)
        agent.heartbeat('start', status=GENERIC)
        self.assertEqual(agent.heartbeat('status'), 'stopped\n')
        agent.stop()

    def newer(self):
        """On the other node, and this one has heard of it."""
        self.n2.write(A, 'newer\n')
        self.n1.confsync('status', '--peer', status=(0, 3, 4))

    def test_tester(self):
        """It looks at the agent as another user, too, for which this node knows no rules."""
        self.n1.write('/etc/pam.d/su', ''.join(f'{kind} required pam_permit.so\n' for kind in (
            'auth', 'account', 'session')))
        self.agent.tester()

    def test_in_step(self):
        for _ in range(2):
            self.agent.start()
            self.agent.monitor()
        self.assertEqual(self.agent.heartbeat('status'), 'stopped\n')  # another resource
        self.newer()
        self.agent.start()  # who serves is not asked again
        self.agent.monitor()
        self.agent.stop()
        self.agent.monitor(NOT_RUNNING)

    def test_old(self):
        """Until it is old no more."""
        self.newer()
        self.refused(self.agent, 'may not take over', 'app', 'n2')
        self.n2.confsync('push')
        self.agent.start()
        self.agent.monitor()

    def test_old_and_alone(self):
        """The peer is gone: that alone proves nothing. A shot that failed does not, either."""
        gun = test_confsync_fenced.Gun(self)
        self.newer()
        self.n2.cut_power()
        self.refused(self.agent, 'may not take over')
        gun.power.put('read-only')
        self.n1.write(test_confsync_fenced.LOG, gun.shoot('off', status=1))
        self.refused(self.agent, 'may not take over')
        gun.power.drop('read-only')
        self.n1.write(test_confsync_fenced.LOG, gun.shoot())
        self.agent.start()
        self.agent.monitor()

    def test_alone(self):
        """Nothing newer is known of a peer that does not answer; nobody waits for it."""
        self.cut()
        self.n2.write(A, 'newer\n')
        self.agent.start()
        self.agent.monitor()

    def test_cannot_tell(self):
        """Then it is not known to be old, nor to be new: a person is to look."""
        text = self.n1.read(CONFIG)
        self.n1.write(CONFIG, text + 'nonsense')
        self.refused(self.agent, CONFIG)
        self.n1.write(CONFIG, text)
        self.n1.write(f'{STATE}/app/generation', 'nonsense')
        self.refused(self.agent, 'app')
        self.n1.remove(CONFIG)
        self.refused(self.agent, CONFIG)


if __name__ == '__main__':
    xtest.main(at_once=3)
