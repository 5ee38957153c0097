# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of xnbd-stonith at every step of a shot: nothing is switched on by itself, the chain of the
log is whole and says that a shot had begun, no helper is left, and the next shot works.
"""

import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_fixture  # noqa: E402
import xtest  # noqa: E402

NO_LEAKS = {'ASAN_OPTIONS': 'detect_leaks=0'}  # its search does not work under strace
# From outside, a step is a system call: strace kills at the N-th of them.
CALLS = ('sendmsg', 'recvmsg', 'write', 'openat', 'flock', 'fork,clone,clone3', 'close',
         'epoll_wait')


class Kill(stonith_fixture.Case):

    def setUp(self):
        super().setUp()
        self.require('strace')
        self.left, self.right = self.pair()

    def helpers_of(self, pid):
        return xtest.text_of(f'/proc/{pid}/task/{pid}/children').split()

    def check(self, began=None):
        """After a killed off."""
        self.assert_never('on', self.left, self.right)
        switched = ('1', 'off') in self.left.sets() + self.right.sets()
        events = []
        if os.path.exists(self.log):
            log = self.asked('audit')
            self.assertTrue(log['good'], log)
            events = [e['event'] for e in log['log']]
        if switched:
            self.assertEqual(events[0], 'begin')
        if began is not None:
            self.assertEqual(bool(events), began)

    def again(self):
        self.stonith('off', 'n1')
        self.assertEqual((self.left.relay('1'), self.right.relay('1')), ('off', 'off'))
        self.assertTrue(self.asked('audit')['good'])

    def reset(self):
        for pdu in (self.left, self.right):
            pdu.put('relay', '1', 'on')
            pdu.drop('sets.log')
        if os.path.exists(self.log):
            os.unlink(self.log)
        if os.path.exists(f'{self.log}.head'):
            os.unlink(f'{self.log}.head')

    def count(self, calls):
        """How many of them a shot makes."""
        out = self.path('count')
        self.run_cmd('strace', '-o', out, '-e', f'trace={calls}', *self.argv('off', 'n1'),
                     env=NO_LEAKS)
        return sum('(' in line for line in xtest.text_of(out).splitlines())

    def kill_at(self, calls, n):
        """Killed as it makes that call."""
        p = self.run_cmd('strace', '-o', '/dev/null', '-e', f'trace={calls}', '-e',
                         f'inject={calls}:signal=SIGKILL:when={n}', *self.argv('off', 'n1'),
                         status=None, env=NO_LEAKS)
        if n == 1:
            self.assertNotIn(p.returncode, (0, 1, 2), p.stderr)

    def test_at_calls(self):
        """A few places of each kind, other ones in each run."""
        for calls in CALLS:
            total = self.count(calls)
            places = {1, total, *random.sample(range(1, total + 1), min(3, total))}
            for n in sorted(places):
                with self.subTest(calls=calls, n=n, total=total):
                    self.reset()
                    self.kill_at(calls, n)
                    self.check()
        self.again()

    def with_log_writer(self, what):
        """An off in which the sync of the log's lines does WHAT."""
        return json.loads(self.run_cmd(
            'strace', '-f', '-o', '/dev/null', '-e', 'trace=fdatasync', '-e',
            f'inject=fdatasync:{what}', *self.argv('--json', 'off', 'n1'), env=NO_LEAKS))

    def test_log_writer(self):
        """Who writes the log is killed, or waits for a disk that hangs: no shot waits for it."""
        for what, why in (('signal=SIGKILL', 'the process that writes it'),
                          ('delay_enter=4000000', 'not on disk in time')):
            with self.subTest(what):
                self.reset()
                result = self.with_log_writer(what)
                self.assertEqual((self.left.relay('1'), self.right.relay('1')), ('off', 'off'))
                self.assertFalse(result['recorded'])
                self.assertIn(why, result['text'])
        self.reset()
        self.again()

    def test_in_the_middle(self):
        """Half of it is off, and stays off; no helper goes on by itself."""
        self.right.put('stuck', '1')
        shot = self.begin('off', 'n1')
        xtest.wait_for(lambda: self.left.relay('1') == 'off', 'half of it is off')
        helpers = xtest.wait_for(lambda: self.helpers_of(shot.pid), 'helpers')
        shot.kill()
        for pid in helpers:
            xtest.wait_for(lambda p=pid: not os.path.exists(f'/proc/{p}'), 'the helper is gone')
        self.check(began=True)
        before = self.right.sets()
        time.sleep(1)
        self.assertEqual(self.right.sets(), before)
        self.assertEqual(self.left.relay('1'), 'off')
        self.right.drop('stuck', '1')
        self.again()

    def test_reboot(self):
        """Killed in the pause: it stays off. Whoever comes next may switch it on."""
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       **{'on-pause': 20000})
        shot = self.begin('reboot', 'n1')
        xtest.wait_for(lambda: (self.left.relay('1'), self.right.relay('1')) == ('off', 'off'),
                       'off')
        time.sleep(0.5)
        shot.kill()
        self.check(began=True)
        self.assertEqual((self.left.relay('1'), self.right.relay('1')), ('off', 'off'))
        self.stonith('on', 'n1')

    def test_lock_is_free(self):
        """The lock of a shot ends with it, also when a helper hangs."""
        self.right.freeze()
        shot = self.begin('off', 'n1')
        xtest.wait_for(lambda: self.left.relay('1') == 'off', 'half of it is off')
        shot.kill()
        self.right.thaw()
        self.again()


if __name__ == '__main__':
    xtest.main()
