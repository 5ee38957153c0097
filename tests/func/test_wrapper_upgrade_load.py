#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Upgrade after upgrade under load: no client notices, and nothing piles up."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fixture import MIB, config_text, stat_fields  # noqa: E402
from wrapper_successor import SuccessorCase  # noqa: E402


def children(pid):
    """Processes whose parent this is, zombies too."""
    found = {int(p): stat_fields(p) for p in os.listdir('/proc') if p.isdigit()}
    return [child for child, fields in found.items() if fields and int(fields[1]) == pid]


def fewest_fds(pid):
    """Our last control connection may be there for a moment still."""
    def count():
        time.sleep(0.05)
        return xtest.count_fds(pid)
    return min(count() for _ in range(6))


class UnderLoad(SuccessorCase):
    def used(self, w, servers):
        """Descriptors and memory of all processes, when no others are left, and no zombies."""
        def is_settled():
            pids = {w.negotiator(), *(w.worker(n) for n in servers)}
            return None not in pids and pids == set(children(w.pid)) and pids
        pids = xtest.wait_for(is_settled, 'master, negotiator and servers are left', 60)
        self.settle_count(w, len(servers))
        pids = [w.pid, *sorted(pids, key=lambda p: (p == w.negotiator(), p))]
        return [fewest_fds(p) for p in pids], sum(xtest.pss(p) for p in pids)

    def upgrade_under_load(self, w, writers, times):
        """With clients that come and go, too."""
        visitors = self.visitors(w, ['disk0', 'disk1', 'disk2'], 4)
        for _ in range(times):
            self.assertGreaterEqual(self.upgrade(w)['clients'], 2)
            served = [v.served for v in visitors]
            for writer in writers:
                self.go_on(writer, 1)
            xtest.wait_for(lambda: all(v.error or v.served > n for v, n in zip(visitors, served)),
                           'visitors are served', 30)
        for v in visitors:
            v.finish()

    def test_fifty_times(self):
        """Writers that never reconnect, and others that come all the time: no error, none refused,
        and nothing piles up."""
        w = self.wrap(exports='wrapper { handshake-timeout = 5 }\n'
                      + config_text(self.files(3, 4 * MIB)))
        names = ['disk0', 'disk1']
        writers = [self.writer(w, n, 32) for n in names]
        pids = w.pid, *(w.worker(n) for n in names)
        self.upgrade_under_load(w, writers, 10)
        fds, memory = self.used(w, names)
        self.upgrade_under_load(w, writers, 40)
        after = self.used(w, names)
        self.assertEqual(after[0], fds)
        if not xtest.is_sanitized('xnbd-wrapper'):
            self.assertLess(after[1], 1.2 * memory + MIB)
        self.assertEqual((w.pid, *(w.worker(n) for n in names)), pids)
        self.assertEqual(w.status()['upgrades'], 50)
        for name, writer in zip(names, writers):
            writer.finish()
            writer.check_file(self, self.path(f'{name}.img'))
        self.assertTrue(w.daemon.is_alive())

    def test_over_tcp(self):
        w = self.wrap_tcp(exports=self.files(2, 4 * MIB))
        writer, visitors = self.writer(w, 'disk0', 32), self.visitors(w, ['disk0', 'disk1'], 3)
        for _ in range(5):
            self.upgrade(w)
            self.go_on(writer, 1)
        for v in visitors:
            v.finish()
        writer.finish()
        writer.check_file(self, self.path('disk0.img'))

    def test_control_clients_meanwhile(self):
        """Those that come wait; one that rests goes on."""
        w = self.wrap(exports=self.files(1))
        with xtest.connect(w.control, 30) as rests:
            lines = rests.makefile()
            for i in range(5):
                waits = xtest.connect(w.control, 30)
                self.addCleanup(waits.close)
                xtest.in_threads(lambda: self.upgrade(w),
                                 lambda: [w.list() for _ in range(5)])
                for s, file in ((rests, lines), (waits, waits.makefile())):
                    s.sendall(b'{"v":1,"cmd":"status"}\n')
                    self.assertEqual(json.loads(file.readline())['upgrades'], i + 1)


if __name__ == '__main__':
    xtest.main()
