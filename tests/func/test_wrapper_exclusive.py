#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One writer at a time: exclusive exports, limits of clients, who is connected, eviction."""

import json
import os
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_access import A, B, C, NOBODY, AccessCase, as_user  # noqa: E402
from wrapper_fixture import REP_ERR_POLICY  # noqa: E402
from wrapper_writer import WritingCase  # noqa: E402

WHEN = r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC'
HELD = re.compile(r'exclusive: (\S+) writes to it since ' + WHEN)
OTHERS_READ = 'writer, others readonly'


class ExclusiveCase(AccessCase):
    def serve_exclusive(self, how='writer', **keys):
        return self.serve_access(self.export_section('x', exclusive=how, **keys),
                                 self.export_section('plain'))

    def holder(self, name='x'):
        """Address of the holder, None if there is none."""
        found = {c['address'] for c in self.clients(name) if c['holder']}
        self.assertLessEqual(len(found), 1)
        return found.pop() if found else None

    def clients(self, *name):
        return json.loads(self.w.ctl('clients', *name, '--json'))

    def refused_for(self, holder, source, name='x'):
        kind, text = self.refused(name, source)
        self.assertEqual(kind, REP_ERR_POLICY)
        self.assertEqual(HELD.fullmatch(text)[1], holder, text)


class OneWriter(ExclusiveCase):
    def test_others_are_refused(self):
        self.serve_exclusive()
        first = self.enter('x', A)
        self.assert_writer(first.flags)
        self.assertEqual(self.holder(), A)
        for source in (B, '::1', 'unix'):
            self.refused_for(A, source)
            self.assert_reader(self.info('x', source))
        self.assert_writer(self.info('x', A))
        client = self.raw(B)
        client.send(client.option_bytes(rawnbd.OPT_EXPORT_NAME, b'x'))
        client.expect_end()
        self.enter('plain', B)
        self.assertTrue(first.in_sync())

    def test_connections_of_one_peer_are_one(self):
        self.serve_exclusive()
        several = [self.enter('x', A) for _ in range(4)]
        for client in several[:-1]:
            client.disconnect()
            self.refused_for(A, B)
        several[-1].disconnect()
        self.gone('x')
        self.assertIsNone(self.holder())
        self.enter('x', B)
        self.refused_for(B, A)

    def test_a_cut_connection_ends_it_too(self):
        self.serve_exclusive()
        self.enter('x', A).close()
        xtest.wait_for(lambda: self.holder() is None, 'hold ended')
        self.enter('x', B)

    def test_users_are_peers(self):
        self.require(root=True)
        self.serve_exclusive()
        client = self.enter('x', 'unix')
        self.assertEqual(self.holder(), 'unix:uid=0')
        self.enter('x', 'unix').disconnect()
        self.assertIn('unix:uid=0 writes', as_user(NOBODY, lambda: self.refused('x', 'unix')[1]))
        client.disconnect()
        self.gone('x')

    def test_others_read(self):
        self.serve_exclusive(OTHERS_READ)
        writer, reader = self.enter('x', A), self.enter('x', B)
        self.assert_writer(writer.flags)
        self.assert_reader(reader.flags)
        self.assert_reader(self.info('x', B))
        self.assertEqual(writer.write(0, b'w' * 512).error, 0)
        self.assertEqual(reader.read(0, 512), b'w' * 512)
        self.assertEqual(reader.write(0, b'x' * 512).error, 1)
        writer.disconnect()
        self.gone('x', 1)
        self.assertEqual(reader.write(0, b'x' * 512).error, 1)  # stays what it was told
        self.assertIsNone(self.holder())
        self.assert_writer(self.enter('x', C).flags)

    def test_readers_hold_nothing(self):
        self.serve_exclusive(readonly_for=[B])
        self.enter('x', B)
        self.assertIsNone(self.holder())
        writer = self.enter('x', A)
        self.assert_reader(self.enter('x', B).flags)
        self.assertEqual(self.holder(), A)
        self.assertEqual(writer.write(0, b'w' * 512).error, 0)

    def test_readonly_exports_have_no_writer(self):
        self.serve_exclusive(readonly=True)
        for source in (A, B, C):
            self.assert_reader(self.enter('x', source).flags)
        self.assertIsNone(self.holder())

    def test_snapshots_can_be_read(self):
        self.serve_exclusive()
        self.enter('x', A)
        self.w.ctl('snapshot', 'x')
        self.assert_reader(self.enter('x@snapshot', B).flags)
        self.refused_for(A, B)

    def test_tools_are_told(self):
        self.require('nbdcopy', root=True)
        self.serve_exclusive()
        self.enter('x', A)
        p = self.run_cmd('nbdcopy', '--', 'null:', f'nbd://127.0.0.1:{self.w.port}/x', status=None)
        self.assertNotEqual(p.returncode, 0)
        out = self.run_cmd('nbdinfo', '--list', f'nbd://127.0.0.1:{self.w.port}')
        self.assertIn('is_read_only: true', out)

    def test_export_removed_and_added_again(self):
        """Its writer is still there."""
        self.serve_exclusive()
        self.enter('plain', A)
        old = self.enter('x', A)
        self.w.ctl('--remove-by-exportname', 'x')
        self.assertEqual([c['export'] for c in self.clients('x')], ['x'])
        self.assertTrue(old.in_sync())


