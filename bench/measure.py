# SPDX-License-Identifier: GPL-2.0-or-later
"""One sample of one row: prepares the cache, runs the clients, accounts for the server.

The figures are those of the client (clients.py) and, of the server's process tree: `cpu` seconds,
`cpu_per_million` requests, `cpu_per_gib`; `pss_kib` and `own_kib` (tree.py) at their peak; and
`from_disk`, the part of the bytes moved that it read from the disk (100 %: really cold).
"""
import contextlib
import time

import cache
import clients
import tree

SETTLE_SECONDS = 0.2  # until the load beside is under way


def account(result, cpu):
    """CPU seconds per unit of work."""
    gib = result["bytes_per_second"] * result["seconds"] / 2**30
    result["cpu"] = cpu
    result["cpu_per_million"] = cpu * 1e6 / max(1, result["requests"])
    if gib:
        result["cpu_per_gib"] = cpu / gib


def moved(result):
    return result["bytes_per_second"] * result["seconds"]


class Meter:
    """Takes samples with one client program."""

    def __init__(self, client, load, seconds, cold):
        self.client, self.load = client, load  # `load`: xnbd-load, which also runs beside
        self.seconds, self.cold = seconds, cold

    @contextlib.contextmanager
    def company(self, server, row, result):
        """The load beside, if the row has one; its rate goes into RESULT."""
        if not row.beside:
            yield
            return
        process = self.load.begin(server, row.beside)
        try:
            time.sleep(SETTLE_SECONDS)
            yield
        finally:
            other = self.load.end(process)
            result["beside_bytes_per_second"] = other["bytes_per_second"]
            result["beside_bytes"] = moved(other)

    def take(self, server, row):
        if self.cold:
            cache.drop(server.setting.image)
        if row.before:
            self.load.once(server, row.before)
        result, disk, cpu = {}, tree.disk_bytes(server.pid), tree.cpu_seconds(server.pid)
        with tree.Peak(server.pid) as peak, self.company(server, row, result):
            result.update(self.client.run(server, row.options, self.seconds))
        if not row.beside:  # else nobody knows whose work it was
            account(result, tree.cpu_seconds(server.pid) - cpu)
        result["pss_kib"], result["own_kib"] = peak.pss, peak.own
        bytes_moved = moved(result) + result.pop("beside_bytes", 0)
        if self.cold and bytes_moved:
            result["from_disk"] = (tree.disk_bytes(server.pid) - disk) / bytes_moved
        return result

    def sample(self, server, row):
        """Figures, or {"failed": why}."""
        try:
            return self.take(server, row)
        except clients.Failed as why:
            return {"failed": str(why)}

    def limits(self, row, setting):
        """What bare loops reach: name -> figures."""
        if self.cold or self.client is not self.load:
            return {}
        return {name: self.load.limit(options, setting, self.seconds)
                for name, options in row.limits}
