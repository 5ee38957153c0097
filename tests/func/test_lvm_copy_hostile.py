# SPDX-License-Identifier: GPL-2.0-or-later
"""lvm_copy told to do harm: nothing is lost, and the refusal says what would be right."""

import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import faulty  # noqa: E402
import lvm_copy  # noqa: E402
import xtest  # noqa: E402
from lvm_copy import CHUNK  # noqa: E402
from xtest import MIB  # noqa: E402

SMALL = f'--chunk={CHUNK}'
LABEL = b'LABELONE' + bytes(16) + b'LVM2 001'


class Names(lvm_copy.Case):
    """Files that are not the target, and would be written or removed with it."""

    def test_source_is_a_file_of_the_target(self):
        for end in ('.partial', '.manifest', '.partial.manifest'):
            source = self.image(MIB, f'one{end}', pattern=3)
            before = lvm_copy.digest(source)
            for options in ((), ('-r',), ('-i', '-z')):
                self.refused(f'file:{source}', f'file:{self.path("one")}', *options,
                             say='is the source itself')
            self.assertEqual(lvm_copy.digest(source), before)
            self.assertFalse(os.path.exists(self.path('one')))
            os.unlink(source)

    def test_hard_link_of_the_source(self):
        source = self.image(MIB, 'src', pattern=3)
        before = lvm_copy.digest(source)
        os.link(source, self.path('one.partial'))
        self.refused(f'file:{source}', f'file:{self.path("one")}', say='is the source itself')
        self.assertEqual(lvm_copy.digest(source), before)

    def test_target_with_a_name_of_ours(self):
        """Else the manifest of x.partial would be the one of a copy of x that is not complete."""
        source, copy = self.image(MIB, 'src', pattern=3), self.path('one')
        self.copy(f'file:{source}', f'file:{copy}')
        for end in ('.partial', '.manifest', '.partial.manifest'):
            self.refused(f'file:{source}', f'file:{copy}{end}', say='another name')
        self.verify(copy)

    def test_partial_is_somebody_elses(self):
        source, copy = self.image(MIB, 'src', pattern=3), self.path('one')
        partial = self.image(MIB, 'one.partial', pattern=4)
        before = lvm_copy.digest(partial)
        for options in ((), ('-r',), ('-n',)):
            self.refused(f'file:{source}', f'file:{copy}', *options, say='no partial copy')
        self.assertEqual(lvm_copy.digest(partial), before)
        os.truncate(partial, 0)
        self.copy(f'file:{source}', f'file:{copy}')

    def test_manifest_is_somebody_elses(self):
        source, copy = self.image(MIB, 'src', pattern=3), self.path('one')
        for text in ('{"name": "a web application"}\n', 'x'):
            manifest = lvm_copy.write(f'{copy}.manifest', text)
            self.refused(f'file:{source}', f'file:{copy}', say='no manifest of lvm_copy')
            self.assertEqual(xtest.text_of(manifest), text)
            self.assertFalse(os.path.exists(copy))
        device = self.loop_device(self.image(2 * MIB, 'disk', pattern=4))
        for path in (manifest, source, self.dir, device):
            self.refused(f'file:{source}', f'dev:{device}', '-m', path, say='')
        self.assertEqual(xtest.text_of(manifest), text)
        self.assertEqual(lvm_copy.digest(device), lvm_copy.digest(self.path('disk')))
        os.unlink(manifest)
        self.image(0, 'one.manifest')  # a crash may leave that
        self.copy(f'file:{source}', f'file:{copy}')


