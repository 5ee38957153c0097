#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What hurts who keeps two nodes alike with rsync or csync2, and that it does not hurt here.

Each test is a situation. It is brought about for all three tools, and says for each whether what
came out was right, and what it was: together the lines are a table. Ours has to be right in all.
"""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import confsync_lab  # noqa: E402
import confsync_tools  # noqa: E402
import xtest  # noqa: E402
from confsync_tools import Confsync  # noqa: E402

FILES = {'a.conf': 'a one', 'b.conf': 'b one', 'service.conf': 'good one'}
OUTSIDE = '/srv/outside'
OWN = {'n1': 'I am n1', 'n2': 'I am n2, the other one'}
# What is known of this rsync, so that the table is looked at again when there is another: is it
# right (r) or wrong (w)? '-': that depends on the moment, as it does with csync2's two processes.
RSYNC = '3.5.0+ds1-0+deb12u1'
KNOWN = {
    'test_acl_only': 'w',
    'test_attribute_only': 'w',
    'test_both_edit_after_check': 'w',
    'test_both_edit_one_file': 'w',
    'test_deletion_against_edit': 'w',
    'test_edit_on_passive_node': 'w',
    'test_first_contact': 'w',
    'test_full_disk': '-',
    'test_invalid': 'w',
    'test_link_out_of_set': 'r',
    'test_listed_link': 'w',
    'test_mode_on_the_way': '-',
    'test_mode_only': 'r',
    'test_new_file_of_user': 'r',
    'test_node_specific': 'w',
    'test_old_time': 'r',
    'test_owner_only': 'r',
    'test_reload_fails': 'w',
    'test_removed_file_of_folder': 'r',
    'test_removed_listed_file': 'w',
    'test_renamed': 'r',
    'test_same_second_same_size': 'w',
    'test_unknown_user': 'w',
}


class Case(confsync_lab.Case):
    def setUp(self):
        super().setUp()
        self.require('rsync', 'csync2', 'ss')

    def situation(self, name, change, judge, files=FILES):
        """CHANGE(tool) after all is in step; then the tool runs; JUDGE(tool, status, text) returns
        (is it right?, what happened)."""
        wrong = []
        sys.stderr.write(f'{name}\n')
        for kind in confsync_tools.TOOLS:
            tool = kind(self)
            if files is not None:
                tool.begin(files)
            change(tool)
            status, text = tool.go()
            right, what = judge(tool, status, text)
            sys.stderr.write(f'  {tool.name:9s}{"right" if right else "WRONG":7s}{what}; '
                             f'exit status {status}\n')
            self.check_known(tool, right)
            if kind is Confsync and not right:
                wrong.append(f'{what}\n{text}\n{self.n2.sshd_log()[-3000:]}')
        self.assertEqual(wrong, [], '\n'.join(wrong))

    def check_known(self, tool, right):
        if tool.name == 'rsync' and tool.version() == RSYNC:
            self.assertIn(KNOWN[self._testMethodName], 'r-' if right else 'w-')

    def same(self, tool, status, text):
        """For changes that simply have to arrive."""
        there = [n.tree(tool.folder, tool.listed) for n in (self.n1, self.n2)]
        differ = sorted(p for p in there[0].keys() | there[1].keys()
                        if there[0].get(p) != there[1].get(p))
        return not differ and status == 0, \
            f'differ: {", ".join(differ)}' if differ else 'all is the same'


class ArrivesTest(Case):
    """Changes of one node that have to be on the other one afterwards."""

    def test_removed_listed_file(self):
        self.situation('a listed file is removed', lambda t: self.n1.remove(t.listed), self.same)

    def test_removed_file_of_folder(self):
        self.situation('a file of a listed folder is removed',
                       lambda t: self.n1.remove(t.at('b.conf')), self.same)

    def test_same_second_same_size(self):
        def change(tool):
            before = self.n1.stat(tool.at('a.conf'))
            self.n1.write(tool.at('a.conf'), 'a two')
            os.utime(self.n1.at(tool.at('a.conf')),
                     ns=(before.st_atime_ns, before.st_mtime_ns))
        self.situation('an edit in the same second, of the same size', change, self.same)

    def test_old_time(self):
        def change(tool):
            self.n1.write(tool.at('a.conf'), 'restored from a backup')
            os.utime(self.n1.at(tool.at('a.conf')), (86400, 86400))
        self.situation('an edit with an old time (cp -p)', change, self.same)

    def test_renamed(self):
        self.situation('a file is renamed', lambda t: os.rename(
            self.n1.at(t.at('a.conf')), self.n1.at(t.at('c.conf'))), self.same)

    def test_mode_only(self):
        self.situation('only a mode is changed',
                       lambda t: os.chmod(self.n1.at(t.at('a.conf')), 0o640), self.same)

    def test_attribute_only(self):
        self.situation('only an extended attribute is changed', lambda t: os.setxattr(
            self.n1.at(t.at('a.conf')), 'user.origin', b'lab'), self.same)

    def test_acl_only(self):
        self.require('setfacl')
        self.situation('only an access list is changed', lambda t: self.n1.run(
            'setfacl', '-m', 'u:daemon:r', t.at('a.conf')), self.same)


class OwnerTest(Case):
    """The same user has another number on each node."""

    def setUp(self):
        super().setUp()
        self.n1.add_users(alice=2001, bob=2002)
        self.n2.add_users(bob=2001, alice=2002)

    def test_owner_only(self):
        self.situation('only an owner is changed, whose number differs',
                       lambda t: self.n1.chown(t.at('a.conf'), 'alice'), self.same)

    def test_new_file_of_user(self):
        def change(tool):
            self.n1.write(tool.at('new.conf'), 'new')
            self.n1.chown(tool.at('new.conf'), 'alice')
        self.situation('a new file of a user whose number differs', change, self.same)

    def test_unknown_user(self):
        """Nobody may come to own it who happens to have the number."""
        self.n1.add_users(carol=2003)
        self.n2.add_users(mallory=2003)

        def change(tool):
            self.n1.write(tool.at('new.conf'), 'new')
            self.n1.chown(tool.at('new.conf'), 'carol')

        def judge(tool, status, text):
            if not self.n2.exists(tool.at('new.conf')):
                return status != 0 and 'carol' in text, 'refused'
            return False, f'belongs to {self.n2.owner(tool.at("new.conf"))}'
        self.situation('a new file of a user whom the other node does not have', change, judge)


class OneEditTest(Case):
    """The other node has edits, too."""

    def test_edit_on_passive_node(self):
        def change(tool):
            self.n2.write(tool.at('a.conf'), 'precious')
            self.n1.write(tool.at('b.conf'), 'b two')

        def judge(tool, status, text):
            kept = self.n2.read(tool.at('a.conf')) == 'precious'
            told = status != 0
            return kept and told, f'{"kept" if kept else "overwritten"}, ' \
                f'{"said" if told else "nothing is said"}'
        self.situation('a file was edited on the passive node', change, judge)

    def test_both_edit_one_file(self):
        def change(tool):
            self.n2.write(tool.at('a.conf'), 'precious')
            self.n1.write(tool.at('a.conf'), 'a two')

        def judge(tool, status, text):
            kept = self.n2.read(tool.at('a.conf')) == 'precious'
            told = status != 0
            return kept and told, f'{"kept" if kept else "overwritten"}, ' \
                f'{"said" if told else "nothing is said"}'
        self.situation('both nodes edit the same file', change, judge)

    def test_both_edit_after_check(self):
        """csync2 has a chance to know of the edit: its cron job ran there."""
        def change(tool):
            self.n2.write(tool.at('a.conf'), 'precious')
            if tool.name == 'csync2':
                self.n2.run(*tool.base(self.n2), '-cr', '/')
            self.n1.write(tool.at('a.conf'), 'a two')
            self.n1.write(tool.at('b.conf'), 'b two, needs a two')

        def judge(tool, status, text):
            a, b = (self.n2.read(tool.at(f'{x}.conf')) for x in 'ab')
            half = b.startswith('b two') and a != 'a two'
            if a == 'a two':
                return False, 'overwritten'
            return not half and status != 0, \
                'b.conf that needs the new a.conf arrived without it' if half else 'held as a whole'
        self.situation('a change of two files, one of which the other node edited', change, judge)

    def test_deletion_against_edit(self):
        def change(tool):
            self.n1.remove(tool.at('a.conf'))
            self.n2.write(tool.at('a.conf'), 'precious')

        def judge(tool, status, text):
            kept = self.n2.read(tool.at('a.conf')) == 'precious'
            return kept and status != 0, f'{"kept" if kept else "deleted"}, ' \
                f'{"said" if status else "nothing is said"}'
        self.situation('one node deletes what the other one edits', change, judge)

    def test_first_contact(self):
        def change(tool):
            for node, text in ((self.n1, 'from n1'), (self.n2, 'of n2')):
                node.write(tool.at('a.conf'), text)
                node.write(tool.at('b.conf'), 'equal')
                node.write(tool.listed, 'equal')
            os.utime(self.n1.at(tool.at('b.conf')), (1, 1))

        def judge(tool, status, text):
            kept = self.n2.read(tool.at('a.conf')) == 'of n2'
            if not kept:
                return False, 'overwritten'
            equal = 'b.conf' in text and tool.name == 'csync2'
            if tool.name != 'confsync':
                return False, 'held' + (', equal files are in conflict, too' if equal else '')
            diff = self.n1.confsync('diff', status=1)
            self.n1.confsync('resolve', 'pair', '--mine')
            return all((status != 0, 'of n2' in diff, 'b.conf' not in diff,
                        self.same(tool, 0, '')[0])), \
                'held, one difference shown, resolved by one command'
        self.situation('first contact, a file differs', change, judge, files=None)


class ApplyTest(Case):
    """What is done on the receiver."""

    def before_boot(self):
        for kind in confsync_tools.TOOLS:
            self.small(self.n2, f'/etc/{kind.name}', '1m')

    def test_full_disk(self):
        """The files would not be alike: on the full one, only what fits would be."""
        def change(tool):
            self.n1.write(tool.at('a.conf'), 'a two')
            self.n1.write(tool.at('b.conf'), 'b two' + 'x' * (2 * xtest.MIB))
            self.n1.write(tool.at('c.conf'), 'c two')

        def judge(tool, status, text):
            new = [x for x in 'abc' if (self.n2.read(tool.at(f'{x}.conf')) or '')[2:5] == 'two']
            return new == [] and status != 0, \
                f'new on n2: {", ".join(new) or "nothing"} of a, b, c'
        self.situation('the disk is full in the middle of a change', change, judge)


class InvalidTest(Case):
    validate = True

    def test_invalid(self):
        def judge(tool, status, text):
            on = self.n2.read(tool.at('service.conf'))
            return on == 'good one' and status != 0, \
                'refused' if on == 'good one' else 'the bad one is on both nodes'
        self.situation('a configuration that the service would refuse',
                       lambda t: self.n1.write(t.at('service.conf'), 'bad'), judge)


class ReloadTest(Case):
    reload = True

    def test_reload_fails(self):
        def judge(tool, status, text):
            on = [n.read(tool.at('service.conf')) for n in (self.n1, self.n2)]
            bad = [n for n, text in zip(self.nodes, on) if text != 'good one']
            return not bad and status != 0, \
                f'the bad one stays on {" and ".join(bad)}' if bad else 'both nodes are back'
        self.situation('the service fails to reload',
                       lambda t: self.n1.write(t.at('service.conf'), 'bad'), judge)


class LinkTest(Case):
    def test_link_out_of_set(self):
        """Somebody on the receiver may write in the folder and leads root elsewhere."""
        def change(tool):
            self.n2.write(f'{OUTSIDE}/shadow', 'not of the set')
            os.symlink(OUTSIDE, self.n2.at(tool.at('sub')))
            self.n1.write(tool.at('sub/shadow'), 'of the set')

        def judge(tool, status, text):
            through = self.n2.tree(OUTSIDE)
            held = self.n2.read(f'{OUTSIDE}/shadow') == 'not of the set'
            self.n2.remove(OUTSIDE)
            return held and len(through) == 2, \
                'nothing outside is changed' if held else 'written outside'
        self.situation('a symbolic link in the receiver\'s folder leads elsewhere', change, judge)

    def test_listed_link(self):
        """The listed file's folder on the receiver is a link."""
        def change(tool):
            os.rename(self.n2.at(tool.folder), self.n2.at(f'/srv/{tool.name}'))
            os.symlink(f'/srv/{tool.name}', self.n2.at(tool.folder))
            self.n1.write(tool.at('a.conf'), 'a two')

        def judge(tool, status, text):
            there = f'/srv/{tool.name}/a.conf'
            link = os.path.islink(self.n2.at(tool.folder))
            if self.n2.read(there) != 'a one':
                return False, 'written through the link'
            return link and status != 0, 'refused' if link else 'the link was replaced by a folder'
        self.situation('the folder itself became a link on the receiver', change, judge)


