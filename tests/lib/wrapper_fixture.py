# SPDX-License-Identifier: GPL-2.0-or-later
"""A running xnbd-wrapper for functional tests: its options, control tool, clients, processes.

A test file derives from WrapperCase and starts wrappers by self.wrap(). At the end of a test every
wrapper still running must end by SIGTERM with status 0, and no process of the test may be left.
"""

import glob
import json
import os
import signal
import subprocess
import urllib.parse

import rawnbd
import xtest

MIB = xtest.MIB
MARK = 'XNBD_TEST_FOLDER'  # environment of everything a test starts, to find what is left of it
REP_ERR_POLICY, REP_ERR_SHUTDOWN = rawnbd.REP_ERR + 2, rawnbd.REP_ERR + 7


def quote(text):
    """A string of the configuration file."""
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"').replace('$', '\\$') + '"'


def config_text(exports):
    """{name: image} or {name: {key: value}} as configuration."""
    lines = []
    for name, keys in exports.items():
        keys = {'image': keys} if isinstance(keys, str) else keys
        lines.append(f'export {quote(name)} {{')
        for key, value in keys.items():
            value = quote(value) if isinstance(value, str) else str(value).lower()
            lines.append(f'\t{key} = {value}')
        lines.append('}')
    return '\n'.join(lines) + '\n'


def stat_fields(pid):
    """/proc/PID/stat behind the name: state, parent, ... or None if there is no such process."""
    try:
        return xtest.text_of(f'/proc/{pid}/stat').rpartition(')')[2].split() or None
    except ProcessLookupError:
        return None


def is_running(pid):
    fields = stat_fields(pid)
    return fields is not None and fields[0] not in 'ZX'


def kill(pid, number=signal.SIGKILL):
    """For processes of this test only; one that has just ended is fine."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def has_mark(pid, mark):
    try:
        with open(f'/proc/{pid}/environ', 'rb') as f:
            return f'{MARK}={mark}'.encode() in f.read().split(b'\0')
    except OSError:
        return False


def marked_processes(mark):
    """Pids of what a test started, directly or not; zombies do not count."""
    pids = [int(p) for p in os.listdir('/proc') if p.isdigit()]
    found = {p for p in pids if has_mark(p, mark) and is_running(p)}
    for pid in pids:  # the negotiator may hide its environment
        fields = stat_fields(pid)
        if fields and int(fields[1]) in found and is_running(pid):
            found.add(pid)
    return found


class Wrapper:
    """One xnbd-wrapper and what a test needs to talk to it."""

    def __init__(self, case, argv, control, state):
        self.case, self.argv, self.control, self.state = case, argv, control, state
        self.daemon = self.socket = self.port = None

    @property
    def pid(self):
        return self.daemon.pid

    @property
    def address(self):
        return self.socket or ('127.0.0.1', self.port)

    def log(self):
        return self.daemon.stderr()

    # Control.

    def ctl(self, *args, status=0, **options):
        """Runs xnbd-wrapper-ctl; stdout, or (status = None) the finished process."""
        return self.case.run_cmd(xtest.program('xnbd-wrapper-ctl'), '--socket', self.control,
                                 *args, status=status, **options)

    def refused(self, *args, status=1, **options):
        """A control command that must fail with `status` and one line; returns the line."""
        p = self.ctl(*args, status=None, **options)
        self.case.assertEqual((p.returncode, p.stdout), (status, ''), p)
        self.case.assertEqual(len(p.stderr.splitlines()), 1, p.stderr)
        return p.stderr

    def list(self):
        return json.loads(self.ctl('--list', '--json'))

    def status(self):
        return json.loads(self.ctl('--status', '--json'))

    def export(self, name):
        found = [e for e in self.list() if e['name'] == name]
        self.case.assertEqual(len(found), 1, f'exports named {name!r}')
        return found[0]

    def client_count(self, name):
        return len(self.export(name)['clients'])

    # Processes.

    def worker(self, name):
        """Pid of the export's xnbd-server, None if it has none."""
        return self.export(name).get('pid')

    def negotiator(self):
        return self.status()['negotiator_pid']

    def processes(self):
        """All processes of the test but this one."""
        return marked_processes(self.case.dir)

    def stop(self, **options):
        self.daemon.stop(**options)

    # Clients.

    def uri(self, name=''):
        escaped = urllib.parse.quote(name)
        if self.socket:
            return f'nbd+unix:///{escaped}?socket={self.socket}'
        return f'nbd://127.0.0.1:{self.port}/{escaped}'

    def raw(self, flags=3):
        """A raw client behind the greeting."""
        client = rawnbd.Raw(self.address)
        self.case.addCleanup(client.close)
        client.greet(flags)
        return client

    def enter(self, name='', mode='structured'):
        """A raw client in transmission, one READ done: the master counts it."""
        client = rawnbd.Raw(self.address)
        self.case.addCleanup(client.close)
        client.enter(mode, name).read(0, 1)
        return client

    def go_refused(self, name='', option=rawnbd.OPT_GO):
        """(reply type, text) of a GO that must fail."""
        client = self.raw()
        kind, text = try_go(client, name, option)
        client.close()
        return kind, text


