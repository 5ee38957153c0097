# SPDX-License-Identifier: GPL-2.0-or-later
"""The cluster agents: ocf-tester, metadata, exit codes, words for heartbeat, and every step of an
agent as its last. Volume groups need a kernel of their own: tests/vm/test_vg_agent.py; how clients
are held: test_agent_block.py."""

import glob
import os
import sys
import xml.etree.ElementTree as xml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import agents  # noqa: E402
import xtest  # noqa: E402
from agents import ARGS, CONFIGURED, GENERIC, INSTALLED, NOT_RUNNING, UNIMPLEMENTED  # noqa: E402

SCHEMAS = '/usr/share/resource-agents'
BLOCK = {'action': 'block', 'ip': '192.0.2.1', 'portno': '10809,2049'}
NO_PROGRAM = {'OCF_TESTER_FAIL_HAVE_BINARY': '1'}  # resource-agents then finds none


class Rules(agents.Case):
    """What holds for all of them."""

    def test_metadata(self):
        self.require('xmllint')
        for kind in agents.KINDS:
            text = self.run_cmd(f'{self.ocf}/{kind}', 'meta-data')
            self.run_cmd('xmllint', '--noout', '--valid', '-', input=text, cwd=SCHEMAS)
            tree = xml.fromstring(text)
            self.assertEqual(tree.get('name'), kind)
            actions = {a.get('name') for a in tree.iterfind('actions/action')}
            self.assertLessEqual({'start', 'stop', 'monitor', 'meta-data', 'validate-all'}, actions)
            self.assertEqual('reload-agent' in actions, kind == 'wrapper')
            self.check_defaults(kind, tree)

    def check_defaults(self, kind, tree):
        """Parameters are those that the agent reads, with the same defaults."""
        script = (f'. "$1/lib_{kind}.sh"; {kind}_defaults; set | sed -n '
                  '"s/^OCF_RESKEY_\\([a-z_]*\\)=/\\1=/p"')
        said = self.run_cmd('sh', '-c', script, 'sh', self.ocf, env={'LC_ALL': 'C'})
        read = dict(line.split('=', 1) for line in said.splitlines())
        read = {k: v.strip("'") for k, v in read.items() if not k.startswith('CRM')}
        told = {p.get('name'): p.find('content').get('default', '')
                for p in tree.iterfind('parameters/parameter')}
        read.update(node='' if kind == 'vg' else read.get('node', ''))  # that of this machine
        read = {k: v for k, v in read.items() if k in told or v}
        self.assertEqual(read, told)

    def test_wrong_parameters(self):
        """It is the same on all nodes: 6, and the text names the parameter."""
        vg = {'volgrpname': 'vg0'}
        sm = {'name': 'nfs', 'folder': '/srv/nfs'}
        for kind, good, wrong in (
                ('block', BLOCK, {'action': 'drop', 'ip': '10.0.0.0/8', 'portno': '0',
                                  'protocol': 'sctp', 'deadline': '3601'}),
                ('block', BLOCK, {'action': '', 'ip': 'a; flush ruleset', 'portno': '',
                                  'deadline': '-1'}),
                ('block', BLOCK, {'portno': '10809 2049', 'deadline': '99999999999999999999'}),
                ('block', BLOCK, {'portno': 'nfs', 'ip': 'abcd', 'deadline': '060'}),
                ('block', BLOCK, {'portno': '80,0111', 'ip': '192.0.2.256'}),
                ('block', BLOCK, {'ip': 'fe80::1%eth0'}), ('block', BLOCK, {'ip': '192.0.2'}),
                ('vg', vg, {'volgrpname': '', 'snapshot_tag': 'a b', 'cluster': 'x'}),
                ('vg', vg, {'volgrpname': '../x', 'snapshot_tag': '-a'}),
                ('vg', vg, {'volgrpname': '@tag'}),
                ('wrapper', {}, {'config': 'xnbd.conf', 'socket': 'run/ctl'}),
                ('confsync', {}, {'config': 'confsync.conf'}),
                ('smnotify', sm, {'name': '-x', 'folder': 'nfs', 'minutes': 'ten'})):
            for key, value in wrong.items():
                a = self.agent(kind, **{**good, key: value})
                self.assertIn(f'{key}', a.start(CONFIGURED))
                a.run('validate-all', CONFIGURED)
                a.stop()  # or the node is fenced for a typing error

    def test_not_installed(self):
        given = {'block': BLOCK, 'vg': {'volgrpname': 'no-such-vg'},
                 'smnotify': {'name': 'nfs', 'folder': '/srv/nfs'}}
        for kind in agents.KINDS:
            a = self.agent(kind, **given.get(kind, {}))
            self.assertIn('not installed', a.start(INSTALLED, **NO_PROGRAM))
            p = a.run('monitor', None, OCF_RESKEY_CRM_meta_interval='0', **NO_PROGRAM)
            self.assertIn(p.returncode, (INSTALLED, NOT_RUNNING))
            a.stop(**NO_PROGRAM)  # as is tried after each start that failed

    def test_no_place_for_marks(self):
        """A start that cannot note itself fails, and says why."""
        for action in ('block', 'unblock'):
            a = self.agent('block', **{**BLOCK, 'action': action})
            mark = f'{self.agent_env["HA_RSCTMP"]}/xnbd-block-block'
            os.makedirs(mark)
            self.assertIn(f'{mark} cannot be written', a.start(GENERIC))
            self.assertIn('cannot be removed', a.stop(None).stderr)
            os.rmdir(mark)
            a.stop()
        self.agent('block', **BLOCK).stop()
        self.assertEqual(self.tables(), [])

    def test_unknown_actions(self):
        for kind in agents.KINDS:
            for action in ('promote', 'notify', 'migrate_to', ''):
                self.assertEqual(self.agent(kind).run(action, None).returncode, UNIMPLEMENTED)
            if kind != 'wrapper':
                p = self.agent(kind).run('reload-agent', None)
                self.assertEqual(p.returncode, UNIMPLEMENTED)
            self.agent(kind).heartbeat('promote', status=ARGS)

    def test_shell(self):
        self.require('shellcheck')
        files = glob.glob(f'{agents.SCRIPTS}/ocf/*') + glob.glob(f'{agents.SCRIPTS}/heartbeat/*')
        self.run_cmd('shellcheck', '-x', '-s', 'sh', *files, cwd=os.path.dirname(agents.SCRIPTS))


