#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd.conf in effect: --check and --dump, the section wrapper, users and groups, odd names, --set."""

import grp
import os
import pwd
import re
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import MIB, Wrapper, WrapperCase, quote  # noqa: E402

NOBODY = 65534


def command_line(pid):
    with open(f'/proc/{pid}/cmdline', 'rb') as f:
        return [word.decode() for word in f.read().split(b'\0')[:-1]]


def ids_of(pid):
    """(real user, real group, other groups)."""
    status = dict(line.split(':', 1) for line in xtest.text_of(f'/proc/{pid}/status').splitlines())
    return (int(status['Uid'].split()[0]), int(status['Gid'].split()[0]),
            [int(g) for g in status['Groups'].split()])


class ConfigCase(WrapperCase):
    def write(self, text, name='xnbd.conf'):
        with open(self.path(name), 'w') as f:
            f.write(text)
        return self.path(name)

    def configured(self, text, *args, sockets=(), control=None, state=None):
        """A wrapper of the section wrapper {text} and what else TEXT has, started."""
        control = control or self.path('ctl')
        state = state or self.path('state')
        text = text.replace('wrapper {', 'wrapper {\n\txnbd-server = '
                            + quote(xtest.program('xnbd-server')), 1)
        w = Wrapper(self, [xtest.program('xnbd-wrapper'), '--config', self.write(text), *args],
                    control, state)
        w.socket = sockets[0] if sockets else None
        w.daemon = self.start(w.argv, [*sockets, w.control])
        return self._ready(w)

    def inspect(self, *args, status=0):
        p = self.run_cmd(xtest.program('xnbd-wrapper'), *args, status=None)
        self.assertEqual(p.returncode, status, p)
        return p

    def usual(self, more='', folder=None):
        """Keys of a section wrapper that every test here needs."""
        folder = folder or self.dir
        return (f'control = {folder}/ctl state-file = {folder}/state\n'
                f'listen = {folder}/nbd {more}\n')


class Check(ConfigCase):
    def test_good_is_silent(self):
        image = self.image(MIB)
        conf = self.write(f'wrapper {{ log-level = warn }}\nexport a {{ image = {image} }}\n')
        p = self.inspect('--check', '--config', conf)
        self.assertEqual((p.stdout, p.stderr), ('', ''))

    def test_missing_image_is_a_warning(self):
        conf = self.write('export a {\n\timage = /nothing\n}\n')
        p = self.inspect('--check', '--config', conf)
        self.assertEqual(p.stdout, '')
        self.assertRegex(p.stderr, rf'^{conf}:2: export "a": image: /nothing: No such file.*\n$')

    def test_all_faults_in_one_go(self):
        self.write('export b { image = b\n\treadonly = perhaps }\n', 'more')
        conf = self.write('wrapper { lisen = x }\ninclude(more)\n# c\n/* c\n*/ export b {\n'
                          '\timage /x\n}\nexport c { mode = proxy }\nexport d { image = /dev/null\n')
        p = self.inspect('--check', '--config', conf, status=1)
        more = self.path('more')
        places = [line.split(': ')[0] for line in p.stderr.splitlines()]
        self.assertEqual(sorted(places), sorted([
            f'{conf}:1', f'{conf}:6', f'{conf}:9', f'{conf}:5', f'{more}:1', f'{more}:2',
            f'{conf}:8']), p.stderr)
        self.assertEqual(p.stdout, '')

    def test_default_file(self):
        if os.path.exists('/etc/xnbd/xnbd.conf'):
            self.skipTest('there is one')
        p = self.inspect('--check', status=1)
        self.assertEqual(p.stderr, '/etc/xnbd/xnbd.conf: No such file or directory\n')

    def test_control_characters_stay_on_their_line(self):
        conf = self.write('export "a\\n\\x1b[31mb" { image = x }\n')
        p = self.inspect('--check', '--config', conf, status=1)
        self.assertEqual(len(p.stderr.splitlines()), 1)
        self.assertNotIn('\x1b', p.stderr)

    def test_names_given_twice(self):
        image = self.image(MIB)
        conf = self.write(f'export "{image}" {{ image = {image} }}\n')
        p = self.inspect('--check', '--config', conf, '-f', image, status=1)
        self.assertIn('already in use', p.stderr)

    def test_usage_comes_first(self):
        self.inspect('--check', 'operand', status=2)
        self.inspect('--check', '--lport', 'x', status=2)


