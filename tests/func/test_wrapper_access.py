#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may use which export: an export that is not for a peer does not exist for it, readers cannot
write, and it is the master that decides."""

import json
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from wrapper_access import A, B, C, NOBODY, AccessCase, as_user, section  # noqa: E402

# The negotiator believes that every TCP client comes from 127.0.0.2; the master does not.
LIAR = r'''
#include <dlfcn.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <string.h>
#include <stdio.h>
#include <sys/socket.h>

static int lies;

__attribute__((constructor)) static void begin(void)
{
	char line[256] = "";
	FILE *f = fopen("/proc/self/cmdline", "r");
	size_t n = f ? fread(line, 1, sizeof(line) - 1, f) : 0;

	for (size_t i = 0; i < n; i++)
		lies |= strncmp(line + i, "--negotiator-fd", 15) == 0;
	if (f)
		fclose(f);
}

int getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	int (*real)(int, struct sockaddr *, socklen_t *) = dlsym(RTLD_NEXT, "getpeername");
	int ret = real(fd, sa, len);

	if (ret == 0 && lies && sa->sa_family == AF_INET)
		((struct sockaddr_in *)sa)->sin_addr.s_addr = inet_addr("127.0.0.2");
	return ret;
}
'''


class Hidden(AccessCase):
    """a is for everybody, b for 127.0.0.2 alone, c for all but that."""

    def setUp(self):
        super().setUp()
        self.serve_access(self.export_section('a'),
                          self.export_section('b', allow=['127.0.0.2']),
                          self.export_section('c', deny=['127.0.0.2/31']))

    def test_list(self):
        self.assertEqual(self.names(A), ['a', 'b'])
        self.assertEqual(self.names(B), ['a'])
        self.assertEqual(self.names(C), ['a', 'c'])
        self.assertEqual(self.names('::1'), ['a', 'c'])
        self.assertEqual(self.names('unix'), ['a', 'c'])

    def test_same_answers_as_for_one_that_does_not_exist(self):
        """Byte by byte, to all options with a name."""
        def answers(name, source):
            client = self.raw(source)
            client.agree(rawnbd.OPT_STRUCTURED_REPLY)
            field = client.name_field(name)
            one = struct.pack('>I', 1) + client.name_field('base:allocation')
            asked = [(rawnbd.OPT_INFO, field + b'\0\0'), (rawnbd.OPT_GO, field + b'\0\0'),
                     (rawnbd.OPT_SET_META, field + one), (rawnbd.OPT_LIST_META, field + one)]
            found = [client.option(option, data) for option, data in asked]
            client.send(client.option_bytes(rawnbd.OPT_EXPORT_NAME, name.encode()))
            client.expect_end()
            return found
        nothing = answers('x', B)
        self.assertTrue(all(kind == rawnbd.REP_ERR_UNKNOWN for [(kind, _)] in nothing), nothing)
        self.assertEqual(answers('b', B), nothing)
        self.assertEqual(answers('c', B), nothing)
        self.assertEqual(answers('c', A), nothing)
        self.assertEqual(answers('b', '::1'), nothing)
        self.assertEqual(answers('b', 'unix'), nothing)

    def test_those_that_may_can(self):
        for name, source in (('a', B), ('b', A), ('c', C), ('c', '::1'), ('c', 'unix')):
            self.enter(name, source).disconnect()
            self.enter(name, source, mode='extended').disconnect()

    def test_no_server_is_started_for_it(self):
        self.refused('b', B)
        self.assertIsNone(self.w.worker('b'))

    def test_while_it_is_in_use(self):
        """The negotiator answers by itself then."""
        self.enter('b', A)
        self.assertEqual(self.refused('b', B), (rawnbd.REP_ERR_UNKNOWN, 'no such export'))
        self.assert_writer(self.info('b', A))

    def test_tools(self):
        self.require('nbdinfo', root=True)
        uri = f'nbd+unix:///c?socket={self.unix}'
        out = self.run_cmd('nbdinfo', '--list', '--json', uri)
        self.assertIn('"export-name": "c"', out)
        self.assertNotIn('"export-name": "b"', out)
        self.run_cmd('nbdinfo', '--size', uri)
        p = self.run_cmd('nbdinfo', f'nbd://127.0.0.1:{self.w.port}/b', status=None)
        self.assertNotEqual(p.returncode, 0)

    def test_rules_of_a_negotiator_that_was_started_again(self):
        old = self.w.negotiator()
        os.kill(old, 9)
        xtest.wait_for(lambda: self.w.negotiator() not in (0, old), 'another negotiator')
        self.assertEqual(self.names(B), ['a'])
        self.enter('b', A)


class Default(AccessCase):
    def test_the_only_one_a_peer_sees(self):
        self.serve_access(self.export_section('a', allow=[A]),
                          self.export_section('b', allow=[B, C]),
                          self.export_section('c', allow=[C]))
        self.enter('', A)
        self.assertEqual(self.w.client_count('a'), 1)
        self.enter('', B)
        self.assertEqual(self.w.client_count('b'), 1)
        nothing = (rawnbd.REP_ERR_UNKNOWN, 'no default export; ask for one by name')
        self.assertEqual(self.refused('', C), nothing)
        self.assertEqual(self.refused('', 'unix'), nothing)

    def test_marked_and_not_for_all(self):
        self.serve_access(self.export_section('a', default=True, deny=[B]),
                          self.export_section('b'), self.export_section('c'))
        self.enter('', A)
        self.assertEqual(self.w.client_count('a'), 1)
        self.assertEqual(self.refused('', B)[0], rawnbd.REP_ERR_UNKNOWN)


class Users(AccessCase):
    """Peers of a unix socket are users and groups."""

    def setUp(self):
        super().setUp()
        self.require(root=True)

    def listing(self, uid, groups=()):
        return as_user(uid, lambda: ' '.join(self.names('unix')), groups)

    def test_uid_and_gid(self):
        self.serve_access(self.export_section('root', allow=['uid:0']),
                          self.export_section('nobody', allow=['user:nobody']),
                          self.export_section('group', allow=['gid:4711', 'gid:65534']),
                          self.export_section('net', allow=['127.0.0.0/8', '::1']),
                          self.export_section('local', allow=['unix']),
                          self.export_section('not', deny=['gid:4711', 'uid:0']))
        self.assertEqual(self.listing(0), 'root local')
        self.assertEqual(self.listing(NOBODY), 'nobody group local not')
        self.assertEqual(self.listing(1234), 'local not')
        self.assertEqual(self.listing(1234, [100, 4711, 5000]), 'group local')
        self.assertEqual(self.names(A), ['net', 'not'])
        self.assertEqual(self.names('::1'), ['net', 'not'])

    def test_readers(self):
        self.serve_access(self.export_section('a', readonly_for=['uid:1234']))

        def write():
            client = self.enter('a', 'unix')
            return f'{client.flags & rawnbd.READ_ONLY} {client.write(0, b"x" * 512).error}'
        self.assertEqual(as_user(1234, write), '2 1')
        self.assertEqual(as_user(NOBODY, write), '0 0')

    def test_tools(self):
        self.serve_access(self.export_section('a', allow=['uid:1234']), self.export_section('b'))
        uri = f'nbd+unix:///a?socket={self.unix}'
        os.chmod(self.unix, 0o777)
        self.assertEqual(self.run_as(1234, 'nbdinfo', '--size', uri).returncode, 0)
        p = self.run_as(NOBODY, 'nbdinfo', '--size', uri)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("no export named 'a'", p.stderr)


class Readers(AccessCase):
    """readonly-for"""

    def setUp(self):
        super().setUp()
        self.serve_access(self.export_section('a', readonly_for=[B, '::1']))

    def check(self, source):
        client = self.enter('a', source)
        self.assert_reader(client.flags)
        self.assertEqual(client.write(0, b'x' * 512).error, 1)
        for command in (rawnbd.TRIM, rawnbd.WRITE_ZEROES):
            self.assertEqual(client.call(command, 0, 4096).error, 1)
        self.assertEqual(client.read(0, 512), bytes(512))
        return client

    def test_beside_a_writer(self):
        """Told so by the probe, by the server's facts, and by those the negotiator keeps."""
        self.assert_reader(self.info('a', B))
        self.assert_writer(self.info('a', A))
        self.check(B)
        writer = self.enter('a', A)
        self.assert_writer(writer.flags)
        self.check('::1')
        self.check(B)
        self.assert_reader(self.info('a', B))
        self.assertEqual(writer.write(4096, b'w' * 512).error, 0)
        self.assertEqual(self.check(B).read(4096, 512), b'w' * 512)

    def test_export_name(self):
        client = self.raw(B)
        client.send(client.option_bytes(rawnbd.OPT_EXPORT_NAME, b'a'))
        client.size, flags = client.unpack('>QH')
        self.assert_reader(flags)
        self.assertEqual(client.write(0, b'x' * 512).error, 1)

    def test_list_shows_it(self):
        self.assertEqual(self.names(B), ['a'])

    def test_kernels_and_tools_see_it(self):
        self.require('nbdinfo')
        p = self.run_cmd('nbdinfo', '--json', f'nbd://[::1]:{self.w.port}/a')
        self.assertIn('"is_read_only": true', p)


