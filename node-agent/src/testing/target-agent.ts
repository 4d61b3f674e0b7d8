// SPDX-License-Identifier: Apache-2.0
// For tests of the target: one node whose agent can die, a real journal, real gates, a real image directory and the real
// loop. TargetNode stands in for the runtime and CRIU.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, expect } from 'vitest';
import {
  fieldManagers,
  type Decision,
  type MigrationRequest,
  type NodeMemory,
} from '../../../crds/src/index.ts';
import { migrationRequests } from '../../../kube/src/index.ts';
import { clockAt } from '../../../kube/testing/clock.ts';
import { Journal } from '../support/journal/journal.ts';
import { handoverLoop } from '../reconcilers/handover-loop.ts';
import { Publisher } from '../reconcilers/publisher.ts';
import { GateHandler } from '../callers/gate-handler.ts';
import { Gates } from '../callers/gates.ts';
import { TargetReconciler } from '../reconcilers/target/reconciler.ts';
import {
  digestOf,
  formatManifest,
  MANIFEST_VERSION,
  type ManifestHeader,
} from '../node/transfer/manifest.ts';
import { ImageStore } from '../node/transfer/image-store.ts';
import { MemoryApi } from './api.ts';
import { decision, migration, NAMESPACE, REQUEST_UID, TARGET_UID } from './objects.ts';
import { criuFailed, TargetNode } from './target-node.ts';

const KEY = `${NAMESPACE}/move`;
const header: ManifestHeader = {
  version: MANIFEST_VERSION,
  id: REQUEST_UID,
  createdAt: '2026-01-01T00:00:00Z',
  versions: { sealift: '0.1.0', kernel: '6.12' },
  containers: [{ name: 'main' }],
  volumes: [],
  identity: { qpns: [17], lkeys: [], rkeys: [], gids: [], ips: [], macs: [] },
  bytes: { pages: 0, verbs: 0, rootfs: 0 },
  objects: { qp: 1, cq: 1, mr: 1 },
};

export let dir: string;
export let api: MemoryApi;
export let node: TargetNode;
export let store: ImageStore;
export let journal: Journal;
export let gates: Gates;
export let target: TargetReconciler<MigrationRequest>;
/** Connections of the agent that runs now. */
export let connections: AbortController;
export let receiving = false;
let spec: object = {};
/** 0: every state is reported, so that tests see it. */
let mentionMs = 0;
/** The operator's clock is years behind. Nothing may depend on it. */
const operatorsTime = '2016-01-01T00:01:40.000000Z';
let later = 0;
/** This node's clock. */
const clock = clockAt(() => Date.now() + later);
/** The time has come, by this node's clock. */
export const pass = (ms: number): void => void (later += ms);
/** What the request asks for, from now on. */
export const ask = (wanted: object): void => void (spec = wanted);
let memory: NodeMemory | undefined;
let arriving: readonly MigrationRequest[] = [];
/** How much memory the node has, from now on. */
export const remember = (now: NodeMemory | undefined): void => void (memory = now);
/** Other requests whose target is on this node. */
export const arrive = (all: readonly MigrationRequest[]): void => void (arriving = all);
/** Whether images are just coming. */
export const receive = (now: boolean): void => void (receiving = now);
/** Reports states that nobody waits for only if they last, as an agent does that no test watches. From the next start on. */
export const mentionSlowly = (): void => void (mentionMs = 10_000);
/** The pod's containers, from now on. */
export const have = (names: string[]): void => void (containers = names);
/** The pod's, in the order of their start. */
export let containers: string[];

