# SPDX-License-Identifier: GPL-2.0-or-later
"""A root file system for guests that are to be Debian machines: packages of this host with all they
depend on, and files of a test, as an ext4 image.

Nothing comes from anywhere else: the files are those that are installed here, so what a package
needs must be installed, and a package that nobody named is not there. Images are kept in the build
folder as archives of guest_image.py are.
"""

import fcntl
import glob
import os
import re
import shutil
import subprocess
import tempfile

import guest_image
import xtest

# What every machine has before anybody installs anything on it.
BASE = ('systemd', 'systemd-sysv', 'udev', 'kmod', 'dbus', 'iproute2', 'iputils-ping', 'procps',
        'e2fsprogs', 'openssh-server', 'openssh-client')
LEFT_OUT = re.compile(r'/usr/share/(doc|man|info|locale|lintian|bug|perl/5[^/]*/pod|mime|pci|misc)/'
                      r'|/usr/share/(perl|zoneinfo)/|\.(a|pyc)$|/etc/(default/|cron|logrotate)'
                      r'|/usr/lib/udev/hwdb')
MERGED = ('bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32')  # links into /usr
FROM_HOST = ('/etc/passwd', '/etc/group', '/etc/nsswitch.conf')
MADE_AT_INSTALLATION = ('/etc/pam.d/common-*', '/etc/alternatives/*')
IMAGE_BYTES = 768 << 20  # sparse


def installed():
    """{package: what it depends on}, {what is provided: package}, [essential ones]."""
    form = r'${Package}\t${db:Status-Status}\t${Pre-Depends}, ${Depends}\t${Provides}\t' \
           r'${Essential}\n'
    done = subprocess.run(['dpkg-query', '-W', '-f', form], capture_output=True, text=True,
                          check=True)
    depends, provided, essential = {}, {}, []
    for line in done.stdout.splitlines():
        name, state, needs, gives, is_essential = line.split('\t')
        if state != 'installed':
            continue
        depends[name] = [re.findall(r'(?:^|\|)\s*([a-z0-9][a-z0-9+.-]+)', group)
                         for group in needs.split(',')]
        for other in re.findall(r'(?:^|,)\s*([a-z0-9][a-z0-9+.-]+)', gives):
            provided.setdefault(other, name)
        if is_essential == 'yes':
            essential.append(name)
    return depends, provided, essential


def closure(names):
    """These packages, what every machine has, and all that they depend on."""
    depends, provided, essential = installed()
    found, todo = set(), [*names, *BASE, *essential]
    while todo:
        name = todo.pop()
        name = name if name in depends else provided.get(name)
        if name is None or name in found:
            continue
        found.add(name)
        for group in depends[name]:
            here = [n for n in group if n in depends] or [n for n in group if n in provided]
            todo += here[:1]
    return sorted(found)


def missing(names):
    depends, provided, _ = installed()
    return [n for n in (*names, *BASE) if n not in depends and n not in provided]


def files_of(packages):
    """Paths of what they have installed, folders too, without links of folders in them."""
    done = subprocess.run(['dpkg-query', '-L', *packages], capture_output=True, text=True,
                          check=True)
    found = set()
    for path in done.stdout.splitlines():
        if not path.startswith('/') or LEFT_OUT.search(path) or not os.path.lexists(path):
            continue
        folder, name = os.path.split(path)
        found.add(os.path.join(os.path.realpath(folder), name))
    found |= {p for pattern in MADE_AT_INSTALLATION for p in glob.glob(pattern)}
    return found | _compiled(found) | _alternatives(found)


def _compiled(paths):
    """Python's, so that a guest need not compile them at each start."""
    folders = {os.path.dirname(p) for p in paths if p.endswith('.py')}
    return {p for f in folders for p in glob.glob(f'{f}/__pycache__/*.pyc')}


