# SPDX-License-Identifier: GPL-2.0-or-later
"""Exports that change their size while they are served: who comes gets the new one, who was there
is ended between requests and finds everything done that it was told of, nobody gets an error."""

import contextlib
import errno
import os
import random
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import hammer  # noqa: E402
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from comeback import Writer  # noqa: E402
from snapshot_fixture import SnapshotCase  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE, GROWN = 4 * MIB, 7 * MIB
# Calls wait as long as the file is there: fdatasync, and durable writes and reads of threads.
HOLDS = r'''
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
static void wait_for_leave(const char *name)
{
	const char *held = getenv(name);

	while (held && access(held, F_OK) == 0)
		usleep(2000);
}
int fdatasync(int fd)
{
	wait_for_leave("SYNC_HELD");
	return (int)syscall(SYS_fdatasync, fd);
}
ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	if (flags & RWF_DSYNC)
		wait_for_leave("WRITE_HELD");
	return syscall(SYS_pwritev2, fd, iov, n, at, 0, flags);
}
ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t at, int flags)
{
	return pwritev2(fd, iov, n, at, flags);
}
ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	if (flags == 0)
		wait_for_leave("READ_HELD");
	return syscall(SYS_preadv2, fd, iov, n, at, 0, flags);
}
ssize_t preadv64v2(int fd, const struct iovec *iov, int n, off64_t at, int flags)
{
	return preadv2(fd, iov, n, at, flags);
}
'''


class Case(SnapshotCase):

    def export(self, *args, size=SIZE, **options):
        self.target(self.image(size, pattern=1), '--threads=2', *args, **options)
        self.base = self.content(self.img)

    def slow_export(self, *args):
        """With hold() and let_go()."""
        env = self.preload(HOLDS, 'holds')
        for kind in ('sync', 'write', 'read'):
            env[f'{kind.upper()}_HELD'] = self.path(f'{kind}-held')
            self.addCleanup(self.let_go, kind)
        self.export('--engine=threads', *args, env=env)

    def hold(self, kind):
        with open(self.path(f'{kind}-held'), 'w'):
            pass

    def let_go(self, kind):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(f'{kind}-held'))

    def resize(self, size=None, **more):
        if size is not None:
            os.truncate(self.img, size)
        return self.ctl.call('resize', **more)

    def resized(self, old, new, ended, **more):
        answer = self.resize(new, **more)
        self.assertEqual(answer, {'v': 1, 'ok': True, 'old': old, 'size': new, 'ended': ended})

    def orderly_end(self, c):
        """The server shuts down, and does not reset: nothing that was sent is lost."""
        self.assertEqual(c.sock.recv(1), b'')
        c.close()

    def told(self, **more):
        c = self.client(**more)
        size = c.size
        c.close()
        return size


