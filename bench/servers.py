# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers under test: how each is started on an image, where it listens, how it is ended.

A new peer is a function that writes its command line, and a row of KNOWN.
"""
import dataclasses
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import time

import handshake
import tree

START_SECONDS = 15
POLL_SECONDS = 0.0005


@dataclasses.dataclass
class Setting:
    """What is the same for all servers of a run."""
    build: str
    folder: str            # for sockets, logs, configuration
    exports: dict          # name: image; all but the wrapper serve the first only
    tcp: bool = False
    direct: bool = False
    extra: tuple = ()      # more options for our server and wrapper

    @property
    def image(self):
        return next(iter(self.exports.values()))


class Unusable(Exception):
    """This server cannot be measured in this setting."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One running server. `address` is a unix path or (host, port)."""

    def __init__(self, name, setting):
        self.name, self.setting = name, setting
        self.command, self.export, self.prepare = {**KNOWN, **ON_REQUEST}[name]
        self.process = self.pid = None
        self.stem = f"{setting.folder}/{name}"
        self.pid_file = pathlib.Path(self.stem + ".pid")
        self.address = ("127.0.0.1", free_port()) if setting.tcp else self.stem + ".sock"

    def listen(self, tcp, unix):
        """The words that say where to listen, {} being the port or the path."""
        words, where = (tcp, self.address[1]) if self.setting.tcp else (unix, self.address)
        return [w.format(where) for w in words.split()]

    def start(self):
        """Returns the seconds until a client was in transmission phase."""
        words = self.command(self)
        began = time.monotonic()
        with open(self.stem + ".log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        self.pid = self.process.pid
        self.wait_for_entry().close()
        seconds = time.monotonic() - began
        if str(self.pid_file) in words:
            self.pid = self.wait_for_pid()
        self.prepare(self)
        return seconds

    def wait_for_entry(self):
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                return handshake.enter(self.address, self.export)
            except (OSError, handshake.Refused) as error:
                if self.process.poll() or time.monotonic() > end:
                    raise Unusable(f"did not start: {self.last_words() or error}") from error
            time.sleep(POLL_SECONDS)

    def last_words(self):
        """The end of its log, which goes with the folder."""
        lines = pathlib.Path(self.stem + ".log").read_text(errors="replace").splitlines()
        return lines[-1] if lines else ""

    def written_pids(self):
        """Of a server that goes into the background, once it has written it down."""
        if not self.pid_file.exists():
            return []
        return [int(word) for word in self.pid_file.read_text(encoding="ascii").split()]

    def wait_for_pid(self):
        end = time.monotonic() + START_SECONDS
        while not (pids := self.written_pids()):
            if time.monotonic() > end:
                raise Unusable(f"wrote no {self.pid_file}")
            time.sleep(POLL_SECONDS)
        return pids[0]

    def stop(self):
        """At once: nothing of these images is kept."""
        if not self.process:
            return
        roots = {self.pid, *self.written_pids()}
        for pid in [p for root in roots for p in tree.pids(root)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.wait()
        self.process = None
        for path in (self.pid_file, pathlib.Path(self.stem + ".sock")):
            path.unlink(missing_ok=True)

    def load_words(self):
        """Where to connect, for xnbd-load."""
        where = ["-H", "127.0.0.1", "-p", str(self.address[1])] if self.setting.tcp else \
            ["-u", self.address]
        return [*where, "-e", self.export]

    def uri(self):
        """The same for programs that take an NBD URI."""
        if self.setting.tcp:
            return f"nbd://127.0.0.1:{self.address[1]}/{self.export}"
        return f"nbd+unix:///{self.export}?socket={self.address}"


def ours(setting, program, folder):
    """Path and common options of one of our programs."""
    path = f"{setting.build}/{folder}/{program}"
    if not os.access(path, os.X_OK):
        raise Unusable(f"{path} is not built")
    if not setting.direct:
        return [path, *setting.extra]
    shown = subprocess.run([path, "--help"], capture_output=True, text=True, check=False).stdout
    if "--direct" not in shown:
        raise Unusable("has no option --direct")
    return [path, "--direct", *setting.extra]


def xnbd(server):
    setting = server.setting
    where = server.listen("--laddr 127.0.0.1 --lport {}", "--socket {}")
    return [*ours(setting, "xnbd-server", "server"), "--target", *where, setting.image]


def cow(server):
    setting = server.setting
    where = server.listen("--laddr 127.0.0.1 --lport {}", "--socket {}")
    return [*ours(setting, "xnbd-server", "server"), "--cow-target", "--cow-shared", "--cow-dir",
            setting.folder, *where, setting.image]


def fill_overlay(server):
    subprocess.run(["nbdcopy", server.setting.image, server.uri()], check=True)


def proxy(server):
    """With its origin in the background, which is idle once all is cached."""
    setting, stem = server.setting, server.stem
    where = server.listen("--laddr 127.0.0.1 --lport {}", "--socket {}")
    program = ours(setting, "xnbd-server", "server")
    origin = shlex.join([*program, "--target", "--socket", stem + ".origin", setting.image])
    words = shlex.join([*program, "--proxy", *where, f"nbd+unix:///?socket={stem}.origin",
                        stem + ".cache", stem + ".bitmap", stem + ".ctl"])
    return ["sh", "-c", f"{origin} & while ! test -S {shlex.quote(stem + '.origin')}; do sleep .1; "
            f"done; exec {words}"]


def cache_all(server):
    subprocess.run([f"{server.setting.build}/bgctl/xnbd-bgctl", "--cache-all",
                    server.stem + ".ctl"], check=True)


def nothing(server):
    """It is ready as it is."""


def wrapper(server):
    setting, stem = server.setting, server.stem
    config = pathlib.Path(stem + ".conf")
    config.write_text("".join(f"export {name} {{ image = '{image}' }}\n"
                              for name, image in setting.exports.items()), encoding="utf-8")
    where = server.listen("--laddr 127.0.0.1 --lport {}", "--lsocket {}")
    return [*ours(setting, "xnbd-wrapper", "wrapper"), "--config", str(config), *where,
            "--socket", stem + ".ctl", "--dbpath", stem + ".state",
            "--xnbd-server", f"{setting.build}/server/xnbd-server"]


def nbdkit(*threads):
    def command(server):
        where = server.listen("-i 127.0.0.1 -p {}", "-U {}")
        cache = ["cache=none"] if server.setting.direct else []
        return ["nbdkit", "-f", *threads, *where, "file", server.setting.image, *cache]
    return command


def qemu_nbd(server):
    where = server.listen("-b 127.0.0.1 -p {}", "-k {}")
    cache = ["--cache=none"] if server.setting.direct else []
    return ["qemu-nbd", "-t", "-e", "0", "--aio=io_uring", "--discard=unmap", *cache, "-f", "raw",
            *where, server.setting.image]


def nbd_server(server):
    """Always has a TCP port too."""
    if server.setting.direct:
        raise Unusable("has no direct I/O")
    port = server.address[1] if server.setting.tcp else free_port()
    unix = "" if server.setting.tcp else f"unixsock = {server.address}\n"
    config = pathlib.Path(server.stem + ".conf")
    config.write_text(f"[generic]\nlistenaddr = 127.0.0.1\nport = {port}\n{unix}max_threads = 4\n"
                      f"[{server.export}]\nexportname = {server.setting.image}\n"
                      "flush = true\nfua = true\ntrim = true\n", encoding="utf-8")
    return ["nbd-server", "-C", str(config), "-p", str(server.pid_file)]


# name: how it is started, export that is measured, what is done before it is
KNOWN = {
    "xnbd": (xnbd, "", nothing),
    "xnbd-wrapper": (wrapper, "disk", nothing),
    "nbdkit": (nbdkit(), "", nothing),
    "nbdkit-t1": (nbdkit("-t", "1"), "", nothing),
    "qemu-nbd": (qemu_nbd, "", nothing),
    "nbd-server": (nbd_server, "disk", nothing),
}
# Only when named by --servers.
ON_REQUEST = {
    "xnbd-cow": (cow, "", nothing),
    "xnbd-cow-full": (cow, "", fill_overlay),
    "xnbd-proxy": (proxy, "", cache_all),
}
PEER_PROGRAMS = {"nbdkit": "nbdkit", "nbdkit-t1": "nbdkit", "qemu-nbd": "qemu-nbd",
                 "nbd-server": "nbd-server"}


def is_peer(name):
    return name in PEER_PROGRAMS


def chosen(names):
    """NAMES, or all servers that are installed."""
    there = [n for n in KNOWN if not is_peer(n) or shutil.which(PEER_PROGRAMS[n])]
    for name in names:
        if name not in (*there, *ON_REQUEST):
            raise SystemExit(f"{name}: no such server here; there are {', '.join([*there, *ON_REQUEST])}")
    return names or there


def start_all(names, setting):
    """Those that can be started; says which cannot and why."""
    running = []
    for name in names:
        server = Server(name, setting)
        try:
            server.start()
        except Unusable as why:
            print(f"{name}: left out, {why}")
            server.stop()
            continue
        running.append(server)
    if not running:
        raise SystemExit("no server can be measured")
    return running
