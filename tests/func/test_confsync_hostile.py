#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The other node is in bad hands. It has the key, so it is let in; it must not get further.

What it says as caller and as the one who is called (lib/confsync_rogue.py) is all wrong in some
way. Each time: nothing outside the set is touched, no content of other files is given away, what
was in force stays, it is told in one clear line, and the honest node afterwards is served as ever.
"""

import os
import re
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import confsync_lab  # noqa: E402
import xtest  # noqa: E402
from confsync_lab import CONFIG, KEY, PATHS, STATE  # noqa: E402
from confsync_rogue import (DATA, GENERATION, TEXT, Caller, Ended, Host, file, folder,  # noqa: E402
                            generation, link, sha256)

DONE, FAILED, USAGE, PENDING, BEHIND, HELD = range(6)
A, B, APP = '/etc/app/a.conf', '/etc/app/b.conf', '/etc/app.conf'
FOLDER = folder('/etc/app')
EVIL = b'evil\n'
APP_OLD = file(APP, b'app one\n')


def bad_generations():
    """name -> lines or whole text of a generation that no node may take."""
    deep = '/etc/app' + '/d' * 70
    found = {
        'a file outside': [FOLDER, file('/etc/passwd', EVIL)],
        'a file beside': [FOLDER, file('/etc/app.conf2', EVIL)],
        'a file of another name that begins alike': [FOLDER, file('/etc/application', EVIL)],
        'dot dot': [FOLDER, file('/etc/app/../passwd', EVIL)],
        'dot': [FOLDER, file('/etc/app/./a.conf', EVIL)],
        'two slashes': [FOLDER, file('/etc/app//a.conf', EVIL)],
        'a slash at the end': [FOLDER, file('/etc/app/a.conf/', EVIL)],
        'a relative path': [file('etc/app/a.conf', EVIL)],
        'a zero byte': [FOLDER, file('/etc/app/a\0b', EVIL)],
        'a path too long': [FOLDER, file('/etc/app/' + 'x' * 300, EVIL)],
        'a path too deep': [FOLDER, file(deep, EVIL)],
        'not sorted': [FOLDER, file(B, EVIL), file(A, EVIL)],
        'twice': [FOLDER, file(A, EVIL), file(A, EVIL)],
        'a link': [FOLDER, link('/etc/app/x', '/etc')],
        'a file in a link': [FOLDER, link('/etc/app/x', '/etc'), file('/etc/app/x/passwd', EVIL)],
        'a file in a file': [FOLDER, file(A, EVIL), file(f'{A}/b', EVIL)],
        'a FIFO': [FOLDER, f'p 0644 root root {A}\n'],
        'a device': [FOLDER, f'b 0644 root root 8 0 {A}\n'],
        'a mode of five digits': [FOLDER, file(A, EVIL).replace('0644', '10644')],
        'an owner who is not there': [FOLDER, file(A, EVIL, owner='nobodyknows')],
        'an owner that is a path': [FOLDER, file(A, EVIL, owner='../../x')],
        'a size that is a lie': [FOLDER, file(A, EVIL, size=2 ** 62)],
        'a negative size': [FOLDER, file(A, EVIL, size=-5)],
        'a content with two sizes': [FOLDER, file(A, EVIL), file(B, EVIL, size=17)],
        'our own temporary name': [FOLDER, file('/etc/app/.xnbd-confsync.x.1.new', EVIL)],
        'an attribute of a module': [FOLDER, file(A, EVIL, attrs=[('security.selinux', b'x')])],
        'an attribute of the kernel': [FOLDER, file(A, EVIL, attrs=[('trusted.x', b'1')])],
        'the configuration': [FOLDER, file(CONFIG, EVIL)],
        'the key': [FOLDER, file(KEY, EVIL, mode=0o600)],
        'the state': [FOLDER, file(f'{STATE}/app/generation', EVIL)],
        'too many files': [FOLDER, *(file(f'/etc/app/{i:06}') for i in range(10001))],
        'too many entries': [FOLDER, *(folder(f'/etc/app/{i:06}') for i in range(100001))],
        'a count that is a lie': generation([FOLDER, file(A, EVIL)], count=50000),
        'a digest that is a lie': generation([FOLDER, file(A, EVIL)], digest='a' * 64),
        'another set': generation([FOLDER, file(A, EVIL)], set_name='other'),
        'a set that is a path': generation([FOLDER, file(A, EVIL)], set_name='../x'),
        'a third node': generation([FOLDER, file(A, EVIL)], vector=[('n1', 1), ('n3', 9)]),
        'no end': generation([FOLDER, file(A, EVIL)], end=''),
        'more behind the end': generation([FOLDER, file(A, EVIL)], end='end\nend\n'),
        'an older number': generation([FOLDER, file(A, EVIL)], number=0),
        'a number too large': generation([FOLDER, file(A, EVIL)], number=2 ** 63 - 1),
        'behind ours': generation([FOLDER, file(A, EVIL)], vector=[('n2', 1)]),
        'garbage': b'\0\xff' * 500,
        'empty lines': b'\n' * 1000,
    }
    return {name: g if isinstance(g, bytes) else generation(g) for name, g in found.items()}


class Case(confsync_lab.Case):
    def setUp(self):
        super().setUp()
        self.set_up_set()
        self.outside = self.look_outside()
        self.before = self.n1.tree(*PATHS)

    def set_up_set(self):
        self.begin(general={'deadline': 20})

    def look_outside(self):
        return {k: v for k, v in self.n1.tree('/etc', '/srv', '/root', '/var/lib/xnbd').items()
                if not k.startswith((*PATHS, STATE)) and k not in ('/etc', '/var/lib/xnbd')}

    def assert_unharmed(self, what, files=True):
        self.assertEqual(self.look_outside(), self.outside, what)
        if files:
            self.assertEqual(self.n1.tree(*PATHS), self.before, what)

    def assert_honest_works(self):
        """By the real program on n2."""
        self.n2.authorize()
        text = f'honest {os.urandom(4).hex()}\n'
        self.n2.write(B, text)
        self.n2.confsync('push', '--from-here')
        self.assertEqual(self.n1.read(B), text)
        self.app_in_step()

    def one_line(self, p, what):
        said = (p.stdout + p.stderr).strip()
        lines = [s for s in said.splitlines() if ' info: ' not in s]
        self.assertIn(len(lines), (1, 2), f'{what}: {said}')
        self.assertLess(len(said), 2000, what)
        self.assertNotRegex(said, '[\x00-\x08\x0b-\x1f\x7f]', what)
        self.assertNotIn('Sanitizer', said)


class CallerTest(Case):
    """The rogue calls n1."""

    def test_generations(self):
        for what, text in bad_generations().items():
            with self.subTest(what):
                c = Caller(self)
                try:
                    state = c.begin()
                    c.offer(state, text)
                    answer = c.deliver([EVIL, b''])
                    self.assertEqual(answer['m'], 'refuse', answer)
                except Ended:
                    pass
                finally:
                    c.close()
                self.assert_unharmed(what)
        self.assert_honest_works()

    def test_good_one(self):
        """The rogue's means are good enough: an honest transaction in its words goes through."""
        c = Caller(self)
        state = c.begin()
        c.offer(state, generation([FOLDER, file(APP, b'app one\n'), file(A, b'a two\n')][:1] + [
            file(A, b'a two\n')], parent=state['digest']))
        self.assertEqual(c.deliver([b'a two\n'])['m'], 'prepared')
        self.assertEqual(c.finish()['reload'], 'ok')
        self.assertEqual(self.n1.read(A), 'a two\n')
        self.assertFalse(self.n1.exists(B))

    def test_contents(self):
        """What is delivered is not what was promised."""
        good = generation([FOLDER, file(A, EVIL)])
        ways = {
            'another content': lambda c: c.send(b'other', digest=sha256(EVIL), size=5),
            'less': lambda c: (c.say('data', hash=sha256(EVIL), size=5), c.frame(DATA, b'ev'),
                               c.say('commit')),
            'more': lambda c: (c.say('data', hash=sha256(EVIL), size=5), c.frame(DATA, b'x' * 99)),
            'another size': lambda c: c.send(EVIL * 2, digest=sha256(EVIL)),
            'a huge size': lambda c: (c.say('data', hash=sha256(EVIL), size=2 ** 60),
                                      c.frame(DATA, b'x' * 200000)),
            'another hash': lambda c: c.send(b'not asked for'),
            'an empty piece': lambda c: (c.say('data', hash=sha256(EVIL), size=5),
                                         c.frame(DATA, b'')),
            'commit at once': lambda c: c.say('commit'),
            'finish at once': lambda c: c.say('finish'),
            'rollback at once': lambda c: c.say('rollback', why='x'),
            'another offer': lambda c: c.say('state-ask', set='app'),
            'hang up': lambda c: c.target.close(),
        }
        for what, way in ways.items():
            with self.subTest(what):
                c = Caller(self)
                c.offer(c.begin(), good)
                self.assertEqual(c.needs(), [sha256(EVIL)])
                try:
                    way(c)
                    m = c.hear('prepared', 'refuse', 'ok', 'state')
                    self.assertEqual(m['m'], 'refuse', m)
                except Ended:
                    pass
                c.close()
                self.assert_unharmed(what)
        self.assert_honest_works()

    def test_frames(self):
        ways = {
            'a huge length': struct.pack('>I', 2 ** 32 - 1) + TEXT,
            'a huge generation': struct.pack('>I', 2 ** 31) + GENERATION,
            'no kind': struct.pack('>I', 4) + b'Z' + b'xxxx',
            'empty': struct.pack('>I', 0) + TEXT,
            'not JSON': struct.pack('>I', 4) + TEXT + b'{"m"',
            'an array': struct.pack('>I', 2) + TEXT + b'[]',
            'deep': struct.pack('>I', 60000) + TEXT + b'[' * 60000,
            'no UTF-8': struct.pack('>I', 6) + TEXT + b'{"m":\xff',
            'data': struct.pack('>I', 4) + DATA + b'xxxx',
            'a shell': b'id; rm -rf /\n' * 100,
            'SSH again': b'SSH-2.0-x\r\n' * 10,
        }
        for what, raw in ways.items():
            for polite in (False, True):
                with self.subTest(what, polite=polite):
                    c = Caller(self)
                    try:
                        if polite:
                            c.begin()
                        c.raw(raw)
                        c.target.close()
                        while c.hear()['m'] in ('hello', 'refuse'):
                            pass
                        self.fail('an answer')
                    except Ended:
                        pass
                    c.close()
        self.assert_unharmed('frames')
        self.assert_honest_works()

    def test_hello(self):
        """Who is not n2, and who is of another world."""
        for what, fields in {'another name': {'node': 'n3'}, 'our name': {'node': 'n1'},
                             'a path': {'node': '../n2'}, 'a version': {'version': 999}}.items():
            with self.subTest(what):
                c = Caller(self)
                try:
                    c.hello(**fields)
                    c.hear('hello')
                    c.say('state-ask', set='app')
                    self.assertNotEqual(c.hear('state')['m'], 'state')
                except Ended:
                    pass
                c.close()
        self.assert_honest_works()

    def test_questions(self):
        """Each is answered by a refusal at most."""
        secret = sha256(self.n1.read('/etc/shadow').encode())
        ways = {
            'another set': {'m': 'state-ask', 'set': 'other'},
            'a set that is a path': {'m': 'state-ask', 'set': '../app'},
            'a content of no set': {'m': 'get', 'set': 'app', 'hash': secret},
            'an unknown transaction': {'m': 'outcome', 'set': 'app', 'txn': '0' * 16,
                                       'result': 'commit'},
            'an unknown kind': {'m': 'shell', 'command': 'id'},
            'agree to nonsense': {'m': 'agree', 'set': 'app', 'vector': {'n2': 5},
                                  'digest': 'a' * 64, 'number': 7},
            'fetch with a reason that is long': {'m': 'fetch', 'set': 'app', 'publish': True,
                                                 'reason': 'x' * 5000, 'vector': {}, 'number': 0,
                                                 'digest': '0' * 64, 'set_aside': True},
            'no set': {'m': 'state-ask'},
            'a number': {'m': 'state-ask', 'set': 5},
        }
        for what, fields in ways.items():
            with self.subTest(what):
                c = Caller(self)
                try:
                    c.begin()
                    c.say(**fields)
                    m = c.hear()
                    if what != 'an unknown transaction':  # "ok" changes nothing
                        self.assertEqual(m['m'], 'refuse', m)
                except Ended:
                    pass
                c.close()
                self.assert_unharmed(what)
        self.assert_honest_works()

    def test_silence(self):
        """Who says nothing holds nobody up, and is forgotten when the time is up."""
        self.begin(general={'deadline': 4})
        self.before, self.outside = self.n1.tree(*PATHS), self.look_outside()
        mute = Caller(self)
        half = Caller(self)
        half.offer(half.begin(), generation([FOLDER, file(A, EVIL)]))
        half.needs()
        for c in (mute, half):
            try:
                while c.hear():
                    pass
            except Ended:
                pass
        xtest.wait_for(lambda: 'xnbd-confsync' not in ' '.join(self.n1.processes().values()),
                       'end of the conversations', 60)
        self.assert_unharmed('silence')
        self.assert_honest_works()

    def test_crowd(self):
        """Many who say nothing; the node can still call."""
        crowd = [Caller(self) for _ in range(8)]
        for c in crowd[:4]:
            c.begin()
        self.n1.write(A, 'mine\n')
        self.n1.confsync('push', '--from-here')
        self.app_in_step()

    def test_links_on_the_way(self):
        """Somebody else on n1 led a folder of the set elsewhere; the rogue knows."""
        self.n1.write('/srv/outside/a.conf', 'outside')
        for what, where in (('a folder', '/etc/app'), ('a new one', '/etc/app/sub')):
            with self.subTest(what):
                kept = self.n1.tree('/srv')
                if self.n1.exists(where):
                    os.rename(self.n1.at(where), self.n1.at('/srv/aside'))
                    kept = self.n1.tree('/srv')
                c = Caller(self)
                state = c.begin()
                os.symlink('/srv/outside', self.n1.at(where))
                try:
                    c.offer(state, generation([FOLDER] + ([folder(where)] if 'new' in what else [])
                                              + [file(f'{where}/a.conf', EVIL)]))
                    self.assertEqual(c.deliver([EVIL])['m'], 'refuse')
                except Ended:
                    pass
                c.close()
                self.assertEqual(self.n1.tree('/srv'), kept)
                self.n1.remove(where)
                if self.n1.exists('/srv/aside'):
                    os.rename(self.n1.at('/srv/aside'), self.n1.at(where))
        self.n1.remove('/srv/outside')
        self.assert_unharmed('links')
        self.assert_honest_works()

    def test_fifo_in_the_way(self):
        """It is not opened for long, and not replaced unseen."""
        os.unlink(self.n1.at(A))
        os.mkfifo(self.n1.at(A))
        c = Caller(self)
        c.offer(c.begin(), generation([FOLDER, file(A, EVIL)]))
        self.assertEqual(c.deliver([EVIL])['m'], 'refuse')
        c.close()
        self.n1.remove(A)
        self.n1.write(A, 'a one\n')
        self.assert_honest_works()

    def test_contradicting_outcomes(self):
        """n1 has promised; then the rogue says this and that."""
        c = Caller(self)
        c.offer(c.begin(), generation([FOLDER, file(A, EVIL)]))
        self.assertEqual(c.deliver([EVIL])['m'], 'prepared')
        first = c.transaction
        c.close()
        xtest.wait_for(lambda: not self.n1.processes(), 'end of the conversation', 60)
        for path, text in confsync_lab.FILES.items():  # what is prepared lies beside
            self.assertEqual(self.n1.read(path), text)
        self.assertEqual(self.look_outside(), self.outside)
        for number, result in enumerate(('unknown', 'abort', 'commit', 'abort', 'commit')):
            c2 = Caller(self)
            c2.hello()
            c2.hear('hello')
            c2.say('outcome', set='app', txn=first, result=result)
            try:
                c2.hear()
            except Ended:
                pass
            c2.close()
            if number > 0:  # the first decision counts
                self.assert_unharmed(f'{number}: {result}')
        self.assert_honest_works()