class Dump(ConfigCase):
    def dump(self, *args):
        return self.inspect('--dump', *args).stdout

    def test_reads_to_the_same(self):
        image = self.image(MIB, "it's 100% ü.img")
        conf = self.write('wrapper { listen = {"*:9", /l} allow = {unix} log-level = debug }\n'
                          'defaults { idle-timeout = 5 }\n'
                          f'export "it\'s" {{ image = "{image}" allow = {{}} }}\n')
        one = self.dump('--config', conf, '--readonly', '-f', image, '-s', 'here', '-B', '4M')
        for part in ("listen = {'*:9', '/l'}", 'readonly = true', 'max-buf-size = 4M',
                     'idle-timeout = 5', os.path.join(os.getcwd(), 'here')):
            self.assertIn(part, one)
        self.assertEqual(self.dump('--config', self.write(one, 'dump')), one)
        self.assertEqual(self.inspect('--check', '--config', self.path('dump')).stderr, '')

    def test_command_line_wins(self):
        conf = self.write('wrapper { listen = "*:9" busy-poll = 7 log = syslog }')
        text = self.dump('--config', conf, '-l', '::1', '-p', '77', '--busy-poll', '50',
                         '-L', '/x/log')
        self.assertIn("listen = {'[::1]:77'}", text)
        self.assertIn("log = {'/x/log'}", text)
        self.assertNotIn('busy-poll', text)

    def test_faults(self):
        p = self.inspect('--dump', '--config', self.write('x'), status=1)
        self.assertEqual(p.stdout, '')
        self.assertIn(':1: x: a section is expected', p.stderr)


