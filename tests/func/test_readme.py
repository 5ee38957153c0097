#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every command block of README.md, in order, exactly as printed; and the first of its two commands.

Port 8520 is the README's, so all of it runs in a network namespace of its own.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("XNBD_BUILD", REPO / "build")).resolve()


def blocks():
    return re.findall(r"^```sh\n(.*?)^```", (REPO / "README.md").read_text(), re.M | re.S)


def require_namespace():
    """Re-executes this test in a fresh network namespace with only loopback."""
    if os.environ.get("XNBD_IN_NETNS"):
        return
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        print("needs root, unshare and ip for a network namespace")
        sys.exit(1 if os.environ.get("CI") == "true" else 77)
    os.environ["XNBD_IN_NETNS"] = "1"
    script = 'ip link set lo up && exec "$@"'
    # A process namespace too: when this ends, so does everything the README leaves running.
    os.execvp("unshare", ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
                          "sh", "-c", script, "sh", sys.executable, *sys.argv])


class Readme(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="xnbd-readme-")
        self.addCleanup(shutil.rmtree, self.folder)
        paths = [str(BUILD / "wrapper"), str(BUILD / "server"), str(BUILD / "bgctl"), os.environ["PATH"]]
        self.env = dict(os.environ, PATH=":".join(paths), BUILD_DIR=str(BUILD), TMPDIR=self.folder)

    def test_command_blocks(self):
        text = "set -e\n" + "\n".join(blocks())
        done = subprocess.run(["bash", "-c", text], cwd=self.folder, env=self.env, errors="replace",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("vm1-root", done.stdout)
        self.assertIn("root disk of vm1", done.stdout)
        for line in ("added vm2\n2 exports unchanged", "removed vm2 when its 1 client has left",
                     "refused: it has a client", "exports.conf: 2 exports, no faults",
                     "changed vm2: allow, readonly-for", "upgraded from version",
                     "read 65536/65536 bytes at offset 0", "refused: not a wrapper"):
            self.assertIn(line, done.stdout)
        self.assertGreater(len(blocks()), 5)

    def start_run(self, *images):
        process = subprocess.Popen([str(REPO / "scripts/run"), *images], cwd=self.folder,
                                   env=self.env, text=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def read_until(self, process, word):
        lines = []
        for line in process.stdout:
            lines.append(line)
            if word in line:
                return "".join(lines)
        self.fail("scripts/run ended: " + "".join(lines))

    def test_run(self):
        """Both addresses serve; Ctrl-C ends it cleanly and leaves nothing behind."""
        pathlib.Path(self.folder, "a disk").write_bytes(b"x" * 65536)
        process = self.start_run("a disk")
        said = self.read_until(process, "--list")
        uri = re.search(r"nbd://localhost:8520/a%20disk", said)
        self.assertTrue(uri, said)
        for host in ("127.0.0.1", "[::1]"):
            size = subprocess.check_output(["nbdinfo", "--size", f"nbd://{host}:8520/a%20disk"])
            self.assertEqual(size, b"65536\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 0, process.stdout.read())
        self.assertEqual(os.listdir(self.folder), ["a disk"])

    def test_run_demo(self):
        process = self.start_run()
        self.read_until(process, "nbd://localhost:8520/demo")
        deadline = time.monotonic() + 20
        while subprocess.run(["nbdinfo", "--size", "nbd://localhost:8520/demo"],
                             stdout=subprocess.DEVNULL).returncode:
            self.assertLess(time.monotonic(), deadline)
        process.terminate()
        self.assertEqual(process.wait(20), 0)

    def test_run_refuses(self):
        for argument, words in (("none.img", "none.img"), ("--what", "--what")):
            done = subprocess.run([str(REPO / "scripts/run"), argument], cwd=self.folder,
                                  env=self.env, text=True, capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


if __name__ == "__main__":
    require_namespace()
    unittest.main()
