// SPDX-License-Identifier: Apache-2.0
// Moves that are impossible: the request fails with a reason and a message that says what to do. The source is untouched.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { apply, kubectl, kubectlJson } from '../src/cluster.ts';
import { requestMove } from '../src/move.ts';
import {
  checkpoint,
  createRequest,
  migration,
  succeededCondition,
  waitUntilEnded,
} from '../src/requests.ts';
import { PerftestPair } from '../src/perftest-pair.ts';
import { execInPod, IDLE, IMAGE, podManifest, podStatus, startPod } from '../src/pods.ts';
import { until } from '../src/wait.ts';

/** Requests a move. It must fail for this reason. @returns the message */
async function expectRefused(
  context: CaseContext,
  pod: string,
  reason: string,
  to?: string,
): Promise<string> {
  const name = await requestMove({ namespace: context.namespace, pod, ...(to ? { to } : {}) });
  const key = { namespace: context.namespace, name, within: 90 };
  const end = succeededCondition(await waitUntilEnded(migration, key, context.log));
  expect(end?.status === 'False', `the request did not fail: ${JSON.stringify(end)}`);
  expect(end.reason === reason, `reason ${end.reason} (${end.message}), not ${reason}`);
  expect(end.message.length > 20, `the message says little: ${end.message}`);
  return end.message;
}

async function expectUntouched(context: CaseContext, pod: string, node: string): Promise<void> {
  const status = await podStatus(context.namespace, pod);
  expect(
    status.ready && status.node === node && status.restarts === 0,
    `the source was touched: ${JSON.stringify(status)}`,
  );
}

async function unknownPod(context: CaseContext): Promise<void> {
  await expectRefused(context, 'nobody', 'PodNotFound');
}

async function otherRuntime(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  await startPod({ namespace, name: 'plain', node: nodes[0], command: IDLE, runtimeClass: null });
  await expectRefused(context, 'plain', 'NotSealiftRuntime');
  await expectUntouched(context, 'plain', nodes[0]);
}

async function sameNode(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  await startPod({ namespace, name: 'stay', node: nodes[0], command: IDLE });
  await expectRefused(context, 'stay', 'TargetIsSource', nodes[0]);
  await expectUntouched(context, 'stay', nodes[0]);
}

async function noCompatibleNode(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  await startPod({ namespace, name: 'alone', node: nodes[0], command: IDLE });
  // Cordoning excludes the other node. Removing its label would not: the agent restores the label.
  await kubectl('cordon', nodes[1]);
  try {
    await expectRefused(context, 'alone', 'NoCompatibleNode');
  } finally {
    await kubectl('uncordon', nodes[1]);
  }
  await expectUntouched(context, 'alone', nodes[0]);
}

async function unsupported(context: CaseContext): Promise<void> {
  const pair = new PerftestPair(context, 'ib_send_bw', 1, 100, ['-c', 'UC', '-s', '1024']);
  await pair.start();
  const { server } = pair.pods;
  await expectRefused(context, server, 'UnsupportedObject', context.nodes[1]);
  await expectUntouched(context, server, context.nodes[0]);
}

/** A program of i386 that does nothing but pause(2) in a loop. */
const SMALL_PROGRAM =
  'f0VMRgEBAQAAAAAAAAAAAAIAAwABAAAAVIAECDQAAAAAAAAAAAAAADQAIAABAAAAAAAAAAEAAAAAAAAAAIAECACABAhdAAAAXQAAAAUAAAAAEAAAuB0AAADNgOv3';

async function program32(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const line = `echo ${SMALL_PROGRAM} | base64 -d >/tmp/small; chmod +x /tmp/small; /tmp/small`;
  await startPod({ namespace, name: 'small', node: nodes[0], command: ['/bin/sh', '-c', line] });
  const ready = 'ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c /tmp/small || true';
  await until('the program runs', { within: 60 }, async () =>
    Number(await execInPod(namespace, 'small', ready)) > 0 ? true : undefined,
  );
  const message = await expectRefused(context, 'small', 'UnsupportedObject', nodes[1]);
  expect(/\(small\) .* runs a 32-bit program/.test(message), `it is not named: ${message}`);
  await expectUntouched(context, 'small', nodes[0]);
}

/** The target gets another cluster address, at which the socket cannot be restored. */
async function clusterAddress(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const listen = 'httpd -f -p "$(hostname -i):7000"';
  await startPod({ namespace, name: 'bound', node: nodes[0], command: ['/bin/sh', '-c', listen] });
  const name = 'at-cluster-address';
  await createRequest(checkpoint, namespace, name, { podName: 'bound' });
  const request = await waitUntilEnded(checkpoint, { namespace, name }, context.log);
  const { reason, message = '' } = succeededCondition(request) ?? {};
  expect(reason === 'UnsupportedObject', `${reason}: ${message}`);
  expect(/listens at .*, port 7000/.test(message), `the message names no socket: ${message}`);
  await expectUntouched(context, 'bound', nodes[0]);
}

/** A sidecar that the kubelet restarts again and again. */
async function crashLoop(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const crashing = {
    ...{ name: 'crashing', image: IMAGE, imagePullPolicy: 'IfNotPresent', restartPolicy: 'Always' },
    command: ['/bin/sh', '-c', 'sleep 2; exit 3'],
  };
  const extras = { initContainers: [crashing], containers: [], volumes: [], mounts: [] };
  await apply(podManifest({ namespace, name: 'loop', node: nodes[0], command: IDLE, extras }));
  await until('the sidecar has been restarted', { within: 180, every: 2 }, async () => {
    const raw = await kubectlJson('-n', namespace, 'get', 'pod', 'loop');
    const { status } = raw as { status: { initContainerStatuses?: { restartCount: number }[] } };
    return (status.initContainerStatuses?.[0]?.restartCount ?? 0) > 1 ? true : undefined;
  });
  await expectRefused(context, 'loop', 'ContainerCrashLooping');
  const status = await podStatus(namespace, 'loop');
  expect(status.restarts === 0, `the main container was touched: ${JSON.stringify(status)}`);
}

export const cases: readonly Case[] = [
  {
    name: 'bad-unknown-pod',
    promise: 'A move of a pod that does not exist fails with PodNotFound.',
    inTest: true,
    run: unknownPod,
  },
  {
    name: 'bad-runtime-class',
    promise: 'A move of a pod with another runtime class fails with NotSealiftRuntime.',
    run: otherRuntime,
  },
  {
    name: 'bad-object',
    promise: 'A move of a pod with an unreliable connection fails with UnsupportedObject.',
    run: unsupported,
  },
  {
    name: 'bad-32-bit',
    promise: 'A move of a pod with a 32-bit program fails with UnsupportedObject, which names it.',
    run: program32,
  },
  {
    name: 'bad-cluster-address',
    promise:
      'A checkpoint of a pod that listens at its cluster address fails with UnsupportedObject: what is restored has another.',
    run: clusterAddress,
  },
  {
    name: 'bad-crash-loop',
    promise:
      'A move of a pod whose sidecar crashes again and again fails with ContainerCrashLooping.',
    run: crashLoop,
  },
  {
    name: 'bad-same-node',
    promise: 'A move to the node on which the pod runs fails with TargetIsSource.',
    run: sameNode,
  },
  {
    name: 'bad-no-node',
    promise: 'A move without another node of the same driver ABI fails with NoCompatibleNode.',
    run: noCompatibleNode,
  },
];
