// SPDX-License-Identifier: Apache-2.0
// A target from its create gate to its end, crashed at what matters.
import { beforeEach, describe, expect, it } from 'vitest';
import { proposeDecision, migrationRequests } from '../../../../kube/src/index.ts';
import { NAMESPACE, REQUEST_UID } from '../../testing/objects.ts';
import {
  api,
  containers,
  create,
  gates,
  have,
  images,
  journal,
  node,
  put,
  record,
  restartAgent,
  resumeGate,
  run,
  runs,
  stage,
  state,
  status,
} from '../../testing/target-agent.ts';
import { criuFailed } from '../../testing/target-node.ts';

describe('a target of several containers', () => {
  const states = () => status()?.targetAgent?.containers?.map((one) => one.state);
  beforeEach(async () => {
    have(['side', 'main', 'more']);
    put();
    await images();
  });

  it('opens all gates once the last container is there', async () => {
    const gates: Promise<void>[] = [];
    for (const [at, name] of containers.entries()) {
      const created = create(`c${at}`, name);
      if (at === 0) await runs(1);
      else {
        await run();
        expect([status()?.decision, node.ran, node.locked]).toEqual([undefined, 0, true]);
      }
      expect(await created).toBe('restore');
      await run();
      expect(states()?.[at]).toBe('Restoring');
      gates.push(resumeGate(name));
    }
    await run();
    await Promise.all(gates);
    expect([node.ran, node.killed, stage(), state()]).toEqual([3, 0, 'Running', 'Running']);
    expect(states()).toEqual(['Running', 'Running', 'Running']);
    // What they share was there before the first of them, and not replaced beneath it.
    expect([node.prepared, node.unpacked]).toEqual([3, ['side']]);
  });

  it('is torn down as a whole if one cannot be restored', async () => {
    void create('c0', 'side');
    await run();
    const first = resumeGate('side');
    void create('c1', 'main');
    await run();
    node.outcomes['main'] = criuFailed;
    await runs();
    await first;
    expect([node.ran, node.killed, stage()]).toEqual([0, 1, 'TornDown']);
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'RestoreFailed' });
    expect(status()?.decision?.message).toMatch(/^Container main: CRIU said no/);
  });

  it('is torn down as a whole if the kubelet restarts a container that waits', async () => {
    void create('c0', 'side');
    await run();
    const first = resumeGate('side');
    void create('c9', 'side');
    await runs();
    await first;
    expect([node.ran, node.killed, stage()]).toEqual([0, 1, 'TornDown']);
  });

  it('continues where it was when its agent is restarted between two containers', async () => {
    void create('c0', 'side');
    await run();
    void resumeGate('side');
    await restartAgent();
    const first = resumeGate('side');
    await run();
    expect([states(), status()?.decision]).toEqual([
      ['AtResumeGate', 'Preparing', 'Preparing'],
      undefined,
    ]);
    const rest: Promise<void>[] = [];
    for (const name of ['main', 'more']) {
      void create(`c-${name}`, name);
      await run();
      rest.push(resumeGate(name));
    }
    await run();
    await Promise.all([first, ...rest]);
    expect([node.ran, node.unpacked]).toEqual([3, ['side']]);
  });

  it('whose agent dies between two opened gates opens the others', async () => {
    for (const name of containers) {
      void create(`c-${name}`, name);
      await run();
      if (name !== 'more') void resumeGate(name);
    }
    const last = resumeGate('more');
    record('Committed');
    await journal.change(REQUEST_UID, 'target', (now) => ({ ...now!, stage: 'Resuming' }));
    gates.openResumeGate(REQUEST_UID, 'side');
    await Promise.resolve();
    expect(node.ran).toBe(1);
    await restartAgent();
    await last;
    const again = ['main', 'more'].map((name) => resumeGate(name));
    await runs();
    await Promise.all(again);
    expect([node.ran, node.killed, stage(), state()]).toEqual([3, 0, 'Running', 'Running']);
  });

  it('resumes with a container that CRIU restores again long after the last container has started', async () => {
    have(['side', 'main']);
    for (const name of containers) {
      void create(`c-${name}`, name);
      await run();
      if (name === 'side') void resumeGate(name);
    }
    // CRIU of the first container that passes its gate dies: the sidecar's. It detaches from the other.
    node.endsAtGate = true;
    void resumeGate('main');
    await runs(1);
    expect([node.ran, node.outcomes, stage()]).toEqual([
      1,
      { side: criuFailed, main: 'Detached' },
      'AtResumeGate',
    ]);
    // The kubelet starts the sidecar again when the create of the last container has long returned.
    await journal.change(REQUEST_UID, 'target', (now) => ({
      ...now!,
      containers: now!.containers.map((one) => ({ ...one, since: (one.since ?? 0) - 101_000 })),
    }));
    const again = create('c-side-2', 'side');
    await runs(1);
    expect(await again).toBe('restore');
    void resumeGate('side');
    await runs();
    expect([node.ran, node.killed, stage(), state()]).toEqual([2, 0, 'Running', 'Running']);
  });

  it('restores only the container again that was committed and never ran', async () => {
    for (const name of containers) {
      void create(`c-${name}`, name);
      await run();
      if (name !== 'more') void resumeGate(name);
    }
    // Committed by this agent, which dies before it knows; meanwhile the last container is killed.
    const request = api.peek(migrationRequests, NAMESPACE, 'move');
    if (!request) throw new Error('no request');
    await proposeDecision(api, migrationRequests, request, {
      ...{ outcome: 'Committed', by: 'agent/node-b', reason: 'Committed' },
    });
    await restartAgent();
    node.outcomes['more'] = criuFailed;
    const waiting = ['side', 'main'].map((name) => resumeGate(name));
    await runs(2);
    expect([node.ran, state()]).toEqual([0, 'Restoring']);
    const created = create('c-again', 'more');
    await runs(1);
    expect(await created).toBe('restore');
    const last = resumeGate('more');
    await runs();
    await Promise.all([...waiting, last]);
    expect([node.ran, node.killed, node.prepared]).toEqual([3, 0, 4]);
    expect(node.unpacked).toEqual(['side']);
  });
});
