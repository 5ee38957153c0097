#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The state file: format of version 2, what is kept, and that it is whole at any time."""

import json
import os
import re
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import MIB, WrapperCase, kill, try_go  # noqa: E402

PROXY = {'bitmap_path': '/srv/p.bm', 'control_socket_path': '/run/p.ctl', 'image_path': '/srv/p',
         'mode': 'later', 'remote_export_name': None, 'remote_host': 'h', 'remote_port': '8520',
         'some_key_of_tomorrow': [1, {'x': 2}]}


def target(path, **more):
    return {'image_path': path, 'mode': 'target', **more}


def as_original(images):
    """The bytes the original wrote: 4 spaces, sorted keys, no final newline."""
    return json.dumps({'version': 2, 'images': images}, indent=4, sort_keys=True)


class State(WrapperCase):
    def setUp(self):
        super().setUp()
        self.a, self.b = self.image(MIB, 'a.img'), self.image(2 * MIB, 'b.img')
        self.state = self.path('xnbd.state')

    def write(self, text):
        with open(self.state, 'w') as f:
            f.write(text)

    def images(self):
        with open(self.state) as f:
            found = json.load(f)
        self.assertEqual(found['version'], 2)
        return found['images']

    def without_serials(self):
        """The file but for what is ours; readers of the original pass over it."""
        return re.sub(r'    "serials": \{.*?\n    \},\n', '', xtest.text_of(self.state), flags=re.S)

    def start_on(self, *args, **options):
        return self.wrap(*args, state=self.state, **options)


class Format(State):
    def test_written_as_the_original_did(self):
        w = self.start_on()
        w.ctl('--add-target', 'z', self.a)
        w.ctl('--add-target', 'b/ö "x"', self.b)
        self.assertEqual(self.images(), {'z': target(self.a), 'b/ö "x"': target(self.b)})
        w.ctl('--remove-by-exportname', 'b/ö "x"')
        self.assertEqual(self.without_serials(), as_original({'z': target(self.a)}))
        self.assertEqual(os.stat(self.state).st_mode & 0o777, 0o600)

    def test_read_as_the_original_wrote_it(self):
        self.write(as_original({'vm2': target(self.b), 'vm1': target(self.a)}))
        w = self.start_on()
        self.assertEqual(w.ctl('--list'), f'1 : vm1  ({self.a})\n2 : vm2  ({self.b})\n')
        self.assertEqual(w.enter('vm2').size, 2 * MIB)

    def test_survives_a_restart(self):
        w = self.start_on()
        w.ctl('--add-target', 'a', self.a, '--readonly', '--description', 'größer')
        w.ctl('--add-target', 'b', self.b)
        w.stop()
        [a, b] = self.start_on().list()
        self.assertEqual((a['name'], a['readonly'], a['description']), ('a', True, 'größer'))
        self.assertEqual((b['name'], b['readonly'], b['source']), ('b', False, 'state'))

    def test_unchanged_by_start_and_stop(self):
        """Once the exports have their serials."""
        self.write(as_original({'a': target(self.a)}))
        self.start_on().stop()
        before = os.stat(self.state)
        self.start_on().stop()
        self.assertEqual(os.stat(self.state).st_mtime_ns, before.st_mtime_ns)
        self.assertEqual(os.stat(self.state).st_ino, before.st_ino)

    def test_saved_after_every_change(self):
        w = self.start_on()
        self.assertFalse(os.path.exists(self.state))
        w.ctl('--add-target', 'a', self.a)
        self.assertEqual(set(self.images()), {'a'})
        w.ctl('--add-target', 'b', self.b)
        self.assertEqual(set(self.images()), {'a', 'b'})
        w.ctl('--remove', '1')
        self.assertEqual(set(self.images()), {'b'})

    def test_only_what_was_added_by_control(self):
        w = self.start_on('--imgfile', self.a, exports={'conf': self.b})
        w.ctl('--add-target', 'added', self.a)
        self.assertEqual(set(self.images()), {'added'})
        w.ctl('--remove-by-exportname', 'conf')
        self.assertEqual(set(self.images()), {'added'})

    def test_folder_is_made(self):
        self.state = self.path('new/xnbd.state')
        w = self.start_on()
        w.ctl('--add-target', 'a', self.a)
        self.assertEqual(set(self.images()), {'a'})

    def test_symbolic_link_stays(self):
        real = self.path('real.state')
        os.symlink(real, self.state)
        with open(real, 'w') as f:
            f.write(as_original({}))
        w = self.start_on()
        w.ctl('--add-target', 'a', self.a)
        self.assertTrue(os.path.islink(self.state))
        self.assertIn('"a"', xtest.text_of(real))


