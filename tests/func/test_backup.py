# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-backup on files and exports: what is due, where it goes, what is kept, what is told."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import backup_fixture  # noqa: E402
import xtest  # noqa: E402
from backup_fixture import HOUR  # noqa: E402
from wrapper_fixture import WrapperCase  # noqa: E402
from xtest import MIB  # noqa: E402


class Copies(backup_fixture.Case):
    def setUp(self):
        super().setUp()
        self.source = self.image(2 * MIB, 'src', pattern=1)

    def one(self, **keys):
        self.configure({'a': {'source': f'file:{self.source}', **keys}})

    def same(self, target):
        with open(self.source, 'rb') as a, open(target.removeprefix('file:'), 'rb') as b:
            self.assertEqual(a.read(), b.read())

    def test_turns(self):
        """Two places, and the newest good copy is never the one that is written to."""
        self.one(target=f'file:{self.dir}/%v-%l.%n', **{'keep-last': 1})
        targets = [self.run_all('-f')['a']['target'] for _ in range(4)]
        first, second = (f'file:{self.dir}/a-src.{n}' for n in (1, 2))
        self.assertEqual(targets, [first, second, first, second])
        self.assertEqual(self.verify_all('a'), 2)
        self.same(second)

    def test_times(self):
        """A file each; those that are not kept are removed, and nothing else is."""
        self.one(target=f'file:{self.dir}/copies/%v-%t', **{'keep-last': 2})
        os.mkdir(self.path('copies'))
        stranger = self.image(5, 'copies/a-20200101T000000Z', pattern=1)
        for n in range(4):
            report = self.run_all('-f')['a']
            self.assertEqual((report['kept'], report['removed']), (min(n + 1, 2), int(n > 1)))
            self.age('a', 1 / backup_fixture.HOUR)  # so that the next one has another name
            time.sleep(1.05)
        self.assertTrue(os.path.exists(stranger))
        self.assertEqual(len(os.listdir(self.path('copies'))), 5)
        self.assertEqual(self.verify_all('a'), 2)

    def test_only_what_was_written_is_removed(self):
        self.one(target=f'file:{self.dir}/%v-%t', **{'keep-last': 1})
        target = self.run_all('-f')['a']['target'].removeprefix('file:')
        with open(target, 'wb') as f, open(target + '.manifest', 'wb') as m:
            f.write(b'mine now')
            m.write(b'mine, too')
        time.sleep(1.05)
        report = self.run_all('-f')['a']
        self.assertEqual((report['result'], report['removed']), ('good', 0))
        self.assertIn('not the copy that was written', report['warning'])
        self.assertEqual(xtest.text_of(target), 'mine now')

    def test_due(self):
        self.one(target=f'file:{self.dir}/%v.%n', every=10)
        self.assertEqual(self.run_all()['a']['result'], 'good')
        for hours, result in ((0, 'skipped'), (8, 'skipped'), (1.5, 'good')):
            self.age('a', hours)
            self.assertEqual(self.run_all()['a']['result'], result)
        self.assertEqual(self.run_all('a')['a']['result'], 'good')  # asked for by its name

    def test_deadline(self):
        self.one(target=f'file:{self.dir}/%v.%n', every=10)
        self.assertIn('CRITICAL', self.backup('status', status=2))
        self.run_all()
        self.assertIn('BACKUP OK: 1 volumes', self.backup('status'))
        self.age('a', 19)
        self.backup('status')
        os.rename(self.source, self.path('gone'))
        self.run_all(status=1)
        self.assertIn('the last attempt failed', self.backup('status', status=1))
        self.age('a', 4)
        self.assertIn('deadline missed by 3 h', self.backup('status', status=2))
        self.assertIn('deadline MISSED by 3 h', self.backup('run', status=1))
        self.backup('status', 'none', status=3)

    def test_foreign_places(self):
        """What is there already is not overwritten, unless it is a copy of the same source."""
        self.one(target=f'file:{self.dir}/%v')
        stranger = self.image(5, 'a', pattern=1)
        report = self.run_all(status=1)['a']
        self.assertIn('is there already', report['text'])
        self.assertEqual(os.path.getsize(stranger), 5)
        os.unlink(stranger)
        self.run_all()
        os.unlink(os.path.join(self.state, 'a.json'))
        self.assertEqual(self.run_all()['a']['result'], 'good')

    def test_damage_is_found(self):
        self.one(target=f'file:{self.dir}/%v.%n')
        target = self.run_all()['a']['target'].removeprefix('file:')
        self.assertIn('is good', self.backup('verify'))
        with open(target, 'r+b') as f:
            f.seek(MIB)
            f.write(b'rotten')
        self.assertIn('damaged', self.backup('verify', status=1))
        self.backup('status', status=2)
        self.assertEqual(self.run_all()['a']['target'], f'file:{target}')  # it goes first

    def test_gone_copies_do_not_count(self):
        self.one(target=f'file:{self.dir}/%v-%t', **{'keep-last': 2})
        paths = []
        for _ in range(3):
            report = self.run_all('-f')['a']
            paths.append(report['target'].removeprefix('file:'))
            time.sleep(1.05)
            if len(paths) == 2:
                os.unlink(paths[1])
        self.assertEqual((report['kept'], report['removed']), (2, 0))
        self.assertIn('is gone', report['warning'])
        self.assertTrue(os.path.exists(paths[0]))

    def test_configuration(self):
        """All faults at once, each with its line."""
        good = f'file:{self.source}'
        self.configure({
            'a': {'source': good, 'target': 'lvm:/dev/vg/x'},
            'b': {'source': good, 'target': 'lvm:/dev/vg/x-%t'},
            'c': {'source': good, 'target': 'file:far:/x-%t'},
            'd': {'source': good, 'target': 'file:/%n/x'},
            'e': {'source': 'file:far:/x', 'target': 'file:/x'},
            'f': {'source': good, 'target': 'file:/x', 'freeze': 'true'},
            'g': {'source': good, 'target': 'lvm:/dev/vg/x.%n', 'compress': 'zstd'},
            'h': {'source': good, 'target': 'file:/x', 'keep-daily': 1},
            'i': {'source': good},
            'j': {'source': good, 'target': 'file:/x%q'}})
        p = self.run_cmd(*self.argv('check'), status=None)
        self.assertEqual(p.returncode, 2)
        for why in ('written in place', '%t is for files', 'of this host', 'last part of the path',
                    'must be on this host', 'freeze and thaw', 'can be compressed', 'one copy only',
                    'target is missing', '%q'):
            self.assertIn(why, p.stderr)
        self.assertEqual(len(p.stderr.splitlines()), 10)
        self.configure({n: {'source': good, 'target': 'file:/x'} for n in 'ab'})
        self.assertIn('has the same', self.run_cmd(*self.argv('check'), status=None).stderr)
        self.assertEqual(self.run_cmd(*self.argv('status'), status=None).returncode, 3)

    def test_dry_run(self):
        self.one(target=f'file:{self.dir}/%v.%n')
        self.assertEqual(self.run_all('-n')['a']['result'], 'planned')
        self.assertFalse(os.path.exists(self.state))

    def test_damaged_records(self):
        self.one(target=f'file:{self.dir}/%v.%n')
        self.run_all()
        path = os.path.join(self.state, 'a.json')
        for text in ('', '{', '{"version": 2}', '[]', xtest.text_of(path).replace('"good"', '1')):
            with open(path, 'w') as f:
                f.write(text)
            self.assertIn('a.json', self.run_all('-f', status=1)['a']['text'])
            self.backup('status', status=3)


