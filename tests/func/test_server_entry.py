# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways clients come to xnbd-server: TCP, unix sockets, inetd, given sockets, socket activation,
the old handshake; and life in the background and the control socket."""

import json
import os
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

LISTEN_AND_END = """
#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>
int listen(int fd, int backlog)
{
	int (*real)(int, int) = dlsym(RTLD_NEXT, "listen");
	int ret = real(fd, backlog);

	kill(getpid(), SIGTERM);
	return ret;
}
"""


class Entry(xtest.Case):

    def setUp(self):
        super().setUp()
        self.file = self.image(MIB, pattern=1)

    def check(self, address, mode='structured'):
        """The export is there and answers."""
        c = n.Raw(address).enter(mode)
        self.assertEqual(c.size, MIB)
        self.assertTrue(c.in_sync())
        c.disconnect()


class Tcp(Entry):

    def test_v4_and_v6(self):
        for hosts in (('127.0.0.1',), ('::1',), ('127.0.0.1', '::1'), ('127.0.0.1', '127.0.0.2')):
            with self.subTest(hosts=hosts):
                d, port = self.start_tcp(self.serve_args(self.file), hosts)
                for host in hosts:
                    self.check((host, port))
                d.stop()

    def test_only_the_address_given(self):
        d, port = self.start_tcp(self.serve_args(self.file), ('127.0.0.1',))
        self.assertFalse(xtest.answers(('127.0.0.2', port)))
        self.assertFalse(xtest.answers(('::1', port)))
        d.stop()

    def test_everywhere_by_default(self):
        d, port = self.start_tcp(self.serve_args(self.file), ())
        for host in ('127.0.0.1', '127.0.0.2', '::1'):
            self.check((host, port))
        d.stop()

    def test_restart_on_the_same_port(self):
        d, port = self.start_tcp(self.serve_args(self.file))
        client = n.Raw(('127.0.0.1', port)).enter()
        d.stop()
        client.close()
        argv = self.serve_args(self.file, '--lport', str(port), '--laddr=127.0.0.1')
        self.start(argv, [('127.0.0.1', port)]).stop()


class Unix(Entry):

    def test_several_sockets_and_tcp(self):
        a, b = self.path('a.sock'), self.path('b.sock')
        args = self.serve_args(self.file, f'--socket={a}', f'--socket={b}')
        d, port = self.start_tcp(args)
        for address in (a, b, ('127.0.0.1', port)):
            self.check(address)
        self.assertEqual(os.stat(a).st_mode & 0o777, 0o600)
        d.stop()
        self.assertFalse(os.path.exists(a) or os.path.exists(b))

    def test_stale_socket_is_taken_over(self):
        d = self.serve(self.file)
        d.kill()
        self.assertTrue(os.path.exists(d.socket))
        again = self.start(d.argv, [d.socket])
        self.check(d.socket)
        again.stop()

    def test_live_socket_is_refused(self):
        d = self.serve(self.file)
        second = self.spawn(d.argv)
        self.assertEqual(second.wait(), 1)
        self.assertIn(f'{d.socket}: in use', second.stderr())
        self.assertEqual(len(second.stderr().splitlines()), 1)
        self.check(d.socket)
        d.stop()

    def test_signal_as_soon_as_it_listens(self):
        """Before it can act on it; nothing stays behind all the same."""
        path = self.path('nbd.0.sock')
        d = self.spawn(self.serve_args(self.file, f'--socket={path}'),
                       env=self.preload(LISTEN_AND_END))
        self.assertEqual(d.wait(), 0, d.stderr())
        self.assertIn('serving', d.stderr())
        self.assertFalse(os.path.exists(path))

    def test_a_file_in_the_way_is_refused(self):
        path = self.path('nbd.0.sock')
        with open(path, 'w') as f:
            f.write('precious')
        d = self.spawn(self.serve_args(self.file, f'--socket={path}'))
        self.assertEqual(d.wait(), 1)
        self.assertEqual(xtest.text_of(path), 'precious')

    def test_successor_keeps_its_socket(self):
        """A server that still ends must not remove the socket of the next one."""
        old = self.serve(self.file)
        busy = n.Raw(old.socket).enter()
        busy.send(busy.write_bytes(0, b'x' * 4096)[:100])  # keeps the old one waiting
        old.send_signal(signal.SIGTERM)
        xtest.wait_for(lambda: not xtest.answers(old.socket), 'stops listening')
        new = self.start(old.argv, [old.socket])
        self.assertTrue(old.is_alive())
        busy.close()
        self.assertEqual(old.wait(), 0)
        self.check(new.argv and old.socket)
        new.stop()
        self.assertFalse(os.path.exists(old.socket))

    def test_relative_path(self):
        d = self.start(self.serve_args(self.file, '--socket=rel.sock'), [self.path('rel.sock')],
                       cwd=self.dir)
        self.check(self.path('rel.sock'))
        d.stop()
        self.assertFalse(os.path.exists(self.path('rel.sock')))


class Given(Entry):
    """One client that is already connected when the server starts."""

    def pair(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        return ours, theirs

    def tcp_pair(self):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
        self.addCleanup(ours.close)
        return ours, theirs

    def inetd(self, sock, *args):
        with sock:
            return self.spawn(self.serve_args(self.file, '--inetd', *args), stdin=sock)

    def connected(self, sock, *args):
        with sock:
            fd = sock.fileno()
            argv = self.serve_args(self.file, f'--connected-fd={fd}', *args)
            return self.spawn(argv, pass_fds=(fd,))

    def transmission(self, sock, mode='simple', context=None):
        c = n.Raw(sock)
        c.structured, c.extended = mode != 'simple', mode == 'extended'
        c.context, c.size = context, MIB
        return c

    def test_inetd(self):
        for pair in (self.pair, self.tcp_pair):
            for mode in ('simple', 'structured', 'extended'):
                ours, theirs = pair()
                d = self.inetd(theirs)
                self.check(ours, mode)
                self.assertEqual(d.wait(), 0, d.stderr())

    def test_inetd_ends_when_the_client_leaves_early(self):
        for sent in (b'', b'\0\0\0\3', b'\0\0\0\3' + n.Raw.option_bytes(n.OPT_ABORT)):
            ours, theirs = self.pair()
            d = self.inetd(theirs)
            ours.send(sent)
            ours.close()
            self.assertEqual(d.wait(), 0, d.stderr())

    def test_inetd_without_a_socket(self):
        d = self.spawn(self.serve_args(self.file, '--inetd', f'--logpath={self.path("l.log")}'))
        self.assertEqual(d.wait(), 1)
        self.assertIn('inetd', xtest.text_of(self.path('l.log')))

    def test_connected_fd_is_simple_unless_told(self):
        ours, theirs = self.pair()
        d = self.connected(theirs)
        c = self.transmission(ours)
        self.assertTrue(c.in_sync())
        self.assertEqual(c.write(10, b'hello').error, 0)
        self.assertEqual(c.call(n.BLOCK_STATUS, 0, 512).error, 22)
        c.disconnect()
        self.assertEqual(d.wait(), 0)

    def test_negotiated(self):
        for text, mode, context in (('simple', 'simple', None), ('structured', 'structured', None),
                                    ('structured,base:allocation', 'structured', 1),
                                    ('structured,extended', 'extended', None),
                                    ('structured,extended,base:allocation', 'extended', 1)):
            with self.subTest(text):
                ours, theirs = self.tcp_pair()
                d = self.connected(theirs, f'--negotiated={text}')
                c = self.transmission(ours, mode, context)
                self.assertTrue(c.in_sync())
                status = c.call(n.BLOCK_STATUS, 0, 512)
                self.assertEqual(status.error, 0 if context else 22)
                c.disconnect()
                self.assertEqual(d.wait(), 0)

    def test_connected_fd_that_is_no_socket(self):
        for fd, what in ((999, 'Bad file'), (0, 'Socket operation')):
            d = self.spawn(self.serve_args(self.file, f'--connected-fd={fd}'))
            self.assertEqual(d.wait(), 1)
            self.assertIn(what, d.stderr())
            self.assertEqual(len(d.stderr().splitlines()), 1)

    def test_no_process_is_left(self):
        """4.4 of the original: short sessions left servers behind."""
        daemons = []
        for i in range(30):
            ours, theirs = self.pair()
            daemons.append(self.connected(theirs))
            if i % 2:
                self.transmission(ours).request(n.DISC)
            ours.close()
        for d in daemons:
            self.assertEqual(d.wait(), 0)


class Activation(Entry):

    def activated(self, sock, *args):
        """As systemd does it: the socket is descriptor 3, LISTEN_PID is the server."""
        with sock:
            script = f'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&{sock.fileno()}'
            argv = ['/bin/bash', '-c', script, 'bash', *self.serve_args(self.file, *args)]
            return self.spawn(argv, pass_fds=(sock.fileno(),))

    def test_listening_socket(self):
        path = self.path('systemd.sock')
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        d = self.activated(listener)
        for _ in range(3):
            self.check(path)
        d.stop()
        self.assertTrue(os.path.exists(path), 'not ours to remove')

    def test_listening_tcp_socket_wins_over_options(self):
        listener = socket.create_server(('127.0.0.1', 0))
        address = listener.getsockname()
        d = self.activated(listener, f'--socket={self.path("other.sock")}')
        self.check(address)
        d.stop()
        self.assertFalse(os.path.exists(self.path('other.sock')))

    def test_connected_socket(self):
        ours, theirs = socket.socketpair()
        d = self.activated(theirs)
        self.check(ours)
        self.assertEqual(d.wait(), 0)

    def test_variables_of_another_process_are_ignored(self):
        env = {'LISTEN_PID': '1', 'LISTEN_FDS': '1'}
        d = self.serve(self.file, env=env)
        self.check(d.socket)
        d.stop()


class Oldstyle(Entry):

    def test_greeting(self):
        for ro in (False, True):
            d = self.serve(self.file, '--oldstyle', *(['--readonly'] if ro else []))
            c = n.Raw(d.socket)
            magic, old, size, zero, flags = c.unpack('>8sQQHH')
            self.assertEqual((magic, old, size, zero), (n.NBDMAGIC, 0x420281861253, MIB, 0))
            self.assertEqual(bool(flags & n.READ_ONLY), ro)
            self.assertFalse(flags & n.SEND_DF)
            self.assertEqual(c.recv(124), bytes(124))
            self.assertTrue(c.in_sync())
            c.disconnect()
            d.stop()

    def test_request_sent_with_the_connect(self):
        d = self.serve(self.file, '--oldstyle')
        c = n.Raw(d.socket)
        c.request(n.READ, 0, 512)
        c.recv(152)
        self.assertEqual(len(c.reply().data), 512)
        c.close()
        d.stop()

    def test_libnbd_and_fio(self):
        self.require('nbdinfo', 'nbdcopy', 'fio')
        d = self.serve(self.file, '--oldstyle')
        info = json.loads(self.run_cmd('nbdinfo', '--json', d.uri))
        self.assertEqual(info['protocol'], 'oldstyle')
        self.assertEqual(info['exports'][0]['export-size'], MIB)
        self.run_cmd('fio', '--name=old', '--ioengine=nbd', f'--uri={d.uri}', '--rw=randwrite',
                     '--bs=4k', '--size=1m', '--verify=crc32c', '--thread', cwd=self.dir)
        self.run_cmd('nbdcopy', d.uri, self.path('copy'))
        with open(self.file, 'rb') as a, open(self.path('copy'), 'rb') as b:
            self.assertEqual(a.read(), b.read())
        d.stop()

    def test_qemu(self):
        self.require('qemu-img')
        d = self.serve(self.file, '--oldstyle')
        info = json.loads(self.run_cmd('qemu-img', 'info', '--output=json', '-f', 'raw', d.uri))
        self.assertEqual(info['virtual-size'], MIB)
        d.stop()

    def test_inetd(self):
        ours, theirs = socket.socketpair()
        with theirs:
            d = self.spawn(self.serve_args(self.file, '--inetd', '--oldstyle'), stdin=theirs)
        c = n.Raw(ours)
        c.recv(152)
        self.assertTrue(c.in_sync())
        c.disconnect()
        self.assertEqual(d.wait(), 0)


class Background(Entry):

    def control(self, path, line):
        """One control request as JSON; the answer."""
        with xtest.connect(path) as s:
            s.sendall(line.encode() + b'\n')
            return json.loads(s.makefile().readline())

    def serve_with_control(self):
        ctl = self.path('c.sock')
        d = self.serve(self.file, f'--control={ctl}')
        xtest.wait_for(lambda: xtest.answers(ctl), 'control socket')
        return d, ctl

    def status(self, path):
        return self.control(path, '{"v": 1, "cmd": "status"}')

    def daemonize(self, *args):
        """Starts in the background and returns the daemon's pid."""
        ctl = self.path('ctl.sock')
        log = self.path('server.log')
        argv = self.serve_args(self.file, '--daemonize', f'--control={ctl}', f'--logpath={log}',
                               *args)
        front = self.spawn(argv)
        self.assertEqual(front.wait(), 0, front.stderr() + xtest.text_of(log))
        pid = self.status(ctl)['pid']
        self.addCleanup(self.end, pid)
        return pid

    def end(self, pid):
        if os.path.exists(self.path('ctl.sock')):
            os.kill(pid, signal.SIGKILL)

    def test_returns_when_ready(self):
        sock = self.path('bg.sock')
        pid = self.daemonize(f'--socket={sock}')
        self.check(sock)
        self.assertEqual(os.readlink(f'/proc/{pid}/cwd'), '/')
        self.assertEqual(os.getsid(pid), pid)
        for fd in range(3):
            self.assertEqual(os.readlink(f'/proc/{pid}/fd/{fd}'), '/dev/null')
        self.assertEqual(self.control(self.path('ctl.sock'), '{"v": 1, "cmd": "stop"}')['ok'], True)
        xtest.wait_for(lambda: not os.path.exists(self.path('ctl.sock')), 'end')
        self.assertFalse(os.path.exists(sock))

    def test_log_file(self):
        self.daemonize(f'--socket={self.path("bg.sock")}')
        log = xtest.text_of(self.path('server.log'))
        self.assertRegex(log, r'^\d{4}-\d\d-\d\dT\S+Z xnbd-server\[\d+\] info: serving ')
        self.assertEqual(os.stat(self.path('server.log')).st_mode & 0o777, 0o600)

    def test_relative_log_file_is_opened_anew(self):
        """Rotation: the daemon is in / by now, and must still find the file it was given."""
        ctl, log = self.path('ctl.sock'), self.path('relative.log')
        argv = self.serve_args(self.file, '--daemonize', f'--control={ctl}',
                               f'--socket={self.path("bg.sock")}', '--logpath=relative.log')
        self.assertEqual(self.spawn(argv, cwd=self.dir).wait(), 0)
        pid = self.status(ctl)['pid']
        self.addCleanup(self.end, pid)
        os.rename(log, log + '.1')
        os.kill(pid, signal.SIGHUP)
        xtest.wait_for(lambda: os.path.exists(log), 'a new log file')
        self.assertNotIn('error', xtest.text_of(log + '.1'))

    def test_failure_is_told_in_the_foreground(self):
        other = self.serve(self.file)
        missing = self.path('nowhere')
        for args in ((missing, '--socket', self.path('x.sock')), (self.file, '--socket',
                                                                   other.socket)):
            d = self.spawn(self.serve_args(args[0], '--daemonize', *args[1:]))
            self.assertEqual(d.wait(), 1)

    def test_relative_paths(self):
        argv = self.serve_args('disk.img', '--daemonize', '--control=ctl.sock', '--socket=r.sock',
                               '--logpath=server.log')
        self.assertEqual(self.spawn(argv, cwd=self.dir).wait(), 0)
        self.check(self.path('r.sock'))
        self.control(self.path('ctl.sock'), '{"v": 1, "cmd": "stop"}')
        xtest.wait_for(lambda: not os.path.exists(self.path('ctl.sock')), 'end')
        self.assertFalse(os.path.exists(self.path('r.sock')))

    def test_status(self):
        d, ctl = self.serve_with_control()
        c = n.Raw(d.socket).enter()
        c.read(0, 4096)
        c.write(0, bytes(512))
        c.call(n.READ, MIB, 1)
        s = self.status(ctl)
        self.assertEqual((s['v'], s['ok'], s['pid'], s['image'], s['size'], s['clients']),
                         (1, True, d.pid, self.file, MIB, 1))
        self.assertEqual((s['bytes_read'], s['bytes_written'], s['errors']), (4096, 512, 1))
        self.assertEqual((s['requests']['READ'], s['requests']['WRITE']), (2, 1))
        self.assertEqual((s['mode'], s['readonly'], s['block_max']), ('target', False, 64 * MIB))
        if xtest.ENGINE:
            self.assertEqual(s['engine'], xtest.ENGINE)
        c.disconnect()
        xtest.wait_for(lambda: self.status(ctl)['clients'] == 0, 'client gone')
        d.stop()
        self.assertFalse(os.path.exists(ctl))

    def test_control_refuses_nonsense(self):
        d, ctl = self.serve_with_control()
        for line in ('{}', '{"v": 2, "cmd": "status"}', '{"v": 1}', '{"v": 1, "cmd": "dance"}',
                     '[]', 'hello', '{"v": 1, "cmd": "client"}',
                     '{"v": 1, "cmd": "client", "id": 3, "features": "simple", "fd": true}'):
            answer = self.control(ctl, line)
            self.assertEqual((answer['ok'], type(answer['error'])), (False, str), line)
        self.assertTrue(self.status(ctl)['ok'])
        d.stop()

    def test_client_by_control_socket(self):
        d, ctl = self.serve_with_control()
        ours, theirs = socket.socketpair()
        with xtest.connect(ctl) as s, theirs:
            line = b'{"v":1,"cmd":"client","id":7,"features":"structured","fd":true}\n'
            socket.send_fds(s, [line], [theirs.fileno()])
            lines = s.makefile()
            self.assertTrue(json.loads(lines.readline())['ok'])
            theirs.close()
            c = n.Raw(ours)
            c.structured, c.size = True, MIB
            self.assertTrue(c.in_sync())
            c.disconnect()
            self.assertEqual(json.loads(lines.readline()), {'v': 1, 'event': 'gone', 'id': 7})
        d.stop()

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            d = self.serve(self.file)
            self.check(d.socket)
            d.stop(number)
        d = self.serve(self.file)
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
            d.send_signal(number)
        self.check(d.socket)
        d.stop()


if __name__ == '__main__':
    xtest.main()
