#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-confsync daemon on two nodes: edits arrive by themselves, once, and only where they may."""

import json
import os
import random
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import confsync_lab  # noqa: E402
import xtest  # noqa: E402

CONTROL = '/run/xnbd-confsync.sock'
APP = '/etc/app'
SET = ('app', {'paths': [f'{APP}/'], 'writer': 'any'})
LONG = 90.0  # s, for what has to happen


def reader(sock):
    """The one line of an answer."""
    with sock.makefile() as f:
        return json.loads(f.readline())


class Daemon:
    """On a node."""

    def __init__(self, case, node, env=None):
        self.case, self.node = case, node
        self.process = node.spawn(*node.confsync_argv('daemon'), env=env)
        xtest.wait_for(lambda: self.answers() or not self.process.is_alive(), 'daemon', LONG)
        case.assertTrue(self.process.is_alive(), self.log())

    def log(self):
        return self.process.stderr()

    def ask(self, cmd, **words):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(LONG)
            s.connect(self.node.at(CONTROL))
            s.sendall(json.dumps({'v': 1, 'cmd': cmd, **words}).encode() + b'\n')
            answer = reader(s)
        return answer

    def answers(self):
        try:
            return self.ask('status')['ok']
        except (OSError, ValueError):
            return False

    def status(self):
        return self.ask('status')

    def set(self, name='app'):
        return next(s for s in self.status()['sets'] if s['set'] == name)

    def wait_for(self, situation, name='app'):
        xtest.wait_for(lambda: self.set(name)['situation'] == situation,
                       f'{self.node.name}: set {name} {situation}\n{self.log()}', LONG)

    def is_idle(self):
        return not self.status()['busy']

    def signal(self, name):
        """To the daemon itself, which nsenter waits for."""
        self.node.run('kill', f'-{name}', str(self.status()['pid']))

    def stop(self):
        self.signal('TERM')
        self.case.assertEqual(self.process.wait(60), 0, self.log())

    def kill(self):
        self.signal('KILL')
        self.process.wait(30)


class Case(confsync_lab.Case):
    def prepare(self, *sets, **general):
        keys = {k.replace('_', '-'): v for k, v in general.items()}
        self.configure(*(sets or (SET,)), **{'settle': 200, 'interval': 5, **keys})

    def begin(self, *sets, **general):
        """Both have a file in common, and daemons that are in step."""
        self.prepare(*sets, **general)
        self.n1.write(f'{APP}/a.conf', 'one\n')
        self.n1.confsync('push', '--from-here')
        self.in_step(APP)
        self.d1, self.d2 = Daemon(self, self.n1), Daemon(self, self.n2)
        for d in (self.d1, self.d2):
            d.wait_for('in step')

    def arrives(self, node, path, text):
        xtest.wait_for(lambda: node.read(path) == text,
                       f'{path} at {node.name}\n{self.logs()}', LONG)

    def logs(self):
        return f'n1: {self.d1.log()}\nn2: {self.d2.log()}'

    def rests(self, seconds=3):
        """Nothing goes on, and then for a while nothing is done: (jobs, transactions) of both."""
        def idle():
            return all(d.set()['situation'] == 'in step' and d.is_idle() for d in (self.d1, self.d2))
        xtest.wait_for(idle, f'rest\n{self.logs()}', LONG)
        time.sleep(2)
        xtest.wait_for(idle, f'rest\n{self.logs()}', LONG)
        before = [d.status()['counts'] for d in (self.d1, self.d2)]
        time.sleep(seconds)
        after = [d.status()['counts'] for d in (self.d1, self.d2)]
        return before, after


