#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-wrapper-ctl: commands, output, exit statuses; several wrappers and one control socket."""

import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import MIB, WrapperCase, is_running  # noqa: E402


class Commands(WrapperCase):
    def setUp(self):
        super().setUp()
        self.w = self.wrap()
        self.a, self.b = self.image(MIB, 'a.img'), self.image(2 * MIB, 'b.img')

    def test_list(self):
        self.assertEqual(self.w.ctl('--list'), 'no item\n')
        self.assertEqual(self.w.ctl('--add-target', 'vm 1', self.a), '')
        self.assertEqual(self.w.ctl('--add-target', 'ü', self.b), '')
        self.assertEqual(self.w.ctl('-l'), f'1 : vm 1  ({self.a})\n2 : ü  ({self.b})\n')

    def test_list_escapes_control_characters(self):
        self.w.ctl('--add-target', 'a\nb\x1b[2J', self.a)
        self.assertEqual(self.w.ctl('--list'), f'1 : a\\x0ab\\x1b[2J  ({self.a})\n')

    def test_list_escapes_the_file_too(self):
        odd = self.image(MIB, 'odd\n2 : b  (x')
        self.w.ctl('--add-target', 'a', odd)
        self.assertEqual(len(self.w.ctl('--list').splitlines()), 1)

    def test_list_json(self):
        self.w.ctl('--add-target', 'a', self.a, '--readonly', '--description', 'the first')
        [entry] = self.w.list()
        self.assertRegex(entry.pop('serial'), '^[0-9a-f]{32}$')
        self.assertEqual(entry, {
            'index': 1, 'name': 'a', 'mode': 'target', 'image': self.a, 'readonly': True,
            'default': False, 'source': 'state', 'description': 'the first', 'clients': []})

    def test_list_json_of_an_export_in_use(self):
        self.w.ctl('--add-target', 'a', self.a)
        self.w.enter('a')
        entry = self.w.export('a')
        self.assertEqual(entry['size'], MIB)
        self.assertTrue(is_running(entry['pid']))
        [client] = entry['clients']
        self.assertEqual(client['peer'], f'unix:uid={os.geteuid()},pid={os.getpid()}')
        self.assertEqual(client['features'], 'structured,base:allocation')
        self.assertLess(client['seconds'], 5)

    def test_status(self):
        self.w.ctl('--add-target', 'a', self.a)
        self.w.enter('a')
        status = self.w.status()
        expected = {'pid': self.w.pid, 'exports': 1, 'servers': 1, 'clients': 1,
                    'listening': [self.w.socket], 'state_file': self.w.state}
        self.assertEqual({k: status[k] for k in expected}, expected)
        self.assertTrue(is_running(status['negotiator_pid']))
        self.assertIn(f'pid             {self.w.pid}\n', self.w.ctl('--status'))

    def test_add_uses_the_path_as_name(self):
        self.w.ctl('--add', self.a)
        self.assertEqual(self.w.ctl('--list'), f'1 : {self.a}  ({self.a})\n')

    def test_relative_paths(self):
        self.w.ctl('--add', 'a.img', cwd=self.dir)
        self.w.ctl('--add-target', 'x', './b.img', cwd=self.dir)
        self.assertEqual(self.w.ctl('--list'), f'1 : a.img  ({self.a})\n2 : x  ({self.b})\n')
        self.w.ctl('--remove-by-file', './a.img', cwd=self.dir)
        self.assertEqual(self.w.ctl('--list'), f'2 : x  ({self.b})\n')

    def test_symbolic_link_stays_one(self):
        os.symlink(self.a, self.path('link'))
        self.w.ctl('--add-target', 'x', self.path('link'))
        self.assertEqual(self.w.ctl('--list'), f'1 : x  ({self.path("link")})\n')
        os.unlink(self.path('link'))
        os.symlink(self.b, self.path('link'))
        self.assertEqual(self.w.enter('x').size, 2 * MIB)

    def test_remove_by_each_way(self):
        for name in ('a', 'b', 'c'):
            self.w.ctl('--add-target', name, self.image(MIB, name))
        self.w.ctl('--remove', '2')
        self.w.ctl('--remove-by-exportname', 'c')
        self.w.ctl('--remove-by-file', self.path('a'))
        self.assertEqual(self.w.ctl('--list'), 'no item\n')

    def test_remove_by_file_that_is_gone(self):
        self.w.ctl('--add-target', 'a', self.a)
        os.unlink(self.a)
        self.w.ctl('--remove-by-file', self.a)
        self.assertEqual(self.w.ctl('--list'), 'no item\n')

    def test_index_is_never_reused(self):
        for expected in (1, 2, 3):
            self.w.ctl('--add-target', 'a', self.a)
            self.assertEqual(self.w.export('a')['index'], expected)
            self.w.ctl('--remove', str(expected))

    def test_duplicate_name(self):
        self.w.ctl('--add-target', 'a', self.a)
        self.assertIn('already in use', self.w.refused('--add-target', 'a', self.b))
        self.assertEqual(self.w.ctl('--list'), f'1 : a  ({self.a})\n')

    def test_one_file_under_two_names(self):
        self.w.ctl('--add-target', 'a', self.a)
        self.w.ctl('--add-target', 'b', self.a)
        self.assertEqual(self.w.enter('a').write(0, b'z' * 512).error, 0)
        self.assertEqual(self.w.enter('b').read(0, 512), b'z' * 512)
        self.w.ctl('--remove-by-file', self.a)
        self.assertEqual(self.w.ctl('--list'), f'2 : b  ({self.a})\n')

    def test_what_cannot_be_exported(self):
        os.mkdir(self.path('folder'))
        for file, text in ((self.path('nothing'), 'No such file'),
                           (self.path('folder'), 'directory'),
                           (self.image(0, 'empty'), 'size is 0'), ('/dev/null', 'neither')):
            line = self.w.refused('--add-target', 'x', file)
            self.assertIn(text, line)
            self.assertIn(file, line)
        self.assertIn('must not be empty', self.w.refused('--add-target', '', self.a))
        self.assertIn('4096', self.w.refused('--add-target', 'x' * 4097, self.a))
        self.assertIn('description', self.w.refused('--add-target', 'x', self.a, '--description',
                                                    'd' * 4097))
        self.assertEqual(self.w.ctl('--list'), 'no item\n')

    def test_remove_what_is_not_there(self):
        for args in (('--remove', '7'), ('--remove-by-exportname', 'x'),
                     ('--remove-by-file', self.a)):
            self.assertIn('no such export', self.w.refused(*args))

    def test_usage_errors(self):
        for args in ((), ('--add-target', 'x'), ('--add-target', 'x', self.a, self.b),
                     ('--remove',), ('--remove', 'x'), ('--remove', '0'), ('--remove', '-1'),
                     ('--list', 'x'),
                     ('--list', '--readonly'), ('--nonsense',), ('--list', '--save'),
                     ('--add-proxy', 'a', 'b')):
            self.w.refused(*args, status=2)

    def test_abbreviations(self):
        self.assertEqual(self.w.ctl('--li'), 'no item\n')
        self.w.ctl('--add-t', 'a', self.a)
        self.w.refused('--bgctl', status=2)

    def test_save(self):
        self.w.ctl('--add-target', 'a', self.a)
        os.unlink(self.w.state)
        self.w.ctl('--save')
        self.assertIn('"a"', xtest.text_of(self.w.state))

    def test_shutdown(self):
        self.w.ctl('--add-target', 'a', self.a)
        self.w.enter('a')
        self.assertEqual(self.w.ctl('--shutdown'), '')
        self.assertEqual(self.w.daemon.wait(10), 0)
        self.assertEqual(self.w.processes(), set())
        self.assertEqual([p for p in (self.w.control, self.w.control + '.d', self.w.socket)
                          if os.path.exists(p)], [])

    def test_not_running(self):
        self.w.stop()
        self.assertIn(self.w.control, self.w.refused('--list'))

    def test_help_and_version(self):
        for program in ('xnbd-wrapper', 'xnbd-wrapper-ctl'):
            self.assertIn('Usage: ', self.run_cmd(xtest.program(program), '--help'))
            self.assertRegex(self.run_cmd(xtest.program(program), '--version'), r'^\S+ \d+\.\d+')


