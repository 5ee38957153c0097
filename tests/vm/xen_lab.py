# SPDX-License-Identifier: GPL-2.0-or-later
"""Xen under QEMU: a guest that is dom0, with xl and small domains (PV) in it.

    class Example(xen_lab.XenCase):
        DOMAINS = ('u1',)
        def test_one(self):
            self.serve(disk='content')          # a wrapper in dom0, listening at 127.0.0.1:8520
            self.attach('u1', 'xvdb', 'nbd://127.0.0.1:8520/disk', 'w')
            self.seen('u1', 'disk xvdb 8192 rw')

Hypervisor, dom0's kernel and the toolstack are packages that are unpacked and never installed, as
they would change what this host boots; `scripts/packages test --install` fetches them. A domain's
init program says on its console which disks come and go, with a checksum; to one it may write it
writes WRITTEN, and one that begins with HOLD it keeps open for HOLD_SECONDS.
"""

import fcntl
import glob
import gzip
import os
import re
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guest_image  # noqa: E402
import lab  # noqa: E402
import agents  # noqa: E402
import xtest  # noqa: E402

PACKAGES = ('xen-hypervisor-*-amd64', 'linux-image-*-amd64', 'xen-utils-[0-9]*', 'xen-utils-common')
FOLDER = os.environ.get('XNBD_XEN_PACKAGES', '/var/cache/xnbd-test')
MODULES = ('xen-blkback', 'xenfs', 'xen-privcmd', 'xen-evtchn', 'xen-gntdev', 'xen-gntalloc', 'nbd',
           'loop')
TOOLSTACK = ('xl', 'xenstored', 'xen-init-dom0', 'xenconsoled')
XENSTORE = ('read', 'write', 'list', 'exists', 'rm', 'ls')
PROGRAMS = ('/bin/bash', '/bin/dash', '/sbin/nbd-client', '/usr/bin/flock', '/usr/bin/jq')
OURS = ('xnbd-wrapper', 'xnbd-server', 'xnbd-wrapper-ctl')
SCRIPTS = os.path.join(xtest.HERE, '..', '..', 'scripts', 'xen')
SHELLS = ('dash', 'bash --posix')  # either may be /bin/sh; here the first one is
HOLD_SECONDS, SECTOR = 600, 512
SECONDS = 600  # for what runs many programs; a machine that does nothing else needs a twentieth
WRITTEN = 'written by the domain'
PORT = 8520

# What a backup does: waits until the domain has the disk, and looks at it.
LOOK = ('until grep -c "disk $XNBD_BACKUP_DISK" /var/log/xen/console/guest-b1.log >/tmp/times; do '
        'usleep 300000; done; env | grep ^XNBD_')

DOMAIN_INIT = f'''#!/busybox sh
/busybox mkdir -p /bin /proc /sys /dev /run
/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for m in $(cat /modules/order); do insmod /modules/$m.ko; done
look() {{
	set -- $1 $(cat /sys/block/$1/size) $(sed 's/0/rw/; s/1/ro/' /sys/block/$1/ro)
	sum=$(dd if=/dev/$1 bs=64k count=16 2>/dev/null | md5sum)
	echo "disk $1 $2 $3 ${{sum%% *}}"
	if [ "$(dd if=/dev/$1 bs=4 count=1 2>/dev/null)" = HOLD ]; then
		sleep {HOLD_SECONDS} </dev/$1 &
		echo "holds $1"
	fi
	[ $3 = rw ] || return
	echo '{WRITTEN}' | dd of=/dev/$1 bs={SECTOR} seek=1 conv=notrunc,sync,fsync 2>/dev/null &&
		echo "wrote $1"
}}
echo ready
while :; do
	for d in /sys/block/xvd*; do
		[ -e $d ] && [ ! -e /run/${{d##*/}} ] || continue
		: >/run/${{d##*/}}
		look ${{d##*/}}
	done
	for d in /run/xvd*; do
		[ -e $d ] && [ ! -e /sys/block/${{d##*/}} ] || continue
		rm $d
		echo "gone ${{d##*/}}"
	done
	usleep 400000
done
'''
DOMAIN = '''name="{name}"
type="pv"
kernel="/domain/kernel"
ramdisk="/domain/ramdisk"
memory=128
vcpus=1
extra="console=hvc0 quiet"
disk=[{disk}]
on_crash="preserve"
'''
# No udev, no systemd: the toolstack needs few programs, and folders that packages make.
START_XEN = '''set -e
mkdir -p /run/xen /run/lock /run/lvm /run/lock/lvm /var/log/xen/console /var/lib/xen /etc/xnbd \\
	/var/log /srv
ln -s /run /var/run; ln -s /run/lock /var/lock
echo 127.0.0.1 localhost >/etc/hosts
mount -t xenfs xenfs /proc/xen
mount -t devpts devpts /dev/pts
: >/etc/xen/xl.conf
xenstored --pid-file /run/xenstored.pid
xen-init-dom0
xenconsoled --log=guest --log-dir=/var/log/xen/console
xl list
'''