class Kept(State):
    def test_missing_image_is_kept_and_told(self):
        self.write(as_original({'gone': target(self.path('gone')), 'a': target(self.a)}))
        w = self.start_on()
        self.assertIn(self.path('gone'), w.log())
        self.assertEqual([e['name'] for e in w.list()], ['a', 'gone'])
        client = w.raw()
        self.assertEqual(try_go(client, 'gone')[0], rawnbd.REP_ERR_UNKNOWN)
        w.ctl('--add-target', 'b', self.b)
        self.assertEqual(set(self.images()), {'a', 'b', 'gone'})
        self.image(MIB, 'gone')
        client.go('gone')
        self.assertTrue(client.in_sync())

    def test_modes_of_tomorrow_are_kept_verbatim(self):
        self.write(as_original({'p': PROXY, 'a': target(self.a)}))
        w = self.start_on()
        self.assertIn(f'warning: p: {self.path("xnbd.state")}: mode later is not known', w.log())
        self.assertEqual([e['name'] for e in w.list()], ['a'])
        self.assertIn('already in use', w.refused('--add-target', 'p', self.b))
        w.ctl('--add-target', 'b', self.b)
        w.ctl('--remove-by-exportname', 'a')
        self.assertEqual(self.without_serials(), as_original({'p': PROXY, 'b': target(self.b)}))

    def test_entry_hidden_by_an_option_is_kept(self):
        self.write(as_original({'x': target(self.a)}))
        w = self.start_on(exports={'x': self.b})
        self.assertIn(f'warning: x: {self.path("xnbd.state")}: also given by config', w.log())
        self.assertEqual(w.enter('x').size, 2 * MIB)
        w.ctl('--add-target', 'y', self.b)
        self.assertEqual(self.images(), {'x': target(self.a), 'y': target(self.b)})


class Broken(State):
    """A file that is not understood ends the start and stays as it is."""

    def refused(self, text):
        self.write(text)
        line = self.fails_to_start('--lsocket', self.path('n'), state=self.state)
        self.assertEqual(xtest.text_of(self.state), text)
        self.assertIn(self.state, line)
        self.assertFalse(os.path.exists(self.path('c1')))
        self.assertFalse(os.path.exists(self.path('n')))
        return line

    def test_not_json(self):
        self.assertIn(':2:', self.refused('{\n"version": 2,,'))

    def test_truncated(self):
        self.refused(as_original({'a': target(self.a)})[:-5])

    def test_empty(self):
        self.assertIn('empty', self.refused(''))

    def test_other_versions(self):
        for text in ('{}', '[]', '{"version": 1, "images": {}}', '{"version": "2", "images": {}}',
                     '{"version": 3, "images": {}}', '{"version": 2.0, "images": {}}'):
            self.assertIn('version 2', self.refused(text))

    def test_bad_entries(self):
        for images, word in (('[]', 'images'), ('{"a": 1}', 'mode'), ('{"a": {}}', 'mode'),
                             ('{"a": {"mode": "target"}}', 'image_path'),
                             ('{"a": {"mode": "target", "image_path": ""}}', 'image_path'),
                             ('{"": {"mode": "target", "image_path": "/x"}}', 'empty')):
            self.assertIn(word, self.refused(f'{{"version": 2, "images": {images}}}'))

    def test_overlong_description(self):
        entry = target(self.a, description='d' * 60000)
        self.assertIn('description', self.refused(as_original({'a': entry})))

    def test_double_keys(self):
        entry = json.dumps(target(self.a))
        self.refused(f'{{"version": 2, "images": {{"a": {entry}, "a": {entry}}}}}')

    def test_no_regular_file(self):
        os.mkdir(self.state)
        self.assertIn('regular', self.fails_to_start('--lsocket', self.path('n'),
                                                     state=self.state))


