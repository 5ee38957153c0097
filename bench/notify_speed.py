# SPDX-License-Identifier: GPL-2.0-or-later
"""Speed of sm-notify: crowds of live peers, one live peer among dead ones, memory for many records.

A sample is one run of one program. File and mon_name of a record are the peer's address, so that no
time goes into the resolver where it is not what is measured.
"""
import statistics
import time

import notify_lab
import xtest
from notify_lab import DEAD_RESOLVER, ME, SHORT
from notify_rows import Row

LIMIT, MEMORY_SECONDS = 60, 20  # the kernel's lock manager has 50 s of grace
RECORDS = 100000
PAIRS = 3


def timed(place, run, begun, wait):
    """WAIT until it is over; then what it has cost so far. BEGUN: lost(), cpu() before."""
    wait()
    if run.alive():
        run.daemon.kill()
    seconds = notify_lab.cpu() - begun[1]
    lost, sent = (b - a for a, b in zip(begun[0], place.lost()))
    return {"lost": lost, "datagrams": sent, "cpu": seconds}


def live(count):
    def sample(place):
        place.records((f"10.81.{i >> 8}.{i & 255}",) * 2 for i in range(1, count + 1))
        place.command()  # all that is not to be measured is there
        crowd = place.crowd()
        before = place.lost(), notify_lab.cpu()
        run = place.start("-d")
        how = timed(place, run, before, lambda: place.ended(run, LIMIT))
        complete, last = crowd()
        if complete == count:
            how["seconds"] = last - run.began
        else:
            how["missed"] = f"{complete} of {count} told within {LIMIT} s"
        return how
    return sample


def among(others):
    """One live peer, the last one to be taken, among those that OTHERS(place) makes."""
    def sample(place):
        others(place)
        peer = place.one()
        place.last()
        place.command()
        before = place.lost(), notify_lab.cpu()
        run = place.start("-d")
        how = timed(place, run, before, lambda: place.wait(
            lambda: {ME, SHORT} <= set(peer.told()), LIMIT))
        if {ME, SHORT} <= set(peer.told()):
            how["seconds"] = max(c.at for c in peer.calls if c.is_notify) - run.began
        else:
            how["missed"] = f"not told within {LIMIT} s"
        return how
    return sample


def dead(place):
    for i in range(1, 101):
        place.record(f"10.82.1.{i}", f"10.82.1.{i}")


def unresolvable(place):
    place.etc["resolv.conf"] = f"nameserver {DEAD_RESOLVER}\n"
    for i in range(1, 101):
        place.record(f"lost{i}.lab.test", f"lost{i}.lab.test")


def peak_of(pid):
    for line in xtest.text_of(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0


def memory(place):
    """Peak of resident memory some time after the first packet; all peers are silent."""
    place.server.run("ip", "route", "replace", "10.128.0.0/9", "via", notify_lab.sm_lab.FARM)
    place.far.run("ip", "route", "replace", "blackhole", "10.128.0.0/9")
    place.records((f"10.{128 + (i >> 16)}.{i >> 8 & 255}.{i & 255}",) * 2 for i in range(RECORDS))
    place.command()
    before = place.lost()[1]
    run = place.start("-d")
    sends = place.wait(lambda: place.lost()[1] > before, LIMIT, 0.5)
    first = time.monotonic() - run.began
    time.sleep(MEMORY_SECONDS if sends else 0)
    how = {"mebibytes": peak_of(run.daemon.pid)}
    run.daemon.kill()
    return dict(how, first=first) if sends else \
        dict(how, missed=f"nothing sent within {LIMIT} s")


SPEED = [Row(f"{n:,} live peers", f"{n:,} peers that answer at once; until the last one has both "
             "names", live(n), s, ()) for n, s in ((100, 10), (500, 20), (1000, 60), (2000, 110))]
SPEED += [
    Row("1 live peer", "alone", among(lambda place: None), 5, ()),
    Row("1 live peer, 100 dead ones", "until the live one, taken last, has both names",
        among(dead), 12, ()),
    Row("1 live peer, 100 unknown to a dead resolver", "the same; its own name is in the hosts "
        "file", among(unresolvable), 3 * LIMIT, ()),
    Row(f"memory, {RECORDS:,} records", f"peak {MEMORY_SECONDS} s after the first packet, all "
        "silent", memory, 180, ()),
]


def measure(row, programs):
    """{"ours": [samples], "theirs": [samples]}, taken in turn."""
    place = notify_lab.Place(programs)
    place.setUp()
    samples = {who: [] for who in programs}
    try:
        for _ in range(1 if row.function is memory else PAIRS):
            for who in programs:
                place.fresh(who)
                samples[who].append(row.function(place))
    finally:
        place.close()
    return samples


def summary(samples):
    """Medians; if a sample missed, that."""
    missed = next((s["missed"] for s in samples if "missed" in s), None)
    keys = set.intersection(*(set(s) for s in samples)) - {"missed"}
    result = {k: statistics.median(s[k] for s in samples) for k in keys}
    return dict(result, missed=missed) if missed else result


def figure(values):
    """For people."""
    if "mebibytes" in values:
        first = values.get("missed") or f"first packet after {values['first']:.1f} s"
        return f"{values['mebibytes']:.1f} MiB; {first}"
    when = values.get("missed") or f"{values['seconds']:.3f} s"
    return f"{when}; {values['datagrams']:,.0f} sent, {values['lost']:,.0f} lost, " \
           f"CPU {values['cpu']:.2f} s"


def ratio(ours, theirs):
    """How many times as fast (or small) ours is."""
    key = "mebibytes" if "mebibytes" in ours else "seconds"
    if "missed" in ours:
        return ""
    if "missed" not in theirs:
        return f"{theirs[key] / ours[key]:.1f}"
    return f"> {LIMIT / ours[key]:,.0f}" if key == "seconds" else ""
