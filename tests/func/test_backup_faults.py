# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-backup when something fails: the last good copy stays, nothing hangs, nothing is left."""

import contextlib
import glob
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import backup_fixture  # noqa: E402
import faulty  # noqa: E402
import lvm_copy  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import WrapperCase  # noqa: E402
from xtest import MIB  # noqa: E402

SLOW = {'max-rate': 1}


class Ends(backup_fixture.Case):
    def setUp(self):
        super().setUp()
        self.source = self.image(16 * MIB, 'src', pattern=1)

    def configure_slow(self, general=None, **keys):
        """A copy of a megabyte a second, to be ended on its way."""
        self.configure({'a': {'source': f'file:{self.source}', 'target': f'file:{self.dir}/%v.%n',
                              'keep-last': 1, **SLOW, **keys}}, general)

    def good_one(self):
        """One good copy, made fast; then the configuration is the slow one."""
        self.configure_slow(**{'max-rate': 0})
        self.run_all()
        self.configure_slow()

    def leftovers(self):
        return [p for p in os.listdir(self.dir) if '.partial' in p]

    def test_take_over_in_the_middle(self):
        """SIGTERM: it ends, what was good stays good, and the next run goes on."""
        self.good_one()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            run = self.start_run()
            self.begun(run, 'a.2.partial')
            run.send_signal(number)
            self.assertEqual(run.wait(30), 4)
            self.assertIn(f'a: stopped: signal {int(number)}', run.stderr())
            self.assertEqual(self.leftovers(), [])
            self.assertEqual(self.verify_all('a'), 1)
        self.assertIn('the last attempt failed', self.backup('status', status=1))
        self.configure_slow(**{'max-rate': 0})
        self.assertEqual(self.run_all('-f')['a']['result'], 'good')
        self.assertEqual(self.verify_all('a'), 2)

    def test_nohup(self):
        """nohup(1): the end of the administrator's session does not end the run."""
        self.configure_slow(**{'max-rate': 8})
        run = self.spawn(['nohup', *self.argv('run')], env=self.programs())
        self.begun(run, 'a.1.partial')
        run.send_signal(signal.SIGHUP)
        self.assertEqual(run.wait(30), 0, run.stderr())
        self.assertEqual(self.verify_all('a'), 1)

    def test_stop(self):
        self.good_one()
        self.backup('stop')
        run = self.start_run()
        self.begun(run, 'a.2.partial')
        p = self.run_cmd(*self.argv('run'), status=None)
        self.assertEqual(p.returncode, 3)
        self.assertIn(f'another run is going on (process {run.pid})', p.stderr)
        self.backup('stop')
        self.assertEqual(run.wait(30), 4)

    def test_stopped_process(self):
        """One that takes no SIGTERM does not hold up the end."""
        self.good_one()
        run = self.start_run()
        self.begun(run, 'a.2.partial')
        child = int(self.run_cmd('ps', '-o', 'pid=', '--ppid', str(run.pid)).split()[0])
        os.kill(child, signal.SIGSTOP)
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(30), 4)
        self.assertFalse(os.path.exists(f'/proc/{child}'))

    def test_kills(self):
        """kill -9 anywhere: no copy is lost, and the next run makes a good one."""
        self.configure_slow(**{'max-rate': 40})
        self.run_all()
        rnd = random.Random(3)
        for _ in range(12):
            run = self.start_run()
            time.sleep(rnd.random() * 0.8)
            run.kill()
            self.assertGreaterEqual(self.verify_all('a'), 1)
        self.configure_slow(**{'max-rate': 0})
        self.assertEqual(self.run_all('-f')['a']['result'], 'good')
        self.assertEqual(self.verify_all('a'), 2)
        self.assertEqual(self.leftovers(), [])

    def test_kills_with_times(self):
        """The same with files that are removed: what is cut off is cleaned up."""
        self.configure_slow(target=f'file:{self.dir}/c/%v-%t', **{'max-rate': 40})
        os.mkdir(self.path('c'))
        self.run_all()
        rnd = random.Random(4)
        for _ in range(6):
            run = self.start_run()
            time.sleep(rnd.random() * 0.8)
            run.kill()
            self.assertGreaterEqual(self.verify_all('a'), 1)
            time.sleep(1)  # another name
        self.assertEqual(self.run_all('-f')['a']['result'], 'good')
        self.assertEqual(self.verify_all('a'), 1)
        self.assertEqual(len(glob.glob(self.path('c/*'))), 2)

    def end_child(self, run):
        """As an agent does."""
        while run.is_alive():
            found = self.run_cmd('ps', '-o', 'pid=', '--ppid', str(run.pid), status=None).stdout
            if found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(found.split()[0]), signal.SIGTERM)
                break

    def test_ended_by_an_agent(self):
        """Who ends users of a volume ends the copy: nothing else is begun."""
        self.configure({n: {'source': f'file:{self.source}', 'target': f'file:{self.dir}/%v',
                            **SLOW} for n in 'ab'})
        run = self.start_run()
        self.begun(run, 'a.partial')
        self.end_child(run)
        self.assertEqual(run.wait(30), 4)
        self.assertIn('a: stopped: the copy was ended by somebody else', run.stderr())
        self.assertIn('b: stopped: not begun', run.stderr())

    def test_verification_ended_by_an_agent(self):
        """A copy is not damaged because nobody was let read it."""
        self.source = self.image(512 * MIB, 'holes')
        self.good_one()
        status = 0
        while status == 0:  # it was too fast for us
            run = self.spawn(self.argv('verify'), env=self.programs())
            self.end_child(run)
            status = run.wait(60)
        self.assertEqual(status, 4, run.stderr())
        self.assertIn('a: stopped: the copy was ended by somebody else', run.stderr())
        self.assertEqual([c['state'] for c in self.list('a')], ['good'])

    def test_not_active_any_more(self):
        active = self.image(0, 'active')
        self.configure_slow({'active-if': f'test -e {active}'})
        run = self.start_run()
        self.begun(run, 'a.1.partial')
        os.unlink(active)
        self.assertEqual(run.wait(60), 4)
        self.assertIn('not active any more', run.stderr())

    def test_source_vanishes(self):
        self.good_one()
        run = self.start_run()
        self.begun(run, 'a.2.partial')
        os.truncate(self.source, MIB)
        self.assertEqual(run.wait(60), 1)
        self.assertIn('a: FAILED: ', run.stderr())
        self.assertEqual(self.verify_all('a'), 1)

    def test_no_space(self):
        """Neither for the copy nor for what is remembered of it."""
        where = self.mount('tmpfs', '20m')
        self.configure({'a': {'source': f'file:{self.source}', 'target': f'file:{where}/%v.%n',
                              'keep-last': 1}})
        self.run_all()
        report = self.run_all('-f', status=1)['a']
        self.assertIn('No space left', report['text'])
        self.assertEqual(self.verify_all('a'), 1)
        self.assertEqual([p for p in os.listdir(where) if '.partial' in p], [])
        self.configure({'a': {'source': f'file:{self.source}', 'target': f'file:{self.dir}/%v'}},
                       {'state-directory': f'{where}/state'})
        with open(f'{where}/full', 'wb') as f, self.assertRaises(OSError):
            f.write(bytes(20 * MIB))
            f.flush()
        self.assertIn('No space left', self.backup('run', status=1))
        self.assertFalse(os.path.exists(self.path('a')))

    def test_hanging_hooks(self):
        """mail and hook have their time, and are not waited for when the run is to end."""
        self.configure({'a': {'source': 'file:/none', 'target': f'file:{self.dir}/%v'}},
                       {'on-failure': f'touch {self.dir}/begun; sleep 600'})
        run = self.start_run()
        xtest.wait_for(lambda: os.path.exists(self.path('begun')), 'hook')
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(30), 1)


