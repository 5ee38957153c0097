# SPDX-License-Identifier: GPL-2.0-or-later
"""A raw NBD client for protocol tests: sends whatever it is told, parses replies strictly.

Every deviation of the server from the NBD protocol raises ProtocolError. Errors in replies are
plain numbers, the same as errno's on Linux. Method names follow the protocol's words.
"""

import dataclasses
import socket
import struct

import xtest

NBDMAGIC, IHAVEOPT = b'NBDMAGIC', b'IHAVEOPT'
OPT_REPLY_MAGIC = 0x3e889045565a9
REQUEST, REQUEST_EXT = 0x25609513, 0x21e41c71
SIMPLE, STRUCTURED, STRUCTURED_EXT = 0x67446698, 0x668e33ef, 0x6e8a278c

(OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_STARTTLS, OPT_INFO, OPT_GO, OPT_STRUCTURED_REPLY,
 OPT_LIST_META, OPT_SET_META, OPT_EXTENDED) = 1, 2, 3, 5, 6, 7, 8, 9, 10, 11
REP_ACK, REP_SERVER, REP_INFO, REP_META = 1, 2, 3, 4
REP_ERR = 1 << 31
REP_ERR_UNSUP, REP_ERR_INVALID, REP_ERR_UNKNOWN = REP_ERR + 1, REP_ERR + 3, REP_ERR + 6
INFO_EXPORT, INFO_NAME, INFO_DESCRIPTION, INFO_BLOCK_SIZE = 0, 1, 2, 3

(HAS_FLAGS, READ_ONLY, SEND_FLUSH, SEND_FUA, ROTATIONAL, SEND_TRIM, SEND_WRITE_ZEROES, SEND_DF,
 MULTI_CONN, SEND_RESIZE, SEND_CACHE, SEND_FAST_ZERO, STATUS_PAYLOAD) = (1 << i for i in range(13))

READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO, PAYLOAD_LEN = (1 << i for i in range(6))

CHUNK_NONE, CHUNK_DATA, CHUNK_HOLE, CHUNK_STATUS, CHUNK_STATUS_EXT = 0, 1, 2, 5, 6
CHUNK_ERROR, CHUNK_ERROR_OFFSET, DONE = 0x8001, 0x8002, 1
STATE_HOLE, STATE_ZERO = 1, 2
WIRE_ERRORS = {0, 1, 5, 12, 22, 28, 75, 95, 108}


class ProtocolError(AssertionError):
    """The server broke the protocol."""


class Closed(ProtocolError):
    """The server closed the connection."""


def expect(condition, text):
    if not condition:
        raise ProtocolError(text)


@dataclasses.dataclass
class Chunk:
    flags: int
    type: int
    cookie: int
    offset: int  # extended headers only
    payload: bytes


@dataclasses.dataclass
class Reply:
    cookie: int
    error: int = 0
    text: str = ''
    data: bytes = b''
    extents: list = None  # [(length, state)] of base:allocation
    chunks: list = dataclasses.field(default_factory=list)  # empty: a simple reply


@dataclasses.dataclass
class Sent:
    """What was asked for, to check the reply against."""
    type: int
    flags: int
    offset: int
    length: int
    chunks: list = dataclasses.field(default_factory=list)


