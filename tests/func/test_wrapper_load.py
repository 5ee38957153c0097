#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Crowds: silent and slow clients, limits, a thousand exports, ten thousand sessions."""

import multiprocessing
import os
import resource
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import MIB, REP_ERR_POLICY, WrapperCase, kill, try_go  # noqa: E402

SANITIZED = xtest.is_sanitized('xnbd-wrapper')
SESSIONS = 1500 if SANITIZED else 10000
EXPORTS = 150 if SANITIZED else 1000
SILENT = 2000
DEADLINE = 10  # seconds an option may take


def setUpModule():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def in_child(function, *args):
    """Runs function(*args) in a process of its own."""
    p = multiprocessing.get_context('fork').Process(target=function, args=args, daemon=True)
    p.start()
    return p


def one_session(address, name):
    with rawnbd.Raw(address) as client:
        client.greet()
        client.go(name)
        client.disconnect()


def many_sessions(address, names, count):
    for i in range(count):
        one_session(address, names[i % len(names)])


def enter_and_wait(address, name):
    client = rawnbd.Raw(address).enter('simple', name)
    client.sock.settimeout(None)
    client.recv(1)


def stop_in_handshake(address, after):
    """Dies at some point of the handshake."""
    client = rawnbd.Raw(address)
    data = struct.pack('>I', 3) + client.go_bytes('disk0')
    client.send(data[:after % len(data)])
    kill(os.getpid())


class Silent(WrapperCase):
    def latencies(self, w, client, seconds):
        """Longest READ of a connected client and longest whole session of a new one."""
        read = session = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            t0 = time.monotonic()
            client.in_sync()
            t1 = time.monotonic()
            one_session(w.address, 'disk0')
            read, session = max(read, t1 - t0), max(session, time.monotonic() - t1)
        return read, session

    def test_two_thousand_cost_no_service(self):
        w = self.wrap_tcp(exports=self.files(1))
        client = w.enter('disk0')
        crowd = [xtest.connect(w.address) for _ in range(SILENT)]
        self.addCleanup(lambda: [s.close() for s in crowd])
        for s in crowd:
            self.assertEqual(s.recv(18)[:8], rawnbd.NBDMAGIC)
        read, session = self.latencies(w, client, 2)
        self.assertLess(read, 1)
        self.assertLess(session, 2)
        self.assertEqual(w.status()['clients'], 1)
        if not SANITIZED:
            self.assertLess(xtest.pss(w.negotiator()), 32 * MIB)

    def test_deadline_cuts_the_slow_and_the_silent(self):
        """One option may take 10 seconds, bytes in between do not prolong that."""
        w = self.wrap(exports=self.files(1))
        worker_began = time.monotonic()
        w.enter('disk0').disconnect()
        silent, slow, half = rawnbd.Raw(w.address), w.raw(), w.raw()
        half.send(half.go_bytes('disk0')[:20])
        option = slow.go_bytes('disk0')
        began, ended = time.monotonic(), {}
        for client in (silent, slow, half):
            client.sock.settimeout(0.05)
        silent.recv(18)
        for i in range(DEADLINE + 4):
            try:
                slow.send(option[i:i + 1])
            except OSError:
                pass  # cut already
            self.watch((silent, slow, half), began + i + 1, ended)
        self.assertEqual(len(ended), 3, 'still connected')
        for at in ended.values():
            self.assertTrue(DEADLINE - 1 < at - began < DEADLINE + 3, at - began)
        self.assertIn('deadline passed', w.log())
        xtest.wait_for(lambda: w.status()['servers'] == 0, 'idle worker ends by itself', 10)
        self.assertGreater(time.monotonic() - worker_began, 3)
        self.assertEqual(self.worker_sockets(w), [])

    @staticmethod
    def watch(clients, until, ended):
        """Notes who is closed when, until that time."""
        while time.monotonic() < until:
            for client in clients:
                if client in ended:
                    continue
                try:
                    client.expect_end()
                    ended[client] = time.monotonic()
                except TimeoutError:
                    pass

    def test_killed_in_the_middle_of_a_handshake(self):
        w = self.wrap(exports=self.files(1))
        before = xtest.count_fds(w.negotiator())
        for i in range(60):
            in_child(stop_in_handshake, w.address, i).join()
        one_session(w.address, 'disk0')
        xtest.wait_for(lambda: xtest.count_fds(w.negotiator()) <= before, 'sockets closed')

    def test_client_that_reads_no_replies(self):
        w = self.wrap(exports=self.files(1, 8 * MIB))
        deaf = [w.enter('disk0') for _ in range(3)]
        for client in deaf:
            for _ in range(16):
                client.request(rawnbd.READ, 0, 8 * MIB)
        other, began = w.enter('disk0'), time.monotonic()
        for _ in range(50):
            self.assertEqual(len(other.read(0, 65536)), 65536)
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(w.status()['clients'], 4)
        for client in deaf:
            client.close()
        xtest.wait_for(lambda: w.status()['clients'] == 1, 'they are gone')
        self.assertTrue(other.in_sync())

    def test_client_that_reads_no_option_replies(self):
        w = self.wrap(exports={f'{i}' + 'n' * 4000: self.image(MIB) for i in range(100)})
        deaf = w.raw()
        deaf.sock.settimeout(0.2)
        try:
            while True:
                deaf.send(deaf.option_bytes(rawnbd.OPT_LIST) * 100)
        except TimeoutError:
            pass
        one_session(w.address, '0' + 'n' * 4000)
        if not SANITIZED:
            self.assertLess(xtest.pss(w.negotiator()), 32 * MIB)


