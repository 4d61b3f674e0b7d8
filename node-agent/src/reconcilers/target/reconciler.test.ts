// SPDX-License-Identifier: Apache-2.0
// A target from its create gate to its end, crashed at what matters.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { proposeDecision, migrationRequests } from '../../../../kube/src/index.ts';
import { AgentError } from '../../support/errors.ts';
import { Journal } from '../../support/journal/journal.ts';
import { migration, NAMESPACE, REQUEST_UID, TARGET_UID } from '../../testing/objects.ts';
import {
  api,
  create,
  dir,
  images,
  journal,
  mentionSlowly,
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
  startAgent,
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
    await resumeGate();
    await run();
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

  it('with images from the start reports that it is past its create gate: its blackout begins with that', async () => {
    mentionSlowly();
    await startAgent();
    put({ deadlines: {} });
    await run();
    expect(state()).toBe('Preparing');
    const created = create();
    await images();
    put({ deadlines: {} });
    await runs(1);
    expect([await created, stage(), state()]).toEqual(['restore', 'Restoring', 'Restoring']);
  });

  it('is known by its pod before anything is done to its bundle', async () => {
    put();
    const created = create();
    await images();
    await run();
    await journal.change(REQUEST_UID, 'target', (now) => ({ ...now!, podUid: '' }));
    void created;
    const again = create();
    await run();
    expect([await again, journal.get(REQUEST_UID, 'target')?.podUid]).toEqual([
      'restore',
      TARGET_UID,
    ]);
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
    await toResumeGate();
    const seen = api.peek(migrationRequests, NAMESPACE, 'move');
    record('Aborted');
    const peek = api.peek.bind(api);
    api.peek = (() => seen) as unknown as typeof api.peek;
    await runs(1);
    api.peek = peek;
    expect([node.ran, node.killed, node.locked, stage()]).toEqual([0, 1, true, 'TornDown']);
    await runs();
    expect([state(), await store.ids()]).toEqual(['TornDown', []]);
  });

  it('answers the peers, held, until the source is stopped', async () => {
    node.source = () => undefined;
    await toResumeGate();
    const opening = run();
    await vi.waitFor(() => expect(state()).toBe('Answering'));
    expect([node.answers, node.locked, node.ran, stage()]).toEqual([true, true, 0, 'AtResumeGate']);
    put({ sourceAgent: { state: 'Gone' } });
    await opening;
    expect([node.locked, node.ran, stage(), state()]).toEqual([false, 1, 'Running', 'Running']);
  });

  it('obeys what peers have told the source since the dump: the report that ends its wait has it', async () => {
    const naks = [{ qpn: 17, psn: 3, syndrome: 0x62 }];
    node.source = () => put({ sourceAgent: { state: 'Gone', naks } });
    await toResumeGate();
    await runs();
    expect([node.naks, stage()]).toEqual([naks, 'Running']);
  });

  it('obeys it also if its agent dies before the device has resumed', async () => {
    const naks = [{ qpn: 17, psn: 3, syndrome: 0x62 }];
    node.source = () => put({ sourceAgent: { state: 'Gone', naks } });
    await toResumeGate();
    node.dieAt = 'resume.before';
    run().catch(() => undefined);
    await node.died.promise;
    expect([node.naks, stage()]).toEqual([[], 'Resuming']);
    await restartAgent();
    await runs();
    expect([node.naks, stage()]).toEqual([naks, 'Running']);
  });

  it('is restored again, and answers no peers meanwhile, if it is killed while it answers', async () => {
    node.source = () => {
      node.outcomes['main'] = criuFailed;
      put({ sourceAgent: { state: 'Gone' } });
    };
    await toResumeGate();
    await runs();
    expect([state(), node.ran, stage()]).toEqual(['Restoring', 0, 'AtResumeGate']);
    const created = create('c2');
    await runs(1);
    expect([await created, node.answers, node.locked]).toEqual(['restore', false, true]);
  });

  it('commits nothing of which a container was killed since it was looked at', async () => {
    await toResumeGate();
    node.restorer.identity = () => {
      node.outcomes['main'] = criuFailed;
      return Promise.resolve({});
    };
    await runs();
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'RestoreFailed' });
    expect([node.ran, stage()]).toEqual([0, 'TornDown']);
  });

  it('is not committed by an agent that has restarted and knows nothing of the gate, unless its containers stand frozen', async () => {
    await toResumeGate();
    node.outcomes['main'] = 'Restoring';
    await restartAgent();
    await runs();
    expect([state(), status()?.decision]).toEqual(['Restoring', undefined]);
    node.outcomes['main'] = 'Frozen';
    await runs();
    expect([node.ran, stage(), state()]).toEqual([1, 'Running', 'Running']);
  });

  it('is given up if something else thaws it before the decision', async () => {
    await toResumeGate();
    node.outcomes['main'] = 'Thawed';
    await runs();
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'RestoreFailed' });
    expect(status()?.decision?.message).toMatch(/^Container main was thawed/);
  });

  it('kills CRIU’s tasks if they cannot be frozen', async () => {
    put();
    void create();
    await images();
    await run();
    node.freezeFails = new AgentError('RuntimeFailed', 'no cgroup');
    expect(await resumeGate()).toBe('refused');
    await runs();
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'RestoreFailed' });
  });

  it('keeps the images of a pod that was committed and never ran', async () => {
    await toResumeGate();
    record('Committed');
    node.outcomes['main'] = criuFailed;
    put({ conditions: [{ ...succeeded, status: 'False', reason: 'TargetLost' }] });
    await runs();
    expect([node.ran, await store.ids()]).toEqual([0, [REQUEST_UID]]);
    expect(status()?.targetAgent?.message).toMatch(/Its images stay in/);
  });

  it('neither runs nor dies while the API server does not answer', async () => {
    await toResumeGate();
    api.reachable = false;
    await runs().catch(() => undefined);
    expect([node.ran, node.killed, node.locked]).toEqual([0, 0, true]);
    api.reachable = true;
    await runs();
    expect([node.ran, node.killed]).toEqual([1, 0]);
  });

  it.each([
    ['resume.before', 0],
    ['resume.after', 0],
    ['thaw.after', 1],
  ] as const)(
    'whose agent dies at %s runs once: before the next one has looked %s times',
    async (point, ran) => {
      await toResumeGate();
      node.dieAt = point;
      run().catch(() => undefined);
      await node.died.promise;
      expect([stage(), node.ran]).toEqual(['Resuming', ran]);
      const since = journal.get(REQUEST_UID, 'target')?.resumedAt;
      await restartAgent();
      await runs();
      expect([node.ran, node.locked, node.killed]).toEqual([1, false, 0]);
      expect([stage(), state()]).toEqual(['Running', 'Running']);
      // What ends since then is no success, also if it ends while no agent is there.
      const reported = api.peek(migrationRequests, NAMESPACE, 'move')?.status?.targetAgent;
      expect([since !== undefined, reported?.resumedAt]).toEqual([true, since]);
    },
  );

  it('is restored again if it was committed and never ran', async () => {
    await toResumeGate();
    // Committed by this agent, which dies before it knows.
    const request = api.peek(migrationRequests, NAMESPACE, 'move');
    if (!request) throw new Error('no request');
    await proposeDecision(api, migrationRequests, request, {
      outcome: 'Committed',
      by: 'agent/node-b',
      reason: 'Committed',
    });
    await restartAgent();
    node.outcomes['main'] = criuFailed;
    await runs();
    expect([state(), node.ran]).toEqual(['Restoring', 0]);
    const created = create('c2');
    await runs(1);
    expect(await created).toBe('restore');
    expect(node.prepared).toBe(2);
    await resumeGate();
    await runs();
    expect([node.ran, stage(), state()]).toEqual([1, 'Running', 'Running']);
    // And not a third time.
    node.outcomes['main'] = criuFailed;
    void create('c3');
    await runs();
    expect([node.prepared, state()]).toEqual([2, 'Running']);
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
    expect(await resumeGate()).toBe('refused');
    await runs();
    expect([node.ran, node.killed]).toEqual([0, 0]);
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
