# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers and masters end under load, and images grow: the kernel's client connects again, or has
noticed nothing; no error, no corruption.

Each test has two devices under verified load, a file system on one export and another export as it
is, and one disturbance. Another disturbance is a test of a few lines:

    def test_...(self):
        with self.under_load():
            whatever disturbs self.w, the wrapper
        self.assertEqual(self.reconnects(self.fs), 4)
"""

import contextlib
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kernel_client as k  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import kill  # noqa: E402
from xtest import MIB  # noqa: E402

CONNECTIONS = 4  # of each device

# For a server that has been stopped: answers it has sent may come in for a while.
WAIT_UNANSWERED = '''
busy() {
	read r w </sys/block/nbd%d/inflight && [ $((r + w)) -gt 0 ]
}
until sleep 1; busy && sleep 1 && busy; do :; done
'''


class Reconnect(k.KernelCase):
    MAY_LOSE = True
    TOOLS = ('mkfs.ext4', 'e2fsck', 'xfs_repair')

    def setUp(self):
        super().setUp()
        self.w = self.wrap_to_restart(exports={'fs': self.formatted(),
                                               'bare': self.image(4 * MIB, 'bare.img'),
                                               'xfs': self.image(64 * MIB, 'xfs.img')})
        self.fs, self.bare = (self.keep(self.w, n, CONNECTIONS) for n in ('fs', 'bare'))

    @contextlib.contextmanager
    def under_load(self, other=None):
        """The body runs when there is load, which must go on behind it and find no error.

        Yields the loads. OTHER: where there is to be load instead of the bare device.
        """
        with self.fs.mounted() as folder:
            with self.step('load'):
                loads = [self.load(path) for path in (f'{folder}/load', other or self.bare.path)]
                for load in loads:
                    load.reach(1)
            with self.step('disturb'):
                yield loads
            with self.step('go on'):
                k.go_on(*loads)
                k.end(*loads)
            self.assertEqual(self.md5_there(f'{folder}/file'), self.md5_of_file)
        with self.step('compare'):
            for disk in (self.fs, self.bare):
                self.assert_same_content(disk)
            self.run_cmd('e2fsck', '-fn', self.fs.image)

    def reconnects(self, disk):
        """How many connections were lost and made again."""
        log = self.guest.run(f'cat {disk.keeper}.log')
        self.assertEqual(log.count('connected again'), log.count(': Success'), log)
        return log.count('connected again')

    def wait_reconnects(self, disk, count):
        xtest.wait_for(lambda: self.reconnects(disk) >= count, f'{count} reconnects', k.SECONDS)

    @contextlib.contextmanager
    def unnoticed(self, loads):
        """The body runs, load goes on, and the client hears nothing of it: no connection ends."""
        before = self.kernel_said(r'nbd\d')
        servers = self.shown()
        yield
        k.go_on(*loads)
        self.assertEqual(self.kernel_said(r'nbd\d'), before)
        self.assertEqual([self.reconnects(d) for d in (self.fs, self.bare)], [0, 0])
        self.assertEqual(self.shown(), servers)

    def shown(self):
        """Servers and clients, as the master knows them."""
        return sorted((e['name'], e.get('pid', 0), sorted(c['peer'] for c in e['clients']))
                      for e in self.w.list())

    def stop_server(self, name):
        server = self.w.worker(name)
        self.addCleanup(kill, server, signal.SIGCONT)  # should the test fail before it is killed
        kill(server, signal.SIGSTOP)

    def kill_server(self, name):
        self.kill_worker(self.w, self.w.worker(name))

    def test_server_killed(self):
        """The server of the other export is not concerned."""
        with self.under_load() as loads:
            other = self.w.worker('bare')
            with self.step('a server dies'):
                self.kill_server('fs')
                self.wait_reconnects(self.fs, CONNECTIONS)
                k.go_on(*loads)
                self.assertEqual(self.reconnects(self.fs), CONNECTIONS)
            with self.step('another leaves requests without an answer'):
                self.stop_server('fs')
                self.guest.run(WAIT_UNANSWERED % self.fs.number)
                self.kill_server('fs')
                self.wait_reconnects(self.fs, 2 * CONNECTIONS)
        self.assertTrue(self.kernel_said('timed out, retrying'), 'they were sent again')
        self.assertEqual(self.w.worker('bare'), other)
        self.assertEqual(self.reconnects(self.bare), 0)

    def test_master_upgraded(self):
        """Three times, unnoticed. It knows its servers still: one that dies is replaced."""
        with self.under_load() as loads:
            with self.step('upgrade'), self.unnoticed(loads):
                for _ in range(3):
                    self.w.ctl('upgrade')
                    self.guest.run('sleep 1')
                self.assertEqual(self.w.status()['upgrades'], 3)
            with self.step('a server dies'):
                self.kill_server('fs')
                self.wait_reconnects(self.fs, CONNECTIONS)
        self.assertEqual(self.w.client_count('fs'), CONNECTIONS)
        self.assertEqual(self.reconnects(self.bare), 0)

    def test_master_killed_and_restarted(self):
        """Its servers go on without it; the next one takes them over, and looks after them."""
        with self.under_load() as loads:
            with self.step('another master'), self.unnoticed(loads):
                kill(self.w.pid)
                self.guest.run('sleep 1')
                self.restart(self.w)
            with self.step('a server dies'):
                self.kill_server('fs')
                self.wait_reconnects(self.fs, CONNECTIONS)
        self.assertEqual(self.w.client_count('fs'), CONNECTIONS)
        self.assertEqual(self.reconnects(self.bare), 0)

    def test_wrapper_ended_in_order_and_restarted(self):
        with self.under_load():
            self.w.stop()
            self.restart(self.w)
            for disk in (self.fs, self.bare):
                self.wait_reconnects(disk, CONNECTIONS)

    def grow(self, disk, name, folder, how):
        """By half; the file system has it too in the end."""
        size, blocks = disk.size() * 3 // 2, self.blocks(folder)
        with self.step(f'grow the image of {name}'):
            os.truncate(disk.image, size)
            self.w.ctl('resize', name)
            xtest.wait_for(lambda: disk.size() == size, 'the kernel has the new size', k.SECONDS)
        with self.step(f'grow the file system of {name}'):
            disk.run(how)
        self.assertGreater(self.blocks(folder), blocks * 1.4)

    def blocks(self, folder):
        return int(self.guest.run(f"df -k {folder} | awk 'END {{print $2}}'"))

    def test_grown_images(self):
        """Mounted file systems grow; clients are ended between requests, so nothing waits."""
        xfs = self.keep(self.w, 'xfs', CONNECTIONS)
        xfs.run(f'{k.SMALL_XFS} mkfs.xfs -q {{}}')
        with xfs.mounted() as there, self.under_load(f'{there}/load'):
            self.grow(self.fs, 'fs', self.fs.folder(), 'resize2fs {}')
            self.grow(xfs, 'xfs', there, f'xfs_growfs {there}')
        self.assertEqual(self.reconnects(self.bare), 0)
        xfs.detach()
        self.run_cmd('xfs_repair', '-n', xfs.image)


if __name__ == '__main__':
    xtest.main()
