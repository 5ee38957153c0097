#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots as exports NAME@ID and NAME@snapshot: with servers that say what the test wants, then
with real ones."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fake import FakeCase  # noqa: E402
from wrapper_fixture import MIB, WrapperCase  # noqa: E402


def event(number, state, path, **more):
    return {'event': 'snapshot', 'id': number, 'state': state, 'path': path, **more}


class Said(FakeCase):
    """What a server says of its snapshots becomes exports."""

    def setUp(self):
        super().setUp()
        self.a = self.image(MIB, 'a')
        self.w = self.wrap_fake(exports={'vm': self.a})
        self.files = {n: self.image(MIB, f'a.snap{n}') for n in (7, 8, 9)}

    def take(self, number, *args, **more):
        self.say('a', snapshot={'id': number, 'path': self.files[number], 'method': 'copy'}, **more)
        return self.w.ctl('snapshot', 'vm', *args)

    def names(self):
        return {e['name'] for e in self.w.list()}

    def states(self):
        return {s['id']: s['state'] for s in json.loads(self.w.ctl('snapshots', '--json'))}

    def wait_states(self, wanted):
        xtest.wait_for(lambda: self.states() == wanted, f'states are {wanted}')

    def test_take(self):
        self.assertEqual(self.take(7), f'7 : vm@7  ({self.files[7]})\n')
        self.assertEqual(self.names(), {'vm', 'vm@7', 'vm@snapshot'})
        self.assertEqual(self.w.ctl('--list'), f'1 : vm  ({self.a})\n')
        self.assertEqual(self.w.ctl('--snapshots'), f'7 : vm@7  ({self.files[7]}, copying)\n')
        e = self.w.export('vm@snapshot')
        self.assertEqual((e['snapshot_of'], e['snapshot_id'], e['readonly'], e['source']),
                         ('vm', 7, True, 'snapshot'))
        self.assertEqual(self.images(self.w), {})

    def test_to(self):
        self.take(7, '--to', 'x.img')
        [request] = self.asked('a', 'snapshot')
        self.assertEqual(request['to'], os.path.abspath('x.img'))

    def test_newest_moves_on_and_back(self):
        self.take(7)
        self.take(8)
        self.assertEqual([r['after'] for r in self.asked('a', 'snapshot')], [0, 7])
        self.assertEqual(self.w.export('vm@snapshot')['snapshot_id'], 8)
        self.w.ctl('drop-snapshot', 'vm', '8')
        self.assertEqual(self.asked('a', 'snapshot-drop')[0]['id'], 8)
        self.assertEqual(self.w.export('vm@snapshot')['snapshot_id'], 7)
        self.assertEqual(self.w.export('vm@snapshot')['image'], self.files[7])
        self.w.ctl('drop-snapshot', 'vm', '7')
        self.assertEqual(self.names(), {'vm'})
        self.assertIn('no such snapshot', self.w.refused('drop-snapshot', 'vm', '7'))

    def test_events(self):
        self.w.ctl('query', 'vm')
        self.say('a', events=[event(7, 'copying', self.files[7]),
                              event(8, 'copying', self.files[8])])
        self.wait_states({7: 'copying', 8: 'copying'})
        self.say('a', events=[{}, {}, event(7, 'complete', self.files[7])])
        self.wait_states({7: 'complete', 8: 'copying'})
        self.say('a', events=[{}, {}, {}, event(8, 'failed', self.files[8], error='disk full')])
        self.wait_states({7: 'complete'})
        self.assertIn('disk full', self.w.log())
        self.assertEqual(self.w.export('vm@snapshot')['snapshot_id'], 7)
        self.say('a', events=[{}, {}, {}, {}, event(7, 'dropped', self.files[7])])
        self.wait_states({})
        self.assertEqual(self.names(), {'vm'})

    def test_clients_go_to_the_server_that_took_it(self):
        self.take(7)
        client = self.w.raw()
        client.go('vm@7')
        self.wait_asked('a', 'client')
        self.assertEqual(self.asked('a', 'client')[0]['snapshot'], 7)
        self.assertEqual(self.w.client_count('vm@7'), 1)
        self.assertEqual(self.w.client_count('vm'), 0)
        other = self.w.raw()
        other.go('vm')
        self.wait_asked('a', 'client', 2)
        self.assertNotIn('snapshot', self.asked('a', 'client')[1])
        self.assertEqual(len(self.starts('a')), 1)

    def test_default_export_stays(self):
        """The only export has no name to be asked for; its snapshots must not change that."""
        self.take(7)
        client = self.w.raw()
        client.go('')
        self.wait_asked('a', 'client')
        self.assertNotIn('snapshot', self.asked('a', 'client')[0])

    def test_complete_one_survives_the_server(self):
        self.take(7)
        self.take(8, events=[event(7, 'complete', self.files[7])])
        self.wait_states({7: 'complete', 8: 'copying'})
        self.kill_worker(self.w, self.w.worker('vm'))
        xtest.wait_for(lambda: self.names() == {'vm', 'vm@7', 'vm@snapshot'}, '8 vanishes')
        self.assertIn('vm@8: its server ended before', self.w.log())
        self.assertEqual(self.w.export('vm@snapshot')['image'], self.files[7])
        self.w.raw().go('vm@7')
        [argv] = self.starts('a.snap7')
        self.assertIn('--readonly', argv)
        self.assertEqual(argv[-2:], ['--', self.files[7]])
        self.take(9)  # by the next server
        self.assertEqual(self.w.export('vm@snapshot')['snapshot_id'], 9)
        self.w.ctl('drop-snapshot', 'vm', '7')
        self.assertEqual(self.asked('a', 'snapshot-drop'), [])
        self.assertEqual(self.names(), {'vm', 'vm@9', 'vm@snapshot'})

    def test_names_that_are_taken(self):
        self.w.ctl('--add-target', 'vm@7', self.image(MIB, 'x'))
        self.assertIn("'vm@7': the name is already in use", self.failing_take(7))
        self.assertEqual(self.names(), {'vm', 'vm@7'})
        self.w.ctl('--add-target', 'vm@snapshot', self.image(MIB, 'y'))
        self.assertIn("'vm@snapshot', but another export", self.failing_take(8))
        self.assertEqual(len(self.asked('a', 'snapshot')), 1)
        self.w.ctl('--remove-by-exportname', 'vm@snapshot')
        self.take(8)
        self.assertIn('already in use', self.w.refused('--add-target', 'vm@8', self.a))

    def failing_take(self, number):
        self.say('a', snapshot={'id': number, 'path': self.files[number], 'method': 'copy'})
        return self.w.refused('snapshot', 'vm')

    def test_refusals(self):
        self.take(7)
        self.assertIn('snapshot itself', self.w.refused('snapshot', 'vm@7'))
        self.assertIn('drop-snapshot', self.w.refused('--remove-by-exportname', 'vm@7'))
        self.assertIn('no such export', self.w.refused('snapshot', 'nothing'))
        self.say('a', refuse={'snapshot': 'no room'})
        self.assertIn('no room', self.w.refused('snapshot', 'vm'))
        self.assertIn('no such export', self.w.refused('--remove-by-file', self.files[7]))

    def test_removed_with_its_export(self):
        self.take(7)
        self.w.ctl('--remove-by-exportname', 'vm')
        self.assertEqual(self.names(), set())


