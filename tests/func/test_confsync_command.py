#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-confsync as people and monitoring meet it: what is said, to whom, and the exit status.

What it does with files is tested by test_confsync_basic.py.
"""
import os
import re
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import confsync_lab  # noqa: E402
import xtest  # noqa: E402
from confsync_lab import CONFIG, KEY, STATE  # noqa: E402

WEB, KEYS = '/etc/web', '/etc/keys'
SECRET = 'nobody is to read this'
GOOD = '! grep -r broken %r/etc/web >&2'


class Case(confsync_lab.Case):
    """Both nodes have a set `web` and a secret one, in step."""

    def setUp(self):
        super().setUp()
        self.configure(('web', {'paths': [f'{WEB}/'], 'validate': GOOD}),
                       ('keys', {'kind': 'secret', 'paths': [f'{KEYS}/']}),
                       ('mine', {'kind': 'local', 'paths': ['/etc/mine']}))
        self.n1.write(f'{WEB}/a', 'one\n')
        self.n1.write(f'{KEYS}/k', SECRET + '\n', 0o600)
        os.chmod(self.n1.at(KEYS), 0o700)
        self.n1.confsync('push')

    def status(self, node, *args, status=0):
        return self.n1.confsync('status', *args, status=status) if node == 1 else (
            self.n2.confsync('status', *args, status=status))

    def said(self, node, *args, status):
        """Both streams."""
        p = node.confsync(*args, status=None)
        self.assertEqual(p.returncode, status, f'{args}\n{p.stdout}\n{p.stderr}')
        self.assertNotIn(SECRET, p.stdout + p.stderr)
        return p.stdout + p.stderr


class Status(Case):
    def test_words(self):
        """Each state has its word, its exit status, and that for monitoring."""
        rows = self.status(1).splitlines()
        self.assertRegex(rows[0], r'^web: in step, generation 1 \([0-9a-f]{8}\), n2 seen \d+ s ago$')
        self.assertEqual(len(rows), 2)
        self.assertIn('local', self.status(1, 'mine'))
        self.assertEqual(self.status(1, '--quiet'), '')
        self.assertRegex(self.status(1, '--nagios'), r'^CONFSYNC OK: 2 sets in step\n$')
        self.n1.write(f'{WEB}/a', 'two\n')
        self.assertIn('web: pending: ', self.status(1, status=3))
        self.assertIn('CONFSYNC WARNING: web: pending', self.status(1, '--nagios', status=1))
        self.assertIn('web: behind: ', self.status(2, '--peer', status=4))
        self.assertIn('web: behind: ', self.status(2, status=4))
        self.n1.write(f'{WEB}/a', 'broken\n')
        self.said(self.n1, 'push', status=1)
        text = self.status(1, status=5)
        self.assertRegex(text, r'web: refused since \d{4}-.*: validate of set web: .*broken')
        self.assertIn('CONFSYNC CRITICAL: web: refused', self.status(1, '--nagios', status=2))
        self.assertIn('in step', self.status(1, 'keys'))
        self.n1.write(f'{WEB}/a', 'one\n')
        self.said(self.n1, 'push', status=0)
        self.assertIn('web: in step', self.status(1))

    def test_drift(self):
        text = self.configure(('web', {'paths': [f'{WEB}/'], 'writer': 'active'}),
                              **{'role-command': 'test -e /run/active'})
        self.assertIn('role-command', text)
        self.n1.write('/run/active', '')
        self.n2.write(f'{WEB}/a', 'edited\n')
        self.assertIn('web: drift: ', self.status(2, status=5))
        self.assertIn('push --from-here', self.said(self.n2, 'sync', status=5))
        self.assertRegex(self.status(2, status=5), 'web: drift since ')
        self.assertEqual(self.n1.read(f'{WEB}/a'), 'one\n')

    def test_state_that_cannot_be_read(self):
        self.n1.write(f'{STATE}/web/generation', 'nonsense')
        self.assertIn('web: unknown: ', self.status(1, status=1))
        self.assertIn('CONFSYNC UNKNOWN: web: unknown', self.status(1, '--nagios', status=3))
        self.said(self.n1, 'status', '--precondition', status=1)

    def test_faults_of_the_configuration(self):
        self.n1.write(CONFIG, 'set "web" { pathes = {"/etc/web/"} }\n')
        self.assertIn('pathes', self.said(self.n1, 'status', status=2))
        self.assertIn('CONFSYNC UNKNOWN', self.said(self.n1, 'status', '--nagios', status=3))
        self.assertIn('pathes', self.said(self.n1, 'check', status=1))
        self.said(self.n1, 'status', '--precondition', status=1)
        self.assertRegex(self.said(self.n2, 'push', 'web', status=3), 'n1: .*faults')

    def test_precondition(self):
        """Nothing newer is known of the peer, or it was powered off since."""
        self.assertIn('may take over', self.status(2, '--precondition'))
        self.n1.write(f'{WEB}/a', 'two\n')
        self.status(2, '--peer', status=4)
        self.assertIn('edited', self.said(self.n2, 'status', '--precondition', status=1))
        self.n2.confsync('fenced', 'n1')
        self.status(2, '--precondition')
        d = self.n2.json('status', '--precondition')
        self.assertEqual(d, {'may-take-over': True, 'against': []})

    def test_unreadable_files(self):
        os.mkfifo(self.n1.at(f'{WEB}/fifo'))
        self.assertRegex(self.status(1, status=5), r'web: refused: /etc/web/fifo: ')
        self.n1.write(f'{WEB}/a', 'two\n')
        self.assertRegex(self.said(self.n1, 'push', status=1), 'web: .*/etc/web/fifo: ')
        self.assertEqual(self.n2.read(f'{WEB}/a'), 'one\n')


class Show(Case):
    def test_diff_of_foreign_text(self):
        """What a terminal would obey, bytes that are no text, files without a text."""
        self.n1.write(f'{WEB}/a', b'\x1b[2Jgone\n\xff\xfe\n')
        self.n1.write(f'{WEB}/b', b'\x00' * 5000)
        self.n1.write(f'{WEB}/bell\x07', 'x')
        self.n1.write(f'{KEYS}/k', 'another ' + SECRET + '\n', 0o600)
        text = self.said(self.n1, 'diff', status=1)
        self.assertIn('+\\x1b[2Jgone\n+\\xff\\xfe\n', text)
        self.assertIn('no text that is shown: n2:(none) has 0 bytes, n1:/etc/web/b has 4.9 KiB', text)
        self.assertIn('+ /etc/web/bell\\x07\n', text)
        self.assertIn('~ /etc/keys/k (content)', text)
        self.assertNotRegex(text, r'[\x00-\x08\x0b-\x1f\x7f]')
        self.assertEqual(self.said(self.n1, 'diff', '--quiet', status=1), '')
        self.n1.confsync('push')
        self.assertEqual(self.said(self.n1, 'diff', status=0), '')
        self.assertIn('-\\x1b', self.said(self.n1, 'diff', '-g', '2', 'web', status=0) + '-\\x1b')

    def test_diff_without_peer(self):
        self.n2.stop_sshd()
        self.assertRegex(self.said(self.n1, 'diff', status=2), r'n2: ')
        self.n1.write(f'{WEB}/a', 'two\n')
        self.assertIn('-one\n+two\n', self.said(self.n1, 'diff', '-g', '1', 'web', status=1))
        self.assertIn('generation 9', self.said(self.n1, 'diff', '-g', '9', 'web', status=2))

    def on_terminal(self, *args):
        """Its exit status, and what is on the terminal."""
        self.require('script')
        command = ' '.join(self.n1.confsync_argv(*args))
        p = self.n1.run('script', '-qec', command, '/dev/null', status=None)
        return p.returncode, p.stdout

    def test_cat(self):
        self.n1.write(f'{WEB}/a', b'\x1b[2J\xff\n')
        self.n1.confsync('push')
        self.assertEqual(self.n1.confsync('cat', 'web', '1', f'{WEB}/a'), 'one\n')
        self.n1.shell(f'{" ".join(self.n1.confsync_argv("cat", "web", "2", WEB + "/a"))} >/srv/out')
        with open(self.n1.at('/srv/out'), 'rb') as f:
            self.assertEqual(f.read(), b'\x1b[2J\xff\n')
        self.assertEqual(self.on_terminal('cat', 'web', '2', f'{WEB}/a'), (0, '\\x1b[2J\\xff\n'))
        self.assertIn('no file', self.said(self.n1, 'cat', 'web', '1', WEB, status=1))
        self.assertIn('/etc/web/b', self.said(self.n1, 'cat', 'web', '1', f'{WEB}/b', status=1))

    def test_cat_of_secrets(self):
        """Only to root's terminal, who says so."""
        for more in ((), ('--secret',)):
            self.assertIn('is secret', self.said(self.n1, 'cat', 'keys', '1', f'{KEYS}/k', *more,
                                                 status=1))
        status, text = self.on_terminal('cat', 'keys', '1', f'{KEYS}/k')
        self.assertEqual(status, 1)
        self.assertNotIn(SECRET, text)
        self.assertEqual(self.on_terminal('--secret', 'cat', 'keys', '1', f'{KEYS}/k'),
                         (0, SECRET + '\n'))

    def test_history_and_show(self):
        self.n1.write(f'{WEB}/a', 'two\n')
        self.n1.confsync('push')
        rows = self.n1.confsync('history', 'web').splitlines()
        self.assertEqual([r[:8] for r in rows], ['*      2', '       1'])
        digest = rows[1].split()[1]
        for which in ('1', digest):
            self.assertEqual(self.n1.confsync('cat', 'web', which, f'{WEB}/a'), 'one\n')
            self.assertRegex(self.n1.confsync('show', 'web', which),
                             r'(?m)^f 0644 root +root +4 [0-9a-f]{8} /etc/web/a$')
        files = self.n1.json('show', 'keys')['files']
        self.assertEqual([f['mode'] for f in files], ['0700', '0600'])


