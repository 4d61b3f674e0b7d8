// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { COUNTERS_LINE, countersIn, progress, type Counters } from './rdma-counters.ts';

const file = (name: string, device = 'rxe0'): string =>
  `/sys/class/infiniband/${device}/ports/1/hw_counters/${name}`;
const of = (values: Record<string, number>): Counters => new Map(Object.entries(values));

describe('the counters of a device', () => {
  it('are read by name, and added up over devices', () => {
    const text = [
      `${file('rcvd_pkts')}:12`,
      `${file('rcvd_pkts', 'rxe1')}:30`,
      `${file('send_rnr_err')}:0`,
      `grep: ${file('x')}: Invalid argument`,
      'rcvd_pkts:99',
      '',
    ].join('\n');
    expect(countersIn(text)).toEqual(of({ rcvd_pkts: 42, send_rnr_err: 0 }));
    expect(countersIn('')).toEqual(of({}));
  });

  it('are what the shell line prints of such a tree', () => {
    const root = mkdtempSync(join(tmpdir(), 'counters-'));
    try {
      for (const [name, value] of [
        ['rcvd_pkts', '7\n'],
        ['duplicate_request', '0\n'],
      ] as const) {
        const path = join(root, file(name));
        mkdirSync(join(path, '..'), { recursive: true });
        writeFileSync(path, value);
      }
      const line = COUNTERS_LINE.replace('/sys', join(root, 'sys'));
      const printed = execFileSync('/bin/sh', ['-c', line], { encoding: 'utf8' });
      expect(countersIn(printed)).toEqual(of({ rcvd_pkts: 7, duplicate_request: 0 }));
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  const before = of({ rcvd_pkts: 100, duplicate_request: 5, send_rnr_err: 2 });
  it.each<[string, Counters, number | undefined]>([
    ['work that goes on', of({ rcvd_pkts: 400, duplicate_request: 5, send_rnr_err: 2 }), 300],
    ['silence', before, 0],
    [
      'requests that are repeated to one that has them',
      of({ rcvd_pkts: 400, duplicate_request: 305, send_rnr_err: 2 }),
      0,
    ],
    [
      'requests to one that is never ready',
      of({ rcvd_pkts: 400, duplicate_request: 5, send_rnr_err: 302 }),
      0,
    ],
    [
      'answers of one that is never ready',
      of({ rcvd_pkts: 400, duplicate_request: 5, send_rnr_err: 2, rcvd_rnr_err: 300 }),
      0,
    ],
    ['a device that began anew', of({ rcvd_pkts: 3, duplicate_request: 0 }), undefined],
    ['a device that is gone', of({}), undefined],
  ])('tell %s', (_name, after, wanted) => {
    expect(progress(before, after)).toBe(wanted);
  });
});
