# SPDX-License-Identifier: GPL-2.0-or-later
"""lib/ssh on the real sshd: much data in either direction, how a command ended, and deadlines."""

import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_proxy  # noqa: E402
import xtest  # noqa: E402
from stonith_proxy import PORT, PROXY  # noqa: E402

AMOUNT = int(os.environ.get('SSH_MIB', '200')) * xtest.MIB
MEMORY_KIB = 64 * 1024  # what may be resident; a window of SSH is 2 MiB
# Keys are exchanged anew within the data. Each time the library (1.10) loses the host key it has.
REKEY, NO_LEAKS = ['RekeyLimit 32M'], {**os.environ, 'ASAN_OPTIONS': 'detect_leaks=0'}
ASKED = 'true'  # our command is never run, as the key has one


class Ssh(stonith_proxy.Case):

    def start(self, command, **options):
        if hasattr(self, 'key'):
            self.sshd.kill()
        else:
            self.key = self.make_key('n2')
        self.start_sshd({self.key: command}, **options)

    def argv(self, ms=120000):
        return [*self.node.prefix, xtest.program('ssh_pass'), PROXY, str(PORT), self.key,
                self.public(self.host_key), str(ms), ASKED]

    def pass_on(self, data=b'', ms=120000, status=0):
        p = subprocess.run(self.argv(ms), input=data, capture_output=True, timeout=240, check=False)
        self.assertEqual(p.returncode, status, p.stderr.decode() + self.sshd.stderr()[-2000:])
        return p.stdout, p.stderr.decode()

    def assert_small(self, pid):
        """It ends with status 0, and never had the data in memory."""
        _, status, usage = os.wait4(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        with open(xtest.program('ssh_pass'), 'rb') as f:
            text = f.read()
        if b'__asan_init' not in text and b'__tsan_init' not in text:
            self.assertLess(usage.ru_maxrss, MEMORY_KIB)

    def test_much_from_there(self):
        self.start(f'head -c {AMOUNT} /dev/zero', more=REKEY)
        with subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, env=NO_LEAKS) as p:
            total = 0
            while data := p.stdout.read(xtest.MIB):
                self.assertFalse(data.strip(b'\0'))
                total += len(data)
            self.assert_small(p.pid)
            p.returncode = 0
        self.assertEqual(total, AMOUNT)

    def test_much_to_there(self):
        self.start('sha256sum', more=REKEY)
        piece, out = os.urandom(xtest.MIB), self.path('sum')
        total = hashlib.sha256()
        with open(out, 'wb') as f:
            p = subprocess.Popen(self.argv(), stdin=subprocess.PIPE, stdout=f,
                                 env=NO_LEAKS)
            for _ in range(AMOUNT // len(piece)):
                p.stdin.write(piece)
                total.update(piece)
            p.stdin.close()
            self.assert_small(p.pid)
            p.returncode = 0
        self.assertEqual(xtest.text_of(out).split()[0], total.hexdigest())

    def test_turns(self):
        """A window of answers may be there before they are read."""
        self.start('cat')
        data = os.urandom(xtest.MIB)
        self.assertEqual(self.pass_on(data)[0], data)

    def test_status(self):
        for command, status in (('true', 0), ('exit 7', 7),
                                ('exec >&- 2>&-; sleep 1; exit 8', 8)):
            self.start(command)
            self.pass_on(status=status)

    def test_signal(self):
        self.start('kill -KILL $$')
        self.assertIn('status: ', self.pass_on(status=100)[1])

    def test_complaint(self):
        self.start('echo first >&2; echo second >&2; exit 3')
        self.assertEqual(self.pass_on(status=3)[1], 'it says: first\n')

    def test_cut(self):
        """A connection that breaks off is no end of the output."""
        self.start('echo begin; sleep 1; kill -KILL $PPID; sleep 60')
        out, text = self.pass_on(status=100)
        self.assertEqual(out, b'begin\n')
        self.assertIn('reading: ', text)

    def test_deadlines(self):
        """Also of one that always has more to say, and of two who talk and do not listen."""
        for command, data, text in (('sleep 60', b'', 'reading: '), ('yes', b'', 'reading: '),
                                    ('sleep 60', bytes(8 * xtest.MIB), 'writing: '),
                                    ('yes; cat', bytes(8 * xtest.MIB), 'writing: '),
                                    ('exec >&- 2>&-; sleep 60', b'', 'status: ')):
            with self.subTest(command):
                self.start(command)
                said = self.pass_on(data, ms=4000, status=100)[1]
                self.assertEqual(said, f'{text}{os.strerror(110)}\n')


if __name__ == '__main__':
    xtest.main(at_once=3)