def try_go(client, name, option=rawnbd.OPT_GO):
    """GO or INFO that must be refused at once, without INFO before: (type, text)."""
    client.send(client.go_bytes(name, option=option))
    kind, text = client.option_reply(option)
    rawnbd.expect(kind & rawnbd.REP_ERR, f'{name!r}: not refused: {kind:#x}')
    return kind, text.decode()


class WrapperCase(xtest.Case):
    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o777)  # the negotiator runs as nobody, its sanitizer reports go here
        self._wrappers = 0
        self.addCleanup(self._kill_left_over)

    def _environment(self, extra):
        return super()._environment({MARK: self.dir, **(extra or {})})

    def _kill_left_over(self):
        for pid in marked_processes(self.dir):
            kill(pid)

    def _settle(self, wrapper):
        """The end every wrapper of every test must come to, unless the test ended it."""
        if wrapper.daemon.is_alive() and not self.has_failed():
            wrapper.stop()
            xtest.wait_for(lambda: not wrapper.processes(), 'all processes gone', 20)

    def files(self, count, size=MIB, pattern=False):
        """{name: image} for `count` exports."""
        return {f'disk{i}': self.image(size, f'disk{i}.img', i if pattern else None)
                for i in range(count)}

    def write_config(self, exports):
        """Writes a configuration file (text or what config_text takes); its path."""
        text = exports if isinstance(exports, str) else config_text(exports)
        path = self.path(f'wrapper{self._wrappers}.conf')
        with open(path, 'w') as f:
            f.write(text)
        return path

    def wrapper_args(self, *args, exports=None, control=None, state=None):
        """A Wrapper not started yet."""
        self._wrappers += 1
        control = control or self.path(f'c{self._wrappers}')
        state = state or self.path(f's{self._wrappers}')
        argv = [xtest.program('xnbd-wrapper'), '--xnbd-server', xtest.program('xnbd-server'),
                '--socket', control, '--dbpath', state]
        argv += [f'--engine={xtest.ENGINE}'] if xtest.ENGINE else []
        argv += ['--config', self.write_config(exports)] if exports else []
        return Wrapper(self, argv + list(args), control, state)

    def wrap(self, *args, socket=None, **options):
        """Starts a wrapper on a unix socket and waits for it."""
        w = self.wrapper_args(*args, **options)
        w.socket = socket or self.path(f'n{self._wrappers}')
        w.daemon = self.start(w.argv + ['--lsocket', w.socket], [w.socket, w.control])
        return self._ready(w)

    def wrap_tcp(self, *args, hosts=('127.0.0.1',), **options):
        """Starts a wrapper on a free TCP port of these addresses."""
        w = self.wrapper_args(*args, **options)
        w.daemon, w.port = self.start_tcp(w.argv, hosts)
        return self._ready(w)

    def _ready(self, w):
        """It listens before it has read everything; this line is its last of the start."""
        self.addCleanup(self._settle, w)
        xtest.wait_for(lambda: 'control socket' in w.log() or not w.daemon.is_alive(), 'ready', 30)
        return w

    def kill_worker(self, w, old):
        """Kills a worker and waits until the wrapper has noticed."""
        kill(old)
        xtest.wait_for(lambda: old not in [e.get('pid') for e in w.list()], 'death is noticed')

    def fails_to_start(self, *args, status=1, **options):
        """A wrapper that must end at once with `status`; what it says, one line."""
        w = self.wrapper_args(*args, **options)
        return self.ends_at_once(w.argv, status)

    def ends_at_once(self, argv, status):
        p = self.run_cmd(*argv, status=None, seconds=20)
        self.assertEqual(p.returncode, status, p.stderr)
        self.assertEqual(len(p.stderr.splitlines()), 1, p.stderr)
        return p.stderr

    # Tools.

    def tool(self, *argv, **options):
        """Runs an NBD tool that must be installed; its stdout."""
        self.require(argv[0])
        return self.run_cmd(*argv, **options)

    def assert_same(self, a, b):
        """Two files have the same content."""
        self.assertEqual(subprocess.run(['cmp', a, b]).returncode, 0, f'{a} and {b} differ')

    def worker_sockets(self, wrapper):
        return glob.glob(f'{wrapper.control}.d/*')
