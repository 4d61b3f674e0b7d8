// SPDX-License-Identifier: Apache-2.0
// A Service in front of a Deployment, one pod of which moves: its clients wait, and get no error.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { numbersIn } from '../src/checks.ts';
import { apply, kubectlJson } from '../src/cluster.ts';
import { Looks } from '../src/looks.ts';
import { move } from '../src/move.ts';
import { deployment, readyPods, startOwned } from '../src/owned-pods.ts';
import { podIp, podLog, startPod } from '../src/pods.ts';
import { provider } from '../src/provider/choice.ts';
import { until } from '../src/wait.ts';

const PORT = 7000;
const REPLICAS = 3;
const MOVES = 3;

/** Each number by a connection of its own: kube-proxy chooses a pod for each. It waits as long as TCP does. */
const client = (address: string): string =>
  `i=0; while :; do r=$(echo $i | nc ${address} ${PORT}); [ "$r" = $i ] && echo $i || echo "error: $i became $r"; ` +
  'i=$((i+1)); sleep 0.3; done';

interface Slices {
  readonly items: {
    readonly endpoints?: { addresses: string[]; conditions?: { ready?: boolean } }[];
  }[];
}

/** The addresses that the Service sends its clients to. */
async function readyAddresses(namespace: string): Promise<Set<string>> {
  const selector = ['-l', 'kubernetes.io/service-name=web'];
  const { items } = (await kubectlJson(
    ...['-n', namespace, 'get', 'endpointslices', ...selector],
  )) as Slices;
  const endpoints = items.flatMap((one) => one.endpoints ?? []);
  return new Set(
    endpoints.filter((one) => one.conditions?.ready !== false).flatMap((one) => one.addresses),
  );
}

async function clientContinues(namespace: string): Promise<void> {
  const from = numbersIn(await podLog(namespace, 'client')).length;
  const limits = { within: 180 * provider.slowness, every: 3 };
  // Enough that each pod has been chosen.
  const log = await until(`the client goes on from ${from}`, limits, async () => {
    const text = await podLog(namespace, 'client');
    return numbersIn(text).length > from + 5 * REPLICAS ? text : undefined;
  });
  const errors = log.split('\n').filter((line) => line.startsWith('error'));
  expect(errors.length === 0, `the client got ${errors.length} errors: ${errors[0]}`);
}

async function service(context: CaseContext): Promise<void> {
  const { namespace, log, results } = context;
  const command = ['nc', '-ll', '-p', String(PORT), '-e', 'cat'];
  await startOwned(deployment(REPLICAS), { namespace, name: 'web', command });
  await apply({
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace } },
    spec: { selector: { 'sealift-e2e': 'web' }, ports: [{ port: PORT }] },
  });
  const [first] = await readyPods(namespace, 'web', REPLICAS);
  await until('the Service has its pods', { within: 60 }, async () =>
    (await readyAddresses(namespace)).size === REPLICAS ? true : undefined,
  );
  const found = (await kubectlJson('-n', namespace, 'get', 'service', 'web')) as {
    spec: { clusterIP: string };
  };
  await startPod({
    ...{ namespace, name: 'client', runtimeClass: null },
    command: ['/bin/sh', '-c', client(found.spec.clusterIP)],
  });
  await clientContinues(namespace);
  const counts: number[] = [];
  const looks = new Looks(async () => {
    counts.push((await readyAddresses(namespace)).size);
  });
  let pod = first?.name ?? '';
  try {
    for (let turn = 1; turn <= MOVES; turn++) {
      const address = await podIp(namespace, pod);
      const moved = await move({ namespace, pod, workload: 'pod of a Service' }, log);
      results.moves.push(moved.entry);
      pod = moved.pod;
      const now = await podIp(namespace, pod);
      expect(now === address, `pod ${pod} has address ${now}, not ${address}`);
      await clientContinues(namespace);
    }
  } finally {
    await looks.stop();
  }
  const most = Math.max(...counts);
  log(`  the Service has had ${Math.min(...counts)} to ${most} addresses`);
  expect(most <= REPLICAS, `the Service has had ${most} addresses`);
  const { size } = await readyAddresses(namespace);
  expect(size === REPLICAS, `the Service has ${size} addresses`);
}

export const cases: readonly Case[] = [
  {
    name: 'service',
    promise:
      'A pod behind a Service moves three times. A client that connects again and again waits, and gets no error.',
    needs: ['services'],
    run: service,
  },
];
