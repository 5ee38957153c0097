#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What one of two real nodes refuses, or cannot do: both stay at, or go back to, what was before.

And the reason is told by status on both.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import confsync_lab  # noqa: E402
import xtest  # noqa: E402
from confsync_lab import FILES, STATE  # noqa: E402

DONE, FAILED, USAGE, PENDING, BEHIND, HELD = range(6)
A, B = '/etc/app/a.conf', '/etc/app/b.conf'
# True on all nodes but the one whose name is in the file. (The host name is asked: a hook's
# environment is the same wherever it is written.)
NOT_ON = 'test "$(cat {}{} 2>/dev/null)" != "bad for $(uname -n)"'
LOG = 'echo "$(cat /etc/app/a.conf)" >> /var/log/reloads; '


class Case(confsync_lab.Case):
    def push_refused(self, reason, node=None, status=FAILED):
        """REASON: regular expression in what push says."""
        p = (node or self.n1).confsync('push', status=None)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        said = p.stdout + p.stderr
        self.assertRegex(said, reason)
        self.assertLessEqual(len(said.strip().splitlines()), 2, said)
        return said

    def assert_old(self, node, files=FILES):
        for path, text in files.items():
            self.assertEqual(node.read(path), text, node.name)
        self.no_leftovers()

    def assert_told(self, node, reason):
        told = self.status(node)
        self.assertRegex(str(told['text']), reason)
        return told

    def repair(self, files=None):
        """A good change goes through afterwards."""
        for path, text in (files or {A: 'a good\n'}).items():
            self.n1.write(path, text)
        self.n1.confsync('push')
        self.app_in_step()


class ValidatorTest(Case):
    def setUp(self):
        super().setUp()
        self.begin(validate=NOT_ON.format('%r', A).replace('"', '\\"') + ' || { echo wrong word; '
                   'exit 3; }')

    def test_on_sender(self):
        self.n1.write(A, 'bad for n1')
        self.n1.write(B, 'b two')
        self.push_refused('wrong word')
        self.assert_old(self.n2)
        self.assertEqual(self.n1.read(A), 'bad for n1')  # somebody is at it; nothing is in force
        self.assertEqual(self.status(self.n1)['generation'], 1)
        self.repair()

    def test_on_receiver(self):
        self.n1.write(A, 'bad for n2')
        self.n1.write(B, 'b two')
        self.push_refused('n2.*(exit status 3|wrong word)')
        self.assert_old(self.n2)
        for node in (self.n1, self.n2):
            told = self.assert_told(node, 'wrong word')
            self.assertEqual((told['generation'], told['status'] != DONE), (1, True), told)
        self.repair()

    def test_pulled(self):
        """The same the other way: the node that is asked for it does not send it."""
        self.n2.write(A, 'bad for n1')
        p = self.n1.confsync('pull', status=None)
        self.assertEqual(p.returncode, FAILED, p.stdout + p.stderr)
        self.assert_old(self.n1)
        self.n2.write(A, 'bad for n2')
        p = self.n1.confsync('pull', status=None)
        self.assertEqual(p.returncode, FAILED, p.stdout + p.stderr)
        self.assert_old(self.n1)
        self.n2.write(A, 'good')
        self.n1.confsync('pull')
        self.app_in_step()

    def test_check_says_so(self):
        self.n1.write(A, 'bad for n1')
        p = self.n1.confsync('check', status=None)
        self.assertEqual(p.returncode, FAILED)
        self.assertIn('wrong word', p.stdout + p.stderr)

    def test_live_files_are_not_what_it_sees(self):
        """The validator looks at the staged tree, which has all of the set."""
        self.begin(validate='test -e %r/etc/app/b.conf && test -e %r/etc/app.conf && '
                   'test ! -e /etc/app/new || ! test -e %r/etc/app/new')
        self.n1.write('/etc/app/c', 'x')
        self.n1.confsync('push')
        self.app_in_step()


class HangTest(Case):
    def test_validator_hangs(self):
        """It is ended, with all that it has started, when its time is up."""
        self.begin(validate='test "$(cat %r/etc/app/a.conf)" != hang || sleep 987'.replace(
            '"', '\\"'), validate_timeout=1)
        self.n1.write(A, 'hang')
        self.push_refused('validate.*app')
        self.assert_old(self.n2)
        for node in (self.n1, self.n2):
            xtest.wait_for(lambda n=node: 'sleep 987' not in n.run('ps', 'ax'), 'end of sleep')
        self.repair()