class Everything(AccessCase):
    """Rules of the section wrapper: who is shut out does not even see a greeting."""

    def test_shut_out(self):
        self.serve_access(section('wrapper', allow=['127.0.0.0/8', 'unix'], deny=[B]),
                          self.export_section('a'))
        for source in (B, '::1'):
            client = rawnbd.Raw(self.connect(source))
            client.expect_end()
        xtest.wait_for(lambda: 'not served: the rules allow and deny' in self.w.log(), 'a line')
        for source in (A, 'unix'):
            self.enter('a', source)

    def test_before_those_of_an_export(self):
        self.serve_access(section('wrapper', deny=[B]), self.export_section('a', allow=[A, B]))
        rawnbd.Raw(self.connect(B)).expect_end()
        self.enter('a', A)


class Network(AccessCase):
    """A client in a network of its own, by IPv4 and IPv6."""

    HOST, CLIENT = ('198.18.77.1', 'fd5e:77::1'), ('198.18.77.2', 'fd5e:77::2')

    def setUp(self):
        super().setUp()
        self.require('ip', 'nbdinfo', root=True)
        self.name = f'xnbd-{os.getpid()}'
        self.run_cmd('ip', 'netns', 'add', self.name)
        self.addCleanup(self.run_cmd, 'ip', 'netns', 'del', self.name)
        here, there = f'xa{os.getpid()}', f'xb{os.getpid()}'
        self.run_cmd('ip', 'link', 'add', here, 'type', 'veth', 'peer', there, 'netns', self.name)
        self.set_up([], here, self.HOST)
        self.set_up(['-n', self.name], there, self.CLIENT)

    def set_up(self, where, device, addresses):
        for address, bits in zip(addresses, (24, 64)):
            nodad = ['nodad'] if ':' in address else []
            self.run_cmd('ip', *where, 'address', 'add', f'{address}/{bits}', 'dev', device, *nodad)
        self.run_cmd('ip', *where, 'link', 'set', device, 'up')

    def listed(self, host):
        host = f'[{host}]' if ':' in host else host
        out = self.run_cmd('ip', 'netns', 'exec', self.name, 'nbdinfo', '--list', '--json',
                           f'nbd://{host}:{self.w.port}')
        return {e['export-name']: e['is_read_only'] for e in json.loads(out)['exports']}

    def test_both_families(self):
        exports = [self.export_section('v4', allow=['198.18.77.0/28']),
                   self.export_section('v6', allow=['fd5e:77::/32']),
                   self.export_section('both', allow=['198.18.77.2', 'fd5e:77::/64'],
                                       readonly_for=['fd5e::/16']),
                   self.export_section('neither', allow=['198.18.77.16/28', 'fd5e:77:1::/48']),
                   self.export_section('not', deny=['198.18.0.0/15', 'fd5e:77::2'])]
        self.w = self.wrap_tcp(exports=''.join(exports), hosts=('127.0.0.1', *self.HOST))
        self.assertEqual(self.listed(self.HOST[0]), {'v4': False, 'both': False})
        self.assertEqual(self.listed(self.HOST[1]), {'v6': False, 'both': True})
        self.assertEqual(self.names(A), ['not'])

    def test_listening_everywhere(self):
        self.w = self.wrap_tcp(exports=self.export_section('a', allow=['198.18.77.2']), hosts=())
        self.assertEqual(self.listed(self.HOST[0]), {'a': False})
        self.assertEqual(self.listed(self.HOST[1]), {})


