# SPDX-License-Identifier: GPL-2.0-or-later
"""sm-notify and the real thing: Debian's rpcbind and rpc.statd as the peer, in a namespace of their
own, with a lockd made up that is told when we have rebooted. Cases 50 and 77 of the reference.
"""

import os
import re
import select
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import sm_lab  # noqa: E402
import xtest  # noqa: E402
from sm_lab import FARM, FARM6, ME, SERVER, SERVER6  # noqa: E402
from sm_peers import NLM, RPCBIND, STATD, text, words  # noqa: E402

CLIENT, NLM_NOTIFY, SET, MON = 'client1.lab.test', 16, 1, 2
COOKIE = bytes(range(16))
# Folders these programs write to, and the names they look up, of their own; then the programs.
PEER = """
mount --make-rprivate / && mount -t tmpfs none /run && mount -t tmpfs none /var/lib/nfs || exit 9
mkdir /run/rpcbind && chown _rpc /run/rpcbind
mkdir -p /var/lib/nfs/sm /var/lib/nfs/sm.bak && chown -R statd:nogroup /var/lib/nfs
for f in hosts resolv.conf nsswitch.conf; do mount --bind "$0/$f" "/etc/$f" || exit 9; done
hostname client1.lab.test
exec "$@"
"""


class Lockd(threading.Thread):
    """A program 100021 that rpc.statd calls back: (mon_name, state, cookie) of each call."""

    def __init__(self, case):
        super().__init__(daemon=True)
        self.calls, self.over = [], False
        self.socket = case.far.within(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.socket.bind(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]
        case.addCleanup(self.end)
        self.start()

    def end(self):
        self.over = True
        self.join(10)
        self.socket.close()

    def run(self):
        while not self.over:
            if not select.select([self.socket], [], [], 0.1)[0]:
                continue
            data, source = self.socket.recvfrom(2000)
            if struct.unpack('>I', data[20:24])[0] == NLM_NOTIFY:
                args = data[40 + struct.unpack('>I', data[28:32])[0]:]  # behind credentials
                length, = struct.unpack('>I', args[:4])
                rest = args[4 + (length + 3) // 4 * 4:]
                self.calls.append((args[4:4 + length].decode(), struct.unpack('>i', rest[:4])[0],
                                   rest[4:20]))
            self.socket.sendto(data[:4] + words(1, 0, 0, 0, 0), source)


class Statd(sm_lab.Case):

    def setUp(self):
        super().setUp()
        self.require('rpcbind', 'rpc.statd')
        self.etc['hosts'] += (f'{FARM} {CLIENT} client1\n{FARM6} {CLIENT}\n'
                              f'{SERVER} {ME} nfssrv\n{SERVER6} {ME} nfssrv\n')
        self.argv()  # writes the files
        self.start_there('rpcbind', '-f', '-w')
        xtest.wait_for(lambda: self.registered(STATD) is not None, 'rpcbind')
        self.statd = self.start_there('rpc.statd', '-F', '-d', '-L')
        xtest.wait_for(lambda: self.registered(STATD), 'statd')
        self.lockd = Lockd(self)

    def start_there(self, *argv):
        return self.spawn([*self.far.prefix, 'unshare', '-m', '-u', 'sh', '-c', PEER,
                           self.path('etc'), *argv])

    def call(self, port, prog, vers, proc, args):
        """From this host itself, with a port of root; the result, None without an answer."""
        def ask():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                for own in range(700, 1024):
                    try:
                        s.bind(('127.0.0.1', own))
                        break
                    except OSError:
                        continue
                s.settimeout(1)
                s.connect(('127.0.0.1', port))
                try:
                    s.send(words(9, 0, 2, prog, vers, proc, 0, 0, 0, 0) + args)
                    return s.recv(1000)[24:]
                except OSError:
                    return None
        return self.far.within(ask)

    def registered(self, prog, prot=17):
        result = self.call(111, RPCBIND, 2, 3, words(prog, 1, prot, 0))
        return None if result is None else struct.unpack('>I', result)[0]

    def monitor(self, name):
        for vers in (1, 3, 4):
            self.call(111, RPCBIND, 2, SET, words(NLM, vers, 17, self.lockd.port))
        args = text(name) + text('client1.lab.test') + words(NLM, 3, NLM_NOTIFY) + COOKIE
        result = self.call(self.registered(STATD), STATD, 1, MON, args)
        self.assertEqual(result[:4], words(0), self.statd.stderr())

    def received(self):
        return re.findall(r'Received SM_NOTIFY from (\S+), state: (\d+)', self.statd.stderr())

    def check(self, mon, seconds=1.0):
        self.monitor(ME)
        self.record(CLIENT, mon)
        run = self.notify()
        self.assertEqual(self.left(), [])
        self.assertEqual(self.received(), [(ME, '3'), ('nfssrv', '3')])
        xtest.wait_for(lambda: self.lockd.calls, 'lockd')
        time.sleep(0.5)  # another call would be there by now
        self.assertEqual(self.lockd.calls, [(ME, 3, COOKIE)])
        self.assertLess(run.summary['seconds'], seconds * 4)
        return run

    def test_udp(self):
        run = self.check(FARM)
        self.assertEqual(run.summary['datagrams']['sent'], 3)

    def test_udp6(self):
        run = self.check(FARM6)
        self.assertEqual(run.summary['datagrams']['sent'], 3)

    def test_by_name(self):
        self.check(CLIENT)

    def test_tcp(self):
        self.rules(self.far, 'iifname "link0" meta l4proto udp drop')
        run = self.check(FARM, 4)
        self.assertEqual(run.summary['connections'], 3)
        self.assertEqual(run.summary['datagrams']['received'], 0)

    def test_tcp6(self):
        self.rules(self.far, 'iifname "link0" meta l4proto udp drop')
        self.assertEqual(self.check(FARM6, 4).summary['connections'], 3)

    def test_again(self):
        """Another boot, another number: it is told again."""
        self.check(FARM)
        self.monitor(ME)
        self.record(CLIENT, FARM)
        self.notify()
        self.assertEqual(self.received()[2:], [(ME, '5'), ('nfssrv', '5')])
        xtest.wait_for(lambda: len(self.lockd.calls) == 2, 'lockd')
        self.assertEqual(self.lockd.calls[1], (ME, 5, COOKIE))

    def test_monitor_restarted(self):
        """The status monitor is gone for some seconds; rpcbind still names its old port."""
        self.monitor(ME)
        self.statd.process.kill()
        self.statd.process.wait()
        self.record(CLIENT, FARM)
        run = self.begin()
        time.sleep(3)
        self.assertTrue(run.alive())
        self.statd = self.start_there('rpc.statd', '-F', '-d', '-L')
        self.assertEqual(run.wait().status, 0, run.log)
        # A monitor that is slow to start is told twice.
        self.assertEqual(list(dict.fromkeys(self.received())), [(ME, '3'), ('nfssrv', '3')])


if __name__ == '__main__':
    sm_lab.main()
