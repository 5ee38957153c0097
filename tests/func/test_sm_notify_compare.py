# SPDX-License-Identifier: GPL-2.0-or-later
"""bench/sm-notify, which compares sm-notify with the distribution's: the rows that are over in some
seconds. Ours shows none of these defects, the distribution's all of them.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'bench', 'sm-notify')
QUICK = ('state number *', 'older record *', 'guard that *', 'guard of *', 'our name an address',
         'failure in the background *')
SPEED = '100 live peers'


class Compare(xtest.Case):

    def setUp(self):
        super().setUp()
        self.require('sm-notify', 'ip', 'nsenter', 'unshare', 'mount', root=True)

    def bench(self, *options, status=0):
        p = self.run_cmd(BENCH, '--build', xtest.BUILD, *options, status=None)
        self.assertEqual(p.returncode, status, p.stdout + p.stderr)
        return p

    def test_quick_rows(self):
        result = self.path('result.json')
        p = self.bench('--rows', *QUICK, '--jobs', '3', '--json', result)
        with open(result, encoding='utf-8') as f:
            rows = json.load(f)['defects']
        self.assertEqual(len(rows), len(QUICK) + 1)
        for row in rows:
            self.assertIs(row['ours']['fault'], False, row)
            self.assertIs(row['theirs']['fault'], True, row)
            self.assertIn(row['name'], p.stdout)
        self.assertIn(f'ours 0 of {len(rows)} tried, the distribution\'s {len(rows)} of '
                      f'{len(rows)}', p.stdout)

    def test_speed(self):
        """Figures are there; what they say is not for a machine that has other things to do."""
        result = self.path('result.json')
        p = self.bench('--rows', SPEED, '--json', result, '--markdown')
        with open(result, encoding='utf-8') as f:
            row, = json.load(f)['speed']
        for who in ('ours', 'theirs'):
            self.assertEqual(len(row['samples'][who]), 3)
            self.assertGreaterEqual(row['summary'][who]['datagrams'], 300)
        self.assertLess(row['summary']['ours']['seconds'], 20)
        self.assertIn(f'| {SPEED} | ', p.stdout)

    def test_wrong_use(self):
        self.assertIn('older record', self.bench('--list').stdout)
        self.assertIn('no row matches nothing', self.bench('--rows', 'nothing', status=2).stderr)
        self.assertIn('install nfs-common', self.bench('--theirs', '/none', status=2).stderr)
        self.assertIn('is ours, too', self.bench('--theirs', xtest.program('sm-notify'),
                                                 status=2).stderr)
        self.assertIn('is not built', self.bench('--build', self.dir, status=2).stderr)
        self.assertIn('usage', self.bench('--jobs', '0', status=2).stderr)


if __name__ == '__main__':
    xtest.main()
