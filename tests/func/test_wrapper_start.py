#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How xnbd-wrapper starts, how it refuses to, and with what rights its processes run."""

import os
import signal
import socket
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fixture import MIB, REP_ERR_POLICY, WrapperCase, is_running, kill  # noqa: E402

NOBODY = 65534


def status_of(pid):
    """/proc/PID/status as {key: value}."""
    lines = xtest.text_of(f'/proc/{pid}/status').splitlines()
    return {k: v.strip() for k, _, v in (line.partition(':') for line in lines)}


def descriptors(pid):
    """{number: what it refers to}."""
    folder = f'/proc/{pid}/fd'
    return {int(n): os.readlink(f'{folder}/{n}') for n in os.listdir(folder)}


def sockets(pid):
    return {what for what in descriptors(pid).values() if what.startswith('socket:')}


class Refusals(WrapperCase):
    """One line that names the cause; status 1, or 2 for wrong usage."""

    def test_wrong_options(self):
        for args in (['--nonsense'], ['operand'], ['--lport', '0'], ['--lport', '65536'],
                     ['--lport', 'x'], ['--engine', 'steam'], ['--max-clients', '0'],
                     ['--max-queue-size', '-1'], ['--cow=x'], ['--lport']):
            self.assertIn('xnbd-wrapper: ', self.fails_to_start(*args, status=2))

    def test_port_in_use(self):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            s.listen()
            port = s.getsockname()[1]
            line = self.fails_to_start('--laddr', '127.0.0.1', '--lport', str(port))
            self.assertIn(str(port), line)
            self.assertIn('in use', line)

    def test_bad_addresses(self):
        self.assertIn('192.0.2.1', self.fails_to_start('--laddr', '192.0.2.1'))
        self.assertIn('no.such.invalid', self.fails_to_start('--laddr', 'no.such.invalid'))

    def test_too_many_addresses(self):
        args = [a for i in range(64) for a in ('--laddr', f'127.1.0.{i + 1}')]
        args += [f'--lsocket={self.path("n")}', f'--lport={xtest.free_port()}']
        self.assertIn('more than 64', self.fails_to_start(*args))
        self.assertFalse(os.path.exists(self.path('n')))

    def test_imgfile_missing(self):
        line = self.fails_to_start('--lsocket', self.path('n'), '--imgfile', self.path('nothing'))
        self.assertIn(self.path('nothing'), line)
        self.assertFalse(os.path.exists(self.path('n')), 'socket file left behind')

    def test_same_imgfile_twice(self):
        image = self.image(MIB)
        self.assertIn('already in use', self.fails_to_start('--lsocket', self.path('n'),
                                                            '-f', image, '-f', image))

    def bad_config(self, text, *words):
        line = self.fails_to_start('--lsocket', self.path('n'), exports=text)
        for word in (f'wrapper{self._wrappers}.conf', *words):
            self.assertIn(word, line)

    def test_bad_config_names_file_and_line(self):
        self.bad_config('export "a" { image = "/x" }\nexport "b" {\n\tcolour = "red"\n}\n', ':3:')
        self.bad_config('\n\nexport "a" { image = "/x"', ':3:', 'does not end')
        self.bad_config('export "a" { image = "/x" readonly = perhaps }\n', ':1:')
        self.bad_config('nonsense = 1\n', ':1:')

    def test_bad_config_names_the_export(self):
        self.bad_config('export "aa" { }\n', 'aa', 'image')
        self.bad_config('export "aa" { image = "relative" }\n', 'aa', 'absolute')
        self.bad_config('export "aa" { image = "/x" default = true }\n'
                        'export "bb" { image = "/x" default = true }\n', 'aa', 'bb')
        self.bad_config('export "aa" { image = "/x" }\nexport "aa" { image = "/y" }\n', 'aa')
        self.bad_config('export "" { image = "/x" }\n', 'empty')

    def test_config_missing(self):
        self.assertIn('nothing.conf', self.fails_to_start('--lsocket', self.path('n'), '--config',
                                                          self.path('nothing.conf')))

    def test_control_socket_path_too_long(self):
        line = self.fails_to_start('--lsocket', self.path('n'), control=self.path('c' * 100))
        self.assertIn('at most', line)

    def test_log_file_that_cannot_be_written(self):
        self.assertIn(self.dir, self.fails_to_start('--lsocket', self.path('n'), '--logpath',
                                                    self.dir))

    def test_state_folder_that_cannot_be_made(self):
        w = self.wrap(state='/proc/nothing/xnbd.state')
        self.assertIn('/proc/nothing', w.refused('--add', self.image(MIB)))
        self.assertEqual(w.ctl('--list'), 'no item\n')


