// SPDX-License-Identifier: Apache-2.0
// kubectl drain empties a node by moving its pods, and MigrationPolicies keep their limits.
import { API_VERSION, evacuationName, MigrationRequest } from '../../crds/src/index.ts';
import { arm, armedPoints, disarm, OPERATOR } from '../faults/arming.ts';
import { evacuationPoints } from '../faults/points.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { numbersIn } from '../src/checks.ts';
import { apply, kubectl, kubectlJson } from '../src/cluster.ts';
import { run } from '../src/command.ts';
import { podLog, podStatus, startPod } from '../src/pods.ts';
import { provider } from '../src/provider/choice.ts';
import { createRequest, migration, succeededCondition, waitUntilEnded } from '../src/requests.ts';
import { until } from '../src/wait.ts';

/** Counts, so that a pod that was started from nothing shows. */
const COUNT = 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.5; done';
/** Keeps a file open by a name that is gone, while the file has another one. CRIU cannot dump it. */
const STUCK = `exec 4>/tmp/f; ln /tmp/f /tmp/f-2; rm /tmp/f; ${COUNT}`;
const command = (line: string): string[] => ['/bin/sh', '-c', line];

const policy = (name: string, { namespace }: CaseContext, spec: object): object => ({
  ...{ apiVersion: API_VERSION, kind: 'MigrationPolicy', metadata: { name } },
  spec: {
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
    ...spec,
  },
});

async function uidOf(namespace: string, pod: string): Promise<string> {
  const { metadata } = (await kubectlJson('-n', namespace, 'get', 'pod', pod)) as {
    metadata: { uid: string };
  };
  return metadata.uid;
}

const requests = async (namespace: string): Promise<MigrationRequest[]> => {
  const { items } = (await kubectlJson('-n', namespace, 'get', 'mreq')) as { items: unknown[] };
  return items.map((one) => MigrationRequest.parse(one));
};

/** @returns what kubectl says, and its exit code as the last line */
function drain(node: string, pods: readonly string[], seconds: number): Promise<string> {
  const { kubectl: program, kubeconfig } = provider.tools;
  const args = [
    ...[program, 'drain', node, '--force', '--ignore-daemonsets', '--delete-emptydir-data'],
    ...[`--pod-selector=sealift-e2e in (${pods.join(',')})`, `--timeout=${seconds}s`],
  ];
  return run('bash', ['-c', '"$@" 2>&1; echo "exit $?"', 'drain', ...args], {
    env: kubeconfig === undefined ? {} : { KUBECONFIG: kubeconfig },
    timeoutMs: (seconds + 60) * 1000 * provider.slowness,
  });
}

const code = (output: string): string => /exit (\d+)\s*$/.exec(output)?.[1] ?? '';

/** Its move has succeeded, and the new pod goes on counting on another node. */
async function expectMoved(context: CaseContext, uid: string, from: string): Promise<void> {
  const { namespace } = context;
  const name = evacuationName(uid);
  const ended = await waitUntilEnded(migration, { namespace, name }, context.log);
  const end = succeededCondition(ended);
  expect(end?.status === 'True', `${name}: ${JSON.stringify(end)}`);
  const { target, report } = ended.status ?? {};
  expect(target?.nodeName !== from, `${name} has moved to the node that is drained`);
  const pod = target?.podName ?? '';
  await until(`${pod} counts`, { within: 120 }, async () =>
    (numbersIn(await podLog(namespace, pod)).at(-1) ?? 0) > 0 ? true : undefined,
  );
  const [first = 0] = numbersIn(await podLog(namespace, pod));
  expect(first > 0, `${pod} began at ${first}: it was started from nothing`);
  context.log(`${pod} goes on at ${first}, blackout ${report?.blackoutMs ?? 0} ms`);
}

