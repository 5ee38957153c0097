#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two real nodes: what xnbd-confsync does in daily life, and what it says about it."""

import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import confsync_lab  # noqa: E402
import xtest  # noqa: E402
from confsync_lab import CONFIG, PATHS, STATE  # noqa: E402

DONE, FAILED, USAGE, PENDING, BEHIND, HELD = range(6)
A, B, APP = '/etc/app/a.conf', '/etc/app/b.conf', '/etc/app.conf'


class ChangesTest(confsync_lab.Case):
    def change(self, *change, status=PENDING):
        """Each on n1 by itself, which has STATUS then; pushed; the nodes are in step."""
        for number, do in enumerate(change, 2):
            do()
            self.assertEqual(self.status(self.n1)['status'], status)
            self.n1.confsync('push')
            self.app_in_step()
            self.assertEqual(self.status(self.n2)['generation'], number)

    def test_all_kinds_of_changes(self):
        self.begin()
        n = self.n1
        for node in (self.n1, self.n2):
            node.add_users(**{'alice': 2001, 'bob': 2002} if node is n else
                           {'alice': 2002, 'bob': 2001})
        self.change(lambda: n.write(A, 'a two\n'),
                    lambda: n.write('/etc/app/deep/in/it.conf', 'new\n'),
                    lambda: n.remove(B),
                    lambda: n.remove(APP),
                    lambda: os.rename(n.at(A), n.at('/etc/app/c.conf')),
                    lambda: os.chmod(n.at('/etc/app/c.conf'), 0o640),
                    lambda: n.chown('/etc/app/c.conf', 'alice'),
                    lambda: os.setxattr(n.at('/etc/app/c.conf'), 'user.lab', b'x\0y'),
                    lambda: os.chmod(n.at('/etc/app/deep'), 0o750),
                    lambda: n.remove('/etc/app/deep'))

    def test_file_becomes_folder(self):
        self.begin()
        n = self.n1

        def folder():
            n.remove(A)
            n.write(f'{A}/inner', 'x')

        def file():
            n.remove(A)
            n.write(A, 'file again')
        self.change(folder, file)

    def test_links(self):
        self.begin(symlinks='true')
        n = self.n1
        self.change(lambda: os.symlink('/nowhere', n.at('/etc/app/link')),
                    lambda: (n.remove('/etc/app/link'),
                             os.symlink('a.conf', n.at('/etc/app/link'))),
                    lambda: n.remove('/etc/app/link'))

    def test_odd_names(self):
        self.begin()
        odd = ['with space', 'new\nline', 'percent%41', 'umläut', 'b\udcff', '*?[x]', '"quoted"',
               '-dash', '\\back', 'x' * 200]
        self.change(lambda: [self.n1.write(f'/etc/app/{name}', os.fsencode(name)) for name in odd],
                    lambda: self.n1.remove('/etc/app/with space'))

    def test_nothing_left_and_back(self):
        """All files deleted is a change that nobody takes for meant until it is pushed."""
        self.begin()
        n = self.n1
        self.change(lambda: [n.remove(p) for p in PATHS], status=HELD)
        n.write(A, 'again')
        n.confsync('push')
        self.app_in_step()

    def test_large_and_empty(self):
        self.begin()
        self.change(lambda: (self.n1.write(A, os.urandom(20 * xtest.MIB)), self.n1.write(B, '')))

    def test_temporary_names_do_not_travel(self):
        self.begin()
        for name in ('.a.conf.swp', 'a.conf~', '#a.conf#', 'a.conf.dpkg-new', '.#a.conf'):
            path = f'/etc/app/{name}'
            if name == '.#a.conf':
                os.symlink('me@here.1234', self.n1.at(path))
            else:
                self.n1.write(path, 'half')
        self.assertEqual(self.status(self.n1)['state'], 'in step')
        self.n1.write(A, 'a two')
        self.n1.confsync('push')
        self.assertEqual(sorted(os.listdir(self.n2.at('/etc/app'))), ['a.conf', 'b.conf'])


