# SPDX-License-Identifier: GPL-2.0-or-later
"""What xnbd-server refuses at its start: exit status 2 for a wrong command line, 1 for what the
machine does not give it; always exactly one line that names the matter."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

NOBODY = 65534

# Command line (IMG is an image that exists) and words of the answer.
WRONG = (
    ('', 'no mode given'),
    ('IMG', 'no mode given'),
    ('--target', '0 given'),
    ('--target IMG IMG', '2 given'),
    ('--nonsense', '--nonsense'),
    ('--t IMG', 'ambiguous'),
    ('-x IMG', '-x: unknown'),
    ('--target=1 IMG', 'takes no argument'),
    ('--target IMG --lport', 'argument is missing'),
    ('--target --lport 0 IMG', '--lport 0'),
    ('--target --lport 65536 IMG', '--lport 65536'),
    ('--target --lport 8520x IMG', '--lport 8520x'),
    ('--target --threads 0 IMG', '--threads 0'),
    ('--target --threads 1000 IMG', '--threads 1000'),
    ('--target --engine posix IMG', '--engine posix'),
    ('--target --max-queue-size many IMG', '--max-queue-size many'),
    ('--target --max-buf-size 12Y IMG', '--max-buf-size 12Y'),
    ('--target --cow-target IMG', 'choose one'),
    ('--cow-target', '0 given'),
    ('--target --cow-dir /tmp IMG', 'need --cow-target'),
    ('--cow-target --cow-layer l --cow-shared IMG', 'excludes --cow-shared'),
    ('--cow-target --cow-block 512 IMG', '--cow-block 512'),
    ('--cow-target --cow-block 5000 IMG', 'power of two'),
    ('--cow-target --direct IMG', '--direct excludes'),
    ('--proxy nbd://h/ c b', '3 words given'),
    ('--proxy host c b s', "'host'"),
    ('--proxy http://h/ c b s', 'nbd://'),
    ('--proxy host many c b s', "'many'"),
    ('--proxy a/b 1 c b s', "'a/b'"),
    ('--proxy -n disk nbd://h/ c b s', '--target-exportname'),
    ('--proxy --control s host 1 c b s', '--control'),
    ('--proxy --origin-connections 99 host 1 c b s', '--origin-connections 99'),
    ('--target --clear-bitmap IMG', 'need --proxy'),
    ('--target --origin-wait 0 IMG', 'need --proxy'),
    ('--target --inetd --daemonize IMG', '--inetd excludes'),
    ('--target --inetd --connected-fd 3 IMG', '--inetd excludes'),
    ('--target --inetd --socket s IMG', '--socket'),
    ('--target --inetd --laddr ::1 IMG', '--laddr'),
    ('--target --connected-fd 3 --daemonize IMG', '--connected-fd excludes'),
    ('--target --connected-fd 3 --laddr ::1 IMG', '--laddr'),
    ('--target --connected-fd 3 --oldstyle IMG', '--oldstyle'),
    ('--target --negotiated simple IMG', '--negotiated needs'),
    ('--target --control a --control-fd 3 IMG', '--control excludes'),
)


class Refusals(xtest.Case):

    def setUp(self):
        super().setUp()
        self.file = self.image(MIB)

    def refused(self, args, status, *words, cwd=None, **options):
        """Ends at once with this status and one line that has the words in it."""
        d = self.spawn([xtest.program('xnbd-server'), *args], cwd=cwd or self.dir, **options)
        self.assertEqual(d.wait(), status, d.stderr())
        lines = d.stderr().splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith('xnbd-server: error: '), lines)
        for word in words:
            self.assertIn(word, lines[0], args)

    def serve_refused(self, *args, image=None, says=(), **options):
        socket_path = self.path('x.sock')
        more = [] if any(a.startswith(('--socket', '--laddr')) for a in args) else [
            f'--socket={socket_path}']
        self.refused(['--target', *more, *args, image or self.file], 1, *says, **options)
        self.assertFalse(os.path.lexists(socket_path), 'a socket is left')


class CommandLine(Refusals):

    def test_wrong_command_lines(self):
        for line, words in WRONG:
            with self.subTest(line):
                args = [self.file if a == 'IMG' else a for a in line.split()]
                self.refused(args, 2, words)

    def test_export_names(self):
        for name in (b'\xff\xfe', b'n' * 4097):
            self.refused(['--target', b'--export-name=' + name, self.file], 2, 'export name')

    def test_help_and_version(self):
        out = self.run_cmd(xtest.program('xnbd-server'), '--help')
        self.assertIn('--target', out)
        self.assertNotIn('control-fd', out)
        self.assertRegex(self.run_cmd(xtest.program('xnbd-server'), '-v'), r'^xnbd-server \d+\.')


class Images(Refusals):

    def test_missing(self):
        self.serve_refused(image=self.path('nowhere'), says=('nowhere', 'No such file'))

    def test_directory(self):
        self.serve_refused(image=self.dir, says=(self.dir, 'directory'))
        self.serve_refused('--readonly', image=self.dir, says=(self.dir, 'directory'))

    def test_fifo_does_not_hang(self):
        os.mkfifo(self.path('fifo'))
        for args in ((), ('--readonly',)):
            self.serve_refused(*args, image=self.path('fifo'), says=('fifo',))

    def test_character_device(self):
        self.serve_refused(image='/dev/null', says=('/dev/null',))

    def test_socket(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.path('sock'))
            self.serve_refused(image=self.path('sock'), says=(self.path('sock'),))

    def test_size_zero(self):
        self.serve_refused(image=self.image(0, 'empty'), says=('empty', 'size is 0'))

    def test_dangling_link(self):
        os.symlink('nowhere', self.path('link'))
        self.serve_refused(image=self.path('link'), says=('link',))

    def as_nobody(self, mode, *args, says):
        self.require(root=True)
        os.chmod(self.dir, 0o777)
        os.chmod(self.file, mode)
        self.serve_refused(*args, says=says, user=NOBODY, group=NOBODY, extra_groups=[])

    def test_unreadable(self):
        self.as_nobody(0o600, says=(self.file, 'Permission denied'))
        self.as_nobody(0o600, '--readonly', says=(self.file, 'Permission denied'))

    def test_not_writable(self):
        self.as_nobody(0o644, says=(self.file, 'not writable', '--readonly'))

    def test_read_only_file_of_another_user_can_be_served(self):
        """O_NOATIME is for the owner only: the original aborted here."""
        self.require(root=True)
        os.chmod(self.dir, 0o777)
        os.chmod(self.file, 0o644)
        d = self.serve(self.file, '--readonly', user=NOBODY, group=NOBODY, extra_groups=[])
        d.stop()

    def test_read_only_file_system(self):
        folder = self.mount('tmpfs', '2m')
        image = self.image(MIB, folder=folder)
        self.run_cmd('mount', '-o', 'remount,ro', folder)
        self.serve_refused(image=image, says=(image, 'not writable'))
        self.serve(image, '--readonly').stop()

    def test_device_without_medium(self):
        self.require('losetup', root=True)
        device = self.run_cmd('losetup', '--find').strip()
        self.serve_refused('--readonly', image=device, says=(device,))


class Places(Refusals):

    def test_port_in_use(self):
        with socket.create_server(('127.0.0.1', 0)) as s:
            port = str(s.getsockname()[1])
            self.serve_refused('--laddr=127.0.0.1', f'--lport={port}', says=(port, 'in use'))

    def test_one_of_several_in_use(self):
        with socket.create_server(('127.0.0.1', 0)) as s:
            port = str(s.getsockname()[1])
            self.serve_refused(f'--socket={self.path("x.sock")}', '--laddr=127.0.0.1',
                               f'--lport={port}', says=(port,))

    def test_address_of_another_machine(self):
        self.serve_refused('--laddr=192.0.2.1', f'--lport={xtest.free_port()}',
                           says=('192.0.2.1', 'assign'))

    def test_socket_paths(self):
        for path in (self.path('no/such/folder'), self.path('s' * 120), ''):
            self.serve_refused(f'--socket={path}', says=('socket', path[:60]))

    def test_log_file(self):
        self.serve_refused(f'--logpath={self.path("no/folder")}', says=('no/folder',))
        os.symlink(self.path('elsewhere'), self.path('link.txt'))
        self.serve_refused(f'--logpath={self.path("link.txt")}', says=('link.txt',))
        self.assertFalse(os.path.exists(self.path('elsewhere')))

    def test_control_socket(self):
        for path in (self.path('no/folder'), self.dir):
            self.serve_refused(f'--control={path}', says=(path,))


if __name__ == '__main__':
    xtest.main()
