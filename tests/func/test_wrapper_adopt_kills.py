#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrappers that are killed at random moments: while they shake hands, hand clients over, start and
take over servers, or become another program. Who is in transmission notices nothing, nobody hangs,
and the wrapper that stays knows all of them."""

import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import MIB, is_running, kill  # noqa: E402
from wrapper_successor import SuccessorCase  # noqa: E402

GONE = (rawnbd.Closed, ConnectionError)


class KillCase(SuccessorCase):
    def setUp(self):
        super().setUp()
        self.rnd = random.Random(5)
        self.w = self.wrap(exports=self.files(8, 4 * MIB))
        self.writers = [self.writer(self.w, f'disk{i}', 32) for i in range(2)]
        self.workers = [self.w.worker(f'disk{i}') for i in range(2)]

    def assert_all_well(self, clients=()):
        """The wrapper knows the writers and these clients, and no others."""
        self.settle_count(self.w, 2 + len(clients))
        self.assertEqual([self.w.worker(f'disk{i}') for i in range(2)], self.workers)
        self.assertEqual(self.w.status()['apart'], [])
        self.assertTrue(all(c.in_sync() for c in clients))
        for writer in self.writers:
            self.go_on(writer, 1)
        visitor = self.w.enter('disk2')
        self.assertTrue(visitor.in_sync())
        visitor.disconnect()

    def finish(self):
        for i, writer in enumerate(self.writers):
            writer.finish()
            writer.check_file(self, self.path(f'disk{i}.img'))

    def start_and_kill(self, seconds):
        """A wrapper that lives no longer than that."""
        d = self.spawn(self.w.daemon.argv)
        time.sleep(seconds)
        d.kill()
        return d


class Starting(KillCase):
    def test_while_it_takes_over(self):
        self.crash(self.w)
        came = 0
        for _ in range(20):
            d = self.start_and_kill(self.rnd.random() * 0.08)
            came += 'control socket' in d.stderr()
        self.assertLess(came, 20, 'some are killed before they are ready')
        self.succeed(self.w)
        self.assert_all_well()
        self.finish()

    def test_with_many_clients(self):
        """They are listed in one answer, which may arrive in pieces."""
        clients = [self.w.enter('disk0') for _ in range(200)]
        before = self.shown(self.w)
        self.crash(self.w)
        for _ in range(10):
            self.start_and_kill(self.rnd.random() * 0.06)
        self.succeed(self.w)
        self.assertEqual(self.shown(self.w), before)
        self.assert_all_well(clients)
        self.finish()


class Serving(KillCase):
    def test_handshakes(self):
        """Those half done end; nobody waits in vain."""
        for _ in range(3):
            w = self.w
            half = [w.raw() for _ in range(4)]
            half[1].agree(rawnbd.OPT_STRUCTURED_REPLY)
            half[2].send(half[2].go_bytes('disk0')[:20])
            half[3].option(rawnbd.OPT_LIST)
            negotiator = w.negotiator()
            self.crash(w)
            for client in half:
                client.expect_end()
            xtest.wait_for(lambda pid=negotiator: not is_running(pid), 'negotiator ends too')
            self.succeed(w)
            self.assert_all_well()
        self.finish()

    def come(self, client):
        """In transmission, or None if the connection has ended before, or was told so."""
        try:
            client.enter('structured', self.rnd.choice(['disk0', 'disk2']))
            client.read(0, 4096)
            return client
        except (*GONE, rawnbd.ProtocolError) as e:
            client.close()
            if not isinstance(e, GONE) and 'has just ended' not in str(e):
                raise
            return None

    def test_clients_on_their_way(self):
        """Between two processes, in a socket: each is served or ended, and counted if served."""
        for _ in range(8):
            clients = [rawnbd.Raw(self.w.address) for _ in range(12)]
            served = []
            threads = [threading.Thread(target=lambda c=c: served.append(self.come(c)))
                       for c in clients]
            for t in threads:
                t.start()
            time.sleep(self.rnd.random() * 0.03)
            self.crash(self.w)
            for t in threads:
                t.join()
            self.succeed(self.w)
            alive = [c for c in served if c]
            self.assertEqual(len(served), len(clients))
            self.assert_all_well(alive)
            for client in alive:
                client.disconnect()
        self.finish()


class Upgrading(KillCase):
    def test_at_any_moment(self):
        upgraded = 0
        for _ in range(20):
            with xtest.connect(self.w.control, 30) as s:
                s.sendall(b'{"v":1,"cmd":"upgrade"}\n')
                time.sleep(self.rnd.random() * 0.12)
                upgraded += 'taken over from' in self.w.log()
                self.crash(self.w)
            self.succeed(self.w)
            self.assertEqual([self.w.worker(f'disk{i}') for i in range(2)], self.workers)
        self.assertLess(upgraded, 20, 'some are killed before')
        self.assert_all_well()
        self.finish()

    def test_and_the_handshake_of_before(self):
        """A negotiator that was to finish its handshakes ends with the master."""
        w = self.w
        shaking, before = w.raw(), w.negotiator()
        self.upgrade(w)
        self.assertTrue(is_running(before))
        self.crash(w)
        shaking.expect_end()
        xtest.wait_for(lambda: not is_running(before), 'it ends')
        self.succeed(w)
        self.assert_all_well()

    def test_servers_meanwhile(self):
        """They die just then: an upgrade or not, their clients hear of it, and others are served."""
        for name in (f'disk{i}' for i in range(3, 8)):
            client, pid = self.w.enter(name), self.w.worker(name)

            def die():
                time.sleep(self.rnd.random() * 0.1)
                kill(pid)
            xtest.in_threads(die, lambda: self.upgrade(self.w))
            client.expect_end()
            xtest.wait_for(lambda n=name, p=pid: self.w.worker(n) != p, 'is noticed')
            self.assert_all_well()
        self.finish()


if __name__ == '__main__':
    xtest.main()
