# SPDX-License-Identifier: GPL-2.0-or-later
"""conf/cluster: every example is read by the program it is for, and what Pacemaker would do with
its one is in the order that clients and volumes need."""

import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import agents  # noqa: E402
import netlab  # noqa: E402
import stonith_agents  # noqa: E402
import xtest  # noqa: E402

CONF = os.path.join(os.path.dirname(agents.SCRIPTS), 'conf', 'cluster')
OCF, HA = '/usr/lib/ocf/resource.d', '/etc/ha.d'
NETWORKD = '/lib/systemd/systemd-networkd'
MANAGER = '/usr/share/heartbeat/ResourceManager'
HEARTBEAT = '/usr/libexec/heartbeat/heartbeat'
STORAGE = ['config', 'block', 'data', 'wrapper', 'address', 'unblock']
NFS = ['nfs-block', 'nfs-files', 'nfs-server', 'nfs-export', 'nfs-address', 'nfs-unblock',
       'nfs-notify']
REACHED = '1000'  # the multiplier of the examples, for one address
COMPLAINS = re.compile('unknown|ignoring|fail|invalid|missing', re.I)


class Pacemaker(stonith_agents.Case):

    def setUp(self):
        super().setUp()
        self.require('crm', 'crm_verify', 'crm_simulate', 'crm_attribute', 'cibadmin')
        self.install_agent()
        folder = self.path('resource.d')
        shutil.copytree(OCF, folder, symlinks=True)
        shutil.copytree(f'{agents.SCRIPTS}/ocf', f'{folder}/xnbd')
        self.bind(folder, OCF)
        os.mkdir('/var/log/crmsh')
        self.cib = self.path('cib.xml')
        self.env = {'CIB_file': self.cib, 'HOME': self.dir}

    def crm(self, *args):
        p = self.run_cmd('crm', '-D', 'plain', '--force', 'configure', *args, status=None,
                         env=self.env)
        said = p.stdout + p.stderr
        self.assertEqual(p.returncode, 0, said)
        self.assertNotIn('ERROR', said)
        return said

    def load(self, *names):
        """As on a cluster of two nodes that reach their gateway."""
        text = self.run_cmd('cibadmin', '--empty').replace('<cib ', '<cib have-quorum="1" ', 1)
        with open(self.cib, 'w') as f:
            f.write(text)
        with open(self.path('nodes.crm'), 'w') as f:
            f.write('node 1: n1\nnode 2: n2\n')
        for path in (self.path('nodes.crm'), *(f'{CONF}/{n}' for n in names)):
            self.crm('load', 'update', path)
        for n in ('n1', 'n2'):
            self.attribute(n, 'pingd', REACHED)

    def attribute(self, node, name, value):
        self.run_cmd('crm_attribute', '--node', node, '--name', name, '--lifetime', 'forever',
                     *(['--update', value] if value else ['--delete']), env=self.env)

    def simulate(self, *args, xml=None):
        """[(resource, action, node)] in their order."""
        said = self.run_cmd('crm_simulate', '--simulate', '--xml-file', xml or self.cib, *args,
                            '--save-output', self.path('after.xml'), env=self.env)
        return re.findall(r'Resource action: (\S+) +(start|stop) on (\S+)', said)

    def test_examples(self):
        self.load('pacemaker.crm', 'pacemaker-nfs.crm')
        up = self.simulate('--node-up', 'n1', '--node-up', 'n2')
        self.run_cmd('crm_verify', '-V', '--xml-file', self.path('after.xml'))
        ours = [(r, a, n) for r, a, n in up if r in STORAGE + NFS]
        self.assertEqual(ours, [(r, 'start', 'n1') for r in STORAGE + NFS])
        self.assertIn(('fence-n1', 'start', 'n2'), up)
        self.assertIn(('fence-n2', 'start', 'n1'), up)
        all_moves = ([(r, 'stop', 'n1') for r in reversed(STORAGE + NFS)]
                     + [(r, 'start', 'n2') for r in STORAGE + NFS])
        after = self.path('up.xml')
        shutil.copy(self.path('after.xml'), after)
        for happens, moves in (([('n1', 'standby', 'on')], all_moves),
                               ([('n1', 'pingd', '0')], all_moves),  # loses the gateway
                               ([('n1', 'pingd', '0'), ('n2', 'pingd', '0')], []),  # it is off
                               ([('n1', 'pingd', None)], []),  # not asked yet
                               ([('n2', 'pingd', None)], [])):
            self.assertEqual(self.then(after, happens), moves, happens)

    def then(self, after, happens):
        """What is stopped and started when attributes of nodes change, in this order."""
        self.env['CIB_file'] = self.path('then.xml')
        shutil.copy(after, self.env['CIB_file'])
        for what in happens:
            self.attribute(*what)
        return [(r, a, n) for r, a, n in self.simulate(xml=self.env['CIB_file'])
                if r in STORAGE + NFS]

    def test_alone(self):
        self.load('pacemaker.crm')
        up = self.simulate('--node-up', 'n1', '--node-up', 'n2')
        self.assertEqual([r for r, _, _ in up if r in STORAGE], STORAGE)
        listed = self.run_cmd('crm_resource', '--list-agents', 'ocf:xnbd', env=self.env)
        self.assertEqual(sorted(listed.split()), sorted(agents.KINDS))

    def test_corosync(self):
        self.require('corosync')
        os.mkdir('/var/lib/corosync')
        etc = self.path('corosync')
        os.mkdir(etc)
        with open(f'{etc}/authkey', 'wb') as f:
            f.write(bytes(range(256)))
        os.chmod(f.name, 0o400)
        self.bind(etc, '/etc/corosync')
        as_n1 = ('unshare', '--uts', 'sh', '-c', 'hostname n1 && exec "$@"', 'sh')
        self.run_cmd(*as_n1, 'corosync', '-t', '-c', f'{CONF}/corosync.conf')
        wrong = self.path('corosync.conf')
        with open(wrong, 'w') as f:
            f.write(xtest.text_of(f'{CONF}/corosync.conf').replace('knet', 'knot'))
        p = self.run_cmd(*as_n1, 'corosync', '-t', '-c', wrong, status=None)
        self.assertIn('Invalid transport', p.stderr)


