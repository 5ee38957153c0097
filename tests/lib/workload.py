# SPDX-License-Identifier: GPL-2.0-or-later
"""A busy disk: clients that read and write at random, and a model that knows what every answer must
be. They never connect again by themselves, so a cut session is a failure, as is a wrong byte, an
error reply or a request that is not answered in time. Only crash() lets a session end: then what
was acknowledged must be there, and each byte of what was not is old or new.

Most of what they do is in the first eighth of the disk, as it is with real disks.
"""

import random
import threading
import time

import rawnbd as n
import xtest

LENGTHS = (1, 512, 1000, 4096, 4096, 4096, 8192, 16384, 20000, 65536)
BATCH, PAUSE_SECONDS = 8, 0.02
HOT_PART = 8
PATIENCE = 60  # seconds a client waits for a reply: longer than any link is cut
GONE = (n.Closed, ConnectionError)


class Workload:
    """`content` is what is on the disk. Clients number 0 ...; the first keeps to the hot part."""

    def __init__(self, content, clients=4, cold=0.05, seed=1):
        self.model = bytearray(content)
        self.hot, self.cold, self.count = len(content) // HOT_PART, cold, clients
        self.rnd = [random.Random(seed + i) for i in range(clients)]
        self.noise = random.Random(seed).randbytes(1 << 20)
        self.lock, self.under_way = threading.Lock(), []  # (from, end, is a write)
        self.threads, self.errors, self.stopping, self.flush = [], [], True, True
        self.asked = [{} for _ in range(clients)]  # not answered yet: (kind, at, length, data)
        self.crashing, self.doubts = False, []     # (at, what may be there instead)
        self.answered = [0] * clients  # requests, for each client
        self.longest = 0.0             # seconds a batch took

    def start(self, connect):
        """Clients begin on connections made by connect(), which have done their handshake."""
        assert not self.threads
        clients = [connect() for _ in range(self.count)]
        self._settle(clients[0])
        self.stopping = self.crashing = False
        self.threads = [threading.Thread(target=self._guarded, args=(i, c), daemon=True)
                        for i, c in enumerate(clients)]
        for t in self.threads:
            t.start()

    def stop(self, flush=True):
        """When every request is answered, and durable with FLUSH, they leave."""
        self.flush, self.stopping = flush, True
        for t in self.threads:
            t.join()
        self.threads = []
        self.check()

    def crash(self, kill):
        """Calls kill(), which ends the server while requests are under way."""
        self.crashing = True
        kill()
        for t in self.threads:
            t.join()
        self.threads = []
        self.check()
        self.doubts = [(at, data) for asked in self.asked
                       for kind, at, _, data in asked.values() if kind != n.READ]
        self.asked, self.under_way = [{} for _ in self.asked], []

    def _settle(self, client):
        """What became of the last requests before a crash."""
        for at, new in self.doubts:
            have, old = client.read(at, len(new)), self.model[at:at + len(new)]
            n.expect(all(h in (a, b) for h, a, b in zip(have, old, new)),
                     f'after a crash, {at}+{len(new)}: neither old nor new')
            self.model[at:at + len(new)] = have
        self.doubts = []

    def check(self):
        """Passes on what has failed."""
        if self.errors:
            raise self.errors[0]

    def go_on(self, requests=200, seconds=20, clients=None):
        """Waits until so many more are answered of each client (or of those named)."""
        clients = range(self.count) if clients is None else clients
        goal = {i: self.answered[i] + requests for i in clients}
        xtest.wait_for(lambda: self.errors or all(self.answered[i] >= v for i, v in goal.items()),
                       f'{requests} requests of each client', seconds)
        self.check()

    def _guarded(self, number, client):
        try:
            client.sock.settimeout(PATIENCE)
            while not self.stopping and not self.errors:
                self._batch(number, client)
                time.sleep(PAUSE_SECONDS)
            if self.flush:
                n.expect(client.call(n.FLUSH).error == 0, 'FLUSH')
            client.disconnect()
        except Exception as e:
            if self.crashing and isinstance(e, GONE):
                return
            self.errors.append(AssertionError(f'client {number}: {type(e).__name__} {e}'))

    # One batch.

    def _place(self, number, length):
        rnd, size = self.rnd[number], len(self.model)
        if number == 0 or rnd.random() >= self.cold:
            size = self.hot
        at = rnd.randrange(size - length + 1)
        return at if rnd.random() < 0.3 else at // 4096 * 4096

    def _reserve(self, number):
        """Requests that have nothing to do with writes under way: [(kind, at, length)]."""
        rnd, chosen = self.rnd[number], []
        with self.lock:
            for _ in range(BATCH):
                kind = rnd.choices((n.READ, n.WRITE, n.WRITE_ZEROES, n.TRIM), (60, 34, 4, 2))[0]
                length = 4096 * rnd.randrange(1, 9) if kind == n.TRIM else rnd.choice(LENGTHS)
                at = self._place(number, length)
                at = at // 4096 * 4096 if kind == n.TRIM else at
                end, writes = at + length, kind != n.READ
                if any(a < end and at < b and (w or writes) for a, b, w in self.under_way):
                    continue
                self.under_way.append((at, end, writes))
                chosen.append((kind, at, length))
        return chosen

    def _batch(self, number, client):
        began, asked = time.monotonic(), self.asked[number]
        for kind, at, length in self._reserve(number):
            cookie = client.next_cookie
            message, data = self._message(number, client, kind, at, length)
            asked[cookie] = (kind, at, length, data)
            client.send(message)
        while asked:
            reply = client.reply()
            self._judge(reply, *asked[reply.cookie])
            kind, at, length, _ = asked.pop(reply.cookie)
            with self.lock:
                self.under_way.remove((at, at + length, kind != n.READ))
            self.answered[number] += 1
        if self.rnd[number].random() < 0.05:
            n.expect(client.call(n.FLUSH).error == 0, 'FLUSH')
        self.longest = max(self.longest, time.monotonic() - began)

    def _message(self, number, client, kind, at, length):
        """A request, and what is on the disk there when it is answered."""
        rnd = self.rnd[number]
        if kind == n.WRITE:
            begin = rnd.randrange(len(self.noise) - length)
            data = self.noise[begin:begin + length]
            return client.write_bytes(at, data, flags=n.FUA if rnd.random() < 0.02 else 0), data
        data = bytes(self.model[at:at + length]) if kind == n.READ else bytes(length)
        return client.request_bytes(kind, at, length), data

    def _judge(self, reply, kind, at, length, data):
        n.expect(reply.error == 0, f'request {kind} {at}+{length}: error {reply.error} {reply.text}')
        if kind != n.READ:
            self.model[at:at + length] = data
        elif reply.data != data:
            raise AssertionError(f'READ {at}+{length}: wrong data, {_first(reply.data, data)}')


def _first(have, want):
    """Where they differ."""
    if len(have) != len(want):
        return f'{len(have)} bytes'
    bad = [i for i, (a, b) in enumerate(zip(have, want)) if a != b]
    return f'{len(bad)} bytes from {bad[0]} to {bad[-1]}, zeros from there: {not any(have[bad[0]:])}'