class ReloadTest(Case):
    def set_up(self):
        self.begin(reload=(LOG + NOT_ON.format('', A) + ' || { echo cannot; exit 4; }').replace(
            '"', '\\"'))

    def reloads(self, node):
        return (node.read('/var/log/reloads') or '').split('\n')[:-1]

    def check(self, victim):
        self.set_up()
        self.n1.write(A, f'bad for {victim}')
        self.n1.write(B, 'b two')
        self.push_refused('cannot|exit status 4')
        for node in (self.n1, self.n2):
            self.assert_old(node)
            told = self.status(node)
            self.assertEqual((told['generation'], told['status']), (1, HELD), told)
            self.assertRegex(told['text'], 'cannot|exit status 4')
            # whoever has read the bad files has read the good ones since
            self.assertIn(self.reloads(node)[-1:], ([], ['a one']))
        self.assertIn(f'bad for {victim}', self.reloads(self.nodes[victim]))
        # what was refused is not lost
        past = self.n1.json('history', 'app')['history']
        self.assertIn(f'bad for {victim}', [self.n1.confsync('cat', 'app', g['digest'], A)
                                           for g in past])
        self.repair()
        for node in (self.n1, self.n2):
            self.assertEqual(self.reloads(node)[-1], 'a good')

    def test_on_receiver(self):
        self.check('n2')

    def test_on_sender(self):
        self.check('n1')

    def test_only_where_it_is_to_run(self):
        self.begin(general={'role-command': 'test -e /run/active'}, reload=LOG.replace('"', '\\"'),
                   reload_on='active')
        self.n1.write('/run/active', '')
        self.n1.write(A, 'a two')
        self.n1.confsync('sync')
        self.assertIn('a two', self.reloads(self.n1))
        self.assertEqual(self.reloads(self.n2), [])

    def test_not_again_by_itself(self):
        """AUTO does not try what failed; a person may."""
        self.begin(general={'role-command': 'test -e /run/active'},
                   reload='echo x >> /var/log/tries; test ! -e /run/broken')
        self.n1.write('/run/active', '')
        self.n2.write('/run/broken', '')
        self.n1.write(A, 'a two\n')
        self.push_refused('reload')
        tries = self.n2.read('/var/log/tries')
        self.n1.write(A, 'a two\n')
        self.n2.remove('/run/broken')
        self.n1.confsync('push')
        self.app_in_step()
        self.assertNotEqual(self.n2.read('/var/log/tries'), tries)


class ReadOnlyTest(Case):
    def test_read_only_folder(self):
        """The receiver's file system is read-only: nothing changes anywhere, then it is not."""
        self.begin()
        self.n2.run('mount', '--bind', '/etc/app', '/etc/app')
        self.n2.run('mount', '-o', 'remount,ro,bind', '/etc/app')
        self.n1.write(A, 'a two\n')
        self.n1.write('/etc/app.conf', 'app two\n')
        self.push_refused('n2.*/etc/app')
        self.assert_old(self.n2)
        self.n2.run('umount', '/etc/app')
        self.n1.confsync('push')
        self.app_in_step()

    def test_mount_point(self):
        """A file of the set is a mount point on the receiver."""
        self.begin()
        self.n2.write('/srv/other', 'other')
        self.n2.run('mount', '--bind', '/srv/other', A)
        self.n1.write(A, 'a two\n')
        p = self.n1.confsync('push', status=None)
        self.assertIn(p.returncode, (FAILED, HELD), p.stdout + p.stderr)
        self.assertEqual(self.n2.read('/srv/other'), 'other')
        self.n2.run('umount', A)
        self.n1.confsync('push', status=(DONE, FAILED))
        self.n1.confsync('sync', status=(DONE, HELD, PENDING))
        self.n1.confsync('push')
        self.app_in_step()

    def test_no_state(self):
        """The state folder cannot be written."""
        self.begin()
        self.n2.run('mount', '--bind', STATE, STATE)
        self.n2.run('mount', '-o', 'remount,ro,bind', STATE)
        self.n1.write(A, 'a two\n')
        p = self.n1.confsync('push', status=None)
        self.assertIn(p.returncode, (FAILED, HELD, BEHIND), p.stdout + p.stderr)
        self.assert_old(self.n2)
        self.n2.run('umount', STATE)
        self.n1.confsync('push')
        self.app_in_step()


