# SPDX-License-Identifier: GPL-2.0-or-later
"""A client of a pair that serves one image at an address that floats, for tests with clusters
(stonith_cluster.py): it writes all the time, comes again, and remembers what it was told."""

import errno
import os
import shutil
import threading

import agents
import rawnbd
from stonith_cluster import SERVICE

OCF, PORT, BLOCK, BLOCKS = '/usr/lib/ocf/resource.d', 10809, 4096, 256
SIZE = 4 << 20  # of the image: more than this client needs
PROGRAMS = ('xnbd-wrapper', 'xnbd-wrapper-ctl', 'xnbd-server')
# What a client may see of a move; that it is refused is not among it.
GONE = {errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED}


class Client:
    """Writes blocks, one after the other, and comes again when its connection is gone."""

    def __init__(self, case):
        self.case, self.written, self.faults = case, [0] * BLOCKS, []
        self.count, self.end = 0, threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        case.addCleanup(self.stop)

    def stop(self):
        self.end.set()
        self.thread.join()

    def connect(self):
        c = self.case.host.within(lambda: rawnbd.Raw((SERVICE, PORT), timeout=10))
        return c.enter(name='disk')

    def _run(self):
        while not self.end.is_set():
            try:
                with self.connect() as c:
                    self._write(c)
            except (TimeoutError, rawnbd.Closed):
                continue
            except OSError as e:
                if e.errno not in GONE:
                    self.faults.append(e)
            except BaseException as e:
                self.faults.append(e)
                raise

    def _write(self, c):
        while not self.end.is_set():
            number = self.count + 1
            at = number % BLOCKS
            self.end.wait(0.01)
            reply = c.write(at * BLOCK, number.to_bytes(8, 'big') * (BLOCK // 8), flags=rawnbd.FUA)
            if reply.error:
                raise AssertionError(reply)
            self.written[at] = self.count = number

    def goes_on(self):
        """Waits until more is written than by now."""
        before = self.count
        self.case.until(lambda: self.count > before + 2, 'the client goes on')

    def check(self):
        """Every block has what was acknowledged, or the one write behind it that was not."""
        self.stop()
        self.case.assertEqual(self.faults, [])
        with self.connect() as c:
            for at, number in enumerate(self.written):
                found = int.from_bytes(c.read(at * BLOCK, BLOCK)[:8], 'big')
                self.case.assertIn(found, (number, number + BLOCKS, self.count + 1), f'block {at}')


def install(case, size=SIZE):
    """Our agents among those of the machine; the configuration of the wrapper, with one export."""
    folder = case.path('resource.d')
    shutil.copytree(OCF, folder, symlinks=True)
    shutil.copytree(f'{agents.SCRIPTS}/ocf', f'{folder}/xnbd')
    case.bind(folder, OCF)
    config = case.path('xnbd.conf')
    with open(config, 'w') as f:
        f.write(f'wrapper {{ listen = {{"*:{PORT}"}} }}\n'
                f'export "disk" {{ image = "{case.image(size)}" }}\n')
    return config
