# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that alone reaches the PDUs, a node that goes by it, and what they say to each other.

The proxy is the namespace of the PDUs (stonith_fixture.py), with the real sshd at 192.0.2.1; the
node n2 is another one, 192.0.2.2, which reaches nothing else. sshd has users and keys of its own.
Caller speaks the protocol by itself, so that what our client never says is said as well.
"""

import hashlib
import hmac
import os
import shlex
import subprocess
import time

import netlab
import sshd
import stonith_fixture
import stonith_pdu
import xtest
from stonith_fixture import section

PROXY, NODE, PORT = '192.0.2.1', '192.0.2.2', 2222
PROXY6, NODE6 = 'fd77::1', 'fd77::2'
SHOOTER = 54321  # a user on the proxy's host who is not root
SECRET, OTHER_SECRET = 'what-both-of-them-know', 'what-nobody-else-knows'
PASSWD = """root:x:0:0:root:{home}:/bin/sh
sshd:x:65533:65534::/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
shooter:x:{uid}:{uid}::{home}:/bin/sh
"""
# With users as above.
START = sshd.RUN + 'mount --bind "$0/passwd" /etc/passwd; mount --bind "$0/shadow" /etc/shadow; ' \
    'exec "$@"'


class Case(stonith_fixture.Case):

    def setUp(self):
        super().setUp()
        self.require(*sshd.PROGRAMS, root=True)
        self.node = netlab.Host(self, NODE)
        self.host.run('ip', 'link', 'add', 'link0', 'type', 'veth', 'peer', 'name', 'link0',
                      'netns', self.node.path)
        for host, four, six in ((self.host, PROXY, PROXY6), (self.node, NODE, NODE6)):
            host.run('ip', 'address', 'add', f'{four}/24', 'dev', 'link0')
            host.run('ip', 'address', 'add', f'{six}/64', 'dev', 'link0', 'nodad')
            host.run('ip', 'link', 'set', 'link0', 'up')
        self.etc = self.path('etc')
        os.mkdir(self.etc)
        self.host_key = self.make_key('host')
        del self.general['self']
        self.left, self.right = self.pdu('left'), self.pdu('right')
        self.set_up_proxy()

    # Keys.

    def make_key(self, name, kind='ed25519', bits=None):
        """Path of the private one."""
        return sshd.make_key(self, f'{self.etc}/{name}', kind, bits)

    @staticmethod
    def public(path):
        return sshd.public(path)

    # The proxy's host.

    def callers(self, **keys):
        n2 = {'victims': ['n1'], 'secret-file': self.secret(SECRET), 'rate': 60, **keys}
        n4 = {'victims': ['n3'], 'secret-file': self.secret(OTHER_SECRET), 'rate': 60}
        return section('caller', 'n2', n2) + section('caller', 'n4', n4)

    def set_up_proxy(self, node_keys=None, general=None, **keys):
        """Nodes n1 and n3; n2 may shoot n1, n4 may shoot n3. Keys: of caller n2."""
        self.configure([self.left, self.right],
                       {'n1': ['left:1', 'right:1'], 'n3': ['left:3', 'right:3']},
                       node_keys={'shooters': [], **(node_keys or {})},
                       extra=self.callers(**keys), **(general or {}))

    def forced(self, caller='n2'):
        return shlex.join([xtest.program('xnbd-stonith'), f'--config={self.config}',
                           f'--proxy={caller}'])

    def start_sshd(self, keys, host_keys=None, more=()):
        """KEYS: private key -> command. MORE: lines of its configuration."""
        stonith_pdu.write(f'{self.etc}/authorized_keys', ''.join(
            sshd.entry(self.public(key), command, f'restrict,from="{NODE},{NODE6}"')
            for key, command in keys.items()))
        stonith_pdu.write(f'{self.etc}/passwd', PASSWD.format(home=self.etc, uid=SHOOTER))
        stonith_pdu.write(f'{self.etc}/shadow',
                          ''.join(f'{u}:*:19000:0:99999:7:::\n' for u in ('root', 'shooter')))
        conf = sshd.write_config(
            f'{self.etc}/sshd_config', f'{self.etc}/authorized_keys',
            host_keys or [self.host_key], [f'{PROXY}:{PORT}', f'[{PROXY6}]:{PORT}'],
            'forced-commands-only', ['ExposeAuthInfo yes', 'LogLevel VERBOSE', 'MaxStartups 100',
                                     *more])
        self.sshd = sshd.start(self, [*self.host.prefix, 'unshare', '-m', 'sh', '-c', START,
                                      self.etc], conf)

    def start_proxy(self, **options):
        """sshd with one key, n2's; and n2's configuration."""
        self.key = self.make_key('n2')
        self.start_sshd({self.key: self.forced()}, **options)
        self.set_up_node()

    # The node.

    def set_up_node(self, key=None, host_key=None, secret=SECRET, deadline=30, node_keys=None,
                    **keys):
        self.node_config, self.node_log = self.path('node.conf'), self.path('node.audit')
        general = {'self': 'n2', 'audit-log': self.node_log, 'deadline': deadline, 'dwell': 100,
                   'run-directory': self.path('node.run')}
        gate = {'address': PROXY, 'port': PORT, 'user': 'root', 'key-file': key or self.key,
                'host-key': self.public(host_key or self.host_key),
                'secret-file': self.secret(secret), **keys}
        text = section('stonith', None, general) + section('proxy', 'gate', gate)
        for name in ('n1', 'n2', 'n3'):
            text += section('node', name, {'proxy': 'gate', 'policy': 'cycle',
                                           'shooters': ['n1' if name == 'n2' else 'n2'],
                                           **(node_keys or {})})
        stonith_pdu.write(self.node_config, text)

    def node_argv(self, *args):
        return [*self.node.prefix, xtest.program('xnbd-stonith'), f'--config={self.node_config}',
                *args]

    def shoot(self, *args, status=0, **options):
        """On the node, to its end."""
        p = self.run_cmd(*self.node_argv(*args), status=None, **options)
        self.assertEqual(p.returncode, status,
                         f'{args}\n{p.stdout}\n{p.stderr}\n{self.sshd.stderr()[-3000:]}')
        return p

    def ssh(self, command='', key=None):
        """The conversation's other way: OpenSSH's client."""
        known = f'{self.etc}/known_hosts'
        stonith_pdu.write(known, f'[{PROXY}]:{PORT} {self.public(self.host_key)}\n')
        return [*self.node.prefix, 'ssh', '-F', 'none', '-q', '-i', key or self.key, '-p',
                str(PORT), '-o', f'UserKnownHostsFile={known}', '-o', 'IdentitiesOnly=yes', '-o',
                'BatchMode=yes', '--', f'root@{PROXY}', *([command] if command else [])]

    # Looking.

    def refusals(self):
        """Of the proxy's audit log: why."""
        return [e['why'] for e in self.lines() if e['event'] == 'proxy-refused']

    def assert_untouched(self, *keys):
        for p in (self.left, self.right):
            told = [s for s in p.sets() if not keys or s[0] in keys]
            self.assertEqual(told, [], p.name)


