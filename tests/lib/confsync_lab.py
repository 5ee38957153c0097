# SPDX-License-Identifier: GPL-2.0-or-later
"""Two nodes n1 and n2 that keep their configuration alike, and a link between them that can be cut.

A node is a namespace of processes, of mounts, and a host name, in a network of its own
(netlab.Host). It has its own /etc, /var, /run and /srv: folders of the test, NODE.at('/etc/x') is
where the test itself finds /etc/x of the node, also while the node is off. The real sshd is at
port 22; it has one key for each caller. A loss of power ends all processes of the node at once.
"""

import hashlib
import json
import os
import shlex
import shutil
import signal
import stat
import subprocess

import netlab
import sshd
import xtest
from stonith_fixture import section

LINK = netlab.LINK
PATHS = ('/etc/app', '/etc/app.conf')
FILES = {'/etc/app/a.conf': 'a one\n', '/etc/app/b.conf': 'b one\n', '/etc/app.conf': 'app one\n'}
ADDRESSES = {'n1': '192.0.2.1', 'n2': '192.0.2.2'}
CONFIG, KEY = '/etc/xnbd/confsync.conf', '/etc/xnbd/secret/confsync.key'
STATE = '/var/lib/xnbd/confsync'
OWN = ('etc', 'var', 'run', 'srv')
# What programs want to find in /etc.
ETC = ('alternatives', 'ld.so.cache', 'ld.so.conf', 'ld.so.conf.d', 'nsswitch.conf', 'localtime',
       'services', 'protocols', 'ssl/openssl.cnf')
PASSWD = """root:x:0:0:root:{home}:/bin/sh
daemon:x:1:1::/nonexistent:/usr/sbin/nologin
sshd:x:65533:65534::/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
"""
GROUP = 'root:x:0:\ndaemon:x:1:\nshadow:x:42:\nnogroup:x:65534:\n'
# Its init. $1: folder of the node, $2: its name. It collects who is left without a parent.
START = """read -r pid rest </proc/self/stat
mount -t proc proc /proc
for d in {own}; do mount --rbind "$1/$d" /$d; done
mount --bind "$1/home" /root
echo "$2" >/proc/sys/kernel/hostname
echo $pid >"$1/pid.new"; mv "$1/pid.new" "$1/pid"
while :; do sleep 1000 & wait; done""".format(own=' '.join(OWN))
# Reports of sanitizers come to the folder of the test; sshd gives its children no environment.
SANITIZER = 'ASAN_OPTIONS=log_path={0}/sanitizer UBSAN_OPTIONS=log_path={0}/sanitizer '


