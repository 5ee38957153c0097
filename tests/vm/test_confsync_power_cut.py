# SPDX-License-Identifier: GPL-2.0-or-later
"""Power cuts under xnbd-confsync: a guest logs each write to the disk of a set and of its state,
and each state of the disk that a cut could have left is mounted here, on the host, and recovered.
Whatever was going on: the set's files are exactly those of a generation that was in force before or
was to be, the generation in force says the same, and what a command had reported stays: afterwards
it is the new one, or after a failure the one before.

In the guest: files are edited, nobody syncs them, and `push` makes a generation of them; `rollback`
changes files; reload commands fail after either. While files are edited and not published they are
nobody's, and only the generation is checked. The peer does not answer. All that is done several
times:

- quiet: nothing else writes, so the file system commits when xnbd-confsync says so, and only then;
- busy: something else has it commit all the time, so at moments that xnbd-confsync did not choose,
  and names may be on disk long before content (data=writeback);
- apart: the set is on another file system than its state, on the same disk;
- blind: xnbd-confsync's syncs do nothing, or nothing for files that were edited (edits). That is a
  control: here cuts have to do harm, and the same checks have to see it.

Another control: before `recover`, cuts leave files that are not those of the generation in force.

TEST_SEED repeats the choice of states between two flushes, and of those that are judged where there
are very many.
"""

import grp
import hashlib
import json
import os
import pwd
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import logged_disk  # noqa: E402
import xtest  # noqa: E402
from logged_disk import BLIND, BUSY, CALM, COMMIT  # noqa: E402
from xtest import MIB  # noqa: E402

HALF = 6 * MIB  # `apart`: of each file system
DISK = '/media/disk'  # in the guest and, in a namespace of our own, here
SET, STATE = f'{DISK}/set', f'{DISK}/state/app'
CONFIG = '/confsync.conf'  # in the guest
PREFIX = '.xnbd-confsync.'
MIXED = 0.3  # share of places with a state between two flushes
# Writes in a log: a busy one has more if the machine is slow.
JUDGED, JUDGED_CONTROL = 100, 50
DONE, FAILED, USAGE, PENDING, BEHIND, HELD = range(6)
NORMAL = (PENDING, BEHIND, HELD)  # exit statuses without a peer; HELD: after a refusal
HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAaQy7zQxSkOaGn0OURwtlBWbggSGUKPEJoedjF9tlYM'
# Nobody listens at the peer's port. There is a command between commit and end, so cuts come there.
CONFIG_TEXT = f"""confsync {{
	self = "n1"
	state-directory = "{DISK}/state"
	key-file = "/confsync.key"
	fence-log = ""
}}
node "n1" {{ address = "127.0.0.1" host-key = "{HOST_KEY}" }}
node "n2" {{ address = "127.0.0.2" port = 9 host-key = "{HOST_KEY}" }}
set "app" {{
	paths = {{"{SET}/app/", "{SET}/app.conf"}}
	symlinks = true
	validate = "test -e %r{SET}/app.conf"
	reload = "{COMMIT} 2>/dev/null; test ! -e /tmp/refuse"
	writer = "manual"
}}
"""
PASSWD = b'root:x:0:0::/:/bin/sh\ndaemon:x:1:1::/:/bin/sh\n'
GROUP = b'root:x:0:\ndaemon:x:1:\n'

# The set's files, as shell lines that make them of those before.
EDITS = {
    'first': """mkdir -p app/sub/deep
for f in a b gone kind sub/c sub/deep/d sub/deep/e; do echo "first $f" >app/$f.conf; done
mv app/kind.conf app/kind
echo top >app.conf
seq 1 3000 >app/big.conf
ln -s a.conf app/link""",
    'second': """echo 'second, and longer' >app/a.conf
echo b >app/b.new; mv app/b.new app/b.conf
rm -r app/gone.conf app/kind app/sub/deep
mkdir -p app/kind app/new/folder
for f in more kind/inner new/f new/folder/g; do echo "second $f" >app/$f.conf; done
seq 2 3001 >app/big.conf
chmod 600 app/sub/c.conf; chmod 750 app/sub
chown 1:1 app.conf
rm app/link; ln -s b.conf app/link""",
    'third': """echo 'third!' >app/a.conf
rm -r app/kind app/sub
echo kind >app/kind; echo sub >app/sub
rm app/big.conf
for f in 1 2 3 4 5 6; do echo "third $f" >app/third.$f; done
chmod 700 app; echo top >>app.conf""",
}


class Step:
    """files: what the set is to become. before: what the administrator does to the files, '' if the
    program does it all. refused: the reload command fails, so nothing changes in the end."""

    def __init__(self, name, files, words, before='', refused=False):
        self.name, self.files, self.words = name, files, words
        self.before, self.refused = before, refused
        self.status = FAILED if refused else PENDING


