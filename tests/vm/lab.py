# SPDX-License-Identifier: GPL-2.0-or-later
"""Small Linux guests under QEMU: a real kernel with modules the host may not have.

A guest is Debian's cloud kernel and a root file system in memory with busybox, kernel modules and
programs of this host (with their libraries). The host talks to it by two ways that do not disturb
each other: shell lines over a virtio serial port (run()), and TCP to ports the guest listens on
(address()). Packages: qemu-system-x86, linux-image-cloud-amd64, busybox-static. No root needed.
Environment: XNBD_VM_ACCEL (default: tcg,thread=multi; kvm is much faster where it works).
"""

import base64
import glob
import itertools
import json
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402

QEMU, BUSYBOX = 'qemu-system-x86_64', '/bin/busybox'
BASE_MODULES = ('virtio_pci', 'virtio_console', 'virtio_net', 'virtio_blk')
BOOT_SECONDS = 120

INIT = r'''#!/busybox sh
/busybox mkdir -p /bin /proc /sys /dev /tmp /run /mnt
/busybox --install -s /bin
export PATH=/programs:/bin HOME=/ DM_DISABLE_UDEV=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mkdir -p /dev/shm /dev/pts
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin; ln -s fd/1 /dev/stdout; ln -s fd/2 /dev/stderr
for m in $(cat /modules/order); do insmod /modules/$m.ko || echo "module $m failed"; done
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
for p in /sys/class/virtio-ports/*; do
	[ "$(cat $p/name)" = agent ] && exec 3<>/dev/${p##*/}
done
echo READY >&3
while read -r line <&3; do
	echo "$line" | base64 -d >/tmp/.line
	sh /tmp/.line </dev/null >/tmp/.out 2>&1 3>&-
	echo "$? $(wc -c </tmp/.out)" >&3
	cat /tmp/.out >&3
done
echo o >/proc/sysrq-trigger
'''


def kernel():
    """(path of the newest cloud kernel, folder of its modules), or None."""
    found = []
    for path in glob.glob('/boot/vmlinuz-*-cloud-amd64'):
        modules = f'/lib/modules/{path.partition("-")[2]}'
        if os.path.exists(f'{modules}/modules.dep'):
            numbers = [int(n) for n in re.findall(r'\d+', path)]
            found.append((numbers, path, modules))
    return max(found)[1:] if found else None


def module_files(folder, names):
    """Paths of modules and of all they need, each behind what it needs."""
    needs, ordered = {}, []
    for line in xtest.text_of(f'{folder}/modules.dep').splitlines():
        path, _, rest = line.partition(':')
        needs[os.path.basename(path).split('.')[0].replace('-', '_')] = [path, *rest.split()]
    for name in names:
        path, *others = needs[name.replace('-', '_')]
        ordered += [p for p in [*reversed(others), path] if p not in ordered]
    return [os.path.join(folder, p) for p in ordered]


def libraries(program):
    """Paths of the shared libraries of a program, the loader included."""
    p = subprocess.run(['ldd', program], capture_output=True, text=True, check=False)
    return re.findall(r'(/\S+) \(0x', p.stdout)


