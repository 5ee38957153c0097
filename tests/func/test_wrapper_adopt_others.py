#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers of a wrapper before that cannot be asked, speak otherwise, do not answer or are somewhere
else: their clients go on, the others are served, and nothing keeps the new wrapper from starting."""

import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fake import FakeCase  # noqa: E402
from wrapper_fixture import MIB, is_running, kill  # noqa: E402
from wrapper_successor import SuccessorCase  # noqa: E402

ADOPT_SECONDS = 2
NOBODY = 65534


class Foreign(FakeCase, SuccessorCase):
    """Servers of another version."""

    def setUp(self):
        super().setUp()
        self.w = self.wrap_fake(exports=self.files(2))
        self.clients = [self.w.raw() for _ in range(2)]
        for client in self.clients:
            client.go('disk0')
        self.wait_asked('disk0.img', 'client', 2)
        self.pid = self.w.worker('disk0')

    def assert_left_alone(self, *words):
        self.survive(self.w)
        self.assertEqual(list(self.apart(self.w)), ['disk0'])
        [a] = self.w.status()['apart']
        self.assertEqual((a['pid'], a['clients']), (self.pid, 2))
        for word in words:
            self.assertIn(word, a['reason'])
            self.assertIn(word, self.w.log())
        late = self.w.raw()
        late.go('disk0')
        xtest.wait_for(lambda: len(self.starts('disk0.img')) == 2, 'another one is started')
        self.assertNotEqual(self.w.worker('disk0'), self.pid)

    def test_that_does_not_know_adopt(self):
        self.say('disk0.img', refuse={'adopt': 'unknown command; see the manual'},
                 state={'version': '1.9.9'})
        self.assert_left_alone('1.9.9', 'unknown command')
        kill(self.pid)
        xtest.wait_for(lambda: not self.apart(self.w), 'its end is noticed')

    def test_of_a_later_protocol(self):
        self.say('disk0.img', refuse={'adopt': 'adopt: "protocol" must be 2'},
                 state={'version': '9.1'})
        self.assert_left_alone('9.1', 'must be 2')

    def test_with_another_answer(self):
        self.say('disk0.img', adopt={'protocol': 7, 'clients': 2}, state={'version': '7.7'})
        self.assert_left_alone('7.7')

    def test_ends_at_shutdown(self):
        self.say('disk0.img', refuse={'adopt': 'unknown command'})
        self.survive(self.w)
        self.assertEqual(list(self.apart(self.w)), ['disk0'])
        self.w.stop()
        self.assertFalse(is_running(self.pid))

    def test_that_knows_nothing_at_all(self):
        for refused in ('no', {'error': 7}, {}):
            self.say('disk0.img', refuse={'adopt': refused or 'x', 'status': 'nor this'})
            self.survive(self.w)
            self.assertEqual(self.apart(self.w), {})
            self.assertIn('cannot be taken over', self.w.log())
        self.w.raw().go('disk1')
        kill(self.pid)

    def test_nonsense(self):
        """Facts are missing, or are none: its clients go on, and it is not crashed into."""
        for adopt in ({'size': 'big'}, {'clients': [{}, 7, None, {'id': 'x', 'peer': 9}]},
                      {'snapshots': [{'id': -1, 'state': 'complete', 'path': 7}, 'x']},
                      {'clients': {'x': 1}, 'since': 'now', 'last_client': -5},
                      {'image': None, 'mode': 3, 'export': ['x'], 'control': '/'}):
            self.say('disk0.img', adopt=adopt)
            self.survive(self.w)
            self.assertEqual(self.w.status()['exports'], 2)
            self.w.raw().go('disk1')
        for adopt in ({'pid': None}, {'pid': -1}, {'pid': 1 << 30}, {'pid': 'x'}):
            self.say('disk0.img', adopt=adopt)
            self.survive(self.w)
            self.assertIn('cannot be taken over', self.w.log())
        kill(self.pid)

    def test_has_a_master_already(self):
        self.say('disk0.img', refuse={'adopt': {'error': 'there is one', 'master': 1}})
        self.survive(self.w)
        self.assertIn('there is one', self.w.log())
        self.assertEqual(self.apart(self.w), {})
        kill(self.pid)

    def test_that_dies_when_it_is_asked(self):
        self.say('disk0.img', die_on=['adopt'])
        self.survive(self.w)
        self.assertEqual(self.w.status()['servers'], 0)
        self.say('disk0.img')
        self.w.raw().go('disk0')

    def test_that_answers_late(self):
        self.say('disk0.img', silent=['adopt'])
        began = time.monotonic()
        self.survive(self.w)
        self.assertLess(time.monotonic() - began, ADOPT_SECONDS + 3)
        self.assertEqual(list(self.apart(self.w).values()), ['it does not answer'])
        self.w.raw().go('disk1')


class Silent(SuccessorCase):
    """Stopped servers (SIGSTOP) do not hold up the start."""

    def stop_all(self, pids):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(kill, pid, signal.SIGCONT)

    def test_several(self):
        w = self.wrap(exports=self.files(4))
        clients = [w.enter(f'disk{i}') for i in range(4)]
        workers = [w.worker(f'disk{i}') for i in range(4)]
        self.stop_all(workers[:3])
        began = time.monotonic()
        self.survive(w)
        self.assertLess(time.monotonic() - began, ADOPT_SECONDS + 2)
        self.assertEqual(sorted(a['reason'] for a in w.status()['apart']),
                         ['it does not answer'] * 3)
        self.assertEqual(w.log().count('does not answer; taken over when it does'), 3)
        self.assertEqual(w.worker('disk3'), workers[3])
        for pid in workers[:3]:
            os.kill(pid, signal.SIGCONT)
        xtest.wait_for(lambda: not w.status()['apart'], 'are taken over')
        self.assertEqual([w.worker(f'disk{i}') for i in range(4)], workers)
        for i, client in enumerate(clients):
            self.assertTrue(client.in_sync() and w.enter(f'disk{i}').in_sync())

    def test_exclusive(self):
        """As long as it has not said who writes, nobody else may."""
        w = self.wrap(exports={'x': {'image': self.image(MIB, 'i'), 'exclusive': 'writer'}})
        writer, worker = w.enter('x'), w.worker('x')
        self.stop_all([worker])
        self.survive(w)
        self.assertIn('has not told its clients yet', w.go_refused('x')[1])
        os.kill(worker, signal.SIGCONT)
        xtest.wait_for(lambda: not w.status()['apart'], 'is taken over')
        self.assertTrue(writer.in_sync() and w.enter('x').in_sync())
        self.assertEqual(w.client_count('x'), 2)

    def test_shutdown(self):
        """It hears of it when it goes on."""
        w = self.wrap(exports=self.files(1))
        client, worker = w.enter('disk0'), w.worker('disk0')
        self.stop_all([worker])
        self.survive(w)
        w.stop()
        os.kill(worker, signal.SIGCONT)
        xtest.wait_for(lambda: not is_running(worker), 'ends', 15)
        client.expect_end()


class Folders(SuccessorCase):
    def test_dead_sockets_are_removed(self):
        w = self.wrap(exports=self.files(1))
        client = w.enter('disk0')
        self.crash(w)
        folder = w.control + '.d'
        for name in ('w7-99-3', 'p7-99-4'):
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(f'{folder}/{name}')
        for name in ('w9', 'note'):
            with open(f'{folder}/{name}', 'w'):
                pass
        live = set(os.listdir(folder)) - {'w7-99-3', 'p7-99-4'}
        self.succeed(w)
        self.assertEqual(set(os.listdir(folder)), live - {'w9'})
        os.unlink(f'{folder}/note')
        self.assertTrue(client.in_sync())

    def test_another_control_socket(self):
        """Its servers are elsewhere: those of the first one go on by themselves."""
        w = self.wrap(exports=self.files(1))
        client, worker = w.enter('disk0'), w.worker('disk0')
        self.crash(w)
        w.daemon.argv += ['--socket', self.path('other')]
        w.control = self.path('other')
        self.succeed(w)
        self.assertEqual((w.status()['servers'], self.apart(w)), (0, {}))
        self.assertTrue(client.in_sync() and w.enter('disk0').in_sync())
        client.disconnect()
        xtest.wait_for(lambda: not is_running(worker), 'ends with its last client', 15)

    def test_another_user(self):
        """It may not even look: it says so, and does not serve the images a second time."""
        self.require(root=True)
        os.chmod(self.dir, 0o777)
        w = self.wrap(exports=self.files(1))
        client = w.enter('disk0')
        os.chmod(self.path('disk0.img'), 0o666)
        self.crash(w)
        for path in (w.control, w.socket):
            os.unlink(path)
        p = self.run_cmd(*w.daemon.argv, '--dbpath', self.path('theirs'), status=None, seconds=20,
                         user=NOBODY, group=NOBODY)
        self.assertEqual(p.returncode, 1, p.stderr)
        self.assertIn(f'folder {w.control}.d: Permission denied', p.stderr)
        self.assertTrue(client.in_sync())
        self.succeed(w)
        self.assertEqual(w.client_count('disk0'), 1)


if __name__ == '__main__':
    xtest.main()
