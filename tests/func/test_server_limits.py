# SPDX-License-Identifier: GPL-2.0-or-later
"""What an export may be limited to: sizes of requests, requests and bytes a second, rest.

Times are only ever bounded from below where a limit says so, and far from above."""

import errno
import os
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from snapshot_fixture import SnapshotCase  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE, BURST = 4 * MIB, 0.1


def cpu_seconds(pid):
    with open(f'/proc/{pid}/stat') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Limits(SnapshotCase):

    def export(self, *args, threads=1):
        self.target(self.image(SIZE, pattern=1), f'--threads={threads}', *args)
        self.base = self.content(self.img)

    def limits(self, **more):
        answer = self.ctl.call('limits', **more)
        self.assertTrue(answer['ok'], answer)
        return answer['limit_requests'], answer['limit_bandwidth']

    def ask(self, c, count, length=512):
        """With one call: a socket that is not read has room for few messages."""
        c.send(b''.join(c.request_bytes(n.READ, i * length % SIZE, length)
                        for i in range(count)))

    def takes_at_least(self, seconds, begin):
        self.assertGreaterEqual(time.monotonic() - begin, seconds)

    def share(self, clients, seconds):
        """How many replies each gets in that time."""
        got, end = [0] * len(clients), time.monotonic() + seconds
        while time.monotonic() < end:
            ready = select.select([c.sock for c in clients], [], [], 0.05)[0]
            for i, c in enumerate(clients):
                if c.sock in ready:
                    self.assertEqual(c.reply().error, 0)
                    got[i] += 1
        return got


class Requests(Limits):

    def test_rate(self):
        """All that was asked is answered, and not sooner than the limit says."""
        self.export('--limit-requests=100')
        c, begin = self.client(), time.monotonic()
        self.ask(c, 200)
        replies = c.replies(200)
        self.takes_at_least(200 / 100 - BURST - 0.05, begin)
        self.assertLess(time.monotonic() - begin, 20)
        for i, r in enumerate(sorted(replies, key=lambda r: r.cookie)):
            self.assertEqual((r.error, r.data), (0, self.base[i * 512:i * 512 + 512]))
        c.disconnect()
        self.server.stop()

    def test_burst(self):
        """A tenth of a second's worth is there at once."""
        self.export('--limit-requests=1000')
        c, begin = self.client(), time.monotonic()
        self.ask(c, 90)
        c.replies(90)
        if not xtest.is_sanitized():
            self.assertLess(time.monotonic() - begin, 0.09)
        self.server.stop()

    def test_every_command_counts(self):
        self.export('--limit-requests=20')
        c, begin = self.client(), time.monotonic()
        for kind in (n.FLUSH, n.TRIM, n.CACHE, n.WRITE_ZEROES, n.BLOCK_STATUS) * 6:
            c.request(kind, 0, 4096 if kind != n.FLUSH else 0)
        c.request(n.READ, SIZE, 1)  # and those that fail
        self.assertEqual([r.error for r in c.replies(31)].count(errno.EINVAL), 1)
        self.takes_at_least(31 / 20 - BURST - 0.1, begin)
        self.server.stop()

    def test_of_all_clients_together(self):
        self.export('--limit-requests=100', threads=2)
        clients, begin = [self.client() for _ in range(4)], time.monotonic()
        for c in clients:
            self.ask(c, 50)
        for c in clients:
            c.replies(50)
        self.takes_at_least(200 / 100 - BURST - 0.05, begin)
        self.server.stop()

    def test_fair(self):
        """Clients who want much get the same, whichever thread they are in; one that asks for one
        thing at a time is not behind all that the others have sent."""
        self.export('--limit-requests=300', threads=2)
        greedy = [self.client() for _ in range(5)]  # three in one thread, two in the other
        for c in greedy:
            self.ask(c, 2000)
        modest, begin = self.client(), time.monotonic()
        for _ in range(5):
            modest.read(0, 512)
        self.assertLess(time.monotonic() - begin, 2)
        got = self.share(greedy, 3)
        self.assertGreater(min(got), 0.5 * max(got), got)
        self.assertLess(sum(got), 300 * 4)
        self.server.stop()

    def test_waiting_is_quiet(self):
        self.export('--limit-requests=10')
        clients = [self.client() for _ in range(20)]
        for c in clients:
            self.ask(c, 20)
        before = cpu_seconds(self.server.pid)
        time.sleep(2)
        self.assertLess(cpu_seconds(self.server.pid) - before, 0.4)
        self.server.stop()

    def test_client_that_leaves_while_it_waits(self):
        self.export('--limit-requests=5')
        for _ in range(5):
            c = self.client()
            self.ask(c, 100)
            c.close()
        xtest.wait_for(lambda: self.connect_and('status')['clients'] == 0, 'all gone')
        self.limits(requests=0)
        self.assertTrue(self.client().in_sync())
        self.server.stop()

    def test_end_of_the_server(self):
        self.export('--limit-requests=1')
        c = self.client()
        self.ask(c, 100)
        begin = time.monotonic()
        self.server.stop()
        self.assertLess(time.monotonic() - begin, 4)
        self.assertEqual({r.error for r in c.replies(100)}, {0})
        c.expect_end()

    def test_resize_meanwhile(self):
        """Who leaves for that is not held up."""
        self.export('--limit-requests=1')
        c = self.client()
        self.ask(c, 100)
        os.truncate(self.img, 2 * SIZE)
        self.assertEqual(self.ctl.call('resize')['ended'], 1)
        self.assertEqual({r.error for r in c.replies(100)}, {0})
        self.assertEqual(c.sock.recv(1), b'')
        self.server.stop()


