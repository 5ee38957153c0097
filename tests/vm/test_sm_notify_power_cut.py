# SPDX-License-Identifier: GPL-2.0-or-later
"""Power cuts under sm-notify (case 71): a guest logs each write to the disk of a state directory,
and each state of the disk that a cut could have left is mounted here, on the host, where sm-notify
is run again. Whatever it had done: every peer is told at least once, with a number larger than any
told before; no record, and no line of one, is lost before its peer answered; nothing but records is
taken for a peer.

What was told before the cut is in the log itself: marks made by the peers in the guest
(sm_witness.c) before they answer. In the guest there are two runs, the first ended while some peers
are silent; in between new records come for the same peers. All that is done several times:

- quiet: nothing else writes, so the file system commits when sm-notify says so, and only then;
- busy: something else has it commit all the time, so at moments that sm-notify did not choose, and
  names may be on disk long before content (data=writeback);
- blind: sm-notify's fsync does nothing, or nothing for files (no_files) or folders (no_folders).
  That is the control: here cuts have to do harm, and the same checks have to see it.

TEST_SEED repeats the choice of states between two flushes, and of those that are judged where there
are very many.
"""

import contextlib
import hashlib
import os
import re
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import logged_disk  # noqa: E402
import sm_fixture  # noqa: E402
import xtest  # noqa: E402
from logged_disk import BLIND, BUSY, CALM, COMMIT  # noqa: E402

ADDRESSES = [f'127.0.0.{n}' for n in range(11, 20)]
MOVED, JOINED, COVERED, OLD, SECOND, HALF, ASIDE, TEMPORARY, TWO = ADDRESSES
OTHER_COOKIE = 'f' * 32
MIXED = 0.3  # share of places with a state between two flushes
JUDGED = 1000  # writes in a log: a busy one has more if the machine is slow
line = sm_fixture.line

# Records: {file: content}. The second part comes after the first run. A peer is told its names one
# after the other, in the order in which such a text was first seen anywhere: so the silent one is
# the last of them, and none is called as a file is.
FIRST = {
    'sm/moved.lab.test': line(MOVED, 'a.lab.test'),
    'sm/joined': line(JOINED, 'new'),
    'sm.bak/joined': line(JOINED, 'former'),
    'sm/covered': line(COVERED, 'a'),
    'sm.bak/covered': line(COVERED, 'a', cookie=OTHER_COOKIE),
    'sm/covered.new': line(COVERED, 'a') + line(COVERED, 'cut'),  # rpc.statd was cut off
    'sm.bak/old': line(OLD, 'a'),
    'sm.bak/.+second': line(SECOND, 'x'),  # left by a crash, as is what follows
    'sm.bak/second': line(SECOND, 'y'),
    'sm.bak/half': 'garbage\n' + line(HALF, 'z'),
    'sm/two': line(TWO, 'one') + line(TWO, 'other') + line(TWO, 'silent'),
}
LATER = {
    'sm/moved.lab.test': line(MOVED, 'b.lab.test'),
    'sm/joined': line(JOINED, 'later'),  # the old one is still there
    'sm/two': line(TWO, 'later'),
}
NO_RECORDS = {
    'sm.bak/.sm-notify.tmp': line(ASIDE, 'never')[:80],
    '.state.new': '\x01',
    'sm/garbage': 'garbage',
    'sm/not a name': line(ASIDE, 'never'),
    'sm/temporary.new': line(TEMPORARY, 'never', end=''),
}
REJECTED = ['garbage', 'half', 'not a name', 'temporary.new']
LEFT = {'': line(JOINED, 'former') + line(HALF, 'z') + line(TWO, 'silent')}  # by the first run
SILENT = {'former', 'z', 'silent'}

FILES = [f'--trace-path=/disk/state/{name}' for name in ('.state.new', 'sm.bak/.sm-notify.tmp')]
FOLDERS = [f'--trace-path=/disk/state{name}' for name in ('', '/sm', '/sm.bak')]


def wanted_of(files):
    """{(address, my_name): the lines that may stand for it}"""
    wanted = {}
    for content in files.values():
        for text in content.splitlines():
            if len(fields := text.split()) == 7:
                wanted.setdefault((fields[5], fields[6]), set()).add(text)
    return wanted


def names_of(my):
    return {my, my.split('.')[0]}


def all_told(wanted, told):
    """Those of `wanted` that are over and done with."""
    return {(a, my) for a, my in wanted if {(a, name) for name in names_of(my)} <= told}


