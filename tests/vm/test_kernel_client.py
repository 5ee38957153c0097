# SPDX-License-Identifier: GPL-2.0-or-later
"""Exports as block devices of a kernel, by nbd-client with several connections: names, sizes,
verified load, two at once, read-only, discard; over IPv6 and a unix socket, with the wrapper in the
guest. And proof that the checks find damage."""

import json
import os
import random
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kernel_client as k  # noqa: E402
import xtest  # noqa: E402
from xtest import MIB  # noqa: E402

START = '''
for d in disk0 disk1; do
	truncate -s 4M /tmp/$d
	echo "export $d { image = \\"/tmp/$d\\" }"
done >/tmp/conf
'''


class Client(k.KernelCase):
    def test_by_name_with_several_connections(self):
        w = self.wrap_tcp(exports=self.files(2, 4 * MIB, pattern=True))
        listed = self.guest.run(f'nbd-client -l {k.HOST} {w.port}')
        self.assertEqual(re.findall(r'^disk\d', listed, re.M), ['disk0', 'disk1'])
        disk = self.attach(w, 'disk1')
        self.assertEqual((disk.size(), w.client_count('disk1')), (4 * MIB, 4))
        self.assert_same_content(disk)
        disk.detach()
        xtest.wait_for(lambda: w.client_count('disk1') == 0, 'all have left', k.SECONDS)
        refusal = self.disk().run(f'nbd-client -N other {k.HOST} {w.port} {{}}', 1)
        self.assertIn('no such export', refusal)

    def test_two_at_once(self):
        w = self.wrap_tcp(exports=self.files(2, 4 * MIB))
        disks = [self.attach(w, name) for name in ('disk0', 'disk1')]
        loads = [self.load(d.path) for d in disks]
        k.go_on(*loads)
        k.end(*loads)
        for d in disks:
            self.assert_same_content(d)

    def test_read_only(self):
        image = self.image(4 * MIB, pattern=1)
        w = self.wrap_tcp(exports={'disk': {'image': image, 'readonly': True}})
        disk = self.attach(w, 'disk')
        self.assertEqual(disk.sysfs('ro'), '1')
        disk.run('dd if=/dev/zero of={} bs=4k count=1 conv=fsync', 1)
        disk.run('blkdiscard {}', 1)
        self.assert_same_content(disk)

    def test_discard_makes_holes(self):
        w = self.wrap_tcp(exports={'disk': self.image(16 * MIB, pattern=1)})
        disk = self.attach(w, 'disk')
        full = k.allocated(disk.image)
        disk.run(f'blkdiscard -o {4 * MIB} -l {8 * MIB} {{}}')
        self.assertLessEqual(k.allocated(disk.image), full - 8 * MIB)
        self.assert_same_content(disk)

    def test_damage_is_found(self):
        """A bit that flipped, and a write that was lost."""
        w = self.wrap_tcp(exports=self.files(1, 4 * MIB))
        disk = self.attach(w, 'disk0')
        self.fio(disk.path, seed=1)
        with open(disk.image, 'rb') as f:
            old = os.pread(f.fileno(), 512, MIB)
        self.fio(disk.path, seed=2)
        self.fio(disk.path, seed=2, options='--verify_only')
        k.flip(disk.image, 2 * MIB + 100)
        self.assertIn('verify failed', self.fio(disk.path, seed=2, options='--verify_only',
                                                status=1))
        k.flip(disk.image, 2 * MIB + 100)
        self.fio(disk.path, seed=2, options='--verify_only')
        with open(disk.image, 'r+b') as f:
            os.pwrite(f.fileno(), old, MIB)
        self.fio(disk.path, seed=2, options='--verify_only', status=1)

    def test_damage_is_found_under_load(self):
        w = self.wrap_tcp(exports=self.files(1, 4 * MIB))
        disk = self.attach(w, 'disk0')
        load, rnd = self.load(disk.path), random.Random(1)

        def damaged():
            k.flip(disk.image, rnd.randrange(2 * MIB))
            return not self.guest.is_running(load.job)
        xtest.wait_for(damaged, 'the load notices', k.SECONDS)
        with self.assertRaisesRegex(AssertionError, 'verify failed'):
            load.end()


class SameHost(k.KernelCase):
    """Wrapper and client on the same kernel, that of Debian."""

    def serve(self, *words):
        self.guest.run(START)
        self.wrapper = self.guest.start('xnbd-wrapper', '--config', '/tmp/conf', '--socket',
                                        '/tmp/ctl', '--dbpath', '/tmp/state', *words)
        self.addCleanup(lambda: self.guest.lost or self.end())
        xtest.wait_for(lambda: 'control socket' in self.guest.run(f'cat {self.wrapper}.log'),
                       'the wrapper is ready', k.SECONDS)

    def end(self):
        status, log = self.guest.end(self.wrapper)
        self.assertEqual(status, 0, log)

    def peers(self, name):
        exports = json.loads(self.guest.run('xnbd-wrapper-ctl --socket /tmp/ctl --list --json'))
        return [c['peer'] for e in exports if e['name'] == name for c in e['clients']]

    def use(self, disk, name):
        self.fio(disk.path)
        self.assertEqual(disk.md5(), self.md5_there(f'/tmp/{name}'))

    def test_ipv6_and_unix_socket(self):
        self.serve('--laddr=::1', '--lport=8520', '--lsocket=/tmp/nbd')
        six, local = self.disk(), self.disk()
        with self.step('IPv6'):
            six.run('nbd-client -N disk0 -C 4 ::1 8520 {}')
            self.use(six, 'disk0')
            self.assertEqual([p.rpartition(':')[0] for p in self.peers('disk0')], ['[::1]'] * 4)
        with self.step('unix socket'):
            local.run('nbd-client -N disk1 -C 4 -unix /tmp/nbd {}')
            self.use(local, 'disk1')
            self.assertEqual([p.split(':')[0] for p in self.peers('disk1')], ['unix'] * 4)


if __name__ == '__main__':
    xtest.main()