class OtherWrapper(ExclusiveCase):
    """The hold is that of the clients, so the next wrapper knows it."""

    def test_after_a_crash(self):
        self.serve_exclusive()
        writer = self.enter('x', A)
        [before] = self.clients('x')
        self.w.daemon.kill()
        self.w.daemon = self.start(self.w.daemon.argv, [('127.0.0.1', self.w.port)])
        self._ready(self.w)
        [after] = self.clients('x')
        self.assertEqual((after['id'], after['address'], after['holder']), (before['id'], A, True))
        self.assertLess(abs(after['holder_since'] - before['holder_since']), 3)
        self.refused_for(A, B)
        self.assertTrue(writer.in_sync())
        self.assertEqual(self.w.ctl('evict', 'x', '--peer', A),
                         f'1 client ended; {A} may not come back for 10 s\n')
        self.enter('x', B)


class AtOnce(ExclusiveCase):
    """Of those that come at the same time exactly one peer wins, whatever the server is at."""

    def rush(self, sources, each):
        won, lost, start = [], [], threading.Barrier(len(sources) * each)

        def come(source):
            client = rawnbd.Raw(self.connect(source))
            client.greet()
            start.wait()
            client.send(client.go_bytes('x'))
            try:
                client.take_infos()
                client.read(0, 512)
                won.append((source, client))
            except rawnbd.ProtocolError as e:
                lost.append((source, str(e)))
        xtest.in_threads(*[lambda s=s: come(s) for s in sources for _ in range(each)])
        return won, lost

    def test_rush(self):
        self.serve_exclusive()
        sources = [f'127.0.1.{i}' for i in range(1, 9)]
        for _ in range(4):  # the first time they wait for the server's start
            won, lost = self.rush(sources, 3)
            winners = {source for source, _ in won}
            self.assertEqual(len(winners), 1, winners)
            self.assertEqual((len(won), len(lost)), (3, 21), lost)
            self.assertTrue(all('exclusive' in text for _, text in lost), lost)
            self.assertEqual({self.holder()}, winners)
            for _, client in won:
                client.disconnect()
            self.gone('x')


class Limits(AccessCase):
    def test_of_an_export(self):
        self.serve_access(self.export_section('a', max_clients=2), self.export_section('b'))
        held = [self.enter('a', A), self.enter('a', B)]
        self.assertEqual(self.refused('a', C),
                         (REP_ERR_POLICY,
                          '2 clients of this export are connected, that is the limit'))
        self.assert_writer(self.info('a', C))
        self.enter('b', C)
        held[0].disconnect()
        self.gone('a', 1)
        self.enter('a', C)

    def test_far_limit(self):
        """The negotiator answers by itself until the limit is near."""
        self.serve_access(self.export_section('a', max_clients=70))
        held = [self.enter('a', A) for _ in range(70)]
        self.assertEqual(self.refused('a', A)[0], REP_ERR_POLICY)
        for client in held:
            client.disconnect()
        self.gone('a')
        self.enter('a', A)


