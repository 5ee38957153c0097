#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""README.md, "Two nodes, one configuration": every command of it, on the node it names, in order.

A test does what the text leaves to the reader: it carries the lines that `init` prints to the other
node. Nothing else is added; of the configuration only the host keys are filled in, and the programs
it names are those of the build.
"""
import os
import pathlib
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from confsync_lab import KEY, write_file  # noqa: E402
from confsync_shown import ShownCase  # noqa: E402

REPO = pathlib.Path(__file__).resolve().parents[2]
CHAPTER = 'Two nodes, one configuration'


def chapter():
    text = (REPO / 'README.md').read_text()
    return re.search(rf'^## {CHAPTER}\n(.*?)^## ', text, re.M | re.S)[1]


def steps():
    """(node, command, exit status) of lines such as: n1# command   # exit status 3: why"""
    found = []
    for node, command in re.findall(r'^ {7}(n[12])# (.*)$', chapter(), re.M):
        status = re.search(r'\s+# exit status (\d)[^#]*$', command)
        found.append((node, command[:status.start()] if status else command,
                      int(status[1]) if status else 0))
    return found


def configuration():
    """The block that begins with the file's name."""
    block = re.search(r'^ {7}# /etc/xnbd/confsync.conf\n((?: {7}.*\n)+)', chapter(), re.M)[1]
    return ''.join(line[7:] + '\n' for line in block.splitlines())


class Readme(ShownCase):
    def carry_over(self, node, said):
        """The line for the other node's authorized_keys, and what there is of the host key."""
        line = re.search(r'^restrict,command=.*$', said, re.M)[0]
        write_file(f'{node.other.folder}/authorized_keys', line + '\n')
        self.assertIn(f'host-key = "{" ".join(node.public("host").split()[:2])}"', said)

    def test_chapter(self):
        said = {}
        for node in self.nodes.values():
            self.prepare(node)
            node.remove(KEY)
            node.write('/etc/xnbd/confsync.conf', self.fill(configuration()), 0o644)
        self.n1.write('/etc/xnbd/xnbd.conf', 'include("conf.d/*.conf")\n', 0o644)
        self.n1.write('/etc/xnbd/conf.d/vm1.conf', 'export "vm1" { image = "/srv/vm1.img" }\n')
        self.n1.write('/etc/xnbd/secret/left.auth', 'a passphrase\n', 0o600)
        for name, command, status in steps():
            out = self.type(self.nodes[name], command, status)
            said.setdefault(command, []).append(out)
            self.assertNotIn('a passphrase', out)
            if command == 'xnbd-confsync init':
                self.carry_over(self.nodes[name], out)
        self.check(said)

    def check(self, said):
        """What the text between the commands says."""
        self.assertGreater(len(steps()), 25)
        self.assertIn('no findings', said['xnbd-confsync check'][0])
        self.assertIn('+ /etc/xnbd/conf.d/vm1.conf', said['xnbd-confsync --dry-run push'][0])
        status = said['xnbd-confsync status']
        for text, words in zip(status, ('xnbd: in step, generation 1', 'xnbd: pending',
                                        'xnbd: refused', 'xnbd: in step, generation 2',
                                        'xnbd: in step, generation 4')):
            self.assertIn(words, text)
        self.assertIn('imagee', status[2])
        self.assertIn('+export "vm2"', said['xnbd-confsync diff xnbd'][0])
        self.assertIn('-export "vm5"', said['xnbd-confsync diff xnbd'][1])
        self.assertIn('set aside', said['xnbd-confsync history xnbd'][-1])
        self.in_step('/etc/xnbd/xnbd.conf', '/etc/xnbd/conf.d', '/etc/xnbd/secret/left.auth')
        self.assertFalse(self.n2.exists('/etc/xnbd/conf.d/vm5.conf'))
        self.assertEqual(self.n2.mode('/etc/xnbd/secret/left.auth'), 0o600)
        self.assertNotEqual(self.n1.read(KEY), self.n2.read(KEY))


if __name__ == '__main__':
    xtest.main()
