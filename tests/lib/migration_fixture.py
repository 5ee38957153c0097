# SPDX-License-Identifier: GPL-2.0-or-later
"""A busy disk at host A that is to be at host B: the lab, the disk, its clients, and what must hold
at the end. A test file derives from Migration."""

import netlab
import rawnbd as n
import xtest
from workload import Workload
from wrapper_fixture import MIB, WrapperCase

SIZE, BLOCK, PORT = 32 * MIB, 4096, 8520
HOLES = ((6 * MIB, 4 * MIB), (20 * MIB + 512, 2 * MIB))


class Migration(WrapperCase):
    """A disk at A, a lab, and clients of the disk."""

    def setUp(self):
        super().setUp()
        self.lab = netlab.Lab(self)
        self.disk = self.image(SIZE, 'a.img', pattern=1)
        for at, length in HOLES:
            self.run_cmd('fallocate', '--punch-hole', '-o', str(at), '-l', str(length), self.disk)
        with open(self.disk, 'rb') as f:
            self.load = Workload(f.read())
        self.cache = self.path('b.img')

    # Clients.

    def connect_to(self, host, name=''):
        def connect():
            client = n.Raw(host.connect(PORT))
            self.addCleanup(client.close)
            return client.enter('structured', name)
        return connect

    def work_at(self, host, name=''):
        self.load.start(self.connect_to(host, name))
        self.addCleanup(self.abandon)
        self.load.go_on()

    def abandon(self):
        self.load.stopping = True

    def leave_a(self):
        """The clients end at A; from here on nobody may write there."""
        self.load.stop()
        self.at_a = bytes(self.load.model)

    # Servers.

    def on(self, host, *argv, ready):
        return self.start([*host.prefix, *argv], ready)

    def listen(self, host):
        return [f'--laddr={host.address}', f'--lport={PORT}']

    # The outcome.

    def same(self, path, content):
        with open(path, 'rb') as f:
            have = f.read()
        self.assertEqual(len(have), len(content))
        bad = [i for i in range(0, SIZE, BLOCK) if have[i:i + BLOCK] != content[i:i + BLOCK]]
        self.assertEqual(bad[:10], [], f'{len(bad)} blocks of {path} differ')

    def served_as(self, host, content, name=''):
        c = self.connect_to(host, name)()
        self.assertEqual(c.size, len(content))
        for at in range(0, SIZE, MIB):
            self.assertTrue(c.read(at, MIB) == content[at:at + MIB], f'1 MiB at {at}')
        c.disconnect()