class FullDisk(State):
    def setUp(self):
        super().setUp()
        self.folder = self.mount('tmpfs', '128k')
        os.chmod(self.folder, 0o700)
        self.state = os.path.join(self.folder, 'xnbd.state')
        self.w = self.start_on()
        self.w.ctl('--add-target', 'a', self.a)
        self.w.ctl('--add-target', 'b', self.b)
        self.before = xtest.text_of(self.state)

    def fill(self):
        with open(os.path.join(self.folder, 'fill'), 'wb', buffering=0) as f:
            try:
                while True:
                    f.write(b'x' * 4096)
            except OSError:
                pass

    def make_room(self):
        os.unlink(os.path.join(self.folder, 'fill'))

    def names(self):
        return {e['name'] for e in self.w.list()}

    def test_add(self):
        self.fill()
        self.assertIn('No space left', self.w.refused('--add-target', 'c', self.a))
        self.assertEqual(self.names(), {'a', 'b'})
        self.assertEqual(self.w.go_refused('c')[0], rawnbd.REP_ERR_UNKNOWN)
        self.assertEqual(xtest.text_of(self.state), self.before)
        self.assertEqual(sorted(os.listdir(self.folder)), ['fill', 'xnbd.state', 'xnbd.state.lock'])
        self.make_room()
        self.w.ctl('--add-target', 'c', self.a)
        self.assertEqual(set(self.images()), {'a', 'b', 'c'})

    def test_remove(self):
        self.fill()
        self.assertIn('No space left', self.w.refused('--remove-by-exportname', 'a'))
        self.assertEqual(xtest.text_of(self.state), self.before)
        self.assertEqual(self.names(), {'a', 'b'}, 'what is not saved was not removed')
        self.w.enter('a').disconnect()
        self.make_room()
        self.w.ctl('--remove-by-exportname', 'a')
        self.assertEqual(set(self.images()), {'b'})

    def test_save(self):
        self.fill()
        self.assertIn('No space left', self.w.refused('--save'))
        self.assertEqual(xtest.text_of(self.state), self.before)
        self.make_room()
        self.w.ctl('--save')


class Crash(State):
    """kill -9 while the file is replaced: old or new content, whole, nothing confirmed lost."""

    def add_until_killed(self, w, confirmed, round_):
        for i in range(1000):
            name = f'{round_}-{i}'
            p = w.ctl('--add-target', name, self.a, '--description', 'd' * 3000, status=None)
            if p.returncode:
                return
            confirmed.add(name)

    def test_kill_9_in_a_loop(self):
        confirmed = set()
        for round_ in range(12):
            w = self.start_on(control=self.path('c'), socket=self.path('n'))
            self.assertLessEqual(confirmed, {e['name'] for e in w.list()})
            adder = threading.Thread(target=self.add_until_killed, args=(w, confirmed, round_))
            adder.start()
            time.sleep(random.uniform(0.02, 0.15))
            kill(w.pid)
            adder.join()
            w.daemon.process.wait()
            xtest.wait_for(lambda: not w.processes(), 'its negotiator follows')
            if confirmed:
                self.assertLessEqual(confirmed, set(self.images()))
        self.assertTrue(confirmed)

    def test_left_over_of_a_crash_is_no_obstacle(self):
        self.write(as_original({'a': target(self.a)}))
        with open(self.state + '.new', 'w') as f:
            f.write('{"vers')
        w = self.start_on()
        w.ctl('--add-target', 'b', self.b)
        self.assertEqual(set(self.images()), {'a', 'b'})


if __name__ == '__main__':
    xtest.main()
