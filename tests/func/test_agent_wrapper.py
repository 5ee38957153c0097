# SPDX-License-Identifier: GPL-2.0-or-later
"""ocf:xnbd:wrapper with the real xnbd-wrapper: levels of its monitor, reload, a wrapper that died or
hangs, names that are odd, and every step of the agent as its last."""

import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import agents  # noqa: E402
import wrapper_fixture  # noqa: E402
import xtest  # noqa: E402
from agents import GENERIC, INSTALLED, NOT_RUNNING  # noqa: E402

LIMIT = 20  # seconds an action may last in some tests

class Wrapper(agents.Case):

    def setUp(self):
        super().setUp()
        self.config = self.write_config({'my disk': self.image(xtest.MIB)})
        self.control, self.socket = self.path('ctl'), self.path('nbd')
        self.given = {'config': self.config, 'socket': self.control, 'options':
                      f'--lsocket {self.socket} --dbpath {self.path("state")} '
                      f'--logpath {self.path("wrapper.log")}'}
        self.resource = self.agent('wrapper', **self.given)

    def client(self):
        c = xtest.connect(self.socket)
        self.addCleanup(c.close)
        return c

    def servers(self):
        return [line for line in self.a.run('ss', '-Hxlp').splitlines() if self.control in line]

    def test_tester(self):
        self.resource.tester()

    def test_levels(self):
        a, deep = self.resource, {'OCF_CHECK_LEVEL': '10'}
        a.probe(NOT_RUNNING)
        a.start()
        a.monitor()
        a.monitor(**deep)
        self.agent('wrapper', **self.given, export='my disk').monitor(**deep)
        lost = self.agent('wrapper', **self.given, export='other')
        self.assertIn('no NBD handshake', lost.monitor(GENERIC, **deep))
        away = self.agent('wrapper', **self.given, uri=f'nbd+unix:///?socket={self.path("x")}')
        away.monitor(GENERIC, **deep)
        a.stop()
        a.monitor(NOT_RUNNING, **deep)

    def test_reload(self):
        a = self.resource
        a.start()
        with open(self.config, 'a') as f:
            f.write(f'export "more" {{ image = "{self.image(xtest.MIB, "more.img")}" }}\n')
        a.run('reload-agent')
        self.assertIn('more', self.listed())
        with open(self.config, 'a') as f:
            f.write('export {')
        self.assertIn('as before', a.run('reload-agent'))
        self.assertIn('more', self.listed())
        a.heartbeat(self.config, self.control, 'reload', status=GENERIC)  # people see it
        a.stop()
        a.run('reload-agent', NOT_RUNNING)

    def listed(self):
        return self.run_cmd(xtest.program('xnbd-wrapper-ctl'), '--socket', self.control, '--list')

    def enter(self):
        """A client that holds a server."""
        code = ('import nbd, sys; h = nbd.NBD(); h.set_export_name("my disk"); '
                f'h.connect_unix("{self.socket}"); h.pread(512, 0); print(flush=True); '
                'sys.stdin.read()')
        p = subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, preexec_fn=xtest.die_with_us)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        self.addCleanup(p.stdin.close)
        self.addCleanup(p.stdout.close)
        self.assertEqual(p.stdout.readline(), b'\n')

    def master(self):
        status = self.run_cmd(xtest.program('xnbd-wrapper-ctl'), '--socket', self.control,
                              '--status', '--json')
        return int(status.split('"pid": ')[1].split(',')[0])

    def test_died(self):
        """Servers go on: that is no stopped resource. A start takes them over, a stop ends them."""
        a = self.resource
        for take_over in (True, False, None):
            if take_over is None:  # sockets of servers are elsewhere
                with open(self.config, 'a') as f:
                    f.write(f'wrapper {{ run-directory = "{self.path("run")}" }}\n')
            a.start()
            self.enter()
            os.kill(self.master(), 9)
            xtest.wait_for(lambda: 'go on' in a.run('monitor', None).stderr, 'death is seen')
            a.monitor(GENERIC)
            if take_over:
                a.start()
                a.monitor()
            a.stop()
            self.assertEqual(self.servers(), [])
            a.monitor(NOT_RUNNING)

    def hang(self):
        """With a client; the time limit of actions is the shortest that people set."""
        self.resource.env['OCF_RESKEY_CRM_meta_timeout'] = str(LIMIT * 1000)
        self.resource.start()
        self.enter()
        os.kill(self.master(), signal.SIGSTOP)

    def test_hangs(self):
        """The stop gets as far as its last means within its time."""
        a = self.resource
        self.hang()
        self.assertIn('does not answer', a.monitor(GENERIC))
        self.assertIn('does not answer', a.start(GENERIC))
        for server in self.servers():
            os.kill(int(server.split('pid=')[1].split(',')[0]), signal.SIGSTOP)
        began = time.monotonic()
        a.stop()
        self.assertLess(time.monotonic() - began, LIMIT)
        self.assertEqual(self.servers(), [])
        a.monitor(NOT_RUNNING)

    def test_killed_with_its_programs(self):
        """A cluster kills the process group of an action that takes too long: nothing of it goes
        on beside the next one."""
        self.hang()
        before = wrapper_fixture.marked_processes(self.dir)

        def programs():
            new = wrapper_fixture.marked_processes(self.dir) - before
            return {xtest.text_of(f'/proc/{pid}/comm').strip() for pid in new}
        p = subprocess.Popen(self.resource.argv('monitor'), stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=self._environment(self.resource.env), start_new_session=True)
        self.addCleanup(p.wait)
        xtest.wait_for(lambda: 'xnbd-wrapper-ct' in programs(), 'it asks')
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        xtest.wait_for(lambda: not programs(), 'all of it is gone', LIMIT / 8)
        self.resource.stop()

    def test_odd_names(self):
        """Spaces, what an URI escapes, and patterns that a shell would replace."""
        os.mkdir(self.path('a  b'))
        log = self.path('[w]rapper.log')
        with open(self.path('wrapper.log'), 'w'):
            pass
        a = self.agent('wrapper', config=self.config, socket=self.path('a  b/ctl'), options=(
            f'--lsocket {self.path("n&b%41+")} --dbpath {self.path("state")} --logpath {log}'))
        a.start()
        self.assertTrue(os.path.exists(log))
        a.monitor(OCF_CHECK_LEVEL='10')
        status = self.run_cmd(xtest.program('xnbd-wrapper-ctl'), '--socket', self.path('a  b/ctl'),
                              '--status', '--json')
        os.kill(int(status.split('"pid": ')[1].split(',')[0]), signal.SIGSTOP)
        a.monitor(GENERIC, OCF_RESKEY_CRM_meta_timeout='10000')
        a.stop(OCF_RESKEY_CRM_meta_timeout='10000')
        a.monitor(NOT_RUNNING)

    def test_does_not_start(self):
        with open(self.config, 'a') as f:
            f.write('export {')
        self.assertIn(self.config, self.resource.start(GENERIC))
        self.resource.monitor(NOT_RUNNING)
        self.resource.stop()
        os.remove(self.config)
        self.resource.start(INSTALLED)
        self.resource.stop()

    def test_configuration_is_gone(self):
        """A reload changes nothing, and what runs can be stopped."""
        a = self.resource
        a.start()
        self.enter()
        os.rename(self.config, self.path('away'))
        self.assertIn('as before', a.run('reload-agent'))
        a.monitor()
        a.stop()
        self.assertEqual(self.servers(), [])
        a.monitor(NOT_RUNNING)

    def test_words(self):
        with open(self.config, 'a') as f:
            f.write(f'wrapper {{ listen = {{"{self.socket}"}}\n state-file = "{self.path("state")}"'
                    f'\n log = "{self.path("wrapper.log")}" }}\n')
        a = self.agent('wrapper')
        for action, word in (('status', 'stopped'), ('start', ''), ('start', ''),
                             ('status', 'running'), ('reload', ''), ('stop', ''), ('stop', ''),
                             ('status', 'stopped')):
            said = a.heartbeat(self.config, self.control, action)
            self.assertEqual(said, f'{word}\n' if word else '', action)

    def truth(self, code):
        """Is it so what a monitor has said?"""
        if code == agents.SUCCESS:
            self.client()
        elif code == NOT_RUNNING:
            self.assertEqual(self.servers(), [])

    def check(self):
        self.assertEqual(self.servers(), [])

    def test_start_killed(self):
        self.kill_at_every_step(self.resource, self.check, self.truth, ('start',))

    def test_stop_killed(self):
        self.kill_at_every_step(self.resource, self.check, self.truth, ('stop',))


if __name__ == '__main__':
    xtest.main(at_once=4)
