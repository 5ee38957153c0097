# SPDX-License-Identifier: GPL-2.0-or-later
"""lvm_copy to and from another host by ssh, and what the far side lets nobody do."""

import fcntl
import json
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import lvm_copy  # noqa: E402
import sshd  # noqa: E402
import xtest  # noqa: E402
from lvm_copy import CHUNK  # noqa: E402
from xtest import MIB  # noqa: E402

SMALL = f'--chunk={CHUNK}'
METHODS = {'plain': (), 'zstd': ('-Z',), 'gzip': ('-z',)}


class Far(lvm_copy.Case):

    def setUp(self):
        super().setUp()
        self.set_up_far()
        os.mkdir(self.path('there'))
        self.there = self.path('there')

    def start_far(self, source, target, *args, reached=4 * MIB // 512):
        d = self.spawn(self.argv(source, target, '--max-rate=1', *self.far, *args))
        partial = target.rsplit(':', 1)[1] + '.partial'
        xtest.wait_for(lambda: os.path.exists(partial) and os.stat(partial).st_blocks >= reached
                       or not d.is_alive(), 'the first chunks', 60)
        self.assertTrue(d.is_alive(), d.stderr())
        return d

    def test_push_and_pull(self):
        source, rnd = self.sparse(5 * MIB + 12345), random.Random(1)
        for name, args in METHODS.items():
            there, here = f'{self.there}/{name}', self.path(name)
            self.copy(f'file:{source}', f'file:far:{there}', SMALL, '--verify=readback',
                      *args, *self.far)
            self.verify(there)
            self.copy(f'file:far:{there}', f'file:{self.path("back")}', '--restore', *self.far)
            self.assert_copy(source, self.path('back'))
            self.copy(f'file:far:{source}', f'file:{here}', SMALL, *args, *self.far)
            self.verify(here)
        for number in range(12):
            self.scribble(source, rnd)
            name = list(METHODS)[number % 3]
            trust = ['--trust'] if number % 2 else []
            for a, b in ((f'file:{source}', f'file:far:{self.there}/{name}'),
                         (f'file:far:{source}', f'file:{self.path(name)}')):
                result = self.copy(a, b, SMALL, '-i', *trust, *METHODS[name], *self.far)
                self.assertGreater(result['unchanged'], 0)
                self.verify(b.split(':')[-1])
            if name == 'plain':
                self.assert_copy(source, f'{self.there}/plain')
                self.assert_copy(source, self.path('plain'))

    def test_both_far(self):
        source = self.sparse(2 * MIB)
        self.copy(f'file:far:{source}', f'file:far:{self.there}/copy', *self.far)
        self.assert_copy(source, f'{self.there}/copy')

    def test_device(self):
        source = self.sparse(4 * MIB)
        device = self.loop_device(self.image(6 * MIB, 'disk', pattern=4))
        manifests = '/var/lib/xnbd/lvm_copy/'
        name = manifests + device.replace('/', '%2F') + '.manifest'
        self.addCleanup(lambda: os.path.exists(name) and os.unlink(name))
        for _ in range(2):
            result = self.copy(f'file:{source}', f'dev:far:{device}', '-i', *self.far)
            self.assert_copy(source, device, 4 * MIB)
        self.assertEqual(result['unchanged'], 4)
        self.assertEqual(result['manifest'], name)
        big = self.image(7 * MIB, 'big')
        self.refused(f'file:{big}', f'dev:far:{device}', *self.far, say='bytes, the source')

    def test_cut(self):
        """ssh dies: the last copy is as it was, and the next run goes on."""
        old, source = self.image(MIB, 'old', pattern=1), self.image(12 * MIB, 'src', pattern=3)
        for a, b in ((f'file:{source}', f'file:far:{self.there}/copy'),
                     (f'file:far:{source}', f'file:{self.path("copy")}')):
            path = b.split(':')[-1]
            self.copy(f'file:{old}', f'file:{path}')
            d = self.start_far(a, b)
            for child in self.children(d.pid):
                os.kill(child, signal.SIGKILL)
            self.assertEqual(d.wait(60), 1)
            self.assertEqual(d.stderr().count('lvm_copy: error: far: '), 1, d.stderr())
            self.verify(path)
            self.assert_copy(old, path)
            # The other side may take a moment to see that nobody is there any more.
            result = xtest.wait_for(lambda: self.try_resume(a, b), 'resume')
            self.assertIn('"resumed":', result)
            self.assertNotIn('"resumed":0,', result)
            self.verify(path)
            self.assert_copy(source, path)

    def try_resume(self, source, target):
        p = self.run_cmd(*self.argv(source, target, '-r', '--json', *self.far), status=None)
        if p.returncode != 0:
            self.assertIn('another lvm_copy', p.stderr)
        return p.returncode == 0 and p.stdout

    def test_errors_come_back(self):
        source = self.image(24 * MIB, 'src', pattern=3)
        small = self.mount('tmpfs', '4m')
        # sshd has a mount namespace of its own, made from ours.
        self.refused(f'file:{source}', f'file:far:{small}/copy', *self.far, say='No space left')
        self.assertEqual(os.listdir(small), [])
        self.refused(f'file:{source}', 'file:far:/no/such/folder/x', *self.far, say='No such')
        self.refused('file:far:/no/such', f'file:{self.path("x")}', *self.far, say='No such file')
        self.refused(f'file:{source}', 'file:elsewhere.invalid:/x', *self.far, say='ssh')
        self.assertFalse(os.path.exists(self.path('x')))


    def test_verify(self):
        """A copy is compared where it lies; only the result comes."""
        source = self.sparse(5 * MIB + 12345)
        for name, args in METHODS.items():
            there = f'{self.there}/{name}'
            self.copy(f'file:{source}', f'file:far:{there}', SMALL, *args, *self.far)
            said = self.verify(f'file:far:{there}', '--json', *self.far)
            self.assertEqual(json.loads(said),
                             {'success': True, 'size': 5 * MIB + 12345, 'chunks': 81})
            with open(there, 'r+b') as f:
                f.seek(-1, os.SEEK_END)
                f.write(b'!')
            self.assertIn('damaged', self.verdict(f'file:far:{there}', True)['error'])
        os.unlink(f'{self.there}/plain')
        self.assertIn('No such file', self.verdict(f'file:far:{self.there}/plain', False)['error'])
        self.assertIn('nowhere.invalid: cannot be reached',
                      self.verdict('file:nowhere.invalid:/x', False)['error'])
        p = self.run_cmd(xtest.program('lvm_copy'), '--verify', 'file:far:/x', '-m', '/y',
                         status=None)
        self.assertEqual(p.returncode, 2)

    def verdict(self, copy, damaged):
        """What is said of one that cannot be found good."""
        found = json.loads(self.verify(copy, '--json', *self.far, status=1))
        self.assertEqual((found['success'], found['damaged']), (False, damaged), found)
        return found


class Cut(lvm_copy.Case):
    """Nobody answers, and nobody says so: who is told to end does not wait for that."""

    def setUp(self):
        super().setUp()
        self.lab = sshd.Lab(self, lvm_copy.serve_command())
        self.source = self.image(16 * MIB, 'src', pattern=1)

    def start_there(self, *args):
        return self.spawn([*self.lab.a.prefix, *self.argv(
            f'file:{self.source}', f'file:far:{self.path("copy")}', '-F', self.lab.far.config,
            *args)])

    def assert_interrupted(self, d):
        d.send_signal(signal.SIGTERM)
        self.assertEqual(d.wait(25), 1)
        self.assertIn('lvm_copy: error: interrupted\n', d.stderr())
        self.assertEqual(d.stderr().count(' error: '), 1)

    def test_while_it_connects(self):
        self.lab.cut()
        d = self.start_there()
        xtest.wait_for(lambda: self.children(d.pid), 'ssh')
        self.assert_interrupted(d)

    def test_while_it_sends(self):
        """The far side's window is full."""
        self.assert_ends_when_stuck()

    def test_while_ssh_has_no_room(self):
        """So it cannot even say that it ends."""
        self.lab.a.run('sysctl', '-qw', 'net.ipv4.tcp_wmem=4096 16384 65536')
        self.assert_ends_when_stuck()

    def assert_ends_when_stuck(self):
        self.image(64 * MIB, 'src', pattern=1)
        d = self.begin('--max-rate=20')
        self.lab.cut()
        xtest.wait_for(lambda: self.is_stuck(d), 'nothing is sent any more')
        self.assert_interrupted(d)

    @staticmethod
    def is_stuck(d):
        before = xtest.text_of(f'/proc/{d.pid}/io')
        time.sleep(1)
        return xtest.text_of(f'/proc/{d.pid}/io').split()[:4] == before.split()[:4]

    def begin(self, *args):
        """The first bytes have arrived."""
        d, partial = self.start_there(*args), self.path('copy.partial')

        def is_begun():
            self.assertTrue(d.is_alive(), d.stderr())
            return os.path.exists(partial) and os.stat(partial).st_blocks
        xtest.wait_for(is_begun, 'begun')
        return d

    def test_silence(self):
        """The far side ends as well, and another one may write there."""
        self.lab.far.allow(lvm_copy.serve_command('--idle', '10'))
        d = self.begin('--max-rate=1')
        self.lab.cut()
        xtest.wait_for(self.is_free, 'the lock', 60, 0.2)
        d.kill()

    def is_free(self):
        with open(self.path('copy.partial')) as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                return False


class Rules(lvm_copy.Case):
    """The far side is a forced command, and believes nothing."""

    def test_prefix(self):
        outside, allowed = self.path('outside'), self.path('allowed')
        os.mkdir(outside)
        os.mkdir(allowed)
        os.symlink(outside, f'{allowed}/link')
        os.symlink(f'{outside}/secret', f'{allowed}/direct')
        os.mkdir(f'{self.path("allowed")}2')
        source = self.image(CHUNK, 'src', pattern=1)
        secret = self.image(CHUNK, 'outside/secret', pattern=2)
        self.set_up_far(lvm_copy.serve_command('--prefix', allowed))
        self.copy(f'file:{source}', f'file:far:{allowed}/copy', *self.far)
        self.assert_copy(source, f'{allowed}/copy')
        self.copy(f'file:far:{allowed}/copy', f'file:{self.path("back")}', *self.far)
        for path in (f'{outside}/x', secret, f'{allowed}/../outside/x', f'{allowed}/link/x',
                     f'{allowed}/direct', f'{allowed}2/x', f'{allowed}//x', '/etc/shadow',
                     f'{allowed}/link/secret', f'{allowed}/./x'):
            with self.subTest(path=path):
                self.refused(f'file:{source}', f'file:far:{path}', *self.far, say='far: ')
                self.refused(f'file:far:{path}', f'file:{self.path("y")}', *self.far,
                             say='far: ')
        os.symlink(self.loop_device(source), f'{allowed}/disk')
        os.lchown(f'{allowed}/disk', 65534, 65534)
        for name in ('direct', 'link/secret', 'disk'):
            with self.subTest(device=name):
                self.refused(f'dev:far:{allowed}/{name}', f'file:{self.path("y")}', *self.far,
                             say='far: ')
                self.refused(f'file:{source}', f'dev:far:{allowed}/{name}', *self.far,
                             say='far: ')
        self.refused(f'file:{source}', 'dev:far:/dev/loop0', *self.far, say='not below')
        self.refused(f'file:{source}', 'lvm:far:/dev/vg/lv', *self.far, say='not below')
        self.assertEqual(os.listdir(outside), ['secret'])
        self.assertEqual(os.listdir(f'{allowed}2'), [])
        self.assertFalse(os.path.exists(self.path('y')))

    def test_name_of_the_source(self):
        """It comes from the other host, and is shown on terminals of this one."""
        source = self.image(CHUNK, 'a\x1b[31mb', pattern=1)
        self.set_up_far(lvm_copy.serve_command('--prefix', self.dir))
        self.copy(f'file:{source}', f'file:far:{self.path("copy")}', *self.far)
        self.assertIn('a\\x1b[31mb', self.verify(self.path('copy')))

    def test_read_only(self):
        source = self.image(CHUNK, 'src', pattern=1)
        self.set_up_far(lvm_copy.serve_command('--read-only'))
        self.copy(f'file:far:{source}', f'file:{self.path("back")}', *self.far)
        self.assert_copy(source, self.path('back'))
        self.refused(f'file:{source}', f'file:far:{self.path("x")}', *self.far, say='read-only')
        self.assertFalse(os.path.exists(self.path('x')))

    def test_nonsense(self):
        """Whatever is said to it, it ends, with an error."""
        rnd = random.Random(3)
        hello = b'\0\0\0\1\0\0\0\x0blvm_copy 2\n'
        for data in (b'', b'x', b'GET / HTTP/1.0\r\n\r\n', hello, hello + hello,
                     hello + b'\0\0\0\2\xff\xff\xff\xff', hello + b'\0\0\0\x0c' + b'\0' * 60,
                     hello + b'\0\0\0\4\0\0\0\x30' + b'\0' * 48,
                     *(hello + bytes([0, 0, 0, rnd.randrange(17), 0, 0, 0, 40]) +
                       rnd.randbytes(40) for _ in range(30))):
            name = self.path('in')
            with open(name, 'wb') as f:
                f.write(data)
            with open(name, 'rb') as f:
                p = self.run_cmd(xtest.program('lvm_copy'), '--serve', status=None, stdin=f)
            self.assertEqual(p.returncode, 1, data)


if __name__ == '__main__':
    xtest.main(at_once=2)