class Frozen(backup_fixture.BackupMixin, WrapperCase):
    """What is frozen is thawed, whatever happens."""

    def setUp(self):
        super().setUp()
        self.big = self.image(8 * MIB, 'y.img', pattern=3)
        self.wrapper = self.wrap(exports={'vm': self.image(MIB, 'x.img', pattern=2),
                                          'big': self.big})

    def freeze(self, freeze='true', thaw='true', seconds=30, **general):
        self.log = self.path('log')
        self.configure({'a': {
            'source': 'export:vm', 'target': f'file:{self.dir}/copy', 'freeze-timeout': seconds,
            'freeze': f'echo freeze >>{self.log}; {freeze}',
            'thaw': f'echo thaw >>{self.log}; {thaw}'}},
            {'control': self.wrapper.control, **general})

    def said(self):
        return xtest.text_of(self.log).split()

    def test_freeze_fails(self):
        self.freeze('echo "no agent" >&2; exit 7')
        self.assertIn('freeze: no agent', self.run_all(status=1)['a']['text'])
        self.assertEqual(self.said(), ['freeze', 'thaw'])

    def test_freeze_hangs(self):
        self.freeze('sleep 600', seconds=1)
        self.assertIn('did not end within 1 s', self.run_all(status=1)['a']['text'])
        self.assertEqual(self.said(), ['freeze', 'thaw'])

    def test_thaw_fails(self):
        """It is tried again; if it helps all is well, if not that is said."""
        self.freeze(thaw=f'[ $(grep -c thaw {self.path("log")}) = 2 ]')
        self.assertEqual(self.run_all()['a']['result'], 'good')
        self.freeze(thaw='false')
        self.assertIn('may still be held', self.run_all('-f', status=1)['a']['text'])
        self.assertEqual(self.said().count('thaw'), 5)

    def test_end_while_it_thaws(self):
        """A thaw that hangs holds up no take-over, and comes to its end without us."""
        go = self.path('go')
        self.freeze(thaw=f'while [ ! -e {go} ]; do sleep 0.1; done; echo thawed >>{self.path("log")}')
        run = self.start_run()
        xtest.wait_for(lambda: 'thaw' in self.said(), 'thaw')
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(60), 4)
        self.assertEqual(self.said(), ['freeze', 'thaw'])
        self.image(0, 'go')
        xtest.wait_for(lambda: 'thawed' in self.said(), 'thawed')

    def test_killed_while_frozen(self):
        for number in (signal.SIGKILL, signal.SIGTERM):
            self.freeze('exec sleep 600')
            if os.path.exists(self.log):
                os.unlink(self.log)
            run = self.start_run()
            xtest.wait_for(lambda: self.said() == ['freeze'], 'frozen')
            run.send_signal(number)
            run.wait(30)
            xtest.wait_for(lambda: 'thaw' in self.said(), 'thawed')

    def test_snapshot_is_late(self):
        """The wrapper does not answer: thawed in time, and no copy."""
        self.freeze('true', seconds=2)
        run = None
        os.kill(self.wrapper.pid, signal.SIGSTOP)
        try:
            run = self.start_run()
            self.assertEqual(run.wait(60), 1)
        finally:
            os.kill(self.wrapper.pid, signal.SIGCONT)
        self.assertFalse(os.path.exists(self.path('copy')))

    def test_export_vanishes(self):
        """At a take-over the wrapper ends, and then nobody is told of a failure."""
        active, ctl = self.image(0, 'active'), xtest.program('xnbd-wrapper-ctl')
        self.freeze(f'rm {active}; {ctl} --socket {self.wrapper.control} --shutdown',
                    **{'active-if': f'test -e {active}', 'on-failure': f'touch {self.dir}/told'})
        run = self.start_run()
        self.assertEqual(run.wait(60), 4)
        self.assertIn('a: stopped: ', run.stderr())
        self.assertIn(' is not active any more', run.stderr())
        self.assertFalse(os.path.exists(self.path('told')))

    def test_killed_with_a_snapshot(self):
        """kill -9 while the wrapper's snapshot is copied: the next run removes it."""
        general = {'control': self.wrapper.control}
        keys = {'source': 'export:big', 'target': f'file:{self.dir}/big.copy'}
        self.configure({'a': {**keys, **SLOW}}, general)
        run = self.start_run()
        self.begun(run, 'big.copy.partial')
        run.kill()
        self.assertIsNotNone(self.records('a')['snapshot'])
        self.configure({'a': keys}, general)
        time.sleep(1.1)
        self.assertEqual(self.run_all('-f')['a']['result'], 'good')
        self.assert_same(self.big, self.path('big.copy'))
        self.assertIsNone(self.records('a')['snapshot'])
        self.assertEqual(glob.glob(self.path('*.xnbd-backup-*')), [])


