#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-wrapper-ctl upgrade: the master becomes another program, and no client notices."""

import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import MIB, config_text, is_running, kill  # noqa: E402
from wrapper_successor import SuccessorCase  # noqa: E402


PIDFD_GETFD = 438  # number of the system call, on all but Alpha


def copy_sockets(pid):
    """Our own descriptors of all sockets of a process."""
    pidfd, folder = os.pidfd_open(pid), f'/proc/{pid}/fd'
    sockets = [int(fd) for fd in os.listdir(folder)
               if os.readlink(f'{folder}/{fd}').startswith('socket:')]
    copies = [ctypes.CDLL(None).syscall(PIDFD_GETFD, pidfd, fd, 0) for fd in sockets]
    os.close(pidfd)
    return copies


class Handshakes(SuccessorCase):
    """Half of it before, half after."""

    def test_each_step(self):
        w = self.wrap(exports=self.files(2, pattern=True))
        before = w.negotiator()
        greeted, asked, listed = w.raw(), w.raw(), w.raw()
        asked.agree(rawnbd.OPT_STRUCTURED_REPLY)
        cut = w.raw()
        whole = cut.go_bytes('disk0')
        cut.send(whole[:20])
        self.upgrade(w)
        self.assertNotEqual(w.negotiator(), before)
        self.assertTrue(is_running(before), 'has clients')
        self.assertEqual(len(listed.option(rawnbd.OPT_LIST)), 3)
        cut.send(whole[20:])
        cut.take_infos()
        for client, name in ((greeted, 'disk0'), (asked, 'disk1'), (listed, 'disk1')):
            client.go(name)
        for client, name in ((greeted, 0), (asked, 1), (listed, 1), (cut, 0)):
            with open(self.path(f'disk{name}.img'), 'rb') as f:
                self.assertEqual(client.call(rawnbd.READ, 0, 4096).data, f.read(4096))
        self.assertEqual((w.client_count('disk0'), w.client_count('disk1')), (2, 2))
        xtest.wait_for(lambda: not is_running(before), 'ends with the last handshake', 5)

    def test_copies_of_its_sockets(self):
        """A child has them until it is another program; so the servers still see the master of
        before. Here it takes its time."""
        w = self.wrap(exports=self.files(2))
        clients = [w.enter('disk0'), w.enter('disk1')]
        copies = copy_sockets(w.pid)
        late = threading.Timer(1, lambda: [os.close(fd) for fd in copies])
        late.start()
        answer = self.upgrade(w)
        late.join()
        self.assertEqual(answer['clients'], 2)
        self.assertTrue(all(c.in_sync() for c in clients))

    def test_through_several(self):
        """Each upgrade leaves one more negotiator behind that has a client."""
        w = self.wrap(exports=self.files(1))
        clients, negotiators = [], []
        for _ in range(4):
            clients.append(w.raw())
            negotiators.append(w.negotiator())
            self.upgrade(w)
        w.ctl('--add-target', 'late', self.image(2 * MIB, 'late'))
        w.ctl('--remove-by-exportname', 'disk0')
        self.assertTrue(all(is_running(p) for p in negotiators))
        for client in clients:
            xtest.wait_for(lambda c=client: list(c.list()) == ['late'], 'it has heard of both')
            client.go('late')
            self.assertTrue(client.in_sync())
        xtest.wait_for(lambda: not any(is_running(p) for p in negotiators), 'all end', 5)

    def test_answer_that_is_outstanding(self):
        """The server of an export starts slowly: asked before, answered after."""
        slow = self.script('slow-server', f'sleep 1.5\nexec {xtest.program("xnbd-server")} "$@"\n')
        w = self.wrap('--xnbd-server', slow, exports=self.files(1))
        clients = [w.raw() for _ in range(3)]
        for client in clients:
            client.send(client.go_bytes('disk0'))
        xtest.wait_for(lambda: w.status()['servers'] == 1, 'it starts')
        self.upgrade(w)
        for client in clients:
            client.take_infos()
            self.assertTrue(client.in_sync())
        self.assertEqual(w.status()['servers'], 1)

    def test_shutdown_reaches_them(self):
        w = self.wrap(exports=self.files(1))
        client, before = w.raw(), w.negotiator()
        self.upgrade(w)
        w.ctl('--shutdown')
        self.assertEqual(w.daemon.wait(10), 0)
        self.assertFalse(is_running(before))
        client.expect_end()

    def test_retired_one_that_is_killed(self):
        w = self.wrap(exports=self.files(1))
        client, before = w.raw(), w.negotiator()
        self.upgrade(w)
        kill(before)
        client.expect_end()
        self.assertTrue(w.enter('disk0').in_sync())
        self.assertNotIn('the negotiator ended', w.log())


