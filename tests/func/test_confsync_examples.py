#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples of xnbd-confsync(8) and confsync.conf(5) as they stand there.

Of the configuration only the host keys, and what is not in a namespace (the floating address, a
service manager), are those of the test. Chapters of README.md: test_confsync_readme.py.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import manual  # noqa: E402
import xtest  # noqa: E402
from confsync_lab import CONFIG, LINK  # noqa: E402
from confsync_shown import ShownCase  # noqa: E402

PAGE, PAGE_OF_CONFIG = 'xnbd-confsync.8', 'confsync.conf.5.in'
EXPORTS, ONE = '/etc/xnbd/xnbd.conf', '/etc/xnbd/conf.d/vm1.conf'
DIFFERENT, HELD = 1, 5


def export(name):
    return f'export "{name}" {{ image = "/srv/{name}.img" }}\n'


class Examples(ShownCase):
    """Both nodes have the configuration of confsync.conf(5), n1 has exports."""

    def setUp(self):
        super().setUp()
        self.first, self.look, self.both, self.past, self.old = manual.blocks(PAGE)
        text = manual.blocks(PAGE_OF_CONFIG, 'DESCRIPTION')[0] + manual.blocks(PAGE_OF_CONFIG)[0]
        for node in self.nodes.values():
            self.prepare(node)
            node.write(CONFIG, self.fill(text), 0o644)
        self.n1.net.run('ip', 'address', 'add', '192.0.2.100/24', 'dev', LINK)
        self.n1.write(EXPORTS, 'include("conf.d/*.conf")\n')
        self.n1.write(ONE, export('vm1'))
        self.n1.write('/etc/xnbd/secret/left.auth', 'a passphrase\n', 0o600)

    def test_first_day(self):
        """n2 has nothing yet, and that is no fault."""
        init, check = self.first.splitlines()
        for node in self.nodes.values():
            self.assertIn(node.public('host').split()[1], self.type(node, init))
        for node in self.nodes.values():
            self.assertIn('no findings', self.type(node, check))
        would, push = self.look.splitlines()
        self.assertIn(f'+ {ONE}', self.type(self.n1, would))
        self.assertFalse(self.n2.exists(ONE))
        self.type(self.n1, push)
        self.in_step(EXPORTS, ONE, '/etc/xnbd/secret/left.auth')

    def test_both_edited(self):
        self.type(self.n1, 'xnbd-confsync push')
        for node in self.nodes.values():
            node.write(f'/etc/xnbd/conf.d/{node.name}.conf', export(node.name))
        hold, diff, resolve = self.both.splitlines()
        self.type(self.n1, 'xnbd-confsync push', HELD)
        self.assertIn('xnbd', self.type(self.n1, hold))
        self.assertIn('/srv/n2.img', self.type(self.n1, diff, DIFFERENT))
        self.type(self.n1, resolve)
        self.in_step('/etc/xnbd/conf.d')
        self.assertTrue(self.n2.exists('/etc/xnbd/conf.d/n1.conf'))

    def test_what_was(self):
        """Generation 12, after one more."""
        for n in range(2, 15):
            self.n1.write(ONE, export(f'vm{n}'))
            self.type(self.n1, 'xnbd-confsync push')
        history, rollback = self.past.splitlines()
        self.assertIn('12', self.type(self.n1, history))
        self.type(self.n1, rollback)
        self.in_step(EXPORTS, ONE)
        self.assertEqual(self.n2.read(ONE), export('vm13'))

    def test_old_list(self):
        """A set of it on both nodes; its own name is not yet taken."""
        for node in self.nodes.values():
            node.shell('echo /etc/web/ >/root/sync.list')
            self.type(node, self.old)
        self.n1.write('/etc/web/index', 'it works')
        self.type(self.n1, 'xnbd-confsync check')
        self.type(self.n1, 'xnbd-confsync push')
        self.in_step('/etc/web')


if __name__ == '__main__':
    xtest.main(at_once=4)
