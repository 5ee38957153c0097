#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong around a wrapper while clients write: a second one, control clients that send
nonsense, configurations that are none, full disks. Clear words, nothing lost, no client notices."""

import contextlib
import json
import os
import random
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fixture import MIB, config_text  # noqa: E402
from wrapper_loaded import LoadedCase  # noqa: E402

NOT_RELOADED = 'not reloaded: the configuration has faults, and nothing was changed'


class NoConfiguration(LoadedCase):
    def refused_as(self, *words):
        """By the command and by SIGHUP."""
        p = self.w.ctl('reload', status=None, seconds=20)
        self.assertEqual((p.returncode, p.stdout), (1, ''), p)
        for word in words:
            self.assertIn(word, p.stderr)
        said = self.w.log().count(NOT_RELOADED)
        os.kill(self.w.pid, signal.SIGHUP)
        xtest.wait_for(lambda: self.w.log().count(NOT_RELOADED) > said, 'told')
        self.assertEqual(self.names(), list(self.images))
        self.go_on_all()

    def replace(self, make):
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            os.unlink(self.conf)
        make(self.conf)

    def written(self, data):
        def write(path):
            with open(path, 'wb') as f:
                f.write(data)
        return write

    def test_reload(self):
        self.start_loaded()
        text = config_text(self.images)
        again = config_text({'disk0': self.images['disk0']})
        self.refused_twice(text, again)
        for make, words in (
                (self.written(text[:len(text) // 2 - 9].encode()), [f'{self.conf}:']),
                (self.written(b'\0' * 4096), [f'{self.conf}']),
                (self.written(random.Random(1).randbytes(65536)), [f'{self.conf}']),
                (self.written(b'export "x" { image = "/x\xff" '), [f'{self.conf}:1']),
                (lambda path: os.symlink(path, path), [self.conf, 'symbolic links']),
                (lambda path: os.symlink('/dev/zero', path), [self.conf, 'not a regular file']),
                (os.mkfifo, [self.conf, 'not a regular file']),
                (lambda path: os.symlink(self.path('nothing'), path), [self.conf, 'No such file'])):
            self.replace(make)
            self.refused_as(*words)
        os.unlink(self.conf)
        os.mkdir(self.conf)
        self.refused_as(self.conf, 'not a regular file')
        os.rmdir(self.conf)
        self.configure()
        self.assertEqual(self.w.ctl('reload'), '2 exports unchanged\n')
        self.finish_all()

    def refused_twice(self, text, again):
        """The second place is told, and the first."""
        self.replace(self.written((text + again).encode()))
        line = 1 + text.count('\n')
        self.refused_as(f'{self.conf}:{line}: export "disk0"', f'{self.conf}:1')

    def test_includes(self):
        """A fault in one of them is as one in the file; so are names given twice across files."""
        self.start_loaded()
        os.mkdir(self.path('conf.d'))
        self.configure(f'include("{self.path("conf.d")}/*.conf")\n')
        self.assertEqual(self.w.ctl('reload'), '2 exports unchanged\n')
        part = self.path('conf.d/a.conf')
        for text, words in (('export "disk0" { image = "/dev/null" }\n', ['disk0']),
                            ('export "new" {\n', []), ('exprot "new" { }\n', ['exprot'])):
            with open(part, 'w') as f:
                f.write(text)
            self.refused_as(f'{part}:1', *words)
        with open(part, 'w') as f:
            f.write(f'export "new" {{ image = "{self.image(MIB)}" }}\n')
        self.assertEqual(self.w.ctl('reload'), 'added new\n2 exports unchanged\n')
        self.finish_all()


class SecondWrapper(LoadedCase):
    def test_on_the_same_state_file(self):
        """Also by another path to it; as soon as the first one is gone, there may be another."""
        w = self.start_loaded()
        w.ctl('--add-target', 'added', self.image(MIB))
        link = self.path('link')
        os.symlink(w.state, link)
        before = xtest.text_of(w.state)
        for state in w.state, link:
            line = self.fails_to_start('--lsocket', self.path('other'), state=state)
            self.assertIn(f'state file {state}: in use by the wrapper with pid {w.pid}', line)
        self.assertFalse(os.path.exists(self.path('other')))
        self.assertEqual(xtest.text_of(w.state), before)
        self.go_on_all()
        self.crash(w)
        self.succeed(w)
        self.assertIn('added', self.names())
        self.finish_all()

    def test_on_the_same_control_socket(self):
        w = self.start_loaded()
        line = self.fails_to_start('--lsocket', self.path('other'), control=w.control)
        self.assertIn(w.control, line)
        self.assertIn('in use', line)
        self.finish_all()

    def test_several_at_once(self):
        """One of them serves."""
        ones = []
        for _ in range(5):
            w = self.wrapper_args('--config', self.conf, control=self.path('c'),
                                  state=self.path('s'))
            w.socket = self.path('n')
            w.daemon = self.spawn([*w.argv, '--lsocket', w.socket])
            ones.append(w)
        xtest.wait_for(lambda: sum(w.daemon.is_alive() for w in ones) == 1, 'one is left', 20)
        [self.w] = [w for w in ones if w.daemon.is_alive()]
        for w in ones:
            self.assertTrue(w is self.w or 'in use' in w.log(), w.log())
        self._ready(self.w)
        self.load_it()
        self.finish_all()


class Nonsense(LoadedCase):
    """On control sockets."""

    def send_much(self, path, piece, total):
        """Until all is sent or nobody takes it any more; how much, and what was answered."""
        sent = 0
        with xtest.connect(path, 2) as s:
            with contextlib.suppress(OSError):
                while sent < total:
                    sent += s.send(piece)
            s.settimeout(2)
            answer = b''
            with contextlib.suppress(OSError):
                while len(answer) < 1 << 20 and (more := s.recv(65536)):
                    answer += more
        return sent, answer

    def test_hundred_megabytes(self):
        w = self.start_loaded()
        memory = xtest.pss(w.pid)
        sockets = [w.control, *self.worker_sockets(w)]
        for path in sockets:
            for piece in (b'x' * 65536, b'{"v": 1, "cmd": "' + b'y' * 65000, b'\0' * 65536,
                          b'[' * 65536):
                sent, answer = self.send_much(path, piece, 100 * MIB)
                self.assertLess(sent, 10 * MIB)  # it is cut off long before
                if answer:
                    self.assertIn(b'too long', answer)
            self.go_on_all()
        # Requests that are all right, and no end of them: who reads no answers is not read from.
        for path in sockets:
            self.send_much(path, b'{"v": 1, "cmd": "status"}\n' * 2000, 100 * MIB)
            self.go_on_all()
        self.assertEqual(self.names(), list(self.images))
        if not xtest.is_sanitized('xnbd-wrapper'):
            self.assertLess(xtest.pss(w.pid), memory + 8 * MIB)
        self.finish_all()

    def test_random(self):
        """Bytes, halves of lines, nothing: held open or not, the next one is served."""
        w, rnd = self.start_loaded(), random.Random(5)
        line = json.dumps({'v': 1, 'cmd': 'add-target', 'name': 'x', 'file': '/x'}).encode() + b'\n'
        for path in (w.control, *self.worker_sockets(w)):
            held = []
            for i in range(200):
                s = xtest.connect(path)
                s.settimeout(0)
                data = (b'', rnd.randbytes(rnd.randrange(1, 4096)), line[:rnd.randrange(len(line))],
                        line.replace(b'"', rnd.choice([b"'", b'', b'\xff'])))[i % 4]
                with contextlib.suppress(OSError):
                    s.send(data)
                if i % 10 or len(held) > 30:
                    s.close()
                else:
                    held.append(s)
            self.go_on_all()
            self.assertEqual(self.names(), list(self.images))
            for s in held:
                s.close()
        self.finish_all()


class FullDisk(LoadedCase):
    """The state file cannot be written."""

    def setUp(self):
        super().setUp()
        self.folder = self.mount('tmpfs', '128k')
        os.chmod(self.folder, 0o700)

    def fill(self):
        with open(os.path.join(self.folder, 'fill'), 'wb', buffering=0) as f:
            with contextlib.suppress(OSError):
                while True:
                    f.write(b'x' * 4096)

    def full(self, *args):
        """A command that must be refused for this; the state file stays as it was."""
        self.assertIn('No space left', self.w.refused(*args))
        self.assertEqual(xtest.text_of(self.w.state), self.before)
        self.go_on_all()

    def test_all_that_writes_it(self):
        extra = {n: self.image(MIB, n) for n in ('a', 'b', 'c')}
        w = self.start_loaded(state=os.path.join(self.folder, 'xnbd.state'))
        for name in ('a', 'b'):
            w.ctl('--add-target', name, extra[name])
        keep = w.enter('a')
        self.before, listed = xtest.text_of(w.state), self.names()
        self.fill()
        self.full('--add-target', 'c', extra['c'])
        self.full('--add-cow', 'c', extra['c'])
        self.full('--save')
        self.full('--remove-by-exportname', 'b')
        self.full('--remove-by-exportname', 'a', '--force')
        self.full('--remove-by-exportname', 'a', '--when-idle')
        self.full('--upgrade')
        self.assertEqual(self.names(), listed)
        self.assertTrue(keep.in_sync() and w.enter('b').in_sync() and w.enter('a').in_sync())
        os.unlink(os.path.join(self.folder, 'fill'))
        w.ctl('--add-target', 'c', extra['c'])
        self.upgrade(w)
        self.crash(w)
        self.succeed(w)
        self.assertEqual(set(self.names()), {*self.images, *extra})
        self.assertTrue(keep.in_sync())
        self.finish_all()

    def test_reload(self):
        """What the file says needs no state file; that a serial could not be kept is told."""
        w = self.start_loaded(state=os.path.join(self.folder, 'xnbd.state'))
        before = xtest.text_of(w.state)
        self.fill()
        self.configure(exports={'new': self.image(MIB, 'new.img')})
        out = w.ctl('reload', status=None)
        self.assertIn('added new', out.stdout)
        self.assertTrue(w.enter('new').in_sync())
        self.assertIn('No space left', w.log())
        self.assertEqual(xtest.text_of(w.state), before)
        serial = w.export('new')['serial']
        os.unlink(os.path.join(self.folder, 'fill'))
        w.ctl('--save')
        self.crash(w)
        self.succeed(w)
        self.assertEqual(w.export('new')['serial'], serial)
        self.finish_all()

if __name__ == '__main__':
    xtest.main()
