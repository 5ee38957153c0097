# SPDX-License-Identifier: GPL-2.0-or-later
"""A client that writes without pause and can prove afterwards that no write was torn or lost."""

import random
import socket
import struct
import threading

import rawnbd
import xtest
from wrapper_fixture import WrapperCase

BLOCK = 65536


class Writer(threading.Thread):
    """Writes generation 1, 2, ... of every block in turn, several in flight, and reads them back.

    A block of generation G is G repeated as 64-bit numbers, so that a torn block shows. FIRST: its
    first block, for several on one export.
    """

    def __init__(self, client, blocks, depth=8, first=0):
        super().__init__()
        self.client, self.blocks, self.depth, self.first = client, blocks, depth, first
        self.done = [0] * blocks  # newest acknowledged generation
        self.sent = [0] * blocks
        self.rounds, self.stopping, self.error = 0, False, None

    @staticmethod
    def content(generation):
        return struct.pack('>Q', generation) * (BLOCK // 8)

    def at(self, block):
        return (self.first + block) * BLOCK

    def run(self):
        try:
            while not self.stopping:
                self.round(self.rounds + 1)
                self.rounds += 1
        except (OSError, AssertionError) as e:
            self.error = e

    def round(self, generation):
        for first in range(0, self.blocks, self.depth):
            cookies = {}
            for b in range(first, min(first + self.depth, self.blocks)):
                self.sent[b] = generation
                cookies[1 + b] = b
                self.client.send(self.client.write_bytes(self.at(b), self.content(generation),
                                                         cookie=1 + b))
            for _ in range(len(cookies)):
                reply = self.client.reply()
                rawnbd.expect(reply.error == 0, f'WRITE: error {reply.error}')
                self.done[cookies[reply.cookie]] = generation
        at = self.at(random.randrange(self.blocks))
        rawnbd.expect(self.client.read(at, BLOCK) == self.content(generation), 'read back')

    def finish(self):
        """Ends it and passes its error on."""
        self.stopping = True
        self.join()
        if self.error:
            raise self.error

    def check_file(self, case, path):
        """Every block is whole, and at least as new as what was acknowledged."""
        with open(path, 'rb') as f:
            f.seek(self.at(0))
            for b in range(self.blocks):
                data = f.read(BLOCK)
                generation, = struct.unpack('>Q', data[:8])
                case.assertEqual(data, self.content(generation), f'block {b} is torn')
                case.assertGreaterEqual(generation, self.done[b], f'block {b} lost a write')
                case.assertLessEqual(generation, self.sent[b])


class WritingCase(WrapperCase):
    def writer(self, w, name, blocks=16, first=0):
        writer = Writer(w.enter(name), blocks, first=first)
        writer.start()
        self.addCleanup(self.end_writer, writer)
        xtest.wait_for(lambda: writer.rounds > 2 or writer.error, 'writes')
        return writer

    def end_writer(self, writer):
        writer.stopping = True
        try:
            writer.client.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        writer.join()

    def go_on(self, writer, rounds=5):
        """The writer must make progress from here on."""
        target = writer.rounds + rounds
        xtest.wait_for(lambda: writer.rounds > target or writer.error, 'progress')
        self.assertIsNone(writer.error)
