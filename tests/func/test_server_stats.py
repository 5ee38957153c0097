# SPDX-License-Identifier: GPL-2.0-or-later
"""What a server says of its clients: counts after a known load, exact; times that fit what the disk
was made to do; who is connected. And the level of its log.
"""

import contextlib
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import cow  # noqa: E402
import faulty  # noqa: E402
import rawnbd as n  # noqa: E402
import snapshot_fixture  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

SIZE = 8 * MIB
TYPES = ('READ', 'WRITE', 'FLUSH', 'TRIM', 'CACHE', 'WRITE_ZEROES', 'BLOCK_STATUS')
KINDS = ('read', 'write', 'other')
HELD = 0.4  # s that a disk is silent


class Asking:
    """For tests whose server has its control socket at self.control."""

    def ask(self, cmd, **more):
        ctl = snapshot_fixture.Control(self.control)
        try:
            answer = ctl.call(cmd, **more)
        finally:
            ctl.close()
        self.assertTrue(answer['ok'], answer)
        self.assertEqual(answer['v'], 1)
        return answer

    def stats(self):
        answer = self.ask('stats')
        for counts in (answer['total'], *answer['clients']):
            self.check_sense(counts)
        self.check_histogram(answer['total'])
        return answer

    def only(self):
        """Counts of the only client there is."""
        client, = self.stats()['clients']
        return client

    def check_sense(self, counts):
        """What holds of any load."""
        self.assertEqual(set(counts['requests']), set(TYPES))
        self.assertEqual(sum(counts['errors_by'].values()), counts['errors'])
        self.assertLessEqual(counts['in_flight'], 10000)
        self.assertEqual(tuple(counts['latency']), KINDS)
        for t in counts['latency'].values():
            self.assertEqual(set(t), {'count', 'p50', 'p99', 'p999', 'max'})
            self.assertEqual(t['count'] > 0, t['max'] > 0)
            self.assertLessEqual([0, t['p50'], t['p99'], t['p999'], t['max']],
                                 sorted([0, t['p50'], t['p99'], t['p999'], t['max']]))

    def check_histogram(self, total):
        """The same numbers as `latency`."""
        self.assertEqual(tuple(total['histogram']), KINDS)
        for kind, steps in total['histogram'].items():
            t = total['latency'][kind]
            self.assertEqual(sorted(steps), steps)
            self.assertTrue(all(count > 0 for _, count in steps), steps)
            self.assertEqual(sum(count for _, count in steps), t['count'])
            if steps:
                self.assertLessEqual(t['max'], steps[-1][0])
                self.assertGreaterEqual(t['max'] * 8, (steps[-1][0] - 1) * 7)
                self.assertEqual(t['p50'], min(self.median(steps), t['max']))

    @staticmethod
    def median(steps):
        left = (sum(count for _, count in steps) + 1) // 2
        for upper, count in steps:
            left -= count
            if left <= 0:
                return upper
        raise AssertionError(steps)

    def same(self, counts, requests, read=0, written=0, errors=None):
        """Nothing was done but this, and all of it is answered."""
        self.assertEqual(counts['requests'], {**dict.fromkeys(TYPES, 0), **requests})
        self.assertEqual((counts['bytes_read'], counts['bytes_written']), (read, written))
        self.assertEqual(counts['errors_by'], errors or {})
        self.assertEqual(counts['in_flight'], 0)
        times = [t['count'] for t in counts['latency'].values()]
        other = sum(requests.values()) - requests.get('READ', 0) - requests.get('WRITE', 0)
        self.assertEqual(times, [requests.get('READ', 0), requests.get('WRITE', 0), other])


class Served(Asking, snapshot_fixture.SnapshotCase):

    options = ()

    def setUp(self):
        super().setUp()
        self.began = int(time.time())
        self.target(self.image(SIZE, pattern=1), *self.options)

    def work(self, c, count=1):
        """A load of all types, `count` times; work_counts() says what that makes."""
        for _ in range(count):
            c.read(0, 4 * KIB)
            c.read(123, 1000)
            c.read(MIB, 256 * KIB)
            replies = [c.write(5 * MIB, bytes(3000)), c.write(5 * MIB, bytes(MIB), flags=n.FUA),
                       c.call(n.FLUSH), c.call(n.TRIM, 6 * MIB, 64 * KIB),
                       c.call(n.WRITE_ZEROES, 7 * MIB, 100 * KIB), c.call(n.CACHE, 0, MIB),
                       c.call(n.CACHE, MIB, MIB), c.call(n.BLOCK_STATUS, 0, SIZE)]
            self.assertEqual([r.error for r in replies], [0] * len(replies))

    @staticmethod
    def work_counts(count=1):
        return {'requests': {'READ': 3 * count, 'WRITE': 2 * count, 'FLUSH': count, 'TRIM': count,
                             'WRITE_ZEROES': count, 'CACHE': 2 * count, 'BLOCK_STATUS': count},
                'read': (4 * KIB + 1000 + 256 * KIB) * count, 'written': (3000 + MIB) * count}


