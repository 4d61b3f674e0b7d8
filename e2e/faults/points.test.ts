// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { top } from '../src/lab.ts';
import { allArmedMoves, coveredPoints, pointsWithoutAgent } from './points.ts';

describe('the walk over the fault points', () => {
  it('leaves none of the list out, and knows no other', () => {
    const text = readFileSync(`${top}/docs/faults.md`, 'utf8');
    const listed = [...text.matchAll(/^\| `([a-z]+\.[a-zA-Z_-]+)` \|/gm)].map((match) => match[1]);
    expect([...coveredPoints(), ...pointsWithoutAgent].sort()).toEqual(listed.sort());
  });

  it('fails in one place at a time where a failure ends the move', () => {
    const ends =
      /^(source\.(lock|hold|freeze|dump|transfer)|target\.(prepare|lock|hide|hold|files)|plugin\.(dump|restore\.(context|memory|gate\.before))|driver\.(dump_\w+|find_fd|hint|restore_\w+|adopt)|receiver\.store|shim\.(create|mark))\b/;
    for (const { points, decision, name } of allArmedMoves) {
      const fatal = points.filter(({ point }) => ends.test(point));
      expect(fatal.length, name).toBeLessThanOrEqual(decision === 'Committed' ? 0 : 1);
    }
  });
});
