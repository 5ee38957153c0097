# SPDX-License-Identifier: GPL-2.0-or-later
"""A node of a cluster and its power: stonith_node.py FOLDER, started in the node's network.

The node is everything in a namespace of processes; its init is this program, too. All outlets that
feed it off: init is killed, and with it the rest, and its network forgets addresses and rules. One
of them on again: it is started anew. A node that ends by itself (a reboot of its own) starts again.

FOLDER/node.json, which stonith_cluster.py writes:
  name       host name
  feeds      files of simulated PDUs that say "on" or "off"
  networks   [[interface, address/bits]]
  binds      [[folder or file of the test, where the node sees it]]
  keep       folders in /run that are not hidden
  folders    [[path, mode, user]]: made at each start, on the empty /run
  daemons    [{argv, env, after}]: started in this order; `after`: an abstract socket that must
             be there before, or null
FOLDER/events has a line for each change: "up SECONDS PID", "cut SECONDS", "end SECONDS"; the time
is that of the wall clock, that of a cut the one at which the last outlet went off.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
NEWNS, NEWUTS, NEWIPC, NEWPID = 0x20000, 0x4000000, 0x8000000, 0x20000000
PR_SET_PDEATHSIG = 1
LOOK = 0.01  # seconds between two looks at the outlets
# Cluster software that is desperate writes there, and the host reboots.
DANGEROUS = ('/proc/sysrq-trigger', '/proc/sys/kernel/sysrq')


def call(function, *args):
    if function(*args) != 0:
        raise OSError(ctypes.get_errno(), f'{function.__name__}{args}')


def read(path):
    try:
        with open(path) as f:
            return f.read().strip()
    except FileNotFoundError:
        return ''


def run(*argv):
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


class Init:
    """The first process of the node."""

    def __init__(self, folder, conf):
        self.folder, self.conf = folder, conf

    def mount(self):
        run('mount', '--make-rprivate', '/')
        run('mount', '-t', 'proc', 'proc', '/proc')
        for path in DANGEROUS:
            if os.path.exists(path):
                run('mount', '--bind', '/dev/null', path)
        self.mount_run()
        run('mount', '-t', 'tmpfs', '-o', 'mode=1777', 'none', '/dev/shm')
        for source, target in self.conf['binds']:
            run('mount', '--bind', source, target)
        for path, mode, user in self.conf['folders']:
            os.makedirs(path, exist_ok=True)
            os.chmod(path, mode)
            shutil.chown(path, *user.split(':'))

    def mount_run(self):
        """An empty one, but for what the test has put there."""
        draft = f'{self.folder}/run'
        os.makedirs(draft, exist_ok=True)
        run('mount', '-t', 'tmpfs', '-o', 'mode=755', 'none', draft)
        for path in self.conf['keep']:
            os.mkdir(draft + path.removeprefix('/run'))
            run('mount', '--bind', path, draft + path.removeprefix('/run'))
        run('mount', '--no-mtab', '--move', draft, '/run')

    def networks(self):
        for link, address in self.conf['networks']:
            run('ip', 'address', 'add', address, 'broadcast', '+', 'dev', link)
            run('ip', 'link', 'set', link, 'up')

    def start(self, argv, env, after):
        while after and f'@{after}' not in read('/proc/net/unix'):
            time.sleep(0.05)
        out = os.open(f'{self.folder}/{os.path.basename(argv[0])}.txt',
                      os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        subprocess.Popen(argv, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=out,
                         stderr=out)
        os.close(out)

    def run(self):
        call(LIBC.unshare, NEWNS | NEWUTS | NEWIPC)
        socket.sethostname(self.conf['name'])
        self.mount()
        self.networks()
        for daemon in self.conf['daemons']:
            self.start(**daemon)
        while True:
            try:
                os.wait()
            except ChildProcessError:
                signal.pause()


class Power:
    """The node's power supplies."""

    def __init__(self, folder):
        self.folder, self.init = folder, None
        with open(f'{folder}/node.json') as f:
            self.conf = json.load(f)
        self.home = os.open('/proc/self/ns/pid', os.O_RDONLY | os.O_CLOEXEC)

    def say(self, *words):
        with open(f'{self.folder}/events', 'a') as f:
            f.write(' '.join(str(w) for w in words) + '\n')

    def has_power(self):
        return any(read(path) != 'off' for path in self.conf['feeds'])

    def boot(self):
        call(LIBC.unshare, NEWPID)
        pid = os.fork()
        if pid == 0:
            self.be_init()
        call(LIBC.setns, self.home, NEWPID)
        self.init = pid
        self.say('up', time.time(), pid)

    def be_init(self):
        try:
            call(LIBC.prctl, PR_SET_PDEATHSIG, signal.SIGKILL)
            Init(self.folder, self.conf).run()
        except BaseException as e:
            self.say('fault', time.time(), f'{type(e).__name__}: {e}')
        finally:
            os._exit(1)

    def cut(self):
        """When the last outlet went off it was over, however late we see it."""
        at = max(os.stat(path).st_mtime for path in self.conf['feeds'])
        for link, _ in self.conf['networks']:  # its kernel must not say that its programs are gone
            run('ip', 'link', 'set', link, 'down')
        os.kill(self.init, signal.SIGKILL)
        os.waitpid(self.init, 0)  # returns when all others have ended
        self.gone()
        self.say('cut', at)

    def gone(self):
        self.init = None
        for link, _ in self.conf['networks']:
            run('ip', 'address', 'flush', 'dev', link)
        run('nft', 'flush', 'ruleset')

    def look(self):
        if self.init and os.waitpid(self.init, os.WNOHANG)[0]:
            self.gone()
            self.say('end', time.time())
            time.sleep(0.5)  # one that cannot start must not do so thousands of times
        power = self.has_power()
        if self.init and not power:
            self.cut()
        elif power and not self.init:
            self.boot()

    def run(self):
        while True:
            self.look()
            time.sleep(LOOK)


def main():
    try:
        os.nice(-10)  # the relay of a PDU does not wait for a processor
    except PermissionError:
        pass
    Power(sys.argv[1]).run()


if __name__ == '__main__':
    main()
