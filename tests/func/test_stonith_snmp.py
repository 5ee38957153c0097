# SPDX-License-Identifier: GPL-2.0-or-later
"""Versions of SNMP and their logins: communities, users, keys that are wrong, PDUs that restart or
are replaced in between, and helpers that are killed.
"""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_fixture  # noqa: E402
import xtest  # noqa: E402
from stonith_fixture import READ_ONLY  # noqa: E402
from wall_clock import WallClock  # noqa: E402


class Login(stonith_fixture.Case):

    def node(self, pdu, **login):
        self.configure([pdu], {'n1': [f'{pdu.name}:1', f'{pdu.name}:2']}, login=login)

    def check(self, pdu):
        for key in '12':
            pdu.put('relay', key, 'on')
        self.stonith('off', 'n1')
        self.assertEqual(pdu.relays('1', '2', '3'), ['off', 'off', 'on'])

    def fails(self, pdu, text, deadline=2):
        p = self.stonith('off', 'n1', f'--deadline={deadline}', status=None)
        self.assert_not_off(p, text)
        self.assertEqual(pdu.sets(), [])
        p = self.stonith('verify-map', 'n1', f'--deadline={deadline}', status=1)
        self.assertIn(text, p.stdout)

    def test_versions(self):
        pdu = self.pdu('left')
        for version in ('1', '2c', '3'):
            with self.subTest(version):
                self.node(pdu, version=version)
                self.check(pdu)

    def test_algorithms(self):
        """Version 3: each kind of key."""
        for auth, priv in (('MD5', 'DES'), ('SHA', 'AES'), ('SHA-224', 'AES'), ('SHA-384', 'AES-192'),
                           ('SHA-512', 'AES-256'), ('SHA-256', 'AES')):
            with self.subTest(f'{auth} {priv}'):
                pdu = self.pdu(f'{auth}-{priv}', auth=auth, priv=priv)
                self.node(pdu, version='3')
                self.check(pdu)
                pdu.stop()

    def test_read_only(self):
        """A community that may read: off fails, and verify-map knows before the day."""
        for version in ('1', '2c'):
            with self.subTest(version):
                pdu = self.pdu(f'v{version}')
                self.node(pdu, version=version, community=READ_ONLY)
                self.stonith('status', 'n1')
                self.fails(pdu, 'no right to write')

    def test_wrong_community(self):
        pdu = self.pdu('left')
        for version in ('1', '2c'):
            with self.subTest(version):
                self.node(pdu, version=version, community='something-else')
                self.fails(pdu, 'no answer')

    def test_wrong_keys(self):
        pdu = self.pdu('left')
        for what, login, text in (('user', {'user': 'nobody-known'}, 'wrong user'),
                                  ('auth', {'auth': 'another-pass-phrase'}, 'wrong user'),
                                  ('priv', {'priv': 'another-pass-phrase'}, '')):
            with self.subTest(what):
                self.node(pdu, version='3', **login)
                self.fails(pdu, text)
        self.node(pdu, version='3')
        self.check(pdu)

    def test_wrong_algorithm(self):
        pdu = self.pdu('left')
        pdu.auth = 'SHA-512'
        self.node(pdu, version='3')
        self.fails(pdu, 'wrong user')

    def test_secrets_are_nowhere(self):
        """Not in arguments, not in the environment of the helpers, not in what is printed."""
        pdu = self.pdu('left')
        self.node(pdu, version='3', auth='another-pass-phrase')
        shot = self.begin('off', 'n1', '--deadline=10')
        xtest.wait_for(lambda: self.helpers(shot), 'helper')
        for pid in [shot.pid, *self.helpers(shot)]:
            for name in ('cmdline', 'environ'):
                self.assertNotIn('pass-phrase', xtest.text_of(f'/proc/{pid}/{name}'))
        self.assertEqual(shot.wait(60), 1)
        self.assertNotIn('another-pass', shot.stderr() + xtest.text_of(self.log))

    # Sessions that last longer than what they were made with.

    def helpers(self, daemon):
        """Process ids of the helpers (nsenter becomes our program by exec)."""
        return xtest.text_of(f'/proc/{daemon.pid}/task/{daemon.pid}/children').split()

    def begin_shot(self, pdu, **login):
        """A shot that has begun, and waits for a stuck relay."""
        self.node(pdu, **login)
        pdu.put('stuck', '2')
        shot = self.begin('off', 'n1')
        xtest.wait_for(lambda: pdu.relay('1') == 'off' and ('2', 'off') in pdu.sets(), 'half off')
        return shot

    def finish(self, pdu, shot):
        pdu.drop('stuck', '2')
        self.assertEqual(shot.wait(60), 0, shot.stderr())
        self.assertEqual(pdu.relays('1', '2'), ['off', 'off'])

    def test_restart(self):
        """The agent restarts in the middle: its engine has booted once more, its clock is at 0."""
        for version in ('2c', '3'):
            with self.subTest(version):
                pdu = self.pdu(f'v{version}')
                shot = self.begin_shot(pdu, version=version)
                pdu.restart()
                self.finish(pdu, shot)

    def test_other_engine(self):
        """It was set back: the engine has another name."""
        pdu = self.pdu('left')
        shot = self.begin_shot(pdu, version='3')
        pdu.stop()
        self.run_cmd('rm', '-rf', f'{pdu.folder}/persistent')
        pdu.start()
        self.finish(pdu, shot)

    def test_other_pdu(self):
        """Another kind of PDU has the address after a while: nothing is set on it."""
        pdu = self.pdu('left')
        shot = self.begin_shot(pdu, version='2c')
        pdu.stop()
        time.sleep(2.5)  # so long that it is noticed: two requests without an answer
        other = self.pdu('other', family='apc-rpdu', system='318.1.3.4.4', address=pdu.address)
        self.assertEqual(shot.wait(60), 1, shot.stderr())
        self.assertEqual(other.sets(), [])

    def test_clock_jumps(self):
        """The wall clock is no help to anybody."""
        pdu, env = self.pdu('left'), WallClock(self, swing=5000).env
        self.node(pdu, version='3')
        for _ in range(3):
            self.stonith('off', 'n1', env=env)
            self.stonith('on', 'n1', env=env)
        self.assertTrue(self.asked('audit', env=env)['good'])
        pdu.put('stuck', '1')
        self.assert_not_off(self.stonith('off', 'n1', '--deadline=3', status=None, env=env))

    # Helpers.

    def test_killed_helper(self):
        pdu = self.pdu('left')
        shot = self.begin_shot(pdu, version='3')
        for _ in range(3):
            first = xtest.wait_for(lambda: self.helpers(shot), 'helper')
            os.kill(int(first[0]), signal.SIGKILL)
            xtest.wait_for(lambda: self.helpers(shot) not in (first, []), 'another helper')
        self.finish(pdu, shot)

    def test_stopped_helper(self):
        """One that hangs is killed when it is late."""
        pdu = self.pdu('left')
        shot = self.begin_shot(pdu, version='2c')
        first = self.helpers(shot)
        os.kill(int(first[0]), signal.SIGSTOP)
        xtest.wait_for(lambda: self.helpers(shot) not in (first, []), 'another helper')
        self.finish(pdu, shot)

    def test_what_helpers_are(self):
        """Nobody, with nothing but a channel, a socket and what waits for them; gone with us."""
        pdu = self.pdu('left')
        shot = self.begin_shot(pdu, version='2c')
        pid, = self.helpers(shot)
        status = xtest.text_of(f'/proc/{pid}/status')
        self.assertIn('Uid:\t65534\t65534\t65534\t65534', status)
        self.assertIn('Groups:\t \n', status)
        links = [os.readlink(f'/proc/{pid}/fd/{fd}') for fd in os.listdir(f'/proc/{pid}/fd')]
        strange = [x for x in links if not x.startswith(('/dev/null', 'socket:', 'anon_inode:'))]
        self.assertEqual(strange, [])
        self.assertEqual(len([x for x in links if x.startswith('socket:')]), 2)
        shot.kill()
        xtest.wait_for(lambda: not os.path.exists(f'/proc/{pid}'), 'the helper is gone')


if __name__ == '__main__':
    xtest.main(at_once=4)
