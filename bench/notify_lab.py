# SPDX-License-Identifier: GPL-2.0-or-later
"""Where sm-notify of ours and of the distribution are run: the same network, peers and folders.

A Place is the lab of the functional tests (tests/lib/sm_lab.py: namespaces, peers, records). Both
programs are run in it one after the other, each with a fresh state folder and fresh peers, by the
same command line: they find the lab's files where they look for them, at /var/lib/nfs, /run, /etc
and in /proc, in a mount namespace of their own.
"""
import dataclasses
import os
import resource
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "lib"))
import sm_lab  # noqa: E402
import sm_peers  # noqa: E402
import xtest  # noqa: E402
from wall_clock import WallClock  # noqa: E402

OURS, THEIRS = "ours", "theirs"
CLIENT, ME, SHORT = "client.lab.test", sm_lab.ME, "nfssrv"
LIVE, LIVE6, OTHER, DEAD, DEAD_RESOLVER = ("10.81.0.1", "fd81::1", "10.81.0.66", "10.82.0.1",
                                           "10.82.0.53")
GRACE, KERNEL_STATE = "proc-fs/lockd/nlm_end_grace", "proc-sys-fs/nfs/nsm_local_state"
PR_SET_CHILD_SUBREAPER = 36
# /etc/resolv.conf may be a link to somewhere in /run. Ends with its standard input.
WORLD = """
cd "$0" || exit 9
mount --make-rprivate / && mount --bind run /run && mount --bind nfs /var/lib/nfs &&
mount --bind proc-fs /proc/fs && mount --bind proc-sys-fs /proc/sys/fs || exit 9
for f in hosts resolv.conf nsswitch.conf host.conf nfs.conf nfs.conf.d; do
	at=$(readlink -m "/etc/$f")
	case "$at" in /run/*) mkdir -p "${at%/*}"; touch "$at" ;; esac
	if [ -e "$at" ]; then mount --bind "etc/$f" "$at" || exit 9; fi
done
"""
READ_ONLY_RUN = "mount -o remount,bind,ro /run || exit 9\n"


@dataclasses.dataclass
class Seen:
    """What a program did. fault: was the defect shown; None = not tried, `did` says why."""
    fault: bool
    did: str


