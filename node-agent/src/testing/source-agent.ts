// SPDX-License-Identifier: Apache-2.0
// For tests of the source: one node whose agent can die at every effect, a real journal, a real image directory and the
// real loop. The node itself is the few flags of SourceNode; each test gets a new one.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect } from 'vitest';
import {
  fieldManagers,
  type Decision,
  type Fabric,
  type Inspection,
  type Nak,
} from '../../../crds/src/index.ts';
import { migrationRequests, pods } from '../../../kube/src/index.ts';
import { clockAt } from '../../../kube/testing/clock.ts';
import type { Checkpointer, LockedPod } from '../node/dump/checkpointer.ts';
import type { DumpResult } from '../node/dump/pod-dump.ts';
import type { KeptNaks } from '../node/device/kept-naks.ts';
import type { LimitedQueuePair } from '../node/device/retry-budget.ts';
import type { PodProbes, ProbeAnswers } from '../node/probes/probe-answers.ts';
import { AgentError } from '../support/errors.ts';
import type { HoldAnswer } from '../support/peers.ts';
import type { Diagnostics } from '../node/diagnostics/diagnostics.ts';
import { Journal } from '../support/journal/journal.ts';
import { handoverLoop } from '../reconcilers/handover-loop.ts';
import { RequestLookup } from '../callers/request-lookup.ts';
import { Publisher } from '../reconcilers/publisher.ts';
import { SourceReconciler } from '../reconcilers/source/reconciler.ts';
import type { ManifestHeader } from '../node/transfer/manifest.ts';
import type { sendImages } from '../node/transfer/sender.ts';
import { ImageStore } from '../node/transfer/image-store.ts';
import { MemoryApi } from './api.ts';
import { decision, migration, NAMESPACE, pod, REQUEST_UID, SOURCE_UID } from './objects.ts';

const KEY = `${NAMESPACE}/move`;
export const effects = ['lock', 'hold', 'freeze', 'dump', 'send'] as const;
export type Point = `${(typeof effects)[number] | 'resume' | 'stop'}.${'before' | 'after'}`;

const dumped = {
  header: { id: REQUEST_UID },
  identity: { qpns: [17] },
  objects: { qp: 1, cq: 1, mr: 1 },
  bytes: { pages: 4096, verbs: 100, rootfs: 0 },
} as unknown as DumpResult;

/** One node and its pod. */
export class SourceNode {
  locked = false;
  held: number | undefined;
  frozen = false;
  dead = false;
  sent = 0;
  readonly did: string[] = [];
  /** The node was reset, or the container has ended. */
  gone = false;
  /** CRIU hangs until it is cut; what it was cut for. */
  hangs = false;
  cut: unknown;
  /** The agent dies here: what it was doing never comes back. */
  dieAt: Point | undefined;
  died = Promise.withResolvers<void>();
  fail: { at: string; error: Error } | undefined;
  /** The queue pair whose peer gives up first. */
  firstToGiveUp: LimitedQueuePair | undefined;
  /** NAKs that its held device keeps. */
  kept: Nak[] = [];
  /** The network probes of its pod. */
  probed: PodProbes | undefined;
  readonly probes = {
    probesOf: async () => this.probed,
    inPlace: async () => {
      if (this.fail?.at === 'probes') throw this.fail.error;
      expect(journal.get(REQUEST_UID, 'source')?.probes).toEqual(this.probed);
      this.did.push('probes');
    },
    openProbesEnd: async (probes: PodProbes, signal: AbortSignal) => {
      expect([probes, signal.aborted, this.locked]).toEqual([this.probed, false, false]);
      expect(journal.get(REQUEST_UID, 'source')?.steps).toEqual([]);
      this.did.push('open probes');
    },
  } as unknown as ProbeAnswers;

  /** What the node's IPAM has given to the pod's sandbox in the RDMA network. */
  given: string[] = [];
  readonly fabricAddresses = {
    givenTo: async (sandboxId: string, addresses: readonly string[]) =>
      sandboxId === 'sand' ? addresses.filter((one) => this.given.includes(one)) : [],
    reserve: async (sandboxId: string, addresses: readonly string[]) => {
      if (this.fail?.at === 'reserve') throw this.fail.error;
      // The keeper of addresses would else take them for nobody's.
      expect(journal.get(REQUEST_UID, 'source')?.fabricAddresses ?? []).toEqual(addresses);
      if (addresses.length > 0) this.did.push(`reserve ${addresses.join(' ')} of ${sandboxId}`);
    },
  };