class SecretTest(Case):
    def set_up_set(self):
        self.begin(kind='secret', general={'deadline': 20})

    def test_modes(self):
        own = folder('/etc/app', mode=0o700)
        for what, lines in {
                'for all to read': [own, file(A, EVIL, mode=0o644)],
                'setuid': [own, file(A, EVIL, mode=0o4700)],
                'for the group': [own, file(A, EVIL, mode=0o640)],
                'an open folder': [FOLDER, file(A, EVIL, mode=0o600)],
                'a list of users': [own, file(A, EVIL, mode=0o600, attrs=[
                    ('acl.access', b'user::rw-,user:daemon:r--,group::---,mask::r--,other::---')])],
        }.items():
            with self.subTest(what):
                c = Caller(self)
                try:
                    c.offer(c.begin(), generation(lines))
                    self.assertEqual(c.deliver([EVIL])['m'], 'refuse', what)
                except Ended:
                    pass
                c.close()
                self.assert_unharmed(what)


class HostTest(Case):
    """n1 calls, and the rogue answers."""

    def host(self, script):
        h = Host(self, script)
        return h

    def state(self, s, **fields):
        """A side that has something newer."""
        s.hear('hello')
        s.hello()
        m = s.hear('state-ask')
        self.said = {'set': m['set'], 'definition': '', 'number': 9, 'vector': {'n1': 1, 'n2': 9},
                     'digest': 'a' * 64, 'live': 'a' * 64, 'empty': False, 'active': False,
                     'unusable': False, 'in_doubt': False, 'fenced': False, 'txn': '', **fields}
        s.say('state', **self.said)

    def serve_generation(self, text):
        def script(s):
            self.state(s)
            m = s.hear('fetch')
            s.offer({'set': 'app', 'definition': '', 'digest': m['digest'],
                     'number': m['number']}, text)
            answer = s.deliver([EVIL, b''])
            if answer['m'] == 'prepared':
                s.finish()
        return script

    def test_generations(self):
        for what, text in bad_generations().items():
            with self.subTest(what):
                h = self.host(self.serve_generation(text))
                p = self.n1.confsync('pull', status=None)
                self.assertNotEqual(p.returncode, DONE, what)
                self.one_line(p, what)
                h.close()
                self.assertEqual(h.errors, [])
                self.assert_unharmed(what)
        self.assert_honest_works()

    def test_asks_for_other_contents(self):
        """The receiver of a push wants what is not of the set."""
        wanted = sha256(self.n1.read('/etc/shadow').encode())
        got = []
        lists = {'of no set': [[wanted], []], 'twice': [[sha256(b'a two\n')] * 2, []],
                 'far too many': [[sha256(b'a two\n')] * 500] * 50,
                 'too long': [[wanted] * 501, []], 'not hashes': [['../../etc/shadow'], []]}

        for what, rounds in lists.items():
            def script(s, rounds=rounds):
                self.state(s, number=1, vector={'n1': 1}, digest=self.told['digest'],
                           live=self.told['digest'])
                s.hear('offer')
                s.say('need', count=sum(map(len, rounds)), bytes=5)
                for one in rounds:
                    s.say('hashes', list=one)
                while True:
                    kind, body = s.hear_frame()
                    if kind == DATA:
                        got.append(body)
            with self.subTest(what):
                self.told = self.status(self.n1)
                self.n1.write(A, 'a two\n')
                h = self.host(script)
                p = self.n1.confsync('push', '--from-here', status=None)
                h.close()
                self.assertNotEqual(p.returncode, DONE, p.stdout + p.stderr)
                self.one_line(p, what)
                self.assertNotIn(self.n1.read('/etc/shadow').encode(), got)
                self.assertEqual(self.status(self.n1)['generation'], 1)
        self.n1.write(A, 'a one\n')
        self.assert_unharmed('asks')
        self.assert_honest_works()

    def test_words(self):
        """What it says reaches a terminal, but only as text."""
        for what, why in {'colours': '\x1b[2J\x1b[31mall is well', 'no text': 5,
                          'lines': 'x\nxnbd-confsync: done', 'long': 'x' * 1023,
                          'too long': 'x' * 60000}.items():
            def script(s, why=why):
                s.hear('hello')
                s.hello()
                s.hear('state-ask')
                s.say('refuse', why=why)
                s.hear()
            with self.subTest(what):
                h = self.host(script)
                p = self.n1.confsync('pull', status=None)
                self.one_line(p, what)
                self.assertNotEqual(p.returncode, DONE)
                p = self.n1.confsync('status', status=None)
                self.one_line(p, what)
                h.close()
        self.assert_honest_works()

    def test_states(self):
        """What it says of itself makes no sense."""
        ways = {'a negative number': {'number': -1}, 'a huge number': {'number': 2 ** 64},
                'a third node': {'vector': {'n3': 5, 'n2': 1}},
                'three nodes': {'vector': {'n1': 1, 'n2': 2, 'n3': 3}},
                'a short digest': {'digest': 'abc'}, 'another set': {'set': 'other'},
                'no flag': {'empty': 'yes'}, 'a transaction': {'in_doubt': True, 'txn': 'a' * 16},
                'a path': {'in_doubt': True, 'txn': '../../x'},
                'fenced': {'fenced': True, 'in_doubt': True, 'txn': 'b' * 16}}
        for what, fields in ways.items():
            def script(s, fields=fields):
                self.state(s, **fields)
                while True:
                    m = s.hear()
                    s.say('ok' if m['m'] in ('outcome', 'agree') else 'refuse', why='no')
            with self.subTest(what):
                h = self.host(script)
                p = self.n1.confsync('pull', status=None)
                self.assertNotEqual(p.returncode, DONE, p.stdout)
                self.assert_unharmed(what)
                h.close()
        self.assert_honest_works()

    def test_lies_about_the_end(self):
        """It says that it has what it has not: known at the next look."""
        def script(s):
            self.state(s, number=1, vector={'n1': 1}, digest=self.told['digest'],
                       live=self.told['digest'])
            s.hear('offer')
            s.say('need', count=0, bytes=0)
            s.say('hashes', list=[])
            s.say('prepared')
            s.hear('commit')
            s.say('committed', reload='ok')
            s.hear('finish')
            s.say('ok')
        self.told = self.status(self.n1)
        self.n1.write(A, 'a two\n')
        h = self.host(script)
        self.n1.confsync('push', '--from-here')
        h.close()
        self.n2.authorize()
        self.n1.confsync('sync', status=(DONE, PENDING, HELD, BEHIND))
        self.n1.confsync('push', '--from-here')
        self.app_in_step()
        self.assertEqual(self.n2.read(A), 'a two\n')

    def test_silence_and_noise(self):
        self.begin(general={'deadline': 4, 'connect-timeout': 3})
        self.outside = self.look_outside()

        def silence(s):
            while s.hear():
                pass

        def noise(s):
            while True:
                s.raw(os.urandom(4096))

        def chatter(s):
            s.hear('hello')
            s.hello()
            while True:
                s.say('ok')

        def gone(s):
            pass
        for script in (silence, noise, chatter, gone):
            with self.subTest(script.__name__):
                h = self.host(script)
                p = self.n1.confsync('pull', status=None)
                self.assertNotEqual(p.returncode, DONE)
                self.one_line(p, script.__name__)
                h.close()
        self.assert_unharmed('noise', files=False)
        self.assert_honest_works()


