# SPDX-License-Identifier: GPL-2.0-or-later
"""Harness of the functional tests: temporary folders, daemons, commands, devices, file systems.

A test file does `import xtest`, derives from xtest.Case and ends with xtest.main(). What a test
starts or mounts is registered as a clean-up at once, so that nothing survives a failure.
Environment: XNBD_BUILD (build folder), XNBD_ENGINE (--engine for xnbd-server), CI=true (a skipped
test is a failed test).
"""

import ctypes
import glob
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get('XNBD_BUILD') or os.path.join(HERE, '..', '..', 'build')
ENGINE = os.environ.get('XNBD_ENGINE', '')
KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
REPORTS = ('AddressSanitizer', 'LeakSanitizer', 'ThreadSanitizer', 'runtime error:')
CLONE_NEWNS, PR_SET_PDEATHSIG = 0x00020000, 1
LIBC = ctypes.CDLL(None, use_errno=True)


def program(name):
    """Path of one of our programs in the build folder, in which may be other builds."""
    found = [
        path
        for path in glob.glob(os.path.join(BUILD, '*', name))
        if os.path.isdir(os.path.join(HERE, '..', '..', os.path.basename(os.path.dirname(path))))
    ]
    if not found:
        raise RuntimeError(f'{name} is not built in {BUILD} (set XNBD_BUILD)')
    return os.path.abspath(found[0])


def is_sanitized(name='xnbd-server', kind=b'san_init'):
    """Was the program built with a sanitizer? Then limits on time and memory do not apply."""
    with open(program(name), 'rb') as f:
        return kind in f.read()


