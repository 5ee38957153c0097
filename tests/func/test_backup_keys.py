# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-backup: devices and exports as targets, and what keys and options do that nothing else
tries: retention by days, the time limit, compression, deadlines."""

import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import backup_fixture  # noqa: E402
import faulty  # noqa: E402
import lvm_copy  # noqa: E402
import xtest  # noqa: E402
from wall_clock import SteadyClock, WallClock  # noqa: E402
from wrapper_fixture import WrapperCase  # noqa: E402
from xtest import MIB  # noqa: E402

DAY = 86400


class Case(backup_fixture.Case):
    def setUp(self):
        super().setUp()
        self.source = self.image(4 * MIB, 'src', pattern=1)

    def one(self, general=None, **keys):
        keys = {k.replace('_', '-'): v for k, v in keys.items()}
        self.configure({'a': {'source': f'file:{self.source}', **keys}}, general)

    def same(self, path):
        self.assertEqual(lvm_copy.digest(self.source), lvm_copy.digest(path, 4 * MIB))


class Devices(Case):
    def setUp(self):
        super().setUp()
        self.addCleanup(lvm_copy.forget_manifests, self.dir)

    def disk(self, number, backing=None):
        device = self.loop_device(backing or self.image(5 * MIB, f'back{number}'))
        os.symlink(device, self.path(f'disk.{number}'))
        return device

    @staticmethod
    def written(device):
        """Bytes, so far."""
        fields = xtest.text_of(f'/sys/class/block/{os.path.basename(device)}/stat').split()
        return int(fields[6]) * 512

    def test_turns(self):
        """Two disks take turns; the second round writes only what differs."""
        devices = [self.disk(n) for n in (1, 2)]
        self.one(target=f'dev:{self.dir}/disk.%n', keep_last=1)
        for number in (1, 2, 1):
            with open(self.source, 'r+b') as f:
                f.write(random.Random(number).randbytes(4096))
            before = self.written(devices[number - 1])
            report = self.run_all('-f')['a']
            self.assertEqual(report['target'], f'dev:{self.dir}/disk.{number}')
            self.assertTrue(report['verified'])
            self.same(self.path(f'disk.{number}'))
        self.assertLess(self.written(devices[0]) - before, 2 * MIB)
        self.assertIn('disk.1 is good', self.backup('verify'))
        self.assertEqual(self.verify_all('a'), 2)

    def test_full(self):
        """incremental = false: all of it is written."""
        device = self.disk(1)
        self.one(target=f'dev:{self.dir}/disk.1', in_place=True, incremental=False)
        self.run_all()
        before = self.written(device)
        self.run_all('-f')
        self.assertGreaterEqual(self.written(device) - before, 4 * MIB)

    def test_in_place(self):
        """The only copy counts until something is written over it, and then not until all is."""
        self.disk(1)
        keys = {'target': f'dev:{self.dir}/disk.1', 'in_place': True}
        self.one(**keys)
        self.assertEqual(self.run_all()['a']['kept'], 1)
        os.rename(self.source, self.path('away'))
        self.assertIn('No such file', self.run_all('-f', status=1)['a']['text'])
        self.assertIn('the last attempt failed', self.backup('status', status=1))
        self.backup('verify')
        self.image(4 * MIB, 'src', pattern=2)
        self.one(**keys, max_rate=1)
        run = self.start_run()
        xtest.wait_for(lambda: lvm_copy.digest(self.path('disk.1'), MIB) ==
                       lvm_copy.digest(self.source, MIB), 'the first write')
        self.backup('stop')
        self.assertEqual(run.wait(30), 4)
        self.assertIn('there is no good copy', self.backup('status', status=2))
        self.assertIn('nothing to verify', self.backup('verify', status=1))
        self.one(**keys)
        self.run_all()
        self.same(self.path('disk.1'))
        self.backup('status')

    def test_disk_cannot_be_read(self):
        """By the look at the copy: it is none. One that cannot be opened may be one."""
        disk = faulty.Disk(self, 5 * MIB, cached=False)
        device = self.disk(1, disk.path)
        self.one(target=f'dev:{self.dir}/disk.1', in_place=True)
        self.run_all()
        os.rename(self.path('disk.1'), self.path('away'))
        self.assertIn('No such file', self.backup('verify', status=1))
        self.backup('status')
        os.rename(self.path('away'), self.path('disk.1'))
        self.run_cmd('blockdev', '--flushbufs', device)
        disk.fail('read')
        self.assertIn('Input/output error', self.backup('verify', status=1))
        self.backup('status', status=2)
        disk.heal()

    def test_verification_ended_by_an_agent(self):
        """Nothing is known of the copy then, and the run ends."""
        disk = faulty.Disk(self, 5 * MIB, cached=False)
        device = self.disk(1, disk.path)
        self.one(target=f'dev:{self.dir}/disk.1', in_place=True)
        self.run_all()
        self.run_cmd('blockdev', '--flushbufs', device)
        disk.hold('read')
        verify = self.spawn(self.argv('verify'), env=self.programs())
        disk.wait_held()
        for child in lvm_copy.Case.children(verify.pid):
            os.kill(child, signal.SIGTERM)
        disk.release()
        self.assertEqual(verify.wait(60), 4)
        self.assertIn('a: stopped: the copy was ended by somebody else', verify.stderr())
        self.backup('status')

    def test_refused(self):
        """Where copies are overwritten, what would lose the last one is a fault."""
        for target, keys, why in (
                ('dev:/dev/sdx', {}, 'written in place: %n is needed'),
                ('nbd://h/x', {}, 'written in place: %n is needed'),
                ('dev:/dev/sdx-%t', {}, '%t is for files; %n would be right'),
                ('nbd://h/%t', {}, '%t is for files; %n would be right'),
                ('nbd://h/x?y=%n', {}, "not behind '?'"),
                ('dev:/dev/x%n', {'compress': 'gzip'}, 'only a copy that is a file'),
                ('dev:/dev/x', {'in_place': True, 'keep_last': 2}, 'to keep 2, %n is needed'),
                ('nbd://h/x', {'in_place': True, 'keep_daily': 2}, 'to keep 3, %n is needed'),
                ('file:/x', {'keep_last': 4}, 'to keep 4, %t or %n is needed')):
            with self.subTest(target=target, **keys):
                self.one(target=target, **keys)
                said = self.refused('check')
                self.assertIn(why, said)
                self.assertEqual(len(said.splitlines()), 1, said)
        for target, keys in (('dev:/dev/sdx', {'in_place': True}), ('nbd://h/x%n', {}),
                             ('nbd://h/x', {'in_place': True, 'keep_last': 1}), ('file:/x', {})):
            self.one(target=target, **keys)
            self.backup('check')


class Exports(backup_fixture.BackupMixin, WrapperCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(lvm_copy.forget_manifests, self.dir)

    def test_as_targets(self):
        """Exports take turns."""
        source = self.image(3 * MIB, 'src', pattern=1)
        images = {f'bk.{n}': self.image(4 * MIB, f'{n}.img') for n in (1, 2)}
        w = self.wrap(exports=images)
        self.configure({'a': {'source': f'file:{source}', 'keep-last': 1,
                              'target': f'nbd:nbd+unix:///bk.%n?socket={w.socket}'}})
        for number in (1, 2, 1):
            self.image(3 * MIB, 'src', pattern=number)
            report = self.run_all('-f')['a']
            self.assertEqual((report['result'], report['verified']), ('good', True), report)
            self.assertEqual(lvm_copy.digest(source),
                             lvm_copy.digest(images[f'bk.{number}'], 3 * MIB))
        self.assertIn('is good', self.backup('verify'))
        w.stop()
        self.assertIn('verification: ', self.backup('verify', status=1))
        self.backup('status')  # nobody knows that it is damaged

    def test_snapshot_directory(self):
        """Where the wrapper's snapshot lies while it is copied, and not afterwards."""
        where = self.path('snapshots')
        os.mkdir(where)
        w = self.wrap(exports={'vm': self.image(8 * MIB, 'x.img', pattern=2)})
        self.configure({'a': {'source': 'export:vm', 'target': f'file:{self.dir}/copy',
                              'snapshot-directory': where, 'max-rate': 1}},
                       {'control': w.control})
        run = self.start_run()
        self.begun(run, 'copy.partial')
        self.assertRegex(' '.join(os.listdir(where)), r'^a\.xnbd-backup-\d{8}T\d{6}Z$')
        self.backup('stop')
        self.assertEqual(run.wait(30), 4)
        self.assertEqual(os.listdir(where), [])

    def test_excluded(self):
        w = self.wrap(exports={n: f'/dev/vg-a/{n}' for n in ('vm1', 'vm2', 'test1', 'scratch')})
        self.configure({}, {'control': w.control, 'active-if': 'true', 'exports': True,
                            'exclude': ['test*', 'scratch']}, {'target': 'lvm:/dev/bk/%l.%n'})
        self.assertEqual(sorted(self.run_all('-n')), ['vm1', 'vm2'])

    def test_what_exports_would_become(self):
        """Faults of their targets are told when the file is read, not in the night."""
        for target, why in (('lvm:/dev/bk/%l', 'target: is written in place'),
                            ('lvm:/dev/bk/all.%n', 'is the same; use %v'),
                            ('lvm:/dev/bk/%t', '%n would be right')):
            self.configure({}, {'exports': True}, {'target': target})
            said = self.refused('check')
            self.assertIn('section defaults, for exports: ', said)
            self.assertIn(why, said)
        self.configure({'a': {'source': 'file:/x', 'target': 'lvm:bk/x.%n'},
                        'b': {'source': 'file:/y', 'target': 'lvm:/dev/mapper/bk-x.%n'}})
        self.assertIn('volume "a" has the same', self.refused('check'))