  async #pass(name: (typeof effects)[number] | 'resume' | 'stop', work: () => void): Promise<void> {
    await this.#die(`${name}.before`);
    if (this.fail?.at === name) throw this.fail.error;
    this.did.push(name);
    work();
    await this.#die(`${name}.after`);
  }
  async #die(at: Point): Promise<void> {
    if (this.dieAt !== at) return;
    this.died.resolve();
    await new Promise(() => undefined);
  }

  looked = 0;
  /** What a dry run finds. */
  look(): Inspection {
    if (this.fail?.at === 'look') throw this.fail.error;
    this.looked++;
    return { findings: [{ reason: 'UnsupportedObject', message: 'io_uring' }] };
  }

  /** Of the pod. */
  memoryBytes = 0;
  /** Of its files. */
  fileBytes: number | undefined = 0;
  /** At which its images were sent. */
  bytesPerSecond: unknown;
  /** Its addresses in the RDMA network. */
  fabric: Fabric = { digest: 'one', interfaces: [{ name: 'net1', addresses: [] }] };
  /** Id of the images for which the programs of a dump were started. */
  ahead: string | undefined;
  /** What it was last told of its target's addresses. */
  targetGids: unknown;
  /** The pod's, as they were known at its lock, and what was to become of connections there. */
  clusterAddresses: unknown;
  clusterConnections: unknown;
  /** TCP connections there. */
  connections = 0;
  /** Addresses of closed sockets, which its target does not have. */
  closed: string[] = [];
  /** What was asked of the frozen pod. */
  lost: { addresses: readonly string[]; connections: unknown } | undefined;
  /** Whose peers got a reset. */
  reset: readonly string[] | undefined;
  /** What its images said. */
  manifest: Partial<ManifestHeader> | undefined;
  readonly checkpointer = {
    inspectPod: async (podUid: string) => {
      if (this.fail?.at === 'inspect') throw this.fail.error;
      return this.checkpointer.findPod(podUid);
    },
    findPod: async () => {
      if (this.fail?.at === 'find') throw this.fail.error;
      if (this.gone) throw new AgentError('PodNotFound', 'no running container');
      const containers = [{ id: 'c', name: 'main', sandboxId: 'sand' }];
      return { podUid: SOURCE_UID, netns: '/run/netns/x', containers };
    },
    checkProcesses: async (_pod: unknown, addresses: readonly string[], connections: unknown) => {
      this.clusterAddresses = addresses;
      this.clusterConnections = connections;
      if (this.fail?.at === 'processes') throw this.fail.error;
    },
    lostConnections: async () => {
      expect([this.locked, this.frozen]).toEqual([false, false]);
      return this.connections;
    },
    lostOfFrozen: async (_pod: unknown, addresses: readonly string[], connections: unknown) => {
      expect([this.locked, this.frozen]).toEqual([true, true]);
      if (this.fail?.at === 'frozen sockets') throw this.fail.error;
      this.lost = { addresses, connections };
      return { count: this.connections, lend: connections === 'Reset' ? addresses : this.closed };
    },
    checkDevices: async () => {
      if (this.fail?.at === 'devices') throw this.fail.error;
    },
    fabric: async () => this.fabric,
    checkAddresses: async (_pod: unknown, gids: unknown) => {
      this.targetGids = gids;
      if (this.fail?.at === 'addresses') throw this.fail.error;
    },
    runningContainerIds: async () => (this.gone ? [] : ['c']),
    startDumps: async (_pod: unknown, id: string) => {
      expect([this.locked, this.held, this.frozen]).toEqual([false, undefined, false]);
      this.ahead = id;
    },
    giveUpDumps: async () => {
      this.ahead = undefined;
    },
    lockNetwork: () => this.#pass('lock', () => (this.locked = true)),
    firstPeerToGiveUp: async () => this.firstToGiveUp,
    leastBytes: async () => this.memoryBytes,
    memory: async () => ({ bytes: this.memoryBytes }),
    fileBytes: async () => this.fileBytes,
    holdDevice: (_pod: unknown, { rnrTimer }: HoldAnswer) =>
      this.#pass('hold', () => (this.held = rnrTimer)),
    freezeTasks: () => this.#pass('freeze', () => (this.frozen = true)),
    dumpContainers: async (_pod: unknown, _id: string, signal: AbortSignal) => {
      if (this.hangs) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        this.cut = signal.reason;
        throw new AgentError('CheckpointFailed', 'interrupted');
      }
      expect([this.locked, this.frozen]).toEqual([true, true]);
      await this.#pass('dump', () => undefined);
      return dumped;
    },
    resumePod: () =>
      this.#pass('resume', () => {
        expect(this.dead).toBe(false);
        [this.locked, this.held, this.frozen] = [false, undefined, false];
      }),
    allowOrphanedExec: async () => undefined,
    naks: async () => {
      if (this.fail?.at === 'naks') throw this.fail.error;
      return { naks: this.kept, failures: [] };
    },
    stopPod: async (pod: LockedPod, keep?: (found: KeptNaks) => Promise<void>) => {
      this.reset = pod.resets;
      await keep?.({ naks: this.dead ? [] : this.kept, failures: [] });
      await this.#pass('stop', () => (this.dead = true));
    },
  } as unknown as Checkpointer;

  readonly send: typeof sendImages = async ({ sealed, bytesPerSecond, manifest }) => {
    this.bytesPerSecond = bytesPerSecond;
    this.manifest = manifest;
    await sealed?.('sha256:x');
    await this.#pass('send', () => this.sent++);
    return { manifest: {}, digest: 'sha256:x' } as unknown as Awaited<
      ReturnType<typeof sendImages>
    >;
  };

  get asItWas(): boolean {
    return !this.locked && this.held === undefined && !this.frozen && !this.dead;
  }
}