class WaysTest(confsync_lab.Case):
    """push, pull, sync, who may write."""

    def test_pull(self):
        self.begin()
        self.n1.write(A, 'a two')
        self.n2.confsync('pull')
        self.app_in_step()
        self.assertEqual(self.n2.read(A), 'a two')

    def test_emptied_set_waits(self):
        """A folder that is not mounted does not empty the peer."""
        self.begin(writer='any')
        for path in PATHS:
            self.n1.remove(path)
        for node in (self.n1, self.n2):
            node.confsync('sync', status=HELD)
            self.assertEqual(self.status(node)['state'], 'held')
        self.assertEqual(self.n2.read(A), 'a one\n')
        self.n1.confsync('push')
        self.app_in_step()
        self.assertFalse(self.n2.exists(A))

    def test_push_back_and_forth(self):
        self.begin()
        for node in (self.n2, self.n1, self.n2):
            node.write(A, f'from {node.name}')
            node.confsync('push')
            self.app_in_step()

    def test_only_changed_files_travel(self):
        self.begin()
        self.n1.write('/etc/app/big', os.urandom(4 * xtest.MIB))
        self.n1.confsync('push')
        self.n1.write(A, 'a two')
        self.n1.write('/etc/app/copy', open(self.n1.at('/etc/app/big'), 'rb').read())
        (one,) = self.n1.json('push')['sets']
        self.assertEqual((one['contents'], one['bytes']), (1, 5), one)
        self.app_in_step()

    def test_sync_by_role(self):
        """The active node's changes go by themselves, whoever calls; the other one's do not."""
        self.begin(general={'role-command': 'test -e /run/active'})
        self.n1.write('/run/active', '')
        self.n1.write(A, 'a two')
        self.n2.confsync('sync')
        self.app_in_step()
        self.n2.write(B, 'edited where it is not to be')
        for node in (self.n1, self.n2):
            node.confsync('sync', status=HELD)
            self.assertEqual(self.n1.read(B), 'b one\n')
            self.assertEqual(self.n2.read(B), 'edited where it is not to be')
        self.assertEqual(self.status(self.n2)['state'], 'drift')
        self.assertEqual(self.status(self.n2)['status'], HELD)
        self.n2.confsync('push', status=HELD)  # the writer rule holds
        self.n1.remove('/run/active')
        self.n2.write('/run/active', '')
        self.n2.confsync('sync')
        self.app_in_step()
        self.assertEqual(self.n1.read(B), 'edited where it is not to be')

    def test_two_active(self):
        self.begin(general={'role-command': 'true'})
        self.n1.write(A, 'a two')
        self.n1.confsync('sync', status=HELD)
        self.assertEqual(self.n2.read(A), 'a one\n')

    def test_manual_sync_waits(self):
        self.begin(writer='manual')
        self.n1.write(A, 'a two')
        self.n1.confsync('sync', status=PENDING)
        self.assertEqual(self.n2.read(A), 'a one\n')
        self.n1.confsync('push')
        self.app_in_step()

    def test_any_writer(self):
        self.begin(writer='any')
        self.n2.write(A, 'from n2')
        self.n1.confsync('sync')
        self.n1.write(B, 'from n1')
        self.n2.confsync('sync')
        self.app_in_step()

    def test_first_contact_equal(self):
        """Nothing travels, nothing is asked."""
        self.configure(('app', {'paths': list(PATHS)}))
        for node in (self.n1, self.n2):
            node.write(A, 'the same')
        self.n1.confsync('sync')
        self.app_in_step()

    def test_dry_run(self):
        self.begin()
        before = self.n2.tree('/etc/app', STATE)
        self.n1.write(A, 'a two, longer')
        self.n1.remove(B)
        self.n1.write('/etc/app/new', 'x')
        os.chmod(self.n1.at(APP), 0o600)
        said = self.n1.confsync('--dry-run', 'push')
        for expected in (r'\+ .*/etc/app/new', r'- .*/etc/app/b\.conf', r'~ .*/etc/app/a\.conf',
                         r'~ .*/etc/app\.conf'):
            self.assertRegex(said, expected)
        changes = self.n1.json('--dry-run', 'push')['sets'][0]['changes']
        self.assertEqual(len(changes), 4)
        self.assertEqual(self.n2.read(A), 'a one\n')
        after = self.n2.tree('/etc/app', STATE)
        for tree in (before, after):  # what is known of the peer, and of our own files, may be new
            for path in [p for p in tree if 'peer' in p or 'index' in p]:
                del tree[path]
        self.assertEqual(after, before)
        self.assertEqual(self.status(self.n1)['generation'], 1)

    def test_diff(self):
        self.begin()
        self.n1.confsync('diff', status=0)
        self.n1.write(A, 'a two\n')
        self.n1.write('/etc/app/bin', b'\0\1\2')
        said = self.n1.confsync('diff', status=1)
        self.assertIn('-a one', said.replace('+a one', '-a one'))
        self.assertIn('a two', said)
        self.assertNotIn('b.conf', said)
        self.n1.confsync('push')
        self.assertIn('a one', self.n1.confsync('diff', '--generation', '1', status=1))

    def test_secret(self):
        """Its content is in no output, no log, and in the clear nowhere for others."""
        word = 'correct-horse-battery'
        self.begin(kind='secret')
        self.n1.write(A, f'{word}\n', 0o600)
        said = self.n1.confsync('diff', status=1)
        said += self.n1.confsync('push') + self.n1.confsync('status', '--verbose')
        said += self.n1.confsync('show', 'app') + self.n1.confsync('history', 'app')
        for more in ([], ['--secret']):  # there is no terminal
            p = self.n1.confsync('cat', *more, 'app', '2', A, status=None)
            self.assertEqual(p.returncode, FAILED)
            said += p.stdout + p.stderr
        self.app_in_step()
        said += self.n1.sshd_log() + self.n2.sshd_log()
        self.assertNotIn(word, said)
        for node in (self.n1, self.n2):
            self.assertEqual(node.mode(A), 0o600)
            self.assertEqual(node.mode(STATE), 0o700)

    def test_secret_that_is_open(self):
        self.begin(kind='secret')
        self.n1.write(A, 'two', 0o644)
        p = self.n1.confsync('push', status=None)
        self.assertEqual(p.returncode, FAILED, p.stderr)
        self.assertIn(A, p.stdout + p.stderr)
        self.assertEqual(self.n2.read(A), 'a one\n')


