# SPDX-License-Identifier: GPL-2.0-or-later
"""lvm_copy when things go wrong: the last good copy is intact, the status is not 0, one line."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import faulty  # noqa: E402
import lvm_copy  # noqa: E402
import xtest  # noqa: E402
from lvm_copy import CHUNK  # noqa: E402
from xtest import MIB  # noqa: E402

SMALL = f'--chunk={CHUNK}'
METHODS = {'plain': (), 'zstd': ('-Z',), 'gzip': ('-z',)}


class Faults(lvm_copy.Case):

    def setUp(self):
        super().setUp()
        self.old = self.image(2 * MIB, 'old', pattern=1)
        self.copied = self.path('copy')
        self.copy(f'file:{self.old}', f'file:{self.copied}', SMALL)

    def assert_old(self):
        self.verify(self.copied)
        self.assert_copy(self.old, self.copied)

    def test_source_cannot_be_read(self):
        disk = faulty.Disk(self, 4 * MIB)
        disk.fail('read', (3 * MIB + 4096, 4096))
        self.refused(f'file:{disk.path}', f'file:{self.copied}', say='Input/output error')
        self.assert_old()
        disk.heal()
        self.copy(f'file:{disk.path}', f'file:{self.copied}', '-r')
        self.verify(self.copied)

    def test_device_cannot_be_read(self):
        disk = faulty.Disk(self, 4 * MIB, cached=False)
        device = self.loop_device(disk.path)
        disk.fail('read', (2 * MIB, 512))
        self.refused(f'dev:{device}', f'file:{self.copied}', say='Input/output error')
        self.assert_old()

    def test_target_cannot_be_written(self):
        for kind in ('write', 'sync'):
            disk = faulty.Disk(self, 4 * MIB, cached=False)
            device = self.loop_device(disk.path)
            disk.fail(kind)
            self.refused(f'file:{self.old}', f'dev:{device}', '-m', self.path('m'), SMALL,
                         say='error')
            self.assertFalse(os.path.exists(self.path('m')))
            disk.heal()

    def test_readback_finds_what_the_disk_made_of_it(self):
        disk = faulty.Disk(self, 4 * MIB, cached=False)
        device = self.loop_device(disk.path)
        args = ('-m', self.path('m'), SMALL)
        self.copy(f'file:{self.old}', f'dev:{device}', '--verify=readback', *args)
        self.verify(f'dev:{device}', '-m', self.path('m'))
        disk.content[MIB + 7] ^= 1
        self.run_cmd('blockdev', '--flushbufs', device)
        self.damaged(f'dev:{device}', '-m', self.path('m'))
        result = self.copy(f'file:{self.old}', f'dev:{device}', '-i', *args)
        self.assertEqual(result['chunks'] - result['unchanged'], 1)
        self.verify(f'dev:{device}', '-m', self.path('m'))

    def test_no_space(self):
        where = self.mount('tmpfs', '6m')
        new = self.image(8 * MIB, 'new', pattern=2)
        for args in METHODS.values():
            self.copy(f'file:{self.old}', f'file:{where}/copy', SMALL, *args)
            self.refused(f'file:{new}', f'file:{where}/copy', *args, say='No space left')
            self.verify(f'{where}/copy')
            self.assertEqual(sorted(os.listdir(where)), ['copy', 'copy.manifest'])

    def test_no_locks(self):
        """A file system without locks is no other lvm_copy."""
        self.require('strace')
        device = self.loop_device(self.image(2 * MIB, 'disk'))
        for target in (f'file:{self.copied}', f'dev:{device}'):
            p = self.run_cmd('strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=flock', '-e',
                             'inject=flock:error=ENOLCK',
                             *self.argv(f'file:{self.old}', target,
                                        *(['-m', self.path('m')] if target[0] == 'd' else [])),
                             status=None,
                             env={'ASAN_OPTIONS': 'detect_leaks=0'})
            self.assertEqual(p.returncode, 1)
            self.assertIn('No locks available', p.stderr)
        self.assert_old()

    def test_source_changes(self):
        source = self.image(8 * MIB, 'src', pattern=3)
        d = self.start_slow(f'file:{source}', f'file:{self.copied}')
        with open(source, 'r+b') as f:
            f.write(b'changed')
        self.assertEqual(d.wait(60), 1)
        self.assertIn('was changed while it was copied', d.stderr())
        self.assert_old()

    def test_source_gets_shorter(self):
        source = self.image(8 * MIB, 'src', pattern=3)
        d = self.start_slow(f'file:{source}', f'file:{self.copied}')
        os.truncate(source, MIB)
        self.assertEqual(d.wait(60), 1)
        self.assertEqual(d.stderr().count('error'), 1, d.stderr())
        self.assert_old()

    def test_killed_anywhere(self):
        """After each kill the copy is the last or the new one, with its own manifest."""
        rnd, source = random.Random(7), self.sparse(6 * MIB, part=0.8)
        names = list(METHODS)
        for name in names:
            self.copy(f'file:{source}', f'file:{self.path(name)}', SMALL, *METHODS[name])
        states = {name: {lvm_copy.digest(source)} for name in names}
        for number in range(45):
            name, copy = names[number % 3], self.path(names[number % 3])
            self.scribble(source, rnd)
            args = [SMALL, *METHODS[name], *rnd.choice((['-i'], ['-r'], ['-i', '-r'], []))]
            d = self.spawn(self.argv(f'file:{source}', f'file:{copy}', *args))
            time.sleep(rnd.random() * 0.15)
            d.kill()
            self.verify(copy)
            self.copy(f'file:{copy}', f'file:{self.path("back")}', '--restore', '-i')
            states[name].add(lvm_copy.digest(source))
            self.assertIn(lvm_copy.digest(self.path('back')), states[name])
        for name in names:
            self.copy(f'file:{source}', f'file:{self.path(name)}', SMALL, '-i', *METHODS[name])
            self.copy(f'file:{self.path(name)}', f'file:{self.path("back")}', '--restore')
            self.assert_copy(source, self.path('back'))
            self.assertFalse(os.path.exists(self.path(f'{name}.partial')))

    def test_between_the_renames(self):
        """The data has its name, the manifest not yet: still a good copy, and the next run sees it."""
        for name, args in METHODS.items():
            copy = self.path(name)
            self.copy(f'file:{self.old}', f'file:{copy}', SMALL, *args)
            shutil.copy(f'{copy}.manifest', self.path('before'))
            new = self.image(2 * MIB, 'new', pattern=2)
            self.copy(f'file:{new}', f'file:{copy}', SMALL, *args)
            os.rename(f'{copy}.manifest', f'{copy}.partial.manifest')
            shutil.copy(self.path('before'), f'{copy}.manifest')
            self.verify(copy)
            self.image(0, f'{name}.partial')  # of a run that was stopped at its very start
            self.verify(copy)
            self.copy(f'file:{copy}', f'file:{self.path("back")}', '--restore')
            self.assert_copy(new, self.path('back'))
            result = self.copy(f'file:{new}', f'file:{copy}', SMALL, '-i', *args)
            self.assertEqual(result['written'], 0)
            self.verify(copy)
            self.assertFalse(os.path.exists(f'{copy}.partial.manifest'))

    def test_every_system_call(self):
        """Killed at each system call that changes something, one after the other."""
        self.require('strace')
        new = self.image(3 * CHUNK, 'new', pattern=2)
        first = self.image(3 * CHUNK, 'first', pattern=5)
        good = {lvm_copy.digest(new), lvm_copy.digest(first)}
        for call in ('rename', 'unlink', 'fsync', 'ftruncate', 'write', 'pwrite64'):
            for number in range(1, 4):
                for path in os.listdir(self.dir):
                    if path.startswith('one'):
                        os.unlink(self.path(path))
                self.copy(f'file:{first}', f'file:{self.path("one")}', SMALL)
                p = subprocess.run(
                    ['strace', '-f', '-qq', '-o', '/dev/null', '-e', f'trace={call}', '-e',
                     f'inject={call}:signal=KILL:when={number}',
                     *self.argv(f'file:{new}', f'file:{self.path("one")}', SMALL)],
                    capture_output=True, check=False, timeout=120)
                self.verify(self.path('one'))
                self.assertIn(lvm_copy.digest(self.path('one')), good, f'{call} {number}')
                self.copy(f'file:{new}', f'file:{self.path("one")}', SMALL, '-i', '-r')
                self.verify(self.path('one'))
                self.assert_copy(new, self.path('one'))
                if p.returncode == 0:  # there are no more of this call
                    break

    def test_too_slow(self):
        """Below the minimum for half a minute, nobody knows before that."""
        source = self.image(60 * MIB, 'src', pattern=3)
        d = self.spawn(self.argv(f'file:{source}', f'file:{self.copied}', '--max-rate=1',
                                 '--min-rate=2', '--abort-slow'))
        self.assertEqual(d.wait(120), 1)
        self.assertIn('too slow', d.stderr())
        self.assert_old()

    def test_interrupted_while_the_source_hangs(self):
        disk = faulty.Disk(self, 4 * MIB)
        disk.hold('read', (2 * MIB, 4096))
        d = self.spawn(self.argv(f'file:{disk.path}', f'file:{self.copied}'))
        disk.wait_held()
        d.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        d.send_signal(signal.SIGTERM)
        disk.release()
        self.assertIn(d.wait(60), (1, -signal.SIGTERM))
        self.assert_old()


if __name__ == '__main__':
    xtest.main(at_once=3)
