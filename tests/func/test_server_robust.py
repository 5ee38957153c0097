# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that are silent, greedy, slow, many, short-lived or killed, and the end under load:
xnbd-server keeps its memory bounded, serves the others and tears no write."""

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE = 64 * MIB
SANITIZED = xtest.is_sanitized()


class Robust(xtest.Case):

    def setUp(self):
        super().setUp()
        self.file = self.image(SIZE)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def client(self, server, mode='simple', timeout=30.0):
        c = n.Raw(server.socket, timeout).enter(mode)
        self.addCleanup(c.close)
        return c

    def silent(self, server, count, sent=b''):
        """Connections that say nothing (more)."""
        socks = []
        for _ in range(count):
            socks.append(xtest.connect(server.socket))
            self.addCleanup(socks[-1].close)
            socks[-1].sendall(sent)
        return socks

    def assert_served(self, server, seconds):
        """A new client connects, writes and reads 200 times in this time."""
        begin = time.monotonic()
        c = self.client(server)
        for i in range(200):
            data = bytes([i]) * 4096
            self.assertEqual(c.write(i * 8192, data).error, 0)
            self.assertEqual(c.read(i * 8192, 4096), data)
        c.disconnect()
        if not SANITIZED:
            self.assertLess(time.monotonic() - begin, seconds)

    def assert_memory(self, server, limit):
        if not SANITIZED:
            self.assertLess(xtest.pss(server.pid), limit)


class Silent(Robust):

    def test_2000_silent_connections(self):
        server = self.serve(self.file)
        socks = self.silent(server, 1000) + self.silent(server, 1000, b'\0\0\0\3' + n.IHAVEOPT)
        self.assert_served(server, 3)
        self.assert_memory(server, 64 * MIB)
        xtest.wait_for(lambda: xtest.count_fds(server.pid) >= 2000, 'all are accepted')
        for s in socks:
            s.close()
        xtest.wait_for(lambda: xtest.count_fds(server.pid) < 100, 'all are forgotten')
        server.stop()

    def test_more_than_the_limit_of_handshakes(self):
        """The oldest unfinished ones give way: a new client always comes in."""
        server = self.serve(self.file)
        self.silent(server, 4500)
        self.assert_served(server, 5)
        self.assertTrue(xtest.wait_for(lambda: xtest.count_fds(server.pid) < 4200, 'limit'))
        server.stop()


class Greedy(Robust):
    """One lane, so that everybody shares its memory and thread."""

    def test_client_that_never_reads(self):
        server = self.serve(self.file, '--threads=1')
        for _ in range(3):
            c = self.client(server)
            c.sock.setblocking(False)
            self.send_while_possible(c)
        self.assert_served(server, 3)
        self.assert_memory(server, 3 * 64 * MIB + 48 * MIB)
        server.stop(seconds=20)

    def send_while_possible(self, c):
        """READs of 1 MiB until the server takes no more."""
        request, end = c.request_bytes(n.READ, 0, MIB), time.monotonic() + 0.5
        while time.monotonic() < end:
            try:
                c.sock.send(request)
            except BlockingIOError:
                time.sleep(0.05)

    def test_announced_writes_that_never_come(self):
        """They hold memory without progress: short requests have their own, and in a while the
        holders are ended, so that those who wait for as much get in."""
        server = self.serve(self.file, '--threads=1', '--max-buf-size=256M')
        stalled = [self.client(server) for _ in range(8)]
        for c in stalled:
            c.send(c.request_bytes(n.WRITE, 0, 64 * MIB) + b'x' * 1000)
        time.sleep(0.3)
        begin = time.monotonic()
        self.assert_served(server, 20)
        if not SANITIZED:
            self.assertLess(time.monotonic() - begin, 3)
        self.assert_memory(server, 48 * MIB)
        xtest.wait_for(lambda: 'stalled' in server.stderr(), 'an end of the stalled', 20)
        for c in stalled:
            c.close()
        server.stop()

    def test_trickle_is_no_progress(self):
        """64 MiB writes that arrive byte by byte stop neither short requests nor, for long, others."""
        server = self.serve(self.file, '--threads=1', '--max-buf-size=256M')
        slow = [self.client(server) for _ in range(4)]
        for c in slow:
            c.send(c.request_bytes(n.WRITE, 0, 64 * MIB))
        end = time.monotonic() + 20
        while 'stalled' not in server.stderr():
            self.assertLess(time.monotonic(), end)
            self.assert_served(server, 2)
            for c in slow:
                try:
                    c.sock.send(b'x')
                except OSError:
                    pass
            time.sleep(0.5)
        for c in slow:
            c.close()
        server.stop()

    def test_slow_reader_holds_nobody_up(self):
        server = self.serve(self.file, '--threads=1')
        c = self.client(server)
        for _ in range(20):
            c.request(n.READ, 0, 2 * MIB)
        for _ in range(50):
            c.sock.recv(1)
        self.assert_served(server, 3)
        c.close()
        server.stop()

    def test_tightest_limits(self):
        """One request and one buffer at a time: slow, but nothing is lost or stuck."""
        server = self.serve(self.file, '--threads=1', '--max-queue-size=1', '--max-buf-size=1')
        xtest.in_threads(*[lambda i=i: self.pipelined(server, i) for i in range(4)])
        server.stop()

    def pipelined(self, server, seed):
        c, rnd = self.client(server, 'extended'), random.Random(seed)
        base, data = seed * 16 * MIB, {}
        for _ in range(40):
            at = base + rnd.randrange(60) * 256 * KIB
            data[at] = rnd.randbytes(rnd.choice((1, 4096, 200000)))
        c.send(b''.join(c.write_bytes(at, d) for at, d in data.items()))
        self.assertEqual({r.error for r in c.replies(len(data))}, {0})
        order = {}
        for at, d in data.items():
            order[c.next_cookie] = d
            c.request(n.READ, at, len(d))
        for reply in c.replies(len(data)):
            self.assertTrue(reply.data == order[reply.cookie])
        c.disconnect()


class Many(Robust):

    def test_300_connections_with_data(self):
        server = self.serve(self.file)
        clients = [self.client(server, 'structured') for _ in range(300)]
        for round_number in range(5):
            for i, c in enumerate(clients):
                c.send(c.write_bytes(i * 64 * KIB, bytes([i % 251, round_number]) * 8192))
            for c in clients:
                self.assertEqual(c.reply().error, 0)
            for i, c in enumerate(clients):
                c.request(n.READ, (299 - i) * 64 * KIB, 16384)
            for i, c in enumerate(clients):
                want = bytes([(299 - i) % 251, round_number]) * 8192
                self.assertTrue(c.reply().data == want)
        for c in clients:
            c.disconnect()
        server.stop()

    def test_3000_short_sessions_leave_nothing(self):
        server = self.serve(self.file)
        self.sessions(server, 300)
        xtest.wait_for(lambda: xtest.count_fds(server.pid) < 60, 'first sessions end')
        fds, threads = xtest.count_fds(server.pid), xtest.count_threads(server.pid)
        memory = xtest.pss(server.pid)
        self.sessions(server, 3000)
        xtest.wait_for(lambda: xtest.count_fds(server.pid) <= fds, 'descriptors')
        self.assertLessEqual(xtest.count_threads(server.pid), threads + 2)
        if not SANITIZED:
            self.assertLess(xtest.pss(server.pid) - memory, 2 * MIB)
        server.stop()

    def sessions(self, server, count):
        """Of all lengths, from a bare connect to an orderly end."""
        for i in range(count):
            c = n.Raw(server.socket)
            if i % 5 > 0:
                c.greet()
            if i % 5 == 1:
                c.option(n.OPT_ABORT)
            if i % 5 > 1:
                c.go()
            if i % 5 > 2:
                c.read(0, 512)
            if i % 5 > 3:
                c.request(n.DISC)
            c.close()


class Killed(Robust):

    def fio(self, server, *args):
        return self.spawn(['fio', '--name=load', '--ioengine=nbd', f'--uri={server.uri}',
                           '--thread', '--rw=randrw', '--bs=64k', '--size=64m', '--iodepth=16',
                           '--time_based', '--runtime=30', *args], cwd=self.dir)

    def test_clients_killed_in_the_middle(self):
        self.require('fio')
        server = self.serve(self.file)
        survivor = self.client(server)
        before = xtest.count_fds(server.pid)
        for _ in range(3):
            jobs = [self.fio(server) for _ in range(3)]
            xtest.wait_for(lambda: xtest.count_fds(server.pid) > before, 'load')
            time.sleep(0.3)
            for job in jobs:
                job.kill()
            self.assertTrue(survivor.in_sync())
        xtest.wait_for(lambda: xtest.count_fds(server.pid) <= before, 'descriptors')
        survivor.disconnect()
        server.stop()


class Load:
    """A client that writes its own region, 8 blocks in flight, until the server ends."""

    BLOCK = 4096

    def __init__(self, case, server, number, blocks):
        self.case, self.number, self.blocks = case, number, blocks
        self.client = case.client(server)
        self.rnd = random.Random(number)
        self.sent, self.durable = {}, {}  # cookie: (block, stamp); block: last stamp acknowledged
        self.stamp, self.errors, self.replies = 0, set(), 0

    def send_one(self):
        """Never two requests for one block at once: their order would be open."""
        busy = {block for block, _ in self.sent.values()}
        block = self.rnd.choice([b for b in range(self.blocks) if b not in busy])
        self.stamp = self.stamp % 250 + 1
        self.sent[self.client.next_cookie] = block, self.stamp
        data = bytes([self.stamp]) * self.BLOCK
        self.client.send(self.client.write_bytes(self.offset(block), data))

    def offset(self, block):
        return (self.number * self.blocks + block) * self.BLOCK

    def run(self):
        try:
            for _ in range(8):
                self.send_one()
            while self.sent:
                self.take_one()
                if not self.errors:
                    self.send_one()
            self.client.expect_end()
        except (n.Closed, BrokenPipeError, ConnectionResetError):
            pass  # the server ended between two requests

    def take_one(self):
        reply = self.client.reply()
        block, stamp = self.sent.pop(reply.cookie)
        self.replies += 1
        if reply.error:
            self.errors.add(reply.error)
        else:
            self.durable[block] = stamp

    def check(self, f):
        """Acknowledged writes are there, unanswered ones are there completely or not at all."""
        open_writes = {}
        for block, stamp in self.sent.values():
            open_writes.setdefault(block, set()).add(stamp)
        for block in range(self.blocks):
            f.seek(self.offset(block))
            data = f.read(self.BLOCK)
            self.case.assertEqual(len(set(data)), 1, f'torn block {block}')
            allowed = {self.durable.get(block, 0)} | open_writes.get(block, set())
            self.case.assertIn(data[0], allowed, f'block {block}')


class TheEnd(Robust):

    def test_93_sigterm_under_load(self):
        server = self.serve(self.file)
        loads = [Load(self, server, i, 64) for i in range(4)]
        threads = [threading.Thread(target=load.run) for load in loads]
        for t in threads:
            t.start()
        time.sleep(0.5)
        begin = time.monotonic()
        server.stop(seconds=8)
        self.assertLess(time.monotonic() - begin, 8)
        for t in threads:
            t.join()
        for load in loads:
            self.assertGreater(load.replies, 20)
            self.assertEqual(load.errors, set())  # none is told what it cannot repeat elsewhere
            with open(self.file, 'rb') as f:
                load.check(f)

    def test_93_sigterm_under_fio(self):
        self.require('fio')
        server = self.serve(self.file)
        fds = xtest.count_fds(server.pid)
        jobs = [Killed.fio(self, server) for _ in range(2)]
        xtest.wait_for(lambda: xtest.count_fds(server.pid) >= fds + 2, 'load')
        time.sleep(0.5)
        server.stop(seconds=8)
        for job in jobs:
            job.wait(20)

    def test_93_requests_during_the_end(self):
        """A client in the middle of a request keeps its connection for a moment; what follows is
        served, or not begun: a client that connects again repeats it and sees no error."""
        server = self.serve(self.file)
        c = self.client(server, 'structured')
        message = c.write_bytes(0, b'whole' * 1000)
        c.send(message[:1000])
        time.sleep(0.2)
        server.send_signal(signal.SIGTERM)
        c.send(message[1000:] + c.request_bytes(n.READ, 0, 512))
        self.assertEqual([r.error for r in c.replies(2)], [0, 0])
        c.expect_end()
        with contextlib.suppress(OSError):
            c.send(c.write_bytes(0, b'late'))
        c.close()
        self.assertEqual(server.wait(8), 0)
        with open(self.file, 'rb') as f:
            self.assertEqual(f.read(5000), b'whole' * 1000)

    def test_93_idle_clients_are_let_go_at_once(self):
        server = self.serve(self.file)
        idle = [self.client(server) for _ in range(20)]
        server.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        for c in idle:
            c.expect_end()
            c.close()
        self.assertEqual(server.wait(5), 0)
        self.assertLess(time.monotonic() - begin, 3)
        self.assertNotIn('did not end in time', server.stderr())

    def test_93_stalled_client_does_not_hold_up_the_end(self):
        server = self.serve(self.file)
        c = self.client(server)
        c.send(c.write_bytes(0, b'x' * 4096)[:-1])
        idle = self.client(server)
        begin = time.monotonic()
        server.stop(seconds=8)
        self.assertLess(time.monotonic() - begin, 8)
        self.assertNotIn('did not end in time', server.stderr())  # it was not begun
        idle.expect_end()
        with open(self.file, 'rb') as f:
            self.assertEqual(f.read(4096), bytes(4096))

    def test_93_handshakes_during_the_end(self):
        server = self.serve(self.file)
        busy = self.client(server)
        busy.send(busy.write_bytes(0, b'x' * 100)[:-1])
        c = n.Raw(server.socket)
        c.greet()
        time.sleep(0.2)  # both are on their way in the server
        server.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        kind, text = c.option(n.OPT_LIST)[-1]
        self.assertEqual(kind, n.REP_ERR + 7, text)
        c.close()
        busy.send(b'x')
        self.assertEqual(busy.reply().error, 0)
        busy.close()
        self.assertEqual(server.wait(8), 0)


if __name__ == '__main__':
    xtest.main()
