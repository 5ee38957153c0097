#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""README.md, "A storage pair from two machines": every command of it, in order, from bare disks to a
fail-over and what may go wrong in one, on two guests with real Corosync, Pacemaker, LVM and SSH,
whose power is a matter of PDUs.

The nodes have the packages that the chapter tells to install, and what they depend on. A test does
what the text leaves to the reader: it waits where the text says "until", carries host keys over,
types the secrets, and pulls cables. Meanwhile a kernel's NBD client in a third guest writes and
verifies a file system on the second disk, and must not see an error.
"""

import os
import pathlib
import re
import shlex
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kernel_client  # noqa: E402
import pair_guests  # noqa: E402
import stonith_fixture  # noqa: E402
import xtest  # noqa: E402

REPO = pathlib.Path(__file__).resolve().parents[2]
CHAPTER, FENCING = 'A storage pair from two machines', 'Fencing: from bare PDUs'
WHO = {'n1': ('n1',), 'n2': ('n2',), 'both': ('n1', 'n2'), 'client': ('client',),
       'by hand': ('by hand',)}
KERNEL_DISK, FOLDER, PATIENCE = 'vm2', '/mnt/disk', 1200  # of the third guest; seconds
# Seconds of a shot, milliseconds before it and for a PDU's answer, as machines are slow here.
DEADLINE, DELAY, ANSWER = 90, 24000, 5000
# What crmsh does not report by its exit status when it could not.
TAKES_EFFECT = {
    f'crm node {word} n1': f'crm_attribute --node n1 --name standby --query --quiet | grep -qx {to}'
    for word, to in (('standby', 'on'), ('online', 'off'))}


def chapter(name, file='README.md'):
    text = (REPO / file).read_text()
    return re.search(rf'^## {re.escape(name)}[^\n]*\n(.*?)^## ', text, re.M | re.S)[1]


def block(text, path):
    """A file's content: the indented block whose first line is its name."""
    found = re.search(rf'^ {{7}}# {re.escape(path)}\n((?: {{7}}.*\n)+)', text, re.M)[1]
    return ''.join(line[7:] + '\n' for line in found.splitlines())


class Step:
    """A line such as: n1# COMMAND    # until "TEXT"    (or: # until it answers: WHY), or
    by hand: WHAT IS DONE"""

    def __init__(self, who, text):
        self.who, self.said = WHO[who], []
        until = re.search(r'\s{2,}# until (?:"(?P<text>.+)"|it answers)(?:: [^"]*)?$', text)
        remark = re.search(r'\s{2,}# .*$', text)
        self.command = text[:remark.start()] if remark else text
        self.is_awaited = until is not None
        self.awaited = until['text'] if until and until['text'] else ''

    def script(self):
        """Succeeds when the text says that it does."""
        if not self.awaited:
            return self.command
        return (f'said=$({self.command}) && echo "$said" && '
                f'echo "$said" | grep -q {shlex.quote(self.awaited.replace("[", chr(92) + "["))}')


def steps(text):
    lines = re.sub(r'\\\n *', '', text)
    return [Step(who.rstrip('#:'), what) for who, what in re.findall(
        r'^ {7,8}(n1#|n2#|both#|client#|by hand:) (.*)$', lines, re.M)]


def packages():
    return tuple(re.search(r'both# apt-get install (.*)', chapter(CHAPTER))[1].split())


class Hands(pair_guests.Case):
    """Do on the nodes what the chapter says."""

    PACKAGES = packages()

    # What stands between the commands.

    def fill(self, text):
        """Host keys as they are here."""
        for node in self.nodes:
            text = text.replace(f'"ssh-ed25519 AAAA...{node.name}"', f'"{node.host_key}"')
        return text

    def type_configuration(self):
        """Of step 5 on both, and on n1 of the chapter on fencing, with the addresses there are."""
        for node in self.nodes:
            node.write('/etc/xnbd/confsync.conf',
                       self.fill(block(chapter(CHAPTER), '/etc/xnbd/confsync.conf')))
        text = block(chapter(FENCING), '/etc/xnbd/stonith.conf')
        for pdu, old in zip(self.pdus, ('192.0.2.11', '192.0.2.12')):
            self.assertIn(old, text)
            text = text.replace(old, pdu.address)
        text = text.replace('stonith { ', f'stonith {{ deadline = {DEADLINE} ')
        text = re.sub('delay = [0-9]+', f'delay = {DELAY}', text)
        text = text.replace('profile = ', f'timeout = {ANSWER} profile = ')
        self.n1.write('/etc/xnbd/stonith.conf', text)
        self.n1.run('install -d -m 700 /etc/xnbd/secret')
        for pdu in self.pdus:
            for kind, secret in (('auth', stonith_fixture.AUTH), ('priv', stonith_fixture.PRIV)):
                self.n1.write(f'/etc/xnbd/secret/{pdu.name}.{kind}', f'{secret}\n')
        self.n1.run('chmod 600 /etc/xnbd/secret/*')

    def carry_over(self, node, said):
        """The line for the other node's authorized_keys."""
        other = self.n2 if node is self.n1 else self.n1
        line = re.search(r'^restrict,command=.*$', said, re.M)[0]
        other.run('mkdir -p -m 700 /root/.ssh')
        other.write('/root/.ssh/authorized_keys', f'{line}\n')

    # Typing.

    def type(self, step, name):
        if name == 'by hand':
            self.do(step.command)
        elif step.command.startswith('apt-get '):
            pass  # is there
        elif name == 'client':
            self.type_here(step)
        else:
            self.type_there(step, self.nodes[pair_guests.NAMES.index(name)])

    def do(self, what):
        """With hands."""
        n2, left = self.n2, self.pdus[0]
        {'pull the first cable of each machine': lambda: self.cables(False, True),
         'plug it in again, and pull the second one': lambda: self.cables(True, False),
         'plug in both again': lambda: self.cables(True, True),
         'pull the network cable of the PDU left': left.freeze,
         'pull both power plugs of n2': lambda: n2.plug(False),
         'plug in all three again': lambda: (left.thaw(), n2.plug(True))}[what]()

    def cables(self, *plugged):
        """Of each node."""
        for node in self.nodes:
            for i, is_in in enumerate(plugged):
                node.guest.qmp('set_link', name=f'lan{i}', up=is_in)
        self.switch.forget()

    def type_there(self, step, node):
        if 'sysrq-trigger' in step.command:
            node.last_words(step.command)
        elif step.is_awaited or step.command.startswith('crm '):
            effect = TAKES_EFFECT.get(step.command, 'true')
            step.said.append(node.until(f'{step.script()} && {effect}', step.command))
        else:
            step.said.append(node.run(step.script()))
        if step.command == 'xnbd-confsync init':
            self.carry_over(node, step.said[-1])
        if step.command == 'xnbd-confsync init' and node is self.n2:
            self.type_configuration()


