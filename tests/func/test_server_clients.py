# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-server with the NBD clients people use: libnbd's tools, qemu's, fio; data must be right.

The last test compares random requests over several connections with a model in memory; its seed
is printed and can be set by TEST_SEED.
"""

import filecmp
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE = 16 * MIB


class Clients(xtest.Case):

    options = ()

    def setUp(self):
        super().setUp()
        self.file = self.image(SIZE)
        with open(self.file, 'r+b') as f:  # 4 MiB data, 8 MiB hole, 4 MiB data
            f.write(random.Random(1).randbytes(4 * MIB))
            f.seek(12 * MIB)
            f.write(random.Random(2).randbytes(4 * MIB))
        self.server = self.serve(self.file, *self.options)
        self.uri = self.server.uri

    def stop(self):
        self.server.stop()

    def assert_same(self, a, b):
        self.assertTrue(filecmp.cmp(a, b, shallow=False), f'{a} and {b} differ')

    def allocated(self, path):
        return os.stat(path).st_blocks * 512


class Libnbd(Clients):

    def setUp(self):
        self.require('nbdinfo', 'nbdcopy')
        super().setUp()

    def test_nbdinfo(self):
        info = json.loads(self.run_cmd('nbdinfo', '--json', self.uri))
        export = info['exports'][0]
        self.assertEqual(info['protocol'], 'newstyle-fixed')
        self.assertTrue(info['structured'])
        self.assertEqual(export['export-size'], SIZE)
        self.assertEqual(export['contexts'], ['base:allocation'])
        for name in ('is_rotational', 'is_read_only'):
            self.assertIn(export[name], (False, export['is_rotational']))
        for name in ('flush', 'fua', 'trim', 'zero', 'fast_zero', 'df', 'cache', 'multi_conn'):
            self.assertTrue(export[f'can_{name}'], name)
        self.assertEqual((export['block_size_minimum'], export['block_size_maximum']),
                         (1, 64 * MIB))
        self.stop()

    def test_nbdinfo_list_and_size(self):
        self.assertEqual(int(self.run_cmd('nbdinfo', '--size', self.uri)), SIZE)
        listed = json.loads(self.run_cmd('nbdinfo', '--list', '--json', self.uri))
        self.assertEqual([e['export-name'] for e in listed['exports']], [''])

    def test_nbdinfo_can(self):
        for what in ('connect', 'read', 'write', 'flush', 'fua', 'trim', 'zero', 'fast-zero',
                     'multi-conn', 'cache', 'df', 'structured-reply'):
            self.run_cmd('nbdinfo', f'--can={what}', self.uri)
        self.run_cmd('nbdinfo', '--is=read-only', self.uri, status=2)

    def test_nbdinfo_map(self):
        rows = json.loads(self.run_cmd('nbdinfo', '--map', '--json', self.uri))
        got = [(r['offset'], r['length'], r['type']) for r in rows]
        self.assertEqual(got, [(0, 4 * MIB, 0), (4 * MIB, 8 * MIB, 3), (12 * MIB, 4 * MIB, 0)])

    def test_nbdcopy_down_keeps_holes(self):
        for args in ((), ('--connections=4', '--request-size=65536'), ('--synchronous',)):
            out = self.path('out')
            self.run_cmd('nbdcopy', *args, self.uri, out)
            self.assert_same(self.file, out)
            self.assertLess(self.allocated(out), 9 * MIB)
            os.unlink(out)
        self.stop()

    def test_nbdcopy_up(self):
        new = self.image(SIZE, 'new.img', pattern=5)
        for args in ((), ('--connections=4', '--threads=2'), ('--no-extents', '--flush')):
            self.run_cmd('nbdcopy', *args, new, self.uri)
            self.assert_same(self.file, new)
            new = self.image(SIZE, 'new.img', pattern=6 + len(args))
        self.run_cmd('nbdcopy', self.image(SIZE, 'holes.img'), self.uri)
        self.assert_same(self.file, self.path('holes.img'))
        self.assertLess(self.allocated(self.file), 64 * KIB)
        self.stop()

    def test_nbdsh(self):
        self.require('nbdsh')
        first = os.path.dirname(sys.executable)  # the python3 that has libnbd
        env = {'PATH': f'{first}:{os.environ["PATH"]}'}
        self.run_cmd('nbdsh', '--base-allocation', '-u', self.uri, env=env, *['-c', '''
import errno
buf = h.pread(512, 0)
h.pwrite(b"x" * 512, 100, nbd.CMD_FLAG_FUA)
assert h.pread(512, 100) == b"x" * 512
h.zero(512, 100)
assert h.pread(512, 100) == bytes(512)
h.pwrite(buf, 0)
h.trim(4096, 8192)
h.cache(4096, 0)
h.flush()
h.set_strict_mode(0)
try:
    h.pread(512, h.get_size())
    raise SystemExit("read beyond the end worked")
except nbd.Error as e:
    assert e.errnum == errno.EINVAL, e
assert h.pread_structured(4096, 5 << 20, lambda *a: 0) == bytes(4096)
'''])
        self.stop()


class Qemu(Clients):

    def setUp(self):
        self.require('qemu-img', 'qemu-io')
        super().setUp()

    def io(self, *commands):
        args = [a for c in commands for a in ('-c', c)]
        out = self.run_cmd('qemu-io', '-f', 'raw', *args, self.uri)
        for bad in ('failed', 'error', 'invalid'):
            self.assertNotIn(bad, out.lower(), out)
        return out

    def test_info_and_map(self):
        info = json.loads(self.run_cmd('qemu-img', 'info', '--output=json', self.uri))
        self.assertEqual(info['virtual-size'], SIZE)
        rows = json.loads(self.run_cmd('qemu-img', 'map', '--output=json', self.uri))
        self.assertEqual([(r['start'], r['length'], r['zero']) for r in rows],
                         [(0, 4 * MIB, False), (4 * MIB, 8 * MIB, True),
                          (12 * MIB, 4 * MIB, False)])

    def test_convert_and_compare(self):
        out = self.path('out.qcow2')
        self.run_cmd('qemu-img', 'convert', '-O', 'qcow2', self.uri, out)
        self.run_cmd('qemu-img', 'compare', out, self.uri)
        new = self.image(SIZE, 'new.img', pattern=9)
        self.run_cmd('qemu-img', 'compare', new, self.uri, status=1)
        self.run_cmd('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', '-W', '-m', '8', new,
                     self.uri)
        self.assert_same(new, self.file)
        self.stop()

    def test_patterns(self):
        self.io('write -P 0xaa 0 1M', 'read -P 0xaa 0 1M', 'write -P 0xbb 511 4097',
                'read -P 0xaa 0 511', 'read -P 0xbb 511 4097', 'read -P 0xaa 4608 4096',
                'write -f -P 0xcc 2M 64k', 'read -P 0xcc 2M 64k', 'flush')
        self.stop()

    def test_zero_and_discard(self):
        self.io('write -P 0xaa 0 1M', 'write -z 4k 64k', 'read -P 0 4k 64k', 'read -P 0xaa 0 4k',
                'read -P 0xaa 68k 4k', 'write -z -u 128k 64k', 'read -P 0 128k 64k',
                'discard 256k 64k', 'read -P 0xaa 320k 4k', 'write -z 1 1', 'read -P 0 1 1',
                'read -P 0xaa 2 100')
        self.stop()

    def test_aio(self):
        commands = []
        for i in range(32):
            commands.append(f'aio_write -P {i + 1} {i * 64}k 64k')
        commands.append('aio_flush')
        commands += [f'aio_read -P {i + 1} {i * 64}k 64k' for i in range(32)]
        self.io(*commands, 'aio_flush')
        self.stop()


class ReadOnly(Clients):

    options = ('--readonly',)

    def test_tools_see_it(self):
        self.require('nbdinfo', 'qemu-io', 'nbdcopy')
        before = self.allocated(self.file)
        self.run_cmd('nbdinfo', '--is=read-only', self.uri)
        self.run_cmd('nbdinfo', '--can=write', self.uri, status=2)
        p = self.run_cmd('qemu-io', '-f', 'raw', '-c', 'write 0 4k', self.uri, status=None)
        self.assertNotEqual(p.returncode, 0)
        p = self.run_cmd('nbdcopy', self.image(SIZE, 'zeros.img'), self.uri, status=None)
        self.assertNotEqual(p.returncode, 0)
        self.run_cmd('nbdcopy', self.uri, self.path('copy'))
        self.assert_same(self.file, self.path('copy'))
        self.assertEqual(self.allocated(self.file), before)
        self.stop()


class Fio(Clients):

    def fio(self, name, *args):
        self.run_cmd('fio', f'--name={name}', '--ioengine=nbd', f'--uri={self.uri}', '--thread',
                     '--verify=crc32c', '--verify_fatal=1', '--do_verify=1', '--randrepeat=1',
                     '--serialize_overlap=1', '--output', self.path(f'{name}.fio'), *args,
                     cwd=self.dir)

    def test_verify(self):
        self.require('fio')
        self.fio('mixed', '--rw=randrw', '--bsrange=512-128k', '--bs_unaligned=0', '--size=12m',
                 '--iodepth=16', '--verify_backlog=64')
        self.fio('write', '--rw=randwrite', '--bs=4k', '--size=8m', '--iodepth=32', '--fsync=100')
        self.stop()

    def test_four_clients_on_one_export(self):
        self.require('fio')
        jobs = [lambda i=i: self.fio(f'job{i}', '--rw=randwrite', '--bsrange=1k-64k',
                                     f'--offset={i * 4}m', '--size=4m', '--loops=3',
                                     '--iodepth=16', '--verify_backlog=32') for i in range(4)]
        xtest.in_threads(*jobs)
        self.stop()


class Model:
    """What the export must contain, and the requests that change it."""

    def __init__(self, content, rnd):
        self.content = bytearray(content)
        self.rnd = rnd

    def set(self, offset, data):
        self.content[offset:offset + len(data)] = data

    def get(self, offset, length):
        return bytes(self.content[offset:offset + length])

    def ranges(self, count):
        """Disjoint ranges, also such as touch: concurrent requests must not overlap."""
        slot = len(self.content) // count
        for i in range(count):
            offset = i * slot + (self.rnd.randrange(slot) if self.rnd.random() < 0.5 else 0)
            room = (i + 1) * slot - offset
            length = min(room, self.rnd.choice((1, 511, 512, 4096, 5000, 65536, room)))
            yield offset, max(length, 1)


class RandomRequests(Clients):

    ROUNDS = 300

    def test_against_a_model(self):
        import nbd
        self.nbd = nbd
        seed = int(os.environ.get('TEST_SEED', '20261'))
        print(f'TEST_SEED={seed}')
        rnd = random.Random(seed)
        with open(self.file, 'rb') as f:
            model = Model(f.read(), rnd)
        handles = [self.connect() for _ in range(3)]
        for _ in range(self.ROUNDS if not xtest.is_sanitized() else self.ROUNDS // 3):
            self.round(handles, model, rnd)
        for h in handles:
            h.shutdown()
        with open(self.file, 'rb') as f:
            self.assertTrue(f.read() == bytes(model.content), f'file, seed {seed}')
        self.stop()

    def connect(self):
        h = self.nbd.NBD()
        h.add_meta_context('base:allocation')
        h.connect_uri(self.uri)
        return h

    def round(self, handles, model, rnd):
        """Up to 12 requests at once over all connections, then all of them are checked."""
        checks = []
        for offset, length in model.ranges(rnd.randrange(1, 13)):
            h = rnd.choice(handles)
            kind = rnd.choice(('read', 'read', 'write', 'write', 'zero', 'trim', 'status', 'flush'))
            checks.append(getattr(self, kind)(h, model, rnd, offset, length))
        for h in handles:
            while h.aio_in_flight():
                h.poll(10000)
        for h, cookie, check in checks:
            self.assertTrue(h.aio_command_completed(cookie))
            check()

    def fua(self, rnd):
        return rnd.choice((0, self.nbd.CMD_FLAG_FUA))

    def read(self, h, model, rnd, offset, length):
        buf = self.nbd.Buffer(length)
        want = model.get(offset, length)

        def check():
            self.assertTrue(buf.to_bytearray() == want, f'read {offset}+{length}')
        return h, h.aio_pread(buf, offset), check

    def write(self, h, model, rnd, offset, length):
        data = rnd.randbytes(length)
        model.set(offset, data)
        buf = self.nbd.Buffer.from_bytearray(bytearray(data))
        return h, h.aio_pwrite(buf, offset, flags=self.fua(rnd)), lambda: None

    def zero(self, h, model, rnd, offset, length):
        model.set(offset, bytes(length))
        flags = self.fua(rnd) | rnd.choice((0, self.nbd.CMD_FLAG_NO_HOLE))
        return h, h.aio_zero(length, offset, flags=flags), lambda: None

    def trim(self, h, model, rnd, offset, length):
        """Each trimmed byte is what it was, or zero."""
        def check():
            got = bytes(h.pread(length, offset))
            before = model.get(offset, length)
            if got not in (before, bytes(length)):
                self.assertTrue(all(g in (0, b) for g, b in zip(got, before)))
            model.set(offset, got)
        return h, h.aio_trim(length, offset, flags=self.fua(rnd)), check

    def status(self, h, model, rnd, offset, length):
        """What is called zero must be zero in the model."""
        runs = []
        want = model.get(offset, length)

        def extents(context, at, entries, error):
            runs.extend(zip(entries[::2], entries[1::2]))
            return 0

        def check():
            at = 0
            for size, state in runs:
                if state & 2:
                    self.assertEqual(want[at:at + size].strip(b'\0'), b'')
                at += size
        return h, h.aio_block_status(length, offset, extents), check

    def flush(self, h, model, rnd, offset, length):
        return h, h.aio_flush(), lambda: None


if __name__ == '__main__':
    xtest.main()