class Days(Case):
    def setUp(self):
        super().setUp()
        self.clock = WallClock(self)
        self.env = self.clock.env

    def test_retention(self):
        """A copy a day for a month, by the clock: days, weeks and months that are to be kept."""
        keep = {'keep_last': 2, 'keep_daily': 3, 'keep_weekly': 2, 'keep_monthly': 2}
        os.truncate(self.source, 4096)
        self.one(target=f'file:{self.dir}/c/%v-%t', **keep)
        os.mkdir(self.path('c'))
        begin = int(time.time())
        for day in range(0, 66, 3):
            self.clock.set(day * DAY)
            self.assertEqual(self.run_all()['a']['result'], 'good')
        times = [c['time'] for c in self.list('a')]
        taken = [begin + day * DAY for day in range(0, 66, 3)]
        self.assertEqual(len(times), len(self.expected(taken)))
        for made, wanted in zip(times, sorted(self.expected(taken))):
            self.assertLess(abs(made - wanted), DAY // 2)
        self.assertEqual(len(os.listdir(self.path('c'))), 2 * len(times))

    @staticmethod
    def expected(taken):
        """Of those moments, as keep.h says it."""
        def newest(name, count):
            last = {}
            for t in taken:
                last[name(time.gmtime(t), t)] = t
            return list(last.values())[-count:]
        return {*taken[-2:], *newest(lambda _, t: t // DAY, 3),
                *newest(lambda _, t: (t // DAY + 3) // 7, 2),
                *newest(lambda d, _: (d.tm_year, d.tm_mon), 2)}

    def test_max_age(self):
        self.one(target=f'file:{self.dir}/%v', every=1, max_age=3)
        self.run_all()
        self.age('a', 2.9)
        self.backup('status')
        self.age('a', 0.2)
        self.assertIn('deadline missed by', self.backup('status', status=2))


class TimeLimit(Case):
    def test_time_limit(self):
        """The copy is ended, the next one not begun, and somebody is told."""
        clock = SteadyClock(self, only='xnbd-backup')
        self.env, told = clock.env, self.path('told')
        self.configure({n: {'source': f'file:{self.image(16 * MIB, n, pattern=1)}',
                            'target': f'file:{self.dir}/%v.copy', 'max-rate': 1} for n in 'ab'},
                       {'time-limit': 5, 'on-failure': f'cat >{told}; echo "$BACKUP_FAILED" >>{told}'})
        run = self.start_run()
        self.begun(run, 'a.copy.partial')
        clock.set(4 * 60)
        self.begun(run, 'a.copy.partial', 2 * MIB // 512)  # it goes on
        clock.set(5 * 60 + 1)
        self.assertEqual(run.wait(30), 4)
        said = xtest.text_of(told)
        self.assertIn('a: stopped: the time limit of the run is over', said)
        self.assertIn('b: stopped: not begun: the time limit', said)
        self.assertTrue(said.endswith('\na b\n'), said)
        self.assertEqual([n for n in os.listdir(self.dir) if '.copy' in n], [])


class Others(Case):
    def test_compress(self):
        for method, tool in (('gzip', 'gzip'), ('zstd', 'zstd')):
            self.require(tool)
            self.one(target=f'file:{self.dir}/%v.{method}', compress=method)
            self.assertTrue(self.run_all()['a']['verified'])
            with open(self.path('plain'), 'wb') as f, open(self.path(f'a.{method}'), 'rb') as c:
                subprocess.run([tool, '-dc'], stdin=c, stdout=f, check=True, timeout=60)
            self.same(self.path('plain'))
            os.unlink(os.path.join(self.state, 'a.json'))

    def test_mount_point(self):
        """A disk that is not there takes no copy, and the memory of its copies stays."""
        disk = self.mount('tmpfs', size=16 * MIB)
        self.one(target=f'file:{disk}/%v-%t', mount_point=disk)
        self.assertEqual(self.run_all()['a']['result'], 'good')
        self.run_cmd('umount', disk)
        report = self.run_all('-f', status=1)['a']
        self.assertEqual(report['result'], 'failed')
        self.assertIn(f'{disk}: nothing is mounted there', report['text'])
        self.assertEqual(os.listdir(disk), [])
        self.assertEqual([c['state'] for c in self.list('a')], ['good'])
        os.rmdir(disk)
        self.assertIn('No such file', self.run_all('-f', status=1)['a']['text'])

    def test_verify_off(self):
        self.one(target=f'file:{self.dir}/%v', verify=False)
        self.assertFalse(self.run_all()['a']['verified'])
        self.assertIn('not verified, 1 copies kept', self.backup('run', '-f'))
        self.backup('status')
        self.backup('verify')
        self.assertTrue(self.list()[0]['verified'])

    def test_quiet(self):
        """Only what is not as it should be."""
        self.one(target=f'file:{self.dir}/%v')
        self.assertEqual(self.backup('-q', 'run') + self.backup('-q', 'run'), '')
        os.unlink(self.source)
        self.assertIn('a: FAILED: ', self.backup('-q', 'run', '-f', status=1))

    def test_list(self):
        self.one(target=f'file:{self.dir}/%v')
        self.run_all()
        self.assertRegex(self.backup('list'), rf'^\d{{8}}T\d{{6}}Z  a  good     file:{self.dir}/a\n$')

    def test_tools_config(self):
        """A fault in it is the volume's, with file and line; lvm_copy itself calls it usage."""
        tools = self.path('tools.conf')
        self.one({'tools-config': tools}, target=f'file:{self.dir}/%v')
        lvm_copy.write(tools, 'MIN_TRANSFER_RATE=0\nENABLE_MD5=7\n')
        self.assertIn(f'{tools}:2: ENABLE_MD5', self.run_all(status=1)['a']['text'])
        lvm_copy.write(tools, 'ENABLE_MD5=1\n')
        self.one({'tools-config': tools}, target=f'file:{self.dir}/%v', verify=False)
        self.assertTrue(self.run_all()['a']['verified'])  # it was read back

    def test_command_lines(self):
        """What makes no sense is refused with a line, and monitoring learns that it is UNKNOWN."""
        self.one(target=f'file:{self.dir}/%v')
        for args, status, why in (
                (('run', '-s', '/x'), 2, '--control has no meaning with run'),
                (('check', 'a'), 2, 'one argument too many'), (('-n', 'list'), 2, '--dry-run'),
                (('plan',), 2, '--config has no meaning with plan'),
                (('run', 'b'), 2, "'b': there is no such volume in"), (('fly',), 2, 'no such command'),
                ((), 2, 'a command is missing'), (('list', 'b'), 2, "'b': there is no such volume"),
                (('status', '-q'), 3, '--quiet'), (('status', 'b'), 3, "'b': there is no such")):
            with self.subTest(args=args):
                self.assertIn(why, self.refused(*args, status=status))
        self.assertIn('no name of a volume group', self.run_cmd(
            xtest.program('xnbd-backup'), 'plan', '-g', 'a/b', status=None).stderr)

    def test_active_if_that_fails(self):
        """Nobody knows whether this node is active: nothing is copied, one line says so."""
        for command, why in (('no-such-command', 'active-if: '),
                             ('sleep 600', 'active-if: did not end within 10 s')):
            self.one({'active-if': command}, target=f'file:{self.dir}/%v')
            said = self.refused('run', status=1)
            self.assertIn(f'error: {why}', said)
            self.assertEqual(said.count('active-if'), 1, said)
        self.assertIn(f'error: {why}', self.refused('status', status=3))
        self.assertFalse(os.path.exists(self.path('a')))

    def test_whole_though_its_run_was_killed(self):
        """It is found by the next run, and counts, whether or not another one is due."""
        self.one(target=f'file:{self.dir}/%v-%t')
        self.run_all()
        records = self.records('a')
        records['copies'][0].update(state='writing', digest='', verified=False)
        self.put_records('a', records)
        self.backup('status', status=2)
        self.assertEqual(self.run_all()['a']['result'], 'skipped')
        self.assertIn('and not verified', self.backup('status', status=1))
        self.backup('verify')
        self.backup('status')

    def test_whole_though_its_end_was_bad(self):
        """A copy whose process is killed behind its last step is not left to nobody."""
        self.one(target=f'file:{self.dir}/c/%v-%t', keep_last=1)
        os.mkdir(self.path('c'))
        os.mkdir(self.path('bin'))
        with open(os.open(self.path('bin/lvm_copy'), os.O_WRONLY | os.O_CREAT, 0o755), 'w') as f:
            f.write(f'#!/bin/sh\n{xtest.program("lvm_copy")} "$@"\nkill -KILL $$\n')
        self.env = {'PATH': f'{self.path("bin")}:{self.programs()["PATH"]}'}
        self.assertIn('signal 9', self.run_all(status=1)['a']['text'])
        self.assertEqual([c['state'] for c in self.list('a')], ['good'])
        self.env = {}
        time.sleep(1.05)
        self.assertEqual(self.run_all('-f')['a']['removed'], 1)
        self.assertEqual(len(os.listdir(self.path('c'))), 2)

    def test_another_kind_of_target(self):
        """Copies where nothing is removed are forgotten, and told once."""
        self.one(target=f'file:{self.dir}/%v-%t', keep_last=1)
        self.run_all()
        records = self.records('a')
        records['copies'][0]['target'] = 'lvm:/dev/vg/old'
        self.put_records('a', records)
        warnings = []
        for _ in range(2):
            time.sleep(1.05)
            warnings.append(self.run_all('-f')['a']['warning'])
        self.assertIn('lvm:/dev/vg/old: is kept no more, and not removed', warnings[0])
        self.assertIsNone(warnings[1])


if __name__ == '__main__':
    xtest.main(at_once=3)
