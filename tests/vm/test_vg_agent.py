# SPDX-License-Identifier: GPL-2.0-or-later
"""ocf:xnbd:vg in a guest, with real LVM: exact status, the tag that says whose a group is, stale
snapshots, users that hold volumes open, and steps of the agent as its last.

Nodes and their cluster are names here: programs of Pacemaker and heartbeat that give the answers of
a test. With real clusters nothing has device mapper on this host."""

import glob
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import agents  # noqa: E402
import xtest  # noqa: E402
from agents import CONFIGURED, GENERIC, INSTALLED, NOT_RUNNING, SUCCESS  # noqa: E402
from xtest import MIB  # noqa: E402

VG = 'vg-a.1'  # with what is escaped in names of devices
OTHER_TAG = 'a=b:c/d#e&f!'
NEIGHBOUR = 'vg'  # its devices begin with the same letters
LVM_CONF = b"""
activation { udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 }
devices { obtain_device_list_from_udev=0 external_device_info_source="none" use_devicesfile=0 }
global { event_activation=0 use_lvmpolld=0 }
"""
# Answers of the cluster are in files; a program whose file is missing fails.
ANSWER = b'#!/bin/sh\ncat /tmp/answers/${0##*/}$1 2>/dev/null\n'
CLUSTER = ('crm_node', 'crm_resource', 'crm_attribute', 'cl_status')
RESOURCE_AGENTS = ('/usr/lib/ocf/lib/heartbeat', '/usr/share/resource-agents')
PROGRAMS = ('/usr/sbin/lvm', '/usr/sbin/dmsetup', '/bin/fuser', '/usr/bin/strace',
            '/usr/bin/timeout', '/usr/bin/xmllint')
TESTER = '/usr/sbin/ocf-tester'
SHELL = '/bin/dash'  # that of agents; busybox has programs of its own in its shell
SLOW = '600000'  # milliseconds an action may last; on a busy machine LVM takes its time
STRIDE = 9  # of the steps at which it is killed, one in so many


def files():
    """What the guest has besides programs."""
    found = {'/etc/lvm/lvm.conf': LVM_CONF, TESTER: TESTER, '/bin/sh': SHELL,
             '/etc/passwd': b'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n',
             '/etc/group': b'root:x:0:\nnogroup:x:65534:\n'}
    found |= {f'/programs/{name}': ANSWER for name in CLUSTER}
    for path in glob.glob(f'{agents.SCRIPTS}/*/*'):
        found[f'/agents/{path.split("/")[-2]}/{os.path.basename(path)}'] = path
    for folder in RESOURCE_AGENTS:
        found |= {p: p for p in glob.glob(f'{folder}/*') if os.path.isfile(p)}
    return found


