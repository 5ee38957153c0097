#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ends, wanted and not: kill -9 of worker, negotiator, master; --orphan, SIGTERM and --shutdown."""

import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import MIB, REP_ERR_POLICY, WrapperCase, is_running, kill  # noqa: E402

BLOCK = 65536


class Writer(threading.Thread):
    """Writes generation 1, 2, ... of every block in turn, several in flight, and reads them back.

    A block of generation G is G repeated as 64-bit numbers, so that a torn block shows.
    """

    def __init__(self, client, blocks, depth=8):
        super().__init__()
        self.client, self.blocks, self.depth = client, blocks, depth
        self.done = [0] * blocks  # newest acknowledged generation
        self.sent = [0] * blocks
        self.rounds, self.stopping, self.error = 0, False, None

    @staticmethod
    def content(generation):
        return struct.pack('>Q', generation) * (BLOCK // 8)

    def run(self):
        try:
            while not self.stopping:
                self.round(self.rounds + 1)
                self.rounds += 1
        except (OSError, AssertionError) as e:
            self.error = e

    def round(self, generation):
        for first in range(0, self.blocks, self.depth):
            cookies = {}
            for b in range(first, min(first + self.depth, self.blocks)):
                self.sent[b] = generation
                cookies[1 + b] = b
                self.client.send(self.client.write_bytes(b * BLOCK, self.content(generation),
                                                         cookie=1 + b))
            for _ in range(len(cookies)):
                reply = self.client.reply()
                rawnbd.expect(reply.error == 0, f'WRITE: error {reply.error}')
                self.done[cookies[reply.cookie]] = generation
        at = random.randrange(self.blocks)
        rawnbd.expect(self.client.read(at * BLOCK, BLOCK) == self.content(generation), 'read back')

    def finish(self):
        """Ends it and passes its error on."""
        self.stopping = True
        self.join()
        if self.error:
            raise self.error

    def check_file(self, case, path):
        """Every block is whole, and at least as new as what was acknowledged."""
        with open(path, 'rb') as f:
            for b in range(self.blocks):
                data = f.read(BLOCK)
                generation, = struct.unpack('>Q', data[:8])
                case.assertEqual(data, self.content(generation), f'block {b} is torn')
                case.assertGreaterEqual(generation, self.done[b], f'block {b} lost a write')
                case.assertLessEqual(generation, self.sent[b])


class Deaths(WrapperCase):
    def writer(self, w, name, blocks=16):
        writer = Writer(w.enter(name), blocks)
        writer.start()
        self.addCleanup(self.end_writer, writer)
        xtest.wait_for(lambda: writer.rounds > 2 or writer.error, 'writes')
        return writer

    def end_writer(self, writer):
        writer.stopping = True
        try:
            writer.client.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        writer.join()

    def go_on(self, writer, rounds=5):
        """The writer must make progress from here on."""
        target = writer.rounds + rounds
        xtest.wait_for(lambda: writer.rounds > target or writer.error, 'progress')
        self.assertIsNone(writer.error)


class WorkerDies(Deaths):
    def test_its_clients_drop_and_nobody_else_notices(self):
        w = self.wrap(exports=self.files(2))
        lost, writer = w.enter('disk0'), self.writer(w, 'disk1')
        handshake, pids = w.raw(), (w.pid, w.negotiator())
        old = w.worker('disk0')
        kill(old)
        lost.expect_end()
        again = w.enter('disk0')
        self.assertTrue(again.in_sync())
        self.assertNotEqual(w.worker('disk0'), old)
        handshake.go('disk0')
        self.assertTrue(handshake.in_sync())
        self.go_on(writer)
        writer.finish()
        self.assertEqual((w.pid, w.negotiator()), pids)
        self.assertIn(f'disk0: its server (pid {old}) was killed by signal 9; 1 clients lost',
                      w.log())
        self.assertEqual((w.client_count('disk0'), w.status()['clients']), (2, 3))
        self.assertEqual(len(self.worker_sockets(w)), 2, 'socket of the dead one is removed')

    def test_again_and_again_while_clients_come(self):
        w = self.wrap(exports=self.files(1))
        for _ in range(10):
            client = w.enter('disk0')
            kill(w.worker('disk0'))
            client.expect_end()
            self.assertTrue(w.enter('disk0').in_sync())

    def test_stuck_worker_does_not_hold_others_up(self):
        """One that is stopped (SIGSTOP) takes no clients; other exports, lists, control go on."""
        w = self.wrap(exports=self.files(2))
        w.enter('disk0')
        stuck = w.worker('disk0')
        os.kill(stuck, signal.SIGSTOP)
        self.addCleanup(kill, stuck)
        waiting = [w.raw() for _ in range(20)]
        for client in waiting:
            client.send(client.go_bytes('disk0'))
        self.assertTrue(w.enter('disk1').in_sync())
        self.assertEqual(len(w.list()), 2)
        os.kill(stuck, signal.SIGCONT)
        for client in waiting:
            client.take_infos()
            self.assertTrue(client.in_sync())


HANG = """
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#define HANG(name) \\
int name(const char *path, int flags, ...) \\
{ \\
	int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \\
	va_list ap; \\
	int mode; \\
	va_start(ap, flags); \\
	mode = va_arg(ap, int); \\
	va_end(ap); \\
	while (strstr(path, "hang.img")) \\
		sleep(1); \\
	return next(path, flags, mode); \\
}
HANG(open)
HANG(open64)
HANG(__open_2)
HANG(__open64_2)
"""


class ImageHangs(Deaths):
    """Opening the image never ends, as on a file server that is dead."""

    def setUp(self):
        super().setUp()
        env = self.preload('#undef _FORTIFY_SOURCE\n' + HANG)
        exports = {'hang': self.image(MIB, 'hang.img'), 'good': self.image(MIB, 'good.img')}
        self.w = self.wrapper_args('--lsocket', self.path('n'), exports=exports)
        self.w.socket = self.path('n')
        self.w.daemon = self.start(self.w.argv, [self.w.socket, self.w.control], env=env)
        self.addCleanup(self._settle, self.w)

    def ask(self):
        """A client whose INFO hangs, and the process that hangs for it."""
        known = self.w.processes()
        client = self.w.raw()
        client.send(client.go_bytes('hang', option=rawnbd.OPT_INFO))
        [probe] = xtest.wait_for(lambda: self.w.processes() - known, 'probe')
        return client, probe

    def test_others_are_served_and_the_client_is_told(self):
        client, probe = self.ask()
        self.assertTrue(self.w.enter('good').in_sync())
        self.assertEqual(len(self.w.list()), 2)
        sockets = [os.readlink(f'/proc/{probe}/fd/{n}') for n in os.listdir(f'/proc/{probe}/fd')]
        self.assertEqual([s for s in sockets if s.startswith('socket:')], [])
        kind, text = client.option_reply(rawnbd.OPT_INFO)
        self.assertEqual(kind, REP_ERR_POLICY)
        self.assertIn('timed out', text.decode())
        xtest.wait_for(lambda: not is_running(probe), 'probe is killed')
        client.go('good')

    def test_master_may_end_meanwhile(self):
        self.ask()
        self.w.stop(seconds=10)
        xtest.wait_for(lambda: not self.w.processes(), 'no process left')

    def test_master_may_be_killed_meanwhile(self):
        self.ask()
        kill(self.w.pid)
        self.w.daemon.process.wait()
        xtest.wait_for(lambda: not self.w.processes(), 'no process left')


class NegotiatorDies(Deaths):
    def test_clients_go_on_and_new_ones_come(self):
        w = self.wrap(exports=self.files(2))
        writer, worker = self.writer(w, 'disk0'), w.worker('disk0')
        shaking = w.raw()
        for _ in range(2):
            old = w.negotiator()
            kill(old)
            client = w.enter('disk1')  # waits in the backlog until there is a new one
            self.assertTrue(client.in_sync())
            self.assertNotEqual(w.negotiator(), old)
            self.go_on(writer)
        shaking.expect_end()
        writer.finish()
        self.assertEqual(w.worker('disk0'), worker)
        self.assertEqual(w.log().count('the negotiator ended (signal 9)'), 2)

    def test_new_one_knows_all_exports(self):
        w = self.wrap(exports=self.files(3))
        w.ctl('--add-target', 'late', self.image(MIB, 'late'))
        w.ctl('--remove-by-exportname', 'disk1')
        kill(w.negotiator())
        names = [d[4:].decode() for _, d in w.raw().option(rawnbd.OPT_LIST)[:-1]]
        self.assertEqual(names, ['disk0', 'disk2', 'late'])

    def test_changes_while_there_is_none(self):
        w = self.wrap(exports=self.files(1))
        kill(w.negotiator())
        w.ctl('--add-target', 'late', self.image(MIB, 'late'))
        w.ctl('--remove-by-exportname', 'disk0')
        names = [d[4:].decode() for _, d in w.raw().option(rawnbd.OPT_LIST)[:-1]]
        self.assertEqual(names, ['late'])

    def test_shutdown_while_there_is_none(self):
        w = self.wrap(exports=self.files(1))
        w.enter('disk0')
        kill(w.negotiator())
        w.ctl('--shutdown')
        self.assertEqual(w.daemon.wait(10), 0)

    def test_answers_for_the_dead_one_do_not_reach_others(self):
        """Lookups of clients that died with it are answered when others wait: not mixed up."""
        server = self.path('slow-server')
        with open(server, 'w') as f:
            f.write('#!/bin/sh\ncase "$*" in *slow*) sleep 2;; *) sleep 3;; esac\n'
                    f'exec {xtest.program("xnbd-server")} "$@"\n')
        os.chmod(server, 0o755)
        exports = {'slow': self.image(MIB, 'slow'), 'other': self.image(2 * MIB, 'other')}
        w = self.wrapper_args('--lsocket', self.path('n'), exports=exports)
        w.argv[2], w.socket = server, self.path('n')
        w.daemon = self.start(w.argv, [w.socket, w.control])
        for _ in range(10):
            client = w.raw()
            client.send(client.go_bytes('slow'))
        xtest.wait_for(lambda: w.status()['servers'] == 1, 'lookup')
        kill(w.negotiator())
        clients = [w.raw() for _ in range(30)]
        for client in clients:
            client.send(client.go_bytes('other'))
        for client in clients:
            client.take_infos()
            self.assertEqual(client.size, 2 * MIB)
        w.stop()


class MasterDies(Deaths):
    def successor(self, w):
        """A new wrapper on the same sockets and files."""
        d = self.start(w.argv + ['--lsocket', w.socket], [w.socket, w.control])
        w.daemon = d
        self.addCleanup(self._settle, w)

    def left_behind(self, w, name):
        writer = self.writer(w, name)
        return writer, w.worker(name)

    def test_clients_go_on_and_a_new_wrapper_serves(self):
        w = self.wrap(exports=self.files(2))
        writer, worker = self.left_behind(w, 'disk0')
        negotiator = w.negotiator()
        shaking = w.raw()
        kill(w.pid)
        w.daemon.process.wait()
        xtest.wait_for(lambda: not is_running(negotiator), 'negotiator ends with its master')
        shaking.expect_end()
        self.go_on(writer)
        self.successor(w)
        self.go_on(writer)
        for name in ('disk0', 'disk1'):
            self.assertTrue(w.enter(name).in_sync())
        writer.finish()
        writer.check_file(self, self.path('disk0.img'))
        self.assertTrue(is_running(worker))
        writer.client.disconnect()
        xtest.wait_for(lambda: not is_running(worker), 'orphan ends without clients', 15)

    def test_worker_in_the_making_is_not_left_for_ever(self):
        w = self.wrap(exports=self.files(1))
        client = w.raw()
        client.send(client.go_bytes('disk0'))
        kill(w.pid)
        w.daemon.process.wait()
        xtest.wait_for(lambda: not w.processes(), 'all end', 15)

    def test_orphan(self):
        w = self.wrap(exports=self.files(1))
        writer, worker = self.left_behind(w, 'disk0')
        self.assertEqual(w.ctl('--orphan'), '')
        self.assertEqual(w.daemon.wait(5), 0)
        self.assertEqual([p for p in (w.control, w.socket) if os.path.exists(p)], [])
        self.assertEqual(w.processes(), {worker})
        self.go_on(writer)
        self.successor(w)
        self.assertTrue(w.enter('disk0').in_sync())
        self.go_on(writer)
        writer.finish()
        writer.check_file(self, self.path('disk0.img'))
        writer.client.disconnect()
        xtest.wait_for(lambda: not is_running(worker), 'orphan ends without clients', 15)

    def test_orphan_without_clients_leaves_nothing(self):
        w = self.wrap(exports=self.files(1))
        w.enter('disk0').disconnect()
        w.ctl('--orphan')
        self.assertEqual(w.daemon.wait(5), 0)
        xtest.wait_for(lambda: not w.processes(), 'all end', 15)


class Shutdown(Deaths):
    """In order: 0 within 10 s, no process left, no write torn or lost."""

    def end_under_load(self, end):
        w = self.wrap(exports=self.files(2, 4 * MIB))
        writers = [self.writer(w, f'disk{i}', 64) for i in range(2)]
        shaking, idle = w.raw(), w.enter('disk0')
        began = time.monotonic()
        end(w)
        self.assertEqual(w.daemon.wait(10), 0, w.log())
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(w.processes(), set())
        for i, writer in enumerate(writers):
            writer.join()
            self.assertIsNotNone(writer.error)
            writer.check_file(self, self.path(f'disk{i}.img'))
        self.assertTrue(shaking and idle)
        self.assertNotIn('killed', w.log())

    def test_sigterm(self):
        self.end_under_load(lambda w: kill(w.pid, signal.SIGTERM))

    def test_sigint(self):
        self.end_under_load(lambda w: kill(w.pid, signal.SIGINT))

    def test_control(self):
        self.end_under_load(lambda w: w.ctl('--shutdown'))

    def test_twice(self):
        def both(w):
            w.ctl('--shutdown')
            kill(w.pid, signal.SIGTERM)
            w.ctl('--shutdown', status=None)
        self.end_under_load(both)

    def test_under_fio(self):
        self.require('fio')
        w = self.wrap(exports=self.files(1, 8 * MIB))
        fio = self.spawn(['fio', '--name=load', '--ioengine=nbd', f'--uri={w.uri("disk0")}',
                          '--rw=randrw', '--bs=4k', '--size=8M', '--iodepth=32', '--time_based',
                          '--runtime=60', '--thread'], cwd=self.dir)
        xtest.wait_for(lambda: w.client_count('disk0') > 0, 'fio')
        time.sleep(0.5)
        w.stop(seconds=10)
        self.assertEqual(w.processes() - {fio.pid} - self.children(fio.pid), set())

    @staticmethod
    def children(pid):
        found = subprocess.run(['pgrep', '-P', str(pid)], capture_output=True, text=True).stdout
        return {int(p) for p in found.split()}

    def test_client_that_reads_nothing_is_cut(self):
        """It holds the end up for the grace period, no longer."""
        w = self.wrap(exports=self.files(1, 8 * MIB))
        client = w.enter('disk0')
        for _ in range(8):
            client.request(rawnbd.READ, 0, 8 * MIB)
        time.sleep(0.2)
        w.stop(seconds=10)

    def test_client_in_the_middle_of_a_request_is_cut(self):
        """While its worker gives it time, handshakes are told ERR_SHUTDOWN."""
        w = self.wrap(exports=self.files(1))
        busy, shaking = w.enter('disk0'), w.raw()
        busy.send(busy.write_bytes(0, b'h' * BLOCK)[:1000])
        time.sleep(0.2)
        kill(w.pid, signal.SIGTERM)
        time.sleep(0.3)
        kind, text = shaking.option(rawnbd.OPT_LIST)[-1]
        self.assertEqual((kind, b'shutting down' in text), (rawnbd.REP_ERR + 7, True))
        self.assertEqual(w.daemon.wait(10), 0)
        busy.expect_end()


del Deaths
if __name__ == '__main__':
    xtest.main()