class State(SuccessorCase):
    def test_everything_is_shown_as_before(self):
        exports = self.files(3)
        w = self.wrap(exports=exports)
        w.ctl('--add-target', 'gone', self.image(MIB, 'gone'))
        w.ctl('--add-target', 'added', self.image(MIB, 'added'))
        w.ctl('--remove-by-exportname', 'gone')
        clients = [w.enter(n) for n in ('disk0', 'disk0', 'disk2', 'added')]
        before, status = self.shown(w), w.status()
        self.upgrade(w)
        self.assertEqual(self.shown(w), before)
        after = w.status()
        for key in ('pid', 'exports', 'servers', 'clients', 'listening', 'state_file'):
            self.assertEqual(after[key], status[key], key)
        self.assertGreaterEqual(after['seconds'], status['seconds'])
        self.assertEqual((after['upgrades'], after['apart']), (1, []))
        newest = max(c['id'] for c in before[1])
        self.assertTrue(w.enter('disk1').in_sync() and clients)
        self.assertEqual(max(c['id'] for c in self.shown(w)[1]), newest + 1)
        w.ctl('--add-target', 'next', self.image(MIB, 'next'))
        self.assertEqual(w.export('next')['index'], w.export('added')['index'] + 1)

    def test_clients_leave_and_servers_end(self):
        w = self.wrap(exports='wrapper { handshake-timeout = 1 }\n' + config_text(self.files(1)))
        client, worker = w.enter('disk0'), w.worker('disk0')
        self.upgrade(w)
        client.disconnect()
        self.settle_count(w, 0)
        xtest.wait_for(lambda: not is_running(worker), 'it is ended when idle', 25)
        self.assertTrue(w.enter('disk0').in_sync())

    def test_server_that_dies(self):
        """It is our child still."""
        w = self.wrap(exports=self.files(1))
        client = w.enter('disk0')
        self.upgrade(w)
        worker = w.worker('disk0')
        self.kill_worker(w, worker)
        client.expect_end()
        xtest.wait_for(lambda: f'pid {worker}) was killed by signal 9; 1 clients lost' in w.log(),
                       'logged')
        self.assertEqual(w.status()['clients'], 0)
        self.assertEqual(self.worker_sockets(w), [])

    def test_server_that_is_ended_by_hand(self):
        """As it is done to get one of the new version; no pause before the next start."""
        w = self.wrap(exports=self.files(1))
        client, worker = w.enter('disk0'), w.worker('disk0')
        self.upgrade(w)
        os.kill(worker, signal.SIGTERM)
        client.expect_end()
        xtest.wait_for(lambda: w.worker('disk0') != worker, 'its end is noticed')
        self.assertTrue(w.enter('disk0').in_sync())
        self.assertNotIn(w.worker('disk0'), (None, worker))

    def test_idle_server_is_kept_for_the_next_one(self):
        """It may say that it is idle just when nobody hears it."""
        w = self.wrap(exports=self.files(1))
        w.enter('disk0').disconnect()
        worker = w.worker('disk0')
        for _ in range(8):
            self.upgrade(w)
            time.sleep(0.4)
        self.assertEqual(w.worker('disk0'), worker)

    def test_snapshots(self):
        w = self.wrap(exports=self.files(1, pattern=True))
        writer = self.writer(w, 'disk0', 8)
        first = json.loads(w.ctl('--json', 'snapshot', 'disk0'))
        second = json.loads(w.ctl('--json', 'snapshot', 'disk0'))
        xtest.wait_for(lambda: all(s['state'] == 'complete' for s in
                                   json.loads(w.ctl('--json', 'snapshots'))), 'complete')
        names = [f'disk0@{s["id"]}' for s in (first, second)] + ['disk0@snapshot']
        clients = [w.enter(n) for n in names]
        before, data = self.shown(w), [c.read(0, 65536) for c in clients]
        self.upgrade(w)
        self.assertEqual(self.shown(w), before)
        self.assertEqual([c.read(0, 65536) for c in clients], data)
        self.assertEqual([w.enter(n).read(0, 65536) for n in names], data)
        w.ctl('drop-snapshot', 'disk0', str(first['id']))
        self.assertNotIn(names[0], [e['name'] for e in w.list()])
        writer.finish()

    def test_snapshots_with_servers_of_their_own(self):
        """Their export's server has ended; nobody else would know of them."""
        w = self.wrap(exports=self.files(1, pattern=True))
        made = json.loads(w.ctl('--json', 'snapshot', 'disk0'))
        xtest.wait_for(lambda: 'is complete' in w.log(), 'complete')
        old = w.worker('disk0')
        self.kill_worker(w, old)
        names = [f'disk0@{made["id"]}', 'disk0@snapshot']
        clients = [w.enter(n) for n in names]
        data, before = clients[0].read(0, 65536), self.shown(w)
        self.upgrade(w)
        self.assertEqual(self.shown(w), before)
        self.assertEqual([c.read(0, 65536) for c in clients], [data] * 2)
        self.assertEqual([w.enter(n).read(0, 65536) for n in names], [data] * 2)

    def test_changed_configuration(self):
        """It is read again: what is new is served, what is gone goes on for its clients."""
        images = self.files(3)
        w = self.wrap(exports=images)
        clients = {n: w.enter(n) for n in images}
        workers = {n: w.worker(n) for n in images}
        path = w.argv[w.argv.index('--config') + 1]
        del images['disk0']
        images['disk1'] = {'image': images['disk1'], 'readonly': True}
        images['new'] = self.image(MIB, 'new')
        self.assertEqual(self.write_config(images), path)
        self.upgrade(w)
        self.assertEqual({e['name'] for e in w.list()}, {'disk1', 'disk2', 'new'})
        apart = {a['export']: a for a in w.status()['apart']}
        self.assertEqual({n: a['pid'] for n, a in apart.items()},
                         {n: workers[n] for n in ('disk0', 'disk1')})
        self.assertIn('not exported', apart['disk0']['reason'])
        self.assertIn('read-only', apart['disk1']['reason'])
        for client in clients.values():
            self.assertEqual(client.write(0, b'x' * 512).error, 0)
        self.assertTrue(w.enter('new').in_sync())
        self.assertEqual(w.enter('disk1').write(0, b'x' * 512).error, 1)
        for name in ('disk0', 'disk1'):
            clients[name].disconnect()
            xtest.wait_for(lambda n=name: not is_running(workers[n]), f'{name} ends', 20)
        self.assertEqual(w.status()['apart'], [])
        self.assertEqual(w.worker('disk2'), workers['disk2'])


