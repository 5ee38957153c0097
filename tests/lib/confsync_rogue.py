# SPDX-License-Identifier: GPL-2.0-or-later
"""A node that has the right key and means no good: speaks the protocol of confsync/message.h.

Caller logs in by the real sshd of a node and is answered by the real xnbd-confsync --serve. Host is
what the peer's forced command leads to: it sits in the test, at a unix socket. Both say what they
are told to, whether or not it makes sense.
"""

import hashlib
import json
import os
import socket
import struct
import subprocess
import threading

ZEROS = '0' * 64
TEXT, GENERATION, DATA = b'T', b'G', b'D'


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def escape(text):
    raw = text if isinstance(text, bytes) else text.encode('utf-8', 'surrogateescape')
    return ''.join(chr(b) if 0x20 < b < 0x7f and b != 0x25 else f'%{b:02X}' for b in raw)


def file(path, data=b'', mode=0o644, owner='root', group='root', size=None, digest=None, attrs=()):
    """Lines of a manifest."""
    text = f'f {mode:04o} {owner} {group} {len(data) if size is None else size} ' \
           f'{digest or sha256(data)} {escape(path)}\n'
    return text + ''.join(f'x {escape(n)} {escape(v)}\n' for n, v in attrs)


def folder(path, mode=0o755, owner='root', group='root'):
    return f'd {mode:04o} {owner} {group} {escape(path)}\n'


def link(path, target, owner='root', group='root'):
    return f'l {owner} {group} {escape(target)} {escape(path)}\n'


def generation(lines, set_name='app', number=2, vector=(('n1', 1), ('n2', 9)), parent=ZEROS,
               digest=None, transaction=None, origin='n2', count=None, reason='push', end='end\n'):
    """Its text; LINES: one text for each entry, in order."""
    manifest = ''.join(lines)
    counts = ''.join(f' {n} {c}' for n, c in vector)
    return (f'xnbd-confsync 1\nset {set_name}\nnumber {number}\nvector{counts}\nparent {parent}\n'
            f'digest {digest or sha256(manifest.encode())}\ntransaction {transaction or "-"}\n'
            f'origin {origin}\ntime 1\nreason {escape(reason)}\n'
            f'files {len(lines) if count is None else count}\n{manifest}{end}').encode()


class Ended(Exception):
    """The other side has gone."""


class Speaker:
    """Over two files; `name`: who we say that we are."""

    def __init__(self, source, target, name='n2'):
        self.source, self.target, self.name = source, target, name

    # Frames.

    def raw(self, data):
        try:
            while data:  # files without a buffer write a part
                data = data[self.target.write(data):]
            self.target.flush()
        except OSError as e:
            raise Ended from e

    def frame(self, kind, body):
        self.raw(struct.pack('>I', len(body)) + kind + body)

    def get(self, size):
        data = self.source.read(size)
        if len(data) < size:
            raise Ended
        return data

    def hear_frame(self):
        size, kind = struct.unpack('>Ic', self.get(5))
        return kind, self.get(size)

    # Messages.

    def say(self, m, **fields):
        self.frame(TEXT, json.dumps({'m': m, **fields}).encode())

    def hear(self, *kinds):
        """The next message; what comes in a frame of another kind is passed over."""
        while True:
            kind, body = self.hear_frame()
            if kind == TEXT:
                m = json.loads(body)
                if not kinds or m['m'] in kinds:
                    return m
                if m['m'] in ('refuse', 'abort'):
                    return m

    def hello(self, version=1, node=None):
        self.say('hello', version=version, node=node or self.name)

    def send(self, data, digest=None, size=None):
        self.say('data', hash=digest or sha256(data), size=len(data) if size is None else size)
        for at in range(0, len(data), 65536):
            self.frame(DATA, data[at:at + 65536])

    # A transaction as the sender.

    def offer(self, state, text, transaction=None, **fields):
        """STATE: what the other side said."""
        self.transaction = transaction or os.urandom(8).hex()
        self.say('offer', **{'set': state['set'], 'txn': self.transaction,
                             'digest': state['digest'], 'number': state['number'],
                             'set_aside': False, 'definition': state['definition'], **fields})
        self.frame(GENERATION, text.replace(b'transaction -\n',
                                            f'transaction {self.transaction}\n'.encode()))

    def needs(self):
        """Hashes that are asked for; a text: it refuses."""
        m = self.hear('need')
        if m['m'] != 'need':
            return m['why']
        found = []
        while True:
            m = self.hear('hashes')
            if m['m'] != 'hashes':
                return m['why']
            if not m['list']:
                return found
            found += m['list']

    def deliver(self, contents):
        """All that is asked for, in order; ends after `prepared` or a refusal, which it returns."""
        wanted = self.needs()
        if isinstance(wanted, str):
            return {'m': 'refuse', 'why': wanted}
        have = {sha256(c): c for c in contents}
        for digest in wanted:
            self.send(have[digest])
        return self.hear('prepared')

    def finish(self):
        self.say('commit')
        m = self.hear('committed')
        if m['m'] == 'committed':
            self.say('finish')
            self.hear('ok')
        return m


class Caller(Speaker):
    """Calls node n1 with the key of n2."""

    def __init__(self, case, name='n2', key='client'):
        n2 = case.n2
        self.process = n2.popen(*n2.ssh('x', key=key), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        case.addCleanup(self.close)
        super().__init__(self.process.stdout, self.process.stdin, name)

    def begin(self, set_name='app'):
        """Says hello and asks: what the node says of the set."""
        self.hello()
        self.hear('hello')
        self.say('state-ask', set=set_name)
        state = self.hear('state')
        assert state['m'] == 'state', state
        return state

    def close(self):
        self.process.kill()
        self.process.wait()
        for f in (self.source, self.target):
            try:
                f.close()
            except OSError:
                pass


class Host:
    """What n1 is answered when it calls n2: SCRIPT(speaker), in a thread, for each call."""

    def __init__(self, case, script):
        self.path, self.script, self.errors, self.calls = case.path('rogue.sock'), script, [], 0
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(16)
        case.require('nc')
        case.n2.authorize(forced=f'exec nc -U {self.path}')
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        case.addCleanup(self.close)

    def run(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            self.calls += 1
            try:
                with s, s.makefile('rb') as source, s.makefile('wb', 0) as target:
                    self.script(Speaker(source, target))
                    s.shutdown(socket.SHUT_RDWR)
            except (Ended, OSError, ValueError):
                pass
            except Exception as e:
                self.errors.append(e)

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        self.thread.join(30)
