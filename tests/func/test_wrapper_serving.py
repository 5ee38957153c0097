#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""xnbd-wrapper and the clients people use: several exports at once, odd names, copies both ways."""

import json
import os
import random
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_fixture import MIB, WrapperCase, try_go  # noqa: E402

ODD_NAMES = ['with space', 'a/b//c', '/leading', '100%', '%41', 'ünïcode-磁盘-💾', 'a"b\\c',
             '$HOME', '?query', '#hash', 'trailing/', '-dash', '..', 'x' * 4096]
KIB64 = 65536


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(('::1', 0))
        return True
    except OSError:
        return False


def inherited_listener(address):
    s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    s.bind(address)
    s.listen(64)
    return s


class Names(WrapperCase):
    def test_every_odd_name_is_served(self):
        exports = {n: self.image(MIB, f'{i}.img', i) for i, n in enumerate(ODD_NAMES)}
        w = self.wrap(exports=exports)
        for i, name in enumerate(ODD_NAMES):
            with w.enter(name) as client:
                self.assertEqual(client.read(0, 4096), random.Random(i).randbytes(MIB)[:4096])

    def test_list_gives_them_unchanged(self):
        image = self.image(MIB)
        w = self.wrap(exports={n: image for n in ODD_NAMES})
        self.assertEqual([e['name'] for e in w.list()], ODD_NAMES)
        self.assertEqual(list(w.raw().list()), ODD_NAMES)

    def test_uri_escaped(self):
        names = [n for n in ODD_NAMES if len(n) < 100 and n not in ('..', '/leading')]
        w = self.wrap(exports={n: self.image((i + 1) * MIB, f'{i}') for i, n in enumerate(names)})
        for i, name in enumerate(names):
            self.assertEqual(self.tool('nbdinfo', '--size', w.uri(name)).strip(),
                             str((i + 1) * MIB), name)

    def test_name_is_matched_whole(self):
        w = self.wrap(exports={'disk': self.image(MIB), 'disk2': self.image(MIB, 'b')})
        client = w.raw()
        for name in ('dis', 'disk ', 'Disk', 'disk\n', 'disk22', '/disk'):
            self.assertEqual(try_go(client, name)[0], rawnbd.REP_ERR_UNKNOWN, name)

    def test_imgfile_is_named_by_its_path(self):
        image = self.image(MIB)
        w = self.wrap('--imgfile', image)
        self.assertEqual(w.ctl('--list'), f'1 : {image}  ({image})\n')
        self.assertEqual(self.tool('nbdinfo', '--size', w.uri(image)).strip(), str(MIB))

    def test_relative_imgfile(self):
        image = self.image(MIB, 'rel.img')
        w = self.wrapper_args('--imgfile', 'rel.img', '--lsocket', 'rel.sock')
        w.socket = self.path('rel.sock')
        w.daemon = self.start(w.argv, [w.socket, w.control], cwd=self.dir)
        self.assertEqual(w.ctl('--list'), f'1 : rel.img  ({image})\n')
        w.enter('rel.img')


class Default(WrapperCase):
    def test_only_export(self):
        w = self.wrap(exports={'one': self.image(2 * MIB)})
        self.assertEqual(self.tool('nbdinfo', '--size', w.uri()).strip(), str(2 * MIB))

    def test_marked_export(self):
        a, b = self.image(MIB, 'a'), self.image(2 * MIB, 'b')
        w = self.wrap(exports={'a': a, 'b': {'image': b, 'default': True}})
        self.assertEqual(self.tool('nbdinfo', '--size', w.uri()).strip(), str(2 * MIB))
        self.assertEqual([e['default'] for e in w.list()], [False, True])

    def test_none_is_refused_and_session_goes_on(self):
        w = self.wrap(exports=self.files(2))
        client = w.raw()
        self.assertEqual(try_go(client, '')[0], rawnbd.REP_ERR_UNKNOWN)
        client.go('disk1')
        client.in_sync()

    def test_second_export_takes_the_default_away(self):
        w = self.wrap(exports={'one': self.image(MIB)})
        w.enter('').disconnect()
        w.ctl('--add-target', 'two', self.image(MIB, 'two.img'))
        self.assertEqual(w.go_refused('')[0], rawnbd.REP_ERR_UNKNOWN)
        w.ctl('--remove-by-exportname', 'two')
        w.enter('').disconnect()