class Daemons(Case):
    def test_edit_arrives(self):
        self.begin()
        self.n1.write(f'{APP}/a.conf', 'two\n')
        self.arrives(self.n2, f'{APP}/a.conf', 'two\n')
        self.n2.write(f'{APP}/deep/er/b.conf', 'three\n')
        self.arrives(self.n1, f'{APP}/deep/er/b.conf', 'three\n')
        self.n1.write(f'{APP}/deep/er/c.conf', 'four\n')  # a folder that came from the peer
        self.arrives(self.n2, f'{APP}/deep/er/c.conf', 'four\n')
        self.n2.remove(f'{APP}/deep')
        xtest.wait_for(lambda: not self.n1.exists(f'{APP}/deep'), self.logs(), LONG)
        for d in (self.d1, self.d2):
            d.stop()
        self.in_step(APP)

    def test_burst(self):
        self.begin(settle=1000)
        before = self.d1.set()['generation']
        for i in range(10):
            self.n1.write(f'{APP}/a.conf', f'edit {i}\n')
            self.n1.write(f'{APP}/file{i}', f'{i}\n')
        self.arrives(self.n2, f'{APP}/a.conf', 'edit 9\n')
        self.rests(0)
        self.in_step(APP)
        self.assertLessEqual(self.d1.set()['generation'] - before, 4, self.logs())

    def test_no_echo(self):
        """After a change nothing goes on: what a transaction wrote is in step already."""
        self.begin(interval=3600)
        for node, other in ((self.n1, self.n2), (self.n2, self.n1)):
            node.write(f'{APP}/a.conf', f'of {node.name}\n')
            self.arrives(other, f'{APP}/a.conf', f'of {node.name}\n')
        before, after = self.rests()
        self.assertEqual(before, after)
        self.assertEqual([c['transactions'] for c in after], [1, 1], self.logs())
        self.assertLessEqual(max(c['scans'] for c in after), 6, self.logs())

    def test_looks_without_changes(self):
        self.begin(interval=1)
        before, after = self.rests(4)
        for old, new in zip(before, after):
            self.assertGreater(new['conversations'], old['conversations'])
            self.assertEqual((new['transactions'], new['scans']),
                             (old['transactions'], old['scans']), self.logs())
        lines = [line for line in self.d1.log().splitlines() if 'in step with' in line]
        self.assertLessEqual(len(lines), 2, 'what stays so is told once')

    def test_passive_edit_is_reported(self):
        words = {**SET[1], 'writer': 'active'}
        self.n1.write('/srv/active', '')
        self.begin(('app', words), role_command='test -e /srv/active')
        self.n2.write(f'{APP}/a.conf', 'drift\n')
        self.d2.wait_for('waits')
        self.d1.wait_for('waits')
        self.assertEqual(self.n1.read(f'{APP}/a.conf'), 'one\n')
        self.assertEqual(self.n2.read(f'{APP}/a.conf'), 'drift\n', 'it is not overwritten')
        self.assertIn('set app: waits: ', self.d2.log())
        # The cluster moves: now it may be sent.
        self.n1.remove('/srv/active')
        self.n2.write('/srv/active', '')
        self.arrives(self.n1, f'{APP}/a.conf', 'drift\n')
        self.d2.wait_for('in step')
        self.assertIn('this node is active', self.d2.log())

    def test_peer_that_was_down(self):
        self.begin()
        self.n2.cut_power()
        for text in ('two\n', 'three\n'):
            self.n1.write(f'{APP}/a.conf', text)
            self.d1.wait_for('pending')
        xtest.wait_for(lambda: self.d1.set()['generation'] >= 2, self.d1.log(), LONG)
        self.n1.remove(f'{APP}/a.conf')
        self.n1.write(f'{APP}/b.conf', 'four\n')
        self.assertEqual(self.d1.log().count('n2 is not reached: '), 1, self.d1.log())
        self.n2.boot()
        self.n2.confsync('recover')
        self.d2 = Daemon(self, self.n2)
        self.arrives(self.n2, f'{APP}/b.conf', 'four\n')
        self.d1.wait_for('in step')
        self.d2.wait_for('in step')
        self.in_step(APP)
        self.assertIn('n2 is reached', self.d1.log())

    def test_peer_that_can_only_call(self):
        """What this node cannot bring, the peer comes for; and that it came is noticed here."""
        self.begin(interval=2)
        self.n2.stop_sshd()
        self.n1.write(f'{APP}/a.conf', 'two\n')
        self.arrives(self.n2, f'{APP}/a.conf', 'two\n')
        self.n2.start_sshd()
        for d in (self.d1, self.d2):
            d.wait_for('in step')
            xtest.wait_for(lambda: d.status().get('reached'), self.logs(), LONG)

    def test_both_edit_apart(self):
        self.begin(interval=2, connect_timeout=1)
        self.cut()
        self.n1.write(f'{APP}/a.conf', 'mine\n')
        self.n2.write(f'{APP}/a.conf', 'yours\n')
        for d in (self.d1, self.d2):
            d.wait_for('pending')
        self.mend()
        for d in (self.d1, self.d2):
            d.wait_for('held')
        self.assertEqual(self.n1.read(f'{APP}/a.conf'), 'mine\n')
        self.assertEqual(self.n2.read(f'{APP}/a.conf'), 'yours\n')
        self.n1.confsync('resolve', 'app', '--mine')
        self.arrives(self.n2, f'{APP}/a.conf', 'mine\n')
        for d in (self.d1, self.d2):
            d.wait_for('in step')

    def test_on_hold(self):
        self.begin(interval=3600)
        self.n1.confsync('hold', 'add', 'app')
        self.n1.write(f'{APP}/a.conf', 'two\n')
        self.d1.wait_for('on hold')
        self.n1.confsync('hold', 'release', 'app')
        self.arrives(self.n2, f'{APP}/a.conf', 'two\n')
        self.d1.wait_for('in step')

    def test_temporary_files(self):
        self.begin(interval=3600)
        before, _ = self.rests(0)
        names = ('.a.conf.swp', '.a.conf.swx', '4913', 'a.conf~', '#a.conf#', '.#a.conf',
                 'a.conf.dpkg-new', '.xnbd-confsync.0123456789abcdef.0.new')
        for name in names:
            self.n1.write(f'{APP}/{name}', 'nothing to keep')
        time.sleep(2)
        after, _ = self.rests(0)
        self.assertEqual(before, after, 'they are not even a reason to look')
        # As vi saves: the old one becomes the backup, a new one is written and the backup goes.
        folder = self.n1.at(APP)
        os.rename(f'{folder}/a.conf', f'{folder}/a.conf~')
        self.n1.write(f'{APP}/a.conf', 'by vi\n')
        os.unlink(f'{folder}/a.conf~')
        self.arrives(self.n2, f'{APP}/a.conf', 'by vi\n')
        # As emacs and scripts do: written beside, renamed.
        self.n1.write(f'{APP}/#a.conf#', 'by emacs\n')
        os.rename(f'{folder}/#a.conf#', f'{folder}/a.conf')
        self.arrives(self.n2, f'{APP}/a.conf', 'by emacs\n')
        self.rests(0)
        self.assertEqual([n for n in names if self.n2.exists(f'{APP}/{n}')], [])

    def test_kills(self):
        """Of the daemon and its child, at random moments."""
        self.begin(interval=2)
        seed = random.randrange(1 << 30)
        sys.stderr.write(f'seed {seed} ')
        rnd = random.Random(seed)
        for i in range(8):
            node, name = (self.n1, 'd1') if rnd.random() < 0.5 else (self.n2, 'd2')
            self.n1.write(f'{APP}/a.conf', f'edit {i}\n')
            self.n1.write(f'{APP}/folder{i}/b.conf', f'edit {i}\n')
            time.sleep(rnd.random())
            getattr(self, name).kill()
            setattr(self, name, Daemon(self, node))
        self.arrives(self.n2, f'{APP}/a.conf', 'edit 7\n')
        for d in (self.d1, self.d2):
            d.wait_for('in step')
        self.in_step(APP)

    def test_folder_that_comes_and_goes(self):
        """Of the set itself, and the one above it."""
        where = '/srv/deep/er/app'
        self.begin(('app', {'paths': [f'{APP}/', f'{where}/'], 'writer': 'any'}), interval=3600)
        for text in ('one\n', 'two\n'):
            self.n1.write(f'{where}/x', text)
            self.arrives(self.n2, f'{where}/x', text)
            os.rename(self.n1.at('/srv/deep'), self.n1.at('/srv/away'))
            xtest.wait_for(lambda: not self.n2.exists(f'{where}/x'), self.logs(), LONG)
            self.n1.remove('/srv/away')


