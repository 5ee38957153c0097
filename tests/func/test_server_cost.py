# SPDX-License-Identifier: GPL-2.0-or-later
"""What hot requests cost, counted in system calls of the server: a guard against slowly losing what
makes it fast. No clock is looked at, so busy machines do not matter.

Requests come 32 (or 8 long ones) in one send and the next come when all are answered, so a server
that takes all there is and answers all at once needs few calls. Busy polling is off: it looks as
often as there is time.
"""

import os
import random
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE, ROUNDS = 16 * MIB, 60

# How often threads meet at a lock is the scheduler's doing, not the code's: not counted.
SCHEDULED = ('futex', 'restart_syscall')


class Cost(xtest.Case):

    def setUp(self):
        super().setUp()
        self.require('strace', root=True)

    def serve_on(self, folder):
        self.server = self.serve(self.image(SIZE, pattern=1, folder=folder), '--busy-poll=0')
        self.client = n.Raw(self.server.socket).enter('simple')
        self.addCleanup(self.client.close)

    def round(self, kind, length, depth, rnd):
        """DEPTH requests in one send, then all replies."""
        sent = []
        for _ in range(depth):
            at = rnd.randrange(SIZE // length) * length
            if kind == n.WRITE:
                sent.append(self.client.write_bytes(at, bytes(length)))
            else:
                sent.append(self.client.request_bytes(kind, at, length))
        self.client.send(b''.join(sent))
        for reply in self.client.replies(depth):
            self.assertEqual(reply.error, 0)

    def rounds(self, *request):
        rnd = random.Random(1)
        for _ in range(ROUNDS):
            self.round(*request, rnd)

    def calls_per_thousand(self, kind, length, depth):
        self.rounds(kind, length, depth)  # so that everything is warm
        out = self.path('strace')
        tracer = subprocess.Popen(['strace', '-f', '-c', '-U', 'calls,name', '-o', out, '-p',
                                   str(self.server.pid)], stderr=subprocess.PIPE, text=True)
        self.addCleanup(tracer.stderr.close)
        self.assertIn('attached', tracer.stderr.readline())
        self.rounds(kind, length, depth)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)
        self.counts = {name: int(calls) for calls, name in
                       (line.split() for line in xtest.text_of(out).splitlines()
                        if line.split()[:1] and line.split()[0].isdigit())}
        for apart in ('total', *SCHEDULED):
            self.counts.pop(apart, None)
        return sum(self.counts.values()) * 1000 / (ROUNDS * depth)

    def at_most(self, limit, *request):
        calls = self.calls_per_thousand(*request)
        self.assertGreater(calls, 1, 'nothing was counted')
        self.assertLessEqual(calls, limit, self.counts)


class Memory(Cost):

    def setUp(self):
        super().setUp()
        self.serve_on(self.mount('tmpfs', '32m'))

    def test_short_reads(self):
        self.at_most(200, n.READ, 4 * KIB, 32)

    def test_short_writes(self):
        self.at_most(1300, n.WRITE, 4 * KIB, 32)

    def test_long_reads(self):
        self.at_most(5000, n.READ, 256 * KIB, 8)

    def test_long_writes(self):
        self.at_most(8000, n.WRITE, 256 * KIB, 8)


class Ext4(Cost):

    def setUp(self):
        super().setUp()
        self.serve_on(self.mount('ext4', 64 * MIB))

    def test_short_reads(self):
        self.at_most(200, n.READ, 4 * KIB, 32)

    def test_reads_of_several_pages(self):
        self.at_most(1900, n.READ, 16 * KIB, 32)

    def test_short_writes(self):
        """ext4 cannot write "without waiting". At worst each completion wakes the lane by itself:
        write, wake, wait, read, send."""
        self.at_most(5100, n.WRITE, 4 * KIB, 32)

    def test_long_reads(self):
        self.at_most(6000, n.READ, 256 * KIB, 8)


if __name__ == '__main__':
    xtest.main()