def lay_out(where):
    """The disk before the first run."""
    for folder in ('sm', 'sm.bak'):
        os.makedirs(f'{where}/state/{folder}', 0o700)
        os.chown(f'{where}/state/{folder}', sm_fixture.OWNER, sm_fixture.OWNER)
        os.makedirs(f'{where}/later/{folder}')
    with open(f'{where}/state/state', 'wb') as f:
        f.write(struct.pack('<i', 5))
    for top, files in (('state', FIRST | NO_RECORDS), ('later', LATER)):
        for name, content in files.items():
            with open(f'{where}/{top}/{name}', 'w', encoding='latin-1') as f:
                f.write(content)
            os.chmod(f.name, 0o600)
            os.chown(f.name, sm_fixture.OWNER, sm_fixture.OWNER)
            os.utime(f.name, (1000, 1000))


class History:
    """What the marks of a log say: how much had been told at any of them."""

    def __init__(self, marks):
        self.marks, self.packets = marks, {}  # run: its first packet
        numbers, run = {}, 0
        for n, text in enumerate(marks):
            what = text.split('/')
            if what[0] == 'begin':
                run += 1
            elif what[0] in ('asked', 'told', 'heard'):
                self.packets.setdefault(run, n)
                if what[0] != 'asked':
                    numbers.setdefault(run, set()).add(int(what[3]))
        self.numbers = numbers

    def told(self, count):
        """(address, name) answered for in the first `count` marks."""
        rows = [text.split('/') for text in self.marks[:count]]
        return {(row[1], row[2]) for row in rows if row[0] == 'told'}

    def number(self, count):
        """The largest told by then. A run's own counts from its first packet, even to rpcbind."""
        began = [run for run, first in self.packets.items() if first < count]
        return max((n for run in began for n in self.numbers.get(run, ())), default=0)

    def wanted(self, count):
        """Records that were durable."""
        later = wanted_of(LATER) if 'recorded' in self.marks[:count] else {}
        return wanted_of(FIRST) | later


