// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { countInstructions } from './object-code.ts';

it('instructions are counted by function, without padding and without what is unlikely', () => {
  const text = `
0000000000000010 <rxe_rcv>:
      10:	endbr64
      14:	nop
      15:	ret
      16:	cs nopw 0x0(%rax,%rax,1)

0000000000000020 <rxe_rcv.part.0>:
      20:	push   %rbp
      21:	ret

0000000000000030 <rxe_rcv.cold>:
      30:	ud2
0000000000000040 <other>:
      40:	ret
      41:	int3
`;
  expect([...countInstructions(text)]).toEqual([
    ['rxe_rcv', 5],
    ['other', 1],
  ]);
});