class Section(ConfigCase):
    def test_several_ports_and_sockets(self):
        ports = [xtest.free_port() for _ in range(2)]
        unix = self.path('nbd')
        w = self.configured(
            f'wrapper {{ {self.usual()} }}'.replace(
                f'listen = {unix}', f'listen = {{"127.0.0.1:{ports[0]}", "[::1]:{ports[1]}", {unix}}}')
            + f'export a {{ image = {self.image(MIB)} }}', sockets=[unix])
        for address in (unix, ('127.0.0.1', ports[0]), ('::1', ports[1])):
            client = rawnbd.Raw(address)
            self.addCleanup(client.close)
            client.enter('structured', 'a').read(0, 512)
        self.assertEqual(len(w.status()['listening']), 3)
        w.stop()
        self.assertFalse(os.path.exists(unix))

    def test_command_line_wins(self):
        other = self.path('other')
        w = self.configured(f'wrapper {{ {self.usual()} }}', '--lsocket', other, sockets=[other])
        self.assertFalse(os.path.exists(self.path('nbd')))
        self.assertEqual(len(w.status()['listening']), 1)

    def test_run_directory(self):
        os.mkdir(self.path('run'))
        w = self.configured(f'wrapper {{ run-directory = {self.path("run")}\n'
                            f'state-file = {self.path("state")} listen = {self.path("nbd")} }}\n'
                            f'export a {{ image = {self.image(MIB)} }}',
                            sockets=[self.path('nbd')], control=self.path('run/wrapper.ctl'))
        w.enter('a')
        self.assertTrue(os.listdir(self.path('run/wrapper.ctl.d')))
        w.stop()
        self.assertEqual(os.listdir(self.path('run')), [])

    def test_log_and_level(self):
        log = self.path('log')
        w = self.configured(f'wrapper {{ {self.usual()} log = {{stderr}} }}', sockets=[
            self.path('nbd')])
        w.stop()
        self.write(f'wrapper {{ {self.usual()} log = {log} log-level = error }}')
        w.daemon = self.start(w.argv, [self.path('nbd'), w.control])
        w.ctl('--list')
        w.stop()
        self.assertEqual(w.log(), '')
        self.assertEqual(xtest.text_of(log), '')

    def test_handshake_timeout(self):
        self.configured(f'wrapper {{ {self.usual("handshake-timeout = 1")} }}',
                        sockets=[self.path('nbd')])
        client = rawnbd.Raw(self.path('nbd'))
        self.addCleanup(client.close)
        client.greet(3)
        began = time.monotonic()
        client.expect_end()
        self.assertTrue(0.5 < time.monotonic() - began < 5)

    def test_limits(self):
        w = self.configured(f'wrapper {{ {self.usual("max-clients = 1")} }}\n'
                            f'export a {{ image = {self.image(MIB)} }}', sockets=[self.path('nbd')])
        w.enter('a')
        self.assertIn('1 clients are connected, that is the limit', w.go_refused('a')[1])

    def test_settings_reach_the_servers(self):
        image = self.image(MIB)
        w = self.configured(
            f'wrapper {{ {self.usual("busy-poll = 7 idle-timeout = 60 engine = threads")} }}\n'
            f'defaults {{ threads = 2 }}\n'
            f'export a {{ image = {image} block-min = 512 block-max = 64K limit-requests = 9999 }}\n'
            f'export b {{ image = {image} mode = cow-target cow-block = 8K cow-dir = {self.dir}\n'
            f'idle-timeout = 5 threads = 1 limit-bandwidth = 512M }}', sockets=[self.path('nbd')])
        for name, want in (('a', '--threads 2 --block-min 512 --block-max 65536 --idle-timeout 60 '
                                 '--limit-requests 9999'),
                           ('b', '--cow-block 8192 --threads 1 --idle-timeout 5 '
                                 '--limit-bandwidth 536870912')):
            client = rawnbd.Raw(w.address)
            self.addCleanup(client.close)
            client.enter('structured', name).read(0, 512)
            line = ' '.join(command_line(w.worker(name)))
            self.assertIn(want, line)
            self.assertIn('--engine threads --busy-poll 7', line)
        client = w.raw()
        client.send(client.go_bytes('a', option=6))
        self.assertEqual(client.take_infos(6)[3][:4], (512).to_bytes(4, 'big'))

    def test_odd_names(self):
        names = [' two  words ', '/dev/vg0/vm 1', '100% %s%n', 'gr\u00fc\u00df\u20ac\U0001f4be',
                 'n' * 4096, '"quoted\' \\ ${HOME}', '#{}=,()']
        image = self.image(MIB, pattern=1)
        w = self.configured(f'wrapper {{ {self.usual()} }}\n' + '\n'.join(
            f'export {quote(n)} {{ image = {image} readonly = yes }}' for n in names),
            sockets=[self.path('nbd')])
        for name in names:
            w.enter(name).disconnect()
        self.assertEqual([e['name'] for e in w.list()], names)

    def test_half_written(self):
        """Cut anywhere, a file of one section each is refused or lacks what is behind the cut."""
        text = (f'wrapper {{ {self.usual()} }}\n' + 'export a {\n\timage = /dev/null\n}\n')
        for cut in range(1, len(text), 7):
            p = self.run_cmd(xtest.program('xnbd-wrapper'), '--dump', '--config',
                             self.write(text[:cut]), status=None)
            self.assertEqual(p.returncode, 0 if text[:cut].rstrip().endswith('}') else 1,
                             (text[:cut], p))

    def test_unreadable(self):
        self.require('setpriv', root=True)
        conf = self.write('wrapper { }')
        os.chmod(conf, 0)
        p = self.run_cmd('setpriv', f'--reuid={NOBODY}', '--clear-groups',
                         xtest.program('xnbd-wrapper'), '--config', conf, status=None)
        if 'Permission denied' not in p.stderr:
            self.skipTest('the build folder is closed to others')
        self.assertEqual((p.returncode, p.stderr),
                         (1, f'xnbd-wrapper: error: {conf}: Permission denied\n'))


