# SPDX-License-Identifier: GPL-2.0-or-later
"""Shots that the cluster asks for: the delay of the preferred survivor, the tie-break by ping, and who
wants a node off while somebody else wants it on. By hand none of that holds up a shot.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_fixture  # noqa: E402
import xtest  # noqa: E402

NOBODY = '192.0.2.77'  # nobody has it, and no route leads there


class Cluster(stonith_fixture.Case):

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pdu('left'), self.pdu('right')

    def node(self, node_keys=None, **general):
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       node_keys=node_keys, **general)

    def fence(self, action, status=0):
        """As the cluster does it."""
        p = self.run_cmd(*self.host.prefix, xtest.program('fence_xnbd'), status=None,
                         input=f'action={action}\nnodename=n1\nplug=n1\nconfig={self.config}\n')
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return p

    def check_off(self):
        self.assertEqual((self.left.relay('1'), self.right.relay('1')), ('off', 'off'))


class Ping(Cluster):

    def cut_off(self, ping):
        self.node(ping=ping, **{'ping-wait': 300})
        p = self.fence('off', status=1)
        self.assertIn('may be the one that is cut off', p.stderr)
        self.assertEqual(self.left.sets() + self.right.sets(), [])
        self.check_log('refused')
        self.fence('status')

    def test_one_answers(self):
        self.node(ping=[NOBODY, '127.0.0.1'])
        self.fence('off')
        self.check_off()
        self.assertFalse(self.lines()[0]['by-hand'])

    def test_none_answers(self):
        self.cut_off([NOBODY, '192.0.2.78'])

    def test_version_6(self):
        self.host.run('ip', 'address', 'add', 'fd78::1/64', 'dev', 'lo', 'nodad')
        self.node(ping=['fd78::1'])
        self.fence('off')
        self.check_off()

    def test_version_6_none(self):
        self.cut_off(['fd79::1'])

    def test_raw(self):
        """Where sockets for everybody are not allowed."""
        self.host.run('sh', '-c', 'echo 1 0 >/proc/sys/net/ipv4/ping_group_range')
        self.node(ping=['127.0.0.1'])
        self.fence('off')
        self.check_off()

    def test_unprivileged(self):
        self.host.run('sh', '-c', 'echo 0 65535 >/proc/sys/net/ipv4/ping_group_range')
        self.node(ping=['127.0.0.1'])
        self.fence('off')
        self.check_off()

    def test_by_hand(self):
        """An administrator knows better."""
        self.node(ping=[NOBODY], node_keys={'delay': 15000})
        self.stonith('off', 'n1', '--deadline=10')
        self.check_off()


class Delay(Cluster):

    def test_delay(self):
        """It passes before anything happens, and a shot by hand does not wait for it."""
        self.node(node_keys={'delay': 8000})
        shot = self.spawn([*self.host.prefix, xtest.program('fence_xnbd'), '--action=off',
                           '--plug=n1', f'--config={self.config}'])
        self.stonith('off', 'n1')
        self.check_off()
        self.assertEqual(shot.wait(60), 0, shot.stderr())
        first, second = [e for e in self.lines() if e['event'] == 'end']
        self.assertEqual([e['by-hand'] for e in (first, second)], [True, False])
        self.assertGreaterEqual(second['ms'], 8000)


class Wanted(Cluster):

    def test_on_by_somebody_else(self):
        """Refused for a while; the one who shot may, and an administrator who insists."""
        self.node()
        self.fence('off')
        p = self.stonith('on', 'n1', status=1)
        self.assertIn('fence_xnbd', p.stderr)
        self.assertTrue(json.loads(self.stonith('on', 'n1', '--json', status=1).stdout)['refused'])
        self.assert_never('on', self.left, self.right)
        self.fence('on')
        self.assertEqual(self.left.relay('1'), 'on')
        self.fence('off')
        self.stonith('on', 'n1', '--force')
        self.assertEqual(self.left.relay('1'), 'on')

    def test_confirmed_cycle(self):
        """A reboot is an off until an administrator has said that it may be switched on."""
        self.node(node_keys={'policy': 'cycle-confirmed'})
        self.fence('reboot')
        self.check_off()
        self.fence('on', status=1)
        self.check_off()
        self.stonith('confirm', 'n1', '--on')
        self.fence('on')
        self.assertEqual(self.left.relay('1'), 'on')
        self.fence('off')
        self.fence('on', status=1)
        self.check_off()


if __name__ == '__main__':
    xtest.main()
