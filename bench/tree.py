# SPDX-License-Identifier: GPL-2.0-or-later
"""What a process and all its descendants cost: CPU time, memory and disk, read from /proc."""
import os
import threading

TICK = os.sysconf("SC_CLK_TCK")
SAMPLES_PER_SECOND = 10


def read(path):
    """Text of a file in /proc, empty if the process has gone."""
    try:
        with open(path, encoding="ascii", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def pids(root):
    """ROOT and its descendants; children are listed by the thread that made them."""
    found, todo = [], [root]
    while todo:
        one = todo.pop()
        found.append(one)
        try:
            threads = os.listdir(f"/proc/{one}/task")
        except OSError:
            continue
        for thread in threads:
            todo += map(int, read(f"/proc/{one}/task/{thread}/children").split())
    return found


def cpu_seconds(root):
    """User and system time, with that of children that ended and were waited for."""
    ticks = 0
    for pid in pids(root):
        fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICK


def disk_bytes(root):
    """Read from disks so far, whether through the page cache or past it."""
    total = 0
    for pid in pids(root):
        for line in read(f"/proc/{pid}/io").splitlines():
            if line.startswith("read_bytes:"):
                total += int(line.split()[1])
    return total


def memory(root):
    """(PSS, own) in KiB. Proportional set size: a page that N processes map counts 1/N in each, and
    so do pages of the image that a server maps, though they are the page cache's; own: without
    pages of files."""
    pss = own = 0
    for pid in pids(root):
        for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
            name, _, value = line.partition(":")
            if name == "Pss":
                pss += int(value.split()[0])
            elif name == "Pss_Anon":
                own += int(value.split()[0])
    return pss, own


class Peak:
    """Highest memory of the tree while the `with` block runs: `pss`, `own`, in KiB."""

    def __init__(self, root):
        self.root, self.pss, self.own = root, 0, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def look(self):
        pss, own = memory(self.root)
        self.pss, self.own = max(self.pss, pss), max(self.own, own)

    def watch(self):
        self.look()
        while not self.over.wait(1 / SAMPLES_PER_SECOND):
            self.look()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.look()
