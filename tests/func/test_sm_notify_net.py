# SPDX-License-Identifier: GPL-2.0-or-later
"""sm-notify and peers on a network: what goes over it byte by byte, and peers that are silent, slow,
broken, hostile, or reachable in one way only. Who must be told is told; who did not acknowledge
keeps the record. Numbers in comments are cases of the reference.

What happens how often and in which order is checked; how long it takes is for
test_sm_notify_quiet.py. These tests run several at a time.
"""

import os
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import sm_lab  # noqa: E402
import sm_peers  # noqa: E402
import xtest  # noqa: E402
from sm_lab import ME, SERVER  # noqa: E402
from sm_peers import GETPORT, NOTIFY, RPCBIND, STATD, TCP, UDP, accepted, words  # noqa: E402

LIVE, LIVE6, DEAD = '10.81.0.1', 'fd81::1', '10.82.0.1'
FLOOD = """
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
junk = [os.urandom(n) for n in range(0, 1400, 7)]
while True:
    for j in junk:
        try:
            s.sendto(j, (sys.argv[1], int(sys.argv[2])))
        except OSError:
            pass
"""
# More than it may take on any machine; the reference needed a minute or two in such cases.
SOON = 30


class Net(sm_lab.Case):

    def one(self, address=LIVE, name='client.lab.test', **options):
        """A peer and its record."""
        peer = self.peer(address, **options)
        self.record(name, address)
        return peer

    def told(self, peer, *options, **more):
        """Runs until the peer is told."""
        run = self.notify(*options, **more)
        self.assertEqual(set(peer.told()), {ME, 'nfssrv'})
        self.assertEqual(self.left(), [])
        self.assertLess(run.summary['seconds'], SOON, run.log)
        return run

    def rounds(self, peer):
        """When it was asked over UDP; copies that are sent together count once."""
        times = [c.at for c in peer.asked(UDP)]
        return [t for i, t in enumerate(times) if i == 0 or t - times[i - 1] > 0.2]


class Wire(Net):
    """37: bytes as in the specifications."""

    HEAD = (0, 2)
    NO_AUTH = (0, 0, 0, 0)

    def query(self, vers, args):
        return words(*self.HEAD, RPCBIND, vers, GETPORT, *self.NO_AUTH) + args

    def notification(self, name):
        return (words(*self.HEAD, STATD, 1, NOTIFY, *self.NO_AUTH) + sm_peers.text(name)
                + words(3))

    def check(self, peer, query, by):
        self.assertEqual([c.data[4:] for c in peer.once(by)],
                         [query, self.notification(ME), self.notification('nfssrv')])
        self.assertEqual(len({c.xid for c in peer.once()}), len(peer.once()))
        self.assertNotIn(0, {c.xid for c in peer.calls})

    def test_udp(self):
        four, six = self.one(), self.one(LIVE6, 'client6.lab.test')
        run = self.told(four)
        self.check(four, self.query(2, words(STATD, 1, 17, 0)), UDP)
        self.check(six, self.query(3, words(STATD, 1) + sm_peers.text('udp6')
                                   + sm_peers.text(f'{LIVE6}.0.111') + words(0)), UDP)
        if len(four.calls + six.calls) == 6:  # nothing was sent again
            self.assertEqual(run.summary['datagrams'],
                             {'sent': 6, 'received': 6, 'dropped': 0, 'strange': 0})
        self.assertEqual(run.summary['state'], 3)
        # From a reserved port, the same over both protocols.
        ports = {c.source[1] for p in (four, six) for c in p.calls}
        self.assertEqual(len(ports), 1)
        self.assertIn(ports.pop(), range(600, 1024))

    def test_tcp(self):
        four = self.one(rpcbind=(TCP,), statd=(TCP,))
        six = self.one(LIVE6, 'client6.lab.test', rpcbind=(TCP,), statd=(TCP,))
        self.told(four)
        self.check(four, self.query(2, words(STATD, 1, 6, 0)), TCP)
        self.check(six, self.query(3, words(STATD, 1) + sm_peers.text('tcp6')
                                   + sm_peers.text(f'{LIVE6}.0.111') + words(0)), TCP)

    def test_call_numbers(self):
        """Not to be guessed from one another."""
        peers = [self.one(f'10.81.2.{i}', f'c{i}.lab.test') for i in range(1, 21)]
        self.notify()
        numbers = {c.xid for p in peers for c in p.calls}
        self.assertGreaterEqual(len(numbers), 60)
        near = sum(abs(a - b) < 1 << 20 for a in numbers for b in numbers if a is not b)
        self.assertLess(near, 40)


