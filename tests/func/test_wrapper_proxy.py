#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Proxies under a wrapper: the commands and what they change, first with servers that say what the
test wants (wrapper_fake.py), then with real ones between a wrapper and an origin."""

import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fake import URI, FakeCase, RealProxyCase, query  # noqa: E402
from wrapper_fixture import MIB, kill  # noqa: E402


class Entries(FakeCase):
    """The table and the state file."""

    def test_list_and_state_file(self):
        w = self.wrap_fake()
        w.ctl('--add-proxy', 'p', 'host', '8520', self.path('c'), self.path('b'), self.path('s'),
              '--target-exportname', 'x', '--description', 'd', '--readonly')
        paths = ', '.join(self.path(n) for n in 'cbs')
        self.assertEqual(w.ctl('--list'), f'1 : p  (host:8520:x, {paths})\n')
        e = w.export('p')
        self.assertEqual((e['mode'], e['origin'], e['image'], e['copy'], e['readonly']),
                         ('proxy', 'host:8520:x', self.path('c'), 'none', True))
        self.assertEqual(self.images(w), {'p': {
            'mode': 'proxy', 'image_path': self.path('c'), 'bitmap_path': self.path('b'),
            'control_socket_path': self.path('s'), 'remote_host': 'host', 'remote_port': '8520',
            'remote_export_name': 'x', 'description': 'd', 'readonly': True}})

    def test_by_uri_and_relative_paths(self):
        w = self.wrap_fake()
        w.ctl('add-proxy', 'p', URI, 'c', 'b', 's', cwd=self.dir)
        self.assertEqual(self.images(w)['p']['origin_uri'], URI)
        self.assertEqual(self.images(w)['p']['bitmap_path'], self.path('b'))
        w.stop()
        w = self.wrap_fake(state=w.state)
        self.assertEqual(w.export('p')['origin'], URI)

    def test_refused(self):
        w = self.wrap_fake()
        self.assertIn('nbd://', w.refused('--add-proxy', 'p', 'ftp://h', 'c', 'b', 's',
                                          status=2))
        self.assertIn('same file', w.refused('--add-proxy', 'p', URI, 'c', 'c', 's'))
        self.add_proxy(w)
        self.assertIn('already in use', w.refused('--add-proxy', 'p', URI, 'c', 'b', 's'))
        w.refused('--add-proxy', 'q', URI, 'c', 'b', status=2)
        for command in ('--bgctl-query', '--bgctl-switch', '--bgctl-pause', '--bgctl-cache-all'):
            self.assertIn('no such export', w.refused(command, 'nothing'))

    def test_configured(self):
        w = self.wrap_fake(exports={
            'p': {'mode': 'proxy', 'origin': URI, 'cache': self.path('c')},
            'q': {'mode': 'proxy', 'host': 'h', 'port': '1', 'cache': self.path('d'),
                  'bitmap': self.path('d.bm')}})
        self.assertEqual(w.export('p')['bitmap'], self.path('c.bitmap'))
        self.assertEqual(w.export('q')['origin'], 'h:1')
        w.ctl('query', 'q')
        [argv] = self.starts('d')
        self.assertEqual(argv[-6:-1], ['--', 'h', '1', self.path('d'), self.path('d.bm')])
        self.assertTrue(argv[-1].startswith(w.control + '.d/p'), argv)

    def test_bad_origin_in_the_configuration(self):
        line = self.fails_to_start(exports={
            'p': {'mode': 'proxy', 'origin': 'http://x', 'cache': '/c'}})
        self.assertIn("must be nbd://", line)


class Commands(FakeCase):
    """Each reaches the server, and its answer the caller."""

    def setUp(self):
        super().setUp()
        self.w = self.wrap_fake()
        self.add_proxy(self.w)

    def test_query_starts_the_server(self):
        self.say('c', query=query(cached=25))
        self.assertIsNone(self.w.worker('p'))
        self.assertIn('complete        25.0 %\n', self.w.ctl('--bgctl-query', 'p'))
        self.assertEqual(len(self.starts('c')), 1)
        answer = json.loads(self.w.ctl('query', 'p', '--json'))
        self.assertEqual((answer['cached'], answer['mode']), (25, 'proxy'))
        self.assertEqual(len(self.starts('c')), 1)

    def test_refusal_is_passed_on(self):
        self.say('c', refuse={'verify': 'not today'})
        self.assertIn('not today', self.w.refused('--bgctl-verify', 'p'))

    def test_server_that_does_not_start(self):
        self.say('c', start='error')
        self.assertIn('could not be started', self.w.refused('--bgctl-query', 'p'))
        kind, text = self.w.go_refused('p')
        self.assertIn('could not be started', text)

    def test_server_that_dies_under_a_command(self):
        self.say('c', die_on=['verify'])
        self.assertIn('ended before it answered', self.w.refused('--bgctl-verify', 'p'))

    def test_cache_all(self):
        self.assertIn('background', self.w.ctl('--bgctl-cache-all', 'p', '--rate', '3M'))
        [request] = self.asked('c', 'cache-all')
        self.assertEqual(request['rate'], 3 * MIB)
        self.assertEqual(self.images(self.w)['p']['copy'], {'state': 'running', 'rate': 3 * MIB})
        self.w.ctl('--bgctl-pause', 'p')
        self.assertEqual(self.images(self.w)['p']['copy']['state'], 'paused')
        self.w.ctl('resume', 'p')
        self.assertEqual(self.images(self.w)['p']['copy']['state'], 'running')
        self.assertEqual([x['cmd'] for x in self.asked('c')][-2:], ['cache-all', 'resume'])
        self.say('c', events=[{'event': 'copy', 'state': 'done'}])
        xtest.wait_for(lambda: 'copy' not in self.images(self.w)['p'], 'done is noted')

    def test_switch(self):
        self.say('c', refuse={'switch': {'error': '5 blocks are absent', 'incomplete': True,
                                         'absent': 5}})
        self.assertIn('5 blocks', self.w.refused('--bgctl-switch', 'p', status=3))
        self.assertEqual(self.w.export('p')['mode'], 'proxy')
        self.say('c', refuse={'switch': 'no'})
        self.assertIn('no', self.w.refused('--bgctl-switch', 'p'))
        self.say('c')
        index = self.w.export('p')['index']
        self.w.ctl('--bgctl-switch', 'p', '--force')
        self.assertTrue(self.asked('c', 'switch')[-1]['force'])
        e = self.w.export('p')
        self.assertEqual((e['mode'], e['index'], e['image']), ('target', index, self.path('c')))
        self.assertEqual(self.images(self.w),
                         {'p': {'mode': 'target', 'image_path': self.path('c')}})
        self.w.ctl('--bgctl-switch', 'p')  # is one: well
        self.w.ctl('--bgctl-cache-all', 'p')
        self.assertEqual(len(self.asked('c', 'switch')), 3)
        self.assertIn('no proxy', self.w.refused('--bgctl-reconnect', 'p', URI))

    def test_switched_by_somebody_else(self):
        self.say('c', events=[{'event': 'switched'}])
        self.w.ctl('query', 'p')
        xtest.wait_for(lambda: self.images(self.w)['p']['mode'] == 'target', 'is noted')

    def test_switched_before_we_came(self):
        """The wrapper before us ended between the switch and saving it."""
        self.say('c', state={'mode': 'target'})
        self.w.ctl('query', 'p')
        self.assertEqual(self.images(self.w)['p']['mode'], 'target')

    def test_reconnect(self):
        self.say('c', refuse={'reconnect': 'of another size'})
        self.assertIn('another size', self.w.refused('--bgctl-reconnect', 'p', 'h', '2'))
        self.assertEqual(self.images(self.w)['p']['origin_uri'], URI)
        self.say('c')
        self.w.ctl('--bgctl-reconnect', 'p', 'h', '2', 'x')
        entry = self.images(self.w)['p']
        self.assertEqual((entry['remote_host'], entry['remote_port'], entry['remote_export_name']),
                         ('h', '2', 'x'))
        self.assertNotIn('origin_uri', entry)
        self.w.ctl('reconnect', 'p', 'nbd://other/')
        self.assertEqual(self.w.export('p')['origin'], 'nbd://other/')
        self.assertIn('must be nbd://', self.w.refused('reconnect', 'p', 'x://other/',
                                                         status=2))

    def test_verify(self):
        self.say('c', verify={'checked': 90, 'skipped': 10, 'different': 0,
                              'first_different': None})
        self.assertIn('90 blocks compared, 0 differ', self.w.ctl('--bgctl-verify', 'p'))
        self.say('c', verify={'checked': 90, 'skipped': 10, 'different': 2,
                              'first_different': 4096})
        p = self.w.ctl('--bgctl-verify', 'p', status=None)
        self.assertEqual(p.returncode, 1)
        self.assertIn('byte 4096', p.stdout)

    def test_unknown_command_of_an_old_server(self):
        self.say('c', refuse={'query': 'unknown command'})
        self.assertIn('unknown command', self.w.refused('query', 'p'))


class Waiting(FakeCase):
    """A slow answer holds up nobody else; either side may go away."""

    def setUp(self):
        super().setUp()
        self.w = self.wrap_fake()
        self.add_proxy(self.w)
        self.say('c', silent=['verify'])

    def ask(self):
        argv = [xtest.program('xnbd-wrapper-ctl'), '--socket', self.w.control, 'verify', 'p']
        d = self.spawn(argv)
        self.wait_asked('c', 'verify')
        return d

    def test_others_go_on(self):
        d = self.ask()
        self.w.ctl('query', 'p')
        client = self.w.raw()
        client.go('p')
        self.wait_asked('c', 'client')
        self.assertTrue(d.is_alive())

    def test_caller_goes_away(self):
        self.ask().kill()
        self.w.ctl('query', 'p')
        self.assertEqual(len(self.w.list()), 1)

    def test_server_dies(self):
        d = self.ask()
        kill(self.w.worker('p'))
        self.assertEqual(d.wait(), 1)
        self.assertIn('ended before it answered', d.stderr())

    def test_wrapper_ends(self):
        d = self.ask()
        self.w.stop()
        self.assertEqual(d.wait(), 1)

    def test_export_is_removed(self):
        d = self.ask()
        self.w.ctl('--remove-by-exportname', 'p')
        self.assertTrue(d.is_alive())
        self.assertEqual(self.w.ctl('--list'), 'no item\n')

    def test_many_at_once(self):
        self.say('c')
        xtest.in_threads(*[lambda: self.w.ctl('query', 'p') for _ in range(20)])
        self.assertEqual(len(self.starts('c')), 1)


class Copies(FakeCase):
    """A copy that was asked for goes on."""

    def setUp(self):
        super().setUp()
        self.w = self.wrap_fake()
        self.add_proxy(self.w)
        self.w.ctl('--bgctl-cache-all', 'p', '--rate', '5000')

    def test_server_that_died_is_started_again(self):
        self.kill_worker(self.w, self.w.worker('p'))
        self.wait_asked('c', 'cache-all', 2)
        self.assertEqual(self.asked('c', 'cache-all')[1]['rate'], 5000)
        self.assertEqual(len(self.starts('c')), 2)

    def test_back_off(self):
        self.say('c', die_on=['cache-all'])
        self.kill_worker(self.w, self.w.worker('p'))
        time.sleep(8)  # after 1, 2, 4 s
        self.assertIn(len(self.starts('c')), (3, 4))
        self.wait_asked('c', 'cache-all', 4)
        self.say('c')
        self.wait_asked('c', 'cache-all', 5, 20)

    def test_after_a_restart_of_the_wrapper(self):
        self.w.stop()
        w = self.wrap_fake(state=self.w.state)
        self.wait_asked('c', 'cache-all', 2)
        self.assertEqual(w.export('p')['copy'], 'running')

    def test_paused_stays_paused(self):
        self.w.ctl('pause', 'p')
        self.w.stop()
        w = self.wrap_fake(state=self.w.state)
        self.assertEqual(w.export('p')['copy'], 'paused')
        time.sleep(1)
        self.assertEqual(len(self.starts('c')), 1)
        w.ctl('resume', 'p')
        self.assertEqual(len(self.asked('c', 'cache-all')), 2)

    def test_refused_is_tried_again(self):
        self.say('c', refuse={'cache-all': 'not yet'})
        self.kill_worker(self.w, self.w.worker('p'))
        self.wait_asked('c', 'cache-all', 3)
        self.say('c')
        self.wait_asked('c', 'cache-all', 4)
        self.assertIn('not yet', self.w.log())

    def test_removed(self):
        self.w.ctl('--remove-by-exportname', 'p')
        kill(self.lines('c')[0]['pid'])
        time.sleep(2)
        self.assertEqual(len(self.starts('c')), 1)


class OneAtATime(FakeCase):
    """The files of a proxy are locked by its server: the next one waits for the end of that."""

    def test_new_server_waits(self):
        w = self.wrap_fake()
        self.add_proxy(w)
        w.ctl('query', 'p')
        self.say('c', silent=['stop'], events=[{'event': 'idle'}])
        self.wait_asked('c', 'stop')
        asker = self.spawn([xtest.program('xnbd-wrapper-ctl'), '--socket', w.control, 'query', 'p'])
        time.sleep(1)
        self.assertEqual(len(self.starts('c')), 1)
        self.assertTrue(asker.is_alive())
        self.say('c')
        kill(self.lines('c')[0]['pid'])
        self.assertEqual(asker.wait(), 0)
        self.assertEqual(len(self.starts('c')), 2)


class Real(RealProxyCase):
    """With real servers."""

    def setUp(self):
        super().setUp()
        self.image_ = self.image(8 * MIB, 'origin.img', 5)
        self.origin = self.serve_origin(self.image_)
        self.w = self.wrap()

    def add(self):
        self.w.ctl('--add-proxy', 'p', self.origin.uri, self.path('c'), self.path('b'),
                   self.path('s'))

    def query(self):
        return json.loads(self.w.ctl('query', 'p', '--json'))

    def expected(self, offset, length):
        with open(self.image_, 'rb') as f:
            f.seek(offset)
            return f.read(length)

    def test_reads_and_writes(self):
        self.add()
        client = self.w.enter('p')
        self.assertEqual(client.size, 8 * MIB)
        self.assertEqual(client.read(MIB, 8192), self.expected(MIB, 8192))
        self.assertEqual(client.write(MIB, b'w' * 4096).error, 0)
        self.assertEqual(client.read(MIB, 8192), b'w' * 4096 + self.expected(MIB + 4096, 4096))
        self.assertGreaterEqual(self.query()['cached'], 2)

    def test_copy_switch_and_clients_stay(self):
        self.add()
        client = self.w.enter('p')
        self.w.refused('--bgctl-switch', 'p', status=3)
        self.assertEqual(client.write(0, b'w' * 4096).error, 0)
        self.w.ctl('--bgctl-cache-all', 'p')
        xtest.wait_for(lambda: self.query()['cached'] == self.query()['blocks'], 'copied', 30)
        self.w.ctl('--bgctl-switch', 'p')
        self.origin.stop()
        self.assertEqual(client.read(0, 8192), b'w' * 4096 + self.expected(4096, 4096))
        self.assertEqual(self.w.export('p')['mode'], 'target')
        self.assertEqual(self.w.enter('p').read(5 * MIB, MIB), self.expected(5 * MIB, MIB))

    def test_restart_keeps_what_is_cached(self):
        self.add()
        client = self.w.enter('p')
        client.write(0, b'w' * 4096)
        client.read(MIB, MIB)
        client.disconnect()
        self.w.stop()
        self.w = self.wrap(state=self.w.state)
        self.assertGreaterEqual(self.query()['cached'], 257)
        self.assertEqual(self.w.enter('p').read(0, 4096), b'w' * 4096)

    def test_killed_server_goes_on_copying(self):
        self.add()
        self.w.ctl('--bgctl-cache-all', 'p', '--rate', '2M')
        xtest.wait_for(lambda: self.query()['cached'] > 100, 'copies')
        self.kill_worker(self.w, self.w.worker('p'))
        xtest.wait_for(lambda: self.query()['cached'] == self.query()['blocks'], 'copied', 60)
        self.w.ctl('--bgctl-switch', 'p')
        self.w.stop()
        self.assert_same(self.path('c'), self.image_)

    def test_reconnect(self):
        self.add()
        client = self.w.enter('p')
        client.read(0, 4096)
        self.origin.stop()
        other = self.serve_origin(self.image_)
        self.w.ctl('--bgctl-reconnect', 'p', other.uri)
        self.assertEqual(client.read(6 * MIB, MIB), self.expected(6 * MIB, MIB))
        self.assertEqual(self.w.export('p')['origin'], other.uri)

    def test_by_host_and_port(self):
        """An origin that is a wrapper itself, with several exports."""
        origin, port = self.start_tcp([xtest.program('xnbd-wrapper'), '--xnbd-server',
                                       xtest.program('xnbd-server'), '--socket', self.path('oc'),
                                       '--dbpath', self.path('os'), '--imgfile', self.image_,
                                       '--imgfile', self.image(MIB, 'other')])
        self.w.ctl('--add-proxy', 'p', '127.0.0.1', str(port), self.path('c'), self.path('b'),
                   self.path('s'), '--target-exportname', self.image_)
        client = self.w.enter('p')
        self.assertEqual(client.read(MIB, 8192), self.expected(MIB, 8192))
        self.w.ctl('--bgctl-cache-all', 'p')
        xtest.wait_for(lambda: self.query()['cached'] == self.query()['blocks'], 'copied', 30)
        self.assertIn('0 differ', self.w.ctl('--bgctl-verify', 'p'))
        self.w.stop()
        origin.stop()

    def test_wrapper_died_between_switch_and_save(self):
        """The state file still says proxy; the cache is a disk all the same."""
        self.add()
        before = xtest.text_of(self.w.state)
        self.w.ctl('--bgctl-cache-all', 'p')
        xtest.wait_for(lambda: self.query()['cached'] == self.query()['blocks'], 'copied', 30)
        self.w.ctl('--bgctl-switch', 'p')
        self.w.enter('p').write(0, b'w' * 4096)
        self.w.stop()
        self.origin.stop()
        with open(self.w.state, 'w') as f:
            f.write(before)
        self.w = self.wrap(state=self.w.state)
        self.assertEqual(self.w.enter('p').read(0, 8192), b'w' * 4096 + self.expected(4096, 4096))
        self.w.ctl('--bgctl-switch', 'p')  # nothing is needed of the origin
        self.assertEqual(self.w.export('p')['mode'], 'target')

    def test_switch_behind_our_back(self):
        """xnbd-bgctl talks to the proxy's own socket."""
        self.add()
        self.w.ctl('--bgctl-cache-all', 'p')
        xtest.wait_for(lambda: self.query()['cached'] == self.query()['blocks'], 'copied', 30)
        self.run_cmd(xtest.program('xnbd-bgctl'), '--switch', self.path('s'))
        xtest.wait_for(lambda: self.w.export('p')['mode'] == 'target', 'is noticed')

    def test_many_clients_while_it_is_switched(self):
        self.add()
        self.w.ctl('--bgctl-cache-all', 'p')
        clients = [self.w.enter('p') for _ in range(10)]
        xtest.wait_for(lambda: self.query()['cached'] == self.query()['blocks'], 'copied', 30)
        over = threading.Event()

        def work(n, client):
            while not over.is_set():
                offset = n * 65536
                self.assertEqual(client.write(offset, bytes([n]) * 4096).error, 0)
                self.assertEqual(client.read(offset, 4096), bytes([n]) * 4096)

        def switch():
            time.sleep(0.3)
            self.w.ctl('--bgctl-switch', 'p')
            time.sleep(0.3)
            over.set()
        xtest.in_threads(switch, *[lambda n=n, c=c: work(n, c) for n, c in enumerate(clients)])
        self.assertEqual(self.w.client_count('p'), 10)

    def test_qemu_reads_through_it(self):
        self.add()
        self.tool('qemu-img', 'convert', '-O', 'raw', self.w.uri('p'), self.path('out'))
        self.assert_same(self.path('out'), self.image_)


if __name__ == '__main__':
    xtest.main()
