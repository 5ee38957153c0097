#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration is another one when the next wrapper starts: which servers of before it takes
over, and what becomes of those that do not fit any more."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fake import RealProxyCase  # noqa: E402
from wrapper_fixture import MIB, is_running  # noqa: E402
from wrapper_successor import SuccessorCase  # noqa: E402


class Changing(SuccessorCase):

    def crash_and(self, w, exports):
        self.crash(w)
        w.argv[w.argv.index('--config') + 1] = path = self.write_config(exports)
        w.daemon.argv[w.daemon.argv.index('--config') + 1] = path
        self.succeed(w)

    def assert_apart(self, w, name, why, clients):
        """Shown and logged with the reason; its clients go on, no new one gets there."""
        self.assertIn(why, self.apart(w)[name])
        [a] = [a for a in w.status()['apart'] if a['export'] == name]
        self.assertEqual(a['clients'], len(clients))
        self.assertRegex(w.log(), rf'warning: {name}: a server of before \(pid {a["pid"]}\) goes on '
                         rf'for its {len(clients)} clients and gets no new ones: .*{why}')
        self.assertIn(f'apart           {name} (pid {a["pid"]}, {len(clients)} clients): '
                      + a['reason'], w.ctl('--status').splitlines())
        self.assertTrue(all(c.in_sync() for c in clients))
        return a['pid']

    def assert_ends(self, w, pid, clients):
        for c in clients:
            c.disconnect()
        xtest.wait_for(lambda: not is_running(pid), 'it ends with its clients', 25)
        xtest.wait_for(lambda: not w.status()['apart'], 'and is forgotten')