class Silent(Net):

    def test_schedule_and_deadline(self):
        """38: at 0, 1, 2, 4 s; ends when it was told to; the record stays."""
        peer = self.one(mode=lambda p, call, reply: [])
        began = time.monotonic()
        run = self.notify(retry=6, status=1)
        self.assertGreaterEqual(run.summary['seconds'], 6)
        self.assertLess(run.summary['seconds'], SOON)
        times = self.rounds(peer)
        self.assertIn(len(times), (2, 3, 4), times)  # a slow machine may leave some out
        for at, due in zip(times, (0, 1, 2, 4)):
            self.assertGreaterEqual(at - began, due)
        self.assertEqual(len({c.xid for c in peer.asked(UDP)}), 1)
        self.assertEqual(self.left(), [('client.lab.test', LIVE, ME)])
        self.assertEqual(run.summary['failed'],
                         [{'peer': 'client.lab.test', 'reason': 'no answer'}])
        self.assertEqual(run.log.count('client.lab.test: not notified'), 1)

    def test_dead_host(self):
        self.record('client.lab.test', DEAD)
        run = self.notify(retry=3, status=1)
        self.assertGreaterEqual(run.summary['seconds'], 3)
        self.assertLess(run.summary['seconds'], SOON)
        self.assertIn('client.lab.test: not notified: no answer', run.log)

    def test_for_ever(self):
        """39: and SIGTERM ends it at once, not at the next round."""
        peer = self.one(mode=lambda p, call, reply: [])
        run = self.begin(retry=0)
        self.until(lambda: len(peer.asked(UDP)) >= 3, 'third attempt')
        before = len(self.rounds(peer))
        self.end(run)
        self.assertLessEqual(len(self.rounds(peer)), before + 1)
        self.assertEqual(run.status, -signal.SIGTERM)
        self.assertEqual(self.left(), [('client.lab.test', LIVE, ME)])
        self.assertNotIn('not notified:', run.log)


