# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that load a server: xnbd-load, fio's nbd engine, nbdcopy.

Each takes a server, the options of a row and a time, and returns a dictionary: requests, seconds,
per_second, bytes_per_second, p50_us, p99_us, p999_us. What a program does not tell is not in it.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

COPY_REQUEST = 256 << 10  # nbdcopy's default
COPY_SECONDS = 600        # at most, for one


class Failed(Exception):
    """The client could not do its work with this server."""


def output(words, seconds, **more):
    """Standard output of a program that must succeed."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 60,
                              check=False, **more)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{words[0]}: hangs") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "failed").splitlines()
        raise Failed(f"{os.path.basename(words[0])}: {said[-1]}")
    return done.stdout


def size_of(image):
    """Of a file or a device."""
    with open(image, "rb") as f:
        return f.seek(0, os.SEEK_END)


class Load:
    """Our own load generator; runs in the background too."""

    def __init__(self, build):
        self.program = f"{build}/bench/xnbd-load"
        self.limit_program = f"{build}/bench/xnbd-limit"

    def words(self, server, options):
        return [self.program, *server.load_words(), *options.split()]

    def run(self, server, options, seconds):
        return json.loads(output([*self.words(server, options), "-s", str(seconds)], seconds))

    def once(self, server, options):
        """Options end by themselves (--passes)."""
        output(self.words(server, options), 60)

    def begin(self, server, options):
        return subprocess.Popen([*self.words(server, options), "-s", "3600"], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def end(self, process):
        """Its results, up to now."""
        process.send_signal(signal.SIGTERM)
        try:
            text, _ = process.communicate(timeout=30)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise Failed("the load beside hangs") from error
        if process.returncode:
            raise Failed(f"the load beside failed: {text.strip()}")
        return json.loads(text)

    def limit(self, options, setting, seconds):
        """The bare loop, on the same image and kind of socket."""
        tcp = ["--tcp"] if setting.tcp else []
        words = [self.limit_program, "--image", setting.image, *tcp, "-s", str(seconds)]
        return json.loads(output([*words, *options.split()], seconds))


class Fio:
    def __init__(self, _build):
        shown = subprocess.run(["fio", "--enghelp"], capture_output=True, text=True, check=False) \
            if shutil.which("fio") else None
        if not shown or "nbd" not in shown.stdout.split():
            raise SystemExit("fio is not installed, or has no nbd engine")

    def run(self, server, options, seconds):
        text = output(["fio", "--name=bench", "--ioengine=nbd", f"--uri={server.uri()}",
                       "--time_based", f"--runtime={seconds}", "--norandommap",
                       "--randrepeat=0", "--output-format=json", *options.split()], seconds,
                      cwd=server.setting.folder)
        job = json.loads(text[text.index("{"):])["jobs"][0]
        side = job["write"] if "write" in options else job["read"]
        if job["error"] or not side["total_ios"]:
            raise Failed(f"fio: error {job['error']}")
        after = {p: side["clat_ns"]["percentile"][p] / 1000
                 for p in ("50.000000", "99.000000", "99.900000")}
        return {"requests": side["total_ios"], "seconds": side["runtime"] / 1000,
                "per_second": side["iops"], "bytes_per_second": side["bw_bytes"],
                "p50_us": after["50.000000"], "p99_us": after["99.000000"],
                "p999_us": after["99.900000"]}


class Nbdcopy:
    """The whole image, again and again; the last copy is not cut short."""

    def __init__(self, _build):
        if not shutil.which("nbdcopy"):
            raise SystemExit("nbdcopy is not installed")
        self.source = None

    def filled_source(self, image):
        """What is copied into exports: a file in memory, so that reading it costs the same for all
        servers. It goes with this object."""
        if not self.source:
            memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
            self.source = tempfile.NamedTemporaryFile(prefix="xnbd-bench-source-", dir=memory)
            shutil.copyfile(image, self.source.name)
        return self.source.name

    def run(self, server, options, seconds):
        image = server.setting.image
        ends = [self.filled_source(image), server.uri()] if options == "write" else \
            [server.uri(), "null:"]
        began, copies, taken = time.monotonic(), 0, 0
        while taken < seconds and not (copies and "once" in options):
            output(["nbdcopy", *ends], COPY_SECONDS)
            taken = time.monotonic() - began
            copies += 1
        size = size_of(image) * copies
        return {"requests": size / COPY_REQUEST, "seconds": taken,
                "per_second": size / COPY_REQUEST / taken, "bytes_per_second": size / taken}


CLIENTS = {"load": Load, "fio": Fio, "nbdcopy": Nbdcopy}