class Counts(Served):

    def test_before_anything(self):
        answer = self.stats()
        self.assertEqual(answer['clients'], [])
        self.assertLessEqual(abs(answer['since'] - self.began), 30)
        self.same(answer['total'], {})
        self.assertEqual(answer['total']['histogram'], {kind: [] for kind in KINDS})

    def test_one_client(self):
        for i, mode in enumerate(('structured', 'extended')):
            c = self.client(mode=mode)
            self.work(c, 3)
            answer = self.stats()
            self.same(answer['clients'][0], **self.work_counts(3))
            self.same(answer['total'], **self.work_counts(3 * (i + 1)))
            self.assertEqual(answer['clients'][0]['in_flight_max'], 1)
            brief = self.ask('stats', clients=False)
            self.assertEqual((brief['clients'], brief['total']), ([], answer['total']))
            c.disconnect()
            xtest.wait_for(lambda: not self.ask('clients')['clients'], 'the end of the client')

    def test_errors(self):
        c = self.client()
        self.assertNotEqual(c.call(n.READ, SIZE, 512).error, 0)
        self.assertNotEqual(c.write(SIZE - 100, bytes(512)).error, 0)
        self.assertNotEqual(c.call(n.READ, 0, 512, flags=n.REQ_ONE).error, 0)
        self.assertNotEqual(c.call(77).error, 0)  # counted as an error alone: it has no name
        counts = self.only()
        self.assertEqual(counts['requests'], {**dict.fromkeys(TYPES, 0), 'READ': 2, 'WRITE': 1})
        self.assertEqual(counts['errors_by'], {'EINVAL': 3, 'ENOSPC': 1})
        self.assertEqual((counts['bytes_read'], counts['bytes_written']), (0, 0))
        self.assertEqual([t['count'] for t in counts['latency'].values()], [2, 1, 1])

    def test_batches(self):
        """Many in one send: all are in flight at once."""
        c = self.client()
        for _ in range(10):
            c.send(b''.join(c.request_bytes(n.READ, i * 4 * KIB, 4 * KIB) for i in range(64)))
            c.replies(64)
        counts = self.only()
        self.same(counts, {'READ': 640}, read=640 * 4 * KIB)
        self.assertGreater(counts['in_flight_max'], 1)
        self.assertLessEqual(counts['in_flight_max'], 64)

    def test_several_clients(self):
        """Each its own, at the same time; the total has those too that have left."""
        clients = [self.client() for _ in range(5)]
        xtest.in_threads(*[lambda i=i, c=c: self.work(c, i + 1) for i, c in enumerate(clients)])
        answer = self.stats()
        for i, counts in enumerate(answer['clients']):
            self.same(counts, **self.work_counts(i + 1))
        self.same(answer['total'], **self.work_counts(15))
        clients[4].disconnect()
        clients[0].close()  # just so
        xtest.wait_for(lambda: len(self.ask('clients')['clients']) == 3, 'two less')
        later = self.stats()
        self.assertEqual(later['clients'], answer['clients'][1:4])
        self.assertEqual(later['total'], answer['total'])
        self.assertEqual(later['since'], answer['since'])

    def test_status_is_the_same(self):
        c = self.client()
        self.work(c, 2)
        self.assertNotEqual(c.call(n.READ, SIZE, 1).error, 0)
        status, total = self.ask('status'), self.stats()['total']
        for key in ('requests', 'bytes_read', 'bytes_written', 'errors'):
            self.assertEqual(status[key], total[key])

    def test_tools(self):
        self.require('nbdcopy', 'qemu-img')
        self.run_cmd('nbdcopy', '--connections=4', self.server.uri, self.path('copy'))
        self.run_cmd('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', self.path('copy'),
                     self.server.uri)
        total = self.stats()['total']
        self.assertEqual((total['bytes_read'], total['bytes_written'], total['errors']),
                         (SIZE, SIZE, 0))
        self.assertEqual(total['latency']['read']['count'], total['requests']['READ'])
        self.assertGreater(total['in_flight_max'], 1)


