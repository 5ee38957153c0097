# SPDX-License-Identifier: GPL-2.0-or-later
"""What families of PDUs have at which object identifiers, for the simulated ones (stonith_pdu.py).

Written from the vendors' tables, not from our table of profiles: where the two disagree, one of them
is wrong and a test fails. Identifiers begin behind 1.3.6.1.4.1; {0} {1} {2} are the numbers of an
outlet's key, {0+1} is a number plus one.
"""

APC_COMMANDS = {1: 'on', 2: 'off', 3: 'reboot', 4: 'late on', 5: 'late off', 6: 'late reboot',
                7: 'cancel'}
APC2_COMMANDS = {1: 'on', 2: 'off', 3: 'reboot', 5: 'late on', 6: 'late off', 7: 'late reboot',
                 8: 'cancel'}
MASTER_COMMANDS = {1: 'on', 2: 'off', 3: 'reboot', 5: 'late on', 6: 'late off', 7: 'late reboot'}


class Family:
    """One way of numbering.

    state        identifier, value of on, value of off
    controls     identifier -> {value: command}; 'timer on' ...: the value is seconds, -1 cancels
    control_read what reading a control gives: 'state', 'timer', 'word' (on and off as in a command)
                 or a number
    pending      identifier, value with a command pending, value without; or None. Values may be
                 dicts: of what is to come, of what the relay is
    going        values of the state while off or on is to come: {'off': 2, 'on': 3}
    usable       identifiers that say whether an outlet can be switched: [(identifier, yes, no)];
                 bytes are an OCTET STRING
    odd          values of the state that are neither on nor off
    """

    def __init__(self, name, system, base, state, controls, keys, control_read='state',
                 pending=None, going=None, usable=(), odd=(), outlet_name=None, watts=None,
                 extra=(), more_names=(), each=()):
        self.name, self.system, self.base = name, system, base
        (self.state, self.on, self.off), self.controls, self.keys = state, controls, keys
        self.control_read, self.pending, self.going = control_read, pending, going or {}
        self.usable, self.odd, self.outlet_name, self.watts = usable, odd, outlet_name, watts
        self.extra = extra  # (identifier without a key, value)
        # For other agents than ours: the name in other places, and (identifier, value) of each.
        self.more_names, self.each = more_names, each


def numbers(count, prefix='', first=1):
    return [f'{prefix}{n}' for n in range(first, first + count)]


