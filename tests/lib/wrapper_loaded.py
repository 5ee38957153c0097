# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrappers whose clients write all the time and never come again: whatever a test does beside them,
they must not notice."""

from wrapper_fixture import MIB, config_text
from wrapper_successor import SuccessorCase


class LoadedCase(SuccessorCase):
    """Two exports with a writer each, who would notice a lost connection, an error, a wrong byte."""

    def setUp(self):
        super().setUp()
        self.conf = self.path('xnbd.conf')
        self.images = self.files(2, 4 * MIB)
        self.configure()

    def configure(self, more='', exports=None):
        with open(self.conf, 'w') as f:
            f.write(config_text({**self.images, **(exports or {})}) + more)

    def start_loaded(self, *args, **options):
        self.w = self.wrap('--config', self.conf, *args, **options)
        self.load_it()
        return self.w

    def load_it(self):
        self.writers = [self.writer(self.w, name, 32) for name in self.images]
        self.workers = [self.w.worker(name) for name in self.images]

    def go_on_all(self, rounds=1):
        for writer in self.writers:
            self.go_on(writer, rounds)

    def finish_all(self):
        """Nobody was disturbed: the same servers, the same connections, all that was written."""
        self.go_on_all()
        self.assertEqual([self.w.worker(name) for name in self.images], self.workers)
        for writer, image in zip(self.writers, self.images.values()):
            writer.finish()
            writer.check_file(self, image)

    def names(self):
        return [e['name'] for e in self.w.list()]
