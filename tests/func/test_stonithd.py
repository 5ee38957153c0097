# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-stonithd: what it finds and says, once; outlets of its own host that it switches on again;
what it must not do: be in a shot's way, keep others waiting for a dead PDU, grow, set anything else.
"""

import fcntl
import json
import os
import signal
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_fixture  # noqa: E402
import stonith_proxy  # noqa: E402
import xtest  # noqa: E402
from wall_clock import WallClock  # noqa: E402

NEVER = 86400  # seconds between audits: only those that are asked for


def children(pid):
    return [int(p) for p in xtest.text_of(f'/proc/{pid}/task/{pid}/children').split()]


def is_alive(pid):
    return xtest.text_of(f'/proc/{pid}/stat').rpartition(')')[2].split()[:1] not in ([], ['Z'])


class Watching:
    """For cases: a daemon, and what it says."""

    def watch(self, *args, complete=True, prefix=None, config=None, **options):
        prefix = self.host.prefix if prefix is None else prefix
        d = self.spawn([*prefix, xtest.program('xnbd-stonithd'), '--foreground',
                        f'--config={config or self.config}', *args], **options)
        self.daemon, self.control = d, f'{self.run_dir}/control'

        def is_ready():
            self.assertTrue(d.is_alive(), d.stderr())
            return xtest.answers(self.control) and (not complete or self.status()['complete'])
        xtest.wait_for(is_ready, 'daemon', 60)
        return d

    def command(self, name):
        with xtest.connect(self.control) as s:
            s.sendall(json.dumps({'v': 1, 'cmd': name}).encode() + b'\n')
            with s.makefile() as f:
                return json.loads(f.readline())

    def status(self):
        return self.command('status')

    def audit(self):
        """One that began after this call, on all PDUs; the status behind it."""
        want = {p['pdu']: p['audits'] + 1 + p['busy'] for p in self.status()['pdus']}
        self.assertTrue(self.command('audit-now')['ok'])

        def is_over():
            s = self.status()
            return s if all(p['audits'] >= want[p['pdu']] for p in s['pdus']) else None
        return xtest.wait_for(is_over, 'audit', 90)

    def findings(self, status=None):
        """{(kind, outlet or PDU or node)}"""
        return {(f['finding'], f.get('outlet') or f.get('pdu') or f.get('node'))
                for f in (status or self.status())['findings']}

    def wait_findings(self, *wanted):
        """By the audits that come by themselves."""
        xtest.wait_for(lambda: self.findings() == set(wanted), f'{wanted}', 60)

    def said(self, word):
        """Lines of the log: "alarm" or "over"."""
        return [line for line in self.daemon.stderr().splitlines() if f'{word}: ' in line]

    def health(self, status):
        return self.stonith('health', status=status)


class Case(Watching, stonith_fixture.Case):

    def setUp(self):
        super().setUp()
        self.general.update({'audit-interval': NEVER})

    def found(self, *wanted):
        """By an audit, or the look it asks for; another one says nothing more."""
        xtest.wait_for(lambda: self.findings(self.audit()) == set(wanted), f'{wanted}', 90)
        said = self.daemon.stderr()
        self.assertEqual(self.findings(self.audit()), set(wanted))
        self.assertEqual(self.daemon.stderr(), said)

    def assert_only_cancels(self, *pdus):
        for p in pdus:
            self.assertEqual({c for _, c in p.sets()} - {'cancel'}, set(), p.name)


class Audits(Case):

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()

    def test_all_well(self):
        self.health(3)
        self.assertEqual(self.asked('health', status=3), {'running': False})
        self.watch()
        self.assertIn('all is well', self.health(0).stdout)
        d = self.asked('health')
        self.assertEqual((d['running'], d['well'], d['findings'], d['self']), (True, True, [], 'n2'))
        self.assertEqual([(n['node'], [(o['outlet'], o['state']) for o in n['outlets']])
                          for n in d['nodes']],
                         [('n1', [('left:1', 'on'), ('right:1', 'on')]),
                          ('n2', [('left:8', 'on'), ('right:8', 'on')])])
        for p in d['pdus']:
            self.assertTrue(p['up'])
            self.assertGreater(p['round-trip-us'], 0)
        self.assertEqual((d['metrics']['pdus-up'], d['metrics']['findings-begun']), (2, 0))
        for pdu in (self.left, self.right):
            self.assertEqual(pdu.sets(), [('1', 'cancel'), ('8', 'cancel')])
        self.assertEqual(self.lines(), [])  # no shots, so no lines
        # One helper for each PDU, kept.
        helpers = children(self.daemon.pid)
        self.assertEqual(len(helpers), 2)
        self.audit()
        self.assertEqual(children(self.daemon.pid), helpers)
        self.daemon.stop()
        self.health(3)
        self.assertFalse(os.path.exists(self.control))
        xtest.wait_for(lambda: not any(is_alive(p) for p in helpers), 'helpers end')

    def test_begin_and_over(self):
        """Each finding, alone and together; said once when it begins and once when it is over."""
        knobs = [(('outlet-off', 'left:1'), lambda: self.left.put('relay', '1', 'off'),
                  lambda: self.left.put('relay', '1', 'on')),
                 (('outlet-off', 'right:8'), lambda: self.right.put('relay', '8', 'off'),
                  lambda: self.right.put('relay', '8', 'on'))]
        for kind, knob, key, value in (('outlet-unreadable', 'odd', '1', 4),
                                       ('outlet-unreadable', 'text', '8', ''),
                                       ('outlet-pending', 'pending', '8', ''),
                                       ('outlet-refuses', 'keep', '1', '')):
            knobs.append(((kind, f'right:{key}'),
                          lambda k=knob, n=key, v=value: self.right.put(k, n, v),
                          lambda k=knob, n=key: self.right.drop(k, n)))
        knobs.append((('pdu-read-only', 'left'), lambda: self.left.put('read-only'),
                      lambda: self.left.drop('read-only')))
        self.general['deadline'] = 3
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']})
        self.watch()
        for i, (finding, begin, end) in enumerate(knobs):
            with self.subTest(finding):
                begin()
                self.found(finding)
                self.assertEqual(len(self.said('alarm')), i + 1)
                self.assertIn(finding[1], self.said('alarm')[-1])
                self.assertIn(finding[1], self.health(1).stdout)
                end()
                self.found()
                self.assertEqual(len(self.said('over')), i + 1)
        knobs[0][1]()
        knobs[6][1]()
        self.found(knobs[0][0], knobs[6][0])
        m = self.status()['metrics']
        self.assertEqual((m['findings'], m['findings-begun'], m['findings-over']), (2, 9, 7))
        self.assert_only_cancels(self.left, self.right)

    def test_peer_that_is_off(self):
        """Was shot: no finding. It is one if half of it comes back."""
        self.watch()
        self.stonith('off', 'n1')
        self.found()
        self.left.put('relay', '1', 'on')
        self.found(('outlet-off', 'right:1'))

    def test_names(self):
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       node_keys={'names': ['psu A', 'psu B']})
        for pdu, name in ((self.left, 'psu A'), (self.right, 'psu B')):
            for key in ('1', '8'):
                pdu.put('name', key, name)
        self.watch()
        self.found()
        self.right.put('name', '1', 'psu C of n7')
        self.found(('outlet-name', 'right:1'))
        self.assertIn('"psu C of n7", not "psu B"', self.said('alarm')[0])
        self.right.put('name', '1', 'psu B')
        self.found()

    def test_dead_pdu(self):
        """What was found of its outlets neither begins nor ends meanwhile."""
        self.left.put('relay', '1', 'off')
        self.watch()
        self.left.stop()
        self.found(('pdu-lost', 'left'), ('outlet-off', 'left:1'))
        self.right.stop()
        self.found(('pdu-lost', 'left'), ('pdu-lost', 'right'), ('outlet-off', 'left:1'))
        self.assertNotIn('no answer: no answer', self.daemon.stderr())
        # It is not up again because somebody asks it.
        self.assertTrue(self.command('audit-now')['ok'])
        status = self.status()
        self.assertEqual([(p['busy'], p['up']) for p in status['pdus']], [(True, False)] * 2)
        self.assertEqual(status['metrics']['pdus-up'], 0)
        self.assertNotIn('us, looked at', self.health(1).stdout)
        self.left.start()
        self.right.start()
        self.left.put('relay', '1', 'on')
        self.found()
        self.assertEqual((len(self.said('alarm')), len(self.said('over'))), (3, 3))

    def test_dead_pdu_delays_nobody(self):
        """One does not answer, the other is looked at again and again meanwhile."""
        self.general['audit-interval'] = 1
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       pdu_keys={'timeout': 10000})
        self.watch()
        self.left.freeze()

        def pdus():
            return {p['pdu']: p for p in self.status()['pdus']}
        at = xtest.wait_for(lambda: pdus() if pdus()['left']['busy'] else None, 'busy')
        # Three tries of some timeouts each: long enough for the other one.
        xtest.wait_for(lambda: pdus()['right']['audits'] >= at['right']['audits'] + 4, 'right', 60)
        self.assertLessEqual(pdus()['left']['audits'], at['left']['audits'] + 1)
        self.right.put('relay', '8', 'off')
        xtest.wait_for(lambda: ('outlet-off', 'right:8') in self.findings(), 'seen', 60)
        self.left.thaw()
        self.right.put('relay', '8', 'on')
        self.wait_findings()

    def test_unusual_pdus(self):
        """Wrong kind, wrong key, wrong community: found, and not confused with each other."""
        third = self.pdu('third', system='9999.1')
        self.configure([self.left, self.right, third],
                       {'n1': ['left:1', 'right:1'], 'n2': ['left:8', 'right:8', 'third:8']})
        good = xtest.text_of(self.config)
        self.watch()
        self.found(('pdu-system', 'third'))
        self.daemon.stop()
        third.put('name', '8', 'n2')
        with open(self.config, 'w') as f:
            wrong = ''.join(f'\t{k} = "{v}"\n' for k, v in
                            self.login(self.left, '3', auth='not-the-pass-phrase').items())
            parts = good.split('version = "2c"\n')
            self.assertEqual(len(parts), 4)
            tail = parts[1].split('\n', 1)[1]  # without its community
            f.write(f'{parts[0]}{wrong[1:]}{tail}version = "2c"\n{parts[2]}version = "2c"\n'
                    f'{parts[3]}')
        self.watch()
        self.found(('pdu-login', 'left'), ('pdu-system', 'third'))
        self.assert_only_cancels(self.right)
        self.assertEqual(self.left.sets(), [('1', 'cancel'), ('8', 'cancel')] * 3)
        self.assertEqual(third.sets(), [])

    def test_read_only_community(self):
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       login={'community': stonith_fixture.READ_ONLY})
        self.watch()
        self.found(('pdu-read-only', 'left'), ('pdu-read-only', 'right'))

    def test_v3(self):
        """Sessions stay; a PDU that was restarted is met anew."""
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       login={'version': '3'})
        self.watch()
        self.found()
        self.left.restart()
        self.found()
        self.assertEqual(self.said('alarm'), [])


class Shots(Case):

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()

    def skipped(self):
        return self.status()['metrics']['skipped-for-shots']

    def test_victim_is_left_alone(self):
        """And so are its PDUs, for the time of the shot; the others are not."""
        third = self.pdu('third')
        self.configure([self.left, third], {'n1': ['left:1'], 'n2': ['left:8', 'third:8']})
        self.watch()
        before = len(self.left.sets())
        third.put('relay', '8', 'off')
        with open(f'{self.run_dir}/n1.lock', 'w') as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            self.command('audit-now')
            xtest.wait_for(self.findings, 'third was looked at')
            xtest.wait_for(lambda: self.skipped() >= 2, 'skipped, again and again')
            self.assertEqual(len(self.left.sets()), before)
            self.left.put('relay', '1', 'off')
            self.assertEqual(self.findings(), {('outlet-off', 'third:8')})
        # By itself when the shot is over.
        xtest.wait_for(lambda: len(self.left.sets()) == before + 2, 'audit')
        self.wait_findings(('outlet-off', 'third:8'))

    def test_shot_in_the_middle(self):
        """An audit under way gives up the victim at once, and no shot waits for it."""
        self.watch()
        for pdu in (self.left, self.right):
            pdu.put('slow', value=0.1)
        for _ in range(3):
            self.command('audit-now')
            self.stonith('off', 'n1')
            self.assertEqual((self.left.relay('1'), self.right.relay('1')), ('off', 'off'))
        self.audit()
        self.assertEqual(self.said('alarm'), [])
        # Even if it hangs in the middle.
        self.command('audit-now')
        self.daemon.send_signal(signal.SIGSTOP)
        self.stonith('on', 'n1')
        self.stonith('off', 'n1')
        self.daemon.send_signal(signal.SIGCONT)
        self.audit()
        self.assertGreater(self.skipped(), 0)

    def test_shots_without_it(self):
        """Nothing of ours is needed for a shot: not the daemon, not its socket."""
        self.watch()
        self.daemon.kill()
        self.stonith('off', 'n1')
        self.stonith('status', 'n1', status=2)
        self.health(3)
        self.stonith('list')
        self.watch()  # what was left there is in nobody's way
        self.health(0)


class Own(Case):
    """Outlets of the host that we run on: left:8 and right:8."""

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()

    def set_up(self, lease=0, **general):
        self.general.update({'repair-own': 'true', 'off-lease': lease, **general})
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']})
        self.watch()

    def repairs(self):
        return self.status()['repair']

    def test_switched_on_again(self):
        self.set_up()
        self.left.put('relay', '8', 'off')
        self.left.put('relay', '2', 'off')
        self.audit()
        xtest.wait_for(lambda: self.repairs()['done'] == 1, 'repair')
        self.wait_findings()
        self.assertEqual((self.left.relay('8'), self.left.relay('2')), ('on', 'off'))
        self.assertEqual({s for s in self.left.sets() if s[1] != 'cancel'}, {('8', 'on')})
        self.check_log('done')
        line = self.lines()[-1]
        self.assertEqual((line['who'], line['action'], line['victim'], line['by-hand']),
                         ('xnbd-stonithd', 'on', 'n2', False))
        self.assertEqual((len(self.said('alarm')), len(self.said('over'))), (1, 1))
        self.assert_never('off', self.left, self.right)

    def test_not_configured(self):
        self.watch()
        self.left.put('relay', '8', 'off')
        self.found(('outlet-off', 'left:8'))
        self.assertEqual(self.left.relay('8'), 'off')
        self.assertEqual(self.repairs()['state'], 'not configured')

    def test_peer_is_not_ours(self):
        self.set_up()
        self.left.put('relay', '1', 'off')
        self.found(('outlet-off', 'left:1'))
        self.assert_only_cancels(self.left, self.right)

    def test_shot_may_be_going_on(self):
        """A shot from elsewhere leaves no lease here: we wait as long as one would hold."""
        self.set_up(lease=3)
        self.left.put('relay', '8', 'off')
        self.found(('outlet-off', 'left:8'))
        self.assertEqual(self.repairs()['state'], 'waiting')
        self.assert_never('on', self.left, self.right)
        # By itself, though the next audit is tomorrow's.
        xtest.wait_for(lambda: self.left.relay('8') == 'on', 'repair')
        self.wait_findings()

    def test_somebody_wants_us_off(self):
        """The lease of who shoots from here (for a proxy: another configuration, same folder)."""
        self.set_up()
        with open(self.config) as f, open(self.path('n1.conf'), 'w') as out:
            out.write(f.read().replace('self = "n2"', 'self = "n1"')
                      .replace('off-lease = 0', 'off-lease = 3600'))
        self.right.put('stuck', '8')
        p = self.run_cmd(*self.host.prefix, xtest.program('xnbd-stonith'), '--deadline=3',
                         f'--config={self.path("n1.conf")}', 'off', 'n2', status=None)
        self.assertEqual(p.returncode, 1, p.stderr)  # right:8 could not be switched
        self.assertEqual((self.left.relay('8'), self.right.relay('8')), ('off', 'on'))
        self.found(('outlet-off', 'left:8'))
        self.assertIn('wants it off for another', self.repairs()['why'])
        self.assert_never('on', self.left, self.right)
        os.unlink(f'{self.run_dir}/n2.off')
        self.audit()
        xtest.wait_for(lambda: self.left.relay('8') == 'on', 'repair')
        self.wait_findings()

    def test_all_off(self):
        """We run, so they are somebody else's: nothing is switched."""
        self.set_up()
        for pdu in (self.left, self.right):
            pdu.put('relay', '8', 'off')
        self.found(('outlet-off', 'left:8'), ('outlet-off', 'right:8'), ('node-repair', 'n2'))
        self.assertEqual(self.repairs()['state'], 'refused')
        self.assert_only_cancels(self.left, self.right)

    def test_stuck(self):
        """A try that fails is said, and followed by others at longer and longer distances."""
        self.set_up(deadline=2, **{'audit-interval': 1})
        self.left.put('stuck', '8')
        self.left.put('relay', '8', 'off')
        self.wait_findings(('outlet-off', 'left:8'), ('node-repair', 'n2'))
        self.assertEqual(len([s for s in self.said('alarm') if 'switched on again' in s]), 1)
        self.left.drop('stuck', '8')
        xtest.wait_for(lambda: self.left.relay('8') == 'on', 'another try', 60)
        self.wait_findings()
        self.assertEqual(self.lines()[-1]['outcome'], 'done')
        self.assertIn('failed', [e.get('outcome') for e in self.lines()])

    def test_end_while_switching(self):
        """What is under way ends with us; the log has its beginning."""
        self.set_up()
        self.left.put('stuck', '8')
        self.left.put('relay', '8', 'off')
        self.audit()
        xtest.wait_for(lambda: self.lines(), 'begun')
        # A new configuration waits until that is over.
        self.daemon.send_signal(signal.SIGHUP)
        found = children(self.daemon.pid)
        self.daemon.stop()
        xtest.wait_for(lambda: not any(is_alive(p) for p in found), 'children end')
        self.assertEqual([e['event'] for e in self.lines()], ['begin'])


