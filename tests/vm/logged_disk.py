# SPDX-License-Identifier: GPL-2.0-or-later
"""Power cuts under a program: a guest logs each write to a disk, and each state of it that a cut
could have left is mounted here, on the host (see write_log.py).

What a test calls a scenario is one disk, one log, and what is done in the guest meanwhile. Renames
do not write data (noauto_da_alloc), as on file systems other than ext4, and the kernel writes
nothing by itself; so what a program does not make durable is not, unless something else has the
file system commit: BUSY. With BLIND before it, a program's syncs do nothing.
"""

import contextlib
import os
import random
import subprocess
import sys

import lab
import write_log
import xtest
from xtest import MIB

# Names go to the disk then, but not the content of other files.
COMMIT = 'echo >>/disk/other; sync -d /disk/other'
BUSY = f'''>/tmp/busy
>/tmp/busy.runs
(while [ -e /tmp/busy ]; do {COMMIT}; usleep 2000; done; rm /tmp/busy.runs) >/dev/null 2>&1 &'''
CALM = 'rm -f /tmp/busy; while [ -e /tmp/busy.runs ]; do usleep 10000; done'
BLIND = ('strace', '-D', '-f', '--seccomp-bpf', '-o', '/dev/null', '-e',
         'trace=fsync,fdatasync,syncfs', '-e', 'inject=fsync,fdatasync,syncfs:retval=0')
JOURNAL = ('-J', 'size=1', '-E', 'lazy_itable_init=0,lazy_journal_init=0')


def make_file_system(path, size, root, inodes=256):
    """Ext4 with the content of the folder ROOT."""
    with open(path, 'wb') as f:
        f.truncate(size)
    subprocess.run(['mkfs.ext4', '-q', '-b', '1024', *JOURNAL, '-N', f'{inodes}', '-d', root, path],
                   check=True)


class Case(lab.Case):
    """SCENARIOS: names; each begins with the disk that make_disk() makes, of SIZE bytes.

    self.rnd is to be used for all choices: TEST_SEED repeats them.
    """

    MODULES, PROGRAMS = ('dm-log-writes',), ('/usr/sbin/dmsetup', '/usr/bin/strace')
    TOOLS = ('mkfs.ext4', 'mount', 'umount')
    SCENARIOS, SIZE, LOG_SIZE = (), 6 * MIB, 256 * MIB  # the log is sparse

    @classmethod
    def make_disk(cls, folder, name):
        """Content of the scenario's disk."""
        raise NotImplementedError

    @classmethod
    def disks(cls, folder):
        """For each scenario one and its log."""
        cls.first, cls.logs, paths = {}, {}, []
        for name in cls.SCENARIOS:
            cls.first[name] = cls.make_disk(folder, name)
            for kind, content, size in (('disk', cls.first[name], cls.SIZE),
                                        ('log', b'', cls.LOG_SIZE)):
                paths.append(f'{folder}/{name}.{kind}')
                with open(paths[-1], 'wb') as f:
                    f.write(content)
                    f.truncate(size)
            cls.logs[name] = paths[-1]
        return paths

    def setUp(self):
        super().setUp()
        seed = os.environ.get('TEST_SEED') or random.SystemRandom().randrange(1 << 32)
        print(f'TEST_SEED={seed}', file=sys.stderr)
        self.rnd = random.Random(f'{seed}')
        xtest.own_namespace()

    # In the guest.

    def mark(self, text):
        self.guest.run(f'dmsetup message power 0 mark {text}')

    def open_disk(self, name):
        """As /dev/mapper/power; the kernel writes nothing by itself, however slow the machine is.
        """
        self.at_end(f'{CALM}; umount -l /disk; dmsetup remove --retry power', None)
        number = 2 * self.SCENARIOS.index(name)
        disk, log = (f'/dev/vd{"abcdefghij"[number + i]}' for i in (0, 1))
        self.guest.run(f"""dmsetup create power <<'.'
0 {self.SIZE // write_log.SECTOR} log-writes {disk} {log}
.
mkdir -p /disk
echo 0 >/proc/sys/vm/dirty_writeback_centisecs""")

    def mount_there(self, device, where, data):
        """DATA: ext4's mode for the content of files."""
        self.guest.run('mount -t ext4 -o noatime,noauto_da_alloc,commit=600,'
                       f'data={data} /dev/mapper/{device} {where}')

    # After a cut.

    def entries(self, name):
        return write_log.read(self.logs[name])

    def states(self, name, entries, mixed):
        return write_log.states(self.first[name], entries, self.rnd, mixed)

    @contextlib.contextmanager
    def mounted(self, content, *places):
        """PLACES: where, and the part of the disk: (folder, offset, size)."""
        disk, done = self.path('disk'), []
        with open(disk, 'wb') as f:
            f.write(content)
        try:
            for where, offset, size in places:
                self.run_cmd('mount', '-t', 'ext4', '-o',
                             f'loop,noatime,offset={offset},sizelimit={size}', disk, where)
                done.append(where)
            yield
        finally:
            for where in reversed(done):
                self.run_cmd('umount', where)
