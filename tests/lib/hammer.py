# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that read without a pause while a test changes what they read.

They send batches. A batch that began and ended in the same settled state must show exactly this
state (its strict check); any other batch may show what is between two states (the loose check).
A check is called as check(offset, length, reply) and raises AssertionError.
"""

import contextlib
import random

import rawnbd
import xtest


class Hammer:
    """readers: [(mode, [length of each read of a batch])]; place(rnd, length) says where."""

    def __init__(self, client, readers, place, loose):
        self.client, self.readers, self.place, self.loose = client, readers, place, loose
        self.state = None  # a list with the strict check; another one each time
        self.seen = [None] * len(readers)  # by reader: the last state of which it read a batch
        self.done = False
        self.cuts = 0  # replies that ended in the middle, with the connection
        self.may_be_cut = 0  # so many may

    @contextlib.contextmanager
    def settled(self, strict):
        """Begins a state; the body runs when every reader has seen it, and while it lasts."""
        self.state = state = [strict]
        xtest.wait_for(lambda: self.done or all(s is state for s in self.seen), 'batches', 60)
        yield
        self.state = None

    def settle(self, strict):
        with self.settled(strict):
            pass

    def run(self, change):
        """Runs change() while the readers read; all end with it, or with the first failure."""
        readers = [lambda i=i: self._read(i) for i in range(len(self.readers))]
        xtest.in_threads(*[lambda f=f: self._until_done(f) for f in (*readers, change)])

    def _until_done(self, function):
        try:
            function()
        finally:
            self.done = True

    def _read(self, number):
        mode, lengths = self.readers[number]
        c, rnd = self.client(mode), random.Random(number)
        while not self.done:
            state = self.state
            places = [(self.place(rnd, length), length) for length in lengths]
            try:
                replies = list(c.pipeline(places))
            except (rawnbd.Closed, BrokenPipeError, ConnectionResetError):
                self.cuts += 1
                if self.cuts > self.may_be_cut:
                    raise
                c = self.client(mode)
                continue
            sure = state is not None and self.state is state
            for at, length, reply in replies:
                (state[0] if sure else self.loose)(at, length, reply)
            if sure:
                self.seen[number] = state
        if not c.in_sync():
            raise AssertionError('a client lost its place')
        c.disconnect()
