#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A caching proxy becomes a target, or gets another origin, under clients that notice nothing."""

import errno
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import proxy_fixture as f  # noqa: E402
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from proxy_fixture import BLOCK, SAFE, Busy, ProxyCase  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

FAILING_SYNC = r'''
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
/* Fails from the time on when the file SYNC_FAULT is made. */
int fdatasync(int fd)
{
	static int (*real)(int);
	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	if (access(getenv("SYNC_FAULT"), F_OK) == 0) {
		errno = EIO;
		return -1;
	}
	return real(fd);
}
'''


class Switch(ProxyCase):

    def test_refused_while_blocks_are_absent(self):
        p = self.proxy(self.file_origin())
        self.client(p).read(0, BLOCK)
        q = self.query(p)
        answer = self.ask(p, 'switch')
        self.assertEqual((answer['ok'], answer['incomplete'], answer['absent']),
                         (False, True, q['blocks'] - q['cached']))
        self.assertEqual(self.query(p)['mode'], 'proxy')
        p.send_signal(signal.SIGUSR2)
        xtest.wait_for(lambda: 'switch' in p.stderr(), 'the signal is refused too')
        self.assertEqual(self.query(p)['mode'], 'proxy')

    def under_load(self, switch):
        """Clients that work all the time notice nothing."""
        origin = self.file_origin()
        p = self.proxy(origin)
        busy = [Busy(self.client(p, m), i * MIB, origin.content[i * MIB:(i + 1) * MIB])
                for i, m in enumerate(('simple', 'structured', 'extended'))]
        self.cache_all(p)
        rounds = [b.rounds for b in busy]
        switch(p)
        xtest.wait_for(lambda: self.query(p)['mode'] == 'target', 'target')
        xtest.wait_for(lambda: all(b.rounds > r + 5 for b, r in zip(busy, rounds)), 'they go on')
        q = self.query(p)
        self.assertNotIn('origin', q)
        self.assertEqual(q['clients'], 3)
        origin.kill()
        for b in busy:
            b.end()
        want = b''.join(bytes(b.model) for b in busy) + origin.content[3 * MIB:]
        self.check_all(p, want)
        self.stop(p)
        self.check_file(p.cache, want)
        return origin, p, want

    def test_fault_2_4_sessions_are_kept(self):
        origin, p, want = self.under_load(lambda p: self.done(p, 'switch'))
        with open(p.bitmap + '.info') as file:
            self.assertTrue(json.load(file)['clean'])
        self.assertEqual(len(self.present(p)), self.SIZE // BLOCK)

    def test_fault_2_4_by_sigusr2(self):
        self.under_load(lambda p: p.send_signal(signal.SIGUSR2))

    def test_everything_works_afterwards(self):
        origin = self.file_origin(8 * MIB - 1000)
        p = self.proxy(origin)
        c, control = self.client(p), self.control(p)
        self.cache_all(p)
        self.assertTrue(control.ask('switch')['ok'])
        control.event('switched')
        model = bytearray(origin.content)
        for kind in (n.WRITE_ZEROES, n.TRIM):
            self.assertEqual(c.call(kind, 5000, MIB, flags=n.FUA).error, 0)
            model[5000:5000 + MIB] = bytes(MIB)
        self.assertEqual(c.call(n.CACHE, 0, MIB).error, 0)
        self.assertEqual(c.call(n.FLUSH).error, 0)
        self.assertEqual(c.write(7 * MIB, b'w' * 100, flags=n.FUA).error, 0)
        model[7 * MIB:7 * MIB + 100] = b'w' * 100
        self.check_all(p, model)
        for cmd in ('switch', 'cache-all', 'pause', 'resume'):
            self.assertTrue(self.ask(p, cmd)['ok'], cmd)
        for cmd, more in (('verify', {}), ('reconnect', {'uri': origin.uri})):
            self.assertFalse(self.ask(p, cmd, **more)['ok'], cmd)
        self.stop(p)
        self.check_file(p.cache, model)
        self.check_all(self.serve(p.cache), model)

    def test_fault_4_2_7_it_is_durable(self):
        """What becomes a target is on the disk below, bits and data."""
        folder = self.mount('ext4', 64 * MIB)
        origin = self.file_origin()
        p = self.proxy(origin, cache=folder + '/cache')
        self.cache_all(p)
        self.done(p, 'switch')
        copy = self.path('below')
        disk = next(d for d in os.listdir(self.dir) if d.endswith('.disk'))
        self.run_cmd('cp', '--sparse=always', self.path(disk), copy)
        self.require('debugfs')
        self.run_cmd('e2fsck', '-fy', copy, status=None)
        self.run_cmd('debugfs', '-R', f'dump /cache {self.path("dumped")}', copy)
        self.check_file(self.path('dumped'), origin.content)

    def test_force(self):
        """Absent blocks become zeros, for ever; what was here stays."""
        origin = self.file_origin()
        p = self.proxy(origin)
        c = self.client(p)
        self.assertEqual(c.write(MIB, b'w' * BLOCK).error, 0)
        self.done(p, 'switch', force=True)
        want = bytearray(self.SIZE)
        want[MIB:MIB + BLOCK] = b'w' * BLOCK
        self.check_all(p, want)
        self.assertTrue(c.in_sync())
        self.stop(p)
        self.check_file(p.cache, want)

    def test_force_while_the_origin_is_lost(self):
        """Reads that wait are answered, with whatever it is, and the server stays."""
        origin = self.file_origin()
        p = self.proxy(origin)
        c = self.client(p)
        self.client(p).read(0, BLOCK)
        origin.kill()
        self.origin_state(p, 'lost')
        for at in (4 * MIB, 5 * MIB):
            c.request(n.READ, at, BLOCK)
        c.request(n.WRITE, 6 * MIB + 1, 1, payload=b'x')
        xtest.wait_for(lambda: self.query(p)['origin']['waiting'] == 3, 'they wait')
        self.done(p, 'switch', force=True)
        for _ in range(3):
            self.assertIn(c.reply().error, (0, errno.EIO, errno.ESHUTDOWN))
        self.assertEqual(c.read(4 * MIB, BLOCK), bytes(BLOCK))
        self.stop(p)

    def test_force_during_the_copy_and_fetches(self):
        origin = self.slow_origin('50ms')
        p = self.proxy(origin)
        c = self.client(p)
        self.done(p, 'cache-all')
        for i in range(20):
            c.request(n.READ, i * 300 * KIB, BLOCK)
        xtest.wait_for(lambda: self.query(p)['cached'], 'some have come')
        self.done(p, 'switch', force=True)
        for i in range(20):
            reply = c.reply()
            at = (reply.cookie - 1) * 300 * KIB
            self.assertIn(reply.error, (0, errno.ESHUTDOWN, errno.EIO))
            if not reply.error:
                self.assertIn(reply.data, (origin.content[at:at + BLOCK], bytes(BLOCK)))
        after = c.read(0, MIB)
        self.assertEqual(c.read(0, MIB), after)
        for at in range(0, MIB, BLOCK):
            self.assertIn(after[at:at + BLOCK], (origin.content[at:at + BLOCK], bytes(BLOCK)))
        self.stop(p)

    def test_twice_at_once(self):
        p = self.proxy(self.file_origin())
        self.cache_all(p)
        controls = [self.control(p) for _ in range(6)]
        for c in controls:
            c.send('switch')
        p.send_signal(signal.SIGUSR2)
        self.assertTrue(all(c.answer()['ok'] for c in controls))
        self.assertEqual(self.query(p)['mode'], 'target')

    def test_bad_disk_leaves_a_proxy(self):
        """Not durable: refused, and it goes on as it was."""
        fault = self.path('fault')
        env = dict(self.preload(FAILING_SYNC), SYNC_FAULT=fault)
        origin = self.file_origin()
        p = self.proxy(origin, env=env)
        self.cache_all(p)
        self.assertEqual(self.client(p).write(0, b'w').error, 0)
        open(fault, 'w').close()
        answer = self.ask(p, 'switch')
        self.assertFalse(answer['ok'])
        self.assertIn('not durable', answer['error'])
        self.assertEqual(self.query(p)['mode'], 'proxy')
        self.check_all(p, b'w' + origin.content[1:])
        p.kill()

    def test_readonly_is_kept(self):
        p = self.proxy(self.file_origin(), '--readonly')
        c = self.client(p)
        self.cache_all(p)
        self.done(p, 'switch')
        self.assertEqual(c.write(0, b'x').error, errno.EPERM)
        self.assertTrue(self.client(p).flags & n.READ_ONLY)

    def test_started_again_as_proxy(self):
        """Its origin may be gone: everything is here."""
        origin = self.file_origin()
        p = self.proxy(origin)
        self.cache_all(p)
        self.done(p, 'switch')
        self.assertEqual(self.client(p).write(0, b'w' * 100).error, 0)
        self.stop(p)
        origin.kill()
        p = self.again(p, origin)
        self.check_all(p, b'w' * 100 + origin.content[100:])
        self.assertTrue(self.ask(p, 'switch')['ok'])


class Reconnect(ProxyCase):

    def twin(self, origin):
        return self.nbdkit('file', origin.image, content=origin.content, options=SAFE)

    def test_to_another_server(self):
        origin = self.file_origin()
        other, p = self.twin(origin), self.proxy(origin)
        self.client(p).read(0, MIB)
        self.done(p, 'reconnect', uri=other.uri)
        before = len(origin.reads())
        self.check_all(p, origin.content)
        self.assertEqual(len(origin.reads()), before)
        self.assertEqual(self.query(p)['origin']['uri'], other.uri)
        self.stop(p)
        self.refused_belongs(p, origin)
        self.stop(self.again(p, other))

    def refused_belongs(self, p, origin):
        out = self.run_cmd(*self.proxy_args(origin, cache=p.cache), status=None)
        self.assertEqual(out.returncode, 1)
        self.assertIn('belongs to', out.stderr)

    def test_fault_6_while_the_old_one_hangs(self):
        origin = self.file_origin()
        other, p = self.twin(origin), self.proxy(origin)
        c = self.client(p)
        c.read(0, BLOCK)
        origin.freeze()
        for i in range(10):
            c.request(n.READ, 4 * MIB + i * 200000, BLOCK, cookie=100 + i)
        took, _ = self.timed(lambda: self.done(p, 'reconnect', uri=other.uri))
        self.assertLess(took, 8)
        for _ in range(10):
            reply = c.reply()
            at = 4 * MIB + (reply.cookie - 100) * 200000
            self.assertEqual(reply.data, origin.content[at:at + BLOCK])
        origin.thaw()
        self.check_all(p, origin.content)

    def test_while_the_old_one_is_lost(self):
        origin = self.file_origin()
        other, p = self.twin(origin), self.proxy(origin)
        c = self.client(p)
        c.read(0, BLOCK)
        origin.kill()
        c.request(n.READ, 4 * MIB, BLOCK)
        self.done(p, 'reconnect', uri=other.uri)
        self.assertEqual(c.reply().data, origin.content[4 * MIB:4 * MIB + BLOCK])

    def test_fault_2_5_another_size_is_refused(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        self.client(p).read(0, BLOCK)
        answer = self.ask(p, 'reconnect', uri=self.file_origin(9 * MIB).uri)
        self.assertFalse(answer['ok'])
        self.assertIn(str(9 * MIB), answer['error'])
        self.check_all(p, origin.content)
        self.stop(p)
        self.stop(self.again(p, origin))

    def test_to_nobody(self):
        origin = self.file_origin()
        p = self.proxy(origin)
        answer = self.ask(p, 'reconnect', uri=f.unix_uri(self.path('nobody')))
        self.assertFalse(answer['ok'])
        answer = self.ask(p, 'reconnect', host='127.0.0.1', port=str(xtest.free_port()))
        self.assertFalse(answer['ok'])
        self.assertFalse(self.ask(p, 'reconnect', uri='http://x')['ok'])
        self.check_all(p, origin.content)

    def test_by_host_and_port(self):
        path, content = self.disk()
        origin = f.qemu_nbd(self, path, 'raw').start()
        server = f.nbd_server(self, path).start()
        p = self.proxy(origin)
        host, port = server.socket
        self.done(p, 'reconnect', host=host, port=str(port), exportname='disk')
        self.check_all(p, content)

    def test_under_load(self):
        origin = self.file_origin(options=SAFE)
        servers, p = [self.twin(origin), origin], self.proxy(origin)
        busy = [Busy(self.client(p), i * MIB, origin.content[i * MIB:(i + 1) * MIB])
                for i in range(2)]
        self.done(p, 'cache-all', rate=3 * MIB)
        for i in range(8):
            self.done(p, 'reconnect', uri=servers[i % 2].uri)
            time.sleep(0.2)
        for b in busy:
            b.end()
        self.cache_all(p)
        self.check_all(p, b''.join(bytes(b.model) for b in busy) + origin.content[2 * MIB:])


if __name__ == '__main__':
    xtest.main()