class Heartbeat(stonith_agents.Case):

    def setUp(self):
        super().setUp()
        self.require(MANAGER, HEARTBEAT, 'nsenter')
        folder = self.path('ha.d')
        shutil.copytree(HA, folder, symlinks=True)
        for name in ('ha.cf', 'haresources', 'authkeys'):
            shutil.copy(f'{CONF}/{name}', folder)
        os.chmod(f'{folder}/authkeys', 0o600)
        for name in os.listdir(f'{agents.SCRIPTS}/heartbeat'):
            shutil.copy(f'{agents.SCRIPTS}/heartbeat/{name}', f'{folder}/resource.d')
        self.bind(folder, HA)

    def test_haresources(self):
        """One line, whose scripts are there and take their arguments."""
        self.assertEqual(self.run_cmd(MANAGER, 'listkeys', 'n1').split(), ['xnbd-confsync'])
        lines = [line for line in xtest.text_of(f'{CONF}/haresources').splitlines()
                 if not line.startswith('#')]
        self.assertEqual(len(lines), 1)
        node, *resources = lines[0].split()
        self.assertEqual(node, 'n1')
        for resource in resources:
            script, *args = resource.split('::')
            self.assertTrue(os.access(f'{HA}/resource.d/{script}', os.X_OK), script)
            if script.startswith('xnbd-'):
                said = self.run_cmd(*self.host.prefix, f'{HA}/resource.d/{script}', *args, 'status',
                                    env={'XNBD_OCF_DIR': f'{agents.SCRIPTS}/ocf'})
                self.assertEqual(said, 'stopped\n')

    def test_messages(self):
        """With what README does to it, a script writes a message at once, however that comes."""
        self.require('strace')
        readme = xtest.text_of(f'{CONF}/README.md')
        self.run_cmd('sh', '-c', re.search(r'(?m)^    (sed -i .*ha_clustermsg.*)$', readme)[1])
        fifo, trace = self.path('fifo'), self.path('trace')
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDWR)
        self.addCleanup(os.close, reader)
        self.run_cmd('strace', '-f', '-qq', '-o', trace, '-e', 'trace=write', '-P', fifo, 'sh', '-c',
                     f'. {HA}/shellfuncs; HA_FIFO={fifo}; '
                     '{ echo t=a; sleep 0.2; echo b=c; } | ha_clustermsg')
        self.assertEqual(os.read(reader, 4096), b'>>>\nt=a\nb=c\n<<<\n')
        self.assertEqual(xtest.text_of(trace).count('write('), 1)

    def test_ha_cf(self):
        """heartbeat itself reads it, on a host with such interfaces, and begins."""
        self.install_plugin()
        for name in ('bond0.901', 'bond0.902'):
            self.host.run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', f'x{name}')
            self.host.run('ip', 'link', 'set', name, 'up')
        for n, name in ((198, 'bond0.901'), (203, 'bond0.902')):
            self.host.run('ip', 'address', 'add', f'{n}.0.2.1/24', 'broadcast', f'{n}.0.2.255',
                          'dev', name)
        for name in ('heartbeat', 'heartbeat/ccm', 'heartbeat/crm', 'heartbeat/dopd'):
            os.makedirs(f'/run/{name}', exist_ok=True)
            shutil.chown(f'/run/{name}', 'hacluster', 'haclient')
        os.makedirs('/var/lib/heartbeat/cores/root', exist_ok=True)
        with open(f'{HA}/ha.cf', 'a') as f:
            f.write(f'logfile {self.path("ha-log")}\n')
        run = ('hostname n1 && exec "$@"',)
        d = self.spawn([*self.host.prefix, 'unshare', '--uts', '--pid', '--fork', '--kill-child',
                        '--mount-proc', 'sh', '-c', *run, 'sh', HEARTBEAT, '-f'])

        def says():
            said = d.stderr() + xtest.text_of(self.path('ha-log'))
            self.assertNotIn('ERROR: Heartbeat not started', said)
            self.assertTrue(d.is_alive(), said)
            return 'Configuration validated' in said
        xtest.wait_for(says, 'heartbeat reads it', 60)