class Snapshots(AccessCase):
    """The snapshots of an export are for those it is for."""

    def test_names(self):
        self.serve_access(self.export_section('a', allow=[A]), self.export_section('b'))
        self.enter('a', A)
        self.enter('b', A)
        self.w.ctl('snapshot', 'a')
        self.w.ctl('snapshot', 'b')
        [a] = [e['name'] for e in self.w.list() if e['name'].startswith('a@')
               and e['name'] != 'a@snapshot']
        self.assertIn(a, self.names(A))
        self.assertIn('a@snapshot', self.names(A))
        self.assertEqual([n for n in self.names(B) if n.startswith('a')], [])
        self.assertIn('b@snapshot', self.names(B))
        for name in (a, 'a@snapshot'):
            self.assertEqual(self.refused(name, B)[0], rawnbd.REP_ERR_UNKNOWN)
            self.enter(name, A)


class Changed(AccessCase):
    """New rules hold at once, also for those who are connected."""

    def change(self, *sections):
        with open(self.config, 'w') as f:
            f.write(''.join(sections))
        self.w.ctl('reload')

    def serve(self, *sections):
        self.serve_access(*sections)
        self.config = self.w.argv[self.w.argv.index('--config') + 1]

    def test_of_an_export(self):
        self.serve(self.export_section('a'), self.export_section('b'))
        gone, stays, other = self.enter('a', A), self.enter('a', B), self.enter('b', A)
        server = self.w.worker('a')
        self.change(self.export_section('a', deny=[A]), self.export_section('b'))
        gone.expect_end()
        self.assertEqual(self.names(A), ['b'])
        self.assertEqual(self.refused('a', A)[0], rawnbd.REP_ERR_UNKNOWN)
        self.assertEqual(self.names(B), ['a', 'b'])
        self.enter('a', B)  # not from what was kept of before
        self.assertTrue(stays.in_sync() and other.in_sync())
        self.assertEqual(self.w.worker('a'), server)
        self.change(self.export_section('a'), self.export_section('b'))
        self.enter('a', A)

    def test_readers(self):
        self.serve(self.export_section('a'))
        client, other = self.enter('a', A), self.enter('a', B)
        self.change(self.export_section('a', readonly_for=[A]))
        client.expect_end()
        self.assert_reader(self.enter('a', A).flags)
        self.assertTrue(other.in_sync())
        self.assert_writer(self.enter('a', B).flags)

    def test_of_everything(self):
        self.serve(self.export_section('a'))
        gone, stays = self.enter('a', A), self.enter('a', B)
        self.change(section('wrapper', deny=[A]), self.export_section('a'))
        gone.expect_end()
        rawnbd.Raw(self.connect(A)).expect_end()
        self.assertTrue(stays.in_sync())

    def test_snapshots_follow(self):
        self.serve(self.export_section('a'))
        self.enter('a', B)
        self.w.ctl('snapshot', 'a')
        reader = self.enter('a@snapshot', A)
        self.change(self.export_section('a', deny=[A]))
        reader.expect_end()
        self.assertEqual(self.names(A), [])
        self.assertIn('a@snapshot', self.names(B))
        self.enter('a@snapshot', B)

    def test_becomes_exclusive(self):
        self.serve(self.export_section('a'))
        self.enter('a', A)
        self.change(self.export_section('a', exclusive='writer'))
        self.assertIn(f'{A} writes to it since', self.refused('a', B)[1])
        self.enter('a', A)

    def test_serial_is_configured(self):
        self.serve(self.export_section('a', description='d'))
        self.assertNotEqual(self.w.export('a')['serial'], 'NEW')
        self.change(self.export_section('a', description='d', serial='NEW'))
        self.assertEqual(self.raw(A).list(), {'a': 'd [serial NEW]'})


