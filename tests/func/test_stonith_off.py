# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-stonith with two PDUs that work: off, on, reboot and status, what they print and return, what
the log has of it, who may do what, and how long a shot takes.
"""

import json
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_fixture  # noqa: E402
import xtest  # noqa: E402


class Shots(stonith_fixture.Case):

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()

    def test_off_on_status(self):
        self.assertEqual(self.stonith('status', 'n1').stdout,
                         'n1 is on (left:1: on, right:1: on)\n')
        p = self.stonith('off', 'n1')
        self.assertEqual(p.stdout, 'n1 is off (left:1: off, right:1: off)\n')
        self.assertEqual(p.stderr, '')
        for pdu in (self.left, self.right):
            self.assertEqual(pdu.relays(), ['off'] + ['on'] * 7)
            self.assertEqual(pdu.sets(), [('1', 'cancel'), ('1', 'off')])
        self.stonith('status', 'N1', status=2)
        self.stonith('on', 'n1')
        self.stonith('status', 'n1')
        for pdu in (self.left, self.right):
            self.assertEqual(pdu.relays(), ['on'] * 8)
        self.check_log('done', 'done')

    def test_off_what_is_off(self):
        """It is set off all the same: "already off" proves nothing."""
        self.stonith('off', 'n1')
        self.stonith('off', 'n1')
        self.assertEqual(self.left.sets(), [('1', 'cancel'), ('1', 'off')] * 2)

    def test_partly_off(self):
        """One outlet off: the node runs."""
        self.left.put('relay', '1', 'off')
        p = self.stonith('status', 'n1')
        self.assertEqual(p.stdout, 'n1 is on (left:1: off, right:1: on)\n')

    def test_partly_known(self):
        """One is on, the other cannot be asked: on, and no error."""
        self.right.stop()
        p = self.stonith('--deadline=8', 'status', 'n1')
        self.assertEqual(p.stdout, 'n1 is on, by what could be read\n')
        self.assertIn('warning: n1: not all outlets could be read: right:1', p.stderr)
        self.assertNotIn('error', p.stderr)
        self.left.stop()
        p = self.stonith('--deadline=1', 'status', 'n1', status=1)
        self.assertEqual(p.stdout, '')
        self.assertIn('error: n1: not all outlets could be read', p.stderr)

    def test_nobody_reads(self):
        """A shot goes on to its end, and nothing is said of that."""
        reader, writer = os.pipe()
        os.close(reader)
        p = self.begin('reboot', 'n1', stdout=writer)
        os.close(writer)
        self.assertEqual(p.wait(), 1)
        self.assertEqual(p.stderr(), '')
        self.check_log('done')

    def test_json(self):
        d = self.asked('off', 'n1')
        self.assertEqual({k: d[k] for k in ('node', 'action', 'done', 'refused', 'power', 'recorded',
                                            'confirmed')},
                         {'node': 'n1', 'action': 'off', 'done': True, 'refused': False,
                          'power': 'off', 'recorded': True, 'confirmed': False})
        self.assertEqual(d['outlets'][1],
                         {'outlet': 'right:1', 'before': 'on', 'before-value': 1, 'last': 'off',
                          'last-value': 2, 'set': True})
        self.assertEqual(self.asked('status', 'n1', status=2)['power'], 'off')
        listed = self.asked('list')['nodes']
        self.assertEqual([(n['node'], n['self']) for n in listed], [('n1', False), ('n2', True)])
        self.assertEqual(listed[0]['outlets'][0]['pdu'], 'left')

    def test_reboot(self):
        """By hand it is off and on, whatever the policy; and never the PDU's own."""
        p = self.stonith('reboot', 'n1')
        self.assertIn('n1 was off, and is on again', p.stdout)
        for pdu in (self.left, self.right):
            self.assertEqual([c for _, c in pdu.sets() if c != 'cancel'], ['off', 'on'])
            self.assertEqual(pdu.relays(), ['on'] * 8)

    def test_reboot_that_stays_off(self):
        """The off half counts; that on did not come is said."""
        p = self.begin('reboot', 'n1', '--deadline=6', '--json', stdout=-1, text=True)
        xtest.wait_for(lambda: self.right.relay('1') == 'off', 'off')
        self.right.put('stuck', '1')
        with p.process.stdout as f:
            out = json.loads(f.read())
        self.assertEqual(p.wait(60), 0, p.stderr())
        self.assertTrue(out['done'])
        self.assertFalse(out['on-again'])
        self.assertIn('is not certain to be on again: right:1', out['text'])
        self.check_log('done')

    def test_usage(self):
        """2 would mean "off" of status."""
        for args in (['off'], ['nonsense'], ['off', 'n1', 'n2'], ['list', 'n1'], [], ['health', 'n1'],
                     ['off', 'n1', '--deadline=0'], ['list', '--force'], ['off', 'n1', '--lines=3']):
            self.assertIn('Usage:', self.stonith(*args, status=2).stderr)
        for args in (['status'], ['status', 'n1', '--bogus'], ['status', 'n1', '--force']):
            self.assertIn('Usage:', self.stonith(*args, status=1).stderr)
        for command in ('off', 'status', 'verify-map', 'confirm'):
            self.assertIn('no such node', self.stonith(command, 'n', status=1).stderr)
        with open(self.config, 'a') as f:
            f.write('node "n3" { outlets = {"left:99x"} }\n')
        self.assertIn('99x', self.stonith('status', 'n1', status=1).stderr)
        self.assertEqual(self.left.sets(), [])

    def test_not_ourselves(self):
        """Not even by hand, and the log has it."""
        for action in ('off', 'reboot'):
            p = self.stonith(action, 'n2', status=1)
            self.assertIn('does not shoot itself', p.stderr)
        self.assertEqual(self.left.sets() + self.right.sets(), [])
        self.check_log('refused', 'refused')

    def test_reason(self):
        self.stonith('off', 'n1', '--reason', 'hangs since\nnoon \x07', '--deadline=20')
        begin, end = self.lines()
        self.assertEqual((begin['event'], end['event']), ('begin', 'end'))
        self.assertEqual(begin['shot'], end['shot'])
        for line in (begin, end):
            self.assertEqual((line['victim'], line['action'], line['who'], line['by-hand']),
                             ('n1', 'off', f'xnbd-stonith (uid {os.getuid()})', True))
            self.assertIn('hangs since', line['reason'])
        self.assertEqual(begin['outlets'], ['left:1', 'right:1'])
        self.assertEqual([(o['before'], o['last']) for o in end['outlets']], [('on', 'off')] * 2)
        self.assertLessEqual(end['off-after-ms'], end['ms'])
        shown = self.stonith('audit').stdout
        self.assertIn('done: n1 is off', shown)
        self.assertIn('hangs since', shown)

    def test_dead_descriptors(self):
        """Closed stdin, stdout and stderr of who calls: nothing of ours lands in a PDU's socket."""
        p = self.spawn(['sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh', *self.argv('off', 'n1')])
        p.wait(60)
        self.assertEqual((self.left.relay('1'), self.right.relay('1')), ('off', 'off'))

    def test_many_outlets(self):
        """More than a message has room for, and two nodes on the same PDUs."""
        keys = self.left.family.keys
        self.configure([self.left, self.right],
                       {'n1': [f'{p}:{k}' for k in keys[:7] for p in ('left', 'right')]})
        d = self.asked('off', 'n1')
        self.assertEqual(len(d['outlets']), 14)
        for pdu in (self.left, self.right):
            self.assertEqual(pdu.relays(), ['off'] * 7 + ['on'])

    def test_times(self):
        """For people: milliseconds of a shot on two PDUs. Slow machines are slow, so no limit."""
        self.general.update({'dwell': 0})
        for version in ('2c', '3'):
            self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                           login={'version': version})
            times = sorted(self.asked('off', 'n1')['ms'] for _ in range(5))
            print(f'\noff of two PDUs without a dwell, version {version}: {times} ms')