class Raw:
    """One connection. `address` is a unix path, a (host, port) or a connected socket."""

    def __init__(self, address, timeout=60.0):
        self.sock = address if isinstance(address, socket.socket) else xtest.connect(address)
        self.sock.settimeout(timeout)
        self.structured = self.extended = False
        self.context = None
        self.size = self.flags = None
        self.waiting = {}  # cookie: [Sent], oldest first
        self.next_cookie = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def recv(self, n):
        parts = bytearray()
        while len(parts) < n:
            try:
                more = self.sock.recv(min(n - len(parts), 1 << 20))
            except ConnectionResetError:
                more = b''
            if not more:
                raise Closed(f'closed after {len(parts)} of {n} bytes')
            parts += more
        return bytes(parts)

    def unpack(self, form):
        return struct.unpack(form, self.recv(struct.calcsize(form)))

    def expect_end(self):
        """The server closes without sending anything."""
        try:
            more = self.sock.recv(100)
        except ConnectionResetError:
            more = b''
        expect(more == b'', f'expected the end of the connection, got {more!r}')

    # Handshake.

    def greet(self, flags=3):
        expect(self.recv(18) == NBDMAGIC + IHAVEOPT + b'\0\3', 'greeting')
        self.send(struct.pack('>I', flags))

    @staticmethod
    def option_bytes(option, data=b''):
        return IHAVEOPT + struct.pack('>II', option, len(data)) + data

    def option_reply(self, option):
        """One reply: (type, payload)."""
        magic, echoed, kind, length = self.unpack('>QIII')
        expect(magic == OPT_REPLY_MAGIC, f'option reply magic {magic:#x}')
        expect(echoed == option, f'reply to option {echoed}, sent {option}')
        return kind, self.recv(length)

    def option(self, option, data=b''):
        """Sends an option and returns all replies up to ACK or an error."""
        self.send(self.option_bytes(option, data))
        replies = [self.option_reply(option)]
        while replies[-1][0] != REP_ACK and replies[-1][0] < REP_ERR:
            replies.append(self.option_reply(option))
        return replies

    @staticmethod
    def name_field(name):
        raw = name.encode() if isinstance(name, str) else name
        return struct.pack('>I', len(raw)) + raw

    @staticmethod
    def listed(replies):
        """What these replies to LIST show: {name: description}, in their order."""
        found = {}
        for kind, data in replies:
            if kind == REP_SERVER:
                end = 4 + struct.unpack('>I', data[:4])[0]
                found[data[4:end].decode()] = data[end:].decode()
        return found

    def list(self):
        return self.listed(self.option(OPT_LIST))

    def agree(self, option):
        kind, text = self.option(option)[-1]
        expect(kind == REP_ACK, f'option {option} refused: {kind:#x} {text!r}')
        self.structured = True
        self.extended |= option == OPT_EXTENDED

    def set_context(self, name='', query='base:allocation'):
        replies = self.option(OPT_SET_META, self.name_field(name) + struct.pack('>I', 1)
                              + self.name_field(query))
        expect(replies[0][0] == REP_META, f'no context: {replies}')
        self.context = struct.unpack('>I', replies[0][1][:4])[0]

    @classmethod
    def go_bytes(cls, name='', infos=(INFO_BLOCK_SIZE,), option=OPT_GO):
        return cls.option_bytes(option, cls.name_field(name) + struct.pack('>H', len(infos))
                                + b''.join(struct.pack('>H', i) for i in infos))

    def take_infos(self, option=OPT_GO):
        """Replies to INFO or GO: {type: payload behind the type}."""
        infos = {}
        while True:
            kind, data = self.option_reply(option)
            if kind == REP_ACK:
                break
            expect(kind == REP_INFO, f'option {option}: {kind:#x} {data!r}')
            infos[struct.unpack('>H', data[:2])[0]] = data[2:]
        self.size, self.flags = struct.unpack('>QH', infos[INFO_EXPORT])
        return infos

    def go(self, name=''):
        self.send(self.go_bytes(name))
        return self.take_infos()

    def enter(self, mode='structured', name=''):
        """The whole handshake; mode: simple, structured or extended (with base:allocation)."""
        self.greet()
        if mode != 'simple':
            self.agree(OPT_EXTENDED if mode == 'extended' else OPT_STRUCTURED_REPLY)
            self.set_context(name)
        self.go(name)
        return self

    # Requests.

    def request_bytes(self, kind, offset=0, length=0, flags=0, cookie=None, payload=b'',
                      magic=None):
        if cookie is None:
            cookie = self.next_cookie
            self.next_cookie += 1
        self.waiting.setdefault(cookie, []).append(Sent(kind, flags, offset, length))
        form = '>IHHQQQ' if self.extended else '>IHHQQI'
        default = REQUEST_EXT if self.extended else REQUEST
        return struct.pack(form, default if magic is None else magic, flags, kind, cookie,
                           offset, length) + payload

    def request(self, kind, offset=0, length=0, **more):
        self.send(self.request_bytes(kind, offset, length, **more))

    def call(self, kind, offset=0, length=0, **more):
        self.request(kind, offset, length, **more)
        return self.reply()

    def read(self, offset, length, **more):
        reply = self.call(READ, offset, length, **more)
        expect(reply.error == 0, f'READ {offset}+{length}: error {reply.error} {reply.text}')
        return reply.data

    def pipeline(self, places, depth=32):
        """READs of all (offset, length), `depth` in flight; yields (offset, length, reply)."""
        places, asked = list(places), {}
        for sent in range(len(places) + depth):
            if sent < len(places):
                asked[self.next_cookie] = places[sent]
                self.request(READ, *places[sent])
            if sent >= depth and asked:
                reply = self.reply()
                yield *asked.pop(reply.cookie), reply

    def write_bytes(self, offset, data, flags=0, **more):
        if self.extended:
            flags |= PAYLOAD_LEN
        return self.request_bytes(WRITE, offset, len(data), flags=flags, payload=data, **more)

    def write(self, offset, data, **more):
        self.send(self.write_bytes(offset, data, **more))
        return self.reply()

    def in_sync(self):
        """Does the server still understand us? Requests one more READ to find out."""
        return len(self.read(0, 512)) == 512

    def disconnect(self):
        self.request(DISC)
        self.expect_end()
        self.close()

    # Replies.

    def reply(self):
        """The next complete reply. Chunks of other requests in between are kept for later."""
        while True:
            magic, = self.unpack('>I')
            expect(magic == (STRUCTURED_EXT if self.extended else STRUCTURED)
                   or (magic == SIMPLE and not self.extended), f'reply magic {magic:#x}')
            if magic == SIMPLE:
                return self._simple()
            chunk = self._chunk()
            sent = self._sent(chunk.cookie)
            sent.chunks.append(chunk)
            if chunk.flags & DONE:
                self._forget(chunk.cookie)
                return self._assemble(chunk.cookie, sent)

    def replies(self, count):
        return [self.reply() for _ in range(count)]

    def _sent(self, cookie):
        expect(self.waiting.get(cookie), f'reply with a cookie never sent: {cookie:#x}')
        return self.waiting[cookie][0]

    def _forget(self, cookie):
        self.waiting[cookie].pop(0)
        if not self.waiting[cookie]:
            del self.waiting[cookie]

    def _simple(self):
        error, cookie = self.unpack('>IQ')
        sent = self._sent(cookie)
        expect(error in WIRE_ERRORS, f'error {error} is not of the protocol')
        expect(not (self.structured and sent.type == READ), 'simple reply to READ')
        data = self.recv(sent.length) if sent.type == READ and error == 0 else b''
        self._forget(cookie)
        return Reply(cookie, error=error, data=data)

    def _chunk(self):
        if self.extended:
            flags, kind, cookie, offset, length = self.unpack('>HHQQQ')
            expect(offset == self._sent(cookie).offset, 'offset of an extended reply')
        else:
            flags, kind, cookie, length = self.unpack('>HHQI')
            offset = 0
        expect(self.structured, 'structured reply without agreement')
        expect(flags & ~DONE == 0, f'chunk flags {flags:#x}')
        expect(kind != CHUNK_NONE or (length == 0 and flags & DONE), 'NONE chunk')
        expect(length <= (64 << 20) + 4096, f'chunk of {length} bytes')
        return Chunk(flags, kind, cookie, offset, self.recv(length))

    def _assemble(self, cookie, sent):
        reply = Reply(cookie, chunks=sent.chunks)
        pieces = []
        for chunk in sent.chunks:
            if chunk.type & 0x8000:
                self._error(reply, chunk, sent)
            elif chunk.type in (CHUNK_DATA, CHUNK_HOLE):
                pieces.append(self._piece(chunk))
            elif chunk.type in (CHUNK_STATUS, CHUNK_STATUS_EXT):
                self._extents(reply, chunk, sent)
            else:
                expect(chunk.type == CHUNK_NONE, f'chunk type {chunk.type}')
        if sent.type == READ and not reply.error:
            reply.data = self._join(sorted(pieces), sent)
        else:
            expect(not pieces or reply.error, 'data for a command that reads none')
        expect(sent.type != BLOCK_STATUS or reply.error or reply.extents, 'status without extents')
        return reply

    @staticmethod
    def _error(reply, chunk, sent):
        at_offset = chunk.type == CHUNK_ERROR_OFFSET
        expect(chunk.type in (CHUNK_ERROR, CHUNK_ERROR_OFFSET), f'chunk type {chunk.type:#x}')
        expect(len(chunk.payload) >= (14 if at_offset else 6), 'short error chunk')
        reply.error, length = struct.unpack('>IH', chunk.payload[:6])
        expect(reply.error in WIRE_ERRORS - {0}, f'error {reply.error} in an error chunk')
        expect(length <= 4096 and 6 + length + (8 if at_offset else 0) == len(chunk.payload),
               'length of the error text')
        reply.text = chunk.payload[6:6 + length].decode()
        if at_offset:
            at, = struct.unpack('>Q', chunk.payload[-8:])
            expect(sent.offset <= at < sent.offset + sent.length, 'offset of the error')

    @staticmethod
    def _piece(chunk):
        at, = struct.unpack('>Q', chunk.payload[:8])
        if chunk.type == CHUNK_DATA:
            expect(len(chunk.payload) > 8, 'empty data chunk')
            return at, chunk.payload[8:]
        length, = struct.unpack('>I', chunk.payload[8:])
        expect(length > 0, 'empty hole chunk')
        return at, bytes(length)

    @staticmethod
    def _join(pieces, sent):
        """Pieces must cover the range exactly once."""
        at = sent.offset
        for offset, data in pieces:
            expect(offset == at, f'data at {offset}, expected {at}')
            at += len(data)
        expect(at == sent.offset + sent.length, 'data does not cover the request')
        expect(not sent.flags & DF or len(pieces) <= 1, 'several chunks in spite of DF')
        return b''.join(data for _, data in pieces)

    def _extents(self, reply, chunk, sent):
        wide = chunk.type == CHUNK_STATUS_EXT
        expect(wide == self.extended, 'kind of status chunk')
        expect(reply.extents is None, 'two status chunks for one context')
        expect(struct.unpack('>I', chunk.payload[:4])[0] == self.context, 'context id')
        body = chunk.payload[8 if wide else 4:]
        size = 16 if wide else 8
        expect(body and len(body) % size == 0, 'size of a status chunk')
        if wide:
            count, = struct.unpack('>I', chunk.payload[4:8])
            expect(count == len(body) // size, 'extent count')
        reply.extents = list(struct.iter_unpack('>QQ' if wide else '>II', body))
        expect(len(reply.extents) <= 1 << 20, 'too many extents')
        expect(all(length > 0 for length, _ in reply.extents), 'empty extent')
        before_last = sum(length for length, _ in reply.extents[:-1])
        expect(sent.flags & PAYLOAD_LEN or before_last < sent.length, 'extent behind the request')
        expect(sent.offset + sum(n for n, _ in reply.extents) <= self.size, 'extent beyond the end')
        states = [state for _, state in reply.extents]
        expect(all(a != b for a, b in zip(states, states[1:])), 'equal extents not merged')
