# SPDX-License-Identifier: GPL-2.0-or-later
"""Two nodes of a real cluster on one host, with a switch and simulated PDUs that have their power.

A node is a namespace of processes with the network, host name and folders of its own; what its PDUs
say holds for it (stonith_node.py). The switch is a namespace with a bridge, and where the PDUs are.
Nothing has a name outside of the test, so two may run at once, and all of it ends with the test,
however that ends. Needs root.
"""

import datetime
import json
import os
import shutil
import signal
import sys

import netlab
import stonith_agents
import stonith_pdu
import xtest
from stonith_fixture import section

HERE = os.path.dirname(os.path.abspath(__file__))
NET = '10.77.0'  # nodes have .1 and .2, PDUs .11 and .12
SERVICE = f'{NET}.100'  # moves from node to node
GATEWAY = f'{NET}.13'  # of the network that is served; for the tie-break
NAMES = ('n1', 'n2')
SBIN = '/run/sbin'  # where stonith_agents.py puts the machine's
LONG = 180.0  # seconds: what takes ten on a quiet machine
HACLUSTER = 'hacluster:haclient'


class Node:
    """One of the two. Its outlets are left:N and right:N, unless told otherwise."""

    def __init__(self, case, name, feeds):
        self.case, self.name, self.feeds = case, name, feeds
        self.number = NAMES.index(name) + 1
        self.address = f'{NET}.{self.number}'
        self.folder = case.path(name)
        self.host = netlab.Host(case, self.address)
        self.binds, self.folders, self.daemons = [], [], []
        os.makedirs(f'{self.folder}/bind')

    # Before it starts.

    def plug_in(self, switch, port):
        """A cable to a port of the switch; an address comes with each start."""
        self.host.run('ip', 'link', 'add', netlab.LINK, 'type', 'veth', 'peer', 'name', port,
                      'netns', switch.path)
        switch.run('ip', 'link', 'set', port, 'master', 'br0', 'up')
        self.host.run('ip', 'link', 'set', netlab.LINK, 'up')
        self.port = port

    def private(self, target, files=(), folders=()):
        """A folder of its own in the place of one of the machine's; it outlives a cut."""
        place = self._place(target)
        os.mkdir(place, 0o755)
        for name, text, mode in files:
            stonith_pdu.write(f'{place}/{name}', text)
            os.chmod(f'{place}/{name}', mode)
        for name, mode, user in folders:
            os.makedirs(f'{place}/{name}', exist_ok=True)
            os.chmod(f'{place}/{name}', mode)
            shutil.chown(f'{place}/{name}', *user.split(':'))
        return place

    def private_file(self, target, text):
        place = self._place(target)
        stonith_pdu.write(place, text)
        os.chmod(place, 0o644)

    def _place(self, target):
        """What it sees as TARGET."""
        place = f'{self.folder}/bind/{target.strip("/").replace("/", "-")}'
        self.binds.append([place, target])
        return place

    def daemon(self, *argv, after=None, **env):
        self.daemons.append({'argv': argv, 'env': env, 'after': after})

    def start(self):
        """Its power supplies and whoever writes down its addresses; it starts by itself."""
        conf = {'name': self.name, 'feeds': [f'{p.folder}/relay.{key}' for p, key in self.feeds],
                'networks': [[netlab.LINK, f'{self.address}/24']], 'binds': self.binds,
                'keep': [SBIN] if os.path.exists(SBIN) else [], 'folders': self.folders,
                'daemons': self.daemons}
        stonith_pdu.write(f'{self.folder}/node.json', json.dumps(conf))
        stonith_pdu.write(f'{self.folder}/events', '')
        with open(f'{self.folder}/addresses', 'w') as out:
            self.case.spawn([*self.host.prefix, 'ip', '-ts', '-4', '-o', 'monitor', 'address'],
                            stdout=out)
        self.power = self.case.spawn([*self.host.prefix, sys.executable, '-IS',
                                      f'{HERE}/stonith_node.py', self.folder])
        self.case.addCleanup(self.end)

    def end(self):
        """For good: all its processes are gone when its init is."""
        self.power.kill()
        init = self._last_init()
        if init:
            xtest.wait_for(lambda: not self._is_alive(init), f'end of {self.name}')

    @staticmethod
    def _is_alive(pid):
        return xtest.text_of(f'/proc/{pid}/stat').rpartition(')')[2].split()[:1] not in ([], ['Z'])

    # What happened to it.

    def events(self, kind=None):
        """[(kind, seconds, the rest)]"""
        lines = [line.split(' ', 2) for line in xtest.text_of(f'{self.folder}/events').splitlines()]
        found = [(words[0], float(words[1]), *words[2:]) for words in lines]
        self.case.assertEqual([e for e in found if e[0] == 'fault'], [])
        self.case.assertTrue(self.power.is_alive(), self.power.stderr())
        return [e for e in found if kind in (None, e[0])]

    def cuts(self):
        """Moments of its power cuts."""
        return [e[1] for e in self.events('cut')]

    def init(self):
        """Process id of its init; None: it is off."""
        self.events()
        return self._last_init()

    def _last_init(self):
        words = xtest.text_of(f'{self.folder}/events').split('\n')[-2:][0].split()
        return int(words[2]) if words[:1] == ['up'] else None

    def held(self, address=SERVICE):
        """When it had the address: [(from, to)]. A power cut ends that."""
        spans, since = [], None
        for line in xtest.text_of(f'{self.folder}/addresses').splitlines():
            stamp, _, rest = line.partition('] ')
            if f' {address}/' not in rest:
                continue
            at = datetime.datetime.fromisoformat(stamp.strip('[')).timestamp()
            if not rest.startswith('Deleted'):
                since = at if since is None else since
            elif since is not None:
                spans.append((since, self._end(since, at)))
                since = None
        return spans if since is None else [*spans, (since, self._end(since, float('inf')))]

    def _end(self, since, at):
        return min([at, *[c for c in self.cuts() if c > since]])

    def holds(self, address=SERVICE):
        spans = self.held(address)
        return self.init() is not None and bool(spans) and spans[-1][1] == float('inf')

    def unplug(self):
        """Its power is lost, and nobody of the cluster was it."""
        for pdu, key in self.feeds:
            pdu.put('relay', key, 'off')

    def outlets(self):
        return [pdu.relay(key) for pdu, key in self.feeds]

    # Inside.

    def command(self, *argv):
        pid = self.init()
        return ['nsenter', '--target', str(pid), '--mount', '--uts', '--ipc', '--pid', '--net',
                '--', *argv] if pid else ['false']

    def run(self, *argv, status=0, **options):
        return self.case.run_cmd(*self.command(*argv), status=status, **options)

    def processes(self, program):
        """Ids (ours) of its processes of that name."""
        init, found = self.init(), []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                if xtest.text_of(f'/proc/{pid}/comm').strip() == program[:15] and \
                        os.readlink(f'/proc/{pid}/ns/pid') == os.readlink(f'/proc/{init}/ns/pid'):
                    found.append(int(pid))
            except OSError:
                continue
        return found

    def signal(self, program, number):
        found = self.processes(program)
        self.case.assertTrue(found, f'no {program} on {self.name}')
        for pid in found:
            os.kill(pid, number)

    def audit(self):
        """Lines of its log of shots."""
        path = f'{self.folder}/bind/var-lib/xnbd/stonith.audit'
        return [json.loads(line) for line in xtest.text_of(path).splitlines()]

    def shots(self, outcome):
        return [e for e in self.audit() if e['event'] == 'end' and e['outcome'] == outcome]