class PeerDownTest(confsync_lab.Case):
    def test_catches_up(self):
        self.begin()
        self.n2.cut_power()
        self.n1.write(A, 'a two')
        self.n1.confsync('push', status=PENDING, seconds=200)
        self.n1.write(B, 'b two')
        self.n1.confsync('push', status=PENDING, seconds=200)
        self.assertEqual(self.status(self.n1)['status'], PENDING)
        self.n2.boot()
        self.n2.confsync('recover')
        self.n2.confsync('sync')
        self.app_in_step()
        self.assertEqual(self.n2.read(A), 'a two')

    def test_cut_link_says_so(self):
        self.begin()
        self.cut()
        self.n1.write(A, 'a two')
        p = self.n1.confsync('push', status=None, seconds=200)
        self.assertEqual(p.returncode, PENDING, p.stderr)
        self.assertIn('n2', p.stdout + p.stderr)
        self.mend()
        self.n1.confsync('push')
        self.app_in_step()

    def test_both_edit_in_partition(self):
        """Held on both, nothing is overwritten, one command decides; what lost is kept."""
        for winner in ('--mine', '--theirs'):
            with self.subTest(winner):
                self.begin(general={'role-command': 'true'})  # both believe that they are active
                self.cut()
                for node in (self.n1, self.n2):
                    node.write(A, f'{winner} of {node.name}\n')
                    node.confsync('sync', status=(PENDING, HELD), seconds=200)
                self.mend()
                for node in (self.n1, self.n2):
                    node.confsync('sync', status=HELD)
                    self.assertEqual(node.read(A), f'{winner} of {node.name}\n')
                    self.assertIn('app', node.confsync('hold', 'list', status=(DONE, HELD)))
                for node in (self.n1, self.n2):
                    self.assertEqual(self.status(node)['state'], 'held')
                    self.assertEqual(self.status(node)['status'], HELD)
                self.assertIn('of n2', self.n1.confsync('diff', status=1))
                self.n1.confsync('resolve', 'app', winner)
                self.app_in_step()
                won, lost = ('n1', 'n2') if winner == '--mine' else ('n2', 'n1')
                self.assertEqual(self.n2.read(A), f'{winner} of {won}\n')
                past = self.nodes[lost].json('history', 'app')['history']
                loser = [g for g in past if self.text_of(self.nodes[lost], g)
                         == f'{winner} of {lost}\n']
                self.assertNotEqual(loser, [], past)

    @staticmethod
    def text_of(node, generation):
        p = node.confsync('cat', 'app', generation['digest'], A, status=None)
        return p.stdout


