// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { TARGET_WAIT_MS } from '../../node-agent/src/reconcilers/handover-waits.ts';
import { checkAnswering, newAnsweringRecord } from './answering-check.ts';
import type { Lock, Sandbox } from './node/machine.ts';

const sandbox = (id: string, lock: Lock): Sandbox => ({
  ...{
    id,
    podUid: id,
    application: 'app',
    netns: `/run/netns/a/${id}`,
    taskNetns: '/proc/1/ns/net',
    connected: true,
    lock,
  },
  ...{ device: undefined, hidden: false, announced: true, pending: 0 },
  ...{ hasReplacedFiles: false, gone: false },
});

describe('the check of who answers', () => {
  const source = sandbox('source', 'source');
  const target = (lock: Lock, runs = true) => ({
    ...{ source, target: sandbox('target', lock), targetRuns: runs },
  });

  it('allows a target beside a source that answers after the limit, also after a reset of its node', () => {
    const record = newAnsweringRecord(0);
    expect(checkAnswering(record, target('source'), 0)).toBeUndefined();
    expect(checkAnswering(record, target('none'), TARGET_WAIT_MS)).toBeUndefined();
    const reset = { source, target: undefined, targetRuns: false };
    expect(checkAnswering(record, reset, TARGET_WAIT_MS + 1)).toBeUndefined();
    expect(checkAnswering(record, target('none'), TARGET_WAIT_MS + 2)).toBeUndefined();
  });

  it('allows it after a reset that came between the gates and the unlock', () => {
    const record = newAnsweringRecord(0);
    expect(checkAnswering(record, target('source', false), 0)).toBeUndefined();
    expect(checkAnswering(record, target('source'), TARGET_WAIT_MS)).toBeUndefined();
    const reset = { source, target: undefined, targetRuns: false };
    expect(checkAnswering(record, reset, TARGET_WAIT_MS + 1)).toBeUndefined();
    expect(checkAnswering(record, target('none'), TARGET_WAIT_MS + 2)).toBeUndefined();
  });

  it('finds a target that is resumed earlier, also if a reset has interrupted its wait', () => {
    const record = newAnsweringRecord(0);
    expect(checkAnswering(record, target('source', false), 0)).toBeUndefined();
    const reset = { source, target: undefined, targetRuns: false };
    expect(checkAnswering(record, reset, TARGET_WAIT_MS)).toBeUndefined();
    expect(checkAnswering(record, target('none'), TARGET_WAIT_MS + 1)?.[0]).toBe('BothAnswer');
  });
});
