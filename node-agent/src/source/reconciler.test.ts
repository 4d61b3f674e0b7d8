// SPDX-License-Identifier: Apache-2.0
// A source from its first look to its end, over a real journal, a real image folder and the real loop; crashed
// at every effect. The node itself is the few flags of World.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fieldManagers, type Decision } from '../../../crds/src/index.ts';
import { migrationRequests, pods } from '../../../kube/src/index.ts';
import { AgentError } from '../errors.ts';
import { Evidence } from '../evidence/evidence.ts';
import { Host } from '../host/host.ts';
import { Journal } from '../journal/journal.ts';
import { handoverLoop } from '../loop.ts';
import { PodRequests } from '../pods/pod-requests.ts';
import { Publisher } from '../publisher.ts';
import { RdmaDriver } from '../rdma-device/driver.ts';
import { MemoryApi } from '../testing/api.ts';
import {
  decision,
  migration,
  NAMESPACE,
  pod,
  REQUEST_UID,
  SOURCE_UID,
} from '../testing/objects.ts';
import { effects, World, type Point } from '../testing/source-node.ts';
import { ImageStore } from '../transfer/store.ts';
import { SourceReconciler } from './reconciler.ts';

const KEY = `${NAMESPACE}/move`;
let dir: string;
let api: MemoryApi;
let world: World;
let journal: Journal;
let source: SourceReconciler;
let stop: AbortController;
let spec: object;

async function startAgent(evidence?: Evidence): Promise<void> {
  ({ journal } = await Journal.open(join(dir, 'journal')));
  world.dieAt = undefined;
  world.died = Promise.withResolvers();
  source = new SourceReconciler({
    api,
    nodeName: 'node-a',
    journal,
    checkpointer: world.checkpointer,
    pods: new PodRequests(api),
    publisher: new Publisher({
      api,
      resource: migrationRequests,
      manager: fieldManagers.sourceAgent,
      field: 'sourceAgent',
    }),
    store: new ImageStore(join(dir, 'images')),
    certificateDir: '/nowhere',
    send: world.send,
    request: () => api.peek(migrationRequests, NAMESPACE, 'move'),
    evidence,
    removeWork: async () => undefined,
  });
}
const log = pino({ level: 'silent' });
const run = async (): Promise<void> => {
  await handoverLoop(source)(KEY, { signal: stop.signal, log });
};
/** As the controller does it: again after every failure. */
const runs = async (times = 4): Promise<void> => {
  for (let n = 0; n < times; n++) await run().catch(() => undefined);
};
const status = () => api.peek(migrationRequests, NAMESPACE, 'move')?.status;
const stage = () => journal.get(REQUEST_UID, 'source')?.stage;
function put(change: object = {}): void {
  const told = status();
  api.put(
    migrationRequests,
    migration(
      {
        targetAgent: { state: 'AtCreateGate' },
        deadlines: { blackout: new Date(Date.now() + 60_000).toISOString() },
        ...(told?.sourceAgent ? { sourceAgent: told.sourceAgent } : {}),
        ...(told?.decision ? { decision: told.decision } : {}),
        ...change,
      },
      {},
      spec,
    ),
  );
}
const decide = (outcome: Decision['outcome']) => put({ decision: decision(outcome) });

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-source-'));
  api = new MemoryApi();
  world = new World();
  stop = new AbortController();
  spec = {};
  api.put(pods, pod('app', SOURCE_UID, { 'sealift.dev/rnr-timer': '9' }));
  await startAgent();
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

/** Runs until the agent dies at this point, and starts another one. */
async function dieAt(point: Point): Promise<void> {
  world.dieAt = point;
  run().catch(() => undefined);
  await world.died.promise;
  await startAgent();
}

