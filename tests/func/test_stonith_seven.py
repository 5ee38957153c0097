# SPDX-License-Identifier: GPL-2.0-or-later
"""Seven situations in which fence agents have been seen to say "off" about a node that is on. Ours is
right, or fails. (Numbers are those of the reference.)
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_fixture  # noqa: E402
import xtest  # noqa: E402


class Seven(stonith_fixture.Case):

    def off(self, status=None, *options):
        p = self.stonith('off', 'n1', *options, status=status)
        if p.returncode == 0:
            self.assertEqual(self.power(), 'off', p.stdout)
        else:
            self.assert_not_off(p)
        return p

    def power(self):
        """What n1 really has."""
        return 'on' if 'on' in [pdu.relay(key) for pdu, key in self.feeds] else 'off'

    def node(self, family, *keys):
        pdu = self.pdu('left', family)
        self.configure([pdu], {'n1': [f'left:{k}' for k in keys]})
        self.feeds = [(pdu, k) for k in keys]
        return pdu

    def test_1_two_supplies(self):
        """Both outlets are switched."""
        pdu = self.node('apc-rpdu', '1', '2')
        self.off(0)
        self.assertEqual(pdu.relays(), ['off'] * 2 + ['on'] * 6)

    def test_2_no_such_outlet(self):
        """A typing error: the outlet does not exist; the node is on at another one."""
        pdu = self.pdu('left')
        self.configure([pdu], {'n1': ['left:77']})
        self.feeds = [(pdu, '7')]
        p = self.off(1, '--deadline=3')
        self.assertIn('left:77', p.stderr)
        self.assertEqual(pdu.sets(), [])

    def test_3_unknown(self):
        """The PDU says that it does not know."""
        for family, value in (('apc-masterswitch', '4'), ('apc-rpdu', '4')):
            pdu = self.pdu(family, family)
            self.configure([pdu], {'n1': [f'{family}:1']})
            pdu.put('odd', '1', value)
            pdu.put('stuck', '1')
            self.feeds = [(pdu, '1')]
            self.assertIn(f'reads {value}', self.off(1, '--deadline=3').stderr)
            self.assertIn(('1', 'off'), pdu.sets())

    def test_4_one_relay_of_two(self):
        pdu = self.node('apc-masterswitch', '1', '2')
        pdu.put('stuck', '2')
        self.assertIn('left:2: on', self.off(1, '--deadline=3').stderr)

    def test_5_reboot_under_way(self):
        """Somebody pressed the button a second ago: off now, on to come."""
        for family in ('apc-rpdu', 'apc-masterswitch', 'eaton-g3', 'sentry3'):
            with self.subTest(family):
                pdu = self.pdu(family, family)
                key = pdu.family.keys[0]
                self.configure([pdu], {'n1': [f'{family}:{key}']})
                pdu.reboot(key)
                pdu.put('stubborn', key)
                self.feeds = [(pdu, key)]
                self.off(0)
                self.assertIsNone(pdu.get('later', key))

    def test_6_names(self):
        """Outlets are what the configuration says, whatever they are called; whole names of nodes;
        numbers that do not wrap; what was switched is read."""
        pdu = self.pdu('left')
        self.configure([pdu], {'n1': ['left:3', 'left:4'], 'n10': ['left:1']})
        for key, name in zip('1234', ('n10', 'n1', 'n1', 'n1')):
            pdu.put('name', key, name)
        self.feeds = [(pdu, '3'), (pdu, '4')]
        self.off(0)
        self.assertEqual(pdu.relays(), ['on', 'on', 'off', 'off'] + ['on'] * 4)
        pdu.put('relay', '3', 'on')
        pdu.put('stuck', '3')
        self.off(1, '--deadline=3')
        self.stonith('off', 'n', status=1)
        self.configure([pdu], {'n1': ['left:257']})
        self.assertIn('left:257', self.stonith('off', 'n1', '--deadline=2', status=1).stderr)
        self.assertEqual(pdu.relay('1'), 'on')

    def test_7_two_pdus_of_which_one_works(self):
        """The whole shot of a cluster rests on it: half a node off is no node off."""
        left, right = self.pair()
        self.feeds = [(left, '1'), (right, '1')]
        right.put('stuck', '1')
        self.off(1, '--deadline=3')
        right.drop('stuck', '1')
        right.freeze()
        self.off(1, '--deadline=3')
        right.thaw()
        self.off(0)


if __name__ == '__main__':
    xtest.main()
