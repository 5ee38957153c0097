#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Upgrades that are refused or fail, whereupon everything goes on as before, and those to other files."""

import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fixture import MIB, kill  # noqa: E402
from wrapper_successor import SuccessorCase  # noqa: E402


class Refused(SuccessorCase):
    """Everything goes on as before."""

    def setUp(self):
        super().setUp()
        self.w = self.wrap(exports=self.files(2))
        self.load = self.writer(self.w, 'disk0')
        self.pids = self.w.pid, self.w.negotiator(), self.w.worker('disk0')

    def refused_with(self, *words, args=()):
        line = self.w.refused('upgrade', *args, seconds=60)
        for word in words:
            self.assertIn(word, line)
        self.go_on(self.load, 2)
        w = self.w
        self.assertEqual((w.pid, w.negotiator(), w.worker('disk0')), self.pids)
        self.assertTrue(w.enter('disk1').in_sync())
        self.assertEqual(w.status()['upgrades'], 0)
        return line

    def tearDown(self):
        self.load.finish()
        self.load.check_file(self, self.path('disk0.img'))
        super().tearDown()

    def test_not_there(self):
        self.refused_with('No such file', args=['--binary', self.path('nothing')])
        os.mkdir(self.path('folder'))
        self.refused_with(self.path('folder'), args=['--binary', self.path('folder')])

    def test_something_else(self):
        self.refused_with('/bin/false', 'xnbd-wrapper', args=['--binary', '/bin/false'])
        self.refused_with('unrecognized option', args=['--binary', '/bin/ls'])
        self.refused_with('operands are not expected', args=['--binary', self.script(
            'operands', f'exec {xtest.program("xnbd-wrapper")} "$@" more\n')])

    def test_too_old_or_too_new(self):
        """What cannot read our document says another number, or knows nothing of all this."""
        for name, text in (('old', 'echo "xnbd-wrapper: error: unknown option --upgrade-check" >&2'
                            '\nexit 2\n'), ('new', 'echo "handover 2 ipc 1"\n')):
            self.refused_with(name, args=['--binary', self.script(name, text)])

    def test_configuration_with_a_fault(self):
        path = self.w.argv[self.w.argv.index('--config') + 1]
        with open(path, 'a') as f:
            f.write('export "x" { imaeg = "/x" }\n')
        self.refused_with(os.path.basename(path), 'imaeg')

    def test_state_file_with_a_fault(self):
        with open(self.w.state, 'w') as f:
            f.write('{"version": 3, "images": {}}')
        real = xtest.program('xnbd-wrapper')
        # What we save before is right again, so somebody else must break it.
        breaks = self.script('breaks', f'echo nonsense > {self.w.state}\nexec {real} "$@"\n')
        self.refused_with(self.w.state, args=['--binary', breaks])
        os.unlink(self.w.state)

    def test_fails_when_it_is_too_late_to_refuse(self):
        """It has looked fine, and then cannot start: it gives everything back."""
        real = xtest.program('xnbd-wrapper')
        for name, bad in (('option', '--lport 0'), ('file', '--imgfile /nonexistent'),
                          ('log', '--logpath /nonexistent/log')):
            script = self.script(name, 'case "$*" in *--upgrade-check*)'
                                 f' exec {real} "$@";; esac\nexec {real} "$@" {bad}\n')
            before = self.w.negotiator()
            line = self.w.refused('upgrade', '--binary', script, seconds=60)
            self.assertIn('the one before goes on', line)
            self.go_on(self.load, 2)
            self.assertEqual((self.w.pid, self.w.worker('disk0')), (self.pids[0], self.pids[2]))
            self.assertNotEqual(self.w.negotiator(), before)
            self.assertEqual(self.w.status()['upgrades'], 0)
            self.assertTrue(self.w.enter('disk1').in_sync())
        self.upgrade(self.w)
        self.assertEqual(self.w.status()['upgrades'], 1)

    def test_two_at_once(self):
        """The second one is told so."""
        slow = self.script('slow', f'sleep 1\nexec {xtest.program("xnbd-wrapper")} "$@"\n')
        lines = []

        def later():
            time.sleep(0.4)
            lines.append(self.w.refused('upgrade'))
        xtest.in_threads(lambda: self.upgrade(self.w, '--binary', slow), later)
        self.assertIn('under way', lines[0])
        self.assertEqual(self.w.status()['upgrades'], 1)

    def test_check_that_hangs(self):
        """It is run again: the host may just have been busy."""
        real = xtest.program('xnbd-wrapper')
        once = self.script('once', f'mkdir {self.path("first")} 2>/dev/null && exec sleep 99\n'
                           f'exec {real} "$@"\n')
        self.upgrade(self.w, '--binary', once)
        self.assertEqual(self.w.status()['upgrades'], 1)
        self.assertIn('10 s (state S); tried once more', self.w.log())
        self.assertTrue(self.w.enter('disk1').in_sync())

    def test_shutdown_during_the_check(self):
        slow = self.script('slow', f'sleep 3\nexec {xtest.program("xnbd-wrapper")} "$@"\n')
        w = self.wrap(exports={'x': self.image(MIB, 'x')})

        def end():
            time.sleep(0.5)
            w.stop()
        xtest.in_threads(lambda: w.ctl('upgrade', '--binary', slow, status=None, seconds=60), end)

    def test_ctl_without_upgrade(self):
        line = self.w.refused('--binary', 'x', '--list', status=2)
        self.assertIn('--upgrade', line)


