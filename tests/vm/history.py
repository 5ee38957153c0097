# SPDX-License-Identifier: GPL-2.0-or-later
"""What a disk may hold after its server lost power, and a client that writes such a disk.

History is told of every write before it is sent and after it was acknowledged, and what FLUSH and
FUA promised. From that it knows for each sector: the last content that is durable, and what was
issued since. After a power cut a sector must hold one of these; other content is a fault. The
records are kept where the power is not cut, so nothing of them is lost.

Every written sector says its own number and the number of the write, so a fault can be named.
"""

import errno
import random
import struct
import threading

import rawnbd as n
from xtest import KIB

SECTOR, STEP = 512, 256 * KIB
DEPTH = 8  # requests in flight
HOT = 512 * KIB  # what is written again and again


def stamp(sector, number):
    return struct.pack('>QQ', sector, number) * (SECTOR // 16)


class History:
    """CONTENT: of the disk as a whole, before the first write."""

    def __init__(self, content):
        self.content = content
        self.durable = bytearray(content)  # or something issued later
        self.later = {}   # sector: [(number of the write, content)] issued since, oldest first
        self.places = {}  # number of a write that may be lost: (first sector, sectors)
        self.acked = set()
        self.number = self.flushes = self.lost = 0

    # A write's life.

    def issue(self, at, length, zero=False):
        """Before it is sent: returns its number and data."""
        self.number += 1
        first, count = at // SECTOR, length // SECTOR
        parts = [bytes(SECTOR) if zero else stamp(first + i, self.number) for i in range(count)]
        for i, part in enumerate(parts):
            self.later.setdefault(first + i, []).append((self.number, part))
        self.places[self.number] = first, count
        return self.number, b''.join(parts)

    def acknowledge(self, number):
        self.acked.add(number)

    def flush_begins(self):
        """Returns what its end will have made durable: what was acknowledged before."""
        return frozenset(self.acked)

    def settle(self, numbers):
        """These writes are durable: nothing older may be seen in their sectors."""
        for number in sorted(numbers & self.acked):
            first, count = self.places.pop(number)
            self.acked.remove(number)
            for sector in range(first, first + count):
                self._settle(sector, number)

    def _settle(self, sector, number):
        for i, (other, part) in enumerate(self.later.get(sector, ())):
            if other == number:
                self.durable[sector * SECTOR:(sector + 1) * SECTOR] = part
                del self.later[sector][:i + 1]
                return

    # After the cut.

    def faults(self, at, data):
        """A line for each sector of what was read there that must not be so."""
        if data == self.durable[at:at + len(data)]:
            return []
        found = []
        for pos in range(0, len(data), SECTOR):
            sector, part = (at + pos) // SECTOR, data[pos:pos + SECTOR]
            durable = bytes(self.durable[at + pos:at + pos + SECTOR])
            later = self.later.get(sector, ())
            if part != durable and all(part != p for _, p in later):
                found.append(f'sector {sector} holds {self._name(sector, part)}, durable is '
                             f'{self._name(sector, durable)}, issued {[i for i, _ in later]}')
        return found

    def _name(self, sector, part):
        place, number = struct.unpack('>QQ', part[:16])
        if part == self.content[sector * SECTOR:(sector + 1) * SECTOR]:
            return 'what it had at first'
        if part == bytes(SECTOR):
            return 'zeros'
        if part == stamp(place, number) and number <= self.number:
            return f'write {number}' + (f' of sector {place}' if place != sector else '')
        return f'garbage {part[:16].hex()}'

    def go_on_with(self, content):
        """It survived the cut, so it is durable, and all that was issued before is history."""
        for sector, later in self.later.items():
            acked = [part for number, part in later if number in self.acked]
            self.lost += bool(acked) and content[sector * SECTOR:(sector + 1) * SECTOR] != acked[-1]
        self.durable = bytearray(content)
        self.later, self.places, self.acked = {}, {}, set()


class Writer(threading.Thread):
    """Writes until the connection is cut, half of it to AREA (offset, bytes), the rest to its
    first part again and again. Requests in flight do not overlap."""

    def __init__(self, address, history, area, seed, mode='structured'):
        super().__init__(daemon=True)
        self.address, self.history, self.mode = address, history, mode
        self.rnd, self.area = random.Random(seed), area
        self.careful = 0  # how often FLUSH and FUA are asked for, in percent
        self.asked, self.error = {}, None
        self.start()

    def run(self):
        try:
            with n.Raw(self.address, timeout=60) as c:
                self._work(c.enter(self.mode))
        except (n.Closed, ConnectionError):
            pass
        except BaseException as e:
            self.error = e

    def end(self):
        """When the connection has been cut."""
        self.join(60)
        if self.error or self.is_alive():
            raise self.error or AssertionError('the writer does not end')

    def _work(self, c):
        leaving = False  # the server: what it refuses then was not done, or not known to be
        while True:
            while len(self.asked) < DEPTH and not leaving:
                self._ask(c)
            reply = c.reply()
            request = self.asked.pop(reply.cookie)
            leaving = leaving or reply.error == errno.ESHUTDOWN
            n.expect(reply.error == 0 or leaving, f'error {reply.error} {reply.text}')
            if reply.error == 0:
                self._answered(reply, *request)

    def _place(self):
        """Half of them begin with a page."""
        begin, size = self.area
        while True:
            length = self.rnd.choice((1, 1, 3, 8, 8, 8, 16, 25, 128)) * SECTOR
            end = self.rnd.choice((HOT, size)) - length
            at = begin + self.rnd.randrange(end) // SECTOR * SECTOR
            at -= at % (8 * SECTOR) if self.rnd.random() < 0.5 else 0
            busy = [self.asked[k][2:] for k in self.asked]
            if all(at + length <= a or a + m <= at for a, m in busy):
                return at, length

    def _ask(self, c):
        if self.history.number % 64 == 0:
            self.careful = self.rnd.choice((0, 2, 15))
        weights = 75, 8, 7, self.careful
        kind = self.rnd.choices((n.WRITE, n.WRITE_ZEROES, n.READ, n.FLUSH), weights)[0]
        cookie = c.next_cookie
        if kind == n.FLUSH:
            self.asked[cookie] = kind, self.history.flush_begins(), 0, 0
            c.request(kind)
            return
        at, length = self._place()
        if kind == n.READ:
            self.asked[cookie] = kind, None, at, length
            c.request(kind, at, length)
            return
        number, data = self.history.issue(at, length, kind == n.WRITE_ZEROES)
        fua = n.FUA if self.rnd.randrange(100) < self.careful else 0
        self.asked[cookie] = kind, (number, fua), at, length
        if kind == n.WRITE:
            c.send(c.write_bytes(at, data, flags=fua))
        else:
            c.request(kind, at, length, flags=fua | self.rnd.choice((0, n.NO_HOLE)))

    def _answered(self, reply, kind, what, at, _):
        h = self.history
        if kind == n.READ:
            faults = h.faults(at, reply.data)
            n.expect(not faults, '\n'.join(faults[:5]))
        elif kind == n.FLUSH:
            h.settle(what)
            h.flushes += 1
        else:
            number, fua = what
            h.acknowledge(number)
            if fua:
                h.settle({number})


def runs(bits, block, size):
    """(offset, bytes) of what the set bits stand for, no more than STEP in one."""
    first = None
    for i in range(len(bits) + 1):
        bit = i < len(bits) and bits[i]
        if first is not None and (not bit or (i - first) * block >= STEP):
            yield first * block, min(i * block, size) - first * block
            first = None
        if bit and first is None:
            first = i


def read(address, history, places):
    """Reads [(offset, bytes)]; returns the content, zeros elsewhere, and faults."""
    content, faults = bytearray(len(history.durable)), []
    with n.Raw(address, timeout=60) as c:
        for at, length, reply in c.enter().pipeline(places, DEPTH):
            n.expect(reply.error == 0, f'READ {at}+{length}: {reply.error} {reply.text}')
            content[at:at + length] = reply.data
            faults += history.faults(at, reply.data)
    return content, faults
