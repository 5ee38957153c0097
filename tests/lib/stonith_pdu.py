# SPDX-License-Identifier: GPL-2.0-or-later
"""A simulated PDU behind the real snmpd: this file is also its helper (pass_persist).

A PDU is a folder. relay.KEY says whether an outlet has power: "on" or "off". Everything else is a
fault, put there and taken away while it runs; those with .KEY are of one outlet:

  stuck.KEY        commands are acknowledged, the relay does not move
  lazy.KEY         it moves so many seconds after the command
  spring.KEY       so many seconds after it went off it goes on again by itself
  odd.KEY          its state reads as this number
  text.KEY         its state is an OCTET STRING
  missing.KEY      the PDU knows no such outlet
  unusable.KEY     the PDU says that it cannot be switched; commands have no effect
  refuse.KEY       commands are answered with this error (as snmpd calls it: inconsistent-value)
  keep.KEY         cancels are answered with an error
  pending.KEY      the PDU says for ever that a command is pending
  later.KEY        a command to come: "on AT", seconds of the monotonic clock; a cancel removes it
  stubborn.KEY     ... and another command does not
  read-only        all commands are refused
  silent           no answer at all
  mute-set         commands are carried out, but not answered
  slow             so many seconds for each object

sets.log has a line for each command that arrived: "KEY COMMAND". Everything that is there is read
anew for each object, so nothing has to be told to anybody.
"""

import os
import re
import select
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stonith_families import FAMILIES  # noqa: E402

ROOT = '.1.3.6.1.4.1.'
REBOOT_SECONDS = 5.0  # of the PDU's own reboot


def fill(pattern, key):
    """The identifier of an outlet's object."""
    parts = [int(p) for p in key.split('.')]
    found = re.sub(r'\{(\d)(?:\+(\d+))?\}',
                   lambda m: str(parts[int(m[1])] + int(m[2] or 0)), pattern)
    return ROOT + found


def write(path, text):
    """Readers see the old or the new content."""
    draft = f'{path}.{os.getpid()}.new'
    with open(draft, 'w') as f:
        f.write(text)
    os.rename(draft, path)


def read(path):
    try:
        with open(path) as f:
            return f.read().strip()
    except FileNotFoundError:
        return None


class Pdu:
    """What the folder says."""

    def __init__(self, folder, family):
        self.folder, self.family = folder, FAMILIES[family]

    def get(self, name, key=None):
        return read(self._path(name, key))

    def put(self, name, key=None, value=''):
        write(self._path(name, key), str(value))

    def drop(self, name, key=None):
        try:
            os.unlink(self._path(name, key))
        except FileNotFoundError:
            pass

    def _path(self, name, key):
        return os.path.join(self.folder, name if key is None else f'{name}.{key}')

    def has_cancel(self):
        return any(isinstance(c, str) or 'cancel' in c.values()
                   for c in self.family.controls.values())

    def relay(self, key):
        return self.get('relay', key) or 'on'

    def later(self, key, what, seconds):
        self.put('later', key, f'{what} {time.monotonic() + seconds}')

    def reboot(self, key):
        """As if somebody had pressed the button: off now, on in a while."""
        self.put('relay', key, 'off')
        self.later(key, 'on', REBOOT_SECONDS)

    def sets(self):
        """Commands that arrived: [(key, command)]."""
        return [tuple(line.split(' ', 1)) for line in (self.get('sets.log') or '').splitlines()]


