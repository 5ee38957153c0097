# SPDX-License-Identifier: GPL-2.0-or-later
"""Manual pages of man/ as text: blocks and commands that tests run as they stand there."""

import os
import re

import xtest

MAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'man')


def chapter(page, title='EXAMPLES'):
    text = xtest.text_of(os.path.join(MAN, page)).split(f'\n.Sh {title}\n')[1]
    return text.split('\n.Sh ')[0]


def blocks(page, title='EXAMPLES'):
    """What stands between .Bd and .Ed, each as it is printed."""
    found = re.findall(r'^\.Bd .*\n((?:.*\n)*?)\.Ed$', chapter(page, title), re.M)
    return [block.replace('\\e', '\\') for block in found]


def commands(page, pattern):
    """Lines of EXAMPLES that begin with PATTERN, in their order."""
    return [m.replace('\\(dq', '"') for m in
            re.findall(rf'^(?:\.Dl )?((?:{pattern}) .*)$', chapter(page), re.M)]