class Late(backup_fixture.BackupMixin, WrapperCase):
    def test_snapshot_that_comes_late(self):
        """The run ends while the wrapper waits for a write: the next one looks again."""
        disk, where = faulty.Disk(self, 4 * MIB, cached=False), self.mount('tmpfs', '32m')
        w = self.wrap(exports={'slow': disk.path})
        self.addCleanup(disk.release)  # before the server is killed, which could not die
        self.configure({'a': {'source': 'export:slow', 'target': f'file:{self.dir}/slow.copy',
                              'snapshot-directory': where}}, {'control': w.control})
        client = w.enter('slow')
        disk.hold('write')
        client.send(client.write_bytes(MIB, b's' * 512))
        disk.wait_held()
        run = self.start_run()
        xtest.wait_for(lambda: lvm_copy.Case.children(run.pid), 'the question')
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(60), 4)
        self.assertIsNotNone(self.records('a')['snapshot'])
        disk.release()
        client.close()
        time.sleep(1.1)  # another name
        report = xtest.wait_for(self.try_again, 'a copy')
        self.assertEqual(os.listdir(where), [], report)
        self.assertIsNone(self.records('a')['snapshot'])

    def try_again(self):
        """A snapshot of before may still be made."""
        report = self.run_all('-f', status=None)['a']
        return report['result'] == 'good' and report


if __name__ == '__main__':
    xtest.main(at_once=2)
