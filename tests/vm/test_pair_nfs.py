#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""conf/cluster/README.md, "NFS": every command of it, on the pair of test_readme_pair.py. A client
with NFS 4.2, 4.0 and 3 has locks, writes and verifies while the pair moves, once as planned and once
as a node loses its power. It must not see an error, and its locks are there again before anybody
else could have them.

A client of NFS 4.0 never says that it has claimed all it had, so the grace period lasts as long as
the test wants; and a lock that is there meanwhile has been claimed again.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kernel_client  # noqa: E402
import nfs_guests  # noqa: E402
import pair_guests  # noqa: E402
import test_readme_pair  # noqa: E402
import xtest  # noqa: E402
from pair_guests import SECONDS  # noqa: E402
from test_readme_pair import CHAPTER, Step, chapter, steps  # noqa: E402

# Of README's chapter: what changes nothing is left out here, and the test shot.
LOOKS = re.compile('ls |lvs |uptime|crm_verify|xnbd-stonith |xnbd-confsync status')
ADDRESS, NAME, EXPORT = '192.0.2.11', 'nfs-ha', '/srv/pair/root'
MOUNTED = {'4.2': '/mnt/pair', '4.0': '/mnt/pair40', '3': '/mnt/pair3'}
LOCKS, LENGTH = {'4.2': 100, '4.0': 200, '3': 300}, 50  # where they begin
GRACE_FILES = nfs_guests.GRACE_FILES
# Seconds; the test ends it. The lock manager would not take so many, but follows the server.
GRACE = 3600
COMPLAINTS = f'{kernel_client.COMPLAINTS}|(?i:reclaim|recovery).*fail'

# What the installation of packages does, which the guests' image does not.
STARTED = '''
systemctl enable --now rpcbind.socket nfs-client.target nfs-server
systemctl is-active nfs-server nfsdcld rpc-statd
'''
CLIENT_UP = '''
set -e
echo 0 >/proc/sys/kernel/hung_task_timeout_secs
hostname client
mkdir -p /run/rpcbind /var/lib/nfs/sm /var/lib/nfs/sm.bak /mnt/pair40
chown -R statd:nogroup /var/lib/nfs
rpcbind
'''


