#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Images and devices that change their size under a running wrapper: by command, by reload and by
looking; who comes gets the new size at once, who was there comes again and has lost nothing."""

import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from comeback import Writers  # noqa: E402
from wrapper_fixture import MARK, MIB, WrapperCase  # noqa: E402
from wrapper_successor import SuccessorCase  # noqa: E402

SIZE, GROWN = 4 * MIB, 6 * MIB


class ResizeCase(WrapperCase):
    def setUp(self):
        super().setUp()
        self.img = self.image(SIZE, pattern=1)
        self.other = self.image(SIZE, 'other.img')

    def serve_config(self, *args, wrapper='', **more):
        self.conf = self.path('xnbd.conf')
        exports = {'a': self.img, 'b': self.other, **more}
        with open(self.conf, 'w') as f:
            f.write(f'wrapper {{\n{wrapper}\n}}\n')
            for name, image in exports.items():
                keys = image if isinstance(image, str) else None
                f.write(f'export "{name}" {{ image = "{keys}" }}\n' if keys
                        else f'export "{name}" {{ {image[0]} }}\n')
        self.w = self.wrap('--config', self.conf, *args)
        return self.w

    def told(self, name='a', option=n.OPT_INFO):
        """What a new client is told."""
        client = self.w.raw()
        client.send(client.go_bytes(name, option=option))
        client.take_infos(option)
        client.close()
        return client.size

    def resize(self, *args, name='a'):
        return self.w.ctl('resize', name, *args)


class Command(ResizeCase):
    def test_grown(self):
        w = self.serve_config()
        c, other = w.enter('a'), w.enter('b')
        os.truncate(self.img, GROWN)
        self.assertEqual(w.enter('a').size, SIZE)
        self.assertEqual(self.resize(), f'a: {SIZE} -> {GROWN} bytes; 2 clients ended\n')
        self.assertEqual(w.enter('a').size, GROWN)
        c.expect_end()
        self.assertTrue(other.in_sync())
        self.assertEqual(w.export('a')['size'], GROWN)
        self.assertEqual(self.resize(), f'a: {GROWN} bytes, as before\n')
        again = w.enter('a')
        self.assertEqual(again.write(GROWN - 512, b'x' * 512).error, 0)

    def test_who_asks_while_it_happens(self):
        """The negotiator must not go on telling what it was told: 20 rounds without a wrong one."""
        w = self.serve_config()
        for i in range(20):
            keep = w.enter('a')
            size = SIZE + (i + 1) * 4096
            os.truncate(self.img, size)
            self.resize()
            for option in (n.OPT_INFO, n.OPT_GO):
                self.assertEqual(self.told(option=option), size)
            keep.expect_end()

    def test_shrunk(self):
        w = self.serve_config()
        c = w.enter('a')
        os.truncate(self.img, MIB)
        self.assertIn('clients may have data there; with force they get the new size',
                      w.refused('resize', 'a'))
        self.assertTrue(c.in_sync())
        self.assertEqual(w.export('a')['size'], SIZE)
        self.assertEqual(self.resize('--force'), f'a: {SIZE} -> {MIB} bytes; 1 client ended\n')
        c.expect_end()
        self.assertEqual(self.told(), MIB)

    def test_not_in_use(self):
        w = self.serve_config()
        self.assertEqual(self.told(), SIZE)
        os.truncate(self.img, GROWN)
        self.assertEqual(self.resize(),
                         'a is not in use; who comes gets the size its image has then\n')
        self.assertEqual((self.told(), w.worker('a')), (GROWN, None))

    def test_no_such_export(self):
        self.serve_config()
        self.assertIn('no such export', self.w.refused('resize', 'x'))
        self.w.refused('resize', status=2)
        self.w.refused('resize', 'a', 'b', status=2)

    def test_those_that_cannot(self):
        origin = self.serve(self.image(SIZE, 'o.img'), env={MARK: 'elsewhere'})
        proxy = f'mode = "proxy" origin = "{origin.uri}" cache = "{self.path("cache")}"'
        w = self.serve_config(c=(f'mode = "cow-target" image = "{self.img}"',), p=(proxy,))
        for name, text in (('c', "'c': a copy-on-write export keeps the size of its base as long"),
                           ('p', "'p': a proxy keeps the size of its origin; add one with another")):
            w.enter(name)
            self.assertIn(text, w.refused('resize', name, '--force'))
        w.enter('a')
        w.ctl('snapshot', 'a')
        self.assertIn('a snapshot keeps the size', w.refused('resize', 'a@snapshot'))

    def test_device(self):
        dev = self.loop_device(self.img)
        w = self.serve_config(d=dev)
        c = w.enter('d')
        os.truncate(self.img, GROWN)
        self.run_cmd('losetup', '--set-capacity', dev)
        self.assertIn('1 client ended', self.resize(name='d'))
        c.expect_end()
        self.assertEqual(w.enter('d').size, GROWN)


class Snapshots(ResizeCase, SuccessorCase):
    """Served by the server that took them, beside an image that has another size by now."""

    def take(self):
        number = json.loads(self.w.ctl('snapshot', 'a', '--json'))['id']
        xtest.wait_for(lambda: f'snapshot {number} is complete' in self.w.log(), 'the copy')
        return f'a@{number}'

    def check(self, sizes):
        """Of {name: size}, what is told before and after entry, and the last byte."""
        server = self.w.worker('a')
        for name, size in sizes.items():
            self.assertEqual((self.told(name), self.told(name, n.OPT_GO)), (size, size), name)
            self.assertEqual(self.w.export(name)['size'], size, name)
            c = self.w.enter(name)
            self.assertEqual((c.size, len(c.read(size - 512, 512))), (size, 512), name)
            c.disconnect()
        self.assertEqual(self.w.worker('a'), server)

    def test_keep_theirs(self):
        """Through a resize, a reload, an upgrade, and the death of the master."""
        w = self.serve_config()
        keep = w.enter('a')
        first = self.take()
        reader = w.enter(first)
        os.truncate(self.img, GROWN)
        self.resize()
        keep.expect_end()
        keep = w.enter('a')
        self.check({first: SIZE, 'a@snapshot': SIZE, 'a': GROWN})
        second = self.take()
        sizes = {first: SIZE, second: GROWN, 'a@snapshot': GROWN, 'a': GROWN}
        self.check(sizes)
        os.truncate(self.img, GROWN + MIB)
        w.ctl('reload')
        keep.expect_end()
        keep, sizes['a'] = w.enter('a'), GROWN + MIB
        self.check(sizes)
        for another in self.upgrade, lambda w: (self.crash(w), self.succeed(w)):
            another(w)
            self.check(sizes)
        w.ctl('drop-snapshot', 'a', second.split('@')[1])
        self.check({first: SIZE, 'a@snapshot': SIZE, 'a': GROWN + MIB})
        self.assertTrue(keep.in_sync() and reader.in_sync())

    def test_image_that_has_shrunk(self):
        w = self.serve_config()
        w.enter('a')
        first = self.take()
        reader = w.enter(first)
        os.truncate(self.img, MIB)
        self.resize('--force')
        self.check({first: SIZE, 'a@snapshot': SIZE, 'a': MIB})
        self.crash(w)
        self.succeed(w)
        self.check({first: SIZE, 'a@snapshot': SIZE})
        self.assertEqual(len(reader.read(SIZE - 4096, 4096)), 4096)


class Reload(ResizeCase):
    def lines(self, *args):
        return self.w.ctl('reload', *args).splitlines()

    def test_grown(self):
        w = self.serve_config()
        c, other = w.enter('a'), w.enter('b')
        os.truncate(self.img, GROWN)
        line = f'resized a: {SIZE} -> {GROWN} bytes'
        self.assertEqual(self.lines('--dry-run'), [line, '1 export unchanged'])
        self.assertTrue(c.in_sync())
        self.assertEqual(self.lines(), [line, '1 export unchanged'])
        self.assertEqual(w.enter('a').size, GROWN)
        c.expect_end()
        self.assertTrue(other.in_sync())
        plan = json.loads(self.w.ctl('reload', '--json'))
        self.assertEqual(plan['exports'], [])

    def test_shrunk(self):
        """It is shown, and not done without force; nor does it stand in the way of others."""
        w = self.serve_config()
        c = w.enter('a')
        os.truncate(self.img, MIB)
        with open(self.conf, 'a') as f:
            f.write(f'export "new" {{ image = "{self.other}" }}\n')
        self.assertEqual(self.lines(), [
            f'resized a: {SIZE} -> {MIB} bytes, not done: it has become shorter, which needs --force',
            'added new', '1 export unchanged'])
        self.assertTrue(c.in_sync())
        self.assertEqual(self.lines('--force'), [f'resized a: {SIZE} -> {MIB} bytes',
                                                 '2 exports unchanged'])
        c.expect_end()
        self.assertEqual(w.enter('a').size, MIB)

    def test_signal(self):
        w = self.serve_config()
        c = w.enter('a')
        os.truncate(self.img, GROWN)
        os.kill(w.pid, signal.SIGHUP)
        c.expect_end()
        xtest.wait_for(lambda: self.told() == GROWN, 'new clients are told')
        self.assertIn(f'reload: resized a: {SIZE} -> {GROWN} bytes', w.log())


class Poll(ResizeCase):
    def test_grown(self):
        w = self.serve_config(wrapper='poll-sizes = 1')
        c, other = w.enter('a'), w.enter('b')
        time.sleep(1.2)
        self.assertTrue(c.in_sync() and other.in_sync())
        os.truncate(self.img, GROWN)
        xtest.wait_for(lambda: w.export('a')['size'] == GROWN, 'it is noticed', 5)
        c.expect_end()
        self.assertTrue(other.in_sync())
        self.assertEqual(w.enter('a').size, GROWN)

    def test_shrunk_is_told_once(self):
        w = self.serve_config(wrapper='poll-sizes = 1')
        c = w.enter('a')
        os.truncate(self.img, MIB)
        time.sleep(3.5)
        self.assertTrue(c.in_sync())
        self.assertEqual(w.log().count('clients may have data there'), 1)
        self.assertEqual(w.export('a')['size'], SIZE)

    def test_turned_on_and_off(self):
        w = self.serve_config()
        c = w.enter('a')
        with open(self.conf) as f:
            text = f.read()
        os.truncate(self.img, GROWN)
        time.sleep(1.5)
        self.assertTrue(c.in_sync())
        with open(self.conf, 'w') as f:
            f.write(text.replace('wrapper {', 'wrapper { poll-sizes = 1'))
        os.truncate(self.img, SIZE)
        self.assertEqual(w.ctl('reload').splitlines(), ['changed wrapper: poll-sizes',
                                                        '2 exports unchanged'])
        os.truncate(self.img, GROWN)
        c.expect_end()
        with open(self.conf, 'w') as f:
            f.write(text)
        w.ctl('reload')
        c = w.enter('a')
        os.truncate(self.img, GROWN + MIB)
        time.sleep(1.5)
        self.assertTrue(c.in_sync())


class UnderLoad(ResizeCase):
    """libnbd clients that come again, as those of kernels do: nothing is lost, nothing fails."""

    def load(self, size=SIZE):
        self.require('nbdinfo')
        return Writers(self.w.uri('a'), size)

    def test_grown_again_and_again(self):
        """By all three ways to ask for it."""
        self.serve_config()
        writers, size = self.load(), SIZE
        for i in range(9):
            size += MIB
            os.truncate(self.img, size)
            if i % 3 == 2:
                writers.come_again(lambda: os.kill(self.w.pid, signal.SIGHUP), size)
            else:
                writers.come_again(lambda: self.w.ctl(*[['resize', 'a'], ['reload']][i % 3]), size)
        writers.finish()
        for w in writers:
            self.assertGreaterEqual(w.sessions, 11)
            self.assertEqual(w.sizes, sorted(w.sizes))

    def test_grown_and_noticed(self):
        """By looking."""
        self.serve_config(wrapper='poll-sizes = 1')
        writers = self.load()
        for size in (SIZE + MIB, SIZE + 2 * MIB):
            writers.come_again(lambda: os.truncate(self.img, size), size)
        writers.finish()

    def test_shrunk(self):
        """Nobody uses what is cut off, and nothing else is lost, nor is a request under way."""
        os.truncate(self.img, GROWN)
        self.serve_config()
        writers = self.load(SIZE)
        os.truncate(self.img, SIZE)
        self.w.refused('resize', 'a')
        writers.work()
        self.assertEqual([w.sessions for w in writers], [1] * 4)
        writers.come_again(lambda: self.w.ctl('resize', 'a', '--force'), SIZE)
        os.truncate(self.img, GROWN)
        writers.come_again(lambda: self.w.ctl('resize', 'a'), GROWN)
        os.truncate(self.img, SIZE)
        writers.come_again(lambda: self.w.ctl('reload', '--force'), SIZE)
        writers.finish()

    def test_server_started_again(self):
        """A change that needs another server, by force: they come again, to that one."""
        self.serve_config()
        writers = self.load()

        def change():
            self.assertIn('its 4 clients are ended', self.w.ctl('reload', '--force'))
        for threads in (1, 2, 3):
            with open(self.conf, 'w') as f:
                f.write(f'export "a" {{ image = "{self.img}" threads = {threads} }}\n'
                        f'export "b" {{ image = "{self.other}" }}\n')
            writers.come_again(change)
        writers.finish(refusals=30)

    def test_evicted(self):
        self.serve_config()
        writers = self.load()
        for _ in range(3):
            writers.come_again(lambda: self.w.ctl('evict', 'a'))
        writers.finish()


if __name__ == '__main__':
    xtest.main()