class Audit(stonith_fixture.Case):

    def test_chain(self):
        self.pair()
        for _ in range(2):
            self.stonith('off', 'n1')
        good = self.asked('audit')
        self.assertEqual((good['good'], good['lines'], len(good['log'])), (True, 4, 4))
        self.stonith('audit', f'--known={good["last"]}')
        self.stonith('audit', f'--known={self.asked("off", "n1")["audit"]}')
        self.stonith('audit', f'--known={"0" * 63}1', status=1)
        self.assertEqual(len(self.asked('audit', '-n', '1')['log']), 1)
        text = xtest.text_of(self.log)
        for broken in (text.replace('"done"', '"failed"', 1), ''.join(text.splitlines(True)[1:3])):
            with open(self.log, 'w') as f:
                f.write(broken)
            self.assertFalse(self.asked('audit', status=1)['good'])

    def test_files(self):
        """Moved away twice: one chain through all files, in this order and no other."""
        self.pair()
        files = [f'{self.log}.2', f'{self.log}.1', self.log]
        for path in files:
            known = self.asked('off', 'n1')['audit']
            if path != self.log:
                os.rename(self.log, path)
        good = self.asked('audit', *files)
        self.assertEqual((good['good'], good['lines'], len(good['log'])), (True, 6, 6))
        self.assertEqual((good['file'], good['last']), (self.log, known))
        first = json.loads(xtest.text_of(files[0]).splitlines()[1])['prev']
        self.assertEqual(self.asked('audit', '-n', '3', f'--known={first}', *files)['log'],
                         good['log'][3:])
        self.stonith('audit', f'--known={known}', *files[:2], status=1)
        shown = self.stonith('audit', *files).stdout
        self.assertEqual(shown.count(': 2 lines, the chain is whole'), 3)
        for wrong in (files[::2], files[1::-1], files[:1] * 2, [files[2], files[1]]):
            p = self.stonith('audit', *wrong, status=1)
            self.assertIn('does not go on where the file before ended', p.stderr)
        p = self.stonith('audit', files[0], files[2], files[1], status=1)
        self.assertIn(f'{files[1]}: was not looked at', p.stderr)
        self.assertEqual(self.asked('audit', files[0], files[2], status=1)['file'], files[2])
        # The end of the current one is noted elsewhere, that of an older one in the next.
        with open(self.log) as f:
            lines = f.readlines()
        with open(self.log, 'w') as f:
            f.writelines(lines[:1])
        self.assertIn('lines at the end are gone', self.asked('audit', *files, status=1)['why'])
        with open(self.log, 'w') as f:
            f.writelines(lines)
        self.stonith('audit', *files)
        text = xtest.text_of(files[1])
        with open(files[1], 'w') as f:
            f.write(text.replace('"done"', '"failed"', 1))
        self.stonith('audit', *files, status=1)
        self.stonith('audit', *files, self.path('missing'), status=1)

    def test_hashes_go_elsewhere(self):
        """The system log has them, too; here a /dev/log of our own."""
        self.require('unshare')
        self.pair()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.bind(self.path('devlog'))
            log.settimeout(30)
            script = ('mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && '
                      'mknod -m 444 /dev/urandom c 1 9 && touch /dev/log && '
                      f'mount --bind {self.path("devlog")} /dev/log && exec "$@"')
            self.run_cmd('unshare', '-m', 'sh', '-c', script, 'sh', *self.argv('off', 'n1'))
            told = [log.recv(4096).decode() for _ in range(2)]
        for text, what in zip(told, ('begin', 'done')):
            self.assertRegex(text, rf'xnbd-stonith\[\d+\]: off of n1 by .*: {what}; audit line')
        known = told[1].split()[-1]
        self.stonith('audit', '--known', known)
        self.stonith('audit', '--known', known[::-1], status=1)