class NotTrusted(AccessCase):
    """A negotiator that was taken over lets nobody in, and gives nobody more than he may have."""

    def setUp(self):
        super().setUp()
        if xtest.is_sanitized('xnbd-wrapper'):
            self.skipTest('a preloaded library')
        sections = (self.export_section('a', allow=[A]), self.export_section('b'),
                    self.export_section('r', readonly_for=[B, C]))
        env = self.preload(LIAR, 'liar')
        plain = self.start_tcp
        self.start_tcp = lambda argv, hosts: plain(argv, hosts, env=env)
        self.serve_access(*sections)

    def test_not_let_in(self):
        self.assertEqual(self.names(B), ['a', 'b', 'r'])  # it lies well
        self.enter('a', A)
        client = self.raw(B)
        client.go('a')
        client.expect_end()
        xtest.wait_for(lambda: 'not let in: the rules' in self.w.log(), 'a line in the log')
        self.assertEqual(self.w.client_count('a'), 1)
        self.enter('b', B)

    def test_not_let_write(self):
        client = self.raw(B)
        client.go('r')
        self.assert_writer(client.flags)
        client.expect_end()
        self.enter('r', A)

    def test_counted_where_they_come_from(self):
        self.enter('b', B)
        [client] = self.w.export('b')['clients']
        self.assertTrue(client['peer'].startswith(B + ':'), client)


if __name__ == '__main__':
    xtest.main()
