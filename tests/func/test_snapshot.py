# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots of a live target: what is in them, how they come to be complete, their names and
limits. When things go wrong: test_snapshot_full.py."""

import contextlib
import os
import random
import re
import shutil
import signal
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from snapshot_fixture import BLOCK, KIB, MIB, SnapshotCase, XFS_CLONES, \
    XFS_METHOD  # noqa: E402


class Point(SnapshotCase):
    """Several connections write numbered slots, each once; a snapshot must hold a consistent cut:
    what was acknowledged before it, nothing begun after it, and no write without those that were
    acknowledged before it began."""
    SLOT, SLOTS, WRITERS = 4 * KIB, 12288, 4

    def setUp(self):
        super().setUp()
        self.clock = 0
        self.lock = threading.Lock()
        self.began, self.ended = {}, {}  # slot: time on self.clock
        self.stopping = False
        self.order = random.Random(5).sample(range(self.SLOTS), self.SLOTS)

    def tick(self):
        with self.lock:
            self.clock += 1
            return self.clock

    def slot_bytes(self, slot):
        return struct.pack('<Q', slot) * ((self.SLOT - 1000) // 8)

    def write_slots(self, c):
        while not self.stopping:
            with self.lock:
                if not self.order:
                    return
                slot = self.order.pop()
                self.clock += 1
                self.began[slot] = self.clock
            reply = c.write(slot * self.SLOT + slot % 1000, self.slot_bytes(slot))
            assert reply.error == 0
            self.ended[slot] = self.tick()

    @contextlib.contextmanager
    def writers(self):
        clients = [self.client() for _ in range(self.WRITERS)]
        threads = [threading.Thread(target=self.write_slots, args=(c,)) for c in clients]
        for t in threads:
            t.start()
        try:
            yield
        finally:
            self.stopping = True
            for t in threads:
                t.join()

    def check_cut(self, data, before, after):
        """Of a snapshot asked for at time `before` and answered at `after`."""
        inside = set()
        for slot in self.began:
            at = slot * self.SLOT + slot % 1000
            now = data[at:at + len(self.slot_bytes(slot))]
            if now == self.slot_bytes(slot):
                inside.add(slot)
            else:
                self.assertTrue(now == self.base[at:at + len(now)], f'slot {slot} is torn')
        newest = max([self.began[s] for s in inside], default=0)
        for slot, end in self.ended.items():
            if end < max(before, newest):
                self.assertIn(slot, inside, f'acknowledged at {end}, missing; asked at {before}, '
                                            f'newest write began at {newest}')
        for slot in inside:
            self.assertLess(self.began[slot], after, 'begun after the answer')

    def cut(self, take):
        before = self.tick()
        path = take()
        return path, before, self.tick()

    def by_signal(self):
        return self.signal_snapshot()['path']

    def by_command(self):
        return self.snapshot()['path']

    def by_tool(self):
        path = self.path(f'to.{self.clock}')
        out = self.bgctl('--snapshot', '--to', path, '--wait', self.control)
        self.assertIn(path, out)
        return path

    def battery(self, folder, **options):
        self.target(self.image(self.SLOT * self.SLOTS, pattern=1, folder=folder), '--threads=2',
                    **options)
        self.base = self.content(self.img)
        cuts = []
        with self.writers():
            for take in (self.by_command, self.by_signal, self.by_tool, self.by_command) * 2:
                cuts.append(self.cut(take))
                time.sleep(0.15)
        self.assertGreater(len(self.ended), 200)
        for number in self.snapshots():
            self.wait_state(number)
        for path, before, after in cuts:
            self.check_cut(self.content(path), before, after)
        self.server.stop()

    def test_copied(self):
        self.battery(self.mount('tmpfs', '1g'))

    def test_copied_slowly(self):
        self.battery(self.mount('tmpfs', '1g'), copies_us=2000)

    def test_cloned(self):
        self.battery(self.mount('xfs', 512 * MIB))

    def test_fault_2_2_clients_are_served_and_taken_in_meanwhile(self):
        """The original let go of all its clients to take a snapshot, and forgot those who came
        meanwhile."""
        self.target(self.image(16 * MIB, pattern=1))
        self.base = self.content(self.img)
        old = self.client()
        for i in range(20):
            self.ctl.send('snapshot')
            new = self.client()
            self.assertEqual(new.write(i * 4096, b'n' * 512).error, 0)
            self.assertEqual(old.read(i * 4096, 512), b'n' * 512)
            answer = self.ctl.answer()
            self.assertTrue(answer['ok'], answer)
            self.drop(answer['id'])
            new.disconnect()
        self.assertTrue(old.in_sync())

    def test_fault_2_2_client_stuck_in_a_write_holds_up_nobody(self):
        self.target(self.image(4 * MIB, pattern=1))
        stuck, other = self.client(), self.client()
        data = b's' * 256 * KIB
        request = stuck.write_bytes(MIB, data)
        stuck.send(request[:1000])
        began = time.monotonic()
        before = self.content(self.img)
        taken = self.snapshot()
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual(other.write(0, b'o' * 512).error, 0)
        stuck.send(request[1000:])
        self.assertEqual(stuck.reply().error, 0)
        self.wait_state(taken['id'])
        self.assert_content(taken['path'], before)
        self.assertEqual(other.read(MIB, len(data)), data)

    def test_writes_during_the_copy(self):
        """2.2: nobody was served while the original copied. Here a write waits for its own block."""
        folder = self.mount('tmpfs', '1g')
        self.target(self.image(64 * MIB, pattern=1, folder=folder), copies_us=2000)
        c, rnd = self.client(), random.Random(1)
        number = self.snapshot()['id']
        for _ in range(20):
            self.assertEqual(c.write(rnd.randrange(63 * MIB), b'x' * 4096).error, 0)
        self.assertEqual(self.state(number), 'copying')


class Contents(SnapshotCase):
    """Requests of all kinds against a model, snapshots in between."""
    SIZE = 9 * MIB + 1000

    def fresh(self, folder):
        """Data, holes and short runs of both."""
        path = self.image(self.SIZE, folder=folder)
        rnd = random.Random(2)
        with open(path, 'r+b') as f:
            f.write(rnd.randbytes(2 * MIB))
            for at in range(4 * MIB, self.SIZE - 8192, 40000):
                f.seek(at)
                f.write(rnd.randbytes(rnd.choice((100, 4096, 8192))))
        return path

    def one_request(self, c, model, rnd):
        length = rnd.choice((1, 511, 512, 4096, 5000, BLOCK, BLOCK + 1, 300000, 2 * MIB))
        at = rnd.randrange(self.SIZE)
        if rnd.random() < 0.3:
            at &= ~(BLOCK - 1)
        length = min(length, self.SIZE - at)
        kind = rnd.choice((n.WRITE, n.WRITE, n.WRITE_ZEROES, n.TRIM))
        if kind == n.WRITE:
            model[at:at + length] = rnd.randbytes(length)
            reply = c.write(at, bytes(model[at:at + length]), flags=rnd.choice((0, n.FUA)))
        else:
            flags = rnd.choice((0, n.NO_HOLE)) if kind == n.WRITE_ZEROES else 0
            reply = c.call(kind, at, length, flags=flags)
            model[at:at + length] = c.read(at, length)
        self.assertEqual(reply.error, 0)

    def battery(self, folder, method, *args, to=None, **options):
        self.target(self.fresh(folder), *args, **options)
        model, rnd = bytearray(self.content(self.img)), random.Random(3)
        clients, taken = [self.client() for _ in range(2)], []
        for i in range(5):
            for _ in range(25):
                self.one_request(rnd.choice(clients), model, rnd)
            taken.append((self.snapshot(to and f'{to}/to.{i}'), bytes(model)))
            self.assertEqual(taken[-1][0]['method'], method)
        for _ in range(25):
            self.one_request(rnd.choice(clients), model, rnd)
        self.read_all(taken[-1], rnd)
        for s, then in taken:
            self.wait_state(s['id'])
            self.assert_content(s['path'], then)
            self.assertEqual(os.stat(s['path']).st_mode & 0o777, 0o600)
        self.assert_content(self.img, model)
        self.assertEqual(self.partials(to), [])
        self.server.stop()

    def read_all(self, taken, rnd):
        """Through the server, at once."""
        c = self.client(rnd.choice(('@snapshot', f'@{taken[0]["id"]}')))
        self.assertTrue(c.flags & n.READ_ONLY and c.flags & n.MULTI_CONN)
        self.assertEqual(c.size, self.SIZE)
        for _ in range(40):
            at = rnd.randrange(self.SIZE)
            length = min(rnd.choice((1, 4096, 100000, 2 * MIB)), self.SIZE - at)
            self.assertTrue(c.read(at, length) == taken[1][at:at + length], (at, length))
        self.assertEqual(c.write(0, b'x').error, 1)

    def test_tmpfs(self):
        self.battery(self.mount('tmpfs', '256m'), 'copy')

    def test_ext4(self):
        self.battery(self.mount('ext4', 128 * MIB), 'copy')

    def test_slow_copies(self):
        self.battery(self.mount('tmpfs', '256m'), 'copy', copies_us=3000)

    def test_xfs_clones(self):
        self.battery(self.mount('xfs', 320 * MIB), XFS_METHOD)

    def test_btrfs_clones(self):
        if not shutil.which('mkfs.btrfs'):
            self.skipTest('needs mkfs.btrfs')  # XFS does for CI
        self.battery(self.mount('btrfs', 320 * MIB), 'reflink')

    def test_xfs_to_another_file_system(self):
        self.battery(self.mount('xfs', 320 * MIB), 'copy', to=self.mount('tmpfs', '256m'))

    def test_direct(self):
        self.battery(self.mount('ext4', 128 * MIB), 'copy', '--direct')

    def test_xfs_direct(self):
        self.battery(self.mount('xfs', 320 * MIB), XFS_METHOD, '--direct')

    @unittest.skipUnless(XFS_CLONES, 'needs Linux 6.18')
    def test_xfs_of_many_extents(self):
        """Shared block by block, as cloning it at once would take long."""
        folder = self.mount('xfs', 320 * MIB)
        path = self.image(32 * MIB, folder=folder)
        with open(path, 'r+b') as f:
            for at in range(0, 32 * MIB, 8192):
                f.seek(at)
                f.write(b'e' * 4096)
        self.target(path)
        before, used = self.content(path), os.statvfs(folder).f_bfree
        taken, c = self.snapshot(), self.client()
        self.assertEqual(taken['method'], 'reflink')
        self.assertEqual(c.write(5 * MIB, b'x' * 9000).error, 0)
        self.wait_state(taken['id'])
        self.assert_content(taken['path'], before)
        os.sync()
        self.assertLess((used - os.statvfs(folder).f_bfree) * os.statvfs(folder).f_bsize, 8 * MIB)

    def test_loop_device(self):
        """2.2: the original ended at block devices, for want of a size."""
        folder = self.mount('tmpfs', '256m')
        disk = self.image(8 * MIB, 'disk', pattern=4, folder=folder)
        self.target(self.loop_device(disk))
        self.refused('--to')
        self.server.send_signal(signal.SIGUSR1)
        xtest.wait_for(lambda: 'which has no place' in self.server.stderr(), 'a line in the log')
        before = self.content(self.img)
        taken = self.snapshot(f'{folder}/snap')
        self.assertEqual((taken['method'], taken['path']), ('copy', f'{folder}/snap'))
        self.assertEqual(self.client().write(100, b'y' * 5 * MIB).error, 0)
        self.wait_state(taken['id'])
        self.assert_content(f'{folder}/snap', before)

    def sparse(self, folder, **options):
        """1.3: copies of the original were not sparse."""
        path = self.image(64 * MIB, folder=folder)
        with open(path, 'r+b') as f:
            f.seek(10 * MIB)
            f.write(b'd' * 300000)
            f.seek(20 * MIB)
            f.write(bytes(2 * MIB))  # zeros that are stored
        self.target(path, **options)
        taken, c = self.snapshot(), self.client()
        for at in (0, 10 * MIB, 30 * MIB):
            self.assertEqual(c.write(at, b'w' * 500000).error, 0)
        reader = self.client('@snapshot')
        self.assertEqual(reader.read(30 * MIB, MIB), bytes(MIB))
        self.wait_state(taken['id'])
        self.assertLess(os.stat(taken['path']).st_blocks * 512, MIB)
        self.assertEqual(self.content(taken['path'])[10 * MIB:10 * MIB + 300000], b'd' * 300000)
        self.assertEqual(reader.call(n.BLOCK_STATUS, 40 * MIB, MIB).extents, [(MIB, 3)])

    def test_fault_1_3_sparse_stays_sparse(self):
        self.sparse(self.mount('ext4', 128 * MIB))

    def test_sparse_stays_sparse_tmpfs(self):
        self.sparse(self.mount('tmpfs', '128m'))

    def test_read_while_it_is_copied(self):
        """Blocks that clients of the snapshot read come before the copy's turn; the live export
        goes on and is never seen."""
        self.target(self.image(32 * MIB, pattern=6, folder=self.mount('tmpfs', '256m')),
                    copies_us=30000)
        before, rnd = self.content(self.img), random.Random(6)
        taken = self.snapshot()
        reader, writer = self.client(f'@{taken["id"]}'), self.client()
        for i in range(60):
            at = rnd.randrange(31 * MIB)
            self.assertEqual(writer.write(at, b'new' * 3000).error, 0)
            near = max(at + rnd.randrange(-BLOCK, BLOCK), 0)
            self.assertTrue(reader.read(near, 20000) == before[near:near + 20000], near)
            self.assertTrue(i != 10 or self.state(taken['id']) == 'copying')
        self.wait_state(taken['id'], seconds=60)
        self.assert_content(taken['path'], before)
        self.assertTrue(reader.read(0, 32 * MIB) == before)


class Names(SnapshotCase):

    def setUp(self):
        super().setUp()
        self.folder = self.path('folder')
        os.mkdir(self.folder)

    def target_of(self, size=MIB, **options):
        self.target(self.image(size, 'disk', pattern=1, folder=self.folder), **options)

    def test_image_snapshot_epoch(self):
        self.target_of()
        before = int(time.time())
        taken = self.snapshot()
        self.assertTrue(before <= taken['id'] <= time.time())
        self.assertEqual(taken['path'], f'{self.img}.snapshot.{taken["id"]}')
        self.wait_state(taken['id'])
        self.assertEqual(self.files(), ['disk', os.path.basename(taken['path'])])
        self.assertIn('the snapshot is complete', self.server.stderr())

    def test_fault_2_2_many_in_a_second(self):
        """The original's master ended at the second one, and its clients with it."""
        self.target_of()
        c = self.client()
        taken = [self.snapshot() for _ in range(8)]
        self.assertEqual(len({s['path'] for s in taken}), 8)
        for s in taken:
            self.assertTrue(s['path'].endswith(f'.snapshot.{s["id"]}'))
            self.wait_state(s['id'])
        self.assertTrue(c.in_sync())

    def test_signals_in_one_second(self):
        self.target_of()
        self.assertNotEqual(self.signal_snapshot()['id'], self.signal_snapshot()['id'])
        self.server.stop()

    def test_what_is_there_is_left_alone(self):
        self.target_of()
        now = int(time.time())
        for i in range(-1, 60, 2):
            for name in (f'{self.img}.snapshot.{now + i}', f'{self.img}.snapshot.{now + i + 1}'
                                                           '.partial'):
                with open(name, 'w') as f:
                    f.write('mine')
        os.symlink('nowhere', f'{self.img}.snapshot.{now + 61}')
        taken = self.snapshot()
        self.assertGreater(taken['id'], now + 61)
        self.wait_state(taken['id'])
        mine = [f for f in self.files() if '.snapshot.' in f and f not in taken['path']]
        for name in mine:
            path = f'{self.folder}/{name}'
            self.assertTrue(os.path.islink(path) or xtest.text_of(path) == 'mine')

    def test_to_is_never_overwritten(self):
        self.target_of()
        to = f'{self.folder}/to'
        for name in (to, f'{to}.partial'):
            with open(name, 'w') as f:
                f.write('mine')
            self.refused(f'{re.escape(name)}: File exists', to=to)
            self.assertEqual(xtest.text_of(name), 'mine')
            os.unlink(name)
        os.symlink(f'{self.folder}/elsewhere', to)
        self.refused('File exists', to=to)
        self.assertEqual(self.files(), ['disk', 'to'])
        self.refused('absolute', to='relative')
        self.refused('No such file', to=f'{self.folder}/no/such')
        self.refused('Is a directory|File exists', to=self.folder)
        self.refused('too long', to=f'{self.folder}/{"x" * 5000}')
        self.refused('too long', to=f'{self.folder}/{"é" * 3000}')
        self.assertEqual(self.snapshots(), {})

    def test_name_taken_while_it_is_copied(self):
        self.target_of(held=True)
        taken = self.snapshot(f'{self.folder}/to')
        with open(taken['path'], 'w') as f:
            f.write('mine')
        self.copies_go_on()
        self.wait_state(taken['id'], 'failed')
        self.assertEqual(self.snapshots()[taken['id']]['error'], 'File exists')
        self.assertEqual(xtest.text_of(taken['path']), 'mine')
        self.assertEqual(self.partials(), [])
        self.assertRegex(self.server.stderr(), 'snapshot is lost: File exists')

    def test_partial_while_it_is_copied(self):
        self.target_of(held=True)
        taken = self.snapshot()
        name = os.path.basename(taken['path'])
        self.assertEqual(self.files(), ['disk', f'{name}.partial'])
        self.assertEqual(self.state(taken['id']), 'copying')
        self.copies_go_on()
        self.wait_state(taken['id'])
        self.assertEqual(self.files(), ['disk', name])

    def test_kill_leaves_the_partial_file(self):
        self.target_of(held=True)
        taken = self.snapshot()
        self.server.kill()
        self.assertEqual(self.partials(), [os.path.basename(taken['path']) + '.partial'])
        self.copies_go_on()
        self.target_of()
        again = self.snapshot()
        self.wait_state(again['id'])
        self.assertEqual(len(self.partials()), 1, 'it is not ours any more')

    def test_events(self):
        self.target_of(held=True)
        other = self.connect()
        taken = self.snapshot()
        self.copies_go_on()
        self.wait_state(taken['id'])
        self.drop(taken['id'])
        self.assertTrue(other.call('query')['ok'])
        self.assertEqual([(e['event'], e['id'], e['state'], e['path'], e['error'])
                          for e in other.events],
                         [('snapshot', taken['id'], s, taken['path'], '')
                          for s in ('copying', 'complete', 'dropped')])

    def test_listed(self):
        self.target_of(held=True)
        taken = self.snapshot()
        c = n.Raw(self.server.socket)
        c.greet()
        listed = [r[1][4:].decode() for r in c.option(n.OPT_LIST) if r[0] == n.REP_SERVER]
        c.close()
        self.assertEqual(listed, ['', f'@{taken["id"]}'])
        for name in ('@1', '@', '@snapshotx', f'@{taken["id"]}x', '@-1'):
            self.no_export(name)


