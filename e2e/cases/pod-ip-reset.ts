// SPDX-License-Identifier: Apache-2.0
// A pod that does not keep its IP loses the TCP connections there, if it may: the number is known before, nothing is lost by a
// refusal or an abort, and afterwards both ends of each connection know.
import { annotations } from '../../crds/src/index.ts';
import { abortInTransfer } from '../faults/stopped-move.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectCountsOn, numbersIn } from '../src/checks.ts';
import { apply, onNode } from '../src/cluster.ts';
import { move, requestMove, type MoveOptions } from '../src/move.ts';
import { podIp, podLog, startPod } from '../src/pods.ts';
import { deleteRequest, migration, succeededCondition, waitUntilEnded } from '../src/requests.ts';
import { until } from '../src/wait.ts';

const PORT = 7000;
/** From the end of a move until a client that waits for an answer knows. One without a reset would wait for minutes. */
const TOLD_SECONDS = 20;
const CONF = '/etc/cni/net.d/90-sealift-e2e.conf';
const logOf = (node: string): string => `/run/sealift-pod-ip-reset-${node}.log`;

interface Multus {
  delegates?: { name?: string }[];
}

/**
 * A network that is the cluster's own one by another way: a pod that asks for it gets an address as any other, and Sealift does
 * not know it, so that the pod does not keep it. The configuration is each node's own, in a file that Multus finds by the name.
 */
async function plainNetwork({ namespace, nodes }: CaseContext): Promise<string> {
  let name = '';
  for (const node of nodes) {
    const text = await onNode(node, 'cat /etc/cni/net.d/00-multus.conf');
    const own = (JSON.parse(text) as Multus).delegates?.[0];
    expect(own?.name !== undefined, `Multus of node ${node} has no delegate with a name`);
    name = own.name;
    await onNode(node, `printf %s '${JSON.stringify(own)}' >${CONF}`);
  }
  await apply({
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata: { name, namespace },
  });
  return `${namespace}/${name}`;
}

/** Counts over one connection, and says how that has ended. */
async function startClient(node: string, address: string): Promise<void> {
  const log = logOf(node);
  const loop =
    `exec 3<>/dev/tcp/${address}/${PORT}; i=0; while echo $i >&3 && read -r -t 300 line <&3; ` +
    'do echo "$line"; i=$((i+1)); sleep 0.5; done; echo ended';
  await onNode(node, `rm -f ${log}; setsid bash -c '${loop}' >${log} 2>&1 </dev/null & sleep 1`);
}

async function expectCounting(node: string): Promise<void> {
  const numbers = async (): Promise<number[]> =>
    numbersIn(await onNode(node, `cat ${logOf(node)}`));
  await expectCountsOn({ name: `node ${node}`, numbers, more: 3, within: 120 });
}

const expectAllCounting = async (nodes: readonly string[]): Promise<void> => {
  await Promise.all(nodes.map(expectCounting));
};

async function expectRefused(context: CaseContext, wanted: MoveOptions): Promise<void> {
  const name = await requestMove(wanted);
  const request = await waitUntilEnded(
    migration,
    { namespace: wanted.namespace, name },
    context.log,
  );
  const { reason = '', message = '' } = succeededCondition(request) ?? {};
  expect(reason === 'UnsupportedObject', `the move ended with ${reason}: ${message}`);
  expect(/would lose \d+ established/.test(message), `it does not say what is lost: ${message}`);
  await deleteRequest(migration, wanted.namespace, name);
}

async function expectCounted(context: CaseContext, wanted: MoveOptions): Promise<void> {
  const name = await requestMove({ ...wanted, dryRun: true });
  const request = await waitUntilEnded(
    migration,
    { namespace: wanted.namespace, name },
    context.log,
  );
  const { lostConnections } = request.status?.inspection ?? {};
  const count = context.nodes.length;
  expect(
    lostConnections === count,
    `a dry run counts ${lostConnections}, not ${count} connections`,
  );
  await deleteRequest(migration, wanted.namespace, name);
}

async function reset(context: CaseContext): Promise<void> {
  const { namespace, nodes, log } = context;
  try {
    const network = await plainNetwork(context);
    // One process for each connection, which says how it has ended.
    const command = ['nc', '-ll', '-p', String(PORT), '-e', 'cat'];
    const asked = { [annotations.defaultNetwork]: network };
    await startPod({ namespace, name: 'echo', node: nodes[0], command, annotations: asked });
    const address = await podIp(namespace, 'echo');
    for (const node of nodes) await startClient(node, address);
    await expectAllCounting(nodes);
    const plain = { namespace, pod: 'echo', to: nodes[1] };
    const wanted = { ...plain, podIPConnections: 'Reset' } as const;
    await expectRefused(context, plain);
    await expectCounted(context, wanted);
    await expectAllCounting(nodes);
    await abortInTransfer(context, wanted, nodes[0]);
    await expectAllCounting(nodes);
    log('  a refusal, a dry run and an abort have ended no connection');

    const { entry, pod } = await move({ ...wanted, workload: 'tcp that is reset' }, log);
    context.results.moves.push(entry);
    for (const node of nodes) {
      await until(
        `the client of node ${node} knows`,
        { within: TOLD_SECONDS, every: 1 },
        async () =>
          (await onNode(node, `cat ${logOf(node)}`)).includes('ended') ? true : undefined,
      );
    }
    await until('the pod’s processes know', { within: TOLD_SECONDS, every: 1 }, async () =>
      ((await podLog(namespace, pod)).match(/reset by peer/g) ?? []).length >= nodes.length
        ? true
        : undefined,
    );
    const now = await podIp(namespace, pod);
    expect(now !== address, `pod ${pod} has kept its address ${address}`);
    for (const node of nodes) await startClient(node, now);
    await expectAllCounting(nodes);
  } finally {
    for (const node of nodes) await onNode(node, `rm -f ${CONF} ${logOf(node)}`);
  }
}

export const cases: readonly Case[] = [
  {
    name: 'pod-ip-reset',
    promise:
      'A pod that does not keep its IP is moved without its TCP connections there if the request says so: they are counted before, an abort ends none, and after the move both ends of each know at once.',
    needs: ['shell'],
    run: reset,
  },
];
