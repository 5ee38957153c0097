# SPDX-License-Identifier: GPL-2.0-or-later
"""PDUs with faults: whatever they do, "off" is said only of a node that is off; what can be had within
the deadline is had; what is off stays off; and each outlet in the way is named.
"""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_fixture  # noqa: E402
import xtest  # noqa: E402


class Faults(stonith_fixture.Case):

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()

    def fails(self, text, deadline=4):
        """The right PDU is in the way; the left outlet is off and stays it; nothing goes on."""
        p = self.stonith('off', 'n1', f'--deadline={deadline}', status=None)
        self.assert_not_off(p, 'right:1')
        self.assertIn(text, p.stderr)
        self.assertNotIn('left:1', p.stderr)
        self.assertEqual(self.left.relay('1'), 'off')
        self.assert_never('on', self.left, self.right)
        self.check_log('failed')
        outlets = self.lines()[-1]['outlets']
        self.assertEqual([o['outlet'] for o in outlets if 'trouble' in o], ['right:1'])
        return p

    def test_stuck_relay(self):
        self.right.put('stuck', '1')
        self.fails('right:1: on')
        self.assertGreater(self.right.sets().count(('1', 'off')), 1)

    def test_stuck_for_a_while(self):
        self.right.put('stuck', '1')
        timer = threading.Timer(1.5, self.right.drop, ('stuck', '1'))
        timer.start()
        self.addCleanup(timer.join)
        self.stonith('off', 'n1')
        self.assertEqual(self.right.relay('1'), 'off')

    def test_odd(self):
        self.right.put('odd', '1', '4')
        self.fails('reads 4')

    def test_wrong_type(self):
        self.right.put('text', '1')
        self.fails('right:1')

    def test_no_such_outlet(self):
        self.right.put('missing', '1')
        self.fails('right:1')

    def test_refused(self):
        self.right.put('refuse', '1', 'inconsistent-value')
        self.fails('refused: inconsistentValue')

    def test_no_cancel(self):
        """The PDU does not forget what may be pending: off now is not off for good."""
        self.right.put('keep', '1')
        self.fails('refused: inconsistentValue')

    def test_no_right(self):
        self.right.put('read-only')
        self.fails('no right to write')

    def test_pending_for_ever(self):
        self.right.put('pending', '1')
        self.fails('pending')

    def test_silent(self):
        self.right.put('silent')
        self.fails('no answer')

    def test_frozen(self):
        self.right.freeze()
        self.fails('no answer')

    def test_dead(self):
        self.right.stop()
        self.fails('no answer')

    def test_dead_then_back(self):
        """Within the deadline, and with its outlet on: that is set off."""
        self.right.stop()
        shot = self.begin('off', 'n1')
        xtest.wait_for(lambda: self.left.relay('1') == 'off', 'the left one is off')
        time.sleep(1)
        self.right.start()
        self.assertEqual(shot.wait(60), 0, shot.stderr())
        self.assertEqual(self.right.relay('1'), 'off')
        self.check_log('done')

    def test_dies_in_the_dwell(self):
        """All were off when last read; that is not enough."""
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']}, dwell=3000)
        shot = self.begin('off', 'n1', '--deadline=6')
        xtest.wait_for(lambda: (self.left.relay('1'), self.right.relay('1')) == ('off', 'off'),
                       'both are off')
        self.right.freeze()
        self.assertEqual(shot.wait(60), 1, shot.stderr())
        self.assertIn('right:1: no answer', shot.stderr())

    def test_springs_back(self):
        """Off, and on again in the dwell: it is set off again, and the dwell begins anew."""
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']}, dwell=2000)
        self.right.put('spring', '1', 0.7)
        shot = self.begin('off', 'n1')
        xtest.wait_for(lambda: self.right.get('sprung', '1'), 'it went off')
        self.right.drop('spring', '1')
        self.assertEqual(shot.wait(60), 0, shot.stderr())
        self.assertEqual(self.right.relay('1'), 'off')
        self.assertGreater(self.right.sets().count(('1', 'off')), 1)

    def test_springs_back_always(self):
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']}, dwell=2000)
        self.right.put('spring', '1', 0.3)
        self.assert_not_off(self.stonith('off', 'n1', '--deadline=6', status=None))
        self.assert_never('on', self.left, self.right)

    def test_lazy(self):
        """It takes its time, and says meanwhile that a command is pending."""
        self.right.put('lazy', '1', 1.5)
        self.stonith('off', 'n1')
        self.assertEqual(self.right.relay('1'), 'off')

    def test_lost_answers(self):
        """Commands are carried out, but their answers come too late: what is read counts."""
        self.right.put('mute-set')
        timer = threading.Timer(2.5, self.right.drop, ('mute-set',))
        timer.start()
        self.addCleanup(timer.join)
        self.stonith('off', 'n1')

    def test_slow(self):
        self.right.put('slow', value=0.15)
        self.stonith('off', 'n1')

    def test_too_slow(self):
        self.right.put('slow', value=1.6)
        p = self.stonith('off', 'n1', '--deadline=4', status=None)
        self.assert_not_off(p, 'right:1: no answer')

    def test_wrong_system(self):
        """Final: it does not wait for the deadline; the other PDU is switched all the same."""
        self.right.stop()
        other = self.pdu('other', system='318.1.3.4.4', address=self.right.address)
        p = self.stonith('off', 'n1', status=None)
        self.assert_not_off(p, 'right:1: not the kind of PDU it should be')
        self.assertIn('1.3.6.1.4.1.318.1.3.4.4', p.stderr)
        self.assertEqual(other.sets(), [])
        self.assertEqual(self.left.relay('1'), 'off')

    def test_reboot_fails_as_off_does(self):
        """Nothing is switched on after an off that is not certain."""
        self.right.put('stuck', '1')
        p = self.stonith('reboot', 'n1', '--deadline=3', status=None)
        self.assert_not_off(p, 'right:1: on')
        self.assert_never('on', self.left, self.right)
        self.assertEqual(self.left.relay('1'), 'off')

    def test_status(self):
        """Known to be on: one outlet is enough. Off: all of them."""
        self.right.freeze()
        self.stonith('status', 'n1', '--deadline=2', status=0)
        self.left.put('relay', '1', 'off')
        p = self.stonith('status', 'n1', '--deadline=2', status=1)
        self.assertIn('right:1: no answer', p.stderr)
        self.right.thaw()
        self.right.put('relay', '1', 'off')
        self.stonith('status', 'n1', status=2)
        self.right.put('odd', '1', '4')
        self.stonith('status', 'n1', '--deadline=2', status=1)


