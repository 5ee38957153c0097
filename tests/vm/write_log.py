# SPDX-License-Identifier: GPL-2.0-or-later
"""Logs of dm-log-writes: what a disk held at any moment, had the power been cut then.

The kernel logs a write when it is known to be durable: at the flush behind it, or at once if it was
made with FUA. Marks are logged at once. So the writes before a mark are what was certainly on the
disk at its moment, and of those up to the next flush any may be there as well. Format: the kernel's
Documentation/admin-guide/device-mapper/log-writes.rst.
"""

import struct

MAGIC, VERSION, SECTOR = 0x6a736677736872, 1, 512
FLUSH, DISCARD, MARK = 1, 4, 8
HEAD, ENTRY = struct.Struct('<QQQI'), struct.Struct('<4Q')


class Write:
    """flushes: what was written before is durable."""

    def __init__(self, at, data, flushes):
        self.at, self.data, self.flushes = at, data, flushes


class State:
    """A disk that a power cut may have left.

    marks_before: how many marks had surely been made before its last write; marks_after: how many
    may have been made while it was like this; marks_last: how many before the last one of its
    writes was, at most (larger only with writes that were not flushed yet).
    """

    def __init__(self, content, marks_before, marks_after, marks_last, what):
        self.content, self.what = content, what
        self.marks_before, self.marks_after = marks_before, marks_after
        self.marks_last = marks_last


def read(path):
    """Entries of a log: Write, or the text of a mark."""
    entries = []
    with open(path, 'rb') as f:
        magic, version, count, sector = HEAD.unpack(f.read(HEAD.size))
        if (magic, version, sector) != (MAGIC, VERSION, SECTOR):
            raise ValueError(f'{path}: no log of writes')
        at = SECTOR
        for _ in range(count):
            f.seek(at)
            where, sectors, flags, length = ENTRY.unpack(f.read(ENTRY.size))
            if flags & MARK:
                entries.append(f.read(length).decode())
                at += SECTOR
                continue
            f.seek(at + SECTOR)
            stored = 0 if flags & DISCARD else sectors * SECTOR
            data = f.read(stored) if stored else bytes(sectors * SECTOR)
            entries.append(Write(where * SECTOR, data, bool(flags & FLUSH)))
            at += SECTOR + stored
    return entries


def apply(content, write):
    content[write.at:write.at + len(write.data)] = write.data


def states(first, entries, rnd, mixed):
    """Each State there was; at every place in `mixed` also one with some of the writes to come.

    first: the disk before. mixed: the share of places.
    """
    content, marks = bytearray(first), 0
    for i, entry in enumerate(entries):
        if isinstance(entry, str):
            marks += 1
            continue
        apply(content, entry)
        if not entry.data:
            continue
        more = next((n for n, e in enumerate(entries[i + 1:]) if not isinstance(e, str)),
                    len(entries) - i - 1)
        after = marks + more
        yield State(bytes(content), marks, after, after, f'write {i}')
        if rnd.random() < mixed and (chosen := some_of_batch(entries, i + 1, rnd)):
            other = bytearray(content)
            for n in chosen:
                apply(other, entries[n])
            last = sum(isinstance(e, str) for e in entries[:chosen[-1]])
            yield State(bytes(other), after, after, last, f'write {i} and {chosen}')


def some_of_batch(entries, begin, rnd):
    """Numbers of writes up to the next flush, in order, at random."""
    batch = []
    for n in range(begin, len(entries)):
        if isinstance(entries[n], str):
            continue
        if entries[n].flushes:
            break
        batch.append(n)
    return [n for n in batch if rnd.random() < 0.5]