class Network(xtest.Case):

    def setUp(self):
        super().setUp()
        self.require(NETWORKD, 'nsenter', root=True)
        xtest.own_namespace()
        self.host = netlab.Host(self, '127.0.0.1')

    def parsed(self, folder):
        """What networkd says of the files: whatever this kernel can make of them."""
        for place, source in (('/run', None), ('/etc/systemd/network', folder)):
            how = ['--bind', source] if source else ['-t', 'tmpfs', 'none']
            os.makedirs(place, exist_ok=True)
            self.run_cmd('mount', *how, place)
            self.addCleanup(self._unmount, place)
        os.makedirs('/run/systemd', exist_ok=True)
        d = self.spawn([*self.host.prefix, NETWORKD],
                       env={'SYSTEMD_LOG_LEVEL': 'debug', 'SYSTEMD_LOG_TARGET': 'console'})
        xtest.wait_for(lambda: 'Enumeration completed' in d.stderr(), 'networkd', 60)
        d.kill()
        return d.stderr()

    def test_networkd(self):
        said = self.parsed(f'{CONF}/networkd')
        for name in ('bond0', 'bond0.900', 'bond0.901', 'bond0.902'):
            self.assertRegex(said, f'(?m)^{re.escape(name)}: loaded')
        about = [line for line in said.splitlines() if '/etc/systemd/network/' in line]
        self.assertEqual([line for line in about if COMPLAINS.search(line)], [])

    def test_would_tell(self):
        """The control: a wrong key is complained about."""
        wrong = self.path('wrong')
        shutil.copytree(f'{CONF}/networkd', wrong)
        with open(f'{wrong}/20-bond0.network', 'a') as f:
            f.write('NoSuchKey=1\n')
        about = [line for line in self.parsed(wrong).splitlines() if 'NoSuchKey' in line]
        self.assertTrue(any(COMPLAINS.search(line) for line in about), about)

    def test_ifupdown(self):
        """The same addresses as networkd's."""
        self.require('ifup')
        p = self.run_cmd(*self.host.prefix, 'ifup', '--no-act', '--verbose', '--force', '--all',
                         '--interfaces', f'{CONF}/interfaces', status=None)
        self.assertEqual(p.returncode, 0, p.stderr)
        for number in ('900', '901', '902'):
            text = xtest.text_of(f'{CONF}/networkd/30-vlan{number}.network')
            address = re.search(r'^Address=(.*)/', text, re.M)[1]
            said = [line for line in p.stderr.splitlines() if f'dev bond0.{number}' in line]
            self.assertTrue(any(address in line for line in said), p.stderr)
            mtu = re.search(r'^MTUBytes=(.*)$',
                            xtest.text_of(f'{CONF}/networkd/30-vlan{number}.netdev'), re.M)[1]
            self.assertTrue(any(f'mtu {mtu}' in line for line in said), p.stderr)

    def test_unit(self):
        self.require('systemd-analyze')
        folder = self.path('units')
        os.mkdir(folder)
        with open(f'{CONF}/xnbd-vg@.service') as f:
            text = f.read().replace('/etc/ha.d/resource.d/', f'{agents.SCRIPTS}/heartbeat/')
        with open(f'{folder}/xnbd-vg@pair.service', 'w') as f:
            f.write(text)
        p = self.run_cmd('systemd-analyze', 'verify', '--man=no', f.name, status=None)
        self.assertEqual([x for x in p.stderr.splitlines() if 'xnbd-vg' in x], [])


if __name__ == '__main__':
    xtest.main(at_once=3)