export async function startAgent(): Promise<void> {
  connections = new AbortController();
  ({ journal } = await Journal.open(join(dir, 'journal')));
  gates = new Gates();
  node.dieAt = undefined;
  node.died = Promise.withResolvers();
  target = new TargetReconciler<MigrationRequest>({
    api,
    kind: 'MigrationRequest',
    resource: migrationRequests,
    nodeName: 'node-b',
    journal,
    gates,
    restorer: node.restorer,
    store,
    publisher: new Publisher({
      api,
      resource: migrationRequests,
      manager: fieldManagers.targetAgent,
      field: 'targetAgent',
      mentionMs,
    }),
    request: () => api.peek(migrationRequests, NAMESPACE, 'move'),
    imageId: (request) => request.metadata.uid,
    receiving: () => receiving,
    removeWork: async () => undefined,
    memory: async () => memory,
    arriving: () => arriving,
    clock,
  });
}
export async function restartAgent(): Promise<void> {
  connections.abort();
  await startAgent();
}

export const log = pino({ level: 'silent' });
export const run = async (): Promise<void> => {
  await handoverLoop(target, clock)(KEY, { signal: new AbortController().signal, log });
};
export const runs = async (times = 4): Promise<void> => {
  for (let n = 0; n < times; n++) await run().catch(() => undefined);
};
export const status = () => api.peek(migrationRequests, NAMESPACE, 'move')?.status;
export const state = () => status()?.targetAgent?.state;
export const stage = () => journal.get(REQUEST_UID, 'target')?.stage;

/** The kubelet makes the container; CRIU begins when the agent says so. */
export function create(
  id = 'c1',
  container = 'main',
  sandboxId = 'box',
  gone = connections.signal,
): Promise<string> {
  const request = {
    ...{
      op: 'create' as const,
      id,
      bundle: `/run/${id}`,
      sandboxId,
      answer: { rnrTimer: 20, chooses: true },
    },
    ...{ namespace: NAMESPACE, pod: 'app-2', podUid: TARGET_UID, container },
    containers,
  };
  return gates.waitAtCreateGate(REQUEST_UID, request, gone).then(
    (reply) => reply.action,
    (error: Error) => error.message,
  );
}
/** CRIU at the resume gate: the agent freezes the tasks, and the kubelet starts the container; or they are killed. */
export async function resumeGate(container = 'main'): Promise<'started' | 'refused'> {
  const gate = { op: 'gate' as const, token: REQUEST_UID, container, pid: 7, registerUs: 5000 };
  const handler = new GateHandler({ journal, gates, restorer: node.restorer });
  try {
    await handler.handle(gate);
  } catch {
    node.outcomes[container] = criuFailed;
    return 'refused';
  }
  node.outcomes[container] = 'Frozen';
  return 'started';
}
export async function images(): Promise<void> {
  const directory = await store.createDirectory(REQUEST_UID, 'main');
  await writeFile(join(directory, 'core.img'), 'x');
  const manifest = await store.seal(REQUEST_UID, header);
  const checkpointDigest = digestOf(formatManifest(manifest));
  put({ sourceAgent: { state: 'Sent', checkpointDigest } });
}
/** Changes fields of the status; those of `sourceAgent` one by one. */
export function put(change: { sourceAgent?: object } & Record<string, unknown> = {}): void {
  const reported = status();
  const sourceAgent = { ...reported?.sourceAgent, ...change.sourceAgent };
  api.put(
    migrationRequests,
    migration(
      {
        deadlines: { blackout: operatorsTime },
        ...(reported?.targetAgent ? { targetAgent: reported.targetAgent } : {}),
        ...(reported?.decision ? { decision: reported.decision } : {}),
        ...change,
        ...(Object.keys(sourceAgent).length > 0 ? { sourceAgent } : {}),
      },
      {},
      spec,
    ),
  );
}
export const record = (outcome: Decision['outcome']) => put({ decision: decision(outcome) });
/** Frozen and started, nothing decided. */
export async function toResumeGate(): Promise<void> {
  put();
  const created = create();
  await images();
  await run();
  expect(await created).toBe('restore');
  expect(await resumeGate()).toBe('started');
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-target-'));
  api = new MemoryApi();
  node = new TargetNode();
  node.source = () => put({ sourceAgent: { state: 'Gone' } });
  store = new ImageStore(join(dir, 'images'));
  receiving = false;
  memory = undefined;
  arriving = [];
  mentionMs = 0;
  spec = {};
  later = 0;
  containers = ['main'];
  await startAgent();
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});
