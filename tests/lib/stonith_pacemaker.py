# SPDX-License-Identifier: GPL-2.0-or-later
"""Corosync and Pacemaker on the two nodes of stonith_cluster.py, with an address as the service."""

import shutil
import xml.etree.ElementTree as xml
from xml.sax.saxutils import quoteattr

import netlab
import stonith_cluster
import stonith_pdu
import xtest

HACLUSTER = stonith_cluster.HACLUSTER
PCMK = '/usr/sbin/pacemakerd'
COROSYNC = """totem {{
	version: 2
	cluster_name: lab
	transport: knet
	token: {token}
	consensus: {consensus}
	crypto_cipher: none
	crypto_hash: none
}}
nodelist {{
{nodes}}}
quorum {{
	provider: corosync_votequorum
	two_node: 1
	wait_for_all: 1
}}
logging {{
	to_stderr: no
	to_syslog: no
	to_logfile: yes
	logfile: /var/log/corosync/corosync.log
	timestamp: hires
}}
system {{
	sched_rr: no
	move_to_root_cgroup: no
}}
"""


def attributes(kind, where, values):
    lines = ''.join(f'<nvpair id="{where}-{k}" name="{k}" value={quoteattr(str(v))}/>'
                    for k, v in values.items())
    return f'<{kind} id="{where}">{lines}</{kind}>'


def primitive(name, agent, parameters, monitor='30s'):
    *names, kind = agent.split(':')
    where = ''.join(f' {k}="{v}"' for k, v in zip(('class', 'provider'), names))
    return (f'<primitive id="{name}"{where} type="{kind}">'
            + attributes('instance_attributes', f'{name}-p', parameters)
            + f'<operations><op id="{name}-m" name="monitor" interval="{monitor}" timeout="60s"/>'
              '</operations></primitive>')


class Case(stonith_cluster.Case):
    token, consensus = 3000, 3600  # milliseconds; a node is lost when it is silent for both

    def setUp(self):
        super().setUp()
        self.require('corosync', PCMK, 'crm_mon', 'crm_resource',
                     '/usr/lib/ocf/resource.d/heartbeat/IPaddr2', root=True)
        self.install_agent()

    # Configuration.

    def form(self, devices=None, watch=False):
        """The cluster, with the service on n1. Devices: {node: (agent, parameters)}."""
        if devices is None:
            devices = {n.name: ('stonith:fence_xnbd', {'config': self.config,
                                                       'pcmk_host_list': n.name})
                       for n in self.nodes}
        for n in self.nodes:
            self._prepare(n, self._cib(devices))
            if watch:
                n.daemon(xtest.program('xnbd-stonithd'), '--foreground', f'--config={self.config}')
        self.start_nodes()
        self.wait_well()

    def _prepare(self, n, cib):
        group = [f'pacemaker/{f}' for f in ('cib', 'pengine', 'cores', 'blackbox')]
        folder = n.private('/var/lib', folders=[
            ('corosync', 0o755, 'root:root'), ('xnbd', 0o755, 'root:root'),
            *[(f, 0o750, HACLUSTER) for f in group]])
        stonith_pdu.write(f'{folder}/pacemaker/cib/cib.xml', cib)
        shutil.chown(f'{folder}/pacemaker/cib/cib.xml', 'hacluster', 'haclient')
        n.private('/var/log', folders=[('corosync', 0o755, 'root:root'),
                                       ('pacemaker', 0o770, HACLUSTER)])
        nodes = ''.join(f'\tnode {{\n\t\tring0_addr: {m.address}\n\t\tname: {m.name}\n'
                        f'\t\tnodeid: {m.number}\n\t}}\n' for m in self.nodes)
        n.private('/etc/corosync', [('corosync.conf', COROSYNC.format(
            nodes=nodes, token=self.token, consensus=self.consensus), 0o644)])
        n.daemon('corosync', '-f')
        n.daemon(PCMK, '-f', after='cmap', PCMK_logfile='/var/log/pacemaker/pacemaker.log',
                 PCMK_logfacility='none')

    def _cib(self, devices):
        options = {'stonith-enabled': 'true', 'dc-deadtime': '4s', 'stonith-timeout': '60s'}
        nodes = ''.join(f'<node id="{n.number}" uname="{n.name}"/>' for n in self.nodes)
        things = primitive('service', 'ocf:heartbeat:IPaddr2', {
            'ip': stonith_cluster.SERVICE, 'cidr_netmask': 24, 'nic': netlab.LINK})
        rules = '<rsc_location id="at-first" rsc="service" node="n1" score="10"/>'
        for name, (agent, parameters) in devices.items():
            things += primitive(f'fence-{name}', agent, parameters, '60s')
            rules += (f'<rsc_location id="not-{name}" rsc="fence-{name}" node="{name}" '
                      'score="-INFINITY"/>')
        return ('<cib crm_feature_set="3.0.14" validate-with="pacemaker-3.0" admin_epoch="1" '
                'epoch="1" num_updates="0"><configuration><crm_config>'
                + attributes('cluster_property_set', 'options', options)
                + f'</crm_config><nodes>{nodes}</nodes><resources>{things}</resources>'
                f'<constraints>{rules}</constraints><rsc_defaults>'
                + attributes('meta_attributes', 'defaults', {'resource-stickiness': 100})
                + '</rsc_defaults></configuration><status/></cib>')

    # Looking.

    def view(self, node):
        """What a node thinks: (nodes that are well, {resource: where it runs}); None: nothing."""
        p = node.run('crm_mon', '--one-shot', '--output-as=xml', status=None)
        if p.returncode != 0:
            return None
        tree = xml.fromstring(p.stdout)
        good = {'online': 'true', 'pending': 'false', 'unclean': 'false', 'standby': 'false'}
        well = {n.get('name') for n in tree.iterfind('./nodes/node')
                if all(n.get(k) == v for k, v in good.items())}
        runs = {r.get('id'): [n.get('name') for n in r.iterfind('node')]
                for r in tree.iterfind('./resources//resource')
                if r.get('active') == 'true' and r.get('failed') == 'false'}
        return well, runs

    def is_well(self):
        """Both nodes say that both are there, and where all runs."""
        views = [self.view(n) for n in self.nodes]
        if views[0] is None or views[0] != views[1] or len(views[0][0]) != 2:
            return False
        runs, active = views[0][1], self.active()
        return active and runs.get('service') == [active.name] and all(
            runs.get(f'fence-{n.name}') in (None, [self.other(n).name]) for n in self.nodes) and \
            len(runs) == 3

    def wait_well(self):
        self.until(self.is_well, 'cluster', interval=0.5)

    def tell(self):
        super().tell()
        for n in self.nodes:
            log = f'{n.folder}/bind/var-log/pacemaker/pacemaker.log'
            lines = [t for t in xtest.text_of(log).splitlines()
                     if any(w in t for w in ('error:', 'warning:', 'fence', 'stonith'))]
            print(f'--- {n.name}', *lines[-40:], sep='\n', flush=True)