class ServerMissing(WrapperCase):
    def with_server(self, server):
        w = self.wrapper_args('--lsocket', self.path('n'), exports=self.files(2))
        w.socket = self.path('n')
        w.argv[2] = server
        return w

    def test_refused_at_start(self):
        w = self.with_server('/nonexistent/xnbd-server')
        self.assertIn('/nonexistent/xnbd-server', self.ends_at_once(w.argv, 1))
        self.assertFalse(os.path.exists(w.socket))

    def test_gone_later(self):
        """Clients are told, INFO goes on, and when it is back so is service."""
        server = self.path('server')
        os.symlink(xtest.program('xnbd-server'), server)
        w = self.with_server(server)
        w.daemon = self.start(w.argv, [w.socket, w.control])
        os.unlink(server)
        client = w.raw()
        for _ in range(2):
            client.send(client.go_bytes('disk0'))
            kind, text = client.option_reply(7)
            self.assertEqual(kind, REP_ERR_POLICY)
            self.assertIn('could not be started', text.decode())
        self.assertIn(f'{server} could not be run', w.log())
        client.send(client.go_bytes('disk1', option=6))
        self.assertEqual(client.take_infos(6).keys(), {0, 3})
        self.assertEqual(w.status()['servers'], 0)
        os.symlink(xtest.program('xnbd-server'), server)
        client.go('disk0')
        self.assertTrue(client.in_sync())
        w.stop()


class Background(WrapperCase):
    def daemonized(self, *args, **options):
        """Runs `xnbd-wrapper --daemonize` to the end of its foreground part."""
        w = self.wrapper_args('--daemonize', *args, **options)
        w.socket = self.path('n')
        return w, self.run_cmd(*w.argv, '--lsocket', w.socket, status=None, cwd=self.dir)

    def end(self, w, pid):
        w.ctl('--shutdown')
        xtest.wait_for(lambda: not is_running(pid), 'end', 10)
        xtest.wait_for(lambda: not w.processes(), 'all processes gone', 10)
        self.assertFalse(os.path.exists(w.socket))

    def test_ready_when_the_caller_goes_on(self):
        w, p = self.daemonized('--logpath', self.path('log'), exports=self.files(1))
        self.assertEqual((p.returncode, p.stdout, p.stderr), (0, '', ''))
        pid = w.status()['pid']
        w.enter('disk0').disconnect()
        self.assertEqual(os.readlink(f'/proc/{pid}/cwd'), '/')
        self.assertEqual(os.getsid(pid), pid)
        self.assertEqual({descriptors(pid)[i] for i in range(3)}, {'/dev/null'})
        self.assertIn('listening on', xtest.text_of(self.path('log')))
        self.end(w, pid)

    def test_relative_paths_mean_the_same(self):
        w = self.wrapper_args('--daemonize', '--logpath', 'log', '--lsocket', 'n', '-f', 'd.img',
                              control='c', state='s')
        self.image(MIB, 'd.img')
        w.argv[2] = os.path.relpath(w.argv[2], self.dir)
        self.run_cmd(*w.argv, cwd=self.dir)
        w.control, w.socket = self.path('c'), self.path('n')
        pid = w.status()['pid']
        w.enter('d.img').disconnect()
        w.ctl('--add-target', 'x', self.path('d.img'))
        self.assertIn('"x"', xtest.text_of(self.path('s')))
        self.end(w, pid)

    def test_error_is_in_the_exit_status_and_on_stderr(self):
        for options, word in (({'exports': 'nonsense'}, '.conf:1'),
                              ({'state': self.image(3, 'bad.state')}, 'bad.state')):
            w, p = self.daemonized('--logpath', self.path('log'), **options)
            self.assertEqual(p.returncode, 1)
            self.assertIn(word, p.stderr)
            self.assertIn(word, xtest.text_of(self.path('log')))
            self.assertFalse(os.path.exists(w.control))
            self.assertEqual(w.processes(), set())

    def worker_says(self, w, log):
        kill(w.worker('disk0'), signal.SIGUSR1)  # makes it say something
        xtest.wait_for(lambda: 'xnbd-server[' in xtest.text_of(log), 'line of the worker')

    def test_log_of_all_goes_to_one_file_and_is_rotated(self):
        log, old = self.path('log'), self.path('log.1')
        w, _ = self.daemonized('--logpath', log, exports=self.files(1))
        pid = w.status()['pid']
        client = w.enter('disk0')
        self.worker_says(w, log)
        os.rename(log, old)
        kill(pid, signal.SIGHUP)
        xtest.wait_for(lambda: os.path.exists(log), 'new log file')
        size = os.path.getsize(old)
        self.worker_says(w, log)
        self.assertTrue(client.in_sync())
        self.assertIn('xnbd-wrapper[', xtest.text_of(log))
        self.assertEqual(os.path.getsize(old), size)
        self.end(w, pid)