class Map(stonith_fixture.Case):
    """verify-map: would a shot work, and at the right outlets?"""

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']},
                       node_keys={'names': ['outlet 1', 'outlet 1']})
        self.nodes = {'n1': ['left:1', 'right:1'], 'n2': ['left:2', 'right:2']}
        self.configure([self.left, self.right], self.nodes)

    def named(self, *names):
        text = xtest.text_of(self.config)
        head, tail = text.split('node "n1" {\n')
        listed = ', '.join(f'"{n}"' for n in names)
        with open(self.config, 'w') as f:
            f.write(f'{head}node "n1" {{\n\tnames = {{{listed}}}\n{tail}')

    def test_good(self):
        self.named('outlet 1', 'outlet 1')
        d = self.asked('verify-map')
        self.assertTrue(d['good'])
        self.assertEqual([o['name'] for o in d['nodes'][0]['outlets']], ['outlet 1'] * 2)
        self.assertEqual(self.left.relays() + self.right.relays(), ['on'] * 16)
        self.assert_never('off', self.left, self.right)
        self.assert_never('on', self.left, self.right)
        # That commands are accepted was proven by one that has no effect.
        self.assertEqual(set(self.left.sets()), {('1', 'cancel'), ('2', 'cancel')})
        self.assertIn('n1: good', self.stonith('verify-map').stdout)

    def test_moved_cable(self):
        self.named('outlet 1', 'node 1, B')
        d = self.asked('verify-map', status=1)
        self.assertEqual([o['renamed'] for o in d['nodes'][0]['outlets']], [False, True])
        self.assertIn('WRONG NAME, should be "node 1, B"',
                      self.stonith('verify-map', 'n1', status=1).stdout)
        self.assertIn('n2: good', self.stonith('verify-map', 'n2').stdout)
        self.right.put('name', '1', 'node 1, B')
        self.stonith('verify-map')

    def test_troubles(self):
        for knob, key, text in (('read-only', None, 'not'), ('missing', '1', 'outlet'),
                                ('odd', '1', '')):
            with self.subTest(knob):
                self.right.put(knob, key, '4')
                d = self.asked('verify-map', 'n1', '--deadline=2', status=1)
                self.assertFalse(d['nodes'][0]['good'])
                self.assertIn('right:1', d['nodes'][0]['text'])
                self.assertNotIn('left:1', d['nodes'][0]['text'])
                self.assertIn(text, d['nodes'][0]['text'])
                self.right.drop(knob, key)
        self.stonith('verify-map')

    def test_dead(self):
        self.right.stop()
        p = self.stonith('verify-map', 'n1', '--deadline=3', status=1)
        self.assertIn('right:1: TROUBLE: no answer', p.stdout)


