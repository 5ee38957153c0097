#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A node's xnbd-confsync killed before a system call that changes something, on either side.

At once after `recover` each node has one whole generation, and after the next push or sync both
have the same one. Places are drawn at random from those that a trace of a whole run shows; the seed
is printed, and taken from XNBD_SEED.
"""

import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import confsync_lab  # noqa: E402
import xtest  # noqa: E402
from confsync_lab import PATHS, STATE  # noqa: E402

DONE, FAILED, USAGE, PENDING, BEHIND, HELD = range(6)
CHANGING = ('renameat2', 'renameat', 'rename', 'linkat', 'link', 'symlinkat', 'unlinkat', 'unlink',
            'mkdirat', 'mkdir', 'rmdir', 'write', 'pwrite64', 'ftruncate', 'fallocate', 'ioctl',
            'copy_file_range', 'sendfile', 'fsync', 'fdatasync', 'syncfs', 'fchmod', 'fchmodat',
            'fchown', 'fchownat', 'fsetxattr', 'fremovexattr', 'utimensat', 'openat', 'openat2',
            'sendto')
OPENS = ('openat', 'openat2')
SEED = int(os.environ.get('XNBD_SEED') or random.SystemRandom().randrange(10 ** 6))
PLACES = 20  # of each test
A = '/etc/app/a.conf'


def strace(*more):
    return ['strace', '-f', '-o', *more]


class CrashTest(confsync_lab.Case):
    def setUp(self):
        super().setUp()
        self.require('strace')
        if xtest.is_sanitized('xnbd-confsync'):
            self.skipTest('the leak checker does not run under strace')
        self.random = random.Random(f'{SEED} {self.id()}')
        self.turn = 0
        self.begin(reload='echo reloaded >> /run/reloads')
        self.edit()
        self.n1.confsync('push')

    def edit(self):
        """On n1, all kinds of changes; twice brings most things back."""
        self.turn += 1
        n, odd = self.n1, self.turn % 2
        n.write(A, f'turn {self.turn}\n')
        for path in ('/etc/app/odd.conf', '/etc/app/folder/deep/x.conf', '/etc/app.conf'):
            if odd:
                n.write(path, f'odd {path}\n')
            elif n.exists(path):
                n.remove(path)
        if not odd and n.exists('/etc/app/folder'):
            n.remove('/etc/app/folder')
        if n.exists('/etc/app/kind'):
            n.remove('/etc/app/kind')
        n.write('/etc/app/kind' if odd else '/etc/app/kind/inner', 'file or folder\n')
        os.chmod(n.at('/etc/app/b.conf'), 0o600 if odd else 0o644)
        os.chmod(n.at('/etc/app'), 0o750 if odd else 0o755)

    # Places.

    def points(self, out):
        counts, found = {}, []
        for text in xtest.text_of(out).splitlines():
            call = re.match(r'(\d+) +(\w+)\((.*)', text)
            if not call:
                continue
            name = call[2]
            key = call[1], name
            counts[key] = counts.get(key, 0) + 1
            if name in OPENS and 'O_CREAT' not in call[3]:
                continue
            if name in ('write', 'ioctl') and call[3].startswith('2,'):
                continue
            found.append((name, counts[key]))
        self.assertGreater(len(found), 40, xtest.text_of(out)[-3000:])
        return sorted(set(found), key=found.index)

    def sample(self, found):
        step = max(1, len(found) // PLACES)
        chosen = found[self.random.randrange(step)::step]
        print(f'{self.id()}: {len(found)} places, {len(chosen)} tried, seed {SEED}',
              file=sys.stderr)
        return chosen

    @staticmethod
    def killing(point):
        name, number = point
        return strace('/dev/null', '-e', f'trace={name}', '-e',
                      f'inject={name}:signal=KILL:when={number}')

    def tracing(self):
        self.trace = self.path('trace')
        return strace(self.trace, '-e', f'trace={",".join(CHANGING)}')

    # What has to be.

    def files(self, node):
        return {k: v for k, v in node.tree(*PATHS).items() if '/.xnbd-confsync.' not in k}

    def end_of_all(self):
        xtest.wait_for(lambda: not any('xnbd-confsync' in line for n in (self.n1, self.n2)
                                       for line in n.processes().values()),
                       'end of the conversation', 90)

    def check_after(self, where, old, new):
        self.end_of_all()
        for node in (self.n1, self.n2):
            node.confsync('recover', status=(DONE, BEHIND))
            self.assertIn(self.files(node), (old, new), f'{where}: {node.name}')
            node.json('status')
        self.assertEqual(self.files(self.n1), new, where)  # its edits are not lost

    def one(self, number, point, run, node):
        """RUN: starts what is to be killed; NODE: where."""
        where = f'{node.name} killed before {point[0]} number {point[1]}'
        old = self.files(self.n2)
        self.edit()
        new = self.files(self.n1)
        killed = run(point)
        self.check_after(where, old, new)
        if number % 2:
            self.n1.confsync('push', '--from-here')
        else:
            self.n2.confsync('pull')
            self.n1.confsync('sync')  # who was asked has not been told how it ended
        self.app_in_step()
        self.assertEqual(self.files(self.n2), new, where)
        return killed

    def all(self, found, run, node):
        chosen = self.sample(found)
        killed = sum(bool(self.one(n, p, run, node)) for n, p in enumerate(chosen))
        print(f'{self.id()}: killed at {killed}', file=sys.stderr)
        self.assertGreater(killed, len(chosen) // 2)

    # Who is killed.

    def caller(self, node, *args):
        """NODE calls and is killed."""
        self.edit()
        node.run(*self.tracing(), *node.confsync_argv(*args))

        def run(point):
            p = node.run(*self.killing(point), *node.confsync_argv(*args), status=None)
            return p.returncode < 0 or p.returncode > 128
        self.all(self.points(self.trace), run, node)

    def called(self, node, *args):
        """NODE is called by the other one, and is killed."""
        other = node.other
        node.authorize(forced=node.forced(' '.join(self.tracing())))
        self.edit()
        other.confsync(*args)
        self.end_of_all()
        found = self.points(self.trace)

        def run(point):
            node.authorize(forced=node.forced(' '.join(self.killing(point))))
            p = other.confsync(*args, status=None)
            self.end_of_all()
            node.authorize()
            return p.returncode != DONE
        self.all(found, run, node)

    def test_sender_calls(self):
        self.caller(self.n1, 'push', '--from-here')

    def test_receiver_is_called(self):
        self.called(self.n2, 'push', '--from-here')

    def test_receiver_calls(self):
        self.caller(self.n2, 'pull')

    def test_sender_is_called(self):
        self.called(self.n1, 'pull')

    def test_recovery(self):
        """Recovery itself is killed, after the receiver was in the middle of it."""
        self.n2.authorize(forced=self.n2.forced(' '.join(self.tracing())))
        self.edit()
        self.n1.confsync('push', '--from-here')
        self.end_of_all()
        found = self.points(self.trace)
        renames = [p for p in found if p[0].startswith('rename')]
        middle = renames[len(renames) // 2:]
        seen = 0
        for turn in range(12):
            old = self.files(self.n2)
            self.edit()
            new = self.files(self.n1)
            point = self.random.choice(middle)
            self.n2.authorize(forced=self.n2.forced(' '.join(self.killing(point))))
            self.n1.confsync('push', '--from-here', status=None)
            self.end_of_all()
            self.n2.authorize()
            name = self.random.choice(['renameat2', 'unlinkat', 'fsync', 'write', 'openat2'])
            p = self.n2.run(*self.killing((name, self.random.randrange(1, 6))),
                            *self.n2.confsync_argv('recover'), status=None)
            seen += p.returncode < 0 or p.returncode > 128
            self.check_after(f'recovery {point} {name}', old, new)
            self.n1.confsync('push', '--from-here')
            self.app_in_step()
        print(f'recovery killed {seen} times', file=sys.stderr)
        self.assertGreater(seen, 0)

    def test_power(self):
        """A whole node, somewhere in it."""
        for turn in range(6):
            old = self.files(self.n2)
            self.edit()
            new = self.files(self.n1)
            victim = (self.n1, self.n2)[turn % 2]
            p = self.n1.popen(*self.n1.confsync_argv('push', '--from-here'), stdout=-3, stderr=-3)
            marker = victim.at(f'{STATE}/app/txn')
            try:
                xtest.wait_for(lambda: p.poll() is not None or os.path.exists(marker), 'push',
                               interval=0.001)
                time.sleep(self.random.random() / 50)
                victim.cut_power()
                p.wait(120)
            finally:
                p.kill()
            victim.boot()
            self.check_after(f'power of {victim.name}', old, new)
            self.n1.confsync('push', '--from-here')
            self.app_in_step()


if __name__ == '__main__':
    xtest.main(at_once=4)
