# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of the comparison of sm-notify: what is provoked, by a function that gives notify_lab.Seen.

The function gets a fresh Place for each of the two programs and judges what it sees; it knows which
one it has only from there, and never asks.
"""
import dataclasses
import fnmatch
import shutil

import notify_lab


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    what: str        # is provoked
    function: object
    seconds: int     # that it takes about, both programs: the longest are begun first
    tools: tuple     # (program, package) it cannot do without


DEFECTS = []


def defect(name, seconds=3, tools=()):
    """Makes a row of a function; its docstring is what is provoked."""
    def made(function):
        what = " ".join(function.__doc__.split())
        DEFECTS.append(Row(name, what, function, seconds, tools))
        return function
    return made


def chosen(rows, patterns, kind):
    """Those of ROWS that a pattern matches; all if their KIND is named."""
    return [r for r in rows if any(p == kind or fnmatch.fnmatch(r.name, p) for p in patterns)]


def try_both(row, programs):
    """{"ours": Seen, "theirs": Seen}, in one place."""
    missing = [package for program, package in row.tools if not shutil.which(program)]
    if missing:
        why = notify_lab.Seen(None, f"not tried: needs {', '.join(missing)}")
        return {who: why for who in programs}
    place = notify_lab.Place(programs)
    place.setUp()
    try:
        return {who: try_one(row, place, who) for who in programs}
    finally:
        place.close()


def try_one(row, place, who):
    place.fresh(who)
    try:
        return row.function(place)
    except Exception as e:  # the row could not be set up: no claim about the program
        return notify_lab.Seen(None, f"not tried: {type(e).__name__}: {e}")
