#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sm-notify and file systems that are full, fail, or have no locks (case 72 of the reference, and
beyond): peers are told all the same, old contents stay whole, what failed is tried again and said
once.
"""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import sm_fixture  # noqa: E402
import xtest  # noqa: E402

A, B = '127.0.0.11', '127.0.0.12'
line = sm_fixture.line


class FullTest(sm_fixture.Case):
    """72: a small file system, really full."""

    def setUp(self):
        super().setUp()
        self.disk = self.mount('tmpfs', '256k')
        os.chmod(self.disk, 0o755)
        self.state = self.make_state(os.path.join(self.disk, 'nfs'))
        self.set_number(5)

    def fill(self):
        with open(os.path.join(self.disk, 'fill'), 'wb', buffering=0) as f:
            try:
                while True:
                    f.write(bytes(4096))
            except OSError:
                pass

    def empty(self):
        os.unlink(os.path.join(self.disk, 'fill'))

    def start_with_one_silent(self, *args):
        """Told while the disk is full: one of the two records of a peer."""
        self.peers.silent.update((A, B))
        self.both = line(A, 'srv') + line(B, 'srv')
        self.put('sm/peer', self.both)
        d = self.spawn(self.argv(*args))
        xtest.wait_for(lambda: {A, B} <= self.peers.asked, 'first packets')
        self.fill()
        self.peers.silent.discard(A)
        xtest.wait_for(lambda: 'not rewritten' in d.stderr(), 'the failure')
        return d

    def test_72_state(self):
        self.put('sm/peer', line(A, 'srv'))
        self.fill()
        self.assertIn('state: not written: No space', self.notify(status=1))
        self.assertEqual((self.number(), self.peers.asked), (5, set()))
        self.assertEqual(self.names('sm') + self.names('sm.bak'), ['peer'])
        self.assertEqual(sorted(os.listdir(self.state)), ['sm', 'sm.bak', 'state'])
        self.empty()
        self.notify()
        self.assertEqual(self.peers.told, [(A, 'srv', 7)])

    def test_72_record_and_room_again(self):
        d = self.start_with_one_silent()
        time.sleep(2.5)  # it is looked at every second
        self.assertEqual(self.content('sm.bak/peer').decode(), self.both)
        self.assertEqual(self.names('sm.bak'), ['peer'])
        self.assertEqual(d.stderr().count('not rewritten'), 1, d.stderr())
        self.empty()
        xtest.wait_for(lambda: self.content('sm.bak/peer').decode() == line(B, 'srv'),
                       'the rest of the file')
        self.assertEqual(d.stderr().count('not rewritten'), 1, d.stderr())
        self.peers.silent.clear()
        self.assertEqual(d.wait(60), 0, d.stderr())
        self.assertEqual(self.names('sm.bak'), [])

    def test_72_record_until_the_end(self):
        d = self.start_with_one_silent('--retry-seconds', '4')
        self.assertEqual(d.wait(60), 1)
        self.assertEqual(self.content('sm.bak/peer').decode(), self.both)
        self.assertEqual(self.names('sm.bak'), ['peer'])
        self.assertEqual(len(re.findall('warning: .*not rewritten', d.stderr())), 1, d.stderr())
        self.assertEqual(len(re.findall('error: .*not rewritten', d.stderr())), 1, d.stderr())
        self.empty()
        self.peers.silent.clear()
        self.notify('-f')
        self.assertEqual(self.names('sm.bak'), [])


class FailingTest(sm_fixture.Case):
    """Calls that fail one day, made to do so by strace."""

    def run_failing(self, *args, call, error, when='1+', status=0):
        prefix, _ = self.traced(call, '-e', f'inject={call}:error={error}:when={when}')
        return self.notify('--retry-seconds', '20', *args, prefix=prefix, status=status)

    def syncs_before_packets(self):
        prefix, trace = self.traced('fsync,sendto,sendmsg,sendmmsg')
        self.put('sm/peer', line(A, 'srv'))
        self.notify('-f', prefix=prefix)
        calls = re.findall(r'^\d+ +(fsync|send)', trace(), re.MULTILINE)
        self.assertEqual(calls[-1], 'fsync')  # records that went do not come back
        return calls.index('send')

    def test_folder_cannot_be_synced(self):
        """All told, but it is not sure that the record is gone: said, and not success."""
        first = self.syncs_before_packets() + 1
        os.unlink(os.path.join(self.run_dir, os.listdir(self.run_dir)[0]))
        self.peers.told.clear()
        self.put('sm/peer', line(A, 'srv'))
        log = self.run_failing(call='fsync', error='EIO', when=f'{first}+', status=1)
        self.assertEqual(len(self.peers.told), 1)
        self.assertEqual(len(re.findall('warning: .*sm.bak: sync: Input', log)), 1, log)
        self.assertEqual(len(re.findall('error: .*sm.bak: sync: Input', log)), 1, log)
        self.assertIn('all peers notified', log)
        self.assertIn('already', self.notify())  # there is nobody left to tell

    def test_folder_is_synced_later(self):
        first = self.syncs_before_packets() + 1
        os.unlink(os.path.join(self.run_dir, os.listdir(self.run_dir)[0]))
        self.put('sm/peer', line(A, 'srv'))
        log = self.run_failing(call='fsync', error='EIO', when=first)
        self.assertEqual(log.count('sm.bak: sync: Input'), 1, log)

    def test_files_cannot_be_removed(self):
        """Many peers, one reason, one line."""
        for n in range(40):
            self.put(f'sm.bak/peer{n}', line(A, 'srv'))
        log = self.run_failing(call='unlinkat', error='EROFS', status=1)
        self.assertEqual(len(self.peers.told), 40)
        self.assertEqual(len(self.names('sm.bak')), 40)
        self.assertEqual(len(re.findall('warning: .*not rewritten', log)), 1, log)
        self.assertEqual(len(re.findall('error: .*not rewritten', log)), 1, log)

    def test_no_locks(self):
        """A file system without flock(2): notifying twice is better than not at all."""
        for error in ('ENOLCK', 'ENOSYS', 'EBADF', 'EINVAL'):
            self.peers.told.clear()
            self.put('sm/peer', line(A, 'srv'))
            log = self.run_failing('-f', call='flock', error=error)
            self.assertEqual(len(self.peers.told), 1, error)
            self.assertEqual(len(re.findall('warning: .*cannot be locked', log)), 1, log)
            self.assertEqual(self.names('sm') + self.names('sm.bak'), [])
        self.assertIn('already', self.notify())  # that is known without a lock


if __name__ == '__main__':
    xtest.main()
