# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's NBD client in a guest, our wrapper on this host: what scenarios are made of.

    class Example(kernel_client.KernelCase):
        def test_ext4(self):
            w = self.wrap_tcp(exports=self.files(1, 16 * MIB))
            disk = self.attach(w, 'disk0')              # nbd-client, 4 connections
            with self.step('make a file system'):       # a failure tells the name of its step
                disk.run('mkfs.ext4 -q {}')
            with disk.mounted() as folder:
                self.guest.run(f'cp /busybox {folder}')

KernelCase is WrapperCase (tests/lib) and lab.Case in one. All tests of a file share a guest; each
has a wrapper and devices of its own, which are gone at its end. A test fails if the guest's kernel
complains meanwhile of I/O errors, damaged file systems, hanging tasks, warnings, or, unless it says
so, of a connection that was lost.
"""

import contextlib
import itertools
import os
import re
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import WrapperCase  # noqa: E402

HOST = '10.0.2.2'  # 127.0.0.1 of this host
DEVICES = 16
SECONDS = 120  # for what takes some; a machine that does nothing else needs a tenth
SMALL_XFS = 'TEST_DEV=1 TEST_DIR=1 QA_CHECK_FS=1'  # as its own tests ask for less than 300 MiB
COMPLAINTS = (r'I/O error|lost async page write|EXT4-fs (error|warning)|XFS.*orrupt|'
              r'BUG:|WARNING:|Oops|blocked for more than')
LOSSES = r'Receive control failed|Connection timed out'

# Writes of all sizes all over the place, several at once, past the page cache; then all is read.
# What is written tells its place and the seed, so that old and misplaced data is noticed too. (With
# checksums fio takes whatever goes with its checksum.)
FIO = ('fio --name=load --filename={path} --size={size} --randseed={seed} --rw=randwrite '
       '--bsrange=512-64k --direct=1 --minimal --ioengine=libaio --iodepth=16 --verify=pattern '
       r'--verify_pattern=%o\"seed{seed}\" --verify_fatal=1 --verify_state_save=0')
# The same again and again, each time to a new file, until told to stop.
LOAD = '''
n=0
until [ -e {name}.stop ]; do
	{fio} || exit 1
	[ -b {path} ] || rm {path}
	n=$((n + 1))
	echo $n >{name}.rounds
	sleep {pause}
done
'''


class Disk:
    """A block device of the guest. PATH: there; IMAGE: here."""

    def __init__(self, guest, number, image=None):
        self.guest, self.number, self.image = guest, number, image
        self.path, self.keeper = f'/dev/nbd{number}', None

    def sysfs(self, name):
        return self.guest.run(f'cat /sys/block/nbd{self.number}/{name}').strip()

    def size(self):
        return int(self.sysfs('size')) * 512

    def run(self, script, status=0, **options):
        """Shell lines in the guest, with the device's path for {}."""
        return self.guest.run(script.replace('{}', self.path), status, **options)

    def md5(self):
        """Of what the server has, not of what the guest remembers."""
        return self.run('blockdev --flushbufs {} && md5sum <{}').split()[0]

    @contextlib.contextmanager
    def mounted(self, options='rw'):
        """Yields the folder."""
        folder = self.folder()
        self.run(f'mkdir -p {folder} && mount -o {options} {{}} {folder}')
        yield folder
        self.guest.run(f'umount {folder}')

    def folder(self):
        """Where mounted() puts it."""
        return f'/mnt/nbd{self.number}'

    def detach(self):
        if self.keeper:
            self.run(f'kill -KILL $(cat {self.keeper}.pid)')
        self.run('nbd-client -d {}')
        self.wait_free()

    def wait_free(self):
        xtest.wait_for(lambda: self.size() == 0, f'{self.path} is free', SECONDS)

    def clean_up(self):
        """For the end of a test that may have failed anywhere."""
        if self.guest.lost:
            return
        if self.keeper:
            self.run(f'kill -KILL $(cat {self.keeper}.pid)', None)
        self.run(f'umount {{}} & for i in $(seq 50); do grep -q "^{{}} " /proc/mounts || break; '
                 'usleep 100000; done\n'
                 f'[ ! -e /sys/block/nbd{self.number}/pid ] || nbd-client -d {{}}', None)
        self.wait_free()


class Load:
    """fio in the guest, in the background, round after round; PAUSE: seconds between them."""

    def __init__(self, guest, path, size='2m', pause=0):
        self.guest, self.name = guest, f'/tmp/load{path.replace("/", ".")}'
        fio = FIO.format(path=path, size=size, seed='$n')
        guest.run(f'rm -f {self.name}.*; echo 0 >{self.name}.rounds')
        self.job = guest.start('sh', '-c', LOAD.format(name=self.name, path=path, fio=fio,
                                                       pause=pause))

    def rounds(self):
        return int(self.guest.run(f'cat {self.name}.rounds'))

    def reach(self, rounds):
        self.guest.run(f'until [ -e {self.job}.status ] || [ $(cat {self.name}.rounds) -ge {rounds}'
                       ' ]; do usleep 200000; done', seconds=2 * SECONDS)
        if not self.guest.is_running(self.job):
            raise AssertionError(self.guest.run(f'cat {self.job}.log'))

    def stop(self):
        self.guest.run(f'touch {self.name}.stop')

    def end(self):
        self.stop()
        status, log = self.guest.wait(self.job, SECONDS)
        if status != 0:
            raise AssertionError(f'exit status {status}\n{log}')


