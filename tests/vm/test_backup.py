# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-backup of logical volumes, in a guest: snapshots, take-overs, overflows, kills."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import xtest  # noqa: E402
from backup_fixture import section  # noqa: E402
from xtest import MIB  # noqa: E402

TOOLS = ('xnbd-backup', 'lvm_snap_remove', 'lvm_snap_copy', 'lvm_copy')
LVM_CONF = b'''devices { use_devicesfile=0 obtain_device_list_from_udev=0
	external_device_info_source="none" filter=["a|^/dev/vda$|", "r|.*|"] }
activation { udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 }
global { event_activation=0 use_lvmpolld=0 }
'''
VG, CONF = 'vg-0', '/tmp/backup.conf'


class Backup(lab.Case):
    GUEST = {'modules': ('dm-snapshot',), 'memory': 384,
             'programs': (*(xtest.program(t) for t in TOOLS), '/usr/sbin/lvm',
                          '/usr/sbin/dmsetup'),
             'files': {'/etc/lvm/lvm.conf': LVM_CONF}}

    @classmethod
    def disks(cls, folder):
        path = os.path.join(folder, 'pv')
        with open(path, 'wb') as f:
            f.truncate(254 * MIB)
        return [path]

    @classmethod
    def prepare(cls):
        cls.guest.run(f'''
            hostname storage1
            mkdir -p /run/lvm /run/lock/lvm
            lvm pvcreate -q /dev/vda && lvm vgcreate -q -s 1m {VG} /dev/vda''')

    def setUp(self):
        super().setUp()
        self.at_end(f'lvm vgchange -q -ay {VG} && lvm lvremove -q -y {VG}; '
                    'rm -rf /tmp/[a-z]* /var/lib/xnbd')
        self.guest.run(f'lvm lvcreate -q -y -Wn -Zn -L 8m -n lv {VG}')
        self.lv = f'/dev/{VG}/lv'
        self.change()

    def change(self, at=0):
        self.guest.run(f'dd if=/dev/urandom of={self.lv} bs=1M count=4 seek={at} conv=fsync')

    def configure(self, *tools, **keys):
        keys = {k.replace('_', '-'): v for k, v in keys.items()}
        text = section('backup', {'state-directory': '/tmp/state',
                                  'tools-config': '/tmp/tools.conf'})
        text += section('volume "a"', {'source': f'lvm:{self.lv}', 'keep-last': 1,
                                       'target': f'lvm:/dev/{VG}/%l_bk.%n', **keys})
        tools = '\n'.join(('MIN_TRANSFER_RATE=0', *tools))
        self.guest.run(f"cat >{CONF} <<'.'\n{text}.\ncat >/tmp/tools.conf <<'.'\n{tools}\n.\n")

    def backup(self, status=0, *args):
        text = self.guest.run(f'xnbd-backup -c {CONF} run -f --json {" ".join(args)}', status)
        return json.loads(text.splitlines()[-1])['volumes'][0]

    def lvs(self):
        """{name: its tags}"""
        text = self.guest.run(f'lvm lvs --reportformat json -o lv_name,lv_tags {VG} 2>/dev/null')
        return {r['lv_name']: r['lv_tags'] for r in json.loads(text)['report'][0]['lv']}

    def sum_of(self, name):
        return self.guest.run(f'md5sum /dev/{VG}/{name}').split()[0]

    def start_slow(self):
        """A megabyte a second, begun: some of it is written."""
        self.configure(max_rate=1, target='file:/tmp/copy.%n')
        job = self.guest.start('xnbd-backup', '-c', CONF, 'run', '-f')
        xtest.wait_for(lambda: int(self.guest.run(
            'stat -c %b /tmp/copy.*.partial 2>/dev/null || echo 0')) > 0, 'begun', 60, 0.2)
        return job

    def test_turns(self):
        """Two volumes take turns, and who uses the source is held for the snapshot only."""
        self.configure(freeze='echo freeze >>/tmp/log', thaw='(echo thaw; dmsetup ls) >>/tmp/log')
        for number, name in enumerate(('lv_bk.1', 'lv_bk.2', 'lv_bk.1')):
            self.change(at=number)
            report = self.backup()
            self.assertEqual((report['result'], report['verified']), ('good', True))
            self.assertEqual(report['target'], f'lvm:/dev/{VG}/{name}')
            self.assertEqual(self.sum_of('lv'), self.sum_of(name))
        self.assertEqual(set(self.lvs()), {'lv', 'lv_bk.1', 'lv_bk.2'})
        log = self.guest.run('cat /tmp/log').split('freeze\n')[1:]
        self.assertEqual(len(log), 3)
        for text in log:  # at that moment the snapshot was there, so the copy was not done
            self.assertEqual(text.split()[0], 'thaw')
            self.assertIn('lv_xnbd--backup', text)

    def test_take_over(self):
        """SIGTERM: the group can be left at once, or after what is left was removed by its tag."""
        self.configure(target='file:/tmp/copy.%n')
        good = self.backup()
        self.guest.run('md5sum /tmp/copy.1 >/tmp/sum')
        job = self.start_slow()
        status, text = self.guest.end(job, 'TERM', 30)
        self.assertEqual(status, 4, text)
        self.assertIn('a: stopped: signal 15', text)
        for name, tags in self.lvs().items():
            if name != 'lv':
                self.assertIn('xnbd.temporary', tags)
        self.guest.run(f'''lvm_snap_remove --leftovers {VG}
            lvm vgchange -q -an {VG}
            md5sum -c /tmp/sum && lvm_copy --verify {good["target"]}''')
        self.assertIn('not active on this node',
                      self.guest.run(f'xnbd-backup -c {CONF} run -f'))
        self.guest.run('mv /tmp/state /tmp/known')  # a node that never was the active one
        self.assertEqual(self.guest.run(f'xnbd-backup -c {CONF} -q run'), '')
        self.assertIn('OK: a: not active', self.guest.run(f'xnbd-backup -c {CONF} status'))
        self.guest.run('rm -rf /tmp/state && mv /tmp/known /tmp/state')
        self.guest.run(f'lvm vgchange -q -ay {VG}')
        self.configure(target='file:/tmp/copy.%n')
        self.assertEqual(self.backup()['result'], 'good')
        self.assertEqual(set(self.lvs()), {'lv'})

    def test_kills(self):
        """kill -9 of all of it: the next run removes the snapshot."""
        for _ in range(2):
            job = self.start_slow()
            self.guest.end(job, 'KILL', 30)
        self.configure(target='file:/tmp/copy.%n')
        self.assertEqual(self.backup()['result'], 'good')
        self.assertEqual(set(self.lvs()), {'lv'})
        self.assertEqual(self.guest.run('ls /tmp/copy*partial* 2>/dev/null', None), '')

    def test_overflow(self):
        """A snapshot that is full: no copy, the last good one as it was, no snapshot left."""
        self.configure()
        self.backup()
        before = self.sum_of('lv_bk.1')
        self.configure('SNAP_EXTEND_AT=0', snapshot_size='1M', max_rate=1)
        job = self.guest.start('xnbd-backup', '-c', CONF, 'run', '-f')
        # LVM shows the volume before it is a snapshot, to clear it.
        xtest.wait_for(lambda: ' snapshot ' in self.guest.run(
            f'dmsetup table {VG.replace("-", "--")}-lv_xnbd--backup 2>/dev/null', None),
            'snapshot', 60, 0.2)
        self.change()
        status, text = self.guest.wait(job)
        self.assertEqual(status, 1, text)
        self.assertRegex(text, 'a: FAILED: .*has overflowed')
        self.assertEqual(self.sum_of('lv_bk.1'), before)
        self.assertEqual(set(self.lvs()) - {'lv_bk.2'}, {'lv', 'lv_bk.1'})
        self.assertIn('last attempt failed',
                      self.guest.run(f'xnbd-backup -c {CONF} status', 1))
        self.guest.run(f'lvm_copy --verify lvm:/dev/{VG}/lv_bk.1')

    def test_no_room(self):
        self.guest.run(f'lvm lvcreate -q -y -Wn -Zn -l 100%FREE -n rest {VG}')
        self.configure(target='file:/tmp/copy')
        self.assertIn('for a snapshot', self.backup(1)['text'])
        self.configure(source=f'lvm:/dev/{VG}/none')
        self.assertIn('no such volume', self.backup(1)['text'])


if __name__ == '__main__':
    xtest.main()
