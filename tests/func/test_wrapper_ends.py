#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Wanted ends under load: SIGTERM, SIGINT, --shutdown. Nothing torn, nothing left."""

import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import MIB, kill  # noqa: E402
from wrapper_writer import BLOCK, WritingCase  # noqa: E402


class Shutdown(WritingCase):
    """In order: 0 within 10 s, no process left, no write torn or lost."""

    def end_under_load(self, end):
        w = self.wrap(exports=self.files(2, 4 * MIB))
        writers = [self.writer(w, f'disk{i}', 64) for i in range(2)]
        shaking, idle = w.raw(), w.enter('disk0')
        began = time.monotonic()
        end(w)
        self.assertEqual(w.daemon.wait(10), 0, w.log())
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(w.processes(), set())
        for i, writer in enumerate(writers):
            writer.join()
            self.assertIsNotNone(writer.error)
            writer.check_file(self, self.path(f'disk{i}.img'))
        self.assertTrue(shaking and idle)
        self.assertNotIn('killed', w.log())

    def test_sigterm(self):
        self.end_under_load(lambda w: kill(w.pid, signal.SIGTERM))

    def test_sigint(self):
        self.end_under_load(lambda w: kill(w.pid, signal.SIGINT))

    def test_control(self):
        self.end_under_load(lambda w: w.ctl('--shutdown'))

    def test_twice(self):
        def both(w):
            w.ctl('--shutdown')
            kill(w.pid, signal.SIGTERM)
            w.ctl('--shutdown', status=None)
        self.end_under_load(both)

    def test_under_fio(self):
        self.require('fio')
        w = self.wrap(exports=self.files(1, 8 * MIB))
        fio = self.spawn(['fio', '--name=load', '--ioengine=nbd', f'--uri={w.uri("disk0")}',
                          '--rw=randrw', '--bs=4k', '--size=8M', '--iodepth=32', '--time_based',
                          '--runtime=60', '--thread'], cwd=self.dir)
        xtest.wait_for(lambda: w.client_count('disk0') > 0, 'fio')
        time.sleep(0.5)
        w.stop(seconds=10)
        self.assertEqual(w.processes() - {fio.pid} - self.children(fio.pid), set())

    @staticmethod
    def children(pid):
        found = subprocess.run(['pgrep', '-P', str(pid)], capture_output=True, text=True).stdout
        return {int(p) for p in found.split()}

    def test_client_that_reads_nothing_is_cut(self):
        """It holds the end up for the grace period, no longer."""
        w = self.wrap(exports=self.files(1, 8 * MIB))
        client = w.enter('disk0')
        for _ in range(8):
            client.request(rawnbd.READ, 0, 8 * MIB)
        time.sleep(0.2)
        w.stop(seconds=10)

    def test_client_in_the_middle_of_a_request_is_cut(self):
        """While its worker gives it time, handshakes are told ERR_SHUTDOWN."""
        w = self.wrap(exports=self.files(1))
        busy, shaking = w.enter('disk0'), w.raw()
        busy.send(busy.write_bytes(0, b'h' * BLOCK)[:1000])
        time.sleep(0.2)
        kill(w.pid, signal.SIGTERM)
        time.sleep(0.3)
        kind, text = shaking.option(rawnbd.OPT_LIST)[-1]
        self.assertEqual((kind, b'shutting down' in text), (rawnbd.REP_ERR + 7, True))
        self.assertEqual(w.daemon.wait(10), 0)
        busy.expect_end()


if __name__ == '__main__':
    xtest.main()
