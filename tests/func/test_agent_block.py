# SPDX-License-Identifier: GPL-2.0-or-later
"""ocf:xnbd:block seen by clients on another host: they wait and go on, nobody is refused, and if
whoever held them is dead, the kernel lets them go."""

import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import agents  # noqa: E402
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from agents import GENERIC, NOT_RUNNING  # noqa: E402

PORT, OTHER = 10809, 10810
HELD = 1.0  # seconds without an answer that would take milliseconds
FOREIGN = """table inet admins {
	chain input { type filter hook input priority 0; tcp dport 9 accept; }
}"""


class Block(agents.Case):

    def setUp(self):
        super().setUp()
        self.where = {'ip': self.a.address, 'portno': str(PORT)}
        self.first = self.agent('block', 'first', action='block', **self.where)
        self.last = self.agent('block', 'last', action='unblock', **self.where)
        config = self.write_config({'disk': self.image(xtest.MIB, pattern=1)})
        self.wrapper = self.agent('wrapper', config=config, socket=self.path('ctl'), options=(
            f'--laddr 0.0.0.0 --lport {PORT} --dbpath {self.path("state")} '
            f'--logpath {self.path("wrapper.log")}'))
        self.addCleanup(self.wrapper.stop)

    def client(self):
        c = self.b.within(lambda: rawnbd.Raw((self.a.address, PORT), timeout=120))
        self.addCleanup(c.close)
        return c.enter(name='disk')

    def answers_late(self, c, release):
        """A read is not answered until release() is called, and then without an error."""
        c.request(rawnbd.READ, 0, 4096)
        c.sock.settimeout(HELD)
        with self.assertRaises(TimeoutError):
            c.sock.recv(1, socket.MSG_PEEK)
        c.sock.settimeout(120)
        release()
        self.assertEqual(c.reply().error, 0)

    def joins(self, port=PORT):
        """Does a new client come through?"""
        try:
            self.b.within(lambda: socket.create_connection((self.a.address, port), HELD)).close()
            return True
        except TimeoutError:
            return False

    def test_reads_pause(self):
        self.wrapper.start()
        c = self.client()
        self.assertEqual(len(c.read(0, 4096)), 4096)
        self.first.start()
        self.first.start()  # twice
        self.assertFalse(self.joins())
        self.wrapper.monitor(OCF_CHECK_LEVEL='10')  # this host itself comes through
        self.answers_late(c, self.last.start)
        self.assertEqual(self.tables(), [])
        self.last.monitor()
        self.first.monitor()
        self.last.stop()  # the stop of the group begins
        self.answers_late(c, self.first.stop)
        self.assertEqual(self.tables(), [])

    def test_server_starts_again(self):
        """All the while a client tries to come in: it is never refused, and one that is connected
        hears nothing of the end."""
        self.wrapper.start()
        self.first.start()
        self.last.start()
        c, end, refused, joined = self.client(), threading.Event(), [], []

        def knock():
            while not end.is_set():
                try:
                    (joined if self.joins() else []).append(1)
                except OSError as e:
                    refused.append(e)
        thread = threading.Thread(target=knock)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(end.set)
        xtest.wait_for(lambda: joined, 'a client comes in')
        self.last.stop()
        self.wrapper.stop()
        c.sock.settimeout(HELD)
        with self.assertRaises(TimeoutError):
            c.sock.recv(1)
        self.wrapper.start()
        self.last.start()
        before = len(joined)
        xtest.wait_for(lambda: len(joined) > before, 'a client comes in again')
        end.set()
        thread.join()
        self.assertEqual(refused, [])
        self.assertEqual(len(self.client().read(0, 4096)), 4096)

    def test_deadline(self):
        """Nobody is left who would release them."""
        self.wrapper.start()
        c = self.client()
        orphan = self.agent('block', 'orphan', action='block', deadline=5, **self.where)
        step = 1
        while not self.is_held():  # the step behind the hold
            orphan.stop()
            self.assertTrue(orphan.killed_at('start', step))
            step += 1
        orphan.monitor(NOT_RUNNING)
        c.request(rawnbd.READ, 0, 4096)
        self.assertEqual(c.reply().error, 0)
        self.assertFalse(self.is_held())
        self.assertTrue(xtest.wait_for(self.joins, 'a new client'))
        orphan.stop()
        self.assertEqual(self.tables(), [])

    def test_only_its_own(self):
        """Rules of others, other ports and other addresses are left alone; so is IPv6."""
        self.a.run('nft', '-f', '-', input=FOREIGN)
        before = self.a.run('nft', 'list', 'ruleset')
        listener = self.a.within(lambda: socket.create_server(('0.0.0.0', OTHER)))
        self.addCleanup(listener.close)
        more = [self.agent('block', f'more{i}', action='block', **p) for i, p in enumerate((
            {'ip': 'fd00::1', 'portno': f'{OTHER}'}, {'portno': '9,10', 'protocol': 'udp'},
            {'ip': self.a.address, 'portno': '11,12,'}))]
        for a in [*more, self.first]:
            a.start()
        self.assertEqual(len(self.tables()), 5)
        self.assertTrue(self.joins(OTHER))
        more[0].stop()
        self.assertTrue(self.is_held())
        for a in [*more, self.first]:
            a.stop()
        self.assertEqual(self.a.run('nft', 'list', 'ruleset'), before)

    def test_held_though_served(self):
        """Monitor of the last one sees it, and the cluster repairs it."""
        self.first.start()
        self.last.start()
        other = self.agent('block', 'by-hand', action='block', **self.where)
        other.start()
        self.assertIn('held', self.last.monitor(GENERIC))
        self.last.stop()
        self.last.start()
        self.last.monitor()
        self.assertEqual(self.tables(), [])


if __name__ == '__main__':
    xtest.main(at_once=4)
