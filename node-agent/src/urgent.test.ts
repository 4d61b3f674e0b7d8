// SPDX-License-Identifier: Apache-2.0
// The agent itself, whose every usual worker is kept busy by requests that have not begun: what has begun waits for none of them.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CheckpointRequest } from '../../crds/src/index.ts';
import {
  ApiError,
  silent,
  type Api,
  type ListOptions,
  type Resource,
} from '../../kube/src/index.ts';
import { Agent, type AgentOptions } from './agent.ts';
import { Journal, type Entry } from './support/journal/journal.ts';
import { decision, migration, NAMESPACE } from './testing/objects.ts';

/** More than a controller has workers for all keys. */
const OTHERS = 8;
const node = 'node-a';
const never = (): Promise<never> => new Promise(() => undefined);
const nothing = async (): Promise<void> => undefined;

let dir: string;
let journal: Journal;
let stop: AbortController;
/** Which of the other requests the agent works on. None of them ever ends. */
let busy: Set<string>;
let urgent: PromiseWithResolvers<void>;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-urgent-'));
  ({ journal } = await Journal.open(join(dir, 'journal')));
  stop = new AbortController();
  busy = new Set();
  urgent = Promise.withResolvers();
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const keep = (id: string): Promise<never> => {
  busy.add(id);
  return never();
};

function record(role: Entry['role'], kind: Entry['kind'], stage: Entry['stage']): Promise<void> {
  return journal.put({
    ...{ version: 1, id: 'urgent', role, kind, namespace: NAMESPACE, name: 'urgent', stage },
    ...{ pod: 'urgent', podUid: 'urgent', steps: [] },
    containers: [{ id: 'c', name: 'main', bundle: '/run/c' }],
  });
}

/** Those that have not begun come first, and the one that has begun is the last. */
const listed = (of: (name: string) => object): object[] =>
  [...Array.from({ length: OTHERS }, (_, at) => `new-${at}`), 'urgent'].map(of);

/** @param lists the requests, by kind and the field by which the agent selects them */
function start(lists: Record<string, object[]>): Promise<void> {
  const isUrgent = (id: string): boolean => id === 'urgent';
  const gone = (): Promise<never> => Promise.reject(new ApiError(404, 'NotFound', 'gone'));
  const api = {
    list: async ({ kind }: Resource<unknown>, { fieldSelector = '' }: ListOptions) => ({
      items: lists[`${kind} ${fieldSelector.split('=')[0] ?? ''}`] ?? [],
      resourceVersion: '1',
    }),
    async *watch(_resource: unknown, _version: unknown, { signal }: { signal: AbortSignal }) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
    get: ({ kind }: Resource<unknown>, _namespace: string, name: string) =>
      kind === 'Pod' && !isUrgent(name) ? keep(name) : gone(),
    getRaw: gone,
    apply: never,
  } as unknown as Api;
  const server = () => ({ listen: nothing, close: nothing });
  const parts = {
    prepare: nothing,
    receiver: server,
    removeWork: nothing,
    checkpointer: {
      allowOrphanedExec: nothing,
      runningContainerIds: async () => ['c'],
      resumePod: async () => urgent.resolve(),
    },
    restorer: { outcome: async () => 'Frozen', killFrozen: async () => urgent.resolve() },
    store: {
      ids: async () => [],
      remove: nothing,
      keyProblem: () => keep(`checkpoint ${busy.size}`),
      manifest: (id: string) => (isUrgent(id) ? Promise.resolve(undefined) : keep(id)),
    },
  };
  const agent = new Agent({
    ...{ api, journal, log: silent, socket: server },
    config: { nodeName: node, tlsDir: dir },
    node: parts,
  } as unknown as AgentOptions);
  return agent.run(stop.signal);
}

async function expectUrgentFirst(lists: Record<string, object[]>): Promise<void> {
  start(lists).catch(urgent.reject);
  await expect.poll(() => busy.size).toBe(4);
  await urgent.promise;
  expect(busy.size).toBe(4);
  stop.abort();
}

it('resumes an aborted source', async () => {
  await record('source', 'MigrationRequest', 'Sent');
  const source = (name: string) => ({ nodeName: node, podName: name, podUID: name });
  const of = (name: string) =>
    migration(
      {
        source: source(name),
        ...(name === 'urgent' ? { decision: decision('Aborted') } : {}),
      },
      { name, uid: name },
      { podName: name },
    );
  await expectUrgentFirst({ 'MigrationRequest status.source.nodeName': listed(of) });
});

it('tears an aborted target down', async () => {
  await record('target', 'MigrationRequest', 'AtResumeGate');
  const target = (name: string) => ({ nodeName: node, podName: name, podUID: name });
  const of = (name: string) =>
    migration(
      {
        target: target(name),
        ...(name === 'urgent' ? { decision: decision('Aborted') } : {}),
      },
      { name, uid: name },
    );
  await expectUrgentFirst({ 'MigrationRequest status.target.nodeName': listed(of) });
});

it('resumes the pod of a checkpoint that an agent before it has begun', async () => {
  await record('checkpoint', 'CheckpointRequest', 'Dumping');
  const of = (name: string) =>
    CheckpointRequest.parse({
      metadata: { name, namespace: NAMESPACE, uid: name },
      spec: { podName: name },
      status: { nodeName: node, podUID: name, checkpointId: name },
    });
  await expectUrgentFirst({ 'CheckpointRequest status.nodeName': listed(of) });
});