class Real(WrapperCase):
    """With real servers."""

    def setUp(self):
        super().setUp()
        self.a = self.image(4 * MIB, 'a', 3)
        self.w = self.wrap(exports={'vm': self.a})
        self.w.ctl('snapshot', 'vm')
        [self.first] = json.loads(self.w.ctl('snapshots', '--json'))

    def content(self, name):
        client = self.w.enter(name)
        data = client.read(0, 4 * MIB)
        client.disconnect()
        return data

    def test_content_of_that_moment(self):
        with open(self.a, 'rb') as f:
            before = f.read()
        client = self.w.enter('vm')
        for offset in range(0, 4 * MIB, 256 * 1024):
            self.assertEqual(client.write(offset, b'n' * 4096).error, 0)
        self.assertEqual(self.content('vm@snapshot'), before)
        self.assertEqual(self.content(self.first['export']), before)
        snapshot = self.w.enter('vm@snapshot')
        self.assertEqual(snapshot.write(0, bytes(4096)).error, 1)

    def test_served_after_its_server(self):
        with open(self.a, 'rb') as f:
            before = f.read()
        xtest.wait_for(lambda: json.loads(self.w.ctl('snapshots', '--json'))[0]['state']
                       == 'complete', 'complete')
        xtest.wait_for(lambda: self.w.worker('vm') is None, 'idle', 30)
        self.assertEqual(self.content('vm@snapshot'), before)

    def test_many_in_a_second(self):
        for _ in range(4):
            self.w.ctl('snapshot', 'vm')
        self.kill_worker(self.w, self.w.worker('vm'))
        for _ in range(3):
            self.w.ctl('snapshot', 'vm')
        ids = [s['id'] for s in json.loads(self.w.ctl('snapshots', '--json'))]
        self.assertGreaterEqual(len(ids), 3)
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(self.w.export('vm@snapshot')['snapshot_id'], max(ids))

    def test_to(self):
        self.w.ctl('snapshot', 'vm', '--to', 'taken.img', cwd=self.dir)
        path = self.path('taken.img')
        xtest.wait_for(lambda: os.path.exists(path), 'complete')
        self.assert_same(path, self.a)
        self.assertIn('taken.img', self.w.refused('snapshot', 'vm', '--to', path))

    def test_drop(self):
        xtest.wait_for(lambda: json.loads(self.w.ctl('snapshots', '--json'))[0]['state']
                       == 'complete', 'complete')
        self.w.ctl('drop-snapshot', 'vm', str(self.first['id']))
        self.assertEqual(self.w.ctl('snapshots'), 'no item\n')
        self.assertTrue(os.path.exists(self.first['path']))


if __name__ == '__main__':
    xtest.main()