class Replies(Net):

    def check_refused(self, mode, enough, address=LIVE):
        """Bad replies until enough(peer, state), then good ones: told then, and not before."""
        state = {'good': False, 'told': 0}

        def react(peer, call, reply):
            if state['good']:
                return [reply]
            state['told'] += call.is_notify
            return mode(peer, call, reply)
        peer = self.one(address, mode=react)
        run = self.begin()
        self.until(lambda: enough(peer, state), 'enough bad replies')
        time.sleep(0.2)
        self.assertTrue(run.alive(), run.log)
        self.assertNotEqual(self.left(), [])
        state['good'] = True
        self.assertEqual(run.wait().status, 0, run.log)
        self.assertEqual(self.left(), [])
        return peer, run, state

    def test_wrong_source(self):
        """43"""
        other = self.farm.socket('10.81.0.66', UDP)
        self.addCleanup(other.close)
        peer, run, state = self.check_refused(
            lambda p, call, reply: [(other, reply)] if call.is_notify and call.by == UDP
            else [] if call.by == TCP else [reply], lambda p, state: state['told'] > 1)
        self.assertGreater(run.summary['datagrams']['strange'], 1)
        self.assertIn('10.81.0.66: a reply that only another host could give', run.log)

    def test_known_other_address(self):
        """A host may answer from another one of its addresses."""
        other = self.farm.socket('10.81.0.66', UDP)
        self.addCleanup(other.close)
        peer = self.peer(LIVE, mode=lambda p, call, reply: [(other, reply)])
        self.etc['hosts'] += f'{LIVE} client.lab.test\n10.81.0.66 client.lab.test\n'
        self.record('client.lab.test', 'client.lab.test')
        self.told(peer)

    def test_wrong_number(self):
        """44"""
        def mode(peer, call, reply):
            return [words(call.xid ^ 1) + reply[4:], words(0) + reply[4:]] if call.by == UDP else []
        _, run, _ = self.check_refused(mode, lambda p, state: len(p.asked(UDP)) > 2)
        self.assertGreater(run.summary['datagrams']['strange'], 3)

    def test_late(self):
        """44: nothing but a late reply to the first copy of each call: it is accepted."""
        before = []  # copies of a call that came before its reply left

        def once(peer, call, reply):
            if call.by == TCP or len([c for c in peer.calls if c.xid == call.xid]) > 1:
                return []

            def count():
                before.append(len([c for c in peer.calls if c.xid == call.xid]))
            self.farm.at(1.5, count)
            return [(1.5, reply)]
        peer = self.one(mode=once)
        self.told(peer)
        self.check_names(peer)
        self.assertGreater(max(before), 1)

    def test_duplicates(self):
        """45"""
        peer = self.one(mode=lambda p, call, reply: [reply] * 1000)
        quiet = self.one('10.81.0.2', 'other.lab.test', mode=lambda p, call, reply: [(0.7, reply)])
        run = self.notify()
        self.check_names(peer)
        self.assertEqual(self.left(), [])
        self.assertIn('nfssrv', quiet.told())
        self.assertGreater(run.summary['datagrams']['strange'], 1000)

    def test_truncated(self):
        """46: every length."""
        def mode(peer, call, reply):
            return [reply[:n] for n in range(len(reply))] if call.by == UDP else []
        _, _, state = self.check_refused(mode, lambda p, state: len(p.asked(UDP)) > 2)
        self.assertEqual(state['told'], 0)

        def later(peer, call, reply):
            return ([reply[:n] for n in range(len(reply))] if call.is_notify and call.by == UDP
                    else [reply] if call.by == UDP else [])
        self.check_refused(later, lambda p, state: state['told'] > 1, address='10.81.0.2')

    def test_refusals(self):
        """47: of rpcbind and of the status monitor, each way there is; all peers in one run."""
        def bad(xid):
            return {'call': words(xid, 0, 2, STATD, 1, 6, 0, 0, 0, 0),
                    'version': words(xid, 1, 1, 0, 2, 2), 'auth': words(xid, 1, 1, 1, 5),
                    'unavail': accepted(xid, status=1),
                    'mismatch': accepted(xid, words(1, 1), 2),
                    'proc': accepted(xid, status=3), 'garbage': accepted(xid, status=4),
                    'system': accepted(xid, status=5), 'unknown': accepted(xid, status=99),
                    'verifier': words(xid, 1, 0, 0, 404) + bytes(404) + words(0),
                    'lie': words(xid, 1, 0, 0, 0xffffffff, 0)}
        peers, good = {}, []

        def mode(of_rpcbind, kind):
            def react(peer, call, reply):
                hit = (call.prog == RPCBIND) == of_rpcbind
                return [bad(call.xid)[kind]] if hit and not good else [reply]
            return react
        for n, (of_rpcbind, kind) in enumerate((r, k) for r in (True, False) for k in bad(0)):
            name = f'{kind}{n}.lab.test'
            peers[name] = self.one(f'10.81.3.{n + 1}', name, mode=mode(of_rpcbind, kind))
        run = self.begin()
        self.until(lambda: all(len(p.calls) > 4 for p in peers.values()), 'some calls')
        self.assertEqual({r[0] for r in self.left()}, set(peers))
        for name, peer in peers.items():
            self.assertLess(len(peer.calls), 60, name)  # nobody goes round in circles
            self.assertGreater(len(peer.asked()), 1, name)  # for the port, again
        good.append(True)
        self.assertEqual(run.wait().status, 0, run.log)
        self.assertEqual(self.left(), [])
        for name, peer in peers.items():
            self.assertLessEqual(run.log.count(f'{name}: its '), 1, run.log)

    def test_long_verifier(self):
        """47: 400 bytes are allowed."""
        def mode(peer, call, reply):
            return [accepted(call.xid, reply[24:], verifier=bytes(400))]
        self.told(self.one(mode=mode))

    def test_bad_ports(self):
        """41"""
        def number(n):
            return lambda call: accepted(call.xid, words(n) if call.vers == 2 else
                                         sm_peers.text('1.2.3'))

        def address(value):
            return lambda call: (accepted(call.xid, sm_peers.text(value)) if call.vers > 2
                                 else accepted(call.xid, words(70000)))
        answers = [number(70000), number(65536), number(0xffffffff), address('x.256.1'),
                   address('1.2.3'), address('10.81.0.1.1.256'), address('a' * 900)]
        peers, good = [], []

        def mode(answer):
            return lambda peer, call, reply: [answer(call) if call.prog == RPCBIND and not good
                                              else reply]
        for n, answer in enumerate(answers):
            peers.append(self.one(f'10.81.3.{n + 1}', f'a{n}.lab.test', mode=mode(answer)))
            peers.append(self.one(f'fd81::3:{n + 1}', f'b{n}.lab.test', mode=mode(answer)))
        run = self.begin()
        self.until(lambda: all(len(p.calls) > 3 for p in peers), 'some calls')
        self.assertEqual(len(self.left()), len(peers))
        self.assertEqual([p.told() for p in peers], [[]] * len(peers))
        good.append(True)
        self.assertEqual(run.wait().status, 0, run.log)
        for p in peers:
            self.assertEqual(set(p.told()), {ME, 'nfssrv'})

    def test_flood(self):
        """54: garbage at the socket, from somebody else, all the time: it sends and hears."""
        peer = self.one(mode=lambda p, call, reply: [reply] if len(self.rounds(p)) > 3 else [])
        run = self.begin('-p', '950')
        self.until(lambda: peer.calls, 'first call')
        flood = self.spawn([*self.far.prefix, sys.executable, '-c', FLOOD, SERVER, '950'])
        run.wait()
        flood.kill()
        self.assertEqual(run.status, 0, run.log)
        self.check_names(peer)
        self.assertGreater(run.summary['datagrams']['strange'], 1000)