class PairNfs(test_readme_pair.Hands):
    PACKAGES = (*test_readme_pair.packages(), 'nfs-kernel-server')
    KERNEL = ('nfsd',)
    FILES = {
        '/etc/nfs.conf': xtest.text_of('/usr/share/nfs-common/conffiles/nfs.conf'),
        '/etc/idmapd.conf': xtest.text_of('/usr/share/nfs-common/conffiles/idmapd.conf'),
        '/etc/exports': xtest.text_of('/usr/share/nfs-kernel-server/conffiles/etc.exports'),
        '/etc/nfs.conf.d/lab.conf': f'[nfsd]\ngrace-time={GRACE}\n',
    }
    GUEST = CLIENT = {
        'modules': ('nfsv3', 'nfsv4'), 'memory': 384,
        'programs': ('/usr/bin/fio', '/bin/mount', '/sbin/mount.nfs', '/usr/sbin/rpcbind',
                     '/usr/sbin/rpcinfo', '/usr/sbin/rpc.statd', xtest.program('range_lock')),
        'files': {**nfs_guests.GUEST['files'], '/etc/hosts': b'127.0.0.1 localhost\n',
                  '/sbin/mount.nfs': '/sbin/mount.nfs'},
    }

    # The pair.

    def set_up(self):
        """Up to the cluster that serves NBD."""
        for step in steps(chapter(CHAPTER)):
            if not LOOKS.match(step.command):
                self.type_all(step)
            if step.awaited.startswith('unblock'):
                return

    def type_all(self, *done):
        for step in done:
            for name in step.who:
                with self.step(f'{name}# {step.command}'):
                    self.type(step, name)

    def type(self, step, name):
        super().type(step, name)
        if step.command.startswith('apt-get ') and 'nfs' in step.command:
            self.nodes[pair_guests.NAMES.index(name)].run(STARTED)

    def type_here(self, step):
        """Its shell would take a mount of its own."""
        self.client.run(re.sub('^mount ', '/programs/mount ', step.command), seconds=SECONDS)

    def cut_power(self, node):
        """rpc.statd does not sync what it writes, and that is not what is tried here."""
        node.run('sync')
        node.plug(False)

    # The client.

    def boot(self):
        super().boot()
        self.client.run(CLIENT_UP)
        self.statd = self.client.start('rpc.statd', '-F', '-d', '-L')
        self.client.run('until rpcinfo -p | grep -qw 100024; do usleep 20000; done')

    def work(self):
        self.client.run('dmesg -c >/dev/null')
        self.type_all(Step('client', f'mount -t nfs -o vers=4.0 {ADDRESS}:{EXPORT} /mnt/pair40'))
        self.assertEqual(self.client.run("grep -o ' nfs.*vers=[^,]*' /proc/mounts | sed 's/.*=//'")
                         .split(), ['4.2', '3', '4.0'])
        self.client.run(f'cp /busybox {MOUNTED["3"]}/kept', seconds=SECONDS)
        self.holders = [self.hold(version) for version in LOCKS]
        self.load = kernel_client.Load(self.client, f'{MOUNTED["4.2"]}/file', '1m', pause=2)
        self.goes_on()

    def hold(self, version):
        path = f'{MOUNTED[version]}/locked.{version}'
        job = self.client.start('range_lock', 'hold', path, str(LOCKS[version]), str(LENGTH))
        self.client.run(f'until grep -q held {job}.log; do usleep 20000; done', seconds=SECONDS)
        return job

    def be_recorded(self):
        """Linux's server records a client of NFS 4.0 when somebody there opens a file who had none
        open. Who has only claimed again what he had would not get it at the next take-over."""
        path = f'{MOUNTED["4.0"]}/new'
        self.client.run(f'echo new >{path}; su -s /bin/sh statd -c "cat {path}"')

    def goes_on(self):
        """Since now."""
        rounds = self.load.rounds()
        xtest.wait_for(lambda: self.load.rounds() > rounds, 'fio goes on', SECONDS)

    def heard(self):
        """Numbers that the client of NFS 3 was told by the pair."""
        log = self.client.run(f'cat {self.statd}.log')
        return set(re.findall(rf'Received SM_NOTIFY from {NAME}, state: (-?\d+)', log))

    # The server.

    def locks(self, node):
        """Versions of NFS whose locks it has."""
        text = node.run('cat /proc/locks')
        return {version for version, start in LOCKS.items()
                if re.search(f'WRITE.* {start} {start + LENGTH - 1}$', text, re.M)}

    def end_grace(self, node):
        node.run(f'for f in {GRACE_FILES}; do ! grep -q N $f || echo Y >$f; done')
        node.until(f'! cat {GRACE_FILES} | grep N', 'the grace period ends')

    def check_moved(self, node, told):
        """It serves. Locks are back; the client has heard more than it was told before, and goes
        on."""
        xtest.wait_for(lambda: self.locks(node) == set(LOCKS), f'locks at {node.name}', SECONDS, 1)
        self.assertEqual(node.run('cat /proc/fs/nfsd/v4_end_grace').strip(), 'N')
        self.assertGreater(self.heard(), told)
        self.end_grace(node)
        self.goes_on()
        self.assertEqual(self.locks(node), set(LOCKS))

    def check_end(self):
        """No error anywhere; data is there, locks are given back."""
        kernel_client.end(self.load)
        for job in self.holders:
            self.client.end(job, 'KILL')
        xtest.wait_for(lambda: not self.locks(self.n1), 'no locks', SECONDS, 1)
        self.assertEqual(self.n1.run(f'md5sum <{EXPORT}/kept').split()[0],
                         self.client.run('md5sum </busybox').split()[0])
        for folder in MOUNTED.values():  # a file may be in use for a moment
            self.client.run(f'until umount {folder}; do usleep 20000; done', seconds=SECONDS)
        self.assertEqual(re.findall(COMPLAINTS, self.client.run('dmesg')), [])
        self.assertNotRegex(self.n1.run('crm_mon -1f'), 'fail-count|Failed')
        self.assertEqual([len(n.cuts) for n in self.nodes], [0, 1])
        self.assertIsNone(self.power.fault)

    def test_section(self):
        with self.step('bare machines boot'):
            self.boot()
        self.set_up()
        told = set()  # a client that has no lock yet
        for step in steps(chapter('NFS', 'conf/cluster/README.md')):
            self.type_all(step)
            if step.awaited.startswith('nfs-notify') and step.who == ('n2',):
                with self.step('the client after the move'):
                    self.check_moved(self.n2, told)
                    self.be_recorded()
            elif step.awaited.startswith('nfs-notify'):
                self.end_grace(self.n1)
            elif 'vers=3' in step.command:
                with self.step('the client works'):
                    self.work()
        with self.step('n2 loses its power'):
            told = self.heard()
            self.cut_power(self.n2)
            self.type_all(Step('n1', 'crm_mon -1    # until "nfs-notify.*Started n1"'))
        with self.step('the client after the fail-over'):
            self.check_moved(self.n1, told)
        self.n2.plug(True)
        self.type_all(Step('n1', 'crm_mon -1    # until "Online: [ n1 n2 ]"'))
        with self.step('the end'):
            self.check_end()


if __name__ == '__main__':
    xtest.main()
