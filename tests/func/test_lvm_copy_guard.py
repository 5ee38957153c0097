# SPDX-License-Identifier: GPL-2.0-or-later
"""lvm_copy and what somebody else uses, or what is the same by another name."""

import fcntl
import os
import pty
import random
import signal
import struct
import subprocess
import sys
import termios
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import lvm_copy  # noqa: E402
import xtest  # noqa: E402
from lvm_copy import CHUNK  # noqa: E402
from xtest import MIB  # noqa: E402

SMALL = f'--chunk={CHUNK}'
LABEL = b'LABELONE' + bytes(16) + b'LVM2 001'
BOOT_ID = '/proc/sys/kernel/random/boot_id'


class Devices(lvm_copy.Case):

    def test_devices_upon_devices(self):
        """A loop device upon a loop device upon a file: all three are one."""
        image = self.image(2 * MIB, 'image', pattern=3)
        lower = self.loop_device(image)
        upper, before = self.loop_device(lower), lvm_copy.digest(image)
        for source, target, why in (
                (f'dev:{upper}', f'file:{image}', 'is the source itself'),
                (f'file:{image}', f'dev:{upper}', 'is the source itself'),
                (f'dev:{upper}', f'dev:{lower}', 'the source lies on it'),
                (f'dev:{lower}', f'dev:{upper}', 'it lies on the source')):
            self.refused(source, target, say=why)
        self.assertEqual(lvm_copy.digest(image), before)

    def test_open_elsewhere(self):
        """By a server or a virtual machine, which do not lock it."""
        source = self.image(CHUNK, 'src', pattern=1)
        disk = self.image(MIB, 'disk', pattern=4)
        device, before = self.loop_device(disk), lvm_copy.digest(disk)
        upper = self.loop_device(device)
        to = (f'file:{source}', f'dev:{device}', '-m', self.path('m'))
        held = os.open(device, os.O_RDWR)
        self.refused(*to, say=f'process {os.getpid()} (')
        self.refused(*to, '-n', say='has it open')
        os.close(held)
        held = os.open(upper, os.O_RDONLY)
        self.refused(*to, say='has it open')
        self.assertEqual(lvm_copy.digest(disk), before)
        # Who only takes a look, as udev does, is waited for.
        threading.Timer(1, os.close, (held,)).start()
        self.copy(*to)

    def test_physical_volume_by_the_name_of_a_copy(self):
        """The disk that was copied to once has another name today, and its own is another's."""
        source, name = self.image(MIB, 'src', pattern=1), self.path('name')
        manifest = ('-m', self.path('m'))
        ours = self.loop_device(self.image(2 * MIB, 'ours', pattern=4))
        other = self.image(2 * MIB, 'other', pattern=4)
        with open(other, 'r+b') as f:
            f.seek(512)
            f.write(LABEL)
        before = lvm_copy.digest(other)
        os.symlink(ours, name)
        self.copy(f'file:{source}', f'dev:{name}', *manifest)
        os.unlink(name)
        os.symlink(self.loop_device(other), name)
        for options in ((), ('-i',), ('-r',)):
            self.refused(f'file:{source}', f'dev:{name}', *manifest, *options,
                         say='physical volume')
        self.assertEqual(lvm_copy.digest(other), before)

    def test_label_of_a_copy(self):
        """A disk known by its first chunk alone, as after a boot, may be copied to again."""
        source = self.image(MIB, 'src', pattern=1)
        with open(source, 'r+b') as f:
            f.seek(512)
            f.write(LABEL)
        manifest = ('-m', self.path('m'))
        disk = self.image(2 * MIB, 'disk', pattern=4)
        self.copy(f'file:{source}', f'dev:{self.loop_device(disk)}', *manifest)
        again = self.loop_device(disk)
        self.copy(f'file:{source}', f'dev:{again}', *manifest)
        with open(again, 'r+b') as f:
            f.seek(4096)
            f.write(b'a volume group, made meanwhile')
            f.flush()
            os.fsync(f.fileno())
        third = self.loop_device(disk)
        self.refused(f'file:{source}', f'dev:{third}', *manifest, say='physical volume')

    def test_disks_are_known_until_the_next_boot(self):
        device = self.loop_device(self.image(MIB, 'disk', pattern=4))
        self.copy(f'file:{self.image(MIB, "src")}', f'dev:{device}', '-m', self.path('m'))
        with open(self.path('m'), 'rb') as f:
            self.assertIn(xtest.text_of(BOOT_ID).strip().encode(), f.read())

    def test_another_kind(self):
        """What is no block device is not opened: that alone sets off a watchdog."""
        source = self.image(CHUNK, 'src', pattern=1)
        os.mkfifo(self.path('fifo'))
        for text, why in ((f'dev:{source}', 'a file is file:'), ('dev:/dev/null', 'block device'),
                          ('file:/dev/null', 'not a file'), (f'file:{self.dir}', 'not a file'),
                          (f'file:{self.path("fifo")}', 'not a file')):
            self.refused(text, f'file:{self.path("to")}', say=why)
        self.assertFalse(os.path.exists(self.path('to')))