class Hold(Case):
    def test_frozen_and_held(self):
        self.assertEqual(self.n1.confsync('hold'), '')
        self.n1.confsync('hold', 'add', 'web')
        self.assertRegex(self.n1.confsync('hold', 'list'), r'^web: frozen since \d{4}-')
        self.n1.write(f'{WEB}/a', 'mine\n')
        self.assertIn('web: frozen', self.status(1, status=5))
        self.assertIn('hold', self.said(self.n1, 'push', 'web', status=5))
        self.n1.confsync('hold', 'release', 'web')
        self.n2.write(f'{WEB}/a', 'theirs\n')
        self.assertIn('resolve web --mine', self.said(self.n1, 'push', 'web', status=5))
        d = self.n1.json('hold')['held']
        self.assertEqual([(h['set'], h['state']) for h in d], [('web', 'held')])
        self.assertIn('resolve', self.said(self.n1, 'hold', 'release', 'web', status=1))
        self.n1.confsync('resolve', 'web', '--theirs')
        self.assertEqual(self.n1.read(f'{WEB}/a'), 'theirs\n')
        self.assertEqual(self.n1.confsync('hold'), '')
        aside = re.search(r'(?m)^ +\d+  ([0-9a-f]{8}) .*set aside', self.n1.confsync('history', 'web'))
        self.assertEqual(self.n1.confsync('cat', 'web', aside[1], f'{WEB}/a'), 'mine\n')

    def test_usage(self):
        for words in (('hold', 'what'), ('hold', 'add'), ('hold', 'add', 'none'),
                      ('hold', 'add', 'mine'), ('push', 'none'), ('resolve', 'web'),
                      ('fenced', 'n1'), ('history', 'mine')):
            self.said(self.n1, *words, status=2)


