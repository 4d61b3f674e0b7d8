// SPDX-License-Identifier: Apache-2.0
// A target from its create gate to its end, crashed at what matters.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { proposeDecision, migrationRequests } from '../../../../kube/src/index.ts';
import { AgentError } from '../../support/errors.ts';
import { Journal } from '../../support/journal/journal.ts';
import { migration, NAMESPACE, REQUEST_UID } from '../../testing/objects.ts';
import {
  api,
  connections,
  create,
  dir,
  gates,
  images,
  journal,
  node,
  pass,
  put,
  receive,
  record,
  restartAgent,
  resumeGate,
  run,
  runs,
  stage,
  state,
  status,
  store,
  target,
  toResumeGate,
} from '../../testing/target-agent.ts';
import { criuFailed } from '../../testing/target-node.ts';

describe('a target', () => {
  it('does every step', async () => {
    put();
    await run();
    expect(state()).toBe('Preparing');
    const created = create();
    await run();
    expect(state()).toBe('AtCreateGate');
    receive(true);
    await run();
    expect(state()).toBe('Receiving');
    await images();
    receive(false);
    await target.received(
      migration(),
      '2026-01-01T00:00:01.000000Z',
      '2026-01-01T00:00:02.000000Z',
    );
    await run();
    expect(await created).toBe('restore');
    await run();
    expect([state(), stage()]).toEqual(['Restoring', 'Restoring']);
    const gate = resumeGate();
    await run();
    await gate;
    expect([node.ran, node.locked, stage(), state()]).toEqual([1, false, 'Running', 'Running']);
    expect(status()?.decision).toMatchObject({ outcome: 'Committed', by: 'agent/node-b' });
    expect(status()?.targetAgent?.identity).toEqual({ qpns: [17] });
    const steps = status()?.targetAgent?.steps?.map((step) => step.name);
    expect(new Set(steps)).toEqual(
      new Set(['transfer', 'restore', 'register', 'decide', 'resume']),
    );
    expect(await store.ids()).toEqual([REQUEST_UID]);
    put({ conditions: [succeeded] });
    await run();
    expect(await store.ids()).toEqual([]);
  });

  it('restores only the images that the source has reported to the API server', async () => {
    put();
    const created = create();
    await images();
    const whole = status()?.sourceAgent?.checkpointDigest;
    put({ sourceAgent: { state: 'Transferring', checkpointDigest: undefined } });
    await runs();
    // They have arrived, but from whom?
    expect([state(), stage()]).toEqual(['Receiving', undefined]);
    put({ sourceAgent: { state: 'Sent', checkpointDigest: 'sha256:00' } });
    await runs();
    expect(status()?.decision).toMatchObject({
      outcome: 'Aborted',
      reason: 'ImageCorrupt',
      // There is no checkpoint to take again.
      message: expect.stringMatching(/Create a new MigrationRequest\.$/) as string,
    });
    expect(await created).not.toBe('restore');
    expect(whole).toMatch(/^sha256:/);
  });

  it('acts on the decision that stands, not on the one it wanted', async () => {
    const { gate } = await toResumeGate();
    const seen = api.peek(migrationRequests, NAMESPACE, 'move');
    record('Aborted');
    const peek = api.peek.bind(api);
    api.peek = (() => seen) as unknown as typeof api.peek;
    await runs(1);
    api.peek = peek;
    await gate;
    expect([node.ran, node.killed, node.locked, stage()]).toEqual([0, 1, true, 'TornDown']);
    await runs();
    expect([state(), await store.ids()]).toEqual(['TornDown', []]);
  });

  it('answers the peers, held, until the source is stopped', async () => {
    node.source = () => undefined;
    const { gate } = await toResumeGate();
    const opening = run();
    await vi.waitFor(() => expect(state()).toBe('Answering'));
    expect([node.answers, node.locked, node.ran, stage()]).toEqual([true, true, 0, 'AtResumeGate']);
    put({ sourceAgent: { state: 'Gone' } });
    await opening;
    await gate;
    expect([node.locked, node.ran, stage(), state()]).toEqual([false, 1, 'Running', 'Running']);
  });

  it('is restored again, and answers no peers meanwhile, if it is killed while it answers', async () => {
    node.source = () => {
      node.outcomes['main'] = criuFailed;
      gates.refuseAtResumeGate(REQUEST_UID, 'main', 'killed');
      put({ sourceAgent: { state: 'Gone' } });
    };
    const { gate } = await toResumeGate();
    await runs();
    await gate;
    expect([state(), node.ran, stage()]).toEqual(['Restoring', 0, 'AtResumeGate']);
    const created = create('c2');
    await runs(1);
    expect([await created, node.answers, node.locked]).toEqual(['restore', false, true]);
  });

  it('commits nothing of which a container has left its gate since it was looked at', async () => {
    const { gate } = await toResumeGate();
    node.restorer.identity = () => {
      node.outcomes['main'] = criuFailed;
      connections.abort();
      return Promise.resolve({});
    };
    await runs();
    await gate;
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'RestoreFailed' });
    expect([node.ran, stage()]).toEqual([0, 'TornDown']);
  });

  it('neither runs nor dies while the API server does not answer', async () => {
    const { gate } = await toResumeGate();
    api.reachable = false;
    await runs().catch(() => undefined);
    expect([node.ran, node.killed, node.locked]).toEqual([0, 0, true]);
    api.reachable = true;
    await runs();
    await gate;
    expect([node.ran, node.killed]).toEqual([1, 0]);
  });

  it.each(['resume.before', 'resume.after'] as const)(
    'whose agent dies at %s runs once, and is heard when the next one has looked',
    async (point) => {
      const { gate } = await toResumeGate();
      node.dieAt = point;
      run().catch(() => undefined);
      await node.died.promise;
      await gate;
      expect([stage(), node.ran]).toEqual(['Resuming', 1]);
      await restartAgent();
      await runs();
      expect([node.ran, node.locked, node.killed]).toEqual([1, false, 0]);
      expect([stage(), state()]).toEqual(['Running', 'Running']);
    },
  );

  it('is restored again if CRIU ends between the open gate and the detach', async () => {
    const { gate } = await toResumeGate();
    node.endsAtGate = true;
    await runs(1);
    await gate;
    expect([node.ran, node.locked, stage()]).toEqual([0, true, 'AtResumeGate']);
    const created = create('c1', 'main', Date.now(), 2);
    await runs(1);
    expect([await created, node.prepared, stage()]).toEqual(['restore', 2, 'Restoring']);
    const second = resumeGate();
    await runs();
    await second;
    expect([node.ran, node.locked, stage(), state()]).toEqual([1, false, 'Running', 'Running']);
  });

  it('is restored again if its agent dies too', async () => {
    const { gate } = await toResumeGate();
    record('Committed');
    await journal.change(REQUEST_UID, 'target', (now) => ({ ...now!, stage: 'Resuming' }));
    await restartAgent();
    await gate;
    const created = create('c1', 'main', Date.now(), 2);
    await runs(3);
    expect([await created, node.prepared, stage()]).toEqual(['restore', 2, 'Restoring']);
  });

  it('is restored again if it was committed and never ran', async () => {
    const { gate } = await toResumeGate();
    // Committed by this agent, which dies before it knows.
    const request = api.peek(migrationRequests, NAMESPACE, 'move');
    if (!request) throw new Error('no request');
    await proposeDecision(api, migrationRequests, request, {
      outcome: 'Committed',
      by: 'agent/node-b',
      reason: 'Committed',
    });
    await restartAgent();
    await gate;
    node.outcomes['main'] = criuFailed;
    await runs();
    expect([state(), node.ran]).toEqual(['Restoring', 0]);
    const created = create('c2');
    await runs(1);
    expect(await created).toBe('restore');
    expect(node.prepared).toBe(2);
    const second = resumeGate();
    await runs();
    await second;
    expect([node.ran, stage(), state()]).toEqual([1, 'Running', 'Running']);
    // And not a third time.
    node.outcomes['main'] = criuFailed;
    void create('c3');
    await runs();
    expect([node.prepared, state()]).toEqual([2, 'Running']);
  });

  it('is restored again where the kubelet may give up its start any moment', async () => {
    put();
    const created = create('c1', 'main', Date.now() - 101_000);
    await images();
    await run();
    await created;
    const gate = resumeGate();
    await runs();
    await gate;
    expect(status()?.decision).toMatchObject({ outcome: 'Committed' });
    expect([node.ran, node.killed, node.locked, stage()]).toEqual([0, 1, true, 'AtResumeGate']);
    node.outcomes['main'] = criuFailed;
    const again = create('c2');
    await runs(1);
    expect(await again).toBe('restore');
    const second = resumeGate();
    await runs();
    await second;
    expect([node.ran, stage(), state()]).toEqual([1, 'Running', 'Running']);
  });

  it.each([
    ['a restore that fails', () => (node.outcomes['main'] = criuFailed), 'RestoreFailed'],
    ['a container that is started anew', () => void create('c2'), 'RestoreFailed'],
    ['a deadline', () => pass(101_000), 'BlackoutDeadlineExceeded'],
  ])('gives up on %s', async (_what, happens, reason) => {
    put();
    const created = create();
    await images();
    await run();
    await created;
    happens();
    await runs();
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason, by: 'agent/node-b' });
    expect([stage(), state(), await store.ids()]).toEqual(['TornDown', 'TornDown', []]);
    // CRIU comes to its gate after all.
    const gate = resumeGate();
    await runs();
    await gate;
    expect([node.ran, node.killed]).toEqual([0, 1]);
  });

  it.each([
    ['cannot be prepared', 'DiskFull'],
    ['has a damaged manifest', 'ImageCorrupt'],
  ])('that %s says why', async (what, reason) => {
    put();
    const created = create();
    await images();
    if (reason === 'DiskFull') node.prepareFails = new AgentError('DiskFull', 'no space left');
    else await writeFile(join(store.dir(REQUEST_UID), 'manifest.json'), '{');
    await runs();
    expect(await created, what).toMatch(/aborted/);
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason });
    expect(status()?.targetAgent).toMatchObject({ state: 'TornDown' });
  });

  it('is given up by the same create’s second attempt, whatever CRIU has logged', async () => {
    put();
    const created = create();
    await images();
    await run();
    await created;
    const second = create('c1', 'main', Date.now(), 2);
    await runs();
    expect(await second).toMatch(/aborted/);
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'RestoreFailed' });
  });

  it('is restored once more by the same create, also for an agent that dies before it answers', async () => {
    put();
    void create();
    await images();
    await run();
    record('Committed');
    node.outcomes['main'] = criuFailed;
    await restartAgent();
    const second = create('c1', 'main', Date.now(), 2);
    await runs(1);
    expect([await second, node.prepared, stage()]).toEqual(['restore', 2, 'Restoring']);
    const gate = resumeGate();
    await runs();
    await gate;
    expect([node.ran, node.killed, stage()]).toEqual([1, 0, 'Running']);
  });

  it('removes images that arrive after it was torn down', async () => {
    put();
    record('Aborted');
    await runs();
    await images();
    await runs();
    expect(await store.ids()).toEqual([]);
  });

  it('records a transfer and a restore that end at the same time', async () => {
    put();
    const created = create();
    await images();
    const begun = '2026-01-01T00:00:01.000000Z';
    await Promise.all([
      target.received(migration(), begun, '2026-01-01T00:00:02.000000Z'),
      run(),
      target.received(migration(), begun, '2026-01-01T00:00:02.000000Z'),
    ]);
    await created;
    expect(stage()).toBe('Restoring');
    const { journal: read, unreadable } = await Journal.open(join(dir, 'journal'));
    expect([read.get(REQUEST_UID, 'target')?.stage, unreadable]).toEqual(['Restoring', []]);
  });
});

const succeeded = {
  type: 'Succeeded',
  status: 'True',
  reason: 'Moved',
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
};