class Vg(lab.Case):
    GUEST = {'modules': ('dm-mod', 'dm-snapshot', 'dm-thin-pool'), 'programs': PROGRAMS,
             'files': files(), 'memory': 384}
    TOOLS = (TESTER, SHELL)

    @classmethod
    def disks(cls, folder):
        found = []
        for name in ('one', 'two', 'three'):
            with open(os.path.join(folder, name), 'wb') as f:
                f.truncate(192 * MIB)
            found.append(f.name)
        return found

    def setUp(self):
        super().setUp()
        self.shell('hostname n1; rm -rf /tmp/answers /tmp/marks; '
                   'mkdir -p /tmp/answers /run/lvm /run/lock/lvm')
        for name, disk in ((VG, 'vda'), (NEIGHBOUR, 'vdb')):
            self.shell(f'lvm vgcreate -qy {name} /dev/{disk} && lvm vgchange -q '
                       f'--setautoactivation n {name}')
            self.addCleanup(self.clear, name, disk)
            self.shell(f'lvm lvcreate -qy -an -L 16m -n s-1 {name}')

    def clear(self, name, disk):
        if not self.guest.lost:
            self.shell(f'umount /mnt 2>/dev/null; lvm vgremove -qqfy {name}; rm -rf /dev/{name}; '
                       f'dd if=/dev/zero of=/dev/{disk} bs=1M count=2 2>/dev/null', None)

    def shell(self, script, status=0):
        return self.guest.run(script, status)

    # The agent.

    def environment(self, **parameters):
        given = {'volgrpname': VG, 'node': 'n1', **parameters}
        env = {'OCF_RESOURCE_INSTANCE': 'data', 'OCF_RESKEY_CRM_meta_timeout': SLOW,
               'OCF_RESKEY_CRM_meta_interval': '10000', 'HA_RSCTMP': '/tmp/marks',
               'HA_logfacility': 'none', 'XNBD_OCF_DIR': '/agents/ocf',
               **{f'OCF_RESKEY_{k}': v for k, v in given.items()}}
        return ' '.join(f"{k}='{v}'" for k, v in env.items())

    def agent(self, action, status=SUCCESS, **parameters):
        """Calls it; what it printed."""
        return self.shell(f'{self.environment(**parameters)} /agents/ocf/vg {action} 2>&1', status)

    def heartbeat(self, *args, status=SUCCESS):
        return self.shell(f'XNBD_OCF_DIR=/agents/ocf HA_RSCTMP=/tmp/marks HA_logfacility=none '
                          f'/agents/heartbeat/xnbd-vg {" ".join(args)} 2>/dev/null', status)

    def answer(self, program, text):
        """What the cluster says; crm_node--list is for crm_node with this argument."""
        self.shell(f"cat >/tmp/answers/{program} <<'.'\n{text}\n.\n")

    def devices(self):
        return sorted(self.shell('cat /sys/block/dm-*/dm/name 2>/dev/null', None).split())

    def tags(self):
        return self.shell(f'lvm vgs --noheadings -o vg_tags {VG} 2>/dev/null').strip()

    def tag(self, node):
        self.shell(f'lvm vgchange -q --addtag xnbd.owner={node} {VG}')

    # Tests.

    def test_tester(self):
        said = self.shell(f'HA_RSCTMP=/tmp/marks HA_logfacility=none {TESTER} -n data '
                          f'-o volgrpname={VG} -o node=n1 /agents/ocf/vg 2>&1')
        self.assertIn('passed all tests', said)
        self.assertNotIn('* rc=', said)

    def test_status(self):
        """None, all, some; a neighbour with a name like ours; what the administrator excepted."""
        self.shell(f'lvm vgchange -qay {NEIGHBOUR}; lvm lvcreate -qy -an -L 8m -n l2 {VG}; '
                   f'lvm lvcreate -qy -an -L 8m -n skipped {VG}; '
                   f'lvm lvchange -q --setactivationskip y {VG}/skipped')
        self.agent('monitor', NOT_RUNNING)
        self.agent('start')
        self.agent('start')
        self.assertEqual(self.tags(), 'xnbd.owner=n1')
        self.assertEqual(self.devices(), ['vg--a.1-l2', 'vg--a.1-s--1', 'vg-s--1'])
        self.agent('monitor')
        self.shell(f'lvm lvchange -qan {VG}/l2')
        self.assertIn('in part, without l2', self.agent('monitor', GENERIC))
        self.agent('start')
        self.agent('monitor')
        self.agent('stop')
        self.agent('stop')
        self.agent('monitor', NOT_RUNNING)
        self.assertEqual((self.devices(), self.tags()), (['vg-s--1'], ''))
        self.agent('start', INSTALLED, volgrpname='no-such')
        self.agent('monitor', NOT_RUNNING, volgrpname='no-such')
        self.agent('start', CONFIGURED, volgrpname='a b')
        self.tag('n1')
        for wrong in ('', '@xnbd.owner=n1', '--all'):  # which LVM would not take for a name
            self.agent('stop', volgrpname=wrong)
            self.agent('monitor', NOT_RUNNING, volgrpname=wrong)
        self.assertEqual(self.tags(), 'xnbd.owner=n1')
        self.agent('stop')

    def test_owner(self):
        """Another node's tag: only the cluster may say that it counts no more."""
        self.tag('n2')
        self.assertIn('may be active on n2', self.agent('start', GENERIC))  # nobody answers
        self.answer('crm_node--partition', 'n1 n2 ')
        self.agent('start', GENERIC)  # it cannot say where the group runs
        self.answer('crm_resource--resource', 'resource data is running on: n2')
        self.agent('start', GENERIC)
        self.answer('crm_node--partition', 'n1 ')
        self.answer('crm_node--list', '1 n1 member\n3 n3 lost')
        self.agent('start', GENERIC)  # a stranger
        self.answer('crm_node--list', '1 n1 member\n2 n2 lost')
        self.agent('start', GENERIC)  # is anybody fenced?
        self.answer('crm_attribute--query', 'false')
        self.agent('start', GENERIC)  # nobody is fenced
        self.assertEqual((self.devices(), self.tags()), ([], 'xnbd.owner=n2'))
        self.agent('stop')
        self.assertEqual(self.tags(), 'xnbd.owner=n2')
        self.answer('crm_attribute--query', 'true')
        self.agent('start')
        self.assertEqual(self.tags(), 'xnbd.owner=n1')
        self.assertIn('belongs to n1', self.agent('monitor', GENERIC, node='n2'))
        self.agent('stop')
        self.tag('n2')  # a power cut of both: it is there, and the cluster has asked it
        self.answer('crm_node--partition', 'n1 n2 ')
        self.answer('crm_resource--resource', 'resource data is NOT running')
        self.agent('start')
        self.agent('stop')
        self.tag('n2')  # the start itself, which is under way, is what runs here
        self.answer('crm_resource--resource', 'resource data is running on: n1 \n'
                                              'resource data is running on: n2 ')
        self.agent('start', GENERIC)
        self.answer('crm_resource--resource', 'resource data is running on: n1 ')
        self.agent('start')
        self.agent('stop')

    def test_heartbeat(self):
        self.assertEqual(self.heartbeat(VG, 'status'), 'stopped\n')
        self.tag('n2')
        for state in ('active', 'up'):
            self.answer('cl_statusnodestatus', state)
            self.heartbeat(VG, 'start', status=GENERIC)
        self.answer('cl_statusnodestatus', 'dead')
        self.heartbeat(VG, 'start')
        self.assertEqual(self.tags(), 'xnbd.owner=n1')
        self.assertEqual(self.heartbeat(VG, 'status'), 'running\n')
        self.shell(f'lvm lvcreate -qy -an -L 8m -n l2 {VG}')  # in part: a node must not go on so
        self.assertEqual(self.heartbeat(VG, 'status'), 'running\n')
        self.heartbeat(VG, 'stop')
        self.assertEqual(self.heartbeat(VG, 'status'), 'stopped\n')
        self.tag('n1')  # a power cut, and the boot after it
        self.shell(f'lvm vgchange -qay {VG}')
        self.heartbeat(VG, 'boot')
        self.assertEqual((self.devices(), self.tags()), ([], ''))
        self.tag('n2')
        self.heartbeat(VG, 'boot')
        self.assertEqual(self.tags(), 'xnbd.owner=n2')

    def test_stale_snapshots(self):
        """Only those with our tag; full ones and those that overflowed, too."""
        self.shell(f"""set -e; lvm vgchange -qay {VG}; lvm lvremove -qqy {VG}/s-1
            lvm lvcreate -qy -L 32m -n base {VG}
            lvm lvcreate -qy -s -L 4m --addtag xnbd.temporary -n full {VG}/base
            lvm lvcreate -qy -s -L 4m --addtag '{OTHER_TAG}' -n theirs {VG}/base
            lvm lvcreate -qy -L 8m --addtag xnbd.temporary -n data {VG}
            dd if=/dev/urandom of=/dev/mapper/vg--a.1-base bs=1M count=16 conv=fsync
            lvm vgchange -qan {VG}""")
        self.agent('start')
        left = self.shell(f'lvm lvs --noheadings -o lv_name {VG}').split()
        self.assertEqual(sorted(left), ['base', 'data', 'theirs'])
        self.agent('monitor')
        self.agent('stop')
        self.agent('start', snapshot_tag=OTHER_TAG)
        left = self.shell(f'lvm lvs --noheadings -o lv_name {VG}').split()
        self.assertEqual(sorted(left), ['base', 'data'])
        self.agent('stop')

    def test_users(self):
        """A process that has a volume open is ended; a mounted file system is not touched."""
        self.agent('start')
        device = '/dev/mapper/vg--a.1-s--1'
        for ignores in ('', "trap '' TERM; "):
            job = self.guest.start('sh', '-c',
                                   f'{ignores}exec 7<{device}; while :; do sleep 1; done')
            xtest.wait_for(lambda: self.shell(f'fuser {device} 2>/dev/null', None).strip(), 'open')
            said = self.agent('stop', GENERIC, release_users='false',
                              CRM_meta_timeout='10000')
            self.assertIn('vg--a.1-s--1: sh', said)
            self.assertTrue(self.guest.is_running(job))
            self.agent('monitor')
            self.agent('stop')
            self.assertFalse(self.guest.is_running(job))
            self.assertEqual((self.devices(), self.tags()), ([], ''))
            self.agent('start')
        self.shell(f'mke2fs -q {device} >/dev/null && mount -t ext4 {device} /mnt && '
                   'echo text >/mnt/file')
        self.assertIn('mounted at /mnt', self.agent('stop', GENERIC, CRM_meta_timeout='10000'))
        self.shell('grep -q text /mnt/file && umount /mnt')
        self.agent('stop')

    def test_disks_are_gone(self):
        """Nothing of the group can be read: its devices go all the same."""
        self.agent('start')
        self.shell(f"cp /etc/lvm/lvm.conf /tmp/lvm.conf; "
                   f"echo 'devices {{ filter=[\"r|.*|\"] }}' >>/etc/lvm/lvm.conf")
        try:
            self.assertIn('cannot be read', self.agent('monitor', GENERIC))
            self.agent('stop')
            self.assertEqual(self.devices(), [])
        finally:
            self.shell('cp /tmp/lvm.conf /etc/lvm/lvm.conf')

    def in_time(self, seconds, action, status, **parameters):
        """An action with such a time limit: it ends, though a guest may be late."""
        began = time.monotonic()
        said = self.agent(action, status, CRM_meta_timeout=f'{seconds}000', **parameters)
        self.assertLess(time.monotonic() - began, 2 * seconds)
        return said

    def test_disk_hangs(self):
        """It neither answers nor fails, and LVM cannot even be killed while it waits for it."""
        self.shell("""echo '0 131072 linear /dev/vdc 2048' | dmsetup create path
            lvm vgcreate -qy far /dev/mapper/path && lvm lvcreate -qy -an -L 16m -n data far""")
        self.addCleanup(self.shell, 'dmsetup resume path; lvm vgremove -qqfy far; '
                                    'dmsetup remove --retry path', None)
        self.agent('start', volgrpname='far')
        self.shell('dmsetup suspend --noflush --nolockfs path')
        self.assertIn('cannot be read', self.in_time(30, 'monitor', GENERIC, volgrpname='far'))
        self.in_time(60, 'stop', SUCCESS, volgrpname='far')
        self.assertEqual(self.devices(), ['path'])
        self.in_time(30, 'monitor', NOT_RUNNING, volgrpname='far')
        self.assertIn('does not answer', self.in_time(30, 'start', GENERIC, volgrpname='far'))

    def test_thin(self):
        self.shell(f'lvm lvcreate -qy -L 24m -T {VG}/pool -V 64m -n thin && '
                   f'lvm lvcreate -qy -s -n frozen {VG}/thin && lvm vgchange -qan {VG}', None)
        self.agent('start')
        self.agent('monitor')
        self.agent('stop')
        self.agent('monitor', NOT_RUNNING)

    def test_killed(self):
        """A stop ends what is there, and the tag with it."""
        for action, prepare in (('start', 'stop'), ('stop', 'start')):
            step, was_killed = 1, True
            while was_killed:
                self.agent(prepare)
                was_killed = self.killed_at(action, step)
                self.agent('monitor', None)
                self.agent('stop')
                self.assertEqual((self.devices(), self.tags()), ([], ''), f'{action} {step}')
                step += STRIDE
            self.assertGreater(step, 2 * STRIDE)

    def killed_at(self, action, step):
        said = self.shell(
            f'{self.environment()} setsid strace -qq -o /dev/null -e trace={agents.FORKS} '
            f'-e signal=none -e inject={agents.FORKS}:signal=SIGKILL:when={step} '
            f'/agents/ocf/vg {action} >/dev/null 2>&1 & '
            'p=$!; wait $p; s=$?; kill -9 -$p 2>/dev/null; echo; echo $s')
        self.assertIn(said.split()[-1], ('0', '137'), said)
        return said.split()[-1] != '0'


if __name__ == '__main__':
    xtest.main()
