#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A wrapper that was killed, or left by --orphan: the next one takes over its servers, with all they
have, and clients notice nothing."""

import json
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from snapshot_fixture import COPIES_AT_WILL  # noqa: E402
from wrapper_fixture import MIB, config_text, is_running  # noqa: E402
from wrapper_successor import SuccessorCase  # noqa: E402


class Clients(SuccessorCase):
    def test_under_load(self):
        """Writers that never connect again, through crashes and --orphan: no error at all."""
        w = self.wrap(exports=self.files(3, 4 * MIB))
        writers = [self.writer(w, f'disk{i}', 32) for i in range(2)]
        workers = [w.worker(f'disk{i}') for i in range(2)]
        for i in range(8):
            self.survive(w, end=self.orphan if i % 4 == 3 else self.crash)
            for writer in writers:
                self.go_on(writer, 1)
            self.assertEqual([w.worker(f'disk{n}') for n in range(2)], workers)
            self.assertTrue(w.enter('disk2').in_sync())
            self.assertTrue(w.enter('disk0').in_sync())
        self.assertEqual(w.status()['apart'], [])
        for i, writer in enumerate(writers):
            writer.finish()
            writer.check_file(self, self.path(f'disk{i}.img'))

    def test_everything_is_shown_as_before(self):
        exports = self.files(3)
        exports['cow'] = {'image': exports['disk1'], 'mode': 'cow-target'}
        exports['ro'] = {'image': exports['disk1'], 'readonly': True, 'description': 'old'}
        for end in (self.crash, self.orphan):
            w = self.wrap(exports=exports)
            clients = [w.enter(n, mode=m) for n, m in (
                ('disk0', 'structured'), ('disk0', 'extended'), ('disk2', 'simple'),
                ('cow', 'structured'), ('ro', 'structured'))]
            before, serials = self.shown(w), [e['serial'] for e in w.list()]
            self.survive(w, end=end)
            self.assertEqual(self.shown(w), before)
            self.assertEqual([e['serial'] for e in w.list()], serials)
            newest = max(c['id'] for c in before[1])
            clients.append(w.enter('disk1'))
            self.assertEqual(max(c['id'] for c in self.shown(w)[1]), newest + 1)
            for client in clients:
                self.assertTrue(client.in_sync())
                client.disconnect()
            self.settle_count(w, 0)
            w.stop()

    def test_counts_go_on(self):
        w = self.wrap(exports=self.files(1))
        client = w.enter('disk0')
        for i in range(10):
            client.write(i * 4096, b'w' * 4096)

        def totals():
            [server] = json.loads(w.ctl('stats', 'disk0', '--json'))['servers']
            [one] = server['stats']['clients']
            return [(t['requests']['WRITE'], t['bytes_written'], t['requests']['READ'])
                    for t in (server['stats']['total'], one)], one['since']
        before, came = totals(), self.call(w, cmd='clients')['clients'][0]['since']
        self.assertEqual(before[0][0][:2], (10, 40960))
        time.sleep(1.1)
        self.survive(w)
        self.assertEqual(totals(), before)
        [shown] = self.call(w, cmd='clients')['clients']
        self.assertLessEqual(abs(shown['since'] - came), 1)
        self.assertGreaterEqual(shown['seconds'], 1)
        client.write(0, b'w' * 512)
        self.assertEqual(totals()[0][0][:2], (11, 40960 + 512))

    def test_cow_layers_stay(self):
        w = self.wrap(exports={'cow': {'image': self.image(MIB, 'base', 1), 'mode': 'cow-target'}})
        clients = [w.enter('cow') for _ in range(3)]
        for i, client in enumerate(clients):
            client.write(4096, bytes([i]) * 4096)
        self.survive(w)
        clients.append(w.enter('cow'))
        self.assertEqual([c.read(4096, 4096)[:1] for c in clients[:3]], [b'\0', b'\1', b'\2'])
        with open(self.path('base'), 'rb') as f:
            f.seek(4096)
            self.assertEqual(clients[3].read(4096, 4096), f.read(4096))

    def test_servers_end_with_their_clients(self):
        """They are no children of this one: it hears of their ends all the same."""
        w = self.wrap(exports=self.files(2))
        first, second = w.enter('disk0'), w.enter('disk1')
        workers = w.worker('disk0'), w.worker('disk1')
        self.survive(w)
        self.kill_worker(w, workers[0])
        first.expect_end()
        line = f'disk0: its server (pid {workers[0]}) has ended; 1 clients lost'
        xtest.wait_for(lambda: line in w.log(), 'logged')
        self.assertTrue(w.enter('disk0').in_sync())
        w.stop()
        second.expect_end()
        self.assertFalse(any(is_running(p) for p in workers))
        self.assertEqual(self.worker_sockets(w), [])

    def test_idle_server_is_ended(self):
        w = self.wrap(exports='wrapper { handshake-timeout = 1 }\n' + config_text(self.files(1)))
        client = w.enter('disk0')
        self.survive(w)
        worker = w.worker('disk0')
        client.disconnect()
        xtest.wait_for(lambda: not is_running(worker), 'ends when idle', 25)
        self.assertEqual((w.status()['servers'], self.worker_sockets(w)), (0, []))


class Snapshots(SuccessorCase):
    def snapshots(self, w):
        return {s['export']: s['state'] for s in json.loads(w.ctl('snapshots', '--json'))}

    def test_complete_and_under_way(self):
        held, image = self.path('held'), self.image(4 * MIB, 'disk', 3)
        env = {**self.preload(COPIES_AT_WILL, 'copies'), 'COPIES_HELD': held}
        with open(image, 'rb') as f:
            content = f.read()
        w = self.wrapper_args('--lsocket', self.path('n'), exports={'vm': image})
        w.socket = self.path('n')
        w.daemon = self.start(w.argv, [w.socket, w.control], env=env)
        self._ready(w)
        first = json.loads(w.ctl('--json', 'snapshot', 'vm'))
        xtest.wait_for(lambda: set(self.snapshots(w).values()) == {'complete'}, 'complete')
        with open(held, 'w'):
            pass
        second = json.loads(w.ctl('--json', 'snapshot', 'vm'))
        names = [f'vm@{first["id"]}', f'vm@{second["id"]}']
        clients = [w.enter('vm'), w.enter(names[0])]
        for name in (names[1], 'vm@snapshot'):  # reads would wait for the copy
            clients.append(w.raw())
            clients[-1].go(name)
        self.settle_count(w, 4)
        before, worker = self.shown(w), w.worker('vm')
        self.survive(w)
        self.assertEqual(self.shown(w), before)
        self.assertEqual(self.snapshots(w), dict(zip(names, ('complete', 'copying'))))
        os.unlink(held)
        xtest.wait_for(lambda: self.snapshots(w)[names[1]] == 'complete', 'goes on', 20)
        clients[0].write(0, b'n' * MIB)
        for client in (*clients[1:], *(w.enter(n) for n in names)):
            self.assertEqual(client.read(0, 4 * MIB), content)
        self.assertEqual(w.export('vm@snapshot')['snapshot_id'], second['id'])
        self.assertEqual(w.worker('vm'), worker)
        w.ctl('drop-snapshot', 'vm', str(first['id']))
        self.assertEqual(list(self.snapshots(w)), names[1:])

    def test_with_a_server_of_its_own(self):
        """Nobody else knows of it: its export's server is not there any more."""
        w = self.wrap(exports=self.files(1, pattern=True))
        made = json.loads(w.ctl('--json', 'snapshot', 'disk0'))
        xtest.wait_for(lambda: 'is complete' in w.log(), 'complete')
        self.kill_worker(w, w.worker('disk0'))
        names = [f'disk0@{made["id"]}', 'disk0@snapshot']
        client = w.enter(names[0])
        data = client.read(0, MIB)
        self.survive(w)
        self.assertEqual({e['name'] for e in w.list()}, {'disk0', *names})
        self.assertEqual([w.enter(n).read(0, MIB) for n in names], [data] * 2)
        self.assertTrue(client.in_sync())
        self.assertEqual(w.client_count(names[0]), 2)