def _alternatives(paths):
    """Names like awk, of programs that are there."""
    found = set()
    for folder in ('/usr/bin', '/usr/sbin'):
        for entry in os.scandir(folder):
            if entry.is_symlink() and os.readlink(entry.path).startswith('/etc/alternatives/') \
                    and os.path.realpath(entry.path) in paths:
                found.add(entry.path)
    return found


def kernel_files(modules):
    """Of the guests' kernel: these modules, what they need, and how modprobe finds them."""
    folder = guest_image.kernel()[1]
    files = {*guest_image.module_files(modules), *glob.glob(f'{folder}/modules.*')}
    return {os.path.join(os.path.realpath(os.path.dirname(p)), os.path.basename(p)) for p in files}


def library_files(programs):
    """What programs that no package has are linked with."""
    found = {p for program in programs for p in guest_image.libraries(program)}
    names = {os.path.join(os.path.realpath(os.path.dirname(p)), os.path.basename(p)) for p in found}
    return names | {os.path.realpath(p) for p in found}


def image(packages, modules, tree, files):
    """Path of the image. TREE: a folder that is laid over all. FILES: {path there: text}."""
    names = closure(packages)
    programs = [os.path.join(where, n) for where, _, found in os.walk(tree) for n in found]
    paths = sorted(files_of(names) | kernel_files(modules) | library_files(programs)
                   | set(FROM_HOST))
    kind = os.path.join(xtest.BUILD, 'vm', f'root-{guest_image.digest(sorted(packages))}')
    content = [sorted(files.items()), *[_version(p) for p in (*paths, *sorted(programs))]]
    path = f'{kind}.{guest_image.digest(content)}.ext4'
    os.makedirs(os.path.dirname(kind), exist_ok=True)
    with open(f'{kind}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            for old in glob.glob(f'{kind}.*.ext4*'):
                os.remove(old)
            _build(path, paths, tree, files)
        return open(path, 'rb')


def _version(path):
    s = os.lstat(path)
    return os.path.basename(path), s.st_size, s.st_mode, 0 if os.path.islink(path) else s.st_mtime


def _build(path, paths, tree, files):
    stage = tempfile.mkdtemp(prefix='xnbd-root-')
    try:
        for name in MERGED:
            os.makedirs(f'{stage}/usr/{name}', exist_ok=True)
            os.symlink(f'usr/{name}', f'{stage}/{name}')
        _copy([p for p in paths if os.path.lexists(p) and p.strip('/') not in MERGED], stage)
        shutil.copytree(tree, stage, symlinks=True, dirs_exist_ok=True)
        for name, text in files.items():
            _write(f'{stage}{name}', text)
        subprocess.run(['ldconfig', '-r', stage], check=True)
        subprocess.run(['touch', f'{stage}/etc/.updated', f'{stage}/var/.updated'], check=True)
        with open(f'{path}.new', 'wb') as f:
            f.truncate(IMAGE_BYTES)
        subprocess.run(['mkfs.ext4', '-q', '-O', '^has_journal', '-d', stage, f'{path}.new'],
                       check=True)
        os.rename(f'{path}.new', path)
    finally:
        shutil.rmtree(stage)


def _copy(paths, stage):
    """With owners, modes and links, as they are here."""
    names = '\n'.join(p.lstrip('/') for p in paths)
    with subprocess.Popen(['tar', '-C', '/', '-cf', '-', '--no-recursion', '-T', '-'],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        with subprocess.Popen(['tar', '-C', stage, '-xpf', '-', '--keep-directory-symlink'],
                              stdin=reader.stdout) as writer:
            reader.stdout.close()
            reader.stdin.write(names.encode())
            reader.stdin.close()
    if reader.returncode or writer.returncode:
        raise RuntimeError(f'tar: {reader.returncode}, {writer.returncode}')


def _write(path, text):
    """A text that begins with "-> " is a link; one that begins with "#!" is a program."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.remove(path)
    if text.startswith('-> '):
        os.symlink(text[3:], path)
        return
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, 0o755 if text.startswith('#!') else 0o644)