class Ways(Net):
    """50: peers that can be reached in one way only, among others."""

    def test_only(self):
        kinds = {'udp': {'rpcbind': (UDP,), 'statd': (UDP,)},
                 'tcp': {'rpcbind': (TCP,), 'statd': (TCP,)},
                 'asked-udp-told-tcp': {'rpcbind': (UDP,), 'statd': (TCP,)},
                 'asked-tcp-told-udp': {'rpcbind': (TCP,), 'statd': (UDP,)},
                 'version2': {'versions': (2,)},
                 'version3': {'versions': (3,)},
                 'version4': {'versions': (4,)},
                 'versions34': {'versions': (3, 4)}}
        peers = {}
        for n, (kind, options) in enumerate(kinds.items(), 1):
            peers[kind] = self.one(f'10.81.4.{n}', f'{kind}.lab.test', **options)
            if kind != 'version2':
                peers[kind + '-6'] = self.one(f'fd81::4:{n}', f'{kind}-6.lab.test', **options)
        run = self.notify()
        for kind, peer in peers.items():
            self.assertEqual(set(peer.told()), {ME, 'nfssrv'}, kind)
        self.assertEqual(self.left(), [])
        self.assertLess(run.summary['seconds'], SOON, run.log)

    def test_version2_over_ipv6(self):
        """An rpcbind that only speaks version 2, asked over IPv6."""
        peer = self.one(LIVE6, versions=(2,))
        self.told(peer)
        self.assertEqual([c.vers for c in peer.once() if c.prog == RPCBIND], [3, 4, 2])

    def test_refused(self):
        """48: nobody at UDP port 111, or at the status monitor's: told, and TCP is used at once."""
        nobody = self.one(rpcbind=(TCP,))
        moved = self.one('10.81.0.2', 'moved.lab.test')
        moved.farm.forget(moved.sockets.pop(('statd', UDP)))
        run = self.told(nobody)
        self.check_names(moved, by=TCP)
        self.check_names(nobody, by=TCP)
        self.assertGreater(run.summary['connections'], 0)

    def test_unreachable(self):
        """48: an error of the network ends nothing."""
        self.record('gone.lab.test', '10.83.0.1')
        self.record('rejected.lab.test', '10.81.0.3')
        self.rules(self.far, 'ip daddr 10.81.0.3 reject with icmp type admin-prohibited')
        peer = self.one()
        run = self.notify(retry=3, status=1)
        self.check_names(peer)
        self.assertEqual({r[0] for r in self.left()}, {'gone.lab.test', 'rejected.lab.test'})
        self.assertIn('gone.lab.test: not notified: unreachable', run.log)
        self.assertGreaterEqual(run.summary['seconds'], 3)

    def test_udp_filtered(self):
        """49"""
        self.rules(self.far, f'ip daddr {LIVE} meta l4proto udp drop; '
                             f'ip6 daddr {LIVE6} meta l4proto udp drop')
        four, six = self.one(), self.one(LIVE6, 'client6.lab.test')
        self.told(four)
        self.check_names(four, by=TCP)
        self.check_names(six, by=TCP)

    def test_one_way_each(self):
        """rpcbind only over UDP, the status monitor only over TCP, though it has a port of UDP."""
        peer = self.one()
        self.rules(self.far, f'ip daddr {LIVE} udp dport {peer.ports[UDP]} drop; '
                             f'ip daddr {LIVE} tcp dport 111 drop')
        self.told(peer)
        self.check_names(peer, by=TCP)

    def test_registered_later(self):
        """40: the whole site is booting; rpcbind is up before the status monitor."""
        peer = self.one()
        ports = dict(peer.ports)
        peer.ports.update({UDP: 0, TCP: 0})
        run = self.begin()
        self.until(lambda: len(self.rounds(peer)) > 3, 'asked')
        peer.ports.update(ports)
        registered = time.monotonic()
        self.assertEqual(run.wait().status, 0, run.log)
        self.check_names(peer)
        self.assertLess(time.monotonic() - registered, SOON)  # the reference: 120 s
        self.assertLess(len(peer.calls), 40)

    def test_rpcbind_later(self):
        """The host is up, and nothing on it yet."""
        self.record('client.lab.test', LIVE)
        run = self.begin()
        time.sleep(2.5)
        peer, began = self.peer(LIVE), time.monotonic()
        self.assertEqual(run.wait().status, 0, run.log)
        self.assertLess(time.monotonic() - began, SOON)
        self.check_names(peer)

    def test_monitor_moves_between_names(self):
        """42"""
        def mode(peer, call, reply):
            if call.is_notify and not moved:
                moved.append(True)
                peer.move(UDP)
            return [reply]
        moved = []
        peer = self.one(mode=mode, statd=(UDP,))
        run = self.notify()
        self.assertEqual(set(peer.told()), {ME, 'nfssrv'})
        self.assertLess(run.summary['seconds'], SOON)


