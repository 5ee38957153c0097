# SPDX-License-Identifier: GPL-2.0-or-later
"""Small Linux guests under QEMU: a real kernel with modules the host may not have.

A guest is Debian's cloud kernel and a root file system in memory with busybox, kernel modules and
programs of this host (with their libraries; see guest_image.py). The host talks to it by two ways
that do not disturb each other: shell lines over a virtio serial port (run()), and TCP to ports the
guest listens on (address()). Packages: qemu-system-x86, linux-image-cloud-amd64, busybox-static. No
root needed.
Environment: XNBD_VM_ACCEL (default: tcg,thread=multi; kvm is much faster where it works).
"""

import base64
import contextlib
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]
import guest_image  # noqa: E402
import xtest  # noqa: E402

QEMU = 'qemu-system-x86_64'
BOOT_SECONDS = RUN_SECONDS = 120  # a machine that does nothing else needs a tenth


class Guest:
    """programs: paths on this host, found by name in the guest. files: {path there: path here}.

    disks: raw images, /dev/vda and so on. disk_cache: QEMU's cache mode for them; "directsync" is a
    disk without a cache of its own. ports: TCP ports of the guest that the host can reach.
    reaches_host: the guest finds this host's 127.0.0.1 at 10.0.2.2. lan: (lan.Lan, number) makes
    eth1 a network of several guests. shared_disks: another guest may have them, too.

    A guest that does not answer in time is lost: it is ended, and `lost` says why.
    """

    def __init__(self, folder, modules=(), programs=(), files=None, disks=(), ports=(),
                 memory=256, reaches_host=False, disk_cache='unsafe', lan=None, shared_disks=False):
        self.folder, self.lock, self.ids = folder, threading.Lock(), itertools.count()
        self.disks, self.disk_cache, self.ports = disks, disk_cache, ports
        self.memory, self.reaches_host = memory, reaches_host
        self.lan, self.shared_disks = lan, shared_disks
        self.root = guest_image.open_root(self.parts_of(modules, programs, files or {}))
        self.process = self.agent = self.lost = None
        self.doing, self.last_words, self.is_launched = 'boot', '', False

    # What another kind of guest has instead.

    def parts_of(self, modules, programs, files):
        return guest_image.parts_of(modules, programs, files)

    def system(self, root):
        """Options of QEMU: processor and what is booted, with the root file system at this path."""
        return ['-cpu', 'max', '-kernel', guest_image.kernel()[0], '-initrd', root,
                '-append', 'console=ttyS0 quiet panic=-1 nokaslr no_timer_check']

    def launch(self):
        """Starts it for boot(), so that several guests boot at the same time."""
        self.doing, self.is_launched = 'boot', True
        self._start()

    def boot(self):
        """Returns when the guest answers. Again after stop(): the same disks, all else as new.

        On a busy machine emulated timers are late, and now and then a kernel stops for that; so
        there is a second attempt.
        """
        try:
            self._boot()
        except AssertionError as e:
            sys.stderr.write(f'{e}\n{self.report()}\nIt is booted once more.\n')
            self.lost = None
            self._boot()

    def _boot(self):
        self.agent = None
        if not self.is_launched:
            self._start()
        self.is_launched = False
        self.agent = self._connect('agent', BOOT_SECONDS)
        self.answers = self.agent.makefile('rb')
        with self._answers_in_time(f'it does not boot in {BOOT_SECONDS} s'):
            int(self.answers.readline())
        self._find_ports()

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _start(self):
        forward = ''.join(f',hostfwd=tcp:127.0.0.1:0-:{p}' for p in self.ports)
        restrict = '' if self.reaches_host else ',restrict=on'
        root = self.root.fileno()
        argv = [QEMU, '-machine', 'q35', '-smp', '2', '-m', str(self.memory),
                '-accel', os.environ.get('XNBD_VM_ACCEL', 'tcg,thread=multi'),
                '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
                '-serial', f'file:{self._path("console")}',
                '-qmp', f'unix:{self._path("qmp")},server=on,wait=off',
                *self.system(f'/proc/self/fd/{root}'),
                '-device', 'virtio-serial-pci',
                '-chardev', f'socket,id=agent,path={self._path("agent")},server=on,wait=off',
                '-device', 'virtserialport,chardev=agent,name=agent',
                '-netdev', f'user,id=net{restrict}{forward}',
                '-device', 'virtio-net-pci,netdev=net,romfile=']
        if self.lan:
            argv += self.lan[0].options(self.lan[1], self._path('lan'))
        share = ',share-rw=on' if self.shared_disks else ''
        for i, disk in enumerate(self.disks):
            argv += ['-drive', f'file={disk},if=none,id=disk{i},format=raw,cache={self.disk_cache}',
                     '-device', f'virtio-blk-pci,drive=disk{i},addr={16 + i:x}{share}']
        with open(self._path('qemu.log'), 'wb') as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=(root,), preexec_fn=xtest.die_with_us)

    def _connect(self, name, timeout):
        """QEMU listens a moment after its start."""
        def attempt():
            if self.process.poll() is not None:
                self._lose('QEMU ended')
            try:
                return xtest.connect(self._path(name))
            except (FileNotFoundError, ConnectionRefusedError):
                return None
        s = xtest.wait_for(attempt, f'QEMU {name}', 60)
        s.settimeout(timeout)
        return s

    @contextlib.contextmanager
    def _answers_in_time(self, failure):
        """Or the guest is lost."""
        try:
            yield
        except TimeoutError:
            self.last_words = self._places()
            self._lose(failure)
        except (ConnectionError, ValueError):  # an empty line, too
            self._lose('QEMU ended')

    def _lose(self, failure):
        """Ends it, as what it does next is not known. Later steps must not wait for it again."""
        self.lost = f'the guest was ended: {failure}; it was at: {self.doing}'
        self.stop()
        raise AssertionError(self.lost)

    def _places(self):
        """Where its processors are; names of such addresses: /proc/kallsyms of any other guest."""
        try:
            text = self.qmp('human-monitor-command', **{'command-line': 'info registers -a'})
            return ' '.join(re.findall(r'RIP=\w+|HLT=1', text))
        except (OSError, AssertionError, ValueError):
            return 'QEMU does not answer either'

    def _find_ports(self):
        """QEMU chose the host's ports."""
        rows = self.qmp('human-monitor-command', **{'command-line': 'info usernet'})
        self.host_ports = {int(there): int(here) for here, there in re.findall(
            r'HOST_FORWARD\S*\s+\S+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)', rows)}

    def address(self, port):
        """Where this host finds a port of the guest; it accepts even if nobody listens there."""
        return '127.0.0.1', self.host_ports[port]

    def qmp(self, command, **arguments):
        """One command to QEMU itself (stop, cont, set_link ...); returns its result."""
        with self._connect('qmp', 20) as s, s.makefile('rw') as f:
            f.readline()  # greeting
            for request in ({'execute': 'qmp_capabilities'},
                            {'execute': command, 'arguments': arguments}):
                f.write(json.dumps(request) + '\n')
                f.flush()
                answer = json.loads(f.readline())
                while 'event' in answer:
                    answer = json.loads(f.readline())
        if 'error' in answer:
            raise AssertionError(f'{command}: {answer["error"]}')
        return answer['return']

    def run(self, script, status=0, seconds=RUN_SECONDS):
        """Runs shell lines in the guest; returns what they print. Status None: any."""
        with self.lock:
            if self.lost:
                raise AssertionError(self.lost)
            with self._answers_in_time(f'no answer in {seconds} s to: {script}'):
                self.agent.settimeout(seconds)
                self.agent.sendall(base64.b64encode(script.encode()) + b'\n')
                code, size = map(int, self.answers.readline().split())
                output = self.answers.read(size).decode(errors='replace')
        if status not in (None, code):
            raise AssertionError(f'guest: {script}\nexit status {code}, not {status}\n{output}')
        return output

    def start(self, *argv):
        """Starts a program in the guest; returns a handle for is_running() and end()."""
        name = f'/tmp/job.{next(self.ids)}'
        self.run(f"""(sh -c 'echo $$ >{name}.pid; exec "$@"' sh {shlex.join(argv)}
                 echo $? >{name}.status) >{name}.log 2>&1 &
                 until [ -s {name}.pid ]; do usleep 10000; done""")
        return name

    def is_running(self, job):
        return self.run(f'[ -e {job}.status ] || echo yes') != ''

    def end(self, job, signal='TERM', seconds=60):
        """Returns (exit status, what the program printed)."""
        self.run(f'kill -{signal} $(cat {job}.pid)')
        return self.wait(job, seconds)

    def wait(self, job, seconds=RUN_SECONDS):
        """As end(), for a program that ends by itself."""
        status = xtest.wait_for(lambda: self.run(f'cat {job}.status 2>/dev/null', None), job,
                                seconds, 0.1)
        return int(status), self.run(f'cat {job}.log')

    def mark(self, text):
        """A line in the console, so that what the kernel says behind it can be understood."""
        self.doing = text
        self.run(f'echo {shlex.quote(f"--- {text}")} >/dev/console')

    def report(self, since=''):
        """For a failed test: what QEMU and the guest's kernel said, the latter behind this mark."""
        console = xtest.text_of(self._path('console'))
        console = console[max(console.rfind(f'--- {since}'), 0):]
        return '\n'.join((xtest.text_of(self._path('qemu.log'))[-4000:], console[-20000:],
                          self.last_words))

    def job_logs(self):
        """The end of what programs started by start() have printed."""
        try:
            return self.run('tail -n 20 /tmp/job.*.log 2>/dev/null', None, seconds=20)
        except (AssertionError, OSError, ValueError) as e:
            return f'{e}'

    def stop(self):
        """Like pulling the plug."""
        self.is_launched = False
        if self.process:
            self.process.kill()
            self.process.wait()
        if self.agent:
            self.answers.close()
            self.agent.close()

    def close(self):
        """The end of it."""
        self.stop()
        self.root.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Case(xtest.Case):
    """Tests that share one guest, self.guest, a KIND. GUEST: its arguments; disks() makes images.

    TOOLS: what disks() and the tests need on this host. SHARED: with all classes of the file that
    have the same GUEST; else each class has its own. A guest that was lost is replaced.
    """

    GUEST, KIND, TOOLS, SHARED = {}, Guest, (), False
    guests = {}

    @classmethod
    def setUpClass(cls):
        cls.check_needs()

    @classmethod
    def disks(cls, folder):
        return ()

    @classmethod
    def prepare(cls):
        """What the guest needs done after its boot, before the first test."""

    @classmethod
    def find_guest(cls):
        """Sets cls.guest to one that answers: that of the test before, if it still does."""
        key = repr(cls.GUEST) if cls.SHARED else cls
        cls.guest = Case.guests.get(key)
        if cls.guest and not cls.guest.lost:
            return
        if cls.guest and cls.guest.doing == 'boot':
            raise AssertionError(cls.guest.lost)  # and would be again
        folder = tempfile.mkdtemp(prefix='xnbd-vm-')
        cls.guest = Case.guests[key] = cls.KIND(folder, disks=cls.disks(folder), **cls.GUEST)
        (unittest.addModuleCleanup if cls.SHARED else cls.addClassCleanup)(cls.guest.close)
        cls.guest.boot()
        cls.prepare()

    @classmethod
    def check_needs(cls):
        """Skips without QEMU, guest kernel or busybox; with CI=true that fails."""
        missing = [name for name, found in (('qemu-system-x86', shutil.which(QEMU)),
                                            ('linux-image-cloud-amd64', guest_image.kernel()),
                                            ('busybox-static', os.path.exists(guest_image.BUSYBOX)))
                   if not found]
        missing += [p for p in cls.GUEST.get('programs', ()) if not os.path.exists(p)]
        missing += [t for t in cls.TOOLS if not shutil.which(t)]
        if missing and os.environ.get('CI') == 'true':
            raise AssertionError(f'needs {missing}, and with CI=true nothing may be skipped')
        if missing:
            raise unittest.SkipTest(f'needs {", ".join(missing)}')

    def setUp(self):
        super().setUp()
        self.addCleanup(self._report)
        self.find_guest()
        self.guest.run('rm -f /tmp/job.*')
        self.guest.mark(self.id())

    def at_end(self, script, status=0):
        """Shell lines for the guest at the end of the test, if it lives then."""
        self.addCleanup(lambda: self.guest.lost or self.guest.run(script, status))

    @contextlib.contextmanager
    def step(self, name):
        """A part of a scenario: named in the console, and in the failure if it fails."""
        begin, before = time.monotonic(), self.guest.doing
        try:
            self.guest.mark(name)
            yield
            self.guest.doing = before
        except BaseException as e:
            e.add_note(f'failed step, after {time.monotonic() - begin:.1f} s: {name}')
            raise

    def _report(self):
        if self.has_failed():
            sys.stderr.write(f'--- guest\n{self.guest.report(self.id())}\n')
            sys.stderr.write(f'--- programs in it\n{self.guest.job_logs()}\n')
