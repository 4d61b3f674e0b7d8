// SPDX-License-Identifier: Apache-2.0
// A target from its create gate to its end, crashed at what matters.
import { beforeEach, describe, expect, it } from 'vitest';
import { proposeDecision, migrationRequests } from '../../../../kube/src/index.ts';
import { NAMESPACE } from '../../testing/objects.ts';
import {
  api,
  containers,
  create,
  have,
  images,
  node,
  put,
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

  it('is resumed once the last container is there', async () => {
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
      await resumeGate(name);
    }
    await run();
    expect([node.ran, node.killed, stage(), state()]).toEqual([3, 0, 'Running', 'Running']);
    expect(states()).toEqual(['Running', 'Running', 'Running']);
    // What they share was there before the first of them, and not replaced beneath it.
    expect([node.prepared, node.unpacked]).toEqual([3, ['side']]);
  });

  it('is torn down as a whole if one cannot be restored', async () => {
    void create('c0', 'side');
    await run();
    await resumeGate('side');
    void create('c1', 'main');
    await run();
    node.outcomes['main'] = criuFailed;
    await runs();
    expect([node.ran, node.killed, stage()]).toEqual([0, 1, 'TornDown']);
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'RestoreFailed' });
    expect(status()?.decision?.message).toMatch(/^Container main: CRIU said no/);
  });

  it('is torn down as a whole if the kubelet restarts a container that stands at its gate', async () => {
    void create('c0', 'side');
    await run();
    await resumeGate('side');
    void create('c9', 'side');
    await runs();
    expect([node.ran, node.killed, stage()]).toEqual([0, 1, 'TornDown']);
  });

  it('continues where it was when its agent is restarted between two containers', async () => {
    void create('c0', 'side');
    await run();
    await resumeGate('side');
    await restartAgent();
    await run();
    expect([states(), status()?.decision]).toEqual([
      ['Restoring', 'Preparing', 'Preparing'],
      undefined,
    ]);
    for (const name of ['main', 'more']) {
      void create(`c-${name}`, name);
      await run();
      await resumeGate(name);
    }
    await run();
    expect([node.ran, node.unpacked]).toEqual([3, ['side']]);
  });

  it('restores only the container again that was committed and never ran', async () => {
    for (const name of containers) {
      void create(`c-${name}`, name);
      await run();
      if (name !== 'more') await resumeGate(name);
    }
    // Committed by this agent, which dies before it knows; meanwhile the last container is killed.
    const request = api.peek(migrationRequests, NAMESPACE, 'move');
    if (!request) throw new Error('no request');
    await proposeDecision(api, migrationRequests, request, {
      ...{ outcome: 'Committed', by: 'agent/node-b', reason: 'Committed' },
    });
    await restartAgent();
    node.outcomes['more'] = criuFailed;
    await runs(2);
    expect([node.ran, state()]).toEqual([0, 'Restoring']);
    const created = create('c-again', 'more');
    await runs(1);
    expect(await created).toBe('restore');
    await resumeGate('more');
    await runs();
    expect([node.ran, node.killed, node.prepared]).toEqual([3, 0, 4]);
    expect(node.unpacked).toEqual(['side']);
  });
});