class Limits(SnapshotCase):

    def setUp(self):
        super().setUp()
        self.target(self.image(4 * MIB, pattern=1, folder=self.mount('tmpfs', '256m')), held=True)

    def test_8_are_saved_at_once(self):
        taken, before, c = [], [], self.client()
        for i in range(8):
            taken.append(self.snapshot())
            before.append(self.content(self.img))
        self.refused('too many')
        self.server.send_signal(signal.SIGUSR1)
        xtest.wait_for(lambda: 'too many' in self.server.stderr(), 'a line in the log')
        c.request(n.TRIM, 0, 4 * MIB)
        self.copies_go_on()
        self.assertEqual(c.reply().error, 0)
        for s, then in zip(taken, before):
            self.wait_state(s['id'])
            self.assert_content(s['path'], then)
        self.snapshot()

    def test_32_in_all(self):
        self.copies_go_on()
        taken = [self.snapshot()]
        while len(taken) < 32:
            self.wait_state(taken[-1]['id'])
            taken.append(self.snapshot())
        self.refused('too many')
        self.wait_state(taken[-1]['id'])
        self.refused('too many')
        self.drop(taken[3]['id'])
        self.snapshot()
        self.assertTrue(os.path.exists(taken[3]['path']))

    def test_one_at_a_time(self):
        """The second one is refused or, the first one fixed by then, taken."""
        self.copies_go_on()
        others = [self.connect() for _ in range(6)]
        for c in others:
            c.send('snapshot')
        answers = [c.answer() for c in others]
        self.assertTrue(any(a['ok'] for a in answers))
        for a in answers:
            self.assertTrue(a['ok'] or 'another one' in a['error'], a)
        self.assertEqual(len(self.snapshots()), sum(a['ok'] for a in answers))