class Bandwidth(Limits):

    def test_reads_and_writes(self):
        self.export('--limit-bandwidth=1M')
        c, begin = self.client(), time.monotonic()
        for i in range(8):
            c.request(n.READ, i * 128 * KIB, 128 * KIB)
        for i in range(8):
            c.send(c.write_bytes(i * 128 * KIB, bytes([i]) * 128 * KIB))
        self.assertEqual({r.error for r in c.replies(16)}, {0})
        self.takes_at_least(2 - BURST - 0.15, begin)
        self.assertEqual(self.content(self.img)[MIB - 128 * KIB:MIB], b'\7' * 128 * KIB)
        self.server.stop()

    def test_what_moves_nothing_is_free(self):
        self.export('--limit-bandwidth=1K')
        c = self.client()
        for _ in range(50):
            self.assertEqual(c.call(n.WRITE_ZEROES, 0, SIZE).error, 0)
            self.assertEqual(c.call(n.FLUSH).error, 0)
        self.server.stop()

    def test_one_long_request_holds_up_nobody(self):
        """It waits for its turn in slices, others have theirs in between."""
        self.export('--limit-bandwidth=256K')
        long, short = self.client(), self.client()
        long.request(n.READ, 0, MIB)
        time.sleep(0.2)
        begin = time.monotonic()
        for i in range(10):
            short.read(i * 4096, 4096)
        self.assertLess(time.monotonic() - begin, 3)
        self.assertEqual(long.reply().data, self.base[:MIB])
        self.server.stop()


class Change(Limits):

    def test_changed_while_clients_wait(self):
        self.export(threads=2)
        clients = [self.client() for _ in range(4)]
        self.assertEqual(self.limits(requests=1), (1, 0))
        for c in clients:
            self.ask(c, 100)
        self.assertLess(sum(self.share(clients, 1)), 10)
        self.assertEqual(self.limits(bandwidth=MIB), (1, MIB))  # the other one stays
        self.assertEqual(self.limits(requests=0, bandwidth=0), (0, 0))
        begin = time.monotonic()
        for c in clients:
            while c.waiting:
                self.assertEqual(c.reply().error, 0)
        self.assertLess(time.monotonic() - begin, 5)
        status = self.connect_and('status')
        self.assertEqual((status['limit_requests'], status['limit_bandwidth']), (0, 0))
        self.server.stop()

    def test_many_changes_under_load(self):
        self.export(threads=2)
        clients = [self.client() for _ in range(4)]
        for c in clients:
            self.ask(c, 300)
        for i in range(30):
            self.limits(requests=(0, 50, 1000)[i % 3], bandwidth=(0, 100 * KIB)[i % 2])
        self.limits(requests=0, bandwidth=0)
        for c in clients:
            self.assertEqual({r.error for r in c.replies(300)}, {0})
            self.assertTrue(c.in_sync())
        self.server.stop()

    def test_nonsense(self):
        self.export('--limit-requests=7', '--limit-bandwidth=5K')
        for bad in (-1, 'many', 1.5, None, True, 1 << 62):
            for key in ('requests', 'bandwidth'):
                self.refused('limits: requests .* are numbers', 'limits', **{key: bad})
        self.assertEqual(self.limits(), (7, 5 * KIB))
        self.server.stop()


