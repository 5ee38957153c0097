# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows on peers and the network: who is told, when, and what is believed."""
import time

from notify_lab import CLIENT, DEAD, DEAD_RESOLVER, LIVE, LIVE6, OTHER, Seen
from notify_rows import defect
from sm_peers import TCP, UDP

MINUTE = ("-d", "-m", "1")  # gives up after a minute
PATIENT = 70                # seconds: somewhat more
HOUR = 3600
CC = (("cc", "gcc"),)


@defect("first of two addresses lost", 65)
def first_address(t):
    """A peer with two addresses is alive on the first one only."""
    t.hosts(CLIENT, LIVE, DEAD)
    peer = t.peer(LIVE)
    t.record(CLIENT, CLIENT)
    return t.told(t.start(*MINUTE), peer, PATIENT)


@defect("dead resolver delays the living", 105)
def dead_resolver(t):
    """The resolver is silent, three names are unknown; the peer taken last needs no resolver."""
    t.etc["resolv.conf"] = f"nameserver {DEAD_RESOLVER}\n"
    for i in range(3):
        t.record(f"lost{i}.lab.test", f"lost{i}.lab.test")
    peer = t.one()
    t.last()
    return t.told(t.start("-d"), peer, 150)


@defect("address in the record not used", 65)
def literal_address(t):
    """The peer's name resolves no more; its address is in the record."""
    t.record(CLIENT, LIVE)
    peer = t.peer(LIVE)
    return t.told(t.start(*MINUTE), peer, PATIENT)


@defect("reply of another host believed", 8)
def forged_reply(t):
    """Another host acknowledges what was sent to the peer; the peer itself is silent."""
    other = t.farm.socket(OTHER, UDP)
    peer = t.one(mode=lambda p, call, reply: [] if call.by == TCP else
                 [(other, reply)] if call.is_notify else [reply])
    run = t.start("-d")
    t.wait(lambda: len(peer.told()) >= 3 or not run.alive(), 6)
    other.close()
    gone = not t.left()
    return Seen(gone, "record removed" if gone else "record kept, tried again")


@defect("port named by another host believed", 8)
def forged_port(t):
    """Another host answers for the peer's rpcbind, which is silent."""
    other = t.farm.socket(OTHER, UDP)
    peer = t.one(mode=lambda p, call, reply: [reply] if call.is_notify else
                 [(other, reply)] if call.by == UDP else [])
    t.start("-d")
    t.wait(peer.told, 5)
    other.close()
    told = bool(peer.told())
    return Seen(told, "notification sent to that port" if told else
                f"not used, asked {len(peer.asked(UDP))} times")


@defect("call numbers can be guessed")
def call_numbers(t):
    """Twenty peers; guessed: the next number is the last plus one, mostly."""
    peers = [t.one(f"10.81.2.{i}", f"c{i}.lab.test") for i in range(1, 21)]
    t.ended(t.start("-d"), 20)
    calls = sorted((c for p in peers for c in p.calls), key=lambda c: c.at)
    steps = [(b.xid - a.xid) % 2**32 for a, b in zip(calls, calls[1:])]
    near = sum(s == 1 for s in steps)
    return Seen(near > len(steps) / 2, f"{near} of {len(steps)} by adding one")


@defect("replies lost at the own socket", 25)
def starved(t):
    """1,000 peers that answer at once; lost: by the kernel, as nobody took them in time."""
    t.records((f"10.81.{i >> 8}.{i & 255}",) * 2 for i in range(1, 1001))
    crowd, before = t.crowd(), t.lost()
    run = t.start(*MINUTE)
    how = t.ended(run, 60)
    lost, sent = (b - a for a, b in zip(before, t.lost()))
    complete, last = crowd()
    return Seen(lost > 0, f"{lost} lost, {sent} sent for {3 * complete}, {complete} told in "
                f"{last - run.began:.2f} s" if complete == 1000 else f"{complete} told, {how}")


@defect("wall clock set ahead ends the retries", 25, CC)
def clock_ahead(t):
    """The clock (of this program alone) goes an hour ahead; it has a quarter of an hour to try."""
    env, step = t.clock()
    peer = t.one(mode=lambda p, call, reply: [])
    run = t.start("-d", env=env)
    t.wait(lambda: len(peer.asked(UDP)) >= 2, 10)
    step(HOUR)
    how = t.ended(run, 15)
    return Seen(not run.alive(), f"gave up: {how}" if not run.alive() else "goes on trying")


@defect("wall clock set back stops the retries", 42, CC)
def clock_back(t):
    """The clock (of this program alone) goes back an hour."""
    env, step = t.clock()
    peer = t.one(mode=lambda p, call, reply: [])
    t.start("-d", env=env)
    t.wait(lambda: len(peer.asked(UDP)) >= 2, 10)
    step(-HOUR)
    before = len(peer.calls)
    t.wait(lambda: len(peer.calls) >= before + 2, 20)
    more = len(peer.calls) - before
    return Seen(more == 0, f"{more} calls in the next 20 s" if more == 0 else "goes on trying")


@defect("status monitor registered late found late", 130)
def registered_late(t):
    """rpcbind is up, the status monitor registers 5 s later; on time: within 10 s from there."""
    peer = t.one()
    ports = dict(peer.ports)
    peer.ports.update({UDP: 0, TCP: 0})
    run = t.start("-d")
    t.wait(lambda: peer.calls, 10)
    time.sleep(5)
    peer.ports.update(ports)
    return t.told(run, peer, 150, late=10, since=time.monotonic())


@defect("gap in the retries", 100)
def late_peer(t):
    """The peer comes up 33 s after the start; on time: within 11 s from there."""
    up = []
    peer = t.one(mode=lambda p, call, reply: [reply] if up else [])
    run = t.start("-d")
    time.sleep(33)
    up.append(True)
    return t.told(run, peer, 100, late=11, since=time.monotonic())


@defect("peer with TCP only", 65)
def tcp_only(t):
    """rpcbind and status monitor listen on TCP alone."""
    peer = t.one(rpcbind=(TCP,), statd=(TCP,))
    return t.told(t.start(*MINUTE), peer, PATIENT)


@defect("rpcbind without version 2", 65)
def new_rpcbind(t):
    """An IPv4 peer whose rpcbind speaks versions 3 and 4."""
    peer = t.one(versions=(3, 4))
    return t.told(t.start(*MINUTE), peer, PATIENT)


@defect("rpcbind without version 3, IPv6", 65)
def newest_rpcbind(t):
    """An IPv6 peer whose rpcbind speaks version 4."""
    peer = t.one(LIVE6, versions=(4,))
    return t.told(t.start(*MINUTE), peer, PATIENT)


@defect("-v reaches one family only", 65)
def one_family(t):
    """-v NAME of an IPv4 and an IPv6 address; a peer of each."""
    t.hosts("floating.lab.test", "10.77.0.1", "fd77::1")
    names = ("floating.lab.test", "floating")
    four, six = t.one(), t.one(LIVE6, "client6.lab.test")
    run = t.start(*MINUTE, "-v", "floating.lab.test")
    seen = {"IPv4": t.told(run, four, PATIENT, names=names)}
    seen["IPv6"] = t.told(run, six, PATIENT, names=names)
    return Seen(any(s.fault for s in seen.values()),
                "; ".join(f"{family} {s.did}" for family, s in seen.items()))
