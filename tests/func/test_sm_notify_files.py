#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sm-notify and its files: state number, records, hostile things, guard, privileges, settings.

Cases of the reference page by their numbers. What is on the network is answered by fake peers.
"""

import json
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import sm_fixture  # noqa: E402
import xtest  # noqa: E402

A, B, C, D = (f'127.0.0.{n}' for n in range(11, 15))
SILENT = '127.0.0.19'
line = sm_fixture.line


class StateTest(sm_fixture.Case):
    """Cases 1 to 13."""

    def check_number(self, content, want, *args, after=None):
        self.peers.told.clear()
        path = os.path.join(self.state, 'state')
        if content is None:
            if os.path.exists(path):
                os.unlink(path)
        else:
            self.put('state', content)
        self.put('sm/peer', line(A, 'srv'))
        log = self.notify('-f', *args)
        self.assertEqual(self.peers.told, [(A, 'srv', want)])
        self.assertEqual(self.number(), want if after is None else after)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o644)
        return log

    def test_01_to_08_numbers(self):
        self.check_number(None, 3)
        self.assertNotIn('warning', self.check_number(b'', 3))
        self.assertIn('1 bytes instead of 4', self.check_number(b'\5', 3))
        self.assertIn('3 bytes instead of 4', self.check_number(b'\5\0\0', 3))
        self.check_number(struct.pack('<i', 5), 7)
        self.check_number(struct.pack('<i', 4), 7)
        self.check_number(struct.pack('<i', 0), 3)
        self.check_number(struct.pack('<ii', 5, 99), 7)
        self.assertIn('warning', self.check_number(struct.pack('<i', 0x7fffffff), 1))

    def test_09_and_10_no_update(self):
        self.set_number(5)
        before = os.stat(os.path.join(self.state, 'state'))
        self.put('sm/peer', line(A, 'srv'))
        self.notify('-n')
        after = os.stat(os.path.join(self.state, 'state'))
        self.assertEqual(self.peers.told, [(A, 'srv', 5)])
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))
        self.assertEqual(os.listdir(self.run_dir), [])  # the guard is not set
        self.check_number(None, 3, '-n')

    def test_11_state_not_writable(self):
        """The parent read-only, sm and sm.bak not: bind mounts."""
        self.put('sm/peer', line(A, 'srv'))
        self.set_number(5)
        xtest.own_namespace()
        for name in ('', '/sm', '/sm.bak'):
            self.run_cmd('mount', '--bind', self.state + name, self.state + name)
        self.addCleanup(subprocess.run, ['umount', '--lazy', self.state])
        self.run_cmd('mount', '-o', 'remount,bind,ro', self.state)
        for name in ('/sm', '/sm.bak'):
            self.run_cmd('mount', '-o', 'remount,bind,rw', self.state + name)
        log = self.notify(status=1)
        self.assertIn('state: not written', log)
        self.assertEqual(self.peers.asked, set())
        self.assertEqual(os.listdir(self.run_dir), [])
        self.assertEqual(self.names('sm') + self.names('sm.bak'), ['peer'])
        self.assertEqual(self.number(), 5)

    def test_12_kernel(self):
        local = self.fake_proc(sm_fixture.LOCAL)
        self.set_number(5)
        self.put('sm/peer', line(A, 'srv'))
        self.notify()
        self.assertEqual(xtest.text_of(local), '7')
        self.put('sm/peer', line(A, 'srv'))
        self.notify('-f', '--no-kernel-state')
        self.assertEqual(xtest.text_of(local), '7')
        os.unlink(local)
        self.put('sm/peer', line(A, 'srv'))
        self.assertNotIn('warning', self.notify('-f'))

    def test_13_no_peers(self):
        grace = self.fake_proc(sm_fixture.GRACE)
        self.notify()
        self.assertEqual(xtest.text_of(grace), 'Y')
        self.assertEqual(self.peers.asked, set())
        self.assertEqual(self.number(), 3)
        for args, conf in ((('--no-lift-grace',), ''), ((), '[sm-notify]\nlift-grace=n\n')):
            with open(grace, 'w'), open(self.config(), 'w') as f:
                f.write(conf)
            self.notify('-f', *args)
            self.assertEqual(xtest.text_of(grace), '')

    def test_13_grace_not_lifted_when_there_were_peers(self):
        grace = self.fake_proc(sm_fixture.GRACE)
        self.put('sm/peer', line(A, 'srv'))
        self.notify()
        self.assertEqual(xtest.text_of(grace), '')


class FolderTest(sm_fixture.Case):
    """Cases 14, 15, 20, 21, 27: folders and what is in them."""

    def setUp(self):
        super().setUp()
        self.grace = self.fake_proc(sm_fixture.GRACE)

    def check_failed(self, words, *args, **options):
        log = self.notify('-f', *args, status=1, **options)
        self.assertIn(words, log)
        self.assertEqual(xtest.text_of(self.grace), '')
        return log

    def test_14_sm_bak_missing_or_unreadable(self):
        os.rmdir(os.path.join(self.state, 'sm.bak'))
        self.check_failed('/sm.bak: No such file')
        os.mkdir(os.path.join(self.state, 'sm.bak'), 0)
        os.chown(os.path.join(self.state, 'sm.bak'), sm_fixture.OWNER, sm_fixture.OWNER)
        self.check_failed('/sm.bak: Permission denied')
        self.assertEqual(os.listdir(self.run_dir), [])

    def test_14_errors_of_the_disk(self):
        self.put('sm.bak/peer', line(A, 'srv'))
        for n in (1, 2, 3):
            prefix, _ = self.traced('getdents64', '-e', f'inject=getdents64:error=EIO:when={n}')
            self.check_failed('Input/output error', prefix=prefix)
            self.assertEqual(self.names('sm.bak'), ['peer'])
            self.assertEqual(os.listdir(self.run_dir), [])

    def test_15_one_of_three_cannot_be_moved(self):
        for name, address in (('one', A), ('two', B), ('three', C)):
            self.put(f'sm/{name}', line(address, 'srv'))
        self.put('sm.bak/two', line(B, 'other'))
        os.mkdir(os.path.join(self.state, 'sm.bak', '.+two'))  # where the new one would go
        self.check_failed('sm/two: not moved')
        self.assertEqual(self.peers.names(A) | self.peers.names(C), {'srv'})
        self.assertEqual(self.names('sm'), ['two'])

    def test_20_things_that_are_no_files(self):
        secret = self.put('secret', line(D, 'secret'))
        for folder in ('sm', 'sm.bak'):
            where = os.path.join(self.state, folder)
            os.symlink(secret, os.path.join(os.fsencode(where), b'link'))
            os.mkfifo(f'{where}/pipe')
            os.mkdir(f'{where}/folder')
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(f'{where}/socket')
            os.mknod(f'{where}/device', stat.S_IFCHR | 0o666, os.makedev(1, 3))
        self.put('sm/peer', line(A, 'srv'))
        prefix, trace = self.traced('openat,open,openat2')
        log = self.check_failed('sm/link: a symbolic link', prefix=prefix)  # and does not hang
        opened = re.findall(r'open.*"([^"]*)"', trace())
        self.assertIn('peer', opened)
        self.assertEqual({'device', 'folder', 'link', 'pipe', 'socket'} & set(opened), set())
        self.assertEqual(len(re.findall('left alone', log)), 10)
        self.assertEqual(self.peers.told, [(A, 'srv', 3)])
        self.assertEqual(self.names('sm'), ['device', 'folder', 'link', 'pipe', 'socket'])
        self.assertEqual(self.names('sm.bak'), ['device', 'folder', 'link', 'pipe', 'socket'])

    def test_21_sm_is_a_link(self):
        os.rename(os.path.join(self.state, 'sm'), self.path('elsewhere'))
        os.symlink(self.path('elsewhere'), os.path.join(self.state, 'sm'))
        self.put('sm/peer', line(A, 'srv'))
        self.check_failed('links are not followed')
        self.assertEqual(os.listdir(self.path('elsewhere')), ['peer'])

    def test_21_directory_may_be_a_link(self):
        os.symlink(self.state, self.path('link'))
        self.put('sm/peer', line(A, 'srv'))
        self.notify(state=self.path('link'))
        self.assertEqual(self.peers.told, [(A, 'srv', 3)])

    def test_27_sm_not_readable(self):
        self.put('sm/peer', line(A, 'srv'))
        os.chmod(os.path.join(self.state, 'sm'), 0)
        self.check_failed(f'{self.state}/sm: Permission denied')
        self.assertEqual(self.peers.asked, set())

    def test_no_directory(self):
        self.check_failed('No such file', state=self.path('absent'))

    def test_relative_directories(self):
        for n, name in enumerate(('state.d', './state.d', '../' + os.path.basename(self.dir) +
                                  '/state.d')):
            self.put('sm/peer', line(A, f'srv{n}'))
            self.notify('-f', state=name, cwd=self.dir)
            self.assertIn(f'srv{n}', self.peers.names(A))


class RecordTest(sm_fixture.Case):
    """Cases 16 to 19 and 22 to 26."""

    def test_16_joined(self):
        self.put('sm.bak/peer', line(A, 'old.lab.test'))
        self.put('sm/peer', line(A, 'new.lab.test'))
        self.notify()
        self.assertEqual(self.peers.names(A), {'old.lab.test', 'old', 'new.lab.test', 'new'})
        self.assertEqual(self.names('sm.bak'), [])

    def test_17_duplicates(self):
        self.put('sm/peer', 3 * line(A, 'srv.lab.test'))
        log = self.notify()
        self.assertEqual(self.peers.told, [(A, 'srv.lab.test', 3), (A, 'srv', 3)])
        self.assertNotIn('error', log)
        self.assertEqual(self.names('sm.bak'), [])

    def test_18_one_line_stays(self):
        self.peers.silent.add(SILENT)
        kept = line(SILENT, 'b', cookie='DEADBEEF' * 4)
        self.put('sm/peer', line(A, 'a') + kept)
        self.notify('--retry-seconds', '2', status=1)
        self.assertEqual(self.content('sm.bak/peer').decode(), kept)

    def test_19_names(self):
        names = ['..x', '.hidden', 'a b', 'a\nb', 'a' * 255, b'a\xffb', '-oX', '%s%n']
        for name in names:
            self.put(b'sm/' + os.fsencode(name), line(B, 'srv'))
        self.put('sm/peer', line(A, 'srv'))
        log = self.notify(status=1)
        self.assertEqual(self.peers.told, [(A, 'srv', 3)])
        self.assertEqual(log.count('not the name of a host'), len(names) - 2)
        self.assertEqual(len(self.names('sm.bak/.rejected')), len(names) - 2)
        self.assertEqual(self.names('sm'), ['..x', '.hidden'])
        self.assertIn('a\\x0ab', log)
        self.put('sm/peer', line(A, 'srv'))
        self.assertNotIn('not the name', self.notify('-f'))  # once is enough

    def test_22_contents(self):
        good = line(A, 'good{}')
        files = {
            'empty': b'', 'garbage': b'garbage\n', 'head': good[:69].encode(),
            'no-my-name': line(A, '').encode(),
            'crlf': line(A, 'crlf', end='\r\n').encode(),
            'no-newline': line(A, 'no-newline', end='').encode(),
            'zeros': b'\0\0\n' + line(A, 'zeros').encode() + b'x\0y',
            'long': b'x' * (1 << 20) + b'\n' + line(A, 'long').encode(),
            'many': b''.join(line(A, f'many{n % 100}').encode() for n in range(10000)),
        }
        for name, content in files.items():
            self.put(f'sm/{name}', content)
        log = self.notify(status=1)
        names = {'crlf', 'no-newline', 'zeros', 'long'} | {f'many{n}' for n in range(100)}
        self.assertEqual(self.peers.names(A), names)
        self.assertEqual(self.names('sm.bak'), ['.rejected'])
        self.assertEqual(self.names('sm.bak/.rejected'),
                         ['empty', 'garbage', 'head', 'long', 'no-my-name', 'zeros'])
        self.assertNotIn('error', log)

    def test_23_longest_names(self):
        self.put('sm/peer', line('m' * 1024, 'y' * 1024))
        self.put('sm/127.0.0.11', line('m' * 1024, 'z' * 1024))
        self.notify('--retry-seconds', '2', status=None)
        self.assertEqual(self.peers.names(A), {'z' * 1024})
        self.assertEqual(self.names('sm.bak'), ['peer'])  # nowhere to send that one

    def test_24_fields(self):
        bad = [line(A, 'bad').replace('000186b5', '00186b5'),
               line(A, 'bad').replace('000186b5', '000186zz'),
               line(A, 'bad').replace(sm_fixture.COOKIE, 'zz' * 16)]
        self.put('sm/peer', ''.join(bad) + line(A, 'good'))
        log = self.notify(status=1)
        self.assertEqual(self.peers.names(A), {'good'})
        self.assertIn('left out: 3', log)

    def test_25_leftovers(self):
        """None of them is a peer of that name, and what is torn is not used."""
        self.leave('sm/peer.new', line(B, 'srv', end=''))
        self.leave('sm/.peer.new', line(B, 'srv', end=''))
        self.put('sm/real.test', line(A, 'srv'))
        self.leave('sm/real.test.new', 'torn')
        self.put('sm/host.test.new', line(C, 'srv'))  # a host of the domain .new
        self.notify()
        self.assertEqual(self.peers.asked, {A, C})

    def test_leftovers_that_are_whole(self):
        """The rename that rpc.statd had vouched for was lost, and its line is nowhere else."""
        for options in (['--no-consume'], []):
            with self.subTest(options):
                self.put('sm/real.test', line(A, 'srv'))
                self.leave('sm/real.test.new', line(A, 'srv') + line(A, 'alias'))
                self.leave('sm/.other.test.new', line(B, 'srv'))
                self.put('sm/just.now', line(C, 'srv'))
                self.put('sm/just.now.new', line(C, 'srv') + line(B, 'notyet'))
                self.peers.told.clear()
                self.notify('-f', *options)
                self.assertEqual(self.peers.names(A), {'srv', 'alias'})
                self.assertEqual(self.peers.names(B), {'srv'} | ({'notyet'} if options else set()))
        self.assertEqual(self.names('sm'), ['just.now.new'])

    def test_26_owners(self):
        self.put('sm/foreign', line(B, 'srv'), owner=0)
        self.put('sm/own', line(A, 'srv'))
        os.link(os.path.join(self.state, 'sm/foreign'), os.path.join(self.state, 'sm.bak/linked'))
        log = self.notify(status=1)
        self.assertEqual(log.count('belongs to user 0'), 2)
        self.assertEqual(self.peers.asked, {A})
        self.assertEqual((self.names('sm'), self.names('sm.bak')), (['foreign'], ['linked']))

    def test_no_consume(self):
        before = [self.put('sm/a', line(A, 'srv')), self.put('sm.bak/b', line(B, 'srv'))]
        stats = [os.stat(p) for p in before]
        self.notify('--no-consume')
        self.assertEqual({a for a, _, _ in self.peers.told}, {A, B})
        self.assertEqual([(s.st_ino, s.st_mtime_ns) for s in stats],
                         [(s.st_ino, s.st_mtime_ns) for s in map(os.stat, before)])
        self.assertEqual(self.number(), 3)

    def test_lists(self):
        self.put('sm/a', line(A, 'srv.lab.test'))
        self.put('sm.bak/b', line(B, 'srv.lab.test'))
        for option in ('--list', '--dry-run'):
            self.notify(option, foreground=False)
            text = self.stdout
            self.assertIn(A, text)
            self.assertIn(B, text)
            self.notify(option, '--json', foreground=False)
            json.loads(self.stdout)
        self.assertEqual((self.names('sm'), self.names('sm.bak')), (['a'], ['b']))
        self.assertFalse(os.path.exists(os.path.join(self.state, 'state')))
        self.assertEqual((self.peers.asked, os.listdir(self.run_dir)), (set(), []))


class GuardTest(sm_fixture.Case):
    """Cases 67 to 69, and defect 4."""

    def put_peer(self):
        self.peers.told.clear()
        self.put('sm/peer', line(A, 'srv'))

    def check_told(self, *args, **options):
        self.put_peer()
        log = self.notify(*args, **options)
        self.assertEqual(len(self.peers.told), 1, log)
        return log

    def check_already(self, *args):
        self.put_peer()
        before = self.number()
        self.assertIn('already', self.notify(*args))
        self.assertEqual((self.peers.told, self.number()), ([], before))
        self.assertEqual(self.names('sm'), ['peer'])

    def test_67_once(self):
        self.check_told()
        self.check_already()
        self.check_told('-f')
        self.check_already()
        self.assertIn('already', self.notify(foreground=False))

    def test_67_two_at_once(self):
        self.peers.silent.add(A)
        self.put_peer()
        first = self.spawn(self.argv())
        xtest.wait_for(lambda: A in self.peers.asked, 'a packet')
        number = self.number()
        self.assertIn('already', self.notify())
        self.assertIn(f'process {first.pid}', self.notify('-f', status=3))
        self.assertEqual(self.number(), number)
        first.send_signal(signal.SIGTERM)
        self.assertEqual(first.wait(), -signal.SIGTERM)
        self.peers.silent.clear()
        self.notify()  # goes on where the first was ended
        self.assertEqual(self.peers.told, [(A, 'srv', number)])

    def test_67_a_race(self):
        for n in range(12):
            self.put('sm/peer', line(A, f'srv{n}'))
            os.system(f'rm -rf {self.run_dir}/*')
            all_of_them = [self.spawn(self.argv()) for _ in range(4)]
            statuses = sorted(d.wait() for d in all_of_them)
            self.assertIn(statuses[0], (0,))
            self.assertTrue(set(statuses) <= {0, 3}, statuses)
            self.assertEqual(self.number(), 3 + 2 * n)
            self.assertIn(f'srv{n}', self.peers.names(A))

    def test_68_no_place_for_the_guard(self):
        for run_dir in (self.path('absent'), '/proc/1'):
            self.run_dir = run_dir
            self.assertIn('would notify again', self.check_told())

    def test_68_of_another_boot(self):
        self.check_told()
        guard = os.path.join(self.run_dir, os.listdir(self.run_dir)[0])
        text = xtest.text_of(guard)
        with open(guard, 'w') as f:
            f.write(re.sub('boot .', 'boot #', text))
        self.check_told()
        self.check_already()
        for n in range(0, len(text), 7):  # cut: never believed, unless it is a number alone
            if n <= text.index('\n') + 1:
                continue
            with open(guard, 'w') as f:
                f.write(text[:n])
            self.check_told()

    def test_69_another_directory(self):
        self.check_told()
        other, first = self.make_state('other.d'), self.state
        self.state = other
        self.check_told()
        self.check_already()
        self.check_told('-f')
        self.state = first
        self.check_already()

    def test_a_copy_made_anew_is_another_directory(self):
        for n in range(2):
            state = self.make_state('copy')
            self.put('sm/peer', line(A, f'srv{n}'), state=state)
            self.notify(state=state)
            self.assertIn(f'srv{n}', self.peers.names(A))
            os.rename(state, self.path(f'gone{n}'))

    def test_failure_leaves_no_guard(self):
        self.put_peer()
        self.assertIn('203.0.113.77', self.notify('-v', '203.0.113.77', status=1))
        self.assertEqual(os.listdir(self.run_dir), [])
        self.assertEqual(self.names('sm'), ['peer'])
        self.check_told()

    def test_given_up_is_gone_on_with(self):
        self.peers.silent.add(A)
        self.put('sm/peer', line(A, 'srv'))
        self.put('sm/other', line(B, 'srv'))
        self.notify('--retry-seconds', '2', status=1)
        self.put('sm/live', line(C, 'srv'))
        self.peers.silent.clear()
        self.notify()
        self.assertEqual(sorted(self.peers.told), [(A, 'srv', 3), (B, 'srv', 3)])
        self.assertEqual((self.names('sm'), self.names('sm.bak')), (['live'], []))
        self.assertIn('already', self.notify())


class ProcessTest(sm_fixture.Case):
    """Cases 64 to 66, 74, and 39: who we are, and how we end."""

    def status_of(self, pid):
        lines = xtest.text_of(f'/proc/{pid}/status').splitlines()
        return {key: value.split() for key, _, value in (text.partition(':') for text in lines)}

    def spawn_silent(self, *args):
        self.peers.silent.add(A)
        self.put('sm/peer', line(A, 'srv'))
        d = self.spawn(self.argv(*args))
        xtest.wait_for(lambda: A in self.peers.asked, 'a packet')
        return d

    def check_nothing_left(self, d, user):
        status = self.status_of(d.pid)
        self.assertEqual(status['Uid'], [str(user)] * 4)
        self.assertEqual(status['Gid'], [str(user)] * 4)
        self.assertEqual(status['Groups'], [])
        for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
            self.assertEqual(int(status[name][0], 16), 0, name)
        self.assertEqual(status['NoNewPrivs'], ['1'])
        if not xtest.is_sanitized('sm-notify'):
            self.assertEqual(status['Seccomp'], ['2'])

    def test_64_rights(self):
        d = self.spawn_silent()
        self.check_nothing_left(d, sm_fixture.OWNER)

    def test_65_owner_is_root(self):
        for folder in ('sm', 'sm.bak'):
            os.chown(os.path.join(self.state, folder), 0, 0)
        self.peers.silent.add(A)
        self.put('sm/peer', line(A, 'srv'), owner=0)
        d = self.spawn(self.argv())
        xtest.wait_for(lambda: A in self.peers.asked, 'a packet')
        self.assertIn('belongs to root', d.stderr())
        self.check_nothing_left(d, 0)

    def test_66_started_as_the_owner(self):
        def become():
            os.setgroups([])
            os.setresgid(*[sm_fixture.OWNER] * 3)
            os.setresuid(*[sm_fixture.OWNER] * 3)
        self.set_number(5)
        self.put('sm/peer', line(A, 'srv'))
        self.notify('-n', preexec_fn=become)
        self.assertEqual(self.peers.told, [(A, 'srv', 5)])
        self.put('sm/peer', line(A, 'srv'))
        self.assertIn('state: not written', self.notify(preexec_fn=become, status=1))
        os.chown(self.state, sm_fixture.OWNER, sm_fixture.OWNER)
        self.notify(preexec_fn=become)
        self.assertEqual(self.peers.told[-1], (A, 'srv', 7))

    def test_66_started_as_a_stranger(self):
        log = self.notify(status=1, preexec_fn=lambda: os.setresuid(4711, 4711, 4711))
        self.assertIn('Permission denied', log)

    def test_39_ended_by_a_signal(self):
        d = self.spawn_silent('-m', '0')
        d.send_signal(signal.SIGTERM)
        self.assertEqual(d.wait(), -signal.SIGTERM)
        self.assertEqual(self.names('sm.bak'), ['peer'])

    def find_daemon(self):
        names = [n for n in os.listdir(self.run_dir) if n.endswith('.pid')]
        return int(xtest.text_of(os.path.join(self.run_dir, names[0])).split()[0])

    def test_74_background(self):
        self.peers.silent.add(A)
        self.put('sm/peer', line(A, 'srv'))
        self.notify(foreground=False)
        pid = self.find_daemon()
        self.addCleanup(self.end, pid)
        self.assertTrue(os.path.exists(f'/proc/{pid}'))  # its parent did not wait for peers
        self.assertEqual(self.peers.told, [])
        for fd in (0, 1, 2):
            self.assertEqual(os.readlink(f'/proc/{pid}/fd/{fd}'), '/dev/null')
        self.assertEqual(os.readlink(f'/proc/{pid}/cwd'), '/')
        self.assertEqual(os.getsid(pid), pid)
        xtest.wait_for(lambda: A in self.peers.asked, 'a packet')
        self.peers.silent.clear()
        xtest.wait_for(lambda: not self.names('sm.bak'), 'the peer told')
        xtest.wait_for(lambda: not os.path.exists(f'/proc/{pid}'), 'its end')
        self.assertIn('already', self.notify())

    @staticmethod
    def end(pid):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass

    def test_74_syslog(self):
        """A line for each peer not told, seen at a /dev/log of our own."""
        self.require('unshare')
        self.peers.silent.update((A, B))
        for name, address in (('one', A), ('two', B), ('three', C)):
            self.put(f'sm/{name}', line(address, 'srv'))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.bind(self.path('log'))
            os.chmod(self.path('log'), 0o666)
            log.settimeout(20)
            script = ('mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && '
                      'mknod -m 444 /dev/urandom c 1 9 && touch /dev/log && '
                      f'mount --bind {self.path("log")} /dev/log && exec "$@"')
            self.notify('--retry-seconds', '2', foreground=False,
                        prefix=['unshare', '-m', 'sh', '-c', script, 'sh'])
            self.addCleanup(self.end, self.find_daemon())
            lines = []
            while not any('peers notified' in text for text in lines):
                lines.append(log.recv(4096).decode())
        told = [text for text in lines if 'not notified:' in text]
        self.assertEqual(len(told), 2, lines)
        self.assertEqual({re.search(r'(\w+): not notified', text)[1] for text in told},
                         {'one', 'two'})
        self.assertTrue(all('sm-notify[' in text for text in lines), lines)

    def test_failure_in_the_background_is_seen(self):
        self.put('sm/peer', line(A, 'srv'))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(('0.0.0.0', 0))
            port = s.getsockname()[1]
            self.assertIn('in use', self.notify('-p', str(port), foreground=False, status=1))
        self.assertEqual(self.names('sm.bak'), ['peer'])
        self.assertEqual(os.listdir(self.run_dir), [])
        self.notify()
        self.assertEqual(self.peers.told, [(A, 'srv', 5)])

    def test_72_no_room(self):
        self.set_number(5)
        self.put('sm/peer', line(A, 'srv'))
        prefix, _ = self.traced('fsync', '-e', 'inject=fsync:error=ENOSPC')
        self.notify(status=1, prefix=prefix)
        self.assertEqual((self.number(), self.peers.asked), (5, set()))
        self.assertEqual(self.names('sm') + self.names('sm.bak'), ['peer'])
        self.assertEqual(sorted(os.listdir(self.state)), ['sm', 'sm.bak', 'state'])

    def test_memory(self):
        """100,000 records within 16 MiB."""
        if xtest.is_sanitized('sm-notify'):
            self.skipTest('a sanitizer needs more')
        self.state = self.make_state(os.path.join(self.mount('tmpfs', '512m'), 'large'))
        os.chmod(os.path.dirname(self.state), 0o755)
        folder = os.path.join(self.state, 'sm')
        for n in range(100000):
            fd = os.open(f'{folder}/client{n}.lab.test', os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(fd, line(f'127.1.{n >> 8 & 255}.{n & 255}', 'srv.lab.test').encode())
            os.fchown(fd, sm_fixture.OWNER, sm_fixture.OWNER)
            os.close(fd)
        d = self.spawn(self.argv('--rpcbind-port', '9', '--retry-seconds', '20'))
        xtest.wait_for(lambda: os.listdir(self.run_dir), 'the root phase', 60)
        time.sleep(3)  # it goes on with telling
        peak = re.search(r'VmHWM:\s+(\d+)', xtest.text_of(f'/proc/{d.pid}/status'))[1]
        d.send_signal(signal.SIGTERM)
        d.wait()
        self.assertLess(int(peak), 16 * 1024)


class SettingsTest(sm_fixture.Case):
    """Cases 75 and 76."""

    def conf(self, text, name=None):
        with open(name or self.config(), 'w') as f:
            f.write(text)

    def test_75_keys(self):
        self.peers.silent.add(A)
        self.put('sm/peer', line(A, 'srv'))
        self.conf(f'[statd]\nstate-directory-path={self.state}\n'
                  '[sm-notify]\nupdate-state=n\nlift-grace=n\nretry-time=900\n')
        self.set_number(5)
        argv = [a for a in self.argv() if a not in ('--state-directory-path', self.state)]
        d = self.spawn(argv)
        xtest.wait_for(lambda: A in self.peers.asked, 'a packet')
        self.assertEqual((self.number(), os.listdir(self.run_dir)), (5, []))
        d.kill()

    def test_75_order(self):
        os.mkdir(self.config() + '.d')
        state = self.make_state('from-d')
        self.conf('[statd]\nstate-directory-path=/nowhere\ninclude=more\n')
        self.conf('state-directory-path=/nowhere/else\n', self.path('more'))
        self.conf(f'[statd]\nstate-directory-path={state}\n', self.config() + '.d/a.conf')
        argv = [a for a in self.argv() if a not in ('--state-directory-path', self.state)]
        self.run_cmd(*argv)
        self.assertEqual(self.number(state), 3)
        self.assertFalse(os.path.exists(os.path.join(self.state, 'state')))
        self.notify()  # the command line wins
        self.assertEqual(self.number(), 3)

    def test_75_bad_values_are_named(self):
        for key, value in (('retry-time', 'abc'), ('outgoing-port', '70000'), ('force', 'perhaps')):
            self.conf(f'[sm-notify]\n{key} = {value}\n')
            self.put('sm/peer', line(A, 'srv'))
            self.assertIn(f'[sm-notify] {key} = {value}', self.notify('-f'))
        self.assertEqual(len(self.peers.told), 3)  # and all the same peers are told

    def test_76_usage(self):
        self.put('sm/peer', line(A, 'srv'))
        for args in (['-m', 'abc'], ['-m', '-5'], ['-m', '99999999999'], ['-p', '0'],
                     ['-p', '65536'], ['-p', 'x'], ['operand'], ['-q'], ['--nothing'],
                     ['--config', self.path('absent')]):
            self.assertIn('Usage', self.notify(*args, status=1))
        self.assertEqual((self.names('sm'), self.peers.asked), (['peer'], set()))

    def test_help_and_version(self):
        for option in ('--help', '-h', '--version', '-V'):
            self.assertIn('sm-notify', self.run_cmd(xtest.program('sm-notify'), option))


class RaceTest(sm_fixture.Case):
    """Case 21: records replaced by links to a secret all the time."""

    def test_links(self):
        secret = self.put('secret', line(D, 'secret'), owner=0)
        record = self.put('record', line(A, 'srv'))
        target, beside = os.path.join(self.state, 'sm/peer'), os.path.join(self.state, 'beside')
        end = threading.Event()

        def replace():
            while not end.is_set():
                os.symlink(secret, beside)
                os.rename(beside, target)
                os.link(record, beside)
                os.rename(beside, target)
        thread = threading.Thread(target=replace)
        thread.start()
        try:
            for _ in range(60):
                self.notify('-f', status=None)
        finally:
            end.set()
            thread.join()
        self.assertEqual({a for a, _, _ in self.peers.told} - {A}, set())
        self.assertEqual(self.content('secret').decode(), line(D, 'secret'))


if __name__ == '__main__':
    xtest.main()