class Limits(WrapperCase):
    def refused(self, w):
        client = w.raw()
        kind, text = try_go(client, 'disk0')
        self.assertEqual(kind, REP_ERR_POLICY)
        self.assertIn('limit', text)
        return client

    def freed(self, w, count):
        xtest.wait_for(lambda: w.status()['clients'] == count, f'{count} clients left')

    def test_max_clients(self):
        w = self.wrap('--max-clients', '3', exports=self.files(2))
        inside = [w.enter('disk0'), w.enter('disk0'), w.enter('disk1')]
        waiting = self.refused(w)
        self.assertIn('3 clients', try_go(waiting, 'disk1')[1])
        waiting.send(waiting.go_bytes('disk0', option=rawnbd.OPT_INFO))  # asking is free
        waiting.take_infos(rawnbd.OPT_INFO)
        inside[0].disconnect()
        self.freed(w, 2)
        waiting.go('disk0')
        self.assertTrue(waiting.in_sync())
        self.refused(w)
        self.assertTrue(all(c.in_sync() for c in inside[1:]))

    def test_export_name_is_closed(self):
        w = self.wrap('--max-clients', '1', exports=self.files(1))
        w.enter('disk0')
        client = w.raw()
        client.send(client.option_bytes(rawnbd.OPT_EXPORT_NAME, b'disk0'))
        client.expect_end()

    def test_slots_are_freed_when_clients_are_killed(self):
        w = self.wrap('--max-clients', '4', exports=self.files(1))
        children = [in_child(enter_and_wait, w.address, 'disk0') for _ in range(4)]
        self.freed(w, 4)
        self.refused(w)
        for child in children:
            kill(child.pid)
            child.join()
        self.freed(w, 0)
        self.assertTrue(w.enter('disk0').in_sync())

    def test_slots_are_freed_when_the_worker_is_killed(self):
        w = self.wrap('--max-clients', '2', exports=self.files(1))
        for _ in range(2):
            w.enter('disk0')
        kill(w.worker('disk0'))
        self.freed(w, 0)
        self.assertTrue(w.enter('disk0').in_sync())

    def from_address(self, w, source):
        s = xtest.socket.create_connection(w.address, 10, (source, 0))
        self.addCleanup(s.close)
        client = rawnbd.Raw(s)
        client.greet()
        return client

    def test_max_clients_per_peer(self):
        w = self.wrap_tcp('--max-clients-per-peer', '2', exports=self.files(1))
        for _ in range(2):
            self.from_address(w, '127.0.0.2').go('disk0')
        kind, text = try_go(self.from_address(w, '127.0.0.2'), 'disk0')
        self.assertEqual(kind, REP_ERR_POLICY)
        self.assertIn('of this address', text)
        self.assertTrue(w.enter('disk0').in_sync())

    def try_to_enter(self, w, entered):
        client = w.raw()
        try:
            client.go('disk0')
            client.in_sync()
            entered.append(client)
        except (rawnbd.ProtocolError, OSError):
            pass

    def test_never_more_than_the_limit(self):
        w = self.wrap('--max-clients', '4', exports=self.files(1))
        entered = []
        xtest.in_threads(*[lambda: self.try_to_enter(w, entered) for _ in range(24)])
        self.assertEqual(len(entered), 4)
        self.assertEqual(w.status()['clients'], 4)


