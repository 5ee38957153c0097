#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket itself: who may ask, and peers that misbehave."""

import json
import os
import select
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import WrapperCase  # noqa: E402

NOBODY = 65534


def as_user(uid, function):
    """Runs function() in a child as another user; what it returned (text)."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os.write(into, function().encode())
        except OSError as e:
            os.write(into, f'errno {e.errno}'.encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as f:
        text = f.read()
    os.waitpid(pid, 0)
    return text


class Line:
    """A bare control connection."""

    def __init__(self, path):
        self.sock = xtest.connect(path)
        self.file = self.sock.makefile('rb')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def answer(self):
        return json.loads(self.file.readline())

    def ask(self, cmd, **args):
        self.send(json.dumps({'v': 1, 'cmd': cmd, **args}).encode() + b'\n')
        return self.answer()

    def at_end(self):
        return self.file.readline() == b''


class Permission(WrapperCase):
    def setUp(self):
        super().setUp()
        self.require(root=True)

    def ask_as_nobody(self, w):
        def ask():
            with Line(w.control) as line:
                return json.dumps(line.answer())
        return as_user(NOBODY, ask)

    def test_socket_is_for_the_owner_alone(self):
        w = self.wrap()
        self.assertEqual(os.stat(w.control).st_mode & 0o777, 0o600)
        self.assertEqual(self.ask_as_nobody(w), 'errno 13')

    def test_other_user_is_refused_even_with_an_open_socket(self):
        w = self.wrap()
        os.chmod(w.control, 0o666)
        answer = json.loads(self.ask_as_nobody(w))
        self.assertEqual(answer['ok'], False)
        self.assertIn('permission denied', answer['error'])
        self.assertEqual(w.ctl('--list'), 'no item\n')

    def test_worker_sockets_are_private(self):
        w = self.wrap(exports=self.files(1))
        w.enter('disk0')
        [path] = self.worker_sockets(w)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(w.control + '.d').st_mode & 0o777, 0o700)

    def test_other_user_can_be_a_client(self):
        w = self.wrap(exports=self.files(1))

        def read():
            with rawnbd.Raw(w.socket) as client:
                return client.enter('simple', 'disk0').read(0, 512).hex()
        self.assertEqual(as_user(NOBODY, read), '00' * 512)


class BadPeers(WrapperCase):
    """Control connections that misbehave do not disturb others."""

    def setUp(self):
        super().setUp()
        self.w = self.wrap(exports=self.files(1))

    def tearDown(self):
        self.assertEqual(len(self.w.list()), 1)
        self.w.enter('disk0').disconnect()

    def connection(self):
        c = Line(self.w.control)
        self.addCleanup(c.close)
        return c

    def test_nothing(self):
        for _ in range(30):
            self.connection()

    def test_half_a_line(self):
        c = self.connection()
        c.send(b'{"v": 1, "cmd": "li')
        self.assertEqual(len(self.w.list()), 1)
        c.send(b'st"}\n')
        self.assertEqual(len(c.answer()['exports']), 1)

    def test_half_a_line_and_gone(self):
        for _ in range(20):
            c = self.connection()
            c.send(b'{"v": 1, "cmd": "list"')
            c.close()

    def test_garbage(self):
        for garbage in (b'list\n', b'\0\xff\xfe\n', b'[]\n', b'"x"\n', b'\n', b'{"v": 1,}\n',
                        b'{"v":1,"cmd":"list","cmd":"shutdown"}\n', b'[' * 60000 + b'\n'):
            c = self.connection()
            c.send(garbage)
            self.assertFalse(c.answer()['ok'], garbage)
            self.assertTrue(c.at_end(), garbage)

    def test_a_megabyte_without_a_line(self):
        c = self.connection()
        try:
            for _ in range(16):
                c.send(b'x' * 65536)
        except OSError:
            pass
        try:
            self.assertIn('too long', c.answer()['error'])
        except ConnectionResetError:
            pass

    def test_wrong_requests_keep_the_connection(self):
        c = self.connection()
        for request in ({'cmd': 'list'}, {'v': 2, 'cmd': 'list'}, {'v': 1}, {'v': 1, 'cmd': 7},
                        {'v': 1, 'cmd': 'nonsense'}, {'v': 1, 'cmd': 'remove'},
                        {'v': 1, 'cmd': 'remove', 'index': -1},
                        {'v': 1, 'cmd': 'remove', 'index': 1 << 40},
                        {'v': 1, 'cmd': 'remove', 'name': ['disk0']},
                        {'v': 1, 'cmd': 'add-target'}, {'v': 1, 'cmd': 'add-target', 'name': 'x'},
                        {'v': 1, 'cmd': 'add-target', 'name': 'x', 'file': 'relative'},
                        {'v': 1, 'cmd': 'add-target', 'name': 3, 'file': '/x'}):
            c.send(json.dumps(request).encode() + b'\n')
            self.assertFalse(c.answer()['ok'], request)
        self.assertTrue(c.ask('list')['ok'])

    def test_overlong_description_on_the_wire(self):
        c = self.connection()
        for length in (4097, 50000):
            answer = c.ask('add-target', name='x', file=self.path('disk0.img'),
                           description='d' * length)
            self.assertIn('description', answer['error'])

    def test_pipelined_requests_are_answered_in_order(self):
        c = self.connection()
        add = {'v': 1, 'cmd': 'add-target', 'name': 'p', 'file': self.path('disk0.img')}
        rest = [{'v': 1, 'cmd': 'list'}, {'v': 1, 'cmd': 'remove', 'name': 'p'},
                {'v': 1, 'cmd': 'list'}]
        c.send(b''.join(json.dumps(r).encode() + b'\n' for r in [add, *rest]))
        self.assertTrue(c.answer()['ok'])
        self.assertEqual(len(c.answer()['exports']), 2)
        self.assertTrue(c.answer()['ok'])
        self.assertEqual(len(c.answer()['exports']), 1)

    def test_gone_while_an_addition_waits(self):
        for i in range(20):
            c = self.connection()
            c.send(json.dumps({'v': 1, 'cmd': 'add-target', 'name': f'g{i}',
                               'file': self.path('nothing')}).encode() + b'\n')
            c.close()

    def test_descriptor_nobody_asked_for(self):
        before = xtest.count_fds(self.w.pid)
        c = self.connection()
        for _ in range(100):
            socket.send_fds(c.sock, [b'{"v": 1, "cmd": "list"}\n'], [0])
            self.assertTrue(c.answer()['ok'])
        socket.send_fds(c.sock, [b'{"v": 1, "cmd": "list", "fd": true}\n'], [0])
        self.assertTrue(c.answer()['ok'])
        c.close()
        xtest.wait_for(lambda: xtest.count_fds(self.w.pid) <= before, 'descriptors closed')

    def test_answers_nobody_reads(self):
        for i in range(60):
            self.w.ctl('--add-target', 'n' * 4000 + str(i), self.path('disk0.img'))
        c = self.connection()
        c.sock.settimeout(1)
        try:
            for _ in range(300):
                c.send(b'{"v": 1, "cmd": "list"}\n')
        except OSError:
            pass
        self.assertEqual(len(self.w.list()), 61)
        for i in range(60):
            self.w.ctl('--remove-by-exportname', 'n' * 4000 + str(i))

    def test_too_many_connections(self):
        """64 are held. (One of before may still be on its way out when the first ones come.)"""
        held = [self.connection() for _ in range(70)]

        def refused():
            return [c for c in held if select.select([c.sock], [], [], 0)[0]]
        xtest.wait_for(lambda: len(refused()) >= 6, 'six are refused')
        self.assertIn(len(refused()), (6, 7))
        for c in refused():
            self.assertIn('too many', c.answer()['error'])
        for c in held:
            c.close()
        xtest.wait_for(lambda: self.w.ctl('--list', status=None).returncode == 0, 'room again')


if __name__ == '__main__':
    xtest.main()
