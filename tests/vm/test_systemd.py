#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Our units under a real systemd, with its journal: does all that they forbid leave us alive?

systemd runs in a guest, as the first process of a process namespace; shell lines get there by
nsenter. Clients are on this host.
"""

import json
import os
import re
import shlex
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import rawnbd  # noqa: E402
import xtest  # noqa: E402
from xtest import KIB, MIB  # noqa: E402

MANAGER, JOURNAL = '/lib/systemd/systemd', '/lib/systemd/systemd-journald'
SYSTEM_UNITS = ('basic.target', 'sysinit.target', 'sockets.target', 'timers.target', 'paths.target',
                'slices.target', 'swap.target', 'multi-user.target', 'shutdown.target',
                'umount.target', 'local-fs.target', 'remote-fs.target', 'network.target',
                'network-online.target', 'systemd-journald.service', 'systemd-journald.socket')
OURS = ('xnbd-wrapper.service', 'xnbd-wrapper.socket', 'xnbd-server@.service',
        'xnbd-stonithd.service')
PROGRAMS = ('xnbd-wrapper', 'xnbd-server', 'xnbd-wrapper-ctl', 'xnbd-stonithd', 'xnbd-stonith')
SNMPD = '/usr/sbin/snmpd'
# Two PDUs whose outlet 1 is one object, to read and to set; the left one is off.
PDUS = '''
set -e
ip link set lo up
umask 077
mkdir -p /etc/xnbd/secret /var/lib
echo write-secret >/etc/xnbd/secret/pdu
for side in left:1610:0 right:1611:1; do
	name=${side%%:*} rest=${side#*:}
	cat >/tmp/$name.conf <<END
agentAddress udp:127.0.0.1:${rest%:*}
rwcommunity write-secret
sysObjectID .1.3.6.1.4.1.2.6.223
override -rw .1.3.6.1.4.1.2.6.223.8.2.2.1.11.1 integer ${rest#*:}
END
	MIBS= SNMP_PERSISTENT_DIR=/tmp/$name.snmp snmpd -C -c /tmp/$name.conf -I -smux -Lf /tmp/$name.log \\
		-p /tmp/$name.pid
done
cat >/etc/xnbd/stonith.conf <<END
stonith { self = "n1" repair-own = true off-lease = 0 dwell = 0 }
pdu "left" { address = "127.0.0.1" port = 1610 profile = "ibm-ipdu" version = "2c"
             community-file = "/etc/xnbd/secret/pdu" }
pdu "right" { address = "127.0.0.1" port = 1611 profile = "ibm-ipdu" version = "2c"
              community-file = "/etc/xnbd/secret/pdu" }
node "n1" { outlets = {"left:1", "right:1"} shooters = {"n2"} }
node "n2" { outlets = {"left:2", "right:2"} shooters = {"n1"} }
END
'''
PORT, OTHER_PORT, ALONE_PORT = 8520, 10809, 8521

# Not --wait: that was seen to wait for ever.
UP = '''
until systemctl is-system-running | grep -E 'running|degraded|maintenance'; do usleep 200000; done
systemctl is-system-running'''

SET_UP = f'''
mkdir -p /etc/xnbd /var/log /sys/fs/cgroup /srv /home/someone
chmod 644 /lib/systemd/system/*.* /etc/systemd/system/*.*
ln -s /run /var/run
echo 'root:x:0:0:root:/:/bin/sh' >/etc/passwd
echo 'nobody:x:65534:65534:nobody:/:/bin/sh' >>/etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' >/etc/group
echo '127.0.0.1 localhost' >/etc/hosts
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
touch /etc/fstab
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs run /run
truncate -s 16M /srv/a.img /home/someone/b.img
chown 1000 /home/someone/b.img
chmod 600 /home/someone/b.img
cat >/lib/systemd/system/default.target <<END
[Unit]
Requires=basic.target systemd-journald.service
After=basic.target systemd-journald.service
END
cat >/tmp/start <<END
mount -t proc proc /proc
exec {MANAGER} --log-target=journal --unit=default.target
END
container=lab unshare --pid --fork --mount --propagation private sh /tmp/start >/dev/null 2>&1 &
until [ "$(cat /tmp/manager 2>/dev/null)" ]; do
	usleep 100000
	for p in /proc/[0-9]*; do
		[ "$(cut -d' ' -f4 $p/stat)" != $! ] || echo ${{p#/proc/}} >/tmp/manager
	done
done
until nsenter -t $(cat /tmp/manager) -m test -S /run/systemd/private; do usleep 100000; done
'''


def ours():
    """{path in the guest: path here} of our units and programs, where the units expect them."""
    files, folder = {}, None
    for name in OURS:
        path = os.path.join(xtest.BUILD, 'conf', 'systemd', name)
        if not os.path.exists(path):
            path = os.path.join(xtest.HERE, '..', '..', 'conf', 'systemd', name)
        files[f'/etc/systemd/system/{name}'] = path
        found = re.search(r'^ExecStart=(\S+)/', xtest.text_of(path), re.M)
        folder = found[1] if found else folder
    return {**files, **{f'{folder}/{name}': xtest.program(name) for name in PROGRAMS}}


class Units(lab.Case):
    TOOLS = ('nsenter', 'unshare', 'systemctl', 'journalctl', 'snmpd')
    GUEST = {'programs': (MANAGER, JOURNAL, '/usr/bin/nsenter', '/usr/bin/unshare',
                          '/bin/systemctl', '/bin/journalctl', SNMPD,
                          *map(xtest.program, PROGRAMS)),
             'files': {MANAGER: MANAGER, JOURNAL: JOURNAL, **ours(),
                       **{f'/lib/systemd/system/{u}': f'/lib/systemd/system/{u}'
                          for u in SYSTEM_UNITS}},
             'ports': (PORT, OTHER_PORT, ALONE_PORT), 'memory': 512}

    @classmethod
    def disks(cls, folder):
        path = os.path.join(folder, 'disk')
        with open(path, 'wb') as f:
            f.truncate(16 * MIB)
        return (path,)

    @classmethod
    def prepare(cls):
        cls.guest.run(SET_UP)
        cls.inside(UP)

    @classmethod
    def inside(cls, script, status=0, **options):
        """Runs shell lines where systemd is the first process."""
        return cls.guest.run('nsenter -t $(cat /tmp/manager) -m -p sh -c ' + shlex.quote(script),
                             status, **options)

    def setUp(self):
        super().setUp()
        self.configure(a='/srv/a.img', b='/home/someone/b.img', dev='/dev/vda')
        self.inside_at_end('systemctl stop xnbd-wrapper.socket xnbd-wrapper.service; '
                           'systemctl reset-failed; pidof xnbd-server', 1)

    def inside_at_end(self, script, status=0):
        self.addCleanup(lambda: self.guest.lost or self.inside(script, status))

    def configure(self, **exports):
        rows = '\n'.join(f'export "{k}" {{ image = "{v}" }}' for k, v in exports.items())
        self.guest.run(f'cat >/etc/xnbd/xnbd.conf <<END\n{rows}\nEND')

    def _report(self):
        super()._report()
        if self.has_failed() and not self.guest.lost:
            sys.stderr.write(self.inside('journalctl --no-pager -n 60 -u "xnbd*"', None))

    def property(self, name, unit='xnbd-wrapper'):
        return self.inside(f'systemctl show --value -p {name} {unit}').strip()

    def enter(self, name, port=PORT):
        client = rawnbd.Raw(self.guest.address(port))
        self.addCleanup(client.close)
        return client.enter('structured', name)

    def write_and_read(self, client):
        data = os.urandom(64 * KIB)
        self.assertEqual(client.write(4 * KIB, data).error, 0)
        self.assertEqual(client.read(4 * KIB, len(data)), data)

    def servers(self):
        return self.inside('pidof xnbd-server', None).split()

    def wrapper(self):
        return json.loads(self.inside('xnbd-wrapper-ctl --status --json'))

    def test_everything_can_be_served(self):
        self.inside('systemctl start xnbd-wrapper')
        self.assertEqual(self.property('StatusText'), '3 exports, 0 servers, 0 clients')
        clients = [self.enter(name) for name in ('a', 'b', 'dev')]
        for client in clients:
            self.write_and_read(client)
            self.assertEqual(client.call(rawnbd.TRIM, 0, MIB).error, 0)
        for pid in self.servers():
            rings = self.inside(f'ls -l /proc/{pid}/fd | grep -c io_uring', None)
            self.assertGreater(int(rings), 0, 'a server without io_uring')
            self.assertEqual(self.inside(f'cat /proc/{pid}/limits | grep "open files"').split()[3],
                             '1000000')
        self.assertEqual(len(self.servers()), 3)
        who = self.inside(f'cat /proc/{self.wrapper()["negotiator_pid"]}/status')
        self.assertRegex(who, r'Uid:\s+65534')
        self.assertRegex(who, r'Seccomp:\s+2')
        snapshot = self.inside('xnbd-wrapper-ctl snapshot a && ls /srv')
        self.assertIn('a.img.snapshot.', snapshot)
        for client in clients:
            client.close()

    def test_watch_over_pdus(self):
        """What the unit forbids is not needed to ask PDUs, nor to switch our own outlet on again."""
        self.guest.run(PDUS)
        self.inside_at_end('systemctl stop xnbd-stonithd')
        self.inside('systemctl start xnbd-stonithd')

        def health():
            return json.loads(self.inside('xnbd-stonith health --json', None))
        xtest.wait_for(lambda: health()['repair']['done'] == 1, 'repair', 120)
        self.inside('xnbd-stonith status n1')
        self.assertEqual({f.get('outlet') for f in health()['findings']}, {'left:2', 'right:2'})
        self.assertRegex(self.property('StatusText', 'xnbd-stonithd'), '^[0-9]+ findings')
        self.inside('xnbd-stonith audit && systemctl reload xnbd-stonithd')
        xtest.wait_for(lambda: 'alarm: n2: outlet left:2' in
                       self.inside('journalctl -u xnbd-stonithd'), 'journal', 60)
        self.inside('systemctl stop xnbd-stonithd && test -d /run/xnbd-stonith')
        self.guest.run('kill $(cat /tmp/left.pid /tmp/right.pid)')

    def test_journal(self):
        self.inside('systemctl start xnbd-wrapper')
        client = self.enter('b')
        client.send(b'\xff' * 64)

        def entries():
            text = self.inside('journalctl -o json XNBD_EXPORT=b XNBD_CLIENT=1', None)
            return [json.loads(line) for line in text.splitlines() if 'ended: ' in line]
        entry = xtest.wait_for(entries, 'a line about the client', 60)[-1]
        self.assertEqual((entry['SYSLOG_IDENTIFIER'], entry['PRIORITY'], entry['_SYSTEMD_UNIT']),
                         ('xnbd-server', '4', 'xnbd-wrapper.service'))
        self.assertIn(entry['XNBD_PEER'], entry['MESSAGE'])

    def test_servers_outlive_the_wrapper(self):
        self.inside('systemctl start xnbd-wrapper')
        client, restarts = self.enter('a'), int(self.property('NRestarts'))
        self.write_and_read(client)
        server, wrapper = self.servers(), self.wrapper()['pid']
        self.inside(f'kill -KILL {wrapper}')
        self.write_and_read(client)
        xtest.wait_for(lambda: int(self.property('NRestarts')) > restarts and
                       self.property('ActiveState') == 'active', 'wrapper is started again', 60)
        self.write_and_read(client)
        self.assertIn(server[0], self.servers())
        self.assertNotEqual(self.wrapper()['pid'], wrapper)
        rows = json.loads(self.inside('xnbd-wrapper-ctl --list --json'))
        self.assertEqual([len(e['clients']) for e in rows if e['name'] == 'a'], [1], 'adopted')
        other = self.enter('b')
        self.write_and_read(other)
        for c in (client, other):
            c.close()
        xtest.wait_for(lambda: server[0] not in self.servers(), 'ends without clients', 60)

    def test_upgrade(self):
        """The program is changed under its clients, and systemd is told."""
        self.inside('systemctl start xnbd-wrapper')
        client, before = self.enter('a'), self.property('MainPID')
        self.write_and_read(client)
        server = self.servers()
        self.inside('xnbd-wrapper-ctl upgrade')
        self.write_and_read(client)
        self.write_and_read(self.enter('b'))
        self.assertIn(server[0], self.servers())
        self.assertEqual((self.property('MainPID'), self.property('ActiveState')),
                         (before, 'active'))
        self.inside('systemctl reload xnbd-wrapper')
        self.inside('systemctl stop xnbd-wrapper')
        self.assertEqual((self.property('Result'), self.servers()), ('success', []))

    def test_stop(self):
        self.inside('systemctl start xnbd-wrapper')
        client = self.enter('a')
        self.write_and_read(client)
        self.inside('systemctl stop xnbd-wrapper')
        self.assertEqual((self.property('Result'), self.servers()), ('success', []))

    def test_wrong_command_line_is_not_repeated(self):
        self.inside('mkdir -p /run/systemd/system/xnbd-wrapper.service.d\n'
                    'cat >/run/systemd/system/xnbd-wrapper.service.d/x.conf <<END\n[Service]\n'
                    'ExecStart=\nExecStart=/programs/xnbd-wrapper --nonsense\nEND\n'
                    'systemctl daemon-reload')
        self.inside_at_end('rm -r /run/systemd/system/xnbd-wrapper.service.d\n'
                           'systemctl daemon-reload')
        self.inside('systemctl start xnbd-wrapper', 1)
        self.assertEqual(self.property('ActiveState'), 'failed')
        self.assertIn('--nonsense: unknown', self.inside('journalctl -u xnbd-wrapper -o cat -n 10'))

    def test_reload(self):
        self.inside('systemctl start xnbd-wrapper')
        client = self.enter('a')
        self.guest.run('truncate -s 1M /srv/c.img')
        self.configure(a='/srv/a.img', c='/srv/c.img')
        self.inside('systemctl reload xnbd-wrapper')
        self.assertEqual(self.enter('c').size, MIB)
        self.guest.run('echo "export {" >>/etc/xnbd/xnbd.conf')
        self.inside('systemctl reload xnbd-wrapper', 1)
        self.assertEqual(self.property('ActiveState'), 'active')
        self.write_and_read(client)

    def test_socket(self):
        self.inside('systemctl start xnbd-wrapper.socket')
        self.assertEqual(self.property('ActiveState'), 'inactive')
        self.write_and_read(self.enter('a', OTHER_PORT))
        self.write_and_read(self.enter('b'))
        self.assertEqual(self.property('ActiveState'), 'active')
        self.inside('systemctl stop xnbd-wrapper.service', None)
        self.write_and_read(self.enter('dev'))
        self.assertEqual(self.property('ActiveState'), 'active')

    def test_server_alone(self):
        self.inside_at_end('systemctl stop xnbd-server@vm-1')
        self.guest.run(f'''echo 'OPTIONS="--target --lport {ALONE_PORT} --control /run/xnbd/1.ctl'''
                       ''' /srv/a.img"' >/etc/xnbd/vm-1.server''')
        self.inside('systemctl start xnbd-server@vm-1')
        self.assertEqual(self.property('StatusText', 'xnbd-server@vm-1'), 'serving /srv/a.img')
        self.write_and_read(self.enter('vm-1', ALONE_PORT))
        self.inside('systemctl stop xnbd-server@vm-1')
        self.assertEqual(self.property('Result', 'xnbd-server@vm-1'), 'success')


if __name__ == '__main__':
    xtest.main()
