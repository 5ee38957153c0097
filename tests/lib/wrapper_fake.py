# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrappers whose servers are wrapper_fakeserver.py: a test says what they answer and sees what they
were asked. For what is hard to bring about with a real server: deaths, silence, refusals."""

import json
import os

import xtest
from wrapper_fixture import WrapperCase

FAKE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'wrapper_fakeserver.py')
URI = 'nbd://192.0.2.1:1/x'  # nobody connects to it here


def query(cached=0, blocks=100, copy='none', origin='connected', **more):
    """What a proxy's server says of itself."""
    return {'block': 4096, 'blocks': blocks, 'cached': cached, 'clients': 0,
            'origin': {'state': origin, 'error': more.pop('origin_error', '')},
            'copy': {'state': copy, 'rate': 0, 'seconds_left': None, 'error': ''}, **more}


class FakeCase(WrapperCase):
    def wrap_fake(self, *args, **options):
        """A later --xnbd-server wins over the fixture's."""
        return self.wrap('--xnbd-server', FAKE, *args, **options)

    def say(self, name, **wishes):
        """What the server of the cache or image `name` answers from now on."""
        path = self.path(name)
        with open(path + '.fake.new', 'w') as f:
            json.dump(wishes, f)
        os.rename(path + '.fake.new', path + '.fake')

    def lines(self, name):
        text = xtest.text_of(self.path(name) + '.asked')
        return [json.loads(line) for line in text.splitlines()]

    def starts(self, name):
        """Command lines it was started with."""
        return [x['argv'] for x in self.lines(name) if 'argv' in x]

    def asked(self, name, cmd=None):
        """Requests it got, or those with this command."""
        return [x for x in self.lines(name) if 'cmd' in x and cmd in (None, x['cmd'])]

    def wait_asked(self, name, cmd, count=1, seconds=10):
        xtest.wait_for(lambda: len(self.asked(name, cmd)) >= count, f'{cmd} is asked', seconds)

    def add_proxy(self, w, name='p', cache='c'):
        w.ctl('--add-proxy', name, URI, self.path(cache), self.path(cache + '.bm'),
              self.path(cache + '.ctl'))

    def images(self, w):
        with open(w.state) as f:
            return json.load(f)['images']


class RealProxyCase(WrapperCase):
    """Real servers, and origins beside them."""

    def setUp(self):
        super().setUp()
        self.origins = []

    def serve_origin(self, image, *args):
        """An xnbd-server that is not the wrapper's, to be ended before it is looked for those."""
        self.origins.append(self.serve(image, *args))
        return self.origins[-1]

    def _settle(self, wrapper):
        for origin in self.origins:
            origin.kill()
        super()._settle(wrapper)