def wait_for(condition, what, seconds=30.0, interval=0.02):
    """Polls until condition() is true and returns its value; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'{what}: not within {seconds} s')
        time.sleep(interval)


def connect(address, timeout=10.0):
    """Stream socket to a unix path or a (host, port)."""
    if not isinstance(address, str):
        return socket.create_connection(address, timeout)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    end = time.monotonic() + timeout
    while True:
        try:
            s.connect(address)
            return s
        except BlockingIOError:  # the queue of the listener is full
            if time.monotonic() > end:
                s.close()
                raise
            time.sleep(0.01)
        except OSError:
            s.close()
            raise


def answers(address):
    """Does anybody accept at the address? (A free port may be given to our own end: that is TCP
    connected to itself.)"""
    try:
        with connect(address, 2) as s:
            return s.family == socket.AF_UNIX or s.getsockname() != s.getpeername()
    except OSError:
        return False


def free_port(host='127.0.0.1'):
    """A port nobody has now. Somebody may take it: start through Case.start_tcp(), it retries."""
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    with socket.socket(family) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def text_of(path):
    """Content of a text file, '' if there is none (or no process any more that it is about)."""
    try:
        with open(path, errors='replace') as f:
            return f.read()
    except (FileNotFoundError, ProcessLookupError):
        return ''


def pss(pid):
    """Memory of a process in bytes, its share of shared pages counted."""
    for line in text_of(f'/proc/{pid}/smaps_rollup').splitlines():
        if line.startswith('Pss:'):
            return int(line.split()[1]) * KIB
    raise AssertionError(f'no memory figure for process {pid}')


def count_fds(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


def count_threads(pid):
    return len(os.listdir(f'/proc/{pid}/task'))


def die_with_us():
    """In a child before exec: not even a killed test (time limit of ctest) leaves it behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Daemon:
    """A child process with its stderr in a file. Only its own process id is ever signalled."""

    def __init__(self, case, argv, log, **popen):
        self.case, self.argv, self.log = case, argv, log
        with open(log, 'ab') as out:
            popen.setdefault('stdout', out)
            popen.setdefault('stdin', subprocess.DEVNULL)
            if threading.current_thread() is threading.main_thread():  # the signal is the thread's
                popen.setdefault('preexec_fn', die_with_us)
            self.process = subprocess.Popen(argv, stderr=out, **popen)
        self.pid = self.process.pid

    def stderr(self):
        return text_of(self.log)

    def is_alive(self):
        return self.process.poll() is None

    def wait(self, seconds=15.0):
        """Exit status; kills and fails if it does not end."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.case.fail(f'{self.argv[0]} did not end in {seconds} s\n{self.stderr()}')

    def send_signal(self, number):
        if self.is_alive():
            self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, status=0, seconds=15.0):
        """Ends it in order and checks how it ended."""
        self.case.assertTrue(self.is_alive(), f'ended by itself: {self.process.returncode}\n'
                                              f'{self.stderr()}')
        self.process.send_signal(number)
        self.case.assertEqual(self.wait(seconds), status, self.stderr())

    def kill(self):
        if self.is_alive():
            self.process.kill()
        self.process.wait()


class Case(unittest.TestCase):
    """A test with a folder of its own (self.dir)."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix='xnbd-test-')
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.addCleanup(self._check_reports)
        self._daemons = 0

    # Files.

    def path(self, name):
        return os.path.join(self.dir, name)

    def image(self, size, name='disk.img', pattern=None, folder=None):
        """A sparse file of `size` bytes, or one filled with random bytes (pattern = seed)."""
        path = os.path.join(folder or self.dir, name)
        with open(path, 'wb') as f:
            if pattern is not None:
                f.write(random.Random(pattern).randbytes(size))
            f.truncate(size)
        return path

    def has_failed(self):
        """So far; for clean-ups. (During one of them, _outcome.success says how that one does.)"""
        result = self._outcome.result if self._outcome else None
        return result is not None and any(t is self for t, _ in result.failures + result.errors)

    # Processes.

    def _environment(self, extra):
        env = dict(os.environ, **(extra or {}))
        for name in ('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS'):
            more = os.environ.get(name, '') if name in (extra or {}) else ''
            parts = [env.get(name, ''), more, f'log_path={self.dir}/sanitizer']
            env[name] = ':'.join(p for p in parts if p)
        return env

    def _check_reports(self):
        found = [p for p in glob.glob(os.path.join(self.dir, 'sanitizer.*'))]
        found += glob.glob(os.path.join(self.dir, '*.log'))
        bad = [text_of(p) for p in found if any(r in text_of(p) for r in REPORTS)]
        self.assertEqual(bad, [], '\n'.join(bad))

    def spawn(self, argv, env=None, **popen):
        """Starts a program and returns at once; killed at the end of the test if need be."""
        self._daemons += 1
        log = self.path(f'{os.path.basename(argv[0])}.{self._daemons}.log')
        d = Daemon(self, argv, log, env=self._environment(env), **popen)
        self.addCleanup(self._end, d)
        return d

    def _end(self, daemon):
        daemon.kill()
        if self.has_failed():
            sys.stderr.write(f'--- {" ".join(daemon.argv)}\n{daemon.stderr()}')

    def start(self, argv, ready, seconds=20.0, **options):
        """Starts a daemon and waits until everything in `ready` accepts connections."""
        d = self.spawn(argv, **options)

        def is_ready():
            self.assertTrue(d.is_alive(), f'{argv}: ended at start: {d.stderr()}')
            return all(answers(a) for a in ready)
        wait_for(is_ready, f'{argv}: ready', seconds)
        return d

    def start_tcp(self, argv, hosts=('127.0.0.1',), **options):
        """As start(), with --lport and --laddr on a free port: returns the daemon and the port.

        Without hosts no --laddr is given: the daemon listens everywhere.
        """
        for _ in range(20):
            port = free_port(hosts[0] if hosts else '127.0.0.1')
            full = argv[:1] + ['--lport', str(port)] + [f'--laddr={h}' for h in hosts] + argv[1:]
            d = self.spawn(full, **options)
            while d.is_alive() and not all(answers((h, port)) for h in hosts or ('127.0.0.1',)):
                time.sleep(0.02)
            if d.is_alive():
                return d, port
            self.assertIn('in use', d.stderr())
        self.fail('no free port')

    def serve_args(self, image, *args):
        engine = [f'--engine={ENGINE}'] if ENGINE else []
        return [program('xnbd-server'), '--target', *engine, *args, image]

    def serve(self, image, *args, prefix=(), **options):
        """xnbd-server on a unix socket; the daemon gets .socket (path) and .uri."""
        name = f'nbd.{self._daemons}.sock'
        argv = [*prefix, *self.serve_args(image, f'--socket={self.path(name)}', *args)]
        controls = [a.split('=', 1)[1] for a in argv if str(a).startswith('--control=')]
        d = self.start(argv, [self.path(name), *controls], **options)
        d.socket = self.path(name)
        d.uri = f'nbd+unix:///?socket={d.socket}'
        return d

    def run_cmd(self, *argv, status=0, seconds=120, **options):
        """Runs a command to its end; returns its stdout. Status None: any."""
        p = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, errors='replace',
                           env=self._environment(options.pop('env', None)), **options)
        if status is not None and p.returncode != status:
            self.fail(f'{" ".join(argv)}\nexit status {p.returncode}, expected {status}\n'
                      f'stdout: {p.stdout}\nstderr: {p.stderr}')
        return p.stdout if status is not None else p

    # What the machine has.

    def require(self, *tools, root=False):
        """Skips unless the tools are installed (and we are root); with CI=true that fails.

        A tool may also be the path of a device.
        """
        missing = [t for t in tools if not shutil.which(t) and not t.startswith('/dev/')]
        missing += [t for t in tools if t.startswith('/dev/') and not os.path.exists(t)]
        reason = f'needs {", ".join(missing)}' if missing else ''
        if root and os.geteuid() != 0:
            reason = 'needs root'
        if reason and os.environ.get('CI') == 'true':
            self.fail(f'{reason}, and with CI=true nothing may be skipped')
        if reason:
            self.skipTest(reason)

    def loop_device(self, path, sector=512):
        """A loop device over a file. It goes away with its last user, even if we are killed."""
        self.require('losetup', root=True)
        out = self.run_cmd('losetup', '--find', '--show', '--sector-size', str(sector), path)
        dev = out.strip()
        self.run_cmd('blockdev', '--setrw', dev)  # a device remembers --setro of its former user
        hold = os.open(dev, os.O_ACCMODE)  # neither to read nor to write, so not in the way
        self.addCleanup(os.close, hold)
        self.run_cmd('losetup', '--detach', dev)
        return dev

    def mount(self, kind, size=None, options=''):
        """A fresh small file system of this kind ('tmpfs', 'ext4', 'xfs'); returns its folder.

        It is mounted in a mount namespace of this process only, so it ends with the process.
        """
        self.require('mount', 'umount', root=True)
        own_namespace()
        where = tempfile.mkdtemp(prefix=f'{kind}-', dir=self.dir)
        if kind == 'tmpfs':
            self.run_cmd('mount', '-t', 'tmpfs', '-o', f'size={size}', 'none', where)
        else:
            self.require(f'mkfs.{kind}')
            disk = self.image(size, name=f'{os.path.basename(where)}.disk')
            self.run_cmd(f'mkfs.{kind}', '-q', disk)
            self.run_cmd('mount', '-t', kind, '-o', options or 'rw', self.loop_device(disk), where)
        self.addCleanup(self._unmount, where)
        return where

    @staticmethod
    def _unmount(where):
        if os.path.ismount(where) and subprocess.run(['umount', where]).returncode != 0:
            subprocess.run(['umount', '--lazy', where])

    def preload(self, source, name='fault'):
        """Compiles C code into a library for LD_PRELOAD; returns the environment for spawn()."""
        self.require('cc')
        c, so = self.path(f'{name}.c'), self.path(f'{name}.so')
        with open(c, 'w') as f:
            f.write(source)
        self.run_cmd('cc', '-shared', '-fPIC', '-O1', '-D_GNU_SOURCE', '-o', so, c, '-ldl')
        return {'LD_PRELOAD': so, 'ASAN_OPTIONS': 'verify_asan_link_order=0'}


