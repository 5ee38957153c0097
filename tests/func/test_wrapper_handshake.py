#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Handshake rules that involve the wrapper's export table, with a raw client.

The numbers in the names are those of the rules in the protocol inventory the suite was built by.
"""

import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from rawnbd import (INFO_BLOCK_SIZE, INFO_EXPORT, OPT_EXPORT_NAME, OPT_GO, OPT_INFO,  # noqa: E402
                    OPT_LIST, OPT_LIST_META, OPT_SET_META, OPT_STRUCTURED_REPLY, REP_ACK,
                    REP_ERR_INVALID, REP_ERR_UNKNOWN, REP_ERR_UNSUP, REP_META, REP_SERVER, Raw)
from wrapper_fixture import MIB, REP_ERR_POLICY, WrapperCase, try_go  # noqa: E402

BASE = 'base:allocation'


def meta(name, *queries, count=None):
    """Payload of LIST_META and SET_META."""
    return (Raw.name_field(name) + struct.pack('>I', len(queries) if count is None else count)
            + b''.join(Raw.name_field(q) for q in queries))


def go_payload(name, infos=(), count=None, tail=b''):
    count = len(infos) if count is None else count
    return (Raw.name_field(name) + struct.pack('>H', count)
            + b''.join(struct.pack('>H', i) for i in infos) + tail)


def last(replies):
    return replies[-1][0]


class Handshake(WrapperCase):
    """Two exports, one wrapper for all tests of the class."""

    @classmethod
    def setUpClass(cls):
        cls.keeper = cls('keep')
        cls.keeper.setUp()
        k = cls.keeper
        cls.addClassCleanup(k.doCleanups)
        exports = {'a': {'image': k.image(2 * MIB, 'a'), 'description': 'first'},
                   'b': {'image': k.image(4 * MIB, 'b'), 'readonly': True}}
        cls.w = k.wrap(exports=exports)

    @classmethod
    def tearDownClass(cls):
        cls.keeper._settle(cls.w)

    def keep(self):
        """Holds the fixture of the class."""

    def client(self, flags=3):
        c = Raw(self.w.address)
        self.addCleanup(c.close)
        c.greet(flags)
        return c

    def in_sync(self, client):
        """An unknown option gets ERR_UNSUP: the server still understands us."""
        self.assertEqual(last(client.option(0x7777, b'x' * 37)), REP_ERR_UNSUP)


class Listing(Handshake):
    def test_16_server_per_export_then_ack(self):
        a, b = (f' [serial {e["serial"]}]'.encode() for e in self.w.list())
        replies = self.client().option(OPT_LIST)
        self.assertEqual(replies, [(REP_SERVER, Raw.name_field('a') + b'first' + a),
                                   (REP_SERVER, Raw.name_field('b') + b[1:]), (REP_ACK, b'')])

    def test_17_data_is_invalid(self):
        client = self.client()
        self.assertEqual(client.option(OPT_LIST, b'abc'), client.option(OPT_LIST, b'xyz'))
        self.assertEqual(last(client.option(OPT_LIST, b'abc')), REP_ERR_INVALID)
        self.in_sync(client)

    def test_18_may_be_repeated(self):
        client = self.client()
        self.assertEqual(client.option(OPT_LIST), client.option(OPT_LIST))


class Counts(WrapperCase):
    """16: LIST of 0, 1 and 300 exports."""

    def test_16_none(self):
        w = self.wrap()
        self.assertEqual(w.raw().list(), {})
        self.assertEqual(w.go_refused('')[0], REP_ERR_UNKNOWN)
        self.assertEqual(w.go_refused('x')[0], REP_ERR_UNKNOWN)

    def test_16_one(self):
        self.assertEqual(list(self.wrap(exports=self.files(1)).raw().list()), ['disk0'])

    def test_16_300(self):
        image = self.image(MIB)
        names = [f'volume-{i:03}-{"n" * (i % 100)}' for i in range(300)]
        w = self.wrap(exports={n: image for n in names})
        self.assertTrue(list(w.raw().list()) == names)

    def test_16_300_read_slowly(self):
        """More reply than socket buffers take: the server waits, nothing is lost."""
        image = self.image(MIB)
        names = [f'{i:03}' + 'n' * 4000 for i in range(300)]
        w = self.wrap(exports={n: image for n in names})
        client = w.raw()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(client.option_bytes(OPT_LIST))
        w.enter('000' + 'n' * 4000).in_sync()  # others are served meanwhile
        replies = [client.option_reply(OPT_LIST) for _ in range(301)]
        self.assertTrue(list(client.listed(replies)) == names)


class Choosing(Handshake):
    def test_20_info_has_real_size_and_flags(self):
        client = self.client()
        for name, size, readonly in (('a', 2 * MIB, False), ('b', 4 * MIB, True)):
            client.send(client.go_bytes(name, option=OPT_INFO))
            client.take_infos(OPT_INFO)
            self.assertEqual(client.size, size)
            self.assertEqual(bool(client.flags & rawnbd.READ_ONLY), readonly)

    def test_21_info_then_go_identical(self):
        for name in ('a', 'b'):
            for agree in (False, True):
                client = self.client()
                if agree:
                    client.agree(OPT_STRUCTURED_REPLY)
                client.send(client.go_bytes(name, option=OPT_INFO))
                info = client.take_infos(OPT_INFO)
                self.assertEqual(client.go(name), info)
                self.assertTrue(client.in_sync())

    def test_22_unknown_export_then_a_good_one(self):
        client = self.client()
        for option in (OPT_INFO, OPT_GO):
            self.assertEqual(try_go(client, 'nothing', option)[0], REP_ERR_UNKNOWN)
        client.go('a')
        self.assertTrue(client.in_sync())

    def test_23_short_payload(self):
        client = self.client()
        for data in (b'', b'\0\0\0\0', b'\0\0\0\0\0'):
            self.assertEqual(last(client.option(OPT_GO, data)), REP_ERR_INVALID)
        self.in_sync(client)

    def test_24_name_longer_than_payload(self):
        client = self.client()
        for length in (2, 4096, 0x7fffffff, 0xffffffff):
            data = struct.pack('>I', length) + b'a' + b'\0\0'
            self.assertEqual(last(client.option(OPT_GO, data)), REP_ERR_INVALID, length)
        self.in_sync(client)

    def test_25_more_requests_than_bytes(self):
        client = self.client()
        self.assertEqual(last(client.option(OPT_GO, go_payload('a', (3,), count=9))),
                         REP_ERR_INVALID)
        client.go('a')

    def test_26_trailing_bytes(self):
        client = self.client()
        self.assertEqual(last(client.option(OPT_GO, go_payload('a', (3,), tail=b'z'))),
                         REP_ERR_INVALID)
        client.go('a')

    def test_27_longest_name(self):
        client = self.client()
        self.assertEqual(try_go(client, 'x' * 4096)[0], REP_ERR_UNKNOWN)
        self.assertEqual(try_go(client, 'x' * 4097)[0], REP_ERR_INVALID)
        self.in_sync(client)

    def test_28_29_zero_byte_and_bad_utf8_in_a_name(self):
        client = self.client()
        for name in (b'a\0', b'a\0b', b'\xff\xfe', b'a\xc3'):
            kind, _ = try_go(client, name)
            self.assertEqual(kind, REP_ERR_INVALID, name)
        self.in_sync(client)

    def test_30_unknown_and_repeated_requests(self):
        client = self.client()
        client.send(client.option_bytes(OPT_GO, go_payload('a', (0x7777, 3, 3))))
        self.assertEqual(set(client.take_infos()), {INFO_EXPORT, INFO_BLOCK_SIZE})

    def test_31_32_info_export_without_being_asked(self):
        client = self.client()
        client.send(client.option_bytes(OPT_GO, go_payload('a')))
        infos = client.take_infos()
        self.assertEqual(len(infos[INFO_EXPORT]), 10)
        self.assertEqual(len(infos.get(INFO_BLOCK_SIZE, bytes(12))), 12)

    def test_33_no_padding_after_go(self):
        for flags in (1, 3):
            client = self.client(flags)
            client.go('a')
            self.assertEqual(client.read(0, 512), bytes(512))

    def test_34_export_name(self):
        for flags, padding in ((1, 124), (3, 0), (2, 0)):
            client = self.client(flags)
            client.send(client.option_bytes(OPT_EXPORT_NAME, b'a'))
            size, _ = client.unpack('>QH')
            self.assertEqual(size, 2 * MIB)
            self.assertEqual(client.recv(padding), bytes(padding))
            self.assertTrue(client.in_sync())

    def test_34_export_name_empty_without_default(self):
        client = self.client()
        client.send(client.option_bytes(OPT_EXPORT_NAME))
        client.expect_end()

    def test_35_export_name_unknown(self):
        for name in (b'nothing', b'a\0', b'\xff', b'x' * 5000):
            client = self.client()
            client.send(client.option_bytes(OPT_EXPORT_NAME, name))
            client.expect_end()


class Pipelined(Handshake):
    def test_06_all_in_one_packet_and_a_request_behind_it(self):
        client = Raw(self.w.address)
        self.addCleanup(client.close)
        read = client.request_bytes(rawnbd.READ, 0, 512)
        client.send(struct.pack('>I', 3) + client.go_bytes('nothing') + client.go_bytes('a') + read)
        self.assertEqual(client.recv(18)[:8], b'NBDMAGIC')
        self.assertEqual(client.option_reply(OPT_GO)[0], REP_ERR_UNKNOWN)
        client.take_infos()
        self.assertEqual(len(client.reply().data), 512)

    def test_06_byte_by_byte(self):
        client = Raw(self.w.address)
        self.addCleanup(client.close)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for b in struct.pack('>I', 3) + client.go_bytes('nothing') + client.go_bytes('b'):
            client.send(bytes([b]))
        client.recv(18)
        self.assertEqual(client.option_reply(OPT_GO)[0], REP_ERR_UNKNOWN)
        client.take_infos()
        self.assertEqual(client.size, 4 * MIB)


class Contexts(Handshake):
    def agreed(self):
        client = self.client()
        client.agree(OPT_STRUCTURED_REPLY)
        return client

    def status(self, client, name):
        client.go(name)
        client.context = client.context or 1
        return client.call(rawnbd.BLOCK_STATUS, 0, 4096)

    def test_43_list_all(self):
        client = self.agreed()
        for queries in ((), ('base:',), (BASE,)):
            replies = client.option(OPT_LIST_META, meta('a', *queries))
            self.assertEqual(replies, [(REP_META, bytes(4) + BASE.encode()), (REP_ACK, b'')])
        self.assertEqual(client.option(OPT_LIST_META, meta('a', 'qemu:')), [(REP_ACK, b'')])

    def test_44_unknown_export(self):
        client = self.agreed()
        for option in (OPT_LIST_META, OPT_SET_META):
            self.assertEqual(last(client.option(option, meta('nothing', BASE))), REP_ERR_UNKNOWN)
        client.set_context('a')

    def test_45_without_structured_replies(self):
        client = self.client()
        self.assertEqual(last(client.option(OPT_SET_META, meta('a', BASE))), REP_ERR_INVALID)
        self.in_sync(client)

    def test_46_selects_nothing(self):
        client = self.agreed()
        for queries in ((), ('base:',), ('base:nothing',), ('other:x',)):
            self.assertEqual(client.option(OPT_SET_META, meta('a', *queries)), [(REP_ACK, b'')])
        self.assertEqual(self.status(client, 'a').error, 22)

    def test_47_twice_the_same(self):
        replies = self.agreed().option(OPT_SET_META, meta('a', BASE, BASE))
        self.assertEqual([kind for kind, _ in replies], [REP_META, REP_ACK])

    def test_48_lengths_beyond_the_payload(self):
        client = self.agreed()
        bad = [Raw.name_field('a') + struct.pack('>II', 1, 100) + b'base',
               meta('a', BASE, count=0xffffffff), meta('a', BASE, count=2), meta('a', BASE) + b'z',
               struct.pack('>I', 0xffffffff), b'']
        for data in bad:
            for option in (OPT_LIST_META, OPT_SET_META):
                self.assertEqual(last(client.option(option, data)), REP_ERR_INVALID, data)
        self.in_sync(client)

    def test_49_failed_set_clears_the_selection(self):
        for data in (meta('nothing', BASE), meta('a', BASE) + b'z', meta('a')):
            client = self.agreed()
            client.set_context('a')
            client.option(OPT_SET_META, data)
            self.assertEqual(self.status(client, 'a').error, 22)

    def test_50_other_name_than_go(self):
        client = self.agreed()
        client.set_context('a')
        self.assertEqual(self.status(client, 'b').error, 22)

    def test_50_same_name(self):
        client = self.agreed()
        client.set_context('b')
        self.assertEqual(self.status(client, 'b').error, 0)


class DefaultName(WrapperCase):
    def test_50_empty_and_canonical_name_are_one_export(self):
        w = self.wrap(exports=self.files(1))
        for chosen, gone in (('', 'disk0'), ('disk0', '')):
            client = w.raw()
            client.agree(OPT_STRUCTURED_REPLY)
            client.set_context(chosen)
            client.go(gone)
            self.assertEqual(client.call(rawnbd.BLOCK_STATUS, 0, 4096).error, 0)

    def test_50_selection_of_a_removed_export_is_void(self):
        w = self.wrap()
        w.ctl('--add-target', 'x', self.image(MIB))
        client = w.raw()
        client.agree(OPT_STRUCTURED_REPLY)
        client.set_context('x')
        w.ctl('--remove-by-exportname', 'x')
        w.ctl('--add-target', 'x', self.image(MIB, 'other'))
        client.go('x')
        self.assertEqual(client.call(rawnbd.BLOCK_STATUS, 0, 4096).error, 22)


class Workers(WrapperCase):
    """What lookups cost: only a client that enters gets a server started."""

    def test_info_starts_no_server(self):
        w = self.wrap(exports=self.files(2))
        client = w.raw()
        client.send(client.go_bytes('disk0', option=OPT_INFO))
        client.take_infos(OPT_INFO)
        client.option(OPT_LIST)
        self.assertEqual(w.status()['servers'], 0)
        client.go('disk0')
        self.assertEqual(w.status()['servers'], 1)

    def test_info_before_and_after_the_worker_agree(self):
        w = self.wrap(exports={'file': self.image(MIB),
                               'loop': self.loop_device(self.image(MIB, 'l'))})
        for name in ('file', 'loop'):
            client = w.raw()
            client.send(client.go_bytes(name, option=OPT_INFO))
            before = client.take_infos(OPT_INFO)
            self.assertEqual(w.raw().go(name), before)
            client.send(client.go_bytes(name, option=OPT_INFO))
            self.assertEqual(client.take_infos(OPT_INFO), before)

    def test_extended_headers_end_to_end(self):
        w = self.wrap(exports=self.files(1, 8 * MIB))
        client = w.enter('disk0', 'extended')
        self.assertEqual(client.write(MIB, b'e' * 70000).error, 0)
        self.assertEqual(client.read(MIB, 70000), b'e' * 70000)
        extents = client.call(rawnbd.BLOCK_STATUS, 0, 8 * MIB).extents
        self.assertEqual(sum(n for n, _ in extents), 8 * MIB)
        self.assertEqual(client.call(rawnbd.FLUSH).error, 0)
        client.disconnect()

    def test_simple_replies_end_to_end(self):
        w = self.wrap(exports=self.files(1))
        client = w.enter('disk0', 'simple')
        self.assertEqual(client.write(0, b's' * 4096).error, 0)
        reply = client.call(rawnbd.READ, 0, 4096)
        self.assertEqual((reply.data, reply.chunks), (b's' * 4096, []))
        client.disconnect()


class Unserved(WrapperCase):
    """36: exports whose file cannot be served."""

    def broken(self):
        image = self.image(MIB, 'good')
        os.mkdir(self.path('folder'))
        os.mkfifo(self.path('fifo'))
        return {'good': image, 'missing': self.path('missing'), 'folder': self.path('folder'),
                'empty': self.image(0, 'empty'), 'fifo': self.path('fifo'), 'device': '/dev/null'}

    def test_36_reason_and_session_goes_on(self):
        w = self.wrap(exports=self.broken())
        client = w.raw()
        for option in (OPT_INFO, OPT_GO):
            kind, text = try_go(client, 'missing', option)
            self.assertEqual(kind, REP_ERR_UNKNOWN)
            self.assertIn('No such file', text)
            kind, text = try_go(client, 'folder', option)
            self.assertEqual(kind, REP_ERR_POLICY)
            self.assertIn('directory', text)
            for name in ('empty', 'fifo', 'device'):
                kind, text = try_go(client, name, option)
                self.assertEqual(kind, REP_ERR_POLICY, name)
                self.assertIn('cannot be served', text)
        client.go('good')
        self.assertTrue(client.in_sync())

    def test_36_export_name_closes(self):
        w = self.wrap(exports=self.broken())
        for name in ('missing', 'folder', 'empty'):
            client = w.raw()
            client.send(client.option_bytes(OPT_EXPORT_NAME, name.encode()))
            client.expect_end()

    def test_image_that_appears_later(self):
        w = self.wrap(exports={'late': self.path('late.img'), 'good': self.image(MIB, 'good')})
        client = w.raw()
        self.assertEqual(try_go(client, 'late')[0], REP_ERR_UNKNOWN)
        self.image(3 * MIB, 'late.img')
        client.go('late')
        self.assertEqual(client.size, 3 * MIB)

    def test_image_that_grows_is_seen_by_the_next_worker(self):
        w = self.wrap(exports={'x': self.image(MIB)})
        first = w.enter('x')
        os.truncate(self.path('disk.img'), 2 * MIB)
        self.assertEqual(w.enter('x').size, first.size, 'one size for all clients of a worker')


if __name__ == '__main__':
    xtest.main()