class CountsByThreads(Counts):
    options = ('--engine=threads', '--threads=3')


class Clients(Served):

    def test_who(self):
        modes = ('simple', 'structured', 'extended')
        connections = [self.client(mode=m) for m in modes]
        clients = self.ask('clients')['clients']
        self.assertEqual([c['features'] for c in clients],
                         ['simple', 'structured,base:allocation',
                          'structured,extended,base:allocation'])
        for c in clients:
            self.assertEqual(set(c), {'id', 'peer', 'since', 'features', 'readonly', 'in_flight'})
            self.assertEqual(c['peer'], f'unix:uid={os.geteuid()},pid={os.getpid()}')
            self.assertLessEqual(abs(c['since'] - self.began), 30)
            self.assertIs(c['readonly'], False)
            self.assertEqual(c['in_flight'], 0)
        self.assertEqual(len({c['id'] for c in clients}), 3)
        connections[1].disconnect()
        left = [c['id'] for c in (clients[0], clients[2])]
        xtest.wait_for(lambda: [c['id'] for c in self.ask('clients')['clients']] == left, 'two')
        self.client()
        ids = [c['id'] for c in self.ask('clients')['clients']]
        self.assertEqual(ids[:2], left)
        self.assertNotIn(ids[2], {c['id'] for c in clients})  # numbers are not used again

    def test_stats_tell_the_same(self):
        self.client()
        short, full = self.ask('clients')['clients'][0], self.only()
        self.assertEqual({key: full[key] for key in short}, short)

    def test_of_snapshot(self):
        live = self.client()
        number = self.snapshot()['id']
        self.wait_state(number)
        old = self.client(name=f'@{number}')
        live.read(0, 512)
        old.read(0, 1024)
        self.assertEqual(old.call(n.WRITE, 0, 512, payload=bytes(512)).error, 1)
        answer = self.stats()
        self.assertNotIn('snapshot', answer['clients'][0])
        self.assertEqual([answer['clients'][1][key] for key in ('snapshot', 'readonly')],
                         [number, True])
        self.same(answer['clients'][1], {'READ': 1, 'WRITE': 1}, read=1024, errors={'EPERM': 1})
        self.same(answer['total'], {'READ': 2, 'WRITE': 1}, read=1536, errors={'EPERM': 1})

    def test_readonly(self):
        self.target(self.img, '--readonly')
        self.client()
        self.assertIs(self.only()['readonly'], True)

    def test_answers_keep_their_order(self):
        self.client()
        ctl = self.connect()
        for cmd in ('stats', 'clients', 'status', 'stats', 'nonsense'):
            ctl.send(cmd)
        answers = [ctl.answer() for _ in range(5)]
        self.assertEqual([a['ok'] for a in answers], [True, True, True, True, False])
        self.assertIn('total', answers[0])
        self.assertEqual(set(answers[1]), {'v', 'ok', 'clients'})
        self.assertEqual(answers[2]['clients'], 1)
        self.assertIn('total', answers[3])

    def test_connection_that_leaves_before_its_answer(self):
        for _ in range(20):
            ctl = self.connect()
            ctl.send('stats')
            ctl.send('clients')
            ctl.close()
        self.stats()


