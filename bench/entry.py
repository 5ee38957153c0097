# SPDX-License-Identifier: GPL-2.0-or-later
"""The row "first client": how long until the first client of an export that nobody uses is in
transmission phase.

Through the wrapper that is a handshake in the course of which it starts a server; for all others it
is the start of a server for this export and a handshake. "second client" enters an export of the
wrapper whose server is running.
"""
import dataclasses
import pathlib
import statistics
import tempfile
import time

import handshake
import rows
import servers

EXPORTS, STARTS = 50, 10
IMAGE_BYTES = 64 << 20
ROW = rows.Row(rows.FIRST_CLIENT, "", "p50_us")


def figures(seconds):
    return {"p50_us": statistics.median(seconds) * 1e6, "max_us": max(seconds) * 1e6}


def entered(address, name):
    """Seconds for one handshake, and the socket."""
    began = time.monotonic()
    s = handshake.enter(address, name)
    return time.monotonic() - began, s


def through_wrapper(setting):
    """Two sets of figures: exports idle, then with their servers running."""
    folder = pathlib.Path(setting.folder)
    images = {"disk": setting.image}
    for i in range(EXPORTS):
        images[f"e{i}"] = str(folder / f"image{i}")
        with open(images[f"e{i}"], "wb") as f:
            f.truncate(IMAGE_BYTES)
    server = servers.Server("xnbd-wrapper", dataclasses.replace(setting, exports=images))
    held = []
    try:
        server.start()
        first = [entered(server.address, f"e{i}") for i in range(EXPORTS)]
        held += first
        second = [entered(server.address, f"e{i}") for i in range(EXPORTS)]
        held += second
        return {"xnbd-wrapper": figures([t for t, _ in first]),
                "second client": figures([t for t, _ in second])}
    finally:
        for _, s in held:
            s.close()
        server.stop()


def stand_alone(name, setting):
    seconds = []
    for _ in range(STARTS):
        server = servers.Server(name, setting)
        try:
            seconds.append(server.start())
        finally:
            server.stop()
    return {name: figures(seconds)}


def samples(names, setting):
    """Server -> list with its one result."""
    found = {}
    with tempfile.TemporaryDirectory(dir=setting.folder) as folder:
        inner = dataclasses.replace(setting, folder=folder)
        for name in names:
            try:
                new = through_wrapper(inner) if name == "xnbd-wrapper" else \
                    stand_alone(name, inner)
            except servers.Unusable as why:
                new = {name: {"failed": str(why)}}
            found.update({n: [v] for n, v in new.items()})
    return found
