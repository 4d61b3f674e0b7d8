// SPDX-License-Identifier: Apache-2.0
// Pods of several containers: a sidecar, a main container with RDMA, another one; moved as one or not at all.
import { behind } from '../faults/points.ts';
import { arm, disarm, tripped } from '../faults/steps.ts';
import { expect, type Case, type Context } from '../src/case.ts';
import { balanced, numbers, targetIsGone, untouched, wentOn } from '../src/checks.ts';
import { kubectl, kubectlJson } from '../src/lab.ts';
import { requestMove } from '../src/move.ts';
import { LedgerPair } from '../src/players.ts';
import {
  IDLE,
  containerLog,
  execIn,
  IMAGE,
  podNames,
  podStatus,
  startPod,
  type Beside,
} from '../src/pods.ts';
import { checkpoint, create, ended, migration, restore, summary } from '../src/requests.ts';
import { until } from '../src/wait.ts';

const shared = { name: 'shared', mountPath: '/shared' };

const small = (name: string, line: string, more: object = {}): object => ({
  ...{ name, image: IMAGE, imagePullPolicy: 'IfNotPresent', command: ['/bin/sh', '-c', line] },
  // CRIU rebuilds a container within its limits: a small one for CPU would make that very long.
  resources: { limits: { memory: '64Mi' }, requests: { cpu: '10m' } },
  volumeMounts: [shared],
  ...more,
});

/** Counts to its log and into files that it keeps open. */
const count = (...files: readonly string[]): string => {
  const opened = files.map((file, at) => `exec ${at + 3}>>${file}`);
  const written = files.map((_file, at) => `echo $i >&${at + 3}`);
  return `${opened.join('; ')}; i=0; while :; do ${written.join('; ')}; echo $i; i=$((i+1)); sleep 0.5; done`;
};

/** Three restores one after another take an emulated node long. */
const slowly = { blackoutSeconds: 110, restoreSeconds: 110 };

/** Files that all containers see. */
const files = ['/shared/side', '/shared/more', '/dev/shm/more'] as const;

const beside: Beside = {
  initContainers: [
    small('setup', 'echo ready > /shared/setup'),
    small('side', count(files[0]), { restartPolicy: 'Always' }),
  ],
  containers: [small('more', count(files[1], files[2]))],
  volumes: [{ name: 'shared', emptyDir: {} }],
  mounts: [shared],
};

/** Where a file's numbers have got to, none of them missing or twice. */
async function countedIn(file: string, c: Context, pod: string): Promise<number> {
  const seen = numbers(await execIn(c.namespace, pod, `cat ${file}`));
  const wrong = seen.findIndex((n, at) => n !== at);
  expect(wrong < 0, `${file} of ${pod}: ${seen.slice(wrong - 2, wrong + 3).join(' ')}`);
  return seen.length - 1;
}

async function counted(c: Context, pod: string): Promise<number[]> {
  const last: number[] = [];
  for (const file of files) last.push(await countedIn(file, c, pod));
  return last;
}