class Life(Case):

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()

    def reload(self):
        lines = self.daemon.stderr().count('\n')
        self.daemon.send_signal(signal.SIGHUP)
        xtest.wait_for(lambda: any(t in line for line in self.daemon.stderr().splitlines()[lines:]
                                   for t in ('read anew', 'nothing was changed')), 'reload')
        xtest.wait_for(lambda: self.status()['complete'], 'audit')

    def test_reload(self):
        self.left.put('relay', '1', 'off')
        self.watch()
        alarm = ('outlet-off', 'left:1')
        self.found(alarm)
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       node_keys={'names': ['a', 'b']})
        self.reload()
        names = [('outlet-name', f'{p}:{k}') for p in ('left', 'right') for k in ('1', '8')]
        self.found(alarm, *names)
        self.assertEqual(len([s for s in self.said('alarm') if 'left:1 is off' in s]), 1)
        # What nobody asks for any more is over.
        self.configure([self.right], {'n1': ['right:1']})
        self.reload()
        self.found()
        self.assertEqual(len(self.said('alarm')), len(self.said('over')))
        self.assertEqual([p['pdu'] for p in self.status()['pdus']], ['right'])
        self.audit()
        self.assertEqual(len(children(self.daemon.pid)), 1)  # no zombies

    def test_faulty_configuration(self):
        self.watch()
        good = xtest.text_of(self.config)
        with open(self.config, 'a') as f:
            f.write('node "n3" { outlets = {"left:99x"} }\n')
        self.reload()
        s = self.audit()
        self.assertIn('99x', s['fault'])
        self.assertEqual(len(s['pdus']), 2)
        with open(self.config, 'w') as f:
            f.write(good)
        self.assertIn('not in use', self.health(1).stdout)
        self.reload()
        self.health(0)

    def test_service(self):
        """What the service manager hears; ready when the first audit has begun, dead PDU or not."""
        self.left.stop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(self.path('notify'))
            s.settimeout(30)

            def hear(word):
                while True:
                    text = s.recv(4096).decode()
                    if word in text:
                        return text
            self.watch(complete=False, env={'NOTIFY_SOCKET': self.path('notify')})
            self.assertIn('STATUS=the first audit', hear('READY=1'))
            hear('STATUS=1 findings')
            self.daemon.send_signal(signal.SIGHUP)
            hear('RELOADING=1')
            hear('READY=1')
            self.daemon.stop()
            hear('STOPPING=1')

    def test_options(self):
        for args in (['--bogus'], ['word']):
            self.run_cmd(xtest.program('xnbd-stonithd'), *args, status=2)
        check = [xtest.program('xnbd-stonithd'), '--check', f'--config={self.config}']
        self.run_cmd(*check)
        with open(self.config, 'a') as f:
            f.write('node "n3" { outlets = {"left:3"} }\n')
        self.assertIn('n3', self.run_cmd(*check, status=None).stderr)  # nobody may shoot it
        self.watch()
        p = self.run_cmd(*self.argv('--foreground', program='xnbd-stonithd'), status=None)
        self.assertEqual(p.returncode, 1)
        self.assertIn('control', p.stderr)
        self.assertTrue(self.status()['ok'])
        self.assertIn('no such command', self.command('shoot')['error'])
        self.assertEqual(os.stat(self.control).st_mode & 0o777, 0o600)
        with open(self.config, 'a') as f:
            f.write('nonsense\n')
        self.run_cmd(*check, status=1)
        self.assertTrue(self.command('stop')['ok'])
        self.assertEqual(self.daemon.wait(), 0)

    def test_background(self):
        self.run_cmd(*self.argv(program='xnbd-stonithd'))  # returns when it is ready
        self.control = f'{self.run_dir}/control'
        pid = self.status()['pid']
        self.addCleanup(lambda: is_alive(pid) and os.kill(pid, signal.SIGKILL))
        self.audit()
        self.health(0)
        self.command('stop')
        xtest.wait_for(lambda: not is_alive(pid), 'end')

    def test_helpers_are_replaced(self):
        self.watch()
        for number in (signal.SIGKILL, signal.SIGSTOP):
            old = children(self.daemon.pid)
            for pid in old:
                os.kill(pid, number)
            self.found()
            new = [p for p in children(self.daemon.pid) if is_alive(p)]
            self.assertEqual((len(new), set(old) & set(new)), (2, set()))
        self.audit()
        self.assertEqual(children(self.daemon.pid), new)  # no zombies
        self.assertEqual(self.said('alarm'), [])

    def test_killed(self):
        self.watch()
        helpers = children(self.daemon.pid)
        self.daemon.kill()
        xtest.wait_for(lambda: not any(is_alive(p) for p in helpers), 'helpers end')
        self.watch()

    def test_clock_jumps(self):
        self.general['audit-interval'] = 1
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       login={'version': '3'})
        self.watch(env=WallClock(self, swing=2400).env)
        first = self.status()['audits']
        xtest.wait_for(lambda: self.status()['audits'] >= first + 3, 'audits')
        self.assertEqual((self.findings(), self.said('alarm')), (set(), []))
        self.assertLess(self.status()['audits'], 100)

    def test_many_audits(self):
        """Memory and descriptors stay what they are: of it, and of its helpers."""
        self.general['audit-interval'] = 1
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       node_keys={'names': ['outlet 1', 'outlet 1']})
        self.watch()

        def audits(count):
            """As fast as they go, besides those that come by themselves."""
            with xtest.connect(self.control) as s, s.makefile() as f:
                before = self.status()['pdus'][0]['audits']

                def is_over():
                    s.sendall(b'{"v": 1, "cmd": "audit-now"}\n')
                    f.readline()
                    return self.status()['pdus'][0]['audits'] >= before + count
                xtest.wait_for(is_over, 'audits', 400, interval=0.002)

        def figures():
            pids = [self.daemon.pid, *children(self.daemon.pid)]
            return ([xtest.pss(p) for p in pids], [xtest.count_fds(p) for p in pids])
        audits(200)
        memory, fds = figures()
        audits(1000)
        memory_then = figures()[0]
        # Connections of ours may not have been closed on the other side yet.
        xtest.wait_for(lambda: all(a <= b for a, b in zip(figures()[1], fds)), 'no more files')
        if not xtest.is_sanitized('xnbd-stonithd'):
            for old, new in zip(memory, memory_then):
                self.assertLess(new, old + 128 * xtest.KIB)


class ByProxy(Watching, stonith_proxy.Case):
    """A node whose PDUs another host reaches."""

    def test_far_nodes(self):
        self.set_up_proxy(actions=['status'])
        self.start_proxy()
        self.run_dir = self.path('node.run')
        text = xtest.text_of(self.node_config).replace('self = "n2"',
                                                       'self = "n2"\n\taudit-interval = 2')
        with open(self.node_config, 'w') as f:
            f.write(text.split('node "n2"')[0] + 'node "n2" { proxy = "gate" }\n')
        self.watch(prefix=self.node.prefix, config=self.node_config)
        self.wait_findings(('node-proxy', 'n2'))  # which it may not ask for
        n1 = self.status()['nodes'][0]
        self.assertEqual((n1['node'], n1['proxy'], n1['power']), ('n1', 'gate', 'on'))
        self.right.put('read-only')
        self.wait_findings(('node-proxy', 'n2'), ('node-proxy', 'n1'))
        self.right.drop('read-only')
        self.wait_findings(('node-proxy', 'n2'))


if __name__ == '__main__':
    xtest.main(at_once=4)
