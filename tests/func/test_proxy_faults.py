#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of the original, each with the test that shows it is none here. Those of the proxy that
no other file looks at are tested below."""

import errno
import os
import random
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from proxy_fixture import BLOCK, ProxyCase  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

# Number and fault, then the file of its test (without test_ and .py) and the test.
TABLE = '''
1      two readers of a target get wrong data
       server_clients: test_against_a_model
2      FLUSH makes a cow disk read as zeros
       server_cow: test_fact_2_flush_does_not_make_the_disk_read_as_zeros
3      bits before data: zeros after a crash
       proxy_crash: test_fault_4_2_3_killed_while_it_fetches
4      replies of the origin out of order
       proxy_faults: test_fault_4_2_4_replies_out_of_order
5      32 absent runs in one READ abort
       proxy: test_fault_5_many_absent_runs_in_one_read
6      reconnect hangs with the old origin
       proxy_switch: test_fault_6_while_the_old_one_hangs
6      nothing reconnects by itself
       proxy_origin: test_fault_6_it_comes_back_by_itself_again_and_again
7      a proxied export serves one client
       proxy_faults: test_fault_7_many_clients_of_one_proxy
7      the same under the wrapper
       wrapper_proxy: test_many_clients_while_it_is_switched
8      short sessions leave servers
       wrapper_load: test_short_ones_leave_nothing
9      protocol of 2009
       wrapper_handshake: test_21_info_then_go_identical
10     what is not expected aborts
       proxy_faults: test_fault_1_11_every_command_with_every_flag
1.1    SIGHUP kills
       proxy_faults: test_fault_1_1_signals
1.1    two servers on one cache
       proxy_cache: test_second_process_with_another_bitmap
1.2    bitmap without header
       proxy_cache: test_fault_4_2_5_another_origin
1.3    snapshot is not sparse
       snapshot: test_fault_1_3_sparse_stays_sparse
1.4    stale control socket
       proxy_control: test_fault_1_4_stale_socket_is_taken_over
1.5    the tool needs the bitmap and the server's folder
       proxy_control: test_fault_1_5_relative_paths_and_other_folder
1.11   out of range, wrapping, zero length
       proxy_faults: test_fault_1_11_ranges
1.11   commands with flags, unknown ones
       proxy_faults: test_fault_1_11_every_command_with_every_flag
1.11   writes to a read-only one end the session
       proxy_faults: test_fault_1_11_refused_writes_are_drained
1.11   TRIM and WRITE_ZEROES
       proxy: test_fault_1_11_trim_and_zeroes_of_everything
2.2    snapshot stops the clients
       snapshot: test_fault_2_2_clients_are_served_and_taken_in_meanwhile
2.2    two snapshots in a second
       snapshot: test_fault_2_2_many_in_a_second
2.3    a cached read waits behind fetches
       proxy: test_fault_2_3_cached_read_is_never_behind_a_fetch
2.3    limits cost 200 ms a time
       proxy_faults: test_fault_2_3_limits_cost_no_time
2.3    replies nobody reads take all memory
       proxy: test_fault_4_3_memory_is_bounded
2.4    switch ends or harms sessions
       proxy_switch: test_fault_2_4_sessions_are_kept
2.4    forced switch loses requests
       proxy_switch: test_force_while_the_origin_is_lost
2.5    cached reads wait for a lost origin
       proxy_origin: test_fault_2_5_cached_reads_go_on_and_the_rest_waits
2.5    client leaves while its read waits
       proxy_origin: test_client_leaves_while_its_read_waits
2.5    origin of another size is accepted
       proxy_switch: test_fault_2_5_another_size_is_refused
4.2.5  wrong origin, wrong cache
       proxy_cache: test_fault_4_2_5_another_cache_file
4.2.6  full file system
       proxy_cache: test_fault_4_2_6_only_that_request_fails
4.2.7  switch is not durable
       proxy_switch: test_fault_4_2_7_it_is_durable
4.2.7  snapshot is not durable
       snapshot_full: test_fault_4_2_7_synced_before_it_has_its_name
4.2.7  state file is cut by a crash
       wrapper_state: test_kill_9_in_a_loop
4.2.8  client dies in the middle of a WRITE
       proxy_faults: test_fault_4_2_8_half_a_write_changes_nothing
4.2.9  trimmed blocks come back
       proxy: test_fault_4_2_9_trimmed_blocks_do_not_come_back
4.3    lengths and garbage abort
       proxy_faults: test_fault_4_3_garbage
4.4    silent control peer stops new clients
       proxy_control: test_fault_4_4_bad_and_silent_peers
4.4    dead peers stay for hours
       server_robust: test_client_that_never_reads
4.6    blocks are fetched more than once
       proxy: test_fault_4_6_each_block_is_fetched_once
'''


class Requests(ProxyCase):
    """Table 1.11: what one client may ask without harm to another."""

    def setUp(self):
        super().setUp()
        self.origin = self.file_origin()
        self.p = self.proxy(self.origin)
        self.other = self.client(self.p)

    def is_well(self, c=None):
        """The client and another one are served rightly."""
        for who in (c, self.other):
            if who:
                self.assertEqual(who.read(MIB, 100), self.origin.content[MIB:MIB + 100])
        self.assertTrue(self.p.is_alive())

    def test_fault_1_11_ranges(self):
        kinds = (n.READ, n.WRITE, n.TRIM, n.CACHE, n.WRITE_ZEROES)
        ranges = ((self.SIZE, 1), (self.SIZE - 1, 2), (0, 1 << 31), ((1 << 64) - 1, 1),
                  ((1 << 64) - BLOCK, 2 * BLOCK), (1 << 63, BLOCK), (0, (1 << 32) - 1))
        for mode in ('simple', 'structured'):
            c = self.client(self.p, mode)
            for kind in kinds:
                for at, length in ranges:
                    if kind == n.WRITE and length > MIB:
                        continue
                    payload = b'x' * length if kind == n.WRITE else b''
                    reply = c.call(kind, at, length, payload=payload)
                    self.assertIn(reply.error, (errno.EINVAL, errno.ENOSPC, errno.EOVERFLOW),
                                  (kind, at, length))
            self.is_well(c)
        self.check_all(self.p, self.origin.content)

    def test_fault_1_11_zero_length(self):
        """Whatever the answer, it is one; and nothing changes."""
        c = self.client(self.p)
        for kind in (n.READ, n.WRITE, n.TRIM, n.CACHE, n.WRITE_ZEROES):
            for at in (0, 5000, self.SIZE):
                self.assertIn(c.call(kind, at, 0).error, (0, errno.EINVAL))
        self.is_well(c)
        self.check_all(self.p, self.origin.content)

    def test_fault_1_11_every_command_with_every_flag(self):
        """Absent blocks under all of it."""
        for kind in list(range(10)) + [255, 65535]:
            if kind == n.DISC:
                continue
            c = self.client(self.p)
            for flags in range(0, 32):
                payload = b'w' * BLOCK if kind == n.WRITE else b''
                at = 4 * MIB + flags * BLOCK
                reply = c.call(kind, at, BLOCK, flags=flags, payload=payload)
                self.assertIn(reply.error, (0, errno.EINVAL, errno.EOPNOTSUPP), (kind, flags))
            self.is_well(c)
        self.assertTrue(self.other.read(0, MIB) == self.origin.content[:MIB])

    def test_fault_1_11_refused_writes_are_drained(self):
        self.p.stop()
        self.p = self.again(self.p, self.origin, '--readonly')
        self.other = None
        c = self.client(self.p)
        for length in (1, BLOCK, MIB):
            self.assertEqual(c.write(0, b'x' * length).error, errno.EPERM)
            self.assertEqual(c.write(self.SIZE, b'x' * length).error, errno.EPERM)
        self.is_well(c)

    def test_fault_4_3_garbage(self):
        rnd = random.Random(4)
        for i in range(60):
            c = self.client(self.p, rnd.choice(('simple', 'structured', 'extended')))
            c.send(rnd.choice((
                rnd.randbytes(rnd.randrange(1, 5000)),
                c.request_bytes(n.READ, 0, 512)[:rnd.randrange(1, 27)],
                c.request_bytes(n.WRITE, 0, (1 << 32) - 1),
                b''.join(c.request_bytes(n.READ, rnd.getrandbits(64), rnd.getrandbits(32))
                         for _ in range(100)))))
            if i % 2:
                c.sock.shutdown(socket.SHUT_WR)
            c.close()
        self.is_well()
        self.check_all(self.p, self.origin.content)

    def test_fault_4_2_8_half_a_write_changes_nothing(self):
        """The client dies when half of the payload is here; absent blocks stay the origin's."""
        for present in (False, True):
            if present:
                self.other.read(0, MIB)
            for length in (BLOCK, 3 * BLOCK + 7, 512 * KIB):
                c = self.client(self.p)
                request = c.request_bytes(n.WRITE, 100, length, payload=b'x' * length)
                c.send(request[:28 + length // 2])
                time.sleep(0.05)
                c.close()
        self.check_all(self.p, self.origin.content)


class Others(ProxyCase):

    def test_fault_4_2_4_replies_out_of_order(self):
        """An origin that answers each READ after a random time: what is late must not go to the
        place of what was asked after it."""
        path, content = self.disk(2 * MIB)
        script = (f'dd if={path} iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none; '
                  'sleep 0.0$(($$ % 5))')
        origin = self.nbdkit('eval', 'thread_model=echo parallel', f'get_size=echo {2 * MIB}',
                             f'pread={script}', content=content)
        p = self.proxy(origin)
        rnd, c = random.Random(2), self.client(p)
        places = [(i * BLOCK, BLOCK) for i in range(2 * MIB // BLOCK)][::4]
        rnd.shuffle(places)
        late = 0
        for sent, (at, length, reply) in enumerate(c.pipeline(places, 64)):
            self.assertEqual(reply.data, content[at:at + length])
            late += reply.cookie != sent + 1
        self.assertGreater(late, 10, 'else this proves nothing')
        self.cache_all(p)
        self.check_file(p.cache, content)

    def test_fault_7_many_clients_of_one_proxy(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        clients = [self.client(p, m) for m in ('simple', 'structured', 'extended') * 10]
        for i, c in enumerate(clients):
            c.request(n.READ, i * 200 * KIB, 100 * KIB)
        for i, c in enumerate(clients):
            self.assertTrue(c.reply().data == origin.content[i * 200 * KIB:][:100 * KIB])
        self.assertEqual(clients[3].write(0, b'seen by all').error, 0)
        for c in clients:
            self.assertEqual(c.read(0, 11), b'seen by all')
        self.assertEqual(self.query(p)['clients'], 30)

    def test_fault_2_3_limits_cost_no_time(self):
        """200 misses took 7.8 s with a queue of four."""
        origin = self.file_origin()
        p = self.proxy(origin, '--max-queue-size=4', '--max-buf-size=1M')
        c = self.client(p)
        places = [(i * 40000, BLOCK) for i in range(200)]
        random.Random(1).shuffle(places)
        took, replies = self.timed(lambda: list(c.pipeline(places)))
        for at, length, reply in replies:
            self.assertEqual(reply.data, origin.content[at:at + length])
        if not xtest.is_sanitized():
            self.assertLess(took, 5)

    def test_reads_longer_than_the_queue_and_buffers(self):
        origin = self.file_origin(16 * MIB)
        p = self.proxy(origin, '--max-queue-size=1', '--max-buf-size=32M')
        c = self.client(p)
        self.assertTrue(c.read(100, 15 * MIB) == origin.content[100:100 + 15 * MIB])

    def test_fault_1_1_signals(self):
        """SIGHUP, SIGPIPE and a snapshot signal do not end it; TERM and INT do, in order."""
        origin = self.file_origin(MIB)
        for number in (signal.SIGTERM, signal.SIGINT):
            p = self.proxy(origin, f'--logpath={self.path("proxy.log")}')
            c = self.client(p)
            for harmless in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
                p.send_signal(harmless)
                self.assertEqual(len(c.read(0, 100)), 100)
            p.stop(number)
            self.assertFalse(os.path.exists(p.socket) or os.path.exists(p.control))

    def test_nothing_is_left(self):
        """Descriptors and threads are as before, however many clients and origins came and went."""
        origin = self.file_origin()
        p = self.proxy(origin)

        def round_of_clients():
            for i in range(20):
                c = self.client(p)
                c.request(n.READ, i * 300 * KIB, BLOCK)
                if i % 2:
                    c.reply()
                c.close()
            origin.kill()
            origin.start()
            with self.client(p) as c:
                c.read(7 * MIB, BLOCK)
            xtest.wait_for(lambda: self.query(p)['clients'] == 0, 'they leave')
            self.origin_state(p, 'connected')

        def things():
            return xtest.count_fds(p.pid), xtest.count_threads(p.pid)
        round_of_clients()
        time.sleep(0.5)
        before = things()
        for _ in range(4):
            round_of_clients()
        xtest.wait_for(lambda: all(a <= b + 4 for a, b in zip(things(), before)),
                       f'as before: {before}')

    def test_table(self):
        """Every row is well formed, and the test it names exists."""
        folder = os.path.dirname(os.path.abspath(__file__))
        lines = TABLE.strip('\n').split('\n')
        self.assertGreaterEqual(len(lines), 2 * 40)
        for fault, covered in zip(lines[::2], lines[1::2]):
            self.assertRegex(fault, r'^\d+(\.\d+)* +\S')
            self.assertRegex(covered, r'^ +\w+: test_\w+$')
            name, test = covered.split(':')
            text = xtest.text_of(os.path.join(folder, f'test_{name.strip()}.py'))
            self.assertRegex(text, rf'(?m)^    def {test.strip()}\(self', covered)


if __name__ == '__main__':
    xtest.main()