class Connections(Net):
    """51: over TCP, from those who do it badly. UDP is filtered; a good one is told meanwhile."""

    def bad(self, address, name, **options):
        return self.one(address, name, rpcbind=(TCP,), statd=(TCP,), **options)

    def test_fragments(self):
        """Record marks for each byte, and for none."""
        def bytewise(peer, call, reply):
            return [sm_peers.record(reply, 1)]

        def empty(peer, call, reply):
            return [sm_peers.Raw(words(0) * 20 + sm_peers.record(reply, 5)[:-9]
                                 + words(0) * 20 + sm_peers.record(reply, 5)[-9:])]
        a = self.bad(LIVE, 'a.lab.test', mode=bytewise)
        b = self.bad('10.81.0.2', 'b.lab.test', mode=empty)
        self.told(a)
        self.check_names(b)

    def test_hostile(self):
        good = []

        def raw(data):
            return lambda peer, call, reply: [reply] if good else [sm_peers.Raw(data(reply))]

        def stall(peer, connection, to):
            kept.append(connection)
            return connection if good else None

        def reset(peer, connection, to):
            if good:
                return connection
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            connection.close()
            return None
        kept, peers = [], {}
        self.addCleanup(lambda: [c.close() for c in kept])
        kinds = {'2gib': raw(lambda r: words(0xffffffff) + r),
                 'long': raw(lambda r: words(0x80000000 | 2000) + bytes(2000)),
                 'endless': raw(lambda r: words(0) * 1024),
                 'half': raw(lambda r: sm_peers.record(r)[:20]),
                 'number': raw(lambda r: sm_peers.record(words(1) + r[4:])),
                 'junk': raw(lambda r: os.urandom(1000))}
        for n, (kind, mode) in enumerate(kinds.items(), 1):
            peers[kind] = self.bad(f'10.81.5.{n}', f'{kind}.lab.test', mode=mode)
        peers['stall'] = self.bad('10.81.5.20', 'stall.lab.test', tcp_mode=stall)
        peers['reset'] = self.bad('10.81.5.21', 'reset.lab.test', tcp_mode=reset)
        fine = self.bad('10.81.5.22', 'fine.lab.test')
        run = self.begin()
        self.until(lambda: len(fine.once()) == 3, 'the good one')
        self.until(lambda: len(kept) > 1 and all(len(peers[k].calls) > 1 for k in kinds),
                   'some connections')
        self.assertEqual({r[0] for r in self.left()}, {f'{k}.lab.test' for k in peers})
        self.assertLess(xtest.count_fds(run.daemon.pid), 40)
        good.append(True)
        self.assertEqual(run.wait().status, 0, run.log)
        self.assertEqual(self.left(), [])
        for kind, peer in peers.items():
            self.assertEqual(set(peer.told()), {ME, 'nfssrv'}, kind)
            self.assertLess(len(peer.calls), 100, kind)


if __name__ == '__main__':
    sm_lab.main(at_once=4)