class SmNotifyPowerCut(logged_disk.Case, sm_fixture.Case):
    GUEST = {'modules': logged_disk.Case.MODULES,
             'programs': (xtest.program('sm-notify'), xtest.program('sm_witness'),
                          *logged_disk.Case.PROGRAMS)}
    SCENARIOS = ('quiet', 'busy', 'blind', 'no_files', 'no_folders')

    @classmethod
    def make_disk(cls, folder, name):
        path = f'{folder}/empty'
        if not os.path.exists(path):
            lay_out(f'{folder}/root')
            logged_disk.make_file_system(path, cls.SIZE, f'{folder}/root')
        with open(path, 'rb') as f:
            return f.read()

    def setUp(self):
        super().setUp()
        self.where = self.path('mounted')
        os.mkdir(self.where)
        self.state = f'{self.where}/state'

    # In the guest.

    def run_there(self, files, silent, prefix):
        """One run; ended when all have been told that answer."""
        witness = self.guest.start('sm_witness', 'power', ','.join(sorted(silent)), *ADDRESSES)
        xtest.wait_for(lambda: 'ready' in self.printed(witness), 'witness', 60, 0.1)
        self.kill_at_end(witness)
        self.mark('begin')
        job = self.guest.start(*prefix, 'sm-notify', '--foreground', '--force', '-m', '0', '-P',
                               '/disk/state', '--run-dir', '/tmp/run', '--proc-root', '/tmp/proc')
        self.kill_at_end(job)
        expected = {f'told/{address}/{name}/' for address, my in wanted_of(files)
                    if my not in silent for name in names_of(my)}
        expected |= {f'/{name}/' for name in silent}  # heard, or told

        def missing():
            text = self.printed(witness)
            return [e for e in expected if e not in text]
        with contextlib.suppress(AssertionError):
            xtest.wait_for(lambda: not missing() or not self.guest.is_running(job), '', 100, 0.1)
        self.assertEqual(missing(), [], self.printed(witness)[:2000] + self.printed(job))
        status, log = self.guest.end(job) if silent else self.guest.wait(job)
        self.assertIn(status, (143,) if silent else (0, 1), log)
        self.guest.end(witness, 'KILL')

    def kill_at_end(self, job):
        self.at_end(f'[ -e {job}.status ] || kill -KILL $(cat {job}.pid)', None)

    def printed(self, job):
        return self.guest.run(f'cat {job}.log')

    def live(self, name, prefix=()):
        """Two runs, each write logged."""
        with self.step(name):
            self.open_disk(name)
            self.mount_there('power', '/disk', 'writeback' if name == 'busy' else 'ordered')
            self.guest.run('mkdir -p /tmp/proc; rm -rf /tmp/run; mkdir /tmp/run')
            if name == 'busy':
                self.guest.run(BUSY)
            self.run_there(FIRST, SILENT, prefix)
            self.guest.run(COMMIT)
            moves = '; '.join(f'mv /disk/later/{file} /disk/state/{file}' for file in LATER)
            self.guest.run(f'{moves}; sync')
            self.mark('recorded')
            self.run_there(LATER | LEFT, set(), prefix)
            self.guest.run(f'{CALM}; {COMMIT}; umount /disk; '
                           'dmsetup remove --retry power')

    # After a cut.

    def digest(self):
        """Of all names and contents in the state directory."""
        rows = []
        for folder, _, files in os.walk(self.state):
            rows += [(folder, name, self.content(os.path.join(folder, name))) for name in files]
        return hashlib.sha256(repr(sorted(rows)).encode()).digest()

    def lines(self):
        """All that may be records: temporary files are none, those not yet joined are."""
        found = set()
        for folder in ('sm', 'sm.bak'):
            for name in self.names(folder):
                path = os.path.join(self.state, folder, name)
                if os.path.isfile(path) and (name[0] != '.' or name.startswith('.+')):
                    found.update(self.content(path).decode('latin-1').splitlines())
        return found

    def check_disk(self, wanted, number):
        """Faults seen before sm-notify is run again."""
        found, state = self.lines(), self.content('state')
        lost = sorted(who for who, lines in wanted.items() if not lines & found)
        if lost:
            yield f'lost: {lost}'
        if len(state) != 4 or struct.unpack('<i', state)[0] < number:
            yield f'number: {state} on disk, {number} was told'

    def check_run(self, wanted, number):
        """And after it."""
        os.system(f'rm -f {self.run_dir}/*')
        self.peers.told.clear()
        self.peers.asked.clear()
        log = self.notify('--retry-seconds', '60', status=None)
        self.assertIn(self.status, (0, 1), log)
        again = {n & 0xffffffff for n in self.peers.states()}
        untold = set(wanted) - all_told(wanted, {(a, name) for a, name, _ in self.peers.told})
        if untold:
            yield f'untold: {sorted(untold)}'
        if any(n <= number or n % 2 == 0 for n in again):
            yield f'number: {again} is told, {number} was before'
        if self.peers.asked & {ASIDE, TEMPORARY}:
            yield f'stranger: {self.peers.asked & {ASIDE, TEMPORARY}}'
        yield from self.check_end()

    def check_end(self):
        rejected = {re.sub(r'~\d+$', '', name) for name in self.names('sm.bak/.rejected')}
        rest = self.names('sm'), self.names('sm.bak'), sorted(rejected)
        if rest != ([], ['.rejected'], REJECTED):
            yield f'left: {rest}'

    def faults_of(self, name):
        """[(state, what is wrong)] of a log, and what there was to judge."""
        entries = self.entries(name)
        history = History([e for e in entries if isinstance(e, str)])
        faults, seen, numbers, count = [], set(), set(), 0
        for s in self.states(name, entries, MIXED):
            if self.rnd.random() > JUDGED / len(entries):
                continue
            count += 1
            wanted = history.wanted(s.marks_before)
            for who in all_told(wanted, history.told(s.marks_before)):
                del wanted[who]
            number = history.number(s.marks_after)
            with self.mounted(s.content, (self.where, 0, self.SIZE)):
                key = self.digest(), tuple(sorted(wanted)), number
                if key in seen:
                    continue
                seen.add(key)
                numbers.add(self.content('state'))
                for check in (self.check_disk, self.check_run):
                    faults += [(s.what, text) for text in check(wanted, number)]
        print(f'{name}: {len(history.marks)} marks, {count} states of the disk, {len(seen)} '
              f'different, {len(faults)} faults', file=sys.stderr)
        return faults, len(seen), numbers

    def check_sound(self, name):
        self.live(name)
        faults, seen, numbers = self.faults_of(name)
        self.assertEqual(faults, [])
        self.assertGreater(seen, 15)
        self.assertEqual({struct.unpack('<i', n)[0] for n in numbers}, {5, 7, 9})

    def test_quiet(self):
        self.check_sound('quiet')

    def test_busy(self):
        self.check_sound('busy')

    def check_control(self, name, expected, paths=()):
        """Without these fsyncs there has to be harm."""
        self.live(name, (*BLIND, *paths))
        kinds = {text.split(':')[0] for _, text in self.faults_of(name)[0]}
        self.assertGreaterEqual(kinds, expected)

    def test_blind(self):
        self.check_control('blind', {'number', 'lost', 'untold'})

    def test_no_files(self):
        self.check_control('no_files', {'number', 'lost', 'untold'}, FILES)

    def test_no_folders(self):
        self.check_control('no_folders', {'number'}, FOLDERS)


if __name__ == '__main__':
    xtest.main()
