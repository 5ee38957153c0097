# SPDX-License-Identifier: GPL-2.0-or-later
"""Root file systems of guests, as archives that a kernel unpacks into memory.

An archive takes a second to make and is the same for many tests, so the build folder keeps the last
of each kind, below vm/. What it is made of tells whether it is still the right one. A lock makes
others wait that want one at the same time; they are given open files, so that replacing an archive
disturbs no guest.
"""

import fcntl
import glob
import hashlib
import os
import re
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402

BUSYBOX = '/bin/busybox'
BASE_MODULES = ('virtio_pci', 'virtio_console', 'virtio_net', 'virtio_blk')

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
echo 0 >&3
while read -r line <&3; do
	echo "$line" | base64 -d >/tmp/.line
	rm -f /tmp/.out
	sh /tmp/.line </dev/null >/tmp/.out 2>&1 3>&-
	status=$? size=$(wc -c </tmp/.out)
	echo "$status $size" >&3
	head -c $size /tmp/.out >&3
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


def module_files(names, folder=None):
    """Paths of modules and of all they need, each behind what it needs. FOLDER: another kernel's."""
    folder, needs, ordered = folder or kernel()[1], {}, []
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


def parts_of(modules, programs, files, folder=None):
    """{path in the guest: path here, or content}. FOLDER: modules of another kernel."""
    loaded = {os.path.basename(p).split('.')[0]: p
              for p in module_files((*BASE_MODULES, *modules), folder)}
    parts = {'/init': INIT.encode(), '/modules/order': '\n'.join(loaded).encode(),
             '/busybox': BUSYBOX}
    parts |= {f'/modules/{name}.ko': path for name, path in loaded.items()}
    for program in programs:
        parts[f'/programs/{os.path.basename(program)}'] = program
        parts |= {library: library for library in libraries(program)}
    return {**parts, **files}


class Archive:
    """A cpio archive ("newc"), as the kernel unpacks it into its first root file system."""

    def __init__(self, parts):
        self.data, self.paths = bytearray(), set()
        self.add('/dev/console', mode=stat.S_IFCHR | 0o600)
        for path, what in parts.items():
            if not isinstance(what, bytes):
                with open(what, 'rb') as f:
                    what = f.read()
            self.add(path, what)
        self.add('TRAILER!!!', mode=0)

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

    def _put(self, data):
        self.data += data + bytes(-len(data) % 4)


def digest(value):
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def version(what):
    """Changes with the content."""
    if isinstance(what, bytes):
        return what
    s = os.stat(what)
    return what, s.st_size, s.st_mtime_ns


def open_root(parts):
    """The archive of these parts, open for reading."""
    folder = os.path.join(xtest.BUILD, 'vm')
    kind = os.path.join(folder, digest(sorted(parts)))
    path = f'{kind}.{digest([(p, version(w)) for p, w in parts.items()])}.cpio'
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            replace(kind, path, Archive(parts).data)
        return open(path, 'rb')


def replace(kind, path, data):
    """Writes a new one and drops those before, and what a writer that was killed has left."""
    for old in glob.glob(f'{kind}.*'):
        os.remove(old)
    with open(f'{path}.new', 'wb') as f:
        f.write(data)
    os.rename(f'{path}.new', path)
