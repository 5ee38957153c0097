# SPDX-License-Identifier: GPL-2.0-or-later
"""The real sshd for tests: keys, what a key may do, its configuration, its start; and Far, another
host for OpenSSH's client.

Far is this machine as well: on the pipes of ssh's ProxyCommand, so there is no port and nothing is
left behind, or at an address of a namespace (netlab.Host), where it can be cut off.
"""

import os
import shlex

import netlab
import xtest

PROGRAMS = ('/usr/sbin/sshd', 'ssh', 'ssh-keygen', 'unshare', 'mount')
# With a /run of its own, in which it wants a folder. $0 and what follows are the caller's.
RUN = 'mount -t tmpfs none /run; mkdir -m 755 /run/sshd; '
COMMON = """PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
"""


def make_key(case, path, kind='ed25519', bits=None):
    """PATH of the private one."""
    case.run_cmd('ssh-keygen', '-q', '-t', kind, *(['-b', str(bits)] if bits else []), '-N', '',
                 '-C', os.path.basename(path), '-f', path)
    return path


def public(path):
    return xtest.text_of(f'{path}.pub').strip()


def entry(key, command=None, options='restrict'):
    """The line of authorized_keys for the text of a public key. COMMAND: the forced one."""
    if command:
        quoted = command.replace('\\', '\\\\').replace('"', '\\"')
        options = ','.join([*filter(None, [options]), f'command="{quoted}"'])
    return f'{options} {key}'.strip() + '\n'


def write_config(path, authorized, host_keys, listen=(), root='prohibit-password', more=()):
    """PATH. LISTEN: addresses, with a port unless it is 22. MORE: lines; first ones count."""
    lines = [f'ListenAddress {a}' for a in listen] + [f'HostKey {k}' for k in host_keys]
    lines += [*more, f'AuthorizedKeysFile {authorized}', f'PermitRootLogin {root}']
    with open(path, 'w') as f:
        f.write('\n'.join(lines) + '\n' + COMMON)
    return path


def start(case, argv, config):
    """ARGV: what stands before the words of sshd. The daemon, when it listens."""
    daemon = case.spawn([*argv, '/usr/sbin/sshd', '-D', '-e', '-f', config])
    xtest.wait_for(lambda: 'Server listening' in daemon.stderr() or not daemon.is_alive(), 'sshd')
    case.assertTrue(daemon.is_alive(), daemon.stderr())
    return daemon


class Far:
    """Host 'far' for a client with `config` (-F of ssh). Its files are those of this machine."""

    def __init__(self, case, command=None, host=None):
        """COMMAND: the key's forced one, else whatever is asked for. HOST: of netlab; None: sshd
        is started for each connection."""
        case.require(*PROGRAMS, root=True)
        self.case, self.host, self.daemon = case, host, None
        self.folder = case.path('far-ssh')
        if not os.path.exists(self.folder):
            os.mkdir(self.folder)
            for name in ('host', 'user'):
                make_key(case, self._at(name))
        self.config = self._at('ssh_config')
        self.allow(command)
        self._write()

    def _at(self, name):
        return f'{self.folder}/{name}'

    def allow(self, command):
        with open(self._at('authorized'), 'w') as f:
            f.write(entry(public(self._at('user')), command))

    def _write(self):
        """Both sides."""
        self.sshd_config = write_config(
            self._at('sshd_config'), self._at('authorized'), [self._at('host')],
            [self.host.address] if self.host else [],
            more=['LogLevel INFO' if self.host else 'LogLevel ERROR'])
        if self.host:
            way = f'HostName {self.host.address}'
        else:
            way = 'ProxyCommand ' + shlex.join(['unshare', '-m', 'sh', '-c', RUN + 'exec "$@"', 'sh',
                                                '/usr/sbin/sshd', '-i', '-e', '-f',
                                                self.sshd_config])
        with open(self._at('known'), 'w') as f:
            f.write(f'far {" ".join(public(self._at("host")).split()[:2])}\n')
        with open(self.config, 'w') as f:
            f.write('\n'.join([
                'Host far', '  User root', f'  IdentityFile {self._at("user")}',
                '  IdentitiesOnly yes', f'  UserKnownHostsFile {self._at("known")}',
                '  HostKeyAlias far', f'  {way}']) + '\n')

    def boot(self):
        self.daemon = start(self.case, [*self.host.prefix, 'unshare', '-m', 'sh', '-c',
                                        RUN + 'exec "$@"', 'sh'], self.sshd_config)

    def log(self):
        return self.daemon.stderr()

    def halt(self):
        """Nobody listens any more."""
        self.daemon.kill()


class Lab(netlab.Lab):
    """Where the test is and, over a link that can be cut, where the far sshd is: .a and .b."""

    def __init__(self, case, command=None):
        super().__init__(case)
        self.far = Far(case, command, self.b)
        self.far.boot()
