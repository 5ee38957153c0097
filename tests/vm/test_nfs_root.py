#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""conf/cluster/README.md, "Hosts without disks": a guest whose root file system is on an NFS server,
another guest, which is also its DHCP server. The root file system is made ready by the commands of
the section, and boots by the initial ramdisk that they make and by the kernel's command line there.

What the section gets from Debian's mirrors is made of packages of this host. QEMU plays PXE.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import debian_root  # noqa: E402
import guest_image  # noqa: E402
import lab  # noqa: E402
import lan  # noqa: E402
import nfs_guests  # noqa: E402
import pair_guests  # noqa: E402
import test_readme_pair  # noqa: E402
import xtest  # noqa: E402

ADDRESS, ROOT, HOST = '192.0.2.11', '/srv/pair/root/vm7', '192.0.2.77'
SECTION = test_readme_pair.chapter('Hosts without disks', 'conf/cluster/README.md')
COMMANDS = [line for line in re.findall(r'^ {4}(.*)$', SECTION, re.M)
            if ROOT in line and not re.search('debootstrap|apt-get|passwd|nfsroot', line)]
COMMAND_LINE = re.search(r'^ {4}(boot=nfs .*)$', SECTION, re.M)[1]
OPTIONS = re.search(r'options="(\S*)"', xtest.text_of(
    test_readme_pair.REPO / 'conf/cluster/pacemaker-nfs.crm'))[1]

SERVER, DISKLESS = 1, 2  # their numbers in the network
SERVER_GUEST = {**nfs_guests.GUEST, 'shared_disks': False, 'files': {
    **nfs_guests.GUEST['files'],
    '/etc/exports': f'{ROOT} 192.0.2.0/24({OPTIONS},fsid=1)\n'.encode(),
    '/etc/udhcpd.conf': f'interface eth1\nstart {HOST}\nend {HOST}\nopt subnet 255.255.255.0\n'
                        'lease_file /tmp/leases\n'.encode(),
}}
SERVE = f'''
set -e
ip link set eth0 down
ip addr add {ADDRESS}/24 dev eth1
ip link set eth1 up
mkdir -p /run/rpcbind /var/lib/nfs {ROOT}
rpcbind
mount -t ext4 /dev/vda {ROOT}
mount -t nfsd none /proc/fs/nfsd
exportfs -ra
rpc.mountd
rpc.nfsd --no-nfs-version 4 4
udhcpd
'''


class Diskless(lab.Guest):
    """Its kernel and initial ramdisk are those of its root file system."""

    def __init__(self, folder, network):
        self.release = os.path.basename(guest_image.kernel()[1])
        super().__init__(folder, memory=512, lan=(network, DISKLESS))

    def parts_of(self, modules, programs, files):
        return {}

    def take(self, ramdisk):
        self.root.close()
        self.root = open(ramdisk, 'rb')

    def system(self, root):
        """With the port that PXE has taken, as boot loaders add it."""
        return ['-cpu', 'max', '-kernel', guest_image.kernel()[0], '-initrd', root,
                '-append', f'{COMMAND_LINE} BOOTIF=01-52-54-00-00-01-{DISKLESS:02x} '
                           'console=ttyS0 quiet panic=-1 nokaslr no_timer_check']


class NfsRoot(lab.Case):
    GUEST = SERVER_GUEST
    PACKAGES = ('linux-image-cloud-amd64', 'initramfs-tools')
    # The lab's agent begins before udev would load what it talks by.
    FILES = {**pair_guests.FILES, '/etc/initramfs-tools/modules': 'virtio_console\n'}

    def setUp(self):
        xtest.Case.setUp(self)
        self.require('chroot', 'losetup', root=True)
        absent = debian_root.missing(self.PACKAGES)
        self.assertEqual(absent, [], 'packages that are not installed here')
        self.network = lan.Lan(self.dir)
        self.addCleanup(self.network.close)
        os.mkdir(self.path('vm7'))
        self.host = Diskless(self.path('vm7'), self.network)
        self.addCleanup(self.host.close)
        self.addCleanup(self._report)

    def _report(self):
        if self.has_failed():
            sys.stderr.write(f'--- vm7\n{self.host.report()}\n')

    def make_root(self):
        """Path of a disk with it, ready to boot from."""
        tree, disk = self.path('tree'), self.path('disk')
        os.mkdir(tree)
        with debian_root.image(self.PACKAGES, (), tree, self.FILES) as image:
            self.run_cmd('cp', '--sparse=always', f'/proc/{os.getpid()}/fd/{image.fileno()}', disk)
        xtest.own_namespace()
        for what in (('-t', 'tmpfs', 'none', '/srv'), (self.loop_device(disk), ROOT),
                     ('--bind', '/dev', f'{ROOT}/dev')):
            os.makedirs(what[-1], exist_ok=True)
            self.run_cmd('mount', *what)
            self.addCleanup(self._unmount, what[-1])
        # As the kernel's package does when it is installed.
        self.run_cmd('chroot', ROOT, 'update-initramfs', '-c', '-k', self.host.release, seconds=600)
        for command in COMMANDS:
            self.run_cmd('sh', '-c', command, seconds=600)
        self.run_cmd('cp', f'{ROOT}/boot/initrd.img-{self.host.release}', self.path('initrd'))
        self.host.take(self.path('initrd'))
        for where in (f'{ROOT}/dev', ROOT):
            self.run_cmd('umount', where)
        return disk

    def test_boot(self):
        disk = self.make_root()
        os.mkdir(self.path('server'))
        self.guest = lab.Guest(self.path('server'), disks=(disk,), lan=(self.network, SERVER),
                               **SERVER_GUEST)
        self.addCleanup(self.guest.close)
        self.guest.boot()
        self.guest.run(SERVE)
        self.host.boot()
        self.check()

    def check(self):
        run = self.host.run
        mounted = run('grep " / nfs " /proc/mounts')
        for text in (f'{ADDRESS}:{ROOT} / nfs rw,', 'vers=3', 'proto=tcp', 'nolock'):
            self.assertIn(text, mounted)
        self.assertEqual(run('uname -n'), 'vm7\n')
        self.assertIn(f'{HOST}/24', run('ip -4 address show'))
        run('echo "written by vm7" >/var/tmp/file && sync')
        self.assertEqual(self.guest.run(f'cat {ROOT}/var/tmp/file'), 'written by vm7\n')


if __name__ == '__main__':
    xtest.main()