class HistoryTest(confsync_lab.Case):
    def setUp(self):
        super().setUp()
        self.begin()
        for word in ('two', 'three'):
            self.n1.write(A, f'a {word}\n')
            self.n1.confsync('push')

    def test_rollback(self):
        self.n1.confsync('rollback', 'app', '1')
        self.app_in_step()
        self.assertEqual(self.n2.read(A), 'a one\n')
        self.n2.confsync('rollback', 'app', '2')
        self.app_in_step()
        self.assertEqual(self.n1.read(A), 'a two\n')

    def test_history(self):
        past = self.n2.json('history', 'app')['history']
        self.assertEqual([g['generation'] for g in past], [3, 2, 1])
        self.assertEqual(self.n2.confsync('cat', 'app', '2', A), 'a two\n')
        self.assertIn(A, self.n2.confsync('show', 'app', '1'))
        self.n2.confsync('rollback', 'app', '77', status=(FAILED, USAGE))

    def test_frozen(self):
        self.n2.confsync('hold', 'add', 'app')
        self.n1.write(A, 'a four')
        p = self.n1.confsync('push', status=None)
        self.assertNotEqual(p.returncode, 0)
        self.assertEqual(self.n2.read(A), 'a three\n')
        self.n2.confsync('hold', 'release', 'app')
        self.n1.confsync('push')
        self.app_in_step()


