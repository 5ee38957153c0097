# SPDX-License-Identifier: GPL-2.0-or-later
"""sm-notify: which addresses a peer has, by which name it is told of us, and where that comes from.
Resolvers are good, late, changing and dead. Numbers in comments are cases of the reference.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import sm_lab  # noqa: E402
import sm_peers  # noqa: E402
import xtest  # noqa: E402
from sm_lab import FARM, ME, SERVER, SERVER6  # noqa: E402
from sm_peers import TCP, UDP  # noqa: E402

LIVE, LIVE6, DEAD, DEAD6 = '10.81.0.1', 'fd81::1', '10.82.0.1', 'fd82::1'
CLIENT = 'client.lab.test'
# More than it may take on any machine; the reference needed minutes, if it got there at all.
SOON = 30
SILENT = staticmethod(lambda peer, call, reply: [])


class Names(sm_lab.Case):

    def hosts(self, name, *addresses):
        self.etc['hosts'] += ''.join(f'{a} {name}\n' for a in addresses)

    def dns(self, names=None, timeout=2):
        """Who has no answer is asked twice, with this timeout."""
        self.etc['resolv.conf'] = f'nameserver {FARM}\noptions timeout:{timeout}\n'
        return sm_peers.Resolver(self.farm, FARM, names)

    def quick(self, peer, *options):
        run = self.notify(*options)
        self.check_names(peer)
        self.assertEqual(self.left(), [])
        self.assertLess(run.summary['seconds'], SOON, run.log)
        return run

    def given_up(self, *options, seconds=3):
        """With some peer that cannot be told."""
        run = self.notify(*options, retry=seconds, status=1)
        self.assertGreaterEqual(run.summary['seconds'], seconds)
        self.assertLess(run.summary['seconds'], SOON, run.log)
        return run


class Addresses(Names):

    def test_literal_needs_no_dns(self):
        """28"""
        dns = self.dns()
        dns.silent = True
        peer = self.peer(LIVE)
        self.record('no-such-name.lab.test', LIVE)
        run = self.quick(peer)
        self.assertEqual(dns.queries, [])
        self.assertEqual(run.summary['lookups'], 0)

    def test_literals(self):
        """29"""
        six, four = self.peer(LIVE6), self.peer(LIVE)
        scoped = self.peer('fe80::ff:fe00:2%link0')
        self.record('a.lab.test', LIVE6)
        self.record('b.lab.test', 'fe80::ff:fe00:2%link0')
        self.record('c.lab.test', f'::ffff:{LIVE}')
        run = self.notify()
        self.assertEqual(self.left(), [])
        for peer in (six, four, scoped):
            self.check_names(peer)
        self.assertEqual({c.source[0] for c in four.calls}, {SERVER})
        self.assertEqual({c.source[0] for c in six.calls}, {SERVER6})
        self.assertEqual({c.source[0].partition('%')[0] for c in scoped.calls},
                         {'fe80::ff:fe00:1'})
        self.assertLess(run.summary['seconds'], SOON)

    def test_file_names_are_literals(self):
        """Peers without a name in the DNS; the record has an unusable one."""
        peers = [self.peer(LIVE), self.peer(LIVE6), self.peer('10.81.0.2')]
        self.record(LIVE, LIVE)
        self.record(LIVE6, LIVE6)
        self.record('10.81.0.2', 'no-such-name')
        run = self.quick(peers[0])
        self.assertEqual(run.summary['lookups'], 0)
        for p in peers[1:]:
            self.check_names(p)

    def test_race(self):
        """30, 31: one of several addresses is alive, whichever: told, and each is tried once."""
        places = {'first': (LIVE, DEAD), 'second': ('10.82.0.2', '10.81.0.2'),
                  'last': ('10.82.0.3', 'fd82::3', '10.83.0.3', '10.81.0.3'),
                  'six': ('10.82.0.4', LIVE6), 'four': (DEAD6, '10.81.0.5')}
        peers = {}
        for kind, addresses in places.items():
            live = [a for a in addresses if '81' in a.replace(':', '.').split('.')[:2] or
                    a.startswith('fd81')]
            peers[kind] = self.peer(live[0])
            self.hosts(f'{kind}.lab.test', *addresses)
            self.record(f'{kind}.lab.test', f'{kind}.lab.test')
        run = self.notify()
        for kind, peer in peers.items():
            self.check_names(peer)
        self.assertEqual(self.left(), [])
        if run.summary['seconds'] < 0.9:  # before anybody is asked again
            self.assertLessEqual(run.summary['datagrams']['sent'], 12 + 2 * len(peers))
        self.assertLess(run.summary['seconds'], SOON)

    def test_no_way_for_ipv6(self):
        """32"""
        self.server.run('ip', '-6', 'route', 'delete', 'fd81::/64')
        peer = self.peer(LIVE)
        self.hosts(CLIENT, LIVE6, LIVE)
        self.record(CLIENT, CLIENT)
        self.quick(peer)

    def test_no_ipv6_at_all(self):
        for key in ('all', 'default', 'link0'):
            self.server.run('sh', '-c', f'echo 1 >/proc/sys/net/ipv6/conf/{key}/disable_ipv6')
        peer = self.peer(LIVE)
        self.hosts(CLIENT, LIVE6, LIVE)
        self.record(CLIENT, CLIENT)
        self.record('six.lab.test', LIVE6)
        self.given_up()
        self.check_names(peer)
        self.assertEqual([r[0] for r in self.left()], ['six.lab.test'])

    def test_loopback(self):
        """36: a hosts file of the kind "127.0.1.1 myself"; nobody listens there."""
        self.hosts('odd.lab.test', '127.0.1.1')
        self.record('odd.lab.test', 'odd.lab.test')
        peer = self.peer(LIVE)
        self.record(CLIENT, LIVE)
        run = self.given_up()
        self.check_names(peer)
        self.assertIn('odd.lab.test: not notified: nobody listens there', run.log)

    def test_several_mon_names(self):
        """One file, two addresses: both are told; that of a dead one stays."""
        a, b = self.peer(LIVE), self.peer('10.81.0.2')
        for mon in (LIVE, '10.81.0.2', DEAD):
            self.record(CLIENT, mon)
        self.given_up()
        self.check_names(a)
        self.check_names(b)
        self.assertEqual(self.left(), [(CLIENT, DEAD, ME)])

    def test_address_has_changed(self):
        """The literal address is silent, the name of the file leads to another one."""
        peer = self.peer(LIVE)
        self.hosts(CLIENT, LIVE)
        self.record(CLIENT, DEAD)
        run = self.notify()
        self.check_names(peer)
        self.assertLess(run.summary['seconds'], SOON)
        self.assertGreater(run.summary['seconds'], 3.5)

    def test_mon_name_is_a_name(self):
        """The name of the file leads nowhere, that in the record does."""
        self.hosts('alias.lab.test', LIVE)
        self.record('gone.lab.test', 'alias.lab.test')
        self.quick(self.peer(LIVE))


class Resolvers(Names):

    def test_dead(self):
        """33: 200 names for a resolver that does not answer."""
        self.dns(timeout=10).silent = True
        peer = self.peer(LIVE)
        for i in range(200):
            self.record(f'lost{i}.lab.test', f'lost{i}.lab.test')
        self.record(CLIENT, LIVE)
        run = self.begin(retry=3)
        # How much later than without them: test_sm_notify_quiet.py.
        self.until(lambda: len(peer.told()) >= 2, 'told')
        run.wait()
        self.assertEqual(run.status, 1)  # in time, whatever hangs
        self.assertGreaterEqual(run.summary['seconds'], 3)
        self.assertLess(run.summary['seconds'], 9)  # a lookup takes 20 or more
        self.assertEqual(len(self.left()), 200)
        self.assertEqual(run.log.count('the name cannot be resolved'), 200)

    def test_good_name_among_dead_ones(self):
        """The resolver answers for one domain and is silent for another."""
        dns = self.dns({CLIENT: [LIVE]}, timeout=10)
        answer = dns._answer

        def some(data, question, name, kind):
            return answer(data, question, name, kind) if name == CLIENT else b''
        dns._answer = some
        for i in range(100):
            self.record(f'lost{i}.dead.test', f'lost{i}.dead.test')
        peer = self.peer(LIVE)
        self.record(CLIENT, CLIENT)
        run = self.begin(retry=10)
        self.until(lambda: len(peer.told()) >= 2, 'told')
        self.end(run)

    def test_recovers(self):
        """34: silent for a while, then good; and one that is not there at all."""
        dns = self.dns({f'c{i}.lab.test': [f'10.81.6.{i}'] for i in range(1, 21)})
        dns.silent = True
        peers = [self.peer(f'10.81.6.{i}') for i in range(1, 21)]
        for i in range(1, 21):
            self.record(f'c{i}.lab.test', f'c{i}.lab.test')
        run = self.begin()
        time.sleep(7)
        dns.silent = False
        healthy = time.monotonic()
        self.assertEqual(run.wait().status, 0, run.log)
        self.assertLess(time.monotonic() - healthy, SOON)
        for p in peers:
            self.check_names(p)

    def test_no_resolver_yet(self):
        """34: started before the network: resolv.conf is written later."""
        peer = self.peer(LIVE)
        self.record(CLIENT, CLIENT)
        sm_peers.Resolver(self.farm, FARM, {CLIENT: [LIVE]})
        self.etc['resolv.conf'] = ''
        run = self.begin()
        time.sleep(4)
        self.assertEqual(peer.calls, [])
        with open(self.path('etc/resolv.conf'), 'w', encoding='utf-8') as f:
            f.write(f'nameserver {FARM}\n')  # the file that is mounted there
        began = time.monotonic()
        self.assertEqual(run.wait().status, 0, run.log)
        self.assertLess(time.monotonic() - began, SOON)
        self.check_names(peer)

    def test_answers_change(self):
        """35"""
        dns = self.dns({CLIENT: [DEAD]})
        peer = self.peer(LIVE)
        self.record(CLIENT, CLIENT)
        run = self.begin()
        self.until(lambda: dns.queries, 'asked')
        time.sleep(0.5)
        dns.names[CLIENT] = [LIVE]
        self.assertEqual(run.wait().status, 0, run.log)
        self.check_names(peer)
        self.assertLess(run.summary['seconds'], SOON)

    def test_many_names(self):
        """All in the DNS, each looked up once."""
        count = 300
        dns = self.dns({f'c{i}.lab.test': [f'10.81.7.{i % 250}'] for i in range(count)})
        peers = [self.peer(f'10.81.7.{i}', rpcbind=(UDP,), statd=(UDP,)) for i in range(250)]
        for i in range(count):
            self.record(f'c{i}.lab.test', f'c{i}.lab.test')
        run = self.notify()
        self.assertGreaterEqual(sum(len(p.told()) for p in peers), 2 * count)
        self.assertLess(run.summary['seconds'], SOON)
        self.assertEqual(run.summary['lookups'], count)
        self.assertEqual(len({q[1] for q in dns.queries}), count)


class Told(Names):

    def told_as(self, my, *names):
        peer = self.peer(LIVE)
        self.record(CLIENT, LIVE, my)
        self.notify()
        self.check_names(peer, names)
        self.assertEqual(self.left(), [])

    def test_both(self):
        """55"""
        self.told_as('srv.lab.test', 'srv.lab.test', 'srv')

    def test_short(self):
        """56"""
        self.told_as('srv', 'srv')

    def test_address(self):
        """57"""
        self.told_as('192.168.7.9', '192.168.7.9')

    def test_address6(self):
        self.told_as('fd77::1', 'fd77::1')

    def test_long(self):
        """23"""
        my = 'a' * 512 + '.' + 'b' * 511
        self.told_as(my, my, 'a' * 512)

    def test_kept_until_both(self):
        """55: the first name is acknowledged, the second is not."""
        peer = self.peer(LIVE, mode=lambda p, call, reply:
                         [] if call.is_notify and call.name == 'nfssrv' else [reply])
        self.record(CLIENT, LIVE)
        self.notify(retry=3, status=1)
        self.assertEqual(self.left(), [(CLIENT, LIVE, ME)])
        told = [c.name for c in peer.once(UDP) if c.is_notify]
        self.assertEqual((told[0], set(told[1:])), (ME, {'nfssrv'}))

    def test_several_of_our_names(self):
        """18: one is acknowledged, the other is not: its line stays as it was."""
        peer = self.peer(LIVE, mode=lambda p, call, reply:
                         [] if call.is_notify and 'two' in call.name else [reply])
        self.record(CLIENT, LIVE, 'one.lab.test')
        path = self.record(CLIENT, LIVE, 'two.lab.test')
        with open(path, encoding='utf-8') as f:
            second = f.readlines()[1]
        self.notify(retry=2, status=1)
        told = [c.name for c in peer.once() if c.is_notify]
        self.assertEqual(told[:3], ['one.lab.test', 'one', 'two.lab.test'])
        self.assertEqual(xtest.text_of(f'{self.state}/sm.bak/{CLIENT}'), second)
        peer.mode = None
        peer.calls.clear()
        self.notify()
        self.check_names(peer, ('two.lab.test', 'two'))
        self.assertEqual(self.left(), [])


class Outgoing(Names):

    ALIAS, ALIAS6 = '10.77.0.9', 'fd77::9'

    def setUp(self):
        super().setUp()
        for a in (f'{self.ALIAS}/24', f'{self.ALIAS6}/64'):
            self.server.run('ip', 'address', 'add', a, 'dev', 'link0',
                            *(['nodad'] if ':' in a else []))
        self.peers = [self.peer(LIVE), self.peer(LIVE6)]
        self.record(CLIENT, LIVE)
        self.record('client6.lab.test', LIVE6)

    def sources(self, peer):
        return {c.source[0] for c in peer.calls}

    def test_name_with_both(self):
        """58: its name and addresses, not those of the records; UDP and TCP."""
        self.hosts('floating.lab.test', self.ALIAS, self.ALIAS6)
        tcp = self.peer('10.81.0.2', rpcbind=(TCP,), statd=(TCP,))
        self.record('tcp.lab.test', '10.81.0.2', 'other')
        self.notify('-v', 'floating.lab.test')
        for p in (*self.peers, tcp):
            self.check_names(p, ('floating.lab.test', 'floating'))
        self.assertEqual(self.sources(self.peers[0]), {self.ALIAS})
        self.assertEqual(self.sources(self.peers[1]), {self.ALIAS6})
        self.assertEqual(self.sources(tcp), {self.ALIAS})
        self.assertEqual(self.left(), [])

    def test_one_name_for_all_records(self):
        self.hosts('floating.lab.test', self.ALIAS, self.ALIAS6)
        self.record(CLIENT, LIVE, 'two.lab.test')
        self.record(CLIENT, LIVE, 'three.lab.test')
        self.notify('-v', 'floating.lab.test')
        self.check_names(self.peers[0], ('floating.lab.test', 'floating'))
        self.assertEqual(self.left(), [])

    def test_address(self):
        """59: the name comes from the resolver."""
        self.hosts('floating.lab.test', self.ALIAS)
        os.unlink(f'{self.state}/sm/client6.lab.test')
        self.notify('-v', self.ALIAS)
        self.check_names(self.peers[0], ('floating.lab.test', 'floating'))
        self.assertEqual(self.sources(self.peers[0]), {self.ALIAS})

    def test_address_without_a_name(self):
        """59: nothing has happened, and nothing is remembered."""
        before = self.left()
        run = self.notify('-v', self.ALIAS, status=1)
        self.assertIn('no name belongs to this address', run.log)
        self.assertEqual(self.left(), before)
        self.assertEqual(sorted(os.listdir(f'{self.state}/sm.bak')), [])
        self.assertFalse(os.path.exists(f'{self.state}/state'))
        self.assertEqual(os.listdir(self.path('run')), [])
        self.hosts('floating.lab.test', self.ALIAS, self.ALIAS6)
        self.notify('-v', 'floating.lab.test')
        self.assertEqual(self.left(), [])

    def test_one_family(self):
        """60: peers of the other one are reported, delay nobody, and keep their record."""
        self.hosts('four.lab.test', self.ALIAS)
        run = self.given_up('-v', 'four.lab.test')
        self.check_names(self.peers[0], ('four.lab.test', 'four'))
        self.assertEqual(self.peers[1].calls, [])
        self.assertEqual(self.left(), [('client6.lab.test', LIVE6, ME)])
        self.assertIn('client6.lab.test: not notified: no socket here', run.log)
        self.hosts('six.lab.test', self.ALIAS6)
        self.record(CLIENT, LIVE)
        self.given_up('-v', 'six.lab.test', seconds=2)
        self.check_names(self.peers[1], ('six.lab.test', 'six'))
        self.assertEqual(self.left(), [(CLIENT, LIVE, ME)])

    def test_not_ours(self):
        """61: seen by who starts us, also in the background."""
        self.hosts('floating.lab.test', '10.77.0.77')
        argv = self.argv('-f', '-v', 'floating.lab.test')
        p = self.run_cmd(*argv, status=None)
        self.assertEqual(p.returncode, 1)
        self.assertIn('floating.lab.test: not an address of this host', p.stderr)
        self.assertEqual(len(self.left()), 2)

    def test_port(self):
        """62: of both families, and one that is taken is no way."""
        self.notify('-p', '1000')
        self.assertEqual({c.source[1] for p in self.peers for c in p.calls}, {1000})
        taken = self.server.within(
            lambda: sm_peers.socket.socket(sm_peers.socket.AF_INET6, sm_peers.socket.SOCK_DGRAM))
        self.addCleanup(taken.close)
        taken.bind(('::', 1001))
        self.record(CLIENT, LIVE)
        p = self.run_cmd(*self.argv('-f', '-p1001'), status=None)
        self.assertEqual(p.returncode, 1)
        self.assertIn('cannot send from port 1001: Address already in use', p.stderr)
        self.assertEqual(self.left(), [(CLIENT, LIVE, ME)])

    def test_no_reserved_port(self):
        """63: any other will do, and the log says so."""
        self.server.run('sh', '-c', 'echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start')
        argv = self.argv('-d', '-f')
        at = argv.index(xtest.program('sm-notify'))
        self.require('setpriv')
        argv[at:at] = ['setpriv', '--bounding-set=-net_bind_service',
                       '--inh-caps=-net_bind_service']
        d = self.spawn(argv)
        self.assertEqual(d.wait(30), 0, d.stderr())
        self.assertIn('no reserved port to send from', d.stderr())
        for p in self.peers:
            self.check_names(p)
            self.assertGreater(p.calls[0].source[1], 1023)

    def test_reserved_ports_taken(self):
        """63: all of them, but one of IPv4 only."""
        taken = []

        def take():
            for port in range(512, 1024):
                for family in (sm_peers.socket.AF_INET6, sm_peers.socket.AF_INET):
                    s = sm_peers.socket.socket(family, sm_peers.socket.SOCK_DGRAM)
                    taken.append(s)
                    self.addCleanup(s.close)
                    if family == sm_peers.socket.AF_INET6:
                        s.setsockopt(41, 26, 1)  # IPV6_V6ONLY
                    if (family, port) != (sm_peers.socket.AF_INET, 1000):
                        s.bind(('', port))
        self.server.within(take)
        run = self.notify()
        self.assertIn('no reserved port to send from', run.log)
        self.assertGreater(self.peers[0].calls[0].source[1], 1023)


class Shown(Names):
    """--dry-run and --list of a network with names."""

    def test_dry_run(self):
        peer = self.peer(LIVE)
        self.hosts('named.lab.test', LIVE, LIVE6)
        self.record(CLIENT, DEAD)
        self.record('named.lab.test', 'named.lab.test', 'short')
        self.record('lost.lab.test', 'lost.lab.test')
        before = self.left()
        out = self.run_cmd(*self.argv('--dry-run'))
        self.assertEqual(sorted(out.splitlines()), [
            f'{CLIENT} at {DEAD} as {ME} nfssrv',
            f'lost.lab.test at (no address) as {ME} nfssrv',
            f'named.lab.test at {LIVE6} {LIVE} as short'])
        out = sm_lab.json.loads(self.run_cmd(*self.argv('--dry-run', '--json')))
        self.assertIn({'peer': CLIENT, 'mon_name': DEAD, 'addresses': [DEAD],
                       'names': [ME, 'nfssrv']}, out)
        self.assertEqual(self.left(), before)
        self.assertEqual(peer.calls, [])
        out = self.run_cmd(*self.argv('--list'))
        self.assertIn(f'{CLIENT} {DEAD} {ME}', out.splitlines())
        out = sm_lab.json.loads(self.run_cmd(*self.argv('--list', '--json')))
        self.assertIn({'peer': CLIENT, 'mon_name': DEAD, 'my_name': ME}, out)

    def test_dry_run_with_our_name(self):
        self.hosts('floating.lab.test', SERVER)
        self.record(CLIENT, DEAD)
        out = self.run_cmd(*self.argv('--dry-run', '-v', 'floating.lab.test'))
        self.assertEqual(out, f'{CLIENT} at {DEAD} as floating.lab.test floating\n')

    def test_dry_run_with_a_dead_resolver(self):
        self.dns().silent = True
        self.etc['resolv.conf'] = f'nameserver {FARM}\noptions timeout:20\n'
        self.record('lost.lab.test', 'lost.lab.test')
        began = time.monotonic()
        out = self.run_cmd(*self.argv('--dry-run'))
        self.assertEqual(out, 'lost.lab.test at (no answer from the resolver yet) as '
                              f'{ME} nfssrv\n')
        self.assertLess(time.monotonic() - began, 35)  # of 40

    def test_no_consume(self):
        peer = self.peer(LIVE)
        self.record(CLIENT, LIVE)
        before = self.left()
        for _ in range(2):
            self.notify('--no-consume')
        self.assertEqual(self.left(), before)
        self.assertEqual([c.name for c in peer.once() if c.is_notify], [ME, 'nfssrv'] * 2)


if __name__ == '__main__':
    sm_lab.main(at_once=4)
