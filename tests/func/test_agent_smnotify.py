# SPDX-License-Identifier: GPL-2.0-or-later
"""ocf:xnbd:smnotify with the real sm-notify: peers are told at each move, records stay, and a stop
leaves no process that would hold the shared folder."""

import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import agents  # noqa: E402
import sm_peers  # noqa: E402
import xtest  # noqa: E402
from agents import GENERIC, INSTALLED, NOT_RUNNING  # noqa: E402

NOBODY, NAME = 65534, 'nfs-ha.lab.test'
# Each call has a /run and names of its own.
PRIVATE = ('unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /run; mount --bind "$0" /etc/hosts; '
           'exec "$@"')


class Smnotify(agents.Case):

    def setUp(self):
        super().setUp()
        self.require('unshare')
        self.state = self.path('nfs')
        for folder in (self.state, f'{self.state}/sm', f'{self.state}/sm.bak'):
            os.mkdir(folder, 0o755)
            os.chown(folder, NOBODY, NOBODY)
        with open(self.path('hosts'), 'w') as f:
            f.write(f'127.0.0.1 localhost\n{self.a.address} {NAME}\n')
        self.a.prefix = [*self.a.prefix, *PRIVATE, self.path('hosts')]
        self.given = {'name': NAME, 'folder': self.state, 'binary': xtest.program('sm-notify')}
        self.resource = self.agent('smnotify', **self.given)

    def record(self, peer, address):
        os.chown(sm_peers.write_record(f'{self.state}/sm', peer, address, NAME), NOBODY, NOBODY)

    def running(self):
        """Process ids of sm-notify for our folder."""
        found = []
        for path in glob.glob('/proc/[0-9]*/cmdline'):
            words = xtest.text_of(path).split('\0')
            if words[0] == self.given['binary'] and words[-2].endswith(self.state):
                found.append(path)
        return found

    def test_tester(self):
        self.record('silent', '192.0.2.99')
        self.resource.tester()

    def test_moves(self):
        peer = sm_peers.Peer(sm_peers.Farm(self, self.b), self.b.address)
        self.record('peer.lab.test', self.b.address)
        a = self.resource
        for move in range(1, 4):
            a.start()
            xtest.wait_for(lambda n=move: len({c.state for c in peer.calls if c.is_notify}) == n,
                           'told', 60)
            a.monitor()
            a.stop()
            self.assertEqual(self.running(), [])
            a.monitor(NOT_RUNNING)
            kept = [n for f in ('sm', 'sm.bak') for n in os.listdir(f'{self.state}/{f}')
                    if not n.startswith('.')]
            self.assertEqual(kept, ['peer.lab.test'])
        self.assertIn(NAME, {c.name for c in peer.calls if c.is_notify})

    def test_stop_ends_it(self):
        self.record('silent', '192.0.2.99')
        self.resource.start()
        self.assertEqual(len(self.running()), 1)
        self.resource.stop()
        self.assertEqual(self.running(), [])

    def test_other_name(self):
        """Of the program; the kernel knows a part of it."""
        self.given['binary'] = self.path('notify-peers-of-nfs')
        os.symlink(xtest.program('sm-notify'), self.given['binary'])
        self.record('silent', '192.0.2.99')
        a = self.agent('smnotify', **self.given)
        a.start()
        self.assertEqual(len(self.running()), 1)
        a.stop()
        self.assertEqual(self.running(), [])

    def test_killed(self):
        self.record('silent', '192.0.2.99')
        self.kill_at_every_step(self.resource, lambda: self.assertEqual(self.running(), []))

    def test_refusals(self):
        away = self.agent('smnotify', **{**self.given, 'folder': self.path('away')})
        self.assertIn('is the volume mounted', away.start(GENERIC))
        self.program('other-notify', 'echo "usage: sm-notify [-dfq]"')
        other = self.agent('smnotify', **{**self.given, 'binary': 'other-notify'})
        self.assertIn('--no-consume', other.start(INSTALLED))

    def test_words(self):
        a = self.resource
        args = (NAME, self.state, '5', xtest.program('sm-notify'))
        for action, word in (('status', 'stopped'), ('start', ''), ('status', 'running'),
                             ('stop', ''), ('status', 'stopped')):
            self.assertEqual(a.heartbeat(*args, action), f'{word}\n' if word else '')


if __name__ == '__main__':
    xtest.main(at_once=3)