class Readme(Hands):
    load = writer = None

    def type_here(self, step):
        """The host plays a client; "&" is a program that goes on."""
        command = step.command.replace('reconnect-delay=60', f'reconnect-delay={PATIENCE}')
        if not command.endswith('&'):
            step.said.append(self.host.run('sh', '-c', command))
            return
        with open(self.path('writer'), 'w') as out:
            self.writer = self.spawn([*self.host.prefix, 'sh', '-c', command[:-1]], stdout=out,
                                     start_new_session=True)
        self.addCleanup(self.end_writer)

    def end_writer(self):
        """The shell that tells qemu-io what to do; this one then ends by itself."""
        if self.writer.is_alive():
            os.killpg(self.writer.pid, signal.SIGKILL)

    def writes(self):
        return xtest.text_of(self.path('writer')).count('wrote 65536/65536')

    # The kernel's client.

    def attach(self):
        # A pause of minutes is none here, and no reason for the kernel to complain.
        self.client.run('dmesg -c >/dev/null; echo 0 >/proc/sys/kernel/hung_task_timeout_secs')
        self.client.start('nbd_keep', '0', f'nbd://192.0.2.10/{KERNEL_DISK}', '1', str(PATIENCE))
        self.client.run('until [ $(cat /sys/block/nbd0/size) -gt 0 ]; do usleep 100000; done')
        self.client.run(f'mkfs.ext4 -q /dev/nbd0 && mkdir -p {FOLDER} && '
                        f'mount -t ext4 /dev/nbd0 {FOLDER}', seconds=pair_guests.SECONDS)
        self.load = kernel_client.Load(self.client, f'{FOLDER}/file', '1m', pause=2)

    def goes_on(self):
        """Both clients do, since now."""
        before = self.writes()
        xtest.wait_for(lambda: self.writes() > before + 2, 'writes go on', pair_guests.SECONDS)
        rounds = self.load.rounds()
        xtest.wait_for(lambda: self.load.rounds() > rounds, 'fio goes on', pair_guests.SECONDS)

    def test_chapter(self):
        done, said = steps(chapter(CHAPTER)), {}
        self.assertGreater(len(done), 95)
        with self.step('bare machines boot'):
            self.boot()
        for step in done:
            for name in step.who:
                with self.step(f'{name}# {step.command}'):
                    self.type(step, name)
            if step.command.endswith(f'/{KERNEL_DISK}'):
                with self.step('a file system on it'):
                    self.attach()
            if self.load and (step.awaited.startswith('unblock') or name == 'client'):
                with self.step('clients go on'):
                    self.goes_on()
            said.setdefault(step.command, []).extend(step.said)
        self.check(said)

    def check(self, said):
        """What the text between the commands says."""
        with self.step('what clients have seen'):
            self.goes_on()
            kernel_client.end(self.load)
            self.assertEqual(re.findall(kernel_client.COMPLAINTS, self.client.run('dmesg')), [])
            self.client.run(f'umount {FOLDER}')
            self.assertEqual(re.findall('(?i)error|failed', xtest.text_of(self.path('writer'))), [])
            self.assertEqual(self.writer.stderr(), '')
        # The test shot and the death; the plugs and the race.
        self.assertEqual([len(n.cuts) for n in self.nodes], [2, 2])
        self.assertIsNone(self.power.fault)
        self.assertEqual([pdu.relays('1', '2') for pdu in self.pdus], [['on', 'on']] * 2)
        waits = next(text for text in said['crm_mon -1'] if 'n2: UNCLEAN' in text)
        self.assertNotRegex(waits, r'\b(data|wrapper|address)\s.*Started n1')
        self.assertIn('test shot', said['xnbd-stonith audit'][-1])
        self.assertIn('xnbd.owner=n2', said['vgs -o vg_name,vg_tags vg_pair'][0])
        self.assertIn('n1', said['stonith_admin --history n1'][0])
        for text in said['xnbd-confsync status']:
            self.assertIn('xnbd: in step', text)


if __name__ == '__main__':
    xtest.main()