class KeyTest(Case):
    """Who is let in, and whom we talk to."""

    def refused(self, pattern, status=(FAILED, PENDING)):
        p = self.n1.confsync('pull', status=None)
        self.assertIn(p.returncode, status, p.stdout + p.stderr)
        self.one_line(p, pattern)
        self.assertRegex(p.stdout + p.stderr, pattern)
        self.assert_unharmed(pattern)

    def test_other_key(self):
        self.n1.write(KEY, xtest.text_of(f'{self.n1.folder}/host'), 0o600)
        self.outside = self.look_outside()
        self.refused('(?i)n2.*key')

    def test_changed_host_key(self):
        """Somebody else sits at the peer's address."""
        self.n2.stop_sshd()
        os.unlink(f'{self.n2.folder}/host')
        self.run_cmd('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', f'{self.n2.folder}/host')
        self.n2.start_sshd()
        self.refused('(?i)host key')

    def test_no_forced_command(self):
        """The key leads to a shell: that is no xnbd-confsync."""
        self.n2.authorize(forced='')
        self.refused('n2')

    def test_wrong_node_forced(self):
        """authorized_keys of n2 says that the key of n1 is somebody else's."""
        forced = self.n2.forced().replace('--serve=n1', '--serve=n3')
        self.assertIn('n3', forced)
        self.n2.authorize(forced=forced)
        self.refused('n2')

    def test_key_can_do_nothing_else(self):
        """No other command, no file transfer, no forwarding."""
        ssh = self.n1.ssh(key='client')
        p = self.n1.run(*ssh, 'id', status=None, input='')
        self.assertNotIn('uid=', p.stdout)
        p = self.n1.run('scp', *self.n1.ssh_options('client'),
                        f'root@{self.n2.address}:/etc/passwd', '/srv/x', status=None)
        self.assertFalse(self.n1.exists('/srv/x'))
        self.assertNotEqual(p.returncode, 0)
        p = self.n1.run(*ssh[:-1], '-W', '127.0.0.1:22', ssh[-1], status=None, input='')
        self.assertNotIn('SSH-2.0', p.stdout)

    def test_open_key_file(self):
        """A key that others may read is no key."""
        os.chmod(self.n1.at(KEY), 0o644)
        self.outside = self.look_outside()
        self.refused(re.escape(KEY), status=(FAILED, USAGE, PENDING))


if __name__ == '__main__':
    xtest.main(at_once=4)
