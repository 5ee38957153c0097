# SPDX-License-Identifier: GPL-2.0-or-later
"""block-xnbd in a dom0, called by xl for a domain, and by hand as xl would call it, with the real
xenstore: disks that come and go, and that no device is left behind whatever happens."""

import itertools
import os
import shlex
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import xen_lab  # noqa: E402
import xtest  # noqa: E402
from xen_lab import PORT, SECTOR, WRITTEN  # noqa: E402

SCRIPT = '/etc/xen/scripts/block-xnbd'
NOBODY = 'backend/vbd/99/51712'  # a disk of a domain that there is not
OTHER = 'backend/vbd/98/51712'
SOCKET = '/run/nbd.sock'
TCP = f'nbd://127.0.0.1:{PORT}'
SILENT = 8600  # a port where somebody listens who never says a word
SETTINGS = '/etc/default/block-xnbd'
STRIDE = 3  # of the steps at which it is killed, one in so many
DEVICES = 16

WRONG_SETTINGS = {  # what is in the file: a part of the reason
    'CONNECTIONS=many': 'CONNECTIONS=many: wanted is a number from 1 to 16',
    'CONNECTIONS=0': 'CONNECTIONS=0: wanted is a number from 1 to 16',
    'CONNECTIONS=17': 'CONNECTIONS=17: wanted is a number from 1 to 16',
    'SECONDS_TO_CONNECT=21': 'SECONDS_TO_CONNECT=21: wanted is a number from 1 to 20',
    'CONTROL=': 'CONTROL=: wanted is a path that begins with /',
    'CONTROL=$NO_SUCH': 'NO_SUCH: parameter not set',
    'CONTROL="': 'Syntax error: Unterminated quoted string',
    'CONTROL=/run/no-such': 'the wrapper of this host does not answer',
}

WRONG = {  # target: a part of the reason
    f'{TCP}/no-such': 'no such export',
    'xnbd:no-such': 'no such export',
    'nbd://127.0.0.1:9/disk': 'refused',
    'nbd://no-such-host.invalid/disk': 'no-such-host.invalid',
    f'{TCP}/100%': 'a % is followed by',
    f'{TCP}/a%0ab': 'a % is followed by',
    'nbd:///disk': 'there is no host',
    'nbd://-x/disk': 'there is no host',
    'nbd://127.0.0.1:0x20/disk': 'its port is no number',
    'nbd://127.0.0.1:65536/disk': 'its port is none of',
    'nbds://127.0.0.1/disk': 'TLS is not supported',
    'nbd+unix:///disk': 'there is no socket=/PATH',
    'nbd+unix:///disk?socket=/run/no-such': 'CONNECT failed',
    '/dev/null': 'no such kind of target',
    f'{TCP}/readonly': 'it is read-only',
}


