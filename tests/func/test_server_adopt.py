#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The master of an xnbd-server (--control-fd): who it is, what it is told, what happens without one."""

import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from snapshot_fixture import Control  # noqa: E402
from xtest import MIB  # noqa: E402

# Another process that is the master, so that it can be killed: adopts, gives as many clients as it
# is told to by its input, without waiting for anything, and sleeps.
OTHER = '''
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b'{"v":1,"cmd":"adopt","protocol":1}\\n')
s.recv(1)
print('ready', flush=True)
pairs = [socket.socketpair() for _ in range(int(sys.stdin.readline()))]
keep = socket.socket(socket.AF_UNIX)
keep.connect(sys.argv[2])
socket.send_fds(keep, [b'x'], [a.fileno() for a, _ in pairs]) if pairs else keep.sendall(b'x')
for i, (_, b) in enumerate(pairs):
    line = '{"v":1,"cmd":"client","id":%d,"features":"structured","fd":true,"quiet":true}\\n'
    if i == 1:
        s.sendall(b'{"v":1,"cmd":"end-client","id":77}\\n')
    socket.send_fds(s, [(line % (100 + i)).encode()], [b.fileno()])
    b.close()
print('given', flush=True)
time.sleep(1000)
'''


class AdoptCase(xtest.Case):
    def setUp(self):
        super().setUp()
        self.socket = self.path('w')
        self.image_path = self.image(4 * MIB, pattern=1)

    def start_server(self, *args, mode=('--target',), operands=None):
        """As a wrapper does it: the socket is bound, and connected to, before."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.socket)
        listener.listen(128)
        with listener:
            first = Control(self.socket)
            self.addCleanup(first.close)
            engine = [f'--engine={xtest.ENGINE}'] if xtest.ENGINE else []
            fd = listener.fileno()
            self.server = self.spawn(
                [xtest.program('xnbd-server'), *mode, '--export-name', 'disk',
                 '--control-fd', str(fd), *engine, *args, '--', *(operands or [self.image_path])],
                pass_fds=[fd])
        return first

    def connect(self):
        c = Control(self.socket)
        self.addCleanup(c.close)
        return c

    def adopt(self, c):
        answer = c.call('adopt', protocol=1)
        self.assertTrue(answer['ok'], answer)
        return answer

    def give(self, c, number, **more):
        """A client; our end of its connection."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        pairs = ''.join(f',"{k}":{str(v).lower()}' for k, v in more.items())
        line = (f'{{"v":1,"cmd":"client","id":{number},"features":"structured","fd":true{pairs}}}'
                '\n')
        with theirs:
            socket.send_fds(c.sock, [line.encode()], [theirs.fileno()])
        self.assertTrue(c.answer()['ok'])
        return self.raw(ours)

    @staticmethod
    def raw(sock):
        client = rawnbd.Raw(sock)
        client.structured, client.size = True, 4 * MIB
        return client

    def other_master(self):
        """A process that has adopted it: (process, socket where clients' ends arrive)."""
        path = self.path('ends')
        door = socket.socket(socket.AF_UNIX)
        self.addCleanup(door.close)
        door.bind(path)
        door.listen(1)
        p = subprocess.Popen([sys.executable, '-c', OTHER, self.socket, path], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(p.stdin.close)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        self.assertEqual(p.stdout.readline(), 'ready\n')
        return p, door


class Answer(AdoptCase):
    def test_of_a_target(self):
        a = self.adopt(self.start_server())
        self.assertEqual(
            (a['protocol'], a['mode'], a['began_as'], a['export'], a['image'], a['size'], a['pid']),
            (1, 'target', 'target', 'disk', self.image_path, 4 * MIB, self.server.pid))
        self.assertEqual((a['told_readonly'], a['ending'], a['copy'], a['control']),
                         (False, False, 'none', ''))
        self.assertEqual((a['clients'], a['snapshots'], a['last_client']), ([], [], 0))
        self.assertLess(abs(a['since'] - time.time()), 20)

    def test_readonly_because_it_was_told_so(self):
        self.assertTrue(self.adopt(self.start_server('--readonly'))['told_readonly'])

    def test_readonly_because_the_file_is(self):
        os.chmod(self.image_path, 0o444)
        answer = self.adopt(self.start_server())
        self.assertFalse(answer['told_readonly'])

    def test_of_a_proxy(self):
        origin = self.serve(self.image_path)
        control = self.path('p')
        answer = self.adopt(self.start_server(
            mode=('--proxy',), operands=[origin.uri, self.path('c'), self.path('b'), control]))
        self.assertEqual((answer['mode'], answer['control'], answer['copy']),
                         ('proxy', control, 'none'))
        bg = Control(control)
        self.addCleanup(bg.close)
        self.assertTrue(bg.call('cache-all')['ok'])
        xtest.wait_for(lambda: self.adopted_by_next()['copy'] == 'done', 'copy')
        self.assertTrue(bg.call('switch')['ok'])
        answer = self.adopted_by_next()
        self.assertEqual((answer['mode'], answer['began_as']), ('target', 'proxy'))

    def adopted_by_next(self):
        """The one before hangs up, the next one adopts."""
        for c in getattr(self, 'masters', []):
            c.close()
        self.masters = [Control(self.socket)]
        self.addCleanup(self.masters[0].close)
        answer = self.masters[0].call('adopt', protocol=1)
        return answer if answer['ok'] else {'copy': None}

    def setUp(self):
        super().setUp()
        self.masters = []

    def start_server(self, *args, **options):
        first = super().start_server(*args, **options)
        self.masters = [first]
        return first

    def test_clients(self):
        c = self.start_server()
        self.adopt(c)
        raws = [self.give(c, 5), self.give(c, 9, readonly=True)]
        self.assertEqual([len(r.read(0, 512)) for r in raws], [512, 512])
        told = self.adopt(c)
        me = f'unix:uid={os.getuid()},pid={os.getpid()}'
        self.assertEqual([(x['id'], x['peer'], x['host'], x['uid'], x['features'], x['readonly'])
                          for x in told['clients']],
                         [(5, me, f'unix:uid={os.getuid()}', os.getuid(), 'structured', False),
                          (9, me, f'unix:uid={os.getuid()}', os.getuid(), 'structured', True)])
        self.assertEqual(told['last_client'], 9)
        raws[1].close()
        xtest.wait_for(lambda: len(self.adopt(c)['clients']) == 1, 'gone')
        self.assertEqual(self.adopt(c)['last_client'], 9)

    def test_clients_by_tcp(self):
        c = self.start_server()
        self.adopt(c)
        with socket.create_server(('127.0.0.1', 0)) as door:
            ours = socket.create_connection(door.getsockname())
            theirs, _ = door.accept()
        self.addCleanup(ours.close)
        with theirs:
            socket.send_fds(c.sock, [b'{"v":1,"cmd":"client","id":1,"features":"simple",'
                                     b'"fd":true}\n'], [theirs.fileno()])
        self.assertTrue(c.answer()['ok'])
        [x] = self.adopt(c)['clients']
        self.assertEqual((x['host'], x['peer']),
                         ('127.0.0.1', '127.0.0.1:%d' % ours.getsockname()[1]))
        self.assertNotIn('uid', x)

    def test_snapshots(self):
        c = self.start_server()
        self.adopt(c)
        made = c.call('snapshot')
        [x] = self.adopt(c)['snapshots']
        self.assertEqual((x['id'], x['path']), (made['id'], made['path']))

    def test_while_it_ends(self):
        c = self.start_server()
        self.adopt(c)
        busy = self.give(c, 1)
        busy.send(busy.write_bytes(0, b'x' * 4096)[:100])
        time.sleep(0.2)
        self.assertTrue(c.call('stop')['ok'])
        self.assertTrue(self.adopt(c)['ending'])


class Masters(AdoptCase):
    def test_one_at_a_time(self):
        first = self.start_server()
        self.adopt(first)
        answer = self.connect().call('adopt', protocol=1)
        self.assertEqual((answer['ok'], answer['master']), (False, os.getpid()))
        self.assertIn(f'pid {os.getpid()}', answer['error'])
        first.close()
        self.adopt(self.connect())

    def test_the_next_one_comes_while_the_last_one_goes(self):
        """Many times: it is never refused because the end was not noticed yet."""
        master = self.start_server()
        for _ in range(200):
            self.adopt(master)
            following = self.connect()
            master.close()
            master = following

    def test_wrong_requests(self):
        c = self.start_server()
        for more in ({}, {'protocol': 2}, {'protocol': '1'}, {'protocol': None}):
            answer = c.call('adopt', **more)
            self.assertEqual((answer['ok'], 'protocol' in answer['error']), (False, True))
        self.adopt(c)

    def test_without_a_master_there_is_nothing_to_adopt(self):
        control = self.path('c')
        self.serve(self.image_path, '--control', control)
        xtest.wait_for(lambda: xtest.answers(control), 'its control socket is there')
        c = Control(control)
        self.addCleanup(c.close)
        self.assertIn('not started by a master', c.call('adopt', protocol=1)['error'])

    def test_what_the_last_one_has_sent_is_carried_out_first(self):
        """Killed with clients in the socket that were not received: the next one hears of them."""
        first = self.start_server()
        first.call('status')
        for round_ in range(5):
            p, door = self.other_master()
            os.kill(self.server.pid, signal.SIGSTOP)
            p.stdin.write('12\n')
            p.stdin.flush()
            ends, _ = door.accept()
            _, fds, _, _ = socket.recv_fds(ends, 1, 16)
            clients = [self.raw(socket.socket(fileno=fd)) for fd in fds]
            self.assertEqual(p.stdout.readline(), 'given\n')
            p.kill()
            p.wait()
            following = self.connect()
            following.send(cmd='adopt', protocol=1)
            os.kill(self.server.pid, signal.SIGCONT)
            told = following.answer()
            self.assertEqual([x['id'] for x in told['clients']], list(range(100, 112)))
            for client in clients:
                self.assertEqual(len(client.read(0, 512)), 512)
                client.close()
            xtest.wait_for(lambda: not self.adopt(following)['clients'], 'all gone')
            following.close()
            ends.close()
            door.close()
            os.unlink(self.path('ends'))

    def test_clients_go_on(self):
        first = self.start_server()
        self.adopt(first)
        client = self.give(first, 1)
        first.close()
        time.sleep(0.3)
        self.assertTrue(client.in_sync())
        following = self.connect()
        self.assertEqual([x['id'] for x in self.adopt(following)['clients']], [1])
        client.close()
        xtest.wait_for(lambda: following.call('status') and
                       {'event': 'gone', 'id': 1, 'v': 1} in following.events, 'it hears of it')
        self.assertTrue(self.give(following, 2).in_sync())


class Orphans(AdoptCase):
    """Without a master it ends some seconds after its last client, or when its work is done."""

    def adopted(self, name):
        """A server with a socket of its own, and its master."""
        self.socket = self.path(name)
        master = self.start_server()
        self.adopt(master)
        return self.server, self.socket, master

    def assert_ends(self, server, path, least, most):
        began = time.monotonic()
        self.assertEqual(server.wait(most), 0)
        self.assertGreater(time.monotonic() - began, least)
        self.assertFalse(os.path.exists(path))

    def without_clients(self, server, path, master):
        time.sleep(1)
        master.close()
        self.assert_ends(server, path, 3, 10)

    def with_another_connection(self, server, path, master):
        """That is no master."""
        other = Control(path)
        other.call('status')
        master.close()
        self.assert_ends(server, path, 3, 10)
        other.close()

    def with_a_client(self, server, path, master):
        client = self.give(master, 1)
        master.close()
        time.sleep(6)
        self.assertTrue(client.in_sync())
        client.close()
        self.assert_ends(server, path, 1, 10)

    def test_they_end_by_themselves(self):
        """All at the same time, for they wait."""
        checks = self.without_clients, self.with_another_connection, self.with_a_client
        servers = [self.adopted(check.__name__) for check in checks]
        xtest.in_threads(*[lambda c=c, s=s: c(*s) for c, s in zip(checks, servers)])

    def test_snapshot_under_way(self):
        """It is completed."""
        path = self.path('slow.snapshot')
        env = self.preload(SLOW_PWRITE, 'slow')
        self._environment_more = env
        first = self.start_server()
        self.adopt(first)
        made = first.call('snapshot', to=path)
        self.assertTrue(made['ok'], made)
        first.close()
        self.assertEqual(self.server.wait(60), 0)
        self.assertTrue(os.path.exists(path), self.server.stderr())
        self.assertEqual(os.path.getsize(path), 4 * MIB)
        with open(path, 'rb') as a, open(self.image_path, 'rb') as b:
            self.assertEqual(a.read(), b.read())

    def _environment(self, extra):
        return super()._environment({**(extra or {}), **getattr(self, '_environment_more', {})})


SLOW_PWRITE = r'''
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	usleep(200000);
	return syscall(SYS_pwrite64, fd, p, n, at);
}
ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return pwrite64(fd, p, n, at);
}
'''


if __name__ == '__main__':
    xtest.main()
