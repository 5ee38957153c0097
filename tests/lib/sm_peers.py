# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers of sm-notify, made up: rpcbind and status monitor as they should be, and as they should not.

A Farm is a network namespace full of addresses (10.81.0.0/16, fd81::/64, and those of its link); a
Peer has one of them, with an rpcbind and a status monitor over UDP and TCP. What it does with a
call is its `mode`: a function that gets the call and the reply a good peer would give, and returns
what is sent, in order: bytes, or a tuple (seconds to wait, bytes), or (socket to send from, bytes).
Everything is answered by one thread; all calls are kept in peer.calls.
"""

import heapq
import itertools
import os
import selectors
import socket
import struct
import threading
import time

RPCBIND, STATD, NLM = 100000, 100024, 100021
GETPORT, NOTIFY = 3, 6
ACCEPTED, DENIED = 0, 1
UDP, TCP = 'udp', 'tcp'


def words(*numbers):
    return struct.pack(f'>{len(numbers)}I', *numbers)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return words(len(value)) + value + bytes(-len(value) % 4)


def accepted(xid, result=b'', status=0, verifier=b''):
    return words(xid, 1, ACCEPTED, 0) + text(verifier) + words(status) + result


def universal(address, port):
    return f'{address}.{port >> 8}.{port & 255}'


def family_of(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


class Call:
    """What came in. `by` is udp or tcp, `to` rpcbind or statd, `at` the time."""

    def __init__(self, data, by, to, source):
        self.at, self.data, self.by, self.to, self.source = time.monotonic(), data, by, to, source
        self.xid, kind, _, self.prog, self.vers, self.proc = struct.unpack('>6I', data[:24])
        if kind != 0:
            raise ValueError('no call')
        self.args = data[40:]  # credentials and verifier of AUTH_NONE

    def string(self, offset=0):
        length, = struct.unpack_from('>I', self.args, offset)
        return self.args[offset + 4:offset + 4 + length].decode(), offset + 4 + (length + 3) // 4 * 4

    @property
    def name(self):
        return self.string()[0]

    @property
    def state(self):
        return struct.unpack_from('>i', self.args, self.string()[1])[0]

    @property
    def is_notify(self):
        return (self.prog, self.proc) == (STATD, NOTIFY)


class Peer:
    """versions: of rpcbind; ports: {'udp': N, 'tcp': N} as registered, 0 = not."""

    def __init__(self, farm, address, rpcbind=(UDP, TCP), statd=(UDP, TCP), versions=(2, 3, 4),
                 mode=None, tcp_mode=None):
        self.farm, self.address, self.versions = farm, address, versions
        self.mode, self.tcp_mode, self.calls, self.ports = mode, tcp_mode, [], {UDP: 0, TCP: 0}
        self.sockets = {}
        for by in rpcbind:
            self.listen('rpcbind', by, 111)
        for by in statd:
            self.listen('statd', by)

    def listen(self, to, by, port=0):
        s = self.farm.socket(self.address, by, port)
        old = self.sockets.pop((to, by), None)
        if old:
            self.farm.forget(old)
        self.sockets[to, by] = s
        if to == 'statd':
            self.ports[by] = s.getsockname()[1]
        self.farm.serve(s, self, to, by)
        return s

    def move(self, by):
        """The status monitor is restarted: another port."""
        self.listen('statd', by)

    # What it answers.

    def lookup(self, call):
        if call.vers not in self.versions:
            return accepted(call.xid, words(min(self.versions), max(self.versions)), 2)
        if call.vers == 2:
            prot = struct.unpack_from('>I', call.args, 8)[0]
            return accepted(call.xid, words(self.ports[UDP if prot == 17 else TCP]))
        netid = call.string(8)[0]
        six = ':' in self.address
        port = self.ports[netid[:3]] if netid.endswith('6') == six else 0
        return accepted(call.xid, text(universal(self.address, port) if port else ''))

    def good(self, call):
        if call.to == 'rpcbind':
            return self.lookup(call)
        if not call.is_notify:
            return accepted(call.xid, status=3)
        return accepted(call.xid)

    def answers(self, call):
        self.calls.append(call)
        reply = self.good(call)
        return [reply] if self.mode is None else list(self.mode(self, call, reply) or [])

    # What was seen.

    def told(self, by=None):
        return [c.name for c in self.calls if c.is_notify and by in (None, c.by)]

    def asked(self, by=None):
        return [c for c in self.calls if c.prog == RPCBIND and by in (None, c.by)]

    def once(self, by=None):
        """Calls without those that repeat an earlier one, as calls do on a slow machine."""
        first = {}
        for c in self.calls:
            if by in (None, c.by):
                first.setdefault(c.data, c)
        return list(first.values())


class Farm:
    """HOST: a netlab.Host that has its addresses already."""

    def __init__(self, case, host):
        self.host, self.selector, self.later = host, selectors.DefaultSelector(), []
        self.number, self.lock, self.over = itertools.count(), threading.Lock(), False
        self.wake, wake = socket.socketpair()
        self.selector.register(wake, selectors.EVENT_READ, lambda: wake.recv(100))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        case.addCleanup(self.close)

    def close(self):
        self.over = True
        self.wake.send(b'x')
        self.thread.join(10)
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
        self.wake.close()

    def socket(self, address, by, port=0, kind=None):
        def make():
            s = socket.socket(family_of(address), kind or
                              (socket.SOCK_DGRAM if by == UDP else socket.SOCK_STREAM))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, by == TCP)
            scope = address.partition('%')[2]
            where = (address.partition('%')[0], port)
            if s.family == socket.AF_INET6:
                where += (0, socket.if_nametoindex(scope) if scope else 0)
            s.bind(where)
            if by == TCP:
                s.listen(100)
            s.setblocking(False)
            return s
        return self.host.within(make)

    def serve(self, s, peer, to, by):
        take = self._take_udp if by == UDP else self._accept
        self._call(lambda: self.selector.register(
            s, selectors.EVENT_READ, lambda: take(s, peer, to)))

    def forget(self, s):
        def gone():
            self.selector.unregister(s)
            s.close()
        self._call(gone)

    def _call(self, function):
        """In the thread that serves; returns when it is done."""
        if threading.current_thread() is self.thread:
            function()
            return
        done = threading.Event()
        self.at(0, lambda: (function(), done.set()))
        if not done.wait(10):
            raise RuntimeError('the farm does not answer')

    def at(self, seconds, function):
        with self.lock:
            heapq.heappush(self.later, (time.monotonic() + seconds, next(self.number), function))
        self.wake.send(b'x')

    def _due(self):
        with self.lock:
            if self.later and self.later[0][0] <= time.monotonic():
                return heapq.heappop(self.later)[2]
            return None

    def _run(self):
        try:
            self._serve_all()
        except Exception:
            self.over = True
            raise

    def _serve_all(self):
        while not self.over:
            with self.lock:
                wait = max(0, self.later[0][0] - time.monotonic()) if self.later else 1
            for key, _ in self.selector.select(wait):
                try:
                    key.data()
                except OSError:  # a peer that went away
                    pass
            while function := self._due():
                function()

    def _take_udp(self, s, peer, to):
        data, source = s.recvfrom(4096)
        for what in peer.answers(Call(data, UDP, to, source)):
            wait, sender, reply = 0, s, what
            if isinstance(what, tuple):
                wait, sender, reply = ((what[0], s, what[1]) if isinstance(what[0], (int, float))
                                       else (0, what[0], what[1]))
            if wait:
                self.at(wait, lambda r=reply: self._send(s, r, source))
            else:
                self._send(sender, reply, source)

    @staticmethod
    def _send(s, reply, source):
        try:
            s.sendto(reply, source)
        except OSError:  # told by ICMP that nobody waits any more
            pass

    def _accept(self, s, peer, to):
        connection, source = s.accept()
        connection.setblocking(False)
        received = bytearray()
        if peer.tcp_mode:
            connection = peer.tcp_mode(peer, connection, to) or None
        if connection:
            self.selector.register(connection, selectors.EVENT_READ,
                                   lambda: self._take_tcp(connection, peer, to, source, received))

    def _take_tcp(self, connection, peer, to, source, received):
        data = b''
        try:
            data = connection.recv(4096)
        except ConnectionError:
            pass
        if not data:
            self.selector.unregister(connection)
            connection.close()
            return
        received += data
        while len(received) >= 4 and len(received) >= 4 + (mark := record_length(received)):
            call = Call(bytes(received[4:4 + mark]), TCP, to, source)
            del received[:4 + mark]
            for what in peer.answers(call):
                wait, reply = what if isinstance(what, tuple) else (0, what)
                reply = reply if isinstance(reply, Raw) else record(reply)
                self.at(wait, lambda r=reply: self._send_tcp(connection, r))

    @staticmethod
    def _send_tcp(connection, reply):
        try:
            connection.send(reply)
        except OSError:
            pass


class Raw(bytes):
    """Bytes for a TCP connection as they are, marks and all."""


def record_length(data):
    return struct.unpack('>I', data[:4])[0] & 0x7fffffff


def record(reply, piece=None):
    """One record, in fragments of `piece` bytes."""
    piece = piece or len(reply)
    parts = [reply[i:i + piece] for i in range(0, len(reply), piece)]
    last = len(parts) - 1
    return Raw(b''.join(words(len(p) | (i == last) << 31) + p for i, p in enumerate(parts)))


class Resolver:
    """A DNS server in a Farm. names: {name: [addresses]}; silent: answers nothing."""

    def __init__(self, farm, address, names=None):
        self.names, self.silent, self.queries = names or {}, False, []
        self.farm = farm
        self.udp = farm.socket(address, UDP, 53)
        farm._call(lambda: farm.selector.register(self.udp, selectors.EVENT_READ, self._take))

    def _take(self):
        data, source = self.udp.recvfrom(4096)
        name, at = self._name(data)
        kind, = struct.unpack_from('>H', data, at)
        self.queries.append((time.monotonic(), name, kind))
        if not self.silent:
            self.udp.sendto(self._answer(data, data[12:at + 4], name, kind), source)

    @staticmethod
    def _name(data):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode())
            at += 1 + data[at]
        return '.'.join(labels).lower(), at + 1

    def _answer(self, data, question, name, kind):
        family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        found = [a for a in self.names.get(name, []) if family_of(a) == family]
        code = 0 if name in self.names else 3
        reply = data[:2] + struct.pack('>5H', 0x8180 | code, 1, len(found), 0, 0) + question
        for a in found:
            raw = socket.inet_pton(family, a)
            reply += b'\xc0\x0c' + struct.pack('>HHIH', kind, 1, 0, len(raw)) + raw
        return reply


def record_line(mon, my, program=NLM, cookie='00112233445566778899aabbccddeeff'):
    return f'0100007f {program:08x} 00000003 00000010 {cookie} {mon} {my}\n'


def write_record(folder, peer, mon, my):
    """A line as rpc.statd writes it, appended to the file of the peer."""
    path = os.path.join(folder, peer)
    with open(path, 'a', encoding='utf-8') as f:
        f.write(record_line(mon, my, cookie=os.urandom(16).hex()))
    return path