PUSH = 'push --from-here'
STEPS = (
    Step('push2', 'second', PUSH, EDITS['second']),
    Step('back1', 'first', 'rollback app 1'),
    Step('badback', 'second', 'rollback app 2', refused=True),
    Step('back2', 'second', 'rollback app 2'),
    Step('badpush', 'third', PUSH, EDITS['third'], refused=True),
    Step('push3', 'third', PUSH, EDITS['third']),
    Step('back3', 'first', 'rollback app 1'),
)


def shell(script, folder):
    return f'umask 022; cd {folder} && {{ set -e; {script}\n}}'


def look(path, found):
    """{path: its line of a manifest}, of all that is there."""
    s = os.lstat(path)
    mode = f'{s.st_mode & 0o7777:04o}'
    owner = f'{pwd.getpwuid(s.st_uid)[0]} {grp.getgrgid(s.st_gid)[0]}'
    if stat.S_ISDIR(s.st_mode):
        found[path] = f'd {mode} {owner}'
        for name in os.listdir(path):
            look(f'{path}/{name}', found)
    elif stat.S_ISLNK(s.st_mode):
        found[path] = f'l {owner} {os.readlink(path)}'
    else:
        with open(path, 'rb') as f:
            digest = hashlib.file_digest(f, 'sha256').hexdigest()
        found[path] = f'f {mode} {owner} {s.st_size} {digest}'


def manifest(folder):
    """Of the set's files, as if FOLDER were its folder; without temporary names."""
    found = {}
    for name in ('app', 'app.conf'):
        if os.path.lexists(f'{folder}/{name}'):
            look(f'{folder}/{name}', found)
    rows = sorted((SET + path.removeprefix(folder), what) for path, what in found.items())
    return ''.join(f'{what} {path}\n' for path, what in rows if not own(path))


def digest_of(text):
    return hashlib.sha256(text.encode()).hexdigest()


def own(path):
    """Is it a temporary name, or beneath one?"""
    return f'/{PREFIX}' in path


def leftovers(folder):
    found = {}
    look(folder, found)
    return [path for path in found if own(path)]


def lay_out(root, files):
    """The disk before: both nodes have agreed on generation 1, FILES."""
    state = f'{root}/state/app'
    subprocess.run(['cp', '-a', f'{files}/.', f'{root}/set'], check=True)
    text = manifest(files)
    os.makedirs(state, 0o700)
    os.chmod(os.path.dirname(state), 0o700)
    with open(f'{state}/generation', 'w') as f:
        f.write(f"""xnbd-confsync 1
set app
number 1
vector n1 1
parent {64 * '0'}
digest {digest_of(text)}
transaction {16 * '1'}
origin n1
time 1700000000
reason push
files {text.count(chr(10))}
{text}end
""")
    for folder, _, names in os.walk(files):
        for path in [f'{folder}/{name}' for name in names]:
            with open(path, 'rb') as f:
                digest = hashlib.file_digest(f, 'sha256').hexdigest()
            os.makedirs(f'{state}/objects/{digest[:2]}', 0o700, exist_ok=True)
            subprocess.run(['cp', path, f'{state}/objects/{digest[:2]}/{digest[2:]}'], check=True)


FIRST = 1, 'first'  # in force at the beginning


class History:
    """What may be found, by the marks of a log. A case is (number of the generation in force, its
    files' name, are they the set's files?)."""

    def __init__(self, marks, done):
        self.marks, self.done = marks, done  # {step: (number, files) in force afterwards}
        self.cases = [{(*FIRST, True)}]
        for text in marks:
            name, _, what = text.partition('/')
            if not what:  # the kernel's own, at the end
                self.cases.append(self.cases[-1])
                continue
            n = [s.name for s in STEPS].index(name)
            old = done[STEPS[n - 1].name] if n else FIRST
            self.cases.append(self._cases(STEPS[n], what, old))

    def _cases(self, step, what, old):
        tried, is_whole = (old[0] + 1, step.files), not step.before
        if what == 'edit':
            return {(*old, is_whole)}
        if what == 'done':
            return {(*self.done[step.name], True)}
        cases = {(*old, is_whole), (*tried, True)}
        return cases | {(*old, True)} if step.refused else cases

    def allowed(self, state):
        """A disk must suit all moments that it existed at; if it has writes from later moments that
        were not flushed, one of those."""
        if state.marks_last > state.marks_after:
            return set().union(*self.cases[state.marks_after:state.marks_last + 1])
        moments = [self._wide(c) for c in
                   self.cases[state.marks_before:state.marks_after + 1]]
        return set.intersection(*moments)

    @staticmethod
    def _wide(cases):
        """Files that may be anything may be those of the generation, too."""
        return cases | {(number, files, True) for number, files, _ in cases}

    def reported(self, count):
        """Generations that were in force by then, and are to be in the history."""
        return {FIRST} | {self.done[text.split('/')[0]] for text in self.marks[:count]
                          if text.endswith('/done')}


