#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes of the configuration while clients work: what is planned is done, what is not touched is
not noticed, what is in use is refused, ended in order, or waited for."""

import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd as n  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import MARK, MIB, REP_ERR_POLICY, config_text, kill  # noqa: E402
from wrapper_writer import WritingCase  # noqa: E402

GONE = n.REP_ERR_UNKNOWN


class ReloadCase(WritingCase):
    def configure(self, exports, wrapper=''):
        """Writes the file: {name: keys}, and what is in section wrapper."""
        text = f'wrapper {{\n{wrapper}\n}}\n' if wrapper else ''
        with open(self.conf, 'w') as f:
            f.write(text + config_text(exports))

    def serve_config(self, exports, *args, wrapper='', **options):
        self.conf = self.path('xnbd.conf')
        self.configure(exports, wrapper)
        self.w = self.wrap('--config', self.conf, *args, **options)
        return self.w

    def reload(self, *args, status=0):
        """Its lines."""
        p = self.w.ctl('reload', *args, status=None)
        self.assertEqual((p.returncode, p.stderr), (status, ''), p)
        return p.stdout.splitlines()

    def reload_refused(self, *args, lines=1):
        p = self.w.ctl('reload', *args, status=None)
        self.assertEqual((p.returncode, p.stdout), (1, ''), p)
        self.assertEqual(len(p.stderr.splitlines()), lines, p.stderr)
        return p.stderr

    def names(self):
        return [e['name'] for e in self.w.list()]

    def log_has(self, text, seconds=10):
        xtest.wait_for(lambda: text in self.w.log(), f'log: {text}', seconds)

    def server_says(self, name):
        return json.loads(self.w.ctl('query', name, '--json'))

    def settings_of_server(self, name):
        pid = self.w.worker(name)
        with open(f'/proc/{pid}/cmdline') as f:
            return f.read().split('\0')

    def is_hidden(self, name):
        client = self.w.raw()
        client.send(client.go_bytes(name))
        kind = client.option_reply(n.OPT_GO)[0]
        client.close()
        return kind == GONE


class Plan(ReloadCase):
    def test_shown_and_nothing_done(self):
        files = self.files(4)
        w = self.serve_config({name: files[name] for name in ('disk0', 'disk1', 'disk2')})
        w.enter('disk1')
        self.configure({'disk0': files['disk0'],
                        'disk1': {'image': files['disk1'], 'threads': 2, 'description': 'd'},
                        'disk3': files['disk3']})
        before = w.list()
        lines = ['removed disk2',
                 'changed disk1: description, threads; its server is started again, it has 1 client',
                 'added disk3', '1 export unchanged']
        p = w.ctl('reload', '--dry-run', status=None)
        self.assertEqual((p.returncode, p.stdout.splitlines()), (1, [lines[1], lines[0], *lines[2:]]))
        self.assertRegex(p.stderr, "would be refused: in use: 'disk1' .1 client.; nothing was")
        p = w.ctl('reload', '--dry-run', '--force', status=None)
        self.assertEqual((p.returncode, p.stderr), (0, ''))
        self.assertIn('threads; its server is started again, its 1 client is ended', p.stdout)
        self.assertEqual(w.list(), before)

    def test_for_programs(self):
        files = self.files(2)
        w = self.serve_config({'disk0': files['disk0']})
        self.configure(files, 'max-clients = 5')
        plan = json.loads(w.ctl('reload', '--json'))
        self.assertEqual(plan['unchanged'], 1)
        self.assertEqual([(e['name'], e['change'], e['clients'], e['restart'], e['text'])
                          for e in plan['exports']], [('disk1', 'added', 0, False, 'added disk1')])
        self.assertEqual(plan['wrapper'], [{'key': 'max-clients', 'live': True,
                                            'text': 'changed wrapper: max-clients'}])
        self.assertEqual(self.names(), ['disk0', 'disk1'])

    def test_nothing_new(self):
        self.serve_config(self.files(3))
        self.assertEqual(self.reload(), ['3 exports unchanged'])

    def test_faults_change_nothing(self):
        files = self.files(2)
        w = self.serve_config({'disk0': files['disk0']})
        with open(self.conf, 'w') as f:
            f.write(f'export "disk1" {{ image = "{files["disk1"]}" }}\n'
                    'export "x" { image = "relative" }\n\n'
                    'export "y" { imag = "/y" threads = 100 }\n')
        lines = sorted(self.reload_refused(lines=3).splitlines())
        self.assertRegex(lines[0], rf'^{self.conf}:2: export "x": image: .*absolute path')
        self.assertRegex(lines[1], rf'^{self.conf}:4: .*threads.*from 1 to 64')
        self.assertRegex(lines[2], rf'^{self.conf}:4: imag: no such key')
        self.assertEqual(self.names(), ['disk0'])
        os.kill(w.pid, signal.SIGHUP)
        self.log_has('not reloaded: the configuration has faults, and nothing was changed')
        for line in lines:
            self.assertIn(line, w.log())
        self.assertEqual(self.names(), ['disk0'])
        os.unlink(self.conf)
        self.assertRegex(self.reload_refused(), f'{self.conf}: No such file')
        self.configure(files)
        self.assertEqual(self.reload(), ['added disk1', '1 export unchanged'])

    def test_half_a_file(self):
        files = self.files(2)
        self.serve_config(files)
        text = xtest.text_of(self.conf)
        for cut in (len(text) - 2, len(text) // 2 + 3, len(text) // 4):
            with open(self.conf, 'w') as f:
                f.write(text[:cut])
            p = self.w.ctl('reload', status=None)
            self.assertEqual((p.returncode, p.stdout), (1, ''))
            self.assertIn(f'{self.conf}:', p.stderr)
        self.assertEqual(self.names(), ['disk0', 'disk1'])

    def test_without_a_file(self):
        w = self.w = self.wrap('--imgfile', self.image(MIB))
        self.assertIn('started without --config', self.reload_refused())
        os.kill(w.pid, signal.SIGHUP)
        self.log_has('log files opened anew')
        self.assertNotIn('not reloaded', w.log())

    def test_usage(self):
        w = self.serve_config(self.files(1))
        for args, text in ((['reload', '--force', '--when-idle'], 'exclude each other'),
                           (['reload', '--config', 'x'], 'goes with --offline'),
                           (['reload', 'x'], 'takes 0 arguments'),
                           (['list', '--dry-run'], 'go with --reload'),
                           (['save', '--when-idle'], 'goes with --reload'),
                           (['reload', '--offline', '--force'], 'do not go with it')):
            self.assertIn(text, w.refused(*args, status=2))

    def test_relative_path_of_the_file(self):
        """Also in the background, where the working directory is another one."""
        files = self.files(2)
        self.conf = self.path('xnbd.conf')
        self.configure({'disk0': files['disk0']})
        w = self.w = self.wrapper_args('--config', 'xnbd.conf', '--lsocket', self.path('n'),
                                       '--daemonize', '--logpath', self.path('log'))
        w.socket = self.path('n')
        self.run_cmd(*w.argv, cwd=self.dir)
        self.configure(files)
        self.assertEqual(self.reload(), ['added disk1', '1 export unchanged'])
        w.ctl('shutdown')
        xtest.wait_for(lambda: not w.processes(), 'the end')


class Changes(ReloadCase):
    def test_added_and_removed(self):
        files = self.files(3)
        w = self.serve_config({'disk0': files['disk0'], 'disk1': files['disk1']})
        w.enter('disk1').close()
        self.configure({'disk1': files['disk1'], 'disk2': files['disk2']})
        self.assertEqual(self.reload(), ['removed disk0', 'added disk2', '1 export unchanged'])
        self.assertEqual([(e['index'], e['name'], e['source']) for e in w.list()],
                         [(2, 'disk1', 'config'), (3, 'disk2', 'config')])
        self.assertTrue(self.is_hidden('disk0'))
        self.assertTrue(w.enter('disk2').in_sync())

    def test_image_that_is_missing(self):
        """Told, refused to clients, and served as soon as it is there; nobody else is concerned."""
        files = self.files(1)
        w = self.serve_config(files)
        late = self.path('late.img')
        self.configure({**files, 'late': late})
        self.assertEqual(self.reload(), ['added late', '1 export unchanged'])
        self.assertIn(f'late: {late}: No such file or directory; served once', w.log())
        for _ in range(12):  # the server is not tried as often
            kind, text = w.go_refused('late')
            self.assertEqual((kind, text),
                             (GONE, 'the image cannot be served: No such file or directory'))
        self.assertTrue(w.enter('disk0').in_sync())
        self.assertIn('No such file', w.export('late')['error'])
        self.image(MIB, 'late.img')
        self.assertTrue(w.enter('late').in_sync())
        self.assertNotIn('error', w.export('late'))

    def test_live_keys(self):
        """Clients go on, and are told nothing; new ones see what is new."""
        files = self.files(1)
        w = self.serve_config(files)
        writer, pid = self.writer(w, 'disk0'), w.worker('disk0')
        keys = {'image': files['disk0'], 'description': 'new', 'limit-requests': 100000,
                'limit-bandwidth': '1G', 'idle-timeout': 1000, 'max-clients': 2, 'serial': 's1',
                'exclusive': 'writer'}
        self.configure({'disk0': keys})
        self.assertEqual(self.reload(), [
            'changed disk0: description, serial, max-clients, idle-timeout, limit-requests, '
            'limit-bandwidth, exclusive', '0 exports unchanged'])
        self.go_on(writer)
        self.assertEqual(w.worker('disk0'), pid)
        ctl = f'{w.control}.d/' + os.listdir(f'{w.control}.d')[0]
        with xtest.connect(ctl, 10) as s:
            s.sendall(b'{"v":1,"cmd":"status"}\n')
            says = json.loads(s.makefile().readline())
        self.assertEqual([says[k] for k in ('limit_requests', 'limit_bandwidth', 'idle_timeout')],
                         [100000, 1 << 30, 1000])
        e = w.export('disk0')
        self.assertEqual((e['description'], e['serial']), ('new', 's1'))
        second = w.enter('disk0')
        self.assertIn('2 clients of this export', w.go_refused('disk0')[1])
        second.close()
        self.configure(files)
        self.assertIn('changed disk0: description, serial,', self.reload()[0])
        self.go_on(writer)
        writer.finish()
        self.assertNotIn('description', w.export('disk0'))

    def test_rules(self):
        """Who is not allowed any more is ended between requests; then it has never existed."""
        files = self.files(2)
        w = self.serve_config(files)
        out, stays = w.enter('disk0'), w.enter('disk1')
        self.configure({'disk0': {'image': files['disk0'], 'deny': 'unix'},
                        'disk1': files['disk1']})
        self.assertEqual(self.reload(), ['changed disk0: deny', '1 export unchanged'])
        out.expect_end()
        self.assertTrue(stays.in_sync())
        self.assertTrue(self.is_hidden('disk0'))
        self.configure({'disk0': files['disk0'], 'disk1': {'image': files['disk1'],
                                                           'readonly-for': 'unix'}})
        self.reload()
        stays.expect_end()
        self.assertTrue(w.enter('disk1').flags & n.READ_ONLY)
        self.assertFalse(w.enter('disk0').flags & n.READ_ONLY)

    def test_default(self):
        files = self.files(2)
        w = self.serve_config({'disk0': {'image': files['disk0'], 'default': True},
                               'disk1': self.image(2 * MIB, 'other.img')})
        self.assertEqual(w.enter('').size, MIB)
        self.configure({'disk0': files['disk0'],
                        'disk1': {'image': self.path('other.img'), 'default': True}})
        self.reload()
        self.assertEqual(w.enter('').size, 2 * MIB)

    def test_keys_that_need_another_server(self):
        files = self.files(1)
        w = self.serve_config(files)
        w.enter('disk0').close()
        xtest.wait_for(lambda: w.client_count('disk0') == 0, 'it has left')
        pid = w.worker('disk0')
        self.configure({'disk0': {'image': files['disk0'], 'threads': 3, 'block-max': '1M'}})
        self.assertEqual(self.reload(), ['changed disk0: block-max, threads; its server is '
                                         'started again', '0 exports unchanged'])
        w.enter('disk0')
        self.assertNotEqual(w.worker('disk0'), pid)
        argv = self.settings_of_server('disk0')
        self.assertEqual(argv[argv.index('--threads') + 1], '3')
        self.assertEqual(argv[argv.index('--block-max') + 1], str(MIB))
        self.assertEqual(w.export('disk0')['index'], 1)

    def test_another_image(self):
        w = self.serve_config({'a': self.image(MIB, 'old.img', pattern=1)})
        self.assertEqual(len(w.enter('a').read(0, 10)), 10)
        new = self.image(3 * MIB, 'new.img', pattern=2)
        self.configure({'a': new})
        self.assertIn("in use: 'a' (1 client)", self.reload_refused())
        self.reload('--force')
        c = w.enter('a')
        with open(new, 'rb') as f:
            self.assertEqual((c.size, c.read(0, MIB)), (3 * MIB, f.read(MIB)))

    def test_snapshots_go_with_their_image(self):
        w = self.serve_config({'a': self.image(MIB, 'old.img')})
        w.enter('a')
        w.ctl('snapshot', 'a')
        self.assertEqual(len(self.names()), 3)
        self.configure({'a': self.image(MIB, 'new.img')})
        self.reload('--force')
        self.assertEqual(self.names(), ['a'])


class InUse(ReloadCase):
    def setUp(self):
        super().setUp()
        self.f = self.files(4)
        self.serve_config(self.f)
        self.writers = [self.writer(self.w, f'disk{i}') for i in range(3)]
        self.second = self.w.enter('disk1')
        # disk0 stays, disk1 goes, disk2 gets another server, disk3 (not in use) goes
        self.configure({'disk0': self.f['disk0'],
                        'disk2': {'image': self.f['disk2'], 'threads': 2}, 'new': self.f['disk3']})

    def go_on_all(self):
        for writer in self.writers:
            self.go_on(writer)

    def test_refused_as_a_whole(self):
        before = self.w.list()
        self.assertIn("in use: 'disk1' (2 clients), 'disk2' (1 client); nothing was changed",
                      self.reload_refused())
        self.go_on_all()
        self.assertEqual([e['name'] for e in before], self.names())
        os.kill(self.w.pid, signal.SIGHUP)
        self.log_has("not reloaded: in use: 'disk1' (2 clients)")
        self.assertEqual([e['name'] for e in before], self.names())
        for w in self.writers:
            w.finish()

    def test_by_force(self):
        """Clients are ended between requests, and the servers too when the command returns."""
        pids = [self.w.worker(f'disk{i}') for i in range(3)]
        self.assertEqual(self.reload('--force'), [
            'removed disk1, its 2 clients are ended',
            'changed disk2: threads; its server is started again, its 1 client is ended',
            'removed disk3', 'added new', '1 export unchanged'])
        self.assertEqual([os.path.exists(f'/proc/{p}') for p in pids], [True, False, False])
        self.assertEqual(self.names(), ['disk0', 'disk2', 'new'])
        self.go_on(self.writers[0])
        self.writers[0].finish()
        for i in (1, 2):
            self.writers[i].join(10)
            self.assertIsInstance(self.writers[i].error, (n.Closed, OSError))
            self.writers[i].check_file(self, self.f[f'disk{i}'])
        self.second.expect_end()
        self.assertTrue(self.w.enter('disk2').in_sync())
        self.assertTrue(self.is_hidden('disk1'))

    def test_when_idle(self):
        w = self.w
        self.assertEqual(self.reload('--when-idle'), [
            'removed disk1 when its 2 clients have left',
            'changed disk2: threads; its server is started again when its 1 client has left',
            'removed disk3', 'added new', '1 export unchanged'])
        self.go_on_all()
        self.assertEqual([(e['name'], e.get('draining')) for e in w.list()],
                         [('disk0', None), ('disk1', 'goes'), ('disk2', 'changes'), ('new', None)])
        self.assertEqual(w.status()['draining'], 2)
        self.assertTrue(self.is_hidden('disk1') and self.is_hidden('disk2'))
        self.assertEqual(self.reload(), [
            'removed disk1 when its 2 clients have left',
            'changed disk2: threads; its server is started again when its 1 client has left',
            '2 exports unchanged'])
        old = w.worker('disk2')
        self.second.close()
        self.writers[2].finish()
        self.writers[2].client.close()
        xtest.wait_for(lambda: not self.is_hidden('disk2'), 'disk2 is served again')
        self.assertTrue(w.enter('disk2').in_sync())
        self.assertNotEqual(w.worker('disk2'), old)
        self.assertIn('2', self.settings_of_server('disk2'))
        self.go_on(self.writers[1])
        self.assertEqual(self.names(), ['disk0', 'disk1', 'disk2', 'new'])
        self.writers[1].finish()
        self.writers[1].client.close()
        xtest.wait_for(lambda: self.names() == ['disk0', 'disk2', 'new'], 'disk1 has gone')
        self.go_on(self.writers[0])
        self.writers[0].finish()
        self.assertEqual(w.status()['draining'], 0)

    def test_when_idle_and_taken_back(self):
        self.reload('--when-idle')
        self.configure(self.f)
        self.assertEqual(sorted(self.reload()), sorted([
            'kept disk1', 'kept disk2', 'removed new', 'added disk3', '1 export unchanged']))
        self.go_on_all()
        for i in range(3):
            self.assertTrue(self.w.enter(f'disk{i}').in_sync())
            self.writers[i].finish()
        self.assertEqual(self.w.status()['draining'], 0)

    def test_when_idle_and_then_by_force(self):
        self.reload('--when-idle')
        self.assertEqual(self.reload('--force'), [
            'removed disk1, its 2 clients are ended',
            'changed disk2: threads; its server is started again, its 1 client is ended',
            '2 exports unchanged'])
        self.assertEqual(self.names(), ['disk0', 'disk2', 'new'])
        self.assertTrue(self.w.enter('disk2').in_sync())

    def test_new_negotiator_hides_it_too(self):
        self.reload('--when-idle')
        old = self.w.negotiator()
        kill(old)
        xtest.wait_for(lambda: self.w.negotiator() not in (0, old), 'a new negotiator')
        self.assertTrue(self.is_hidden('disk1'))
        self.assertTrue(self.w.enter('new').in_sync())


class Remove(ReloadCase):
    """The commands that remove one export."""

    def setUp(self):
        super().setUp()
        self.state = self.path('state')
        self.w = self.wrap(state=self.state)
        self.w.ctl('--add-target', 'a', self.image(MIB, 'a.img'))
        self.w.ctl('--add-target', 'b', self.image(MIB, 'b.img'))

    def saved(self):
        with open(self.state) as f:
            return sorted(json.load(f)['images'])

    def test_clients_stay_as_ever(self):
        c = self.w.enter('a')
        self.assertEqual(self.w.ctl('--remove-by-exportname', 'a'), '')
        self.assertTrue(c.in_sync())
        self.assertEqual((self.names(), self.saved()), (['b'], ['b']))

    def test_force(self):
        writer, other, pid = self.writer(self.w, 'a'), self.writer(self.w, 'b'), self.w.worker('a')
        self.assertEqual(self.w.ctl('--remove', '1', '--force'), '1 client ended\n')
        self.assertFalse(os.path.exists(f'/proc/{pid}'))
        writer.join(10)
        writer.check_file(self, self.path('a.img'))
        self.go_on(other)
        other.finish()
        self.assertEqual((self.names(), self.saved()), (['b'], ['b']))
        self.assertEqual(self.w.ctl('--remove-by-exportname', 'b', '--force')[-6:], 'ended\n')

    def test_force_ends_snapshots_too(self):
        self.w.enter('a').close()
        self.w.ctl('snapshot', 'a')
        c = self.w.enter('a@snapshot')
        self.assertEqual(self.w.ctl('--remove-by-exportname', 'a', '--force'), '1 client ended\n')
        c.expect_end()
        self.assertEqual(self.names(), ['b'])

    def test_when_idle(self):
        c = self.w.enter('a')
        self.assertEqual(self.w.ctl('--remove-by-file', self.path('a.img'), '--when-idle'),
                         'hidden from new clients; removed when its 1 client has left\n')
        self.assertEqual(self.saved(), ['b'])  # also if the wrapper ends before
        self.assertTrue(c.in_sync() and self.is_hidden('a'))
        self.assertIn('already in use', self.w.refused('--add-target', 'a', self.path('b.img')))
        c.close()
        xtest.wait_for(lambda: self.names() == ['b'], 'it has gone')
        self.w.ctl('--add-target', 'a', self.path('a.img'))
        self.assertTrue(self.w.enter('a').in_sync())
        self.assertEqual(self.w.ctl('--remove-by-exportname', 'b', '--when-idle'), '')
        self.assertEqual((self.names(), self.saved()), (['a'], ['a']))

    def test_both(self):
        self.assertIn('exclude', self.w.refused('--remove', '1', '--force', '--when-idle', status=2))


class Names(ReloadCase):
    def test_of_an_option(self):
        img = self.image(MIB)
        w = self.serve_config(self.files(1), '--imgfile', img)
        self.configure({**self.files(1), img: img, 'new': img})
        self.assertIn(f"export '{img}': --imgfile has one of this name already",
                      self.reload_refused('--force'))
        self.assertEqual(len(w.list()), 2)

    def test_of_the_state_file(self):
        """The configuration takes it over, and gives it back."""
        files = self.files(1)
        other = self.image(2 * MIB, 'other.img')
        w = self.serve_config(files)
        w.ctl('--add-target', 'mine', other)
        self.configure({**files, 'mine': other})
        c = w.enter('mine')
        self.assertEqual(self.reload(), [
            "changed mine; it is the configuration's now, the state file's is not served meanwhile",
            '1 export unchanged'])
        self.assertTrue(c.in_sync())
        c.close()
        self.assertEqual((w.export('mine')['source'], w.export('mine')['index']), ('config', 2))
        with open(w.state) as f:
            self.assertEqual(json.load(f)['images']['mine']['image_path'], other)
        xtest.wait_for(lambda: w.client_count('mine') == 0, 'it has left')
        self.configure({**files, 'mine': self.image(MIB, 'new.img')})
        self.reload()
        self.assertEqual(w.enter('mine').size, MIB)
        w.ctl('save')
        self.configure(files)
        self.assertEqual(self.reload('--force'), [
            'removed mine, its 1 client is ended; the one of this name in the state file takes its '
            'place', '1 export unchanged'])
        self.assertEqual((w.enter('mine').size, w.export('mine')['source']), (2 * MIB, 'state'))
        w.stop()
        self.assertEqual(sorted(json.loads(xtest.text_of(w.state))['images']), ['mine'])

    def test_removed_by_hand(self):
        """The file has it, so it comes back."""
        w = self.serve_config(self.files(2))
        w.ctl('--remove-by-exportname', 'disk0')
        self.assertEqual(self.reload(), ['added disk0', '1 export unchanged'])

    def test_swapped(self):
        w = self.serve_config({'a': self.image(MIB, '1.img'), 'b': self.image(2 * MIB, '2.img')})
        self.configure({'a': self.path('2.img'), 'b': self.path('1.img')})
        self.reload()
        self.assertEqual((w.enter('a').size, w.enter('b').size), (2 * MIB, MIB))

    def test_many_at_once(self):
        img = self.image(MIB)
        w = self.serve_config({f'a{i}': img for i in range(500)})
        self.configure({f'b{i}': img for i in range(500)})
        lines = self.reload()
        self.assertEqual((len(lines), lines[-1]), (1001, '0 exports unchanged'))
        self.assertEqual(len(w.list()), 500)
        self.assertTrue(w.enter('b499').in_sync())


class WrapperKeys(ReloadCase):
    def test_limits(self):
        w = self.serve_config(self.files(1))
        c = w.enter('disk0')
        self.configure(self.files(1), 'max-clients = 1')
        self.assertEqual(self.reload(), ['changed wrapper: max-clients', '1 export unchanged'])
        self.assertEqual(w.go_refused('disk0'),
                         (REP_ERR_POLICY, '1 clients are connected, that is the limit'))
        self.configure(self.files(1))
        self.reload()
        self.assertTrue(w.enter('disk0').in_sync() and c.in_sync())

    def test_rules_for_all(self):
        w = self.serve_config(self.files(1))
        c = w.enter('disk0')
        self.configure(self.files(1), 'deny = "unix"')
        self.reload()
        c.expect_end()
        self.configure(self.files(1))
        self.reload()
        self.assertTrue(w.enter('disk0').in_sync())

    def test_readonly(self):
        w = self.serve_config(self.files(2))
        c = w.enter('disk0')
        self.configure(self.files(2), 'readonly = true')
        self.assertIn("in use: 'disk0'", self.reload_refused())
        self.assertFalse(w.export('disk0')['readonly'])
        self.assertEqual(self.reload('--when-idle'), [
            'changed wrapper: readonly',
            'changed disk0: readonly of the wrapper; its server is started again when its 1 client '
            'has left',
            'changed disk1: readonly of the wrapper; its server is started again',
            '0 exports unchanged'])
        self.assertTrue(w.enter('disk1').flags & n.READ_ONLY)
        self.assertEqual(c.write(0, b'x' * 512).error, 0)
        c.close()
        xtest.wait_for(lambda: not self.is_hidden('disk0'), 'it is served again')
        self.assertTrue(w.enter('disk0').flags & n.READ_ONLY)

    def test_options_of_servers(self):
        w = self.serve_config(self.files(2), wrapper='max-queue-size = 20')
        w.enter('disk0')
        self.configure(self.files(2), 'max-queue-size = 30\nidle-timeout = 2000')
        self.assertEqual(self.reload(), [
            'changed wrapper: idle-timeout',
            'changed wrapper: max-queue-size; for servers started from now on',
            '2 exports unchanged'])
        w.enter('disk1')
        queue = [self.settings_of_server(d) for d in ('disk0', 'disk1')]
        self.assertEqual([a[a.index('--max-queue-size') + 1] for a in queue], ['20', '30'])

    def test_at_the_next_start(self):
        w = self.serve_config(self.files(1), wrapper='user = "root"')
        before = w.status()['listening']
        self.configure(self.files(1), 'listen = "127.0.0.1:1"\nuser = "root"')
        self.assertEqual(self.reload(), ['changed wrapper: listen; at the next start',
                                         '1 export unchanged'])
        self.assertEqual(w.status()['listening'], before)

    def test_command_line_wins(self):
        w = self.serve_config(self.files(1), '--max-clients', '1')
        w.enter('disk0')
        self.configure(self.files(1), 'max-clients = 5')
        self.reload()
        self.assertIn('1 clients are connected', w.go_refused('disk0')[1])

    def test_log_level(self):
        w = self.serve_config(self.files(1))
        w.enter('disk0')
        self.configure(self.files(1), 'log-level = "error"')
        self.reload()
        self.configure({}, 'log-level = "error"')
        self.reload('--force')
        self.assertNotIn('reload: removed disk0', w.log())
        self.configure(self.files(1))
        self.reload()
        self.configure({})
        self.reload()
        self.assertIn('reload: removed disk0', w.log())


class Proxies(ReloadCase):
    def origin(self):
        return self.serve(self.image(MIB, 'origin.img', pattern=1), env={MARK: 'elsewhere'})

    def test_switched_proxy_is_left_alone(self):
        """The file may go on calling it a proxy, or follow."""
        origin = self.origin()
        keys = {'mode': 'proxy', 'origin': origin.uri, 'cache': self.path('cache')}
        w = self.serve_config({'p': keys, **self.files(1)})
        writer = self.writer(w, 'p')
        w.ctl('cache-all', 'p')
        self.log_has('p: complete')
        w.ctl('switch', 'p')
        self.assertEqual(self.reload(), ['2 exports unchanged'])
        self.configure({'p': {**keys, 'description': 'd'}, **self.files(1)})
        self.assertEqual(self.reload(), ['changed p: description', '1 export unchanged'])
        self.configure({'p': {'image': self.path('cache'), 'description': 'd'}, **self.files(1)})
        self.assertEqual(self.reload(), ['2 exports unchanged'])
        self.assertEqual(w.export('p')['mode'], 'target')
        self.go_on(writer)
        writer.finish()

    def test_another_cache(self):
        """The one before has its files locked to its end; clients wait for that."""
        origin = self.origin()
        keys = {'mode': 'proxy', 'origin': origin.uri, 'cache': self.path('cache')}
        w = self.serve_config({'p': keys})
        w.enter('p')
        for name in ('new', 'cache', 'new'):
            self.configure({'p': {**keys, 'cache': self.path(name)}})
            self.assertIn('changed p: cache; its server', self.reload('--force')[0])
            self.assertTrue(w.enter('p').in_sync())
            self.assertEqual(w.export('p')['bitmap'], self.path(f'{name}.bitmap'))


class Signals(ReloadCase):
    def test_hup(self):
        files = self.files(2)
        w = self.serve_config({'disk0': files['disk0']})
        self.configure(files)
        os.kill(w.pid, signal.SIGHUP)
        xtest.wait_for(lambda: self.names() == ['disk0', 'disk1'], 'reloaded')
        self.assertIn('reload: added disk1', w.log())
        self.assertIn('reload: 1 exports unchanged', w.log())

    def test_many(self):
        files = self.files(2)
        w = self.serve_config({'disk0': files['disk0']})
        c = w.enter('disk0')
        for i in range(50):
            self.configure(files if i % 2 else {'disk0': files['disk0']})
            os.kill(w.pid, signal.SIGHUP)
        xtest.wait_for(lambda: self.names() == ['disk0', 'disk1'], 'the last one counts')
        self.assertTrue(c.in_sync())


class WhileServersAreSilent(ReloadCase):
    def test_silent_server(self):
        """It is asked for its size; the plan waits for it, and goes on without."""
        files = self.files(3)
        w = self.serve_config({'disk0': files['disk0'], 'disk1': files['disk1']})
        w.enter('disk0')
        other = w.enter('disk1')
        stuck = w.worker('disk0')
        os.kill(stuck, signal.SIGSTOP)
        self.addCleanup(kill, stuck)
        self.configure(files)
        p = self.spawn([xtest.program('xnbd-wrapper-ctl'), '--socket', w.control, 'reload'])
        time.sleep(0.5)
        self.assertIn('a reload is under way', self.reload_refused())
        self.assertTrue(other.in_sync())
        self.assertEqual(p.wait(), 0, p.stderr())
        os.kill(stuck, signal.SIGCONT)
        self.assertEqual(self.names(), ['disk0', 'disk1', 'disk2'])

    def test_asker_goes(self):
        """It is carried out all the same."""
        files = self.files(2)
        w = self.serve_config({'disk0': files['disk0']})
        w.enter('disk0')
        stuck = w.worker('disk0')
        os.kill(stuck, signal.SIGSTOP)
        self.addCleanup(kill, stuck)
        self.configure(files)
        p = self.spawn([xtest.program('xnbd-wrapper-ctl'), '--socket', w.control, 'reload'])
        time.sleep(0.5)
        p.kill()
        os.kill(stuck, signal.SIGCONT)
        xtest.wait_for(lambda: self.names() == ['disk0', 'disk1'], 'done')

    def test_wrapper_ends_meanwhile(self):
        files = self.files(2)
        w = self.serve_config({'disk0': files['disk0']})
        w.enter('disk0')
        stuck = w.worker('disk0')
        os.kill(stuck, signal.SIGSTOP)
        self.addCleanup(kill, stuck)
        self.configure(files)
        p = self.spawn([xtest.program('xnbd-wrapper-ctl'), '--socket', w.control, 'reload'])
        time.sleep(0.5)
        w.daemon.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        os.kill(stuck, signal.SIGCONT)
        self.assertEqual(w.daemon.wait(), 0)
        p.wait()


class Offline(ReloadCase):
    def test_judged(self):
        ctl = xtest.program('xnbd-wrapper-ctl')
        self.conf = self.path('xnbd.conf')
        self.configure({'a': self.image(MIB), 'b': self.path('missing.img')})
        p = self.run_cmd(ctl, 'reload', '--offline', '--config', self.conf, status=None)
        self.assertEqual((p.returncode, p.stdout), (0, f'{self.conf}: 2 exports, no faults\n'), p)
        with open(self.conf, 'w') as f:
            f.write('export "a" { image = "x" }\nexport "a" { }\nfoo\n')
        p = self.run_cmd(ctl, 'reload', '--offline', '--config', self.conf, status=None)
        self.assertEqual((p.returncode, p.stdout), (1, ''))
        self.assertGreaterEqual(len(p.stderr.splitlines()), 3)
        for line in p.stderr.splitlines():
            self.assertRegex(line, rf'^{self.conf}:[123]: ')


class UnderLoad(ReloadCase):
    CLIENTS, RELOADS = 20, 100

    def test_unchanged_exports_notice_nothing(self):
        files = self.files(4, size=2 * MIB)
        passing = {f'pass{i}': self.image(MIB, f'pass{i}.img') for i in range(3)}
        w = self.serve_config({**files, **passing})
        writers = [self.writer(w, f'disk{i % 4}', blocks=6, first=i // 4 * 6)
                   for i in range(self.CLIENTS)]
        pids = [w.worker(f'disk{i}') for i in range(4)]
        for k in range(self.RELOADS):
            keys = [{'image': passing['pass0'], 'description': f'round {k}'},
                    {'image': passing['pass1'], 'threads': 1 + k % 4},
                    {'image': passing['pass2'], 'deny': ['192.0.2.1', 'unix'][k % 2]}]
            some = {f'pass{i}': keys[i] for i in range(3) if (k + i) % 3 or i == 0}
            self.configure({**files, **some}, f'max-clients-per-peer = {1000 + k}')
            if k % 10 == 5:
                w.enter('pass0').close()
            self.reload('--force')
        self.assertEqual([w.worker(f'disk{i}') for i in range(4)], pids)
        for t in writers:
            self.go_on(t)
        for i, t in enumerate(writers):
            t.finish()
            t.check_file(self, files[f'disk{i % 4}'])
        self.assertEqual(w.status()['clients'], self.CLIENTS)


if __name__ == '__main__':
    xtest.main()
