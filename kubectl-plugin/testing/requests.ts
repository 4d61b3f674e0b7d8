// SPDX-License-Identifier: Apache-2.0
// Requests with statuses as operator and agents write them.
import { MigrationRequest } from '../../crds/src/index.ts';
import { at } from './terminal.ts';

const step = (name: string, start: number, end?: number): object => ({
  name,
  startTime: at(start),
  ...(end === undefined ? {} : { endTime: at(end) }),
});

/** A move of pod `trainer` from node `a` to `b`, whose dump takes from 2 s to 4 s. */
export const statuses = {
  new: undefined,
  seen: { phase: 'Pending', conditions: [condition('Unknown', 'Pending', '')] },
  queued: {
    phase: 'Pending',
    queue: { position: 3, waitsFor: 'Cluster', sourceNodeName: 'a' },
    conditions: [condition('Unknown', 'Queued', 'Position 3 in the queue.')],
  },
  dumping: {
    phase: 'Holding',
    startTime: at(0),
    deadlines: { blackout: at(100) },
    source: { nodeName: 'a', podName: 'trainer', podUID: 'u' },
    target: { nodeName: 'b', podName: 'trainer-x' },
    conditions: [condition('Unknown', 'Accepted', 'The request is accepted and under way.')],
    targetAgent: { state: 'AtCreateGate', steps: [step('prepare', 0, 1.5)] },
    sourceAgent: {
      state: 'Dumping',
      steps: [step('hold', 1.5, 1.6), step('freeze', 1.6, 2), step('dump', 2)],
    },
  },
  succeeded: {
    phase: 'Succeeded',
    startTime: at(0),
    deadlines: { blackout: at(100) },
    completionTime: at(9),
    source: { nodeName: 'a', podName: 'trainer', podUID: 'u' },
    target: { nodeName: 'b', podName: 'trainer-x', podUID: 'v' },
    conditions: [condition('True', 'Moved', 'Pod trainer-x runs on b.')],
    decision: {
      outcome: 'Committed',
      by: 'agent/b',
      time: at(5),
      reason: 'Committed',
      message: '',
    },
    report: { blackoutMs: 4312.5, bytes: { pages: 3 * 2 ** 20, verbs: 100, rootfs: 0 } },
    sourceAgent: {
      state: 'Gone',
      bytes: { pages: 3 * 2 ** 20, verbs: 100, rootfs: 0 },
      steps: [step('hold', 1.5, 1.6), step('dump', 2, 4), step('transfer', 4, 4.5)],
    },
    targetAgent: { state: 'Running', steps: [step('prepare', 0, 1.5), step('resume', 5, 5.8)] },
  },
  waitsForNode: {
    phase: 'Resuming',
    startTime: at(0),
    deadlines: { blackout: at(100) },
    source: { nodeName: 'a', podName: 'trainer', podUID: 'u' },
    target: { nodeName: 'b', podName: 'trainer-x', podUID: 'v' },
    conditions: [
      condition('Unknown', 'NoNodeForName', 'Pod trainer-x stands in for pod trainer on b.'),
    ],
  },
  aborted: {
    phase: 'Failed',
    startTime: at(0),
    deadlines: { blackout: at(100) },
    source: { nodeName: 'a', podName: 'trainer', podUID: 'u' },
    target: { nodeName: 'b', podName: 'trainer-x' },
    conditions: [condition('False', 'UnsupportedObject', 'Process 41 (app) uses io_uring.')],
    decision: {
      outcome: 'Aborted',
      by: 'agent/a',
      time: at(3),
      reason: 'UnsupportedObject',
      message: '',
    },
  },
} as const;

function condition(status: string, reason: string, message: string): object {
  return { type: 'Succeeded', status, reason, message, lastTransitionTime: at(6) };
}

export const migration = (status: keyof typeof statuses, spec: object = {}): MigrationRequest =>
  MigrationRequest.parse({
    metadata: { name: 'move', namespace: 'default', uid: 'r', creationTimestamp: at(-1) },
    spec: { podName: 'trainer', ...spec },
    ...(statuses[status] ? { status: statuses[status] } : {}),
  });