export let dir: string;
export let api: MemoryApi;
export let sourceNode: SourceNode;
export let journal: Journal;
let source: SourceReconciler;
let stop: AbortController;
let spec: object;

/** The operator's clock is years behind. Nothing may depend on it. */
const operatorsTime = '2016-01-01T00:01:40.000000Z';
let later = 0;
/** This node's clock. */
const clock = clockAt(() => Date.now() + later);
/** The time has come, by this node's clock. */
export const pass = (ms: number): void => void (later += ms);
/** What the request asks for, from now on. */
export const ask = (wanted: object): void => void (spec = wanted);

export async function startAgent(diagnostics?: Diagnostics): Promise<void> {
  ({ journal } = await Journal.open(join(dir, 'journal')));
  sourceNode.dieAt = undefined;
  sourceNode.died = Promise.withResolvers();
  source = new SourceReconciler({
    api,
    nodeName: 'node-a',
    journal,
    checkpointer: sourceNode.checkpointer,
    pods: new RequestLookup(api),
    publisher: new Publisher({
      api,
      resource: migrationRequests,
      manager: fieldManagers.sourceAgent,
      field: 'sourceAgent',
      // Every state is reported, so that tests see it.
      mentionMs: 0,
    }),
    store: new ImageStore(join(dir, 'images')),
    certificateDir: '/nowhere',
    send: sourceNode.send,
    probes: sourceNode.probes,
    fabricAddresses: sourceNode.fabricAddresses,
    inspector: { inspect: async () => sourceNode.look() },
    request: () => api.peek(migrationRequests, NAMESPACE, 'move'),
    diagnostics,
    removeWork: async () => undefined,
    clock,
  });
}
export const log = pino({ level: 'silent' });
export const run = async (): Promise<void> => {
  await handoverLoop(source, clock)(KEY, { signal: stop.signal, log });
};
/** As the controller does it: again after every failure. */
export const runs = async (times = 4): Promise<void> => {
  for (let n = 0; n < times; n++) await run().catch(() => undefined);
};
export const status = () => api.peek(migrationRequests, NAMESPACE, 'move')?.status;
export const stage = () => journal.get(REQUEST_UID, 'source')?.stage;
export function put(change: object = {}): void {
  const reported = status();
  api.put(
    migrationRequests,
    migration(
      {
        targetAgent: { state: 'AtCreateGate' },
        deadlines: { blackout: operatorsTime },
        ...(reported?.sourceAgent ? { sourceAgent: reported.sourceAgent } : {}),
        ...(reported?.decision ? { decision: reported.decision } : {}),
        ...change,
      },
      {},
      spec,
    ),
  );
}
/** The target continues from there. */
export const decide = (outcome: Decision['outcome']) =>
  put({
    decision: decision(outcome),
    ...(outcome === 'Committed' ? { targetAgent: { state: 'Answering' } } : {}),
  });

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-source-'));
  api = new MemoryApi();
  sourceNode = new SourceNode();
  stop = new AbortController();
  spec = {};
  later = 0;
  api.put(pods, pod('app', SOURCE_UID, { 'sealift.dev/rnr-timer': '9' }));
  await startAgent();
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

/** Runs until the agent dies at this point, and starts another one. */
export async function dieAt(point: Point): Promise<void> {
  sourceNode.dieAt = point;
  run().catch(() => undefined);
  await sourceNode.died.promise;
  await startAgent();
}