class Grow(Case):

    def test_looked_at_only(self):
        self.export()
        c = self.client()
        for size in (GROWN, SIZE // 2):
            self.resized(SIZE, size, 0, look=True)
            self.assertEqual((self.ctl.events, self.told()), ([], SIZE))
        self.assertTrue(c.in_sync())
        self.server.stop()

    def test_unchanged(self):
        self.export()
        c = self.client()
        self.resized(SIZE, SIZE, 0)
        self.assertEqual(self.ctl.events, [])
        self.assertTrue(c.in_sync())
        c.disconnect()
        self.server.stop()

    def test_grown(self):
        self.export()
        modes = ('structured', 'simple', 'extended', 'structured')
        clients = [self.client(mode=mode) for mode in modes]
        self.resized(SIZE, GROWN, 4)
        for c in clients:
            self.orderly_end(c)
        new = self.client()
        self.assertEqual(new.size, GROWN)
        self.assertEqual(new.read(SIZE - 4096, 8192), self.base[-4096:] + bytes(4096))
        self.assertEqual(new.write(GROWN - 512, b'e' * 512, flags=n.FUA).error, 0)
        self.assertEqual(new.call(n.READ, GROWN - 511, 512).error, errno.EINVAL)
        self.assertEqual(self.content(self.img)[-512:], b'e' * 512)
        xtest.wait_for(lambda: self.connect_and('status')['clients'] == 1, 'the old ones gone')
        self.resized(GROWN, GROWN, 0)
        self.assertTrue(new.in_sync())
        new.disconnect()
        self.server.stop()

    def test_event(self):
        self.export('--block-min=512')
        listener = self.connect()
        self.resized(SIZE, GROWN, 0)
        listener.call('status')
        status = self.connect_and('status')
        facts = {k: status[k] for k in ('flags', 'block_min', 'block_preferred', 'block_max')}
        self.assertEqual(listener.events, [{'v': 1, 'event': 'resized', 'old': SIZE, 'size': GROWN,
                                            **facts}])
        self.assertEqual(self.ctl.events, listener.events)
        self.server.stop()

    def test_to_and_fro(self):
        """Many times, with reads of all kinds of lengths in the new part."""
        self.export()
        size, rnd = SIZE, random.Random(4)
        for _ in range(12):
            new = size + rnd.choice((1, 512, 4096, 5 * MIB + 77))
            with open(self.img, 'ab') as f:
                f.write(rnd.randbytes(new - size))
            self.resized(size, new, 0)
            content, c, size = self.content(self.img), self.client(), new
            self.assertEqual(c.size, size)
            for length in (1, 4096, 64 * KIB, 256 * KIB, 2 * MIB):
                for at in (size - length, rnd.randrange(size - length)):
                    self.assertEqual(c.read(at, length), content[at:at + length])
            c.disconnect()
        self.server.stop()

    def test_block_min_counts(self):
        """Clients are told what they can reach all of."""
        self.export('--block-min=4K', size=SIZE + 100)
        self.assertEqual(self.told(), SIZE)
        os.truncate(self.img, SIZE + 4095)
        self.assertEqual(self.resize()['size'], SIZE)
        os.truncate(self.img, SIZE + 4097)
        self.assertEqual(self.resize()['size'], SIZE + 4096)
        self.server.stop()

    def test_what_is_under_way_is_answered(self):
        self.slow_export()
        c, idle = self.client(), self.client()
        self.hold('sync')
        c.request(n.FLUSH)
        for i in range(50):
            c.send(c.write_bytes(i * 4096, bytes([i]) * 4096))
        self.resized(SIZE, GROWN, 2)
        self.orderly_end(idle)
        self.assertEqual({c.reply().error for _ in range(50)}, {0})
        time.sleep(1.5)  # longer than it waits for a moment between requests
        self.let_go('sync')
        self.assertEqual(c.reply().error, 0)
        self.orderly_end(c)
        self.assertEqual(self.content(self.img)[:50 * 4096],
                         b''.join(bytes([i]) * 4096 for i in range(50)))
        self.server.stop()

    def test_half_a_request_is_not_begun(self):
        self.export()
        header, payload = self.client(), self.client()
        header.send(header.request_bytes(n.READ, 0, 512)[:20])
        payload.send(payload.write_bytes(0, b'x' * MIB)[:MIB // 2])
        self.resized(SIZE, GROWN, 2)
        for c in (header, payload):
            self.orderly_end(c)
        self.assertEqual(self.content(self.img)[:MIB], self.base[:MIB])
        self.server.stop()

    def test_half_a_request_that_is_completed(self):
        self.export()
        c = self.client()
        whole = c.write_bytes(0, b'x' * MIB)
        c.send(whole[:MIB // 2])
        self.resized(SIZE, GROWN, 1)
        c.send(whole[MIB // 2:])
        self.assertEqual(c.reply().error, 0)
        self.orderly_end(c)
        self.server.stop()

    def test_client_that_takes_no_replies_is_cut(self):
        self.export('--threads=1')
        c = self.client()
        for _ in range(40):
            c.request(n.READ, 0, MIB)
        time.sleep(0.3)
        self.assertEqual(self.resize(GROWN)['ended'], 1)
        xtest.wait_for(lambda: self.connect_and('status')['clients'] == 0, 'cut', 20)
        self.assertIn('does not take its replies', self.server.stderr())
        self.server.stop()

    def test_client_that_does_not_close_is_cut(self):
        self.export()
        c = self.client()
        self.resized(SIZE, GROWN, 1)
        xtest.wait_for(lambda: self.connect_and('status')['clients'] == 0, 'cut', 5)
        self.orderly_end(c)
        self.server.stop()

    def test_old_handshake(self):
        self.export('--oldstyle')
        with xtest.connect(self.server.socket) as s:
            self.assertEqual(struct.unpack('>Q', s.recv(152, socket.MSG_WAITALL)[16:24])[0], SIZE)
            self.resized(SIZE, GROWN, 1)
            self.assertEqual(s.recv(1), b'')
        with xtest.connect(self.server.socket) as s:
            self.assertEqual(struct.unpack('>Q', s.recv(152, socket.MSG_WAITALL)[16:24])[0], GROWN)
        self.server.stop()

    def test_client_of_a_master_that_was_told_the_old_size(self):
        self.export()
        self.resized(SIZE, GROWN, 0)
        for told, stays in ((SIZE, False), (GROWN, True)):
            ours, theirs = socket.socketpair()
            with theirs:
                line = (f'{{"v":1,"cmd":"client","id":{told},"features":"structured","fd":true,'
                        f'"size":{told}}}\n')
                socket.send_fds(self.ctl.sock, [line.encode()], [theirs.fileno()])
            self.assertTrue(self.ctl.answer()['ok'])
            c = n.Raw(ours)
            c.structured, c.size = True, told
            if stays:
                self.assertTrue(c.in_sync())
                c.disconnect()
            else:
                self.orderly_end(c)
        self.server.stop()

    def test_device(self):
        img = self.image(SIZE, pattern=1)
        dev = self.loop_device(img)
        self.target(dev)
        c = self.client()
        os.truncate(img, GROWN)
        self.assertEqual(self.resize()['ended'], 0)  # the device does not know yet
        self.run_cmd('losetup', '--set-capacity', dev)
        self.assertEqual(self.resize(), {'v': 1, 'ok': True, 'old': SIZE, 'size': GROWN,
                                         'ended': 1})
        self.orderly_end(c)
        new = self.client()
        self.assertEqual((new.size, new.write(GROWN - 4096, b'd' * 4096, flags=n.FUA).error),
                         (GROWN, 0))
        self.assertEqual(new.read(GROWN - 256 * KIB, 256 * KIB)[-4096:], b'd' * 4096)
        new.disconnect()
        self.server.stop()


class Shrink(Case):

    NEW = 1 * MIB

    def test_refused_without_force(self):
        self.export()
        c = self.client()
        os.truncate(self.img, self.NEW)
        self.refused(rf'{self.img} has {self.NEW} bytes now, and had {SIZE}.*with force they get',
                     'resize')
        self.assertEqual(self.ctl.events, [])
        self.assertEqual(self.told(), SIZE)
        self.assertTrue(c.in_sync())
        self.server.stop()

    def test_forced(self):
        self.export()
        c = self.client()
        self.resized(SIZE, self.NEW, 1, force=True)
        self.orderly_end(c)
        new = self.client()
        self.assertEqual(new.size, self.NEW)
        self.assertEqual(new.read(0, self.NEW), self.base[:self.NEW])
        self.assertEqual(new.call(n.READ, self.NEW, 1).error, errno.EINVAL)
        self.assertEqual(new.write(self.NEW, b'x').error, errno.ENOSPC)
        self.assertEqual(self.ctl.events[0]['size'], self.NEW)
        new.disconnect()
        self.server.stop()

    def test_never_empty(self):
        self.export('--block-min=4K')
        for size in (0, 4095):
            os.truncate(self.img, size)
            for force in (False, True):
                self.refused('cannot be empty', 'resize', force=force)
        self.server.stop()

    def test_read_under_way(self):
        self.slow_export('--direct')
        c = self.client()
        self.hold('read')
        c.request(n.READ, SIZE - 4096, 4096)
        c.request(n.READ, 0, 4096)
        time.sleep(0.2)
        self.resized(SIZE, self.NEW, 1, force=True)
        self.let_go('read')
        self.assertEqual(sorted((r.error, r.data) for r in c.replies(2)),
                         [(0, self.base[:4096]), (errno.EINVAL, b'')])
        self.orderly_end(c)
        self.server.stop()

    def test_writes_under_way(self):
        """One that has begun is done first; those behind it are refused if they are beyond the new
        end, and done if not. The image does not become longer by any."""
        self.slow_export()
        busy, c = self.client(), self.client()
        self.hold('write')
        busy.send(busy.write_bytes(0, b'b' * 4096, flags=n.FUA))
        time.sleep(0.2)
        os.truncate(self.img, self.NEW)
        self.ctl.send('resize', force=True)
        time.sleep(0.2)
        for at in (SIZE - 4096, 4096, self.NEW - 2048):
            c.send(c.write_bytes(at, b'c' * 4096))
        c.request(n.TRIM, self.NEW, 4096)
        c.request(n.WRITE_ZEROES, SIZE - 4096, 4096)
        time.sleep(0.2)
        self.let_go('write')
        answer = self.ctl.answer()
        self.assertEqual((answer['ok'], answer['size'], answer['ended']), (True, self.NEW, 2))
        self.assertEqual(busy.reply().error, 0)
        errors = {r.cookie: r.error for r in c.replies(5)}
        first = min(errors)
        self.assertEqual([errors[first + i] for i in range(5)],
                         [errno.ENOSPC, 0, errno.ENOSPC, errno.EINVAL, errno.ENOSPC])
        self.orderly_end(busy)
        self.orderly_end(c)
        self.assertEqual(os.path.getsize(self.img), self.NEW)
        self.assertEqual(self.content(self.img)[:8192], b'b' * 4096 + b'c' * 4096)
        self.server.stop()

    def test_write_that_is_half_here(self):
        self.export()
        c = self.client()
        whole = c.write_bytes(SIZE - MIB, b'x' * MIB)
        c.send(whole[:MIB // 2])
        time.sleep(0.1)
        self.resized(SIZE, self.NEW, 1, force=True)
        c.send(whole[MIB // 2:])
        self.assertEqual(c.reply().error, errno.ENOSPC)
        self.orderly_end(c)
        self.assertEqual(os.path.getsize(self.img), self.NEW)
        self.server.stop()

    def test_write_that_does_not_finish(self):
        self.slow_export()
        c, other = self.client(), self.client()
        self.hold('write')
        c.send(c.write_bytes(0, b'b' * 4096, flags=n.FUA))
        time.sleep(0.2)
        os.truncate(self.img, self.NEW)
        self.refused('do not finish; nothing was changed', 'resize', force=True)
        self.assertEqual(other.write(0, b'o' * 512).error, 0)
        self.let_go('write')
        self.assertEqual(c.reply().error, 0)
        self.assertEqual(self.told(), SIZE)
        self.assertTrue(c.in_sync() and other.in_sync())
        self.server.stop()

    def test_readers_of_all_kinds(self):
        """Through mappings, pipes and buffers while the file is cut: no SIGBUS, no wrong byte."""
        self.export()

        def place(rnd, length):
            return rnd.randrange(0, GROWN - length, 4096)

        def check(at, length, reply):
            self.assertIn(reply.error, (0, errno.EIO, errno.EINVAL))
            want = (self.base + bytes(GROWN))[at:at + length]
            if not reply.error:
                for i in range(0, length, 4096):
                    self.assertIn(reply.data[i:i + 4096], (want[i:i + 4096], bytes(4096)))

        readers = [(mode, [length] * 8) for mode in ('simple', 'structured')
                   for length in (4 * KIB, 64 * KIB, 512 * KIB)]
        h = hammer.Hammer(lambda mode: self.client(mode=mode), readers, place, check)
        h.may_be_cut = 10000

        def change():
            for _ in range(15):
                for size in (self.NEW, GROWN, SIZE):
                    answer = self.resize(size, force=True)
                    self.assertTrue(answer['ok'], answer)
                    time.sleep(0.05)
            time.sleep(1.5)  # until those who leave have come again
        h.run(change)
        self.server.stop()


class Refusals(Case):

    def test_copy_on_write(self):
        for extra in ((), ('--cow-shared',), (f'--cow-layer={self.path("layer")}',)):
            control = self.path(f'c{len(extra)}{len(str(extra))}')
            argv = [xtest.program('xnbd-server'), '--cow-target', *extra, f'--control={control}',
                    f'--socket={control}.nbd', self.image(SIZE)]
            d = self.start(argv, [control])
            self.control = control
            answer = self.connect_and('resize', force=True)
            self.assertRegex(answer['error'], 'copy-on-write target keeps the size of its base')
            d.stop()

    def test_proxy(self):
        self.export()
        args = [self.path(x) for x in ('cache', 'bitmap', 'pctl')]
        proxy = self.start([
            xtest.program('xnbd-server'), '--proxy', f'--socket={self.path("p.nbd")}',
            self.server.uri, *args], [args[2], self.path('p.nbd')])
        self.control = args[2]
        self.assertRegex(self.connect_and('resize')['error'], 'keeps the size of its origin')
        self.connect_and('switch', force=True)
        self.assertRegex(self.connect_and('resize')['error'], 'start the server again')
        proxy.stop()

    def test_while_a_snapshot_is_copied(self):
        self.target(self.image(SIZE, pattern=1, folder=self.mount('tmpfs', '64m')), held=True)
        number = self.snapshot()['id']
        for size in (SIZE, GROWN):
            os.truncate(self.img, size)
            self.refused('snapshot is being copied; wait .* or drop it', 'resize')
        self.copies_go_on()
        self.wait_state(number)
        old, c = self.client(name='@snapshot'), self.client()
        self.assertEqual(self.resize()['ended'], 1)
        self.orderly_end(c)
        self.assertEqual((old.size, len(old.read(0, SIZE))), (SIZE, SIZE))
        again = self.snapshot()
        self.wait_state(again['id'])
        self.assertEqual(os.path.getsize(again['path']), GROWN)
        self.server.stop()

    def test_file_that_is_gone_by_name(self):
        """The open one is meant, as long as the server runs."""
        self.export()
        os.unlink(self.img)
        self.assertEqual(self.resize()['ended'], 0)
        self.server.stop()


class Load(Case):

    def setUp(self):
        super().setUp()
        self.require('nbdinfo')

    def test_grown_under_load(self):
        """Verified load of libnbd clients that come again: nothing is lost, nothing fails."""
        self.export()
        slots = SIZE // Writer.SLOT
        writers = [Writer(i + 1, self.server.uri, range(i, slots, 4)) for i in range(4)]
        size, steps = SIZE, 10
        for w in writers:
            w.start()
        for _ in range(steps):
            before = [w.answered for w in writers]
            xtest.wait_for(lambda: all(w.answered > b + 50 or w.trouble
                                       for w, b in zip(writers, before)), 'load', 30)
            size += MIB
            answer = self.resize(size)
            self.assertEqual((answer['ok'], answer['size']), (True, size), answer)
            xtest.wait_for(lambda: all(w.sizes[-1] == size or w.trouble for w in writers),
                           'all have come again', 30)
        for w in writers:
            w.done = True
        for w in writers:
            w.join(60)
            self.assertIsNone(w.trouble)
            self.assertGreaterEqual(w.sessions, steps + 1)
            self.assertEqual(sorted(w.sizes), w.sizes)
        self.assertEqual(self.connect_and('status')['errors'], 0)
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.wait(), 0)

    def test_qemu_comes_again(self):
        self.require('qemu-io')
        self.export()
        p = self.spawn(['qemu-io', '--image-opts', '-c', 'write -P 1 0 64k', '-c', 'sleep 1500',
                        '-c', 'write -P 2 64k 64k', '-c', 'flush',
                        f'driver=nbd,server.type=unix,server.path={self.server.socket},'
                        'reconnect-delay=10'])
        xtest.wait_for(lambda: self.content(self.img)[:1] == b'\1', 'the first write')
        self.resized(SIZE, GROWN, 1)
        self.assertEqual(p.wait(20), 0, p.stderr())
        self.assertNotIn('failed', p.stderr())
        self.assertEqual(self.content(self.img)[:128 * KIB], b'\1' * 64 * KIB + b'\2' * 64 * KIB)
        self.server.stop()


if __name__ == '__main__':
    xtest.main()
