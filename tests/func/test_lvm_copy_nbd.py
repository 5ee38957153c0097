# SPDX-License-Identifier: GPL-2.0-or-later
"""lvm_copy of live exports, and onto exports, of the real server."""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import lvm_copy  # noqa: E402
import xtest  # noqa: E402
from xtest import MIB  # noqa: E402


class Exports(lvm_copy.Case):

    def test_there_and_back(self):
        self.require(root=True)  # a manifest of an export has its place in /var/lib
        source = self.sparse(9 * MIB + 512)
        server = self.serve(source)
        self.copy(server.uri, f'file:{self.path("copy")}', '-Z', '--verify=readback')
        self.verify(self.path('copy'))
        target = self.serve(self.image(10 * MIB, 'target', pattern=8))
        manifest = ('-m', self.path('m'))
        self.copy(f'file:{self.path("copy")}', f'nbd:{target.uri}', '--restore',
                  '--verify=readback')
        self.assert_copy(source, self.path('target'), 9 * MIB + 512)
        rnd = random.Random(1)
        for _ in range(5):
            self.scribble(source, rnd)
            result = self.copy(server.uri, target.uri, '-i', *manifest)
            self.assertGreater(result['unchanged'], 0)
            self.assert_copy(source, self.path('target'), 9 * MIB + 512)
            self.copy(server.uri, f'file:{self.path("copy")}', '-Z', '-i')
            self.verify(self.path('copy'))
        self.verify(f'nbd:{target.uri}', *manifest)

    def setUp(self):
        super().setUp()
        self.addCleanup(lvm_copy.forget_manifests, self.dir)

    def test_refusals(self):
        source = self.image(4 * MIB, 'src', pattern=1)
        manifest = ('-m', self.path('m'))
        small = self.serve(self.image(MIB, 'small'))
        self.refused(f'file:{source}', small.uri, *manifest, say='bytes, the source')
        readonly = self.serve(self.image(8 * MIB, 'ro', pattern=2), '--readonly')
        self.refused(f'file:{source}', readonly.uri, *manifest, say='read-only')
        gone = f'nbd+unix:///?socket={self.path("nobody")}'
        self.refused(gone, f'file:{self.path("x")}', say='No such file')
        self.refused(f'file:{source}', gone, *manifest, say='No such file')
        self.assertFalse(os.path.exists(self.path('x')))

    def test_server_dies(self):
        source = self.image(12 * MIB, 'src', pattern=1)
        old = self.image(MIB, 'old', pattern=2)
        self.copy(f'file:{old}', f'file:{self.path("copy")}')
        server = self.serve(source)
        d = self.start_slow(f'nbd:{server.uri}', f'file:{self.path("copy")}')
        server.kill()
        self.assertEqual(d.wait(60), 1)
        self.assertEqual(d.stderr().count('error: '), 1, d.stderr())
        self.verify(self.path('copy'))
        self.assert_copy(old, self.path('copy'))


if __name__ == '__main__':
    xtest.main(at_once=2)
