# SPDX-License-Identifier: GPL-2.0-or-later
"""The same change carried by three tools: rsync with a list of files, csync2, and ours.

Each has on both nodes a folder /etc/NAME/ and a listed file /etc/NAME.conf. go() brings n1's
changes to n2 as its users do and returns (exit status, what was printed).
"""

import shlex
import subprocess
import xtest

CSYNC2 = '/usr/sbin/csync2'
CSYNC2_CFG = """nossl * *;
group pair {{ host n1; host n2; key /etc/csync2.key_pair;
include /etc/csync2; include /etc/csync2.conf; auto none; {more} }}
"""
COMMAND = 'grep -q good {root}/etc/{name}/service.conf'  # what a service says of its file


class Tool:
    def __init__(self, case):
        self.case, self.n1, self.n2 = case, case.n1, case.n2
        self.folder, self.listed = f'/etc/{self.name}', f'/etc/{self.name}.conf'
        self.set_up()

    def set_up(self):
        pass

    def at(self, name):
        return f'{self.folder}/{name}'

    def begin(self, files):
        """N1 has FILES {name: text}; brought to n2, which has nothing."""
        for name, text in files.items():
            self.n1.write(self.at(name), text)
        self.n1.write(self.listed, 'listed', 0o600)
        status, text = self.go()
        self.case.assertEqual(status, 0, text)
        self.case.assertEqual(self.n1.tree(self.folder), self.n2.tree(self.folder), text)

    def go(self):
        p = self.n1.run(*self.argv(), status=None)
        return p.returncode, p.stdout + p.stderr

    def version(self):
        p = subprocess.run(['dpkg-query', '-W', '-f', '${Version}', self.name],
                           capture_output=True, text=True)
        return p.stdout.strip() or 'unknown'


class Rsync(Tool):
    """With the options of the old cluster how-tos."""
    name = 'rsync'

    def set_up(self):
        self.n1.write('/etc/list', f'# cluster\n{self.folder}/\n{self.listed}\n')

    def argv(self):
        return ['rsync', '-avrR', '--delete', '--files-from=/etc/list', '-e',
                shlex.join(['ssh', *self.n1.ssh_options()]), '/', f'{self.n2.address}:/']


class Csync2(Tool):
    name = 'csync2'

    def set_up(self):
        self.command = getattr(self.case, 'reload', False)
        more = f'action {{ exec "{self.service()}"; logfile "/var/log/csync2"; do-local; }}' \
            if self.command else ''
        for node in (self.n1, self.n2):
            node.write('/etc/csync2.cfg', CSYNC2_CFG.format(more=more))
            node.write('/etc/csync2.key_pair', 'abcdefgh' * 8, 0o600)
            node.write('/var/lib/csync2/.keep', '')
            server = node.spawn(*self.base(node), '-ii')
            xtest.wait_for(lambda: not server.is_alive() or ':30865 ' in node.run('ss', '-ltn'),
                           'csync2')

    def service(self):
        return COMMAND.format(root='', name=self.name)

    @staticmethod
    def base(node):
        return [CSYNC2, '-N', node.name, '-D', '/var/lib/csync2']

    def argv(self):
        return [*self.base(self.n1), '-x', '-r', '-v']


class Confsync(Tool):
    name = 'confsync'

    def set_up(self):
        words = {'paths': [f'{self.folder}/', self.listed], **getattr(self.case, 'keys', {})}
        command = COMMAND.format(root='{}', name=self.name)
        if getattr(self.case, 'validate', False):
            words['validate'] = command.format('%r')
        if getattr(self.case, 'reload', False):
            words['reload'] = command.format('')
        sets = [('pair', words), *getattr(self.case, 'more_sets', [])]
        self.case.configure(*sets)

    def argv(self):
        return self.n1.confsync_argv('push', '--from-here')

    def says(self, node=None):
        """What status says: (exit status, text)."""
        p = (node or self.n1).confsync('status', status=None)
        return p.returncode, p.stdout + p.stderr


TOOLS = (Rsync, Csync2, Confsync)