class Locks(stonith_fixture.Case):
    """One shot at a time, and who wants a node off."""

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()

    def test_two_at_once(self):
        """Both succeed, one after the other: their lines in the log do not mix."""
        shots = [self.begin('off', 'n1') for _ in range(2)]
        self.assertEqual([s.wait(120) for s in shots], [0, 0])
        events = [(e['event'], e['shot']) for e in self.lines()]
        self.assertEqual([e for e, _ in events], ['begin', 'end'] * 2)
        self.assertEqual(events[0][1], events[1][1])
        self.check_log('done', 'done')

    def test_busy(self):
        """Who cannot wait is told who is at it."""
        self.right.freeze()
        first = self.begin('off', 'n1')
        xtest.wait_for(lambda: self.lines(), 'the first one has begun')
        p = self.stonith('off', 'n1', '--deadline=1', status=1)
        self.assertIn('xnbd-stonith', p.stderr)
        self.assertTrue(first.is_alive())
        self.right.thaw()
        self.assertEqual(first.wait(60), 0, first.stderr())
        self.check_log('refused', 'done')

    def test_off_and_on_at_once(self):
        """Off wins as long as somebody wants it."""
        self.right.freeze()
        shot = self.begin('off', 'n1')
        xtest.wait_for(lambda: self.left.relay('1') == 'off', 'half of it is off')
        self.stonith('on', 'n1', '--deadline=1', status=1)
        self.assert_never('on', self.left, self.right)
        self.right.thaw()
        self.assertEqual(shot.wait(60), 0, shot.stderr())
        self.assertEqual((self.left.relay('1'), self.right.relay('1')), ('off', 'off'))

    def test_no_run_directory(self):
        """Without a lock the shot goes on, and says so."""
        with open(self.run_dir, 'w'):
            pass
        p = self.stonith('off', 'n1')
        self.assertIn('n1 is off', p.stdout)
        self.assertIn('without a lock', p.stdout)


