# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy-on-write targets: named overlays, block status, and what happens when the base or the room
for an overlay fails."""

import errno
import hashlib
import json
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import cow  # noqa: E402
import faulty  # noqa: E402
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from cow import BLOCK, HOLE, SIZE  # noqa: E402
from xtest import KIB, MIB  # noqa: E402


class Named(cow.Case):

    def setUp(self):
        super().setUp()
        self.base()
        self.layer = self.path('o.layer')
        self.start_named()

    def start_named(self, *args, **options):
        self.server = self.serve(self.path_of_base, '--cow-layer', self.layer, *args, **options)

    def digest(self):
        with open(self.layer, 'rb') as f:
            return hashlib.sha256(f.read()).digest()

    def change(self, c, model, seed, count=100):
        rnd = random.Random(seed)
        for i in range(count):
            at = rnd.randrange(len(model))
            length = min(rnd.choice((1, 511, 4096, 5000, BLOCK, 100000)), len(model) - at)
            data = rnd.randbytes(length) if i % 4 else bytes(length)
            if i % 4:
                self.ok(c.write(at, data, flags=rnd.choice((0, 0, 0, n.FUA))))
            else:
                self.ok(c.call(n.WRITE_ZEROES, at, length))
            model[at:at + length] = data

    def test_stays_after_a_clean_stop(self):
        model = bytearray(self.content)
        for i in range(3):
            c = self.client()
            self.assertTrue(c.flags & n.MULTI_CONN)
            self.same(c, model)
            self.change(c, model, i)
            self.finish(c)
            self.start_named()
        self.same(self.client(), model)
        self.assertNotIn('on trust', self.server.stderr())

    def test_acknowledged_writes_survive_a_kill(self):
        model = bytearray(self.content)
        for i in range(4):
            c = self.client()
            self.same(c, model)
            self.change(c, model, 10 + i)
            self.server.kill()
            self.base_is_unchanged()
            self.start_named()
        self.same(self.client(), model)

    def test_killed_under_load(self):
        model = bytearray(self.content)
        for i in range(4):
            c, acknowledged = self.client(), []
            rnd = random.Random(i)
            todo = {}
            for k in range(24):  # a slot of its own for each, of many sizes
                at = k * 128 * KIB + rnd.randrange(1000)
                data = bytes([rnd.randrange(256)]) * rnd.choice((1, 4096, BLOCK, 100000))
                todo[c.next_cookie] = (at, data)
                c.send(c.write_bytes(at, data))
            for _ in range(rnd.randrange(1, 20)):
                acknowledged.append(self.ok(c.reply()).cookie)
            self.server.kill()
            self.start_named()
            fresh = self.client()
            for cookie, (at, data) in todo.items():
                got = fresh.read(at, len(data))
                if cookie in acknowledged:
                    self.assertTrue(got == data, (i, at, len(data)))
                model[at:at + len(data)] = got
            self.same(fresh, model)

    def test_files(self):
        c = self.client()
        self.ok(c.write(0, b'x'))
        for name in ('o.layer', 'o.layer.bitmap', 'o.layer.bitmap.info'):
            self.assertEqual(os.stat(self.path(name)).st_mode & 0o777, 0o600, name)
        self.assertEqual(os.stat(self.layer).st_size, SIZE)
        self.finish(c)
        self.assertFalse(os.path.exists(self.path('o.layer.bitmap.live')))

    def test_relative_path_in_the_background(self):
        self.server.stop()
        for want in (self.content[:1], b'x'):
            with self.in_background('base.img', '--cow-layer', 'rel.layer') as (_, address):
                c = n.Raw(address).enter()
                self.assertEqual(c.read(0, 1), want)
                self.ok(c.write(0, b'x'))
                c.disconnect()
            with open(self.path('rel.layer.bitmap.info')) as f:
                self.assertTrue(json.load(f)['clean'])

    # What it belongs to.

    def after_a_write(self):
        c = self.client()
        self.ok(c.write(5, b'kept'))
        self.finish(c)
        self.before = self.digest()

    def still_there(self, *args):
        self.assertEqual(self.digest(), self.before)
        self.start_named(*args)
        self.assertEqual(self.client().read(5, 4), b'kept')

    def test_other_base_is_refused(self):
        self.after_a_write()
        first, content = self.path_of_base, self.content
        self.base(seed=2, name='other.img')
        self.assertIn('belongs to', self.refused('--cow-layer', self.layer))
        self.path_of_base, self.content = first, content
        self.still_there()

    def test_changed_base_is_refused(self):
        self.after_a_write()
        times = os.stat(self.path_of_base)
        with open(self.path_of_base, 'r+b') as f:
            f.write(b'changed')
        self.assertIn('belongs to', self.refused('--cow-layer', self.layer))
        os.utime(self.path_of_base, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.assertIn('belongs to', self.refused('--cow-layer', self.layer), 'samples tell')
        with open(self.path_of_base, 'r+b') as f:
            f.write(self.content[:7])
        self.assertIn('belongs to', self.refused('--cow-layer', self.layer), 'the time tells')
        os.utime(self.path_of_base, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.still_there()

    def test_copied_base_is_the_same(self):
        self.after_a_write()
        self.run_cmd('cp', '-p', self.path_of_base, self.path('copy.img'))
        self.path_of_base = self.path('copy.img')
        self.still_there()

    def test_other_size_is_refused(self):
        self.after_a_write()
        os.truncate(self.path_of_base, SIZE + 4096)
        self.assertIn(f'{SIZE}', self.refused('--cow-layer', self.layer))
        os.truncate(self.path_of_base, SIZE - 1)
        self.assertIn(f'{SIZE}', self.refused('--cow-layer', self.layer))
        self.assertEqual(self.digest(), self.before)

    def test_other_block_size_is_refused(self):
        self.after_a_write()
        self.assertIn('blocks of', self.refused('--cow-layer', self.layer, '--cow-block', '4K'))
        self.still_there('--cow-block', '64K')

    def test_cut_layer_is_refused(self):
        self.after_a_write()
        os.truncate(self.layer, SIZE - 4096)
        self.assertIn('another base', self.refused('--cow-layer', self.layer))
        os.truncate(self.layer, 0)
        self.assertIn('begin anew', self.refused('--cow-layer', self.layer))
        self.assertEqual(os.stat(self.layer).st_size, 0)
        os.unlink(self.layer)
        self.assertIn('begin anew', self.refused('--cow-layer', self.layer))
        self.assertFalse(os.path.exists(self.layer))
        os.unlink(self.layer + '.bitmap')
        self.start_named()
        self.same(self.client(), self.content)

    def test_replaced_layer_is_refused(self):
        self.after_a_write()
        os.rename(self.layer, self.path('moved'))
        self.run_cmd('cp', '-p', self.path('moved'), self.layer)
        self.assertIn('another overlay file', self.refused('--cow-layer', self.layer))
        os.rename(self.path('moved'), self.layer)
        self.still_there()

    def test_no_other_file_is_taken_over(self):
        self.finish()
        image = self.image(SIZE, 'mine.img', pattern=9)
        with open(image, 'rb') as f:
            mine = f.read()

        def check(text):
            self.assertIn(text, self.refused('--cow-layer', image))
            with open(image, 'rb') as f:
                self.assertTrue(f.read() == mine)
        check('no overlay')
        words = (SIZE + BLOCK - 1) // BLOCK
        for raw in (b'', b'\xff' * ((words + 63) // 64 * 8)):
            with open(image + '.bitmap', 'wb') as f:  # as a proxy's cache has one
                f.write(raw)
            check('no overlay')
        self.assertIn('no overlay', self.refused('--cow-layer', self.path_of_base))
        self.base_is_unchanged()

    def test_not_a_file(self):
        self.finish()
        os.mkdir(self.path('folder'))
        os.mkfifo(self.path('fifo'))
        os.symlink(self.layer, self.path('link'))
        for name in ('folder', 'fifo', 'link', 'none/o.layer', 'base.img/o.layer'):
            self.assertIn(name, self.refused('--cow-layer', self.path(name)))

    def test_second_server_is_refused(self):
        c = self.client()
        self.ok(c.write(5, b'kept'))
        self.assertIn('in use', self.refused('--cow-layer', self.layer))
        self.assertEqual(c.read(5, 4), b'kept')
        self.ok(c.write(5, b'more'))
        self.server.kill()
        self.start_named()
        self.assertEqual(self.client().read(5, 4), b'more')


class SystemCalls(cow.Case):
    """The order of system calls on a named overlay: data is synced before the bits are written."""

    def trace(self, act):
        self.require('strace', root=True)
        self.base()
        out = self.path('strace')
        prefix = ('strace', '-D', '-f', '-y', '-o', out,
                  '-e', 'trace=pwritev2,pwrite64,fdatasync,sendmsg')
        self.server = self.serve(self.path_of_base, '--engine=threads', '--cow-layer',
                                 self.path('o'), prefix=prefix,
                                 env={'ASAN_OPTIONS': 'detect_leaks=0'})
        c = self.client('simple')
        act(c)
        c.disconnect()
        self.server.stop()
        xtest.wait_for(lambda: '+++ exited' in xtest.text_of(out), 'strace')
        return self.events(xtest.text_of(out).splitlines())

    @staticmethod
    def events(lines):
        """[(what, file)] of calls in the order they ended, up to the first reply behind them."""
        started, events = {}, []
        for line in lines:
            pid = line.split()[0]
            call = re.search(r'\b(pwritev2|pwrite64|fdatasync|sendmsg)\((\d+)<([^>]*)>', line)
            if call:
                flag = ' DSYNC' if 'RWF_DSYNC' in line else ''
                started[pid] = (call[1].rstrip('v264') + flag, os.path.basename(call[3]))
            if 'unfinished' not in line and re.search(r'\) += \d', line) and pid in started:
                events.append(started.pop(pid))
        return events

    def proves(self, events):
        """Bits of PATH are written after the data was synced, and then synced."""
        bits = events.index(('pwrite', 'o.bitmap'))
        self.assertIn(('fdatasync', 'o'), events[:bits])
        data = [i for i, e in enumerate(events) if e[0].startswith('pwrite') and e[1] == 'o']
        sync = len(events[:bits]) - 1 - events[:bits][::-1].index(('fdatasync', 'o'))
        self.assertTrue(all(i < sync for i in data), events)
        self.assertIn(('fdatasync', 'o.bitmap'), events[bits:])

    def replies(self, events):
        return [i for i, (what, _) in enumerate(events) if what == 'sendmsg']

    def test_flush(self):
        def act(c):
            self.ok(c.write(10, b'x'))
            self.ok(c.call(n.FLUSH))
        events = self.trace(act)
        replies = self.replies(events)
        flush = next(i for i, e in enumerate(events) if e == ('fdatasync', 'o.bitmap') and i > 0
                     and ('pwrite', 'o') in events[:i])
        reply = next(i for i in replies if i > flush)
        self.proves(events[events.index(('pwrite', 'o')):reply])

    def test_fua(self):
        events = self.trace(lambda c: self.ok(c.write(BLOCK, b'x' * BLOCK, flags=n.FUA)))
        write = events.index(('pwrite DSYNC', 'o'))
        reply = next(i for i in self.replies(events) if i > write)
        self.assertIn(('pwrite', 'o.bitmap.live'), events[write:reply])
        self.proves(events[write:reply])

    def test_second_fua_costs_no_more_than_its_write(self):
        def act(c):
            self.ok(c.write(BLOCK, b'x' * BLOCK, flags=n.FUA))
            self.ok(c.write(BLOCK, b'y' * BLOCK, flags=n.FUA))
        events = self.trace(act)
        second = [i for i, e in enumerate(events) if e == ('pwrite DSYNC', 'o')][1]
        reply = next(i for i in self.replies(events) if i > second)
        self.assertEqual(events[second + 1:reply], [])

    def test_live_bits_before_the_reply(self):
        events = self.trace(lambda c: self.ok(c.write(BLOCK, b'x' * BLOCK)))
        data, live = events.index(('pwrite', 'o')), events.index(('pwrite', 'o.bitmap.live'))
        reply = next(i for i in self.replies(events) if i > data)
        self.assertTrue(data < live < reply, events)
        self.assertNotIn(('fdatasync', 'o'), events[data:reply])


class Status(cow.Case):

    def setUp(self):
        super().setUp()
        self.folder = self.mount('ext4', 64 * MIB)
        self.path_of_base = os.path.join(self.folder, 'base.img')
        with open(self.path_of_base, 'wb') as f:
            f.write(b'd' * 4 * BLOCK)
            f.seek(8 * BLOCK)
            f.write(b'd' * 4 * BLOCK)
            f.truncate(16 * BLOCK)
        with open(self.path_of_base, 'rb') as f:
            self.content = f.read()
        self.server = self.serve(self.path_of_base)

    def status(self, c, offset=0, length=16 * BLOCK, **more):
        return self.ok(c.call(n.BLOCK_STATUS, offset, length, **more)).extents

    def test_both_layers(self):
        for mode in ('structured', 'extended'):
            c = self.client(mode)
            data, hole = (4 * BLOCK, 0), (4 * BLOCK, HOLE)
            self.assertEqual(self.status(c), [data, hole, data, hole])
            self.ok(c.write(BLOCK, b'x' * BLOCK))
            self.assertEqual(self.status(c), [data, hole, data, hole], 'data on data: one run')
            self.ok(c.call(n.WRITE_ZEROES, 5 * BLOCK, BLOCK))
            self.ok(c.call(n.TRIM, 13 * BLOCK, BLOCK))
            self.assertEqual(self.status(c), [data, hole, data, hole], 'hole on hole: one run')
            self.ok(c.call(n.TRIM, 8 * BLOCK, BLOCK))
            self.ok(c.write(12 * BLOCK, b'x' * BLOCK))
            self.assertEqual(self.status(c), [data, (5 * BLOCK, HOLE), data, (3 * BLOCK, HOLE)])
            self.assertEqual(self.status(c, 7 * BLOCK + 5, 2 * BLOCK, flags=n.REQ_ONE)[0][1], HOLE)
            self.assertEqual(self.status(c, BLOCK - 1, 2), [(2, 0)])

    def test_copied_holes_stay_holes(self):
        """A write into a hole of the base takes room for what was written only."""
        c = self.client()
        self.ok(c.write(5 * BLOCK + 4096, b'x' * 4096))
        runs = self.status(c)
        self.assertEqual(runs[:4], [(4 * BLOCK, 0), (BLOCK + 4096, HOLE), (4096, 0),
                                    (3 * BLOCK - 8192, HOLE)])

    def test_many_runs(self):
        c = self.client('extended')
        for b in range(16):
            if b % 2:
                self.ok(c.call(n.TRIM, b * BLOCK, BLOCK))
            else:
                self.ok(c.write(b * BLOCK, b'x'))
        runs = self.status(c)
        self.assertEqual(sum(length for length, _ in runs), 16 * BLOCK)
        at = 0
        for length, state in runs:
            if state & n.STATE_ZERO:
                self.assertEqual(c.read(at, length), bytes(length))
            at += length


class Failures(cow.Case):

    def test_full_overlay_concerns_its_client_alone(self):
        """One fills the file system; it gets ENOSPC, reads go on; others do when there is room."""
        self.base(8 * MIB)
        folder = self.mount('tmpfs', '4m')
        self.server = self.serve(self.path_of_base, '--cow-dir', folder)
        quiet, greedy, reader = self.client(), self.client(), self.client()
        self.ok(quiet.write(0, b'q' * BLOCK))
        model, failed = bytearray(self.content), 0
        for at in range(0, 8 * MIB, BLOCK):
            reply = greedy.write(at, b'g' * BLOCK)
            if reply.error:
                self.assertEqual(reply.error, errno.ENOSPC)
                failed += 1
                self.same(greedy, self.content[at:at + BLOCK], at)
            else:
                model[at:at + BLOCK] = b'g' * BLOCK
        self.assertGreater(failed, 32)
        self.same(greedy, model)
        self.assertEqual(greedy.write(6 * MIB + 5, b'part').error, errno.ENOSPC)
        self.same(greedy, model)
        self.same(reader, self.content)
        self.assertEqual(quiet.read(0, BLOCK), b'q' * BLOCK)
        self.ok(quiet.write(0, b'r' * BLOCK))  # it has room there
        greedy.disconnect()
        xtest.wait_for(lambda: os.statvfs(folder).f_bavail > 500, 'room again')
        self.ok(quiet.write(BLOCK, b'q' * BLOCK))
        self.ok(quiet.call(n.FLUSH))
        self.finish(quiet, reader)

    def test_full_named_overlay(self):
        self.base(8 * MIB)
        folder = self.mount('ext4', 8 * MIB)
        layer = os.path.join(folder, 'o')
        self.server = self.serve(self.path_of_base, '--cow-layer', layer)
        c, model, failed = self.client(), bytearray(self.content), []
        for at in range(0, 8 * MIB, BLOCK):
            reply = c.write(at, b'g' * BLOCK)
            if reply.error:
                self.assertEqual(reply.error, errno.ENOSPC)
                failed.append(at)
            else:
                model[at:at + BLOCK] = b'g' * BLOCK
        self.assertTrue(failed)
        self.same(c, model)
        self.ok(c.call(n.TRIM, 0, 2 * MIB))
        model[:2 * MIB] = bytes(2 * MIB)
        self.ok(c.write(failed[0], b'h' * BLOCK))
        model[failed[0]:failed[0] + BLOCK] = b'h' * BLOCK
        self.same(c, model)
        self.ok(c.call(n.FLUSH))
        self.finish(c)
        self.server = self.serve(self.path_of_base, '--cow-layer', layer)
        self.same(self.client(), model)

    def test_no_room_for_a_client(self):
        """A client whose overlay cannot be made is turned away, the server goes on."""
        self.base()
        folder = self.path('cow')
        os.mkdir(folder)
        self.server = self.serve(self.path_of_base, '--cow-dir', folder)
        c = self.client()
        self.same(c, self.content)
        os.rmdir(folder)
        with self.assertRaises((n.ProtocolError, OSError)):
            self.client().read(0, 1)
        self.ok(c.write(0, b'x'))
        self.assertIn(': refused: ', self.server.stderr())
        self.finish(c)

    def test_bad_place_of_the_base(self):
        """Fails the requests that need it, and no other."""
        disk = faulty.Disk(self, 4 * MIB)
        self.content = bytes(disk.content)
        disk.fail('read', (MIB, 4096))
        self.server = self.serve(disk.path, '--cow-shared', '--cow-dir', self.dir)
        c, other = self.client(), self.client()
        self.assertEqual(c.call(n.READ, MIB, 4096).error, errno.EIO)
        self.assertEqual(c.write(MIB + BLOCK - 10, b'part').error, errno.EIO)
        self.same(c, self.content[:MIB])
        self.same(other, self.content[2 * MIB:], 2 * MIB)
        model = bytearray(self.content)
        self.ok(c.write(2 * MIB + 5, b'part'))
        model[2 * MIB + 5:2 * MIB + 9] = b'part'
        self.ok(other.write(MIB, b'w' * BLOCK))  # whole: needs nothing of the base
        model[MIB:MIB + BLOCK] = b'w' * BLOCK
        self.same(c, model)
        self.same(other, model)
        c.disconnect()
        other.disconnect()
        self.server.stop()

    def test_healed_base(self):
        disk = faulty.Disk(self, MIB)
        model = bytearray(disk.content)
        disk.fail('read')
        self.server = self.serve(disk.path, '--cow-dir', self.dir)
        c = self.client()
        self.assertEqual(c.write(5, b'x').error, errno.EIO)
        disk.heal()
        self.ok(c.write(5, b'x'))
        model[5:6] = b'x'
        self.same(c, model)
        c.disconnect()
        self.server.stop()

    def test_slow_base_holds_up_only_who_needs_it(self):
        disk = faulty.Disk(self, 4 * MIB)
        self.server = self.serve(disk.path, '--cow-shared', '--cow-dir', self.dir)
        c, other = self.client(), self.client()
        self.ok(other.write(0, b'o' * BLOCK))
        with disk.holding('read', (MIB, BLOCK)):
            c.request(n.READ, 0, 1)
            c.reply()
            c.send(c.write_bytes(MIB + 5, b'part'))
            disk.wait_held()
            other.send(other.write_bytes(MIB + 50, b'more'))  # of the same block
            self.assertEqual(self.client().read(0, 10), b'o' * 10)
            third = self.client()
            self.ok(third.write(10, b'p'))
            self.ok(third.write(2 * MIB, b'w' * BLOCK))
        self.ok(c.reply())
        self.ok(other.reply())
        want = bytearray(disk.content[MIB:MIB + BLOCK])
        want[5:9], want[50:54] = b'part', b'more'
        self.same(third, want, MIB)

    def test_killed_clients_do_not_matter(self):
        """They vanish in the midst of copying up."""
        self.base(8 * MIB)
        self.server = self.serve(self.path_of_base)
        for i in range(30):
            c = self.client()
            for k in range(32):
                c.send(c.write_bytes((k * 3 % 128) * BLOCK + i, b'x' * 1000))
            c.close()
        self.same(self.client(), self.content)
        self.finish()


class Devices(cow.Case):

    def test_base_is_a_device(self):
        self.base(4 * MIB)
        device = self.loop_device(self.path_of_base)
        self.server = self.serve(device, '--cow-dir', self.dir)
        c = self.client()
        self.ok(c.write(100, b'part'))
        self.ok(c.call(n.TRIM, BLOCK, BLOCK))
        self.same(c, self.content[:100] + b'part' + self.content[104:BLOCK] + bytes(BLOCK) +
                  self.content[2 * BLOCK:])
        self.finish(c)

    def test_read_only_device_can_be_written_on(self):
        self.base(4 * MIB)
        device = self.loop_device(self.path_of_base, 4096)
        self.addCleanup(self.run_cmd, 'blockdev', '--setrw', device)  # it would remember
        self.run_cmd('blockdev', '--setro', device)
        self.server = self.serve(device)
        c = self.client()
        self.assertFalse(c.flags & n.READ_ONLY)
        self.ok(c.write(5, b'x' * BLOCK))
        self.finish(c)

if __name__ == '__main__':
    xtest.main()