class User(ConfigCase):
    def setUp(self):
        super().setUp()
        self.require(root=True)
        if self.run_cmd('setpriv', f'--reuid={NOBODY}', '--clear-groups',
                        xtest.program('xnbd-server'), '--version', status=None).returncode:
            self.skipTest('the build folder is closed to others')
        self.group = pwd.getpwuid(NOBODY).pw_gid

    def as_nobody(self, more='', image_owner=NOBODY, folder=None, **options):
        image = self.image(MIB, 'own.img')
        os.chown(image, image_owner, -1)
        os.chmod(image, 0o600)
        return self.configured(f'wrapper {{ {self.usual(more, folder)} user = nobody }}\n'
                               f'export a {{ image = {image} }}',
                               sockets=[self.path('nbd', ) if not folder else f'{folder}/nbd'],
                               **options)

    def test_all_processes_are_the_user(self):
        w = self.as_nobody()
        self.assertEqual(w.enter('a').write(0, b'x' * 512).error, 0)
        for pid in (w.pid, w.negotiator(), w.worker('a')):
            self.assertEqual(ids_of(pid)[:2], (NOBODY, self.group))
            self.assertNotIn(0, ids_of(pid)[2])
        s = os.stat(w.control)
        self.assertEqual((s.st_uid, stat.S_IMODE(s.st_mode)), (NOBODY, 0o600))
        self.assertEqual(os.stat(f'{w.control}.d').st_uid, NOBODY)
        w.stop()
        self.assertFalse(os.path.exists(w.control) or os.path.exists(f'{w.control}.d'))

    def test_no_rights_are_left(self):
        w = self.as_nobody(image_owner=0)
        self.assertIn('Permission denied', w.go_refused('a')[1])
        status = xtest.text_of(f'/proc/{w.pid}/status')
        for caps in ('CapPrm', 'CapEff', 'CapInh', 'CapAmb'):
            self.assertEqual(int(re.search(rf'{caps}:\s*(\w+)', status)[1], 16), 0)

    def test_state_is_saved_and_read_again(self):
        os.mkdir(self.path('d'))
        os.chown(self.path('d'), NOBODY, -1)
        with open(self.path('d/state'), 'w') as f:
            f.write('{"version": 2, "images": {}}')
        os.chmod(self.path('d/state'), 0o600)
        image = self.image(MIB, 'second.img')
        os.chown(image, NOBODY, -1)
        w = self.as_nobody(folder=self.path('d'), control=self.path('d/ctl'))
        self.assertEqual(os.stat(self.path('d/state')).st_uid, NOBODY)
        w.ctl('--add-target', 'b', image)
        self.assertEqual(os.stat(self.path('d/state')).st_uid, NOBODY)
        w.stop()
        w.daemon = self.start(w.argv, [self.path('d/nbd'), w.control])
        self.assertEqual([e['name'] for e in w.list()], ['a', 'b'])

    def test_configuration_it_may_not_read_again(self):
        """It was read as root at the start."""
        w, conf = self.as_nobody(), self.path('xnbd.conf')
        client = w.enter('a')
        os.chmod(conf, 0o600)
        self.assertEqual(w.refused('reload'), f'{conf}: Permission denied\n')
        self.assertTrue(client.in_sync() and w.enter('a').in_sync())
        os.chmod(conf, 0o644)
        self.assertEqual(w.ctl('reload'), '1 export unchanged\n')

    def test_state_folder_is_made_for_the_user(self):
        os.chmod(self.dir, 0o777)
        w = self.configured(f'wrapper {{ control = {self.path("ctl")} listen = {self.path("nbd")}\n'
                            f'state-file = {self.path("made/state")} user = nobody }}',
                            sockets=[self.path('nbd')])
        self.assertEqual(os.stat(self.path('made')).st_uid, NOBODY)
        image = self.image(MIB)
        os.chown(image, NOBODY, -1)
        w.ctl('--add-target', 'b', image)
        self.assertTrue(os.path.exists(self.path('made/state')))

    def test_state_folder_of_another(self):
        os.mkdir(self.path('theirs'), 0o755)
        conf = self.write(f'wrapper {{ control = {self.path("ctl")} listen = {self.path("nbd")}\n'
                          f'state-file = {self.path("theirs/state")} user = nobody }}')
        line = self.ends_at_once([xtest.program('xnbd-wrapper'), '--config', conf], 1)
        self.assertIn(f'state file {self.path("theirs/state")}: user nobody cannot write', line)
        self.assertFalse(os.path.exists(self.path('ctl')))

    def test_log_file_is_given_away(self):
        log = self.path('log')
        w = self.as_nobody(f'log = {log}')
        self.assertEqual(os.stat(log).st_uid, NOBODY)
        w.enter('a')

    def _ready(self, w):
        """Its log may be in a file."""
        self.addCleanup(self._settle, w)
        xtest.wait_for(lambda: w.ctl('--list', status=None).returncode == 0, 'ready')
        return w

    def test_only_root_can_change(self):
        conf = self.write(f'wrapper {{ {self.usual()} user = root }}')
        line = self.ends_at_once(['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}',
                                  '--clear-groups', xtest.program('xnbd-wrapper'), '--config', conf,
                                  '--xnbd-server', xtest.program('xnbd-server')], 1)
        self.assertIn('user "root": only root can become another user', line)

    def test_control_group(self):
        disk = grp.getgrnam('disk').gr_gid
        w = self.as_nobody('control-group = disk')
        s = os.stat(w.control)
        self.assertEqual((s.st_gid, stat.S_IMODE(s.st_mode)), (disk, 0o660))

        def ask(uid, gid, groups):
            return self.run_cmd('setpriv', f'--reuid={uid}', f'--regid={gid}', groups,
                                xtest.program('xnbd-wrapper-ctl'), '--socket', w.control, '--list',
                                status=None)
        self.assertEqual(ask(12345, 12345, f'--groups={disk}').returncode, 0)
        self.assertEqual(ask(12345, disk, '--clear-groups').returncode, 0)
        self.assertEqual(ask(NOBODY, self.group, '--clear-groups').returncode, 0)
        p = ask(12345, 12345, '--clear-groups')
        self.assertEqual(p.returncode, 1)
        self.assertIn('Permission denied', p.stderr)
        os.chmod(w.control, 0o666)
        p = ask(12345, 12345, '--clear-groups')
        self.assertEqual(p.returncode, 1)
        self.assertIn('members of its group may control it', p.stderr)