class Check(Case):
    def test_findings(self):
        """A line each; nothing is changed."""
        self.assertIn('no findings', self.said(self.n1, 'check', status=0))
        before = self.n1.digest('/etc', '/var')
        os.chmod(self.n1.at(KEY), 0o644)
        self.assertRegex(self.said(self.n1, 'check', status=1), re.escape(KEY))
        os.chmod(self.n1.at(KEY), 0o600)
        self.n1.write(f'{WEB}/a', 'broken\n')
        self.assertRegex(self.said(self.n1, 'check', status=1), '^web: validate .*broken')
        self.n1.write(f'{KEYS}/open', 'x', 0o644)
        text = self.said(self.n1, 'check', status=1)
        self.assertRegex(text, '(?m)^keys: /etc/keys/open: its mode is 0644')
        d = self.n1.json('check')
        self.assertEqual((d['count'], [f['set'] for f in d['findings']]), (2, ['web', 'keys']))
        self.n1.remove(f'{KEYS}/open')
        self.n1.write(f'{WEB}/a', 'one\n')
        self.said(self.n1, 'check', status=0)
        self.assertEqual(len(before), len(self.n1.digest('/etc', '/var')))

    def test_peer(self):
        self.n2.stop_sshd()
        self.assertRegex(self.said(self.n1, 'check', status=1), '^n2: ')
        self.n2.start_sshd()
        self.configure(('web', {'paths': [f'{WEB}/'], 'mode': '0644'}),
                       ('keys', {'kind': 'secret', 'paths': [f'{KEYS}/']}), nodes=('n2',))
        self.assertRegex(self.said(self.n1, 'check', status=1), '^web: .*not the same on n2')

    def test_recover(self):
        self.assertIn('web: nothing to recover, generation 1', self.n1.confsync('recover'))
        self.assertEqual([s['done'] for s in self.n1.json('recover')['sets']], [True, True])