class Files(lvm_copy.Case):

    def test_link(self):
        """The rename would put the copy into the place of the link."""
        source, there = self.image(CHUNK, 'src', pattern=1), self.image(CHUNK, 'there')
        for where in (there, self.path('nowhere')):
            os.symlink(where, self.path('link'))
            self.refused(f'file:{source}', f'file:{self.path("link")}', say='symbolic link')
            os.unlink(self.path('link'))
        self.assertEqual(lvm_copy.digest(there), lvm_copy.digest(self.image(CHUNK, 'zeros')))

    def test_swap_file(self):
        """As the kernel would list it; to swap to one would be the whole machine's affair."""
        self.require('mount', 'umount', root=True)
        xtest.own_namespace()
        source, swap = self.image(CHUNK, 'src', pattern=1), self.image(CHUNK, 'swap')
        swaps = lvm_copy.write(self.path('swaps'), 'Filename Type Size Used Priority\n'
                               f'{swap} file 60 0 -2\n')
        self.run_cmd('mount', '--bind', swaps, '/proc/swaps')
        try:
            self.refused(f'file:{source}', f'file:{swap}', say='swap space')
        finally:
            self.run_cmd('umount', '/proc/swaps')

    def test_restore_goes_on_with_the_same_copy_only(self):
        """Two copies of one device: half of the one and half of the other would be neither."""
        device = self.loop_device(self.image(8 * MIB, 'disk'))
        back = self.path('back')
        for name in 'ab':
            with open(device, 'r+b') as f:
                f.write(random.Random(name).randbytes(8 * MIB))
            self.copy(f'dev:{device}', f'file:{self.path(name)}')
        for name, resumed in (('a', True), ('b', False)):
            d = self.start_slow(f'file:{self.path("a")}', f'file:{back}', '--restore',
                                reached=3 * MIB // 512)
            self.assertEqual(self.interrupt(d), 1)
            result = self.copy(f'file:{self.path(name)}', f'file:{back}', '--restore', '-r')
            self.assertEqual(result['resumed'] > 0, resumed)
            self.assert_copy(self.path(name), back)


class Start(lvm_copy.Case):
    """Whoever starts it may have closed what it writes to, and ignore signals."""

    def setUp(self):
        super().setUp()
        self.source = self.image(8 * MIB, 'src', pattern=3)
        self.to = (f'file:{self.source}', f'file:{self.path("to")}')

    def start(self, prepare):
        d = self.spawn(self.argv(*self.to, '--max-rate=1'), preexec_fn=prepare)
        xtest.wait_for(lambda: os.path.exists(self.path('to.partial')), 'begun')
        return d

    def test_closed_streams(self):
        """Else a warning would be written into the copy, which has its number."""
        d = self.start(lambda: os.closerange(0, 3))
        streams = [os.readlink(f'/proc/{d.pid}/fd/{n}') for n in range(3)]
        self.assertEqual(streams, ['/dev/null'] * 3)
        self.assertEqual(self.interrupt(d), 1)

    def test_nohup(self):
        d = self.start(lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        d.send_signal(signal.SIGHUP)
        self.assertEqual(d.wait(60), 0)
        self.assert_copy(self.source, self.path('to'))

    def test_on_a_terminal(self):
        """A bar that never reaches the last column, by blanks and returns alone."""
        for width in (80, 20, 1, 0):
            master, slave = pty.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, width, 0, 0))
            p = subprocess.Popen(self.argv(*self.to), stdout=subprocess.DEVNULL, stderr=slave,
                                 preexec_fn=xtest.die_with_us)
            self.addCleanup(p.kill)
            os.close(slave)
            text = os.read(master, 65536)
            self.assertEqual(p.wait(60), 0)
            os.close(master)
            self.assertNotIn(b'\x1b', text)
            self.assertTrue(all(len(line) < (width or 80) for line in text.split(b'\r')), text)

    def test_children_are_waited_for(self):
        self.require('lvm')
        p = subprocess.run(
            [xtest.program('lvm_snap_remove'), '-c', self.conf, '-s', 'lvm:no-such-group/x'],
            capture_output=True, text=True, check=False,
            preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertEqual(p.returncode, 1)
        self.assertNotIn('No child processes', p.stderr)


if __name__ == '__main__':
    xtest.main(at_once=2)
