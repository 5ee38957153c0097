# SPDX-License-Identifier: GPL-2.0-or-later
"""PDUs on a network of their own, and stonith.conf about them.

Each PDU is the real snmpd at an address of 127/8 in a namespace of the test, with a helper that plays
the outlets (stonith_pdu.py). Our programs run in the same namespace. Needs root, snmpd, iproute2.
"""

import json
import os
import signal
import socket
import sys

import netlab
import stonith_pdu
import xtest
from stonith_families import FAMILIES

COMMUNITY, READ_ONLY = 'write-secret', 'read-secret'
USER, AUTH, PRIV = 'shooter', 'auth-pass-phrase', 'priv-pass-phrase'
HERE = os.path.dirname(os.path.abspath(__file__))


class SimPdu(stonith_pdu.Pdu):
    """One that runs. `address` is for the configuration; relays are on at first."""

    def __init__(self, case, name, family='apc-rpdu', address=None, system=None, auth='SHA-256',
                 priv='AES', start=True):
        self.case, self.name, self.auth, self.priv = case, name, auth, priv
        self.daemon = None
        case.sim_pdus.append(self)
        self.address = address or f'127.0.1.{len(case.sim_pdus)}'
        folder = case.path(f'pdu-{name}')
        os.mkdir(folder)
        super().__init__(folder, family)
        self.system = system or self.family.system
        self.put('family', value=family)
        for key in self.family.keys:
            self.put('relay', key, 'on')
        self._write_conf()
        if start:
            self.start()

    def _write_conf(self):
        lines = [f'agentAddress udp:{self.address}:161',
                 f'rwcommunity {COMMUNITY}', f'rocommunity {READ_ONLY}',
                 f'createUser {USER} {self.auth} {AUTH} {self.priv} {PRIV}', f'rwuser {USER} priv',
                 f'sysObjectID .1.3.6.1.4.1.{self.system}',
                 f'pass_persist .1.3.6.1.4.1.{self.family.base} {sys.executable} -IBS '
                 f'{HERE}/stonith_pdu.py {self.folder}']
        stonith_pdu.write(f'{self.folder}/snmpd.conf', ''.join(f'{line}\n' for line in lines))

    def begin(self):
        """Starts it and returns at once."""
        env = {'MIBS': '', 'SNMP_PERSISTENT_DIR': f'{self.folder}/persistent'}
        self.daemon = self.case.spawn(
            [*self.case.host.prefix, 'snmpd', '-f', '-C', '-c', f'{self.folder}/snmpd.conf', '-I',
             '-smux', '-Lf', f'{self.folder}/snmpd.txt'], env=env)

    def start(self):
        self.begin()
        self.wait_until_up()

    def wait_until_up(self):
        """It answers, and its helper does."""
        state = stonith_pdu.fill(self.family.state, self.family.keys[0])

        def is_up():
            self.case.assertTrue(self.daemon.is_alive(), xtest.text_of(f'{self.folder}/snmpd.txt'))
            return ask(self.case.host, self.address, state)
        xtest.wait_for(is_up, f'PDU {self.name}')

    def stop(self):
        """Its power is gone: nobody answers, the port is closed."""
        self.daemon.kill()

    def restart(self):
        self.stop()
        self.start()

    def freeze(self):
        """It is there and does not answer."""
        self.daemon.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.daemon.send_signal(signal.SIGCONT)

    def relays(self, *keys):
        return [self.relay(key) for key in keys or self.family.keys]


def ber(tag, body):
    return bytes([tag, len(body)]) + body