class ConfsyncPowerCut(logged_disk.Case):
    GUEST = {'modules': logged_disk.Case.MODULES,
             'programs': (xtest.program('xnbd-confsync'), *logged_disk.Case.PROGRAMS),
             'files': {CONFIG: CONFIG_TEXT.encode(), '/etc/passwd': PASSWD, '/etc/group': GROUP}}
    SCENARIOS = ('quiet', 'busy', 'apart', 'blind', 'edits')
    SIZE = 2 * HALF

    @classmethod
    def make_disk(cls, folder, name):
        """And cls.names: {digest: name of files}; cls.paths: of all that there ever is."""
        root, before, cls.names, cls.paths = f'{folder}/{name}', None, {}, set()
        for files, script in EDITS.items():
            made = f'{root}.{files}'
            os.makedirs(made)
            if before:
                subprocess.run(['cp', '-a', f'{before}/.', made], check=True)
            subprocess.run(['sh', '-c', shell(script, made)], check=True)
            before, text = made, manifest(made)
            cls.names[digest_of(text)] = files
            cls.paths |= {line.split()[-1] for line in text.splitlines()}
        os.makedirs(f'{root}/set')
        lay_out(root, f'{root}.first')
        content = b''
        for part in (root, f'{root}/set') if name == 'apart' else (root,):
            logged_disk.make_file_system(f'{root}.made', HALF, part, inodes=512)
            with open(f'{root}.made', 'rb') as f:
                content += f.read()
        return content + bytes(cls.SIZE - len(content))

    def setUp(self):
        super().setUp()
        self.run_cmd('mount', '-t', 'tmpfs', 'none', os.path.dirname(DISK))
        self.addCleanup(self._unmount, os.path.dirname(DISK))
        os.mkdir(DISK)
        with open(self.path('confsync.conf'), 'w') as f:
            f.write(CONFIG_TEXT.replace(COMMIT, ':'))

    # In the guest.

    def mount_all(self, name):
        sectors = HALF // 512
        self.at_end(f'umount -l {SET} {DISK}; dmsetup remove --retry one other', None)
        self.open_disk(name)
        self.guest.run(f"""mkdir -p {DISK}
dmsetup create one <<'.'
0 {sectors} linear /dev/mapper/power 0
.
dmsetup create other <<'.'
0 {sectors} linear /dev/mapper/power {sectors}
.""")
        data = 'ordered' if name == 'quiet' else 'writeback'
        self.mount_there('one', '/disk', data)
        self.guest.run(f'mount -o bind /disk {DISK}')
        if name == 'apart':
            self.mount_there('other', SET, data)

    def live(self, name, prefix=''):
        """All steps, each write logged; returns {step: (number, files) in force afterwards}."""
        done, now = {}, FIRST
        with self.step(name):
            self.mount_all(name)
            if name == 'busy':
                self.guest.run(BUSY)
            for step in STEPS:
                with self.step(f'{name}: {step.name}'):
                    now = self.do(step, prefix), now[1] if step.refused else step.files
                    done[step.name] = now
            self.guest.run(f"""{CALM}
umount {SET if name == 'apart' else ''} {DISK} /disk
dmsetup remove --retry one; dmsetup remove --retry other; dmsetup remove --retry power""")
        return done

    def do(self, step, prefix):
        """Returns the generation in force afterwards."""
        mark = f'dmsetup message power 0 mark {step.name}'
        refuse = 'touch' if step.refused else 'rm -f'
        self.guest.run(f"""{refuse} /tmp/refuse
{mark}/edit
({shell(step.before or ':', SET)}) || exit
{mark}/run
{prefix} xnbd-confsync --config={CONFIG} {step.words}
status=$?
{mark}/done
[ $status = {step.status} ] || exit 1""")
        text = self.guest.run(f'xnbd-confsync --config={CONFIG} --json status',
                              HELD if step.refused else PENDING)
        return json.loads(text)['sets'][0]['generation']

    # After a cut.

    def places(self, name):
        yield DISK, 0, HALF
        if name == 'apart':
            yield SET, HALF, HALF

    def confsync(self, *args, status=(DONE,)):
        p = self.run_cmd(xtest.program('xnbd-confsync'), f'--config={self.path("confsync.conf")}',
                         *args, status=None)
        if p.returncode not in status:
            raise Fault(f'{args[-1]}: exit status {p.returncode}: {p.stdout}{p.stderr}')
        return json.loads(p.stdout) if '--json' in args else p.stdout

    def digest_of_all(self):
        found = {}
        look(DISK, found)
        return digest_of(repr(sorted(found.items())))

    def found(self):
        """The case that it is, with the names of files found without our programs."""
        status = self.confsync('--json', 'status', status=NORMAL)['sets'][0]
        return (status['generation'], self.names.get(status['digest']), self.files(),
                status['text'])

    def files(self):
        return self.names.get(digest_of(manifest(SET)))

    @staticmethod
    def journal():
        """Without a plan there is no transaction; the rest is replaced by the next one."""
        return [name for name in os.listdir(f'{STATE}/txn') if name == 'plan']

    def check_case(self, allowed):
        number, force, files, text = self.found()
        if (number, force, True) in allowed and files == force:
            return
        if (number, force, False) not in allowed:
            raise Fault(f'files: {number} of {force} is in force, files are {files}, allowed: '
                        f'{sorted(allowed, key=repr)}; status: {text}; {manifest(SET)}')

    def check_rest(self):
        """Nothing is left of the transaction, at the latest after the next command."""
        if self.journal():
            before = self.found()[:3]
            self.confsync('sync', status=NORMAL)
            if self.found()[:3] != before:
                raise Fault(f'settled: it was {before}, then {self.found()}')
        left = leftovers(SET) + self.journal()
        if left:
            raise Fault(f'left: {left}')

    def check_store(self, reported):
        """What was in force can be gone back to."""
        for folder, _, names in os.walk(f'{STATE}/objects'):
            for name in names:
                with open(f'{folder}/{name}', 'rb') as f:
                    digest = hashlib.sha256(f.read()).hexdigest()
                if len(name) == 62 and digest != os.path.basename(folder) + name:
                    raise Fault(f'store: {name}')
        rows = self.confsync('--json', 'history', 'app')['history']
        known = {(r['generation'], self.names.get(r['digest'])) for r in rows}
        if not reported <= known or any('damaged' in r['reason'] for r in rows):
            raise Fault(f'history: {rows}, and not {reported - known}')

    def check(self, state, history):
        self.confsync('recover')
        self.check_case(history.allowed(state))
        self.check_rest()
        self.check_case(history.allowed(state))
        self.check_store(history.reported(state.marks_after))

    def faults_of(self, name, done, judged=JUDGED):
        """[(state, what is wrong)] of a log; how many states were judged, and how many of them had
        no whole generation before they were recovered."""
        entries = self.entries(name)
        history = History([e for e in entries if isinstance(e, str)], done)
        faults, seen, halves, count = [], set(), 0, 0
        for s in self.states(name, entries, MIXED):
            if self.rnd.random() > judged / len(entries):
                continue
            count += 1
            with self.mounted(s.content, *self.places(name)):
                key = self.digest_of_all(), s.marks_before, s.marks_after, s.marks_last
                if key in seen:
                    continue
                seen.add(key)
                halves += self.is_half(s, history)
                try:
                    self.check(s, history)
                except Fault as e:
                    faults.append((s.what, history.marks[:s.marks_after][-1:], f'{e}'))
        print(f'{name}: {len(history.marks)} marks, {len(entries)} writes, {count} states of the '
              f'disk, {len(seen)} different, {halves} halves, {len(faults)} faults',
              file=sys.stderr)
        return faults, len(seen), halves

    def is_half(self, state, history):
        """Before it is recovered: files that are not those of the generation in force, though
        nobody edits them."""
        text = xtest.text_of(f'{STATE}/generation')
        edited = not all(c[2] for c in history.allowed(state))
        return not edited and f'\ndigest {digest_of(manifest(SET))}\n' not in text

    def check_sound(self, name):
        done = self.live(name)
        self.assertEqual([n for n, _ in done.values()], [2, 3, 3, 4, 4, 5, 6])
        faults, seen, halves = self.faults_of(name, done)
        self.assertEqual(faults, [])
        self.assertGreater(seen, 50)
        self.assertGreater(halves, 0)

    def test_quiet(self):
        self.check_sound('quiet')

    def test_busy(self):
        self.check_sound('busy')

    def test_apart(self):
        self.check_sound('apart')

    def check_control(self, name, paths=()):
        """Without these syncs there has to be harm."""
        only = [f'--trace-path={path}' for path in sorted(paths)]
        done = self.live(name, ' '.join([*BLIND, *only]))
        faults = self.faults_of(name, done, JUDGED_CONTROL)[0]
        kinds = {text.split(':')[0] for _, _, text in faults}
        self.assertTrue(kinds & {'files', 'recover'}, kinds)

    def test_blind(self):
        self.check_control('blind')

    def test_edits(self):
        self.check_control('edits', self.paths)


class Fault(Exception):
    """What a cut must not do. Its first word is the kind."""


if __name__ == '__main__':
    xtest.main()