class Neighbours(stonith_fixture.Case):
    """Several outlets of one PDU, some in trouble."""

    def test_partly(self):
        pdu = self.pdu('left')
        self.configure([pdu], {'n1': ['left:1', 'left:2', 'left:3']})
        pdu.put('stuck', '2')
        p = self.stonith('off', 'n1', '--deadline=3', status=None)
        self.assert_not_off(p, 'left:2: on')
        self.assertEqual(pdu.relays(), ['off', 'on', 'off'] + ['on'] * 5)
        pdu.drop('stuck', '2')
        self.stonith('off', 'n1')
        self.assertEqual(pdu.relays(), ['off'] * 3 + ['on'] * 5)
        self.check_log('failed', 'done')

    def test_one_refuses(self):
        """The others are switched all the same, in version 1 too, where one missing outlet makes the
        agent refuse a whole message."""
        for version in ('1', '2c'):
            with self.subTest(version):
                pdu = self.pdu(f'v{version}')
                self.configure([pdu], {'n1': [f'{pdu.name}:{k}' for k in '123']},
                               login={'version': version})
                pdu.put('missing', '2')
                p = self.stonith('off', 'n1', '--deadline=2', status=None)
                self.assert_not_off(p, f'{pdu.name}:2')
                self.assertNotIn(f'{pdu.name}:1', p.stderr)
                self.assertEqual(pdu.relays('1', '3'), ['off', 'off'])


if __name__ == '__main__':
    xtest.main(at_once=6)
