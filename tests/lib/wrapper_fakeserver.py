#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands in for xnbd-server where a test wants to choose what a server says and when.

It speaks the control protocol only, no NBD: clients it gets are held open. What it answers is in
IMAGE.fake, a JSON object the test may rewrite at any time (atomically):

    query      what to answer to "query", besides "ok"
    refuse     {command: error text, or an object to answer}
    silent     [commands that get no answer]
    die_on     [commands that end it at once]
    start      error: it ends at once with status 1
    state      answers to "status" and "adopt" get these too
    adopt      the answer to "adopt" gets these too
    events     list of events; each is sent once, in order, to every connection

What it was asked is appended to IMAGE.asked, a JSON object a line; the first is its command line.
"""

import json
import os
import selectors
import signal
import socket
import sys
import time

FACTS = {'size': 1 << 20, 'flags': 0x16d, 'block_min': 1, 'block_preferred': 4096,
         'block_max': 1 << 26, 'mode': 'proxy'}


def image_of(argv):
    operands = argv[argv.index('--') + 1:]
    return operands[-3] if '--proxy' in argv else operands[0]


class Fake:
    def __init__(self, argv):
        self.image = image_of(argv)
        self.mode = next(a[2:] for a in argv if a in ('--proxy', '--target', '--cow-target'))
        self.listener = socket.socket(fileno=3)
        self.listener.setblocking(False)
        self.path = self.listener.getsockname()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.conns, self.held, self.sent = {}, [], 0
        self.began, self.argv = int(time.time()), argv
        self.note({'argv': argv, 'pid': os.getpid()})

    def status(self, wishes):
        return {**FACTS, 'mode': self.mode, 'version': 'fake', 'pid': os.getpid(),
                'image': self.image, 'clients': len(self.held), **wishes.get('state', {})}

    def adopted(self, wishes):
        name = self.argv[self.argv.index('--export-name') + 1]
        return {**self.status(wishes), 'protocol': 1, 'began_as': self.mode, 'export': name,
                'told_readonly': '--readonly' in self.argv, 'ending': False, 'since': self.began,
                'control': '', 'copy': 'none', 'last_client': 0, 'clients': [], 'snapshots': [],
                **wishes.get('adopt', {})}

    def note(self, what):
        with open(self.image + '.asked', 'a') as f:
            f.write(json.dumps(what) + '\n')

    def wishes(self):
        try:
            with open(self.image + '.fake') as f:
                return json.load(f)
        except FileNotFoundError:
            return {}

    def send(self, conn, msg):
        try:
            conn.sendall(json.dumps({'v': 1, **msg}).encode() + b'\n')
        except OSError:
            pass

    def end(self, status):
        try:
            os.unlink(self.path)
        finally:
            os._exit(status)

    def answer(self, conn, msg):
        wishes, cmd = self.wishes(), msg['cmd']
        self.note(msg)
        if cmd in wishes.get('die_on', ()):
            os._exit(3)
        if cmd in wishes.get('silent', ()) or msg.get('quiet'):
            return
        refused = wishes.get('refuse', {}).get(cmd)
        if refused:
            answer = refused if isinstance(refused, dict) else {'error': refused}
            self.send(conn, {'ok': False, **answer})
            return
        extra = {'status': self.status(wishes), 'adopt': self.adopted(wishes),
                 'query': {'mode': self.mode, **wishes.get('query', {})}}.get(cmd)
        self.send(conn, {'ok': True, **(extra or wishes.get(cmd, {}))})
        if cmd == 'stop':
            self.end(0)

    def receive(self, conn):
        data, fds, _, _ = socket.recv_fds(conn, 65536, 16)
        self.held += fds
        if not data:
            self.selector.unregister(conn)
            del self.conns[conn]
            conn.close()
            return
        lines = (self.conns[conn] + data).split(b'\n')
        self.conns[conn] = lines.pop()
        for line in lines:
            self.answer(conn, json.loads(line))

    def send_events(self):
        for event in self.wishes().get('events', [])[self.sent:]:
            self.sent += 1
            for conn in self.conns:
                self.send(conn, event)

    def run(self):
        if self.wishes().get('start') == 'error':
            self.end(1)
        while True:
            for key, _ in self.selector.select(0.02):
                if key.fileobj is self.listener:
                    conn, _ = self.listener.accept()
                    self.conns[conn] = b''
                    self.selector.register(conn, selectors.EVENT_READ)
                else:
                    self.receive(key.fileobj)
            self.send_events()


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    Fake(sys.argv[1:]).run()
