# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-xen-backup in a dom0 with two domains: one whose disks are a volume of LVM and an export,
and the backup domain. Each step fails in turn, and it is killed; nothing may be left."""

import itertools
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import xen_lab  # noqa: E402
import xtest  # noqa: E402
from xen_lab import LOOK  # noqa: E402
from xtest import MIB  # noqa: E402

VG, LV = 'vg-x', 'disk+1'
VOLUME = f'/dev/{VG}/{LV}'
LVM_CONF = b'''devices { use_devicesfile=0 obtain_device_list_from_udev=0
	external_device_info_source="none" filter=["a|^/dev/vda$|", "r|.*|"] }
activation { udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 }
global { event_activation=0 use_lvmpolld=0 }
'''
OURS = ('lvm_snap_create', 'lvm_snap_remove', 'xnbd-xen-backup')
EXPORT = "an export's, 100%"
STRIDE = 9  # of the steps at which it is killed, one in so many


class Backup(xen_lab.BackupCase):
    GUEST = {**xen_lab.XenCase.GUEST, 'modules': ('dm-mod', 'dm-snapshot'),
             'programs': (*xen_lab.XenCase.GUEST['programs'], *map(xtest.program, OURS),
                          '/usr/sbin/lvm', '/usr/bin/strace', '/usr/bin/cksum', '/usr/bin/env'),
             'files': {'/etc/lvm/lvm.conf': LVM_CONF,
                       **{f'/programs/{name}': f'#!/bin/sh\nexec lvm {name} "$@"\n'.encode()
                          for name in ('lvs', 'vgs')}}}

    @classmethod
    def disks(cls, folder):
        path = os.path.join(folder, 'pv')
        with open(path, 'wb') as f:
            f.truncate(64 * MIB)
        return (path,)

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.guest.run(f'lvm vgcreate -qy -s 1m {VG} /dev/vda; lvm lvcreate -qy -Wn -Zn -L 8m '
                      f'-n {LV} {VG}; xl block-attach u1 phy:{VOLUME},xvda,w')

    def setUp(self):
        super().setUp()
        self.md5 = self.image('/srv/e.img')
        self.wrapper = self.serve(**{EXPORT: '/srv/e.img'})
        self.attach('u1', 'xvdb', f'xnbd:{EXPORT}', 'r')
        self.addCleanup(self.clean_up)

    def clean_up(self):
        if not self.guest.lost:
            for disk in ('xvda', 'xvdb'):
                self.undo(disk, None)
            self.xl('block-detach', 'u1', 'xvdb', status=None)
            self.guest.run('killall -q -KILL sleep', None)

    def snapshots(self):
        volumes = self.guest.run(f'lvs --noheadings -o lv_name {VG} 2>/dev/null').split()
        exports = self.guest.run('xnbd-wrapper-ctl --json snapshots | jq length').strip()
        files = self.guest.run('cd /srv; ls').split()
        return volumes, exports, files

    def assert_undone(self):
        self.assertEqual(self.snapshots(), ([LV], '0', ['e.img']))
        self.assertEqual(self.block_list('b1'), {})
        self.assertEqual(len(self.devices()), 1)
        self.assertEqual(self.journals(), '')

    # Both kinds.

    def test_volume(self):
        """The moment of the snapshot, not what the domain writes since."""
        md5 = self.guest.run(f'head -c 1048576 {VOLUME} | md5sum').split()[0]
        for times, options in ((1, ''), (2, '--size 5m')):
            said = self.backup('xvda', f'{LOOK}; dd if=/dev/urandom of={VOLUME} bs=64k count=1; '
                                       'xl block-list b1; lvs', options=options)
            self.assertEqual(' 5.00m ' in said, bool(options), said)
            self.assertIn('XNBD_BACKUP_DISK=xvdz\n', said)
            self.assertIn('XNBD_BACKUP_DOMAIN=b1\n', said)
            self.assertIn(f'{LV}_backup-', said)
            self.seen('b1', 'gone xvdz', times)
            self.assert_undone()
        self.assertIn(f'disk xvdz 16384 ro {md5}', self.console('b1'))

    def test_export(self):
        said = self.backup(
            '51728', f'{LOOK}; dd if=/dev/urandom of=/srv/e.img conv=notrunc bs=64k count=1; '
                     'xl block-list b1; ls /srv', options='--as xvde')
        self.assertIn('e.img.backup-', said)
        self.assertIn('XNBD_DISK=51728\n', said)
        self.seen('b1', f'disk xvde 8192 ro {self.md5}')
        self.assert_undone()

    # Failures.

    def test_refused(self):
        for words, status, reason in (
                ('-b b1 u1 xvda', 2, 'a command is needed'),
                ('u1 xvda true', 2, '--backup-domain is needed'),
                ('-b b1 u1', 2, 'a domain and its disk'),
                ('--no-such', 2, 'no-such'),
                ('-b b1 -w x u1 xvda true', 2, '--wait x'),
                ('-b b1 --to here u1 xvda true', 2, '--to here'),
                ('-b b1 no-such xvda true', 1, 'no-such: no such domain runs here'),
                ('-b b1 99 xvda true', 1, '99: no such domain runs here'),
                ('-b b1 u1 xvdq true', 1, 'no disk xvdq; it has: xvda xvdb'),
                ('-b no-such u1 xvda true', 1, 'no-such: no such domain runs here'),
                ('-b b1 -n much u1 xvda true', 1, 'no snapshot of'),
                ('-b b1 --to /no-such u1 xvdb true', 1, 'no snapshot of'),
                ('-b b1 -H there u1 xvdb true', 2, '--host does not go with it')):
            with self.subTest(words):
                said = self.guest.run(f'xnbd-xen-backup {words} 2>&1', status)
                self.assertIn(reason, said)
                self.assertIn('xnbd-xen-backup: error: ', said)
                self.assert_undone()

    def test_not_attached(self):
        """Its name is taken there."""
        self.attach('b1', 'xvdm', f'xnbd:{EXPORT}', 'r')
        try:
            said = self.backup('xvda', 'echo it ran', 1, '-a xvdm')
            self.assertIn('is not attached to b1', said)
            self.assertNotIn('it ran', said)
        finally:
            self.xl('block-detach', 'b1', 'xvdm')
        self.assert_undone()

    def test_domain_stands_still(self):
        """The disk does not appear, and is not given back either."""
        self.xl('pause', 'b1')
        try:
            said = self.backup('xvdb', 'echo it ran', 1, '-w 3')
            self.assertIn('does not appear in b1 in 3 seconds', said)
            self.assertNotIn('it ran', said)
            self.assert_undone()
        finally:
            self.xl('unpause', 'b1')
        self.backup('xvda', 'true')
        self.assert_undone()

    def test_disk_is_kept(self):
        """The backup domain has it open when the command ends: kernels of today let go of it."""
        self.image('/srv/e.img', content='HOLD')
        self.xl('block-detach', 'u1', 'xvdb')
        self.attach('u1', 'xvdb', f'xnbd:{EXPORT}', 'r')
        held = self.said('b1', 'holds')
        self.backup('xvdb', f'until [ $(grep -c holds /var/log/xen/console/guest-b1.log) -gt '
                            f'{held} ]; do usleep 300000; done', options='-a xvdh')
        self.assert_undone()

    def test_command_fails(self):
        for command, status in (('exit 7', 7), ('no-such-command-here', 127), ('kill -9 $$', 137)):
            said = self.backup('xvda', command, 1)
            self.assertIn(f'exit status {status}', said)
            self.assert_undone()

    def test_signals(self):
        """What the command has started ends, too."""
        for signal, status in (('TERM', 143), ('HUP', 129), ('INT', 130)):
            # A background job of a shell would ignore SIGINT.
            job = self.guest.start('/programs/env', '--default-signal=INT', 'xnbd-xen-backup', '-b',
                                   'b1', 'u1', 'xvda', 'sh', '-c',
                                   'touch /tmp/running; sleep 1001; true')
            self.guest.run('until [ -e /tmp/running ]; do usleep 300000; done; rm /tmp/running')
            said = self.guest.run('xnbd-xen-backup -b b1 u1 xvda true 2>&1', 1)
            self.assertIn('another backup is under way', said)
            self.assertEqual(self.guest.end(job, signal, xen_lab.SECONDS)[0], status)
            self.assertEqual(self.guest.run('ps | grep "[s]leep 1001"', None), '')
            self.assert_undone()

    def test_killed(self):
        """At any step, with either shell; the next run, or --undo, undoes what is left."""
        for first, shell in enumerate(xen_lab.SHELLS, 1):
            for n in itertools.count():
                step, disk = first * STRIDE // 2 + n * STRIDE, ('xvda', 'xvdb')[n % 2]
                if not self.killed_at(step, f'{shell} /programs/xnbd-xen-backup -w 20 -b b1 u1 '
                                            f'{disk} true'):
                    break
                if n % 3:
                    self.undo(disk)
                else:
                    self.backup(disk, 'true')
                self.assert_undone()
            self.assertGreater(n, 2, 'steps are not found')
            self.assert_undone()

    def test_killed_in_the_middle(self):
        """While its command runs, which goes on. What cannot be undone yet is undone later."""
        self.guest.end(self.start_backup('xvdb'), 'KILL')
        self.assertEqual(len(self.block_list('b1')), 1)
        self.guest.run('killall -STOP xnbd-wrapper')
        try:
            said = self.undo('xvdb', 3)
        finally:
            self.guest.run('killall -CONT xnbd-wrapper')
        self.assertIn('stays: no answer in 40 seconds', said)
        self.assertIn('not all is undone', said)
        self.assertEqual(self.block_list('b1'), {})
        said = self.backup('xvdb', 'true')
        self.assertIn('what it left is undone first', said)
        self.assert_undone()

    def test_export_is_gone(self):
        """What a run has left that was killed, of an export that there is no more."""
        self.guest.end(self.start_backup('xvdb'), 'KILL')
        self.guest.end(self.wrapper)
        self.serve(other='/srv/e.img')
        self.undo('xvdb')
        self.xl('block-detach', 'u1', 'xvdb')
        self.attach('u1', 'xvdb', 'xnbd:other', 'r')
        self.assert_undone()

    def test_killed_and_its_number_is_reused(self):
        """A program that it has started has the lock; the next run waits for that, and does not
        take the process that has the number now for another backup."""
        self.guest.run('killall -STOP xnbd-wrapper')
        try:
            job = self.guest.start('xnbd-xen-backup', '-b', 'b1', 'u1', 'xvdb', 'true')
            self.guest.run('until pidof xnbd-wrapper-ctl; do usleep 100000; done')
            pid = self.guest.run(f'cat {job}.pid').strip()
            self.guest.end(job, 'KILL')
            self.guest.run(f'until [ -e /proc/{pid} ]; do '
                           f'echo {int(pid) - 1} >/proc/sys/kernel/ns_last_pid; '
                           'sleep 1003 >/dev/null 2>&1 & done')
            job = self.guest.start('xnbd-xen-backup', '--undo', 'u1', 'xvdb')
            self.guest.run(f'until [ -e {job}.status ] || ps | grep -q "[s]leep 1$"; do '
                           'usleep 100000; done')
        finally:
            self.guest.run('killall -CONT xnbd-wrapper')
        self.assertEqual(self.guest.wait(job, xen_lab.SECONDS), (0, ''))
        self.assert_undone()


if __name__ == '__main__':
    xtest.main()
