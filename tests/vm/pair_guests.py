# SPDX-License-Identifier: GPL-2.0-or-later
"""A pair of storage controllers as two machines: guests that are Debian with systemd, udev and what
packages a test names, and a third one as their client.

Each node has two network ports at a switch with VLANs, a disk that both see, a disk of its own that
outlives power cuts, and its power from two simulated PDUs: when both of its outlets are off, its
QEMU is killed, and started when one is on again. The host is in the VLANs of data (as the gateway)
and of management (where the PDUs are). Needs root.

Emulated machines are slow: the image's examples have longer timeouts and intervals than those people
get. With theirs the nodes would do nothing but monitor.
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import debian_root  # noqa: E402
import lab  # noqa: E402
import stonith_fixture  # noqa: E402
import vlan_switch  # noqa: E402
import xtest  # noqa: E402
from xtest import GIB  # noqa: E402

NAMES = ('n1', 'n2')
DATA, MANAGEMENT = 900, 901  # VLANs
GATEWAY, CLIENT, PDUS = '192.0.2.254', '192.0.2.50', ('198.51.100.11', '198.51.100.12')
WWN = 'wwn-0x50014ee2b1a2c3d4'  # what the shared disk is called
SECONDS = 600  # for what takes some; a machine that does nothing else needs a tenth
SLOWER = 5  # so many times

EARLY_MODULES = ('overlay',)
MODULES = ('bonding', '8021q', 'nf_tables', 'dm-mod', 'dm-snapshot', 'autofs4', 'virtio_net',
           'virtio_blk', 'virtio_console', 'fuse', 'configfs')
INIT = r'''#!/busybox sh
/busybox mkdir -p /bin /proc /sys /dev /tmp /lower /own /root
/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in $(cat /modules/order); do insmod /modules/$m.ko || echo "module $m failed"; done
for names in eth0:user0 eth1:eth0 eth2:eth1; do
	ip link set ${names%:*} down
	ip link set ${names%:*} name ${names#*:}
done
mount -t ext4 -o ro,noload /dev/vdb /lower
mount -t ext4 /dev/vdc /own
# An NFS server has to open files by their handles, also those of the folders above an export.
mount -t overlay -o lowerdir=/lower,upperdir=/own/upper,workdir=/own/work,index=on,nfs_export=on \
	overlay /root
mkdir -p /root/tmp /root/proc /root/sys /root/dev /root/run /root/srv
mount -t tmpfs tmp /root/tmp
for m in proc sys dev; do mount --move /$m /root/$m; done
exec switch_root /root /sbin/init
'''
AGENT = r'''#!/bin/sh
export HOME=/root TERM=dumb PATH=$PATH:/lab/bin LC_ALL=C.UTF-8
for p in /sys/class/virtio-ports/*; do
	[ "$(cat $p/name)" = agent ] && exec 3<>/dev/${p##*/}
done
mkdir -p /run/lab # /tmp is cleaned while the machine starts
echo 0 >&3
while read -r line <&3; do
	echo "$line" | base64 -d >/run/lab/line
	rm -f /run/lab/out
	sh /run/lab/line </dev/null >/run/lab/out 2>&1 3>&-
	status=$? size=$(wc -c </run/lab/out)
	echo "$status $size" >&3
	head -c $size /run/lab/out >&3
done
'''
UNIT = '''[Unit]
Description=Answers the lab
DefaultDependencies=no
Before=sysinit.target
[Service]
ExecStart=/lab/agent
[Install]
WantedBy=sysinit.target
'''
UNITS = '/etc/systemd/system'
MASKED = ('getty.target', 'serial-getty@ttyS0.service', 'systemd-logind.service', 'timers.target',
          'systemd-networkd-wait-online.service', 'systemd-update-utmp.service',
          'systemd-update-utmp-runlevel.service', 'systemd-binfmt.service',
          'proc-sys-fs-binfmt_misc.automount')
FILES = {
    '/lab/agent': AGENT,
    '/lab/bin/usleep': '-> /lab/busybox',
    f'{UNITS}/lab-agent.service': UNIT,
    f'{UNITS}/sysinit.target.wants/lab-agent.service': f'-> {UNITS}/lab-agent.service',
    f'{UNITS}/multi-user.target.wants/ssh.service': '-> /lib/systemd/system/ssh.service',
    f'{UNITS}/default.target': '-> /lib/systemd/system/multi-user.target',
    **{f'{UNITS}/{name}': '-> /dev/null' for name in MASKED},
    '/etc/systemd/network/99-default.link': '-> /dev/null',  # ports keep their names
    '/etc/systemd/system.conf.d/lab.conf': '[Manager]\nDefaultTimeoutStartSec=600s\n'
                                           'DefaultTimeoutStopSec=300s\n',
    '/etc/udev/rules.d/10-lab.rules': f'KERNEL=="vda", SYMLINK+="disk/by-id/{WWN}"\n',
    '/etc/ssh/sshd_config': 'PermitRootLogin prohibit-password\nUsePAM no\n',
    '/etc/shadow': 'root:*:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\n',
    '/var/log/crmsh/crmsh.log': '',
    '/etc/fstab': '', '/etc/hosts': '127.0.0.1 localhost\n',
}


def patient(text):
    """An example of conf/cluster for slow machines."""
    text = re.sub(r'((?:timeout|interval)=)(\d+)s', lambda m: f'{m[1]}{int(m[2]) * SLOWER}s', text)
    text = re.sub(r'(deadline=)(\d+)', lambda m: f'{m[1]}{int(m[2]) * SLOWER}', text)
    return re.sub(r'(\b(?:token|consensus): )(\d+)',
                  lambda m: f'{m[1]}{int(m[2]) * 2 * SLOWER}', text)


def install_tree(folder):
    """What `cmake --install` gives with the prefix /usr, wherever this build has its own."""
    subprocess.run(['cmake', '--install', xtest.BUILD, '--prefix', '/usr'], check=True,
                   env={**os.environ, 'DESTDIR': folder}, stdout=subprocess.DEVNULL)
    if os.path.exists(f'{folder}/usr/local'):
        shutil.copytree(f'{folder}/usr/local', folder, dirs_exist_ok=True)
        shutil.rmtree(f'{folder}/usr/local')
    os.makedirs(f'{folder}/lab', exist_ok=True)
    shutil.copy('/bin/busybox', f'{folder}/lab/busybox')
    units = f'{folder}/usr/lib/systemd/system'
    for path in (f'{units}/{name}' for name in os.listdir(units)):
        rewrite(path, lambda text: text.replace('/usr/local/', '/usr/'))
    for name in ('pacemaker.crm', 'pacemaker-nfs.crm', 'corosync.conf'):
        rewrite(f'{folder}/usr/share/doc/xnbd/cluster/{name}', patient)


def rewrite(path, function):
    with open(path) as f:
        text = f.read()
    with open(path, 'w') as f:
        f.write(function(text))


class Node:
    """One of the two. Its power and its two ports come from the case."""

    def __init__(self, case, name, disk, root, feeds):
        self.case, self.name, self.feeds = case, name, feeds
        self.number, self.cuts = NAMES.index(name) + 1, []
        self.launches = self.boots = 0
        self.is_plugged, self.transcript = True, []
        folder = case.path(name)
        os.mkdir(folder)
        self.guest = lab.Guest(folder, EARLY_MODULES, disks=(disk, root, self._own_disk(folder)),
                               files={'/init': INIT.encode()}, memory=768, shared_disks=True,
                               lan=case.switch.trunk(self.number))

    def _own_disk(self, folder):
        """What is written there, and who it is."""
        content, path = f'{folder}/content', f'{folder}/own'
        etc = f'{content}/upper/etc'
        os.makedirs(f'{etc}/ssh')
        os.mkdir(f'{content}/work')
        for name, text in (('hostname', self.name), ('machine-id', f'{self.number:032x}')):
            with open(f'{etc}/{name}', 'w') as f:
                f.write(f'{text}\n')
        self.case.run_cmd('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', self.name, '-f',
                          f'{etc}/ssh/ssh_host_ed25519_key')
        with open(f'{etc}/ssh/ssh_host_ed25519_key.pub') as f:
            self.host_key = ' '.join(f.read().split()[:2])
        with open(path, 'wb') as f:
            f.truncate(GIB)
        self.case.run_cmd('mkfs.ext4', '-q', '-d', content, path)
        return path

    def has_power(self):
        return self.is_plugged and any(pdu.relay(key) == 'on' for pdu, key in self.feeds)

    def plug(self, is_plugged):
        """Both plugs, in or out."""
        self.is_plugged = is_plugged

    def boot(self):
        """If its power was cut since, or is now: waits until it has started again, with all that
        is enabled."""
        while self.boots != self.launches or not self.has_power() or self._is_dead():
            xtest.wait_for(lambda: self.has_power() and not self._is_dead(),
                           f'{self.name} has power', SECONDS, 0.1)
            self.boots = self.launches
            self.guest.lost = None
            self.guest.boot()
            self._until('systemctl is-system-running | grep -E "running|degraded"', 'it is up')

    def _is_dead(self):
        return self.guest.process is None or self.guest.process.poll() is not None

    def run(self, script, status=0, seconds=SECONDS):
        self.boot()
        return self._tell(script, self.guest.run(script, status, seconds=seconds))

    def _tell(self, script, said):
        self.transcript.append(f'{self.name}# {script}\n{said[-4000:]}')
        return said

    def last_words(self, script):
        """Shell lines that end the machine."""
        with contextlib.suppress(AssertionError):
            self.guest.run(script, seconds=120)
        self.guest.process.wait(SECONDS)

    def until(self, script, what):
        """Repeats it until it succeeds; what it then says."""
        self.boot()
        return self._until(script, what)

    def _until(self, script, what):
        def attempt():
            said = self._tell(script, self.guest.run(f'{{ {script}\n}} && echo +', None,
                                                      seconds=SECONDS))
            return said.endswith('+\n') and said
        return xtest.wait_for(attempt, f'{self.name}: {what}', SECONDS, 0.5)

    def write(self, path, text):
        self.run(f'mkdir -p {os.path.dirname(path)} && printf %s {shlex.quote(text)} >{path}')


class Power(threading.Thread):
    """Cuts the power of nodes and gives it again, as the PDUs say."""

    def __init__(self, nodes):
        super().__init__(daemon=True)
        self.nodes, self.ends, self.fault = nodes, threading.Event(), None
        self.on = {}

    def run(self):
        try:
            for n in self.nodes:
                self._switch(n, n.has_power())
            while not self.ends.wait(0.05):
                for n in self.nodes:
                    if n.has_power() != self.on[n]:
                        self._switch(n, n.has_power())
        except BaseException as e:
            self.fault = e
            raise

    def _switch(self, node, on):
        if on:
            node.guest.launch()
            node.launches += 1
        else:
            node.guest.stop()
            node.cuts.append(time.monotonic())
        self.on[node] = on

    def stop(self):
        self.ends.set()
        self.join()


class Case(stonith_fixture.Case):
    """With .n1, .n2 and .client; PACKAGES: of the nodes. Nothing is configured on them.

    More of the nodes: KERNEL, what else is a module, and FILES, what packages write when they are
    installed: {path there: text}.
    """

    PACKAGES, KERNEL, FILES = (), (), {}
    CLIENT = {'modules': ('nbd',), 'memory': 384,
              'programs': ('/usr/bin/fio', '/sbin/mkfs.ext4', xtest.program('nbd_keep'))}
    GUEST, TOOLS = CLIENT, ('cmake', 'mkfs.ext4', 'ssh-keygen', 'tar')

    def setUp(self):
        lab.Case.check_needs.__func__(type(self))
        self.require('/dev/net/tun')
        super().setUp()
        absent = debian_root.missing(self.PACKAGES)
        self.assertEqual(absent, [], 'packages that are not installed here')
        self.switch = vlan_switch.Switch(self.dir)
        self.addCleanup(self.switch.close)
        self._join_networks()
        self._plug_in_pdus()
        self._make_nodes()
        self._make_client()
        self.addCleanup(self._report)

    def _join_networks(self):
        self.switch.join(self.host, 'data', DATA)
        self.host.run('ip', 'address', 'add', f'{GATEWAY}/24', 'dev', 'data')
        self.switch.join(self.host, 'manage', MANAGEMENT)
        for address in PDUS:
            self.host.run('ip', 'address', 'add', f'{address}/24', 'dev', 'manage')

    def _plug_in_pdus(self):
        self.pdus = [self.pdu(name, family='apc-rpdu2', address=address)
                     for name, address in zip(('left', 'right'), PDUS)]
        for pdu, letter in zip(self.pdus, 'AB'):
            for number, name in enumerate(NAMES, 1):
                pdu.put('name', str(number), f'{name}-{letter}')

    def _make_nodes(self):
        tree, shared = self.path('tree'), self.path('shared')
        os.mkdir(tree)
        install_tree(tree)
        self.root = debian_root.image(self.PACKAGES, (*MODULES, *self.KERNEL), tree,
                                       {**FILES, **self.FILES})
        self.addCleanup(self.root.close)
        with open(shared, 'wb') as f:
            f.truncate(8 * GIB)
        root = f'/proc/{os.getpid()}/fd/{self.root.fileno()}'
        self.nodes = [Node(self, name, shared, root, [(p, str(i)) for p in self.pdus])
                      for i, name in enumerate(NAMES, 1)]
        self.n1, self.n2 = self.nodes
        for n in self.nodes:
            self.addCleanup(n.guest.close)
        self.power = Power(self.nodes)
        self.addCleanup(self.power.stop)
        self.power.start()

    def _make_client(self):
        folder = self.path('client')
        os.mkdir(folder)
        self.client = lab.Guest(folder, lan=self.switch.access(3, DATA), **self.CLIENT)
        self.addCleanup(self.client.close)
        self.client.launch()

    def boot(self):
        self.client.boot()
        for n in self.nodes:
            n.boot()
        self.client.run(f'ip link set eth0 down; ip addr add {CLIENT}/24 dev eth1; '
                        'ip link set eth1 up')

    @contextlib.contextmanager
    def step(self, name):
        """A part of the scenario: named in all consoles, and in the failure if it fails."""
        begin = time.monotonic()
        try:
            yield
        except BaseException as e:
            e.add_note(f'failed step, after {time.monotonic() - begin:.1f} s: {name}')
            raise
        finally:
            sys.stderr.write(f'{time.monotonic() - begin:6.1f} s  {name}\n')

    def _report(self):
        if not self.has_failed():
            return
        sys.stderr.write(f'--- client\n{self.client.report()}\n')
        if self.client.agent:
            sys.stderr.write(f'{self.client.job_logs()}\n')
        for n in self.nodes:
            sys.stderr.write(f'--- {n.name}\n{"".join(n.transcript[-20:])}\n'
                             f'{n.guest.report()[-6000:]}\n')
            with contextlib.suppress(AssertionError, OSError, ValueError, AttributeError):
                sys.stderr.write(n.guest.run('crm_mon -1rf; journalctl -b --no-pager -n 250', None,
                                             seconds=60))
