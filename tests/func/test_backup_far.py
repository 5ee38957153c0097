# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-backup to another host: by ssh, over a link that is cut, to a key that can do no more than
lvm_copy --serve below one folder."""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import backup_fixture  # noqa: E402
import lvm_copy  # noqa: E402
import sshd  # noqa: E402
import xtest  # noqa: E402
from xtest import MIB  # noqa: E402

# Whoever sends is told that nobody is there; that host itself hears nothing.
RESET = 'table inet lab { chain arriving { type filter hook input priority 0; ' \
        'iif link0 meta l4proto tcp reject with tcp reset; }; }'


class Far(backup_fixture.Case):

    def setUp(self):
        super().setUp()
        self.source, self.there = self.image(4 * MIB, 'src', pattern=1), self.path('there')
        os.mkdir(self.there)
        self.lab = sshd.Lab(self, lvm_copy.serve_command('--prefix', self.there))
        self.prefix = self.lab.a.prefix

    def one(self, general=None, **keys):
        self.configure({'a': {'source': f'file:{self.source}', 'keep-last': 1,
                              'target': f'file:far:{self.there}/%v.%n', **keys}},
                       {'ssh-config': self.lab.far.config, **(general or {})})

    def place(self, number):
        return f'{self.there}/a.{number}'

    def verify(self, target):
        super().verify(target.removeprefix('file:far:'))

    def failed(self, *args):
        """The line of the one volume."""
        return self.run_all('-f', *args, status=1)['a']['text']

    def same(self, path):
        self.assertEqual(lvm_copy.digest(self.source), lvm_copy.digest(path))

    def test_turns(self):
        """As many as are to be kept and one more, each read again over there."""
        self.one(**{'keep-last': 2})
        for number in (1, 2, 3, 1):
            self.image(4 * MIB, 'src', pattern=number)
            report = self.run_all('-f')['a']
            self.assertEqual((report['result'], report['verified']), ('good', True))
            self.assertEqual(report['target'], f'file:far:{self.place(number)}')
            self.same(self.place(number))
        self.assertEqual(report['kept'], 2)
        self.assertEqual(self.verify_all('a'), 3)
        self.assertIn('BACKUP OK', self.backup('status'))
        self.assertIn(f'far:{self.place(1)} is good', self.backup('verify'))
        self.run_cmd(*self.prefix, xtest.program('lvm_copy'), '--restore', '-F',
                     self.lab.far.config, '-s', f'file:far:{self.place(1)}', '-t',
                     f'file:{self.path("back")}')
        self.same(self.path('back'))

    def test_compressed(self):
        self.one(compress='zstd')
        for _ in range(3):
            self.assertEqual(self.run_all('-f')['a']['result'], 'good')
        self.run_cmd('zstd', '-q', '-d', '-o', self.path('plain'), self.place(1), '--no-check')
        self.same(self.path('plain'))

    def test_damage_is_found(self):
        """It is read where it lies; one that cannot be asked after is not damaged."""
        self.one()
        self.run_all()
        self.lab.far.halt()
        self.assertIn('cannot be reached', self.backup('verify', status=1))
        self.backup('status')
        self.lab.far.boot()
        with open(self.place(1), 'r+b') as f:
            f.seek(MIB)
            f.write(b'rotten')
        self.assertIn('the copy is damaged', self.backup('verify', status=1))
        self.assertIn('there is no good copy', self.backup('status', status=2))
        self.assertEqual(self.run_all()['a']['target'], f'file:far:{self.place(1)}')
        self.backup('verify')

    def test_only_below_the_prefix(self):
        self.one(target=f'file:far:{self.dir}/%v.%n')
        self.assertIn(f'far: {self.dir}/a.1: not below {self.there}', self.failed())
        self.assertFalse(os.path.exists(self.path('a.1')))

    def test_host_down(self):
        """One line with the reason, the last copy counts, and the next run goes well."""
        told = self.path('told')
        self.one({'on-failure': f'cat >{told}'})
        self.run_all()
        self.lab.far.halt()
        why = self.failed()
        self.assertIn('far: cannot be reached by ssh', why)
        self.assertIn('Connection refused', why)
        self.assertIn(f'a: FAILED: {why}', xtest.text_of(told))
        self.assertIn('the last attempt failed', self.backup('status', status=1))
        self.lab.far.boot()
        self.assertEqual(self.run_all('-f')['a']['target'], f'file:far:{self.place(2)}')
        self.assertEqual(self.verify_all('a'), 2)

    def test_key_refused(self):
        self.one()
        self.lab.far.allow(None)
        os.truncate(f'{self.lab.far.folder}/authorized', 0)
        self.assertIn('Permission denied', self.failed())

    def test_program_missing(self):
        self.one()
        self.lab.far.allow('no-such-program')
        self.assertIn('not found', self.failed())

    def slow_one(self):
        """A good copy, and one of a megabyte a second that has begun."""
        self.image(16 * MIB, 'src', pattern=2)
        self.one()
        self.run_all()
        self.one(**{'max-rate': 1})
        run = self.start_run()
        self.begun(run, 'there/a.2.partial')
        return run

    def test_link_cut(self):
        """The last copy is as it was; the far side gives its place free when it hears nothing."""
        self.lab.far.allow(lvm_copy.serve_command('--prefix', self.there, '--idle', '15'))
        run = self.slow_one()
        self.lab.b.run('nft', '-f', '-', input=RESET)
        self.assertEqual(run.wait(60), 1)
        self.assertIn('a: FAILED: lvm_copy: far: the connection ', run.stderr())
        self.assertEqual(self.verify_all('a'), 1)
        self.same(self.place(1))
        self.lab.b.run('nft', 'delete', 'table', 'inet', 'lab')
        self.one()
        report = xtest.wait_for(self.try_again, 'the place is free', 120, 1)
        self.assertEqual(report['target'], f'file:far:{self.place(2)}')
        self.assertEqual(self.verify_all('a'), 2)
        self.assertEqual([n for n in os.listdir(self.there) if '.partial' in n], [])

    def try_again(self):
        report = self.run_all('-f', status=None)['a']
        if report['result'] != 'good':
            self.assertIn('another lvm_copy writes it', report['text'])
        return report['result'] == 'good' and report

    def test_take_over_while_cut(self):
        """Nobody answers, nobody is waited for."""
        run = self.slow_one()
        self.lab.cut()
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(30), 4)
        self.assertIn('a: stopped: signal 15', run.stderr())
        self.assertEqual(self.verify_all('a'), 1)
        run = self.start_run()  # it cannot even begin
        ssh = xtest.wait_for(lambda: self.has_child(run, 'ssh'), 'ssh')
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(30), 4)
        xtest.wait_for(lambda: not os.path.exists(f'/proc/{ssh}'), 'the end of ssh')

    def has_child(self, run, name):
        """Of a child of the run."""
        for child in lvm_copy.Case.children(run.pid):
            for pid in lvm_copy.Case.children(child):
                if xtest.text_of(f'/proc/{pid}/comm').strip() == name:
                    return pid
        return None

    def test_devices(self):
        """Places that are written where they are."""
        self.addCleanup(lvm_copy.forget_manifests, self.dir)
        for number in (1, 2):
            device = self.loop_device(self.image(5 * MIB, f'disk{number}'))
            os.symlink(device, f'{self.there}/disk.{number}')
        self.one(target=f'dev:far:{self.there}/disk.%n')
        for number in (1, 2, 1):
            self.image(4 * MIB, 'src', pattern=number)
            self.run_all('-f')
            self.assertEqual(lvm_copy.digest(self.source),
                             lvm_copy.digest(f'{self.there}/disk.{number}', 4 * MIB))
        self.assertIn('disk.1 is good', self.backup('verify'))

    def test_faults(self):
        """What is for files of this host is refused when it is read."""
        self.one(target=f'file:far:{self.there}/%v-%t')
        self.assertIn('%n would be right', self.refused('check'))
        self.one(**{'target': f'file:far:{self.there}/%v', 'keep-last': 2})
        self.assertIn('to keep 2, %n is needed', self.refused('check'))


if __name__ == '__main__':
    xtest.main(at_once=3)