def write_file(path, data, mode=None):
    """As an administrator's editor does it at its worst: the file itself, in place."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    if mode is not None:
        os.chmod(path, mode)


class Node:
    """`folder`: of the test, has the node's folders and the keys."""

    def __init__(self, case, name):
        self.case, self.name, self.address = case, name, ADDRESSES[name]
        self.peer = 'n2' if name == 'n1' else 'n1'
        self.net = netlab.Host(case, self.address)
        self.folder = case.path(name)
        self.init = self.sshd = None
        for d in (*OWN, 'home'):
            os.makedirs(f'{self.folder}/{d}')
        for d in ('var/lib/xnbd', 'var/tmp', 'var/log', 'run/sshd', 'etc/xnbd', 'etc/ssl'):
            os.makedirs(f'{self.folder}/{d}', 0o755)
        self._fill_etc()
        for key in ('host', 'client', 'admin'):
            sshd.make_key(case, f'{self.folder}/{key}')
        write_file(self.at(KEY), xtest.text_of(f'{self.folder}/client'), 0o600)
        os.chmod(os.path.dirname(self.at(KEY)), 0o700)

    def _fill_etc(self):
        for name in ETC:
            if os.path.isdir(f'/etc/{name}'):
                shutil.copytree(f'/etc/{name}', self.at(f'/etc/{name}'), symlinks=True)
            elif os.path.exists(f'/etc/{name}'):
                shutil.copy(f'/etc/{name}', self.at(f'/etc/{name}'))
        self.write('/etc/hosts', '127.0.0.1 localhost\n' + ''.join(
            f'{address} {name}\n' for name, address in ADDRESSES.items()))
        self.users = {}
        self.add_users()

    def add_users(self, **users):
        """Users, and a group each, by name and number. For different numbers on the nodes."""
        self.users.update(users)
        passwd, group, shadow = PASSWD.format(home='/root'), GROUP, 'root:*:19000:0:99999:7:::\n'
        for name, number in self.users.items():
            passwd += f'{name}:x:{number}:{number}::/nonexistent:/bin/sh\n'
            group += f'{name}:x:{number}:\n'
        self.write('/etc/passwd', passwd)
        self.write('/etc/group', group)
        self.write('/etc/shadow', shadow, 0o600)

    # Power.

    def boot(self, sshd=True):
        """`recover`, which a unit does at boot, is up to the test."""
        pid = f'{self.folder}/pid'
        if os.path.exists(pid):
            os.unlink(pid)
        write_file(f'{self.folder}/init.sh', START)
        self.power = self.case.spawn([*self.net.prefix, 'unshare', '-m', '-u', '-p', '-f',
                                      '--kill-child', 'sh', f'{self.folder}/init.sh', self.folder,
                                      self.name])
        xtest.wait_for(lambda: os.path.exists(pid) or not self.power.is_alive(), 'node', 120)
        self.case.assertTrue(self.power.is_alive(), self.power.stderr())
        self.init = xtest.text_of(pid).strip()
        self.prefix = ['nsenter', f'--target={self.init}', '--mount', '--uts', '--pid', '--net',
                       '--wd=/', '--']
        if sshd:
            self.start_sshd()

    def cut_power(self):
        """What is on disk stays (and what was written, as the machine goes on)."""
        os.kill(int(self.init), signal.SIGKILL)
        self.power.wait()
        self.init = None

    # Processes there.

    def run(self, *argv, status=0, **options):
        """A command to its end; its stdout, or everything with status=None."""
        return self.case.run_cmd(*self.prefix, *argv, status=status, **options)

    def shell(self, text, **options):
        return self.run('sh', '-c', text, **options)

    def spawn(self, *argv, **options):
        return self.case.spawn([*self.prefix, *argv], **options)

    def popen(self, *argv, **options):
        return subprocess.Popen([*self.prefix, *argv], env=self.case._environment(None), **options)

    def _members(self):
        """{process id in the test's eyes: command line} of all but init."""
        found, space = {}, os.readlink(f'/proc/{self.init}/ns/pid')
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                if os.readlink(f'/proc/{pid}/ns/pid') == space:
                    found[int(pid)] = xtest.text_of(f'/proc/{pid}/cmdline').replace('\0', ' ')
            except OSError:
                pass
        del found[int(self.init)]
        return found

    def processes(self):
        """Those of them that a test is interested in."""
        return {p: line for p, line in self._members().items()
                if line and not line.startswith(('sleep ', '/usr/sbin/sshd', 'sshd: '))}

    @staticmethod
    def _kill(pids):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def kill_program(self, name='xnbd-confsync'):
        """All processes of the program on this node."""
        self._kill([pid for pid, line in self.processes().items()
                    if os.path.basename(line.split(' ')[0]) == name])

    def confsync(self, *args, status=0, **options):
        """xnbd-confsync to its end; its stdout, with status=None everything."""
        if status is None:
            return self.run(*self.confsync_argv(*args), status=None, **options)
        p = self.run(*self.confsync_argv(*args), status=None, **options)
        allowed = status if isinstance(status, tuple) else (status,)
        self.case.assertIn(p.returncode, allowed,
                           f'{self.name}: xnbd-confsync {" ".join(args)}: exit status '
                           f'{p.returncode}, not {status}\n{p.stdout}\n{p.stderr}\n'
                           f'sshd of {self.peer}: {self.other.sshd_log()[-2000:]}')
        return p.stdout + p.stderr if options.get('both') else p.stdout

    @staticmethod
    def confsync_argv(*args):
        return [xtest.program('xnbd-confsync'), f'--config={CONFIG}', *args]

    def json(self, *args, status=(0, 1, 3, 4, 5)):
        return json.loads(self.confsync('--json', *args, status=status))

    @property
    def other(self):
        return self.case.nodes[self.peer]

    # sshd.

    def public(self, key):
        return sshd.public(f'{self.folder}/{key}')

    def forced(self, prefix='', program=None):
        """What the peer's key may run here, and nothing else."""
        command = program or shlex.join(self.confsync_argv(f'--serve={self.peer}'))
        return f'{SANITIZER.format(self.case.dir)}exec {prefix} {command}'

    def authorize(self, forced=None, more=()):
        """FORCED: command of the peer's key, '' = no forced command. Logins of administrators, as
        other tools need them, are there too."""
        command = self.forced() if forced is None else forced
        lines = [sshd.entry(self.other.public('client'), command, 'restrict' if command else ''),
                 sshd.entry(self.other.public('admin'), options=''), *(f'{m}\n' for m in more)]
        write_file(f'{self.folder}/authorized_keys', ''.join(lines))

    def start_sshd(self):
        config = sshd.write_config(
            f'{self.folder}/sshd_config', f'{self.folder}/authorized_keys',
            [f'{self.folder}/host'], [self.address],
            more=['LogLevel INFO', 'MaxStartups 100', 'Subsystem sftp internal-sftp'])
        self.sshd = sshd.start(self.case, self.prefix, config)

    def stop_sshd(self):
        """And the conversations under way."""
        self._kill([pid for pid, line in self._members().items()
                    if line.startswith(('sshd: ', '/usr/sbin/sshd'))])
        self.sshd.wait()

    def sshd_log(self):
        return self.sshd.stderr() if self.sshd else ''

    def ssh_options(self, key='admin'):
        """Of OpenSSH's client here, for who calls the peer as an administrator."""
        known = f'{self.folder}/known_hosts'
        write_file(known, f'{ADDRESSES[self.peer]} {self.other.public("host")}\n')
        return ['-F', 'none', '-q', '-i', f'{self.folder}/{key}', '-o', 'IdentitiesOnly=yes', '-o',
                f'UserKnownHostsFile={known}', '-o', 'BatchMode=yes']

    def ssh(self, *command, key='admin'):
        return ['ssh', *self.ssh_options(key), f'root@{ADDRESSES[self.peer]}', *command]

    # Files.

    def at(self, path):
        return self.folder + path

    def write(self, path, data, mode=None):
        write_file(self.at(path), data, mode)

    def read(self, path):
        """None: there is no such file."""
        try:
            with open(self.at(path), 'rb') as f:
                return f.read().decode(errors='replace')
        except (FileNotFoundError, NotADirectoryError):
            return None

    def remove(self, path):
        where = self.at(path)
        if os.path.isdir(where) and not os.path.islink(where):
            shutil.rmtree(where)
        else:
            os.unlink(where)

    def exists(self, path):
        return os.path.lexists(self.at(path))

    def stat(self, path):
        return os.lstat(self.at(path))

    def mode(self, path):
        return stat.S_IMODE(self.stat(path).st_mode)

    def owner(self, path):
        """Names, as this node calls them."""
        s = self.stat(path)
        users = {0: 'root', 1: 'daemon', **{n: u for u, n in self.users.items()}}
        return f'{users.get(s.st_uid, s.st_uid)}:{users.get(s.st_gid, s.st_gid)}'

    def chown(self, path, user):
        number = {'root': 0, **self.users}[user]
        os.lchown(self.at(path), number, number)

    def tree(self, *paths):
        """{path: what it is}, of all that is there, found without our programs."""
        found = {}
        for path in paths:
            self._look(path, found)
        return found

    def _look(self, path, found):
        where = self.at(path)
        if not os.path.lexists(where):
            return
        s = os.lstat(where)
        more = tuple((n, os.getxattr(where, n, follow_symlinks=False))
                     for n in sorted(os.listxattr(where, follow_symlinks=False)))
        if stat.S_ISLNK(s.st_mode):
            found[path] = ('l', os.readlink(where), self.owner(path), more)
        elif stat.S_ISDIR(s.st_mode):
            found[path] = ('d', oct(s.st_mode & 0o7777), self.owner(path), more)
            for name in sorted(os.listdir(where)):
                self._look(f'{path}/{name}', found)
        elif stat.S_ISREG(s.st_mode):
            with open(where, 'rb') as f:
                digest = hashlib.sha256(f.read()).hexdigest()
            found[path] = ('f', oct(s.st_mode & 0o7777), self.owner(path), digest, more)
        else:
            found[path] = ('?', s.st_mode)

    def digest(self, *paths):
        """One text for all of tree(): equal if all is equal."""
        return hashlib.sha256(repr(sorted(self.tree(*paths).items())).encode()).hexdigest()