describe('a source', () => {
  it('touches nothing before the target waits and the operator has set the deadline', async () => {
    put({ targetAgent: { state: 'Preparing' } });
    await runs();
    put({ deadlines: {} });
    await runs();
    expect([world.did, stage(), status()?.sourceAgent?.state]).toEqual([[], undefined, 'Waiting']);
  });

  it('goes all the way, in order, with the timer that its pod wants', async () => {
    put();
    await run();
    expect(world.did).toEqual([...effects]);
    expect([world.held, stage()]).toEqual([9, 'sent']);
    expect(status()?.sourceAgent).toMatchObject({
      state: 'Sent',
      checkpointDigest: 'sha256:x',
      identity: { qpns: [17] },
    });
    await run();
    expect(world.did).toHaveLength(effects.length);
    decide('Committed');
    await runs();
    expect([world.dead, world.did.filter((one) => one === 'end')]).toEqual([true, ['end']]);
    expect([stage(), status()?.sourceAgent?.state]).toEqual(['gone', 'Gone']);
  });

  const points = effects.flatMap((name) => [`${name}.before`, `${name}.after`] as Point[]);
  it.each(points)('whose agent dies at %s runs on after Aborted', async (point) => {
    put();
    await dieAt(point);
    decide('Aborted');
    await runs();
    expect([world.asItWas, stage(), world.sent]).toEqual([
      true,
      'resumed',
      point === 'send.after' ? 1 : 0,
    ]);
    expect(status()?.sourceAgent?.state).toBe('Resumed');
  });

  it.each(points)('whose agent dies at %s goes on with the move', async (point) => {
    put();
    await dieAt(point);
    await runs();
    expect([stage(), world.frozen, world.locked, world.held]).toEqual(['sent', true, true, 9]);
    expect(world.sent).toBeGreaterThan(0);
    decide('Committed');
    await runs();
    expect([world.dead, stage()]).toEqual([true, 'gone']);
  });

  it.each(['release.before', 'release.after'] as Point[])(
    'whose agent dies at %s',
    async (point) => {
      put();
      await run();
      decide('Aborted');
      await dieAt(point);
      await runs();
      expect([world.asItWas, stage()]).toEqual([true, 'resumed']);
    },
  );

  it.each(['end.before', 'end.after'] as Point[])('whose agent dies at %s', async (point) => {
    put();
    await run();
    decide('Committed');
    await dieAt(point);
    // Not even a sweep that finds no request may let it go on from here.
    expect(stage()).toBe('ending');
    await runs();
    expect([world.dead, stage()]).toEqual([true, 'gone']);
  });

  it('proposes Aborted for what it cannot do, and lets the pod go on', async () => {
    put();
    world.fail = { at: 'dump', error: new AgentError('UnsupportedObject', 'an SRQ') };
    await runs();
    expect(status()?.decision).toMatchObject({
      outcome: 'Aborted',
      by: 'agent/node-a',
      reason: 'UnsupportedObject',
      message: 'an SRQ',
    });
    expect([world.asItWas, stage()]).toEqual([true, 'resumed']);
    expect(status()?.sourceAgent).toMatchObject({ state: 'Resumed', reason: 'UnsupportedObject' });
  });

  it('stays frozen as long as the API server does not answer', async () => {
    put();
    world.fail = { at: 'dump', error: new AgentError('UnsupportedObject', 'an SRQ') };
    await run().catch(() => undefined);
    api.reachable = false;
    await runs();
    expect([world.frozen, world.locked]).toEqual([true, true]);
    api.reachable = true;
    await runs();
    expect(world.asItWas).toBe(true);
  });

  it('stays frozen when its own Aborted comes too late', async () => {
    put();
    await run();
    put({ deadlines: { blackout: '2020-01-01T00:00:00Z' } });
    const late = { ...status(), decision: decision('Committed') };
    const peek = api.peek.bind(api);
    // The cache still shows the request undecided.
    const seen = peek(migrationRequests, NAMESPACE, 'move');
    api.put(migrationRequests, migration(late));
    api.peek = (() => seen) as unknown as typeof api.peek;
    await runs(1);
    api.peek = peek;
    expect([world.frozen, status()?.decision?.outcome]).toEqual([true, 'Committed']);
    await runs();
    expect([world.dead, world.did.includes('release')]).toEqual([true, false]);
  });

  it('sends again while the other agent is away', async () => {
    put();
    world.fail = { at: 'send', error: new AgentError('TransferFailed', 'connection refused') };
    await runs(2);
    expect([stage(), status()?.decision]).toEqual(['transferring', undefined]);
    world.fail = undefined;
    await run();
    expect([stage(), world.did.filter((one) => one === 'dump')]).toEqual(['sent', ['dump']]);
  });

  it('begins no further step once it is decided', async () => {
    put();
    world.dieAt = undefined;
    const freeze = world.checkpointer.freeze.bind(world.checkpointer);
    world.checkpointer.freeze = async (of) => {
      await freeze(of);
      decide('Aborted');
    };
    await run().catch(() => undefined);
    expect(world.did).toEqual(['lock', 'hold', 'freeze']);
    await runs();
    expect([world.asItWas, stage()]).toEqual([true, 'resumed']);
    expect(status()?.sourceAgent).not.toHaveProperty('reason');
  });

  it('does not leave a pod frozen when its journal is lost', async () => {
    put();
    await run();
    await rm(join(dir, 'journal'), { recursive: true });
    await startAgent();
    decide('Aborted');
    await runs();
    expect([world.asItWas, status()?.sourceAgent?.state]).toEqual([true, 'Resumed']);
  });

  it('refuses early what cannot be moved, before anything is touched', async () => {
    put({ targetAgent: undefined, deadlines: {} });
    world.fail = { at: 'inspect', error: new AgentError('UnsupportedObject', 'a UD') };
    await runs();
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'UnsupportedObject' });
    expect([world.did, status()?.sourceAgent?.state]).toEqual([[], 'Resumed']);
  });

  it('says where it keeps what a failure, or a cancel, has left', async () => {
    class NoDevices extends RdmaDriver {
      override async describe(): Promise<object[]> {
        return [];
      }
    }
    const evidence = new Evidence({
      ...{ dir: join(dir, 'failures'), nodeName: 'node-a', workRoot: join(dir, 'work'), log },
      ...{ host: new Host({ root: '/' }), driver: new NoDevices() },
    });
    await startAgent(evidence);
    put();
    world.fail = { at: 'dump', error: new AgentError('UnsupportedObject', 'an SRQ') };
    await runs();
    const folder = join(dir, 'failures', 'move-11111111.source');
    const where = `(logs: node node-a, ${folder})`;
    expect(status()?.decision?.message).toBe(`an SRQ ${where}`);
    expect(status()?.sourceAgent?.message).toBe(`an SRQ ${where}`);
    expect(await readdir(folder)).toContain('kernel.log');
    // Nothing failed here: somebody else has aborted it.
    await rm(join(dir, 'journal'), { recursive: true });
    await rm(folder, { recursive: true });
    world.fail = undefined;
    await startAgent(evidence);
    put({ decision: undefined, sourceAgent: undefined });
    await run();
    decide('Aborted');
    await runs();
    expect(status()?.sourceAgent?.message).toBe(`Resumed. ${where}`);
    expect(await readdir(folder)).toContain('request.json');
  });

  describe('that hangs', () => {
    it('is cut when the step’s limit is over, and goes on', async () => {
      spec = { timeouts: { dumpSeconds: 1 } };
      put();
      world.hangs = true;
      const began = Date.now();
      await runs();
      expect(Date.now() - began).toBeGreaterThan(900);
      expect(world.cut).toMatchObject({ code: 'DumpDeadlineExceeded' });
      expect(status()?.decision).toMatchObject({
        outcome: 'Aborted',
        reason: 'DumpDeadlineExceeded',
        message:
          'step dump was not done within 1 s: raise spec.timeouts.dumpSeconds if it needs longer',
      });
      expect([world.asItWas, stage()]).toEqual([true, 'resumed']);
    });

    it('is cut at the limit that was written down, whoever began', async () => {
      spec = { timeouts: { dumpSeconds: 1 } };
      put();
      await dieAt('dump.before');
      const told = status()?.sourceAgent?.steps?.find((step) => step.name === 'dump');
      const kept = journal.get(REQUEST_UID, 'source')?.steps.find((step) => step.name === 'dump');
      expect(kept?.deadline).toMatch(/^2/);
      expect(told).toEqual(kept);
      world.hangs = true;
      await new Promise((resolve) => setTimeout(resolve, 1100));
      await runs();
      expect(world.cut, 'not even begun again').toBeUndefined();
      expect(status()?.decision?.reason).toBe('DumpDeadlineExceeded');
      expect(world.asItWas).toBe(true);
    });
  });

  describe('whose peers give up', () => {
    const peers = { rnrRetry: 6, rnrTimer: 0, patienceMs: 3932.16 };

    it('tells the target how long they wait before it holds', async () => {
      put({ peers });
      const hold = world.checkpointer.hold.bind(world.checkpointer);
      let told: unknown;
      world.checkpointer.hold = async (...args) => {
        told = status()?.sourceAgent?.peerBudgetMs;
        await hold(...args);
      };
      const began = Date.now();
      await run();
      expect(told).toBeCloseTo(3132.16);
      expect(world.held).toBe(0);
      const until = Date.parse(journal.get(REQUEST_UID, 'source')?.peerDeadline ?? '');
      expect(until).toBeGreaterThan(began + 3000);
      expect(until).toBeLessThanOrEqual(Date.now() + 3133);
      expect(status()?.sourceAgent?.peerDeadline).toBe(new Date(until).toISOString());
    });

    it('goes on when they have waited long enough, also after a restart', async () => {
      put({ peers: { ...peers, patienceMs: 1300 } });
      await run();
      await startAgent();
      expect(status()?.decision).toBeUndefined();
      await new Promise((resolve) => setTimeout(resolve, 600));
      await runs();
      expect(status()?.decision).toMatchObject({
        outcome: 'Aborted',
        reason: 'PeerPatienceExceeded',
        by: 'agent/node-a',
      });
      expect(world.asItWas).toBe(true);
    });

    it('is refused before anything is touched if they wait too short', async () => {
      put({ peers: { rnrRetry: 1, rnrTimer: 0, patienceMs: 655.36 } });
      await runs();
      expect([world.did, status()?.decision?.reason]).toEqual([[], 'PeerPatienceTooShort']);
    });

    it('says which annotation it cannot read', async () => {
      api.put(pods, pod('app', SOURCE_UID, { 'sealift.dev/peer-rnr-retry': '9' }));
      put();
      await runs();
      expect(status()?.decision).toMatchObject({ reason: 'BadAnnotation' });
      expect(status()?.decision?.message).toContain('sealift.dev/peer-rnr-retry');
      expect([world.held, world.asItWas]).toEqual([undefined, true]);
    });
  });

  describe('that is lost', () => {
    const lost = async (at: Point = 'dump.before') => {
      put();
      await dieAt(at);
      // What a reset leaves: the disk.
      [world.locked, world.held, world.frozen, world.gone] = [false, undefined, false, true];
    };

    it('says so, and may start from nothing', async () => {
      await lost();
      await runs();
      expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'SourceLost' });
      expect(status()?.sourceAgent).toMatchObject({ state: 'Lost', reason: 'SourceLost' });
      expect(stage()).toBe('resumed');
      await runs();
      expect(status()?.sourceAgent?.state).toBe('Lost');
    });

    it('says so whatever the move was aborted for', async () => {
      await lost('send.after');
      decide('Aborted');
      await runs();
      expect(status()?.sourceAgent).toMatchObject({ state: 'Lost', reason: 'SourceLost' });
    });

    it('is moved all the same when everything had been sent', async () => {
      put();
      await run();
      world.gone = true;
      await startAgent();
      await runs();
      expect([stage(), status()?.decision]).toEqual(['sent', undefined]);
      decide('Committed');
      await runs();
      expect(stage()).toBe('gone');
    });

    it('does not start from nothing while a checkpoint may take its place', async () => {
      spec = { onSourceLoss: 'RestoreNewestCheckpoint' };
      await lost();
      await runs();
      expect([stage(), status()?.sourceAgent?.state]).toEqual(['lost', 'Lost']);
      const ended = { type: 'Succeeded', status: 'False', reason: 'SourceLost', message: '' };
      const conditions = [{ ...ended, lastTransitionTime: '2026-01-01T00:00:00Z' }];
      put({ conditions, recovery: { restoreRequestName: 'again' } });
      await runs();
      expect(stage(), 'it is being made').toBe('lost');
      put({ conditions, recovery: { message: 'no checkpoint' } });
      await runs();
      expect(stage(), 'there is none').toBe('resumed');
    });

    it('was not lost if it ended after it was let go on', async () => {
      put();
      await run();
      decide('Aborted');
      await dieAt('release.after');
      world.gone = true;
      await runs();
      expect([stage(), status()?.sourceAgent?.state]).toEqual(['resumed', 'Resumed']);
    });
  });

  it('tells a message of any length', async () => {
    put();
    world.fail = { at: 'dump', error: new AgentError('CheckpointFailed', 'x'.repeat(10_000)) };
    await runs();
    expect(status()?.sourceAgent?.message).toHaveLength(4096);
  });
});
