# SPDX-License-Identifier: GPL-2.0-or-later
"""The pair of stonith_pacemaker.py with our agents: one image, served at an address that floats, by
whichever node has the group. What is not clients' business (a volume group) has no place here, as
this host has no device mapper."""

import os

import pair_client
import stonith_pacemaker
import xtest
from pair_client import PORT
from stonith_cluster import SERVICE
from stonith_pacemaker import primitive


class Case(stonith_pacemaker.Case):
    size = pair_client.SIZE
    group = ('block', 'wrapper', 'service', 'unblock')
    seconds = {'wrapper': 5}  # between two looks at a resource; the others have 30

    def setUp(self):
        super().setUp()
        self.exports = pair_client.install(self, self.size)
        for name in pair_client.PROGRAMS:
            os.symlink(xtest.program(name), f'{self.path("sbin")}/{name}')

    def agents(self):
        """{resource: (agent, parameters)} of those of ours."""
        where = {'ip': SERVICE, 'portno': PORT, 'deadline': 120}
        return {'block': ('ocf:xnbd:block', {'action': 'block', **where}),
                'wrapper': ('ocf:xnbd:wrapper', {'config': self.exports}),
                'unblock': ('ocf:xnbd:block', {'action': 'unblock', **where})}

    def _cib(self, devices):
        """The group in the place of the address alone."""
        text = super()._cib(devices)
        begin = text.index('<primitive id="service"')
        end = text.index('</primitive>', begin) + len('</primitive>')
        parts = {name: primitive(name, *given, f'{self.seconds.get(name, 30)}s')
                 for name, given in self.agents().items()}
        parts['service'] = text[begin:end]
        group = '<group id="pair">' + ''.join(parts[name] for name in self.group) + '</group>'
        return (text[:begin] + group + text[end:]).replace('rsc="service"', 'rsc="pair"')

    def is_well(self):
        views, active = [self.view(n) for n in self.nodes], self.active()
        return (views[0] is not None and views[0] == views[1] and len(views[0][0]) == 2 and active
                and all(views[0][1].get(name) == [active.name] for name in self.group))

    def move_to(self, node):
        self.n1.run('crm_resource', '--resource', 'pair', '--move', '--node', node.name)

    def is_held(self, node):
        """Are clients?"""
        return 'expires' in node.run('nft', 'list', 'ruleset')

    def failed(self, node):
        """Resources that have failed, as this node knows."""
        p = node.run('crm_mon', '--one-shot', '--failcounts', status=None)
        return [name for name in self.group for line in p.stdout.splitlines()
                if line.strip(' *').startswith(f'{name}:') and 'fail-count' in line]