class Attach(xen_lab.XenCase):
    DOMAINS = ('u1',)
    GUEST = {**xen_lab.XenCase.GUEST,
             'programs': (*xen_lab.XenCase.GUEST['programs'], '/usr/bin/strace')}

    def setUp(self):
        super().setUp()
        self.md5 = self.image('/srv/disk')
        self.wrapper = self.serve(f'--laddr 127.0.0.1 --lport {PORT} --lsocket {SOCKET}',
                                  **{'disk': '/srv/disk', 'a disk, 100%': '/srv/disk',
                                     'readonly': '/srv/disk" readonly = "true'})
        self.addCleanup(self.clean_up)

    def clean_up(self):
        if not self.guest.lost:
            for number in self.block_list('u1'):
                self.xl('block-detach', 'u1', str(number), status=None)
            self.guest.run(f'rm -f {SETTINGS}; for p in {NOBODY} {OTHER}; do '
                           f'XENBUS_PATH=$p {SCRIPT} remove; xenstore-rm $p; done', None)

    def by_hand(self, action, status=0, path=NOBODY, before=''):
        return self.guest.run(f'{before} env XENBUS_PATH={path} {SCRIPT} {action}', status)

    def describe(self, target, mode='w', path=NOBODY):
        """What xl writes for a new disk."""
        keys = {'params': target, 'mode': mode, 'frontend-id': path.split('/')[2]}
        self.guest.run(f'xenstore-rm {path} 2>/dev/null; xenstore-write ' + ' '.join(
            f'{path}/{key} {shlex.quote(value)}' for key, value in keys.items()))

    def key(self, name, path=NOBODY):
        return self.guest.run(f'xenstore-read {path}/{name} 2>/dev/null', None).strip()

    def settings(self, text):
        self.guest.run(f'mkdir -p /etc/default; echo {shlex.quote(text)} >{SETTINGS}')

    def clients(self, control='/run/xnbd/wrapper.ctl'):
        """How many connections there are to the exports."""
        return int(self.guest.run(f'xnbd-wrapper-ctl --socket {control} --json list | '
                                  "jq '[.[].clients | length] | add'"))

    def assert_nothing_left(self):
        self.assertEqual(self.devices(), [])
        self.assertEqual(self.guest.run('cat /run/xnbd-xen/nbd* 2>/dev/null', None), '')

    # By xl.

    def test_twenty_times(self):
        """The domain reads what is in the image, and what it writes is in it afterwards."""
        targets = (f'{TCP}/disk', 'xnbd:disk', f'nbd+unix:///disk?socket={SOCKET}',
                   f'nbd://localhost:{PORT}/a%20disk%2c%20100%25', 'xnbd:a disk, 100%')
        for i in range(20):
            mode = 'r' if i % 4 == 3 else 'w'
            writes = self.said('u1', 'wrote xvdb')
            self.attach('u1', 'xvdb', targets[i % len(targets)], mode)
            self.assertEqual(len(self.devices()), 1)
            self.seen('u1', 'disk xvdb 8192', i + 1)
            if mode == 'w':
                self.seen('u1', 'wrote xvdb', writes + 1)
            self.assertEqual(list(self.block_list('u1').values()), [4])
            self.xl('block-detach', 'u1', 'xvdb')
            self.seen('u1', 'gone xvdb', i + 1)
            self.assertEqual(self.block_list('u1'), {})
            self.assert_nothing_left()
        lines = [s for s in self.console('u1').splitlines() if 'disk xvdb' in s]
        self.assertIn(f'rw {self.md5}', lines[0])
        self.assertIn(f'ro {self.image_md5()}', lines[-1])
        self.assertIn(WRITTEN, self.guest.run(f'dd if=/srv/disk bs={SECTOR} skip=1 count=1'))

    def image_md5(self):
        return self.guest.run('head -c 1048576 /srv/disk | md5sum').split()[0]

    def test_refused(self):
        """The reason is where xl finds it. What xl leaves of the disk goes as any other."""
        for target in (f'{TCP}/no-such', 'nbd://127.0.0.1:9/disk'):
            said = self.attach('u1', 'xvdc', target, status=1)
            self.assertIn(f'script: {target}: ', said)
            self.assertIn(WRONG[target], said)
            self.assert_nothing_left()
            self.xl('block-detach', 'u1', 'xvdc')
        self.assertEqual(self.block_list('u1'), {})
        self.attach('u1', 'xvdc', f'{TCP}/disk')
        self.xl('block-detach', 'u1', 'xvdc')

    def test_server_dies(self):
        """Or stands still, under a domain that has the disk: it is detached all the same."""
        for signal in ('STOP', 'KILL'):
            times = self.said('u1', 'wrote xvdd')
            self.attach('u1', 'xvdd', f'{TCP}/disk')
            self.seen('u1', 'wrote xvdd', times + 1)
            self.guest.run(f'killall -{signal} xnbd-wrapper xnbd-server')
            try:
                self.xl('block-detach', 'u1', 'xvdd')
            finally:
                self.guest.run('killall -CONT xnbd-wrapper xnbd-server', None)
            self.assertEqual(self.block_list('u1'), {})
            self.assert_nothing_left()

    def test_connections(self):
        """As many as the settings say."""
        self.settings('CONNECTIONS=4')
        for target in (f'{TCP}/disk', f'nbd+unix:///disk?socket={SOCKET}'):
            times = self.said('u1', 'wrote xvdf')
            self.attach('u1', 'xvdf', target)
            self.seen('u1', 'wrote xvdf', times + 1)
            self.assertEqual(self.clients(), 4)
            self.xl('block-detach', 'u1', 'xvdf')
            self.assert_nothing_left()
            xtest.wait_for(lambda: self.clients() == 0, 'they are closed', 60, 0.5)

    def test_control(self):
        """Another wrapper on this host, which listens at any address."""
        for address in ('0.0.0.0', '::'):
            job = self.serve(f'--laddr {address} --lport {PORT + 1}', run='/run/other',
                             other='/srv/disk')
            self.settings('CONTROL=/run/other/wrapper.ctl')
            times = self.said('u1', 'disk xvdg')
            self.attach('u1', 'xvdg', 'xnbd:other', 'r')
            self.seen('u1', 'disk xvdg', times + 1)
            self.assertEqual((self.clients('/run/other/wrapper.ctl'), self.clients()), (1, 0))
            self.xl('block-detach', 'u1', 'xvdg')
            self.assert_nothing_left()
            self.guest.end(job)

    def test_with_the_domain(self):
        """In its configuration; and gone when it is destroyed."""
        self.create('u2', f'format=raw,vdev=xvda,access=rw,script=block-xnbd,target={TCP}/disk')
        self.seen('u2', f'disk xvda 8192 rw {self.md5}')
        self.attach('u2', 'xvdb', 'xnbd:readonly', 'r')
        self.assertEqual(len(self.devices()), 2)
        self.xl('destroy', 'u2')
        xtest.wait_for(lambda: not self.devices(), 'devices are free', 60, 0.5)
        self.assert_nothing_left()

    def test_saved_and_restored(self):
        """The domain that comes back has its disk, which nobody had meanwhile."""
        self.create('u3', f'format=raw,vdev=xvda,access=rw,script=block-xnbd,target={TCP}/disk')
        self.seen('u3', 'wrote xvda')
        self.xl('save', 'u3', '/run/u3.save')
        self.assert_nothing_left()
        self.xl('restore', '/run/u3.save')
        self.guest.run('rm /run/u3.save')
        self.assertEqual((list(self.block_list('u3').values()), len(self.devices())), ([4], 1))
        self.xl('block-detach', 'u3', 'xvda')
        self.seen('u3', 'gone xvda')
        self.xl('destroy', 'u3')
        self.assert_nothing_left()

    # By hand.

    def test_wrong(self):
        for target, reason in WRONG.items():
            with self.subTest(target):
                self.describe(target)
                self.by_hand('add', 1)
                self.assertEqual(self.key('hotplug-status'), 'error')
                self.assertIn(reason, self.key('hotplug-error'))
                self.assertEqual(self.key('node'), '')
                self.assert_nothing_left()
                self.by_hand('remove')
        for text, reason in WRONG_SETTINGS.items():
            with self.subTest(text):
                self.settings(text)
                self.describe('xnbd:disk')
                self.by_hand('add', 1)
                self.assertIn(reason, self.key('hotplug-error'))
                self.assertEqual(self.key('hotplug-error').count('\n'), 0)
                self.assert_nothing_left()
                self.by_hand('remove')
        self.by_hand('no-such-action', 1)
        self.by_hand('add', 2, path='""')

    def test_online_offline(self):
        self.describe(f'{TCP}/readonly', 'r')
        self.by_hand('online')
        self.assertEqual((self.key('hotplug-status'), self.key('node')), ('connected', '/dev/nbd0'))
        self.assertEqual(self.key('physical-device'), '2b:0')
        self.by_hand('offline')
        self.by_hand('offline')
        self.assert_nothing_left()

    def test_silent_server(self):
        """One that accepts and says nothing, and a wrapper that stands still."""
        self.settings('SECONDS_TO_CONNECT=2')
        self.guest.start('nc', '-ll', '-p', str(SILENT), '-e', 'sleep', '1000')
        self.at_end('killall nc sleep', None)
        self.describe(f'nbd://127.0.0.1:{SILENT}/disk')
        self.by_hand('add', 1)
        self.assertIn('no answer in 2 seconds', self.key('hotplug-error'))
        self.assert_nothing_left()
        self.guest.run('killall -STOP xnbd-wrapper')
        try:
            self.describe(f'{TCP}/disk')
            self.by_hand('add', 1)
        finally:
            self.guest.run('killall -CONT xnbd-wrapper')
        self.assertIn('no answer in 2 seconds', self.key('hotplug-error'))
        self.assert_nothing_left()

    def test_sharing(self):
        """Two domains that write to a disk would destroy it."""
        self.describe(f'{TCP}/disk')
        self.by_hand('add')
        self.attach('u1', 'xvde', f'{TCP}/disk', 'r', status=1)
        self.xl('block-detach', 'u1', 'xvde')
        self.attach('u1', 'xvde', f'shared:{TCP}/disk', 'r')
        self.describe(f'{TCP}/readonly', 'r', OTHER)
        self.by_hand('add', path=OTHER)
        self.xl('block-detach', 'u1', 'xvde')
        self.assertEqual(len(self.devices()), 2)

    def test_sharing_at_once(self):
        """While one is being attached, and though nobody knows which machines the domains are."""
        self.guest.run('killall -STOP xnbd-wrapper')
        try:
            self.describe(f'{TCP}/disk')
            job = self.guest.start('env', f'XENBUS_PATH={NOBODY}', SCRIPT, 'add')
            xtest.wait_for(self.connects, 'nbd-client', 60, 0.2)
            self.describe(f'{TCP}/disk', 'r', OTHER)
            self.by_hand('add', 1, OTHER)
        finally:
            self.guest.run('killall -CONT xnbd-wrapper')
        self.assertRegex(self.key('hotplug-error', OTHER), 'domain 99 has it, .* allows that.$')
        self.assertEqual(self.guest.wait(job)[0], 0)
        self.by_hand('add', 1, OTHER)
        self.assertEqual(self.devices(), [0])

    def test_devices_of_others(self):
        """They are never released; and if all are in use, the reason says so."""
        self.guest.run(f'for i in $(seq 0 {DEVICES - 1}); do '
                       f'nbd-client -N disk -u {SOCKET} /dev/nbd$i || exit; done')
        self.at_end(f'for i in $(seq 0 {DEVICES - 1}); do nbd-client -d /dev/nbd$i; done', None)
        self.describe(f'{TCP}/disk')
        self.by_hand('add', 1)
        self.assertIn('are in use', self.key('hotplug-error'))
        self.assertEqual(len(self.devices()), DEVICES)
        self.guest.run('nbd-client -d /dev/nbd5')
        xtest.wait_for(lambda: 5 not in self.devices(), 'one is free', 60, 0.2)
        self.by_hand('add')
        self.assertEqual(self.key('node'), '/dev/nbd5')
        # An administrator has taken it away, and for something else.
        self.guest.run(f'nbd-client -d /dev/nbd5; until nbd-client -N disk -u {SOCKET} /dev/nbd5; '
                       'do usleep 200000; done')
        self.by_hand('remove')
        self.assertIn(5, self.devices())

    def test_killed(self):
        """At any step, by either shell: the next call, for another disk, releases what is left."""
        self.describe('xnbd:no-such', path=OTHER)
        for first, shell in enumerate(xen_lab.SHELLS, 1):
            for action, prepare in (('add', 'remove'), ('remove', 'add')):
                for step in itertools.count(first, STRIDE):
                    self.describe(f'{TCP}/disk')
                    self.by_hand(prepare)
                    was_killed = self.killed_at(
                        step, f'env XENBUS_PATH={NOBODY} {shell} {SCRIPT} {action}')
                    if self.key('node') and action == 'add':
                        self.by_hand('remove')  # it was done
                    self.guest.run(f'xenstore-rm {NOBODY}')  # as xl does in the end
                    xtest.wait_for(self.leaves_nothing, f'{action} {step}', 60, 0.5)
                    if not was_killed:
                        break
                self.assertGreater(step, 2 * STRIDE)

    def test_killed_while_it_connects(self):
        """Its nbd-client is not killed with it, and takes the device if it does not end by writing
        to a pipe that nobody reads. No call disturbs it before; the next one after it releases."""
        self.describe('xnbd:no-such', path=OTHER)
        for is_read in (False, True):
            self.describe(f'{TCP}/disk')
            self.guest.run('killall -STOP xnbd-wrapper')
            try:
                self.kill_while_it_connects("trap '' PIPE; " if is_read else '')
                self.by_hand('remove', path=OTHER)
                self.assertTrue(self.connects())
            finally:
                self.guest.run('killall -CONT xnbd-wrapper')
            xtest.wait_for(lambda: not self.connects(), 'nbd-client ends', 60, 0.2)
            if is_read:
                self.assertEqual(self.devices(), [0])
            self.guest.run(f'xenstore-rm {NOBODY}')
            self.by_hand('remove', path=OTHER)
            self.assert_nothing_left()

    def kill_while_it_connects(self, before):
        job = self.guest.start('sh', '-c', f'{before}XENBUS_PATH={NOBODY} exec {SCRIPT} add')
        xtest.wait_for(self.connects, 'nbd-client', 60, 0.2)
        self.assertEqual(self.guest.end(job, 'KILL')[0], 137)

    def connects(self):
        return self.guest.run('pidof nbd-client', None) != ''

    def leaves_nothing(self):
        """nbd-client may live a moment longer than the script."""
        self.by_hand('remove', path=OTHER)
        return self.devices() == []


if __name__ == '__main__':
    xtest.main()