class Case(xtest.Case):
    """self.n1, self.n2, linked, with sshd, keys, and nothing else configured."""

    def setUp(self):
        super().setUp()
        self.require(*sshd.PROGRAMS, 'nsenter', 'ip', 'nft', root=True)
        self.nodes = {}
        for name in ADDRESSES:
            self.nodes[name] = Node(self, name)
        self.n1, self.n2 = self.nodes.values()
        self.join()
        self.before_boot()
        for node in self.nodes.values():
            node.authorize()
            node.boot()

    def before_boot(self):
        """The moment for small()."""

    def small(self, node, path, size):
        """From boot on, PATH of the node is a file system of its own, of this size."""
        xtest.own_namespace()
        os.makedirs(node.at(path), exist_ok=True)
        self.run_cmd('mount', '-t', 'tmpfs', '-o', f'mode=755,size={size}', 'none', node.at(path))
        self.addCleanup(self._unmount, node.at(path))

    def join(self):
        self.n1.net.run('ip', 'link', 'add', LINK, 'type', 'veth', 'peer', 'name', LINK, 'netns',
                        self.n2.net.path)
        for node in self.nodes.values():
            node.net.run('ip', 'address', 'add', f'{node.address}/24', 'dev', LINK)
            node.net.run('ip', 'link', 'set', LINK, 'up')

    def cut(self):
        """The network: what is sent from now on is lost, nobody is told."""
        for node in self.nodes.values():
            node.net.run('nft', '-f', '-', input=netlab.CUT)

    def mend(self):
        for node in self.nodes.values():
            node.net.run('nft', 'delete', 'table', 'inet', 'lab')

    # Configuration.

    def configure(self, *sets, nodes=('n1', 'n2'), peers=None, **general):
        """SETS: (name, {key: value}), in the file's words. PEERS: {node: {key: value}}, more of
        sections `node`. The same file on all NODES."""
        keys = {'connect-timeout': 5, 'deadline': 60, **general}
        text = section('confsync', None, keys)
        for name, node in self.nodes.items():
            words = {'address': node.address, 'host-key': node.public('host'),
                     **(peers or {}).get(name, {})}
            text += section('node', name, words)
        for name, words in sets:
            text += section('set', name, words)
        for name in nodes:
            self.nodes[name].write(CONFIG, text, 0o644)
        return text

    # A set `app`: the folder /etc/app/ and the file /etc/app.conf.

    def begin(self, files=FILES, general=None, **keys):
        """FILES {path: text} are on both nodes, as generation 1 of the set. KEYS: of the set; words
        with a hyphen are given with '_'."""
        keys = {k.replace('_', '-'): v for k, v in keys.items()}
        self.configure(('app', {'paths': list(PATHS), **keys}), **(general or {}))
        for path, text in files.items():
            self.n1.write(path, text, 0o600 if keys.get('kind') == 'secret' else None)
        if keys.get('kind') == 'secret':
            os.chmod(self.n1.at('/etc/app'), 0o700)
        self.n1.confsync('push', '--from-here')
        self.app_in_step()

    def app_in_step(self):
        """Files, generation and digest; and both nodes say so."""
        self.in_step(*PATHS)
        known = [self.status(n) for n in (self.n1, self.n2)]
        for s in known:
            self.assertEqual(s['state'], 'in step', known)
        self.assertEqual(known[0]['digest'], known[1]['digest'])
        self.assertEqual(known[0]['generation'], known[1]['generation'])
        self.no_leftovers()

    def no_leftovers(self):
        """Temporary names of ours, on either node."""
        for node in (self.n1, self.n2):
            self.assertEqual([p for p in node.tree('/etc/app', '/srv') if '/.xnbd-confsync.' in p],
                             [], node.name)

    def status(self, node, name='app'):
        """The set's part of `status --json`."""
        return next(s for s in node.json('status', name)['sets'] if s['set'] == name)

    def in_step(self, *paths):
        """Asserts that the nodes have the same files, owners by name."""
        self.assertEqual(self.n1.tree(*paths), self.n2.tree(*paths))