class Properties(WrapperCase):
    def test_description(self):
        w = self.wrap(exports={'a': {'image': self.image(MIB), 'description': 'Wurzel-Größe'}})
        client = w.raw()
        told = client.list()['a']
        self.assertRegex(told, r'^Wurzel-Größe \[serial [0-9a-f]{32}\]$')
        client.send(client.go_bytes('a', (rawnbd.INFO_DESCRIPTION, rawnbd.INFO_NAME)))
        infos = client.take_infos()
        self.assertEqual(infos[rawnbd.INFO_DESCRIPTION].decode(), told)
        self.assertEqual(infos[rawnbd.INFO_NAME], b'a')

    def test_readonly_export(self):
        image = self.image(MIB, pattern=1)
        w = self.wrap(exports={'ro': {'image': image, 'readonly': True},
                               'rw': self.image(MIB, 'b')})
        client = w.enter('ro')
        self.assertTrue(client.flags & rawnbd.READ_ONLY)
        self.assertEqual(client.write(0, b'x' * 512).error, 1)
        self.assertEqual(client.call(rawnbd.TRIM, 0, 4096).error, 1)
        self.assertTrue(client.in_sync())
        self.assertFalse(w.enter('rw').flags & rawnbd.READ_ONLY)
        self.assertEqual([e['readonly'] for e in w.list()], [True, False])

    def test_readonly_for_all(self):
        w = self.wrap('--readonly', exports=self.files(2))
        for name in ('disk0', 'disk1'):
            client = w.enter(name)
            self.assertTrue(client.flags & rawnbd.READ_ONLY)
            self.assertEqual(client.write(0, b'x' * 512).error, 1)

    def test_loop_device_beside_files(self):
        disk = self.image(4 * MIB, 'loop.disk', 7)
        w = self.wrap(exports={'file': self.image(MIB), 'loop': self.loop_device(disk)})
        client = w.enter('loop')
        self.assertEqual(client.size, 4 * MIB)
        expected = random.Random(7).randbytes(4 * MIB)[MIB:MIB + 4096]
        self.assertEqual(client.read(MIB, 4096), expected)
        self.assertEqual(client.write(0, b'd' * 4096, flags=rawnbd.FUA).error, 0)
        with open(disk, 'rb') as f:
            self.assertEqual(f.read(4096), b'd' * 4096)

    def test_features_reach_the_worker(self):
        w = self.wrap(exports=self.files(1))
        for mode, text in (('simple', 'simple'), ('structured', 'structured,base:allocation'),
                           ('extended', 'structured,extended,base:allocation')):
            with w.enter('disk0', mode) as client:
                self.assertTrue(client.in_sync())
                shown = {c['features'] for c in w.export('disk0')['clients']}
                self.assertIn(text, shown, mode)