class Archive:
    """A cpio archive ("newc"), as the kernel unpacks it into its first root file system."""

    def __init__(self):
        self.data, self.paths = bytearray(), set()

    def add(self, path, content=b'', mode=stat.S_IFREG | 0o755):
        path = path.lstrip('/')
        if path in self.paths:
            return
        folder = os.path.dirname(path)
        if folder:
            self.add(folder, mode=stat.S_IFDIR | 0o755)
        self.paths.add(path)
        name = path.encode() + b'\0'
        fields = (len(self.paths), mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        self._put(b'070701' + b''.join(b'%08x' % f for f in fields) + name)
        self._put(content)

    def add_file(self, source, path=None):
        with open(source, 'rb') as f:
            self.add(path or source, f.read())

    def _put(self, data):
        self.data += data + bytes(-len(data) % 4)

    def write(self, path):
        self.add('TRAILER!!!', mode=0)
        with open(path, 'wb') as f:
            f.write(self.data)


class Guest:
    """programs: paths on this host, found by name in the guest. files: {path there: path here}.

    disks: raw images, /dev/vda and so on. disk_cache: QEMU's cache mode for them; "directsync" is a
    disk without a cache of its own. ports: TCP ports of the guest that the host can reach.
    reaches_host: the guest finds this host's 127.0.0.1 at 10.0.2.2.
    """

    def __init__(self, folder, modules=(), programs=(), files=None, disks=(), ports=(),
                 memory=256, reaches_host=False, disk_cache='unsafe'):
        self.folder, self.lock, self.ids = folder, threading.Lock(), itertools.count()
        self.kernel, self.module_folder = kernel()
        self.disks, self.disk_cache, self.ports = disks, disk_cache, ports
        self.memory, self.reaches_host = memory, reaches_host
        self._write_root(modules, programs, files or {})
        self.boot()

    def boot(self):
        """Returns when the guest answers. Again after stop(): the same disks, all else as new."""
        self.agent = None
        self._start()
        try:
            self.agent = self._connect('agent', BOOT_SECONDS)
            self.answers = self.agent.makefile('rb')
            self._line('READY')
            self._find_ports()
        except BaseException:
            self.stop()
            raise

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _write_root(self, modules, programs, files):
        root, order = Archive(), []
        root.add('/init', INIT.encode())
        root.add('/dev/console', mode=stat.S_IFCHR | 0o600)
        root.add_file(BUSYBOX, '/busybox')
        for path in module_files(self.module_folder, (*BASE_MODULES, *modules)):
            order.append(os.path.basename(path).split('.')[0])
            root.add_file(path, f'/modules/{order[-1]}.ko')
        root.add('/modules/order', '\n'.join(order).encode())
        for program in programs:
            root.add_file(program, f'/programs/{os.path.basename(program)}')
            for library in libraries(program):
                root.add_file(library)
        for there, here in files.items():
            root.add_file(here, there)
        root.write(self._path('root.cpio'))

    def _start(self):
        forward = ''.join(f',hostfwd=tcp:127.0.0.1:0-:{p}' for p in self.ports)
        restrict = '' if self.reaches_host else ',restrict=on'
        argv = [QEMU, '-machine', 'q35', '-cpu', 'max', '-smp', '2', '-m', str(self.memory),
                '-accel', os.environ.get('XNBD_VM_ACCEL', 'tcg,thread=multi'),
                '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
                '-serial', f'file:{self._path("console")}',
                '-qmp', f'unix:{self._path("qmp")},server=on,wait=off',
                '-kernel', self.kernel, '-initrd', self._path('root.cpio'),
                '-append', 'console=ttyS0 quiet panic=-1',
                '-device', 'virtio-serial-pci',
                '-chardev', f'socket,id=agent,path={self._path("agent")},server=on,wait=off',
                '-device', 'virtserialport,chardev=agent,name=agent',
                '-netdev', f'user,id=net{restrict}{forward}',
                '-device', 'virtio-net-pci,netdev=net,romfile=']
        for i, disk in enumerate(self.disks):
            argv += ['-drive', f'file={disk},if=none,id=disk{i},format=raw,cache={self.disk_cache}',
                     '-device', f'virtio-blk-pci,drive=disk{i},addr={16 + i:x}']
        with open(self._path('qemu.log'), 'wb') as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=xtest.die_with_us)

    def _connect(self, name, timeout):
        """QEMU listens a moment after its start."""
        def attempt():
            if self.process.poll() is not None:
                raise AssertionError(f'QEMU ended\n{self.report()}')
            try:
                return xtest.connect(self._path(name))
            except (FileNotFoundError, ConnectionRefusedError):
                return None
        s = xtest.wait_for(attempt, f'QEMU {name}', 20)
        s.settimeout(timeout)
        return s

    def _line(self, expected=None):
        try:
            line = self.answers.readline().decode().rstrip('\n')
        except OSError:  # timed out, now or before
            line = ''
        if not line or expected not in (None, line):
            raise AssertionError(f'no answer from the guest: {line!r}\n{self.report()}')
        return line

    def _find_ports(self):
        """QEMU chose the host's ports."""
        rows = self.qmp('human-monitor-command', **{'command-line': 'info usernet'})
        self.host_ports = {int(there): int(here) for here, there in re.findall(
            r'HOST_FORWARD\S*\s+\S+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)', rows)}

    def address(self, port):
        """Where this host finds a port of the guest; it accepts even if nobody listens there."""
        return '127.0.0.1', self.host_ports[port]

    def qmp(self, command, **arguments):
        """One command to QEMU itself (stop, cont, set_link ...); returns its result."""
        with self._connect('qmp', 20) as s, s.makefile('rw') as f:
            f.readline()  # greeting
            for request in ({'execute': 'qmp_capabilities'},
                            {'execute': command, 'arguments': arguments}):
                f.write(json.dumps(request) + '\n')
                f.flush()
                answer = json.loads(f.readline())
                while 'event' in answer:
                    answer = json.loads(f.readline())
        if 'error' in answer:
            raise AssertionError(f'{command}: {answer["error"]}')
        return answer['return']

    def run(self, script, status=0, seconds=60):
        """Runs shell lines in the guest; returns what they print. Status None: any."""
        with self.lock:
            self.agent.settimeout(seconds)
            self.agent.sendall(base64.b64encode(script.encode()) + b'\n')
            code, size = map(int, self._line().split())
            output = self.answers.read(size).decode(errors='replace')
        if status not in (None, code):
            raise AssertionError(f'guest: {script}\nexit status {code}, not {status}\n{output}')
        return output

    def start(self, *argv):
        """Starts a program in the guest; returns a handle for is_running() and end()."""
        name = f'/tmp/job.{next(self.ids)}'
        self.run(f"""(sh -c 'echo $$ >{name}.pid; exec "$@"' sh {shlex.join(argv)}
                 echo $? >{name}.status) >{name}.log 2>&1 &
                 until [ -s {name}.pid ]; do usleep 10000; done""")
        return name

    def is_running(self, job):
        return self.run(f'[ -e {job}.status ] || echo yes') != ''

    def end(self, job, signal='TERM', seconds=30):
        """Returns (exit status, what the program printed)."""
        self.run(f'kill -{signal} $(cat {job}.pid)')
        status = xtest.wait_for(lambda: self.run(f'cat {job}.status 2>/dev/null', None), job,
                                seconds)
        return int(status), self.run(f'cat {job}.log')

    def report(self):
        """For a failed test: what QEMU and the guest's kernel said last."""
        return '\n'.join(xtest.text_of(self._path(n))[-4000:] for n in ('qemu.log', 'console'))

    def stop(self):
        """Like pulling the plug."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.agent:
            self.answers.close()
            self.agent.close()


class Case(xtest.Case):
    """Tests that share one guest, cls.guest. GUEST: arguments of Guest; disks() makes images.

    TOOLS: what disks() and the tests need on this host.
    """

    GUEST, TOOLS = {}, ()

    @classmethod
    def setUpClass(cls):
        cls.check_needs()
        cls.class_dir = tempfile.mkdtemp(prefix='xnbd-vm-')
        cls.addClassCleanup(shutil.rmtree, cls.class_dir, ignore_errors=True)
        cls.guest = Guest(cls.class_dir, disks=cls.disks(cls.class_dir), **cls.GUEST)
        cls.addClassCleanup(cls.guest.stop)

    @classmethod
    def disks(cls, folder):
        return ()

    @classmethod
    def check_needs(cls):
        """Skips without QEMU, guest kernel or busybox; with CI=true that fails."""
        missing = [name for name, found in (('qemu-system-x86', shutil.which(QEMU)),
                                            ('linux-image-cloud-amd64', kernel()),
                                            ('busybox-static', os.path.exists(BUSYBOX)))
                   if not found]
        missing += [p for p in cls.GUEST.get('programs', ()) if not os.path.exists(p)]
        missing += [t for t in cls.TOOLS if not shutil.which(t)]
        if missing and os.environ.get('CI') == 'true':
            raise AssertionError(f'needs {missing}, and with CI=true nothing may be skipped')
        if missing:
            raise unittest.SkipTest(f'needs {", ".join(missing)}')

    def setUp(self):
        super().setUp()
        self.addCleanup(self._report)

    def _report(self):
        if not self._outcome.success:
            sys.stderr.write(f'--- guest\n{self.guest.report()}\n')