class LocalTest(Case):
    @property
    def more_sets(self):
        return [('mine', {'kind': 'local', 'paths': ['/etc/confsync/node.conf']})]

    def test_node_specific(self):
        def change(tool):
            for node in (self.n1, self.n2):
                node.write(tool.at('node.conf'), OWN[node.name])

        def judge(tool, status, text):
            kept = self.n2.read(tool.at('node.conf')) == OWN['n2']
            return kept and status == 0, 'kept' if kept else 'cloned'
        self.situation('a file that is to differ', change, judge)


class SecretTest(Case):
    """The receiver's folder is looked at all the time while a secret arrives."""

    @property
    def keys(self):
        return {'kind': 'secret'}

    def setUp(self):
        super().setUp()
        for node in (self.n1, self.n2):
            for kind in confsync_tools.TOOLS:
                os.makedirs(node.at(f'/etc/{kind.name}'), 0o700)

    def watch(self, folders, stop, seen):
        while not stop.is_set():
            for folder in folders:
                for path, _, names in os.walk(folder):
                    for name in names:
                        try:
                            s = os.lstat(os.path.join(path, name))
                        except FileNotFoundError:
                            continue
                        if s.st_mode & 0o077 and s.st_size:
                            seen.add((name, oct(s.st_mode & 0o777)))
            time.sleep(0.001)

    def test_mode_on_the_way(self):
        def change(tool):
            os.umask(0o022)
            path = self.n1.at(tool.at('key'))
            with open(path, 'wb') as f:
                os.fchmod(f.fileno(), 0o600)
                f.write(os.urandom(8 * xtest.MIB))
            self.seen, self.stop = set(), threading.Event()
            folders = [self.n2.at(tool.folder), self.n2.at(confsync_lab.STATE)]
            self.thread = threading.Thread(target=self.watch, args=(folders, self.stop, self.seen))
            self.thread.start()
            self.addCleanup(self.stop.set)

        def judge(tool, status, text):
            self.stop.set()
            self.thread.join()
            there = self.n2.exists(tool.at('key')) and self.n2.mode(tool.at('key')) == 0o600
            return there and not self.seen, \
                f'seen with {sorted(self.seen)}' if self.seen else 'never open to others'
        self.situation('the mode of a secret while it travels', change, judge, files={})


if __name__ == '__main__':
    xtest.main(at_once=4)
