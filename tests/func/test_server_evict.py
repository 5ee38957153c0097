# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients one by one: ended between requests or cut at once, and read-only on a writable export."""

import errno
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from snapshot_fixture import SnapshotCase  # noqa: E402
from xtest import MIB  # noqa: E402

SYNC_HELD = r'''
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
int fdatasync(int fd)
{
	const char *held = getenv("SYNC_HELD");

	while (held && access(held, F_OK) == 0)
		usleep(2000);
	return (int)syscall(SYS_fdatasync, fd);
}
'''


class Case(SnapshotCase):

    def setUp(self):
        super().setUp()
        self.held = self.path('sync-held')
        env = dict(self.preload(SYNC_HELD, 'sync'), SYNC_HELD=self.held)
        self.target(self.image(4 * MIB, pattern=1), '--threads=2', env=env)
        self.held = self.path('sync-held')
        self.addCleanup(self.let_go)

    def hold(self):
        with open(self.held, 'w'):
            pass

    def let_go(self):
        if os.path.exists(self.held):
            os.unlink(self.held)

    def hand_over(self, number, **more):
        """A client as a master gives it."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        pairs = ''.join(f',"{k}":{str(v).lower()}' for k, v in more.items())
        line = f'{{"v":1,"cmd":"client","id":{number},"features":"structured","fd":true{pairs}}}\n'
        with theirs:
            socket.send_fds(self.ctl.sock, [line.encode()], [theirs.fileno()])
        answer = self.ctl.answer()
        self.assertTrue(answer['ok'], answer)
        c = n.Raw(ours)
        c.structured, c.size = True, 4 * MIB
        return c

    def end(self, number, **more):
        answer = self.ctl.call('end-client', id=number, **more)
        self.assertEqual(answer, {'v': 1, 'ok': True})

    def gone(self):
        self.connect_and('status')
        self.ctl.call('status')
        return [e['id'] for e in self.ctl.events if e['event'] == 'gone']


class Evict(Case):

    def test_one_of_many(self):
        clients = {i: self.hand_over(i) for i in range(1, 7)}
        self.end(4)
        self.assertEqual(clients[4].sock.recv(1), b'')
        clients[4].close()
        xtest.wait_for(lambda: self.gone() == [4], 'it has gone')
        for i in (1, 2, 3, 5, 6):
            self.assertTrue(clients[i].in_sync())
        self.refused('no client with the id 4', 'end-client', id=4)
        self.server.stop()

    def test_between_requests(self):
        c = self.hand_over(9)
        self.hold()
        c.request(n.FLUSH)
        c.send(c.write_bytes(0, b'w' * 512))
        self.end(9)
        self.assertEqual(c.reply().error, 0)
        time.sleep(0.2)
        self.assertEqual(self.gone(), [])
        self.let_go()
        self.assertEqual(c.reply().error, 0)
        self.assertEqual(c.sock.recv(1), b'')
        self.assertEqual(self.content(self.img)[:512], b'w' * 512)
        self.server.stop()

    def test_now(self):
        """The client learns of it at once; "gone" comes when nothing of it is under way any more."""
        c = self.hand_over(9)
        self.hold()
        c.request(n.FLUSH)
        time.sleep(0.2)
        self.end(9, now=True)
        c.expect_end()
        self.assertEqual(self.gone(), [])
        self.let_go()
        xtest.wait_for(lambda: self.gone() == [9], 'it has gone')
        self.server.stop()

    def test_then_now(self):
        c = self.hand_over(9)
        self.hold()
        c.request(n.FLUSH)
        time.sleep(0.2)
        self.end(9)
        self.end(9)  # on its way already
        self.end(9, now=True)
        c.expect_end()
        self.let_go()
        xtest.wait_for(lambda: self.gone() == [9], 'it has gone')
        self.server.stop()

    def test_without_a_master(self):
        """Ids are those of the list of clients."""
        c, other = self.client(), self.client()
        self.end(1, now=True)
        c.expect_end()
        self.assertTrue(other.in_sync())
        self.assertEqual(self.gone(), [])  # that is for masters
        self.server.stop()

    def test_nonsense(self):
        c = self.client()
        for bad in ({}, {'id': 0}, {'id': -3}, {'id': 'one'}, {'id': None}, {'id': 1.5}):
            self.refused('needs the id of a client', 'end-client', **bad)
        self.refused('no client with the id 77', 'end-client', id=77)
        self.assertTrue(c.in_sync())
        self.server.stop()

    def test_who_asked_has_gone(self):
        c = self.hand_over(5)
        asking = self.connect()
        asking.send('end-client', id=5)
        asking.close()
        self.assertEqual(c.sock.recv(1), b'')
        self.assertTrue(self.ctl.call('status')['ok'])
        self.server.stop()


class Readonly(Case):

    def test_one_client_may_only_read(self):
        reader, writer = self.hand_over(1, readonly=True), self.hand_over(2, readonly=False)
        before = self.content(self.img)
        for kind in (n.TRIM, n.WRITE_ZEROES):
            self.assertEqual(reader.call(kind, 0, 4096).error, errno.EPERM)
        reply = reader.write(0, b'r' * 512)
        self.assertEqual((reply.error, reply.text), (errno.EPERM, 'the export is read-only'))
        self.assertEqual(reader.write(8 * MIB, b'r' * 512).error, errno.EPERM)
        self.assertEqual(reader.call(n.FLUSH).error, 0)
        self.assertEqual(reader.read(0, 512), before[:512])
        self.assertEqual(self.content(self.img), before)
        self.assertEqual(writer.write(0, b'w' * 512).error, 0)
        self.assertEqual(reader.read(0, 512), b'w' * 512)
        reader.disconnect()
        self.server.stop()


if __name__ == '__main__':
    xtest.main()
