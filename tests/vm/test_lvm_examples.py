# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples of the LVM tools' manual pages as they stand there, and the command lines of old.

Host 'backup' is the guest itself: its ssh is a line of shell that runs what it is told to. The real
one is used in tests/func/test_lvm_copy_far.py.
"""

import json
import os
import re
import string
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import manual  # noqa: E402
import xtest  # noqa: E402
from xtest import MIB  # noqa: E402

TOOLS = ('lvm_snap_create', 'lvm_snap_remove', 'lvm_snap_copy', 'lvm_copy', 'lvm_iostat')
LVM_CONF = b'''devices { use_devicesfile=0 obtain_device_list_from_udev=0
	external_device_info_source="none" filter=["a|^/dev/vd[ab]$|", "r|.*|"] }
activation { udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 }
global { event_activation=0 use_lvmpolld=0 }
'''
SSH = r'''#!/bin/sh
while :; do case $1 in --) shift; break;; -*) shift;; *) break;; esac; done
shift
exec "$@"
'''
LV, BACKUP = '/dev/vg0/vm1', '/dev/vg_backup/vm1_bk'
EVERY_SIGN = '+_.-' + string.ascii_letters + string.digits


def examples(page):
    return manual.commands(page, '(?:ssh backup )?lvm_[a-z_]+')


class Examples(lab.Case):
    GUEST = {'modules': ('dm-snapshot', 'dm-mirror'), 'memory': 384,
             'programs': (*(xtest.program(t) for t in TOOLS), '/usr/sbin/lvm',
                          '/usr/sbin/dmsetup'),
             'files': {'/etc/lvm/lvm.conf': LVM_CONF}}

    @classmethod
    def disks(cls, folder):
        paths = []
        for name in ('pv', 'backup'):
            paths.append(os.path.join(folder, name))
            with open(paths[-1], 'wb') as f:
                f.truncate(128 * MIB)
        return paths

    @classmethod
    def prepare(cls):
        cls.guest.run(f'''
            mkdir -p /run/lvm /run/lock/lvm /srv/backup
            ssh=$(dirname "$(command -v lvm_copy)")/ssh
            cat >"$ssh" <<'.'\n{SSH}.
            chmod +x "$ssh"
            lvm pvcreate -q /dev/vda /dev/vdb && lvm vgcreate -q -s 1m vg0 /dev/vda &&
                lvm vgcreate -q -s 1m vg_backup /dev/vdb''')

    def setUp(self):
        super().setUp()
        self.at_end('lvm lvremove -q -y vg0 vg_backup; rm -rf /srv/backup/* /var/lib/xnbd '
                    '/etc/lvm/lvm_tools.conf')
        self.volume()

    def volume(self, name='vm1', size=8):
        self.guest.run(f'''lvm lvcreate -q -y -Wn -Zn -L {size}m -n {name} vg0
            dd if=/dev/urandom of=/dev/vg0/{name} bs=1M count={size} conv=fsync''')

    def sum_of(self, path, size=8):
        return self.guest.run(f'head -c {size * MIB} {path} | md5sum').split()[0]

    def names(self, vg='vg0'):
        return set(self.guest.run(f'lvm lvs --noheadings -o lv_name {vg}').split())

    # Manual pages.

    def test_lvm_copy_8(self):
        copy, back, look, export = examples('lvm_copy.8')
        self.assertIn('nbd:', export)  # as in tests/func/test_lvm_copy_nbd.py
        before = self.sum_of(LV)
        self.guest.run(f'lvm_snap_create -s lvm:{LV}')
        self.guest.run(copy)
        self.guest.run(f'dd if=/dev/urandom of={LV} bs=1M count=1 conv=fsync')
        self.guest.run(copy)
        self.assertIn('good', self.guest.run(look))
        self.guest.run(f'lvm_snap_remove -s lvm:{LV}_snap')
        self.guest.run(back)
        self.assertEqual(self.sum_of(LV), before)

    def test_lvm_snap_create_8(self):
        create, = examples('lvm_snap_create.8')
        self.guest.run(create)
        before = self.sum_of(LV)
        self.guest.run(f'dd if=/dev/urandom of={LV} bs=1M count=8 conv=fsync')
        self.assertEqual(self.sum_of(f'{LV}_before'), before)

    def test_lvm_snap_copy_8(self):
        to_volume, to_file = examples('lvm_snap_copy.8')
        before = self.sum_of(LV)
        for _ in range(2):
            self.guest.run(to_volume)
            self.assertEqual(self.sum_of(BACKUP), before)
        self.guest.run(to_file)
        self.assertEqual(self.guest.run('gunzip -c /srv/backup/vm1.gz | md5sum').split()[0], before)
        self.assertEqual(self.names(), {'vm1'})

    def test_lvm_snap_remove_8(self):
        remove, = examples('lvm_snap_remove.8')
        self.guest.run(f'''lvm lvcreate -q -y -s -L 2m -n left --addtag xnbd.snapshot \
            --addtag xnbd.temporary --addtag xnbd.owner:other/0000/1/2 {LV}
            lvm_snap_create -s {LV}; lvm vgchange -q -an vg0''')
        self.guest.run(remove)
        self.assertEqual(self.names(), {'vm1', 'vm1_snap'})

    def test_leftovers_in_json(self):
        command = 'lvm_snap_remove --leftovers vg0 --json 2>/dev/null'
        self.assertEqual(json.loads(self.guest.run(command)), {
            'vg': 'vg0', 'taken_over': False, 'dry_run': False, 'success': True, 'removed': [],
            'failed': []})
        for name in ('one', 'two'):
            self.guest.run(f'''lvm lvcreate -q -y -s -L 2m -n {name} --addtag xnbd.snapshot \
                --addtag xnbd.temporary {LV}''')
        found = json.loads(self.guest.run(command.replace('--json', '--json --dry-run')))
        self.assertEqual((found['dry_run'], found['removed']), (True, ['one', 'two']))
        user = self.guest.start('sh', '-c', 'exec sleep 600 </dev/vg0/two')
        found = json.loads(self.guest.run(command, 1))
        self.assertEqual(found['removed'], ['one'])
        self.assertEqual([f['snapshot'] for f in found['failed']], ['two'])
        self.assertIn('in use', found['failed'][0]['error'])
        self.assertFalse(found['success'])
        self.guest.end(user)
        self.assertEqual(json.loads(self.guest.run(command))['removed'], ['two'])
        self.assertEqual(self.names(), {'vm1'})
        self.assertFalse(json.loads(self.guest.run(command.replace('vg0', 'none'), 1))['success'])

    def test_lvm_iostat_8(self):
        table, dump = examples('lvm_iostat.8')
        self.assertIn(' vg0/vm1 ', self.guest.run(table.replace(' -x', '') + ' -r -c 1'))
        dump = dump.replace('rrdtool update', 'echo')
        self.assertRegex(self.guest.run(dump), r'^vm1\.rrd \d+(:\d+)+\s*$')

    def test_lvm_tools_conf_5(self):
        lines = re.findall(r'^[A-Z_]+=.*$', manual.chapter('lvm_tools.conf.5.in'), re.M)
        self.assertEqual(len(lines), 4)
        self.guest.run("cat >/etc/lvm/lvm_tools.conf <<'.'\n" + '\n'.join(lines) + '\n.\n')
        self.assertIn('MiB for a snapshot', self.guest.run(f'lvm_snap_create -s {LV}', 1))
        self.guest.run('sed -i s/100G/1M/ /etc/lvm/lvm_tools.conf')
        made = json.loads(self.guest.run(f'lvm_snap_create -s {LV} --json'))
        self.assertEqual(made['size'], 3 * MIB)

    # As it was done of old.

    def test_old_command_lines(self):
        before = self.sum_of(LV)
        self.guest.run('''cat >/etc/lvm/lvm_tools.conf <<'.'
# default snap name suffix
DEFAULT_SNAP_SUFFIX=snap
# in percent (SM < 100GB, XL >= 100GB)
DEFAULT_SNAP_SPACE_SM=20
DEFAULT_SNAP_SPACE_XL=15
ENABLE_MD5=0
ENABLE_RAW=1
MIN_TRANSFER_RATE=4
.
''')
        self.guest.run(f'lvm_copy -s lvm:{LV} -t lvm:{BACKUP} -p')
        self.guest.run(f'lvm_copy -s lvm:{LV} -t lvm:{BACKUP}')
        self.assertEqual(self.sum_of(BACKUP), before)
        self.guest.run(f'lvm_copy -s dev:{LV} -t file:backup:/srv/backup/a')
        self.assertEqual(self.sum_of('/srv/backup/a'), before)
        self.guest.run(f'lvm_copy -s lvm:{LV} -t file:/srv/backup/a.gz -z')
        self.assertEqual(self.guest.run('gunzip -c /srv/backup/a.gz | md5sum').split()[0], before)
        self.guest.run(f'lvm_copy -s file:/srv/backup/a -t lvm:backup:{BACKUP}')
        self.guest.run(f'lvm_copy -s lvm:{BACKUP} -t dev:{LV}')
        self.assertEqual(self.sum_of(LV), before)
        self.guest.run(f'''lvm_snap_create -s lvm:{LV} && lvm_snap_create -s lvm:{LV} -t x -n 2 &&
            lvm_snap_remove -s lvm:{LV}_snap && lvm_snap_remove -s lvm:{LV}_x''')
        self.guest.run(f'lvm_snap_copy -s lvm:{LV} -t lvm:{BACKUP}')
        self.assertEqual(self.sum_of(BACKUP), before)
        for line in ("lvm_iostat -d -n 'dm-.*'", 'lvm_iostat -d', 'lvm_iostat -r -c 1 -n vd',
                     'lvm_iostat -h'):
            self.assertTrue(self.guest.run(line))
        self.assertEqual(self.names(), {'vm1'})

    # What the configuration of lvm_snap_copy is for lvm_copy, and its one line of JSON.

    def test_configuration_reaches_lvm_copy(self):
        self.guest.run('echo ENABLE_MD5=1 >/srv/backup/conf')
        command = f'lvm_snap_copy -s {LV} -t lvm:{BACKUP} -c /srv/backup/conf'
        self.assertIn(', read back', self.guest.run(command))
        lines = self.guest.run(f'{command} --json 2>/dev/null').splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(json.loads(lines[0])['good'])
        lines = self.guest.run(f'{command} --json -- --json 2>/dev/null').splitlines()
        self.assertTrue(json.loads(lines[0])['readback'])
        self.guest.run('echo NONE=1 >/srv/backup/conf')
        self.guest.run(command, 2)

    # Harm.

    def test_one_volume_seen_by_two_hosts(self):
        """As on a pair with shared disks: the other host's /dev/vg0/vm1 is this one."""
        before = self.sum_of(LV)
        self.guest.run(f'lvm_snap_create -s {LV}')
        for source, target, why in (
                (f'lvm:{LV}', f'dev:backup:{LV}', 'is the source itself'),
                (f'lvm:backup:{LV}', f'dev:{LV}', 'is the source itself'),
                (f'lvm:backup:{LV}', f'lvm:backup:{LV}', 'is the source itself'),
                (f'lvm:backup:{LV}_snap', f'lvm:backup:{LV}', 'origin or snapshot')):
            self.assertIn(why, self.guest.run(f'lvm_copy -s {source} -t {target}', 1))
        self.assertEqual(self.sum_of(LV), before)

    def test_snapshot_of_another_host(self):
        """On shared disks: who has not the group active must not remove what the other one uses."""
        self.guest.run(f'''lvm lvcreate -q -y -s -L 2m -n theirs --addtag xnbd.snapshot \
            --addtag xnbd.owner:other/0000/1/2 {LV}; lvm vgchange -q -an vg0''')
        self.assertIn('may be active', self.guest.run('lvm_snap_remove -s vg0/theirs', 1))
        self.assertEqual(self.names(), {'vm1', 'theirs'})
        self.guest.run('lvm vgchange -q -ay vg0; lvm_snap_remove -s vg0/theirs')
        self.assertEqual(self.names(), {'vm1'})

    def test_disk_of_a_group_that_is_not_active(self):
        before = self.sum_of(LV)
        self.guest.run('lvm vgchange -q -an vg0; dd if=/dev/zero of=/srv/backup/z bs=1M count=1')
        said = self.guest.run('lvm_copy -s file:/srv/backup/z -t dev:/dev/vda', 1)
        self.assertIn('physical volume', said)
        self.guest.run('lvm vgchange -q -ay vg0')
        self.assertEqual(self.sum_of(LV), before)

    def test_overflow_behind_the_last_read(self):
        """All of it is in memory when the snapshot overflows: no read fails, and it is not good."""
        self.guest.run(f'lvm_copy -s lvm:{LV} -t file:/srv/backup/a')
        before = self.sum_of('/srv/backup/a')
        self.guest.run(f'''dd if=/dev/urandom of={LV} bs=1M count=1 conv=fsync
            lvm_snap_create -s {LV} -n 1M''')
        job = self.guest.start('lvm_copy', '-s', f'lvm:{LV}_snap', '-t', 'file:/srv/backup/a',
                               '--max-rate=1')
        self.wait_until_read(f'{LV}_snap', 8 * MIB)
        self.guest.run(f'dd if=/dev/urandom of={LV} bs=1M count=8 conv=fsync')
        self.assertEqual(self.guest.run('lvm lvs --noheadings -o lv_snapshot_invalid vg0/vm1_snap'
                                        ).strip(), 'snapshot invalid')
        status, text = self.guest.wait(job, 120)
        self.assertEqual(status, 1, text)
        self.assertIn('has overflowed', text)
        self.assertEqual(self.sum_of('/srv/backup/a'), before)
        self.guest.run('lvm_copy --verify /srv/backup/a')

    def wait_until_read(self, path, size):
        number = (int(n, 16) for n in self.guest.run(f'stat -L -c "%t %T" {path}').split())
        stat = '/sys/dev/block/{}:{}/stat'.format(*number)
        xtest.wait_for(lambda: int(self.guest.run(f'cat {stat}').split()[2]) * 512 >= size,
                       'reads', 60, 0.1)

    def test_mirror_as_a_target(self):
        self.guest.run('''lvm lvcreate -q -y -Wn -Zn --type mirror -m 1 --mirrorlog core --nosync \
            --alloc anywhere -L 8m -n vm1_bk vg_backup''')
        self.guest.run(f'lvm_copy -s lvm:{LV} -t lvm:{BACKUP}')
        self.assertEqual(self.sum_of(BACKUP), self.sum_of(LV))

    def test_every_legal_character(self):
        lv, target = f'/dev/vg0/{EVERY_SIGN}', f'/dev/vg_backup/{EVERY_SIGN}'
        self.volume(EVERY_SIGN, 4)
        before = self.sum_of(lv, 4)
        self.guest.run(f'lvm_copy -s lvm:{lv} -t lvm:{target}')
        self.guest.run(f'lvm_copy --verify lvm:{target}')
        self.guest.run(f'lvm_snap_copy -s lvm:{lv} -t lvm:{target} -n full -- -i')
        self.assertEqual(self.sum_of(target, 4), before)
        mapped = f'/dev/mapper/vg0-{EVERY_SIGN.replace("-", "--")}'
        self.guest.run(f'lvm_copy -s lvm:{mapped} -t file:/srv/backup/{EVERY_SIGN}')
        self.assertEqual(self.sum_of(f'/srv/backup/{EVERY_SIGN}', 4), before)
        self.guest.run(f'lvm_copy --restore -s lvm:{target} -t lvm:{mapped}')
        self.assertEqual(self.sum_of(lv, 4), before)


if __name__ == '__main__':
    xtest.main()
