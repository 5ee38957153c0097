# SPDX-License-Identifier: GPL-2.0-or-later
"""fence_xnbd: every action, by standard input and by options, with a configuration and with parameters
that name a PDU. (Clusters that call it are in test_stonith_clusters.py.)
"""

import os
import re
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_agents  # noqa: E402
import stonith_fixture  # noqa: E402
import xtest  # noqa: E402

SCHEMA = '/usr/share/cluster/relaxng/metadata.rng'
CLUSTER_WORDS = r'(?i)timed out|timeout|unrecogni[sz]ed action|unsupported action'


class Case(stonith_agents.Case):

    def shoot(self, action, status=0, **parameters):
        """With the configuration; what it says has no word that a fencer would misunderstand."""
        p = self.agent(action, status, config=self.config, **parameters)
        self.assertIsNone(re.search(CLUSTER_WORDS, p.stderr), p.stderr)
        return p


class Configured(Case):

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()

    def power(self):
        return self.left.relay('1'), self.right.relay('1')

    def test_off_status_on(self):
        self.shoot('status', 0, plug='n1')
        self.shoot('off', plug='n1', nodename='n1')
        self.assertEqual(self.power(), ('off', 'off'))
        self.shoot('status', 2, plug='n1')
        self.shoot('on', plug='n1')
        self.assertEqual(self.power(), ('on', 'on'))
        self.shoot('status', 0, plug='n1')
        self.check_log('done', 'done')
        self.assertEqual({e['who'] for e in self.lines()}, {'fence_xnbd'})
        self.assertEqual({e['by-hand'] for e in self.lines()}, {False})

    def test_who(self):
        """plug, port or nodename; in any case of letters; whole names."""
        for parameters in ({'plug': 'n1'}, {'port': 'N1'}, {'nodename': 'n1'},
                           {'plug': '"n1"', 'nodename': 'elsewhere'}):
            with self.subTest(parameters):
                self.shoot('OFF', **parameters)
                self.assertEqual(self.power(), ('off', 'off'))
                self.left.put('relay', '1', 'on')
                self.right.put('relay', '1', 'on')
        for parameters in ({'plug': 'n'}, {'plug': 'n10'}, {'plug': '1,5', 'nodename': 'n1'}, {},
                           {'plug': ''}, {'nodename': 'n1.example.org'}):
            with self.subTest(parameters):
                self.shoot('off', 1, **parameters)
                self.assertEqual(self.power(), ('on', 'on'))

    def test_alias_of_another_node(self):
        """The cluster means one node and its map says another: nobody may be believed dead."""
        nodes = {'n1': ['left:1', 'right:1'], 'n3': ['left:3', 'right:3']}
        self.configure([self.left, self.right], nodes)
        p = self.shoot('off', 1, plug='n3', nodename='n1')
        self.assertIn('another node', p.stderr)
        self.assertEqual(self.left.sets() + self.right.sets(), [])
        self.shoot('off', plug='n3', nodename='node-three')
        self.assertEqual(self.left.relays('1', '3'), ['on', 'off'])

    def test_reboot(self):
        """What a reboot is, is the policy; the default is off."""
        self.shoot('reboot', plug='n1')
        self.assertEqual(self.power(), ('off', 'off'))
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       node_keys={'policy': 'cycle'})
        self.agent_says(f'config={self.config}\nnodename=n1\n')  # no action is one, too
        self.assertEqual(self.power(), ('on', 'on'))
        self.assertEqual([c for _, c in self.left.sets() if c != 'cancel'], ['off', 'off', 'on'])

    def test_reboot_that_stays_off(self):
        """A success, but a loud one."""
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       node_keys={'policy': 'cycle'}, **{'on-pause': 3000})
        shot = []
        t = threading.Thread(target=lambda: shot.append(
            self.shoot('reboot', plug='n1', power_timeout=10)))
        t.start()
        xtest.wait_for(lambda: self.power() == ('off', 'off'), 'off')
        self.right.put('stuck', '1')
        t.join()
        self.assertIn('error: n1 was off, but is not certain to be on again: right:1',
                      shot[0].stderr)

    def test_partly(self):
        self.right.put('stuck', '1')
        p = self.shoot('off', 1, plug='n1', power_timeout=3)
        self.assertIn('right:1: on', p.stderr)
        self.assertNotIn('left:1', p.stderr)
        self.shoot('status', 0, plug='n1')
        self.right.drop('stuck', '1')
        self.right.freeze()
        p = self.shoot('off', 1, plug='n1', power_timeout=3)
        self.assertIn('right:1: no answer', p.stderr)
        p = self.shoot('status', 1, plug='n1', power_timeout=2)
        self.assertIn('right:1', p.stderr)

    def test_gives_up_early(self):
        """With nothing said, a third of what clusters allow (60 s): they may try again."""
        del self.general['deadline']
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']})
        self.right.stop()
        self.shoot('off', 1, plug='n1')
        self.assertLess(self.lines()[-1]['ms'], 60000 * 0.7)
        self.assertGreaterEqual(self.lines()[-1]['ms'], 20000)

    def test_not_everybody(self):
        """Whom may this host's cluster software shoot?"""
        self.assertIn('does not shoot itself', self.shoot('off', 1, plug='n2').stderr)
        self.general['self'] = 'n1'
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']})
        self.assertIn('does not shoot itself', self.shoot('reboot', 1, plug='n1').stderr)
        self.general['self'] = 'n2'
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       node_keys={'policy': 'off'})
        text = xtest.text_of(self.config).replace('shooters', '# shooters')
        with open(self.config, 'w') as f:
            f.write(text)
        self.assertIn('not among its shooters', self.shoot('off', 1, plug='n1').stderr)
        # What would be refused on the day is found by the monitor.
        self.assertIn('not among its shooters', self.shoot('monitor', 1).stderr)
        self.assertEqual(self.left.sets() + self.right.sets(), [])
        self.check_log(*['refused'] * 3)

    def test_monitor(self):
        self.shoot('monitor')
        self.assertEqual(set(self.left.sets()), {('1', 'cancel')})
        for knob in ('read-only', 'silent'):
            with self.subTest(knob):
                self.right.put(knob)
                self.assertIn('right:1', self.shoot('monitor', 1).stderr)
                self.right.drop(knob)
        xtest.wait_for(lambda: self.shoot('monitor', None).returncode == 0, 'well again')
        self.assertEqual(self.power(), ('on', 'on'))
        self.assert_never('off', self.left, self.right)

    def test_lists(self):
        """Those whom this host may shoot; a fencer asks for no others then."""
        self.assertEqual(self.shoot('list').stdout, 'n1,n1\n')
        self.assertEqual(self.shoot('list', separator=';').stdout, 'n1;n1\n')
        self.assertEqual(self.shoot('list-status').stdout, 'n1,n1,on\n')
        self.left.put('relay', '1', 'off')
        self.right.put('relay', '1', 'off')
        self.assertEqual(self.shoot('list-status').stdout, 'n1,n1,off\n')
        self.right.stop()
        self.assertEqual(self.shoot('list-status').stdout, 'n1,n1,unknown\n')

    def test_validate(self):
        self.shoot('validate-all')
        self.shoot('validate-all', plug='n1')
        self.shoot('validate-all', 1, plug='n7')
        self.shoot('validate-all', 1, power_timeout='soon')
        self.shoot('validate-all', 1, power_timeout=3, delay=5)
        with open(self.config, 'a') as f:
            f.write('pdu "left" { timeout = "x" }\n')
        self.assertIn('time-out', self.shoot('validate-all', 1).stderr)
        self.assertEqual(self.left.sets(), [])

    def test_numbers(self):
        """A wrong one is a failure before anything is done."""
        for name in ('power_timeout', 'power_wait', 'delay'):
            for value in ('-1', '1.5', '3s', '601', '99999999999999999999'):
                self.shoot('off', 1, plug='n1', **{name: value})
        self.assertEqual(self.left.sets(), [])
        self.shoot('off', plug='n1', power_timeout='', delay='')

    def test_delay(self):
        self.shoot('off', plug='n1', delay=1)
        self.assertGreaterEqual(self.lines()[-1]['ms'], 1000)

    def test_unknown_parameters(self):
        """Neither what clusters add nor a typing error stops a shot."""
        p = self.agent_says(f'''# from a cluster
            action=off\n\nnodeid=1\nnodename=n1\npcmk_delay_max=5\nlogin_timeout=5
            some_timeout=9\nthis is no parameter\nconfig={self.config}''')
        self.assertEqual(self.power(), ('off', 'off'))
        self.assertIn('some_time-out', p.stderr)
        self.assertIsNone(re.search(CLUSTER_WORDS, p.stderr), p.stderr)

    def test_bad_input(self):
        for text in ('action=off\nplug=n1\0\n', 'x' * 70000):
            self.agent_says(text, 1)
        p = self.agent('explode', 1, config=self.config, plug='n1')
        self.assertIn('unsupported action', p.stderr)
        self.assertEqual(self.left.sets(), [])

    def test_bad_configuration(self):
        for text in ('node "n1" {', 'node "n1" { outlets = {"up:1"} }', ''):
            with open(self.config, 'w') as f:
                f.write(text)
            for action in ('off', 'monitor', 'list', 'status'):
                self.shoot(action, 1, plug='n1')
        os.unlink(self.config)
        self.shoot('off', 1, plug='n1')

    def test_options(self):
        """The same by a command line."""
        config = f'--config={self.config}'
        self.agent_argv('-o', 'off', '-n', 'n1', config, '--reason=by hand')
        self.assertEqual(self.power(), ('off', 'off'))
        self.assertEqual(self.lines()[0]['reason'], 'by hand')
        self.agent_argv('--action=STATUS', '--plug', 'N1', config, status=2)
        self.agent_argv('-o', 'on', '-n', 'n1', config)
        self.agent_argv('-o', 'status', '-n', 'n1', config)
        self.agent_argv('-o', 'monitor', config)
        self.assertEqual(self.agent_argv('-o', 'list', '-C', ' ', config).stdout, 'n1 n1\n')
        self.assertEqual(self.agent_argv('-o', 'monitor', '-q', config).stderr, '')
        for args in (['off', 'n1'], ['--bogus'], ['-o']):
            self.agent_argv(*args, status=1)
        self.assertIn('Usage', self.agent_argv('--help').stdout)
        self.assertIn('fence_xnbd', self.agent_argv('-V').stdout)

    def test_metadata(self):
        self.require('xmllint')
        texts = {self.agent(action).stdout for action in ('metadata', 'meta-data')}
        texts.add(self.agent_argv('-o', 'metadata').stdout)
        self.assertEqual(len(texts), 1)
        xml = self.path('metadata.xml')
        with open(xml, 'w') as f:
            f.write(texts.pop())
        self.run_cmd('xmllint', '--noout', '--relaxng', SCHEMA, xml)
        self.assertIn('--power-timeout', self.agent('manpage').stdout)

    def test_dead_streams(self):
        """Nobody listens, and nobody is there: the shot goes on."""
        lines = f'action=off\nplug=n1\nconfig={self.config}\n'
        shot = subprocess.Popen([*self.host.prefix, xtest.program('fence_xnbd')],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        for stream in (shot.stdout, shot.stderr):
            stream.close()
        shot.stdin.write(f'unknown=1\n{lines}')
        shot.stdin.close()
        self.assertEqual(shot.wait(60), 0)
        self.assertEqual(self.power(), ('off', 'off'))
        self.shoot('on', plug='n1')
        self.checked(['sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh', *self.host.prefix,
                      xtest.program('fence_xnbd'), '-o', 'off', '-n', 'n1',
                      f'--config={self.config}'], 0)
        self.assertEqual(self.power(), ('off', 'off'))


class Direct(Case):
    """Parameters that name a PDU: what other agents' command lines become."""

    def setUp(self):
        super().setUp()
        self.log = stonith_agents.AUDIT

    def test_old_command_line(self):
        """Without a profile it is the one that the PDU's sysObjectID belongs to."""
        for family in ('apc-rpdu', 'apc-rpdu2', 'apc-masterswitch', 'apc-msp', 'raritan-px2'):
            with self.subTest(family):
                pdu = self.pdu(family, family)
                key = pdu.family.keys[1]
                line = ['-a', pdu.address, '-n', key, '-c', stonith_fixture.COMMUNITY, '-d', '2c',
                        '--power-wait=0']
                self.agent_argv(*line, '-o', 'off')
                self.assertEqual(pdu.relay(key), 'off')
                self.agent_argv(*line, '-o', 'status', status=2)
                self.agent_argv(*line, '-o', 'on')
                self.assertEqual(pdu.relays(), ['on'] * 8)
                self.agent_argv(*line)  # reboot
                self.assertEqual([c for k, c in pdu.sets() if k == key and c != 'cancel'],
                                 ['off', 'on', 'off', 'on'])

    def test_families_that_cannot_be_told(self):
        pdu = self.pdu('p', 'tripplite')
        p = self.agent('off', 1, **self.direct(pdu, plug='1'))
        self.assertIn('several profiles', p.stderr)
        self.agent('off', profile='tripplite', **self.direct(pdu, plug='1'))
        stranger = self.pdu('q', system='8072.3.2.10')
        p = self.agent('off', 1, **self.direct(stranger, plug='1'))
        self.assertIn('8072.3.2.10', p.stderr)
        self.agent('off', 1, profile='apc-rpdu', power_timeout=3, power_wait=0,
                   ip=stranger.address, community=stonith_fixture.COMMUNITY, plug='1')
        self.assertEqual(stranger.sets(), [])

    def test_several_outlets(self):
        pdu = self.pdu('p')
        self.agent('off', **self.direct(pdu, plug='1, 5', nodename='n1'))
        self.assertEqual([k for k in '12345678' if pdu.relay(k) == 'off'], ['1', '5'])
        self.agent('status', 2, **self.direct(pdu, port='1;5', plug_separator=';'))
        self.agent('status', 0, **self.direct(pdu, plug='1,2'))
        victims = {e['victim'] for e in self.lines()}
        self.assertEqual(victims, {f'{pdu.address}_1__5'})
        pdu.put('stuck', '2')
        p = self.agent('off', 1, power_timeout=2, **self.direct(pdu, plug='2,3'))
        self.assertIn('pdu:2: on', p.stderr)

    def test_not_ourselves(self):
        pdu = self.pdu('p')
        for name in (socket.gethostname(), socket.gethostname().split('.')[0].upper()):
            p = self.agent('reboot', 1, **self.direct(pdu, plug='1', nodename=name))
            self.assertIn('does not shoot itself', p.stderr)
        self.assertEqual(pdu.sets(), [])

    def test_unit(self):
        pdu = self.pdu('p', 'eaton-g3')
        self.agent('off', **self.direct(pdu, plug='3', switch='0'))
        self.assertEqual(pdu.relay('0.3'), 'off')

    def test_version_3(self):
        pdu = self.pdu('p', auth='SHA', priv='AES')
        login = {'ip': pdu.address, 'snmp_version': '3', 'username': stonith_fixture.USER,
                 'snmp_auth_prot': 'SHA', 'snmp_priv_prot': 'AES', 'power_wait': 0, 'plug': '1'}
        script = self.path('script')
        with open(script, 'w') as f:
            f.write(f'#!/bin/sh\necho run >> {self.path("runs")}\necho {stonith_fixture.PRIV}\n')
        os.chmod(script, 0o755)
        self.agent('off', passwd=stonith_fixture.AUTH, snmp_priv_passwd_script=script, **login)
        self.assertEqual(pdu.relay('1'), 'off')
        self.assertEqual(xtest.text_of(self.path('runs')), 'run\n')
        for wrong in ({'snmp_priv_passwd_script': '/bin/false'}, {'snmp_sec_level': 'most'},
                      {'snmp_priv_passwd': 'short'}, {}, {'snmp_priv_passwd': 'wrong-pass-word'}):
            p = self.agent('on', 1, password=stonith_fixture.AUTH, power_timeout=3, **wrong,
                           **login)
            self.assertNotIn('/proc/', p.stderr)
            if wrong.get('snmp_priv_passwd') == 'short':
                self.assertIn('error: snmp_priv_passwd: has fewer than 8 bytes', p.stderr)
        self.assertEqual(pdu.relay('1'), 'off')

    def test_wrong(self):
        pdu = self.pdu('p')
        for wrong in ({'plug': ''}, {'plug': ','}, {'plug': '1,1'}, {'plug': 'n1'}, {'plug': '0x1'},
                      {'plug': '1' * 70}, {'plug': '1'}):
            more = {'ip': 'pdu.example.org'} if wrong == {'plug': '1'} else {}
            p = self.agent('off', 1, **{**self.direct(pdu), **more, **wrong})
            self.assertIsNone(re.search(CLUSTER_WORDS, p.stderr), p.stderr)
        for name, value in (('ipport', '99999'), ('snmp_version', '4'), ('shell_timeout', '0'),
                            ('plug', 'n1'), ('ip', 'pdu.example.org')):
            p = self.agent('off', 1, **{**self.direct(pdu, plug='1', power_wait=0), name: value})
            self.assertRegex(p.stderr, f'^fence_xnbd: error: {name}[=:]'.replace('timeout', 'time-out'))
            self.assertLessEqual(p.stderr.count('\n'), 2, p.stderr)
        for wrong in ({'ipport': '99999'}, {'snmp_version': '4'}, {'shell_timeout': 'x'},
                      {'community': 'c\nplug=2'.replace('\n', '\x01')}, {'profile': 'ap79'}):
            p = self.agent('off', 1, **{**self.direct(pdu, plug='1', power_timeout=3), **wrong})
            self.assertIsNone(re.search(CLUSTER_WORDS, p.stderr), p.stderr)
        self.assertEqual(pdu.sets(), [])

    def test_dead(self):
        pdu = self.pdu('p')
        pdu.stop()
        p = self.agent('off', 1, power_timeout=3, **self.direct(pdu, plug='1'))
        self.assertIn(pdu.address, p.stderr)
        self.assertIsNone(re.search(CLUSTER_WORDS, p.stderr), p.stderr)

    def test_monitor(self):
        """A cluster names no outlet then: the PDU's first one is tried, without switching it."""
        for family in ('apc-rpdu', 'eaton-g3', 'sentry4'):
            with self.subTest(family):
                pdu = self.pdu(family, family)
                self.agent('monitor', **self.direct(pdu))
                self.agent('validate-all', **self.direct(pdu))
                self.assert_never('off', pdu)
                pdu.put('read-only')
                if pdu.has_cancel():
                    self.agent('monitor', 1, **self.direct(pdu))
        self.assertIn('pcmk_host_map', self.agent('list', 1, **self.direct(pdu)).stderr)

    def test_nothing_is_left(self):
        """No files with secrets."""
        pdu = self.pdu('p')
        before = set(os.listdir('/run')), set(os.listdir('/dev/shm')), set(os.listdir('/tmp'))
        self.agent('off', **self.direct(pdu, plug='1'))
        for folder, names in zip(('/run', '/dev/shm', '/tmp'), before):
            new = set(os.listdir(folder)) - names - {'xnbd-stonith'}
            self.assertFalse([n for n in new if 'fence' in n], folder)


if __name__ == '__main__':
    xtest.main(at_once=4)