class LastGood(lvm_copy.Case):
    """The last good copy is its data and its manifest."""

    def setUp(self):
        super().setUp()
        self.old = self.image(2 * MIB, 'old', pattern=1)
        self.new = self.image(2 * MIB, 'new', pattern=2)

    def test_partial_removed_by_hand(self):
        """A whole manifest whose data nobody has: it is not that of the copy with the name."""
        copy = self.path('one')
        for args in ((), ('-Z',)):
            self.copy(f'file:{self.new}', f'file:{self.path("other")}', SMALL, *args)
            self.copy(f'file:{self.old}', f'file:{copy}', SMALL, *args)
            waiting = shutil.copy(self.path('other.manifest'), f'{copy}.partial.manifest')
            self.verify(copy)
            self.copy(f'file:{copy}', f'file:{self.path("back")}', '--restore')
            self.assert_copy(self.old, self.path('back'))
            disk = faulty.Disk(self, 2 * MIB)
            disk.fail('read', (0, 2 * MIB))
            self.refused(f'file:{disk.path}', f'file:{copy}', SMALL, *args, say='error')
            self.verify(copy)
            result = self.copy(f'file:{self.old}', f'file:{copy}', SMALL, '-i', '--trust', *args)
            self.assertEqual(result['written'], 0)
            self.verify(copy)
            self.assertFalse(os.path.exists(waiting))

    def test_device_keeps_its_manifest_until_it_is_written(self):
        device = self.loop_device(self.image(2 * MIB, 'disk', pattern=4))
        manifest = ('-m', self.path('m'))
        self.copy(f'file:{self.old}', f'dev:{device}', SMALL, *manifest)
        disk = faulty.Disk(self, 2 * MIB)
        disk.fail('read', (0, 2 * MIB))
        for options in ((), ('-i',), ('-r',)):
            self.refused(f'file:{disk.path}', f'dev:{device}', SMALL, *manifest, *options,
                         say='error')
            self.verify(f'dev:{device}', *manifest)
        result = self.copy(f'file:{self.old}', f'dev:{device}', SMALL, '-i', *manifest)
        self.assertEqual(result['written'], 0)
        self.verify(f'dev:{device}', *manifest)

    def test_one_manifest_for_two_at_once(self):
        disks = [self.loop_device(self.image(12 * MIB, name, pattern=4)) for name in 'ab']
        source = self.image(12 * MIB, 'src', pattern=3)
        manifest = ('-m', self.path('m'))
        d = self.spawn(self.argv(f'file:{source}', f'dev:{disks[0]}', '--max-rate=1', *manifest))
        xtest.wait_for(lambda: os.path.exists(self.path('m.partial')), 'begun')
        self.refused(f'file:{source}', f'dev:{disks[1]}', *manifest, say='another lvm_copy')
        self.assertTrue(d.is_alive(), d.stderr())
        self.interrupt(d)
        self.copy(f'file:{source}', f'dev:{disks[1]}', *manifest)
        self.verify(f'dev:{disks[1]}', *manifest)

    def test_trust_in_another_disk(self):
        """The same name, another disk behind it: the manifest is believed of the one alone."""
        disks = [self.loop_device(self.image(2 * MIB, name, pattern=4)) for name in 'ab']
        name, manifest = self.path('name'), ('-m', self.path('m'))
        os.symlink(disks[0], name)
        self.copy(f'file:{self.old}', f'dev:{name}', SMALL, *manifest)
        result = self.copy(f'file:{self.old}', f'dev:{name}', SMALL, '-i', '--trust', *manifest)
        self.assertEqual(result['written'], 0)
        os.unlink(name)
        os.symlink(disks[1], name)
        self.copy(f'file:{self.old}', f'dev:{name}', SMALL, '-i', '--trust', *manifest)
        self.assert_copy(self.old, disks[1])
        self.verify(f'dev:{name}', *manifest)

    def test_restore_of_a_device(self):
        """Its manifest is found where the copy has put it."""
        device = self.loop_device(self.image(3 * MIB, 'disk', pattern=4))
        result = self.copy(f'file:{self.old}', f'dev:{device}', SMALL)
        self.addCleanup(lambda: os.path.exists(result['manifest']) and
                        os.unlink(result['manifest']))
        self.copy(f'dev:{device}', f'file:{self.path("back")}', '--restore')
        self.assert_copy(self.old, self.path('back'))
        with open(device, 'r+b') as f:
            f.seek(MIB)
            f.write(b'somebody')
        self.refused(f'dev:{device}', f'file:{self.path("back")}', '--restore', say='damaged')
        self.assert_copy(self.old, self.path('back'))


