# SPDX-License-Identifier: GPL-2.0-or-later
"""fence_xnbd called by Pacemaker's fencer, external/xnbd called by cluster-glue's stonith and by hand,
and both where an installation puts them.
"""

import os
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_agents  # noqa: E402
import stonith_fixture  # noqa: E402
import xtest  # noqa: E402


class Fencer(stonith_agents.Case):
    """Pacemaker's fencer calls it."""

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()
        self.install_agent()
        self.start_fencer()

    def register(self, **parameters):
        given = {'config': self.config, **parameters}
        options = [word for k, v in given.items() for word in ('-o', f'{k}={v}')]
        self.admin('-R', 'power', '-a', 'fence_xnbd', *options)

    def power(self):
        return self.left.relay('1'), self.right.relay('1')

    def test_shots(self):
        """Found by its list of nodes; off, on, reboot."""
        self.register()
        self.assertIn('power', self.admin('-l', 'n1').stdout)
        self.assertIn('power', self.admin('-L').stdout)
        self.admin('-F', 'n1', '-t', '60')
        self.assertEqual(self.power(), ('off', 'off'))
        self.admin('-U', 'n1', '-t', '60')
        self.assertEqual(self.power(), ('on', 'on'))
        self.admin('-B', 'n1', '-t', '60')
        self.assertEqual(self.power(), ('off', 'off'))  # its policy
        self.assertEqual(self.lines()[0]['who'], 'fence_xnbd')
        self.check_log('done', 'done', 'done')

    def test_map(self):
        self.register(pcmk_host_map='node-one:n1')
        self.admin('-F', 'node-one', '-t', '60')
        self.assertEqual(self.power(), ('off', 'off'))

    def test_ourselves(self):
        """The device does not offer to shoot its own host, so no cluster asks it to."""
        self.register()
        self.assertNotIn('power', self.admin('-l', 'n2', status=None).stdout)
        self.admin('-F', 'n2', '-t', '60', status=None)
        self.assertEqual(self.left.relay('8'), 'on')

    def test_failure(self):
        """It fails, is tried again, and says why; then the PDU is well, and it succeeds."""
        self.register(power_timeout=3)
        self.right.put('stuck', '1')
        self.assertNotEqual(self.admin('-F', 'n1', '-t', '60', status=None).returncode, 0)
        said = self.fencer_says()
        self.assertIn('right:1: on', said)
        self.assertIn('Attempt 2 to execute fence_xnbd (off)', said)
        self.right.drop('stuck', '1')
        self.admin('-F', 'n1', '-t', '60')
        self.assertEqual(self.power(), ('off', 'off'))
        self.check_log('failed', 'failed', 'done')

    def test_map_of_outlets(self):
        """A node's two outlets by the map that manuals show, and the PDU as parameters."""
        self.register(ip=self.left.address, community=stonith_fixture.COMMUNITY, power_wait=0,
                      pcmk_host_map='n9:2,5')
        self.admin('-F', 'n9', '-t', '60')
        self.assertEqual([k for k in '12345678' if self.left.relay(k) == 'off'], ['2', '5'])


