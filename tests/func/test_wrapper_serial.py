#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The identity of an export: what clients are told, and what does not change it."""

import json
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fixture import MIB, WrapperCase  # noqa: E402

MADE_UP = re.compile(r'[0-9a-f]{32}')


class Serial(WrapperCase):
    def setUp(self):
        super().setUp()
        self.a = self.image(MIB, 'a.img')
        self.state = self.path('state')

    def start_on(self, *args, **options):
        return self.wrap(*args, state=options.pop('state', self.state), **options)

    def serial(self, w, name='a'):
        """Told by list, by query and by LIST, the same everywhere."""
        serial = w.export(name)['serial']
        self.assertEqual(json.loads(w.ctl('query', name, '--json'))['serial'], serial)
        self.assertTrue(w.raw().list()[name].endswith(f'[serial {serial}]'))
        return serial

    def serials(self):
        with open(self.state) as f:
            return json.load(f)['serials']

    def test_made_up_once(self):
        w = self.start_on(exports={'a': self.a, 'b': self.image(MIB, 'b.img')})
        serial = self.serial(w)
        self.assertTrue(MADE_UP.fullmatch(serial))
        self.assertNotEqual(self.serial(w, 'b'), serial)
        self.assertEqual(self.serials()[self.a], serial)

    def test_stays_after_a_restart(self):
        w = self.start_on(exports={'a': self.a})
        serial = self.serial(w)
        w.stop()
        w = self.start_on(exports={'a': self.a})
        self.assertEqual(self.serial(w), serial)
        w.daemon.kill()
        for pid in w.processes():
            os.kill(pid, 9)
        self.assertEqual(self.serial(self.start_on(exports={'a': self.a})), serial)

    def test_stays_when_renamed(self):
        w = self.start_on()
        w.ctl('--add-target', 'a', self.a, '--description', 'root disk')
        serial = self.serial(w)
        self.assertEqual(w.raw().list(), {'a': f'root disk [serial {serial}]'})
        w.ctl('--remove-by-exportname', 'a')
        w.ctl('--add-target', 'other', self.a)
        self.assertEqual(self.serial(w, 'other'), serial)

    def test_same_on_the_host_that_takes_over(self):
        """The state file is copied, the image is the same path."""
        w = self.start_on()
        w.ctl('--add-target', 'a', self.a)
        serial = self.serial(w)
        w.stop()
        shutil.copy(self.state, self.path('copied'))
        self.assertEqual(self.serial(self.start_on(state=self.path('copied'))), serial)

    def test_from_the_command_line_and_copy_on_write(self):
        w = self.start_on('--imgfile', self.a)
        serial = self.serial(w, self.a)
        w.stop()
        w = self.start_on()
        w.ctl('--add-cow', 'a', self.a)
        self.assertEqual(self.serial(w), serial)

    def test_configured(self):
        w = self.start_on(exports={'a': {'image': self.a, 'serial': 'WD-1234', 'description': 'd'}})
        self.assertEqual(self.serial(w), 'WD-1234')
        self.assertEqual(w.raw().list(), {'a': 'd [serial WD-1234]'})
        self.assertFalse(os.path.exists(self.state))

    def test_long_description(self):
        w = self.start_on()
        text = 'ä' * 2048
        w.ctl('--add-target', 'a', self.a, '--description', text)
        told = w.raw().list()['a']
        self.assertTrue(told.startswith('ä' * 2000))
        self.assertLessEqual(len(told.encode()), 4096)
        self.assertTrue(told.endswith(f' [serial {self.serial(w)}]'))
        self.assertEqual(w.export('a')['description'], text)

    def test_snapshots_have_none(self):
        w = self.start_on(exports={'a': self.a})
        w.enter('a')
        w.ctl('snapshot', 'a')
        self.assertNotIn('serial', w.export('a@snapshot'))
        self.assertEqual(w.raw().list()['a@snapshot'], '')

    def test_device_that_comes_later(self):
        """A path in /dev that is not there may become a device with a name of its own."""
        folder = tempfile.mkdtemp(prefix='xnbd-test-', dir='/dev/shm')
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, 'disk')
        w = self.start_on(exports={'a': path})
        self.assertNotIn('serial', w.export('a'))
        self.assertEqual(w.raw().list(), {'a': ''})
        self.image(MIB, 'disk', folder=folder)
        w.enter('a')
        self.assertEqual(self.serials(), {path: self.serial(w)})

    def test_loop_device(self):
        dev = self.loop_device(self.a)
        w = self.start_on(exports={'a': dev})
        self.assertEqual(self.serial(w), self.serials()[dev])

    def test_cannot_be_kept(self):
        """Served all the same, and the log says so."""
        w = self.start_on(exports={'a': self.a}, state=self.path('no/such/state'))
        self.assertIn('the serial of an export is not kept', w.log())
        self.assertTrue(MADE_UP.fullmatch(self.serial(w)))

    def test_bad_state(self):
        with open(self.state, 'w') as f:
            json.dump({'version': 2, 'images': {}, 'serials': {self.a: 'x y'}}, f)
        w = self.wrapper_args(state=self.state)
        text = self.ends_at_once(w.argv, 1)
        self.assertIn('must be a text of 1 to 128 printable characters', text)


if __name__ == '__main__':
    xtest.main()