class Drop(SnapshotCase):

    def setUp(self):
        super().setUp()
        self.folder = self.mount('tmpfs', '256m')

    def begin(self, **options):
        self.target(self.image(8 * MIB, pattern=1, folder=self.folder), **options)
        self.before = self.content(self.img)
        return self.snapshot()

    def test_complete(self):
        """No longer exported; its file stays, and so does who reads it."""
        taken = self.begin()
        self.wait_state(taken['id'])
        reader = self.client('@snapshot')
        self.drop(taken['id'])
        self.assertTrue(reader.read(0, 8 * MIB) == self.before)
        self.assert_content(taken['path'], self.before)
        self.no_export('@snapshot')
        self.refused('no such', 'snapshot-drop', id=taken['id'])
        reader.disconnect()
        self.server.stop()

    def test_copying_with_a_reader_and_a_writer_that_wait(self):
        taken = self.begin(held=True)
        reader, writer, late = self.client('@snapshot'), self.client(), self.client('@snapshot')
        reader.request(n.READ, 0, 4096)
        writer.send(writer.write_bytes(BLOCK, b'w' * 100))
        time.sleep(0.2)
        self.ctl.send('snapshot-drop', id=taken['id'])
        self.assertEqual(writer.reply().error, 0)
        self.assertEqual(reader.reply().error, 5)
        self.copies_go_on()
        answer = self.ctl.answer()
        self.assertTrue(answer['ok'], answer)
        self.assertEqual(self.partials(self.folder), [])
        self.assertEqual(self.snapshots(), {})
        self.assertEqual(late.call(n.READ, MIB, 4096).error, 5)
        self.assertEqual(writer.read(BLOCK, 100), b'w' * 100)
        dropped = [e for e in self.ctl.events if e['state'] == 'dropped']
        self.assertEqual([e['error'] for e in dropped], [''])
        self.assertNotIn('lost', self.server.stderr())
        reader.disconnect()
        late.disconnect()
        self.snapshot()
        self.server.stop()

    @unittest.skipUnless(XFS_CLONES, 'needs Linux 6.18')
    def test_clone_that_is_being_synced(self):
        self.folder = self.mount('xfs', 320 * MIB)
        taken = self.begin(held=True, syncs=True)
        self.assertEqual(taken['method'], 'reflink')
        reader = self.client('@snapshot')
        self.assertTrue(reader.read(0, 8 * MIB) == self.before)
        self.drop(taken['id'])
        reader.disconnect()
        self.assertEqual(self.client().write(0, b'x').error, 0)
        self.copies_go_on()
        xtest.wait_for(lambda: not self.partials(self.folder), 'the partial file is gone')
        self.assertEqual(self.files(self.folder), ['disk.img'])
        self.server.stop()

    def test_again_and_again_under_load(self):
        self.begin(copies_us=500)
        self.drop(next(iter(self.snapshots())))
        done, rnd = threading.Event(), random.Random(8)

        def write():
            c = self.client()
            while not done.is_set():
                self.assertEqual(c.write(rnd.randrange(7 * MIB), b'x' * 5000).error, 0)

        def take():
            try:
                for _ in range(40):
                    s = self.snapshot()
                    reader = self.client(f'@{s["id"]}')
                    reader.request(n.READ, rnd.randrange(8 * MIB - 4096), 4096)
                    self.drop(s['id'])
                    self.assertIn(reader.reply().error, (0, 5))
                    reader.close()
            finally:
                done.set()
        xtest.in_threads(write, write, take)
        self.assertEqual(self.partials(self.folder), [])
        self.server.stop()