class Caller:
    """Speaks the protocol over the pipes of a process, as a client does or as none should."""

    def __init__(self, case, argv, secret=SECRET):
        self.case, self.secret, self.hash = case, secret, bytes(32)
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, env=case._environment(None))
        case.addCleanup(self.end)

    def end(self):
        self.process.kill()
        for f in (self.process.stdin, self.process.stdout):
            try:
                f.close()
            except BrokenPipeError:
                pass
        self.process.wait()

    def _chain(self, side, line):
        self.hash = hashlib.sha256(self.hash + side + line).digest()

    def _mac(self, label):
        return hmac.new(self.secret.encode(), label + b'\0' + self.hash, 'sha256').hexdigest()

    def line(self):
        """The next one of theirs, '' at the end."""
        line = self.process.stdout.readline().rstrip(b'\n')
        self.mac_before = self._mac(b'xnbd-stonith answer')
        self._chain(b'S', line)
        return line.decode()

    def send(self, data):
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def hang_up(self):
        self.process.stdin.close()

    def request(self, victim='n1', action='off', within=20000, why='a test', clock=None):
        """The bytes of one."""
        now = int(time.time()) if clock is None else clock
        first = f'shoot {action} {now} {within} {os.urandom(32).hex()} {victim} {why}'.encode()
        self._chain(b'C', first)
        second = b'mac ' + self._mac(b'xnbd-stonith request').encode()
        self._chain(b'C', second)
        return first + b'\n' + second + b'\n'

    def ask(self, **fields):
        """After the challenge: sends a request, returns it."""
        self.case.assertRegex(self.line(), '^hello 1 [0-9a-f]{64} [0-9]+$')
        sent = self.request(**fields)
        self.send(sent)
        return sent

    def answer(self):
        """What is left: (lines, is the answer proven?)."""
        lines = []
        while True:
            line = self.line()
            if not line:
                return lines, False
            lines.append(line)
            if line.startswith('mac '):
                return lines, hmac.compare_digest(line[4:], self.mac_before)
