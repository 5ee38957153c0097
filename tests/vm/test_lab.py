# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab itself: a guest that hangs or dies is ended, the step is named, the next test has another
guest; archives are made once, and again when what is in them has changed."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import guest_image  # noqa: E402
import lab  # noqa: E402
import xtest  # noqa: E402


class Lost(lab.Case):
    GUEST = {'memory': 128}

    def test_lost_guests(self):
        first = self.guest

        def hang():
            first.qmp('stop')
            first.run('echo $((6 * 7))', seconds=2)
        self.is_lost('it hangs', hang, r'no answer in 2 s to: echo')
        self.find_guest()
        self.assertIsNot(self.guest, first)
        self.is_lost('it panics', lambda: self.guest.run('echo c >/proc/sysrq-trigger'),
                     'QEMU ended')
        self.assertIn('Kernel panic', self.guest.report('it panics'))

    def is_lost(self, name, action, reason):
        """Those who use it later hear the same, at once."""
        begin = time.monotonic()
        for step in (name, 'another'):
            with self.assertRaises(AssertionError) as caught, self.step(step):
                action()
            self.assertRegex(str(caught.exception), f'{reason}.*; it was at: {name}')
            self.assertIn(step, caught.exception.__notes__[0])
        self.assertLess(time.monotonic() - begin, lab.RUN_SECONDS)
        self.assertIsNotNone(self.guest.process.poll())


class Archives(xtest.Case):
    def opened(self):
        with guest_image.open_root({'/a': self.path('a'), '/b': b'content'}) as f:
            return os.fstat(f.fileno()).st_ino, f.read()

    def test_kept_until_something_changes(self):
        ours = self.image(1000, 'a', pattern=1)
        xtest.BUILD, before = self.path('build'), xtest.BUILD
        self.addCleanup(setattr, xtest, 'BUILD', before)
        first, content = self.opened()
        with open(ours, 'rb') as f:
            self.assertIn(f.read(), content)
        found = []
        xtest.in_threads(*[lambda: found.append(self.opened()[0]) for _ in range(4)])
        self.assertEqual(found, [first] * 4)
        self.image(1000, 'a', pattern=2)
        self.assertNotEqual(self.opened()[1], content)
        self.assertEqual(len(os.listdir(self.path('build/vm'))), 2, 'the lock, and one archive')


if __name__ == '__main__':
    xtest.main()
