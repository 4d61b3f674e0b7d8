// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { MigrationRequest } from '../../../crds/src/index.ts';
import { accepted, at, decision, NOW, succeeded } from '../../testing/objects.ts';
import {
  BLACKOUT_LOOK_MS,
  BlackoutLooks,
  isHandingOver,
  mayActByWatches,
  RESUME_LOOK_MS,
} from './blackout-looks.ts';

const committed = decision('Committed');
const request = (source: string | undefined, target: string, more: object = {}): MigrationRequest =>
  accepted({
    deadlines: { prepare: at(300), blackout: at(60) },
    ...(source !== undefined && { sourceAgent: { state: source } }),
    ...{ targetAgent: { state: target }, ...more },
  });
const none = { effects: [], requeueAfterMs: 15_000 };
const allow = { effects: [{ type: 'AllowTraffic' }] };
const abort = { effects: [{ type: 'ProposeAbort' }] };

describe('a request', () => {
  it.each<[string, MigrationRequest, boolean]>([
    ['that has just got its deadline', request(undefined, 'AtCreateGate'), true],
    ['whose source dumps', request('Dumping', 'AtCreateGate'), true],
    ['whose target restores', request('Sent', 'Restoring'), true],
    ['that is committed', request('Sent', 'AtResumeGate', { decision: committed }), true],
    [
      'that is committed and its source stopped',
      request('Gone', 'Answering', { decision: committed }),
      true,
    ],
    ['whose source is gone without a decision', request('Gone', 'Answering'), false],
    ['whose target runs', request('Gone', 'Running', { decision: committed }), false],
    ['whose source has failed', request('Failed', 'AtCreateGate'), false],
    ['whose target has failed', request('Sent', 'Failed'), false],
    ['that is aborted', request('Sent', 'Restoring', { decision: decision('Aborted') }), false],
    ['without a deadline', accepted({ targetAgent: { state: 'AtCreateGate' } }), false],
    [
      'that has ended',
      request('Sent', 'Answering', { conditions: [succeeded('False', 'TargetLost')] }),
      false,
    ],
  ])('%s is handed over: %#', (_what, of, wanted) => {
    expect(isHandingOver(of)).toBe(wanted);
  });

  it.each<[string, MigrationRequest, typeof abort, boolean]>([
    ['a decided one lets Services select the target', request('Sent', 'AtResumeGate', { decision: committed }), allow, true], // prettier-ignore
    ['a decided one does nothing', request('Sent', 'Answering', { decision: committed }), { effects: [] }, false], // prettier-ignore
    ['a decided one deletes its source', request('Gone', 'Answering', { decision: committed }), { effects: [{ type: 'DeleteSource' }] }, false], // prettier-ignore
    ['an undecided one is aborted', request('Sent', 'Restoring'), abort, false],
    ['an undecided one does nothing', request('Sent', 'Restoring'), { effects: [] }, false],
  ])('needs no reading if %s: %#', (_what, of, outlook, wanted) => {
    expect(mayActByWatches(of, outlook)).toBe(wanted);
  });
});

describe('the operator', () => {
  const undecided = request('Holding', 'AtCreateGate');
  const decided = request('Sent', 'AtResumeGate', { decision: committed });

  it('looks at a request that it has not read yet', () => {
    expect(new BlackoutLooks().idleMs(undecided, none, NOW)).toBeUndefined();
  });

  it('does not look at progress, until its watches are old', () => {
    const looks = new BlackoutLooks();
    looks.looked(undecided, NOW);
    expect(looks.idleMs(undecided, none, NOW)).toBe(15_000);
    expect(looks.idleMs(undecided, none, NOW + 20_000)).toBe(10_000);
    expect(looks.idleMs(undecided, none, NOW + BLACKOUT_LOOK_MS)).toBeUndefined();
    looks.looked(undecided, NOW + BLACKOUT_LOOK_MS);
    expect(looks.idleMs(undecided, none, NOW + BLACKOUT_LOOK_MS)).toBe(15_000);
  });

  it('is woken at the next deadline', () => {
    const looks = new BlackoutLooks();
    looks.looked(undecided, NOW);
    expect(looks.idleMs(undecided, { effects: [], requeueAfterMs: 700 }, NOW)).toBe(700);
  });

  it('looks at once if there is something to do', () => {
    const looks = new BlackoutLooks();
    looks.looked(undecided, NOW);
    expect(looks.idleMs(undecided, abort, NOW)).toBeUndefined();
    expect(looks.idleMs(decided, allow, NOW)).toBeUndefined();
  });

  it('does not allow traffic again before its watch can have brought it', () => {
    const looks = new BlackoutLooks();
    expect(looks.idleMs(decided, allow, NOW)).toBeUndefined();
    looks.allowed(decided, NOW + 10);
    expect(looks.idleMs(decided, allow, NOW + 20)).toBe(RESUME_LOOK_MS - 20);
    expect(looks.idleMs(decided, allow, NOW + 10 + RESUME_LOOK_MS)).toBeUndefined();
  });

  it('looks at a committed one when it does not resume, and counts for each anew', () => {
    const looks = new BlackoutLooks();
    looks.looked(undecided, NOW);
    const deletes = { effects: [{ type: 'DeleteSource' }] };
    expect(looks.idleMs(decided, deletes, NOW)).toBe(RESUME_LOOK_MS);
    expect(looks.idleMs(decided, deletes, NOW + 500)).toBe(RESUME_LOOK_MS - 500);
    expect(looks.idleMs(decided, deletes, NOW + RESUME_LOOK_MS)).toBeUndefined();
    looks.forget(decided.metadata.uid);
    expect(looks.idleMs(decided, deletes, NOW + RESUME_LOOK_MS)).toBe(RESUME_LOOK_MS);
  });
});
