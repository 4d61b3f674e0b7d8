// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { top } from '../src/command.ts';
import { allArmedMoves, coveredPoints, pointsWithoutAgent } from './points.ts';

describe('the plan of fault points', () => {
  it('has all fault points of docs/faults.md, and no other', () => {
    const text = readFileSync(`${top}/docs/faults.md`, 'utf8');
    const listed = [...text.matchAll(/^\| `([a-z]+\.[a-zA-Z_-]+)` \|/gm)].map((match) => match[1]);
    expect([...coveredPoints(), ...pointsWithoutAgent].sort()).toEqual(listed.sort());
  });

  it('arms at most one point per move that ends the move', () => {
    const ends =
      /^(source\.(lock|hold|freeze|dump|transfer)|target\.(prepare|lock|hide|hold|files)|plugin\.(dump|restore\.(context|memory|gate\.before))|driver\.(dump_(?!context|naks)\w+|find_fd|hint|restore_\w+|adopt)|receiver\.store|shim\.(create|mark))\b/;
    for (const { points, decision, name } of allArmedMoves) {
      const fatal = points.filter(({ point }) => ends.test(point));
      expect(fatal.length, name).toBeLessThanOrEqual(decision === 'Committed' ? 0 : 1);
    }
  });
});
