# SPDX-License-Identifier: GPL-2.0-or-later
"""Shots by way of a host that alone reaches the PDUs: the real sshd, the real snmpd.

The right key shoots its victim and nothing else; what else is asked for, or by somebody else, or
once more, is refused with its reason, and no PDU hears of it.
"""

import glob
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_proxy  # noqa: E402
import xtest  # noqa: E402
from stonith_fixture import COMMUNITY  # noqa: E402
from stonith_proxy import (NODE, NODE6, OTHER_SECRET, PROXY6, SECRET, SHOOTER,  # noqa: E402
                           Caller)


class Shots(stonith_proxy.Case):

    def setUp(self):
        super().setUp()
        self.start_proxy()

    def test_off(self):
        p = self.shoot('off', 'n1', '--reason=it is frozen')
        self.assertIn('n1 is off', p.stdout)
        for pdu in (self.left, self.right):
            self.assertEqual(pdu.relays('1', '2', '3'), ['off', 'on', 'on'])
            self.assertEqual({key for key, _ in pdu.sets()}, {'1'})
        end = [e for e in self.lines() if e['event'] == 'end']
        self.assertEqual([e['outcome'] for e in end], ['done'])
        self.assertIn(f'proxy: n2 from {NODE} SHA256:', end[0]['who'])
        self.assertRegex(end[0]['reason'], r'^it is frozen \[request [0-9a-f]{16}\]$')
        self.shoot('audit')  # the node's own log
        ours = xtest.text_of(self.node_log)
        self.assertIn('left:1', ours)
        self.check_log('done')

    def test_json(self):
        found = json.loads(self.shoot('off', 'n1', '--json').stdout)
        self.assertEqual([(o['outlet'], o['last']) for o in found['outlets']],
                         [('left:1', 'off'), ('right:1', 'off')])

    def test_verify_map(self):
        """Would a shot work? Not if a PDU takes no commands."""
        self.shoot('verify-map', 'n1')
        self.right.put('read-only')
        self.assertIn('right:1', self.shoot('verify-map', 'n1', status=1).stdout)
        self.assert_never('off', self.left, self.right)

    def test_states(self):
        self.shoot('status', 'n1', status=0)
        self.shoot('off', 'n1')
        self.shoot('status', 'n1', status=2)
        self.left.put('odd', '1', 7)
        self.shoot('status', 'n1', status=1)

    def test_reboot(self):
        """As the policies of both say: of the proxy's host it is "off", at first."""
        p = self.shoot('reboot', 'n1')
        self.assertIn('n1 is off', p.stdout)
        self.assert_never('on', self.left, self.right)
        self.set_up_proxy(node_keys={'policy': 'cycle'})
        self.shoot('reboot', 'n1')
        self.assertEqual([self.left.relay('1'), self.right.relay('1')], ['on', 'on'])
        self.assertIn(('1', 'off'), self.left.sets())

    def test_stuck(self):
        self.right.put('stuck', '1')
        p = self.shoot('off', 'n1', '--deadline=6', status=1)
        self.assertIn('right:1', p.stderr)
        self.assertNotIn('n1 is off', p.stdout + p.stderr)
        self.assertEqual(self.left.relay('1'), 'off')
        self.right.drop('stuck', '1')
        self.shoot('off', 'n1')
        self.check_log('failed', 'done')

    def test_two_at_once(self):
        results = []
        xtest.in_threads(*[lambda: results.append(
            self.run_cmd(*self.node_argv('off', 'n1'), status=None).returncode)] * 2)
        self.assertIn(0, results)
        self.assertEqual([self.left.relay('1'), self.right.relay('1')], ['off', 'off'])
        self.assertTrue(self.asked('audit')['good'])

    def test_caller_is_gone(self):
        """A shot that was begun goes on."""
        self.left.put('lazy', '1', 3)
        d = self.spawn(self.node_argv('off', 'n1'))
        xtest.wait_for(lambda: self.left.sets(), 'a command to the PDU')
        d.kill()
        xtest.wait_for(lambda: [e for e in self.lines() if e['event'] == 'end'], 'end of the shot')
        self.check_log('done')
        self.assertEqual([self.left.relay('1'), self.right.relay('1')], ['off', 'off'])