def ask(host, address, oid):
    """A GET of version 2c with an answer that has no error? (Short ones only.)"""
    numbers = [int(n) for n in oid.strip('.').split('.')]
    name = bytes([numbers[0] * 40 + numbers[1]])
    for n in numbers[2:]:
        septets = [n & 127]
        while n > 127:
            n >>= 7
            septets.insert(0, n & 127 | 128)
        name += bytes(septets)
    bind = ber(0x30, ber(0x30, ber(6, name) + b'\x05\0'))
    pdu = ber(0xa0, b'\x02\x01\x01\x02\x01\0\x02\x01\0' + bind)
    query = ber(0x30, b'\x02\x01\x01' + ber(4, READ_ONLY.encode()) + pdu)
    with host.within(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as s:
        s.settimeout(0.3)
        try:
            s.sendto(query, (address, 161))
            return s.recv(1500)[-2:] not in (b'\x80\0', b'\x81\0', b'\x82\0')
        except OSError:
            return False


class Case(xtest.Case):

    def setUp(self):
        super().setUp()
        self.require('snmpd', 'ip', 'nsenter', root=True)
        os.chmod(self.dir, 0o777)  # a sanitizer of the helpers, who are nobody, writes there
        self.host = netlab.Host(self, '127.0.0.1')
        self.sim_pdus, self.config = [], self.path('stonith.conf')
        self.log, self.run_dir = self.path('audit'), self.path('run')
        self.general = {'dwell': 100, 'deadline': 30, 'on-pause': 50, 'self': 'n2'}
        self.addCleanup(self._thaw)

    def _thaw(self):
        for p in self.sim_pdus:
            if p.daemon:
                p.thaw()

    # PDUs and configuration.

    def pdu(self, name, family='apc-rpdu', **options):
        return SimPdu(self, name, family, **options)

    def pair(self, **options):
        """Two PDUs, and node n1 with an outlet on each."""
        left, right = self.pdu('left', **options), self.pdu('right', **options)
        key = left.family.keys[0]
        self.configure([left, right], {'n1': [f'left:{key}', f'right:{key}']})
        return left, right

    def secret(self, text):
        path = self.path(f'secret-{text}')
        with open(path, 'w', opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
            f.write(f'{text}\n')
        return path

    def login(self, pdu, version='2c', community=COMMUNITY, user=USER, auth=AUTH, priv=PRIV):
        if version != '3':
            return {'version': version, 'community-file': self.secret(community)}
        return {'version': '3', 'user': user, 'auth': pdu.auth, 'auth-file': self.secret(auth),
                'priv': pdu.priv, 'priv-file': self.secret(priv)}

    def configure(self, pdus, nodes, login=None, pdu_keys=None, node_keys=None, extra='',
                  **general):
        """Nodes: name -> outlets; n2, who shoots, has the last ones. Keys: of all PDUs, nodes."""
        nodes = dict(nodes)
        nodes.setdefault('n2', [f'{p.name}:{p.family.keys[-1]}' for p in pdus])
        general = {'audit-log': self.log, 'run-directory': self.run_dir, **self.general, **general}
        text = section('stonith', None, general)
        for p in pdus:
            keys = {'address': p.address, 'profile': p.family.name, **self.login(p, **(login or {})),
                    **(pdu_keys or {})}
            text += section('pdu', p.name, keys)
        for name, outlets in nodes.items():
            shooters = [next(n for n in nodes if n != 'n2') if name == 'n2' else 'n2']
            text += section('node', name, {'outlets': outlets, 'shooters': shooters,
                                           **(node_keys or {})})
        stonith_pdu.write(self.config, text + extra)

    # Running.

    def argv(self, *args, program='xnbd-stonith'):
        return [*self.host.prefix, xtest.program(program), f'--config={self.config}', *args]

    def stonith(self, *args, status=0, **options):
        """To its end: process with .returncode, .stdout, .stderr. Status None: any."""
        p = self.run_cmd(*self.argv(*args), status=None, **options)
        if status is not None:
            self.assertEqual(p.returncode, status, f'{args}\n{p.stdout}\n{p.stderr}')
        return p

    def asked(self, *args, status=0, **options):
        """The same, its JSON."""
        return json.loads(self.stonith(*args, '--json', status=status, **options).stdout)

    def begin(self, *args, **options):
        return self.spawn(self.argv(*args), **options)

    # Looking.

    def lines(self):
        """Of the audit log."""
        return [json.loads(line) for line in xtest.text_of(self.log).splitlines()]

    def check_log(self, *outcomes):
        """The chain is whole; the outcomes of the shots in it are these."""
        self.assertTrue(self.asked('audit')['good'])
        self.assertEqual([e['outcome'] for e in self.lines() if e['event'] == 'end'],
                         list(outcomes))

    def assert_never(self, word, *pdus):
        """No PDU was told that."""
        for p in pdus:
            self.assertNotIn(word, [command for _, command in p.sets()], p.name)

    def assert_not_off(self, p, text=''):
        """An answer that does not claim that the node is off."""
        self.assertEqual(p.returncode, 1, p.stdout + p.stderr)
        self.assertNotIn('n1 is off', p.stdout + p.stderr)
        self.assertIn(text, p.stderr)


def section(kind, title, keys):
    def value(v):
        if isinstance(v, (list, tuple)):
            return '{' + ', '.join(f'"{x}"' for x in v) + '}'
        return v if v in ('true', 'false') else str(v) if isinstance(v, int) else f'"{v}"'
    name = f' "{title}"' if title else ''
    return f'{kind}{name} {{\n' + ''.join(f'\t{k} = {value(v)}\n' for k, v in keys.items()) + '}\n'


def families():
    return list(FAMILIES)
