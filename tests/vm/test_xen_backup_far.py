# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-xen-backup of a disk that another host serves: a dom0, and a guest with wrapper and sshd.
What is made there is undone there, also if the way there is cut meanwhile."""

import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import lan  # noqa: E402
import xen_lab  # noqa: E402
import xtest  # noqa: E402
from xen_lab import LOOK, PORT  # noqa: E402

DOM0, HOST, UNKNOWN = '10.9.0.1', '10.9.0.2', '10.9.0.3'  # the last one is HOST, too; without a key
EXPORT, IN_URI = "an export's, 100%", "an%20export's%2c 100%25"  # not as a program would write it
DISK = f'nbd://{HOST}:{PORT}/{IN_URI}'
SSHD = """HostKey /etc/ssh/host
AuthorizedKeysFile /etc/ssh/user.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv PATH=/programs:/bin
"""
START = f"""set -e
ip addr add {HOST}/24 dev eth1
ip addr add {UNKNOWN}/24 dev eth1
ip link set eth1 up
mkdir -p /run/sshd /srv
chmod 600 /etc/ssh/host
/programs/sshd -f /etc/ssh/sshd_config
"""
START_DOM0 = f"""set -e
ip addr add {DOM0}/24 dev eth1
ip link set eth1 up
chmod 600 /.ssh/id_ed25519
"""


class Far(xen_lab.BackupCase):
    GUEST = {**xen_lab.BackupCase.GUEST,
             'programs': (*xen_lab.BackupCase.GUEST['programs'], '/usr/bin/ssh', '/usr/bin/cksum',
                          xtest.program('xnbd-xen-backup'))}
    TOOLS = (*xen_lab.BackupCase.TOOLS, 'ssh', 'ssh-keygen', '/usr/sbin/sshd')
    host = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix='xnbd-far-')
        cls.addClassCleanup(folder.cleanup)
        cls.folder, cls.network = folder.name, lan.Lan(folder.name)
        cls.addClassCleanup(cls.network.close)
        for key in ('host', 'user'):
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f',
                            f'{cls.folder}/{key}'], check=True)
        known = f'{HOST} {xtest.text_of(f"{cls.folder}/host.pub")}'
        cls.GUEST = {**cls.GUEST, 'lan': (cls.network, 1),
                     'files': {'/.ssh/id_ed25519': f'{cls.folder}/user',
                               '/.ssh/known_hosts': known.encode()}}

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.guest.run(START_DOM0)
        if not cls.host:
            cls.start_host()

    @classmethod
    def start_host(cls):
        ssh = {f'/etc/ssh/{name}': f'{cls.folder}/{name}' for name in ('host', 'user.pub')}
        cls.host = lab.Guest(
            tempfile.mkdtemp(prefix='host', dir=cls.folder), lan=(cls.network, 2), memory=512,
            programs=(*map(xtest.program, xen_lab.OURS), '/usr/sbin/sshd'),
            files={**ssh, '/etc/ssh/sshd_config': SSHD.encode(),
                   '/etc/passwd': b'root:x:0:0::/:/bin/sh\nsshd:x:101:65534::/:/bin/false\n',
                   '/etc/group': b'root:x:0:\nnogroup:x:65534:\n'})
        cls.addClassCleanup(cls.host.close)
        cls.host.boot()
        cls.host.run(START)

    def setUp(self):
        super().setUp()
        self.md5 = self.image('/srv/e.img', at=self.host)
        self.serve(f'--laddr {HOST} --lport {PORT}', self.host, **{EXPORT: '/srv/e.img'})
        self.attach('u1', 'xvdb', DISK, 'r')
        self.addCleanup(self.clean_up)

    def clean_up(self):
        if not self.guest.lost and not self.host.lost:
            self.link(True)
            self.undo('xvdb', None)
            self.xl('block-detach', 'u1', 'xvdb', status=None)
            self.guest.run('killall -q -KILL sleep', None)

    def link(self, is_up):
        """Of the host."""
        self.host.qmp('set_link', name='lan', up=is_up)

    def assert_undone(self):
        self.assertEqual(self.host.run('xnbd-wrapper-ctl --json snapshots').split(), ['[]'])
        self.assertEqual(self.host.run('ls /srv').split(), ['e.img'])
        self.assertEqual(self.block_list('b1'), {})
        self.assertEqual(len(self.devices()), 1)
        self.assertEqual(self.journals(), '')

    def test_backup(self):
        """Beside the image, and in another folder."""
        self.host.run('mkdir -p "/tmp/it\'s here"')
        for times, (options, files) in enumerate((
                ('', '/srv'), ('--to "/tmp/it\'s here"', "/tmp/it's here")), 1):
            said = self.backup('xvdb', f'{LOOK}; ssh {HOST} "ls \\"{files}\\""',
                               options=f'--host {HOST} {options}')
            self.assertIn('e.img.backup-', said)
            self.seen('b1', f'disk xvdz 8192 ro {self.md5}', times)
            self.seen('b1', 'gone xvdz', times)
            self.assert_undone()
            self.assertEqual(self.host.run('ls "/tmp/it\'s here"'), '')

    def test_refused(self):
        for options, status, reason in (
                ('', 1, '--host HOST is needed, which serves it'),
                ('-H -x', 2, 'this is no host'),
                (f'-H nobody@{HOST}', 1, 'the wrapper does not answer: nobody@'),
                (f'-H {UNKNOWN}', 1, 'the wrapper does not answer: Host key verification failed'),
                (f'-H {HOST} --to /no-such', 1, f'no snapshot of {EXPORT}: ')):
            with self.subTest(options):
                said = self.backup('xvdb', 'echo it ran', status, options)
                self.assertIn(reason, said)
                self.assertNotIn('it ran', said)
                self.assert_undone()

    def test_cut_off(self):
        """While the command runs: it is told, and undone when there is a way again."""
        job = self.start_backup('xvdb', ('-w', '20', '--host', HOST))
        self.link(False)
        status, said = self.guest.end(job, 'TERM', xen_lab.SECONDS)
        self.assertEqual(status, 3, said)
        self.assertIn('not all is undone', said)
        self.assertEqual(self.block_list('b1'), {})
        self.assertNotEqual(self.journals(), '')
        self.link(True)
        self.undo('xvdb')
        self.assert_undone()

    def test_killed(self):
        """The next run knows what is left, and where."""
        self.guest.end(self.start_backup('xvdb', ('--host', HOST)), 'KILL')
        self.assertEqual(len(self.host.run('ls /srv').split()), 2)
        said = self.backup('xvdb', 'true', options=f'-w 20 --host {HOST}')
        self.assertIn('what it left is undone first', said)
        self.assert_undone()


if __name__ == '__main__':
    xtest.main()
