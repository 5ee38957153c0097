#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What sm-notify is for: locks of NFS clients after a crash, with the kernel's NFS server, client
and lock manager (nfs_guests.py). A server's locks come back; without us they are lost, and nobody
is told; a client's locks are released; a floating address takes them along to another server.
Case 78 of the reference.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nfs_guests  # noqa: E402
import xtest  # noqa: E402
from nfs_guests import FLOATING, FLOATING_ADDRESS, MOUNTED, SHORT  # noqa: E402

COPY = '/run/copy'
ALSO = f'--force --no-kernel-state --no-lift-grace -v {FLOATING}'


class LockReclaim(nfs_guests.NfsCase):

    def crash_server(self):
        """And boots, while the test goes on.

        rpc.statd replaces files without a sync of their folder: for some seconds a crash brings
        back the one before, with PEER.new beside it. That is not what is tried here.
        """
        self.server.run('sync')
        self.server.crash()
        self.server.launch()

    def check_in_grace(self, locks):
        self.assertEqual((self.server.locks(), self.server.is_in_grace()), (locks, True))

    def check_lock_is_back(self):
        """It is, by a reclaim, and it is worth something."""
        self.server.wait_locks(1)
        self.check_in_grace(1)
        self.server.end_grace()
        self.assertEqual(self.server.attempt(), 'refused')

    def check_lock_ends(self):
        """In good order, when the program ends that has it."""
        self.let_go()
        self.server.wait_locks(0)
        self.assertEqual(self.server.attempt(), 'granted')

    def test_server_crash(self):
        self.lock_comes_back('tcp', self.server.address)

    def test_server_crash_ipv6(self):
        self.lock_comes_back('tcp6', self.server.address6)

    def lock_comes_back(self, proto, address):
        """ADDRESS: of the server, which the client must hear of its crash from."""
        with self.step('the client takes a lock'):
            self.hold(self.server.name, proto)
            before = self.server.state()
        with self.step('the server crashes and boots'):
            self.crash_server()
            self.server.start()
            self.assertEqual(self.server.records(), [self.client.name])
            self.server.serve()
            self.check_in_grace(0)
        with self.step('the client is told'):
            self.server.notify()
            self.assertIn(f'access by {address} ', self.client.heard())
            self.assertGreater(self.server.state(), before)
            self.assertEqual(self.server.records('sm.bak'), [])
        with self.step('the lock is there again'):
            self.check_lock_is_back()
            self.assertEqual(self.server.records(), [self.client.name], 'for the next crash')
        with self.step('the client gives it back'):
            self.check_lock_ends()

    def test_server_crash_without_us(self):
        """That the lock would not come back by itself."""
        with self.step('the client takes a lock'):
            self.hold(self.server.name)
        with self.step('the server crashes and boots'):
            self.crash_server()
            self.server.start()
            self.server.serve(SHORT)
        with self.step('the grace period is over'):
            self.server.wait_grace_over()
        with self.step('the client works with the server'):
            self.client.run(f'echo text >{MOUNTED}/other && sync')
            self.assertEqual(self.server.run('cat /disk/export/other'), 'text\n')
        with self.step('two have the lock'):
            self.assertEqual((self.server.locks(), self.server.attempt()), (0, 'granted'))
            self.assertEqual(self.client.locks(), 1)

    def test_client_crash(self):
        with self.step('the client takes a lock'):
            self.hold(self.server.name)
        with self.step('the client crashes and boots'):
            self.client.crash()
            self.holder = None
            self.client.launch()
            self.client.start()
            self.assertEqual((self.server.locks(), self.server.attempt()), (1, 'refused'))
        with self.step('the server is told'):
            job = self.client.guest.start('sm-notify', '-d')
            self.server.wait_locks(0)
            self.assertEqual(self.server.attempt(), 'granted')
            self.client.run(f'kill $(cat {job}.pid)', None)  # servers of other tests may be down

    def move(self):
        """The server is lost, and the standby gets the disk and the address."""
        self.crash_server()
        self.hosts.server, self.hosts.standby = self.standby, self.server
        self.server.start()
        self.server.serve()
        self.check_in_grace(0)

    def test_floating_address(self):
        """Twice, back and forth, once with each way to leave the records alone."""
        with self.step('the client takes a lock'):
            self.hold(FLOATING)
        with self.step('its server is lost, another one takes over'):
            self.move()
        with self.step('the client is told, records stay'):
            self.server.notify('--no-consume', ALSO)
            self.check_lock_is_back()
            self.assertEqual(self.server.records(), [self.client.name])
        with self.step('this one is lost, too'):
            self.move()
        with self.step('the client is told, from a copy'):
            self.server.run(f'mkdir {COPY} && cd /var/lib/nfs && cp -a sm sm.bak state {COPY}')
            self.server.notify(f'-P {COPY}', ALSO)
            self.check_lock_is_back()
            self.assertEqual(self.server.records(), [self.client.name])
        with self.step('the client gives the lock back'):
            self.check_lock_ends()
        log = self.client.heard()
        numbers = re.findall(rf'Received SM_NOTIFY from {FLOATING}, state: (\d+)', log)
        self.assertEqual(len(set(numbers)), 2, log)
        self.assertIn(f'access by {FLOATING_ADDRESS} ', log)


if __name__ == '__main__':
    xtest.main()