class FullDiskTest(Case):
    """Little room in the receiver's state folder, in the set's, or on the sender; at each stage."""
    SIZE = 2 * xtest.MIB

    def before_boot(self):
        self.small(self.n2, '/etc/app', self.SIZE)
        self.small(self.n2, '/var/lib/xnbd', self.SIZE)
        self.small(self.n1, '/var/lib/xnbd', self.SIZE)

    def fill(self, node, folder, leave):
        """Until LEAVE KiB are free."""
        room = os.statvfs(node.at(folder))
        free = room.f_bavail * room.f_bsize - leave * xtest.KIB
        node.write(f'{folder}/ballast~', b'x' * max(free, 0))

    def sweep(self, node, folder):
        """From hardly anything to more and more, until it works; never by halves."""
        refused = 0
        self.begin()
        self.n1.write(A, os.urandom(60 * xtest.KIB))
        self.n1.write(B, os.urandom(60 * xtest.KIB))
        self.n1.write('/etc/app/new/c.conf', os.urandom(60 * xtest.KIB))
        for leave in (0, 4, 12, 28, 60, 100, 150, 200, 260, 400, 700):
            self.fill(node, folder, leave)
            p = self.n1.confsync('push', status=None)
            node.remove(f'{folder}/ballast~')
            if p.returncode == DONE:
                break
            refused += 1
            self.assertNotIn('Traceback', p.stderr)
            self.assertRegex(p.stdout + p.stderr, '(?i)no space|full')
            self.assert_old(self.n2)
            self.n1.confsync('recover')
            self.n2.confsync('recover')
            self.assert_old(self.n2)
            self.assertEqual(self.status(self.n2)['generation'], 1)
        self.assertEqual(p.returncode, DONE, p.stderr)
        self.assertGreater(refused, 1)
        self.app_in_step()

    def test_receivers_state(self):
        self.sweep(self.n2, '/var/lib/xnbd')

    def test_receivers_folder(self):
        self.sweep(self.n2, '/etc/app')

    def test_senders_state(self):
        self.sweep(self.n1, '/var/lib/xnbd')


class TimeTest(Case):
    """Nothing is decided by times: an edit of long ago and one of next year count alike."""

    def test_times(self):
        self.begin()
        for seconds in (1, 2 ** 31, 4102444800, 86400):
            for node, other in ((self.n1, self.n2), (self.n2, self.n1)):
                text = f'{node.name} {seconds}\n'
                node.write(A, text)
                os.utime(node.at(A), (seconds, seconds))
                for path in ('/etc/app', B):
                    os.utime(other.at(path), (4102444800 - seconds, 4102444800 - seconds))
                node.confsync('push')
                self.assertEqual(other.read(A), text)
                self.app_in_step()

    def test_touched_is_not_changed(self):
        self.begin()
        for node in (self.n1, self.n2):
            for path in FILES:
                os.utime(node.at(path), (1, 1))
        self.app_in_step()
        self.assertEqual(self.n1.json('push')['sets'][0]['action'], 'nothing')

    def test_newest_does_not_win(self):
        """Both edit; whichever is newer, it is held."""
        self.begin()
        for first, second in ((1, 4102444800), (4102444800, 1)):
            for node, seconds in ((self.n1, first), (self.n2, second)):
                node.write(A, f'{node.name}')
                os.utime(node.at(A), (seconds, seconds))
            for node in (self.n1, self.n2):
                node.confsync('push', status=HELD)
            self.assertEqual([n.read(A) for n in (self.n1, self.n2)], ['n1', 'n2'])


class BusyTest(Case):
    """Somebody changes things while a transaction is on its way."""

    def test_edit_while_pushing(self):
        """The validator, which runs between the look at the files and their replacement, edits."""
        self.begin(validate='test ! -e /run/meddle || '
                   '{ rm /run/meddle; echo meddled > /etc/app/a.conf; }')
        self.n1.write(A, 'a two\n')
        self.n2.write('/run/meddle', '')
        p = self.n1.confsync('push', status=None)
        self.assertNotEqual(p.returncode, DONE, p.stdout)
        self.assertEqual(self.n2.read(A), 'meddled\n')
        self.assertEqual(self.n1.read(A), 'a two\n')
        self.n1.confsync('push', status=HELD)
        self.n1.confsync('resolve', 'app', '--theirs')
        self.app_in_step()
        self.assertEqual(self.n1.read(A), 'meddled\n')

    def test_both_push_at_once(self):
        self.begin()
        for turn in range(3):
            self.n1.write(A, f'n1 {turn}\n')
            procs = [n.popen(*n.confsync_argv('push'), stdout=-3, stderr=-3)
                     for n in (self.n1, self.n2)]
            for p in procs:
                p.wait(120)
            self.n1.confsync('push')
            self.app_in_step()
            self.assertEqual(self.n2.read(A), f'n1 {turn}\n')


if __name__ == '__main__':
    xtest.main(at_once=4)
