# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots when things go wrong: no room, disks that fail or hang, the end of the server in the
middle; and what is durable when."""

import os
import random
import re
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import faulty  # noqa: E402
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from snapshot_fixture import BLOCK, MIB, SnapshotCase, XFS_CLONES  # noqa: E402


class Full(SnapshotCase):
    """The snapshot's file system has less room than the image."""

    def setUp(self):
        super().setUp()
        self.small = self.mount('tmpfs', '4m')
        self.to = f'{self.small}/snap'

    def free(self):
        fs = os.statvfs(self.small)
        return fs.f_bavail * fs.f_bsize

    def wait_lost(self, taken):
        self.wait_state(taken['id'], 'failed')
        self.assertEqual(self.snapshots()[taken['id']]['error'], 'No space left on device')
        lines = [s for s in self.server.stderr().splitlines() if 'the snapshot is lost' in s]
        self.assertEqual(len(lines), 1)
        self.assertIn('No space left on device', lines[0])
        self.assertIn(self.to, lines[0])

    def test_writers_go_on(self):
        self.target(self.image(16 * MIB, pattern=1), copies_us=2000)
        good, bad = self.snapshot(), self.snapshot(self.to)
        before, model = self.content(self.img), bytearray(self.content(self.img))
        c, rnd = self.client(), random.Random(2)
        for _ in range(200):
            at = rnd.randrange(15 * MIB)
            model[at:at + 9000] = rnd.randbytes(9000)
            self.assertEqual(c.write(at, bytes(model[at:at + 9000])).error, 0)
        self.wait_lost(bad)
        self.assertTrue(c.read(0, 16 * MIB) == model)
        self.wait_state(good['id'])
        self.assert_content(good['path'], before)
        self.assertEqual(c.call(n.FLUSH).error, 0)

    def test_without_writers(self):
        """It has failed then, too, and does not try for ever."""
        self.target(self.image(16 * MIB, pattern=1))
        self.wait_lost(self.snapshot(self.to))

    def test_room_is_given_back(self):
        """Even while clients of it are there still."""
        room = self.free()
        self.target(self.image(16 * MIB, pattern=1), copies_us=2000)
        taken = self.snapshot(self.to)
        reader = self.client('@snapshot')
        self.assertEqual(len(reader.read(0, MIB)), MIB)
        self.wait_lost(taken)
        self.assertEqual(os.listdir(self.small), [])
        self.assertGreaterEqual(self.free(), room - MIB // 4)
        self.assertEqual(reader.call(n.READ, 8 * MIB, 4096).error, 5)
        self.assertIn(reader.call(n.READ, 0, 4096).error, (0, 5))
        self.no_export('@snapshot')
        self.no_export(f'@{taken["id"]}')
        reader.disconnect()
        self.drop(taken['id'])
        self.server.stop()

    def test_readers_get_errors_never_wrong_data(self):
        self.target(self.image(16 * MIB, pattern=1), copies_us=1000)
        before, rnd = self.content(self.img), random.Random(3)
        taken = self.snapshot(self.to)
        readers, c = [self.client('@snapshot') for _ in range(3)], self.client()
        failed = 0
        while failed < 50:
            self.assertEqual(c.write(rnd.randrange(15 * MIB), b'wrong' * 2000).error, 0)
            for reader in readers:
                at = rnd.randrange(15 * MIB)
                length = rnd.choice((512, 50000, 300000))
                reply = reader.call(n.READ, at, length)
                self.assertIn(reply.error, (0, 5))
                failed += reply.error != 0
                self.assertTrue(reply.error or reply.data == before[at:at + length], at)
        self.wait_lost(taken)

    def test_image_beside_it(self):
        """Both on one file system: the image has its blocks, the snapshot does not get them."""
        folder = self.mount('tmpfs', '20m')
        self.target(self.image(16 * MIB, pattern=1, folder=folder))
        taken, c = self.snapshot(), self.client()
        for at in range(0, 16 * MIB, MIB):
            self.assertEqual(c.write(at, b'w' * MIB).error, 0)
        self.wait_state(taken['id'], 'failed')
        self.assertEqual(self.files(), ['disk.img'])
        self.assertEqual(c.write(0, b'x' * MIB).error, 0)

    def test_next_one_has_room_again(self):
        self.target(self.image(3 * MIB, pattern=1))
        with open(f'{self.small}/other', 'wb') as f:
            f.write(bytes(3 * MIB))
        self.wait_lost(self.snapshot(self.to))
        os.unlink(f'{self.small}/other')
        again = self.snapshot(self.to)
        self.wait_state(again['id'])
        self.assert_content(self.to, self.content(self.img))


HANGING_WRITE = r'''
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t at, int flags)
{
	while (at == 6 << 20 && access(getenv("WRITE_HELD"), F_OK) == 0) {
		if (flags & RWF_NOWAIT) {
			errno = EAGAIN;
			return -1;
		}
		usleep(2000);
	}
	return syscall(SYS_pwritev2, fd, iov, n, at, 0, flags);
}
ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	return pwritev64v2(fd, iov, n, at, flags);
}
'''


class Hanging(SnapshotCase, faulty.Case):
    """A client's write to BAD hangs: in its own call alone (others write on), or in the disk."""
    SIZE, BAD = 8 * MIB, 6 * MIB

    def setUp(self):
        super().setUp()
        self.folder = self.mount('tmpfs', '128m')
        self.to = f'{self.folder}/snap'

    def client(self, name='', mode='structured', timeout=40.0):
        return SnapshotCase.client(self, name, mode, timeout)

    def hang_call(self):
        flag = self.path('write-held')
        env = dict(self.preload(HANGING_WRITE, 'write'), WRITE_HELD=flag)
        self.target(self.image(self.SIZE, pattern=1), '--engine=threads', env=env)
        with open(flag, 'w'):
            pass
        stuck = self.send_write()
        time.sleep(0.2)
        return stuck, lambda: os.unlink(flag)

    def hang_disk(self):
        self.disk = faulty.Disk(self, self.SIZE, cached=False)
        self.target(self.disk.path)
        self.addCleanup(self.disk.release)  # before the server is killed, which could not die
        self.disk.hold('write', (self.BAD, 4096))
        stuck = self.send_write()
        self.disk.wait_held()
        return stuck, self.disk.release

    def send_write(self):
        c = self.client()
        c.send(c.write_bytes(self.BAD, b's' * 512))
        return c

    def fails(self, text, seconds):
        other, reader = self.client(), self.client()
        began = time.monotonic()
        self.ctl.send('snapshot', to=self.to)
        time.sleep(0.5)
        self.assertEqual(len(reader.read(2 * MIB, 4096)), 4096)
        other.send(other.write_bytes(MIB, b'o' * 4096))
        answer = self.ctl.answer()
        self.assertFalse(answer['ok'])
        self.assertIn(text, answer['error'])
        self.assertTrue(seconds - 1 < time.monotonic() - began < seconds + 4)
        return other

    def works_again(self):
        def taken():
            return self.ctl.call('snapshot', to=self.to)['ok']
        xtest.wait_for(lambda: os.listdir(self.folder) == [], 'its file is gone')
        self.assertEqual(self.snapshots(), {})
        xtest.wait_for(taken, 'a snapshot')
        self.wait_state(next(iter(self.snapshots())))
        self.assertEqual(self.content(self.to)[self.BAD:self.BAD + 512], b's' * 512)
        self.assert_content(self.to, self.content(self.img))
        self.server.stop()

    def test_write_that_hangs_fails_the_snapshot_in_time(self):
        stuck, let_go = self.hang_call()
        other = self.fails('do not finish', 3)
        self.assertEqual(other.reply().error, 0, 'goes on')
        xtest.wait_for(lambda: os.listdir(self.folder) == [], 'its file is gone')
        let_go()
        self.assertEqual(stuck.reply().error, 0)
        self.works_again()

    def test_disk_that_hangs_fails_the_snapshot_in_time(self):
        """It cannot even be written out."""
        stuck, let_go = self.hang_disk()
        other = self.fails('too long', 30)
        self.refused('another one')
        let_go()
        for c in (stuck, other):
            self.assertEqual(c.reply().error, 0)
        self.works_again()

    def test_write_that_goes_on_in_time(self):
        stuck, let_go = self.hang_call()
        self.ctl.send('snapshot', to=self.to)
        time.sleep(1)
        let_go()
        answer = self.ctl.answer()
        self.assertTrue(answer['ok'], answer)
        self.assertEqual(stuck.reply().error, 0)
        self.wait_state(answer['id'])
        self.assert_content(self.to, self.content(self.img))

    def test_control_connection_leaves_meanwhile(self):
        stuck, let_go = self.hang_call()
        gone = self.connect()
        gone.send('snapshot', to=self.to)
        time.sleep(0.5)
        gone.close()
        self.refused('another one')
        xtest.wait_for(lambda: 'do not finish' in self.server.stderr(), 'a line in the log')
        let_go()
        self.assertEqual(stuck.reply().error, 0)
        gone = self.connect()
        gone.send('snapshot', to=self.to)
        gone.close()
        xtest.wait_for(lambda: os.path.exists(self.to), 'it is taken all the same')
        self.server.stop()

    def ends(self, stuck, let_go):
        self.ctl.send('snapshot', to=self.to)
        time.sleep(0.5)
        self.server.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        let_go()
        self.assertEqual(stuck.reply().error, 0)
        stuck.close()
        self.assertEqual(self.server.wait(20), 0)
        self.assertEqual([f for f in os.listdir(self.folder) if f.endswith('.partial')], [])

    def test_end_of_the_server_while_a_write_hangs(self):
        self.ends(*self.hang_call())

    def test_end_of_the_server_while_its_disk_hangs(self):
        self.ends(*self.hang_disk())

    def test_block_that_cannot_be_read(self):
        """The snapshot is lost, the write is not."""
        self.disk = faulty.Disk(self, self.SIZE)
        self.target(self.disk.path)
        self.disk.fail('read', (4 * MIB, 4096))
        taken, c = self.snapshot(self.to), self.client()
        self.assertEqual(c.write(4 * MIB, b'w' * 8192).error, 0)
        self.wait_state(taken['id'], 'failed')
        self.assertEqual(self.snapshots()[taken['id']]['error'], 'Input/output error')
        self.assertEqual(os.listdir(self.folder), [])


class End(SnapshotCase):

    def setUp(self):
        super().setUp()
        self.folder = self.path('folder')
        os.mkdir(self.folder)

    def target_of(self, size, **options):
        self.target(self.image(size, 'disk', pattern=1, folder=self.folder), **options)

    def test_while_it_is_copied(self):
        self.target_of(32 * MIB, copies_us=30000)
        taken = self.snapshot()
        reader = self.client('@snapshot')
        self.assertEqual(len(reader.read(MIB, MIB)), MIB)
        self.server.stop()
        self.assertEqual(self.files(), ['disk'])
        self.assertRegex(self.server.stderr(), f'{taken["path"]}: the snapshot was not complete')

    def test_while_a_clone_is_synced(self):
        self.folder = self.mount('xfs', 320 * MIB)
        self.target_of(4 * MIB, syncs=True)
        taken = self.snapshot()
        self.server.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        self.copies_go_on()
        self.assertEqual(self.server.wait(), 0)
        self.assertEqual(self.files(), ['disk', os.path.basename(taken['path'])])

    def test_while_they_begin(self):
        """At every moment; nothing is left, nobody is harmed."""
        for i in range(25):
            self.target_of(4 * MIB)
            c = self.client()
            self.assertEqual(c.write(i, b'x' * 100000).error, 0)
            self.ctl.send('snapshot')
            time.sleep(random.Random(i).random() * 0.02)
            self.server.send_signal(signal.SIGTERM)
            self.assertEqual(self.server.wait(), 0)
            self.assertEqual(self.partials(), [], self.server.stderr())
            c.close()

    def test_complete_ones_stay(self):
        self.target_of(MIB)
        taken = self.snapshot()
        self.wait_state(taken['id'])
        self.server.stop()
        self.assertEqual(self.files(), ['disk', os.path.basename(taken['path'])])


class Durable(SnapshotCase):

    def trace(self, image, **options):
        """Takes one; the calls that make it durable, in order: (call, rest of the line)."""
        self.require('strace', root=True)
        out = self.path('strace')
        calls = 'openat,pwrite64,fsync,fdatasync,rename,renameat2,link'
        self.target(image, prefix=('strace', '-D', '-f', '-y', '-o', out, '-e', f'trace={calls}'),
                    env={'ASAN_OPTIONS': 'detect_leaks=0'}, **options)
        taken = self.snapshot()
        self.wait_state(taken['id'])
        self.server.stop()
        xtest.wait_for(lambda: '+++ exited' in xtest.text_of(out), 'strace')
        text = xtest.text_of(out)
        return taken, re.findall(r'^\d+ +(\w+)\((.*)$', text, re.MULTILINE)

    def places(self, calls, name, text):
        return [i for i, (call, rest) in enumerate(calls) if call == name and text in rest]

    def check(self, taken, calls):
        partial, folder = f'{taken["path"]}.partial', os.path.dirname(self.img)
        writes = self.places(calls, 'pwrite64', f'{partial}>')
        [sync] = self.places(calls, 'fsync', f'{partial}>')
        [rename] = self.places(calls, 'renameat2', 'RENAME_NOREPLACE')
        [folder_sync] = self.places(calls, 'fsync', f'<{folder}>')
        self.assertTrue(max(writes, default=0) < sync < rename < folder_sync)
        self.assertIn('O_EXCL', calls[self.places(calls, 'openat', partial)[0]][1])
        return writes

    def test_fault_4_2_7_synced_before_it_has_its_name(self):
        taken, calls = self.trace(self.image(2 * MIB, pattern=1))
        writes = self.check(taken, calls)
        self.assertEqual(len(writes), 2 * MIB // BLOCK, 'fault 4.6: not in steps of 1 KiB')

    @unittest.skipUnless(XFS_CLONES, 'needs Linux 6.18')
    def test_clone_too(self):
        taken, calls = self.trace(self.image(2 * MIB, pattern=1,
                                             folder=self.mount('xfs', 320 * MIB)))
        self.assertEqual(taken['method'], 'reflink')
        self.assertEqual(self.check(taken, calls), [])

    def test_fault_2_2_what_was_written_is_flushed(self):
        """Not needed for the copy, but a clone has nothing to write out at its point then."""
        taken, calls = self.trace(self.image(2 * MIB, pattern=1))
        before = self.places(calls, 'fdatasync', f'<{self.img}>')
        self.assertTrue(before and before[0] < self.places(calls, 'renameat2', taken['path'])[0])

    def test_file_system_without_noreplace(self):
        """NFS has no RENAME_NOREPLACE."""
        env = self.preload(r'''
#include <errno.h>
int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
	(void)a, (void)from, (void)b, (void)to, (void)flags;
	errno = EINVAL;
	return -1;
}
''')
        self.target(self.image(MIB, pattern=1), env=env)
        taken = self.snapshot()
        self.wait_state(taken['id'])
        self.assert_content(taken['path'], self.content(self.img))
        self.assertEqual(self.partials(), [])
        to = self.path('to')
        taken = self.snapshot(to)
        self.wait_state(taken['id'])
        self.refused('File exists', to=to)


if __name__ == '__main__':
    xtest.main()