class SetsTest(confsync_lab.Case):
    def test_local_stays(self):
        self.configure(('app', {'paths': list(PATHS)}),
                       ('mine', {'kind': 'local', 'paths': ['/etc/app/own.conf']}))
        for node in (self.n1, self.n2):
            node.write('/etc/app/own.conf', f'of {node.name}')
        self.n1.write(A, 'shared')
        self.n1.confsync('push')
        self.assertEqual(self.n2.read('/etc/app/own.conf'), 'of n2')
        self.assertEqual(self.n2.read(A), 'shared')
        self.n1.confsync('push', 'mine', status=USAGE)

    def test_order_of_sets(self):
        def one(name, order):
            return name, {'paths': [f'/etc/{name}/'], 'order': order,
                          'reload': f'echo {name} >> /var/log/order'}
        self.configure(one('late', 300), one('early', 5), one('middle', 100))
        for name in ('late', 'early', 'middle'):
            self.n1.write(f'/etc/{name}/x', name)
        self.n1.confsync('push')
        for node in (self.n1, self.n2):
            self.assertEqual(node.read('/var/log/order'), 'early\nmiddle\nlate\n')

    def test_unreadable(self):
        """One set that cannot be read keeps no other one back."""
        self.configure(('app', {'paths': ['/etc/app/']}), ('b', {'paths': ['/etc/b/']}))
        self.n1.write(A, 'x')
        self.n1.write('/etc/b/x', 'x')
        os.mkfifo(self.n1.at('/etc/app/fifo'))
        os.symlink('/etc/passwd', self.n1.at('/etc/app/link'))
        p = self.n1.confsync('push', status=None)
        self.assertEqual(p.returncode, FAILED, p.stderr)
        self.assertRegex(p.stdout + p.stderr, 'app: .*/etc/app/(fifo|link)')
        self.assertEqual(self.n2.read('/etc/b/x'), 'x')
        self.assertFalse(self.n2.exists(A))
        p = self.n1.confsync('check', status=None)
        self.assertEqual(p.returncode, FAILED)
        for name in ('fifo', 'link'):
            self.assertIn(f'/etc/app/{name}', p.stdout + p.stderr)

    def test_import_list(self):
        """The list of the old how-to becomes a set, which then travels."""
        files = {'/etc/rc.d/rc.local': 'rc', '/etc/ha.d/ha.cf': 'ha', '/etc/ha.d/resource.d/x': 'r',
                 '/etc/ietd.conf': 'target', '/etc/initiators.allow': 'ALL ALL'}
        for path, text in files.items():
            self.n1.write(path, text)
        self.n1.write('/root.list', '# startup scripts\n/etc/rc.d/rc.local\n# cluster\n/etc/ha.d/\n'
                      '# iscsi-target\n/etc/ietd.conf\n/etc/initiators.allow\n'
                      '/etc/initiators.deny\n')
        p = self.n1.confsync('import-list', self.n1.at('/root.list'), status=None)
        self.assertNotEqual(p.returncode, 0, 'a folder: recursive or not?')
        section = self.n1.confsync('import-list', '--set=cluster', '--recursive',
                                   self.n1.at('/root.list'))
        text = self.configure() + section
        for node in (self.n1, self.n2):
            node.write(CONFIG, text)
        self.n1.confsync('push', '--from-here')
        self.in_step('/etc/rc.d', '/etc/ha.d', '/etc/ietd.conf', '/etc/initiators.allow')
        self.n1.remove('/etc/initiators.allow')  # rsync never would
        self.n1.confsync('push')
        self.assertFalse(self.n2.exists('/etc/initiators.allow'))

    def test_configuration_is_not_taken(self):
        """The set covers our own folder; this node's own file stays."""
        self.configure(('all', {'paths': ['/etc/xnbd/']}))
        self.n1.write('/etc/xnbd/xnbd.conf', 'x')
        own = self.n2.read(CONFIG) + '# mine\n'
        self.n2.write(CONFIG, own)
        key = self.n2.read(confsync_lab.KEY)
        self.n1.confsync('push', '--from-here')
        self.assertEqual(self.n2.read('/etc/xnbd/xnbd.conf'), 'x')
        self.assertEqual(self.n2.read(CONFIG), own)
        self.assertEqual(self.n2.read(confsync_lab.KEY), key)


