# SPDX-License-Identifier: GPL-2.0-or-later
"""A caching proxy between clients and an origin: servers of several makes, a line that can be cut,
control commands.

A test file derives from ProxyCase. An origin is a daemon with .uri, .socket and .content; start()
again after kill() serves the same on the same socket.
"""

import collections
import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

import rawnbd as n
import xtest
from xtest import KIB, MIB

# nbdkit 1.32 aborts now and then if a connection ends while several of its threads answer there.
SAFE = ('--threads=1',)  # options of an origin whose connections will be cut
BLOCK, FILL = 4096, 256 * KIB  # of a cache; bytes of the longest fetch


def unix_uri(path, name=''):
    return f'nbd+unix:///{name}?socket={path}'


def blocks_of(size):
    return -(-size // BLOCK)


class Origin:
    """A server in front of a proxy: `argv` listens on `socket` (a path or a (host, port))."""

    def __init__(self, case, argv, address, content, log=None, name=''):
        self.case, self.argv, self.socket, self.content = case, argv, address, content
        self.log, self.daemon = log, None
        self.uri = (unix_uri(address, name) if isinstance(address, str)
                    else f'nbd://{address[0]}:{address[1]}/{name}')

    def start(self):
        if isinstance(self.socket, str) and os.path.exists(self.socket):
            os.unlink(self.socket)
        self.daemon = self.case.start(self.argv, [self.socket])
        return self

    def kill(self):
        self.daemon.kill()

    def stop(self):
        self.daemon.stop()

    def freeze(self):
        """It accepts and says nothing more, from the return on."""
        self.daemon.send_signal(signal.SIGSTOP)
        xtest.wait_for(self._is_frozen, 'it is stopped')

    def _is_frozen(self):
        """Are all of its threads? That takes a moment, in which one may still answer."""
        tasks = f'/proc/{self.daemon.pid}/task'
        return all(re.search(r'^State:\s+T', xtest.text_of(f'{tasks}/{t}/status'), re.M)
                   for t in os.listdir(tasks))

    def thaw(self):
        self.daemon.send_signal(signal.SIGCONT)

    def reads(self, at_least=0):
        """(offset, length) of every READ it was sent so far; from nbdkit's log."""
        found = re.findall(r' Read id=\d+ offset=0x([0-9a-f]+) count=0x([0-9a-f]+)',
                           xtest.text_of(self.log))
        ranges = [(int(a, 16), int(b, 16)) for a, b in found]
        return [r for r in ranges if r[1] >= at_least]

    def read_bytes(self):
        return sum(length for _, length in self.reads())

    def reads_of(self, at):
        """How often the byte was read."""
        return sum(a <= at < a + length for a, length in self.reads())


class Line:
    """Forwards connections from a socket of its own to another, and is cut when a test says so."""

    def __init__(self, case, target, name='line.sock'):
        self.target, self.path = target, case.path(name)
        self.uri = unix_uri(self.path)
        self.limit = None  # bytes to the client after which the connection is cut; None = never
        self.cuts, self.pairs, self.open = 0, [], True
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        case.addCleanup(self.close)

    def close(self):
        self.open = False
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    def cut(self):
        """Ends what is connected now; new connections are made."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            self._end(pair)

    @staticmethod
    def _end(pair):
        for s in pair:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)  # a thread may be in recv(): it closes

    def _accept(self):
        while self.open:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = xtest.connect(self.target)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            near.settimeout(None)
            with self.lock:
                self.pairs.append((near, far))
            threading.Thread(target=self._serve, args=(near, far), daemon=True).start()

    def _serve(self, near, far):
        with near, far:
            other = threading.Thread(target=self._pump, args=(near, far, False), daemon=True)
            other.start()
            self._pump(far, near, True)
            other.join()

    def _pump(self, a, b, counted):
        passed = 0
        try:
            while True:
                data = a.recv(64 * KIB)
                limit = self.limit
                if counted and limit is not None and passed + len(data) > limit:
                    b.sendall(data[:limit - passed] if limit > passed else b'')
                    self.cuts += 1
                    break
                passed += len(data)
                if not data:
                    break
                b.sendall(data)
        except OSError:
            pass
        self._end((a, b))


class Control:
    """A control connection: answers and events."""

    def __init__(self, path):
        self.sock = xtest.connect(path, 30)
        self.rest, self.events = b'', []

    def close(self):
        self.sock.close()

    def line(self):
        while b'\n' not in self.rest:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError('the control connection was closed')
            self.rest += more
        line, _, self.rest = self.rest.partition(b'\n')
        return json.loads(line)

    def send(self, cmd, **arguments):
        self.sock.sendall(json.dumps({'v': 1, 'cmd': cmd, **arguments}).encode() + b'\n')

    def answer(self):
        while True:
            message = self.line()
            if 'ok' in message:
                return message
            self.events.append(message)

    def ask(self, cmd, **arguments):
        self.send(cmd, **arguments)
        return self.answer()

    def event(self, name, **fields):
        """Waits for an event with these fields."""
        while True:
            for e in self.events:
                if e['event'] == name and all(e.get(k) == v for k, v in fields.items()):
                    self.events.remove(e)
                    return e
            message = self.line()
            xtest.Case().assertIn('event', message)
            self.events.append(message)


class Busy(threading.Thread):
    """A client that reads and writes its own megabyte without pause, and fails at nothing."""

    def __init__(self, client, base, content):
        super().__init__()
        self.client, self.base, self.model = client, base, bytearray(content)
        self.stopping, self.error, self.rounds, self.slowest = False, None, 0, 0
        self.start()

    def run(self):
        rnd = random.Random(self.base)
        try:
            while not self.stopping:
                begin = time.monotonic()
                at, length = rnd.randrange(MIB - 70000), rnd.randrange(1, 70000)
                data = rnd.randbytes(length)
                if self.client.write(self.base + at, data).error:
                    raise AssertionError('WRITE failed')
                self.model[at:at + length] = data
                if self.client.read(self.base, MIB) != self.model:
                    raise AssertionError('wrong data')
                self.rounds += 1
                self.slowest = max(self.slowest, time.monotonic() - begin)
        except BaseException as e:
            self.error = e

    def end(self):
        self.stopping = True
        self.join(30)
        if self.error:
            raise self.error


class ProxyCase(xtest.Case):
    SIZE = 8 * MIB

    def setUp(self):
        super().setUp()
        self._names = collections.Counter()

    def name(self, kind, suffix=''):
        self._names[kind] += 1
        return self.path(f'{kind}{self._names[kind]}{suffix}')

    # Origins.

    def disk(self, size=None, seed=1, holes=()):
        """A file of random bytes with holes (offset, length); returns path and content."""
        size = self.SIZE if size is None else size
        path = self.name('disk', '.img')
        content = bytearray(random.Random(seed).randbytes(size))
        with open(path, 'wb') as f:
            f.write(content)
            f.flush()
            for at, length in holes:
                content[at:at + length] = bytes(length)
        for at, length in holes:
            self.run_cmd('fallocate', '--punch-hole', '-o', str(at), '-l', str(length), path)
        return path, bytes(content)

    def nbdkit(self, *plugin, content=None, filters=(), options=(), log=True):
        """nbdkit on a unix socket; every request is noted in a file."""
        self.require('nbdkit')
        sock, logfile = self.name('o', '.sock'), self.name('origin', '.requests')
        argv = ['nbdkit', '--foreground', '--unix', sock, '--exit-with-parent', *options]
        argv += ['--filter=log'] if log else []
        argv += [f'--filter={f}' for f in filters]
        argv += [*plugin] + ([f'logfile={logfile}'] if log else [])
        return Origin(self, argv, sock, content, logfile).start()

    def file_origin(self, size=None, seed=1, holes=(), extra=(), **options):
        path, content = self.disk(size, seed, holes)
        origin = self.nbdkit('file', path, *extra, content=content, **options)
        origin.image = path
        return origin

    def slow_origin(self, seconds, size=None, **options):
        """Every READ takes so long."""
        return self.file_origin(size, filters=('delay',), extra=(f'rdelay={seconds}',), **options)

    def own_origin(self, image, content=None):
        """Our own server."""
        sock = self.name('o', '.sock')
        engine = [f'--engine={xtest.ENGINE}'] if xtest.ENGINE else []
        return Origin(self, [xtest.program('xnbd-server'), '--target', *engine,
                             f'--socket={sock}', image], sock, content).start()

    # The proxy.

    def proxy_args(self, origin, *options, cache=None):
        """What a start needs; .cache, .bitmap, .control, .socket say where."""
        where = origin if isinstance(origin, (list, tuple)) else [getattr(origin, 'uri', origin)]
        cache = cache or self.name('cache')
        engine = [f'--engine={xtest.ENGINE}'] if xtest.ENGINE else []
        sock, control = self.name('p', '.sock'), self.name('ctl')
        return [xtest.program('xnbd-server'), '--proxy', *engine, f'--socket={sock}', *options,
                *where, cache, f'{cache}.bm', control]

    def proxy(self, origin, *options, cache=None, prefix=(), **more):
        argv = self.proxy_args(origin, *options, cache=cache)
        sock = next(a for a in argv if a.startswith('--socket=')).split('=', 1)[1]
        p = self.start([*prefix, *argv], [sock, argv[-1]], **more)
        p.socket, p.uri, p.args = sock, unix_uri(sock), argv
        p.cache, p.bitmap, p.control = argv[-3:]
        return p

    def again(self, p, origin, *options, **more):
        """Another proxy on the cache of a former one."""
        return self.proxy(origin, *options, cache=p.cache, **more)

    def refused(self, origin, *options, cache, seconds=20):
        """A proxy that must not start: its one line."""
        out = self.run_cmd(*self.proxy_args(origin, *options, cache=cache), status=None,
                           seconds=seconds)
        self.assertEqual(out.returncode, 1, out)
        lines = out.stderr.splitlines()
        self.assertEqual(len(lines), 1, out.stderr)
        return lines[0]

    def client(self, p, mode='structured'):
        c = n.Raw(p.socket).enter(mode)
        self.addCleanup(c.close)
        vars(p).setdefault('clients', []).append(c)
        return c

    @staticmethod
    def stop(p):
        """Its orderly end, after that of our clients: it gives those who stay a second to leave."""
        for c in getattr(p, 'clients', ()):
            c.close()
        p.stop()

    # Control.

    def control(self, p):
        c = Control(p.control)
        self.addCleanup(c.close)
        return c

    def ask(self, p, cmd, **arguments):
        with contextlib.closing(Control(p.control)) as c:
            answer = c.ask(cmd, **arguments)
        return answer

    def done(self, p, cmd, **arguments):
        answer = self.ask(p, cmd, **arguments)
        self.assertTrue(answer['ok'], answer)
        return answer

    def query(self, p):
        return self.done(p, 'query')

    def origin_state(self, p, state, seconds=10):
        return xtest.wait_for(
            lambda: (q := self.query(p))['origin']['state'] == state and q, state, seconds)

    def cache_all(self, p, seconds=30, **settings):
        """The whole copy; returns the last state."""
        self.done(p, 'cache-all', **settings)
        return xtest.wait_for(
            lambda: (q := self.query(p))['copy']['state'] == 'done' and q, 'copy', seconds)

    def bgctl(self, *args, status=0, **options):
        return self.run_cmd(xtest.program('xnbd-bgctl'), *args, status=status, **options)

    # What is there.

    def check_all(self, p, content, mode='structured', step=MIB):
        """Everything reads as `content`."""
        c = self.client(p, mode)
        self.assertEqual(c.size, len(content))
        for at in range(0, len(content), step):
            want = content[at:at + step]
            self.assertTrue(c.read(at, len(want)) == want, f'{step} bytes at {at}')
        c.disconnect()

    def check_file(self, path, content):
        with open(path, 'rb') as f:
            have = f.read(len(content))
        bad = [i for i in range(0, len(content), BLOCK)
               if have[i:i + BLOCK] != content[i:i + BLOCK]]
        self.assertEqual(bad[:10], [], f'{len(bad)} blocks of {path} differ')

    @staticmethod
    def present(p, live=False):
        """Blocks of the bitmap on disk: bit i of byte i / 8."""
        with open(p.bitmap + ('.live' if live else ''), 'rb') as f:
            data = f.read()
        return {i * 8 + b for i, byte in enumerate(data) for b in range(8) if byte >> b & 1}

    def rss(self, p):
        return int(re.search(r'VmRSS:\s+(\d+)', xtest.text_of(f'/proc/{p.pid}/status'))[1]) * KIB

    @staticmethod
    def timed(function):
        begin = time.monotonic()
        result = function()
        return time.monotonic() - begin, result


def qemu_nbd(case, image, kind, *options):
    """qemu-nbd on a unix socket."""
    case.require('qemu-nbd')
    sock = case.name('o', '.sock')
    return Origin(case, ['qemu-nbd', '-k', sock, '-f', kind, '-e', '16', '-t', '-x', '', *options,
                         image], sock, None)


def nbd_server(case, image):
    """The reference server, on a port nobody has; in a pid namespace, because it forks away."""
    case.require('nbd-server', 'unshare', root=True)
    port, conf = xtest.free_port(), case.name('nbd-server', '.conf')
    with open(conf, 'w') as file:
        file.write(f'[generic]\nport = {port}\nlistenaddr = 127.0.0.1\n[disk]\n'
                   f'exportname = {image}\n')
    argv = ['unshare', '--pid', '--fork', '--kill-child', 'sh', '-c',
            f'nbd-server -C {conf}; exec sleep 1000']
    return Origin(case, argv, ('127.0.0.1', port), None, name='disk')


def to_qcow2(image, out):
    subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', image, out], check=True)
