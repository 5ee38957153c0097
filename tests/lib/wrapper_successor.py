# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrappers that follow one another, by a crash, --orphan or an upgrade, while clients go on."""

import json
import os
import random
import socket
import threading
import time

import rawnbd
import xtest
from wrapper_fixture import kill
from wrapper_writer import WritingCase

SMALL = 4096


class Visitors(threading.Thread):
    """Clients that come, look, and leave, one after the other; `error` is the first failure."""

    def __init__(self, w, names, seed=0, before=None):
        super().__init__()
        self.w, self.names, self.rnd = w, names, random.Random(seed)
        self.before = before  # may say why a failure is all right
        self.served, self.stopping, self.error = 0, False, None

    def visit(self):
        client = rawnbd.Raw(self.w.address)
        name = self.rnd.choice(self.names)
        try:
            client.greet()
            if self.rnd.random() < 0.3:
                client.send(client.go_bytes(name, option=rawnbd.OPT_INFO))
                client.take_infos(rawnbd.OPT_INFO)
            if self.rnd.random() < 0.3:
                rawnbd.expect(len(client.option(rawnbd.OPT_LIST)) > 1, 'an empty list')
            time.sleep(self.rnd.random() * 0.02)
            client.go(name)
            for _ in range(self.rnd.randrange(4)):
                client.request(rawnbd.READ, 0, SMALL)
                rawnbd.expect(client.reply().error == 0, 'READ')
            client.disconnect()
        finally:
            client.close()

    def run(self):
        while not self.stopping:
            try:
                self.visit()
                self.served += 1
            except (OSError, AssertionError) as e:
                self.error = e
                return

    def finish(self):
        self.stopping = True
        self.join()
        if self.error:
            raise self.error


class SuccessorCase(WritingCase):
    def succeed(self, w, *more):
        """A new wrapper with the same command line and more, when the one before has ended."""
        w.daemon.wait(10)
        w.daemon = self.start(w.daemon.argv + list(more), [w.address, w.control])
        return self._ready(w)

    def crash(self, w):
        kill(w.pid)
        w.daemon.process.wait()

    def orphan(self, w):
        w.ctl('--orphan')
        self.assertEqual(w.daemon.wait(10), 0)

    def survive(self, w, *more, end=None):
        """The wrapper ends without its servers, by a crash if nothing else is said; a new one."""
        (end or self.crash)(w)
        return self.succeed(w, *more)

    def upgrade(self, w, *args):
        return json.loads(w.ctl('--json', 'upgrade', *args, seconds=60))

    def visitors(self, w, names, count=2):
        """Threads of clients; ended at the latest with the test."""
        all_of_them = [Visitors(w, names, seed) for seed in range(count)]
        for v in all_of_them:
            v.start()
            self.addCleanup(v.join)
            self.addCleanup(setattr, v, 'stopping', True)
        return all_of_them

    def shown(self, w):
        """What --list and --clients show, without what changes with time."""
        exports = w.list()
        for e in exports:
            for key in ('error', 'retry_seconds'):
                e.pop(key, None)
            for c in e['clients']:
                del c['seconds']
        clients = json.loads(w.ctl('--json', 'clients'))
        if isinstance(clients, dict):
            clients = clients['clients']
        for c in clients:
            del c['seconds'], c['since']
            c.pop('holder_since', None)
        return sorted(json.dumps(e, sort_keys=True) for e in exports), clients

    def call(self, w, **request):
        """One request to the control socket, as it is; the answer."""
        with xtest.connect(w.control, 30) as s:
            s.sendall(json.dumps({'v': 1, **request}).encode() + b'\n')
            return json.loads(s.makefile().readline())

    def ask_worker(self, w, name, **request):
        """The same to a worker's control socket: that of the export's pid."""
        for path in self.worker_sockets(w):
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(10)
                    s.connect(path)
                    s.sendall(b'{"v":1,"cmd":"status"}\n')
                    lines = s.makefile()
                    status = json.loads(lines.readline())
                    if status.get('pid') != w.worker(name):
                        continue
                    s.sendall(json.dumps({'v': 1, **request}).encode() + b'\n')
                    return json.loads(lines.readline())
            except ConnectionRefusedError:
                continue
        self.fail(f'no control socket of the server of {name}')

    def settle_count(self, w, count):
        """Clients that have left are counted no more."""
        xtest.wait_for(lambda: w.status()['clients'] == count, f'{count} clients')

    def apart(self, w):
        """Servers that are apart: {export: why}."""
        return {a['export']: a['reason'] for a in w.status()['apart']}

    def script(self, name, text):
        """An executable shell script; its path."""
        path = self.path(name)
        with open(path, 'w') as f:
            f.write('#!/bin/sh\n' + text)
        os.chmod(path, 0o755)
        return path

    def other_ipc(self):
        """A program whose negotiators speak otherwise, as far as it says."""
        real = xtest.program('xnbd-wrapper')
        return self.script('other', 'case "$*" in *--upgrade-check*)'
                           f' {real} "$@" | sed "s/ipc [0-9]*/ipc 999/"; exit;; esac\n'
                           f'exec {real} "$@"\n')
