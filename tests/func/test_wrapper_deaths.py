#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Deaths nobody wanted: kill -9 of worker, negotiator, master; an image that hangs."""

import contextlib
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from comeback import Writers  # noqa: E402
from wrapper_fixture import MIB, REP_ERR_POLICY, is_running, kill  # noqa: E402
from wrapper_writer import WritingCase  # noqa: E402


class WorkerDies(WritingCase):
    def test_its_clients_drop_and_nobody_else_notices(self):
        w = self.wrap(exports=self.files(2))
        lost, writer = w.enter('disk0'), self.writer(w, 'disk1')
        handshake, pids = w.raw(), (w.pid, w.negotiator())
        old = w.worker('disk0')
        self.kill_worker(w, old)
        lost.expect_end()
        xtest.wait_for(lambda: f'disk0: its server (pid {old}) was killed by signal 9; 1 clients lost'
                       in w.log(), 'its end is told')
        again = w.enter('disk0')
        self.assertTrue(again.in_sync())
        self.assertNotEqual(w.worker('disk0'), old)
        handshake.go('disk0')
        self.assertTrue(handshake.in_sync())
        self.go_on(writer)
        writer.finish()
        self.assertEqual((w.pid, w.negotiator()), pids)
        self.assertEqual((w.client_count('disk0'), w.status()['clients']), (2, 3))
        self.assertEqual(len(self.worker_sockets(w)), 2, self.worker_sockets(w))

    def test_again_and_again_while_clients_come(self):
        """Short waits between the starts nobody notices; longer ones are told."""
        w = self.wrap(exports=self.files(2))
        other = w.enter('disk1')
        for wait in (0.1, 0.2, 0.4, 0.8):
            client, begin = w.enter('disk0'), time.monotonic()
            self.kill_worker(w, w.worker('disk0'))
            client.expect_end()
            self.assertTrue(w.enter('disk0').in_sync())
            self.assertGreater(time.monotonic() - begin, wait - 0.05)
        text = self.kill_until_told(w)
        self.assertRegex(text, r'^its server was killed by signal 9; it is started again in \d+ s$')
        self.assertTrue(other.in_sync())
        self.assertTrue(self.comes_in(w, 15).in_sync())
        self.assertNotIn('error', w.export('disk0'))

    def kill_until_told(self, w):
        """Clients are refused while the wait is more than a second; a busy machine may take all of
        that until one comes, and then the next wait is twice as long."""
        for _ in range(4):
            self.kill_worker(w, w.worker('disk0'))
            e, client = w.export('disk0'), w.raw()
            client.send(client.go_bytes('disk0'))
            kind, text = client.option_reply(rawnbd.OPT_GO)
            if kind == REP_ERR_POLICY:
                self.assertEqual(e['error'], 'its server was killed by signal 9')
                self.assertIn(e['retry_seconds'], range(2, 10))
                return text.decode()
            client.close()
        self.fail('nobody is refused')

    def comes_in(self, w, seconds):
        """A client that tries again until it is let in."""
        client, end = w.raw(), time.monotonic() + seconds
        while time.monotonic() < end:
            client.send(client.go_bytes('disk0'))
            kind, text = client.option_reply(rawnbd.OPT_GO)
            if kind != REP_ERR_POLICY:
                return w.enter('disk0')
            time.sleep(0.1)
        self.fail(f'still refused: {text}')

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


class ClientsComeAgain(WritingCase):
    """To a server that is started again, later each time: what was answered is there."""

    def test_under_load(self):
        self.require('nbdinfo')
        w = self.wrap(exports=self.files(2, 4 * MIB))
        writers, other = Writers(w.uri('disk0'), 4 * MIB), self.writer(w, 'disk1')
        for _ in range(6):
            writers.come_again(lambda: kill(w.worker('disk0')))
        writers.finish(refusals=1000)
        self.go_on(other)
        other.finish()


