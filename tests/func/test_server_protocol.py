# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests and replies of xnbd-server against the rules of the NBD protocol, by a raw client.

Numbers (rule 63 ...) are those of the project's list of rules; every test names what it checks.
"""

import errno
import functools
import os
import random
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from xtest import GIB, KIB, MIB, TIB  # noqa: E402

MODES = ('simple', 'structured', 'extended')
SIZE = 4 * MIB
MAX = 64 * MIB


def in_modes(*modes):
    """The test runs once for each mode, with a new client `c` each time."""
    def decorate(test):
        @functools.wraps(test)
        def run(self):
            for mode in modes or MODES:
                with self.subTest(mode=mode):
                    test(self, self.client(mode))
        return run
    return decorate


class Protocol(xtest.Case):
    """One server over a file of random bytes; self.model is what it must contain."""

    size, options = SIZE, ()

    def setUp(self):
        super().setUp()
        self.file = self.image(self.size, pattern=1 if self.size <= MAX else None)
        self.prepare()
        self.server = self.serve(self.file, *self.options)
        self.addCleanup(self.check_end)

    def prepare(self):
        """Changes the file before the server opens it."""

    def check_end(self):
        if self._outcome.success:
            self.server.stop()

    def client(self, mode='structured'):
        client = n.Raw(self.server.socket).enter(mode)
        self.addCleanup(client.close)
        return client

    def content(self):
        with open(self.file, 'rb') as f:
            return f.read()

    def refused(self, client, error, *args, **more):
        """The request gets this error, and the connection stays usable."""
        reply = client.call(*args, **more)
        self.assertEqual(reply.error, error, f'{args} {more}: {reply.text}')
        self.assertTrue(client.in_sync())
        return reply


class Framing(Protocol):

    @in_modes()
    def test_63_cookies_come_back_bit_for_bit(self, c):
        cookies = [0, 1, 2**64 - 1, 0x0123456789abcdef, 1 << 63]
        for cookie in cookies:
            c.request(n.READ, 0, 16, cookie=cookie)
        self.assertEqual(sorted(r.cookie for r in c.replies(5)), sorted(cookies))

    @in_modes()
    def test_63_equal_cookies_are_allowed(self, c):
        c.send(b''.join(c.request_bytes(n.READ, 8, 16, cookie=7) for _ in range(10)))
        want = self.content()[8:24]
        self.assertEqual([(r.cookie, r.data) for r in c.replies(10)], [(7, want)] * 10)

    @in_modes()
    def test_64_wrong_magic_ends_the_connection(self, c):
        wrong = n.REQUEST if c.extended else n.REQUEST_EXT
        for magic in (0, n.REQUEST + 1, wrong):
            with self.subTest(magic=magic), n.Raw(self.server.socket) as other:
                other.enter('extended' if c.extended else 'simple')
                other.request(n.READ, 0, 512, magic=magic)
                other.expect_end()
        self.assertTrue(c.in_sync(), 'other connections go on')

    @in_modes()
    def test_65_unknown_commands(self, c):
        for kind in (8, 9, 0x7fff, 0xffff):
            self.refused(c, errno.EINVAL, kind, 0, 512)

    def test_request_behind_go_in_one_packet(self):
        for mode in ('simple', 'structured'):
            with self.subTest(mode=mode), n.Raw(self.server.socket) as c:
                c.recv(18)
                first = struct.pack('>I', 3)
                if mode == 'structured':
                    first += c.option_bytes(n.OPT_STRUCTURED_REPLY)
                c.send(first + c.go_bytes() + c.request_bytes(n.READ, 100, 50))
                if mode == 'structured':
                    self.assertEqual(c.option_reply(n.OPT_STRUCTURED_REPLY)[0], n.REP_ACK)
                    c.structured = True
                c.take_infos()
                self.assertEqual(c.reply().data, self.content()[100:150])

    def test_33_no_padding_after_go(self):
        with n.Raw(self.server.socket) as c:
            c.greet(flags=1)
            c.go()
            self.assertTrue(c.in_sync())

    @in_modes()
    def test_byte_by_byte(self, c):
        for byte in c.write_bytes(3, b'slow!') + c.request_bytes(n.READ, 2, 7):
            c.send(bytes([byte]))
        self.assertEqual({r.error for r in c.replies(2)}, {0})
        self.assertEqual(c.read(2, 7)[1:6], b'slow!')

    @in_modes()
    def test_many_requests_in_one_packet_split_anywhere(self, c):
        rnd = random.Random(5)
        stream = b''.join(c.write_bytes(i * 1000, bytes([i]) * 700) for i in range(50))
        while stream:
            cut = rnd.choice((1, 27, 28, 29, 700, 5000, len(stream)))
            c.send(stream[:cut])
            stream = stream[cut:]
        self.assertEqual({r.error for r in c.replies(50)}, {0})
        for i in range(50):
            self.assertEqual(c.read(i * 1000, 700), bytes([i]) * 700)

    @in_modes()
    def test_91_half_closed_client_gets_its_replies(self, c):
        c.send(b''.join(c.request_bytes(n.READ, i * 64 * KIB, 64 * KIB) for i in range(32)))
        c.sock.shutdown(1)
        for reply in c.replies(32):
            self.assertEqual((reply.error, len(reply.data)), (0, 64 * KIB))
        c.expect_end()

    @in_modes()
    def test_90_disconnect_answers_all_in_flight(self, c):
        requests = [c.request_bytes(n.READ, i * 100 * KIB, 100 * KIB) for i in range(24)]
        requests += [c.write_bytes(i * 100, bytes(100), flags=n.FUA) for i in range(24)]
        junk = dict(flags=n.FUA | n.NO_HOLE, offset=2**64 - 5, length=77)
        c.send(b''.join(requests) + c.request_bytes(n.DISC, cookie=999, **junk))
        self.assertEqual([r.error for r in c.replies(48)], [0] * 48)
        c.expect_end()

    @in_modes()
    def test_90_nothing_behind_disconnect_is_executed(self, c):
        before = self.content()
        c.send(c.request_bytes(n.DISC) + c.write_bytes(0, b'never'))
        c.expect_end()
        self.assertEqual(self.content(), before)

    @in_modes()
    def test_84_no_torn_write_when_the_client_dies(self, c):
        before = self.content()
        for sent in (0, 1, 100, 4095):
            with self.subTest(sent=sent), n.Raw(self.server.socket) as dying:
                dying.enter('extended' if c.extended else 'simple')
                message = dying.write_bytes(4096, b'x' * 4096)
                dying.send(message[:len(message) - 4096 + sent])
        large = self.client()
        large.send(large.write_bytes(0, b'x' * MIB)[:-1])
        large.close()
        self.assertTrue(c.in_sync())
        time.sleep(0.05)
        self.assertEqual(self.content(), before)

    def test_92_clients_that_vanish_cause_no_log_lines(self):
        before = xtest.wait_for(self.server.stderr, 'it has said that it serves')
        for _ in range(20):
            self.client().close()
        self.assertTrue(self.client().in_sync())
        self.assertEqual(self.server.stderr(), before)


class Flags(Protocol):

    def allowed(self, c):
        """(command, flags) that the protocol allows besides FUA."""
        df = n.DF if c.structured else 0
        return {n.READ: df, n.WRITE: 0, n.FLUSH: 0, n.TRIM: 0, n.CACHE: 0,
                n.WRITE_ZEROES: n.NO_HOLE | n.FAST_ZERO,
                n.BLOCK_STATUS: n.REQ_ONE if c.structured else 0}

    @in_modes()
    def test_66_67_69_every_flag_on_every_command(self, c):
        for kind, allowed in self.allowed(c).items():
            for bit in range(16):
                if 1 << bit == n.PAYLOAD_LEN and c.extended:
                    continue  # changes the framing; has tests of its own
                self.one_flag(c, kind, 1 << bit, allowed | n.FUA)

    def one_flag(self, c, kind, flag, allowed):
        data = b'' if kind != n.WRITE else b'f' * 512
        length = 0 if kind == n.FLUSH else 512
        flags = flag | (n.PAYLOAD_LEN if c.extended and kind == n.WRITE else 0)
        reply = c.call(kind, 0, length, flags=flags, payload=data)
        bad = flag & ~allowed or (kind == n.BLOCK_STATUS and not c.structured)
        what = f'command {kind} flag {flag:#x}: {reply}'
        if flag == n.FAST_ZERO and not bad:
            self.assertIn(reply.error, (0, errno.EOPNOTSUPP), what)
        else:
            self.assertEqual(reply.error, errno.EINVAL if bad else 0, what)
        self.assertTrue(c.in_sync())

    @in_modes()
    def test_66_payload_of_a_refused_write_is_consumed(self, c):
        before = self.content()
        for length in (1, 512, 3 * MIB):
            c.send(c.write_bytes(0, b'z' * length, flags=1 << 9))
            self.assertEqual(c.reply().error, errno.EINVAL)
            self.assertTrue(c.in_sync())
        self.assertEqual(self.content(), before)

    @in_modes()
    def test_68_fua_on_every_command(self, c):
        self.assertTrue(c.flags & n.SEND_FUA)
        kinds = [n.READ, n.TRIM, n.WRITE_ZEROES, n.CACHE]
        kinds += [n.BLOCK_STATUS] if c.structured else []
        for kind in kinds:
            self.assertEqual(c.call(kind, 0, 4096, flags=n.FUA).error, 0, kind)
        self.assertEqual(c.call(n.FLUSH, flags=n.FUA).error, 0)
        self.assertEqual(c.write(100, b'fua', flags=n.FUA).error, 0)
        self.assertEqual(c.read(100, 3), b'fua')

    @in_modes()
    def test_41_df_is_announced_with_structured_replies_only(self, c):
        self.assertEqual(bool(c.flags & n.SEND_DF), c.structured)
        self.assertEqual(bool(c.flags & n.STATUS_PAYLOAD), c.extended)

    @in_modes('simple')
    def test_73_flags_announced(self, c):
        want = (n.HAS_FLAGS | n.SEND_FLUSH | n.SEND_FUA | n.SEND_TRIM | n.SEND_WRITE_ZEROES
                | n.MULTI_CONN | n.SEND_CACHE | n.SEND_FAST_ZERO)
        self.assertEqual(c.flags & ~n.ROTATIONAL, want)

    @in_modes()
    def test_75_flush_with_offset_and_length(self, c):
        for offset, length in ((1, 0), (0, 1), (2**64 - 1, 2**32 - 1)):
            self.assertIn(c.call(n.FLUSH, offset, length).error, (0, errno.EINVAL))
            self.assertTrue(c.in_sync())


class Ranges(Protocol):

    BEYOND = ((n.READ, errno.EINVAL), (n.WRITE_ZEROES, errno.ENOSPC), (n.TRIM, errno.EINVAL),
              (n.CACHE, errno.EINVAL))

    def beyond(self, c):
        status = ((n.BLOCK_STATUS, errno.EINVAL),) if c.structured else ()
        return self.BEYOND + status

    @in_modes()
    def test_70_71_beyond_the_end(self, c):
        ranges = ((SIZE, 512), (SIZE - 511, 512), (SIZE + 1, 0), (2**63, 512), (0, SIZE + 1),
                  (2**64 - 512, 1024), (2**64 - 1, 1), (2**64 - 1, 2**32 - 1), (2**64 - 512, 512))
        for kind, error in self.beyond(c):
            for offset, length in ranges:
                self.refused(c, error, kind, offset, length)

    @in_modes()
    def test_70_71_write_beyond_the_end(self, c):
        for offset in (SIZE, SIZE - 511, 2**64 - 512, 2**64 - 100):
            self.assertEqual(c.write(offset, bytes(512)).error, errno.ENOSPC)
            self.assertTrue(c.in_sync())
        self.assertEqual(os.stat(self.file).st_size, SIZE)

    @in_modes()
    def test_last_byte_is_inside(self, c):
        self.assertEqual(c.write(SIZE - 1, b'!').error, 0)
        self.assertEqual(c.read(SIZE - 1, 1), b'!')
        self.assertEqual(c.call(n.TRIM, 0, SIZE).error, 0)

    def test_71_extended_lengths_do_not_wrap(self):
        c = self.client('extended')
        for kind, error in self.beyond(c):
            for offset, length in ((512, 2**64 - 512), (512, 2**64 - 1), (0, 2**63), (1, 2**32)):
                self.refused(c, error, kind, offset, length)

    @in_modes()
    def test_74_zero_length(self, c):
        for kind in (n.READ, n.TRIM, n.WRITE_ZEROES, n.CACHE, n.BLOCK_STATUS):
            for offset in (0, 512, SIZE):
                self.assertIn(c.call(kind, offset, 0).error, (0, errno.EINVAL), kind)
                self.assertTrue(c.in_sync())
        self.assertEqual(c.write(0, b'').error, 0)
        self.assertTrue(c.in_sync())


class Large(Protocol):

    size = 100 * MIB

    @in_modes()
    def test_77_reads_above_the_limit(self, c):
        wide = errno.EOVERFLOW if c.extended else errno.EINVAL
        self.refused(c, wide, n.READ, 0, MAX + 1)
        if c.structured:
            self.refused(c, errno.EOVERFLOW, n.READ, 0, MAX + 1, flags=n.DF)
        self.assertEqual(len(c.read(5, MAX)), MAX)

    @in_modes('simple', 'extended')
    def test_76_longest_write_and_one_more(self, c):
        data = random.Random(3).randbytes(MAX)
        self.assertEqual(c.write(7, data).error, 0)
        self.assertEqual(c.read(7, MAX), data)
        self.assertEqual(c.write(0, bytes(MAX + 1)).error, errno.EINVAL)
        self.assertEqual(c.read(7, MIB), data[:MIB])
        with open(self.file, 'rb') as f:
            self.assertEqual(f.read(7 + MAX)[7:], data)

    def test_37_announced_maximum_is_the_real_one(self):
        c = n.Raw(self.server.socket)
        c.greet()
        block = c.go()[n.INFO_BLOCK_SIZE]
        self.assertEqual(struct.unpack('>III', block), (1, 4096, MAX))
        c.close()


class ReadOnly(Protocol):

    options = ('--readonly',)

    def test_73_flags(self):
        c = self.client()
        self.assertTrue(c.flags & n.READ_ONLY)
        self.assertFalse(c.flags & (n.SEND_TRIM | n.SEND_WRITE_ZEROES | n.SEND_FAST_ZERO))

    @in_modes()
    def test_72_nothing_can_be_written(self, c):
        before = self.content()
        for offset in (0, SIZE, 2**64 - 512):
            for kind in (n.TRIM, n.WRITE_ZEROES):
                self.refused(c, errno.EPERM, kind, offset, 1024)
            self.assertEqual(c.write(offset, b'x' * MIB).error, errno.EPERM)
            self.assertTrue(c.in_sync())
        self.refused(c, errno.EPERM, n.WRITE_ZEROES, 0, 512, flags=n.NO_HOLE)
        self.assertEqual(self.content(), before)

    @in_modes()
    def test_the_rest_works(self, c):
        self.assertEqual(c.read(100, 100), self.content()[100:200])
        self.assertEqual(c.call(n.FLUSH).error, 0)
        self.assertEqual(c.call(n.CACHE, 0, SIZE).error, 0)


class Structured(Protocol):

    @in_modes('structured', 'extended')
    def test_94_every_reply_to_read_is_structured(self, c):
        for args in ((0, 512), (SIZE, 512), (0, 0)):
            self.assertTrue(c.call(n.READ, *args).chunks)
        self.assertTrue(c.call(n.READ, 0, 512, flags=n.NO_HOLE).chunks)

    def test_simple_without_agreement(self):
        c = self.client('simple')
        self.assertEqual(c.call(n.READ, 0, 512).chunks, [])
        self.assertEqual(c.call(n.READ, SIZE, 512).chunks, [])

    @in_modes('structured', 'extended')
    def test_95_data_covers_the_range(self, c):
        content = self.content()
        for offset, length in ((0, 1), (1, 4095), (4095, 2), (0, SIZE), (12345, 1234567)):
            self.assertEqual(c.read(offset, length), content[offset:offset + length])

    @in_modes('structured', 'extended')
    def test_96_one_chunk_with_df(self, c):
        self.assertEqual(c.call(n.TRIM, MIB, MIB).error, 0)
        reply = c.call(n.READ, 0, SIZE, flags=n.DF)
        self.assertEqual((reply.error, len(reply.chunks)), (0, 1))
        self.assertEqual(reply.data, self.content())

    @in_modes('structured', 'extended')
    def test_97_errors_come_with_text(self, c):
        self.assertIn('beyond the end', c.call(n.READ, SIZE, 1).text)
        self.assertIn('unknown command', c.call(77).text)
        self.assertNotEqual(c.call(n.READ, 0, 1, flags=n.NO_HOLE).text, '')

    @in_modes()
    def test_98_read_error(self, c):
        os.truncate(self.file, MIB)
        self.refused(c, errno.EIO, n.READ, MIB - 100, 200)
        self.assertEqual(len(c.read(MIB - 100, 100)), 100)

    @in_modes()
    def test_104_cache_changes_nothing(self, c):
        before = self.content()
        self.assertEqual(c.call(n.CACHE, 5, SIZE - 5).error, 0)
        self.refused(c, errno.EINVAL, n.CACHE, 0, 512, flags=n.NO_HOLE)
        self.assertEqual(self.content(), before)


class Zeroes(Protocol):

    @in_modes()
    def test_80_write_zeroes_exactly_the_range(self, c):
        for flags in (0, n.NO_HOLE, n.FUA, n.NO_HOLE | n.FUA):
            for offset, length in ((4096, 8192), (1, 511), (4095, 4098), (100, 200000)):
                self.check_range(c, offset, length, flags)

    def check_range(self, c, offset, length, flags):
        start, total = offset - min(offset, 700), length + 1400
        c.write(start, b'\xaa' * total)
        self.assertEqual(c.call(n.WRITE_ZEROES, offset, length, flags=flags).error, 0)
        head = offset - start
        want = b'\xaa' * head + bytes(length) + b'\xaa' * (total - head - length)
        self.assertEqual(c.read(start, total), want)

    @in_modes()
    def test_83_trim_touches_nothing_outside(self, c):
        c.write(0, b'\xbb' * 65536)
        self.assertEqual(c.call(n.TRIM, 5000, 30000).error, 0)
        self.assertEqual(c.read(0, 5000), b'\xbb' * 5000)
        self.assertEqual(c.read(35000, 30536), b'\xbb' * 30536)


class BlockStatus(Protocol):

    def prepare(self):
        with open(self.file, 'wb') as f:  # data, hole, data, hole; holes of 4 KiB alignment
            f.truncate(SIZE)
            for at, length in ((0, 64 * KIB), (MIB, 128 * KIB), (3 * MIB, 4 * KIB)):
                f.seek(at)
                f.write(random.Random(at).randbytes(length))

    @in_modes('structured', 'extended')
    def test_100_extents_cover_from_the_offset(self, c):
        want = [(64 * KIB, 0), (MIB - 64 * KIB, 3), (128 * KIB, 0), (2 * MIB - 128 * KIB, 3),
                (4 * KIB, 0), (MIB - 4 * KIB, 3)]
        self.assertEqual(c.call(n.BLOCK_STATUS, 0, SIZE).extents, want)
        extents = c.call(n.BLOCK_STATUS, 100, MIB).extents
        self.assertEqual(extents[0], (64 * KIB - 100, 0))

    @in_modes('structured', 'extended')
    def test_101_req_one(self, c):
        for offset, length, want in ((0, SIZE, (64 * KIB, 0)), (0, 100, (100, 0)),
                                     (64 * KIB, SIZE - 64 * KIB, (MIB - 64 * KIB, 3)),
                                     (SIZE - 1, 1, (1, 3))):
            got = c.call(n.BLOCK_STATUS, offset, length, flags=n.REQ_ONE).extents
            self.assertEqual(got, [want])

    def test_102_refused_without_agreement(self):
        self.refused(self.client('simple'), errno.EINVAL, n.BLOCK_STATUS, 0, 512)
        c = n.Raw(self.server.socket)
        c.greet()
        c.agree(n.OPT_STRUCTURED_REPLY)
        c.go()
        self.refused(c, errno.EINVAL, n.BLOCK_STATUS, 0, 512)
        c.close()

    @in_modes('structured', 'extended')
    def test_103_zero_reads_as_zero(self, c):
        rnd = random.Random(9)
        for _ in range(60):
            c.call(rnd.choice((n.TRIM, n.WRITE_ZEROES)), rnd.randrange(SIZE - 70000),
                   rnd.randrange(1, 70000), flags=rnd.choice((0, n.FUA)))
            c.write(rnd.randrange(SIZE - 20000), b'\1' * rnd.randrange(1, 20000))
            self.check_states(c, rnd.randrange(SIZE - 1))

    def check_states(self, c, offset):
        for length, state in c.call(n.BLOCK_STATUS, offset, SIZE - offset).extents:
            if state & n.STATE_ZERO:
                self.assertEqual(c.read(offset, length), bytes(length))
            offset += length
        self.assertEqual(offset, SIZE)


class ManyExtents(Protocol):

    def prepare(self):
        with open(self.file, 'wb') as f:
            f.truncate(64 * MIB)
            for at in range(0, 64 * MIB, 16 * KIB):
                f.seek(at)
                f.write(b'x')

    @in_modes('structured', 'extended')
    def test_more_extents_than_fit_one_reply(self, c):
        at, states = 0, []
        while at < c.size:
            extents = c.call(n.BLOCK_STATUS, at, c.size - at).extents
            at += sum(length for length, _ in extents)
            states += [state for _, state in extents]
        self.assertEqual(at, c.size)
        self.assertEqual(states, [0, 3] * 4096)


class Extended(Protocol):

    def payload_call(self, c, kind, payload, offset=0, length=None, flags=0):
        return c.call(kind, offset, len(payload) if length is None else length,
                      flags=n.PAYLOAD_LEN | flags, payload=payload)

    def test_compact_clients_may_not_use_payload_len(self):
        c = self.client('structured')
        self.refused(c, errno.EINVAL, n.READ, 0, 512, flags=n.PAYLOAD_LEN)
        c.send(c.write_bytes(0, b'x' * 512, flags=n.PAYLOAD_LEN))
        self.assertEqual(c.reply().error, errno.EINVAL)
        self.assertTrue(c.in_sync())

    def test_write_needs_payload_len(self):
        c = self.client('extended')
        self.refused(c, errno.EINVAL, n.WRITE, 0, 512)
        self.refused(c, errno.EINVAL, n.WRITE, 0, 0)

    def test_payload_of_other_commands_is_consumed(self):
        c = self.client('extended')
        for kind in (n.READ, n.FLUSH, n.TRIM, n.CACHE, n.WRITE_ZEROES, 99):
            for length in (0, 1, 5000):
                reply = self.payload_call(c, kind, b'p' * length)
                self.assertEqual(reply.error, errno.EINVAL)
                self.assertTrue(c.in_sync())

    def test_payload_no_one_can_consume_ends_the_connection(self):
        for length in (2**32, 2**64 - 1):
            c = self.client('extended')
            self.payload_request(c, length)
            c.expect_end()

    def payload_request(self, c, length):
        c.request(n.WRITE, 0, length, flags=n.PAYLOAD_LEN)

    def status_payload(self, effect, *ids):
        return struct.pack('>Q', effect) + b''.join(struct.pack('>I', i) for i in ids)

    def test_status_with_payload(self):
        c = self.client('extended')
        os.truncate(self.file, 0)
        os.truncate(self.file, SIZE)
        reply = self.payload_call(c, n.BLOCK_STATUS, self.status_payload(MIB, c.context),
                                  offset=4096)
        self.assertEqual((reply.error, reply.extents), (0, [(MIB, 3)]))
        reply = self.payload_call(c, n.BLOCK_STATUS, self.status_payload(SIZE, c.context),
                                  flags=n.REQ_ONE)
        self.assertEqual((reply.error, reply.extents), (0, [(SIZE, 3)]))

    def test_status_with_bad_payload(self):
        c = self.client('extended')
        good = self.status_payload(512, c.context)
        bad = {'no payload': b'', 'short': good[:7], 'no id': good[:8], 'half an id': good[:10],
               'same id twice': self.status_payload(512, c.context, c.context),
               'unknown id': self.status_payload(512, c.context + 1),
               'both': self.status_payload(512, c.context, c.context + 1),
               'nothing': self.status_payload(0, c.context),
               'beyond the end': self.status_payload(SIZE + 1, c.context),
               'wraps': self.status_payload(2**64 - 1, c.context),
               'long': good + bytes(100 * KIB)}
        for name, payload in bad.items():
            with self.subTest(name):
                self.assertEqual(self.payload_call(c, n.BLOCK_STATUS, payload).error, errno.EINVAL)
                self.assertTrue(c.in_sync())

    def test_status_with_payload_needs_a_context(self):
        c = n.Raw(self.server.socket)
        c.greet()
        c.agree(n.OPT_EXTENDED)
        c.go()
        reply = self.payload_call(c, n.BLOCK_STATUS, self.status_payload(512, 1))
        self.assertEqual(reply.error, errno.EINVAL)
        self.assertTrue(c.in_sync())
        c.close()


class Huge(Protocol):
    """78: lengths that only fit extended headers, or only just compact ones."""

    size = 6 * GIB

    @in_modes()
    def test_four_gib_less_one(self, c):
        for kind in (n.TRIM, n.WRITE_ZEROES, n.CACHE):
            self.assertEqual(c.call(kind, GIB, 2**32 - 1).error, 0, kind)
        if c.structured:
            extents = c.call(n.BLOCK_STATUS, GIB, 2**32 - 1).extents
            self.assertEqual(extents, [(2**32 - 1, 3)])
        self.assert_small_memory()

    def test_64_bit_lengths(self):
        c = self.client('extended')
        c.write(5 * GIB, b'data' * 1024)
        self.assertEqual(c.call(n.BLOCK_STATUS, 0, 6 * GIB).extents,
                         [(5 * GIB, 3), (4096, 0), (GIB - 4096, 3)])
        self.assertEqual(c.call(n.WRITE_ZEROES, 1, 6 * GIB - 1).error, 0)
        self.assertEqual(c.read(5 * GIB, 4096), bytes(4096))
        c.write(5 * GIB, b'data' * 1024)
        self.assertEqual(c.call(n.TRIM, 0, 6 * GIB).error, 0)
        self.assertEqual(c.call(n.CACHE, 0, 6 * GIB).error, 0)
        self.assertEqual(c.call(n.BLOCK_STATUS, 0, 6 * GIB, flags=n.REQ_ONE).extents,
                         [(6 * GIB, 3)])
        self.assert_small_memory()

    def assert_small_memory(self):
        if not xtest.is_sanitized():
            self.assertLess(xtest.pss(self.server.pid), 32 * MIB)


class Enormous(Protocol):

    size = 7 * TIB

    def test_multi_tib(self):
        c = self.client('extended')
        self.assertEqual(c.size, 7 * TIB)
        at = 7 * TIB - 8192
        self.assertEqual(c.write(at, b'end!' * 2048).error, 0)
        self.assertEqual(c.read(at, 4), b'end!')
        self.assertEqual(c.call(n.BLOCK_STATUS, 0, 7 * TIB).extents, [(at, 3), (8192, 0)])
        self.assertEqual(c.call(n.WRITE_ZEROES, TIB, 6 * TIB).error, 0)
        self.assertEqual(c.read(at, 4), bytes(4))
        self.assertEqual(c.call(n.TRIM, 0, 7 * TIB).error, 0)
        self.refused(c, errno.EINVAL, n.TRIM, TIB, 7 * TIB)


class Session(Protocol):
    """Rules 1 to 9 of a stand-alone server, and what else belongs to a connection's start."""

    def greeted(self, flags=3):
        c = n.Raw(self.server.socket)
        self.addCleanup(c.close)
        c.greet(flags)
        return c

    def test_1_greeting_and_nothing_else(self):
        c = n.Raw(self.server.socket, timeout=0.2)
        self.assertEqual(c.recv(18), b'NBDMAGICIHAVEOPT\0\3')
        with self.assertRaises(TimeoutError):
            c.sock.recv(1)
        c.close()

    def test_2_3_unknown_client_flags(self):
        for flags in (0x80000003, 4, 7):
            self.greeted(flags).expect_end()

    def test_4_not_fixed(self):
        c = self.greeted(0)
        c.send(c.option_bytes(n.OPT_EXPORT_NAME))
        size, flags = c.unpack('>QH')
        self.assertEqual((size, c.recv(124)), (SIZE, bytes(124)))
        self.assertTrue(c.in_sync())
        other = self.greeted(0)
        other.send(other.option_bytes(n.OPT_LIST))
        other.expect_end()

    def test_5_wrong_option_magic(self):
        c = self.greeted()
        c.send(struct.pack('>QII', 0x49484156454f5055, n.OPT_LIST, 0))
        c.expect_end()

    def test_6_byte_by_byte_handshake(self):
        c = n.Raw(self.server.socket)
        c.recv(18)
        for byte in struct.pack('>I', 3) + c.go_bytes():
            c.send(bytes([byte]))
        c.take_infos()
        self.assertTrue(c.in_sync())
        c.close()

    def test_7_stalled_handshake_ends_by_itself(self):
        stalled = [n.Raw(self.server.socket) for _ in range(100)]
        stalled[0].greet()
        stalled[1].greet()
        stalled[1].send(n.IHAVEOPT)
        begin = time.monotonic()
        self.assertTrue(self.client().in_sync(), 'others are served')
        self.assertLess(time.monotonic() - begin, 2 if not xtest.is_sanitized() else 10)
        stalled[0].expect_end()
        stalled[1].expect_end()
        self.assertLess(time.monotonic() - begin, 15)
        for c in stalled:
            c.close()

    def test_9_no_delay(self):
        d, port = self.start_tcp(self.serve_args(self.image(MIB, 'tcp.img')))
        c = n.Raw(('127.0.0.1', port)).enter()
        begin = time.monotonic()
        for i in range(100):
            c.read(0, 4096)
        self.assertLess((time.monotonic() - begin) / 100, 0.02, 'seconds per read')
        c.disconnect()
        d.stop()

    def test_34_35_export_name(self):
        c = self.greeted(3)
        c.send(c.option_bytes(n.OPT_EXPORT_NAME))
        self.assertEqual(c.unpack('>QH')[0], SIZE)
        self.assertTrue(c.in_sync())
        other = self.greeted(3)
        other.send(other.option_bytes(n.OPT_EXPORT_NAME, b'nobody'))
        other.expect_end()

    def test_20_21_info_and_go_agree(self):
        c = self.greeted()
        c.send(c.go_bytes(option=n.OPT_INFO))
        self.assertEqual(c.take_infos(n.OPT_INFO), c.go())

    def test_name_given(self):
        d = self.serve(self.file, '--export-name=disk')
        for name in ('', 'disk'):
            n.Raw(d.socket).enter('extended', name).disconnect()
        c = n.Raw(d.socket)
        c.greet()
        self.assertEqual(c.option(n.OPT_LIST)[0], (n.REP_SERVER, n.Raw.name_field('disk')))
        kind, _ = c.option(n.OPT_GO, n.Raw.name_field('other') + b'\0\0')[-1]
        self.assertEqual(kind, n.REP_ERR_UNKNOWN)
        c.go('disk')
        c.close()
        d.stop()


if __name__ == '__main__':
    xtest.main()
