# SPDX-License-Identifier: GPL-2.0-or-later
"""Stonith proxies and callers that do not do what they should.

The forced command takes nothing for a request that is none, not whole, changed, late, or too often;
and a node that asks a proxy that hangs, lies, or speaks something else says no, why, and in time.
"""

import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_proxy  # noqa: E402
import xtest  # noqa: E402
from stonith_proxy import OTHER_SECRET, PORT, PROXY, SECRET, Caller  # noqa: E402

# A proxy that is none: says these lines, and waits for a request, or until the caller is gone.
FAKE = """import sys
for line in {lines!r}:
    if line == 'wait':
        sys.stdin.read()
    elif line == 'read':
        sys.stdin.readline(), sys.stdin.readline()
    else:
        print(line, flush=True)
"""
HELLO = f'hello 1 {"5a" * 32} 1800000000'
OFF = ['outlet 2 1 1 2 0 1 left:1', 'outlet 2 1 1 2 0 1 right:1',
       'verdict done off 100 0 0 0 n1 is off']


class Input(stonith_proxy.Case):
    """The forced command by itself, with all that a client should not say."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.assert_untouched)

    def caller(self, secret=SECRET, name='n2'):
        return Caller(self, self.argv(f'--proxy={name}'), secret)

    def only_refused(self, caller, text):
        lines, proven = caller.answer()
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(text, lines[0])
        self.assertTrue(lines[0].startswith('refused '), lines)
        self.assertFalse(proven)
        caller.process.wait(20)
        self.assertEqual(caller.process.returncode, 1)
        self.assertIn(text, self.refusals()[-1])

    def test_bad_bytes(self):
        """None of it is taken for a request, and each is in the audit log."""
        rows = [
            (b'x' * 513, 'a line of more than 512 bytes'),
            (b'shoot off ' + b'1' * 100000 + b'\n', 'a line of more than 512 bytes'),
            (bytes(range(256)), 'not understood'),
            (b'\0\n', 'not understood'),
            (b'\r\n', 'not understood'),
            (b'\n', 'not understood'),
            (b'mac ' + b'0' * 64 + b'\n', 'not understood'),
            (b'shoot off 1 1 ' + b'0' * 64 + b' n1\nshoot off\n', 'not understood'),
            (b'shoot off 1 1 ' + b'0' * 64 + b' n1\nmac ' + b'0' * 64 + b'\n', 'MAC is wrong'),
        ]
        for data, text in rows:
            caller = self.caller()
            caller.line()
            caller.send(data)
            self.only_refused(caller, text)

    def test_cut_off(self):
        for share in (0, 0.3, 0.7, 0.999):
            caller = self.caller()
            caller.line()
            data = caller.request()
            caller.send(data[:int(len(data) * share)])
            caller.hang_up()
            self.only_refused(caller, 'gone without a request')

    def test_changed(self):
        for old, new in ((b' n1 ', b' n3 '), (b'shoot off', b'shoot on'),
                         (b' 20000 ', b' 90000 '), (b'a test', b'a tesT')):
            caller = self.caller()
            caller.line()
            data = caller.request()
            self.assertIn(old, data)
            caller.send(data.replace(old, new))
            self.only_refused(caller, 'MAC is wrong')

    def test_more_than_a_request(self):
        caller = self.caller()
        caller.line()
        caller.send(caller.request() + b'shoot')
        self.only_refused(caller, 'more than a request')

    def test_silence(self):
        """A request that does not come, or comes drop by drop, is not waited for."""
        silent, slow = self.caller(), self.caller()
        silent.line()
        slow.line()
        data = slow.request()
        for i in range(40):
            if slow.process.poll() is not None:
                break
            slow.send(data[i:i + 1])
            time.sleep(0.5)
        self.only_refused(silent, 'no request within 10 s')
        self.only_refused(slow, 'no request within 10 s')

    def test_proven_refusals(self):
        """Whom it knows, it tells in a way that can be believed."""
        for fields, text in (({'victim': 'nobody'}, 'no node is called nobody'),
                             ({'victim': 'n3'}, 'is no victim'),
                             ({'within': 900}, 'too little time'),
                             ({'action': 'on'}, 'may not ask for on')):
            caller = self.caller()
            caller.ask(**fields)
            lines, proven = caller.answer()
            self.assertTrue(proven)
            self.assertTrue(lines[-2].startswith('verdict refused '), lines)
            self.assertIn(text, lines[-2])
            self.assertIn(text, self.refusals()[-1])
        self.assertTrue(self.asked('audit')['good'])

    def test_of_another_caller(self):
        """n4's secret is good for n4's victims."""
        caller = self.caller(OTHER_SECRET)
        caller.ask()
        self.only_refused(caller, 'MAC is wrong')
        caller = self.caller(OTHER_SECRET, 'n4')
        caller.ask(victim='n1')
        self.assertIn('is no victim of caller n4', caller.answer()[0][-2])

    def test_refusals_do_not_fill_the_log(self):
        callers = [self.caller() for _ in range(25)]
        for caller in callers:
            caller.line()
            caller.send(b'x\n')
        for caller in callers:
            self.assertIn('refused ', caller.answer()[0][0])
            caller.process.wait(20)
        self.assertEqual(len(self.refusals()), 20)


class Limits(stonith_proxy.Case):

    def shot(self, **fields):
        caller = Caller(self, self.argv('--proxy=n2'))
        caller.ask(**fields)
        lines, proven = caller.answer()
        self.assertTrue(proven, lines)
        return lines

    def test_rate(self):
        """Counted across processes; questions are counted by themselves."""
        self.set_up_proxy(rate=2)
        for _ in range(2):
            self.assertIn('verdict done off ', self.shot()[-2])
        before = [self.left.sets(), self.right.sets()]
        self.assertIn('too often: more than 2 shots in 10 minutes', self.shot()[-2])
        self.assertIn('verdict refused', self.shot(action='reboot')[-2])
        self.assertIn('verdict done status', self.shot(action='status')[-2])
        self.assertEqual(before, [self.left.sets(), self.right.sets()])

    def test_what_failed_does_not_count(self):
        """With a dead PDU a cluster tries again and again, and has to succeed when it is back."""
        self.set_up_proxy(rate=1)
        self.left.put('stuck', '1')
        for _ in range(3):
            self.assertIn('verdict failed off ', self.shot(within=1500)[-2])
        self.left.drop('stuck', '1')
        self.assertIn('verdict done off ', self.shot()[-2])
        self.assertIn('too often', self.shot()[-2])

    def test_count_cannot_be_kept(self):
        """Then nobody is kept alive by that."""
        self.set_up_proxy(rate=1)
        os.mkdir(self.run_dir, 0o700)
        os.mkdir(f'{self.run_dir}/proxy.n2.shots')
        for _ in range(2):
            self.assertIn('verdict done off ', self.shot()[-2])

    def test_clocks_differ(self):
        """Told, no more: what is fresh is what answers the challenge."""
        lines = self.shot(clock=1000)
        self.assertIn('note the clocks of caller and proxy differ', lines[0])
        self.assertIn('verdict done off ', lines[-2])

    def test_time_of_the_caller(self):
        """The proxy gives up before the caller does, whatever its own deadline is."""
        self.set_up_proxy(general={'deadline': 600})
        self.left.put('stuck', '1')
        self.assertIn('verdict failed off ', self.shot(within=3000)[-2])


class Deaf(stonith_proxy.Case):
    """The other side does not do what it should: the node's answer is no, why, and in time."""

    def setUp(self):
        super().setUp()
        self.key = self.make_key('n2')
        self.set_up_node(deadline=60)

    def failed(self, text, status=1):
        p = self.run_cmd(*self.node_argv('off', 'n1'), status=None, seconds=60)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        self.assertIn(text, p.stderr)
        self.assertIn('proxy gate', p.stderr)
        self.assertNotIn('n1 is off', p.stderr.replace('it is not certain that', ''))
        self.assert_untouched()

    def fake(self, *lines):
        path = self.path('fake.py')
        with open(path, 'w') as f:
            f.write(FAKE.format(lines=lines))
        self.start_sshd({self.key: f'{sys.executable} -IS {path}'})

    def listener(self):
        s = self.host.within(socket.socket)
        s.settimeout(30)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((PROXY, PORT))
        s.listen()
        self.addCleanup(s.close)
        return s

    def test_nobody_listens(self):
        self.failed('unreachable: Connection refused')

    def test_link_is_cut(self):
        self.set_up_node(deadline=4)
        self.host.run('ip', 'link', 'set', 'link0', 'down')
        self.failed('unreachable')

    def test_accepts_and_says_nothing(self):
        self.set_up_node(deadline=4)
        self.listener()
        self.failed('no answer in time (exchanging keys)')

    def test_other_protocols(self):
        for banner in (b'HTTP/1.1 400 Bad Request\r\n\r\n', b'SSH-2.0-x\r\n' + bytes(5000), b''):
            s = self.listener()

            def serve():
                c, _ = s.accept()
                c.sendall(banner)
                c.close()
            xtest.in_threads(serve, lambda: self.failed('exchanging keys'))
            s.close()

    def test_sshd_hangs(self):
        self.set_up_node(deadline=4)
        self.start_sshd({self.key: self.forced()})
        self.sshd.send_signal(signal.SIGSTOP)
        self.failed('no answer in time (exchanging keys)')
        self.sshd.send_signal(signal.SIGCONT)

    def test_command_hangs(self):
        self.set_up_node(deadline=12)
        self.fake('wait')
        self.failed('no answer in time (waiting for its challenge)')

    def test_our_process_dies(self):
        """The one that speaks SSH."""
        self.fake('wait')
        d = self.spawn(self.node_argv('off', 'n1'))
        xtest.wait_for(lambda: 'Accepted publickey' in self.sshd.stderr(), 'login')
        youngest = xtest.text_of(f'/proc/{d.pid}/task/{d.pid}/children').split()[-1]
        os.kill(int(youngest), signal.SIGKILL)  # others write the audit log
        self.assertEqual(d.wait(30), 1)
        self.assertIn('our own process ended early', d.stderr())
        self.assert_untouched()

    def test_verdict_does_not_come(self):
        self.set_up_node(deadline=12)
        self.fake(HELLO, 'read', 'wait')
        self.failed('what it did is not known')

    def test_notes_without_end(self):
        self.fake(HELLO, 'read', *['note still at it'] * 100)
        self.failed('not understood')

    def test_forged(self):
        self.fake(HELLO, 'read', *OFF, f'mac {"0" * 64}')
        self.failed('its answer is not authentic')

    def test_ends_early(self):
        for lines in ([], [HELLO, 'read'], [HELLO, 'read', *OFF]):
            self.fake(*lines)
            self.failed('it ended without an answer')
            self.sshd.kill()

    def test_talks_nonsense(self):
        for line, text in (('Last login: today', 'not understood: "Last login: today"'),
                           ('hello 2 x', 'another version'), ('x' * 600, 'not understood'),
                           ('refused by hand', 'refused: by hand')):
            self.fake(line)
            self.failed(text)
            self.sshd.kill()

    def test_answer_of_before(self):
        """A success that was proven once is none for the next request."""
        self.start_sshd({self.key: self.forced()})
        first = Caller(self, self.ssh())
        hello = first.line()
        first.send(first.request(action='status'))
        lines, proven = first.answer()
        self.assertTrue(proven)
        self.sshd.kill()
        self.fake(hello, 'read', *lines)
        self.failed('its answer is not authentic')


if __name__ == '__main__':
    xtest.main(at_once=4)
