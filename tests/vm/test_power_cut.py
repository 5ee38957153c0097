# SPDX-License-Identifier: GPL-2.0-or-later
"""Power cuts: a guest with a proxy, a named overlay and a target whose snapshot is being copied is
killed while clients write and the proxy's background copy runs. Booted again, each sector must
hold what was durable or something newer, and a snapshot with its final name must be whole.

Clients are here, on the host, and so are the records of what was promised (history.py). The guest's
disks have no cache of their own (directsync): lost is what was in the guest's page cache. As a
kernel may write any page at any time, it is made to: in some rounds the bitmaps as soon as they
change, while data stays in memory; in others everything after a moment. In some rounds the servers
are killed, or ended in order, and started again before the power is cut.

XFS is made without shared blocks, so that snapshots are copied there too. Besides, on the XFS of
Linux 6.1 writing to a file may change a clone of it, and that is no fault of ours.

Moments and requests come from a seed, which is printed and can be set by TEST_SEED; how far the
guest is at such a moment differs from run to run.
"""

import base64
import contextlib
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import history  # noqa: E402
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE, AREA, BIG = 20 * MIB, 4 * MIB, 256 * KIB
IMAGE_SIZE = 8 * MIB  # of the target with snapshots
SECONDS = 40  # a slow machine gets fewer cuts
ORIGIN, CONTROL, IMAGE_CONTROL = '/run/origin', '/run/control', '/run/image.control'
MKFS = {'ext4': (), 'xfs': ('-m', 'reflink=0')}
SLOW_RATE = 2 * MIB  # of a disk, when slow
BARE_PORT = 10811  # of a server for a bare file
COPY_RATE = 256 * KIB  # bytes a second: it must not be complete before the last cut

# What the kernel is made to write early: bitmaps; all after a moment; nothing.
MAPS = 'while :; do sync -d {maps} 2>/dev/null; usleep 5000; done &'
SOON = 'cd /proc/sys/vm; echo 5 >dirty_writeback_centisecs; echo 10 >dirty_expire_centisecs'
LATE = ':'

# And how the servers end on the way to the cut.
ROUNDS = ((MAPS, 'KILL'), (SOON, None), (MAPS, None), (LATE, 'TERM'), (MAPS, None))


