#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""lvm_iostat with exports of a real wrapper and their clients; what it shows of volumes is tried in a
guest (vm/test_lvm_tools.py)."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fixture import WrapperCase  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

IOSTAT = xtest.program('lvm_iostat')
ODD = 'b\u00e4r "x" \\ {}'


class Iostat(WrapperCase):
    def serve(self, **images):
        self.w = self.wrap(exports={**images, 'a': self.image(MIB, 'a'), ODD: self.image(MIB, 'b')})

    def look(self, *args):
        out = self.run_cmd(IOSTAT, '-x', '--json', f'--socket={self.w.control}', *args)
        return json.loads(out)['items']

    def test_counts_of_clients(self):
        self.serve()
        reader, writer = self.w.enter('a'), self.w.enter(ODD)
        reader.read(0, 64 * KIB)
        writer.write(0, bytes(8 * KIB))
        writer.write(0, bytes(8 * KIB))
        items = self.look()
        at = [i['name'] for i in items].index('a')
        export, client = items[at:at + 2]
        self.assertEqual((export['kind'], export['relation']), ('export', '1 clients'))
        self.assertGreaterEqual(export['read'], 64 * KIB)
        self.assertEqual((client['kind'], client['read'], client['written']),
                         ('client', export['read'], 0))
        odd = next(i for i in items if i['name'] == ODD)
        self.assertEqual((odd['written'], odd['writes']), (16 * KIB, 2))
        self.assertEqual(odd['write_rate'], 0)
        self.assertNotIn('queue_ms', odd)

    def test_filter_and_dump(self):
        self.serve()
        clients = [self.w.enter('a'), self.w.enter(ODD)]
        clients[1].write(0, bytes(4 * KIB))
        self.assertEqual([i['kind'] for i in self.look('-n', '^a$')], ['export', 'client'])
        out = self.run_cmd(IOSTAT, '-d', '-x', '-s', self.w.control, '-n', '^b')
        export, client = out.splitlines()
        name, counts = export.split(' ')
        self.assertEqual(name, 'export/b\u00e4r\\x20"x"\\x20\\\\x20{}')
        numbers = counts.split(':')
        self.assertEqual(len(numbers), 7)
        self.assertEqual((int(numbers[2]), numbers[6]), (4 * KIB, 'U'))
        self.assertTrue(client.startswith('client/'))

    def test_below_its_device(self):
        device = self.loop_device(self.image(MIB, 'disk'))
        self.serve(disk=device)
        client = self.w.enter('disk')
        client.read(0, 4 * KIB)
        name = f'^{os.path.basename(device)}$'
        items = self.look('-n', name)
        self.assertEqual([i['kind'] for i in items], ['device', 'export', 'client'])
        self.assertEqual([i['name'] for i in items[:2]], [os.path.basename(device), 'disk'])

    def test_no_wrapper(self):
        p = self.run_cmd(IOSTAT, '-x', '-s', self.path('none'), status=None)
        self.assertEqual((p.returncode, p.stdout), (1, ''))
        self.assertEqual(len(p.stderr.splitlines()), 1)

    def test_wrong_words(self):
        for words in (['-n', '('], ['-r', '-d'], ['vg'], ['-i', '0'], ['-c', '0'], ['-d', '-j']):
            p = self.run_cmd(IOSTAT, *words, status=None)
            self.assertEqual((p.returncode, p.stdout), (2, ''), words)

    def test_reader_that_leaves(self):
        """As `lvm_iostat | head`: no complaint."""
        p = subprocess.Popen([IOSTAT, '-j', '-c', '1000'], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, preexec_fn=xtest.die_with_us)
        self.addCleanup(p.kill)
        p.stdout.readline()
        p.stdout.close()
        self.assertEqual(p.stderr.read(), b'')
        p.stderr.close()
        self.assertEqual(p.wait(30), 1)

    def test_on_a_terminal(self):
        """Again and again, no more lines than fit, until a signal ends it."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 3, 200, 0, 0))
        p = subprocess.Popen([IOSTAT, '-a', '-n', '.'], stdout=slave, preexec_fn=xtest.die_with_us)
        self.addCleanup(p.kill)
        os.close(slave)
        text = b''
        while text.count(b'\x1b[J') < 3:
            text += os.read(master, 4096)
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(30), 0)
        tables = text.split(b'\x1b[H\x1b[J')[1:-1]
        self.assertTrue(all(t.count(b'\n') == 2 and b'DEVICE' in t for t in tables), tables)


if __name__ == '__main__':
    xtest.main()
