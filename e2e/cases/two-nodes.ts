// SPDX-License-Identifier: Apache-2.0
// A pod of a StatefulSet moves to the other one of two nodes, and leaves one that is drained (docs/adr/0044).
import { API_VERSION, evacuationName, type MigrationRequest } from '../../crds/src/index.ts';
import { arm, armedPoints, disarm, OPERATOR } from '../faults/arming.ts';
import { controllerPoints } from '../faults/points.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { apply, kubectl, kubectlJson } from '../src/cluster.ts';
import { requestMove } from '../src/move.ts';
import { OwnedLedgerPair, ownedPods, statefulSet } from '../src/owned-pods.ts';
import { podStatus } from '../src/pods.ts';
import { migration, readRequest, succeededCondition, waitUntilEnded } from '../src/requests.ts';
import { until } from '../src/wait.ts';

/** Three moves, each with its limits. */
const WITHIN_ALL = 1400;

async function uidOf(namespace: string, pod: string): Promise<string> {
  const { metadata } = (await kubectlJson('-n', namespace, 'get', 'pod', pod)) as {
    metadata: { uid: string };
  };
  return metadata.uid;
}

/** The request has succeeded, and the set has its pod back, on that node. */
async function expectBack(
  { namespace, log }: CaseContext,
  name: string,
  pod: string,
  node: string,
): Promise<MigrationRequest> {
  const ended = await waitUntilEnded(migration, { namespace, name, within: WITHIN_ALL }, log);
  const end = succeededCondition(ended);
  expect(end?.status === 'True', `the moves did not succeed: ${JSON.stringify(end)}`);
  const { node: where } = await podStatus(namespace, pod);
  expect(where === node, `${pod} is on ${where}, not on ${node}`);
  return ended;
}

async function onTwoNodes(context: CaseContext): Promise<void> {
  const { namespace, nodes, log } = context;
  const policy = `${namespace}-two`;
  const pair = new OwnedLedgerPair(context, statefulSet(1), { rate: 150 });
  await pair.start();
  await pair.waitForOperations('client', 200);
  const pod = pair.pods.server;
  const { node: from } = await podStatus(namespace, pod);
  const [to = ''] = nodes.filter((one) => one !== from);

  const name = await requestMove({ namespace, pod });
  const { status } = await expectBack(context, name, pod, to);
  const middle = await readRequest(migration, namespace, status?.secondMove?.requestName ?? '');
  expect(middle.status?.secondMove !== undefined, 'it has not moved three times');
  await pair.waitForOperations('client', 200);

  await apply({
    ...{ apiVersion: API_VERSION, kind: 'MigrationPolicy', metadata: { name: policy } },
    spec: {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
      podSelector: { matchLabels: { 'sealift-e2e': pair.name } },
      eviction: { action: 'Migrate', unmovable: 'Keep' },
    },
  });
  const points = controllerPoints.landingWaits.map(({ point }) => point);
  try {
    await arm(OPERATOR, points, 'throw');
    const request = evacuationName(await uidOf(namespace, pod));
    log(
      await kubectl(
        ...['drain', to, '--force', '--ignore-daemonsets', '--delete-emptydir-data'],
        ...[`--pod-selector=sealift-e2e=${pair.name}`, '--timeout=420s'],
      ),
    );
    await until('the landing pod waits for a node', { within: 300, every: 2 }, async () => {
      const found = await readRequest(migration, namespace, request);
      return succeededCondition(found)?.reason === 'NoNodeForName' ? true : undefined;
    });
    const left = await armedPoints(OPERATOR);
    expect(left.length === 0, `nothing has passed ${left.join()}`);
    const there = (await ownedPods(namespace, pair.name)).filter((one) => one.node === to);
    expect(there.length === 0, `${there.map((one) => one.name).join()} is on the drained node`);
    await pair.waitForOperations('client', 200);
    await kubectl('uncordon', to);
    await expectBack(context, request, pod, from);
  } finally {
    await disarm([OPERATOR]);
    await kubectl('uncordon', to);
    await kubectl('delete', 'mpol', policy, '--ignore-not-found');
  }
  await pair.waitForOperations('client', 200);
  const errors = await pair.errorsSoFar();
  expect(errors.lost + errors.duplicated === 0, `the ledger found ${JSON.stringify(errors)}`);
}

export const cases: readonly Case[] = [
  {
    name: 'owner-two-nodes',
    promise:
      'A pod of a StatefulSet moves to the other one of two nodes, leaves one that is drained, and gets its name back. No operation is lost.',
    needs: ['shell'],
    run: onTwoNodes,
  },
];