class Changes(WrapperCase):
    """Adding and removing while clients are connected."""

    def test_removed_export_keeps_its_clients(self):
        w = self.wrap()
        w.ctl('--add-target', 'a', self.image(MIB))
        client = w.enter('a')
        w.ctl('--remove-by-exportname', 'a')
        self.assertEqual(client.write(0, b'q' * 512).error, 0)
        self.assertEqual(w.go_refused('a')[0], rawnbd.REP_ERR_UNKNOWN)
        self.assertEqual(client.read(0, 512), b'q' * 512)
        self.assertEqual((w.status()['exports'], w.status()['clients']), (0, 1))
        client.disconnect()

    def test_same_name_for_another_file(self):
        w = self.wrap()
        w.ctl('--add-target', 'a', self.image(MIB, 'old'))
        old = w.enter('a')
        w.ctl('--remove-by-exportname', 'a')
        w.ctl('--add-target', 'a', self.image(2 * MIB, 'new'))
        new = w.enter('a')
        self.assertEqual((old.size, new.size), (MIB, 2 * MIB))
        self.assertEqual(new.write(0, b'n' * 512).error, 0)
        self.assertEqual(old.read(0, 512), bytes(512))

    def test_handshake_open_while_exports_change(self):
        w = self.wrap()
        client = w.raw()
        w.ctl('--add-target', 'a', self.image(MIB))
        client.go('a')
        self.assertTrue(client.in_sync())

    def churn(self, w, name, rounds):
        for _ in range(rounds):
            w.ctl('--add-target', name, self.path('disk0.img'))
            w.ctl('--remove-by-exportname', name)

    def test_churn_does_not_disturb_clients(self):
        w = self.wrap(exports=self.files(1))
        client = w.enter('disk0')

        def work():
            for i in range(200):
                self.assertEqual(client.write(i * 512, bytes([i]) * 512).error, 0)
                self.assertEqual(client.read(i * 512, 512), bytes([i]) * 512)
        xtest.in_threads(work, *[lambda n=n: self.churn(w, f'x{n}', 15) for n in range(3)])
        self.assertEqual([e['name'] for e in w.list()], ['disk0'])