class Daemon(SuccessorCase):
    def test_relative_paths_in_the_background(self):
        """The first one has left the folder it was started in."""
        self.image(MIB, 'disk.img')
        with open(self.path('x.conf'), 'w') as f:
            f.write(f'export "disk" {{ image = "{self.path("disk.img")}" }}\n')
        argv = [xtest.program('xnbd-wrapper'), '--xnbd-server', xtest.program('xnbd-server'),
                '--config', 'x.conf', '--lsocket', 'n', '--socket', 'c', '--dbpath', 's',
                '--logpath', 'log', '--daemonize']
        self.run_cmd(*argv, cwd=self.dir)
        w = self.wrapper_args(control=self.path('c'), state=self.path('s'))
        w.socket = self.path('n')
        client = w.enter('disk')
        pid = w.status()['pid']
        self.addCleanup(kill, pid)
        for _ in range(2):
            self.upgrade(w)
            self.assertEqual((w.status()['pid'], os.readlink(f'/proc/{pid}/cwd')), (pid, '/'))
        self.assertTrue(client.in_sync() and w.enter('disk').in_sync())
        w.ctl('--shutdown')
        xtest.wait_for(lambda: not w.processes(), 'end', 15)

    def test_service_manager(self):
        """It hears that the new program is ready, from the same process."""
        path = self.path('notify')
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(10)
            w = self.wrapper_args('--lsocket', self.path('n'), exports=self.files(1))
            w.socket = self.path('n')
            w.daemon = self.start(w.argv, [w.socket, w.control], env={'NOTIFY_SOCKET': path})
            self.assertIn(b'READY=1', s.recv(4096))
            for _ in range(2):
                self.upgrade(w)
                while b'READY=1' not in (said := s.recv(4096)):
                    self.assertNotIn(b'STOPPING', said)
            w.refused('upgrade', '--binary', '/bin/false')
            self.upgrade(w)
            self.assertIn(b'READY=1', s.recv(4096))
            w.stop()


if __name__ == '__main__':
    xtest.main()
