# SPDX-License-Identifier: GPL-2.0-or-later
"""A server on a device mapper device, in a guest: segments that fail, tables switched under load,
suspended devices, a device that shrinks, writes lost behind the page cache. Clients are here, on
the host, over TCP."""

import errno
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import hammer  # noqa: E402
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE, PAGE, SECTOR = 16 * MIB, 4 * KIB, 512
BAD = 8 * MIB + 72 * KIB
DEVICE, PORT = '/dev/mapper/disk', 10809
MODES = ('simple', 'structured', 'extended')
LINEAR, ERROR = 'linear /dev/vda {at}', 'error'
LOSES_WRITES = 'flakey /dev/vda {at} 0 3600 1 error_writes'  # always in its down interval
FAILS = 'flakey /dev/vda {at} 0 3600'


def table(*segments):
    """Lines of dmsetup: each segment is (bytes, target with {at} for its place on the disk)."""
    rows, at = [], 0
    for length, target in segments:
        rows.append(f'{at} {length // SECTOR} {target.format(at=at)}')
        at += length // SECTOR
    return '\n'.join(rows)


def with_segment(at, length, target):
    return table((at, LINEAR), (length, target), (SIZE - at - length, LINEAR))


WHOLE = table((SIZE, LINEAR))


class Faults:
    GUEST = {'modules': ('dm-flakey',), 'ports': (PORT,),
             'programs': (xtest.program('xnbd-server'), '/usr/sbin/dmsetup')}

    SHARED, content = True, random.Random(1).randbytes(SIZE)

    @classmethod
    def disks(cls, folder):
        with open(os.path.join(folder, 'disk'), 'wb') as f:
            f.write(cls.content)
        return [f.name]

    def serve_device(self, rows=WHOLE):
        self.guest.run(f"dmsetup create disk <<'.'\n{rows}\n.\n")
        self.at_end('dmsetup remove --retry disk')
        self.server = self.guest.start('xnbd-server', '--target', '--lport', str(PORT),
                                       '--laddr=0.0.0.0', '--threads=1',
                                       f'--engine={self.ENGINE}', DEVICE)
        self.addCleanup(self.kill_server)

        def answers():
            self.assertTrue(self.guest.is_running(self.server), 'the server ended')
            try:
                self.client().disconnect()
                return True
            except (n.Closed, ConnectionError):
                return False
        xtest.wait_for(answers, 'server in the guest', 60)

    def kill_server(self):
        if not self.guest.lost and self.guest.is_running(self.server):
            self.guest.run('dmsetup resume disk')
            self.guest.end(self.server, 'KILL')

    def client(self, mode='structured'):
        c = n.Raw(self.guest.address(PORT), timeout=60)
        self.addCleanup(c.close)
        return c.enter(mode)

    def switch(self, rows):
        """What the device is changes between two requests."""
        self.guest.run(f"dmsetup load disk <<'.'\n{rows}\n.\ndmsetup suspend disk; "
                       'dmsetup resume disk')

    def evict(self, at, length):
        """A direct write drops pages even where they are mapped; it fails where writing fails."""
        self.guest.run(f'dd if=/dev/vda of={DEVICE} bs={length} count=1 skip={at} seek={at} '
                       'iflag=skip_bytes oflag=seek_bytes,direct conv=notrunc', None)

    def check(self, zone, *allowed):
        """A check of replies: reads that touch the zone may end so, others are right."""
        def check_one(at, length, reply):
            inside = at < zone[0] + zone[1] and zone[0] < at + length
            self.assertIn(reply.error, allowed if inside else (0,), f'{at}+{length}: {reply.text}')
            if reply.error == 0:
                self.assertTrue(reply.data == self.content[at:at + length], f'{at}+{length}')
            return reply.error
        return check_one

    def failures(self, replies, zone):
        check = self.check(zone, errno.EIO)
        return sum(check(*r) == errno.EIO for r in replies)

    def finish(self, *clients, status=0):
        for c in clients:
            c.disconnect()
        code, log = self.guest.end(self.server)
        self.assertEqual(code, status, log)
        return log

    def test_bad_page(self):
        """Short and long reads in it, beside it and across it, many at once."""
        zone = (BAD, PAGE)
        self.serve_device(with_segment(*zone, ERROR))
        clients = [self.client(mode) for mode in MODES]
        for seed, c in enumerate(clients):
            places = [(BAD + i * PAGE, PAGE) for i in range(-24, 24)] * 2
            places += [(BAD - 100, 200), (BAD - 1, 1), (BAD + PAGE, 1), (BAD + 5, 10)]
            places += [(BAD - before, length) for length in (64 * KIB, 256 * KIB, MIB)
                       for before in (length, length - PAGE, length // 2, 0, -PAGE)]
            random.Random(seed).shuffle(places)
            self.assertEqual(self.failures(c.pipeline(places, 16), zone), 2 + 2 + 9)
            self.assertEqual(self.failures(c.pipeline([(0, SIZE), (0, BAD)]), zone), 1)
        self.finish(*clients)

    def test_table_switched_under_load(self):
        """From good to bad and back: error target and flakey target, whole and in part."""
        self.serve_device()
        zone = (BAD, 16 * PAGE)

        def place(rnd, length):
            at = rnd.choice((BAD - 8 * PAGE, 2 * MIB)) + rnd.randrange(24 * PAGE)
            return at - at % SECTOR

        def change():
            for target in (ERROR, FAILS, LINEAR) * 2:
                self.switch(with_segment(*zone, target))
                self.evict(*zone)
                good = target is LINEAR
                h.settle(self.check(zone, 0 if good else errno.EIO))
        h = hammer.Hammer(self.client, [(mode, [PAGE] * 16 + [64 * KIB]) for mode in MODES], place,
                          self.check(zone, 0, errno.EIO))
        h.run(change)
        self.finish()

    def test_suspended(self):
        """What is cached is read meanwhile; the rest waits and is answered after resume."""
        self.serve_device()
        slow, other = self.client(), self.client('simple')
        hot = [(0, MIB)] + [(i * PAGE, length) for i in range(20) for length in (PAGE, 64 * KIB)]
        self.assertEqual(self.failures(other.pipeline(hot[:1]), (0, 0)), 0)
        self.guest.run('dmsetup suspend --noflush --nolockfs disk')
        cold = {1: (BAD, PAGE), 2: (BAD + 2 * MIB, 256 * KIB)}
        for cookie, (at, length) in cold.items():
            slow.request(n.READ, at, length, cookie=cookie)
        slow.request(n.FLUSH, cookie=3)
        slow.request(n.READ, 0, PAGE, cookie=4)
        self.assertEqual(slow.reply().cookie, 4)  # the only one that can be answered
        self.assertEqual(self.failures(other.pipeline(hot), (0, 0)), 0)
        self.guest.run('dmsetup resume disk')
        for reply in slow.replies(3):
            self.assertEqual(reply.error, 0)
            at, length = cold.get(reply.cookie, (0, 0))
            self.assertTrue(reply.data == self.content[at:at + length])
        self.finish(slow, other)

    def test_shrunk_device(self):
        """Beyond the new end EIO, inside data; grown again all is as before."""
        self.serve_device()
        clients = [self.client(mode) for mode in MODES]
        half = SIZE // 2
        places = [(at, length) for length in (PAGE, 256 * KIB)
                  for at in (half, half - PAGE, SIZE - length, half - length, MIB)]
        for beyond in (half, 0):
            self.switch(table((SIZE - beyond, LINEAR)))
            for c in clients:
                failed = self.failures(c.pipeline(places), (SIZE - beyond, beyond))
                self.assertEqual(failed, 5 if beyond else 0)
                self.assertTrue(c.in_sync())
        self.finish(*clients)

    def test_lost_writes(self):
        """The cache takes a write, the device then refuses it: FLUSH says so, for ever."""
        self.serve_device()
        clients = [self.client(mode) for mode in MODES]
        data = self.content[BAD:BAD + 64 * KIB]
        self.assertEqual(clients[0].write(BAD, data).error, 0)
        self.assertEqual(clients[1].call(n.FLUSH).error, 0)
        self.switch(table((SIZE, LOSES_WRITES)))
        self.assertEqual(clients[0].write(BAD, data).error, 0)
        self.assertEqual(clients[1].call(n.FLUSH).error, errno.EIO)
        self.assertEqual(clients[2].write(BAD, data, flags=n.FUA).error, errno.EIO)
        self.switch(WHOLE)
        for c in clients:
            self.assertEqual(c.call(n.FLUSH).error, errno.EIO)
            places = [(MIB, 256 * KIB), (2 * MIB, PAGE)]
            self.assertEqual(self.failures(c.pipeline(places), (0, 0)), 0)
        self.assertIn('last flush', self.finish(*clients, status=1))

    def test_error_seen_by_fua(self):
        """Whoever hears first of a lost write, FLUSH must fail all the same."""
        self.serve_device()
        c = self.client()
        self.switch(table((SIZE, LOSES_WRITES)))
        self.assertEqual(c.write(BAD, self.content[BAD:BAD + PAGE]).error, 0)
        reply = c.write(BAD, self.content[BAD:BAD + PAGE], flags=n.FUA)
        self.assertEqual(reply.error, errno.EIO)
        self.switch(WHOLE)
        self.assertEqual(c.call(n.FLUSH).error, errno.EIO)
        self.finish(c, status=1)


class Uring(Faults, lab.Case):
    ENGINE = 'io_uring'


class Threads(Faults, lab.Case):
    ENGINE = 'threads'


if __name__ == '__main__':
    xtest.main()
