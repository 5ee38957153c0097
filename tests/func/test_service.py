#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host has around the programs: a service manager that wants to know, units, socket
activation, start script, log rotation, completion. A guest with systemd: tests/vm/test_systemd.py."""

import os
import re
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import MIB, WrapperCase, is_running  # noqa: E402

SOURCE = os.path.join(xtest.HERE, '..', '..')
CONF = os.path.join(xtest.BUILD, 'conf')


class Manager:
    """Plays the service manager: a datagram socket and what arrived there."""

    def __init__(self, case, name=None):
        self.name = name or case.path('notify')
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.bind('\0' + self.name[1:] if self.name[0] == '@' else self.name)
        self.env = {'NOTIFY_SOCKET': self.name}

    def hear(self, seconds=20):
        """The next message as {name: value}."""
        self.socket.settimeout(seconds)
        lines = self.socket.recv(4096).decode().splitlines()
        return dict(line.split('=', 1) for line in lines)

    def is_silent(self):
        self.socket.settimeout(0.2)
        try:
            return not self.socket.recv(4096)
        except TimeoutError:
            return True


def environment(pid):
    with open(f'/proc/{pid}/environ', 'rb') as f:
        return f.read()


class Readiness(WrapperCase):
    def start_wrapper(self, manager, *args, **options):
        w = self.wrapper_args('--lsocket', self.path('n'), *args, **options)
        w.socket = self.path('n')
        w.daemon = self.spawn(w.argv, env=manager.env)
        return self._ready(w)

    def test_wrapper(self):
        manager = Manager(self)
        w = self.start_wrapper(manager, exports=self.files(2))
        ready = manager.hear()
        self.assertEqual(ready, {'READY': '1', 'MAINPID': str(w.pid),
                                 'STATUS': '2 exports, 0 servers, 0 clients'})
        self.assertEqual(len(w.list()), 2, 'ready means that it answers')
        client = w.enter('disk0')
        for pid in (w.worker('disk0'), w.negotiator()):
            self.assertNotIn(b'NOTIFY_SOCKET', environment(pid))
        self.assertEqual(manager.hear()['STATUS'], '2 exports, 1 servers, 1 clients')
        w.daemon.send_signal(signal.SIGTERM)
        self.assertEqual(manager.hear()['STOPPING'], '1')
        self.assertEqual(w.daemon.wait(), 0)
        self.assertTrue(client and manager.is_silent())

    def test_abstract_name_and_orphan(self):
        manager = Manager(self, f'@xnbd-test-{os.getpid()}')
        w = self.start_wrapper(manager, exports=self.files(1))
        self.assertEqual(manager.hear()['READY'], '1')
        w.ctl('--orphan')
        self.assertEqual(manager.hear()['STOPPING'], '1')
        self.assertEqual(w.daemon.wait(), 0)

    def test_reload(self):
        manager = Manager(self)
        w = self.start_wrapper(manager, exports=self.files(1))
        manager.hear()
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        for broken in (False, True):
            if broken:
                with open(w.argv[w.argv.index('--config') + 1], 'a') as f:
                    f.write('export {\n')
            w.daemon.send_signal(signal.SIGHUP)
            reloading = manager.hear()
            self.assertEqual(reloading['RELOADING'], '1')
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self.assertTrue(before <= int(reloading['MONOTONIC_USEC']) <= now)
            self.assertEqual(manager.hear()['READY'], '1')

    def test_wrapper_that_cannot_start(self):
        manager = Manager(self)
        w = self.wrapper_args('--lsocket', self.path('n'), '--imgfile', self.path('nothing'))
        self.assertEqual(self.spawn(w.argv, env=manager.env).wait(), 1)
        self.assertTrue(manager.is_silent())

    def test_name_that_is_none(self):
        w = self.wrapper_args('--lsocket', self.path('n'), exports=self.files(1))
        w.socket = self.path('n')
        w.daemon = self.spawn(w.argv, env={'NOTIFY_SOCKET': 'nonsense'})
        self._ready(w)
        self.assertIn('warning: NOTIFY_SOCKET=nonsense: neither a path nor @NAME', w.log())

    def test_server_alone(self):
        manager = Manager(self)
        image = self.image(MIB)
        d = self.serve(image, env=manager.env)
        self.assertEqual(manager.hear(), {'READY': '1', 'MAINPID': str(d.pid),
                                          'STATUS': f'serving {image}'})
        d.stop()
        self.assertEqual(manager.hear()['STOPPING'], '1')

    def test_server_in_the_background(self):
        manager, image, ctl = Manager(self), self.image(MIB), self.path('ctl')
        argv = self.serve_args(image, f'--socket={self.path("s")}', f'--control={ctl}',
                               '--daemonize', f'--logpath={self.path("l.log")}')
        self.assertEqual(self.spawn(argv, env=manager.env).wait(), 0)
        pid = int(manager.hear()['MAINPID'])
        self.assertTrue(is_running(pid))
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(manager.hear()['STOPPING'], '1')


class Journal(WrapperCase):
    """The journal's own socket, in a /run that only this process and its children see."""

    def setUp(self):
        super().setUp()
        self.require('mount', 'umount', root=True)
        xtest.own_namespace()
        self.run_cmd('mount', '-t', 'tmpfs', 'none', '/run')
        self.addCleanup(self._unmount, '/run')
        os.makedirs('/run/systemd/journal')

    def listen(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind('/run/systemd/journal/socket')
        s.settimeout(20)
        return s

    @staticmethod
    def entry(s):
        """The next entry as {field: value}."""
        fields, data = {}, s.recv(65536)
        while data:
            name, _, data = data.partition(b'\n')
            size = int.from_bytes(data[:8], 'little')
            fields[name.decode()] = data[8:8 + size].decode()
            data = data[9 + size:]
        return fields

    def find(self, s, text):
        while text not in (entry := self.entry(s))['MESSAGE']:
            pass
        return entry

    def test_wrapper_negotiator_and_server(self):
        journal = self.listen()
        w = self.wrapper_args('--journal', '--lsocket', self.path('n'), exports=self.files(1))
        w.socket = self.path('n')
        w.daemon = self.start(w.argv, [w.socket, w.control])
        self.addCleanup(self._settle, w)
        ready = self.find(journal, 'control socket')
        self.assertEqual((ready['SYSLOG_IDENTIFIER'], ready['PRIORITY']), ('xnbd-wrapper', '6'))
        self.assertNotIn('XNBD_EXPORT', ready)
        bad = rawnbd.Raw(w.socket)
        bad.send(b'\xff' * 64)
        ended = self.find(journal, 'handshake ended')
        self.assertEqual(ended['SYSLOG_IDENTIFIER'], 'xnbd-wrapper')
        self.assertEqual(ended['MESSAGE'].split(': handshake')[0], f'client {ended["XNBD_PEER"]}')
        bad.close()
        client = w.enter('disk0')
        client.send(b'\xff' * 64)
        ended = self.find(journal, ': ended: ')
        self.assertEqual((ended['SYSLOG_IDENTIFIER'], ended['PRIORITY']), ('xnbd-server', '4'))
        self.assertEqual((ended['XNBD_EXPORT'], ended['XNBD_CLIENT']), ('disk0', '1'))
        self.assertTrue(ended['MESSAGE'].startswith(
            f'disk0: client 1 ({ended["XNBD_PEER"]}): ended: '), ended)
        self.kill_worker(w, w.worker('disk0'))
        killed = self.find(journal, 'was killed by signal 9')
        self.assertEqual((killed['SYSLOG_IDENTIFIER'], killed['XNBD_EXPORT']),
                         ('xnbd-wrapper', 'disk0'))
        self.assertEqual(w.log(), '', 'nothing on stderr')

    def wrapper_in_a_service(self, *args):
        """Its stderr is what JOURNAL_STREAM names."""
        w = self.wrapper_args('--lsocket', self.path('n'), *args, exports=self.files(1))
        with open(self.path(f'xnbd-wrapper.{self._daemons + 1}.log'), 'w') as f:
            st = os.fstat(f.fileno())
        w.socket = self.path('n')
        w.daemon = self.spawn(w.argv, env={'JOURNAL_STREAM': f'{st.st_dev}:{st.st_ino}'})
        self.addCleanup(self._settle, w)
        return w

    def test_stderr_of_a_service(self):
        journal = self.listen()
        w = self.wrapper_in_a_service()
        self.find(journal, 'control socket')
        w.enter('disk0').send(b'\xff' * 64)
        self.assertEqual(self.find(journal, ': ended: ')['XNBD_EXPORT'], 'disk0')
        self.assertEqual(w.log(), '')

    def test_service_that_cannot_start_says_so_once(self):
        journal = self.listen()
        w = self.wrapper_in_a_service('--imgfile', self.path('nothing'))
        self.assertEqual(w.daemon.wait(), 1)
        self.assertEqual(self.find(journal, 'nothing: No such file')['PRIORITY'], '3')
        self.assertEqual(w.log(), '')

    def test_stderr_of_a_service_and_no_journal(self):
        w = self._ready(self.wrapper_in_a_service())
        self.assertIn('<6>xnbd-wrapper: info: listening on ', w.log())
        w.enter('disk0').send(b'\xff' * 64)
        xtest.wait_for(lambda: '<4>xnbd-server: warning: disk0: client 1 ' in w.log(), 'line')

    def test_none_here(self):
        line = self.fails_to_start('--journal', '--lsocket', self.path('n'))
        self.assertIn('journal /run/systemd/journal/socket: No such file', line)
        d = self.spawn(self.serve_args(self.image(MIB), '--journal', f'--socket={self.path("s")}'))
        self.assertEqual(d.wait(), 1)
        self.assertIn('journal /run/systemd/journal/socket: No such file', d.stderr())


class Lines(WrapperCase):
    def test_levels_are_handed_on(self):
        for level, seen in (('debug', True), ('info', False)):
            w = self.wrap('--log-level', level, exports=self.files(1))
            w.enter('disk0').close()
            xtest.wait_for(lambda: w.client_count('disk0') == 0, 'client gone')
            line = r'xnbd-server: debug: disk0: client 1 \(unix:uid=\d+,pid=\d+\): connected\n'
            self.assertEqual(bool(re.search(line, w.log())), seen, w.log())
            w.stop()
        w = self.wrapper_args('--log-level', 'warn', '--lsocket', self.path('n'))
        w.daemon = self.start(w.argv, [self.path('n'), w.control])
        w.stop()
        self.assertEqual(w.log(), '')

    def test_level_that_is_none(self):
        line = self.fails_to_start('--log-level', 'loud', status=2)
        self.assertIn('--log-level loud: must be error, warn, info or debug', line)



class Units(WrapperCase):
    def unit(self, name, instance=None):
        """A copy of a unit that names the programs just built."""
        folder = CONF if os.path.exists(f'{CONF}/systemd/{name}') else f'{SOURCE}/conf'
        with open(f'{folder}/systemd/{name}') as f:
            text = f.read()
        text = re.sub(r'[^\s=]+/s?bin/(xnbd-[a-z-]+)', lambda m: xtest.program(m[1]), text)
        path = self.path(name.replace('@', f'@{instance or ""}'))
        with open(path, 'w') as f:
            f.write(text)
        return path

    def test_verify(self):
        self.require('systemd-analyze')
        units = [self.unit('xnbd-wrapper.service'), self.unit('xnbd-wrapper.socket'),
                 self.unit('xnbd-server@.service', 'vm1'), self.unit('xnbd-stonithd.service'),
                 self.unit('xnbd-confsync.service'), self.unit('xnbd-confsync-recover.service')]
        p = self.run_cmd('systemd-analyze', 'verify', '--man=no', *units, status=None)
        self.assertEqual((p.returncode, [x for x in p.stderr.splitlines() if 'xnbd' in x]), (0, []))

    def test_options_of_units_are_taken(self):
        """Every word of ExecStart is one that the program knows."""
        for name in ('xnbd-wrapper.service', 'xnbd-server@.service', 'xnbd-stonithd.service',
                     'xnbd-confsync.service', 'xnbd-confsync-recover.service'):
            with open(self.unit(name)) as f:
                line = re.search('^ExecStart=(.*)', f.read(), re.M)[1]
            argv = line.split()
            known = self.run_cmd(argv[0], '--help')
            for word in (w for w in argv[1:] if w.startswith('--')):
                self.assertIn(f' {word} ', known)

    def test_tmpfiles(self):
        self.require('systemd-tmpfiles')
        root = self.path('root')
        os.mkdir(root)
        self.run_cmd('systemd-tmpfiles', '--create', f'--root={root}',
                     os.path.abspath(f'{SOURCE}/conf/systemd/xnbd.tmpfiles.conf'))
        self.assertEqual(os.stat(f'{root}/run/xnbd').st_mode & 0o777, 0o755)

    def test_install(self):
        self.require('cmake')
        root = self.path('root')
        self.run_cmd('cmake', '--install', xtest.BUILD, env={'DESTDIR': root})
        found = [os.path.join(where, name) for where, _, names in os.walk(root) for name in names]
        for end in ('/lib/systemd/system/xnbd-wrapper.service',
                    '/lib/systemd/system/xnbd-wrapper.socket',
                    '/lib/systemd/system/xnbd-server@.service', '/lib/tmpfiles.d/xnbd.conf',
                    '/lib/systemd/system/xnbd-stonithd.service', '/man8/xnbd-stonithd.8',
                    '/lib/systemd/system/xnbd-confsync.service',
                    '/lib/systemd/system/xnbd-confsync-recover.service',
                    '/lib/systemd/system/xnbd-backup.service', '/man5/backup.conf.5',
                    '/lib/systemd/system/xnbd-backup.timer', '/xnbd-backup.cron',
                    '/etc/logrotate.d/xnbd', '/bash-completion/completions/xnbd-wrapper',
                    '/bash-completion/completions/xnbd-bgctl', '/init/xnbd-wrapper',
                    '/sbin/sm-notify', '/man8/sm-notify.8', '/systemd/rpc-statd-notify.conf',
                    '/sbin/xnbd-wrapper', '/sbin/xnbd-server', '/man8/xnbd-wrapper.8'):
            matching = [p for p in found if p.endswith(end)]
            self.assertEqual(len(matching), 1, f'{end}: {matching}')
        for path in (p for p in found if '/sbin/' not in p):
            self.assertNotRegex(xtest.text_of(path), '@[A-Z]+@', path)


class Activation(WrapperCase):
    """By the real systemd-socket-activate, which starts the program at the first connection."""

    def activate(self, listen, argv):
        self.require('systemd-socket-activate')
        passed = [f'-E{name}' for name in ('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS',
                                           'XNBD_TEST_FOLDER')]
        return self.spawn(['systemd-socket-activate', *(f'--listen={a}' for a in listen), *passed,
                           '--', *argv])

    def test_wrapper_on_two_addresses(self):
        port, path = xtest.free_port(), self.path('n')
        w = self.wrapper_args(exports=self.files(1))
        w.daemon = self.activate([f'127.0.0.1:{port}', path], w.argv)
        self.addCleanup(self._settle, w)
        for address in (path, ('127.0.0.1', port)):
            xtest.wait_for(lambda a=address: xtest.answers(a), 'systemd-socket-activate listens')
            client = rawnbd.Raw(address).enter('structured', 'disk0')
            self.assertEqual(client.size, MIB)
            client.close()
        w.stop()
        self.assertTrue(os.path.exists(path), "systemd's file is not ours to remove")

    def test_peer_on_a_socket_for_both_families(self):
        port = xtest.free_port('::1')
        w = self.wrapper_args(exports=self.files(1))
        w.daemon = self.activate([str(port)], w.argv)
        self.addCleanup(self._settle, w)
        w.port = port
        xtest.wait_for(lambda: xtest.answers(('127.0.0.1', port)), 'listens')
        client = w.enter('disk0')
        name = f'127.0.0.1:{client.sock.getsockname()[1]}'
        self.assertIn(name, str(w.export('disk0')['clients']))

    def test_server(self):
        port = xtest.free_port()
        d = self.activate([f'127.0.0.1:{port}'], self.serve_args(self.image(MIB)))
        xtest.wait_for(lambda: xtest.answers(('127.0.0.1', port)), 'listens')
        client = rawnbd.Raw(('127.0.0.1', port)).enter()
        self.assertTrue(client.in_sync())
        client.close()
        d.stop()


class StartScript(WrapperCase):
    def test_life(self):
        w = self.wrapper_args('--lsocket', self.path('n'), exports=self.files(1))
        w.socket = self.path('n')
        defaults = self.path('defaults')
        with open(defaults, 'w') as f:
            f.write(f'PATH={os.path.dirname(w.argv[0])}:$PATH\nCONTROL={w.control}\n'
                    f'OPTIONS="{" ".join(w.argv[1:])} --logpath {self.path("w.log")}"\n')
        script = ['sh', f'{CONF}/init/xnbd-wrapper']

        def run(word, status=0):
            p = self.run_cmd(*script, word, status=None, env={'XNBD_DEFAULTS': defaults})
            self.assertEqual(p.returncode, status, p)
            return p.stdout

        self.addCleanup(lambda: run('stop'))
        self.assertIn('not running', run('status', 3))
        run('stop')
        run('start')
        self.assertIn('disk0', w.ctl('--list'))
        self.assertIn('already', run('start'))
        first = w.status()['pid']
        self.assertIn('1', run('status'))
        run('restart')
        self.assertNotEqual(w.status()['pid'], first)
        run('stop')
        self.assertFalse(xtest.answers(w.socket))
        run('nonsense', 2)


class LogRotation(WrapperCase):
    def test_rotate(self):
        self.require('logrotate')
        folder = self.path('log')
        os.mkdir(folder, 0o755)
        log = f'{folder}/wrapper.log'
        w = self.wrapper_args('--logpath', log, '--lsocket', self.path('n'), exports=self.files(1))
        w.socket = self.path('n')
        w.daemon = self.start(w.argv, [w.socket, w.control])
        self.addCleanup(self._settle, w)
        xtest.wait_for(lambda: 'control socket' in xtest.text_of(log), 'ready')
        client = w.enter('disk0')
        rules = self.path('rules')
        with open(f'{CONF}/logrotate') as f, open(rules, 'w') as out:
            text = re.sub('/var/(log|lib)/xnbd/', f'{folder}/', f.read())
            ctl = f'{xtest.program("xnbd-wrapper-ctl")} --socket {w.control}'
            out.write(re.sub(r'[^\s(]*/xnbd-wrapper-ctl', ctl, text))
        os.chmod(rules, 0o644)
        self.run_cmd('logrotate', '-d', '-s', self.path('state'), rules)
        self.run_cmd('logrotate', '-f', '-s', self.path('state'), rules)
        self.assertIn('control socket', xtest.text_of(f'{log}.1'))
        client.send(b'\xff' * 64)
        xtest.wait_for(lambda: 'disk0: client 1 ' in xtest.text_of(log), 'server writes anew')
        self.assertNotIn('ended: ', xtest.text_of(f'{log}.1'))


TYPE = r'''
source "$1"
COMP_LINE=$2 COMP_POINT=${#2}
shift 2
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_xnbd "$1"
printf '%s\n' "${COMPREPLY[@]}"
'''


class Completion(WrapperCase):
    FILE = os.path.abspath(f'{SOURCE}/conf/bash-completion/xnbd')

    def setUp(self):
        super().setUp()
        self.require('bash')
        folders = {os.path.dirname(xtest.program(p)) for p in ('xnbd-server', 'xnbd-wrapper',
                                                               'xnbd-bgctl', 'sm-notify',
                                                               'xnbd-stonith', 'xnbd-confsync',
                                                               'xnbd-backup')}
        self.env = {'PATH': ':'.join([*folders, os.environ['PATH']])}

    def complete(self, line):
        """What is offered for the end of the line, which bash has cut at blanks, = : and @."""
        words = [w for w in re.findall(r'(?:\\.|[^\s=:@])+|[=:@]', line)]
        words += [''] * (line[-1] == ' ')
        out = self.run_cmd('bash', '-c', TYPE, 'bash', self.FILE, line, *words, env=self.env,
                           cwd=self.dir)
        return out.split('\n')[:-1] if out.strip() else []

    def test_every_option_is_offered(self):
        for program in ('xnbd-server', 'xnbd-wrapper', 'xnbd-wrapper-ctl', 'xnbd-bgctl',
                        'sm-notify', 'xnbd-stonith', 'fence_xnbd', 'xnbd-stonithd',
                        'xnbd-confsync', 'xnbd-backup'):
            text = self.run_cmd(xtest.program(program), '--help')
            options = re.findall(r'^  (?:-\S, |    )(--[a-z0-9-]+)', text, re.M)
            self.assertEqual(self.complete(f'{program} -'), options)
            self.assertTrue(options)

    def test_values(self):
        levels = ['error', 'warn', 'info', 'debug']
        self.assertEqual(self.complete('xnbd-wrapper --log-level '), levels)
        self.assertEqual(self.complete('xnbd-server --log-level=d'), ['debug'])
        self.assertEqual(self.complete('xnbd-server -e i'), ['io_uring'])
        self.assertEqual(self.complete('xnbd-server --engine='), ['auto', 'io_uring', 'threads'])
        self.assertEqual(self.complete('xnbd-wrapper --lport '), [])
        self.assertEqual(self.complete('sm-notify -m '), [])

    def test_files(self):
        self.image(MIB, 'one.img')
        self.image(MIB, 'two.img')
        for line in ('xnbd-server --target o', 'xnbd-wrapper --imgfile o', 'xnbd-wrapper -c o',
                     'xnbd-bgctl --query o', 'sm-notify -P o'):
            self.assertEqual(self.complete(line), ['one.img'])

    def test_backups(self):
        """Commands of xnbd-backup, and volumes of its configuration."""
        with open(self.path('backup.conf'), 'w') as f:
            f.write(f'backup {{ state-directory = "{self.dir}" }}\n'
                    'volume "vm1" { source = "file:/x" target = "file:/y/%v" }\n')
        self.assertEqual(self.complete('xnbd-backup st'), ['status', 'stop'])
        self.assertEqual(self.complete('xnbd-backup -c backup.conf run v'), ['vm1'])
        self.assertEqual(self.complete('xnbd-backup -c backup.conf check '), [])

    def test_nodes(self):
        """Behind a command of xnbd-stonith, from the configuration."""
        with open(self.path('secret'), 'w', opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write('private\n')
        with open(self.path('stonith.conf'), 'w') as f:
            f.write('pdu "p" { address = "127.0.0.1" profile = "apc-rpdu" version = "2c" '
                    f'community-file = "{self.path("secret")}" }}\n'
                    'node "n1" { outlets = {"p:1"} }\nnode "n2" { outlets = {"p:2"} }\n')
        for config in (f'-c {self.path("stonith.conf")}', f'--config={self.path("stonith.conf")}'):
            self.assertEqual(self.complete(f'xnbd-stonith {config} re'), ['reboot'])
            for action in ('off', 'verify-map'):
                self.assertEqual(self.complete(f'xnbd-stonith {config} {action} n'), ['n1', 'n2'])
        self.assertIn('health', self.complete('xnbd-stonith '))

    def test_sets(self):
        """Behind a command of xnbd-confsync, from the configuration."""
        key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAaQy7zQxSkOaGn0OURwtlBWbggSGUKPEJoedjF9tlYM'
        config = self.path('confsync.conf')
        with open(config, 'w') as f:
            f.write(f'confsync {{ self = "n1" state-directory = "{self.path("state")}" }}\n')
            for i in (1, 2):
                f.write(f'node "n{i}" {{ address = "192.0.2.{i}" host-key = "{key}" }}\n')
            for name in ('web', 'mail'):
                f.write(f'set "{name}" {{ paths = {{"{self.path(name)}/"}} }}\n')
        for line, offered in (('pu', ['push', 'pull']), ('push ', ['mail', 'web']),
                              ('diff web m', ['mail']), ('hold ', ['list', 'add', 'release']),
                              ('hold add w', ['web']), ('rollback web ', []),
                              ('fenced ', ['n2']), ('check ', [])):
            found = self.complete(f'xnbd-confsync -c {config} {line}')
            self.assertEqual(sorted(found), sorted(offered), line)

    def test_commands_are_commands(self):
        words = self.complete('xnbd-wrapper-ctl ')
        self.assertTrue({'list', 'snapshot', 'migrate-in', 'shutdown'} <= set(words), words)
        self.assertNotIn('socket', words)
        for word in words:
            p = self.run_cmd(xtest.program('xnbd-wrapper-ctl'), '--socket', self.path('none'), word,
                             status=None)
            self.assertNotIn('no such command', p.stderr, word)

    def test_exports(self):
        image = self.image(MIB)
        names = ['vm1', 'vm2', 'my disk', 'host:a@7', 'quote"d\\']
        w = self.wrap(exports={n: image for n in names})
        for socket_words in (f'--socket {w.control}', f'--socket={w.control}', f'-s {w.control}'):
            line = f'xnbd-wrapper-ctl {socket_words} snapshot '
            self.assertEqual(self.complete(line + 'vm'), ['vm1', 'vm2'])
        self.assertEqual(len(self.complete(line)), len(names))
        self.assertEqual(self.complete(line + 'my\\ d'), ['my\\ disk'])
        self.assertEqual(self.complete(line + 'ho'), ['host:a@7'])
        self.assertEqual(self.complete(line + 'host:a@'), ['7'])
        self.assertEqual(self.complete(line + 'q'), ['quote\\"d\\\\'])
        self.assertEqual(self.complete(f'xnbd-wrapper-ctl -s {self.path("none")} snapshot '), [])

    def test_keys_at_a_terminal(self):
        """What a person sees who presses TAB."""
        self.require('script')
        keys = (f'source {self.FILE}\n'
                'xnbd-wrapper-ctl --remove-by-e\t\x01echo \x05NAME\n'
                'xnbd-server --engine=io\t\x01echo \x05\n'
                'exit\n')
        p = self.run_cmd('script', '-qec', 'bash --norc --noprofile -i', '/dev/null', input=keys,
                         env={**self.env, 'TERM': 'dumb', 'PS1': ''}, seconds=60)
        self.assertIn('\nxnbd-wrapper-ctl --remove-by-exportname NAME', p.replace('\r', ''))
        self.assertIn('\nxnbd-server --engine=io_uring', p.replace('\r', ''))


if __name__ == '__main__':
    xtest.main()