class Disk(stonith_fixture.Case):
    """The log cannot be written: fencing counts."""

    def check(self):
        p = self.stonith('off', 'n1')
        self.assertIn('n1 is off', p.stdout)
        self.assertIn('the audit log lacks a line', p.stderr)
        self.assertEqual((self.left.relay('1'), self.right.relay('1')), ('off', 'off'))

    def test_full(self):
        where = self.mount('tmpfs', '64k')
        self.log, self.run_dir = f'{where}/audit', f'{where}/run'
        self.left, self.right = self.pair()
        with open(f'{where}/full', 'wb', buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                pass
        self.check()
        os.unlink(f'{where}/full')
        self.stonith('off', 'n1')
        self.check_log('done')

    def test_no_folder(self):
        self.log = self.path('missing/folder/audit')
        self.left, self.right = self.pair()
        self.check()
        self.assertFalse(self.asked('off', 'n1')['recorded'])


class Confirm(stonith_fixture.Case):

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()
        self.nodes = {'n1': ['left:1', 'right:1']}

    def accept(self):
        self.configure([self.left, self.right], self.nodes,
                       node_keys={'accept-confirmation': 'true'})

    def test_not_configured(self):
        self.assertIn('accept-confirmation', self.stonith('confirm', 'n1', status=1).stderr)

    def test_dead_pdu(self):
        """It counts where the PDUs do not say otherwise, once, and the log has it."""
        self.accept()
        self.stonith('confirm', 'n1', '--reason=cable is in my hand')
        p = self.stonith('off', 'n1')
        self.assertNotIn('confirmed', p.stdout)
        self.right.stop()
        p = self.stonith('off', 'n1', '--deadline=3')
        self.assertIn('it was not verified', p.stdout)
        self.assert_not_off(self.stonith('off', 'n1', '--deadline=3', status=None), 'right:1')
        self.check_log('done', 'confirmed', 'failed')
        self.assertEqual(self.lines()[0]['event'], 'confirm')

    def test_outlet_that_reads_on(self):
        self.accept()
        self.stonith('confirm', 'n1')
        self.left.put('stuck', '1')
        self.right.stop()
        self.assert_not_off(self.stonith('off', 'n1', '--deadline=3', status=None), 'left:1')

    def test_withdrawn(self):
        self.accept()
        self.stonith('confirm', 'n1')
        self.stonith('confirm', 'n1', '--withdraw')
        self.right.stop()
        self.assert_not_off(self.stonith('off', 'n1', '--deadline=3', status=None), 'right:1')


class Net(stonith_fixture.Case):

    def test_version_6(self):
        """A PDU with an IPv6 address, and requests from an address of our choice."""
        self.host.run('ip', 'address', 'add', 'fd78::1/64', 'dev', 'lo', 'nodad')
        self.host.run('ip', 'address', 'add', 'fd78::2/64', 'dev', 'lo', 'nodad')
        pdu = stonith_fixture.SimPdu(self, 'six', start=False)
        conf = xtest.text_of(f'{pdu.folder}/snmpd.conf')
        with open(f'{pdu.folder}/snmpd.conf', 'w') as f:
            f.write(conf.replace(f'udp:{pdu.address}:161', f'udp:{pdu.address}:161,udp6:[fd78::1]:161')
                    .replace(f'rwcommunity {stonith_fixture.COMMUNITY}',
                             f'rwcommunity6 {stonith_fixture.COMMUNITY} fd78::2'))
        pdu.start()
        pdu.address = 'fd78::1'
        self.configure([pdu], {'n1': ['six:1']}, pdu_keys={'source': 'fd78::2'})
        self.stonith('off', 'n1')
        self.configure([pdu], {'n1': ['six:1']}, pdu_keys={'source': 'fd78::1'})
        self.assert_not_off(self.stonith('off', 'n1', '--deadline=2', status=None), 'six:1')

    def test_no_route(self):
        left = self.pdu('left')
        right = stonith_fixture.SimPdu(self, 'right', start=False, address='192.0.2.9')
        self.configure([left, right], {'n1': ['left:1', 'right:1']})
        p = self.stonith('off', 'n1', '--deadline=2', status=None)
        self.assert_not_off(p, 'right:1: unreachable: Network is unreachable')
        self.assertEqual(left.relay('1'), 'off')

    def test_stranger(self):
        """Somebody answers all requests with garbage."""
        left = self.pdu('left')
        right = stonith_fixture.SimPdu(self, 'right', start=False)
        self.configure([left, right], {'n1': ['left:1', 'right:1']})
        s = self.host.within(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.addCleanup(s.close)
        s.bind((right.address, 161))
        s.settimeout(0.2)
        shot = self.begin('off', 'n1', '--deadline=2')
        while shot.is_alive():
            try:
                data, peer = s.recvfrom(2000)
            except TimeoutError:
                continue
            for answer in (data, data[:10], b'', os.urandom(60), data.replace(b'\xa0', b'\xa2', 1)):
                s.sendto(answer, peer)
        self.assertEqual(shot.wait(), 1)
        self.assertIn('right:1', shot.stderr())


if __name__ == '__main__':
    xtest.main()