class Crowd(Served):
    """More than are told of in one turn."""
    COUNT = 300

    def crowd(self, count=COUNT):
        return [self.client(mode='simple') for _ in range(count)]

    def test_all_are_told_of(self):
        connections = self.crowd()
        for i, c in enumerate(connections):
            c.read(0, 512 * (i + 1))
        answer = self.stats()
        self.assertEqual([c['bytes_read'] for c in answer['clients']],
                         [512 * (i + 1) for i in range(self.COUNT)])
        self.assertEqual(answer['total']['bytes_read'],
                         sum(c['bytes_read'] for c in answer['clients']))
        self.assertEqual([c['id'] for c in self.ask('clients')['clients']],
                         [c['id'] for c in answer['clients']])

    def test_sum_while_they_leave(self):
        """Whoever leaves while the answer is written is in its sum all the same, and once."""
        for i in range(1, 11):
            connections = self.crowd()
            for c in connections:
                c.read(0, 512)
            self.ctl.send('stats')
            for c in reversed(connections):
                c.close()
            answer = self.ctl.answer()
            self.same(answer['total'], {'READ': i * self.COUNT}, read=i * self.COUNT * 512)

    def test_while_they_come_and_go(self):
        """Whoever is there all the time is told of once, in every answer; nothing that was done is
        missing in the sum or counted twice, whoever leaves just then."""
        stay, asked, begun, ended = [], [], [], []
        for c in self.crowd(100):
            stay.append(c)
            self.client(mode='simple').close()
        ids = [c['id'] for c in self.ask('clients')['clients']]
        done = threading.Event()

        def come_and_go():
            while not done.is_set():
                c = n.Raw(self.server.socket).enter('simple')
                begun.append(c)
                c.read(0, 512)
                ended.append(c)
                c.close()

        def ask():
            with contextlib.ExitStack() as stack:
                stack.callback(done.set)
                for _ in range(30):
                    at_least = len(ended)
                    answer = self.stats()
                    self.assertLessEqual(at_least * 512, answer['total']['bytes_read'])
                    self.assertLessEqual(answer['total']['bytes_read'], len(begun) * 512)
                    asked.append([c['id'] for c in answer['clients']])
        xtest.in_threads(come_and_go, come_and_go, ask)
        xtest.wait_for(lambda: len(self.ask('clients')['clients']) == 100, 'the others are gone')
        self.assertEqual(self.stats()['total']['bytes_read'], len(ended) * 512)
        left = [c['id'] for c in self.ask('clients')['clients']]
        self.assertLessEqual(set(left), set(ids))
        for seen in asked:
            self.assertEqual([i for i in seen if i in left], left)
            self.assertEqual(len(set(seen)), len(seen))


class Copied(Asking, cow.Case):
    """Clients with a storage of their own."""

    def test_counts(self):
        self.control = self.path('control')
        self.server = self.serve(self.base(), f'--control={self.control}')
        a, b = self.client(), self.client()
        self.ok(a.write(1000, b'x' * 5000))
        self.assertEqual(a.read(1000, 5000), b'x' * 5000)
        b.read(0, 100)
        xtest.wait_for(lambda: len(self.ask('clients')['clients']) == 2, 'the one that greeted')
        answer = self.stats()
        self.same(answer['clients'][0], {'READ': 1, 'WRITE': 1}, 5000, 5000)
        self.same(answer['clients'][1], {'READ': 1}, 100)
        a.disconnect()
        xtest.wait_for(lambda: len(self.ask('clients')['clients']) == 1, 'the end of one')
        self.same(self.stats()['total'], {'READ': 2, 'WRITE': 1}, 5100, 5000)
        self.finish(b)