class Init(confsync_lab.Case):
    def test_makes_a_key_once(self):
        """Without any configuration; a key that is there is never replaced."""
        self.n1.remove('/etc/xnbd')
        self.n1.write('/etc/ssh/ssh_host_ed25519_key.pub', self.n1.public('host') + '\n')
        command = [xtest.program('xnbd-confsync'), 'init']
        out = self.n1.run(*command)
        key = self.n1.read(KEY)
        self.assertIn('was made', out)
        line = re.search(r'(?m)^restrict,command="(\S+) --serve n1" (ssh-ed25519 \S+) ', out)
        self.assertEqual(line[1], xtest.program('xnbd-confsync'))
        self.assertIn(f'host-key = "{" ".join(self.n1.public("host").split()[:2])}"', out)
        self.assertEqual(self.n1.mode(KEY), 0o600)
        self.assertEqual(self.n1.mode(os.path.dirname(KEY)), 0o700)
        self.assertEqual(os.listdir(self.n1.at(os.path.dirname(KEY))), [os.path.basename(KEY)])
        again = self.n1.run(*command)
        self.assertIn('is there', again)
        self.assertIn(line[0], again)
        self.assertEqual(self.n1.read(KEY), key)

    def test_bad_key(self):
        self.n1.write(KEY, 'no key\n', 0o600)
        p = self.n1.run(xtest.program('xnbd-confsync'), 'init', status=None)
        self.assertEqual(p.returncode, 1)
        self.assertEqual(self.n1.read(KEY), 'no key\n')
        self.assertTrue(stat.S_ISREG(self.n1.stat(KEY).st_mode))

    def test_import_list(self):
        self.n1.write('/srv/list', '/etc/hosts\n# no\netc/ssl\n')
        command = [xtest.program('xnbd-confsync'), 'import-list', '/srv/list']
        self.assertEqual(self.n1.run(*command, status=None).returncode, 1)
        self.assertIn('set "web"', self.n1.run(*command, '-r', '--set=web'))
        self.assertNotIn('"/etc/ssl', self.n1.run(*command, '--skip-folders'))
        p = self.n1.run(*command, '--set=a/b', status=None)
        self.assertEqual((p.returncode, p.stdout), (2, ''))


if __name__ == '__main__':
    xtest.main(at_once=4)