class WorkerDoesNotStart(WritingCase):
    """The server of one export ends at once, for a reason of its own."""

    def setUp(self):
        super().setUp()
        script = self.path('server')
        with open(script, 'w') as f:
            f.write('#!/bin/sh\n'
                    f'case "$*" in *disk0*) if [ -e {self.path("bad")} ]; then\n'
                    f'\tdate +%s.%N >>{self.path("starts")}\n\texit 3\nfi;; esac\n'
                    f'exec {xtest.program("xnbd-server")} "$@"\n')
        os.chmod(script, 0o755)
        open(self.path('bad'), 'w').close()
        self.w = self.wrap('--xnbd-server', script, exports=self.files(2))

    def starts(self):
        return [float(t) for t in xtest.text_of(self.path('starts')).split()]

    def test_not_tried_as_often_as_clients_come(self):
        other, end, texts = self.writer(self.w, 'disk1'), time.monotonic() + 4, set()
        while time.monotonic() < end:
            texts.add(self.w.go_refused('disk0')[1])
        starts = self.starts()
        waits = [b - a for a, b in zip(starts, starts[1:])]
        for wait, least in zip(waits, (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)):
            self.assertGreater(wait, least * 0.9)
        self.assertLess(len(starts), 7)
        self.assertIn('the server of this export could not be started', texts)
        self.assertTrue(any('; it is started again in ' in t for t in texts), texts)
        self.assertIn('its server (pid', self.w.log())
        self.go_on(other)
        other.finish()
        os.unlink(self.path('bad'))
        xtest.wait_for(lambda: self.gets_in(), 'it is served again', 8)

    def gets_in(self):
        client = self.w.raw()
        client.send(client.go_bytes('disk0'))
        kind, text = client.option_reply(rawnbd.OPT_GO)
        return kind != REP_ERR_POLICY

    def test_command_waits_for_it(self):
        """A control command, unlike a client, waits until the server may be started."""
        for _ in range(5):
            self.w.go_refused('disk0')
        os.unlink(self.path('bad'))
        self.assertIn('"mode": "target"', self.w.ctl('query', 'disk0', '--json'))


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


class ImageHangs(WritingCase):
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
        known = {self.w.pid, self.w.negotiator()}
        client = self.w.raw()
        client.send(client.go_bytes('hang', option=rawnbd.OPT_INFO))
        [probe] = xtest.wait_for(lambda: self.w.processes() - known, 'probe')
        return client, probe

    def test_others_are_served_and_the_client_is_told(self):
        client, probe = self.ask()
        self.assertTrue(self.w.enter('good').in_sync())
        self.assertEqual(len(self.w.list()), 2)
        xtest.wait_for(lambda: self.sockets_of(probe) == [], 'it has no sockets')
        kind, text = client.option_reply(rawnbd.OPT_INFO)
        self.assertEqual(kind, REP_ERR_POLICY)
        self.assertIn('timed out', text.decode())
        xtest.wait_for(lambda: not is_running(probe), 'probe is killed')
        client.go('good')

    def sockets_of(self, pid):
        """It may be closing them just now."""
        found = []
        for fd in os.listdir(f'/proc/{pid}/fd'):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f'/proc/{pid}/fd/{fd}'))
        return [f for f in found if f.startswith('socket:')]

    def test_master_may_end_meanwhile(self):
        self.ask()
        self.w.stop(seconds=10)
        xtest.wait_for(lambda: not self.w.processes(), 'no process left')

    def test_master_may_be_killed_meanwhile(self):
        self.ask()
        kill(self.w.pid)
        self.w.daemon.process.wait()
        xtest.wait_for(lambda: not self.w.processes(), 'no process left')


class NegotiatorDies(WritingCase):
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
        self.assertEqual(list(w.raw().list()), ['disk0', 'disk2', 'late'])

    def test_changes_while_there_is_none(self):
        w = self.wrap(exports=self.files(1))
        kill(w.negotiator())
        w.ctl('--add-target', 'late', self.image(MIB, 'late'))
        w.ctl('--remove-by-exportname', 'disk0')
        self.assertEqual(list(w.raw().list()), ['late'])

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


class MasterDies(WritingCase):
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
        clients = [w.enter(name) for name in ('disk0', 'disk1')]
        self.assertTrue(all(c.in_sync() for c in clients))
        writer.finish()
        writer.check_file(self, self.path('disk0.img'))
        self.assertEqual(w.worker('disk0'), worker)
        for client in (writer.client, *clients):
            client.disconnect()
        xtest.wait_for(lambda: not is_running(worker), 'it ends without clients', 20)

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
        xtest.wait_for(lambda: w.processes() == {worker}, 'the negotiator ends too')
        self.go_on(writer)
        self.successor(w)
        client = w.enter('disk0')
        self.assertEqual(w.worker('disk0'), worker)
        self.go_on(writer)
        writer.finish()
        writer.check_file(self, self.path('disk0.img'))
        for c in (client, writer.client):
            c.disconnect()
        xtest.wait_for(lambda: not is_running(worker), 'it ends without clients', 20)

    def test_orphan_ends_by_itself(self):
        w = self.wrap(exports=self.files(1))
        writer, worker = self.left_behind(w, 'disk0')
        w.ctl('--orphan')
        self.assertEqual(w.daemon.wait(5), 0)
        writer.finish()
        writer.client.disconnect()
        xtest.wait_for(lambda: not is_running(worker), 'orphan ends without clients', 15)

    def test_orphan_without_clients_leaves_nothing(self):
        w = self.wrap(exports=self.files(1))
        w.enter('disk0').disconnect()
        w.ctl('--orphan')
        self.assertEqual(w.daemon.wait(5), 0)
        xtest.wait_for(lambda: not w.processes(), 'all end', 15)


if __name__ == '__main__':
    xtest.main()
