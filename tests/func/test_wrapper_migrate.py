#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""migrate-in: its phases with servers that say what the test wants, then whole migrations of a disk
that is written to meanwhile, with servers and wrappers killed on the way."""

import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fake import URI, FakeCase, RealProxyCase, query  # noqa: E402
from wrapper_fixture import MIB, kill  # noqa: E402

PHASE_SECONDS = 15


class Migrations:
    """For both kinds of servers; self.w is the wrapper."""

    def status(self, name='p'):
        [m] = json.loads(self.w.ctl('migrate-status', name, '--json'))
        return m

    def wait_phase(self, phase, seconds=PHASE_SECONDS):
        xtest.wait_for(lambda: self.status()['phase'] == phase, f'phase is {phase}', seconds)

    def hook(self):
        """A program that notes how it was called."""
        path = self.path('hook')
        with open(path, 'w') as f:
            f.write(f'#!/bin/sh\necho "$@" >> {self.path("hooked")}\n')
        os.chmod(path, 0o755)
        return path

    def hooked(self):
        return xtest.text_of(self.path('hooked'))


class Phases(FakeCase, Migrations):
    def setUp(self):
        super().setUp()
        self.w = self.wrap_fake()

    def begin(self, *args):
        return self.w.ctl('migrate-in', 'p', URI, '--cache', self.path('c'), *args)

    def test_whole(self):
        self.say('c', query=query(origin='connecting', origin_error='refused'))
        text = self.begin('--rate', '1M', '--hook', self.hook(), '--verify')
        self.assertIn('clients may connect', text)
        entry = self.images(self.w)['p']
        self.assertEqual((entry['mode'], entry['origin_uri'], entry['bitmap_path']),
                         ('proxy', URI, self.path('c.bitmap')))
        self.assertEqual(entry['migration'], {'phase': 'copying', 'rate': MIB, 'verify': True,
                                              'hook': self.path('hook')})
        self.wait_asked('c', 'query')
        self.assertEqual((self.status()['phase'], self.status()['error']),
                         ('connecting', 'refused'))
        self.assertEqual(self.asked('c', 'cache-all')[0]['rate'], MIB)
        state = query(cached=42, copy='running')
        state['copy'].update(rate=5 * MIB, seconds_left=3661)
        self.say('c', query=state)
        self.wait_phase('copying')
        self.assertEqual(self.w.ctl('migrate-status'),
                         'p : copying, 42.0 %, 5.0 MiB/s, 1:01:01 left\n')
        self.say('c', query=query(cached=43, copy='waiting', origin='lost', origin_error='gone'))
        self.wait_phase('waiting')
        self.assertEqual(self.w.ctl('migrate-status'), 'p : waiting, 43.0 %; gone\n')
        self.say('c', query=query(cached=100, copy='done'), silent=['verify'])
        self.wait_phase('verifying')
        self.say('c', query=query(cached=100, copy='done'), verify={'checked': 100, 'skipped': 0,
                                                                    'different': 0})
        self.kill_worker(self.w, self.w.worker('p'))  # the silent one: asked again elsewhere
        self.wait_phase('done')
        self.assertEqual(self.status()['percent'], 100)
        e = self.w.export('p')
        self.assertEqual((e['mode'], e['migration']['phase']), ('target', 'done'))
        self.assertEqual(self.w.status()['migrations'][0]['name'], 'p')
        entry = self.images(self.w)['p']
        self.assertEqual((entry['mode'], entry['migration']['phase']), ('target', 'done'))
        self.assertNotIn('copy', entry)
        xtest.wait_for(self.hooked, 'the hook runs')
        self.w.stop()
        self.w = self.wrap_fake(state=self.w.state)
        self.assertEqual(self.status()['phase'], 'done')
        self.assertEqual(self.hooked(), 'p done\n')

    def test_differences(self):
        self.say('c', query=query(cached=100, copy='done'),
                 verify={'checked': 100, 'skipped': 0, 'different': 3, 'first_different': 4096})
        self.begin('--verify', '--hook', self.hook())
        self.wait_phase('failed')
        self.assertIn('3 of 100', self.status()['error'])
        self.assertEqual(self.w.export('p')['mode'], 'proxy')
        self.assertEqual(self.asked('c', 'switch'), [])
        xtest.wait_for(self.hooked, 'the hook runs')
        self.assertEqual(self.hooked(), 'p failed\n')

    def test_no_verify(self):
        self.say('c', query=query(cached=100, copy='done'))
        self.begin()
        self.wait_phase('done')
        self.assertEqual(self.asked('c', 'verify'), [])

    def test_switch_that_finds_blocks_absent(self):
        self.say('c', query=query(cached=100, copy='done'),
                 refuse={'switch': {'error': 'absent', 'incomplete': True, 'absent': 1}})
        self.begin()
        self.wait_asked('c', 'cache-all', 2)
        self.say('c', query=query(cached=100, copy='done'))
        self.wait_phase('done')

    def test_switch_that_is_refused_is_tried_again(self):
        self.say('c', query=query(cached=100, copy='done'), refuse={'switch': 'no room'})
        self.begin()
        self.wait_asked('c', 'switch', 2)
        self.assertEqual((self.status()['phase'], self.status()['error']),
                         ('switching', 'no room'))
        self.assertIn('too late', self.w.refused('migrate-abort', 'p'))
        self.say('c', query=query(cached=100, copy='done'))
        self.wait_phase('done')

    def test_switched_by_hand(self):
        self.say('c', query=query(cached=1, copy='running'))
        self.begin('--hook', self.hook())
        self.wait_phase('copying')
        self.w.ctl('--bgctl-switch', 'p', '--force')
        self.assertEqual(self.status()['phase'], 'done')
        xtest.wait_for(self.hooked, 'the hook runs')

    def test_abort_and_go_on(self):
        self.say('c', query=query(cached=1, copy='running'))
        self.begin('--rate', '7')
        self.wait_phase('copying')
        text = self.w.ctl('migrate-abort', 'p')
        self.assertIn('stays a proxy', text)
        self.assertEqual(len(self.asked('c', 'pause')), 1)
        self.assertEqual(self.status()['phase'], 'aborted')
        self.assertNotIn('copy', self.images(self.w)['p'])
        self.assertIn('is over: aborted', self.w.refused('migrate-abort', 'p'))
        self.w.ctl('migrate-in', 'p', URI, '--rate', '9')
        self.wait_phase('copying')
        self.assertEqual(self.asked('c', 'cache-all')[-1]['rate'], 9)
        self.assertIn('already', self.w.refused('migrate-in', 'p', URI))

    def test_refusals(self):
        self.w.ctl('--add-target', 't', self.image(MIB, 't'))
        self.assertIn('--cache', self.w.refused('migrate-in', 'p', URI))
        self.assertIn('must be nbd://', self.w.refused('migrate-in', 'p', 'x', '--cache', 'c'))
        self.assertIn('no proxy', self.w.refused('migrate-in', 't', URI))
        self.assertIn('not being migrated', self.w.refused('migrate-abort', 't'))
        self.assertIn('no such export', self.w.refused('migrate-status', 'x'))
        self.add_proxy(self.w)
        self.assertIn('--bgctl-reconnect', self.w.refused('migrate-in', 'p', 'nbd://other'))
        self.assertEqual(self.w.ctl('migrate-status'), 'no item\n')
        self.assertEqual(set(self.images(self.w)), {'t', 'p'})

    def test_of_a_proxy_that_is_there(self):
        self.add_proxy(self.w)
        self.say('c', query=query(cached=100, copy='done'))
        self.w.ctl('migrate-in', 'p', URI)
        self.wait_phase('done')

    def test_removed_on_the_way(self):
        self.say('c', query=query(cached=1, copy='running'))
        self.begin()
        self.wait_phase('copying')
        self.w.ctl('--remove-by-exportname', 'p')
        self.assertEqual(self.w.ctl('migrate-status'), 'no item\n')
        self.assertEqual(self.images(self.w), {})
        time.sleep(2.5)
        self.begin()

    def test_wrapper_is_killed(self):
        self.say('c', query=query(cached=1, copy='running'))
        self.begin('--rate', '7', '--verify')
        self.wait_phase('copying')
        kill(self.w.pid)
        self.w.daemon.process.wait()
        kill(self.lines('c')[0]['pid'])
        self.say('c', query=query(cached=100, copy='done'))
        self.w = self.wrap_fake(state=self.w.state)
        self.wait_phase('done')
        self.assertEqual(self.asked('c', 'cache-all')[-1]['rate'], 7)
        self.assertEqual(len(self.asked('c', 'verify')), 1)

    def test_server_that_cannot_start_yet(self):
        self.say('c', start='error')
        self.begin()
        xtest.wait_for(lambda: len(self.starts('c')) >= 2, 'is tried again')
        self.assertEqual(self.status()['phase'], 'connecting')
        self.say('c', query=query(cached=100, copy='done'))
        self.wait_phase('done')

    def test_hook_of_a_wrapper_that_ended_too_early(self):
        self.w.stop()
        state = self.path('state')
        with open(state, 'w') as f:
            json.dump({'version': 2, 'images': {'p': {
                'mode': 'target', 'image_path': self.image(MIB, 'c'),
                'migration': {'phase': 'done', 'hook': self.hook()}}}}, f)
        self.w = self.wrap_fake(state=state)
        xtest.wait_for(self.hooked, 'the hook runs')
        self.assertTrue(self.images(self.w)['p']['migration']['hook_ran'])

    def test_hook_that_is_missing(self):
        self.say('c', query=query(cached=100, copy='done'))
        self.begin('--hook', '/no/such/hook')
        self.wait_phase('done')


class Real(RealProxyCase, Migrations):
    """With real servers."""

    def setUp(self):
        super().setUp()
        self.source = self.image(16 * MIB, 'origin.img', 5)
        with open(self.source, 'rb') as f:
            self.content = bytearray(f.read())
        self.origin = self.serve_origin(self.source, '--readonly')
        self.w = self.wrap()

    def begin(self, *args):
        self.w.ctl('migrate-in', 'p', self.origin.uri, '--cache', self.path('c'), *args)

    def check_result(self):
        """The cache has what the origin had and what was written."""
        self.assertEqual(self.w.export('p')['mode'], 'target')
        self.w.stop()
        with open(self.path('c'), 'rb') as f:
            self.assertEqual(f.read() == self.content, True)

    def test_under_load(self):
        self.begin('--rate', '8M', '--verify', '--hook', self.hook())
        client = self.w.enter('p')
        stop = threading.Event()

        def load():
            n = 0
            while not stop.is_set():
                n += 1
                offset = n * 7919 * 4096 % (16 * MIB)
                data = bytes([n % 251]) * 4096
                self.assertEqual(client.write(offset, data).error, 0)
                self.content[offset:offset + 4096] = data
                at = n * 104729 * 512 % (15 * MIB)
                self.assertEqual(client.read(at, 8192), bytes(self.content[at:at + 8192]))
                time.sleep(0.005)

        def watch():
            try:
                self.wait_phase('done', 60)
            finally:
                stop.set()
        xtest.in_threads(load, watch)
        self.origin.stop()
        self.assertEqual(client.read(0, 16 * MIB), bytes(self.content))
        xtest.wait_for(self.hooked, 'the hook runs')
        self.assertEqual(self.hooked(), 'p done\n')
        client.disconnect()
        self.check_result()

    def test_server_killed_on_the_way(self):
        self.begin('--rate', '4M')
        self.wait_phase('copying')
        for _ in range(2):
            time.sleep(0.5)
            self.kill_worker(self.w, self.w.worker('p'))
            xtest.wait_for(lambda: self.w.worker('p'), 'started again')
        self.wait_phase('done', 60)
        self.check_result()

    def test_wrapper_stopped_on_the_way(self):
        self.begin('--rate', '4M')
        self.wait_phase('copying')
        self.w.stop()
        self.w = self.wrap(state=self.w.state)
        self.wait_phase('done', 60)
        self.check_result()

    def test_wrapper_killed_on_the_way(self):
        """Its server goes on without it; the next one's waits until that has ended."""
        self.begin('--rate', '4M')
        self.wait_phase('copying')
        kill(self.w.pid)
        self.w.daemon.process.wait()
        self.w = self.wrap(state=self.w.state)
        self.wait_phase('done', 90)
        self.check_result()

    def test_copy_that_nobody_looks_after(self):
        """Said to be complete, and no server runs: ended before the migration has asked."""
        self.begin('--rate', '8M')
        self.wait_phase('copying')
        self.w.stop()
        with open(self.w.state) as f:
            state = json.load(f)
        del state['images']['p']['copy']
        with open(self.w.state, 'w') as f:
            json.dump(state, f)
        self.w = self.wrap(state=self.w.state)
        self.wait_phase('done', 60)
        self.check_result()

    def test_origin_lost_on_the_way(self):
        self.begin('--rate', '4M')
        self.wait_phase('copying')
        self.origin.stop()
        self.wait_phase('waiting')
        self.origins.append(self.start(self.origin.argv, [self.origin.socket]))
        self.origin = self.origins[-1]
        self.wait_phase('done', 60)
        self.check_result()

    def test_origin_changed_on_the_way(self):
        self.begin('--rate', '4M')
        self.wait_phase('copying')
        self.origin.stop()
        other = self.serve_origin(self.source)
        self.w.ctl('--bgctl-reconnect', 'p', other.uri)
        self.wait_phase('done', 60)
        self.check_result()

    def test_abort_keeps_what_was_written(self):
        self.begin('--rate', '1M')
        client = self.w.enter('p')
        self.assertEqual(client.write(8 * MIB, b'w' * 4096).error, 0)
        self.content[8 * MIB:8 * MIB + 4096] = b'w' * 4096
        self.w.ctl('migrate-abort', 'p')
        self.assertEqual(client.read(8 * MIB, 8192), bytes(self.content[8 * MIB:8 * MIB + 8192]))
        self.w.ctl('migrate-in', 'p', self.origin.uri)
        self.wait_phase('done', 60)
        client.disconnect()
        self.check_result()


if __name__ == '__main__':
    xtest.main()