class Set(ConfigCase):
    """--set of xnbd-wrapper-ctl, kept in the state file."""

    def test_set_saved_and_restored(self):
        w = self.wrap()
        image = self.image(MIB)
        w.ctl('--add-target', 'a', image, '--set', 'threads=1', '--set', 'block-min=512',
              '--set', 'allow=unix', '--set', 'allow=192.0.2.0/24')
        want = {'threads': ['1'], 'block-min': ['512'], 'allow': ['unix', '192.0.2.0/24']}
        self.assertEqual(w.export('a')['settings'], want)
        client = rawnbd.Raw(w.address)
        self.addCleanup(client.close)
        client.enter('structured', 'a').read(0, 512)
        self.assertIn('--threads 1 --block-min 512', ' '.join(command_line(w.worker('a'))))
        w.stop()
        w.daemon = self.start(w.argv + ['--lsocket', w.socket], [w.socket, w.control])
        self.assertEqual(w.export('a')['settings'], want)

    def test_refused(self):
        w = self.wrap()
        image = self.image(MIB)
        for setting, says in (('threads=0', 'must be a number from 1 to 64'),
                              ('nonsense=1', 'no such setting'),
                              ('image=/x', 'no such setting'),
                              ('allow=all ', "'all ': must be all, unix"),
                              ('block-min=3', '3 is not a power of two'),
                              ('cow-block=8K', 'belongs to mode cow-target'),
                              ('origin-wait=1', 'belongs to mode proxy')):
            self.assertIn(says, w.refused('--add-target', 'a', image, '--set', setting))
        self.assertIn('must be KEY=VALUE', w.refused('--add-target', 'a', image, '--set', 'x',
                                                     status=2))
        self.assertEqual(w.list(), [])


if __name__ == '__main__':
    xtest.main()