class Targets(lvm_copy.Case):

    def test_physical_volume(self):
        """On the passive node nobody has the disks of the shared volume groups open."""
        for at in (0, 512, 1536):
            path = self.image(2 * MIB, 'disk', pattern=4)
            with open(path, 'r+b') as f:
                f.seek(at)
                f.write(LABEL)
            device, before = self.loop_device(path), lvm_copy.digest(path)
            source = self.image(MIB, 'src', pattern=1)
            manifest = ('-m', self.path(f'm{at}'))
            for options in ((), ('-n',)):
                self.refused(f'file:{source}', f'dev:{device}', *manifest, *options,
                             say='physical volume')
            self.assertEqual(lvm_copy.digest(device), before)
        # One that lvm_copy itself has brought there is the last copy.
        disk = self.image(2 * MIB, 'pv', pattern=5)
        with open(disk, 'r+b') as f:
            f.seek(512)
            f.write(LABEL)
        device, manifest = self.loop_device(self.image(2 * MIB, 'to')), ('-m', self.path('m'))
        for _ in range(2):
            self.copy(f'file:{disk}', f'dev:{device}', *manifest)
            self.assert_copy(disk, device)

    def test_same_export(self):
        uri = 'nbd://127.0.0.1:1/x'
        self.refused(uri, f'nbd:{uri}', status=2, say='is the source itself')

    def test_source_and_target_on_one_other_host(self):
        self.set_up_far()
        source, device = self.image(MIB, 'src', pattern=1), self.image(2 * MIB, 'disk', pattern=2)
        loop, before = self.loop_device(device), lvm_copy.digest(device)
        for a, b in ((f'file:far:{source}', f'file:far:{source}'),
                     (f'dev:far:{loop}', f'dev:far:{loop}'),
                     (f'file:far:{device}', f'dev:far:{loop}'),
                     (f'file:far:{source}', f'file:far:{source[:-3]}../{self.dir.split("/")[-1]}'
                                            '/src')):
            self.refused(a, b, *self.far, say='source itself')
        self.refused(f'file:far:{source}', f'file:far:{source}', '-z', *self.far,
                     say='source itself')
        self.assertEqual(lvm_copy.digest(loop), before)
        self.copy(f'file:far:{source}', f'file:far:{self.path("to")}', *self.far)
        self.assert_copy(source, self.path('to'))
        self.copy(f'file:far:{self.path("to")}', f'file:far:{self.path("back")}', '--restore',
                  *self.far)
        self.refused(f'file:far:{self.path("to")}', f'file:far:{self.path("to")}', '--restore',
                     *self.far, say='source itself')
        self.verify(self.path('to'))


class Keys(lvm_copy.Case):

    def test_enable_raw(self):
        """ENABLE_RAW=0: through the page cache."""
        self.require('strace')
        source = self.image(MIB, 'src', pattern=1)
        for value in (1, 0):
            conf = lvm_copy.write(self.path('conf'), f'ENABLE_RAW={value}\n')
            log = self.path('log')
            self.run_cmd('strace', '-f', '-qq', '-o', log, '-e', 'trace=openat,open',
                         *self.argv(f'file:{source}', f'file:{self.path("to")}', config=conf),
                         env={'ASAN_OPTIONS': 'detect_leaks=0'})
            opens = [line for line in xtest.text_of(log).splitlines()
                     if re.search(r'O_RDONLY\|O_DIRECT\b', line)]
            self.assertEqual(len(opens), value, opens)


if __name__ == '__main__':
    xtest.main(at_once=2)
