# SPDX-License-Identifier: GPL-2.0-or-later
"""lvm_copy on one host: what comes out is what went in, whatever the way."""

import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import lvm_copy  # noqa: E402
import xtest  # noqa: E402
from lvm_copy import CHUNK  # noqa: E402
from xtest import MIB  # noqa: E402

SMALL = f'--chunk={CHUNK}'
METHODS = {'plain': ((), None), 'zstd': (('-Z',), ('zstd', '-dcq')), 'gzip': (('-z',),
                                                                             ('gzip', '-dc'))}


class Files(lvm_copy.Case):

    def test_sizes_and_methods(self):
        """Also without us, the usual programs unpack it."""
        self.require('zstd', 'gzip')
        for size in (0, 1, 4095, CHUNK, CHUNK + 1, 5 * MIB + 12345):
            source = self.sparse(size, f'src{size}', seed=size)
            for name, (args, unpack) in METHODS.items():
                with self.subTest(size=size, method=name):
                    target = self.path(f'{size}.{name}')
                    self.copy(f'file:{source}', f'file:{target}', SMALL, *args)
                    self.verify(target)
                    back = self.path('back')
                    self.copy(f'file:{target}', f'file:{back}', '--restore')
                    self.assert_copy(source, back)
                    if unpack and size:
                        with open(self.path('out'), 'wb') as out:
                            out.write(self.unpacked(unpack, target))
                        self.assert_copy(source, self.path('out'))

    def unpacked(self, unpack, path):
        with open(path, 'rb') as f:
            return subprocess.run(unpack, stdin=f, capture_output=True, check=True).stdout

    def test_holes_stay(self):
        source = self.sparse(32 * MIB, part=0.1)
        result = self.copy(f'file:{source}', f'file:{self.path("copy")}')
        self.assert_copy(source, self.path('copy'))
        used = os.stat(self.path('copy')).st_blocks * 512
        self.assertLess(used, os.stat(source).st_blocks * 512 + MIB)
        self.assertLess(result['written'], 32 * MIB)

    def test_zeros_but_for_one_byte(self):
        """A chunk that is zero except for its last byte is not a zero chunk."""
        source = self.image(4 * CHUNK, 'src')
        with open(source, 'r+b') as f:
            f.seek(2 * CHUNK - 1)
            f.write(b'x')
        result = self.copy(f'file:{source}', f'file:{self.path("copy")}', SMALL)
        self.assertEqual(result['zero'], 3)
        self.assert_copy(source, self.path('copy'))

    def test_hundred_rounds(self):
        """After random writes an incremental copy equals the source, each time, by each method."""
        source, rnd = self.sparse(2 * MIB), random.Random(5)
        for name, (args, _) in METHODS.items():
            self.copy(f'file:{source}', f'file:{self.path(name)}', SMALL, *args)
        for number in range(100):
            self.scribble(source, rnd)
            name = list(METHODS)[number % 3]
            result = self.copy(f'file:{source}', f'file:{self.path(name)}', SMALL, '-i',
                               *METHODS[name][0], *(['--trust'] if number % 2 else []))
            self.assertEqual(result['chunks'], 32)
            self.assertGreater(result['unchanged'], 0)
            self.verify(self.path(name))
            if name == 'plain':
                self.assert_copy(source, self.path(name))
        for name in METHODS:
            self.copy(f'file:{self.path(name)}', f'file:{self.path("back")}', '--restore')
            self.copy(f'file:{source}', f'file:{self.path(name)}', SMALL, '-i', *METHODS[name][0])
            self.copy(f'file:{self.path(name)}', f'file:{self.path("back")}', '--restore', '-i')
            self.assert_copy(source, self.path('back'))

    def test_only_what_changed(self):
        source = self.image(4 * MIB, 'src', pattern=3)
        target = f'file:{self.path("copy")}'
        self.assertEqual(self.copy(f'file:{source}', target, '-i')['unchanged'], 0)
        result = self.copy(f'file:{source}', target, '-i')
        self.assertEqual((result['written'], result['unchanged']), (0, 4))
        with open(source, 'r+b') as f:
            f.seek(2 * MIB + 77)
            f.write(b'other')
        result = self.copy(f'file:{source}', target, '-i')
        self.assertEqual((result['written'], result['unchanged']), (MIB, 3))

    def test_source_grows_and_shrinks(self):
        source = self.image(2 * MIB + 100, 'src', pattern=3)
        for size in (2 * MIB + 300, 3 * MIB, MIB - 1, 5):
            os.truncate(source, size)
            for name, (args, _) in METHODS.items():
                self.copy(f'file:{source}', f'file:{self.path(name)}', '-i', SMALL, *args)
                self.verify(self.path(name))
            self.assert_copy(source, self.path('plain'))

    def test_damage_is_found_and_healed(self):
        source = self.image(2 * MIB, 'src', pattern=3)
        for name, (args, _) in METHODS.items():
            copy = self.path(name)
            self.copy(f'file:{source}', f'file:{copy}', SMALL, *args)
            with open(copy, 'r+b') as f:
                f.seek(MIB + 5)
                byte = f.read(1)[0]
                f.seek(MIB + 5)
                f.write(bytes([byte ^ 1]))
            self.damaged(copy)
            self.refused(f'file:{copy}', f'file:{self.path("back")}', '--restore', say='damaged')
            self.assertFalse(os.path.exists(self.path('back')))
            result = self.copy(f'file:{source}', f'file:{copy}', SMALL, '-i', *args)
            self.assertEqual(result['chunks'] - result['unchanged'], 1)
            self.verify(copy)
            os.truncate(copy, os.path.getsize(copy) - 1)
            self.damaged(copy, say='manifest says')

    def test_manifest_damage(self):
        source = self.image(MIB, 'src', pattern=3)
        copy, manifest = self.path('copy'), self.path('copy.manifest')
        self.copy(f'file:{source}', f'file:{copy}', SMALL)
        with open(manifest, 'rb') as f:
            good = f.read()
        rnd = random.Random(1)
        for at in [0, 9, len(good) - 1, *(rnd.randrange(len(good)) for _ in range(20))]:
            with open(manifest, 'wb') as f:
                f.write(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
            self.damaged(copy, say='manifest')
        for length in (0, 5, 60, len(good) - 1):
            with open(manifest, 'wb') as f:
                f.write(good[:length])
            self.damaged(copy, say='')
        self.copy(f'file:{source}', f'file:{copy}', SMALL, '-i')  # a full one
        self.verify(copy)

    def test_strange_names(self):
        for name in ('with blank', "quote'", 'a:b', 'ä', '-n', '%s%n', '$(x)', 'x' * 200):
            with self.subTest(name=name):
                source = self.image(CHUNK, f'{name}.s', pattern=1)
                self.copy(f'file:{source}', f'file:{self.path(name)}')
                self.verify(self.path(name))

    def test_rights_of_the_last_copy(self):
        source, copy = self.image(CHUNK, 'src', pattern=1), self.path('copy')
        self.copy(f'file:{source}', f'file:{copy}')
        self.assertEqual(os.stat(copy).st_mode & 0o777, 0o600)
        os.chmod(copy, 0o640)
        self.copy(f'file:{source}', f'file:{copy}')
        self.assertEqual(os.stat(copy).st_mode & 0o777, 0o640)

    def test_configuration(self):
        """Its faults are told, all of them, and are no failure of a copy."""
        conf = lvm_copy.write(self.path('bad.conf'), 'ENABLE_MD5=7\nMIN_RATE=3\n')
        for name, args in (('lvm_copy', ('-s', 'file:/x', '-t', f'file:{self.path("y")}')),
                           ('lvm_snap_create', ('-s', 'lvm:/dev/vg/lv'))):
            p = self.run_cmd(xtest.program(name), '-c', conf, *args, status=None)
            self.assertEqual(p.returncode, 2, p.stderr)
            lines = p.stderr.splitlines()
            self.assertEqual(len(lines), 2)
            for number, line in enumerate(lines, 1):
                self.assertIn(f'{name}: error: {conf}:{number}: ', line)
        self.refused('file:/x', f'file:{self.path("y")}', '-c', '/no/such', status=2, say='/no/such')

    def test_dry_run_changes_nothing(self):
        source = self.image(CHUNK, 'src', pattern=1)
        before = sorted(os.listdir(self.dir))
        self.run_cmd(*self.argv(f'file:{source}', f'file:{self.path("copy")}', '-n'))
        self.assertEqual(sorted(os.listdir(self.dir)), before)
        self.refused(f'file:{source}', 'file:/nowhere/at/all', '-n', say='/nowhere/at')


class Resume(lvm_copy.Case):

    def test_goes_on(self):
        source = self.image(12 * MIB, 'src', pattern=3)
        for name, (args, _) in METHODS.items():
            copy = self.path(name)
            d = self.start_slow(f'file:{source}', f'file:{copy}', *args, reached=4 * MIB // 512)
            self.assertEqual(self.interrupt(d), 1)
            self.assertIn('interrupted', d.stderr())
            self.assertFalse(os.path.exists(copy))
            result = self.copy(f'file:{source}', f'file:{copy}', '-r', *args)
            self.assertGreater(result['resumed'], 0)
            self.verify(copy)
            self.assertFalse(os.path.exists(f'{copy}.partial'))
            if name == 'plain':
                self.assert_copy(source, copy)

    def test_what_was_written_is_looked_at(self):
        source, copy = self.image(12 * MIB, 'src', pattern=3), self.path('copy')
        d = self.start_slow(f'file:{source}', f'file:{copy}', reached=4 * MIB // 512)
        self.interrupt(d)
        with open(f'{copy}.partial', 'r+b') as f:
            f.seek(MIB + 1)
            f.write(b'rot')
        result = self.copy(f'file:{source}', f'file:{copy}', '-r')
        self.assertEqual(result['resumed'], 1)
        self.assert_copy(source, copy)

    def test_another_source(self):
        source, copy = self.image(12 * MIB, 'src', pattern=3), self.path('copy')
        d = self.start_slow(f'file:{source}', f'file:{copy}', reached=4 * MIB // 512)
        self.interrupt(d)
        self.scribble(source, random.Random(1))
        result = self.copy(f'file:{source}', f'file:{copy}', '-r')
        self.assertEqual(result['resumed'], 0)
        self.assert_copy(source, copy)

    def test_two_at_once(self):
        source, copy = self.image(12 * MIB, 'src', pattern=3), self.path('copy')
        d = self.start_slow(f'file:{source}', f'file:{copy}')
        self.refused(f'file:{source}', f'file:{copy}', say='another lvm_copy')
        self.assertTrue(d.is_alive())
        self.interrupt(d)
        self.copy(f'file:{source}', f'file:{copy}')


class Devices(lvm_copy.Case):

    def setUp(self):
        super().setUp()
        self.disk = self.image(8 * MIB, 'disk', pattern=9)
        self.device = self.loop_device(self.disk)
        self.manifest = ('-m', self.path('disk.manifest'))

    def test_there_and_back(self):
        """Old bytes are gone where the source has zeros; what is behind its end stays."""
        source = self.sparse(5 * MIB + 512, part=0.3)
        with open(self.device, 'rb') as f:
            rest = f.read()[5 * MIB + 512:]
        self.copy(f'file:{source}', f'dev:{self.device}', SMALL, '--verify=readback',
                  *self.manifest)
        self.assert_copy(source, self.device, 5 * MIB + 512)
        with open(self.device, 'rb') as f:
            self.assertEqual(f.read()[5 * MIB + 512:], rest)
        self.verify(f'dev:{self.device}', *self.manifest)
        self.copy(f'dev:{self.device}', f'file:{self.path("back")}', '-Z')
        self.verify(self.path('back'))
        self.copy(f'dev:{self.device}', f'file:{self.path("back")}', '-Z', '-i')

    def test_incremental(self):
        source, rnd = self.sparse(4 * MIB), random.Random(2)
        for number in range(10):
            self.scribble(source, rnd)
            if number % 3 == 2:  # somebody wrote to the target: that is seen
                with open(self.device, 'r+b') as f:
                    f.seek(rnd.randrange(4 * MIB))
                    f.write(b'somebody')
            result = self.copy(f'file:{source}', f'dev:{self.device}', '-i', SMALL,
                               *self.manifest)
            self.assert_copy(source, self.device, 4 * MIB)
            self.assertEqual(result['unchanged'] > 0, number > 0)

    def test_refusals(self):
        source = self.image(CHUNK, 'src', pattern=1)
        big = self.image(8 * MIB + 1, 'big')
        self.refused(f'file:{big}', f'dev:{self.device}', say='bytes, the source')
        self.refused(f'file:{self.disk}', f'dev:{self.device}', say='is the source itself')
        self.refused(f'dev:{self.device}', f'dev:{self.device}', say='is the source itself')
        self.refused(f'dev:{self.device}', f'file:{self.disk}', say='is the source itself')
        self.refused(f'file:{source}', f'file:{source}', say='is the source itself')
        os.link(source, self.path('link'))
        self.refused(f'file:{source}', f'file:{self.path("link")}', say='is the source itself')
        self.refused(f'file:{source}', f'file:{self.device}', say='dev:')
        self.refused(f'file:{source}', f'dev:{self.disk}', say='file:')
        self.refused(f'file:{source}', f'dev:{self.device}', '-z', status=2, say='compressed')
        self.refused(f'file:{source}', f'dev:{self.device}', '-p', status=2, say='lvm:')
        self.refused(f'file:{source}', f'file:{self.path("c")}', '-z', '-Z', status=2, say='one')
        held = os.open(self.device, os.O_RDWR | os.O_EXCL)
        self.refused(f'file:{source}', f'dev:{self.device}', say='in use')
        os.close(held)
        self.assertEqual(lvm_copy.digest(self.disk), lvm_copy.digest(self.device))

    def test_mounted(self):
        self.require('mkfs.ext4', 'mount', root=True)
        where = self.mount('ext4', 16 * MIB)
        source = self.image(CHUNK, 'src', pattern=1)
        device = self.run_cmd('findmnt', '-n', '-o', 'SOURCE', where).strip()
        self.refused(f'file:{source}', f'dev:{device}', say='mounted at')

    def test_interrupted(self):
        """The old manifest is gone, as the device is neither; the copy can go on."""
        source = self.image(8 * MIB, 'src', pattern=3)
        self.copy(f'file:{source}', f'dev:{self.device}', *self.manifest)
        self.scribble(source, random.Random(1))
        d = self.spawn(self.argv(f'file:{source}', f'dev:{self.device}', '--max-rate=1',
                                 *self.manifest))
        xtest.wait_for(lambda: not os.path.exists(self.manifest[1]), 'begun')
        self.assertEqual(self.interrupt(d), 1)
        self.damaged(f'dev:{self.device}', *self.manifest, say='No such file')
        self.copy(f'file:{source}', f'dev:{self.device}', '-r', *self.manifest)
        self.assert_copy(source, self.device)
        self.verify(f'dev:{self.device}', *self.manifest)


if __name__ == '__main__':
    xtest.main(at_once=2)
