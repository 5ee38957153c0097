# SPDX-License-Identifier: GPL-2.0-or-later
"""Two nodes on which is typed what a document shows, with the configuration that it shows."""

import os

import xtest
from confsync_lab import Case

PROGRAMS = ('xnbd-confsync', 'xnbd-wrapper')


class ShownCase(Case):
    def prepare(self, node):
        """What is there before anybody begins: a host key, and the programs."""
        node.write('/etc/ssh/ssh_host_ed25519_key.pub', node.public('host') + '\n')
        for name in PROGRAMS:
            os.makedirs(node.at('/srv/bin'), exist_ok=True)
            os.symlink(xtest.program(name), node.at(f'/srv/bin/{name}'))

    def fill(self, text):
        """Host keys as they are here, in the order of the nodes; commands of the node's services as
        they can be here."""
        for name, node in self.nodes.items():
            key = ' '.join(node.public('host').split()[:2])
            for shown in (f'"ssh-ed25519 AAAA...{name}"', '"ssh-ed25519 AAAA..."'):
                text = text.replace(shown, f'"{key}"', 1)
        text = text.replace('"xnbd-wrapper ', f'"{xtest.program("xnbd-wrapper")} ')
        return text.replace('"systemctl try-reload-or-restart xnbd-wrapper"', '"true"')

    def type(self, node, command, status=0):
        """Both streams."""
        p = node.shell(f'PATH=/srv/bin:$PATH; {command}', status=None)
        self.assertEqual(p.returncode, status, f'{node.name}# {command}\n{p.stdout}{p.stderr}')
        return p.stdout + p.stderr
