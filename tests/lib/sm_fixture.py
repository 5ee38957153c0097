# SPDX-License-Identifier: GPL-2.0-or-later
"""State directories and peers for tests of sm-notify's files.

A peer is an address of 127/8 where one socket plays both rpcbind and the status monitor. The
directory belongs to a user of its own, as rpc.statd's does; /run and /proc are folders beside it.
"""

import os
import select
import socket
import struct
import threading

import xtest

OWNER = 54321
COOKIE = '00112233445566778899aabbccddeeff'
RPCBIND, STATD = 100000, 100024
GRACE, LOCAL = 'fs/lockd/nlm_end_grace', 'sys/fs/nfs/nsm_local_state'


def line(mon, my, cookie=COOKIE, end='\n'):
    return f'0100007f 000186b5 00000003 00000010 {cookie} {mon} {my}{end}'


class Peers:
    """Answers at all of `addresses` on one UDP port; `told` has (address, name, state)."""

    def __init__(self, addresses):
        self.sockets, self.told, self.silent, self.asked = {}, [], set(), set()
        first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        first.bind((addresses[0], 0))
        self.port = first.getsockname()[1]
        self.sockets[first] = addresses[0]
        for address in addresses[1:]:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((address, self.port))
            self.sockets[s] = address
        self.wake, self.end = socket.socketpair()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def stop(self):
        self.wake.close()
        self.thread.join()
        for s in [*self.sockets, self.end]:
            s.close()

    def _serve(self):
        while True:
            for s in select.select([*self.sockets, self.end], [], [])[0]:
                if s is self.end:
                    return
                data, source = s.recvfrom(4096)
                reply = self._answer(self.sockets[s], data)
                if reply is not None:
                    s.sendto(data[:4] + struct.pack('>5I', 1, 0, 0, 0, 0) + reply, source)

    def _answer(self, address, data):
        program, version, procedure = struct.unpack('>3I', data[12:24])
        self.asked.add(address)
        if address in self.silent:
            return None
        if program == RPCBIND and version == 2:
            return struct.pack('>I', self.port)
        if program == RPCBIND:
            text = f'{address}.{self.port >> 8}.{self.port & 255}'.encode()
            return struct.pack('>I', len(text)) + text + bytes(-len(text) % 4)
        length = struct.unpack('>I', data[40:44])[0]
        name = data[44:44 + length].decode()
        state = struct.unpack('>i', data[44 + (length + 3) // 4 * 4:][:4])[0]
        assert (program, procedure) == (STATD, 6)
        self.told.append((address, name, state))
        return b''

    def names(self, address):
        return {name for a, name, _ in self.told if a == address}

    def states(self):
        return {state for _, _, state in self.told}


class Case(xtest.Case):
    """self.state is a state directory, self.peers answers at 127.0.0.11 to .19."""

    def setUp(self):
        super().setUp()
        self.require(root=True)
        os.chmod(self.dir, 0o755)
        self.run_dir, self.proc = self.path('run'), self.path('proc')
        for folder in (self.run_dir, self.proc):
            os.mkdir(folder)
        self.state = self.make_state('state.d')
        self.peers = Peers([f'127.0.0.{n}' for n in range(11, 20)])
        self.addCleanup(self.peers.stop)

    def make_state(self, name):
        where = self.path(name)
        os.mkdir(where)
        for folder in ('sm', 'sm.bak'):
            os.mkdir(f'{where}/{folder}', 0o700)
            os.chown(f'{where}/{folder}', OWNER, OWNER)
        return where

    # Files.

    def put(self, name, content, owner=OWNER, state=None):
        """`name` is like sm/peer."""
        path = os.path.join(os.fsencode(state or self.state), os.fsencode(name))
        with open(path, 'wb') as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        os.chown(path, owner, owner)
        return path

    def leave(self, name, content, state=None):
        """As rpc.statd leaves it when the power goes: it is from some time ago."""
        os.utime(self.put(name, content, state=state), (1000, 1000))

    def names(self, folder, state=None):
        return sorted(os.listdir(os.path.join(state or self.state, folder)))

    def content(self, name, state=None):
        with open(os.path.join(state or self.state, name), 'rb') as f:
            return f.read()

    def set_number(self, number, state=None):
        self.put('state', struct.pack('<i', number), state=state)

    def number(self, state=None):
        content = self.content('state', state)
        self.assertEqual(len(content), 4)
        return struct.unpack('<i', content)[0]

    def fake_proc(self, name, content=''):
        path = os.path.join(self.proc, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(content)
        return path

    # Runs.

    def argv(self, *args, state=None, foreground=True):
        return [xtest.program('sm-notify'), *(['--foreground'] if foreground else []),
                '--state-directory-path', state or self.state, '--run-dir', self.run_dir,
                '--proc-root', self.proc, '--rpcbind-port', str(self.peers.port),
                '--config', self.config(), *args]

    def traced(self, calls, *options):
        """A prefix that runs it under strace, and a function that gives the trace. A sanitizer's
        search for leaks cannot run there."""
        self.require('strace')
        out = self.path('trace')
        return (['env', 'ASAN_OPTIONS=' + ':'.join(filter(None, (
            os.environ.get('ASAN_OPTIONS'), f'log_path={self.dir}/sanitizer', 'detect_leaks=0'))),
                 'strace', '-f', '-o', out, '-e', f'trace={calls}', *options],
                lambda: xtest.text_of(out))

    def config(self):
        """Ours, so that the machine's has no say."""
        path = self.path('nfs.conf')
        if not os.path.exists(path):
            xtest.text_of(path)
            with open(path, 'w'):
                pass
        return path

    def notify(self, *args, status=0, prefix=(), **options):
        """Runs to the end; returns what it wrote to stderr."""
        options.setdefault('foreground', True)
        argv = self.argv(*args, state=options.pop('state', None),
                         foreground=options.pop('foreground'))
        p = self.run_cmd(*prefix, *argv, status=None, **options)
        if status is not None and p.returncode != status:
            self.fail(f'exit status {p.returncode}, expected {status}\n{p.stdout}\n{p.stderr}')
        self.stdout, self.status = p.stdout, p.returncode
        return p.stderr
