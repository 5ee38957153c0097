# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows on what is on disk: records, state number, grace period, the guard, and the command line."""
import json
import os
import re
import signal
import struct
import time

import xtest
from notify_lab import CLIENT, GRACE, KERNEL_STATE, LIVE, ME, READ_ONLY_RUN, SHORT, Seen
from notify_rows import defect
from sm_peers import record_line

STRACE, CC = (("strace", "strace"),), (("cc", "gcc"),)
DAY = 24 * 3600
GUARD = "run/sm-notify.pid"
SYNCS = ("fsync", "fdatasync", "syncfs", "sync(")


def silent_until(good):
    """A peer's mode: no answer while GOOD is empty."""
    return lambda p, call, reply: [reply] if good else []


def heard(peer):
    return ", ".join(f"\"{n if len(n) < 40 else n[:10] + '...'}\"" for n in peer.told()) or "nobody"


# What is done before anything is sent.

@defect("grace period ended though records were not read")
def grace_on_error(t):
    """There is a record, but no folder sm.bak to move it to."""
    t.one()
    os.rmdir(f"{t.state}/sm.bak")
    how = t.ended(t.start("-d", "-m", "1"), 70)
    lifted = t.read(GRACE)[:1] == "Y"
    return Seen(lifted, f"grace period {'ended' if lifted else 'left alone'}, {how}")


def state_number(t):
    with open(f"{t.state}/state", "rb") as f:
        return struct.unpack("<i", f.read(4))[0]


def set_state(t, number):
    with open(f"{t.state}/state", "wb") as f:
        f.write(struct.pack("<i", number))


@defect("state number overflows")
def overflow(t):
    """The last number was the highest there is; good: the next is positive and odd."""
    set_state(t, 0x7fffffff)
    peer = t.one()
    t.ended(t.start("-d"), 20)
    told = {c.state for c in peer.calls if c.is_notify}
    bad = not told or any(n <= 0 or n % 2 == 0 for n in told)
    return Seen(bad, f"tells {', '.join(str(n) for n in told)}")


@defect("state number kept when there are no peers")
def no_peers(t):
    """No records, the number is 5; good: 7, and the kernel is told."""
    set_state(t, 5)
    t.ended(t.start("-d"), 20)
    number, kernel = state_number(t), t.read(KERNEL_STATE).strip()
    return Seen(number == 5 or kernel != str(number),
                f"{number}, the kernel is told {kernel or 'nothing'}")


@defect("not synced before the first packet", 4, STRACE)
def not_synced(t):
    """Calls as strace sees them: after the last rename something is synced, then sent."""
    t.one()
    trace = f"{t.where}/trace"
    t.ended(t.start("-d", before=("strace", "-f", "-o", trace)), 60)
    renames, syncs = 0, None
    for line in xtest.text_of(trace).splitlines():
        call = line.partition(" ")[2].lstrip()
        if call.startswith("rename"):
            renames, syncs = renames + 1, 0
        elif call.startswith(SYNCS) and syncs is not None:
            syncs += 1
        elif "htons(111)" in call:
            break
    if not renames:
        return Seen(None, "not tried: strace saw no rename")
    return Seen(not syncs, f"{renames} renames, {syncs or 'no'} sync behind the last")


@defect("older record of the same peer lost")
def clobbered(t):
    """One name of ours waits in sm.bak since the boot before, another one is in sm."""
    peer = t.one()
    os.unlink(f"{t.state}/sm/{CLIENT}")
    t.record(CLIENT, LIVE, "older.lab.test", "sm.bak")
    t.record(CLIENT, LIVE, "newer.lab.test")
    t.ended(t.start("-d"), 20)
    return Seen("older.lab.test" not in peer.told(), f"tells {heard(peer)}")


# Once in each boot.

@defect("guard left over from another boot", 3, CC)
def old_guard(t):
    """A run in one boot and one in the next, as boot id and wall clock say; /run was kept."""
    peer = t.one()
    first = t.told(t.start("-d"), peer, 20)
    if first.fault:
        return Seen(None, f"not tried: {first.did}")
    t.write("boot_id", "11111111-2222-3333-4444-555555555555\n")
    t.new_world("mount --bind boot_id /proc/sys/kernel/random/boot_id || exit 9\n")
    env, step = t.clock()
    step(int(time.clock_gettime(time.CLOCK_BOOTTIME)) + DAY)
    t.record(CLIENT, LIVE)
    peer.calls.clear()
    return t.told(t.start("-d", env=env), peer, 20)


@defect("guard that cannot be written")
def no_guard(t):
    """/run is read-only."""
    t.new_world(READ_ONLY_RUN)
    peer = t.one()
    return t.told(t.start("-d"), peer, 20)


@defect("guard of a run that failed early")
def early_failure(t):
    """-v with an address that has no name is refused; then a run without it."""
    peer = t.one()
    first = t.ended(t.start("-d", "-v", "10.77.0.1"), 20)
    seen = t.told(t.start("-d"), peer, 20)
    return Seen(seen.fault, f"first {first.partition(' after')[0]}, second: {seen.did}")


@defect("run ended by a signal not taken up again")
def taken_up(t):
    """SIGTERM while the peer is silent; then a second run, and the peer answers."""
    good = []
    peer = t.one(mode=silent_until(good))
    run = t.start("-d")
    t.wait(lambda: peer.calls, 10)
    os.kill(run.daemon.pid, signal.SIGTERM)
    first = t.ended(run, 10)
    good.append(True)
    peer.calls.clear()
    seen = t.told(t.start("-d"), peer, 20)
    return Seen(seen.fault, f"{first.partition(' after')[0]}, second: {seen.did}")