class Activated(SuccessorCase):
    """systemd keeps the sockets: clients that come while there is no wrapper wait."""

    def start_again(self, w):
        fd = self.door.fileno()
        shell = f'exec 3<&{fd}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
        w.daemon = self.start(['/bin/bash', '-c', shell, 'sh', *w.argv], [w.control],
                              pass_fds=[fd])
        self._ready(w)

    def test_crashes(self):
        self.door = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(self.door.close)
        w = self.wrapper_args(exports=self.files(2, 4 * MIB))
        w.port = self.door.getsockname()[1]
        self.start_again(w)
        writer, worker = self.writer(w, 'disk0', 32), w.worker('disk0')
        for _ in range(3):
            negotiator = w.negotiator()
            self.crash(w)
            xtest.wait_for(lambda pid=negotiator: not is_running(pid), 'negotiator ends too')
            waits = rawnbd.Raw(w.address)
            self.addCleanup(waits.close)
            self.start_again(w)
            waits.enter('structured', 'disk1').read(0, 1)
            self.go_on(writer, 1)
            self.assertEqual(w.worker('disk0'), worker)
        for _ in range(3):
            self.upgrade(w)
            self.go_on(writer, 1)
            self.assertTrue(w.enter('disk1').in_sync())
        self.assertEqual(w.status()['listening'], [f'127.0.0.1:{w.port}'])
        writer.finish()
        writer.check_file(self, self.path('disk0.img'))


if __name__ == '__main__':
    xtest.main()
