// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { Executed } from './executed.ts';
import { grownFigures } from './growth.ts';
import { placeFunctions, sectionsOf } from './symbols.ts';

const sections = sectionsOf('.text 0xffffffffc0557000\n.text.unlikely 0xffffffffc0567b9f\n');
const functions = placeFunctions(
  `
0000000000000010 g     F .text	0000000000000008 rxe_post_send
0000000000000020 l     F .text	0000000000000010 rxe_rcv.part.0
0000000000000000 l     F .text.unlikely	0000000000000004 rxe_rcv.cold
0000000000000000 l     F .init.text	0000000000000040 rxe_module_init
0000000000000000 l     O .data	0000000000000040 table
0000000000000030 g     F .text	0000000000000008 .hidden rxe_sender
`,
  sections,
);

const step = (address: string): string =>
  `Trace 0: 0x7fd67ee47340 [0000000000000000/ffffffffc0${address}/18c0c290/ff000201] `;
const stopped = (address: string): string =>
  `Stopped execution of TB chain before 0x7fd67ee47340 [ffffffffc0${address}] `;
const POST = '557010';

function traced(lines: readonly string[]): Executed {
  const executed = new Executed(functions, 'rxe_post_send');
  for (const line of lines) executed.add(line);
  return executed;
}
const countsOf = (lines: readonly string[]): unknown =>
  traced(lines).messages.map((one) => Object.fromEntries(one));

describe('functions of a module', () => {
  it('are where the kernel has loaded their sections, those of sections that are gone left out', () => {
    expect(functions).toEqual([
      { name: 'rxe_post_send', start: 0xc0557010, end: 0xc0557018 },
      { name: 'rxe_rcv', start: 0xc0557020, end: 0xc0557030 },
      { name: 'rxe_sender', start: 0xc0557030, end: 0xc0557038 },
      { name: 'rxe_rcv', start: 0xc0567b9f, end: 0xc0567ba3 },
    ]);
  });
});

describe('the trace', () => {
  it('is counted by message and function, the parts of a function together', () => {
    const message = [step(POST), step('557014'), step('557020'), step('567b9f'), step('557030')];
    expect(countsOf([...message, ...message, step(POST)])).toEqual([
      { rxe_post_send: 2, rxe_rcv: 2, rxe_sender: 1 },
      { rxe_post_send: 2, rxe_rcv: 2, rxe_sender: 1 },
    ]);
  });

  it('counts neither what precedes the first message nor the one that was cut off', () => {
    const lines = [step('557020'), step(POST), step('557014'), step(POST), step('557020')];
    expect(countsOf(lines)).toEqual([{ rxe_post_send: 2 }]);
    expect(countsOf([])).toEqual([]);
  });

  it('counts no other module, and no line of another subject', () => {
    const others = [step('44c5a4'), step('557038'), 'IN: rxe_rcv', ''];
    expect(countsOf([step(POST), ...others, step(POST)])).toEqual([{ rxe_post_send: 1 }]);
  });

  it('counts a string instruction once', () => {
    expect(
      countsOf([step(POST), step('557020'), step('557020'), step('557020'), step(POST)]),
    ).toEqual([{ rxe_post_send: 1, rxe_rcv: 1 }]);
  });

  it('counts an instruction that an interrupt came before when it is executed', () => {
    const lines = [step('557020'), stopped('557020'), step('44c5a4'), step('557020')];
    expect(countsOf([step(POST), ...lines, step(POST)])).toEqual([
      { rxe_post_send: 1, rxe_rcv: 1 },
    ]);
  });
});

describe('the growth of the path', () => {
  const messages = (rcv: readonly number[], sender = 1): Executed =>
    traced([
      ...rcv.flatMap((count) => [
        step(POST),
        ...Array.from({ length: count }, (_, at) => step((0x557020 + at).toString(16))),
        ...(sender === 0 ? [] : [step('557030')]),
      ]),
      step(POST),
    ]);

  const rcvOf = (own: readonly number[], stock: readonly number[]) =>
    grownFigures('SEND', messages(own), messages(stock), 4).find(
      (one) => one.name === 'SEND: rxe_rcv',
    );

  it('is judged by the medians of both drivers', () => {
    expect(rcvOf([8, 8, 8, 14], [4, 4, 4, 9])).toMatchObject({ value: 8, floor: 4, met: true });
  });

  it('is not what a message has left for the next one', () => {
    expect(rcvOf([9, 3, 9, 3, 9], [6, 6, 6])).toMatchObject({ value: 6, floor: 6, met: true });
  });

  it('does not meet the goal if a function executes five more', () => {
    const figures = grownFigures('SEND', messages([9]), messages([4]), 4);
    expect(figures.filter((one) => one.met === false).map((one) => one.name)).toEqual([
      'SEND: rxe_rcv',
    ]);
  });

  it('counts a function that only one of both executes, and all of them together', () => {
    const figures = grownFigures('SEND', messages([4]), messages([4], 0), 4);
    expect(figures.map((one) => [one.name, one.value, one.floor])).toEqual([
      ['SEND: rxe_post_send', 1, 1],
      ['SEND: rxe_rcv', 4, 4],
      ['SEND: rxe_sender', 1, 0],
      ['SEND: all of the module', 6, 5],
    ]);
  });

  it('is no figure if no message was traced to its end', () => {
    expect(() => grownFigures('SEND', messages([]), messages([4]), 4)).toThrow(/SEND: no message/);
  });
});