def go_on(*loads):
    """Each must end the round that is under way, so what was written in it is verified."""
    for load, rounds in [(load, load.rounds()) for load in loads]:
        load.reach(rounds + 1)


def end(*loads):
    """As go_on(), and then no more."""
    for load in loads:
        load.stop()
    for load in loads:
        load.end()


class KernelCase(lab.Case, WrapperCase):
    """MAY_LOSE: connections are lost on purpose.

    There are few large programs in a guest, so one kind of guest with all of them is best.
    """

    PROGRAMS = ('/sbin/nbd-client', '/usr/bin/fio', '/sbin/mkfs.ext4', '/sbin/resize2fs',
                '/sbin/mkfs.xfs', '/sbin/xfs_growfs')
    OURS = ('nbd_keep', 'xnbd-wrapper', 'xnbd-server', 'xnbd-wrapper-ctl')
    GUEST = {'modules': ('nbd', 'xfs'), 'programs': (*PROGRAMS, *map(xtest.program, OURS)),
             'memory': 512, 'reaches_host': True}
    SHARED, MAY_LOSE = True, False
    numbers = itertools.count()

    def setUp(self):
        super().setUp()
        self.guest.run('dmesg -c >/dev/null')
        self.addCleanup(self._check_kernel)

    def _check_kernel(self):
        if not self.has_failed():
            pattern = COMPLAINTS if self.MAY_LOSE else f'{COMPLAINTS}|{LOSSES}'
            self.assertEqual(self.kernel_said(pattern)[:5], [])

    def kernel_said(self, pattern):
        """Lines of the kernel's log in this test."""
        return [s for s in self.guest.run('dmesg').splitlines() if re.search(pattern, s)]

    # Wrappers.

    def wrap_to_restart(self, **options):
        """As wrap_tcp(), and restart() finds its port free: we hold it, and listen there never."""
        w = self.wrapper_args(**options)
        s = socket.socket()
        self.addCleanup(s.close)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('127.0.0.1', 0))
        w.port = s.getsockname()[1]
        w.argv += [f'--lport={w.port}', '--laddr=127.0.0.1']
        w.daemon = self.start(w.argv, [w.address, w.control])
        return self._ready(w)

    def restart(self, w):
        """Another one in the place of one that has ended."""
        w.daemon.wait()
        w.daemon = self.start(w.argv, [w.address, w.control])
        self._ready(w)

    # Devices.

    def disk(self, image=None):
        """A device that is free; attach it with disk.run('nbd-client ... {}')."""
        d = Disk(self.guest, next(self.numbers) % DEVICES, image)
        self.addCleanup(d.clean_up)
        return d

    def attach(self, w, name, connections=4):
        """An export of a wrapper on this host as a Disk, by nbd-client."""
        d = self.disk(w.export(name)['image'])
        d.run(f'nbd-client -N {name} -C {connections} {HOST} {w.port} {{}}')
        return d

    def keep(self, w, name, connections=4):
        """The same by nbd_keep, which connects again as often as it must."""
        d = self.disk(w.export(name)['image'])
        d.keeper = self.guest.start('nbd_keep', str(d.number), f'nbd://{HOST}:{w.port}/{name}',
                                    str(connections))
        xtest.wait_for(lambda: d.size() > 0, f'{name} is attached', SECONDS)
        return d

    # Load and checks.

    def fio(self, path, size='4m', seed=1, options='', status=0):
        """Writes and reads back; options='--verify_only' reads what was written before."""
        command = FIO.format(path=path, size=size, seed=seed)
        return self.guest.run(f'{command} {options}', status)

    def load(self, path):
        load = Load(self.guest, path)
        self.at_end(f'touch {load.name}.stop; killall -q fio', None)
        return load

    def md5(self, path):
        """Of a file here."""
        return self.run_cmd('md5sum', path).split()[0]

    def md5_there(self, path):
        return self.guest.run(f'md5sum <{path}').split()[0]

    def assert_same_content(self, disk):
        """What the guest's kernel reads is what is in the image."""
        self.assertEqual(disk.md5(), self.md5(disk.image))

    def formatted(self, name='fs.img', size=16 * xtest.MIB):
        """An image with ext4 in it, and in that a file of 4 MiB."""
        folder = self.path(f'{name}.content')
        os.mkdir(folder)
        self.image(4 * xtest.MIB, 'file', pattern=1, folder=folder)
        self.md5_of_file = self.md5(f'{folder}/file')
        image = self.image(size, name)
        self.run_cmd('mkfs.ext4', '-q', '-d', folder, image)
        return image


def flip(image, at):
    """One bit of an image, behind the server's back."""
    with open(image, 'r+b') as f:
        byte = os.pread(f.fileno(), 1, at)[0]
        os.pwrite(f.fileno(), bytes([byte ^ 1]), at)


def allocated(image):
    """Bytes that the image takes on this host's disk."""
    with open(image, 'rb') as f:
        os.fsync(f.fileno())  # some file systems do not count what is still in memory
        return os.fstat(f.fileno()).st_blocks * 512
