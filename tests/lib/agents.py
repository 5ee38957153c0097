# SPDX-License-Identifier: GPL-2.0-or-later
"""The cluster agents as a cluster calls them, on a host of the test's own (netlab.py).

Agent is one resource: start, stop, monitor by the OCF rules, or by heartbeat's. Case has the host
.a, where agents run, and .b, where clients are; the folder .ocf has the agents, as installed, and
.bin programs that only the test has. Needs root.
"""

import os
import shutil
import signal
import subprocess

import netlab
import wrapper_fixture
import xtest

SCRIPTS = os.path.abspath(os.path.join(xtest.HERE, '..', '..', 'scripts'))
KINDS = ('block', 'confsync', 'smnotify', 'vg', 'wrapper')
SUCCESS, GENERIC, ARGS, UNIMPLEMENTED, INSTALLED, CONFIGURED, NOT_RUNNING = 0, 1, 2, 3, 5, 6, 7
FORKS = 'clone,clone3,fork,vfork'  # where a shell begins its next step
MOST_STEPS = 400


class Agent:
    """A resource of one kind with its parameters."""

    def __init__(self, case, kind, resource=None, **parameters):
        self.case, self.kind, self.name = case, kind, resource or kind
        self.env = {'OCF_ROOT': '/usr/lib/ocf', 'OCF_RESOURCE_INSTANCE': self.name,
                    'OCF_RESKEY_CRM_meta_timeout': '60000',
                    'OCF_RESKEY_CRM_meta_interval': '10000', **case.agent_env,
                    **{f'OCF_RESKEY_{k}': str(v) for k, v in parameters.items()}}

    def argv(self, action):
        return [*self.case.a.prefix, f'{self.case.ocf}/{self.kind}', action]

    def run(self, action, status=SUCCESS, prefix=(), **env):
        """Calls it; what it printed on standard error. Status None: the finished process."""
        argv = self.argv(action)
        argv[len(self.case.a.prefix):0] = prefix
        p = self.case.run_cmd(*argv, status=None, env={**self.env, **env})
        if status is None:
            return p
        self.case.assertEqual(p.returncode, status, f'{self.name} {action}\n{p.stdout}\n{p.stderr}')
        if status not in (SUCCESS, NOT_RUNNING):
            self.case.assertIn('ocf-exit-reason:', p.stderr)
        return p.stderr

    def start(self, status=SUCCESS, **env):
        return self.run('start', status, **env)

    def stop(self, status=SUCCESS, **env):
        return self.run('stop', status, **env)

    def monitor(self, status=SUCCESS, **env):
        return self.run('monitor', status, **env)

    def probe(self, status):
        return self.monitor(status, OCF_RESKEY_CRM_meta_interval='0')

    def killed_at(self, action, step):
        """Is the agent, and what it had begun, killed at its step number `step`? False: it has not
        so many."""
        argv = self.argv(action)
        argv[len(self.case.a.prefix):0] = [
            'strace', '-qq', '-o', '/dev/null', '-e', f'trace={FORKS}', '-e', 'signal=none',
            '-e', f'inject={FORKS}:signal=SIGKILL:when={step}']
        p = subprocess.Popen(argv, env=self.case._environment(self.env), start_new_session=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        try:
            status = p.wait(120)
        finally:
            try:
                os.killpg(p.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            p.wait()
        self.case.assertIn(status, (0, -signal.SIGKILL), f'{action} at step {step}')
        return status != 0

    def heartbeat(self, *args, status=SUCCESS):
        """Calls it as heartbeat does; what it printed."""
        p = self.case.run_cmd(*self.case.a.prefix, f'{SCRIPTS}/heartbeat/xnbd-{self.kind}', *args,
                              status=None, env=self.case.heartbeat_env)
        self.case.assertEqual(p.returncode, status, f'{args}\n{p.stdout}\n{p.stderr}')
        return p.stdout

    def tester(self):
        """ocf-tester's judgement."""
        given = [w for k, v in self.env.items() if k.startswith('OCF_RESKEY_') and 'CRM' not in k
                 for w in ('-o', f'{k.removeprefix("OCF_RESKEY_")}={v}')]
        p = self.case.run_cmd(*self.case.a.prefix, 'ocf-tester', '-n', self.name, *given,
                              f'{self.case.ocf}/{self.kind}', status=None, env=self.case.agent_env)
        self.case.assertEqual(p.returncode, 0, f'{p.stdout}\n{p.stderr}')
        self.case.assertIn('passed all tests', p.stdout)
        self.case.assertNotIn('* rc=', p.stdout)


class Case(wrapper_fixture.WrapperCase):

    def setUp(self):
        super().setUp()
        self.require('nft', 'ss', 'strace', '/usr/sbin/ocf-tester', root=True)
        lab = netlab.Lab(self)
        self.a, self.b = lab.a, lab.b
        self.ocf, self.bin = self.path('ocf'), self.path('bin')
        shutil.copytree(f'{SCRIPTS}/ocf', self.ocf)
        os.mkdir(self.bin)
        folders = {os.path.dirname(xtest.program(n)) for n in ('xnbd-wrapper', 'xnbd-server')}
        self.agent_env = {'HA_RSCTMP': self.path('marks'), 'HA_logfacility': 'none',
                          'PATH': ':'.join([self.bin, *folders, os.environ['PATH']])}
        self.heartbeat_env = {**self.agent_env, 'XNBD_OCF_DIR': self.ocf}

    def agent(self, kind, resource=None, **parameters):
        return Agent(self, kind, resource, **parameters)

    def program(self, name, text):
        """A program of this test alone."""
        with open(f'{self.bin}/{name}', 'w') as f:
            f.write(f'#!/bin/sh\n{text}\n')
        os.chmod(f.name, 0o755)

    def tables(self):
        """Names of nftables' tables on the host."""
        return [line.split()[-1] for line in self.a.run('nft', 'list', 'tables').splitlines()]

    def is_held(self):
        return 'expires' in self.a.run('nft', 'list', 'ruleset')

    def kill_at_every_step(self, agent, check, truth=lambda code: None, actions=('start', 'stop')):
        """Actions are cut short at each of their steps: a monitor then says what is so, and
        truth(its exit code) looks whether it is; a start makes the best of what is there, or a stop
        ends it, and when it is stopped check() must hold."""
        agent.stop()
        for action in actions:
            for step in range(1, MOST_STEPS):
                if action == 'stop':
                    agent.start()
                was_killed = agent.killed_at(action, step)
                code = agent.run('monitor', None).returncode
                self.assertIn(code, (SUCCESS, NOT_RUNNING, GENERIC))
                truth(code)
                if step % 2 and code != GENERIC:  # a failure has always a stop behind it
                    agent.start()
                    agent.monitor()
                agent.stop()
                agent.monitor(NOT_RUNNING)
                check()
                if not was_killed:
                    break
            self.assertGreater(step, 2, 'steps are not found')
            self.assertLess(step, MOST_STEPS - 1)