class Rights(WrapperCase):
    def test_negotiator_is_nobody_behind_a_filter(self):
        self.require(root=True)
        w = self.wrap()
        w.raw()  # it greets when it has given up its rights, not before
        s = status_of(w.negotiator())
        self.assertEqual(s['Uid'].split(), [str(NOBODY)] * 4)
        self.assertEqual(s['Gid'].split(), [str(NOBODY)] * 4)
        self.assertEqual(s['Groups'], '')
        for caps in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb'):
            self.assertEqual(int(s[caps], 16), 0, caps)
        self.assertEqual(s['NoNewPrivs'], '1')
        if not xtest.is_sanitized('xnbd-wrapper'):
            self.assertEqual(s['Seccomp'], '2')

    def test_negotiator_holds_nothing_but_sockets(self):
        w = self.wrap(exports=self.files(1))
        w.raw()
        held = descriptors(w.negotiator())
        for number, what in held.items():
            if number > 2:
                self.assertRegex(what, r'^(socket:|anon_inode:\[?event)')

    def test_worker_inherits_nothing(self):
        w = self.wrap(exports=self.files(2))
        silent, first = w.raw(), w.enter('disk0')
        w.enter('disk1')
        worker, others = w.worker('disk1'), (w.pid, w.negotiator(), w.worker('disk0'))
        # A client just handed over may still be open where it came from, for a moment.
        xtest.wait_for(lambda: not any(sockets(worker) & sockets(p) for p in others),
                       'no socket shared', 3)
        self.assertTrue(silent and first and sockets(worker))

    def test_socket_for_clients_is_open_to_all(self):
        mode = os.stat(self.wrap().socket).st_mode
        self.assertEqual((stat.S_ISSOCK(mode), mode & 0o777), (True, 0o666))

    def test_as_an_ordinary_user(self):
        self.require('setpriv', root=True)
        prefix = ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups']
        w = self.wrapper_args('--lsocket', self.path('n'), exports=self.files(1))
        if self.run_cmd(*prefix, w.argv[0], '--version', status=None).returncode:
            self.skipTest('the build folder is closed to others')
        os.chown(self.path('disk0.img'), NOBODY, NOBODY)
        secret = self.image(MIB, 'secret')
        os.chmod(secret, 0o600)
        w.socket = self.path('n')
        w.daemon = self.start(prefix + w.argv, [w.socket, w.control])
        client = w.enter('disk0')
        self.assertEqual(client.write(0, b'u' * 512).error, 0)
        self.assertEqual(status_of(w.worker('disk0'))['Uid'].split()[0], str(NOBODY))
        self.assertEqual(status_of(w.negotiator())['NoNewPrivs'], '1')
        self.assertIn('Permission denied', w.refused('--add-target', 's', secret))
        w.stop()

    def test_unreadable_image_at_go(self):
        self.require('setpriv', root=True)
        prefix = ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups']
        w = self.wrapper_args('--lsocket', self.path('n'), exports=self.files(1))
        if self.run_cmd(*prefix, w.argv[0], '--version', status=None).returncode:
            self.skipTest('the build folder is closed to others')
        os.chmod(self.path('disk0.img'), 0o600)
        w.socket = self.path('n')
        w.daemon = self.start(prefix + w.argv, [w.socket, w.control])
        kind, text = w.go_refused('disk0')
        self.assertEqual(kind, REP_ERR_POLICY)
        self.assertIn('Permission denied', text)
        w.stop()


if __name__ == '__main__':
    xtest.main()