/** Every container goes on counting, from where it was. */
async function goesOn(c: Context, pod: string, from: readonly number[]): Promise<number[]> {
  return until(`all containers of ${pod} count`, { within: 120, every: 2 }, async () => {
    const now = await counted(c, pod);
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

const rawPod = async (c: Context, pod: string): Promise<RawPod> =>
  (await kubectlJson('-n', c.namespace, 'get', 'pod', pod)) as RawPod;

async function notRestarted(c: Context, pod: string): Promise<RawPod> {
  const raw = await rawPod(c, pod);
  const { initContainerStatuses = [], containerStatuses = [] } = raw.status;
  for (const { name, restartCount } of [...initContainerStatuses, ...containerStatuses])
    expect(restartCount === 0, `container ${name} of ${pod} was started anew`);
  return raw;
}

async function moved(c: Context, ways: readonly string[]): Promise<void> {
  const pair = new LedgerPair(c, { rate: 120, serverBeside: beside });
  await pair.begin();
  await pair.progress('client', 200);
  let at = await goesOn(c, pair.pods.server, []);
  for (const way of ways) {
    c.tell(`  ${way}, with ${at.join(', ')} counted`);
    await pair.move('server', slowly);
    at = await goesOn(c, pair.pods.server, at);
    const { spec } = await notRestarted(c, pair.pods.server);
    const names = [...(spec.initContainers ?? []), ...spec.containers].map((one) => one.name);
    expect(names.join() === 'side,main,more', `the new pod has ${names.join()}`);
    await pair.progress('client', 200);
  }
  const log = numbers(await containerLog(c.namespace, pair.pods.server, 'more'));
  expect((log[0] ?? 0) > 3, `it began again at ${log[0]}`);
  const setup = await execIn(c.namespace, pair.pods.server, 'cat /shared/setup');
  expect(setup.trim() === 'ready', 'what the init container left is not there');
  await balanced(pair, c.tell);
}

/** A move that is stopped when the sidecar is rebuilt and nothing else is. */
async function stoppedHalfWay(
  c: Context,
  pair: LedgerPair,
  o: {
    reason?: string;
    point?: string;
    what?: string;
    by?: (name: string) => Promise<unknown>;
  },
): Promise<void> {
  const { namespace, nodes } = c;
  const before = await podStatus(namespace, pair.pods.server);
  const at = await counted(c, before.name);
  const pods = await podNames(namespace);
  await arm(nodes[1], [o.point ?? 'shim.atGate.after'], o.what ?? 'delay:8000');
  try {
    const name = await requestMove({ namespace, pod: before.name, to: nodes[1] });
    await tripped(nodes[1], o.point ?? 'shim.atGate.after', 240);
    await o.by?.(name);
    const end = summary(await ended(migration, { namespace, name }, c.tell));
    c.tell(`  ${end?.reason}: ${end?.message}`);
    const expected = o.reason ?? end?.reason;
    expect(end?.status === 'False' && end.reason === expected, JSON.stringify(end));
  } finally {
    await disarm(nodes);
  }
  await targetIsGone(namespace, pods);
  await untouched(namespace, before);
  await goesOn(c, before.name, at);
  await notRestarted(c, before.name);
}

async function aborted(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  const pair = new LedgerPair(c, { rate: 120, serverBeside: beside });
  await pair.begin();
  await pair.progress('client', 200);
  await goesOn(c, pair.pods.server, []);
  await stoppedHalfWay(c, pair, {
    reason: 'Cancelled',
    by: (name) =>
      kubectl(
        ...['-n', namespace, 'patch', 'mreq', name, '--type=merge'],
        ...['-p', '{"spec":{"cancel":true}}'],
      ),
  });
  await pair.progress('client', 200);
  await stoppedHalfWay(c, pair, {
    reason: 'FaultInjected',
    by: () => arm(nodes[1], ['target.prepare.before'], 'throw'),
  });
  for (const { point } of behind) {
    await pair.progress('client', 100);
    await stoppedHalfWay(c, pair, { point, what: 'throw' });
  }
  await wentOn(c, pair);
}

/** CRIU of the first container ends at its open gate. Its create has returned: nothing restores it once more. */
async function lostOne(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  const pair = new LedgerPair(c, { rate: 120, serverBeside: beside });
  await pair.begin();
  await pair.progress('client', 200);
  const at = await goesOn(c, pair.pods.server, []);
  await arm(nodes[1], ['plugin.restore.gate.after'], 'throw');
  try {
    const name = await requestMove({
      namespace,
      pod: pair.pods.server,
      to: nodes[1],
      timeouts: slowly,
    });
    const request = await ended(migration, { namespace, name }, c.tell);
    const end = summary(request);
    c.tell(`  ${end?.reason}: ${end?.message}`);
    const isTold = end?.reason === 'TargetLost' && end.message.includes('container side');
    expect(isTold, JSON.stringify(end));
    pair.follow('server', request.status?.target?.podName ?? '', nodes[1]);
  } finally {
    await disarm(nodes);
  }
  await pair.progress('client', 200);
  await until('the sidecar is started anew', { within: 120, every: 2 }, async () => {
    const raw = await rawPod(c, pair.pods.server);
    const side = raw.status.initContainerStatuses?.find((one) => one.name === 'side');
    return (side?.restartCount ?? 0) > 0 ? true : undefined;
  });
  const more = await countedIn(files[1], c, pair.pods.server);
  expect(more > (at[1] ?? 0) + 3, `the third container has counted to ${more}`);
  await balanced(pair, c.tell);
}

async function checkpointed(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  const command = IDLE;
  await startPod({ namespace, name: 'several', node: nodes[0], command, beside });
  const at = await goesOn(c, 'several', []);
  await create(checkpoint, namespace, 'saved', { podName: 'several' });
  const saved = summary(await ended(checkpoint, { namespace, name: 'saved' }, c.tell));
  expect(saved?.status === 'True', `the checkpoint failed: ${JSON.stringify(saved)}`);
  await goesOn(c, 'several', at);
  const spec = { checkpointName: 'saved', podName: 'again', targetNodeName: nodes[1] };
  await create(restore, namespace, 'again', spec);
  const made = summary(await ended(restore, { namespace, name: 'again' }, c.tell));
  expect(made?.status === 'True', `the restore failed: ${JSON.stringify(made)}`);
  await goesOn(c, 'again', at);
  await notRestarted(c, 'again');
}

export const cases: readonly Case[] = [
  {
    name: 'multi-container',
    promise: 'a sidecar, a ledger and a third container move as one: nothing is lost, all go on',
    inTest: true,
    run: (c) => moved(c, ['there']),
  },
  {
    name: 'multi-container-return',
    promise: 'the same, there and back again',
    run: (c) => moved(c, ['there', 'back']),
  },
  {
    name: 'multi-container-abort',
    promise: 'stopped when only the first container is rebuilt: all of them go on at the source',
    run: aborted,
  },
  {
    name: 'multi-container-lost',
    promise: 'a sidecar that ends as it is let go is told of and started anew; the others go on',
    run: lostOne,
  },
  {
    name: 'multi-container-checkpoint',
    promise: 'all containers of a pod are checkpointed, and restored as a new pod',
    run: checkpointed,
  },
];
