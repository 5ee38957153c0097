# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs of xnbd-backup on files: a configuration, what is said of each volume, and what is there."""

import glob
import json
import os

import xtest

HOUR = 3600


def quote(value):
    if isinstance(value, list):
        return '{' + ', '.join(map(quote, value)) + '}'
    if isinstance(value, str):
        return '"' + value.replace('\\', '\\\\').replace('"', '\\"').replace('$', '\\$') + '"'
    return str(value).lower()


def section(head, keys):
    return '\n'.join([head + ' {', *(f'\t{k} = {quote(v)}' for k, v in keys.items()), '}', ''])


class BackupMixin:
    """.state, .config; configure() first. .prefix stands before the command line; .env: more of
    the environment."""
    prefix, env = (), {}

    def configure(self, volumes, general=None, defaults=None):
        """{name: {key: value}}; the path of backup.conf."""
        self.state, self.config = self.path('state'), self.path('backup.conf')
        tools = self.path('lvm_tools.conf')
        with open(tools, 'w') as f:
            f.write('MIN_TRANSFER_RATE=0\n')
        general = {'state-directory': self.state, 'tools-config': tools, **(general or {})}
        with open(self.config, 'w') as f:
            f.write(section('backup', general))
            f.write(section('defaults', {'every': 24, **(defaults or {})}))
            for name, keys in volumes.items():
                f.write(section(f'volume "{name}"', keys))
        return self.config

    def programs(self):
        """An environment in which xnbd-backup finds the programs of the build."""
        folders = {os.path.dirname(xtest.program(p)) for p in ('lvm_copy', 'xnbd-wrapper-ctl')}
        return {'PATH': ':'.join([*sorted(folders), os.environ['PATH']]), **self.env}

    def argv(self, *args):
        return [*self.prefix, xtest.program('xnbd-backup'), '-c', self.config, *args]

    def backup(self, *args, status=0, seconds=120):
        """Runs it; stdout."""
        return self.run_cmd(*self.argv(*args), status=status, env=self.programs(), seconds=seconds)

    def run_all(self, *args, status=0):
        """{volume: its report}"""
        p = self.run_cmd(*self.argv('run', '--json', *args), status=None, env=self.programs())
        if status is not None:
            self.assertEqual(p.returncode, status, p.stderr + p.stdout)
        return {v['volume']: v for v in json.loads(p.stdout)['volumes']}

    def start_run(self, *args):
        return self.spawn(self.argv('run', '--force', *args), env=self.programs())

    def begun(self, daemon, pattern, blocks=1):
        """Waits for a copy to be on its way."""
        def look():
            self.assertTrue(daemon.is_alive(), daemon.stderr())
            return any(os.stat(p).st_blocks >= blocks for p in glob.glob(self.path(pattern)))
        xtest.wait_for(look, pattern)

    def list(self, *args):
        return json.loads(self.backup('list', '--json', *args))

    def records(self, volume):
        with open(os.path.join(self.state, f'{volume}.json')) as f:
            return json.load(f)

    def age(self, volume, hours):
        """Its copies are so much older from now on."""
        records = self.records(volume)
        for copy in records['copies']:
            copy['time'] -= int(hours * HOUR)
        self.put_records(volume, records)

    def put_records(self, volume, records):
        with open(os.path.join(self.state, f'{volume}.json'), 'w') as f:
            json.dump(records, f)

    def refused(self, *args, status=2):
        """What it says then."""
        p = self.run_cmd(*self.argv(*args), status=None, env=self.programs())
        self.assertEqual(p.returncode, status, p.stderr + p.stdout)
        return p.stderr

    def verify(self, target):
        """TARGET is a whole copy, as lvm_copy says."""
        self.run_cmd(xtest.program('lvm_copy'), '--verify', target.removeprefix('file:'))

    def verify_all(self, volume):
        """All copies that count are whole; how many there are."""
        good = [c for c in self.list(volume) if c['state'] == 'good']
        for copy in good:
            self.verify(copy['target'])
        return len(good)


class Case(BackupMixin, xtest.Case):
    pass
