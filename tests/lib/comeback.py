# SPDX-License-Identifier: GPL-2.0-or-later
"""A client that is ended and comes again, as those of kernels and virtual machines do, and can prove
that nothing it was told of was lost."""

import random
import struct
import threading
import time

import xtest


class Writer(threading.Thread):
    """A libnbd client with stamps and DEPTH requests under way that comes again when it is ended.

    A request that was not answered is asked again; an error is a failure, unless the connection
    has ended. SLOTS: which blocks are its own."""

    DEPTH, SLOT = 8, 4096

    def __init__(self, number, uri, slots):
        super().__init__()
        self.uri, self.slots = uri, slots
        self.rnd, self.stamp = random.Random(number), number << 32
        self.wanted = {}  # slot: the last stamp written, answered or not
        self.done = self.sessions = self.answered = self.refusals = 0
        self.sizes, self.trouble = [], None

    def run(self):
        try:
            while not self.done:
                self.session()
            self.session(last=True)
        except Exception as e:
            self.trouble = e

    def connect(self):
        """As those who come again do: not at the first refusal is everything lost."""
        import nbd
        for tries in range(50):
            h = nbd.NBD()
            try:
                h.connect_uri(self.uri)
                return h
            except nbd.Error as e:
                why = e
                self.refusals += 1
                time.sleep(0.1)
        raise AssertionError(f'does not get in again: {why}')

    def session(self, last=False):
        import nbd
        h = self.connect()
        self.sizes.append(h.get_size())
        self.sessions += 1
        unsure = {s: v for s, v in self.wanted.items() if v[1] is False}
        running = {}
        try:
            for slot, (stamp, _) in unsure.items():  # as a kernel or qemu would
                h.pwrite(self.block(stamp), slot * self.SLOT)
                self.wanted[slot] = stamp, True
            if last:
                self.check(h)
            while not self.done or running:
                while not self.done and len(running) < self.DEPTH:
                    self.begin(h, running)
                h.poll(-1)
                self.take(h, running)
            h.shutdown()
        except nbd.Error as e:
            if not (h.aio_is_closed() or h.aio_is_dead()) or last:
                raise AssertionError(f'an error on a living connection: {e}') from e

    def block(self, stamp):
        return struct.pack('>Q', stamp) * (self.SLOT // 8)

    def begin(self, h, running):
        import nbd
        slot = self.rnd.choice([s for s in self.slots if s not in running])
        self.stamp += 1
        buf = nbd.Buffer.from_bytearray(bytearray(self.block(self.stamp)))
        self.wanted[slot] = self.stamp, False
        running[slot] = h.aio_pwrite(buf, slot * self.SLOT), buf

    def take(self, h, running):
        for slot, (cookie, _) in list(running.items()):
            if h.aio_command_completed(cookie):
                del running[slot]
                self.wanted[slot] = self.wanted[slot][0], True
                self.answered += 1

    def check(self, h):
        for slot, (stamp, _) in self.wanted.items():
            if h.pread(self.SLOT, slot * self.SLOT) != self.block(stamp):
                raise AssertionError(f'slot {slot} is not what was last written')


class Writers(list):
    """COUNT of them on SIZE bytes of an export, at work."""

    def __init__(self, uri, size, count=4):
        slots = size // Writer.SLOT
        super().__init__(Writer(i + 1, uri, range(i, slots, count)) for i in range(count))
        for w in self:
            w.daemon = True
            w.start()
        self.work()

    def _trouble(self):
        return any(w.trouble for w in self)

    def check(self):
        if self._trouble():
            raise AssertionError([w.trouble for w in self])

    def work(self, requests=50):
        """Until so many more of each are answered."""
        before = [w.answered for w in self]
        xtest.wait_for(lambda: self._trouble() or all(w.answered > b + requests
                                                      for w, b in zip(self, before)), 'load', 40)
        self.check()

    def come_again(self, act, size=None):
        """Calls ACT, which ends all of them, and waits until they are back, and told this SIZE.

        One that comes while that changes may be told the old size, and is ended once more."""
        before = [w.sessions for w in self]
        act()
        xtest.wait_for(lambda: self._trouble() or all(
            w.sessions > b and size in (None, w.sizes[-1]) for w, b in zip(self, before)), 'back', 40)
        self.work()

    def finish(self, refusals=0):
        """They look whether all is there that was answered. REFUSALS: so many of each are fine."""
        for w in self:
            w.done = True
        for w in self:
            w.join(60)
            if w.is_alive():
                raise AssertionError('does not end')
        self.check()
        if any(w.refusals > refusals for w in self):
            raise AssertionError(f'refused: {[w.refusals for w in self]}')
