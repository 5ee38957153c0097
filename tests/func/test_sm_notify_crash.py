#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sm-notify killed before each system call that changes something, then run again (case 70).

Whatever it had done: every peer is told at least once in the end, with a number of its own for each
run that could send one, no record is left or lost, and nothing but records is taken for a peer. And
the order of what makes things durable, read from a trace.
"""

import os
import re
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import sm_fixture  # noqa: E402
import xtest  # noqa: E402

ADDRESSES = [f'127.0.0.{n}' for n in range(11, 20)]
MOVED, JOINED, COVERED, OLD, SECOND, HALF, ASIDE, TEMPORARY, KEPT = ADDRESSES
CHANGING = ('renameat2', 'renameat', 'rename', 'unlinkat', 'unlink', 'mkdirat', 'write', 'pwrite64',
            'ftruncate', 'fsync', 'fchmod', 'fchown', 'utimensat', 'openat', 'setresuid', 'sendmmsg',
            'sendto', 'sendmsg')
OTHER_COOKIE = 'f' * 32
line = sm_fixture.line

# Who has to be told what.
WANTED = {MOVED: {'a.lab.test', 'a'}, JOINED: {'old', 'new', 'cut'}, COVERED: {'a'}, OLD: {'a'},
          SECOND: {'x', 'y'}, HALF: {'z'}, KEPT: {'a'}}


class CrashTest(sm_fixture.Case):
    def setUp(self):
        super().setUp()
        self.require('strace')
        if xtest.is_sanitized('sm-notify'):
            self.skipTest('the leak checker does not run under strace')

    def fill(self, name, ran_before=False):
        """A directory with all that a root phase can meet."""
        self.state = self.make_state(name)
        if ran_before:
            self.notify()
        self.set_number(5)
        self.put('sm/moved.lab.test', line(MOVED, 'a.lab.test'))
        self.put('sm/joined', line(JOINED, 'new'))
        self.put('sm.bak/joined', line(JOINED, 'old'))
        self.put('sm/covered', line(COVERED, 'a'))
        self.put('sm.bak/covered', line(COVERED, 'a', cookie=OTHER_COOKIE))
        self.put('sm.bak/old', line(OLD, 'a'))
        self.put('sm.bak/.+second', line(SECOND, 'x'))  # left by a crash, as is what follows
        self.put('sm.bak/second', line(SECOND, 'y'))
        self.put('sm.bak/half', 'garbage\n' + line(HALF, 'z'))
        self.put('sm.bak/.sm-notify.tmp', line(ASIDE, 'never')[:80])
        self.put('.state.new', b'\x99')
        self.put('sm/garbage', 'garbage')
        self.put('sm/not a name', line(ASIDE, 'never'))
        self.leave('sm/temporary.new', line(TEMPORARY, 'never', end=''))
        self.leave('sm/joined.new', line(JOINED, 'new') + line(JOINED, 'cut'))
        self.put('sm/kept', line(KEPT, 'a'))

    def points(self, *args):
        """[(system call, its number)] of a whole run; only opens that make a file."""
        counts, found, out = {}, [], self.path('trace')
        self.notify('--retry-seconds', '30', *args, status=None, prefix=[
            'strace', '-f', '-o', out, '-e', f'trace={",".join(CHANGING)}'])
        for text in xtest.text_of(out).splitlines():
            call = re.match(r'\d+ +(\w+)\((.*)', text)
            if not call:
                continue
            name = call[1]
            counts[name] = counts.get(name, 0) + 1
            if name == 'openat' and 'O_CREAT' not in call[2]:
                continue
            if name == 'write' and call[2].startswith('2,'):  # the log
                continue
            found.append((name, counts[name]))
        return found

    def check_all_told(self, where):
        for address, names in WANTED.items():
            self.assertEqual(self.peers.names(address), names, where)
        self.assertEqual(self.peers.asked & {ASIDE, TEMPORARY}, set(), where)

    def check_directory(self, where):
        self.assertEqual(self.names('sm'), [], where)
        self.assertEqual(self.names('sm.bak'), ['.rejected'], where)
        aside = [re.sub(r'~\d$', '', name) for name in self.names('sm.bak/.rejected')]
        self.assertEqual(sorted(set(aside)), ['garbage', 'half', 'not a name', 'temporary.new'],
                         where)
        self.assertEqual(self.content('sm.bak/.rejected/half'), b'garbage\n', where)
        self.assertEqual(sorted(os.listdir(self.state)), ['sm', 'sm.bak', 'state'], where)

    def check_numbers(self, killed, where):
        """`killed`: numbers the killed run has told."""
        told = self.peers.states()
        self.assertEqual({n & 1 for n in told}, {1}, where)
        self.assertGreaterEqual(self.number(), max(told), where)
        again = told - killed
        # a run that goes on with what another began tells the number of that one
        self.assertTrue(again or self.number() in killed, where)
        self.assertTrue(all(n > max(killed) for n in again) if killed else True, where)

    def check_killed_at(self, point, number, *args):
        where = f'killed before {point[0]} number {point[1]}'
        os.system(f'rm -f {self.run_dir}/*')
        self.fill(f'state{number}', ran_before=bool(args))
        self.peers.told.clear()
        self.peers.asked.clear()
        self.notify('--retry-seconds', '30', *args, status=None, prefix=[
            'strace', '-f', '-o', '/dev/null', '-e', f'trace={point[0]}',
            '-e', f'inject={point[0]}:signal=KILL:when={point[1]}'])
        was_killed = self.status == -9
        state = self.content('state')
        self.assertIn(len(state), (4,), where)
        self.assertIn(struct.unpack('<i', state)[0], (5, 7), where)
        killed = self.peers.states()
        self.notify('--retry-seconds', '30', status=None)
        self.assertIn(self.status, (0, 1), where)
        self.check_all_told(where)
        self.check_directory(where)
        if was_killed:
            self.check_numbers(killed, where)
        return was_killed

    def test_killed_anywhere(self):
        self.fill('first')
        points = self.points()
        names = {name for name, _ in points}
        for needed in ('renameat2', 'renameat', 'unlinkat', 'fsync', 'openat', 'write', 'mkdirat'):
            self.assertIn(needed, names)
        killed = sum(self.check_killed_at(point, n) for n, point in enumerate(points))
        self.assertGreater(killed, len(points) * 3 // 4)
        print(f'{len(points)} places, killed at {killed}', file=sys.stderr)

    def test_forced_run_killed(self):
        """After one that was done: its word must not keep the next one from notifying."""
        self.fill('first', ran_before=True)
        points = self.points('-f')
        points = points[points.index(('ftruncate', 1)) + 1:]  # before it, nothing was done
        killed = sum(self.check_killed_at(point, n, '-f')
                     for n, point in enumerate(points) if n % 3 == 0)
        self.assertGreater(killed, len(points) // 4)

    def test_without_a_crash(self):
        self.fill('first')
        self.notify(status=1)  # something was kept aside
        self.check_all_told('')
        self.check_directory('')
        self.assertEqual(self.number(), 7)
        self.assertIn('already', self.notify())


class OrderTest(sm_fixture.Case):
    """What is on disk before what is done."""

    def setUp(self):
        super().setUp()
        self.require('strace')
        if xtest.is_sanitized('sm-notify'):
            self.skipTest('the leak checker does not run under strace')

    def events(self):
        out = self.path('trace')
        self.notify(prefix=['strace', '-f', '-y', '-o', out, '-e', f'trace={",".join(CHANGING)}'])
        found = []
        for text in xtest.text_of(out).splitlines():
            text = text.replace(self.state, 'D').replace(self.run_dir, 'RUN')
            call = re.match(r'\d+ +(\w+)\((.*)', text)
            if call:
                found.append(call[1] + ' ' + re.sub(r'\d+<([^>]*)>', r'\1', call[2]))
        return found

    def index(self, events, pattern, start=0):
        for n in range(start, len(events)):
            if re.match(pattern, events[n]):
                return n
        self.fail(f'{pattern} does not come after number {start} in:\n' + '\n'.join(events))

    def test_order(self):
        self.put('sm/moved', line(MOVED, 'a'))
        self.put('sm/joined', line(JOINED, 'new'))
        self.put('sm.bak/joined', line(JOINED, 'old'))
        events = self.events()
        steps = [
            r'openat D/sm.bak, "\.sm-notify\.tmp".*O_CREAT\|O_EXCL\|O_NOFOLLOW',  # the union
            r'write D/sm.bak/\.sm-notify\.tmp',
            r'fsync D/sm.bak/\.sm-notify\.tmp',
            r'renameat D/sm.bak, "\.sm-notify\.tmp", D/sm.bak, "joined"',
            r'fsync D/sm.bak\)',
            r'unlinkat D/sm.bak, "\.\+joined"',  # only now
            r'fsync D/sm.bak\)',
            r'fsync D/sm\)',
            r'write D/\.state\.new',
            r'fsync D/\.state\.new',
            r'renameat D, "\.state\.new", D, "state"',
            r'fsync D\)',
            r'setresuid 54321',
            r'pwrite64 RUN/',  # the guard
            r'send',  # the first packet
            r'unlinkat D/sm.bak, "(moved|joined)"',
        ]
        at = -1
        for step in steps:
            at = self.index(events, step, at + 1)
        first_send = self.index(events, 'send')
        for pattern in ('renameat2 D/sm, "moved", D/sm.bak, "moved"', r'fsync D\)'):
            self.assertLess(self.index(events, pattern), first_send)
        self.assertEqual([e for e in events[:self.index(events, r'fsync D/sm\)')]
                          if 'state' in e and 'D/' in e and e.startswith('write')], [])
        last_fsync = max(n for n, e in enumerate(events) if e.startswith('fsync D/sm.bak)'))
        last_unlink = max(n for n, e in enumerate(events) if e.startswith('unlinkat D/sm.bak'))
        self.assertGreater(last_fsync, last_unlink)  # records do not come back


if __name__ == '__main__':
    xtest.main()
