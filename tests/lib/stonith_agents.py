# SPDX-License-Identifier: GPL-2.0-or-later
"""Fence agents as a cluster has them: ours and the distribution's, on simulated PDUs.

Files of the machine that they write, and folders in which clusters look for agents, are the test's
own, by mounts in a namespace of its process.
"""

import os
import shutil
import subprocess

import stonith_fixture
import xtest

SBIN, PLUGINS = '/usr/sbin', '/usr/lib/stonith/plugins/external'
AUDIT = '/var/lib/xnbd/stonith.audit'  # of shots without a configuration
WORKERS = '/usr/lib/pacemaker'
KNOWN = '4.12.1-1'  # fence-agents of Debian 12, whose fence_apc_snmp is known to be wrong


def are_known():
    """Are the distribution's agents those whose faults we know? Others may have been mended."""
    p = subprocess.run(['dpkg-query', '-W', '-f', '${Version}', 'fence-agents'],
                       capture_output=True, text=True, check=False) if shutil.which('dpkg-query') \
        else None
    return p is not None and p.stdout == KNOWN


class Case(stonith_fixture.Case):

    def setUp(self):
        super().setUp()
        xtest.own_namespace()
        for folder in ('/run', '/dev/shm', '/var/lib', '/var/log'):
            self.cover(folder)
        os.makedirs(os.path.dirname(AUDIT))

    def cover(self, folder):
        """An empty one in its place."""
        self.run_cmd('mount', '-t', 'tmpfs', 'none', folder)
        self.addCleanup(self._uncover, folder)

    @staticmethod
    def _uncover(folder):
        subprocess.run(['umount', '--lazy', folder], check=False)

    # Our agent.

    def agent(self, action, status=0, prefix=(), **parameters):
        """fence_xnbd as a cluster calls it."""
        given = {'action': action, **parameters}
        lines = ''.join(f'{k}={v}\n' for k, v in given.items() if v is not None)
        return self.agent_says(lines, status, prefix)

    def agent_says(self, lines, status=0, prefix=()):
        return self.checked([*prefix, *self.host.prefix, xtest.program('fence_xnbd')], status,
                            input=lines)

    def agent_argv(self, *args, status=0):
        return self.checked([*self.host.prefix, xtest.program('fence_xnbd'), *args], status)

    def external(self, *args, status=0, env=None):
        return self.checked([*self.host.prefix, xtest.program('external_xnbd'), *args], status,
                            env={'config': self.config, **(env or {})})

    def checked(self, argv, status, **options):
        p = self.run_cmd(*argv, status=None, **options)
        if status is not None:
            self.assertEqual(p.returncode, status, f'{argv}\n{p.stdout}\n{p.stderr}')
        return p

    def direct(self, pdu, **more):
        """Parameters that name the PDU itself."""
        return {'ip': pdu.address, 'community': stonith_fixture.COMMUNITY, 'power_wait': 0, **more}

    # Clusters' folders.

    def install_agent(self):
        """fence_xnbd among the programs of the machine."""
        real, farm = '/run/sbin', self.path('sbin')  # real: not where a clean-up removes files
        os.mkdir(real)
        os.mkdir(farm)
        self.bind(SBIN, real)
        self.run_cmd('mount', '-o', 'remount,bind,ro', real)
        for name in os.listdir(real):
            os.symlink(f'{real}/{name}', f'{farm}/{name}')
        shutil.copy(xtest.program('fence_xnbd'), f'{farm}/fence_xnbd')
        self.bind(farm, SBIN)

    def install_plugin(self, mode=0o755):
        """external/xnbd among cluster-glue's."""
        self.require(f'{SBIN}/stonith')
        folder = self.path('plugins')
        shutil.copytree(PLUGINS, folder)
        shutil.copy(xtest.program('external_xnbd'), f'{folder}/xnbd')
        os.chmod(f'{folder}/xnbd', mode)
        self.bind(folder, PLUGINS)

    def bind(self, folder, place):
        self.run_cmd('mount', '--bind', folder, place)
        self.addCleanup(self._uncover, place)

    def stonith_tool(self, plugin, *args, status=0, **parameters):
        """stonith(8) of cluster-glue."""
        words = [f'{k}={v}' for k, v in parameters.items()]
        return self.checked([*self.host.prefix, f'{SBIN}/stonith', '-t', plugin, *words, *args],
                            status)

    # Pacemaker's fencer, alone.

    def start_fencer(self):
        self.require(f'{WORKERS}/pacemaker-fenced', 'stonith_admin')
        for folder in ('/var/lib/pacemaker/cores', '/var/lib/pacemaker/blackbox', '/run/crm',
                       '/var/log/pacemaker'):
            os.makedirs(folder, mode=0o750)
        self.run_cmd('chown', '-R', 'hacluster:haclient', '/var/lib/pacemaker', '/run/crm',
                     '/var/log/pacemaker')
        self.fencer_log = self.path('fencer.txt')
        self.fencer = self.spawn([*self.host.prefix, f'{WORKERS}/pacemaker-fenced', '-s', '-l',
                                  self.fencer_log])
        xtest.wait_for(lambda: 'accepting connections' in xtest.text_of(self.fencer_log),
                       'the fencer')

    def admin(self, *args, status=0):
        return self.checked([*self.host.prefix, 'stonith_admin', *args], status)

    def fencer_says(self):
        return xtest.text_of(self.fencer_log)