class FullDisk(Case):
    def before_boot(self):
        self.small(self.n2, '/var/lib/xnbd', '2M')

    def test_full_disk(self):
        """Of the peer's state: told once, tried again."""
        self.begin(interval=2)
        with open(self.n2.at('/var/lib/xnbd/ballast'), 'wb', buffering=0) as f:
            try:
                while f.write(b'x' * 4096):
                    pass
            except OSError:
                pass
        self.n1.write(f'{APP}/a.conf', 'x' * 20000)
        self.d1.wait_for('failed')
        self.assertEqual(self.n2.read(f'{APP}/a.conf'), 'one\n')
        self.assertIn('No space left', self.d1.log())
        os.unlink(self.n2.at('/var/lib/xnbd/ballast'))
        self.arrives(self.n2, f'{APP}/a.conf', 'x' * 20000)
        for d in (self.d1, self.d2):
            d.wait_for('in step')


class Life(Case):
    def test_reload(self):
        self.begin(interval=3600)
        good = self.n1.read(confsync_lab.CONFIG)
        self.n1.write(confsync_lab.CONFIG, good + 'set "app" {\n')
        self.d1.signal('HUP')
        xtest.wait_for(lambda: 'fault' in self.d1.status(), self.d1.log(), LONG)
        self.assertIn('nothing was changed', self.d1.log())
        self.n1.write(f'{APP}/a.conf', 'two\n')
        self.prepare(SET, ('more', {'paths': ['/srv/more/'], 'writer': 'any'}), interval=3600)
        for d in (self.d1, self.d2):
            d.signal('HUP')
            xtest.wait_for(lambda: 'was read anew' in d.log(), d.log(), LONG)
        self.assertNotIn('fault', self.d1.status())
        self.n2.write('/srv/more/x', 'more\n')
        self.arrives(self.n1, '/srv/more/x', 'more\n')
        self.arrives(self.n2, f'{APP}/a.conf', 'two\n')
        self.prepare(interval=3600)
        self.d1.signal('HUP')
        xtest.wait_for(lambda: len(self.d1.status()['sets']) == 1, self.d1.log(), LONG)

    def test_orders(self):
        self.begin(interval=3600)
        self.assertEqual(self.d1.ask('sync-now', sets=['nothing']),
                         {'v': 1, 'ok': False, 'error': 'sets: there is no such set'})
        self.assertFalse(self.d1.ask('sync-now', sets='app')['ok'])
        self.assertFalse(self.d1.ask('nonsense')['ok'])
        before = self.d1.status()['counts']['conversations']
        self.assertTrue(self.d1.ask('sync-now', sets=['app'])['ok'])
        xtest.wait_for(lambda: self.d1.status()['counts']['conversations'] > before, 'order', LONG)
        second = self.n1.confsync('daemon', status=None)
        self.assertEqual(second.returncode, 1)
        self.assertIn('xnbd-confsync.sock', second.stderr)
        self.assertTrue(self.d1.answers(), 'the first one goes on')
        self.d1.ask('stop')
        self.assertEqual(self.d1.process.wait(60), 0)
        self.assertFalse(self.n1.exists(CONTROL))

    def test_end_waits_for_what_goes_on(self):
        words = {**SET[1], 'reload': 'touch /srv/began; while test ! -e /srv/on; do sleep 0.1; done'}
        self.prepare(('app', words), interval=3600)
        self.n1.write('/srv/on', '')
        self.n2.write('/srv/on', '')
        self.begin(('app', words), interval=3600)
        self.n1.remove('/srv/on')
        self.n1.remove('/srv/began')
        self.n1.write(f'{APP}/a.conf', 'two\n')
        xtest.wait_for(lambda: self.n1.exists('/srv/began'), self.logs(), LONG)
        self.d1.signal('TERM')
        self.assertTrue(self.d1.answers(), 'it waits')
        self.n1.write('/srv/on', '')
        self.assertEqual(self.d1.process.wait(60), 0, self.d1.log())
        self.in_step(APP)
        self.assertEqual(self.n2.read(f'{APP}/a.conf'), 'two\n')

    def test_child_that_dies(self):
        words = {**SET[1], 'reload': 'touch /srv/began; while test ! -e /srv/on; do sleep 0.1; done'}
        for node in (self.n1, self.n2):
            node.write('/srv/on', '')
        self.begin(('app', words), interval=3600)
        self.n1.remove('/srv/on')
        self.n1.remove('/srv/began')
        self.n1.write(f'{APP}/a.conf', 'two\n')
        xtest.wait_for(lambda: self.n1.exists('/srv/began'), self.logs(), LONG)
        main = str(self.d1.status()['pid'])
        self.n1.run('pkill', '-KILL', '-P', main)
        self.d1.wait_for('failed')
        self.assertIn('was ended by signal 9', self.d1.log())
        self.n1.write('/srv/on', '')
        self.arrives(self.n2, f'{APP}/a.conf', 'two\n')
        self.d1.wait_for('in step')

    def test_child_that_hangs(self):
        words = {**SET[1], 'reload': 'touch /srv/began; while test ! -e /srv/on; do sleep 0.1; done',
                 'reload-timeout': 1, 'validate-timeout': 1}
        for node in (self.n1, self.n2):
            node.write('/srv/on', '')
        self.begin(('app', words), interval=3600, deadline=10, connect_timeout=10)
        self.n1.remove('/srv/on')
        self.n1.remove('/srv/began')
        self.n1.write(f'{APP}/a.conf', 'two\n')
        xtest.wait_for(lambda: self.n1.exists('/srv/began'), self.logs(), LONG)
        self.n1.run('pkill', '-STOP', '-P', str(self.d1.status()['pid']))
        self.n1.write('/srv/on', '')
        self.assertTrue(self.d1.answers())
        xtest.wait_for(lambda: 'was late (' in self.d1.log(), self.d1.log(), 300)
        self.arrives(self.n2, f'{APP}/a.conf', 'two\n')
        self.d1.wait_for('in step')
        self.d1.stop()

    def test_readiness(self):
        self.prepare()
        path = self.n1.at('/run/notify')
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(path)
        manager.settimeout(LONG)

        def hear(what):
            while True:
                text = manager.recv(4096).decode()
                if what in text:
                    return text
        d = Daemon(self, self.n1, env={'NOTIFY_SOCKET': '/run/notify'})
        self.assertIn('MAINPID=', hear('READY=1'))
        self.n1.write(f'{APP}/a.conf', 'one\n')
        self.n1.confsync('push', '--from-here')
        hear('STATUS=1 of 1 sets in step')
        d.signal('HUP')
        hear('RELOADING=1')
        hear('READY=1')
        d.signal('TERM')
        hear('STOPPING=1')
        self.assertEqual(d.process.wait(60), 0)


if __name__ == '__main__':
    xtest.main(at_once=2)
