# SPDX-License-Identifier: GPL-2.0-or-later
"""File systems of a kernel on our exports: made, filled, trimmed, mounted again and checked;
mounted read-only, on a copy-on-write export, and on a proxy that becomes a target meanwhile."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kernel_client as k  # noqa: E402
import xtest  # noqa: E402
from xtest import MIB  # noqa: E402


class FileSystems(k.KernelCase):
    TOOLS = ('mkfs.ext4', 'e2fsck', 'xfs_repair')

    def life(self, make, check):
        """What a file system goes through."""
        w = self.wrap_tcp(exports=self.files(1, 64 * MIB))
        disk = self.attach(w, 'disk0')
        with self.step('make it'):
            disk.run(f'{make} {{}}')
        with self.step('write'), disk.mounted() as folder:
            self.fio(f'{folder}/load', '2m')
            sums = self.guest.run(f'cd {folder} && for i in 1 2; do '
                                  f'head -c {4 * MIB} /dev/urandom >$i || exit; done; sync; '
                                  'md5sum 1 2; rm 2')
        full = k.allocated(disk.image)
        with self.step('trim'), disk.mounted() as folder:
            self.guest.run(f'fstrim {folder}')
            self.assertLess(k.allocated(disk.image), full - 3 * MIB)
        with self.step('read again'), disk.mounted() as folder:
            self.assertIn(self.guest.run(f'cd {folder} && md5sum 1'), sums)
            self.fio(f'{folder}/load', '2m', options='--verify_only')
        disk.detach()
        self.run_cmd(*check, disk.image)

    def test_ext4(self):
        self.life('mkfs.ext4 -q -E lazy_itable_init=0', ('e2fsck', '-fn'))

    def test_xfs(self):
        self.life(f'{k.SMALL_XFS} mkfs.xfs -q', ('xfs_repair', '-n'))

    def test_read_only(self):
        image = self.formatted()
        before = self.md5(image)
        w = self.wrap_tcp(exports={'disk': {'image': image, 'readonly': True}})
        with self.attach(w, 'disk').mounted('ro') as folder:
            self.assertEqual(self.md5_there(f'{folder}/file'), self.md5_of_file)
            self.guest.run(f'mount -o remount,rw {folder}', 255)
            self.guest.run(f'touch {folder}/other', 1)
        self.assertEqual(self.md5(image), before)

    def test_copy_on_write(self):
        """Each connection has a layer of its own, so the kernel must not use several."""
        base = self.formatted()
        before = self.md5(base)
        w = self.wrap_tcp(exports={'disk': {'mode': 'cow-target', 'image': base}})
        self.disk().run(f'nbd-client -N disk -C 2 {k.HOST} {w.port} {{}}', 1)
        self.assertIn('server does not support multiple connections', self.guest.run('dmesg'))
        one, other = (self.attach(w, 'disk', connections=1) for _ in range(2))
        with one.mounted() as here, other.mounted() as there:
            self.guest.run(f'rm {here}/file')
            self.fio(f'{here}/load', '2m')
            self.guest.run('echo 3 >/proc/sys/vm/drop_caches')
            self.guest.run(f'ls {there}/load', 1)
            self.assertEqual(self.md5_there(f'{there}/file'), self.md5_of_file)
        with one.mounted() as here:
            self.fio(f'{here}/load', '2m', options='--verify_only')
        self.assertEqual(self.md5(base), before)

    def test_proxy_that_becomes_a_target(self):
        image, cache = self.formatted(), self.path('cache')
        before = self.md5(image)
        origin = self.wrap(exports={'disk': {'image': image, 'readonly': True}})
        w = self.wrap_tcp(exports={'disk': {'mode': 'proxy', 'origin': origin.uri('disk'),
                                            'cache': cache}})
        disk = self.attach(w, 'disk')
        with disk.mounted() as folder:
            with self.step('load while blocks are fetched'):
                load = self.load(f'{folder}/load')
                k.go_on(load)
                w.ctl('cache-all', 'disk')
                k.go_on(load)
            with self.step('switch'):
                w.ctl('switch', 'disk')
                origin.stop()
                k.go_on(load)
                load.end()
            self.assertEqual(self.md5_there(f'{folder}/file'), self.md5_of_file)
        disk.detach()
        self.run_cmd('e2fsck', '-fn', cache)
        self.assertEqual(self.md5(image), before)


if __name__ == '__main__':
    xtest.main()