async function drains(context: CaseContext): Promise<void> {
  const { namespace, nodes, log } = context;
  const [node] = nodes;
  const movable = ['drain-1', 'drain-2', 'drain-3'];
  const all = [...movable, 'drain-stuck', 'drain-budget'];
  const name = `${namespace}-drain`;
  const eviction = { action: 'Migrate', unmovable: 'Keep' };
  await apply(policy(name, context, { eviction }));
  const budget = { minAvailable: 1, selector: { matchLabels: { 'sealift-e2e': 'drain-budget' } } };
  await apply({
    ...{ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget' },
    metadata: { name: 'one', namespace },
    spec: budget,
  });
  const uids = new Map<string, string>();
  for (const pod of all) {
    const line = pod === 'drain-stuck' ? STUCK : COUNT;
    await startPod({ namespace, name: pod, node, command: command(line) });
    uids.set(pod, await uidOf(namespace, pod));
  }
  const uid = (pod: string): string => uids.get(pod) ?? '';
  try {
    // The operator ends before and after it makes a request; kubectl asks again.
    await arm(
      OPERATOR,
      evacuationPoints.map(({ point }) => point),
      'throw',
    );
    const first = await drain(node, all, 420);
    log(first);
    expect(code(first) === '1', 'the drain ended although two pods stay');
    for (const pod of movable) await expectMoved(context, uid(pod), node);
    for (const pod of ['drain-stuck', 'drain-budget']) {
      const { node: where, phase, restarts } = await podStatus(namespace, pod);
      expect(
        where === node && phase === 'Running' && restarts === 0,
        `${pod} is ${phase} on ${where}, ${restarts} restarts`,
      );
    }
    expect(/could not be moved and is kept/.test(first), 'kubectl is not told of the stuck pod');
    expect(/disruption budget/.test(first), 'kubectl is not told of the budget');
    const made = (await requests(namespace)).map((one) => one.metadata.name);
    expect(!made.includes(evacuationName(uid('drain-budget'))), 'the budget was not respected');
    const passed = await armedPoints(OPERATOR);
    expect(passed.length === 0, `nothing has passed ${passed.join()}`);

    await kubectl('-n', namespace, 'delete', 'pdb', 'one');
    await apply(policy(name, context, { eviction: { ...eviction, unmovable: 'Evict' } }));
    const second = await drain(node, all, 420);
    log(second);
    expect(code(second) === '0', 'the drain did not end');
    await expectMoved(context, uid('drain-budget'), node);
    const { items } = (await kubectlJson('-n', namespace, 'get', 'pods')) as {
      items: { metadata: { name: string }; spec: { nodeName: string } }[];
    };
    const left = items.filter(({ spec }) => spec.nodeName === node);
    expect(left.length === 0, `pods are left: ${left.map((one) => one.metadata.name).join()}`);
  } finally {
    await disarm([OPERATOR]);
    await kubectl('uncordon', node);
    await kubectl('delete', 'mpol', name, '--ignore-not-found');
  }
}

/** How many requests are under way. */
const underWay = (all: readonly MigrationRequest[]): number =>
  all.filter(({ status }) => status?.source && status.completionTime === undefined).length;

async function keepsLimits(context: CaseContext): Promise<void> {
  const { namespace, nodes, log } = context;
  const [low, high, short] = ['low', 'high', 'short'].map((one) => `${namespace}-${one}`) as [
    string,
    string,
    string,
  ];
  const pods = ['limit-1', 'limit-2', 'limit-3'];
  const only = (pod: string) => ({ podSelector: { matchLabels: { 'sealift-e2e': pod } } });
  try {
    await apply(policy(low, context, { limits: { migrations: 3 } }));
    await apply(policy(high, context, { priority: 1, limits: { migrations: 1 } }));
    const timeouts = { prepareSeconds: 1 };
    await apply(policy(short, context, { priority: 2, timeouts, ...only('limit-late') }));
    for (const name of [...pods, 'limit-late']) {
      await startPod({ namespace, name, node: nodes[0], command: command(COUNT) });
    }
    for (const podName of pods) await createRequest(migration, namespace, podName, { podName });
    let most = 0;
    await until('all three have ended', { within: 900, every: 1 }, async () => {
      const now = await requests(namespace);
      most = Math.max(most, underWay(now));
      return now.every(({ status }) => status?.completionTime !== undefined) ? true : undefined;
    });
    log(`${most} migrations under way at a time`);
    expect(most === 1, `${most} migrations were under way, and the policy allows 1`);
    for (const { metadata, status } of await requests(namespace)) {
      const end = succeededCondition({ status });
      expect(end?.status === 'True', `${metadata.name}: ${JSON.stringify(end)}`);
      expect(status?.policy?.name === high, `${metadata.name} has policy ${status?.policy?.name}`);
    }
    // Its own spec has 300 s.
    await createRequest(migration, namespace, 'late', { podName: 'limit-late' });
    const late = await waitUntilEnded(migration, { namespace, name: 'late' }, log);
    const reason = succeededCondition(late)?.reason;
    expect(reason === 'PrepareDeadlineExceeded', `the policy's deadline ended with ${reason}`);
    expect(late.status?.policy?.timeouts?.prepareSeconds === 1, 'the status has no deadline');
    const { phase } = await podStatus(namespace, 'limit-late');
    expect(phase === 'Running', `the pod is ${phase} after the abort`);
  } finally {
    await kubectl('delete', 'mpol', low, high, short, '--ignore-not-found');
  }
}

/** What a policy's bandwidth does to a move: it goes on more slowly, or is refused before the pod is touched. */
async function keepsBandwidth(context: CaseContext): Promise<void> {
  const { namespace, nodes, log } = context;
  const names = ['slow', 'slower'].map((one) => `${namespace}-${one}`) as [string, string];
  const only = (pod: string) => ({ podSelector: { matchLabels: { 'sealift-e2e': pod } } });
  const limit = (bandwidthPerMigration: string) => ({ limits: { bandwidthPerMigration } });
  try {
    await apply(policy(names[0], context, { ...limit('256Ki'), ...only('band-1') }));
    const timeouts = { transferSeconds: 1 };
    await apply(policy(names[1], context, { ...limit('64Ki'), timeouts, ...only('band-2') }));
    for (const name of ['band-1', 'band-2']) {
      await startPod({ namespace, name, node: nodes[0], command: command(COUNT) });
      await createRequest(migration, namespace, name, { podName: name });
    }
    const slow = await waitUntilEnded(migration, { namespace, name: 'band-1' }, log);
    const end = succeededCondition(slow);
    expect(end?.status === 'True', `band-1: ${JSON.stringify(end)}`);
    const rate = slow.status?.report?.sentBytesPerSecond ?? Infinity;
    log(`${rate} bytes per second, where the policy allows ${2 ** 18}`);
    expect(rate <= 2 ** 18, `the images went at ${rate} bytes per second`);
    const refused = await waitUntilEnded(migration, { namespace, name: 'band-2' }, log);
    const reason = succeededCondition(refused)?.reason;
    expect(reason === 'BandwidthTooLow', `64Ki/s for one second ended with ${reason}`);
    const hold = refused.status?.sourceAgent?.steps?.find(({ name }) => name === 'hold');
    expect(hold === undefined, 'the pod was held before its move was refused');
    const { phase } = await podStatus(namespace, 'band-2');
    expect(phase === 'Running', `the pod is ${phase} after the refusal`);
  } finally {
    await kubectl('delete', 'mpol', ...names, '--ignore-not-found');
  }
}

export const cases: readonly Case[] = [
  {
    name: 'drain',
    promise:
      'kubectl drain moves the pods of a node, keeps one that cannot move and one whose budget forbids it, and ends when a policy lets both go.',
    needs: ['shell'],
    run: drains,
  },
  {
    name: 'policy-limits',
    promise: 'Of the pods of a policy one moves at a time, and none longer than the policy allows.',
    run: keepsLimits,
  },
  {
    name: 'policy-bandwidth',
    promise:
      'Images of a pod are sent no faster than its policy allows; a move that cannot be in time by it is refused, and its pod is not touched.',
    run: keepsBandwidth,
  },
];