class Clients(ExclusiveCase):
    """What `clients` shows."""

    def test_json(self):
        self.serve_exclusive(OTHERS_READ)
        before = int(time.time())
        self.assertEqual(self.clients(), [])
        self.enter('x', A, mode='extended')
        self.enter('plain', '::1', mode='simple')
        self.enter('x', B)
        x, plain, reader = self.clients()
        self.assertEqual((x['id'], x['export'], x['address'], x['readonly'], x['holder']),
                         (1, 'x', A, False, True))
        self.assertTrue(x['peer'].startswith(A + ':'))
        self.assertIn('extended', x['features'])
        for when in (x['since'], x['holder_since']):
            self.assertLessEqual(before - 1, when)
            self.assertLessEqual(when, time.time() + 1)
        self.assertLessEqual(x['seconds'], 5)
        self.assertEqual((plain['export'], plain['address'], plain['features'], plain['holder']),
                         ('plain', '::1', 'simple', False))
        self.assertEqual((reader['id'], reader['readonly'], reader['holder']), (3, True, False))
        self.assertNotIn('holder_since', reader)
        self.assertEqual([c['id'] for c in self.clients('x')], [1, 3])
        self.assertEqual([c['id'] for c in self.clients('plain')], [2])

    def test_since_the_first_connection(self):
        self.serve_exclusive()
        first = self.enter('x', A)
        [c] = self.clients('x')
        time.sleep(1.1)
        self.enter('x', A)
        first.disconnect()
        self.gone('x', 1)
        [later] = self.clients('x')
        self.assertLess(abs(later['holder_since'] - c['holder_since']), 2)
        self.assertGreaterEqual(later['since'], c['since'])

    def test_table(self):
        self.serve_exclusive()
        self.assertEqual(self.w.ctl('clients'), 'no item\n')
        self.enter('x', A)
        self.enter('plain', B)
        head, x, plain = self.w.ctl('--clients').splitlines()
        self.assertEqual(head.split(), ['ID', 'EXPORT', 'PEER', 'SINCE', 'FEATURES', 'ACCESS'])
        self.assertRegex(x, rf'^1   x       127\.0\.0\.2:\d+ +{WHEN}  structured,base:allocation  '
                            rf'exclusive since {WHEN}$')
        self.assertRegex(plain, rf'^2   plain   127\.0\.0\.3:\d+ +{WHEN}  .*  write$')
        self.assertEqual(x.index('127.'), plain.index('127.'))
        self.assertEqual(head.index('ACCESS'), plain.index('write'))

    def test_snapshots_have_clients(self):
        self.serve_exclusive()
        self.enter('x', A)
        self.w.ctl('snapshot', 'x')
        self.enter('x@snapshot', B)
        [c] = self.clients('x@snapshot')
        self.assertRegex(c['export'], r'^x@\d+$')
        self.assertEqual((c['readonly'], c['holder'], c['address']), (True, False, B))
        [again] = self.clients(c['export'])
        self.assertIn(again.pop('since') - c.pop('since'), (-1, 0, 1))
        self.assertLess(again.pop('seconds') - c.pop('seconds'), 3)
        self.assertEqual(again, c)
        self.assertEqual(len(self.clients('x')), 1)
        self.assertEqual(len(self.clients()), 2)

    def test_unknown_name(self):
        self.serve_exclusive()
        self.assertIn('no such export', self.w.refused('clients', 'nothing'))


