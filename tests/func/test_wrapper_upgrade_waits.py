#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What an upgrade waits for, and for how long."""

import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fixture import MIB, kill  # noqa: E402
from wrapper_successor import SuccessorCase  # noqa: E402


class TooLong(SuccessorCase):
    """Each waits, so they do it at the same time."""

    def setUp(self):
        super().setUp()
        self.w, self.writers, self.stopped = {}, {}, []
        for name in ('hangs', 'shakes', 'takes', 'asks', 'reloads'):
            w = self.w[name] = self.wrap(exports={
                n: self.image(2 * MIB, f'{name}-{n}') for n in ('disk0', 'disk1')})
            self.writers[name] = self.writer(w, 'disk1')
        self.addCleanup(lambda: [kill(pid, signal.SIGCONT) for pid in self.stopped])

    def check_that_hangs(self):
        w, began = self.w['hangs'], time.monotonic()
        line = w.refused('upgrade', '--binary', self.script('hang', 'exec sleep 1000\n'), seconds=60)
        self.assertIn('within 10 s', line)
        self.assertLess(time.monotonic() - began, 40)

    def check_handshake_that_does_not_end(self):
        """If the new program cannot go on with it: it is cut after a while."""
        w, began = self.w['shakes'], time.monotonic()
        silent = w.raw()
        self.upgrade(w, '--binary', self.other_ipc())
        self.assertGreater(time.monotonic() - began, 8)
        silent.expect_end()

    def stop(self, w):
        pid = w.worker('disk0')
        os.kill(pid, signal.SIGSTOP)
        self.stopped.append(pid)
        return pid

    def check_server_that_takes_nothing(self):
        """Clients that were let in are on their way to it; none is lost."""
        w = self.w['takes']
        client = w.enter('disk0')
        pid = self.stop(w)
        waiting = [w.raw() for _ in range(200)]
        for c in waiting:
            c.send(c.go_bytes('disk0'))
        for c in waiting:
            c.take_infos()
        self.upgrade(w)
        os.kill(pid, signal.SIGCONT)
        self.assertTrue(client.in_sync() and all(c.in_sync() for c in waiting))
        self.settle_count(w, 202)

    def check_command_under_way(self):
        """One that waits for a server; it is answered."""
        w = self.w['asks']
        client, pid = w.enter('disk0'), self.stop(w)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(w.ctl('query', 'disk0', seconds=60)))
        asking.start()
        time.sleep(0.5)
        self.assertIn('other commands are still under way', w.refused('upgrade', seconds=60))
        os.kill(pid, signal.SIGCONT)
        asking.join()
        self.assertIn('target', answers[0])
        self.upgrade(w)
        self.assertTrue(client.in_sync())

    def check_reload_under_way(self):
        """It asks a server that does not answer; then it goes on, and is done."""
        w = self.w['reloads']
        client = w.enter('disk0')
        pid = self.stop(w)
        path = w.argv[w.argv.index('--config') + 1]
        with open(path, 'a') as f:
            f.write(f'export "new" {{ image = "{self.path("takes-disk0")}" }}\n')
        w.daemon.send_signal(signal.SIGHUP)
        xtest.wait_for(lambda: 'opened anew' in w.log(), 'it has begun')
        self.upgrade(w)
        self.assertIn('new', [e['name'] for e in w.list()])
        self.assertIn('reload: added new', w.log())
        os.kill(pid, signal.SIGCONT)
        self.assertTrue(client.in_sync())

    def test_all(self):
        xtest.in_threads(self.check_that_hangs, self.check_handshake_that_does_not_end,
                         self.check_server_that_takes_nothing, self.check_command_under_way,
                         self.check_reload_under_way)
        for name, writer in self.writers.items():
            self.go_on(writer, 2)
            writer.finish()
            self.assertEqual(self.w[name].status()['upgrades'], int(name != 'hangs'))
        for w in self.w.values():
            w.stop()


if __name__ == '__main__':
    xtest.main()