class Hosts(stonith_proxy.Case):

    def test_ipv6(self):
        self.start_proxy()
        self.set_up_node(address=PROXY6, source=NODE6)
        self.shoot('off', 'n1')
        self.assertIn(f'proxy: n2 from {NODE6} ', self.lines()[-1]['who'])

    def test_user_who_is_not_root(self):
        """It needs its files and nothing else."""
        self.require('setpriv')
        for path in (self.dir, self.etc):
            os.chmod(path, 0o755)
        self.log = self.path('state/audit')
        self.set_up_proxy()
        for folder in (self.path('state'), self.run_dir):
            os.mkdir(folder, 0o700)
        for path in (self.config, self.path('state'), self.run_dir,
                     *glob.glob(self.path('secret-*'))):
            os.chown(path, SHOOTER, SHOOTER)
        p = self.run_cmd('setpriv', f'--reuid={SHOOTER}', '--clear-groups',
                         xtest.program('xnbd-stonith'), '--version', status=None)
        if p.returncode != 0:
            self.skipTest("the build folder is root's alone")
        self.start_proxy()
        ours = self.path('ours')  # on the node root reads it
        with open(ours, 'w', opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(SECRET)
        self.set_up_node(**{'user': 'shooter', 'secret-file': ours})
        self.shoot('off', 'n1')
        self.assertEqual([self.left.relay('1'), self.right.relay('1')], ['off', 'off'])
        self.assertEqual(os.stat(self.log).st_uid, SHOOTER)
        self.assertEqual(self.lines()[-1]['outcome'], 'done')


class Refused(stonith_proxy.Case):
    """No PDU hears of it."""

    def setUp(self):
        super().setUp()
        self.start_proxy()
        self.addCleanup(self.assert_untouched)

    def refused(self, text, *args):
        p = self.shoot(*args, status=1)
        self.assertIn(text, p.stderr)
        return p

    def test_victims_and_actions(self):
        self.refused('n3: is no victim of caller n2', 'off', 'n3')
        self.refused('caller n2 may not ask for on', 'on', 'n1')
        self.set_up_proxy(actions=['status'])
        self.refused('caller n2 may not ask for off', 'off', 'n1')
        self.refused('caller n2 may not ask for reboot', 'reboot', 'n1')
        self.shoot('status', 'n1')
        self.assertEqual(len(self.refusals()), 4)
        self.assertTrue(self.asked('audit')['good'])

    def test_confirmed(self):
        """What an administrator has seen counts here, too, and the log calls it by its name."""
        self.set_up_proxy(actions=['status'])
        self.set_up_node(node_keys={'accept-confirmation': 'true'})
        self.shoot('confirm', 'n1')
        self.assertIn('it was not verified', self.shoot('off', 'n1').stdout)
        self.refused('caller n2 may not ask for off', 'off', 'n1')
        ours = [json.loads(line) for line in xtest.text_of(self.node_log).splitlines()]
        self.assertEqual([e['outcome'] for e in ours if e['event'] == 'end'],
                         ['confirmed', 'refused'])

    def test_secret(self):
        self.set_up_node(secret=OTHER_SECRET)
        self.refused('MAC is wrong', 'off', 'n1')
        self.assertEqual(len(self.refusals()), 1)

    def test_command_is_not_looked_at(self):
        for command in ('off n1', '$(touch was-here)', '`touch was-here`; off\nn1', '\xff' * 3000,
                        '--proxy=n4'):
            caller = Caller(self, self.ssh(command))
            caller.ask(victim='n3')
            lines, proven = caller.answer()
            self.assertIn('n3: is no victim of caller n2', lines[-2])
            self.assertTrue(proven)
        self.assertFalse(os.path.exists(f'{self.etc}/was-here'))

    def test_replay(self):
        self.left.put('read-only')  # what is recorded was asked for in earnest, and came to nothing
        self.right.put('read-only')
        first = Caller(self, self.ssh())
        sent = first.ask(within=1500)
        self.assertIn('verdict failed', '\n'.join(first.answer()[0]))
        second = Caller(self, self.ssh())
        second.line()
        second.send(sent)
        lines, proven = second.answer()
        self.assertEqual((len(lines), proven), (1, False))
        self.assertIn('refused its MAC is wrong', lines[0])
        self.assertIn('another challenge', self.refusals()[-1])

    def test_unknown_caller_and_bad_configuration(self):
        self.sshd.kill()
        self.start_sshd({self.key: self.forced('nobody')})
        self.refused('no section `caller`', 'off', 'n1')
        self.sshd.kill()
        self.start_sshd({self.key: self.forced()})
        with open(self.config, 'a') as f:
            f.write('nonsense\n')
        self.refused("the proxy's configuration has faults", 'off', 'n1')


class Keys(stonith_proxy.Case):

    def test_kinds(self):
        kinds = {'ed25519': None, 'ecdsa': 256, 'ecdsa-384': 384, 'ecdsa-521': 521}
        keys = {name: self.make_key(name, name.partition('-')[0], bits)
                for name, bits in kinds.items()}
        hosts = [self.host_key, self.make_key('host-ecdsa', 'ecdsa')]
        self.start_sshd({key: self.forced() for key in keys.values()}, hosts)
        for key in keys.values():
            for host in hosts:
                self.set_up_node(key, host)
                self.shoot('status', 'n1')

    def test_rsa(self):
        """What the SSH library cannot do is said."""
        self.key = self.make_key('rsa', 'rsa', 2048)
        self.start_sshd({self.key: self.forced()})
        self.set_up_node()
        p = self.shoot('off', 'n1', status=1)
        self.assertIn('our key was refused', p.stderr)
        self.assert_untouched()

    def test_each_key_its_victim(self):
        mine, theirs = self.make_key('n2'), self.make_key('n4')
        self.start_sshd({mine: self.forced(), theirs: self.forced('n4')})
        self.set_up_node(theirs, secret=OTHER_SECRET)
        self.assertIn('is no victim of caller n4', self.shoot('off', 'n1', status=1).stderr)
        self.shoot('off', 'n3')
        self.assertEqual([self.left.relays('1', '3'), self.right.relays('1', '3')],
                         [['on', 'off']] * 2)
        self.set_up_node(theirs, secret=SECRET)  # the key of one with the secret of another
        self.assertIn('MAC is wrong', self.shoot('off', 'n3', status=1).stderr)

    def test_unknown_key(self):
        self.key = self.make_key('n2')
        self.start_sshd({self.key: self.forced()})
        self.set_up_node(self.make_key('stranger'))
        self.assertIn('our key was refused', self.shoot('off', 'n1', status=1).stderr)
        self.assert_untouched()

    def test_wrong_host(self):
        """It hears nothing of our key."""
        self.key = self.make_key('n2')
        self.start_sshd({self.key: self.forced()})
        for kind in ('ed25519', 'ecdsa'):
            self.set_up_node(host_key=self.make_key(f'other-{kind}', kind))
            p = self.shoot('off', 'n1', status=1)
            self.assertIn('its host key differs: it is ssh-ed25519 SHA256:', p.stderr)
        self.assertNotIn('Accepted', self.sshd.stderr())
        self.assertNotIn('SHA256', self.sshd.stderr().replace('Server listening', ''))
        self.assert_untouched()


class Secrets(stonith_proxy.Case):

    def told_to_processes(self):
        """(path, arguments or environment) of those in our namespaces; others run here as well."""
        ours = [os.stat(host.path).st_ino for host in (self.host, self.node)]
        for folder in glob.glob('/proc/[0-9]*'):
            for name in ('cmdline', 'environ'):
                try:
                    if os.stat(f'{folder}/ns/net').st_ino in ours:
                        with open(f'{folder}/{name}', 'rb') as f:
                            yield f'{folder}/{name}', f.read()
                except OSError:
                    pass

    def test_not_seen(self):
        """While a shot is under way no process has a secret in its arguments or environment."""
        self.start_proxy()
        self.left.put('lazy', '1', 3)
        d = self.spawn(self.node_argv('off', 'n1'))
        xtest.wait_for(lambda: self.left.sets(), 'a command to the PDU')
        secrets = [s.encode() for s in (SECRET, COMMUNITY)]
        secrets += [line.encode() for line in xtest.text_of(self.key).splitlines()[1:-1]]
        seen = 0
        for path, content in self.told_to_processes():
            seen += b'--proxy=n2' in content
            for s in secrets:
                self.assertNotIn(s, content, path)
        self.assertGreater(seen, 0)
        self.assertEqual(d.wait(60), 0)
        for path in (self.log, self.node_log):
            for s in secrets:
                self.assertNotIn(s.decode(), xtest.text_of(path))


if __name__ == '__main__':
    xtest.main(at_once=4)