class Place(sm_lab.Case):
    """One network; fresh() makes the rest anew for a program. close() ends everything."""

    def __init__(self, programs):
        super().__init__("close")
        self.programs, self.number, self.world = programs, 0, None

    def setUp(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that close() is called
        xtest.LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # programs in the background are ours
        super().setUp()
        self.first_etc = dict(self.etc)

    def close(self):
        self.end_background()
        self.doCleanups()

    def fresh(self, who):
        """For the program WHO ("ours", "theirs")."""
        self.end_background()
        if self.world:
            self.world.kill()
        self.farm.close()
        self.farm = sm_peers.Farm(self, self.far)
        self.number += 1
        self.who, self.program, self.where = who, self.programs[who], self.path(f"{self.number}")
        self.world, self.setup, self.etc = None, WORLD, dict(self.first_etc)
        self.state, self.run_dir = f"{self.where}/nfs", f"{self.where}/run"
        for folder in ("sm", "sm.bak"):
            os.makedirs(f"{self.state}/{folder}")
            os.chown(f"{self.state}/{folder}", sm_lab.NOBODY, sm_lab.NOBODY)
        for folder in ("run", "etc/nfs.conf.d", os.path.dirname(GRACE),
                       os.path.dirname(KERNEL_STATE)):
            os.makedirs(f"{self.where}/{folder}")
        for name, content in ((GRACE, "N\n"), (KERNEL_STATE, "")):
            self.write(name, content)

    # Files.

    def write(self, name, content):
        with open(f"{self.where}/{name}", "w", encoding="utf-8") as f:
            f.write(content)

    def read(self, name):
        return xtest.text_of(f"{self.where}/{name}")

    def hosts(self, name, *addresses):
        self.etc["hosts"] += "".join(f"{a} {name}\n" for a in addresses)

    def line(self, text, name=CLIENT, folder="sm"):
        """A record as it is, whether it makes sense or not."""
        path = f"{self.state}/{folder}/{name}"
        with open(path, "a", encoding="utf-8") as f:
            f.write(text)
        os.chown(path, sm_lab.NOBODY, sm_lab.NOBODY)
        return path

    def one(self, address=LIVE, name=CLIENT, **options):
        """A peer, its record and its name."""
        self.hosts(name, address)
        self.record(name, address)
        return self.peer(address, **options)

    def last(self, name=CLIENT):
        """Its record is the oldest, so that a program that minds takes it last."""
        os.utime(f"{self.state}/sm/{name}", (1, 1))

    # Runs.

    def _world(self):
        """The mount namespace, held by a process of its own until close()."""
        for name, content in self.etc.items():
            self.write(f"etc/{name}", content)
            os.chmod(f"{self.where}/etc/{name}", 0o644)
        if not self.world:
            said = f"{self.where}/world"
            with open(said, "wb") as f:
                self.world = self.spawn(["unshare", "-m", "sh", "-c",
                                         self.setup + "echo ready; exec cat", self.where],
                                        stdin=subprocess.PIPE, stdout=f)
            xtest.wait_for(lambda: "ready" in xtest.text_of(said) or not self.world.is_alive(),
                           "mounts")
            if not self.world.is_alive():
                raise RuntimeError(f"mounts failed: {self.world.stderr()}")
        return f"/proc/{self.world.pid}/ns/mnt"

    def new_world(self, more):
        """The next run sees another mount namespace, after these lines of shell, too."""
        self.world, self.setup = None, self.setup + more

    def command(self, *options, before=()):
        return [*self.server.prefix, f"--mount={self._world()}", *before, self.program, *options]

    def start(self, *options, before=(), env=None):
        """In the foreground, if the options say so."""
        argv = self.command(*options, before=before)
        out = f"{self.where}/out.{self._daemons}"
        began = time.monotonic()
        with open(out, "wb") as f:
            run = sm_lab.Run(self.spawn(argv, stdout=f, env=env), out)
        run.began = began
        return run

    @staticmethod
    def ended(run, seconds):
        """Waits so long for its end; "exit 1 after 62.0 s", "killed by SIGTERM ..."."""
        try:
            status = run.daemon.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"still running after {seconds} s"
        took = time.monotonic() - run.began
        how = f"exit {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
        return f"{how} after {took:.1f} s"

    def background(self):
        """Processes of the program that left for the background."""
        inside = os.fstat(self.server.fd).st_ino
        found = []
        for task in os.listdir("/proc/self/task"):
            for pid in xtest.text_of(f"/proc/self/task/{task}/children").split():
                try:
                    if os.stat(f"/proc/{pid}/ns/net").st_ino == inside and \
                            os.readlink(f"/proc/{pid}/exe") == os.path.realpath(self.program):
                        found.append(int(pid))
                except OSError:  # it has just ended
                    pass
        return found

    def end_background(self):
        for pid in self.background() if self.number else []:
            os.kill(pid, signal.SIGKILL)
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:  # of a Popen, which waits for it
                pass

    @staticmethod
    def wait(condition, seconds, interval=0.01):
        """Is it true within so many seconds?"""
        end = time.monotonic() + seconds
        while not (value := condition()) and time.monotonic() < end:
            time.sleep(interval)
        return value

    def told(self, run, peer, limit, late=5.0, names=(ME, SHORT), since=None):
        """Runs until the peer heard all names; a fault if it never does, or so late after SINCE,
        the start if not given."""
        def complete():
            return set(names) <= set(peer.told())
        self.wait(lambda: complete() or not run.alive(), limit)
        how = f"not told within {limit} s" if run.alive() else f"never told, {self.ended(run, 1)}"
        if not self.wait(complete, 0.3):
            n = len(peer.asked())
            return Seen(True, f"asked {n} time{'s' * (n > 1)}, {how}" if n else
                        f"never asked, {how}")
        heard = [next(c.at for c in peer.calls if c.is_notify and c.name == n) for n in names]
        after = max(heard) - (since or run.began)
        return Seen(after > late, f"told {after:.2f} s later" if since else
                    f"told after {after:.2f} s")

    def clock(self):
        """A wall clock of its own for start(env=...), and a function that sets it."""
        clock = WallClock(self, name=f"clock{self.number}")
        return clock.env, clock.set

    # What is counted.

    def lost(self):
        """Datagrams the kernel dropped at the server's sockets, and those sent, so far."""
        lines = self.server.run("cat", "/proc/net/snmp", "/proc/net/snmp6").splitlines()
        names, values = [line.split()[1:] for line in lines if line.startswith("Udp:")]
        count = {f"Udp{k}": int(v) for k, v in zip(names, values)}
        count.update((k, int(v)) for k, v in (line.split() for line in lines
                                              if line.startswith("Udp6")))
        return (count["UdpRcvbufErrors"] + count["Udp6RcvbufErrors"],
                count["UdpOutDatagrams"] + count["Udp6OutDatagrams"])

    def crowd(self):
        """Thousands of peers; what is returned ends them: (peers with both names, time of the
        last)."""
        stop = sm_lab.crowd(self)

        def end():
            stop()
            seen = sm_lab.json.loads(xtest.text_of(self.path("crowd.out")).splitlines()[2])
            return seen["complete"], seen["last"]
        return end


def cpu():
    """Seconds of processor all children took that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
