// SPDX-License-Identifier: Apache-2.0
// Pods of several containers: a sidecar, a main container with RDMA, and a third one. They move together or not at all.
import { keeperPoints } from '../faults/points.ts';
import { arm, disarm, waitUntilTripped } from '../faults/arming.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import {
  expectBalanced,
  numbersIn,
  waitUntilTargetGone,
  expectUntouched,
  expectContinues,
} from '../src/checks.ts';
import { kubectlJson } from '../src/cluster.ts';
import { cancelMove, requestMove } from '../src/move.ts';
import { LedgerPair } from '../src/ledger-pair.ts';
import {
  IDLE,
  containerLog,
  execInPod,
  IMAGE,
  podNames,
  podStatus,
  startPod,
  type PodExtras,
} from '../src/pods.ts';
import {
  checkpoint,
  createRequest,
  waitUntilEnded,
  migration,
  restore,
  succeededCondition,
} from '../src/requests.ts';
import { until } from '../src/wait.ts';

const shared = { name: 'shared', mountPath: '/shared' };

const container = (name: string, line: string, more: object = {}): object => ({
  ...{ name, image: IMAGE, imagePullPolicy: 'IfNotPresent', command: ['/bin/sh', '-c', line] },
  // No CPU limit: CRIU restores a container within its limit, which would take very long.
  resources: { limits: { memory: '64Mi' }, requests: { cpu: '10m' } },
  volumeMounts: [shared],
  ...more,
});

/** Counts in its log and in files that it keeps open. */
const countScript = (...files: readonly string[]): string => {
  const opened = files.map((file, at) => `exec ${at + 3}>>${file}`);
  const written = files.map((_file, at) => `echo $i >&${at + 3}`);
  return `${opened.join('; ')}; i=0; while :; do ${written.join('; ')}; echo $i; i=$((i+1)); sleep 0.5; done`;
};

/** An emulated node takes long for three restores. */
const slowTimeouts = { blackoutSeconds: 110, restoreSeconds: 110 };

/** Files on volumes that all containers mount. */
const files = ['/shared/side', '/shared/more', '/dev/shm/more'] as const;

const extras: PodExtras = {
  initContainers: [
    container('setup', 'echo ready > /shared/setup'),
    container('side', countScript(files[0]), { restartPolicy: 'Always' }),
  ],
  containers: [container('more', countScript(files[1], files[2]))],
  volumes: [{ name: 'shared', emptyDir: {} }],
  mounts: [shared],
};

/** The last number in a file. No number may be missing or twice. */
async function lastNumberIn(file: string, context: CaseContext, pod: string): Promise<number> {
  const seen = numbersIn(await execInPod(context.namespace, pod, `cat ${file}`));
  const wrong = seen.findIndex((n, at) => n !== at);
  expect(wrong < 0, `${file} of ${pod}: ${seen.slice(wrong - 2, wrong + 3).join(' ')}`);
  return seen.length - 1;
}

async function lastNumbers(context: CaseContext, pod: string): Promise<number[]> {
  const last: number[] = [];
  for (const file of files) last.push(await lastNumberIn(file, context, pod));
  return last;
}

/** Waits until every container has counted on from where it was. */
async function waitForCounting(
  context: CaseContext,
  pod: string,
  from: readonly number[],
): Promise<number[]> {
  return until(`all containers of ${pod} count`, { within: 120, every: 2 }, async () => {
    const now = await lastNumbers(context, pod);
    return now.every((n, at) => n > (from[at] ?? 0) + 3) ? now : undefined;
  });
}

interface RawPod {
  spec: { initContainers?: { name: string }[]; containers: { name: string }[] };
  status: { initContainerStatuses?: Restarts[]; containerStatuses?: Restarts[] };
}
interface Restarts {
  name: string;
  restartCount: number;
}

const rawPod = async (context: CaseContext, pod: string): Promise<RawPod> =>
  (await kubectlJson('-n', context.namespace, 'get', 'pod', pod)) as RawPod;

async function expectNotRestarted(context: CaseContext, pod: string): Promise<RawPod> {
  const raw = await rawPod(context, pod);
  const { initContainerStatuses = [], containerStatuses = [] } = raw.status;
  for (const { name, restartCount } of [...initContainerStatuses, ...containerStatuses])
    expect(restartCount === 0, `container ${name} of ${pod} was restarted`);
  return raw;
}

