# SPDX-License-Identifier: GPL-2.0-or-later
"""lvm_copy on real volumes, in a guest: targets that are made and grow, snapshots as sources."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import xtest  # noqa: E402
from xtest import MIB  # noqa: E402

LVM_CONF = b'''devices { use_devicesfile=0 obtain_device_list_from_udev=0
	external_device_info_source="none" filter=["a|^/dev/vda$|", "r|.*|"] }
activation { udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 }
global { event_activation=0 use_lvmpolld=0 }
'''
VG = 'vg-0'


class Volumes(lab.Case):
    GUEST = {'modules': ('dm-snapshot', 'loop'), 'memory': 384,
             'programs': (xtest.program('lvm_copy'), '/usr/sbin/lvm', '/usr/sbin/dmsetup'),
             'files': {'/etc/lvm/lvm.conf': LVM_CONF}}

    @classmethod
    def disks(cls, folder):
        path = os.path.join(folder, 'pv')
        with open(path, 'wb') as f:
            f.truncate(254 * MIB)
        return [path]

    @classmethod
    def prepare(cls):
        cls.guest.run(f'''mkdir -p /run/lvm /run/lock/lvm
            lvm pvcreate -q /dev/vda && lvm vgcreate -q -s 1m {VG} /dev/vda''')

    def setUp(self):
        super().setUp()
        self.at_end(f'lvm lvremove -q -y {VG}; rm -rf /tmp/copy* /var/lib/xnbd')

    def volume(self, name='lv', size=8):
        self.guest.run(f'lvm lvcreate -q -y -Wn -Zn -L {size}m -n {name} {VG}')
        self.guest.run(f'dd if=/dev/urandom of=/dev/{VG}/{name} bs=1M count={size} conv=fsync')
        return f'/dev/{VG}/{name}'

    def snapshot(self, size=4):
        self.guest.run(f'lvm lvcreate -q -y -s -L {size}m -n snap {VG}/lv')
        return f'/dev/{VG}/snap'

    def size_of(self, name):
        return int(self.guest.run(f'blockdev --getsize64 /dev/{VG}/{name}'))

    def sum_of(self, path, size=8):
        return self.guest.run(f'head -c {size * MIB} {path} | md5sum').split()[0]

    def copy(self, source, target, *options, status=0):
        """Its JSON, or what it said."""
        words = ' '.join(options)
        text = self.guest.run(f'lvm_copy -s {source} -t {target} --json {words}', status)
        return json.loads(text.splitlines()[-1]) if status == 0 else text

    def test_target_is_made_and_grows(self):
        lv = self.volume()
        target = f'/dev/{VG}/a-b+c_d.e'
        self.copy(f'lvm:{lv}', f'lvm:{target}', '-n')
        self.guest.run(f'test ! -e {target}')
        self.copy(f'lvm:{lv}', f'lvm:{target}', '-p')
        self.assertEqual(self.size_of('a-b+c_d.e'), 8 * MIB)
        self.copy(f'lvm:{lv}', f'lvm:{target}', '--verify=readback')
        self.assertEqual(self.sum_of(target), self.sum_of(lv))
        self.guest.run(f'lvm lvextend -q -L 10m {VG}/lv')
        result = self.copy(f'lvm:{lv}', f'lvm:{VG}/a-b+c_d.e', '-i')
        self.assertEqual(self.size_of('a-b+c_d.e'), 10 * MIB)
        self.assertGreaterEqual(result['unchanged'], 8)
        self.assertEqual(self.sum_of(target, 10), self.sum_of(lv, 10))
        self.guest.run(f'lvm lvremove -q -y {VG}/lv')
        self.volume('lv', 4)
        self.copy(f'lvm:{lv}', f'lvm:{target}')
        self.assertEqual(self.size_of('a-b+c_d.e'), 10 * MIB)  # it never shrinks
        self.assertEqual(self.sum_of(target, 4), self.sum_of(lv, 4))
        self.guest.run(f'lvm_copy --verify lvm:{target}')

    def test_refusals(self):
        lv, other = self.volume(), self.volume('other', 8)
        snap = self.snapshot()
        before = self.sum_of(lv)
        for source, target, why in (
                (snap, lv, 'origin or snapshot'), (lv, snap, 'no place for a copy'),
                (lv, lv, 'source itself'), (f'/dev/mapper/{VG.replace("-", "--")}-lv', lv,
                                            'source itself')):
            self.assertIn(why, self.copy(f'lvm:{source}', f'lvm:{target}', status=1))
        self.assertIn('origin or snapshot', self.copy(f'dev:{snap}', f'dev:{lv}', status=1))
        self.assertIn('origin or snapshot', self.copy(f'dev:{lv}', f'dev:{snap}', status=1))
        self.assertIn('lies on it', self.copy(f'lvm:{lv}', 'dev:/dev/vda', status=1))
        user = self.guest.start('sh', '-c', f'exec sleep 600 <{other}')
        self.assertIn('is open', self.copy(f'lvm:{lv}', f'lvm:{other}', status=1))
        self.assertIn('has it open', self.copy(f'lvm:{lv}', f'dev:{other}', status=1))
        self.guest.end(user)
        # Somebody in the kernel, whom no process shows.
        loop = self.guest.run(f'l=$(losetup -f) && losetup $l {other} && echo $l').strip()
        self.assertIn('something in the kernel', self.copy(f'lvm:{lv}', f'dev:{other}', status=1))
        self.guest.run(f'losetup -d {loop}')
        self.guest.run(f'lvm lvchange -q -an {VG}/other')
        self.assertIn('not active', self.copy(f'lvm:{lv}', f'lvm:{VG}/other', status=1))
        self.assertIn('not found', self.copy(f'lvm:{lv}', 'lvm:none/x', status=1))
        self.assertEqual(self.sum_of(lv), before)

    def interrupt(self, source, *options):
        job = self.guest.start('lvm_copy', '-s', source, '-t', 'file:/tmp/copy', '--max-rate=1',
                               *options)
        xtest.wait_for(lambda: int(self.guest.run(
            'stat -c %b /tmp/copy.partial 2>/dev/null || echo 0')) >= 3 * MIB // 512, 'begun',
            60, 0.3)
        status, text = self.guest.end(job)
        self.assertEqual(status, 1, text)

    def test_resume_needs_the_same_snapshot(self):
        lv = self.volume()
        snap, before = self.snapshot(), self.sum_of(lv)
        self.interrupt(f'lvm:{snap}')
        self.guest.run(f'dd if=/dev/urandom of={lv} bs=1M count=1 conv=fsync')
        result = self.copy(f'lvm:{snap}', 'file:/tmp/copy', '-r')
        self.assertGreater(result['resumed'], 0)
        self.assertEqual(self.sum_of('/tmp/copy'), before)
        self.interrupt(f'lvm:{snap}', '-i')
        self.guest.run(f'lvm lvremove -q -y {VG}/snap')
        snap, before = self.snapshot(), self.sum_of(lv)
        result = self.copy(f'lvm:{snap}', 'file:/tmp/copy', '-r')
        self.assertEqual(result['resumed'], 0)
        self.assertEqual(self.sum_of('/tmp/copy'), before)

    def test_snapshot_that_is_written_to(self):
        """Half of it before and half of it after would be neither."""
        self.volume()
        snap = self.snapshot()
        self.interrupt(f'lvm:{snap}')
        self.guest.run(f'dd if=/dev/urandom of={snap} bs=64k count=1 conv=notrunc,fsync')
        result = self.copy(f'lvm:{snap}', 'file:/tmp/copy', '-r')
        self.assertEqual(result['resumed'], 0)
        self.assertEqual(self.sum_of('/tmp/copy'), self.sum_of(snap))
        job = self.guest.start('lvm_copy', '-s', f'lvm:{snap}', '-t', 'file:/tmp/copy',
                               '--max-rate=1')
        xtest.wait_for(lambda: self.guest.run('ls /tmp').count('copy.partial'), 'begun', 60, 0.3)
        self.guest.run(f'dd if=/dev/urandom of={snap} bs=64k count=1 conv=notrunc,fsync')
        status, text = self.guest.wait(job, 120)
        self.assertEqual(status, 1, text)
        self.assertIn('was changed while it was copied', text)

    def test_live_volume_is_never_resumed(self):
        lv = self.volume()
        self.interrupt(f'lvm:{lv}')
        result = self.copy(f'lvm:{lv}', 'file:/tmp/copy', '-r')
        self.assertEqual(result['resumed'], 0)

    def test_snapshot_overflows(self):
        """All of it reads as EIO then; the last copy is as it was."""
        lv = self.volume()
        self.copy(f'lvm:{lv}', 'file:/tmp/copy', '--chunk=64K')
        before = self.sum_of('/tmp/copy')
        snap = self.snapshot(1)
        job = self.guest.start('lvm_copy', '-s', f'lvm:{snap}', '-t', 'file:/tmp/copy',
                               '--max-rate=1', '--chunk=64K')
        xtest.wait_for(lambda: self.guest.run('ls /tmp').count('copy.partial'), 'begun', 60, 0.3)
        self.guest.run(f'dd if=/dev/urandom of={lv} bs=1M count=8 conv=fsync')
        status, text = self.guest.wait(job, 120)
        self.assertEqual(status, 1, text)
        self.assertIn('Input/output error', text)
        self.guest.run('lvm_copy --verify /tmp/copy')
        self.assertEqual(self.sum_of('/tmp/copy'), before)


if __name__ == '__main__':
    xtest.main()