FAMILIES = {f.name: f for f in (
    Family('apc-rpdu', '318.1.3.4.5', '318.1.1.12', ('318.1.1.12.3.5.1.1.4.{0}', 1, 2),
           {'318.1.1.12.3.3.1.1.4.{0}': APC_COMMANDS}, numbers(8),
           pending=('318.1.1.12.3.5.1.1.5.{0}', 1, 2), odd=(0, 3, 4),
           outlet_name='318.1.1.12.3.5.1.1.2.{0}',
           extra=(('318.1.1.12.1.8.0', 8), ('318.1.1.12.1.5.0', ('string', 'AP7920'))),
           more_names=('318.1.1.12.3.3.1.1.2.{0}', '318.1.1.12.3.4.1.1.2.{0}'),
           each=(('318.1.1.12.3.4.1.1.6.{0}', 5),)),
    Family('apc-rpdu2', '318.1.3.4.6', '318.1.1.26', ('318.1.1.26.9.2.3.1.5.{0}', 2, 1),
           {'318.1.1.26.9.2.4.1.5.{0}': APC2_COMMANDS}, numbers(8), control_read='word',
           pending=('318.1.1.26.9.2.3.1.6.{0}', 1, 2), odd=(0, 3, 4),
           outlet_name='318.1.1.26.9.2.3.1.3.{0}', watts='318.1.1.26.9.4.3.1.7.{0}'),
    Family('apc-masterswitch', '318.1.3.4.1', '318.1.1.4', ('318.1.1.4.4.2.1.3.{0}', 1, 2),
           {'318.1.1.4.4.2.1.3.{0}': MASTER_COMMANDS}, numbers(8),
           pending=('318.1.1.4.4.2.1.2.{0}', 1, 2), odd=(0, 3, 4),
           outlet_name='318.1.1.4.4.2.1.4.{0}', extra=(('318.1.1.4.4.1.0', 8),)),
    Family('apc-msp', '318.1.3.4.4', '318.1.1.6', ('318.1.1.6.7.1.1.5.{0}.1.{1}', 1, 2),
           {'318.1.1.6.5.1.1.5.{0}.1.{1}': {1: 'on', 2: 'late on', 3: 'off', 5: 'reboot',
                                            8: 'cancel'}},
           numbers(8, '2.'), control_read='word', odd=(0, 3, 4)),
    Family('apc-epdu', '318.1.3.4.9', '318.1.1.30', ('318.1.1.30.6.1.1.4.{0}', 2, 1),
           {'318.1.1.30.6.2.1.4.{0}': {1: 'on', 2: 'off'}}, numbers(8), control_read='word',
           odd=(0, 3, 4)),
    Family('dell-rpdu', '674.10903.200.2.200', '674.10903.200.2.200',
           ('674.10903.200.2.200.130.1.2.1.4.{0}', 1, 2),
           {'674.10903.200.2.200.130.1.4.1.4.{0}': {1: 'on', 2: 'off', 3: 'reboot'}}, numbers(8),
           odd=(0, 3)),
    Family('eaton-g3', '534.6.6.7', '534.6.6.7', ('534.6.6.7.6.6.1.2.{0}.{1}', 1, 0),
           {'534.6.6.7.6.6.1.3.{0}.{1}': 'timer off', '534.6.6.7.6.6.1.4.{0}.{1}': 'timer on',
            '534.6.6.7.6.6.1.5.{0}.{1}': 'timer reboot'},
           numbers(8, '0.'), control_read='timer', going={'off': 2, 'on': 3}, odd=(-1, 4),
           usable=(('534.6.6.7.6.6.1.9.{0}.{1}', 1, 2), ('534.6.6.7.1.2.1.30.{0}', 0, 1)),
           outlet_name='534.6.6.7.6.1.1.3.{0}.{1}', watts='534.6.6.7.6.5.1.3.{0}.{1}',
           extra=(('534.6.6.7.1.1.0', 1),)),
    Family('eaton-managed', '534.6.6.6', '534.6.6.6', ('534.6.6.6.1.2.2.1.3.{0}', 1, 0),
           {'534.6.6.6.1.2.2.1.3.{0}': {0: 'off', 1: 'on', 2: 'reboot'}}, numbers(8, first=0),
           odd=(-1, 2, 3)),
    Family('pulizzi-ipv', '20677.1', '20677', ('20677.2.6.3.{0}.0', 1, 2),
           {'20677.2.6.2.{0+1}.0': {1: 'on', 2: 'off', 3: 'reboot'}}, numbers(8), odd=(0, 3)),
    Family('raritan-px2', '13742.6', '13742.6', ('13742.6.4.1.2.1.3.{0}.{1}', 7, 8),
           {'13742.6.4.1.2.1.2.{0}.{1}': {0: 'off', 1: 'on', 2: 'reboot'}}, numbers(8, '1.'),
           control_read='word', odd=(-1, 0, 1, 9), usable=(('13742.6.3.5.3.1.28.{0}.{1}', 1, 2),),
           outlet_name='13742.6.3.5.3.1.3.{0}.{1}'),
    Family('raritan-px1', '13742.4', '13742.4', ('13742.4.1.2.2.1.3.{0}', 1, 0),
           {'13742.4.1.2.2.1.3.{0}': {0: 'off', 1: 'on', 2: 'reboot'}}, numbers(8),
           odd=(-1, 2, 3)),
    Family('sentry3', '1718.3', '1718.3', ('1718.3.2.3.1.5.{0}.{1}.{2}', 1, 0),
           {'1718.3.2.3.1.11.{0}.{1}.{2}': {0: 'none', 1: 'on', 2: 'off', 3: 'reboot'}},
           numbers(8, '1.2.'), control_read=0, going={'off': 2, 'on': 3}, odd=(4, 5, 6, 7, 8, 9),
           pending=('1718.3.2.3.1.10.{0}.{1}.{2}', {'on': 10, 'off': 11}, {'on': 1, 'off': 0}),
           usable=(('1718.3.2.3.1.4.{0}.{1}.{2}', b'\xe0', b'\xc0'),)),
    Family('sentry4', '1718.4', '1718.4', ('1718.4.1.8.3.1.1.{0}.{1}.{2}', 1, 2),
           {'1718.4.1.8.5.1.2.{0}.{1}.{2}': {1: 'on', 2: 'off', 3: 'reboot'}},
           numbers(8, '1.1.'), control_read=0, odd=(0, 3),
           usable=(('1718.4.1.8.3.1.2.{0}.{1}.{2}', 0, 10),),
           watts='1718.4.1.8.3.1.7.{0}.{1}.{2}'),
    Family('cyberpower-epdu', '3808.1.1.3', '3808.1.1.3', ('3808.1.1.3.3.5.1.1.4.{0}', 1, 2),
           {'3808.1.1.3.3.3.1.1.4.{0}': APC_COMMANDS}, numbers(8),
           pending=('3808.1.1.3.3.5.1.1.5.{0}', 1, 2), odd=(0, 3)),
    Family('cyberpower-epdu2', '3808.1.1.6', '3808.1.1.6', ('3808.1.1.6.6.1.4.1.5.{0}', 1, 2),
           {'3808.1.1.6.6.1.5.1.5.{0}': {1: 'on', 2: 'off', 3: 'reboot', 7: 'cancel'}}, numbers(8),
           pending=('3808.1.1.6.6.1.4.1.6.{0}', 1, 2), odd=(0, 3)),
    Family('vertiv-geist', '21239.5', '21239.5', ('21239.5.2.3.5.1.4.{0}', 1, 2),
           {'21239.5.2.3.5.1.6.{0}': {1: 'cancel', 2: 'on', 4: 'off', 6: 'reboot'}}, numbers(8),
           control_read=8, going={'off': 3, 'on': 4}, odd=(0, 5, 6, 7)),
    Family('liebert-mph', '476.1.42', '476.1.42', ('476.1.42.3.8.50.20.1.95.{0}.{1}.{2}', 2, 1),
           {'476.1.42.3.8.50.20.1.100.{0}.{1}.{2}': {0: 'off', 1: 'on'}}, numbers(8, '1.1.'),
           control_read='word', odd=(0, 3)),
    Family('tripplite', '850.10', '850.10', ('850.10.2.3.5.1.2.1.{0}', 2, 1),
           {'850.10.2.3.5.1.4.1.{0}': {1: 'off', 2: 'on'}}, numbers(8), odd=(0, 3)),
    Family('tripplite-lx', '850.1.1', '850.1.1', ('850.1.1.3.2.3.3.1.1.4.1.{0}', 2, 1),
           {'850.1.1.3.2.3.3.1.1.6.1.{0}': {1: 'off', 2: 'on'}}, numbers(8), odd=(0, 3)),
    Family('ibm-ipdu', '2.6.223', '2.6.223', ('2.6.223.8.2.2.1.11.{0}', 1, 0),
           {'2.6.223.8.2.2.1.11.{0}': {0: 'off', 1: 'on'}}, numbers(8), odd=(-1, 2)),
)}
