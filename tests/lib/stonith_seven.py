# SPDX-License-Identifier: GPL-2.0-or-later
"""Situations in which fence agents have said "off" about a node that is on: each with our agent and the
distribution's, on the same simulated PDU. For a test (ours is right in each), and for bench/stonith
(a table).

A PDU of one make is enough, as all of the agents know it. What counts is whether the node n1 has power
after the answer, and a while later.
"""

import dataclasses
import os
import time

import stonith_agents
import stonith_fixture
import stonith_pdu

AGENTS = ('fence_xnbd', 'fence_xnbd ip=', 'external/xnbd', 'fence_apc_snmp', 'apcmastersnmp',
          'external/rackpdu')
OURS = AGENTS[:3]
KNOBS = ('odd', 'stuck', 'later', 'name')
SETTLE_SECONDS = stonith_pdu.REBOOT_SECONDS + 2


@dataclasses.dataclass
class Situation:
    """`keys` is what the agents are told of n1, `feeds` what n1 really has; `names` are the PDU's, for
    agents that go by them; `listed` is the file that external/rackpdu may have instead."""
    number: str
    text: str
    keys: tuple
    feeds: tuple
    names: tuple = ()
    listed: str = ''
    knobs: tuple = ()  # (name, key, value)
    reboot: str = ''  # key of the outlet whose button was pressed
    settle: float = 0
    can_succeed: bool = True  # a good agent has it off; else the good answer is a failure
    fenced: bool = False  # parameters as Pacemaker's fencer gives them


SITUATIONS = (
    Situation('1', 'two power supplies, all is well', ('1', '2'), ('1', '2'),
              names=(('1', 'n1'), ('2', 'n1'))),
    Situation('2', 'outlet 77 by mistake, it does not exist', ('77',), ('7',), can_succeed=False),
    Situation('3', 'the PDU reports "unknown" and does nothing', ('1',), ('1',),
              names=(('1', 'n1'),), knobs=(('odd', '1', 4), ('stuck', '1', '')),
              can_succeed=False),
    Situation('4', 'two power supplies, one relay is stuck', ('1', '2'), ('1', '2'),
              names=(('1', 'n1'), ('2', 'n1')), knobs=(('stuck', '2', ''),), can_succeed=False),
    Situation('5', 'somebody pressed "reboot" at the PDU: off, on in 5 s', ('1',), ('1',),
              names=(('1', 'n1'),), reboot='1', settle=SETTLE_SECONDS),
    Situation('6a', 'two power supplies called n1, beside one of n10', ('2', '3'), ('2', '3'),
              names=(('1', 'n10'), ('2', 'n1'), ('3', 'n1'))),
    Situation('6b', 'one power supply, its relay is stuck', ('1',), ('1',), names=(('1', 'n1'),),
              knobs=(('stuck', '1', ''),), can_succeed=False),
    Situation('6c', 'n10 stands in front of n1 in a list', ('2',), ('2',),
              names=(('1', 'n10'), ('2', 'n1')), listed='n10=1\nn1=2\n'),
    Situation('6d', 'outlet 257 by mistake, 1 is another node\'s', ('257',), ('7',),
              listed='n1=257\n', can_succeed=False),
    Situation('7', 'as Pacemaker calls with pcmk_host_map="n1:1,5"', ('1', '5'), ('1', '5'),
              fenced=True),
)


@dataclasses.dataclass
class Answer:
    claims_off: bool
    is_off: bool
    seconds: float
    said: str

    def is_false(self):
        return self.claims_off and not self.is_off

    def text(self):
        if self.is_false():
            return 'FALSE SUCCESS'
        return 'off' if self.claims_off else 'fails'


class Case(stonith_agents.Case):

    def setUp(self):
        super().setUp()
        self.require('fence_apc_snmp', f'{stonith_agents.SBIN}/stonith', 'snmpset', 'ping')
        self.sim = self.pdu('pdu')
        self.install_plugin()
        self.tell = {'fence_xnbd': self._ours, 'fence_xnbd ip=': self._ours_direct,
                     'external/xnbd': self._our_plugin, 'fence_apc_snmp': self._fence_apc,
                     'apcmastersnmp': self._apcmaster, 'external/rackpdu': self._rackpdu}

    def try_all(self, situation):
        """Agent -> Answer, or None if it cannot be told of this."""
        return {agent: self.try_one(situation, agent) for agent in AGENTS}

    def try_one(self, situation, agent):
        self._prepare(situation)
        start = time.monotonic()
        p = self.tell[agent](situation)
        if p is None:
            return None
        took = time.monotonic() - start
        off_now = self._is_off(situation)
        if p.returncode == 0:
            time.sleep(situation.settle)
        return Answer(p.returncode == 0, off_now and self._is_off(situation), took,
                      p.stdout + p.stderr)

    def _is_off(self, situation):
        return 'on' not in self.sim.relays(*situation.feeds)

    def _prepare(self, s):
        for name in os.listdir(self.sim.folder):
            knob, _, key = name.partition('.')
            if knob in KNOBS and key:
                self.sim.drop(knob, key)
        for key in self.sim.family.keys:
            self.sim.put('relay', key, 'on')
        for key, name in s.names:
            self.sim.put('name', key, name)
        for knob, key, value in s.knobs:
            self.sim.put(knob, key, value)
        self.configure([self.sim], {'n1': [f'pdu:{k}' for k in s.keys]}, deadline=3)
        if s.reboot:
            self.sim.reboot(s.reboot)

    # How each agent is told.

    def _ours(self, _situation):
        return self.agent('off', None, config=self.config, plug='n1', nodename='n1')

    def _ours_direct(self, s):
        return self.agent('off', None, plug=','.join(s.keys), nodename='n1', power_timeout=3,
                          snmp_version='2c', **self.direct(self.sim))

    def _our_plugin(self, _situation):
        return self.stonith_tool('external/xnbd', '-T', 'off', 'n1', status=None,
                                 config=self.config)

    def _fence_apc(self, s):
        args = {'ip': self.sim.address, 'community': stonith_fixture.COMMUNITY, 'action': 'off',
                'nodename': 'n1', 'snmp_version': '2c', 'plug': ','.join(s.keys)}
        if not s.fenced:
            args['power_timeout'] = 5
        lines = ''.join(f'{k}={v}\n' for k, v in args.items())
        return self.checked([*self.host.prefix, 'fence_apc_snmp'], None, input=lines)

    def _glue(self, plugin, **parameters):
        return self.stonith_tool(plugin, '-T', 'off', 'n1', status=None,
                                 community=stonith_fixture.COMMUNITY, **parameters)

    def _apcmaster(self, s):
        """It goes by names of outlets and by nothing else."""
        if s.fenced or not s.names:
            return None
        return self._glue('apcmastersnmp', ipaddr=self.sim.address, port=161)

    def _rackpdu(self, s):
        if s.fenced or not (s.names or s.listed):
            return None
        where = {}
        if s.listed:
            where['outlet_config'] = self.path('outlets')
            stonith_pdu.write(where['outlet_config'], s.listed)
        return self._glue('external/rackpdu', hostlist='n1', pduip=self.sim.address, **where)