class Helper(Pdu):
    """Answers snmpd."""

    def __init__(self, folder):
        super().__init__(folder, read(os.path.join(folder, 'family')))
        f, self.objects, self.writers = self.family, {}, {}
        for key in f.keys:
            for pattern, commands in f.controls.items():
                self._object(pattern, key, lambda k, c=commands: self.control_value(k, c))
                self.writers[fill(pattern, key)] = (key, commands)
            self._object(f.state, key, self.state_value)
            if f.pending:
                self._object(f.pending[0], key, self.pending_value)
            for pattern, yes, no in f.usable:
                self._object(pattern, key, lambda k, y=yes, n=no: self.usable_value(k, y, n))
            for pattern in (*([f.outlet_name] if f.outlet_name else []), *f.more_names):
                self._object(pattern, key, lambda k: ('string', self.outlet_name(k)))
            for pattern, value in f.each:
                self._object(pattern, key, lambda k, v=value: v)
            if f.watts:
                self._object(f.watts, key, lambda k: 123 if self.relay(k) == 'on' else 0)
        for number, value in f.extra:
            self.objects[ROOT + number] = (None, lambda k, v=value: v)

    def _object(self, pattern, key, function):
        self.objects[fill(pattern, key)] = (key, function)

    # Reading.

    def outlet_name(self, key):
        return self.get('name', key) or f'outlet {key}'

    def to_come(self, key):
        text = self.get('later', key)
        return text.split()[0] if text else None

    def state_value(self, key):
        odd = self.get('odd', key)
        if odd is not None:
            return int(odd)
        if self.get('text', key) is not None:
            return ('string', 'off')
        going = self.family.going.get(self.to_come(key))
        if going is not None:
            return going
        return self.family.on if self.relay(key) == 'on' else self.family.off

    def pending_value(self, key):
        to_come = self.to_come(key) or ('on' if self.get('pending', key) is not None else None)
        value = self.family.pending[1 if to_come else 2]
        return value[to_come or self.relay(key)] if isinstance(value, dict) else value

    def usable_value(self, key, yes, no):
        value = yes if self.get('unusable', key) is None else no
        return ('octet', value.hex()) if isinstance(value, bytes) else value

    def control_value(self, key, commands):
        how = self.family.control_read
        if how == 'state':
            return self.state_value(key)
        if how == 'timer':
            text = self.get('later', key)
            mine = text and text.split()[0] == commands.split()[1]
            return max(0, int(float(text.split()[1]) - time.monotonic())) if mine else -1
        if how == 'word':
            return next(v for v, c in commands.items() if c == self.relay(key))
        return how

    # Commands.

    def command(self, key, commands, value):
        """What snmpd is to answer."""
        if self.get('read-only') is not None:
            return 'not-writable'
        if self.get('refuse', key):
            return self.get('refuse', key)
        word = self._word(commands, value)
        if word is None:
            return 'wrong-value'
        if word.startswith('cancel') and self.get('keep', key) is not None:
            return 'inconsistent-value'
        with open(os.path.join(self.folder, 'sets.log'), 'a') as f:
            f.write(f'{key} {word}\n')
        if self.get('unusable', key) is None:
            self.carry_out(key, word)
        return 'DONE'

    @staticmethod
    def _word(commands, value):
        if not isinstance(commands, str):
            return commands.get(value)
        if value == -1:
            return 'cancel ' + commands.split()[1]
        return commands.split()[1] if value == 0 else f'late {commands.split()[1]}'

    def carry_out(self, key, word):
        if word.startswith('late '):
            self.later(key, word.split()[1], REBOOT_SECONDS)
        elif word == 'cancel' or word == f'cancel {self.to_come(key)}':
            self.drop('later', key)
        elif word in ('on', 'off'):
            if self.get('stubborn', key) is None:
                self.drop('later', key)
            self.switch(key, word)
        elif word == 'reboot':
            self.switch(key, 'off')
            self.later(key, 'on', REBOOT_SECONDS)

    def switch(self, key, to):
        if self.get('stuck', key) is not None:
            return
        lazy = self.get('lazy', key)
        if lazy and self.relay(key) != to:
            self.later(key, to, float(lazy))
            return
        self.move(key, to)

    def move(self, key, to):
        was = self.relay(key)
        self.put('relay', key, to)
        if to == 'off' and was != 'off' and self.get('spring', key):
            self.put('sprung', key, time.monotonic() + float(self.get('spring', key)))

    def tick(self):
        """Carries out what is due."""
        for name in os.listdir(self.folder):
            knob, _, key = name.partition('.')
            if knob in ('later', 'sprung') and key in self.family.keys:
                words = (self.get(knob, key) or '').split()
                if words and float(words[-1]) <= time.monotonic():
                    self.drop(knob, key)
                    if knob == 'sprung' or self.get('stuck', key) is None:
                        self.move(key, words[0] if knob == 'later' else 'on')

    # Talking.

    def hold(self, knob):
        parent = os.getppid()
        while self.get(knob) is not None and os.getppid() == parent:
            time.sleep(0.01)

    def answer_get(self, oid):
        key, function = self.objects.get(oid, (None, None))
        if function is None or (key is not None and self.get('missing', key) is not None):
            return ['NONE']
        value = function(key)
        kind, value = value if isinstance(value, tuple) else ('integer', value)
        return [oid, kind, str(value)]

    def answer_next(self, oid):
        def order(text):
            return [int(n) for n in text.strip('.').split('.')]
        after = sorted((o for o in self.objects if order(o) > order(oid)), key=order)
        return self.answer_get(after[0]) if after else ['NONE']

    def answer_set(self, oid, value):
        if oid not in self.writers or self.get('missing', self.writers[oid][0]) is not None:
            return ['not-writable']
        kind, _, number = value.partition(' ')
        if kind != 'integer':
            return ['wrong-type']
        found = self.command(*self.writers[oid], int(number.strip('"')))
        self.hold('mute-set')
        return [found]

    def answer(self, lines):
        self.hold('silent')
        time.sleep(float(self.get('slow') or 0))
        self.tick()
        if lines[0] == 'PING':
            return ['PONG']
        if lines[0] == 'set':
            return self.answer_set(lines[1], lines[2])
        return (self.answer_get if lines[0] == 'get' else self.answer_next)(lines[1])

    def run(self):
        wanted, lines, rest = {'PING': 1, 'get': 2, 'getnext': 2, 'set': 3}, [], b''
        while True:
            if not select.select([0], [], [], 0.05)[0]:
                self.tick()
                continue
            data = os.read(0, 65536)
            if not data:
                return
            *whole, rest = (rest + data).split(b'\n')
            for line in whole:
                if not line and not lines:
                    continue  # snmpd sends one behind a set
                lines.append(line.decode())
                if len(lines) == wanted.get(lines[0], 1):
                    os.write(1, ''.join(f'{text}\n' for text in self.answer(lines)).encode())
                    lines = []


if __name__ == '__main__':
    Helper(sys.argv[1]).run()
