# SPDX-License-Identifier: GPL-2.0-or-later
"""The seven false successes (tests/lib/stonith_seven.py) against our agents and the distribution's
on the same PDU: ours must be right in every one. What the others do is printed, not judged, as a
distribution may mend them; but fence_apc_snmp of Debian 12 is known to be wrong, and must be seen
to be: that is the control, which shows that this test would notice. bench/stonith makes a table of
the same.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import stonith_agents  # noqa: E402
import stonith_seven  # noqa: E402
import xtest  # noqa: E402


# Situations in which it is, however fast the machine is.
WRONG = ('1', '2', '3', '4', '6a', '6d', '7')


class FalseSuccess(stonith_seven.Case):

    def check(self, number):
        situation = next(s for s in stonith_seven.SITUATIONS if s.number == number)
        answers = self.try_all(situation)
        print(f'\n{number}: {situation.text}')
        for agent, answer in answers.items():
            print(f'    {agent:18}{answer.text() if answer else "-"}')
        for agent in stonith_seven.OURS:
            answer = answers[agent]
            self.assertFalse(answer.is_false(), f'{agent}: {answer.said}')
            self.assertEqual(answer.claims_off, situation.can_succeed, f'{agent}: {answer.said}')
        if number in WRONG and stonith_agents.are_known():
            answer = answers['fence_apc_snmp']
            self.assertTrue(answer.is_false(), answer.said)


for _situation in stonith_seven.SITUATIONS:
    setattr(FalseSuccess, f'test_{_situation.number}',
            lambda self, number=_situation.number: self.check(number))


if __name__ == '__main__':
    xtest.main(at_once=3)
