# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of sm-notify on a network of their own: the server it runs on and a farm of peers.

Server and farm are namespaces without names (netlab.py), joined by a link: 10.77.0.1 and .2,
fd77::1 and ::2. The farm also has all of 10.81.0.0/16 and fd81::/64; what is sent to 10.82.0.0/16
or fd82::/64 is lost there, and 10.83.0.0/16 is reported unreachable. State folder, /run, /proc and
the files of the resolver are the test's own. Needs root.
"""

import json
import os
import socket
import subprocess
import sys
import time

import netlab
import sm_peers
import xtest

SERVER, SERVER6, FARM, FARM6 = '10.77.0.1', 'fd77::1', '10.77.0.2', 'fd77::2'
ME = 'nfssrv.lab.test'
NOBODY = 65534
BIND = 'for f in hosts resolv.conf nsswitch.conf host.conf; do [ -e "$0/$f" ] && ' \
       'mount --bind "$0/$f" "/etc/$f"; done; exec "$@"'


class Run:
    """A started sm-notify."""

    def __init__(self, daemon, out):
        self.daemon, self.out, self.began = daemon, out, time.monotonic()

    def wait(self, seconds=60.0):
        self.status = self.daemon.wait(seconds)
        self.seconds = time.monotonic() - self.began
        return self

    @property
    def log(self):
        return self.daemon.stderr()

    @property
    def summary(self):
        return json.loads(xtest.text_of(self.out))

    def alive(self):
        return self.daemon.is_alive()


class Case(xtest.Case):

    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o777)  # a sanitizer of the unprivileged program writes its report here
        self.require('ip', 'nsenter', 'unshare', 'mount', root=True)
        self.server, self.far = netlab.Host(self, SERVER), netlab.Host(self, FARM)
        self._join()
        self.farm = sm_peers.Farm(self, self.far)
        self._runs = 0
        self.state = self.path('nfs')
        self.etc = {'hosts': '127.0.0.1 localhost\n::1 localhost\n', 'resolv.conf': '',
                    'nsswitch.conf': 'hosts: files dns\n', 'host.conf': 'multi on\n', 'nfs.conf': ''}
        for folder in (self.state, f'{self.state}/sm', f'{self.state}/sm.bak', self.path('run'),
                       self.path('proc'), self.path('etc')):
            os.mkdir(folder, 0o755)
        for folder in ('sm', 'sm.bak'):
            os.chown(f'{self.state}/{folder}', NOBODY, NOBODY)

    def _join(self):
        link, mac, far_mac = netlab.LINK, '02:00:00:00:00:01', '02:00:00:00:00:02'
        self.server.run('ip', 'link', 'add', link, 'address', mac, 'type', 'veth', 'peer', 'name',
                        link, 'address', far_mac, 'netns', self.far.path)
        for host, four, six in ((self.server, SERVER, SERVER6), (self.far, FARM, FARM6)):
            host.run('ip', 'address', 'add', f'{four}/24', 'dev', link)
            host.run('ip', 'address', 'add', f'{six}/64', 'dev', link, 'nodad')
            host.run('sh', '-c', f'echo 0 >/proc/sys/net/ipv6/conf/{link}/accept_dad; '
                                 f'echo 0 >/proc/sys/net/ipv6/conf/{link}/dad_transmits')
            host.run('ip', 'link', 'set', link, 'up')
        for host in (self.server, self.far):
            xtest.wait_for(lambda h=host: self._is_up(h), 'link')
        # Looking for neighbours on a link that is just up may take a second.
        for host, other, there in ((self.server, far_mac, (FARM, FARM6, 'fe80::ff:fe00:2')),
                                   (self.far, mac, (SERVER, SERVER6, 'fe80::ff:fe00:1'))):
            for a in there:
                host.run('ip', 'neigh', 'replace', a, 'lladdr', other, 'dev', link, 'nud',
                         'permanent')
        for n in (81, 82, 83):
            self.server.run('ip', 'route', 'add', f'10.{n}.0.0/16', 'via', FARM)
            self.server.run('ip', 'route', 'add', f'fd{n}::/64', 'via', FARM6)
        self.far.run('sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward; '
                                 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; '
                                 'echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind')
        self.far.run('ip', 'route', 'add', 'local', '10.81.0.0/16', 'dev', 'lo')
        self.far.run('ip', 'route', 'add', 'local', 'fd81::/64', 'dev', 'lo')
        self.far.run('ip', 'route', 'add', 'blackhole', '10.82.0.0/16')
        self.far.run('ip', 'route', 'add', 'blackhole', 'fd82::/64')
        self.far.run('ip', 'route', 'add', 'unreachable', '10.83.0.0/16')
        self.far.run('sh', '-c', 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; '
                                 'echo 0 >/proc/sys/net/ipv6/icmp/ratelimit')

    @staticmethod
    def _is_up(host):
        """It has an address of its own by now, which it gets when it is."""
        lines = host.run('ip', '-6', '-o', 'address', 'show', 'dev', netlab.LINK)
        return 'fe80::' in lines and 'tentative' not in lines

    def rules(self, host, rules):
        """nftables: for what arrives there."""
        self.require('nft')
        host.run('nft', '-f', '-', input='table inet lab { chain c { type filter hook input '
                                         f'priority 0; {rules}; }}\n}}\n')

    # Peers and records.

    def peer(self, address, **options):
        return sm_peers.Peer(self.farm, address, **options)

    def record(self, peer, mon, my=ME, folder='sm'):
        path = sm_peers.write_record(f'{self.state}/{folder}', peer, mon, my)
        os.chown(path, NOBODY, NOBODY)
        return path

    def records(self, pairs):
        """Very many (peer, mon_name), in sm.bak."""
        folder = os.open(f'{self.state}/sm.bak', os.O_PATH)
        os.seteuid(NOBODY)
        try:
            for peer, mon in pairs:
                fd = os.open(peer, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
                os.write(fd, sm_peers.record_line(mon, ME).encode())
                os.close(fd)
        finally:
            os.seteuid(0)
            os.close(folder)

    def left(self):
        """Records that are still there: (file, mon_name, my_name)."""
        found = []
        for folder in ('sm', 'sm.bak'):
            for name in sorted(os.listdir(f'{self.state}/{folder}')):
                path = f'{self.state}/{folder}/{name}'
                if not name.startswith('.') and os.path.isfile(path):
                    found += [(name, *line.split()[5:7])
                              for line in xtest.text_of(path).splitlines()]
        return found

    # Running.

    def argv(self, *options, out=None):
        for name, content in self.etc.items():
            path = self.path(f'etc/{name}')
            with open(path, 'w', encoding='utf-8') as f:
                f.write(content)
            os.chmod(path, 0o644)
        self._runs += 1
        return [*self.server.prefix, 'unshare', '-m', 'sh', '-c', BIND, self.path('etc'),
                xtest.program('sm-notify'), '-P', self.state, '--run-dir', self.path('run'),
                '--proc-root', self.path('proc'), '--config', self.path('etc/nfs.conf'), *options]

    def begin(self, *options, retry=60, **popen):
        """Starts it in the foreground."""
        argv = self.argv('-d', '-f', '--json', '--retry-seconds', str(retry), *options)
        out = self.path(f'out.{self._runs}')
        with open(out, 'wb') as f:
            return Run(self.spawn(argv, stdout=f, **popen), out)

    def notify(self, *options, status=0, seconds=90, **popen):
        run = self.begin(*options, **popen).wait(seconds)
        self.assertEqual(run.status, status, run.log[-3000:])
        return run

    def end(self, run, number=15):
        """By a signal to the program itself: `unshare` and `sh` have become it."""
        os.kill(run.daemon.pid, number)
        return run.wait(10)

    def until(self, condition, what, seconds=20.0):
        return xtest.wait_for(condition, what, seconds, 0.005)

    def check_names(self, peer, names=(ME, 'nfssrv'), by=None):
        self.assertEqual([c.name for c in peer.once(by) if c.is_notify], list(names))
        states = {c.state for c in peer.calls if c.is_notify}
        self.assertEqual(len(states), 1)

    def probe(self, peer, address, by='udp'):
        """A call of our own from the server: the farm answers."""
        call = sm_peers.words(7, 0, 2, sm_peers.STATD, 1, 0, 0, 0, 0, 0)
        kind = socket.SOCK_DGRAM if by == 'udp' else socket.SOCK_STREAM

        def ask():
            with socket.socket(sm_peers.family_of(address), kind) as s:
                s.settimeout(5)
                s.connect((address, peer.ports[by]))
                s.send(call)
                return s.recv(100)
        return self.server.within(ask)


class Crowd(Case):
    """Tests with very many peers."""

    def many(self, count, live=lambda i: True):
        self.records((f'c{i}.lab.test',
                      f'10.{81 if live(i) else 82}.{i >> 8}.{i & 255}') for i in range(count))

    def to_the_end(self, prefix=(), seconds=120):
        """Runs until all are told; the summary."""
        argv = self.argv('--foreground', '-f', '--json')
        at = argv.index(xtest.program('sm-notify'))
        argv[at:at] = prefix
        return json.loads(self.run_cmd(*argv, seconds=seconds))


def crowd(case, port=32767):
    """The C program with thousands of peers; stop(daemon) gives its counts."""
    out = case.path('crowd.out')
    with open(out, 'wb') as f:
        d = case.spawn([*case.far.prefix, xtest.program('sm_crowd'), str(port)], stdout=f,
                       stdin=subprocess.PIPE)
    xtest.wait_for(lambda: 'ready' in xtest.text_of(out), 'crowd')

    def stop():
        d.process.stdin.close()
        case.assertEqual(d.wait(), 0, d.stderr())
        return json.loads(xtest.text_of(out).splitlines()[1])
    return stop


def main(at_once=1):
    sys.stdout.flush()
    xtest.main(at_once)