class External(stonith_agents.Case):
    """cluster-glue's plugin."""

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()

    def power(self):
        return self.left.relay('1'), self.right.relay('1')

    def test_commands(self):
        self.external('off', 'n1')
        self.assertEqual(self.power(), ('off', 'off'))
        p = self.external('on', 'N1')
        self.assertEqual(self.power(), ('on', 'on'))
        self.assertIn('n1 is on', p.stdout)  # which is logged
        self.external('reset', 'n1')
        self.assertEqual(self.power(), ('off', 'off'))
        self.assertEqual(self.external('gethosts').stdout, 'n1\n')
        self.external('status')
        self.assertEqual({e['who'] for e in self.lines()}, {'external/xnbd'})
        self.check_log('done', 'done', 'done')

    def test_failures(self):
        self.right.put('stuck', '1')
        self.configure([self.left, self.right], {'n1': ['left:1', 'right:1']}, deadline=3)
        p = self.external('reset', 'n1', status=1)
        self.assertIn('right:1: on', p.stdout)
        self.assertIn('right:1: on', p.stderr)
        self.right.put('read-only')
        self.external('status', status=1)
        for args in (['off'], ['off', 'n'], ['off', 'n2'], ['off', 'n1 n2'], ['off', 'n1;id'],
                     ['off', 'n1', 'n1'], [], ['nonsense'], ['OFF', 'n1'], ['gethosts', 'n1']):
            self.external(*args, status=1)
        self.external('off', 'n1', env={'config': self.path('missing')}, status=1)
        self.assertEqual(self.external('gethosts', env={'config': ''}, status=1).stdout, '')

    def test_info(self):
        self.assertEqual(self.external('getconfignames').stdout, 'config\n')
        for what in ('devid', 'devname', 'devdescr', 'devurl'):
            text = self.external(f'getinfo-{what}').stdout
            self.assertTrue(text and '\n' not in text, text)
        xml = self.path('parameters.xml')
        with open(xml, 'w') as f:
            f.write(self.external('getinfo-xml').stdout)
        self.require('xmllint')
        self.run_cmd('xmllint', '--noout', xml)

    def test_stonith(self):
        """The real caller, which changes names to small letters."""
        self.configure([self.left, self.right], {'Node1': ['left:1', 'right:1']})
        self.install_plugin()
        self.assertIn('external/xnbd', self.run_cmd(f'{stonith_agents.SBIN}/stonith', '-L'))
        config = {'config': self.config}
        self.assertIn('node1', self.stonith_tool('external/xnbd', '-l', **config).stdout.lower())
        self.stonith_tool('external/xnbd', '-S', **config)
        self.stonith_tool('external/xnbd', '-T', 'off', 'Node1', **config)
        self.assertEqual(self.power(), ('off', 'off'))
        self.stonith_tool('external/xnbd', '-T', 'on', 'NODE1', **config)
        self.assertEqual(self.power(), ('on', 'on'))
        self.stonith_tool('external/xnbd', '-T', 'reset', 'Node1', **config)
        self.assertEqual(self.power(), ('off', 'off'))
        self.right.put('stuck', '1')
        self.right.put('relay', '1', 'on')
        self.configure([self.left, self.right], {'Node1': ['left:1', 'right:1']}, deadline=3)
        p = self.stonith_tool('external/xnbd', '-T', 'off', 'Node1', status=None, **config)
        self.assertEqual(p.returncode, 5)  # S_RESETFAIL
        self.check_log('done', 'done', 'done', 'failed')

    def test_by_pacemaker(self):
        """The agent that Pacemaker has for such plugins."""
        self.require('fence_legacy')
        self.install_plugin()
        for action, power in (('off', ('off', 'off')), ('on', ('on', 'on'))):
            self.checked([*self.host.prefix, 'fence_legacy'], 0, input=(
                f'plugin=external/xnbd\nconfig={self.config}\nnodename=n1\naction={action}\n'))
            self.assertEqual(self.power(), power)

    def test_writable_plugin(self):
        """Why its mode matters."""
        self.install_plugin(0o775)
        self.assertNotIn('external/xnbd', self.run_cmd(f'{stonith_agents.SBIN}/stonith', '-L'))


class Installed(xtest.Case):

    def test_install(self):
        """Both are where clusters look, and nobody but their owner may write them."""
        self.require('cmake')
        self.run_cmd('cmake', '--install', xtest.BUILD, env={'DESTDIR': self.dir})
        found = {}
        for folder, _, names in os.walk(self.dir):
            for name in names:
                found.setdefault(name, []).append(os.path.join(folder, name))
        agent, = [p for p in found['fence_xnbd'] if 'completion' not in p]
        plugin, = [p for p in found['xnbd'] if 'stonith' in p]
        self.assertTrue(agent.endswith('/sbin/fence_xnbd'), agent)
        self.assertTrue(plugin.endswith('/lib/stonith/plugins/external/xnbd'), plugin)
        self.assertTrue(found['fence_xnbd.8'])
        for path in (agent, plugin):
            mode = os.lstat(path).st_mode
            self.assertTrue(stat.S_ISREG(mode) and not mode & 0o022 and mode & 0o111)


if __name__ == '__main__':
    xtest.main()
