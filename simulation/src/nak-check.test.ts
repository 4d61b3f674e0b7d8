// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { TARGET_WAIT_MS } from '../../node-agent/src/reconcilers/handover-waits.ts';
import { checkNak, tellSource, type NakRecord } from './nak-check.ts';
import type { Device, Sandbox } from './node/machine.ts';

const sandbox = (id: string, held: boolean, of: Partial<Device> = {}): Sandbox => ({
  ...{
    id,
    podUid: id,
    application: 'app',
    netns: `/run/netns/a/${id}`,
    taskNetns: '/proc/1/ns/net',
    connected: true,
  },
  ...{ lock: held ? 'source' : 'none', hidden: false, announced: true, pending: 0 },
  ...{ device: { name: 'rxe', held, receivesDatagrams: false, ...of } },
  ...{ hasReplacedFiles: false, gone: false },
});

/** A peer has told the source at 0, and the target answers since then. */
function told(): { record: NakRecord; source: Sandbox } {
  const source = sandbox('source', true);
  const record = tellSource(source, 0);
  if (!record) throw new Error('nobody has heard it');
  return { record, source };
}

describe('the check of what a peer has told the source', () => {
  const at = { targetSince: 0, isReported: false, isOver: false };
  const resumed = sandbox('target', false);

  it('finds a target that resumes before the source has reported', () => {
    const { record, source } = told();
    const held = sandbox('target', true);
    expect(checkNak(record, { ...at, source, target: held }, 10)).toBeUndefined();
    // The source is killed, and its report is under way.
    expect(checkNak(record, { ...at, source, target: resumed }, 20)?.[0]).toBe('LostNak');
  });

  it('finds one that has the report and obeys nothing, or another NAK', () => {
    const { record, source } = told();
    const sides = { ...at, source, isReported: true };
    expect(checkNak(record, { ...sides, target: resumed }, 20)?.[0]).toBe('LostNak');
    const other = sandbox('target', false, { obeyed: { qpn: 17, psn: 9, syndrome: 0x62 } });
    expect(checkNak(record, { ...sides, target: other }, 20)?.[0]).toBe('LostNak');
  });

  it('allows one that obeys it', () => {
    const { record, source } = told();
    const target = sandbox('target', false, { obeyed: record.nak });
    expect(checkNak(record, { ...at, source, target, isReported: true }, 20)).toBeUndefined();
  });

  it('allows one that has waited as long as it has to, and for good', () => {
    const { record, source } = told();
    const sides = { ...at, source, target: resumed };
    expect(checkNak(record, sides, TARGET_WAIT_MS - 1)?.[0]).toBe('LostNak');
    expect(checkNak(record, sides, TARGET_WAIT_MS)).toBeUndefined();
    expect(checkNak(record, { ...sides, isReported: true }, TARGET_WAIT_MS + 1)).toBeUndefined();
  });

  it('allows one whose request has finished or is gone before the source has reported', () => {
    const { record, source } = told();
    const sides = { ...at, source, target: resumed };
    expect(checkNak(record, { ...sides, isOver: true }, 20)).toBeUndefined();
    expect(checkNak(record, sides, 30)).toBeUndefined();
    const other = told();
    const reported = { ...sides, isOver: true, isReported: true };
    expect(checkNak(other.record, reported, 20)?.[0]).toBe('LostNak');
  });

  it('takes a sandbox that is new since a reset for none that was resumed', () => {
    const { record, source } = told();
    const fresh: Sandbox = { ...resumed, lock: 'total' };
    expect(checkNak(record, { ...at, source, target: fresh }, 20)).toBeUndefined();
    expect(checkNak(record, { ...at, source: undefined, target: fresh }, 30)).toBeUndefined();
    expect(checkNak(record, { ...at, source: undefined, target: resumed }, 40)).toBeUndefined();
  });

  it('allows one whose source was lost before', () => {
    const { record } = told();
    const held = sandbox('target', true);
    expect(checkNak(record, { ...at, source: undefined, target: held }, 10)).toBeUndefined();
    expect(checkNak(record, { ...at, source: undefined, target: resumed }, 20)).toBeUndefined();
  });
});