async function moveThroughNodes(context: CaseContext, ways: readonly string[]): Promise<void> {
  const pair = new LedgerPair(context, { rate: 120, serverExtras: extras });
  await pair.start();
  await pair.waitForOperations('client', 200);
  let at = await waitForCounting(context, pair.pods.server, []);
  for (const way of ways) {
    context.log(`  ${way}, with ${at.join(', ')} counted`);
    await pair.move('server', slowTimeouts);
    at = await waitForCounting(context, pair.pods.server, at);
    const { spec } = await expectNotRestarted(context, pair.pods.server);
    const names = [...(spec.initContainers ?? []), ...spec.containers].map((one) => one.name);
    expect(names.join() === 'side,main,more', `the new pod has ${names.join()}`);
    await pair.waitForOperations('client', 200);
  }
  const log = numbersIn(await containerLog(context.namespace, pair.pods.server, 'more'));
  expect((log[0] ?? 0) > 3, `it began again at ${log[0]}`);
  const setup = await execInPod(context.namespace, pair.pods.server, 'cat /shared/setup');
  expect(setup.trim() === 'ready', 'the file of the init container is missing');
  await expectBalanced(pair, context.log);
}

/** Aborts a move when CRIU has restored the sidecar and no other container. */
async function abortHalfway(
  context: CaseContext,
  pair: LedgerPair,
  o: {
    reason?: string;
    point?: string;
    what?: string;
    by?: (name: string) => Promise<unknown>;
  },
): Promise<void> {
  const { namespace, nodes } = context;
  const before = await podStatus(namespace, pair.pods.server);
  const at = await lastNumbers(context, before.name);
  const pods = await podNames(namespace);
  await arm(nodes[1], [o.point ?? 'target.freeze.after'], o.what ?? 'delay:8000');
  try {
    const name = await requestMove({ namespace, pod: before.name, to: nodes[1] });
    await waitUntilTripped(nodes[1], o.point ?? 'target.freeze.after', 240);
    await o.by?.(name);
    const end = succeededCondition(
      await waitUntilEnded(migration, { namespace, name }, context.log),
    );
    context.log(`  ${end?.reason}: ${end?.message}`);
    const expected = o.reason ?? end?.reason;
    expect(end?.status === 'False' && end.reason === expected, JSON.stringify(end));
  } finally {
    await disarm(nodes);
  }
  await waitUntilTargetGone(namespace, pods);
  await expectUntouched(namespace, before);
  await waitForCounting(context, before.name, at);
  await expectNotRestarted(context, before.name);
}

async function abortMoves(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const pair = new LedgerPair(context, { rate: 120, serverExtras: extras });
  await pair.start();
  await pair.waitForOperations('client', 200);
  await waitForCounting(context, pair.pods.server, []);
  await abortHalfway(context, pair, {
    reason: 'Cancelled',
    by: (name) => cancelMove(namespace, name),
  });
  await pair.waitForOperations('client', 200);
  await abortHalfway(context, pair, {
    reason: 'FaultInjected',
    by: () => arm(nodes[1], ['target.prepare.before'], 'throw'),
  });
  for (const { point } of keeperPoints) {
    await pair.waitForOperations('client', 100);
    await abortHalfway(context, pair, { point, what: 'throw' });
  }
  await expectContinues(context, pair);
}

async function checkpointAndRestore(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const command = IDLE;
  await startPod({ namespace, name: 'several', node: nodes[0], command, extras });
  const at = await waitForCounting(context, 'several', []);
  await createRequest(checkpoint, namespace, 'saved', { podName: 'several' });
  const saved = succeededCondition(
    await waitUntilEnded(checkpoint, { namespace, name: 'saved' }, context.log),
  );
  expect(saved?.status === 'True', `the checkpoint failed: ${JSON.stringify(saved)}`);
  await waitForCounting(context, 'several', at);
  const spec = { checkpointName: 'saved', podName: 'again', targetNodeName: nodes[1] };
  await createRequest(restore, namespace, 'again', spec);
  const made = succeededCondition(
    await waitUntilEnded(restore, { namespace, name: 'again' }, context.log),
  );
  expect(made?.status === 'True', `the restore failed: ${JSON.stringify(made)}`);
  await waitForCounting(context, 'again', at);
  await expectNotRestarted(context, 'again');
}

export const cases: readonly Case[] = [
  {
    name: 'multi-container',
    promise:
      'A sidecar, a ledger and a third container move together. All continue, and no operation is lost.',
    inTest: true,
    run: (context) => moveThroughNodes(context, ['there']),
  },
  {
    name: 'multi-container-return',
    promise: 'The same pod moves there and back again.',
    run: (context) => moveThroughNodes(context, ['there', 'back']),
  },
  {
    name: 'multi-container-abort',
    promise:
      'If a move is aborted when only the sidecar is restored, all containers resume at the source.',
    needs: ['shell'],
    run: abortMoves,
  },
  {
    name: 'multi-container-checkpoint',
    promise: 'All containers of a pod are checkpointed, and restored as a new pod.',
    run: checkpointAndRestore,
  },
];
