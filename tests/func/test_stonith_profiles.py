# SPDX-License-Identifier: GPL-2.0-or-later
"""Every family of PDUs we have a profile of, simulated from a description of its own
(lib/stonith_families.py) behind the real snmpd. What our table says is tried against that: commands
reach the outlet that is meant and no other, and nothing but "off" is taken for off.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_fixture  # noqa: E402
import xtest  # noqa: E402
from stonith_families import FAMILIES  # noqa: E402

VERSIONS = ('1', '2c', '3')


class Profiles(stonith_fixture.Case):

    def test_all_are_here(self):
        """The table has no family that is not tried here."""
        self.configure([], {'n1': ['none:1']})
        text = xtest.text_of(os.path.join(xtest.HERE, '..', '..', 'stonith', 'profiles.c'))
        names = {line.split('"')[1] for line in text.splitlines() if '.name = "' in line}
        self.assertEqual(names, set(FAMILIES))

    def one(self, family, version):
        """A PDU of it, with n1 at its second and fourth outlet."""
        pdu = self.pdu(f'{family}-{version}', family)
        self.keys = pdu.family.keys[1], pdu.family.keys[3]
        self.version = version
        self.node(pdu)
        return pdu

    def node(self, pdu, **options):
        self.configure([pdu], {'n1': [f'{pdu.name}:{k}' for k in self.keys]},
                       login={'version': self.version}, **options)

    def check_relays(self, pdu, both):
        self.assertEqual(pdu.relays(), ['on', both, 'on', both] + ['on'] * 4)

    def switch(self, pdu):
        self.stonith('status', 'n1')
        self.stonith('off', 'n1')
        self.check_relays(pdu, 'off')
        self.stonith('status', 'n1', status=2)
        self.stonith('on', 'n1')
        self.check_relays(pdu, 'on')
        self.stonith('reboot', 'n1')
        self.check_relays(pdu, 'on')
        commands = [(k, c) for k, c in pdu.sets() if not c.startswith('cancel')]
        self.assertEqual(sorted(commands),
                         sorted((k, c) for k in self.keys for c in ('off', 'on', 'off', 'on')))

    def test_switch(self):
        """Off, on and reboot; each family by one version of SNMP, in turn."""
        for i, family in enumerate(FAMILIES):
            with self.subTest(family):
                pdu = self.one(family, VERSIONS[i % len(VERSIONS)])
                self.switch(pdu)
                told = self.asked('verify-map', 'n1')['nodes'][0]['outlets']
                named = [f'outlet {k}' for k in self.keys] if pdu.family.outlet_name else [None] * 2
                self.assertEqual([o.get('name') for o in told], named)
                watts = [123, 123] if pdu.family.watts else [None] * 2
                self.assertEqual([o.get('watts') for o in told], watts)
                pdu.stop()

    def faults(self, family):
        found = [('odd', value) for value in family.odd] + [('text', ''), ('missing', '')]
        return found + [('pending', '')] * bool(family.pending) + [('unusable', '')] * bool(
            family.usable)

    def spoil(self, pdu):
        """A node for each fault, all shot at the same time."""
        keys, faults = pdu.family.keys[:7], self.faults(pdu.family)
        self.configure([pdu], {f'x{k}': [f'{pdu.name}:{k}'] for k in keys},
                       login={'version': self.version})
        for i in range(0, len(faults), len(keys)):
            now = list(zip(keys, faults[i:]))
            for key, (knob, value) in now:
                pdu.put(knob, key, value)
            shots = [(key, fault, self.begin('off', f'x{key}', '--deadline=2'))
                     for key, fault in now]
            for key, fault, shot in shots:
                with self.subTest(family=pdu.family.name, fault=fault):
                    self.assertEqual(shot.wait(60), 1, shot.stderr())
                    self.assertIn(f'{pdu.name}:{key}', shot.stderr())
                    p = self.stonith('status', f'x{key}', '--deadline=1', status=None)
                    self.assertIn(p.returncode, (0, 1), p.stdout)
            for key, (knob, _) in now:
                pdu.drop(knob, key)
        self.assert_never('on', pdu)
        self.stonith('off', f'x{keys[1]}')

    def not_off(self, families):
        """Whatever else an outlet reads as; commands work all the time."""
        for i, family in enumerate(families):
            with self.subTest(family):
                pdu = self.one(family, VERSIONS[i % 2])
                self.spoil(pdu)
                pdu.stop()

    def test_not_off(self):
        self.not_off(list(FAMILIES)[::3])

    def test_not_off_others(self):
        self.not_off(list(FAMILIES)[1::3])

    def test_not_off_the_rest(self):
        self.not_off(list(FAMILIES)[2::3])

    def test_reboot_under_way(self):
        """Somebody has just pressed the PDU's button: off now, on in a while. Once we have said
        that it is off, it stays off: the command to come was cancelled, or waited for. (Where the
        PDU tells nothing of it, off has to replace it; the dwell is for those that do not.)"""
        for family in FAMILIES:
            with self.subTest(family):
                pdu = self.one(family, '2c')
                for key in self.keys:
                    pdu.reboot(key)
                    if pdu.has_cancel() or pdu.family.pending or pdu.family.going:
                        pdu.put('stubborn', key)
                self.stonith('off', 'n1')
                for key in self.keys:
                    self.assertIsNone(pdu.get('later', key), 'on is still to come')
                self.check_relays(pdu, 'off')
                pdu.stop()

    def test_other_system(self):
        """A PDU of another family is not touched, whatever it would answer."""
        for family, other in (('apc-rpdu', 'sentry3'), ('apc-rpdu2', 'apc-epdu'),
                              ('raritan-px2', 'raritan-px1'), ('eaton-g3', 'eaton-managed')):
            with self.subTest(family):
                pdu = self.pdu(f'{family}-as-{other}', family, system=FAMILIES[other].system)
                self.keys, self.version = pdu.family.keys[:2], '2c'
                self.node(pdu)
                p = self.stonith('off', 'n1', status=None)
                self.assert_not_off(p, FAMILIES[other].system)
                self.assertEqual(pdu.sets(), [])
                self.stonith('status', 'n1', '--deadline=2', status=1)
                pdu.stop()


if __name__ == '__main__':
    xtest.main(at_once=6)
