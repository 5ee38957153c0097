# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured: the rows of the table, for each client program.

A row is a client's options and the figure by which servers are compared. Sizes are in the name, so
that a pattern (--rows) finds them.
"""
import dataclasses
import fnmatch

LESS_IS_BETTER = ("p50_us", "p99_us")

# When a row makes sense: image in the page cache, dropped from it before each sample, direct I/O.
HOT, COLD, DIRECT = "hot", "cold", "direct"
ALWAYS = (HOT, COLD, DIRECT)


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    options: str              # of the client that is measured
    key: str = "per_second"   # what is compared
    unit: str = "k/s"         # or GB/s: how the rate is shown
    when: tuple = (HOT,)
    before: str = ""          # load run to its end before a sample,
    beside: str = ""          # and load that runs all through it: xnbd-load's options
    limits: tuple = ()        # bare loops that come close to this row: (name, xnbd-limit's options)

    @property
    def less_is_better(self):
        return self.key in LESS_IS_BETTER


HOT_SPAN = "8M"
BARE_4K, BARE_256K = "--bs 4K --batch 32", "--bs 256K --batch 8"

LOAD = [
    Row("4K randread qd1", "-m randread -d 1", "p50_us", when=ALWAYS),
    Row("4K randread qd32", "-m randread -d 32", when=ALWAYS,
        limits=(("limit", BARE_4K), ("limit asked", BARE_4K + " --asked"))),
    Row("4K randread qd32 x4", "-m randread -d 32 -c 4"),
    Row("4K randread qd32 structured", "-m randread -d 32 --structured"),
    Row("4K randwrite qd32", "-m randwrite -d 32", when=(HOT, DIRECT)),
    Row("4K randrw qd32", "-m randrw -d 32"),
    Row("256K read qd8", "-m read -b 256K -d 8", unit="GB/s",
        limits=(("limit", BARE_256K + " --splice"),
                ("limit asked", BARE_256K + " --splice --asked"), ("limit mapped", BARE_256K))),
    Row("256K read qd8, once", "-m read -b 256K -d 8 --passes 1", unit="GB/s",
        when=(COLD, DIRECT)),
    Row("256K read qd8 x4", "-m read -b 256K -d 8 -c 4", unit="GB/s"),
    Row("1M read qd4", "-m read -b 1M -d 4", unit="GB/s"),
    Row("256K write qd8", "-m write -b 256K -d 8", unit="GB/s", when=(HOT, DIRECT)),
    Row("connect", "-m connect"),
    Row("fairness: 4K randread qd1 beside 32M read qd2", "-m randread -d 1", "p99_us",
        beside="-m read -b 32M -d 2"),
    Row("hot beside cold: 4K randread qd1 beside qd32", f"-m randread -d 1 --span {HOT_SPAN}",
        "p99_us", when=(COLD,), before=f"-m read -b 256K --span {HOT_SPAN} --passes 2",
        beside=f"-m randread -d 32 --from {HOT_SPAN}"),
]

FIO = [
    Row("4K randread qd1", "--rw=randread --bs=4k --iodepth=1", "p50_us", when=ALWAYS),
    Row("4K randread qd32", "--rw=randread --bs=4k --iodepth=32", when=ALWAYS),
    Row("4K randwrite qd1", "--rw=randwrite --bs=4k --iodepth=1", "p50_us", when=(HOT, DIRECT)),
    Row("4K randwrite qd32", "--rw=randwrite --bs=4k --iodepth=32", when=(HOT, DIRECT)),
    Row("256K read qd8", "--rw=read --bs=256k --iodepth=8", unit="GB/s"),
    Row("256K write qd8", "--rw=write --bs=256k --iodepth=8", unit="GB/s", when=(HOT, DIRECT)),
]

NBDCOPY = [
    Row("copy out of the export", "read", unit="GB/s", when=(HOT, DIRECT)),
    Row("copy out of the export, once", "read once", unit="GB/s", when=(COLD,)),
    Row("copy into the export", "write", unit="GB/s", when=(HOT, DIRECT)),
]

ROWS = {"load": LOAD, "fio": FIO, "nbdcopy": NBDCOPY}
FIRST_CLIENT = "first client"


def chosen(client, pattern, when):
    return [r for r in ROWS[client] if when in r.when and fnmatch.fnmatch(r.name, pattern)]
