#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers of a wrapper before: proxies and what they are at, and what the configuration says by now
of who may use them, and how much."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_access import A, B, AccessCase  # noqa: E402
from wrapper_fake import RealProxyCase  # noqa: E402
from wrapper_fixture import MIB, REP_ERR_POLICY  # noqa: E402
from wrapper_successor import SuccessorCase  # noqa: E402


class Proxies(SuccessorCase, RealProxyCase):
    def setUp(self):
        super().setUp()
        self.caches = 0
        self.source = self.image(8 * MIB, 'origin.img', 5)
        self.origin = self.serve_origin(self.source, '--readonly')

    def query(self, w):
        return json.loads(w.ctl('query', 'p', '--json'))

    def copied(self, w):
        xtest.wait_for(lambda: self.query(w)['cached'] == self.query(w)['blocks'], 'copied', 30)

    def configured(self):
        return self.wrap(exports={'p': {'mode': 'proxy', 'origin': self.origin.uri,
                                        'cache': self.cache}})

    def added(self):
        w = self.wrap()
        w.ctl('--add-proxy', 'p', self.origin.uri, self.cache, self.cache + '.bm',
              self.cache + '.ctl')
        return w

    def test_copy_goes_on(self):
        """That of the configuration is not in the state file, but its server knows of it."""
        for wrap in (self.added, self.configured):
            w = wrap()
            client = w.enter('p')
            client.write(0, b'w' * 4096)
            w.ctl('cache-all', 'p', '--rate', '2M')
            worker = w.worker('p')
            self.survive(w)
            self.assertEqual((w.export('p')['copy'], w.worker('p')), ('running', worker))
            self.assertEqual(self.query(w)['copy']['rate_limit'], 2 * MIB)
            self.kill_worker(w, worker)
            xtest.wait_for(lambda: w.worker('p') not in (None, worker), 'is taken up', 10)
            self.assertEqual(self.query(w)['copy']['rate_limit'], 2 * MIB)
            w.ctl('cache-all', 'p')
            self.copied(w)
            xtest.wait_for(lambda: w.export('p')['copy'] == 'none', 'done')
            w.stop()
            self.caches += 1

    @property
    def cache(self):
        return self.path(f'c{self.caches}')

    def test_paused_copy(self):
        w = self.configured()
        client = w.enter('p')
        w.ctl('cache-all', 'p', '--rate', '1M')
        w.ctl('pause', 'p')
        self.survive(w)
        self.assertEqual(w.export('p')['copy'], 'paused')
        w.ctl('resume', 'p')
        xtest.wait_for(lambda: self.query(w)['copy']['state'] == 'running', 'goes on')
        self.assertTrue(client.in_sync())

    def test_completed_meanwhile(self):
        w = self.added()
        client = w.enter('p')
        w.ctl('cache-all', 'p', '--rate', '12M')
        self.crash(w)
        time.sleep(1)
        self.succeed(w)
        self.copied(w)
        w.ctl('--bgctl-switch', 'p')
        self.origin.stop()
        with open(self.source, 'rb') as f:
            self.assertEqual(client.read(0, 8 * MIB), f.read())

    def test_switched(self):
        """By the configuration it is a proxy still."""
        w = self.configured()
        client = w.enter('p')
        w.ctl('cache-all', 'p')
        self.copied(w)
        w.ctl('--bgctl-switch', 'p')
        self.survive(w)
        self.assertEqual(w.export('p')['mode'], 'target')
        self.assertTrue(client.in_sync() and w.enter('p').in_sync())

    def test_migration(self):
        w = self.wrap()
        w.ctl('migrate-in', 'p', self.origin.uri, '--cache', self.cache, '--rate', '3M')
        client = w.enter('p')
        for _ in range(3):
            time.sleep(0.5)
            self.survive(w)
        xtest.wait_for(lambda: 'done' in w.ctl('migrate-status', 'p'), 'done', 30)
        self.origin.stop()
        with open(self.source, 'rb') as f:
            self.assertEqual(client.read(0, 8 * MIB), f.read())


class Rules(AccessCase, SuccessorCase):
    """As they are in the configuration when the new wrapper starts."""

    def crash_and(self, *sections):
        self.crash(self.w)
        self.configure(*sections)
        self.succeed(self.w)

    def configure(self, *sections):
        path = self.w.argv[self.w.argv.index('--config') + 1]
        with open(path, 'w') as f:
            f.write(''.join(sections))

    def limits(self, name):
        status = self.ask_worker(self.w, name, cmd='status')
        return status['limit_requests'], status['limit_bandwidth']

    def test_limits_of_clients(self):
        exports = (self.export_section('a', max_clients=2), self.export_section('b'))
        self.serve_access(*exports)
        held = [self.enter('a', A), self.enter('a', B)]
        self.crash_and(*exports)
        self.assertEqual(self.refused('a')[0], REP_ERR_POLICY)
        held.pop().disconnect()
        self.gone('a', 1)
        self.assertTrue(self.enter('a').in_sync())

    def test_evict(self):
        exports = (self.export_section('a'), self.export_section('b'))
        self.serve_access(*exports)
        clients = {s: self.enter('a', s) for s in (A, B, '::1', 'unix')}
        self.crash_and(*exports)
        for peer, source in ((A, A), ('::/0', '::1'), (f'uid:{os.getuid()}', 'unix')):
            self.assertEqual(self.w.ctl('evict', 'a', '--peer', peer), '1 client ended\n')
            clients.pop(source).expect_end()
        self.assertTrue(clients[B].in_sync())

    def test_limits_of_requests(self):
        self.serve_access(self.export_section('a', limit_requests=1000))
        client = self.enter('a')
        self.crash_and(self.export_section('a', limit_requests=50, limit_bandwidth=1 << 20))
        xtest.wait_for(lambda: self.limits('a') == (50, MIB), 'are told')
        began = time.monotonic()
        for _ in range(3):
            client.read(0, MIB // 2)
        self.assertGreater(time.monotonic() - began, 0.4)

    def test_who_is_shut_out(self):
        self.serve_access(self.export_section('a'), self.export_section('b'))
        a, b, c = self.enter('a', A), self.enter('a', B), self.enter('b', B)
        self.crash_and(self.export_section('a', deny=[B]), self.export_section('b', readonly_for=[B]))
        for client in (b, c):
            client.expect_end()
        self.assertTrue(a.in_sync())
        self.assert_reader(self.enter('b', B).flags)

    def test_log_level(self):
        """One set by hand is forgotten with the wrapper that had it, in its servers too."""
        self.serve_access(self.export_section('a'))
        self.enter('a')
        self.w.ctl('log-level', 'debug')
        self.survive(self.w)
        self.assertEqual(self.w.status()['log_level'], 'info')
        answer = self.ask_worker(self.w, 'a', cmd='log-level')
        self.assertEqual(answer['level'], 'info')

    def test_exclusive_of_a_configuration_that_was_not(self):
        self.serve_access(self.export_section('a'))
        writer = self.enter('a', A)
        self.crash_and(self.export_section('a', exclusive='writer'))
        self.assertIn(f'exclusive: {A} writes to it', self.refused('a', B)[1])
        writer.disconnect()
        self.gone('a')
        self.assertTrue(self.enter('a', B).in_sync())


if __name__ == '__main__':
    xtest.main()