class Refusals(SnapshotCase):

    def serve_mode(self, mode, *words):
        self.control = self.path('control')
        socket = self.path('nbd.sock')
        argv = [xtest.program('xnbd-server'), mode, f'--socket={socket}', *words]
        self.server = self.start(argv, [socket, self.control])
        self.server.socket = socket
        self.ctl = self.connect()

    def test_cow_target(self):
        self.img = self.image(MIB)
        self.serve_mode('--cow-target', f'--control={self.path("control")}', self.img)
        self.refused('only of a target')
        self.server.send_signal(signal.SIGUSR1)
        xtest.wait_for(lambda: 'only of a target' in self.server.stderr(), 'a line in the log')

    def test_proxy_until_it_is_switched(self):
        origin = self.serve(self.image(4 * MIB, 'origin', pattern=1), '--readonly')
        self.img = self.path('cache')
        self.serve_mode('--proxy', f'nbd+unix:///?socket={origin.socket}', self.img,
                        self.path('bitmap'), self.path('control'))
        self.refused('switched')
        self.assertTrue(self.ctl.call('cache-all')['ok'])
        xtest.wait_for(lambda: self.connect_and('switch')['ok'], 'switched')
        taken = self.snapshot()
        self.assertEqual(self.client().write(0, b'new').error, 0)
        self.wait_state(taken['id'])
        self.assert_content(taken['path'], self.content(self.path('origin')))

    def test_drop_of_what_is_not_there(self):
        self.target(self.image(MIB))
        for number in (0, 1, -1, 'x', None):
            self.refused('no such snapshot', 'snapshot-drop', id=number)

    def test_read_only_target(self):
        self.target(self.image(MIB, pattern=1), '--readonly')
        taken = self.snapshot()
        self.wait_state(taken['id'])
        self.assert_content(taken['path'], self.content(self.img))


if __name__ == '__main__':
    xtest.main()
