// SPDX-License-Identifier: Apache-2.0
// What cannot be moved is refused with a reason that says what to do; the source is untouched.
import { expect, type Case, type Context } from '../src/case.ts';
import { apply, kubectl, kubectlJson } from '../src/lab.ts';
import { requestMove } from '../src/move.ts';
import { ended, migration, summary } from '../src/requests.ts';
import { PerftestPair } from '../src/players.ts';
import { IDLE, IMAGE, podManifest, podStatus, startPod } from '../src/pods.ts';
import { until } from '../src/wait.ts';

/** Requests a move that has to be refused. */
async function refused(c: Context, pod: string, reason: string, to?: string): Promise<void> {
  const name = await requestMove({ namespace: c.namespace, pod, ...(to ? { to } : {}) });
  const of = { namespace: c.namespace, name, within: 90 };
  const end = summary(await ended(migration, of, c.tell));
  expect(end?.status === 'False', `the request did not fail: ${JSON.stringify(end)}`);
  expect(end.reason === reason, `reason ${end.reason} (${end.message}), not ${reason}`);
  expect(end.message.length > 20, `the message says little: ${end.message}`);
}

async function untouched(c: Context, pod: string, node: string): Promise<void> {
  const status = await podStatus(c.namespace, pod);
  expect(
    status.ready && status.node === node && status.restarts === 0,
    `the source was touched: ${JSON.stringify(status)}`,
  );
}

async function unknownPod(c: Context): Promise<void> {
  await refused(c, 'nobody', 'PodNotFound');
}

async function otherRuntime(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  await startPod({ namespace, name: 'plain', node: nodes[0], command: IDLE, runtimeClass: null });
  await refused(c, 'plain', 'NotSealiftRuntime');
  await untouched(c, 'plain', nodes[0]);
}

async function sameNode(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  await startPod({ namespace, name: 'stay', node: nodes[0], command: IDLE });
  await refused(c, 'stay', 'TargetIsSource', nodes[0]);
  await untouched(c, 'stay', nodes[0]);
}

async function noCompatibleNode(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  await startPod({ namespace, name: 'alone', node: nodes[0], command: IDLE });
  // Cordoned, the other node is no choice; the agent keeps its label up to date by itself.
  await kubectl('cordon', nodes[1]);
  try {
    await refused(c, 'alone', 'NoCompatibleNode');
  } finally {
    await kubectl('uncordon', nodes[1]);
  }
  await untouched(c, 'alone', nodes[0]);
}

async function unsupported(c: Context): Promise<void> {
  const pair = new PerftestPair(c, 'ib_send_bw', 1, 100, ['-c', 'UD', '-s', '1024']);
  await pair.begin();
  const { server } = pair.pods;
  await refused(c, server, 'UnsupportedObject', c.nodes[1]);
  await untouched(c, server, c.nodes[0]);
}

/** A container beside the main one that ends and is started again, for ever. */
async function crashLoop(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  const ending = {
    ...{ name: 'ending', image: IMAGE, imagePullPolicy: 'IfNotPresent', restartPolicy: 'Always' },
    command: ['/bin/sh', '-c', 'sleep 2; exit 3'],
  };
  const beside = { initContainers: [ending], containers: [], volumes: [], mounts: [] };
  await apply(podManifest({ namespace, name: 'loop', node: nodes[0], command: IDLE, beside }));
  await until('the container has been started again', { within: 180, every: 2 }, async () => {
    const raw = await kubectlJson('-n', namespace, 'get', 'pod', 'loop');
    const { status } = raw as { status: { initContainerStatuses?: { restartCount: number }[] } };
    return (status.initContainerStatuses?.[0]?.restartCount ?? 0) > 1 ? true : undefined;
  });
  await refused(c, 'loop', 'ContainerCrashLooping');
  const status = await podStatus(namespace, 'loop');
  expect(status.restarts === 0, `the main container was touched: ${JSON.stringify(status)}`);
}

export const cases: readonly Case[] = [
  {
    name: 'bad-unknown-pod',
    promise: 'a pod that does not exist: PodNotFound',
    inTest: true,
    run: unknownPod,
  },
  {
    name: 'bad-runtime-class',
    promise: 'a pod of another runtime class: NotSealiftRuntime',
    run: otherRuntime,
  },
  {
    name: 'bad-object',
    promise: 'a process with an unreliable datagram queue pair: UnsupportedObject',
    run: unsupported,
  },
  {
    name: 'bad-crash-loop',
    promise: 'a container that ends again and again: ContainerCrashLooping',
    run: crashLoop,
  },
  { name: 'bad-same-node', promise: 'the target is the source: TargetIsSource', run: sameNode },
  {
    name: 'bad-no-node',
    promise: 'no other node with the same driver ABI: NoCompatibleNode',
    run: noCompatibleNode,
  },
];