class Nodes(backup_fixture.Case):
    """Who is told, and on which node anything is done."""

    def setUp(self):
        super().setUp()
        self.active = self.image(0, 'active')
        self.configure({'a': {'source': f'file:{self.dir}/none', 'target': f'file:{self.dir}/%v'},
                        'b': {'source': f'file:{self.image(MIB, "src")}',
                              'target': f'file:{self.dir}/%v'}},
                       {'active-if': f'test -e {self.active}', 'mail-to': 'root@example.com',
                        'sendmail': self.script('mail', 'cat >"$0.out"; echo "$@" >>"$0.out"'),
                        'on-failure': f'{self.script("hook", "cat >/dev/null; exit 5")}; '
                                      f'echo "$BACKUP_FAILED" >{self.dir}/failed'})

    def script(self, name, text):
        path = self.path(name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o755), 'w') as f:
            f.write(f'#!/bin/sh\n{text}\n')
        return path

    def test_passive(self):
        os.unlink(self.active)
        self.assertIn('not the active node', self.backup('run'))
        self.assertIn('not the active node', self.backup('status'))
        self.assertFalse(os.path.exists(self.path('b')))
        self.assertFalse(os.path.exists(self.state), 'the other node may have the lock')

    def test_mail_and_hook(self):
        reports = self.run_all(status=1)
        self.assertEqual((reports['a']['result'], reports['b']['result']), ('failed', 'good'))
        mail = xtest.text_of(self.path('mail.out'))
        self.assertIn('To: root@example.com\nSubject: xnbd-backup on ', mail)
        self.assertIn('FAILED a\n', mail)
        self.assertIn('a: FAILED: lvm_copy: ', mail)
        self.assertIn('b: good', mail)
        self.assertTrue(mail.endswith('-t\n'))
        self.assertEqual(xtest.text_of(self.path('failed')), 'a\n')


