// SPDX-License-Identifier: Apache-2.0
// What happens to a set while one of its pods moves: a rollout, a change of its size, a controller manager that comes back.
import { arm, disarm, waitUntilTripped } from '../faults/arming.ts';
import type { MigrationRequest } from '../../crds/src/index.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { numbersIn } from '../src/checks.ts';
import { kubectl } from '../src/cluster.ts';
import { deployment, ownedPods, readyPods, startOwned, type OwnedPod } from '../src/owned-pods.ts';
import { requestMove } from '../src/move.ts';
import { IDLE, podLog } from '../src/pods.ts';
import { provider } from '../src/provider/choice.ts';
import { migration, succeededCondition, waitUntilEnded } from '../src/requests.ts';
import { until } from '../src/wait.ts';

const POINT = 'source.dump.before';
const COUNT = 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.5; done';

/**
 * Begins a move of the set's first pod, does something while it is held, and waits until the move has ended.
 * @returns the request, and the pod as it was
 */
async function inMidMove(
  context: CaseContext,
  set: string,
  count: number,
  change: (pod: OwnedPod) => Promise<unknown>,
): Promise<{ request: MigrationRequest; pod: OwnedPod }> {
  const { namespace, log } = context;
  const [pod] = await readyPods(namespace, set, count);
  if (pod === undefined) throw new Error(`${set} has no pod`);
  await arm(pod.node, [POINT], 'delay:8000');
  try {
    const name = await requestMove({ namespace, pod: pod.name });
    await waitUntilTripped(pod.node, POINT, 180);
    await change(pod);
    const request = await waitUntilEnded(migration, { namespace, name }, log);
    const end = succeededCondition(request);
    log(`  ${name} ended: ${end?.reason}: ${end?.message}`);
    return { request, pod };
  } finally {
    await disarm([pod.node]);
  }
}

/** Exactly these many are left in the end, all ready and all of one controller. @returns them */
async function settled(namespace: string, set: string, count: number): Promise<OwnedPod[]> {
  return until(`${set} has ${count} pods`, { within: 240, every: 3 }, async () => {
    const pods = await ownedPods(namespace, set);
    const owners = new Set(pods.map((one) => one.owner));
    return pods.length === count && pods.every((one) => one.ready) && owners.size <= 1
      ? pods
      : undefined;
  });
}

const patchSet = (namespace: string, patch: object): Promise<string> =>
  kubectl('-n', namespace, 'patch', 'deployment', 'web', '-p', JSON.stringify(patch));

async function changes(context: CaseContext): Promise<void> {
  const { namespace } = context;
  const command = ['/bin/sh', '-c', COUNT];
  await startOwned(deployment(2), { namespace, name: 'web', command });

  const restarted = await inMidMove(context, 'web', 2, async () => {
    await provider.controlPlane('kube-controller-manager', 'stop');
    await provider.controlPlane('kube-controller-manager', 'start');
  });
  const end = succeededCondition(restarted.request);
  expect(end?.status === 'True', `the move did not succeed: ${JSON.stringify(end)}`);
  const target = restarted.request.status?.target?.podName ?? '';
  const names = (await settled(namespace, 'web', 2)).map((one) => one.name);
  expect(names.includes(target), `${target} is not one of ${names.join()}`);
  const [first = 0] = numbersIn(await podLog(namespace, target));
  expect(first > 0, 'the counter began again');

  const before = await ownedPods(namespace, 'web');
  // To one pod and back to two: whichever the set gives up, no third is made, and none is left over.
  await inMidMove(context, 'web', 2, async () => {
    await patchSet(namespace, { spec: { replicas: 1 } });
  });
  await settled(namespace, 'web', 1);
  await patchSet(namespace, { spec: { replicas: 2 } });
  await settled(namespace, 'web', 2);

  const rolled = await inMidMove(context, 'web', 2, async () => {
    const template = { spec: { containers: [{ name: 'main', command: [...IDLE] }] } };
    await patchSet(namespace, { spec: { template } });
  });
  const after = await settled(namespace, 'web', 2);
  const old = new Set([...before, rolled.pod].map((one) => one.owner));
  const left = after.filter((one) => old.has(one.owner));
  expect(left.length === 0, `pods of the old template are left: ${JSON.stringify(left)}`);
}

export const cases: readonly Case[] = [
  {
    name: 'owner-changes',
    promise:
      'A controller manager that restarts in the middle of a move, a set that shrinks and a rollout find as many pods as they ask for.',
    needs: ['shell', 'control-plane'],
    run: changes,
  },
];