class Binaries(SuccessorCase):
    def test_another_file(self):
        """The next upgrade without --binary takes what it was upgraded to."""
        w = self.wrap(exports=self.files(1))
        client = w.enter('disk0')
        os.mkdir(self.path('new'))
        copy = self.path('new/xnbd-wrapper')
        shutil.copy(xtest.program('xnbd-wrapper'), copy)
        self.upgrade(w, '--binary', copy)
        self.assertEqual(os.readlink(f'/proc/{w.pid}/exe'), copy)
        self.upgrade(w)
        self.assertEqual(os.readlink(f'/proc/{w.pid}/exe'), copy)
        self.assertTrue(client.in_sync())

    def test_file_that_was_replaced(self):
        """As a package does it: the path is another file now."""
        copy = self.path('xnbd-wrapper')
        shutil.copy(xtest.program('xnbd-wrapper'), copy)
        w = self.wrapper_args('--lsocket', self.path('n'), exports=self.files(1))
        w.argv[0], w.socket = copy, self.path('n')
        w.daemon = self.start(w.argv, [w.socket, w.control])
        client = w.enter('disk0')
        shutil.copy(xtest.program('xnbd-wrapper'), copy + '.new')
        os.rename(copy + '.new', copy)
        self.assertIn('deleted', os.readlink(f'/proc/{w.pid}/exe'))
        self.upgrade(w)
        self.assertEqual(os.readlink(f'/proc/{w.pid}/exe'), copy)
        self.assertTrue(client.in_sync() and w.enter('disk0').in_sync())
        w.stop()

    def test_handshakes_end_before(self):
        """If the new program cannot take them: those that come wait."""
        w = self.wrap(exports=self.files(1))
        writer, shaking = self.writer(w, 'disk0'), w.raw()

        def meanwhile():
            time.sleep(0.7)
            shaking.go('disk0')
        other = self.other_ipc()
        xtest.in_threads(lambda: self.upgrade(w, '--binary', other), meanwhile)
        self.assertTrue(shaking.in_sync())
        self.assertTrue(w.enter('disk0').in_sync())
        self.go_on(writer)
        writer.finish()

    def test_silent_server(self):
        """It does not answer the new master in time: its clients go on, others wait for it."""
        w = self.wrap(exports=self.files(2))
        client, worker = w.enter('disk0'), w.worker('disk0')
        os.kill(worker, signal.SIGSTOP)
        self.addCleanup(kill, worker, signal.SIGCONT)
        self.upgrade(w)
        self.assertTrue(w.enter('disk1').in_sync())
        waits = w.raw()
        waits.send(waits.go_bytes('disk0'))
        self.assertEqual([a['reason'] for a in w.status()['apart']], ['it does not answer'])
        os.kill(worker, signal.SIGCONT)
        waits.take_infos()
        self.assertTrue(waits.in_sync() and client.in_sync())
        self.assertEqual((w.worker('disk0'), w.client_count('disk0')), (worker, 2))


if __name__ == '__main__':
    xtest.main()
