# SPDX-License-Identifier: GPL-2.0-or-later
"""NFSv3 between guests: the kernel's server, client and lock manager with Debian's rpcbind,
rpc.statd and rpc.mountd, and our sm-notify. What scenarios are made of:

    class Example(nfs_guests.NfsCase):
        def test_crash(self):
            with self.step('a lock'):              # a failure tells the name of its step
                self.hold(self.server.name)
            with self.step('the server crashes'):
                self.server.crash()
                self.server.launch()               # others may do something meanwhile
                self.server.start()
                self.server.serve()
                self.server.notify()

Guests: two servers and a client. The servers share a disk, which one of them has at a time, and on
it what is exported and /var/lib/nfs; so the other can go on where the first has ended, and FLOATING
is the name of an address that goes with the disk. All tests of a class use the same guests, as
long as none fails. They end with a server that serves, wherever that is then, out of its grace
period.

A crash is the end of QEMU, like a power cut: lost is what the guest has not written to its disk.

Environment: XNBD_SM_NOTIFY (another sm-notify for the guests, to compare with).
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import lan  # noqa: E402
import xtest  # noqa: E402
from xtest import MIB  # noqa: E402

NET, NET6, DOMAIN = '10.9.0', 'fd77:', 'lab.test'
FLOATING, FLOATING_ADDRESS = f'nfs.{DOMAIN}', f'{NET}.100'
NUMBERS = {'a': 1, 'b': 2, 'client': 3}
MOUNTED, FILE, START, LENGTH = '/mnt/nfs', 'locked', 100, 50  # of the client; what it locks
SM_NOTIFY = os.environ.get('XNBD_SM_NOTIFY') or xtest.program('sm-notify')
SECONDS = 120  # for what takes some; a machine that does nothing else needs a tenth

# The grace period, seconds. Most scenarios end a long one when they have seen enough: so none
# fails as a machine is slow, and none waits.
LONG, SHORT = 240, 10

FILES = {
    '/etc/hosts': '127.0.0.1 localhost\n' + ''.join(
        f'{net}{number} {name}.{DOMAIN} {name}\n' for name, number in NUMBERS.items()
        for net in (f'{NET}.', f'{NET6}:')) + f'{FLOATING_ADDRESS} {FLOATING} nfs\n',
    '/etc/passwd': 'root:x:0:0:root:/:/bin/sh\n'
                   '_rpc:x:101:65534::/run/rpcbind:/bin/false\n'
                   'statd:x:102:65534::/var/lib/nfs:/bin/false\n',
    '/etc/group': 'root:x:0:\nnogroup:x:65534:\n',
    '/etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files\n',
    '/etc/exports': f'/disk/export -rw,fsid=1,insecure,no_root_squash,no_subtree_check '
                    f'{NET}.0/24 {NET6}:/64\n',
}
COPIED = ('/etc/netconfig', '/etc/services', '/etc/protocols', '/etc/rpc')
GUEST = {
    'modules': ('nfsd', 'nfsv3'), 'memory': 384, 'shared_disks': True,
    'programs': ('/usr/sbin/rpcbind', '/usr/sbin/rpcinfo', '/usr/sbin/rpc.statd',
                 '/usr/sbin/rpc.mountd', '/usr/sbin/rpc.nfsd', '/usr/sbin/exportfs',
                 '/usr/sbin/mount.nfs', SM_NOTIFY, xtest.program('range_lock')),
    'files': {**{path: text.encode() for path, text in FILES.items()}, **{p: p for p in COPIED}},
}

START_UP = '''
set -e
hostname {host}
ip link set eth0 down
ip addr add {address}/24 dev eth1
echo 0 >/proc/sys/net/ipv6/conf/eth1/accept_dad
ip addr add {address6}/64 dev eth1
ip link set eth1 up
mkdir -p /run/rpcbind /var/lib/nfs /disk {mounted}
rpcbind
'''
MOUNT_DISK = '''
set -e
blockdev --flushbufs /dev/vda
mount -t ext4 /dev/vda /disk
mkdir -p /disk/export /disk/nfs/sm /disk/nfs/sm.bak /disk/nfs/v4recovery
chown statd:nogroup /disk/nfs/sm /disk/nfs/sm.bak
mount --bind /disk/nfs /var/lib/nfs
'''
SERVE = '''
set -e
mount -t nfsd none /proc/fs/nfsd
echo {grace} >/proc/sys/fs/nfs/nlm_grace_period
echo {grace} >/proc/fs/nfsd/nfsv4leasetime
echo {grace} >/proc/fs/nfsd/nfsv4gracetime
exportfs -ra
rpc.mountd
rpc.nfsd --no-nfs-version 4 2
'''
# Both lockd and nfsd have a say in it.
GRACE_FILES = '/proc/fs/lockd/nlm_end_grace /proc/fs/nfsd/v4_end_grace'


class Host:
    """A guest with a name and an address in the network, whose /var/lib/nfs is on its disk."""

    def __init__(self, folder, name, network, disk):
        self.name, number = f'{name}.{DOMAIN}', NUMBERS[name]
        self.address, self.address6 = f'{NET}.{number}', f'{NET6}:{number}'
        self.statd, self.is_up = None, False
        own = os.path.join(folder, name)
        os.mkdir(own)
        self.guest = lab.Guest(own, disks=(disk,), lan=(network, number), **GUEST)
        self.run = self.guest.run

    def launch(self):
        """It boots while others do something; then, or without it: boot()."""
        self.guest.launch()

    def boot(self):
        """Its address is there, its disk is not mounted."""
        if not self.is_up:
            self.guest.boot()
            self.is_up = True
            self.run(START_UP.format(host=self.name, address=self.address, address6=self.address6,
                                     mounted=MOUNTED))

    def start(self):
        """Also the disk and the status monitor."""
        self.boot()
        self.run(MOUNT_DISK)
        self.statd = self.guest.start('rpc.statd', '-F', '-d', '-L')
        self.wait('rpcinfo -p | grep -qw 100024')

    def crash(self):
        self.guest.stop()
        self.is_up = False

    def wait(self, condition):
        """Until these shell lines are true."""
        self.run(f'until {condition}; do usleep 20000; done', seconds=SECONDS)

    def notify(self, *options):
        """Tells the peers, to the end; returns what sm-notify says."""
        return self.run(f'sm-notify -d {" ".join(options)}', seconds=SECONDS)

    def heard(self):
        """What the status monitor has logged: who told it of which reboot."""
        return self.run(f'cat {self.statd}.log')

    # What is on disk.

    def state(self):
        """The number that peers are told."""
        return int(self.run("hexdump -v -e '1/4 \"%d\"' /var/lib/nfs/state"))

    def records(self, folder='sm'):
        return self.run(f'ls /var/lib/nfs/{folder}').split()

    # As a server.

    def serve(self, grace=LONG):
        """The floating address is last; others in the network hear of it."""
        self.run(SERVE.format(grace=grace))
        self.run(f'ip addr add {FLOATING_ADDRESS}/24 dev eth1')
        self.run(f'arping -q -U -c 1 -I eth1 {FLOATING_ADDRESS}', None)

    def is_in_grace(self):
        return 'N' in self.run(f'cat {GRACE_FILES}')

    def end_grace(self):
        self.run(f'for f in {GRACE_FILES}; do echo Y >$f; done')
        self.wait_grace_over()

    def wait_grace_over(self):
        self.wait(f'! cat {GRACE_FILES} | grep -q N')

    def locks(self):
        """How many there are on the range, be it as a client or as a server."""
        return int(self.run(f'grep -c "WRITE.* {START} {START + LENGTH - 1}$" /proc/locks', None))

    def wait_locks(self, count):
        xtest.wait_for(lambda: self.locks() == count, f'{count} locks at {self.name}', SECONDS)

    def attempt(self):
        """Somebody on the server itself wants the range: "granted" or "refused"."""
        return self.run(f'range_lock try /disk/export/{FILE} {START} {LENGTH}').strip()


class Hosts:
    """All three of them, booted. SERVER has the disk and the address, STANDBY is to get them."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix='xnbd-nfs-')
        self.network = lan.Lan(self.folder)
        self.all = []
        shared, own = self._disk('shared'), self._disk('own')
        for name, disk in (('a', shared), ('b', shared), ('client', own)):
            self.all.append(Host(self.folder, name, self.network, disk))
            self.all[-1].launch()
        self.server, self.standby, self.client = self.all

    def _disk(self, name):
        path = os.path.join(self.folder, name)
        with open(path, 'wb') as f:
            f.truncate(32 * MIB)
        subprocess.run(['mkfs.ext4', '-q', path], check=True)
        return path

    def begin(self):
        self.server.start()
        self.server.serve()
        self.server.end_grace()
        self.client.start()

    def close(self):
        for host in self.all:
            host.guest.close()
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class NfsCase(lab.Case):
    """Tests with self.server, self.standby (it may be down) and self.client."""

    GUEST, TOOLS = GUEST, ('mkfs.ext4',)
    hosts = None

    def setUp(self):
        xtest.Case.setUp(self)
        self.holder = None
        self.addCleanup(self._report)
        with self.step(f'{self.id()}: begin'):
            self.find_hosts()
        self.addCleanup(self._release)

    def find_hosts(self):
        """Those of the test before, unless it failed."""
        if not NfsCase.hosts:
            NfsCase.hosts = Hosts()
            self.addClassCleanup(self.drop_hosts)
            self.hosts.begin()

    @classmethod
    def drop_hosts(cls):
        if cls.hosts:
            cls.hosts.close()
        NfsCase.hosts = None

    server = property(lambda self: self.hosts.server)
    standby = property(lambda self: self.hosts.standby)
    client = property(lambda self: self.hosts.client)

    @contextlib.contextmanager
    def step(self, name):
        """A part of a scenario: named in all consoles, and in the failure if it fails."""
        begin = time.monotonic()
        try:
            self._mark(name)
            yield
        except BaseException as e:
            e.add_note(f'failed step, after {time.monotonic() - begin:.1f} s: {name}')
            raise

    def _mark(self, name):
        for host in self.hosts.all if self.hosts else ():
            if host.is_up:
                host.guest.mark(name)

    def _report(self):
        if not self.has_failed():
            return
        for host in self.hosts.all if self.hosts else ():
            sys.stderr.write(f'--- {host.name}\n{host.guest.report(self.id())}\n')
            if host.is_up:
                sys.stderr.write(f'--- programs in it\n{host.guest.job_logs()}\n')
        self.drop_hosts()

    # The client's lock.

    def hold(self, name, proto='tcp'):
        """The client mounts what NAME exports, and a program of it locks the range.

        proto: "tcp6" for IPv6.
        """
        self.client.run(f'mount.nfs {name}:/disk/export {MOUNTED} -o vers=3,proto={proto}')
        self.holder = self.client.guest.start('range_lock', 'hold', f'{MOUNTED}/{FILE}', str(START),
                                              str(LENGTH))
        self.client.wait(f'grep -q held {self.holder}.log')
        self.assertEqual((self.server.locks(), self.server.attempt()), (1, 'refused'))
        self.assertIn(self.client.name, self.server.records())

    def let_go(self):
        """The program ends, and what is mounted goes."""
        self.client.guest.end(self.holder, 'KILL')
        self.client.wait(f'umount {MOUNTED}')  # a file may be in use for a moment
        self.holder = None

    def _release(self):
        if self.holder and not self.has_failed():
            self.let_go()