@defect("two at once", 8)
def two_at_once(t):
    """Two runs with -f, the second while the peer has not answered the first."""
    good = []
    peer = t.one(mode=silent_until(good))
    first = t.start("-d", "-f")
    t.wait(lambda: peer.calls, 10)
    second = t.start("-d", "-f")
    t.wait(lambda: not second.alive(), 1.5)
    good.append(True)
    t.ended(first, 20)
    how = t.ended(second, 20).partition(" after")[0]
    told = sorted({c.state for c in peer.calls if c.is_notify})
    return Seen(len(told) != 1, f"tells {', '.join(map(str, told))}; second: {how}")


# Records.

@defect("record without our name")
def no_name(t):
    """Its last field is empty."""
    peer = t.peer(LIVE)
    t.hosts(CLIENT, LIVE)
    t.line(record_line(LIVE, ""))
    run = t.start("-d", "-m", "1")
    t.wait(lambda: not run.alive(), 3)
    return Seen("" in peer.told(), f"tells {heard(peer)}")


@defect("our name an address")
def address_name(t):
    """It has no short form."""
    peer = t.peer(LIVE)
    t.hosts(CLIENT, LIVE)
    t.record(CLIENT, LIVE, "192.168.7.9")
    t.ended(t.start("-d"), 20)
    return Seen("192" in peer.told() or not peer.told(), f"tells {heard(peer)}")


@defect("half a line keeps the good record")
def half_line(t):
    """A file with a record and half a one, as after a crash; good: told, then removed."""
    peer = t.one()
    t.line("0100007f 000186b5")
    t.ended(t.start("-d", "-m", "1"), 20)
    kept = (CLIENT, LIVE, ME) in t.left()
    return Seen(kept or peer.told() != [ME, SHORT],
                f"told {len(peer.told())} times, {'record kept' if kept else 'record removed'}")


@defect("long record never removed", 65)
def long_record(t):
    """Our name in it has 1,024 bytes, the most that the protocol has."""
    peer = t.peer(LIVE)
    t.hosts(CLIENT, LIVE)
    my = "a" * 512 + "." + "b" * 511
    t.record(CLIENT, LIVE, my)
    how = t.ended(t.start("-d", "-m", "1"), 70)
    bad = bool(t.left()) or my not in peer.told()
    return Seen(bad, f"{'record kept' if t.left() else 'record removed'}, told "
                f"{len(peer.told())} times, {how}")


@defect("same record twice")
def duplicates(t):
    """Two equal lines; good: told once, no complaint."""
    peer = t.one()
    t.line(xtest.text_of(f"{t.state}/sm/{CLIENT}"))
    run = t.start("-d")
    t.ended(run, 20)
    complaint = re.search(r"(?i)^.*(error|could not|fail|not found|unable).*$", run.log, re.M)
    return Seen(len(peer.told()) != 2 or bool(complaint),
                f"told {len(peer.told())} times" + (", complains" if complaint else ""))


@defect("temporary file taken as a peer")
def temporary(t):
    """client.lab.test.new, left by a crash: a version of the client's record. Here a host has that
    name; good: it has nothing to do with it."""
    t.one()
    name = f"{CLIENT}.new"
    t.hosts(name, "10.81.0.2")
    peer = t.peer("10.81.0.2")
    t.record(name, LIVE, folder="sm.bak")
    t.ended(t.start("-d", "-m", "1"), 70)
    return Seen(bool(peer.told()), f"told {len(peer.told())} times" if peer.told() else
                "not contacted")


# The command line and what comes back.

@defect("failure in the background not reported")
def hidden_failure(t):
    """Without -d, -v names an address that is not ours."""
    peer = t.one()
    t.hosts("floating.lab.test", "10.77.0.77")
    run = t.start("-v", "floating.lab.test")
    how = t.ended(run, 20).partition(" after")[0]
    t.wait(peer.told, 2)
    return Seen(how == "exit 0" and not peer.told(), f"{how}, tells {heard(peer)}")


@defect("numbers on the command line not checked")
def bad_numbers(t):
    """-m abc, -m -5, -p 70000: refused before anything is done."""
    done = []
    for options in (("-m", "abc"), ("-m", "-5"), ("-p", "70000")):
        t.fresh(t.who)
        peer = t.one()
        how = t.ended(t.start("-d", "-f", *options), 10)
        kept = os.path.exists(f"{t.state}/sm/{CLIENT}")
        if peer.told() or not kept or not how.startswith("exit 1"):
            done.append(" ".join(options))
    return Seen(bool(done), f"accepts {', '.join(done)}" if done else "all refused")


@defect("ends later than -m says", 125)
def overshoot(t):
    """-m 1 and a silent peer; on time: within 1.5 s."""
    t.one(mode=lambda p, call, reply: [])
    run = t.start("-d", "-m", "1")
    how = t.ended(run, 130)
    return Seen(run.alive() or float(how.split()[-2]) > 61.5, how)


@defect("wrong process id in the guard")
def wrong_pid(t):
    """Without -d; right: that of the process in the background."""
    t.one(mode=lambda p, call, reply: [])
    t.ended(t.start("-m", "1"), 20)
    named = t.read(GUARD).split()[:1]
    mine = [str(p) for p in t.background()]
    if not mine:
        return Seen(None, "not tried: nothing runs in the background")
    return Seen(named != mine, "names a process that has ended" if named != mine else
                "names the process")


@defect("no result for scripts")
def no_result(t):
    """-d --json: which peers were told, for a program to read."""
    peer = t.one()
    run = t.start("-d", "--json")
    how = t.ended(run, 20)
    try:
        notified = json.loads(xtest.text_of(run.out))["notified"]
    except ValueError:
        return Seen(True, f"no such option, {how}")
    return Seen(notified != 1 or peer.told() != [ME, SHORT], f"{notified} notified, in JSON")