class Times(Asking, faulty.Case):
    """A disk that is silent for a while; everything else is in memory."""

    options = ()

    def setUp(self):
        super().setUp()
        self.control = self.path('control')
        self.serve_disk('file', 2 * SIZE, '--threads=1', f'--control={self.control}',
                        *self.options)
        self.c = self.client()
        self.warm(0, MIB)
        self.c.read(0, 4 * KIB)

    def hot(self, count):
        for _ in range(count):
            self.c.read(0, 4 * KIB)

    def held(self, kind, count, ask, wait=True):
        """ask() sends COUNT requests that hang for HELD seconds; counts while they do."""
        with self.disk.holding(kind):
            ask()
            self.disk.wait_held()
            xtest.wait_for(lambda: self.only()['in_flight'] == count, f'{count} in flight')
            meanwhile = self.only()
            time.sleep(HELD)
        self.c.replies(count)
        return meanwhile

    def test_reads(self):
        self.hot(98)
        before = self.only()['latency']['read']
        self.assertEqual(before['count'], 99)
        self.held('read', 1, lambda: self.c.request(n.READ, SIZE, 4 * KIB))
        after = self.only()
        t = after['latency']['read']
        self.assertEqual(t['count'], 100)
        self.assertEqual(t['p50'], before['p50'])
        self.assertGreaterEqual(t['p999'], HELD * 1e6)
        self.assertGreaterEqual(t['max'], HELD * 1e6)
        self.assertLess(t['max'], 60e6)
        self.assertLess(t['p50'], HELD * 1e6 / 10)
        self.assertEqual(after['in_flight_max'], 1)

    def test_many_reads(self):
        """Half of all requests: the median is on the other side then."""
        places = [SIZE + i * MIB for i in range(6)]

        def ask():
            self.c.send(b''.join(self.c.request_bytes(n.READ, at, 4 * KIB) for at in places))
        meanwhile = self.held('read', 6, ask)
        self.assertEqual(meanwhile['latency']['read']['count'], 1)
        self.assertEqual(meanwhile['requests']['READ'], 7)
        self.assertEqual(meanwhile['bytes_read'], 4 * KIB)
        after = self.stats()
        for counts in (after['total'], *after['clients']):
            t = counts['latency']['read']
            self.assertEqual(t['count'], 7)
            self.assertGreaterEqual(t['p50'], HELD * 1e6)
            self.assertEqual((counts['in_flight'], counts['in_flight_max']), (0, 6))
        self.assertEqual(after['total']['latency']['read']['max'], t['max'])

    def test_flush(self):
        self.held('sync', 1, lambda: self.c.request(n.FLUSH))
        times = self.only()['latency']
        self.assertGreaterEqual(times['other']['p50'], HELD * 1e6)
        self.assertLess(times['read']['max'], HELD * 1e6)
        self.assertEqual(times['write']['count'], 0)

    def test_client_that_takes_nothing(self):
        """Its replies are ready all the same."""
        count = 64
        self.warm(0, MIB)
        for _ in range(count):
            self.c.request(n.READ, 0, 256 * KIB)
        xtest.wait_for(lambda: self.only()['latency']['read']['count'] == count + 1, 'the replies')
        stuck = self.only()
        self.assertGreater(stuck['in_flight'], 0)
        time.sleep(HELD)
        self.c.replies(count)
        after = self.only()
        self.assertEqual(after['latency']['read'], stuck['latency']['read'])
        self.assertEqual(after['in_flight'], 0)
        self.assertEqual(after['bytes_read'], 4 * KIB + count * 256 * KIB)

    def test_slow_payload(self):
        """A write begins when its data is here."""
        data = bytes(64 * KIB)
        message = self.c.write_bytes(0, data)
        self.c.send(message[:1000])
        xtest.wait_for(lambda: self.only()['in_flight'] == 1, 'the write')
        self.assertEqual(self.only()['requests']['WRITE'], 0)
        time.sleep(HELD)
        self.c.send(message[1000:])
        self.assertEqual(self.c.reply().error, 0)
        t = self.only()['latency']['write']
        self.assertEqual(t['count'], 1)
        self.assertLess(t['max'], HELD * 1e6)


class TimesByThreads(Times):
    options = ('--engine=threads',)


class Levels(Served):

    def lines(self, level):
        return self.server.stderr().count(f'xnbd-server: {level}: ')

    def come_and_go(self):
        """Makes a line of level debug and one of level warning."""
        c = n.Raw(self.server.socket).enter('simple')
        c.request(n.READ, 0, 512, magic=1)
        with self.assertRaises(n.Closed):
            c.reply()
        c.close()
        xtest.wait_for(lambda: not self.ask('clients')['clients'], 'the end of the client')

    def changed(self, level, change, *seen):
        before = [self.lines(name) for name in ('warning', 'debug')]
        if change:
            self.assertEqual(self.ask('log-level', level=level)['level'], level)
        self.come_and_go()
        self.assertEqual(self.ask('log-level')['level'], level)
        after = [self.lines(name) for name in ('warning', 'debug')]
        self.assertEqual([a > b for a, b in zip(after, before)], list(seen), self.server.stderr())

    def test_command(self):
        self.changed('info', False, True, False)
        self.changed('debug', True, True, True)
        self.changed('warn', True, True, False)
        self.changed('error', True, False, False)

    def test_option(self):
        self.target(self.img, '--log-level=debug')
        self.changed('debug', False, True, True)
        self.target(self.img, '--log-level', 'error')
        self.changed('error', False, False, False)

    def test_wrong(self):
        for level in ('loud', '', 'ERROR', 3, None, ['info']):
            self.refused('must be error, warn, info or debug', 'log-level', level=level)
        self.assertEqual(self.ask('log-level')['level'], 'info')
        p = self.run_cmd(*self.serve_args(self.img, '--log-level=loud'), status=None)
        self.assertEqual(p.returncode, 2)
        self.assertIn('--log-level loud: must be error, warn, info or debug', p.stderr)
        self.assertEqual(len(p.stderr.splitlines()), 1)


if __name__ == '__main__':
    xtest.main()
