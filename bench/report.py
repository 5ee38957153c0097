# SPDX-License-Identifier: GPL-2.0-or-later
"""Medians of the samples of a row, ratios to the best peer, and a line of text for each server."""
import statistics
import sys

import servers


def medians(results):
    keys = dict.fromkeys(k for r in results for k in r)
    return {k: statistics.median(r[k] for r in results if k in r) for k in keys}


def work_cost(values):
    """CPU per unit of work; rows without data have requests only."""
    return values.get("cpu_per_gib") or values.get("cpu_per_million")


def add_ratios(row, summary):
    """`ratio`: how many times as good as the best peer; `cpu_ratio`: CPU, the cheapest being 1."""
    peers = [v for s, v in summary.items() if servers.is_peer(s)]
    figures = [p[row.key] for p in peers if p.get(row.key)]
    costs = [work_cost(p) for p in peers if work_cost(p)]
    for values in summary.values():
        if figures and values.get(row.key):
            values["ratio"] = min(figures) / values[row.key] if row.less_is_better else \
                values[row.key] / max(figures)
        if costs and work_cost(values):
            values["cpu_ratio"] = work_cost(values) / min(costs)


def summarise(row, samples):
    """SAMPLES: server -> its results. Returns server -> medians with ratios, or why it failed."""
    summary = {}
    for server, results in samples.items():
        why = next((r["failed"] for r in results if "failed" in r), None)
        summary[server] = {"failed": why} if why else medians(results)
    add_ratios(row, summary)
    return summary


# The columns of a line: figure, how it is shown.
COLUMNS = [
    ("p50_us", "p50 {:8.1f} us"),
    ("p99_us", "p99 {:9.1f} us"),
    ("max_us", "max {:9.1f} us"),
    ("cpu_per_million", "cpu {:8.2f} s/M"),
    ("cpu_per_gib", "{:6.3f} s/GiB"),
    ("pss_kib", "{:6.1f} MiB"),
    ("own_kib", "own {:5.1f}"),
    ("from_disk", "disk {:4.0%}"),
    ("beside_bytes_per_second", "beside {:6.2f} GB/s"),
    ("ratio", "x best peer {:6.2f}"),
    ("cpu_ratio", "cpu {:5.2f}"),
]
SCALE = {"pss_kib": 1 / 1024, "own_kib": 1 / 1024, "beside_bytes_per_second": 1e-9}


def rate(row, values):
    if row.unit == "GB/s" and values.get("bytes_per_second"):
        return f"{values['bytes_per_second'] / 1e9:7.2f} GB/s"
    return f"{values['per_second'] / 1e3:7.1f} k/s "


def line(row, server, values, shown):
    if "failed" in values:
        return f"  {server:13} not measured: {values['failed']}"
    cells = [rate(row, values)] if "per_second" in values else []
    for key, form in shown:
        blank = " " * len(form.format(0))
        cells.append(form.format(values[key] * SCALE.get(key, 1)) if key in values else blank)
    return f"  {server:13} " + "  ".join(cells).rstrip()


def print_row(row, summary):
    shown = [c for c in COLUMNS if any(c[0] in v for v in summary.values())]
    print(f"\n{row.name}")
    for server, values in summary.items():
        print(line(row, server, values, shown))
    sys.stdout.flush()