class Blocks(Limits):

    def test_told_and_kept(self):
        self.export('--block-min=4K', '--block-preferred=64K', '--block-max=256K')
        c = n.Raw(self.server.socket)
        c.greet()
        infos = c.go()
        self.assertEqual(infos[n.INFO_BLOCK_SIZE][-12:],
                         b''.join(v.to_bytes(4, 'big') for v in (4 * KIB, 64 * KIB, 256 * KIB)))
        for kind in (n.READ, n.TRIM, n.WRITE_ZEROES, n.CACHE):
            self.assertEqual(c.call(kind, 4096, 4096).error, 0)
            self.assertEqual(c.call(kind, 512, 4096).error, errno.EINVAL)
            self.assertEqual(c.call(kind, 0, 4095).error, errno.EINVAL)
        self.assertEqual(c.write(0, bytes(4096)).error, 0)
        self.assertEqual(c.write(0, bytes(100)).error, errno.EINVAL)
        self.assertEqual(c.call(n.READ, 0, 256 * KIB).error, 0)
        self.assertEqual(c.call(n.READ, 0, 260 * KIB).error, errno.EINVAL)
        self.assertEqual(c.write(0, bytes(256 * KIB)).error, 0)
        self.assertEqual(c.write(0, bytes(260 * KIB)).error, errno.EINVAL)
        self.assertEqual(c.call(n.TRIM, 0, SIZE).error, 0)  # no payload, no limit
        c.disconnect()
        self.server.stop()

    def test_clients_keep_to_them(self):
        self.require('nbdcopy', 'qemu-io', 'nbdinfo')
        self.export('--block-min=4K', '--block-max=64K')
        self.run_cmd('nbdcopy', '--request-size=65536', self.server.uri, self.path('copy'))
        self.assertEqual(self.content(self.path('copy')), self.base)
        self.run_cmd('qemu-io', '-f', 'raw', '-c', 'write -P 5 100 1000', '-c', 'read -P 5 100 1000',
                     '-c', 'write -P 6 1M 1M', self.server.uri)
        now = self.content(self.img)
        self.assertEqual(now[:MIB], self.base[:100] + b'\5' * 1000 + self.base[1100:MIB])
        self.assertEqual(now[MIB:2 * MIB], b'\6' * MIB)
        self.assertEqual(self.connect_and('status')['errors'], 0)
        self.server.stop()

    def test_defaults_follow(self):
        for args, want in (((), (1, 4096, 64 * MIB)),
                           (('--block-min=64K',), (64 * KIB, 64 * KIB, 64 * MIB)),
                           (('--block-max=1K',), (1, 1024, 1024)),
                           (('--block-preferred=512',), (1, 512, 64 * MIB))):
            self.export(*args)
            s = self.connect_and('status')
            self.assertEqual((s['block_min'], s['block_preferred'], s['block_max']), want)
            self.server.stop()

    def test_refused(self):
        img = self.image(SIZE)
        for args, text in ((('--block-min=3',), '--block-min 3: must be a power of two'),
                           (('--block-min=128K',), '--block-min'),
                           (('--block-preferred=256',), '--block-preferred'),
                           (('--block-preferred=3000',), 'power of two'),
                           (('--block-min=8K', '--block-preferred=4K'), 'at least 8192, as'),
                           (('--block-max=128M',), '--block-max')):
            p = self.run_cmd(*self.serve_args(img, *args), status=None)
            self.assertEqual((p.returncode, len(p.stderr.splitlines())), (2, 1), p.stderr)
            self.assertIn(text, p.stderr)
        p = self.run_cmd(*self.serve_args(self.image(1000, 'short.img'), '--block-min=4K'),
                         status=None)
        self.assertEqual((p.returncode, len(p.stderr.splitlines())), (1, 1), p.stderr)
        self.assertIn('shorter than --block-min', p.stderr)


class Idle(Limits):

    def test_ended_in_order(self):
        self.export('--idle-timeout=1')
        silent, half = self.client(), self.client()
        half.send(half.write_bytes(0, b'x' * 4096)[:2000])
        busy, begin = self.client(), time.monotonic()
        while time.monotonic() - begin < 2.5:
            busy.read(0, 512)
            time.sleep(0.2)
        for c in (silent, half):
            c.sock.settimeout(0.1)
            self.assertEqual(c.sock.recv(1), b'')
        self.assertTrue(busy.in_sync())
        self.assertRegex(self.server.stderr(), 'sent nothing for 1 s')
        self.assertEqual(self.content(self.img)[:4096], self.base[:4096])
        self.server.stop()

    def test_not_sooner(self):
        self.export('--idle-timeout=1')
        c, begin = self.client(), time.monotonic()
        self.assertEqual(c.sock.recv(1), b'')
        self.takes_at_least(0.95, begin)
        self.assertLess(time.monotonic() - begin, 8)
        self.server.stop()

    def test_changed_at_run_time(self):
        """Who has rested long before is not ended at once; 0 ends nobody any more."""
        self.export(threads=2)
        a, b = self.client(), self.client()
        a.read(0, 512)
        time.sleep(1.5)
        answer = self.ctl.call('limits', idle=1)
        self.assertEqual((answer['ok'], answer['idle_timeout'], answer['limit_requests']),
                         (True, 1, 0))
        time.sleep(0.5)
        self.assertTrue(a.in_sync())
        for c in (a, b):
            c.sock.settimeout(5)
            self.assertEqual(c.sock.recv(1), b'')
        c = self.client()
        self.assertEqual(self.ctl.call('limits', idle=0)['idle_timeout'], 0)
        time.sleep(1.8)
        self.assertTrue(c.in_sync())
        for bad in (-1, 1000001, 'x', True):
            self.assertIn('idle (up to 10^6)', self.ctl.call('limits', idle=bad)['error'])
        self.server.stop()

    def test_who_waits_is_not_idle(self):
        """For a limit, or for a disk."""
        self.export('--idle-timeout=1', '--limit-bandwidth=64K')
        c = self.client()
        c.request(n.READ, 0, 200 * KIB)
        self.assertEqual(c.reply().data, self.base[:200 * KIB])
        self.assertTrue(c.in_sync())
        self.server.stop()

    def test_never(self):
        self.export('--idle-timeout=0')
        c = self.client()
        time.sleep(1.5)
        self.assertTrue(c.in_sync())
        self.server.stop()


if __name__ == '__main__':
    xtest.main()