class Exports(backup_fixture.BackupMixin, WrapperCase):
    def test_plan(self):
        """Volumes become sections; what is none is told. Devices need not be there."""
        w = self.wrap(exports={'file': self.image(MIB, 'x.img'), 'vm one': '/dev/vg-a/l.v',
                               'vm_one': '/dev/mapper/vg--a-root', 'same': '/dev/vg-a/l.v'})
        text = self.run_cmd(xtest.program('xnbd-backup'), 'plan', '-s', w.control, '-g', 'bk')
        self.assertIn('# export file: its image', text)
        self.assertIn('is that of another one', text)
        self.assertIn('volume "vm_one" {\n\tsource = "lvm:/dev/vg-a/l.v"\n'
                      '\ttarget = "lvm:/dev/bk/l.v_bk.%n"\n}', text)
        self.assertIn('source = "lvm:/dev/vg-a/root"', text)
        self.config = self.path('plan.conf')
        with open(self.config, 'w') as f:
            f.write(text)
        self.assertIn('2 volumes, no faults', self.backup('check'))

    def test_exports_of_the_moment(self):
        w = self.wrap(exports={'one': '/dev/vg-a/one', 'two': '/dev/vg-a/two', 'file': self.image(
            MIB, 'x.img'), 'no1': '/dev/vg-a/no'})
        self.configure({'mine': {'source': 'lvm:/dev/vg-a/two', 'target': f'file:{self.dir}/%v'}},
                       {'control': w.control, 'active-if': 'true', 'exports': True},
                       {'target': f'lvm:/dev/bk/%l_bk.%n', 'keep-last': 1})
        found = {n: r['target'] for n, r in self.run_all('-n').items()}
        self.assertEqual(found, {'mine': f'file:{self.dir}/mine', 'one': 'lvm:/dev/bk/one_bk.1',
                                 'no1': 'lvm:/dev/bk/no_bk.1'})
        w.stop()
        p = self.run_cmd(*self.argv('run', '-n'), status=None)
        self.assertEqual(p.returncode, 1)
        self.assertIn('exports: ', p.stderr)

    def test_snapshot_of_an_export(self):
        """By the wrapper: frozen for the moment of it, and nothing is left."""
        image = self.image(4 * MIB, 'x.img', pattern=2)
        w = self.wrap(exports={'vm 1': image})
        log = self.path('log')
        self.configure({'a': {'source': 'export:vm 1', 'target': f'file:{self.dir}/copy',
                              'freeze': f'echo freeze >>{log}', 'thaw': f'echo thaw >>{log}'},
                        'b': {'source': 'export:none', 'target': f'file:{self.dir}/no'}},
                       {'control': w.control})
        reports = self.run_all(status=1)
        self.assertEqual(reports['a']['result'], 'good', reports['a'])
        self.assertIn('no such export', reports['b']['text'])
        self.assert_same(image, self.path('copy'))
        self.assertEqual(xtest.text_of(log), 'freeze\nthaw\n')
        self.assertEqual(json.loads(w.ctl('--snapshots', '--json')), [])
        self.assertEqual([n for n in os.listdir(self.dir) if 'xnbd-backup' in n and 'log' not in n],
                         [])
        self.assertIsNone(self.records('a')['snapshot'])


if __name__ == '__main__':
    xtest.main()