def own_namespace(done=[]):
    """From now on mounts of this process (and its children) are its own."""
    if done:
        return
    if LIBC.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), 'unshare')
    subprocess.run(['mount', '--make-rprivate', '/'], check=True)
    done.append(True)


def in_threads(*functions):
    """Runs the functions at once; the first exception is raised here when all have ended."""
    errors = []

    def guarded(fn):
        try:
            fn()
        except BaseException as e:
            errors.append(e)
    threads = [threading.Thread(target=guarded, args=(f,)) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def main(at_once=1):
    """Runs all tests of the file, or those named on the command line. With at_once, so many of them
    at the same time, each in a process of its own: for files whose tests mostly wait."""
    if at_once > 1 and len(sys.argv) == 1:
        sys.exit(_run_apart(list(_names_of_tests()), at_once))
    unittest.main(verbosity=2)


def _names_of_tests():
    suites = [unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__'])]
    while suites:
        for test in suites.pop(0):
            if isinstance(test, unittest.TestSuite):
                suites.append(test)
            else:
                yield test.id().removeprefix('__main__.')


def _run_apart(names, at_once):
    """Their output is not mixed: it comes when a test has ended. Exit status."""
    running, failed, done = {}, [], len(names)
    while names or running:
        while names and len(running) < at_once:
            out = tempfile.TemporaryFile()
            p = subprocess.Popen([sys.executable, sys.argv[0], names[0]], stdout=out, stderr=out,
                                 preexec_fn=die_with_us)
            running[p] = names.pop(0), out, time.monotonic()
        for p in [p for p in running if p.poll() is not None]:
            name, out, began = running.pop(p)
            out.seek(0)
            sys.stderr.write(out.read().decode(errors='replace'))
            sys.stderr.write(f'{name}: {time.monotonic() - began:.1f} s\n\n')
            out.close()
            failed += [name] * (p.returncode != 0)
        time.sleep(0.02)
    sys.stderr.write(f'{done} tests, failed: {", ".join(failed) or "none"}\n')
    return 1 if failed else 0