class Thousand(WrapperCase):
    def test_exports(self):
        exports = {f'volume {i}': self.image((i + 1) * 4096, f'{i}') for i in range(EXPORTS)}
        w = self.wrap(exports=exports)
        names = list(w.raw().list())
        self.assertEqual(names, list(exports))
        self.assertEqual(len(w.ctl('--list').splitlines()), EXPORTS)
        opened = []
        for i, name in enumerate(exports):
            opened.append(w.enter(name))
            self.assertEqual(opened[-1].size, (i + 1) * 4096)
            if len(opened) > 100:
                opened.pop(0).disconnect()
        self.assertTrue(all(c.read(0, 1) == b'\0' for c in opened))
        if not SANITIZED:
            self.assertLess(xtest.pss(w.pid), 32 * MIB)
            self.assertLess(xtest.pss(w.negotiator()), 32 * MIB)
        xtest.wait_for(lambda: w.status()['clients'] == 100, 'the others are gone')
        w.stop(seconds=20)


class Sessions(WrapperCase):
    def measure(self, w):
        pids = {'master': w.pid, 'negotiator': w.negotiator(),
                'worker0': w.worker('disk0'), 'worker1': w.worker('disk1')}
        return {n: (pid, xtest.count_fds(pid), xtest.pss(pid)) for n, pid in pids.items()}

    def test_short_ones_leave_nothing(self):
        w = self.wrap(exports=self.files(2))
        stay = [w.enter('disk0'), w.enter('disk1')]
        names = ['disk0', 'disk1']
        many_sessions(w.address, names, 300)  # caches and pools are filled
        xtest.wait_for(lambda: w.status()['clients'] == 2, 'all gone')
        before, processes = self.measure(w), w.processes()
        children = [in_child(many_sessions, w.address, names, SESSIONS // 4) for _ in range(4)]
        for child in children:
            child.join()
            self.assertEqual(child.exitcode, 0)
        xtest.wait_for(lambda: w.status()['clients'] == 2, 'all gone')
        xtest.wait_for(lambda: all(now[1] <= before[name][1] for name, now in
                                   self.measure(w).items() if name in before), 'descriptors closed')
        after = self.measure(w)
        self.assertEqual(w.processes(), processes)
        for name, (pid, fds, memory) in before.items():
            self.assertEqual(after[name][0], pid, name)
            self.assertLessEqual(after[name][1], fds, f'{name}: descriptors')
            if not SANITIZED:
                self.assertLess(after[name][2] - memory, MIB, f'{name}: memory')
        self.assertTrue(all(c.in_sync() for c in stay))

    def test_with_workers_that_come_and_go(self):
        """Sessions on many exports, each with a worker of its own that dies at once."""
        w = self.wrap(exports=self.files(10))
        before = xtest.count_fds(w.pid)
        for i in range(40):
            w.enter(f'disk{i % 10}')
            kill(w.worker(f'disk{i % 10}'))
        xtest.wait_for(lambda: w.status()['servers'] == 0, 'all reaped')
        # The connection that asked for the status may still be on its way out.
        xtest.wait_for(lambda: xtest.count_fds(w.pid) <= before, 'descriptors closed')
        self.assertEqual(self.worker_sockets(w), [])


if __name__ == '__main__':
    xtest.main()