class Block(agents.Case):

    def test_tester(self):
        for action in ('block', 'unblock'):
            self.agent('block', **{**BLOCK, 'action': action}).tester()
        self.assertFalse(self.is_held() and self.agent('block', **BLOCK).stop())

    def test_words(self):
        a, where = self.agent('block'), ('192.0.2.1', '10809')
        for action in ('block', 'unblock'):
            self.assertEqual(a.heartbeat(action, *where, 'status'), 'stopped\n')
            a.heartbeat(action, *where, '30', 'start')
            self.assertEqual(a.heartbeat(action, *where, 'status'), 'running\n')
        self.assertFalse(self.is_held())
        for action in ('unblock', 'block'):
            a.heartbeat(action, *where, 'stop')
            self.assertEqual(a.heartbeat(action, *where, 'status'), 'stopped\n')
            self.assertEqual(self.is_held(), action == 'unblock')
        self.assertEqual(self.tables(), [])

    def test_near_names(self):
        """Addresses and ports of two services, which look the same one behind the other."""
        one, two = (self.agent('block', f'r{n}', action='block', ip=ip, portno=ports)
                    for n, (ip, ports) in enumerate((('fd00::1', '3,4'), ('fd00::1:3', '4'))))
        one.start()
        two.start()
        self.assertEqual(len(self.tables()), 2)
        two.stop()
        self.assertEqual(len(self.tables()), 1)
        self.agent('block', 'last', action='unblock', ip='FD00::1', portno='3,4').start()
        self.assertEqual(self.tables(), [])

    def test_killed(self):
        a = self.agent('block', **BLOCK)
        self.kill_at_every_step(a, lambda: self.assertEqual(self.tables(), []))

    def test_unblock_killed(self):
        """A stop that is cut short may leave clients held; that of "block" releases them."""
        a = self.agent('block', 'last', **{**BLOCK, 'action': 'unblock'})
        first = self.agent('block', 'first', **BLOCK)

        def check():
            first.stop()
            self.assertEqual(self.tables(), [])
        self.kill_at_every_step(a, check)


class Confsync(agents.Case):
    """Here only what the agent makes of the program's answers; both: test_agent_confsync.py."""

    def answer(self, status):
        self.program('xnbd-confsync', f'[ "$*" = "status --precondition" ] || exit 9\n'
                                      f'echo "set nbd: answer {status}"; exit {status}')

    def test_tester(self):
        self.answer(0)
        self.agent('confsync').tester()

    def test_killed(self):
        self.answer(0)
        self.kill_at_every_step(self.agent('confsync'), lambda: None)

    def test_answers(self):
        a = self.agent('confsync')
        for status, code in ((1, GENERIC), (2, ARGS), (7, GENERIC)):
            self.answer(status)
            self.assertIn(f'answer {status}', a.start(code))
            a.monitor(NOT_RUNNING)
        self.answer(0)
        a.start()
        self.answer(1)
        a.start()  # it serves already
        a.monitor()
        a.stop()
        a.monitor(NOT_RUNNING)
        self.assertEqual(a.heartbeat('status'), 'stopped\n')
        a.heartbeat('start', status=GENERIC)
        self.answer(0)
        a.heartbeat('start')
        self.assertEqual(a.heartbeat('status'), 'running\n')
        a.heartbeat('stop')
        self.assertEqual(a.heartbeat('status'), 'stopped\n')

    def test_two_in_heartbeat(self):
        """Groups with a configuration each: one does not answer for the other."""
        self.program('xnbd-confsync', 'case $1 in *old) exit 1 ;; esac')
        a = self.agent('confsync')
        a.heartbeat('/etc/new', 'start')
        self.assertEqual(a.heartbeat('/etc/old', 'status'), 'stopped\n')
        a.heartbeat('/etc/old', 'start', status=GENERIC)
        a.heartbeat('/etc/old', 'stop')
        self.assertEqual(a.heartbeat('/etc/new', 'status'), 'running\n')


if __name__ == '__main__':
    xtest.main(at_once=4)