class Tools(WrapperCase):
    def setUp(self):
        super().setUp()
        self.disk = self.image(8 * MIB, 'a.img', 3)
        self.hole = self.image(8 * MIB, 'b.img')
        self.w = self.wrap_tcp(exports={'data': self.disk, 'with space/ö': self.hole})

    def test_nbdinfo_list(self):
        found = json.loads(self.tool('nbdinfo', '--list', '--json', self.w.uri()))
        self.assertEqual([e['export-name'] for e in found['exports']], ['data', 'with space/ö'])
        self.assertEqual([e['export-size'] for e in found['exports']], [8 * MIB] * 2)

    def test_nbdinfo_map(self):
        [extent] = json.loads(self.tool('nbdinfo', '--map', '--json', self.w.uri('with space/ö')))
        self.assertEqual((extent['length'], extent['type']), (8 * MIB, 3))
        [extent] = json.loads(self.tool('nbdinfo', '--map', '--json', self.w.uri('data')))
        self.assertEqual(extent['type'], 0)

    def test_nbdinfo_can(self):
        for what in ('multi-conn', 'flush', 'fua', 'trim', 'zero', 'df', 'cache', 'fast-zero',
                     'structured-reply', 'write'):
            self.tool('nbdinfo', '--can', what, self.w.uri('data'))
        self.tool('nbdinfo', '--is', 'read-only', self.w.uri('data'), status=2)

    def test_nbdinfo_unknown_name(self):
        p = self.tool('nbdinfo', self.w.uri('nothing'), status=None)
        self.assertEqual(p.returncode, 1)
        self.assertIn('No such file or directory for export: nothing', p.stderr)

    def test_nbdcopy_out_and_in(self):
        out = self.path('out')
        self.tool('nbdcopy', '--connections=4', '--requests=16', self.w.uri('data'), out)
        self.assert_same(out, self.disk)
        self.tool('nbdcopy', '--connections=4', '--flush', out, self.w.uri('with space/ö'))
        self.assert_same(self.hole, self.disk)

    def test_nbdcopy_between_exports_keeps_holes(self):
        with open(self.disk, 'r+b') as f:
            f.truncate(MIB)
            f.truncate(8 * MIB)
        self.w.enter('data').disconnect()
        self.tool('nbdcopy', '--destination-is-zero', self.w.uri('data'),
                  self.w.uri('with space/ö'))
        self.assert_same(self.hole, self.disk)
        self.assertLessEqual(os.stat(self.hole).st_blocks * 512, MIB + KIB64)

    def test_qemu_img(self):
        info = json.loads(self.tool('qemu-img', 'info', '--output=json', self.w.uri('data')))
        self.assertEqual(info['virtual-size'], 8 * MIB)
        self.tool('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', self.w.uri('data'),
                  self.w.uri('with space/ö'))
        self.assertIn('identical', self.tool('qemu-img', 'compare', '-f', 'raw', '-F', 'raw',
                                             self.w.uri('data'), self.w.uri('with space/ö')))
        mapped = json.loads(self.tool('qemu-img', 'map', '--output=json', '-f', 'raw',
                                      self.w.uri('data')))
        self.assertEqual((mapped[0]['length'], mapped[0]['data']), (8 * MIB, True))

    def test_qemu_io(self):
        out = self.tool('qemu-io', '-f', 'raw', '-c', 'write -P 0x5a 1M 64k', '-c', 'flush',
                        '-c', 'read -P 0x5a 1M 64k', '-c', 'write -z 1M 4k',
                        '-c', 'read -P 0 1M 4k', '-c', 'discard 2M 1M', self.w.uri('data'))
        self.assertNotIn('failed', out)
        with open(self.disk, 'rb') as f:
            f.seek(MIB)
            self.assertEqual(f.read(KIB64), bytes(4096) + b'\x5a' * (KIB64 - 4096))

    def test_nbd_client_list(self):
        out = self.tool('nbd-client', '-l', '127.0.0.1', '-p', str(self.w.port))
        self.assertIn('\ndata', out)
        self.assertIn('\nwith space/ö', out)

    def test_nbdsh_option_mode(self):
        code = ('names = []\n'
                'h.set_opt_mode(True)\n'
                f'h.connect_tcp("127.0.0.1", "{self.w.port}")\n'
                'h.opt_list(lambda n, d: names.append(n) and 0)\n'
                'h.set_export_name("nothing")\n'
                'try:\n    h.opt_info()\n    print("served?")\n'
                'except nbd.Error as e:\n    print(e.errno)\n'
                'h.set_export_name("data")\n'
                'h.opt_info()\n'
                'print(names, h.get_size())\n'
                'h.opt_go()\n'
                'print(len(h.pread(4096, 0)))\n')
        path = {'PATH': '/usr/bin:/bin'}  # nbdsh takes the first python3, libnbd is in the system's
        self.assertEqual(self.tool('nbdsh', '-c', code, env=path),
                         f"ENOENT\n['data', 'with space/ö'] {8 * MIB}\n4096\n")


class Load(WrapperCase):
    def fio(self, uri, name):
        self.require('fio')
        self.run_cmd('fio', f'--name={name}', '--ioengine=nbd', f'--uri={uri}', '--rw=randrw',
                     '--bs=4k', '--size=4M', '--iodepth=16', '--verify=crc32c', '--verify_fatal=1',
                     '--serialize_overlap=1', '--output', self.path(f'{name}.fio'), cwd=self.dir)

    def test_fio_verifies_on_three_exports_at_once(self):
        w = self.wrap(exports=self.files(3, 4 * MIB))
        xtest.in_threads(*[lambda i=i: self.fio(w.uri(f'disk{i}'), f'job{i}') for i in range(3)])
        self.assertEqual(len({e['pid'] for e in w.list()}), 3)

    def hammer(self, w, slot, rounds, step):
        """Writes on one connection, flushes on another, reads on a third, in a slot of its own."""
        writer, flusher, reader = (w.enter('disk0') for _ in range(3))
        for i in range(rounds):
            data = random.Random(f'{slot}/{i}').randbytes(step)
            offset = (slot * rounds + i) * step
            self.assertEqual(writer.write(offset, data).error, 0)
            self.assertEqual(flusher.call(rawnbd.FLUSH).error, 0)
            self.assertEqual(reader.read(offset, step), data)

    def test_four_clients_see_each_others_writes(self):
        w = self.wrap(exports=self.files(1, 16 * MIB))
        xtest.in_threads(*[lambda s=s: self.hammer(w, s, 50, 16384) for s in range(4)])
        self.assertEqual(w.client_count('disk0'), 12)
        with open(self.path('disk0.img'), 'rb') as f:
            for slot in range(4):
                for i in range(50):
                    self.assertEqual(f.read(16384), random.Random(f'{slot}/{i}').randbytes(16384))

    def test_multi_conn_flag_and_one_worker(self):
        w = self.wrap(exports=self.files(1))
        clients = [w.enter('disk0') for _ in range(5)]
        self.assertTrue(all(c.flags & rawnbd.MULTI_CONN for c in clients))
        self.assertEqual(w.status()['servers'], 1)


