# SPDX-License-Identifier: GPL-2.0-or-later
"""lvm_snap_create, lvm_snap_remove, lvm_snap_copy and lvm_iostat on real volumes, in a guest.

A copy is held at a place of our choice by its target: a mapped device that is suspended takes no
write, so what must happen while the copy runs does. The target is no volume of LVM's, as LVM would
wait for it, too.
"""

import json
import os
import string
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import xtest  # noqa: E402
from xtest import MIB  # noqa: E402

TOOLS = ('lvm_snap_create', 'lvm_snap_remove', 'lvm_snap_copy', 'lvm_copy', 'lvm_iostat')
LVM_CONF = b'''devices { use_devicesfile=0 obtain_device_list_from_udev=0
	external_device_info_source="none" filter=["a|^/dev/vda$|", "r|.*|"] }
activation { udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 }
global { event_activation=0 use_lvmpolld=0 }
'''
VG, EVERY_SIGN = 'vg-0', '+_.-' + string.ascii_letters + string.digits
TARGET = 'dev:/dev/mapper/target'


class Volumes(lab.Case):
    GUEST = {'modules': ('dm-snapshot', 'dm-thin-pool'), 'memory': 384,
             'programs': (*(xtest.program(t) for t in TOOLS), '/usr/sbin/lvm',
                          '/usr/sbin/dmsetup'),
             'files': {'/etc/lvm/lvm.conf': LVM_CONF}}

    @classmethod
    def disks(cls, folder):
        paths = []
        for name, size in (('pv', 254 * MIB), ('target', 32 * MIB)):
            paths.append(os.path.join(folder, name))
            with open(paths[-1], 'wb') as f:
                f.truncate(size)
        return paths

    @classmethod
    def prepare(cls):
        cls.guest.run(f'''
            hostname storage1
            mkdir -p /run/lvm /run/lock/lvm
            lvm pvcreate -q /dev/vda && lvm vgcreate -q -s 1m {VG} /dev/vda
            echo "0 {32 * MIB // 512} linear /dev/vdb 0" | dmsetup create target''')

    def setUp(self):
        super().setUp()
        self.at_end(f'lvm vgchange -q -ay {VG} && lvm lvremove -q -y {VG}; '
                    'rm -f /tmp/tools.conf')

    # Volumes.

    def volume(self, name='lv', size=8, vg=VG):
        """A volume of SIZE MiB with content; returns its path."""
        self.guest.run(f'lvm lvcreate -q -y -Wn -Zn -L {size}m -n {name} {vg}')
        self.guest.run(f'dd if=/dev/urandom of=/dev/{vg}/{name} bs=1M count=4 conv=fsync')
        return f'/dev/{vg}/{name}'

    def lvs(self, *fields, vg=VG):
        """{name: {field: text}}"""
        text = self.guest.run(f'lvm lvs --reportformat json --units b --nosuffix '
                              f'-o lv_name,{",".join(fields or ("lv_size",))} {vg} 2>/dev/null')
        return {row['lv_name']: row for row in json.loads(text)['report'][0]['lv']}

    def sum_of(self, path):
        return self.guest.run(f'md5sum {path}').split()[0]

    def overwrite(self, path, mib, at=0):
        self.guest.run(f'dd if=/dev/urandom of={path} bs=1M count={mib} seek={at} conv=fsync')

    def configure(self, *lines):
        self.guest.run("cat >/tmp/tools.conf <<'.'\n" + '\n'.join(lines) + '\n.\n')
        return '--config=/tmp/tools.conf'

    # Making and removing.

    def test_create_and_remove(self):
        lv = self.volume()
        made = json.loads(self.guest.run(f'lvm_snap_create -s lvm:{lv} --json --why "a b"'))
        row = self.lvs('lv_size', 'origin', 'lv_tags', 'lv_attr')['lv_snap']
        self.assertEqual((row['origin'], row['lv_attr'][:2]), ('lv', 'sw'))
        self.assertEqual((int(row['lv_size']), made['size']), (2 * MIB, 2 * MIB))  # 20 %
        tags = row['lv_tags'].split(',')
        self.assertIn('xnbd.snapshot', tags)
        self.assertIn('xnbd.why:a_b', tags)
        self.assertIn(f'xnbd.job:{made["job"]}', tags)
        self.assertNotIn('xnbd.temporary', tags)

        before = self.sum_of(lv)
        self.overwrite(lv, 1)
        self.assertEqual(self.sum_of(f'{lv}_snap'), before)
        self.assertIn('is there already', self.guest.run(f'lvm_snap_create -s lvm:{lv}', 1))
        self.assertIn('snapshot itself', self.guest.run(f'lvm_snap_create -s lvm:{lv}_snap', 1))
        self.assertIn('would be removed', self.guest.run(f'lvm_snap_remove --dry-run -s {lv}_snap'))
        self.guest.run(f'lvm_snap_remove -s lvm:{lv}_snap')
        self.assertEqual(list(self.lvs()), ['lv'])
        self.assertIn('no such volume', self.guest.run(f'lvm_snap_remove -s {lv}_snap', 1))

    def test_sizes(self):
        lv = self.volume()
        for options, want in (('-n 2M -t a', 2 * MIB), ('-n 3 -t b', 3 * MIB),
                              ('-n 50% -t c', 4 * MIB)):
            self.guest.run(f'lvm_snap_create -s {lv} {options} --read-only')
            self.assertEqual(int(self.lvs()[f'lv_{options[-1]}']['lv_size']), want)
        self.assertIn('cannot overflow', self.guest.run(f'lvm_snap_create -s {lv} -n 1G'))
        conf = self.configure('SNAP_RESERVE=240M')
        self.assertIn('MiB for a snapshot',
                      self.guest.run(f'lvm_snap_create -s {lv} -t d {conf}', 1))
        self.assertIn('no such volume', self.guest.run(f'lvm_snap_create -s {VG}/none', 1))
        self.assertIn('not found', self.guest.run('lvm_snap_create -s none/none', 1))

    def test_full_never_overflows(self):
        """As many chunks as there are, all of them changed."""
        lv = self.volume()
        before = self.sum_of(lv)
        conf = self.configure('SNAP_CHUNK=4K')
        made = json.loads(self.guest.run(f'lvm_snap_create -s {lv} -n full {conf} --json'))
        self.assertTrue(made['full'])
        self.overwrite(lv, 8)
        self.assertEqual(self.lvs('lv_snapshot_invalid')['lv_snap']['lv_snapshot_invalid'], '')
        self.assertEqual(self.sum_of(f'{lv}_snap'), before)

    def test_refusals(self):
        """An origin, a plain volume, somebody else's snapshot, one in use, a thin volume."""
        lv = self.volume()
        plain = self.volume('plain', 4)
        self.guest.run(f'''lvm lvcreate -q -y -s -L 4m -n theirs {VG}/lv
                        lvm lvcreate -q -y --addtag xnbd.snapshot -Wn -L 4m -n tagged {VG}
                        lvm lvcreate -q -y --thinpool pool -L 8m {VG}
                        lvm lvcreate -q -y -V 8m --thinpool pool -n thin {VG}
                        lvm_snap_create -s {lv}''')
        for name, why in ((lv, 'is no snapshot'), (plain, 'is no snapshot'),
                          (f'{VG}/tagged', 'is no snapshot'), (f'{VG}/theirs', 'have not made')):
            self.assertIn(why, self.guest.run(f'lvm_snap_remove -s {name}', 1))
        self.assertIn('is thin', self.guest.run(f'lvm_snap_create -s {VG}/thin', 1))
        self.assertIn('is thin', self.guest.run(f'lvm_snap_create -s {VG}/pool', 1))
        user = self.guest.start('sh', '-c', f'exec sleep 600 <{lv}_snap')
        self.assertIn('is in use', self.guest.run(f'lvm_snap_remove -s {lv}_snap', 1))
        self.guest.end(user)
        self.guest.run(f'lvm_snap_remove -s {lv}_snap')
        self.assertEqual(set(self.lvs()), {'lv', 'plain', 'theirs', 'tagged', 'pool', 'thin'})

    def test_every_legal_character(self):
        vg = 'v.G_0+a-b--c'
        self.guest.run(f'lvm vgrename -q {VG} {vg}')
        self.at_end(f'lvm vgchange -q -an {vg}; lvm vgrename -q {vg} {VG}')
        lv = self.volume(EVERY_SIGN, 4, vg)
        suffix = '.-+_'
        self.guest.run(f'lvm_snap_create -s lvm:{lv} -t {suffix}')
        self.assertEqual(set(self.lvs(vg=vg)), {EVERY_SIGN, f'{EVERY_SIGN}_{suffix}'})
        items = {i['name']: i for i in self.iostat()}
        self.assertEqual(items[f'{vg}/{EVERY_SIGN}_{suffix}']['relation'],
                         f'snapshot of {vg}/{EVERY_SIGN}')
        self.guest.run(f'lvm_snap_remove -s lvm:{lv}_{suffix}')
        before = self.sum_of(lv)
        self.guest.run(f'lvm_snap_copy -q -s lvm:{lv} -t file:/tmp/copy')
        self.assertEqual(self.sum_of('/tmp/copy'), before)
        self.guest.run(f'rm /tmp/copy*; lvm lvremove -q -y {vg}')

    # Copies.

    def hold(self):
        """From now on the target takes no write."""
        self.guest.run('dmsetup suspend --noflush --nolockfs target')
        self.at_end('dmsetup resume target')

    def start_copy(self, lv, *options):
        job = self.guest.start('lvm_snap_copy', '-s', f'lvm:{lv}', '-t', TARGET, *options)
        xtest.wait_for(lambda: not self.guest.is_running(job) or 'lv_snap' in self.lvs(), 'snapshot',
                       60, 0.3)
        self.assertTrue(self.guest.is_running(job), self.guest.job_logs())
        return job

    def result(self, job, status, seconds=120):
        """(JSON of lvm_snap_copy, all that was said)"""
        code, text = self.guest.wait(job, seconds)
        self.assertEqual(code, status, text)
        found = [json.loads(line) for line in text.splitlines() if line.startswith('{"vg"')]
        return found[-1] if found else None, text

    def test_copy(self):
        lv = self.volume()
        before = self.sum_of(lv)
        self.assertIn('would be made',
                      self.guest.run(f'lvm_snap_copy -s lvm:{lv} -t {TARGET} --dry-run'))
        job = self.guest.start('lvm_snap_copy', '-s', f'lvm:{lv}', '-t', TARGET, '--json')
        result, _ = self.result(job, 0)
        self.assertTrue(result['good'] and result['removed'])
        self.assertEqual(self.guest.run(f'head -c {8 * MIB} /dev/mapper/target | md5sum'
                                        ).split()[0], before)
        self.assertEqual(list(self.lvs()), ['lv'])

    def test_copy_that_fails(self):
        """The target is too small, or there is none: no snapshot stays."""
        lv = self.volume(size=48)
        for target in (TARGET, 'file:/none/at/all'):
            job = self.guest.start('lvm_snap_copy', '-s', f'lvm:{lv}', '-t', target, '--json')
            result, text = self.result(job, 1)
            self.assertFalse(result['good'], text)
            self.assertTrue(result['removed'], text)
            self.assertEqual(list(self.lvs()), ['lv'])

    def test_extended(self):
        """Filled while the copy is held: extended again and again, and the copy is good."""
        lv = self.volume()
        before = self.sum_of(lv)
        self.hold()
        conf = self.configure('SNAP_EXTEND_AT=50', 'SNAP_EXTEND_BY=100')
        job = self.start_copy(lv, '-n', '2M', '--json', conf)
        size = int(self.lvs()['lv_snap']['lv_size'])
        for i in range(3):
            self.overwrite(lv, 1, at=i)

            def has_room():
                row = self.lvs('lv_size', 'data_percent')['lv_snap']
                return float(row['data_percent']) < 50 and int(row['lv_size']) > size
            xtest.wait_for(has_room, 'extension', 120, 0.3)
        self.guest.run('dmsetup resume target')
        result, _ = self.result(job, 0)
        self.assertGreaterEqual(result['extended'], 2)
        self.assertGreaterEqual(result['peak'], 3 * MIB)
        self.assertEqual(self.guest.run(f'head -c {8 * MIB} /dev/mapper/target | md5sum'
                                        ).split()[0], before)
        self.assertEqual(list(self.lvs()), ['lv'])

    def test_overflow(self):
        """The copy ends as bad, the volume as it should be, the snapshot is gone."""
        lv = self.volume()
        self.hold()
        conf = self.configure('SNAP_EXTEND_AT=0')
        job = self.start_copy(lv, '-n', '2M', '--json', conf)
        self.overwrite(lv, 4)
        after = self.sum_of(lv)
        self.guest.run('dmsetup resume target')
        result, text = self.result(job, 1)
        self.assertTrue(result['overflowed'] and result['removed'])
        self.assertFalse(result['good'])
        self.assertIn('the copy is bad', text)
        self.assertEqual((list(self.lvs()), self.sum_of(lv)), (['lv'], after))

    def test_no_room_to_extend(self):
        """The rest of the group is reserved: a warning, then an overflow."""
        lv = self.volume()
        self.hold()
        free = int(self.guest.run(
            f'lvm vgs --noheadings --units m --nosuffix -o vg_free {VG}').split('.')[0])
        conf = self.configure('SNAP_EXTEND_AT=50', f'SNAP_RESERVE={free - 3}M')
        job = self.start_copy(lv, '-n', '2M', '--json', conf)
        self.overwrite(lv, 1, at=0)
        xtest.wait_for(lambda: 'no room left' in self.guest.job_logs(), 'warning', 60, 0.3)
        self.overwrite(lv, 3, at=1)
        self.guest.run('dmsetup resume target')
        result, _ = self.result(job, 1)
        self.assertTrue(result['overflowed'] and result['removed'])

    def test_ended_by_a_signal(self):
        lv = self.volume()
        self.hold()
        job = self.start_copy(lv, '--json')
        self.guest.run(f'kill -TERM $(cat {job}.pid); dmsetup resume target')
        result, _ = self.result(job, 1)
        self.assertTrue(result['removed'])
        self.assertFalse(result['good'])
        self.assertEqual(list(self.lvs()), ['lv'])

    # Leftovers.

    def test_killed(self):
        """What kill -9 leaves, the next run finds; a job that lives is let alone."""
        lv = self.volume()
        other = self.volume('other', 4)
        self.hold()
        job = self.start_copy(lv)
        self.assertIn('xnbd.temporary', self.lvs('lv_tags')['lv_snap']['lv_tags'])
        self.guest.run(f'lvm_snap_remove --leftovers {VG}')
        self.assertIn('lv_snap', self.lvs())
        self.guest.end(job, 'KILL')
        self.guest.run('dmsetup resume target')
        xtest.wait_for(lambda: not self.lvs('lv_device_open')['lv_snap']['lv_device_open'],
                       'end of lvm_copy', 60, 0.3)
        self.assertIn('would be removed',
                      self.guest.run(f'lvm_snap_remove --leftovers {VG} --dry-run'))
        self.assertIn('lv_snap: removed', self.guest.run(f'lvm_snap_create -s {other}'))
        self.assertEqual(set(self.lvs()), {'lv', 'other', 'other_snap'})

    def test_leftovers_of_others(self):
        """Of an earlier boot, of another host; of a group that is not active."""
        self.volume()
        for name, owner in (('boot', 'storage1/0000/12/34'), ('host', 'storage2/0000/12/34'),
                            ('odd', 'nobody')):
            self.guest.run(f'lvm lvcreate -q -y -s -L 4m -n {name} --addtag xnbd.snapshot '
                           f'--addtag xnbd.temporary --addtag xnbd.owner:{owner} {VG}/lv')
        self.guest.run(f'lvm lvcreate -q -y -s -L 4m -n theirs {VG}/lv; lvm vgchange -q -an {VG}')
        self.guest.run(f'lvm_snap_remove --leftovers {VG}')
        self.assertEqual(set(self.lvs()), {'lv', 'host', 'theirs'})
        self.guest.run(f'lvm_snap_remove --leftovers {VG} --taken-over')
        self.assertEqual(set(self.lvs()), {'lv', 'theirs'})

    # lvm_iostat.

    def iostat(self, *options):
        return json.loads(self.guest.run(f'lvm_iostat --json {" ".join(options)}'))['items']

    def counts(self, name):
        """As the dump has them: read, written, reads, writes, queue, qtime."""
        for line in self.guest.run('lvm_iostat -d -n dm-').splitlines():
            if line.startswith(name + ' '):
                return [int(n) for n in line.split(' ')[1].split(':')[1:]]
        raise AssertionError(f'{name}: not in the dump')

    def test_iostat(self):
        lv = self.volume()
        before = self.counts(f'{VG}/lv')
        self.guest.run(f'''dd if={lv} of=/dev/null bs=64k count=32 iflag=direct
                        dd if=/dev/zero of={lv} bs=64k count=16 oflag=direct''')
        read, written, reads, writes, *_ = (n - b for n, b in zip(self.counts(f'{VG}/lv'), before))
        self.assertEqual((read, written, reads, writes), (2 * MIB, MIB, 32, 16))

        self.guest.run(f'lvm_snap_create -s {lv}; lvm_snap_create -s {lv} -t two')
        items = {i['name']: i for i in self.iostat()}
        self.assertEqual(items[f'{VG}/lv']['relation'], '2 snapshots')
        self.assertEqual(items[f'{VG}/lv_two']['relation'], f'snapshot of {VG}/lv')
        self.assertNotIn(f'{VG}/lv-real', items)
        self.assertIn('vda', items)
        self.assertIn(f'{VG}/lv_two-cow', {i['name'] for i in self.iostat('--all')})
        self.assertEqual({i['name'] for i in self.iostat('-n', "'lv_two$'")}, {f'{VG}/lv_two'})
        table = self.guest.run(f'''
            dd if={lv} of=/dev/null bs=64k iflag=direct & lvm_iostat -c 1; wait''')
        self.assertRegex(table.splitlines()[-1], f'^dm-.*{VG}/lv_two .*snapshot of {VG}/lv$')

    def test_iostat_of_a_new_device(self):
        """The same dm-N, another volume: rates begin anew instead of being nonsense."""
        lv = self.volume()
        job = self.guest.start('lvm_iostat', '--json', '-n', f'{VG}/', '-i', '1', '-c', '4')
        self.guest.run(f'lvm vgchange -q -an {VG} && lvm vgchange -q -ay {VG}')
        self.guest.run(f'dd if={lv} of=/dev/null bs=1M count=1 iflag=direct')
        _, text = self.guest.wait(job)
        for line in text.splitlines():
            for item in json.loads(line)['items']:
                self.assertLess(item['read_rate'] or 0, 64 * MIB)

    def test_suspended(self):
        self.guest.run('dmsetup suspend --noflush --nolockfs target')
        self.at_end('dmsetup resume target')
        items = {i['name']: i for i in self.iostat()}
        self.assertEqual(items['target']['relation'], 'suspended')


if __name__ == '__main__':
    xtest.main()