def whole(size):
    return history.runs([True] * (size // BIG), BIG, size)


class Store:
    """A server with a file, mostly a bitmap too, on a disk of the guest, and what it may hold."""

    def __init__(self, port, folder, block, content):
        self.port, self.block, self.size = port, block, len(content)
        self.file = f'{folder}/data'
        self.history = history.History(content)
        self.job = self.writer = None
        self.area = 0, self.size  # what is written
        self.proven = ()  # bits on disk


class Proxy(Store):
    def __init__(self, port, folder, content):
        super().__init__(port, folder, 4 * KIB, content)
        self.bitmap = f'{self.file}.bm'
        self.words = ['--proxy', f'nbd+unix:///?socket={ORIGIN}', self.file, self.bitmap, CONTROL]


class Overlay(Store):
    def __init__(self, port, folder, block, content):
        super().__init__(port, folder, block, content)
        self.bitmap = f'{self.file}.bitmap'
        self.words = ['--cow-target', f'--cow-layer={self.file}', f'--cow-block={block}',
                      '/dev/vda']


class Image(Store):
    """The target with snapshots."""

    def __init__(self, port, folder, content):
        super().__init__(port, folder, 512, content)
        self.file, self.snapshot = f'{folder}/image', f'{folder}/snapshot'
        self.words = ['--target', f'--control={IMAGE_CONTROL}', self.file]


class PowerCut:
    GUEST = {'modules': ('xfs',), 'ports': (10801, 10802, 10803, BARE_PORT),
             'disk_cache': 'directsync',
             'programs': (xtest.program('xnbd-server'), xtest.program('xnbd-bgctl'))}
    TOOLS = ('mkfs.ext4', 'mkfs.xfs')

    @classmethod
    def disks(cls, folder):
        cls.content = random.Random(1).randbytes(SIZE)
        paths = [os.path.join(folder, name) for name in ('origin', 'ext4', 'xfs')]
        with open(paths[0], 'wb') as f:
            f.write(cls.content)
        for path, size in zip(paths[1:], (96 * MIB, 320 * MIB)):  # sparse; less is no XFS
            with open(path, 'wb') as f:
                f.truncate(size)
            kind = os.path.basename(path)
            subprocess.run([f'mkfs.{kind}', '-q', *MKFS[kind], path], check=True)
        return paths

    def setUp(self):
        super().setUp()
        seed = os.environ.get('TEST_SEED') or random.SystemRandom().randrange(1 << 32)
        self.say(f'TEST_SEED={seed}')
        self.rnd = random.Random(f'{seed} {type(self).__name__}')
        proxy, overlay = self.FOLDERS
        self.proxy = Proxy(10801, proxy, self.content)
        self.layers = (self.proxy, Overlay(10802, overlay, self.COW_BLOCK, self.content))
        self.image = Image(10803, proxy, self.content[:IMAGE_SIZE])
        self.stores = (*self.layers, self.image)
        self.snapshot_words = f'--snapshot --to {self.image.snapshot} {IMAGE_CONTROL}'

    @staticmethod
    def say(text):
        sys.stderr.write(f'{text}\n')
        sys.stderr.flush()

    def test_power_cuts(self):
        end = time.monotonic() + SECONDS
        self.mount()
        self.guest.run(f'head -c {IMAGE_SIZE} /dev/vda >{self.image.file}; sync')
        rounds = ROUNDS[self.FIRST_ROUND:] + ROUNDS[:self.FIRST_ROUND]
        for i, (pressure, signal) in enumerate(rounds):
            if i >= 2 and time.monotonic() > end:
                break
            for s in self.layers:
                s.area = SIZE - (i + 1) * AREA, AREA  # the copy comes from the other end
            self.work(pressure, signal, slow=i % 2 == 1)
            self.cut()
            self.check()
            self.tell(i + 1, signal)
        histories = [s.history for s in self.stores]
        self.assertGreater(sum(h.lost for h in histories), 0, 'no cut lost anything')
        self.assertGreater(min(h.flushes for h in histories), 0)
        self.assertTrue(any(self.proxy.proven[:AREA // self.proxy.block]), 'nothing was copied')

    def tell(self, number, signal):
        self.say(f'{type(self).__name__} cut {number} ({signal or "no"} restart): '
                 f'{[sum(s.proven) for s in self.layers]} blocks proven, '
                 f'{[s.history.lost for s in self.stores]} sectors lost so far, '
                 f'snapshot {"whole" if self.whole else "partial"}')

    def work(self, pressure, signal, slow):
        self.start_servers()
        self.put_under(pressure)
        self.start_load()
        if signal:
            self.sleep(0.5, 2)
            self.restart_servers(signal)
        self.sleep(0.3, 2)
        if slow:
            self.slow_down()
        self.take_snapshot()
        self.sleep(0, 2.5)

    def sleep(self, least, most):
        time.sleep(self.rnd.uniform(least, most))

    def slow_down(self):
        """A disk that needs seconds for the snapshot's file."""
        limits = dict.fromkeys(('bps', 'bps_rd', 'iops', 'iops_rd', 'iops_wr'), 0)
        for disk in ('disk1', 'disk2'):
            self.guest.qmp('block_set_io_throttle', device=disk, bps_wr=SLOW_RATE, **limits)

    def cut(self):
        self.check_alive()
        state = self.list_snapshots()
        self.was_complete = 'complete' in state
        self.assertTrue(self.was_complete or 'copying' in state, state)
        self.guest.stop()
        self.end_writers()

    def check(self):
        self.guest.boot()
        self.mount()
        self.check_files()
        self.check_snapshot()
        self.start_servers()
        self.check_bits_believed()
        self.check_partial()
        self.check_servers()
        self.forget_reads()

    # In the guest.

    def mount(self):
        for folder, device in (('/ext4', '/dev/vdb'), ('/xfs', '/dev/vdc')):
            self.guest.run(f'mkdir {folder} && mount {device} {folder}')

    def serve(self, *words):
        return self.guest.start('xnbd-server', f'--engine={self.ENGINE}', *words)

    def wait_ready(self, job, port):
        def answers():
            self.assertTrue(self.guest.is_running(job), self.guest.run(f'cat {job}.log'))
            try:
                with n.Raw(self.guest.address(port), timeout=60) as c:
                    c.enter().disconnect()
                return True
            except (n.Closed, ConnectionError):
                return False
        xtest.wait_for(answers, f'server on port {port}', 60)

    def listen(self, port):
        return f'--lport={port}', '--laddr=0.0.0.0'

    def start_servers(self):
        self.origin = self.serve('--target', '--readonly', f'--socket={ORIGIN}', '/dev/vda')
        for s in self.stores:
            s.job = self.serve(*self.listen(s.port), *s.words)
        for s in self.stores:
            self.wait_ready(s.job, s.port)

    def stop_servers(self, signal):
        for s in self.stores:
            status, log = self.guest.end(s.job, signal)
            self.assertEqual(status, {'KILL': 137, 'TERM': 0}[signal], log)
        self.guest.end(self.origin, 'KILL')

    def put_under(self, pressure):
        maps = ' '.join(f'{s.bitmap} {s.bitmap}.live' for s in self.layers)
        self.guest.run(f'({pressure.format(maps=maps)}) >/dev/null 2>&1')

    def start_load(self):
        self.guest.run(f'xnbd-bgctl --cache-all --no-wait --rate={COPY_RATE} {CONTROL}', 3)
        for s in self.layers:
            self.start_writer(s)

    def start_writer(self, s):
        s.writer = history.Writer(self.guest.address(s.port), s.history, s.area,
                                  self.rnd.random())

    def end_writers(self):
        for s in self.stores:
            if s.writer:
                s.writer.end()
            s.writer = None

    def check_alive(self):
        for s in self.stores:
            alive = self.guest.is_running(s.job) and (not s.writer or s.writer.is_alive())
            self.assertTrue(alive, f'{s.writer and s.writer.error} '
                                   f'{self.guest.run(f"cat {s.job}.log")}')

    def restart_servers(self, signal):
        """In the same boot, so nothing is lost; what an orderly end has seen is durable."""
        self.check_alive()
        self.stop_servers(signal)
        self.end_writers()
        for s in self.stores:
            if signal == 'TERM':
                s.history.settle(s.history.flush_begins())
        self.start_servers()
        self.start_load()

    def take_snapshot(self):
        """Of what nobody has written to since it was read."""
        self.content_then = bytes(self.image.history.durable)
        how = self.guest.run(f'xnbd-bgctl {self.snapshot_words}')
        self.how = f'after write {self.image.history.number}: {how}'
        self.start_writer(self.image)

    def list_snapshots(self):
        return self.guest.run(f'xnbd-bgctl --list-snapshots {IMAGE_CONTROL}')

    # After a cut.

    def no_faults(self, faults, what):
        self.assertEqual(faults[:10], [], f'{len(faults)} sectors of {what}')

    @contextlib.contextmanager
    def bare(self, path):
        """A file as it is; yields the address of its server."""
        job = self.serve('--target', '--readonly', *self.listen(BARE_PORT), path)
        self.wait_ready(job, BARE_PORT)
        yield self.guest.address(BARE_PORT)
        self.guest.end(job)

    def check_files(self):
        """What a bit on disk vouches for is in the file, whatever our server makes of it."""
        for s in self.layers:
            bits = base64.b64decode(self.guest.run(f'base64 {s.bitmap}'))
            s.proven = [bits[i // 8] >> i % 8 & 1 for i in range(SIZE // s.block)]
            with self.bare(s.file) as address:
                faults = history.read(address, s.history,
                                      history.runs(s.proven, s.block, SIZE))[1]
            self.no_faults(faults, f'{s.file}, marked present')

    def check_snapshot(self):
        """Only a whole one has the final name, and one that was said to be complete has it."""
        name = self.image.snapshot
        files = self.guest.run(f'ls {name}*', None).split()
        self.whole, self.partial = name in files, f'{name}.partial' in files
        self.assertFalse(self.whole and self.partial)
        self.assertTrue(self.whole or not self.was_complete)
        if self.whole:
            then = history.History(self.content_then)
            self.assertEqual(self.guest.run(f'stat -c %s {name}'), f'{IMAGE_SIZE}\n')
            with self.bare(name) as address:
                faults = history.read(address, then, whole(IMAGE_SIZE))[1]
            self.no_faults(faults, f'{name}, {self.how}')

    def check_bits_believed(self):
        """Neither more (PATH.live is of another boot) nor less."""
        state = json.loads(self.guest.run(f'xnbd-bgctl --query --json {CONTROL}'))
        self.assertEqual(state['cached'], sum(self.proxy.proven))

    def check_partial(self):
        """What is left of a copy is not offered, and nothing has it overwritten."""
        self.assertEqual(self.list_snapshots(), 'no snapshots\n')
        if self.partial:
            refusal = self.guest.run(f'xnbd-bgctl {self.snapshot_words}', 1)
            self.assertIn(f'{self.image.snapshot}.partial', refusal)

    def check_servers(self):
        for s in self.stores:
            content, faults = history.read(self.guest.address(s.port), s.history,
                                           whole(s.size))
            self.no_faults(faults, f'{s.file} through its server')
            s.history.go_on_with(content)

    def forget_reads(self):
        """They must not complete the copy."""
        self.stop_servers('KILL')
        for s in self.layers:
            self.guest.run(f'rm {s.bitmap}.live')
        self.guest.run(f'rm -f {self.image.snapshot}*; sync')


class ProxyOnExt4(PowerCut, lab.Case):
    FOLDERS, ENGINE, COW_BLOCK = ('/ext4', '/xfs'), 'io_uring', 4 * KIB
    FIRST_ROUND = 0


class ProxyOnXfs(PowerCut, lab.Case):
    FOLDERS, ENGINE, COW_BLOCK = ('/xfs', '/ext4'), 'threads', 64 * KIB
    FIRST_ROUND = 3


if __name__ == '__main__':
    xtest.main()
