#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy-on-write exports under a wrapper: --cow, --add-cow and mode = "cow-target"."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fake import FakeCase  # noqa: E402
from wrapper_fixture import MIB, WrapperCase, try_go  # noqa: E402


class Entries(FakeCase):
    """The table, the state file, and how servers are started."""

    def test_add_cow(self):
        base = self.image(MIB, 'base')
        w = self.wrap_fake()
        w.ctl('--add-cow', 'c', base, '--description', 'd')
        self.assertEqual(w.export('c')['mode'], 'cow-target')
        self.assertEqual(w.ctl('--list'), f'1 : c  ({base})\n')
        self.assertEqual(self.images(w)['c'],
                         {'mode': 'cow-target', 'image_path': base, 'description': 'd'})
        w.stop()
        w = self.wrap_fake('--cow-dir', self.dir, state=w.state)
        w.ctl('query', 'c')
        [argv] = self.starts('base')
        self.assertEqual(argv[:3], ['--cow-target', '--cow-dir', self.dir])

    def test_readonly_base_is_enough(self):
        base = self.image(MIB, 'base')
        os.chmod(base, 0o444)
        w = self.wrap_fake('--cow')
        w.ctl('--add-cow', 'c', base)
        w.ctl('--add-target', 't', base)
        self.assertIn('No such file', w.refused('--add-cow', 'd', self.path('none')))

    def test_cow_option_is_for_all(self):
        a, b = self.image(MIB, 'a'), self.image(MIB, 'b')
        w = self.wrap_fake('--cow', exports={'a': a, 'b': {'image': b, 'readonly': True}})
        w.ctl('query', 'a')
        w.ctl('query', 'b')
        self.assertEqual(self.starts('a')[0][0], '--cow-target')
        self.assertEqual(self.starts('b')[0][:2], ['--target', '--readonly'])
        self.assertEqual([w.export(n)['mode'] for n in 'ab'], ['cow-target', 'target'])
        w.ctl('--add-target', 'c', a)
        self.assertEqual(self.images(w)['c']['mode'], 'target', 'the option is not saved')

    def test_configured(self):
        base = self.image(MIB, 'base')
        w = self.wrap_fake(exports={'c': {'image': base, 'mode': 'cow-target',
                                          'cow-dir': self.dir}})
        w.ctl('query', 'c')
        self.assertEqual(self.starts('base')[0][:3], ['--cow-target', '--cow-dir', self.dir])

    def test_relative_cow_dir(self):
        base = self.image(MIB, 'base')
        w = self.wrap_fake('--cow', '--cow-dir', 'layers', exports={'c': base})
        w.ctl('query', 'c')
        self.assertEqual(self.starts('base')[0][2], os.path.join(os.getcwd(), 'layers'))

    def test_bgctl_option_is_taken(self):
        w = self.wrap_fake('--xnbd-bgctl', '/no/such/program')
        self.assertIn('--xnbd-bgctl is not needed', w.log())


class Real(WrapperCase):
    def setUp(self):
        super().setUp()
        self.base = self.image(4 * MIB, 'base', 1)
        with open(self.base, 'rb') as f:
            self.content = f.read()

    def test_layers_are_private_and_vanish(self):
        w = self.wrap('--cow', exports={'c': self.base})
        one, two = w.enter('c'), w.enter('c')
        self.assertEqual(one.write(0, b'1' * 4096).error, 0)
        self.assertEqual(two.write(4096, b'2' * 512).error, 0)
        self.assertEqual(one.read(0, 8192), b'1' * 4096 + self.content[4096:8192])
        self.assertEqual(two.read(0, 8192),
                         self.content[:4096] + b'2' * 512 + self.content[4608:8192])
        one.disconnect()
        two.disconnect()
        self.assertEqual(w.enter('c').read(0, 8192), self.content[:8192])
        w.stop()
        with open(self.base, 'rb') as f:
            self.assertEqual(f.read(), self.content)
        self.assertEqual([n for n in os.listdir(self.dir) if 'cow' in n], [])

    def test_one_server_for_all(self):
        w = self.wrap('--cow', exports={'c': self.base})
        clients = [w.enter('c') for _ in range(5)]
        self.assertEqual((w.status()['servers'], w.client_count('c')), (1, 5))
        for c in clients:
            c.disconnect()

    def test_cow_dir(self):
        os.mkdir(self.path('layers'))
        w = self.wrap('--cow', '--cow-dir', self.path('layers'), exports={'c': self.base})
        client = w.enter('c')
        client.write(0, b'x' * 4096)
        self.assertEqual(client.read(0, 4096), b'x' * 4096)
        self.assertEqual([n for n in os.listdir(self.dir) if 'cow' in n], [])

    def test_info_says_what_go_does(self):
        """The base is only read, but the export is writable."""
        w = self.wrap('--cow', exports={'c': self.base})
        [e] = json.loads(self.tool('nbdinfo', '--json', w.uri('c')))['exports']
        self.assertEqual((e['export-size'], e['is_read_only']), (4 * MIB, False))

    def test_missing_base(self):
        w = self.wrap('--cow', exports={'c': self.path('nothing')})
        client = w.raw()
        self.assertIn('No such file', try_go(client, 'c')[1])
        self.image(MIB, 'nothing')
        client.go('c')
        self.assertTrue(client.in_sync())

    def test_qemu_writes_nothing(self):
        w = self.wrap('--cow', exports={'c': self.base})
        self.tool('qemu-io', '-f', 'raw', '-c', 'write -P 7 0 1M', '-c', 'read -P 7 0 1M',
                  w.uri('c'))
        self.tool('qemu-img', 'convert', '-O', 'raw', w.uri('c'), self.path('out'))
        self.assert_same(self.path('out'), self.base)

    def test_state_of_the_server(self):
        w = self.wrap('--cow', exports={'c': self.base})
        self.assertEqual(json.loads(w.ctl('query', 'c', '--json'))['mode'], 'cow-target')


if __name__ == '__main__':
    xtest.main()
