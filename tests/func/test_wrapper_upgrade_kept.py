#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is nowhere but in the memory of a wrapper is there after an upgrade too: who was evicted, who
waits for what, levels set by hand, pauses, copies; and what goes by the clock goes on."""

import http.client
import json
import os
import re
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_access import A, B, C, AccessCase  # noqa: E402
from wrapper_fake import RealProxyCase  # noqa: E402
from wrapper_fixture import MIB, config_text, is_running  # noqa: E402
from wrapper_successor import SuccessorCase  # noqa: E402

NOBODY = 65534


class KeptCase(SuccessorCase):
    def conf(self, w):
        return w.argv[w.argv.index('--config') + 1]

    def rewrite(self, w, exports):
        """Another configuration, in the same file."""
        with open(self.conf(w), 'w') as f:
            f.write(exports if isinstance(exports, str) else config_text(exports))


class Exclusive(AccessCase, KeptCase):
    def setUp(self):
        super().setUp()
        self.serve_access(self.export_section('x', exclusive='writer'))

    def holder(self):
        return [(c['address'], c.get('holder_since')) for c in
                self.call(self.w, cmd='clients')['clients'] if c['holder']]

    def test_evicted_peer_is_kept_out(self):
        held = self.enter('x', A)
        self.w.ctl('evict', 'x')
        began = time.monotonic()
        held.expect_end()
        for _ in range(3):
            time.sleep(0.5)
            self.upgrade(self.w)
            kept = re.fullmatch(r'this peer was evicted, and may come back in (\d+) s',
                                self.refused('x', A)[1])
            self.assertAlmostEqual(int(kept[1]), 10 - (time.monotonic() - began), delta=1.1)
        self.assertTrue(self.enter('x', B).in_sync())

    def test_one_that_has_not_gone_yet(self):
        """It was told to, and asks nothing; that it was evicted counts when it goes."""
        held = self.enter('x', A)
        held.send(held.write_bytes(0, b'w' * 4096)[:100])
        p = threading.Thread(target=lambda: self.w.ctl('evict', 'x', status=None, seconds=60))
        p.start()
        xtest.wait_for(lambda: self.call(self.w, cmd='clients')['clients'][0].get('evicted'),
                       'evicted')
        upgraded = threading.Thread(target=lambda: self.upgrade(self.w))
        upgraded.start()
        p.join()
        upgraded.join()
        self.gone('x')
        self.assertIn('was evicted', self.refused('x', A)[1])

    def test_holder_since(self):
        """Since the first connection of the peer, though that one has gone."""
        first = self.enter('x', A)
        [(_, since)] = self.holder()
        time.sleep(2.1)
        second = self.enter('x', A)
        first.disconnect()
        self.gone('x', 1)
        self.upgrade(self.w)
        [(address, after)] = self.holder()
        self.assertEqual(address, A)
        self.assertLessEqual(abs(after - since), 1)
        self.assertTrue(second.in_sync())

    def test_promise(self):
        """Somebody has been told that it may write, and is on its way."""
        client = rawnbd.Raw(self.connect(A))
        self.addCleanup(client.close)
        client.greet()
        whole = client.go_bytes('x', option=rawnbd.OPT_GO)
        client.send(whole)
        client.take_infos()
        self.upgrade(self.w)
        self.assertIn(f'{A}', self.refused('x', C)[1])
        self.assertTrue(client.in_sync())


class Failures(KeptCase):
    def test_pause_before_the_next_start(self):
        w = self.wrap(exports=self.files(1))
        for _ in range(4):
            client = self.come(w)
            self.kill_worker(w, w.worker('disk0'))
            client.expect_end()
        before = w.export('disk0')
        self.assertEqual(before['error'], 'its server was killed by signal 9')
        self.upgrade(w)
        after = w.export('disk0')
        self.assertEqual(after['error'], before['error'])
        self.assertIn(after['retry_seconds'],
                      range(max(0, before['retry_seconds'] - 1), before['retry_seconds'] + 1))
        self.assertTrue(self.come(w).in_sync())
        self.assertNotIn('error', w.export('disk0'))

    def come(self, w):
        """A client that tries again until it is let in."""
        def enter():
            try:
                return w.enter('disk0')
            except rawnbd.ProtocolError as e:
                self.assertIn('started again', str(e))
                return None
        return xtest.wait_for(enter, 'let in', 10)

    def test_image_that_is_missing(self):
        w = self.wrap(exports={'x': self.path('later')})
        w.go_refused('x')
        xtest.wait_for(lambda: 'No such file' in w.export('x').get('error', ''), 'told')
        self.upgrade(w)
        self.assertIn('No such file', w.export('x')['error'])
        self.image(MIB, 'later')
        self.assertTrue(w.enter('x').in_sync())


class LogLevel(KeptCase):
    def level_of_all(self, w):
        answer = self.ask_worker(w, 'disk0', cmd='log-level')
        return w.status()['log_level'], answer['level']

    def test_set_by_hand(self):
        """It stays, unless the configuration has another one now."""
        exports = config_text(self.files(1))
        w = self.wrap(exports=exports)
        client = w.enter('disk0')
        w.ctl('log-level', 'debug')
        self.upgrade(w)
        self.assertEqual(self.level_of_all(w), ('debug', 'debug'))
        w.raw().send(b'\xff' * 64)
        xtest.wait_for(lambda: 'handshake ended' in w.log(), 'the negotiator logs')
        self.rewrite(w, 'wrapper { log-level = warn }\n' + exports)
        self.upgrade(w)
        self.assertEqual(self.level_of_all(w), ('warn', 'warn'))
        self.assertTrue(client.in_sync())

    def test_rotation(self):
        """The file is opened by its name; SIGHUP goes on to work, for servers of before too."""
        log = self.path('w.txt')
        w = self.wrapper_args('--lsocket', self.path('n'), '--logpath', log, exports=self.files(2))
        w.socket = self.path('n')
        w.daemon = self.start(w.argv, [w.socket, w.control])
        self.addCleanup(self._settle, w)
        client = w.enter('disk0')
        os.rename(log, log + '.1')
        self.upgrade(w)
        self.assertIn('taken over from', xtest.text_of(log))
        os.rename(log, log + '.2')
        w.daemon.send_signal(signal.SIGHUP)
        xtest.wait_for(lambda: 'opened anew' in xtest.text_of(log), 'opened anew')
        client.send(b'\xff' * 64)
        xtest.wait_for(lambda: 'disk0: client 1 ' in xtest.text_of(log), 'server writes there')


class Draining(KeptCase):
    def test_imgfiles(self):
        """What was removed stays so; what was to go when it is idle still does."""
        images = [self.image(MIB, n) for n in ('gone', 'drains', 'idle', 'stays')]
        args = [a for image in images for a in ('--imgfile', image)]
        w = self.wrap(*args)
        client, idle = w.enter(images[1]), w.enter(images[2])
        w.ctl('--remove-by-exportname', images[0])
        for image in images[1:3]:
            self.assertIn('1 client', w.ctl('--remove-by-exportname', image, '--when-idle'))
        before = self.shown(w)
        self.upgrade(w)
        self.assertEqual(self.shown(w), before)
        self.assertEqual(w.status()['draining'], 2)
        w.go_refused(images[1])
        idle.disconnect()
        xtest.wait_for(lambda: len(w.list()) == 2, 'one has gone')
        self.assertTrue(client.in_sync())
        client.disconnect()
        xtest.wait_for(lambda: [e['name'] for e in w.list()] == images[3:], 'the other too')

    def test_last_one_leaves_meanwhile(self):
        image = self.image(MIB, 'image')
        w = self.wrap('--imgfile', image)
        client = w.enter(image)
        w.ctl('--remove-by-exportname', image, '--when-idle')
        pid = w.worker(image)
        os.kill(pid, signal.SIGSTOP)
        client.close()
        self.upgrade(w)
        os.kill(pid, signal.SIGCONT)
        xtest.wait_for(lambda: w.list() == [], 'it goes')

    def test_of_the_state_file(self):
        """It is not in the file any more: its server goes on for its client, apart."""
        w = self.wrap()
        w.ctl('--add-target', 'x', self.image(MIB, 'image'))
        client, pid = w.enter('x'), w.worker('x')
        w.ctl('--remove-by-exportname', 'x', '--when-idle')
        self.upgrade(w)
        self.assertEqual((w.list(), list(self.apart(w))), ([], ['x']))
        self.assertTrue(client.in_sync())
        client.disconnect()
        xtest.wait_for(lambda: not is_running(pid), 'ends with it', 15)

    def test_change_that_waits(self):
        """Its clients keep their server; new ones get what the configuration has."""
        image = self.image(MIB, 'image')
        w = self.wrap(exports={'x': {'image': image, 'threads': 1}})
        client, pid = w.enter('x'), w.worker('x')
        self.rewrite(w, {'x': {'image': image, 'threads': 2}})
        w.ctl('reload', '--when-idle')
        self.assertEqual(w.export('x')['draining'], 'changes')
        self.upgrade(w)
        self.assertIn('was to change', self.apart(w)['x'])
        late = w.enter('x')
        self.assertNotEqual(w.worker('x'), pid)
        self.assertEqual(self.ask_worker(w, 'x', cmd='status')['threads'], 2)
        self.assertTrue(client.in_sync() and late.in_sync())

    def test_server_that_is_being_replaced(self):
        """Who asked for that has left; it is waited for all the same."""
        image = self.image(MIB, 'image')
        w = self.wrap(exports={'x': {'image': image, 'threads': 1}, 'y': image})
        client, pid = w.enter('x'), w.worker('x')
        client.send(client.write_bytes(0, b'w' * 4096)[:100])
        self.rewrite(w, {'x': {'image': image, 'threads': 2}, 'y': image})
        with xtest.connect(w.control, 30) as s:
            s.sendall(b'{"v":1,"cmd":"reload","force":true}\n')
            xtest.wait_for(lambda: w.worker('x') != pid, 'it retires')
        self.assertTrue(is_running(pid))
        self.upgrade(w)
        self.assertFalse(is_running(pid))
        w.enter('x')
        self.assertEqual(self.ask_worker(w, 'x', cmd='status')['threads'], 2)
        self.assertEqual(self.apart(w), {})


class Snapshots(KeptCase):
    def setUp(self):
        super().setUp()
        self.images = self.files(2, pattern=True)
        self.w = self.wrap(exports={'vm': self.images['disk0']})
        self.made = json.loads(self.w.ctl('--json', 'snapshot', 'vm'))
        xtest.wait_for(lambda: 'is complete' in self.w.log(), 'complete')
        self.names = [f'vm@{self.made["id"]}', 'vm@snapshot']
        self.client = self.w.enter(self.names[0])

    def test_of_an_export_that_is_another_disk_now(self):
        self.rewrite(self.w, {'vm': self.images['disk1']})
        self.upgrade(self.w)
        self.assertEqual([e['name'] for e in self.w.list()], ['vm'])
        self.assertEqual(list(self.apart(self.w)), ['vm'])
        self.assertTrue(self.client.in_sync())

    def test_of_a_server_that_is_apart(self):
        """Complete ones have a server of their own then."""
        data = self.client.read(0, MIB)
        self.rewrite(self.w, {'vm': {'image': self.images['disk0'], 'readonly': True}})
        self.upgrade(self.w)
        self.assertEqual([e['name'] for e in self.w.list()], ['vm', *self.names])
        self.assertEqual([self.w.enter(n).read(0, MIB) for n in self.names], [data] * 2)
        self.assertTrue(self.client.in_sync())


class Proxies(KeptCase, RealProxyCase):
    """Of the configuration: nothing of them is in the state file."""

    def setUp(self):
        super().setUp()
        self.source = self.image(8 * MIB, 'origin.img', 5)
        self.origin = self.serve_origin(self.source, '--readonly')
        self.w = self.wrap(exports=self.section(self.origin))

    def section(self, origin, **more):
        return 'wrapper { handshake-timeout = 1 }\n' + config_text({
            'p': {'mode': 'proxy', 'origin': origin.uri, 'cache': self.path('c'), **more}})

    def query(self):
        return json.loads(self.w.ctl('query', 'p', '--json'))

    def end_server(self):
        """As it does when nobody uses it."""
        pid = self.w.worker('p')
        os.kill(pid, signal.SIGTERM)
        xtest.wait_for(lambda: self.w.worker('p') is None, 'has ended')

    def copy_and_switch(self):
        self.w.ctl('cache-all', 'p')
        xtest.wait_for(lambda: self.query()['cached'] == self.query()['blocks'], 'copied', 30)
        self.w.ctl('--bgctl-switch', 'p')

    def test_switched(self):
        self.copy_and_switch()
        self.end_server()
        self.origin.stop()
        self.upgrade(self.w)
        self.assertEqual(self.w.export('p')['mode'], 'target')
        with open(self.source, 'rb') as f:
            self.assertEqual(self.w.enter('p').read(0, 8 * MIB), f.read())

    def test_switched_and_the_file_says_something_new(self):
        self.copy_and_switch()
        other = self.image(MIB, 'other')
        self.rewrite(self.w, {'p': other})
        client = self.w.enter('p')
        self.upgrade(self.w)
        self.assertEqual((self.w.export('p')['image'], list(self.apart(self.w))), (other, ['p']))
        self.assertTrue(client.in_sync())

    def test_another_origin(self):
        other = self.serve_origin(self.source, '--readonly')
        self.w.ctl('--bgctl-reconnect', 'p', other.uri)
        self.end_server()
        self.origin.stop()
        self.upgrade(self.w)
        self.assertEqual(self.w.export('p')['origin'], other.uri)
        self.assertEqual(len(self.w.enter('p').read(0, MIB)), MIB)
        third = self.serve_origin(self.source, '--readonly')
        self.rewrite(self.w, self.section(third))
        self.upgrade(self.w)
        self.assertEqual(self.w.export('p')['origin'], third.uri)

    def test_paused_copy_without_a_server(self):
        self.w.ctl('cache-all', 'p', '--rate', '1M')
        self.w.ctl('pause', 'p')
        self.end_server()
        self.upgrade(self.w)
        self.assertEqual(self.w.export('p')['copy'], 'paused')
        self.w.ctl('resume', 'p')
        xtest.wait_for(lambda: self.query()['copy']['state'] == 'running', 'goes on')
        self.assertEqual(self.query()['copy']['rate_limit'], MIB)

    def test_migration(self):
        self.w.ctl('migrate-in', 'p', self.origin.uri, '--rate', '4M', '--verify')
        client = self.w.enter('p')
        for _ in range(4):
            self.upgrade(self.w)
            time.sleep(0.3)
            self.assertIn('p', self.w.ctl('migrate-status'))
        xtest.wait_for(lambda: 'done' in self.w.ctl('migrate-status', 'p'), 'done', 30)
        self.upgrade(self.w)
        self.assertIn('done', self.w.ctl('migrate-status', 'p'))
        self.assertEqual((self.w.export('p')['mode'], client.in_sync()), ('target', True))


class Clocks(KeptCase):
    def test_sizes_are_polled(self):
        image = self.image(MIB, 'image')
        w = self.wrap(exports='wrapper { poll-sizes = 1 }\n' + config_text({'x': image}))
        w.enter('x')
        for _ in range(3):
            self.upgrade(w)
        os.truncate(image, 2 * MIB)
        xtest.wait_for(lambda: w.export('x')['size'] == 2 * MIB, 'it is noticed', 5)
        self.upgrade(w)
        self.assertEqual((w.export('x')['size'], w.enter('x').size), (2 * MIB, 2 * MIB))


class Metrics(KeptCase):
    def ask(self, port, timeout=10):
        c = http.client.HTTPConnection('127.0.0.1', port, timeout=timeout)
        self.addCleanup(c.close)
        c.request('GET', '/metrics')
        return c.getresponse().read().decode()

    def test_who_asks_meanwhile_waits(self):
        ports = [xtest.free_port() for _ in range(2)]
        exports = config_text(self.files(1))
        text = f'wrapper {{ metrics = "127.0.0.1:{ports[0]}" }}\n{exports}'
        w = self.wrap(exports=text)
        client = w.enter('disk0')
        stop, asked = threading.Event(), []

        def scrape():
            while not stop.is_set():
                try:
                    asked.append('xnbd_up 1' in self.ask(ports[0]))
                except (ConnectionResetError, http.client.RemoteDisconnected):
                    asked.append(None)  # it was just being answered

        def go_on():
            try:
                for _ in range(10):
                    self.upgrade(w)
            finally:
                stop.set()
        self.upgrade(w)
        fds = xtest.count_fds(w.pid)
        xtest.in_threads(scrape, go_on)
        self.assertGreater(asked.count(True), 10)
        self.assertNotIn(False, asked)
        self.rewrite(w, text.replace(str(ports[0]), str(ports[1])))
        self.upgrade(w)
        self.assertIn('xnbd_export_clients{export="disk0"} 1', self.ask(ports[1]))
        self.assertRaises(ConnectionRefusedError, self.ask, ports[0])
        self.rewrite(w, exports)
        self.upgrade(w)
        self.assertRaises(ConnectionRefusedError, self.ask, ports[1])
        self.rewrite(w, text)
        self.upgrade(w)
        self.assertIn('xnbd_up 1', self.ask(ports[0]))
        xtest.wait_for(lambda: xtest.count_fds(w.pid) <= fds, 'none is left open')
        self.assertTrue(client.in_sync())


class User(KeptCase):
    def setUp(self):
        super().setUp()
        self.require(root=True)
        if self.run_cmd('setpriv', f'--reuid={NOBODY}', '--clear-groups',
                        xtest.program('xnbd-wrapper'), '--version', status=None).returncode:
            self.skipTest('the build folder is closed to others')
        self.text = config_text(self.files(1))
        os.chown(self.path('disk0.img'), NOBODY, -1)

    def test_stays_who_it_is(self):
        w = self.wrap(exports='wrapper { user = nobody }\n' + self.text)
        client = w.enter('disk0')
        for _ in range(2):
            self.upgrade(w)
        self.assertEqual(os.stat(f'/proc/{w.pid}').st_uid, NOBODY)
        self.assertEqual(client.write(0, b'x' * 512).error, 0)
        self.assertTrue(w.enter('disk0').in_sync())

    def test_cannot_become_another(self):
        """There would be no way back, and no way to its servers."""
        w = self.wrap(exports=self.text)
        client = w.enter('disk0')
        self.rewrite(w, 'wrapper { user = nobody }\n' + self.text)
        self.assertIn('user "nobody": not by an upgrade', w.refused('upgrade'))
        self.assertTrue(client.in_sync())
        self.rewrite(w, 'wrapper { user = root }\n' + self.text)
        self.upgrade(w)
        self.assertTrue(client.in_sync())


if __name__ == '__main__':
    xtest.main()