class Listening(WrapperCase):
    def reachable(self, w, host):
        client = rawnbd.Raw((host, w.port))
        self.addCleanup(client.close)
        return client.enter('simple', 'disk0').in_sync()

    def test_tcp_v4(self):
        w = self.wrap_tcp(exports=self.files(1))
        self.assertTrue(self.reachable(w, '127.0.0.1'))
        self.assertEqual(w.status()['listening'], [f'127.0.0.1:{w.port}'])
        self.assertRegex(w.export('disk0')['clients'][0]['peer'], r'^127\.0\.0\.1:\d+$')

    def test_tcp_v6(self):
        if not has_ipv6():
            self.skipTest('no IPv6 here')
        w = self.wrap_tcp(exports=self.files(1), hosts=['::1'])
        self.assertTrue(self.reachable(w, '::1'))
        self.assertRegex(w.export('disk0')['clients'][0]['peer'], r'^\[::1\]:\d+$')
        with self.assertRaises(OSError):
            xtest.connect(('127.0.0.1', w.port))

    def test_several_addresses(self):
        hosts = ['127.0.0.1', '127.0.0.2'] + (['::1'] if has_ipv6() else [])
        w = self.wrap_tcp(exports=self.files(1), hosts=hosts)
        for host in hosts:
            self.assertTrue(self.reachable(w, host), host)
        self.assertEqual(len(w.status()['listening']), len(hosts))

    def test_all_addresses_by_default(self):
        w = self.wrapper_args(exports=self.files(1))
        w.daemon, w.port = self.start_tcp(w.argv, hosts=())
        xtest.wait_for(lambda: xtest.answers(w.control), 'ready')
        for host in ['127.0.0.1', '127.0.0.2'] + (['::1'] if has_ipv6() else []):
            self.assertTrue(self.reachable(w, host), host)
        w.stop()

    def start_tcp(self, argv, hosts=('127.0.0.1',), **options):
        if hosts:
            return super().start_tcp(argv, hosts, **options)
        for _ in range(20):
            port = xtest.free_port('0.0.0.0')
            d = self.spawn(argv + ['--lport', str(port)])
            while d.is_alive() and not xtest.answers(('127.0.0.1', port)):
                pass
            if d.is_alive():
                return d, port
        return self.fail('no free port')

    def test_unix_sockets_only_without_laddr(self):
        a, b = self.path('a.sock'), self.path('b.sock')
        w = self.wrap('--lsocket', a, '--lsocket', b, exports=self.files(1))
        for path in (a, b, w.socket):
            rawnbd.Raw(path).enter('simple', 'disk0').disconnect()
        self.assertEqual(w.status()['listening'], [a, b, w.socket])
        w.stop()
        self.assertFalse([p for p in (a, b, w.socket) if os.path.exists(p)])

    def test_unix_and_tcp(self):
        path = self.path('u.sock')
        w = self.wrap_tcp('--lsocket', path, exports=self.files(1))
        self.assertTrue(self.reachable(w, '127.0.0.1'))
        rawnbd.Raw(path).enter('simple', 'disk0').disconnect()

    def test_socket_activation(self):
        unix, tcp = inherited_listener(self.path('act.sock')), inherited_listener(('127.0.0.1', 0))
        self.addCleanup(unix.close)
        self.addCleanup(tcp.close)
        w = self.wrapper_args('--lsocket', self.path('act.sock'), exports=self.files(1))
        keep = (unix.fileno(), tcp.fileno())
        shell = (f'exec 3<&{keep[0]} 4<&{keep[1]}; export LISTEN_PID=$$ LISTEN_FDS=2; exec "$@"')
        w.daemon = self.start(['/bin/bash', '-c', shell, 'sh', *w.argv], [w.control],
                              pass_fds=keep)
        w.port = tcp.getsockname()[1]
        self.assertTrue(self.reachable(w, '127.0.0.1'))
        rawnbd.Raw(self.path('act.sock')).enter('simple', 'disk0').disconnect()
        self.assertEqual(len(w.status()['listening']), 2)
        w.stop()
        self.assertTrue(os.path.exists(self.path('act.sock')), 'not ours to remove')


if __name__ == '__main__':
    xtest.main()