class TwoWrappers(WrapperCase):
    def test_second_is_refused_and_first_unharmed(self):
        w = self.wrap(exports=self.files(1))
        client = w.enter('disk0')
        line = self.fails_to_start('--lsocket', self.path('other'), control=w.control)
        self.assertIn(w.control, line)
        self.assertIn('in use', line)
        self.assertFalse(os.path.exists(self.path('other')), 'socket file left behind')
        self.assertTrue(client.in_sync())
        self.assertEqual(len(w.list()), 1)
        w.enter('disk0')

    def test_second_on_the_same_client_socket(self):
        w = self.wrap(exports=self.files(1))
        self.assertIn('in use', self.fails_to_start('--lsocket', self.path('first'),
                                                    '--lsocket', w.socket))
        self.assertFalse(os.path.exists(self.path('first')), 'socket file left behind')
        w.enter('disk0')

    def test_stale_sockets_are_taken_over(self):
        for name in ('c1', 'n1'):
            s = socket.socket(socket.AF_UNIX)
            s.bind(self.path(name))
            s.close()
        w = self.wrap(exports=self.files(1))
        self.assertEqual((w.control, w.socket), (self.path('c1'), self.path('n1')))
        w.enter('disk0')

    def test_stale_worker_sockets_are_removed(self):
        os.mkdir(self.path('c1.d'))
        s = socket.socket(socket.AF_UNIX)
        s.bind(self.path('c1.d/w1-1-1'))
        s.close()
        w = self.wrap()
        self.assertEqual(self.worker_sockets(w), [])

    def test_other_files_are_not_taken_over(self):
        self.image(10, 'c1')
        self.assertIn('no socket', self.fails_to_start('--lsocket', self.path('n')))
        self.assertEqual(os.path.getsize(self.path('c1')), 10)
        self.image(10, 'n')
        self.assertIn('no socket', self.fails_to_start('--lsocket', self.path('n'),
                                                       control=self.path('c')))
        self.assertEqual(os.path.getsize(self.path('n')), 10)

    def test_restart_at_once_never_loses_its_sockets(self):
        """The old wrapper, on its way out, does not remove the sockets of the new one."""
        for _ in range(5):
            w = self.wrap(control=self.path('c'), socket=self.path('n'))
            w.ctl('--shutdown')
            argv = w.argv + ['--lsocket', w.socket]
            d = self.spawn(argv)
            while f'control socket {w.control}' not in d.stderr():  # (the old one may answer, too)
                if not d.is_alive():
                    self.assertIn('in use', d.stderr())
                    d = self.spawn(argv)
                time.sleep(0.002)
            w.daemon.wait(10)
            time.sleep(0.02)
            self.assertEqual(w.ctl('--list'), 'no item\n')
            self.assertTrue(xtest.answers(w.socket))
            d.stop()


if __name__ == '__main__':
    xtest.main()
