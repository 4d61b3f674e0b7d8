// SPDX-License-Identifier: Apache-2.0
// A source from its first look to its end, crashed at every effect.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { annotations, podCompleted } from '../../../../crds/src/index.ts';
import { migrationRequests, Pod, pods } from '../../../../kube/src/index.ts';
import { AgentError } from '../../support/errors.ts';
import { Diagnostics } from '../../node/diagnostics/diagnostics.ts';
import { Host } from '../../node/host/host.ts';
import { RdmaDriver } from '../../node/device/driver.ts';
import { decision, migration, NAMESPACE, pod, SOURCE_UID } from '../../testing/objects.ts';
import {
  api,
  ask,
  decide,
  dieAt,
  dir,
  effects,
  log,
  pass,
  put,
  run,
  runs,
  stage,
  startAgent,
  status,
  sourceNode,
  type Point,
} from '../../testing/source-agent.ts';

describe('a source', () => {
  it('touches nothing before the target waits and the operator has set the deadline', async () => {
    put({ targetAgent: { state: 'Preparing' } });
    await runs();
    put({ deadlines: {} });
    await runs();
    expect([sourceNode.did, stage(), status()?.sourceAgent?.state]).toEqual([
      [],
      undefined,
      'Waiting',
    ]);
  });

  it('of a dry run is looked at once, and nothing is done to it', async () => {
    ask({ dryRun: true });
    sourceNode.fail = { at: 'look', error: new Error('EIO') };
    put();
    await runs(2);
    expect(status()?.sourceAgent, 'it is tried again').toBeUndefined();
    sourceNode.fail = undefined;
    await runs();
    await startAgent();
    await runs();
    expect(status()?.sourceAgent).toMatchObject({
      state: 'Inspected',
      inspection: { findings: [{ reason: 'UnsupportedObject', message: 'io_uring' }] },
    });
    decide('Aborted');
    await runs();
    expect([sourceNode.did, sourceNode.looked, stage()]).toEqual([[], 1, undefined]);
    expect(status()?.decision?.outcome).toBe('Aborted');
  });

  it('does every step in order, with its pod’s RNR timer', async () => {
    put();
    await run();
    expect(sourceNode.did).toEqual([...effects]);
    expect([sourceNode.held, stage()]).toEqual([9, 'Sent']);
    expect(sourceNode.ahead, 'started while it ran').toBe(migration().metadata.uid);
    expect(status()?.sourceAgent).toMatchObject({
      state: 'Sent',
      checkpointDigest: 'sha256:x',
      identity: { qpns: [17] },
    });
    await run();
    expect(sourceNode.did).toHaveLength(effects.length);
    decide('Committed');
    await runs();
    expect([sourceNode.dead, sourceNode.did.filter((one) => one === 'stop')]).toEqual([
      true,
      ['stop'],
    ]);
    expect([stage(), status()?.sourceAgent?.state]).toEqual(['Gone', 'Gone']);
  });

  it('has its network probes answered before it is locked, and is not locked if that fails', async () => {
    sourceNode.probed = { addresses: ['10.1.0.2'], ports: [80], userAgents: [] };
    sourceNode.fail = { at: 'probes', error: new AgentError('LockFailed', 'no nft_redir') };
    put();
    await runs();
    expect([sourceNode.did, sourceNode.locked]).toEqual([['resume'], false]);
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'LockFailed' });
  });

  it.each(['Preparing', 'AtCreateGate'])(
    'is not locked if its addresses have other indexes on a target that is %s',
    async (state) => {
      const gids = [{ interface: 'net1', index: 1, gid: '::ffff:10.0.0.1' }];
      sourceNode.fail = { at: 'addresses', error: new AgentError('UnsupportedObject', 'index 1') };
      put({ targetAgent: { state, gids } });
      await runs();
      expect([sourceNode.did, stage(), sourceNode.targetGids]).toEqual([[], undefined, gids]);
      expect(status()?.decision).toMatchObject({ outcome: 'Aborted', message: 'index 1' });
    },
  );

  it.each([
    ['an object that cannot be moved was made', 'devices', 'an SRQ'],
    ['something that cannot be moved was opened', 'processes', 'io_uring'],
  ])('is not locked if %s since the inspection', async (_what, at, message) => {
    put({ targetAgent: { state: 'Preparing' } });
    await runs();
    sourceNode.fail = { at, error: new AgentError('UnsupportedObject', message) };
    put();
    await runs();
    expect([sourceNode.did, stage()]).toEqual([[], undefined]);
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', message });
    expect(status()?.decision).toMatchObject({ reason: 'UnsupportedObject' });
  });

  it('has no program of a dump left that waits if it cannot be locked', async () => {
    for (const at of ['devices', 'lock'] as const) {
      sourceNode.fail = { at, error: new AgentError('LockFailed', 'no nftables') };
      put();
      await runs();
      expect([sourceNode.held, sourceNode.ahead]).toEqual([undefined, undefined]);
    }
  });

  it('has its network probes answered once, from the lock on', async () => {
    sourceNode.probed = { addresses: ['10.1.0.2'], ports: [80], userAgents: [] };
    put();
    await run();
    expect(sourceNode.did).toEqual(['probes', 'open probes', ...effects]);
  });

  it('reserves the addresses that its node has given it, before the lock', async () => {
    const status = [
      { name: 'cluster', default: true, ips: ['10.1.0.2'] },
      { name: `${NAMESPACE}/fabric`, ips: ['10.0.0.5', 'fd00::5'] },
      { name: `${NAMESPACE}/fixed`, ips: ['10.9.0.5'] },
    ];
    const own = { [annotations.networkStatus]: JSON.stringify(status) };
    api.put(pods, pod('app', SOURCE_UID, own));
    sourceNode.given = ['10.0.0.5', 'fd00::5', '10.1.0.2'];
    put();
    await run();
    expect(sourceNode.did).toEqual(['reserve 10.0.0.5 fd00::5 of sand', ...effects]);
  });

  it('is not locked if its addresses cannot be reserved', async () => {
    sourceNode.fail = { at: 'reserve', error: new AgentError('LockFailed', 'disk full') };
    put();
    await runs();
    expect([sourceNode.did, sourceNode.locked]).toEqual([['resume'], false]);
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'LockFailed' });
  });

  it('answers the peers until the target does', async () => {
    put();
    await run();
    put({ decision: decision('Committed'), targetAgent: { state: 'AtResumeGate' } });
    const ending = run();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([sourceNode.dead, sourceNode.frozen, stage()]).toEqual([false, true, 'Sent']);
    put({ targetAgent: { state: 'Answering' } });
    await ending;
    expect([sourceNode.dead, stage(), status()?.sourceAgent?.state]).toEqual([
      true,
      'Gone',
      'Gone',
    ]);
  });

  const points = effects.flatMap((name) => [`${name}.before`, `${name}.after`] as Point[]);
  it.each(points)('whose agent dies at %s resumes after Aborted', async (point) => {
    put();
    await dieAt(point);
    decide('Aborted');
    await runs();
    expect([sourceNode.asItWas, stage(), sourceNode.sent]).toEqual([
      true,
      'Resumed',
      point === 'send.after' ? 1 : 0,
    ]);
    expect(status()?.sourceAgent?.state).toBe('Resumed');
  });

  it.each(points)('whose agent dies at %s continues the move', async (point) => {
    put();
    await dieAt(point);
    await runs();
    expect([stage(), sourceNode.frozen, sourceNode.locked, sourceNode.held]).toEqual([
      'Sent',
      true,
      true,
      9,
    ]);
    expect(sourceNode.sent).toBeGreaterThan(0);
    decide('Committed');
    await runs();
    expect([sourceNode.dead, stage()]).toEqual([true, 'Gone']);
  });

  it.each(['resume.before', 'resume.after'] as Point[])('whose agent dies at %s', async (point) => {
    put();
    await run();
    decide('Aborted');
    await dieAt(point);
    await runs();
    expect([sourceNode.asItWas, stage()]).toEqual([true, 'Resumed']);
  });

  it.each(['stop.before', 'stop.after'] as Point[])('whose agent dies at %s', async (point) => {
    put();
    await run();
    decide('Committed');
    await dieAt(point);
    // Not even a sweep that finds no request may resume it from here.
    expect(stage()).toBe('Stopping');
    await runs();
    expect([sourceNode.dead, stage()]).toEqual([true, 'Gone']);
  });

  it('proposes Aborted on a failure, and resumes the pod', async () => {
    put();
    sourceNode.fail = { at: 'dump', error: new AgentError('UnsupportedObject', 'an SRQ') };
    await runs();
    expect(status()?.decision).toMatchObject({
      outcome: 'Aborted',
      by: 'agent/node-a',
      reason: 'UnsupportedObject',
      message: 'an SRQ',
    });
    expect([sourceNode.asItWas, stage()]).toEqual([true, 'Resumed']);
    expect(status()?.sourceAgent).toMatchObject({ state: 'Resumed', reason: 'UnsupportedObject' });
  });

  it('stays frozen as long as the API server does not answer', async () => {
    put();
    sourceNode.fail = { at: 'dump', error: new AgentError('UnsupportedObject', 'an SRQ') };
    await run().catch(() => undefined);
    api.reachable = false;
    await runs();
    expect([sourceNode.frozen, sourceNode.locked]).toEqual([true, true]);
    api.reachable = true;
    await runs();
    expect(sourceNode.asItWas).toBe(true);
  });

  it('stays frozen when its own Aborted comes too late', async () => {
    put();
    await run();
    pass(101_000);
    const late = {
      ...status(),
      decision: decision('Committed'),
      targetAgent: { state: 'Answering' },
    };
    const peek = api.peek.bind(api);
    // The cache still shows the request undecided.
    const seen = peek(migrationRequests, NAMESPACE, 'move');
    api.put(migrationRequests, migration(late));
    api.peek = (() => seen) as unknown as typeof api.peek;
    await runs(1);
    api.peek = peek;
    expect([sourceNode.frozen, status()?.decision?.outcome]).toEqual([true, 'Committed']);
    await runs();
    expect([sourceNode.dead, sourceNode.did.includes('resume')]).toEqual([true, false]);
  });

  it('sends again while the target’s agent does not answer', async () => {
    put();
    sourceNode.fail = { at: 'send', error: new AgentError('TransferFailed', 'connection refused') };
    await runs(2);
    expect([stage(), status()?.decision]).toEqual(['Transferring', undefined]);
    sourceNode.fail = undefined;
    await run();
    expect([stage(), sourceNode.did.filter((one) => one === 'dump')]).toEqual(['Sent', ['dump']]);
  });

  it('begins no further step after the decision', async () => {
    put();
    sourceNode.dieAt = undefined;
    const freeze = sourceNode.checkpointer.freezeTasks.bind(sourceNode.checkpointer);
    sourceNode.checkpointer.freezeTasks = async (of) => {
      await freeze(of);
      decide('Aborted');
    };
    await run().catch(() => undefined);
    expect(sourceNode.did).toEqual(['lock', 'hold', 'freeze']);
    await runs();
    expect([sourceNode.asItWas, stage()]).toEqual([true, 'Resumed']);
    expect(status()?.sourceAgent).not.toHaveProperty('reason');
  });

  it('does not leave a pod frozen when its journal is lost', async () => {
    put();
    await run();
    await rm(join(dir, 'journal'), { recursive: true });
    await startAgent();
    decide('Aborted');
    await runs();
    expect([sourceNode.asItWas, status()?.sourceAgent?.state]).toEqual([true, 'Resumed']);
  });

  it('refuses a pod that cannot be moved before it locks anything', async () => {
    put({ targetAgent: undefined, deadlines: {} });
    sourceNode.fail = { at: 'inspect', error: new AgentError('UnsupportedObject', 'a UD') };
    await runs();
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'UnsupportedObject' });
    expect([sourceNode.did, status()?.sourceAgent?.state]).toEqual([[], 'Resumed']);
  });

  describe('whose pod runs no container before it is locked', () => {
    const podIs = (phase: string, restartPolicy?: string) =>
      api.put(
        pods,
        Pod.parse({
          ...pod('app', SOURCE_UID),
          spec: { containers: [{ name: 'main' }], ...(restartPolicy && { restartPolicy }) },
          status: { phase },
        }),
      );

    it.each([{ targetAgent: undefined, deadlines: {} }, {}])(
      'says as the operator that the pod has completed: %j',
      async (status_) => {
        sourceNode.gone = true;
        podIs('Running', 'OnFailure');
        put(status_);
        await runs();
        expect(status()?.decision, 'its kubelet has not reported it yet').toBeUndefined();
        pass(5000);
        podIs('Succeeded', 'OnFailure');
        await runs();
        expect(status()?.decision).toMatchObject({
          outcome: 'Aborted',
          ...podCompleted('app'),
        });
        await runs();
        expect(status()?.sourceAgent).toMatchObject({ state: 'Resumed', reason: 'PodCompleted' });
        expect(sourceNode.did).toEqual([]);
      },
    );

    it.each([
      ['its kubelet starts it again', 'Running', 'Always', 0],
      ['it has failed', 'Failed', 'Never', 0],
      ['its kubelet reports nothing', 'Running', 'Never', 10_000],
    ])('says that it is lost: %s', async (_why, phase, policy, afterMs) => {
      sourceNode.gone = true;
      podIs(phase, policy);
      put({ targetAgent: undefined, deadlines: {} });
      await runs();
      pass(afterMs);
      await runs();
      expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'SourceLost' });
      await runs();
      expect(status()?.sourceAgent?.state).toBe('Lost');
    });
  });

  it('refuses a pod with an exec session before it holds the device, and then allows exec again', async () => {
    put();
    sourceNode.fail = { at: 'lock', error: new AgentError('ExecSessionOpen', 'Process 7 (sleep)') };
    await runs();
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'ExecSessionOpen' });
    // Only resuming the pod removes the files that keep people out.
    expect([sourceNode.did, status()?.sourceAgent?.state]).toEqual([['resume'], 'Resumed']);
  });

  it('reports where the diagnostics of a failure, or of a cancel, are', async () => {
    class NoDevices extends RdmaDriver {
      override async describe(): Promise<object[]> {
        return [];
      }
    }
    const diagnostics = new Diagnostics({
      ...{ dir: join(dir, 'failures'), nodeName: 'node-a', workRoot: join(dir, 'work'), log },
      ...{ host: new Host({ root: '/' }), driver: new NoDevices() },
    });
    await startAgent(diagnostics);
    put();
    sourceNode.fail = { at: 'dump', error: new AgentError('UnsupportedObject', 'an SRQ') };
    await runs();
    const directory = join(dir, 'failures', 'move-11111111.source');
    const where = `(logs: node node-a, ${directory})`;
    expect(status()?.decision?.message).toBe(`an SRQ ${where}`);
    expect(status()?.sourceAgent?.message).toBe(`an SRQ ${where}`);
    expect(await readdir(directory)).toContain('kernel.log');
    // Nothing failed here: another writer has aborted it.
    await rm(join(dir, 'journal'), { recursive: true });
    await rm(directory, { recursive: true });
    sourceNode.fail = undefined;
    await startAgent(diagnostics);
    put({ decision: undefined, sourceAgent: undefined });
    await run();
    decide('Aborted');
    await runs();
    expect(status()?.sourceAgent?.message).toBe(`The pod resumed on its source node. ${where}`);
    expect(await readdir(directory)).toContain('request.json');
  });

  it('reports a message of any length', async () => {
    put();
    sourceNode.fail = { at: 'dump', error: new AgentError('CheckpointFailed', 'x'.repeat(10_000)) };
    await runs();
    expect(status()?.sourceAgent?.message).toHaveLength(4096);
  });
});
