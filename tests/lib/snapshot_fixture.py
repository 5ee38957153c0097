# SPDX-License-Identifier: GPL-2.0-or-later
"""A target with a control socket whose snapshots are watched, and copying that can be held or
slowed down.

The server's copying threads are the only ones that call pwrite(2) (clients' data goes by pwritev2
or a ring), so a preloaded one tells them apart.
"""

import json
import os
import signal

import rawnbd as n
import xtest
from xtest import KIB, MIB

BLOCK = 64 * KIB  # SNAPSHOT_BLOCK
# Older kernels are not trusted to keep a clone on XFS as it was.
XFS_CLONES = tuple(int(part) for part in os.uname().release.split('.')[:2]) >= (6, 18)
XFS_METHOD = 'reflink' if XFS_CLONES else 'copy'
COPIES_AT_WILL = r'''
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>
static void wait_for_leave(const char *name)
{
	const char *held = getenv(name);

	while (held && access(held, F_OK) == 0)
		usleep(2000);
}
ssize_t pwrite64(int fd, const void *p, size_t len, off64_t at)
{
	const char *us = getenv("COPIES_US");

	wait_for_leave("COPIES_HELD");
	if (us)
		usleep((unsigned)atoi(us));
	return syscall(SYS_pwrite64, fd, p, len, at);
}
ssize_t pwrite(int fd, const void *p, size_t len, off_t at)
{
	return pwrite64(fd, p, len, at);
}
int fsync(int fd)
{
	wait_for_leave("SYNCS_HELD");
	return (int)syscall(SYS_fsync, fd);
}
'''


class Control:
    """A control connection: commands and their answers, events in between are kept."""

    def __init__(self, path, timeout=30.0):
        self.sock = xtest.connect(path, timeout)
        self.input = self.sock.makefile('r', encoding='utf-8')
        self.events = []

    def close(self):
        self.input.close()
        self.sock.close()

    def send(self, cmd, **more):
        self.sock.sendall(json.dumps({'v': 1, 'cmd': cmd, **more}).encode() + b'\n')

    def answer(self):
        while True:
            message = json.loads(self.input.readline())
            if 'ok' in message:
                return message
            self.events.append(message)

    def call(self, cmd, **more):
        self.send(cmd, **more)
        return self.answer()


class SnapshotCase(xtest.Case):

    def target(self, image, *args, copies_us=None, held=False, syncs=False, **options):
        """Serves `image`. copies_us: each write of the copy is that slow. held: they wait until
        copies_go_on(); so do syncs of copies (syncs)."""
        self.img, self.control = image, self.path(f'control.{self._daemons}')
        self.held, self.syncs_held = self.path('held'), self.path('syncs-held')
        env = dict(options.pop('env', None) or {})
        if copies_us or held or syncs:
            env.update(self.preload(COPIES_AT_WILL, 'copies'), COPIES_HELD=self.held,
                       SYNCS_HELD=self.syncs_held)
        if copies_us:
            env['COPIES_US'] = str(copies_us)
        for path in [self.held] * held + [self.syncs_held] * syncs:
            with open(path, 'w'):
                pass
        self.server = self.serve(image, f'--control={self.control}', *args, env=env, **options)
        self.addCleanup(self.copies_go_on)
        xtest.wait_for(lambda: xtest.answers(self.control), 'the control socket')
        self.ctl = self.connect()
        return self.server

    def connect(self):
        c = Control(self.control)
        self.addCleanup(c.close)
        return c

    def copies_go_on(self):
        for path in (self.held, self.syncs_held):
            if os.path.exists(path):
                os.unlink(path)

    def client(self, name='', mode='structured', timeout=30.0):
        c = n.Raw(self.server.socket, timeout).enter(mode, name)
        self.addCleanup(c.close)
        return c

    def no_export(self, name):
        c = n.Raw(self.server.socket)
        with self.assertRaises(n.ProtocolError, msg=name):
            c.enter(name=name)
        c.close()

    # Snapshots.

    def snapshot(self, to=None, ctl=None):
        """Takes one: its entry of `query`, as it is at the answer."""
        answer = (ctl or self.ctl).call('snapshot', **({'to': to} if to else {}))
        self.assertTrue(answer['ok'], answer)
        return answer

    def refused(self, text, cmd='snapshot', **more):
        answer = self.ctl.call(cmd, **more)
        self.assertFalse(answer['ok'], answer)
        self.assertRegex(answer['error'], text)
        self.assertEqual(len(answer['error'].splitlines()), 1)

    def snapshots(self):
        return {s['id']: s for s in self.connect_and('query')['snapshots']}

    def connect_and(self, cmd, **more):
        c = Control(self.control)
        try:
            return c.call(cmd, **more)
        finally:
            c.close()

    def state(self, number):
        return self.snapshots()[number]['state']

    def wait_state(self, number, state='complete', seconds=30):
        def is_it():
            now = self.state(number)
            self.assertIn(now, ('copying', state), self.server.stderr())
            return now == state
        xtest.wait_for(is_it, f'snapshot {number} is {state}', seconds)

    def drop(self, number):
        answer = self.ctl.call('snapshot-drop', id=number)
        self.assertTrue(answer['ok'], answer)

    def bgctl(self, *args, status=0):
        return self.run_cmd(xtest.program('xnbd-bgctl'), *args, status=status)

    def signal_snapshot(self):
        """By SIGUSR1; the entry of the new one."""
        before = set(self.snapshots())
        self.server.send_signal(signal.SIGUSR1)
        new = xtest.wait_for(lambda: set(self.snapshots()) - before, 'a snapshot by signal')
        return self.snapshots()[new.pop()]

    # Files.

    def content(self, path):
        with open(path, 'rb') as f:
            return f.read()

    def assert_content(self, path, model, what=''):
        data = self.content(path)
        self.assertEqual(len(data), len(model), what)
        if data != model:
            at = next(i for i in range(len(data)) if data[i] != model[i])
            self.fail(f'{what}: {path} differs from offset {at} on')

    def files(self, folder=None):
        return sorted(os.listdir(folder or os.path.dirname(self.img)))

    def partials(self, folder=None):
        return [f for f in self.files(folder) if f.endswith('.partial')]


__all__ = ['BLOCK', 'KIB', 'MIB', 'Control', 'SnapshotCase']
