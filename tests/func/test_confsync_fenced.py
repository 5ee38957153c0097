#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A partition in which one node is shot: what the survivor has goes to the other one by itself.

The shot is a real one, by xnbd-stonith at a simulated PDU; its audit log is what counts.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import confsync_lab  # noqa: E402
import stonith_fixture  # noqa: E402
import xtest  # noqa: E402

DONE, FAILED, USAGE, PENDING, BEHIND, HELD = range(6)
A, B = '/etc/app/a.conf', '/etc/app/b.conf'
LOG = '/var/lib/xnbd/stonith.audit'


class Gun(stonith_fixture.Case):
    """The PDU and who shoots; its log grows."""

    def __init__(self, case):
        super().__init__('stonith')
        self.setUp()
        case.addCleanup(self.doCleanups)
        self.power = self.pdu('power')
        first, last = self.power.family.keys[0], self.power.family.keys[-1]
        self.general['self'] = 'n1'
        self.configure([self.power], {'n2': [f'power:{first}'], 'n1': [f'power:{last}']},
                       node_keys={'shooters': ['n1', 'n2']})

    def configure(self, pdus, nodes, **options):
        super().configure(pdus, nodes, **options)
        text = xtest.text_of(self.config)
        for name, other in (('n1', 'n2'), ('n2', 'n1')):  # nobody shoots itself
            head, tail = text.split(f'node "{name}"')
            tail = tail.replace('"n1", "n2"', f'"{other}"', 1)
            text = f'{head}node "{name}"{tail}'
        confsync_lab.write_file(self.config, text)

    def shoot(self, action='off', status=0):
        self.stonith(action, 'n2', status=status)
        return xtest.text_of(self.log)


class FencedTest(confsync_lab.Case):
    def setUp(self):
        super().setUp()
        self.gun = Gun(self)
        self.begin(general={'role-command': 'test -e /run/active', 'connect-timeout': 3})
        self.n1.write('/run/active', '')
        self.n1.confsync('sync')

    def part(self):
        """Each believes that it is the active one, and both edit."""
        self.cut()
        self.n2.write('/run/active', '')
        self.n1.write(A, 'of the survivor\n')
        self.n2.write(A, 'of the one that was shot\n')
        self.n2.write(B, 'this, too\n')
        for node in (self.n1, self.n2):
            node.confsync('sync', status=(PENDING, HELD), seconds=200)

    def come_back(self):
        """N2 after its reboot: it is the active one no more."""
        self.n2.cut_power()
        self.mend()
        self.n2.remove('/run/active')
        self.n2.boot()
        self.n2.confsync('recover')

    def assert_survivor_won(self):
        self.app_in_step()
        self.assertEqual(self.n2.read(A), 'of the survivor\n')
        self.assertEqual(self.n2.read(B), 'b one\n')
        past = self.n2.json('history', 'app')['history']
        lost = [self.n2.confsync('cat', 'app', g['digest'], A, status=None).stdout for g in past]
        self.assertIn('of the one that was shot\n', lost, past)

    def assert_held(self, *who):
        for node in who or (self.n1, self.n2):
            node.confsync('sync', status=HELD)
            self.assertEqual(self.n1.read(A), 'of the survivor\n')
            self.assertEqual(self.n2.read(A), 'of the one that was shot\n')

    def test_shot(self):
        """Whoever calls first."""
        for caller in (self.n1, self.n2):
            with self.subTest(caller.name):
                self.n1.write(B, 'b one\n')
                self.n1.confsync('push', '--from-here')
                self.part()
                self.n1.write(LOG, self.gun.shoot('reboot'))
                self.n1.confsync('status', '--precondition', status=DONE)
                self.come_back()
                caller.confsync('sync')
                self.assert_survivor_won()

    def test_not_shot(self):
        self.part()
        self.come_back()
        self.assert_held()

    def test_shot_that_failed(self):
        self.part()
        self.gun.power.daemon.kill()
        self.n1.write(LOG, self.gun.shoot('off', status=1))
        self.come_back()
        self.assert_held()

    def test_shot_before(self):
        """One of long ago says nothing about edits of today."""
        self.n1.write(LOG, self.gun.shoot('reboot'))
        self.n1.confsync('sync')
        self.part()
        self.come_back()
        self.assert_held()

    def test_somebody_says_so(self):
        self.part()
        self.come_back()
        self.n1.confsync('fenced', 'n1', status=USAGE)
        self.n1.confsync('fenced', 'n2')
        self.n1.confsync('sync')
        self.assert_survivor_won()

    def test_edit_after_the_shot(self):
        """What n2 changes once it is back is a change like any other, when it was caught up."""
        self.part()
        self.n1.write(LOG, self.gun.shoot('reboot'))
        self.come_back()
        self.n1.confsync('sync')
        self.n2.write(A, 'new\n')
        self.n2.confsync('sync', status=HELD)  # not active: drift, not lost
        self.assertEqual(self.n2.read(A), 'new\n')
        self.n2.confsync('push', '--from-here')
        self.app_in_step()


if __name__ == '__main__':
    xtest.main(at_once=4)
