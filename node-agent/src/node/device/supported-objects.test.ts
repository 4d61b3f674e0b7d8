// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { checkSupported } from './supported-objects.ts';

const qp = (lqpn: number, type: string, pid?: number) => {
  return { lqpn, type, state: 'RTS', ...(pid === undefined ? {} : { pid }) };
};

describe('queue pairs', () => {
  it('of type RC, and the kernel’s own, are accepted', () => {
    checkSupported('rxe0', { qp: [qp(1, 'GSI'), qp(17, 'RC', 40), qp(18, 'RC', 41)] });
    checkSupported('rxe0', { qp: [] });
  });

  it('of a thread that has ended are refused too', () => {
    expect(() => checkSupported('rxe0', { qp: [qp(1, 'GSI'), qp(18, 'UD')] })).toThrow(
      /A process has queue pair 18 of type UD/,
    );
  });

  it.each(['UD', 'UC', 'XRC_TGT'])('of type %s are refused by number', (type) => {
    expect(() => checkSupported('rxe0', { qp: [qp(17, 'RC', 40), qp(18, type, 41)] })).toThrow(
      expect.objectContaining({
        code: 'UnsupportedObject',
        message: expect.stringContaining(`Process 41 has queue pair 18 of type ${type}`) as string,
      }),
    );
  });
});