class Fitting(Changing):
    def test_removed(self):
        exports = self.files(2)
        w = self.wrap(exports=exports)
        clients = [w.enter('disk0') for _ in range(2)]
        self.crash_and(w, {'disk1': exports['disk1']})
        pid = self.assert_apart(w, 'disk0', 'not exported any more', clients)
        self.assertEqual([e['name'] for e in w.list()], ['disk1'])
        self.assertEqual([c['export'] for c in self.call(w, cmd='clients')['clients']],
                         ['disk0'] * 2)
        w.go_refused('disk0')
        self.assertEqual(json.loads(w.ctl('evict', 'disk0', '--client', '1', '--json'))['ended'], 1)
        clients.pop(0).expect_end()
        self.assert_ends(w, pid, clients)

    def test_renamed(self):
        """It is the image that counts."""
        image = self.image(MIB, 'image', 1)
        w = self.wrap(exports={'old': image})
        client, worker = w.enter('old'), w.worker('old')
        serial = w.export('old')['serial']
        self.crash_and(w, {'new': image})
        self.assertEqual((w.worker('new'), w.client_count('new')), (worker, 1))
        self.assertEqual((self.apart(w), w.export('new')['serial']), ({}, serial))
        self.assertIn('new: its server', w.log())
        self.assertTrue(client.in_sync() and w.enter('new').in_sync())

    def test_name_counts_more_than_image(self):
        """One image under two names, one of which is gone: the other keeps its own server."""
        image = self.image(MIB, 'image')
        for gone, stays in (('a', 'b'), ('b', 'a')):
            w = self.wrap(exports={'a': image, 'b': image})
            clients = [w.enter('a'), w.enter('b')]
            worker = w.worker(stays)
            self.crash_and(w, {stays: image})
            self.assertEqual((w.worker(stays), w.client_count(stays)), (worker, 1))
            self.assert_apart(w, gone, 'not exported any more', [clients[gone == 'b']])
            w.stop()

    def test_names_changed_places(self):
        exports = self.files(2)
        w = self.wrap(exports=exports)
        clients = [w.enter('disk0'), w.enter('disk1')]
        self.crash_and(w, {'disk0': exports['disk1'], 'disk1': exports['disk0']})
        for i in range(2):
            self.assert_apart(w, f'disk{i}', 'another image', [clients[i]])
            late = w.enter(f'disk{i}')
            late.write(0, bytes([65 + i]) * 512)
        for i in range(2):
            with open(self.path(f'disk{1 - i}.img'), 'rb') as f:
                self.assertEqual(f.read(512), bytes([65 + i]) * 512)

    def test_other_mode(self):
        image = self.image(MIB, 'image')
        w = self.wrap(exports={'t': image, 'c': {'image': image, 'mode': 'cow-target'},
                               'w': image, 'r': {'image': image, 'readonly': True}})
        clients = {n: w.enter(n) for n in 'tcwr'}
        self.crash_and(w, {'c': image, 't': {'image': image, 'mode': 'cow-target'}, 'r': image,
                           'w': {'image': image, 'readonly': True}})
        for name, why in (('t', 'another mode'), ('c', 'another mode'), ('w', 'read-only now'),
                          ('r', 'writable now')):
            self.assert_apart(w, name, why, [clients[name]])
            self.assertTrue(w.enter(name).in_sync())
        self.assertEqual(clients['r'].write(0, b'x' * 512).error, 1)
        self.assertEqual(w.enter('w').write(0, b'x' * 512).error, 1)
        stats = json.loads(w.ctl('stats', '--json'))['servers']
        self.assertEqual(len(stats), 8)
        lines = w.ctl('metrics').splitlines()
        self.assertEqual(len(lines), len(set(lines)))
        self.assertIn('xnbd_export_clients{export="t"} 1', lines)

    def test_settings_that_need_another_server(self):
        """They wait until this one has ended by itself."""
        image = self.image(MIB, 'image')
        w = self.wrap(exports={'x': {'image': image, 'threads': 1}})
        client, worker = w.enter('x'), w.worker('x')
        self.crash_and(w, {'x': {'image': image, 'threads': 2}})
        self.assertEqual((self.apart(w), w.worker('x')), ({}, worker))
        self.kill_worker(w, worker)
        w.enter('x')
        self.assertEqual(self.ask_worker(w, 'x', cmd='status')['threads'], 2)
        client.expect_end()

    def test_exclusive_one_that_is_apart(self):
        """It has a writer still: nobody else may write to that image."""
        image = self.image(MIB, 'image')
        w = self.wrap(exports={'x': {'image': image, 'exclusive': 'writer'}})
        writer = w.enter('x')
        self.crash_and(w, {'x': {'image': image, 'exclusive': 'writer', 'mode': 'cow-target'},
                           'y': {'image': image, 'exclusive': 'writer'}})
        self.assert_apart(w, 'x', 'another mode', [writer])
        [c] = self.call(w, cmd='clients')['clients']
        self.assertTrue(c['address'].startswith('unix:uid='))

    def test_two_servers_of_one_export(self):
        """As after a wrapper that could not find the first one."""
        w = self.wrap(exports=self.files(1))
        first, old = w.enter('disk0'), w.worker('disk0')
        self.crash(w)
        folder = w.control + '.d'
        os.rename(folder, folder + '.away')
        self.succeed(w)
        time.sleep(1.1)
        second, new = w.enter('disk0'), w.worker('disk0')
        self.assertNotEqual(new, old)
        self.crash(w)
        for name in os.listdir(folder + '.away'):
            os.rename(f'{folder}.away/{name}', f'{folder}/{name}')
        self.succeed(w)
        self.assertEqual((w.worker('disk0'), w.client_count('disk0')), (new, 1))
        self.assertEqual(self.assert_apart(w, 'disk0', 'a later one serves', [first]), old)
        self.assertEqual(w.ctl('evict', 'disk0'), '2 clients ended\n')
        for client in (first, second):
            client.expect_end()


class ProxyFiles(Changing, RealProxyCase):
    def test_are_in_the_way(self):
        """A server that is apart has them: nobody else may touch them, and it is told why."""
        origin = self.serve_origin(self.image(MIB, 'origin', 1))
        exports = {'p': {'mode': 'proxy', 'origin': origin.uri, 'cache': self.path('c')}}
        w = self.wrap(exports=exports)
        client = w.enter('p')
        client.write(0, b'w' * 512)
        self.crash_and(w, {'p': self.path('c')})
        pid = self.assert_apart(w, 'p', 'another mode', [client])
        self.assertIn(f'a server of before (pid {pid}) has its files', w.go_refused('p')[1])
        self.assertIn('has its files', w.refused('query', 'p'))
        self.crash_and(w, exports)
        self.assertEqual((self.apart(w), w.worker('p')), ({}, pid))
        self.assertTrue(client.in_sync() and w.enter('p').in_sync())


if __name__ == '__main__':
    xtest.main()