class Case(stonith_agents.Case):
    """With PDUs .left and .right, and nodes .n1 and .n2 at outlets 1 and 2 of each."""

    def setUp(self):
        super().setUp()
        self.require('ip', 'bridge', 'nft', 'nsenter', 'mount', root=True)
        signal.signal(signal.SIGTERM, self._terminated)
        self._switch()
        self.left, self.right = (self.pdu(name, address=f'{NET}.{n}')
                                 for name, n in (('left', 11), ('right', 12)))
        self.n1, self.n2 = (Node(self, name, [(self.left, key), (self.right, key)])
                            for name, key in zip(NAMES, '12'))
        self.nodes = (self.n1, self.n2)
        for n in self.nodes:
            n.plug_in(self.host, f'port{n.number}')
            n.private_file('/etc/hosts', '127.0.0.1 localhost\n' + ''.join(
                f'{m.address} {m.name}\n' for m in self.nodes))
        self.shots_as()

    def _terminated(self, number, _):
        self.doCleanups()
        os._exit(128 + number)

    def _switch(self):
        self.host.run('ip', 'link', 'add', 'br0', 'type', 'bridge')
        for n in (11, 12, 13):
            self.host.run('ip', 'address', 'add', f'{NET}.{n}/24', 'dev', 'br0')
        self.host.run('ip', 'link', 'set', 'br0', 'up')

    def shots_as(self, delays=None, **general):
        """stonith.conf, the same for both; delays: {node: milliseconds}. It may change any time."""
        text = section('stonith', None, {'dwell': 1000, 'deadline': 15, 'on-pause': 100,
                                         'off-lease': 2, **general})
        for p in (self.left, self.right):
            text += section('pdu', p.name, {'address': p.address, 'profile': p.family.name,
                                            **self.login(p)})
        for n in self.nodes:
            other = self.other(n)
            text += section('node', n.name, {
                'outlets': [f'{p.name}:{key}' for p, key in n.feeds], 'shooters': [other.name],
                'policy': 'cycle', 'delay': (delays or {}).get(n.name, 0),
                'accept-confirmation': 'true'})
        stonith_pdu.write(self.config, text)

    def other(self, node):
        return self.n2 if node is self.n1 else self.n1

    def start_nodes(self):
        for n in self.nodes:
            n.start()
        for n in self.nodes:
            self.until(n.init, f'{n.name} starts')

    # The network between the nodes; they go on reaching the PDUs.

    def cut_link(self, to='on'):
        for n in self.nodes:
            self.host.run('bridge', 'link', 'set', 'dev', n.port, 'isolated', to)

    def mend_link(self):
        self.cut_link('off')

    # Waiting and judging.

    def until(self, condition, what, seconds=LONG, interval=0.1):
        try:
            return xtest.wait_for(condition, what, seconds, interval)
        except AssertionError:
            self.tell()
            raise

    def tell(self):
        """What people want to know of a test that failed."""
        for n in self.nodes:
            sys.stderr.write(f'--- {n.name}: {n.outlets()} {n.events()}\n    {n.held()}\n')
            for e in n.audit():
                sys.stderr.write(f'    {e}\n')

    def active(self):
        """The node with the service."""
        found = [n for n in self.nodes if n.holds()]
        return found[0] if len(found) == 1 else None

    def wait_active(self, node):
        self.until(lambda: self.active() is node, f'the service on {node.name}')

    def overlaps(self):
        """Seconds at which both nodes had the service: [(from, to)]"""
        return [(max(a[0], b[0]), min(a[1], b[1])) for a in self.n1.held() for b in self.n2.held()
                if max(a[0], b[0]) < min(a[1], b[1])]

    def counts(self):
        return {n.name: len(n.cuts()) for n in self.nodes}

    def wait_cut(self, node, before):
        """Its power is cut, once, and the other's is not."""
        self.until(lambda: self.counts() != before, f'the shot at {node.name}')
        self.assertEqual(self.counts(), {**before, node.name: before[node.name] + 1})

    def check(self, *victims):
        """What must hold when all is well again; victims: of all power cuts of this test."""
        self.assertEqual(self.overlaps(), [])
        self.assertEqual(self.counts(), {n.name: victims.count(n) for n in self.nodes})
        self.assertEqual([n.events('end') for n in self.nodes], [[], []])
        self.until(lambda: all(n.outlets() == ['on'] * len(n.feeds) for n in self.nodes),
                   'all outlets on')
        for n in self.nodes:
            n.run(xtest.program('xnbd-stonith'), f'--config={self.config}', 'audit',
                  status=0 if n.audit() else None)
