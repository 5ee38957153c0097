# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that fails, or keeps somebody waiting, at the places and times a test wants.

It is a file served by FUSE from a thread of the test, so the kernel's page cache, readahead and
splice work on it as on any file; a loop device over it makes a block device. Ranges are tuples
(offset, length). Needs root and /dev/fuse, no program. The wire format is linux/fuse.h's.
"""

import collections
import contextlib
import ctypes
import errno
import mmap
import os
import random
import struct
import threading

import rawnbd
import xtest

(GETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, INTERRUPT, DESTROY, FALLOCATE,
 LSEEK) = 3, 14, 15, 16, 17, 18, 20, 25, 26, 36, 38, 43, 46
FORGET, BATCH_FORGET = 2, 42
NAMES = {READ: 'read', WRITE: 'write', FSYNC: 'sync'}
ASYNC_READ, BIG_WRITES, MAX_PAGES = 1 << 0, 1 << 5, 1 << 22  # flags of INIT
FOPEN_DIRECT_IO, FOPEN_KEEP_CACHE = 1 << 0, 1 << 1
MS_NOSUID, MS_NODEV, MNT_DETACH = 2, 4, 2
MAX_IO, PAGE = xtest.MIB, 4096
EVERYTHING = ((0, 1 << 62),)


def touches(ranges, offset, length):
    """Has [offset, offset + length) a byte in one of the ranges?"""
    return any(at < offset + length and offset < at + size for at, size in ranges)


class Disk:
    """One file of `size` bytes; .content is what a perfect disk would hold.

    cached=False: the file has no page cache of its own; for a loop device over it, whose cache is
    then the only one.
    """

    def __init__(self, case, size, seed=1, cached=True):
        case.require('/dev/fuse', 'mount', root=True)
        xtest.own_namespace()
        self.content = bytearray(random.Random(seed).randbytes(size))
        self.open_flags = FOPEN_KEEP_CACHE if cached else FOPEN_DIRECT_IO
        self.bad = {'read': (), 'write': (), 'sync': ()}
        self.held = {'read': (), 'write': (), 'sync': ()}
        self.waiting = []  # held requests: (kind, unique, header and body)
        self.served = collections.Counter()
        self.lock = threading.Lock()
        self.path = case.image(0, f'faulty.{len(os.listdir(case.dir))}')
        self.fd = os.open('/dev/fuse', os.O_RDWR | os.O_CLOEXEC)
        self._mount()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        case.addCleanup(self._close)

    def _mount(self):
        options = f'fd={self.fd},rootmode=100644,user_id=0,group_id=0,max_read={MAX_IO}'
        if xtest.LIBC.mount(b'faulty', self.path.encode(), b'fuse', MS_NOSUID | MS_NODEV,
                            options.encode()) != 0:
            raise OSError(ctypes.get_errno(), f'mount {self.path}')

    def _close(self):
        self.heal()
        self.release()
        xtest.LIBC.umount2(self.path.encode(), MNT_DETACH)
        self.thread.join(5)
        os.close(self.fd)

    # What tests do with it.

    def fail(self, kind, *ranges):
        """From now on EIO for every 'read' or 'write' that touches a range, or every 'sync'."""
        self.bad[kind] = ranges or EVERYTHING

    def heal(self):
        self.bad = dict.fromkeys(self.bad, ())

    def hold(self, kind, *ranges):
        """From now on these requests are not answered until release()."""
        self.held[kind] = ranges or EVERYTHING

    def release(self):
        with self.lock:
            self.held = dict.fromkeys(self.held, ())
            waiting, self.waiting = self.waiting, []
        for kind, unique, body in waiting:
            self._answer(unique, *self._do(kind, body))

    @contextlib.contextmanager
    def holding(self, kind, *ranges):
        self.hold(kind, *ranges)
        try:
            yield
        finally:
            self.release()

    def wait_held(self):
        """Waits until the kernel has asked for something that is held."""
        xtest.wait_for(lambda: self.waiting, 'a request that is held')

    # The file system.

    def _serve(self):
        while True:
            try:
                request = os.read(self.fd, MAX_IO + 2 * PAGE)
            except InterruptedError:
                continue
            except OSError as e:
                if e.errno == errno.ENOENT:  # the asking task was killed meanwhile
                    continue
                return  # ENODEV: unmounted
            _, opcode, unique = struct.unpack_from('<IIQ', request)
            self._dispatch(opcode, unique, request[40:])

    def _dispatch(self, opcode, unique, body):
        kind = NAMES.get(opcode)
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            return
        if kind:
            with self.lock:
                if touches(self.held[kind], *self._range(kind, body)):
                    self.waiting.append((kind, unique, body))
                    return
            self._answer(unique, *self._do(kind, body))
        else:
            self._answer(unique, *self._manage(opcode, body))

    def _manage(self, opcode, body):
        if opcode == INIT:
            minor, readahead = struct.unpack_from('<II', body, 4)
            return 0, struct.pack('<IIIIHHIIHH32x', 7, min(minor, 31), readahead,
                                  ASYNC_READ | BIG_WRITES | MAX_PAGES, 64, 48, MAX_IO, 1,
                                  MAX_IO // PAGE, 0)
        if opcode == GETATTR:
            size = len(self.content)
            return 0, struct.pack('<QII6Q10I', 3600, 0, 0, 1, size, size // 512, 0, 0, 0, 0, 0, 0,
                                  0o100644, 1, 0, 0, 0, PAGE, 0)
        if opcode == OPEN:
            return 0, struct.pack('<QII', 1, self.open_flags, 0)
        if opcode in (RELEASE, DESTROY):
            return 0, b''
        return errno.ENOSYS, b''

    @staticmethod
    def _range(kind, body):
        return (0, 1) if kind == 'sync' else struct.unpack_from('<QI', body, 8)

    def _do(self, kind, body):
        """(errno, answer) of a read, write or sync."""
        at, length = self._range(kind, body)
        self.served[kind] += 1
        if touches(self.bad[kind], at, length):
            return errno.EIO, b''
        if kind == 'read':
            return 0, self.content[at:at + length]
        if kind == 'write':
            self.content[at:at + length] = body[40:40 + length]
            return 0, struct.pack('<II', length, 0)
        return 0, b''

    def _answer(self, unique, error, data):
        head = struct.pack('<IiQ', 16 + len(data), -error, unique)
        with contextlib.suppress(FileNotFoundError, OSError):  # the asking task was killed
            os.writev(self.fd, [head, data])


def evict(path, content, offset, length):
    """Takes whole pages out of the page cache even where a process has mapped them.

    fadvise() leaves mapped pages alone. A direct write of what is there already does not.
    """
    buffer = mmap.mmap(-1, length)
    buffer[:] = bytes(content[offset:offset + length])
    fd = os.open(path, os.O_WRONLY | os.O_DIRECT)
    try:
        while length > 0:
            done = os.pwritev(fd, [memoryview(buffer)[len(buffer) - length:]], offset)
            offset, length = offset + done, length - done
    finally:
        os.close(fd)


def pin(path, offset, length):
    """Maps and locks pages of a file; returns their address. (What Python itself maps it would
    touch while it holds back the thread that serves.)
    """
    with open(path, 'rb') as f:
        xtest.LIBC.mmap.restype = ctypes.c_void_p
        pages = ctypes.c_void_p(xtest.LIBC.mmap(None, ctypes.c_size_t(length), mmap.PROT_READ,
                                                mmap.MAP_SHARED, f.fileno(),
                                                ctypes.c_long(offset)))
    if xtest.LIBC.mlock(pages, ctypes.c_size_t(length)) != 0:
        raise OSError(ctypes.get_errno(), f'mlock {path}')
    return pages


class Case(xtest.Case):
    """Tests of a server on a Disk, exported as the file itself or as a loop device over it."""

    def serve_disk(self, kind, size, *args):
        """kind: 'file' or 'device'. Sets disk, exported (a path) and server."""
        self.disk = Disk(self, size, cached=kind == 'file')
        self.exported = self.disk.path if kind == 'file' else self.loop_device(self.disk.path)
        self.server = self.serve(self.exported, *args)

    def client(self, mode='structured', timeout=20.0, address=None):
        c = rawnbd.Raw(address or self.server.socket, timeout).enter(mode)
        self.addCleanup(c.close)
        return c

    def warm(self, offset, length):
        """Reads into the page cache, without the server's knowledge."""
        with open(self.exported, 'rb') as f:
            self.assertEqual(len(os.pread(f.fileno(), length, offset)), length)

    def pin(self, offset, length):
        """Reads into the page cache, and keeps it there: a kernel may reclaim pages it takes for
        cold at any time, not only when memory is short (DAMON does).
        """
        pages = pin(self.exported, offset, length)
        self.addCleanup(xtest.LIBC.munmap, pages, ctypes.c_size_t(length))

    def evict(self, offset, length):
        evict(self.exported, self.disk.content, offset, length)

    def no_readahead(self):
        """A device's page cache fails a whole large folio for one bad page in it (seen in Linux
        6.18), and readahead makes large ones. Without it good neighbours are readable.

        Starts the server anew, as an open file keeps its readahead.
        """
        if self.exported != self.disk.path:
            before = self.run_cmd('blockdev', '--getra', self.exported).strip()
            self.addCleanup(self.run_cmd, 'blockdev', '--setra', before, self.exported)
            self.run_cmd('blockdev', '--setra', '0', self.exported)
            self.server.stop()
            self.server = self.serve(self.exported)

    def check(self, replies):
        """EIO for every read that touches a bad range, the right data for all others.

        Returns how many failed.
        """
        failed = 0
        for at, length, reply in replies:
            bad = touches(self.disk.bad['read'], at, length)
            self.assertEqual(reply.error, errno.EIO if bad else 0, f'{at}+{length}: {reply.text}')
            if not bad:
                self.assertTrue(reply.data == self.disk.content[at:at + length], f'{at}+{length}')
            failed += bad
        return failed
