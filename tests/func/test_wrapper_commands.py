#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every command that promises to disturb nobody, while clients write; and every command that takes
a name, with odd ones."""

import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import MIB, config_text, kill  # noqa: E402
from wrapper_loaded import LoadedCase  # noqa: E402

ODD_NAMES = [' two  words ', 'a/b//c', '/dev/vg0/vm 1', '100% %s%n', '%41',
             'gr\u00fc\u00df\u20ac\U0001f4be', '"quoted\' \\ ${HOME}', '#{}=,()', '-dash', '..',
             'm' * 4000, 'n' * 4096]


class EveryCommand(LoadedCase):
    # Those that end something by their nature, and those for proxies and migrations, which have
    # loads of their own in test_wrapper_proxy.py, test_proxy_switch.py and test_migration.py.
    ELSEWHERE = {'--shutdown', '--orphan', '--add-proxy', '--migrate-in', '--migrate-abort'}

    def commands_of_help(self):
        text = self.run_cmd(xtest.program('xnbd-wrapper-ctl'), '--help')
        rows = re.findall(r'^  (?:-\w,|   ) (--[a-z-]+)(?: [A-Z ]+)?(?:  +|\n +)(.*)$', text, re.M)
        end = [name for name, _ in rows].index('--target-exportname')  # options follow
        return {name for name, _ in rows[:end] if not name.startswith('--bgctl')}

    def run_all(self):
        """[command, ...]: each one that was run, on a third export or on those that are used."""
        w, third, copy = self.w, self.image(MIB, 'third.img'), self.image(MIB, 'copy.img')
        done = []

        def run(command, *args, **options):
            done.append(command)
            out = w.ctl(command, *args, **options)
            self.go_on_all()
            return out

        for command in ('--list', '--status', '--stats', '--metrics', '--clients', '--save',
                        '--snapshots', '--migrate-status', '--reload'):
            run(command)
        for level in ('debug', 'info'):
            run('--log-level', level)
        for name in self.images:
            for command in ('--stats', '--clients'):
                run(command, name)
            self.assertIn('as before', run('--resize', name))
        run('--reload', '--dry-run')
        run('--reload', '--offline', '--config', self.conf)
        run('--add-target', 'third', third)
        run('--add-cow', 'cow', copy)
        run('--add', copy)
        client, index = w.enter('third'), w.export('cow')['index']
        os.truncate(third, 2 * MIB)
        run('--resize', 'third')
        client.expect_end()
        client.close()
        client = w.enter('third')
        self.settle_count(w, 3)
        self.assertIn('1 client ended', run('--evict', 'third'))
        client.expect_end()
        run('--remove', str(index))
        run('--remove-by-file', copy)
        client = w.enter('third')
        run('--remove-by-exportname', 'third', '--when-idle')
        client.disconnect()
        number = str(json.loads(run('--snapshot', 'disk0', '--json'))['id'])
        xtest.wait_for(lambda: f'snapshot {number} is complete' in w.log(), 'the copy')
        run('--snapshots', 'disk0')
        run('--drop-snapshot', 'disk0', number)
        run('--upgrade', seconds=60)
        return done

    def test_disturbs_nobody(self):
        self.start_loaded()
        done = set(self.run_all())
        self.assertEqual(self.commands_of_help() - done, self.ELSEWHERE)
        self.finish_all()
        self.assertEqual(self.names(), list(self.images))

    def test_in_the_way_of_those_in_use(self):
        """What is refused, or waits for them to leave, leaves them alone too."""
        w = self.start_loaded()
        self.images, before = {}, self.images
        self.configure('export "new" { image = "/dev/null" }\n')
        p = w.ctl('reload', status=None)
        self.assertEqual((p.returncode, p.stdout), (1, ''))
        self.assertIn('nothing was changed', p.stderr)
        self.assertEqual(self.names(), list(before))
        self.go_on_all()
        self.assertIn('when its 1 client has left', w.ctl('reload', '--when-idle'))
        self.go_on_all(3)
        self.images = before
        self.finish_all()
        for writer in self.writers:
            writer.client.disconnect()
        xtest.wait_for(lambda: self.names() == ['new'], 'they go')


class AnswersWait(LoadedCase):
    """Until the negotiator knows: who connects after the answer finds what it tells of."""

    def hold(self):
        negotiator = self.w.negotiator()
        os.kill(negotiator, signal.SIGSTOP)
        self.addCleanup(kill, negotiator, signal.SIGCONT)
        return negotiator

    def begin(self, *args):
        return self.spawn([xtest.program('xnbd-wrapper-ctl'), '--socket', self.w.control, *args])

    def test_for_a_slow_negotiator(self):
        w = self.start_loaded()
        negotiator = self.hold()
        self.configure(exports={'new': self.image(MIB, 'new.img')})
        waiting = [self.begin('reload'), self.begin('--add-target', 'more', self.image(MIB))]
        time.sleep(0.7)
        self.assertTrue(all(p.is_alive() for p in waiting))
        kill(negotiator, signal.SIGCONT)
        for p in waiting:
            self.assertEqual(p.wait(), 0, p.stderr())
        self.assertTrue(w.enter('new').in_sync() and w.enter('more').in_sync())
        self.finish_all()

    def test_not_for_ever(self):
        """Nor for one that is killed; and what changes nothing waits for nothing."""
        w = self.start_loaded()
        negotiator = self.hold()
        began = time.monotonic()
        w.list()
        self.assertLess(time.monotonic() - began, 1.5)
        w.ctl('--add-target', 'a', self.image(MIB, 'a.img'))
        self.assertGreater(time.monotonic() - began, 1.5)
        self.assertIn(f'the negotiator (pid {negotiator}) does not answer', w.log())
        kill(negotiator, signal.SIGCONT)
        negotiator = self.hold()
        p = self.begin('--add-target', 'b', self.image(MIB, 'b.img'))
        time.sleep(0.2)
        kill(negotiator)
        self.assertEqual(p.wait(), 0)
        self.assertTrue(w.enter('a').in_sync() and w.enter('b').in_sync())
        self.finish_all()

    def test_at_once(self):
        """Added, or taken away, by a command, and looked for without a pause."""
        w, image = self.start_loaded(), self.image(MIB)
        rules = [x for i in range(40) for x in ('--set', f'deny=192.0.2.{i}')]
        for i in range(60):
            w.ctl('--add-target', f'x{i}', image, *rules)
            w.enter(f'x{i}').disconnect()
            w.ctl('--remove-by-exportname', f'x{i}')
            self.assertEqual(w.go_refused(f'x{i}')[0], rawnbd.REP_ERR_UNKNOWN)
        self.finish_all()


class OddNames(LoadedCase):
    def check(self, name, image):
        """One name through all commands that take one."""
        w = self.w
        with w.enter(name) as client:
            self.assertEqual(w.client_count(name), 1)
            [c] = json.loads(w.ctl('--json', '--clients', '--', name))
            self.assertEqual(c['export'], name)
            self.assertTrue(w.ctl('--stats', '--', name))
            self.assertIn('"mode": "target"', w.ctl('--json', '--bgctl-query', '--', name))
            os.truncate(image, 2 * MIB)
            w.ctl('--resize', '--', name)
            client.expect_end()
        with w.enter(name) as client:
            self.assertEqual(client.size, 2 * MIB)
            w.ctl('--evict', '--', name)
            client.expect_end()

    def snapshot(self, name):
        w = self.w
        if len(name) > 4080:  # NAME@snapshot would be longer than a name may be
            self.assertIn('4096', w.refused('--snapshot', '--', name))
            return
        number = json.loads(w.ctl('--json', '--snapshot', '--', name))['id']
        for derived in f'{name}@{number}', f'{name}@snapshot':
            with w.enter(derived) as client:
                self.assertEqual(client.size, 2 * MIB)
        xtest.wait_for(lambda: json.loads(w.ctl('--json', '--snapshots', '--', name))[0]['state']
                       == 'complete', 'the copy')
        w.ctl('--drop-snapshot', '--', name, str(number))

    def test_of_the_file(self):
        """Read by a reload, changed, and taken out of it again."""
        w = self.start_loaded()
        odd = {n: self.image(MIB, f'odd{i}.img') for i, n in enumerate(ODD_NAMES)}
        self.configure(exports=odd)
        self.assertEqual(len([x for x in w.ctl('reload').splitlines() if x.startswith('added ')]),
                         len(odd))
        self.assertEqual(self.names(), [*self.images, *odd])
        self.assertEqual(set(w.raw().list()), set(self.names()))
        for name, image in odd.items():
            self.check(name, image)
        changed = {n: {'image': image, 'readonly': True} for n, image in odd.items()}
        self.configure(exports=changed)
        plan = json.loads(w.ctl('--json', 'reload', '--when-idle'))
        self.assertEqual({e['name']: e['change'] for e in plan['exports']},
                         {n: 'changed' for n in odd})
        self.configure()
        w.ctl('reload', '--force')
        self.assertEqual(self.names(), list(self.images))
        self.finish_all()

    def test_added_by_hand(self):
        """Kept by the state file, through a reload, an upgrade, and the death of the master."""
        w = self.start_loaded()
        odd = {n: self.image(MIB, f'odd{i}.img') for i, n in enumerate(ODD_NAMES)}
        for name, image in odd.items():
            w.ctl('--add-target', '--', name, image)
        for name, image in odd.items():
            self.check(name, image)
            self.snapshot(name)
        self.settle_count(w, 2)
        clients = [w.enter(n) for n in odd]
        w.ctl('reload')
        self.upgrade(w)
        self.crash(w)
        self.succeed(w)
        self.assertEqual(set(self.names()), {*self.images, *odd})
        for name, client in zip(odd, clients):
            self.assertTrue(client.in_sync())
            self.assertEqual(w.client_count(name), 1)
            client.disconnect()
            w.ctl('--remove-by-exportname', '--force', '--', name)
        self.assertEqual(self.names(), list(self.images))
        self.finish_all()

    def test_that_are_none(self):
        w = self.start_loaded()
        for name, text in (('', 'name'), ('n' * 4097, '4096')):
            self.assertIn(text, w.refused('--add-target', '--', name, self.images['disk0']))
            self.configure(config_text({name: self.images['disk0']}))
            p = w.ctl('reload', status=None)
            self.assertEqual((p.returncode, p.stdout), (1, ''))
            self.assertRegex(p.stderr, f'{self.conf}:[0-9]+: .*{text}')
        self.finish_all()

if __name__ == '__main__':
    xtest.main()