def packages():
    """Paths of the unpacked packages' files; None for one that is missing."""
    found = []
    for pattern in PACKAGES:
        paths = [p for p in glob.glob(f'{FOLDER}/{pattern}_*.deb')
                 if '-cloud-' not in os.path.basename(p)]
        found.append(max(paths, key=os.path.getmtime, default=None))
    return found


def unpack():
    """The folder with the content of the packages, which the build folder keeps."""
    base = os.path.join(xtest.BUILD, 'vm', 'xen')
    paths = packages()
    folder = f'{base}.{guest_image.digest([guest_image.version(p) for p in paths])}'
    os.makedirs(os.path.dirname(base), exist_ok=True)
    with open(f'{base}-lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(folder):
            for old in glob.glob(f'{base}.*'):
                shutil.rmtree(old)
            for path in paths:
                subprocess.run(['dpkg-deb', '-x', path, f'{folder}.new'], check=True)
            complete(f'{folder}.new')
            os.rename(f'{folder}.new', folder)
    return folder


def complete(folder):
    """What installing would have done; and QEMU boots no compressed hypervisor."""
    version = os.path.basename(glob.glob(f'{folder}/lib/modules/*')[0])
    subprocess.run(['depmod', '-b', folder, version], check=True)
    with gzip.open(glob.glob(f'{folder}/boot/xen-*.gz')[0]) as f, \
            open(f'{folder}/boot/xen', 'wb') as out:
        shutil.copyfileobj(f, out)


def domain_files():
    """Kernel and root file system of domains."""
    modules = {os.path.basename(p).split('.')[0]: p
               for p in guest_image.module_files(('xen-blkfront',))}
    parts = {'/init': DOMAIN_INIT.encode(), '/busybox': guest_image.BUSYBOX,
             '/modules/order': '\n'.join(modules).encode(),
             **{f'/modules/{name}.ko': path for name, path in modules.items()}}
    ramdisk = gzip.compress(bytes(guest_image.Archive(parts).data), 1, mtime=0)
    return {'/domain/kernel': guest_image.kernel()[0], '/domain/ramdisk': ramdisk}


class XenGuest(lab.Guest):
    """dom0. Processors of QEMU's better models are not emulated well enough for Xen."""

    def parts_of(self, modules, programs, files):
        self.unpacked = unpack()
        bins = glob.glob(f'{self.unpacked}/usr/lib/xen-[0-9]*/bin')[0]
        more = {p[len(self.unpacked):]: p for p in glob.glob(f'{self.unpacked}/etc/xen/scripts/*')}
        more |= {'/etc/xen/scripts/block-xnbd': f'{SCRIPTS}/block-xnbd', '/bin/bash': '/bin/bash',
                 # As on a real dom0; busybox's shell prefers its own programs, and its timeout
                 # leaves a process that holds locks a moment longer.
                 '/bin/sh': '/bin/dash', '/usr/bin/timeout': '/usr/bin/timeout',
                 '/etc/passwd': b'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n',
                 '/etc/group': b'root:x:0:\nnogroup:x:65534:\n', **domain_files(), **files}
        saver = f'{bins}/libxl-save-helper'  # which xl runs from where it is installed
        more[saver[len(self.unpacked):]] = saver
        programs = (saver, *(f'{bins}/{p}' for p in TOOLSTACK), *PROGRAMS, *programs,
                    *(f'/usr/bin/xenstore-{p}' for p in XENSTORE))
        folder = glob.glob(f'{self.unpacked}/lib/modules/*')[0]
        return guest_image.parts_of((*MODULES, *modules), programs, more, folder)

    def system(self, root):
        kernel = glob.glob(f'{self.unpacked}/boot/vmlinuz-*')[0]
        return ['-cpu', 'qemu64', '-kernel', f'{self.unpacked}/boot/xen',
                '-append', 'com1=115200,8n1 console=com1 dom0_mem=768M,max:768M dom0_max_vcpus=1 '
                           'loglvl=warning guest_loglvl=warning noreboot',
                '-initrd', f'{kernel} console=hvc0 quiet panic=-1,{root}']


class XenCase(lab.Case):
    """DOMAINS: names of those that run; they are made once."""

    KIND, DOMAINS = XenGuest, ()
    GUEST = {'memory': 1536, 'programs': tuple(map(xtest.program, OURS))}
    TOOLS = ('dpkg-deb', 'depmod', 'nbd-client', 'jq', 'bash', 'xenstore-read')

    @classmethod
    def check_needs(cls):
        super().check_needs()
        if None in packages() and os.environ.get('CI') == 'true':
            raise AssertionError(f'Xen is not in {FOLDER}, and with CI=true nothing may be skipped')
        if None in packages():
            cls().skipTest(f'needs packages of Xen in {FOLDER}: scripts/packages test --install')

    @classmethod
    def prepare(cls):
        cls.guest.run(START_XEN)
        for name in cls.DOMAINS:
            cls.create(name)

    # Domains.

    @classmethod
    def create(cls, name, disk=''):
        text = shlex.quote(DOMAIN.format(name=name, disk=disk and f'"{disk}"'))
        cls.guest.run(f'printf %s {text} >/run/{name}.cfg; xl create -q /run/{name}.cfg')
        xtest.wait_for(lambda: 'ready' in cls.console(name), f'{name} runs', lab.BOOT_SECONDS, 0.5)

    @classmethod
    def console(cls, name):
        return cls.guest.run(f'cat /var/log/xen/console/guest-{name}.log', None)

    def seen(self, name, text, times=1):
        """Waits until the domain has said so, as often as this; the last such line."""
        def lines():
            found = [s.strip() for s in self.console(name).splitlines() if text in s]
            return found[-1] if len(found) >= times else None
        return xtest.wait_for(lines, f'{name}: {text}', lab.RUN_SECONDS, 0.3)

    def said(self, name, text):
        """How often it has."""
        return self.console(name).count(text)

    def xl(self, *args, status=0):
        return self.guest.run(f'xl {shlex.join(args)} 2>&1', status)

    def attach(self, name, vdev, target, mode='w', status=0):
        access = 'rw' if mode == 'w' else 'ro'
        return self.xl('block-attach', name, f'format=raw,vdev={vdev},access={access},'
                       f'script=block-xnbd,target={target}', status=status)

    def block_list(self, name):
        """{id: state of the disk} as xl shows them."""
        rows = self.xl('block-list', name).splitlines()[1:]
        return {int(row.split()[0]): int(row.split()[3]) for row in rows}

    # Devices and servers of dom0.

    def devices(self):
        """Numbers of /dev/nbd* that are in use."""
        return [int(n) for n in re.findall(r'/nbd(\d+)/', self.guest.run(
            'ls -d /sys/block/nbd*/pid 2>/dev/null', None))]

    def serve(self, options=f'--laddr 127.0.0.1 --lport {PORT}', at=None, run='/run/xnbd',
              **exports):
        """A wrapper with exports NAME='image' or 'image" readonly = "true'; its job. AT: a guest
        that is not dom0. RUN: its own folder, where wrapper.ctl is."""
        guest, control = at or self.guest, f'{run}/wrapper.ctl'
        rows = '\n'.join(f'export "{k}" {{ image = "{v}" }}' for k, v in exports.items())
        guest.run(f"rm -rf {run}; mkdir {run}; cat >{run}/conf <<'.'\n{rows}\n.\n")
        job = guest.start('xnbd-wrapper', '--config', f'{run}/conf', '--socket', control,
                          '--dbpath', f'{run}/state', *options.split())
        self.addCleanup(self.end_wrapper, job, guest)
        guest.run(f'until xnbd-wrapper-ctl --socket {control} status >/dev/null 2>&1; do '
                  f'[ ! -e {job}.status ] || exec cat {job}.log /no; usleep 200000; done')
        return job

    @staticmethod
    def end_wrapper(job, guest):
        if not guest.lost and guest.is_running(job):
            guest.end(job)

    def image(self, path, content='', at=None):
        """An image of 4 MiB with random content behind this; md5 of its first MiB."""
        guest = at or self.guest
        guest.run(f"dd if=/dev/urandom of={path} bs=1M count=4 2>/dev/null; "
                  f"printf %s '{content}' | dd of={path} conv=notrunc 2>/dev/null")
        return guest.run(f'head -c 1048576 {path} | md5sum').split()[0]

    # What is cut short.

    def killed_at(self, step, command):
        """Is this program, a script, killed at its step number `step`? False: it has not so many,
        and has succeeded."""
        said = self.guest.run(
            f'setsid strace -qq -o /dev/null -e trace={agents.FORKS} -e signal=none '
            f'-e inject={agents.FORKS}:signal=SIGKILL:when={step} {command} >/dev/null 2>&1; '
            's=$?; echo; echo $s', None, seconds=SECONDS)
        status = re.findall(r'\d+', said)[-1]
        self.assertIn(status, ('0', '137'), said)
        return status != '0'


class BackupCase(XenCase):
    """xnbd-xen-backup for disks of u1, which b1 saves."""

    DOMAINS = ('u1', 'b1')
    JOURNALS = '/var/lib/xnbd/xen-backup'

    def backup(self, disk, command, status=0, options='-w 20'):
        """It is told by the lines it prints whether it ran."""
        quoted = command.replace("'", "'\\''")
        return self.guest.run(f"xnbd-xen-backup -v -b b1 {options} u1 {disk} "
                              f"sh -c '{quoted}' 2>&1", status, seconds=SECONDS)

    def undo(self, disk, status=0):
        return self.guest.run(f'xnbd-xen-backup --undo u1 {disk} 2>&1', status, seconds=SECONDS)

    def start_backup(self, disk, options=()):
        """One whose command does not end, and has begun; its job."""
        job = self.guest.start('xnbd-xen-backup', '-b', 'b1', *options, 'u1', disk, 'sh', '-c',
                               'touch /tmp/running; sleep 1002; true')
        self.guest.run(f'until [ -e /tmp/running ]; do [ ! -e {job}.status ] || '
                       f'exec cat {job}.log /no; usleep 300000; done; rm /tmp/running',
                       seconds=SECONDS)
        return job

    def journals(self):
        return self.guest.run(f'ls {self.JOURNALS} 2>/dev/null | grep -v "[.]lock$"', None)
