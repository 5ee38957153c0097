# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes on while a pair fails over (pair_pacemaker.py), beside pair_client.Client:

Fio      fio with verify, through nbdkit, which is a libnbd client that comes again; fio itself is
         not to notice anything, and what was written must be there, run after run.
Knocker  comes in again and again, reads a block and leaves: when was something served, and when
         was nothing?
Watch    looks at the processes of both nodes: a server on both at once is what must never be.
"""

import datetime
import os
import re
import socket
import subprocess
import threading
import time

import agents
import rawnbd
import xtest
from pair_client import BLOCK, BLOCKS, PORT
from stonith_cluster import SERVICE

CONF = os.path.join(os.path.dirname(agents.SCRIPTS), 'conf')
AT, SIZE = BLOCK * BLOCKS, 2 * xtest.MIB  # fio's part of the image, behind the other client's
PATIENCE = 1.0  # seconds the knocker gives an answer
SERVERS = {'xnbd-wrapper': '--daemonize', 'xnbd-server': '--target'}  # a word of each
# A node that lost its power says nothing: clients of a pair have limits, as nbd-client's -timeout
# is one. TCP alone would wait for ever for an answer.
LIMITS = """
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
int connect(int fd, const struct sockaddr *to, socklen_t size)
{
	int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
	int on = 1, ms = 3000;
	if (to->sa_family == AF_INET) {
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &on, sizeof on);
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &on, sizeof on);
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
	}
	return real(fd, to, size);
}
"""


class Task:
    """A thread that calls step() until the test stops it."""

    def __init__(self, case):
        self.case, self.end, self.trouble = case, threading.Event(), None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        case.addCleanup(self.stop)

    def stop(self):
        self.end.set()
        self.thread.join()

    def _run(self):
        try:
            while not self.end.is_set():
                self.step()
        except BaseException as e:
            self.trouble = e

    def check(self):
        if self.trouble:
            raise AssertionError(f'{type(self).__name__}: {self.trouble}') from self.trouble


class Fio(Task):

    def __init__(self, case):
        case.require('nbdkit', 'fio')
        self.socket, self.runs = case.path('fio.nbd'), 0
        case.start([*case.host.prefix, 'nbdkit', '-f', '-U', self.socket, '--filter=retry', 'nbd',
                    f'hostname={SERVICE}', f'port={PORT}', 'export=disk', 'retries=1000',
                    'retry-delay=1', 'retry-exponential=no', 'retry=1000'], [self.socket],
                   env=case.preload(LIMITS, 'limits'))
        self.process = None
        super().__init__(case)

    def stop(self):
        """The run that goes on is of no interest any more."""
        self.end.set()
        if self.process:
            self.process.kill()
        super().stop()

    def step(self):
        self._begin(
            'fio', '--name=pair', '--thread', '--ioengine=nbd',
            f'--uri=nbd+unix:///?socket={self.socket}', '--rw=randwrite', '--bs=4k', '--iodepth=4',
            f'--offset={AT}', f'--size={SIZE}', '--rate_iops=300', '--randrepeat=0',
            '--verify=crc32c', '--verify_fatal=1', '--do_verify=1', '--end_fsync=1',
            '--output-format=terse')
        said = self.process.communicate()[0].decode(errors='replace')
        if self.end.is_set():
            return
        if self.process.returncode != 0:
            raise AssertionError(f'it ended with {self.process.returncode}\n{said}')
        self.runs += 1

    def _begin(self, *argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, cwd=self.case.dir,
                                        preexec_fn=xtest.die_with_us)

    def goes_on(self):
        """A run that began before is whole, and one more."""
        before = self.runs
        self.case.until(lambda: self.trouble or self.runs > before + 1, 'fio goes on')
        self.check()


class Knocker(Task):

    def __init__(self, case):
        self.served, self.refused = [], []  # moments of the wall clock
        super().__init__(case)

    def step(self):
        try:
            with rawnbd.Raw(self.case.host.within(self._connect), PATIENCE) as c:
                c.enter(name='disk').read(0, BLOCK)
                self.served.append(time.time())
        except ConnectionRefusedError:
            self.refused.append(time.time())
        except (OSError, rawnbd.Closed):
            pass
        self.end.wait(0.05)

    @staticmethod
    def _connect():
        return socket.create_connection((SERVICE, PORT), PATIENCE)

    def gap(self, since):
        """The longest time without an answer from SINCE on: (from, to)"""
        moments = [since, *[t for t in self.served if t > since]]
        return max(zip(moments, moments[1:]), key=lambda pair: pair[1] - pair[0])

    def goes_on(self):
        before = len(self.served)
        self.case.until(lambda: self.trouble or len(self.served) > before + 2, 'clients come in')
        self.check()


class Watch(Task):

    def __init__(self, case):
        self.both, self.looks = [], 0
        super().__init__(case)

    def step(self):
        """The first one once more: its power may have been cut meanwhile."""
        if self.serves(self.case.n1) and self.serves(self.case.n2) and self.serves(self.case.n1):
            self.both.append(time.time())
        self.looks += 1
        self.end.wait(0.1)

    @staticmethod
    def serves(node):
        """A wrapper, or a server; a wrapper that only looks at its configuration is none."""
        return any(word in xtest.text_of(f'/proc/{pid}/cmdline').split('\0')
                   for name, word in SERVERS.items() for pid in node.processes(name))


def example(path, key):
    """A number of a worked example."""
    return int(re.search(rf'(?m)^\s*{key} *(\d+)$', xtest.text_of(f'{CONF}/{path}'))[1])


def times(survivor, victim, knocker, since):
    """What came when, in seconds after SINCE; for people."""
    shots = [datetime.datetime.fromisoformat(e['time'].replace('Z', '+00:00')).timestamp()
             for e in survivor.audit() if e['event'] == 'begin']
    moments = {'shot': shots, 'off': victim.cuts(),
               'address': [begin for begin, _ in survivor.held()]}
    begin, end = knocker.gap(since)
    told = [f'{what} {at[-1] - since:.1f}' for what, at in moments.items() if at and at[-1] > since]
    return ' '.join([*told, f'served {end - since:.1f}, pause {end - begin:.1f} s'])