class SayingTest(confsync_lab.Case):
    def test_exit_statuses(self):
        self.begin()
        self.n1.confsync('status', status=DONE)
        self.n1.confsync('nonsense', status=USAGE)
        self.n1.confsync('push', 'nosuchset', status=USAGE)
        self.n1.confsync('--nosuchoption', status=USAGE)
        self.n1.write(A, 'a two')
        self.n1.confsync('status', status=PENDING)
        self.assertIn('WARNING', self.n1.confsync('status', '--nagios', status=1))
        self.n1.confsync('push')
        self.assertIn('OK', self.n1.confsync('status', '--nagios', status=0))
        self.n1.confsync('status', '--peer', status=DONE)
        self.n1.confsync('status', '--precondition', status=DONE)
        text = self.n1.read(CONFIG)
        self.n1.write(CONFIG, text + 'nonsense')
        self.n1.confsync('status', status=(FAILED, USAGE))

    def test_json_everywhere(self):
        self.begin()
        self.n1.write(A, 'two')
        for args in (['status'], ['status', '--peer'], ['diff'], ['hold', 'list'], ['check'],
                     ['history', 'app'], ['show', 'app'], ['--dry-run', 'push'], ['push'],
                     ['sync'], ['pull'], ['rollback', 'app', '1'], ['recover'],
                     ['status', '--precondition']):
            p = self.n1.confsync('--json', *args, status=None)
            try:
                json.loads(p.stdout)
            except ValueError:
                self.fail(f'{args}: {p.returncode}\n{p.stdout}\n{p.stderr}')

    def test_precondition(self):
        """Who knows that the peer has something newer does not take over."""
        self.begin(writer='manual')
        self.n2.write(A, 'newer')
        self.n1.confsync('sync', status=(PENDING, HELD, BEHIND, DONE))  # learns of it
        self.n1.confsync('status', '--precondition', status=FAILED)
        self.n1.confsync('fenced', 'n2')
        self.n1.confsync('status', '--precondition', status=DONE)

    def test_check(self):
        self.begin()
        self.n1.confsync('check', status=DONE)
        os.chmod(self.n1.at(confsync_lab.KEY), 0o644)
        p = self.n1.confsync('check', status=None)
        self.assertEqual(p.returncode, FAILED, p.stdout + p.stderr)
        self.assertIn(confsync_lab.KEY, p.stdout + p.stderr)

    def test_check_finds_other_definition(self):
        self.begin()
        text = self.n2.read(CONFIG)
        self.n2.write(CONFIG, text.replace('"/etc/app.conf"', '"/etc/other.conf"'))
        p = self.n1.confsync('check', status=None)
        self.assertEqual(p.returncode, FAILED, p.stdout + p.stderr)
        self.assertRegex(p.stdout + p.stderr, 'app.*n2|n2.*app')


class ManyTest(confsync_lab.Case):
    """Ten thousand files; what is counted is system calls, as time is the machine's."""
    COUNT = 10000

    def calls(self, *args):
        self.require('strace')
        out = self.path('calls')
        self.n1.run('strace', '-f', '-c', '-o', out, *self.n1.confsync_argv(*args))
        found = {}
        for line in xtest.text_of(out).splitlines():
            words = line.split()
            if len(words) >= 5 and re.fullmatch(r'[0-9.]+', words[0]) and words[3].isdigit():
                found[words[-1]] = int(words[3])
        return found  # with 'total'

    def test_many(self):
        self.configure(('app', {'paths': list(PATHS)}), deadline=300)
        for i in range(self.COUNT - 1):
            self.n1.write(f'/etc/app/{i // 500}/{i}.conf', f'content {i}\n')
        began = time.monotonic()
        self.n1.confsync('push', '--from-here', seconds=400)
        pushed = time.monotonic()
        self.app_in_step()
        began_status = time.monotonic()
        self.n1.confsync('status')
        print(f'push of {self.COUNT} files: {pushed - began:.1f} s; status: '
              f'{time.monotonic() - began_status:.3f} s', file=sys.stderr)
        if not xtest.is_sanitized('xnbd-confsync'):
            calls = self.calls('status')
            print(calls, file=sys.stderr)
            # one look at each file, and no content is read
            self.assertLess(calls['total'], 1.2 * self.COUNT)
            self.assertLess(calls.get('read', 0), self.COUNT // 10)
            self.assertLess(calls.get('openat', 0) + calls.get('openat2', 0), self.COUNT // 10)
        self.n1.write('/etc/app/3/1600.conf', 'changed\n')
        (one,) = self.n1.json('push')['sets']
        self.assertEqual((one['contents'], one['status']), (1, 0))
        self.app_in_step()

    def test_too_many(self):
        """One more than the limit: said, and nothing is done."""
        self.configure(('app', {'paths': list(PATHS)}))
        for i in range(self.COUNT + 1):
            self.n1.write(f'/etc/app/{i}.conf', '')
        p = self.n1.confsync('push', '--from-here', status=None)
        self.assertEqual(p.returncode, FAILED, p.stdout + p.stderr)
        self.assertIn(str(self.COUNT), p.stdout + p.stderr)
        self.assertFalse(self.n2.exists('/etc/app'))


if __name__ == '__main__':
    xtest.main(at_once=4)