class Evict(ExclusiveCase):
    def evict(self, *args):
        return json.loads(self.w.ctl('evict', *args, '--json'))

    def assert_ended(self, client):
        client.expect_end()
        client.close()

    def test_all_of_an_export(self):
        self.serve_exclusive()
        clients = [self.enter('plain', source) for source in (A, B, C)]
        other = self.enter('x', A)
        self.assertEqual(self.w.ctl('evict', 'plain'), '3 clients ended\n')
        for client in clients:
            self.assert_ended(client)
        self.assertEqual(self.w.client_count('plain'), 0)  # with the answer, not later
        self.assertTrue(other.in_sync())
        self.enter('plain', A)  # at once
        self.assertIn('evicted', self.w.log())

    def test_by_number(self):
        self.serve_exclusive()
        first, second = self.enter('plain', A), self.enter('plain', A)
        self.assertEqual(self.evict('plain', '--client', '1')['ended'], 1)
        self.assert_ended(first)
        self.assertTrue(second.in_sync())
        self.assertEqual(self.w.refused('evict', 'plain', '--client', '1'),
                         "xnbd-wrapper-ctl: error: no client of 'plain' has the number 1\n")
        self.assertIn('number 2', self.w.refused('evict', 'x', '--client', '2'))

    def test_by_peer(self):
        self.serve_exclusive()
        clients = {source: self.enter('plain', source) for source in (A, B, C, '::1', 'unix')}
        [one] = [c['peer'] for c in self.clients() if c['address'] == C]
        for peer, source in ((A, A), (one, C), ('127.0.0.3/32', B), ('uid:0', 'unix'),
                             ('::/0', '::1')):
            self.assertEqual(self.evict('plain', '--peer', peer)['ended'], 1, peer)
            self.assert_ended(clients.pop(source))
            self.assertTrue(all(c.in_sync() for c in clients.values()))
        self.assertEqual(self.evict('plain', '--peer', A), {'ended': 0, 'left': 0,
                                                            'text': '0 clients ended'})

    def test_nobody(self):
        self.serve_exclusive()
        self.assertEqual(self.w.ctl('evict', 'x'), '0 clients ended\n')
        self.assertIn('no such export', self.w.refused('evict', 'nothing'))
        self.assertIn('arguments', self.w.refused('evict', status=2))
        self.assertIn('--evict', self.w.refused('clients', '--client', '1', status=2))

    def test_holder(self):
        """It is free at once, and the one that was evicted is kept out for a while."""
        self.serve_exclusive()
        held = self.enter('x', A)
        self.refused_for(A, B)
        self.assertEqual(self.w.ctl('evict', 'x'),
                         f'1 client ended; {A} may not come back for 10 s\n')
        began = time.monotonic()
        self.assert_ended(held)
        self.assertRegex(self.refused('x', A)[1],
                         r'^this peer was evicted, and may come back in (10|9) s$')
        other = self.enter('x', B)
        self.refused_for(B, C)
        other.disconnect()
        self.gone('x')
        xtest.wait_for(lambda: 'x' if not self.is_refused(A) else None, 'may come back', 15)
        self.assertGreater(time.monotonic() - began, 8)
        self.enter('x', A)

    def is_refused(self, source):
        client = self.raw(source)
        kind = client.option(rawnbd.OPT_GO, client.name_field('x') + b'\0\0')[-1][0]
        client.close()
        return kind != rawnbd.REP_ACK

    def test_one_connection_of_the_holder_is_all(self):
        self.serve_exclusive(OTHERS_READ)
        held = [self.enter('x', A) for _ in range(3)]
        reader = self.enter('x', B)
        self.assertEqual(self.evict('x', '--client', '2')['ended'], 3)
        for client in held:
            self.assert_ended(client)
        self.assertTrue(reader.in_sync())
        self.assertIn('was evicted', self.refused('x', A)[1])
        self.assert_writer(self.enter('x', B).flags)

    def test_reader_of_an_exclusive_export(self):
        self.serve_exclusive(OTHERS_READ)
        held, reader = self.enter('x', A), self.enter('x', B)
        self.assertNotIn('come back', self.evict('x', '--peer', B)['text'])
        self.assert_ended(reader)
        self.assertTrue(held.in_sync())
        self.enter('x', B)

    def test_snapshot(self):
        self.serve_exclusive()
        held = self.enter('x', A)
        self.w.ctl('snapshot', 'x')
        reader = self.enter('x@snapshot', B)
        self.assertEqual(self.evict('x@snapshot')['ended'], 1)
        self.assert_ended(reader)
        self.assertTrue(held.in_sync())

    def test_one_that_takes_no_replies(self):
        """It would be waited for, or cut with --force."""
        self.serve_exclusive()
        client = self.enter('plain', A)
        for _ in range(200):
            client.request(rawnbd.READ, 0, 1 << 20)
        time.sleep(0.3)
        began = time.monotonic()
        self.assertEqual(self.evict('plain', '--force')['ended'], 1)
        self.assertLess(time.monotonic() - began, 3)

    def test_asked_for_twice_and_gone_while_it_waits(self):
        self.serve_exclusive()
        client = self.enter('plain', A)
        for _ in range(200):
            client.request(rawnbd.READ, 0, 1 << 20)
        time.sleep(0.3)
        control = xtest.connect(self.w.control)
        control.sendall(b'{"v":1,"cmd":"evict","name":"plain"}\n')
        time.sleep(0.1)
        control.close()
        self.assertEqual(self.evict('plain')['ended'], 1)  # cut when it takes nothing for 5 s
        self.assertEqual(self.clients(), [])

    def test_bad_requests(self):
        self.serve_exclusive()
        with xtest.connect(self.w.control) as s:
            f = s.makefile('rb')
            for request in ({}, {'name': 7}, {'name': 'x', 'client': 'a'}, {'name': 'x', 'peer': 7},
                            {'name': 'x', 'client': 0}, {'name': 'x', 'client': -1}):
                s.sendall(json.dumps({'v': 1, 'cmd': 'evict', **request}).encode() + b'\n')
                self.assertFalse(json.loads(f.readline())['ok'], request)
            s.sendall(b'{"v":1,"cmd":"evict","name":"x"}\n' * 3 + b'{"v":1,"cmd":"clients"}\n')
            self.assertTrue(all(json.loads(f.readline())['ok'] for _ in range(4)))
            f.close()


class UnderLoad(WritingCase):
    """Ended between requests: nothing acknowledged is lost, nothing that was sent is torn."""

    def test_writer(self):
        image = self.image(16 << 16, 'd.img')
        w = self.wrap(exports={'d': image})
        for _ in range(5):
            writer = self.writer(w, 'd')
            self.assertEqual(json.loads(w.ctl('evict', 'd', '--json'))['ended'], 1)
            writer.join(10)
            self.assertFalse(writer.is_alive())
            self.assertIsInstance(writer.error, (rawnbd.Closed, OSError), writer.error)
            writer.check_file(self, image)


if __name__ == '__main__':
    xtest.main()
