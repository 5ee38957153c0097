#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Seeing what goes on: stats and metrics after a known load, exact; a server that says nothing;
watching; metrics over HTTP, whoever asks; the level of the log at run time."""

import http.client
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import xtest  # noqa: E402
from wrapper_fixture import WrapperCase  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

ODD = 'b\u00e4r "x" \\ {}'  # a name that needs care in a table and in a label
SAMPLE = re.compile(r'(xnbd_[a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? ([0-9.]+)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')


def plain(value):
    return value.replace('\\n', '\n').replace('\\"', '"').replace('\\\\', '\\')


def samples(text):
    """{(name, sorted labels): value} of a page; every line must be right."""
    found = {}
    for line in text.splitlines():
        if line.startswith('# HELP xnbd_') or line.startswith('# TYPE xnbd_'):
            continue
        m = SAMPLE.fullmatch(line)
        if not m:
            raise AssertionError(f'no sample: {line!r}')
        labels = tuple(sorted((k, plain(v)) for k, v in LABEL.findall(m[2] or '')))
        if (m[1], labels) in found:
            raise AssertionError(f'twice: {line!r}')
        found[m[1], labels] = float(m[3])
    return found


def value(page, name, **labels):
    return page[name, tuple(sorted(labels.items()))]


class StatsCase(WrapperCase):
    def serve(self, *args):
        self.w = self.wrap(*args, exports={'a': self.image(MIB, 'a'), ODD: self.image(MIB, 'b')})

    def load(self, name='a', reads=20, writes=10):
        """A client that has read and written so much, and stays."""
        client = self.w.enter(name)  # one READ of one byte
        for i in range(reads):
            client.read(4 * KIB * i, 4 * KIB)
        for i in range(writes):
            client.write(8 * KIB * i, b'x' * 8 * KIB)
        return client

    def stats(self, *args):
        return json.loads(self.w.ctl('stats', *args, '--json'))

    def server(self, name='a'):
        found = [s for s in self.stats()['servers'] if s['export'] == name]
        self.assertEqual(len(found), 1)
        return found[0]

    def page(self):
        return samples(self.w.ctl('metrics'))


class Counts(StatsCase):
    def test_nothing_runs(self):
        self.serve()
        self.assertEqual(self.w.ctl('stats'), 'no server runs\n')
        self.assertEqual(self.stats()['servers'], [])
        self.assertEqual(value(self.page(), 'xnbd_servers'), 0)
        self.assertEqual(self.w.ctl('stats', 'a'), 'no server runs\n')
        self.assertIn('no such export', self.w.refused('stats', 'c'))
        self.assertEqual(self.w.worker('a'), None, 'asking starts nothing')

    def test_exact(self):
        self.serve()
        self.load()
        self.load(reads=1, writes=0)
        s = self.server()
        total = s['stats']['total']
        self.assertEqual((s['state'], s['client_count'], s['pid']),
                         ('running', 2, self.w.worker('a')))
        self.assertEqual((total['requests']['READ'], total['requests']['WRITE']), (23, 10))
        self.assertEqual((total['bytes_read'], total['bytes_written']),
                         (21 * 4 * KIB + 2, 80 * KIB))
        self.assertEqual([c['requests']['READ'] for c in s['stats']['clients']], [21, 2])
        self.assertGreater(s['rss'], MIB)

    def test_metrics(self):
        self.serve()
        self.load(ODD)
        page = self.page()
        self.assertEqual(value(page, 'xnbd_up'), 1)
        self.assertEqual(value(page, 'xnbd_exports'), 2)
        self.assertEqual(value(page, 'xnbd_clients'), 1)
        self.assertEqual(value(page, 'xnbd_server_up', export=ODD), 1)
        self.assertEqual(value(page, 'xnbd_requests_total', export=ODD, type='READ'), 21)
        self.assertEqual(value(page, 'xnbd_written_bytes_total', export=ODD), 80 * KIB)
        for kind, count in (('read', 21), ('write', 10), ('other', 0)):
            self.assertEqual(value(page, 'xnbd_request_duration_seconds_bucket', export=ODD,
                                   kind=kind, le='+Inf'), count)
            self.assertEqual(value(page, 'xnbd_request_duration_seconds_count', export=ODD,
                                   kind=kind), count)
        self.assertGreater(value(page, 'xnbd_request_duration_seconds_sum', export=ODD,
                                 kind='read'), 0)

    def test_tables(self):
        self.serve()
        self.load()
        self.load(ODD, reads=1, writes=1)
        lines = self.w.ctl('stats').splitlines()
        self.assertRegex(lines[0], r'^EXPORT +CLIENTS +READ +WRITE +FLUSH ')
        rows = sorted(lines[1:3])
        self.assertRegex(rows[0], r'^a +1 +21 +10 +0 ')
        self.assertTrue(rows[1].startswith(ODD + '  '), rows[1])
        self.assertEqual(len({len(line) for line in lines[:3]}), 1, lines)
        self.assertRegex(lines[4], r'^EXPORT +BYTES READ +WRITTEN +IN FLIGHT +READ 50%')
        self.assertIn('80.0K', lines[5] + lines[6])
        one = self.w.ctl('stats', 'a').splitlines()
        self.assertRegex(one[2], r'^\d+ unix:uid=\d+,pid=\d+ +21 +10 ')


class Lists(StatsCase):
    def on_terminal(self, *args):
        ours, theirs = pty.openpty()
        subprocess.run([xtest.program('xnbd-wrapper-ctl'), '--socket', self.w.control, *args],
                       stdout=theirs, check=True, timeout=20)
        os.close(theirs)
        text = os.read(ours, 65536).decode()
        os.close(ours)
        return text.replace('\r', '').splitlines()

    def test_list(self):
        self.serve()
        self.load()
        lines = self.on_terminal('list')
        self.assertRegex(lines[0],
                         r'^INDEX +NAME +MODE +ACCESS +SIZE +CLIENTS +STATE +FROM +IMAGE$')
        self.assertRegex(lines[1], r'^    1  a +target +write +1.0M +1  running +config +/')
        self.assertEqual(lines[1].index('target'), lines[2].index('target'))
        self.assertRegex(self.w.ctl('list'), r'^1 : a  \(/')  # what scripts read

    def test_status(self):
        self.serve()
        said = self.w.ctl('status')
        self.assertRegex(said, r'(?m)^log_level +info$')
        self.assertRegex(said, r'(?m)^listening +unix:|^listening +/')


class Silence(StatsCase):
    def test_silent_server(self):
        self.serve()
        client, other = self.load(), self.load(ODD)
        pid = self.w.worker('a')
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        began = time.monotonic()
        thread = threading.Thread(target=self.w.ctl, args=('stats',))
        thread.start()
        self.w.list()  # others are not held up
        self.assertTrue(other.in_sync())
        self.assertLess(time.monotonic() - began, 2)
        servers = {s['export']: s for s in self.stats()['servers']}
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(servers['a']['state'], 'no answer')
        self.assertIn('does not answer', servers['a']['error'])
        self.assertEqual(servers[ODD]['stats']['total']['requests']['READ'], 22)
        self.assertRegex(self.w.ctl('stats'), r'(?m)^a +1 +no answer')
        page = self.page()
        self.assertEqual(value(page, 'xnbd_server_up', export='a'), 0)
        self.assertEqual(value(page, 'xnbd_server_up', export=ODD), 1)
        self.assertIn('no answer of a\n', self.w.ctl('log-level', 'warn'))
        thread.join()
        os.kill(pid, signal.SIGCONT)
        self.assertTrue(client.in_sync())
        self.assertEqual(self.server()['state'], 'running')


class Watching(StatsCase):
    def watch(self, *args, **options):
        argv = [xtest.program('xnbd-wrapper-ctl'), '--socket', self.w.control, 'stats', '--watch',
                '--interval', '1', *args]
        p = subprocess.Popen(argv, **options)
        self.addCleanup(self.close, p)
        return p

    def close(self, p):
        p.kill()
        p.wait()
        if p.stdout:
            p.stdout.close()

    def test_pipe(self):
        self.serve()
        client = self.load()
        p = self.watch(stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        for _ in range(100):
            client.read(0, KIB)
        lines = [p.stdout.readline() for _ in range(8)]
        self.assertRegex(lines[0], r'UTC, 1 clients, requests and bytes a second')
        rate = re.match(r'a +1 +([0-9.]+) +0 ', lines[3])
        self.assertTrue(rate and 20 <= float(rate[1]) <= 150, lines)
        self.assertRegex(lines[6], r'^a .* [0-9.]+ [mu]s +- +- +-$')  # no writes since
        p.send_signal(signal.SIGINT)
        rest = p.stdout.read()
        self.assertEqual(p.wait(5), 0)
        self.assertNotIn('\x1b', ''.join(lines) + rest)

    def test_json(self):
        self.serve()
        self.load()
        p = self.watch('--json', 'a', stdout=subprocess.PIPE, text=True)
        looks = [json.loads(p.stdout.readline()) for _ in range(2)]
        self.assertEqual(looks[1]['servers'][0]['stats']['total']['requests']['WRITE'], 10)
        p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(5), 0)

    def test_terminal(self):
        self.serve()
        self.load()
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        p = self.watch(stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        seen = b''
        while seen.count(b'\x1b[H\x1b[J') < 2:
            seen += os.read(ours, 65536)
        self.assertIn(b'EXPORT', seen)
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(5), 0)

    def test_refused(self):
        self.serve()
        self.assertIn('go with --stats', self.w.refused('list', '--watch', status=2))


class Http(StatsCase):
    def serve_http(self):
        port = xtest.free_port()
        self.serve('--metrics', f'127.0.0.1:{port}')
        self.address = ('127.0.0.1', port)

    def ask(self, method='GET', path='/metrics', body=None):
        c = http.client.HTTPConnection(*self.address, timeout=10)
        self.addCleanup(c.close)
        c.request(method, path, body)
        answer = c.getresponse()
        return answer, answer.read().decode()

    def test_get(self):
        self.serve_http()
        self.load()
        answer, text = self.ask()
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers['Content-Type'],
                         'text/plain; version=0.0.4; charset=utf-8')
        page = samples(text)
        self.assertEqual(value(page, 'xnbd_requests_total', export='a', type='READ'), 21)
        self.assertEqual(set(page), set(self.page()))

    def test_others(self):
        self.serve_http()
        self.assertEqual(self.ask(path='/')[0].status, 404)
        self.assertEqual(self.ask(path='/metrics/..')[0].status, 404)
        answer, _ = self.ask('POST', body=b'x' * 100000)
        self.assertEqual((answer.status, answer.headers['Allow']), (405, 'GET, HEAD'))
        answer, text = self.ask('HEAD')
        self.assertEqual((answer.status, text), (200, ''))

    def test_hostile(self):
        """Crowds, half requests, garbage: the master answers meanwhile, and does not grow."""
        self.serve_http()
        client = self.load()
        fds = xtest.count_fds(self.w.pid)
        held = []
        for i in range(100):
            s = socket.create_connection(self.address, 5)
            self.addCleanup(s.close)
            s.setblocking(False)
            s.send([b'GET /met', b'\0' * 1000, b'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n', b'',
                    b'A' * 20000][i % 5])
            held.append(s)
        began = time.monotonic()
        self.w.list()
        self.assertLess(time.monotonic() - began, 1)
        self.assertTrue(client.in_sync())
        self.assertLess(xtest.count_fds(self.w.pid), fds + 60)
        for s in held:
            s.close()
        xtest.wait_for(lambda: self.ask()[0].status == 200, 'served again')
        xtest.wait_for(lambda: xtest.count_fds(self.w.pid) <= fds + 2, 'all closed', 20)

    def test_many_at_once(self):
        self.serve_http()
        self.load()
        got = []
        threads = [threading.Thread(target=lambda: got.append(self.ask()[0].status))
                   for _ in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(got, [200] * 16)

    def test_address(self):
        for bad in ('x', '/path', '127.0.0.1', '127.0.0.1:0', '1:2:3'):
            self.assertIn('--metrics', self.fails_to_start('--metrics', bad, status=2))
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            s.listen()
            port = s.getsockname()[1]
            said = self.fails_to_start('--metrics', f'127.0.0.1:{port}', '--lsocket',
                                       self.path('n'))
            self.assertIn('in use', said)


class LogLevel(StatsCase):
    def test_everywhere(self):
        self.serve()
        self.load()
        self.assertEqual(self.w.ctl('log-level', 'debug'), 'debug, in the wrapper and 1 servers\n')
        self.assertIn('log level: debug, was info', self.w.log())
        self.load(ODD)  # started later
        for name in ('a', ODD):
            with open(f'/proc/{self.w.worker(name)}/cmdline') as f:
                self.assertIn('--log-level', f.read())
        self.assertEqual(self.w.ctl('log-level', 'error'), 'error, in the wrapper and 2 servers\n')
        self.assertIn('must be error, warn, info or debug', self.w.refused('log-level', 'loud'))


if __name__ == '__main__':
    xtest.main()
