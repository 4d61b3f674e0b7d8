// SPDX-License-Identifier: Apache-2.0
// A moved pod keeps its address in the cluster's network, and the TCP connections at it survive, whoever is at the other end.
import { abortInTransfer } from '../faults/stopped-move.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectBalanced, expectCountsOn, numbersIn } from '../src/checks.ts';
import { kubectl, onNode } from '../src/cluster.ts';
import { LedgerPair } from '../src/ledger-pair.ts';
import type { Endpoint } from '../src/pair.ts';
import { move } from '../src/move.ts';
import { podIp, podLog, podStatus, startPod } from '../src/pods.ts';
import { provider } from '../src/provider/choice.ts';
import { until } from '../src/wait.ts';

const PORT = 7000;
/** Sends a number twice a second and waits for it to come back. */
const STEP_MS = 500;
/** TCP retransmits with growing intervals: the longest pause of a client after a blackout of one minute. */
const RESUME_SECONDS = 120;

/** A client of the echo server, in a pod or on a node: how far it has counted. */
interface Client {
  readonly name: string;
  readonly numbers: () => Promise<number[]>;
}

async function podClient(context: CaseContext, node: string, address: string): Promise<Client> {
  const { namespace } = context;
  const name = `client-${node}`;
  const count = `i=0; while :; do echo $i; i=$((i+1)); usleep ${STEP_MS * 1000}; done`;
  // A pod like any other: it knows nothing of Sealift.
  await startPod({
    ...{ namespace, name, node, runtimeClass: null },
    command: ['/bin/sh', '-c', `${count} | nc ${address} ${PORT}`],
  });
  return { name: `pod ${name}`, numbers: async () => numbersIn(await podLog(namespace, name)) };
}

async function nodeClient(node: string, address: string): Promise<Client> {
  const log = `/run/sealift-pod-ip-${node}.log`;
  const loop =
    `exec 3<>/dev/tcp/${address}/${PORT}; i=0; ` +
    `while [ -e ${log} ] && echo $i >&3 && read -r -t ${RESUME_SECONDS} line <&3; do echo "$line"; i=$((i+1)); sleep ${STEP_MS / 1000}; done`;
  await onNode(node, `touch ${log}; setsid bash -c '${loop}' >${log} 2>&1 </dev/null & sleep 1`);
  return {
    name: `node ${node}`,
    numbers: async () => numbersIn(await onNode(node, `cat ${log}`)),
  };
}

/** Ends the loop with its next number. */
const endNodeClient = (node: string): Promise<string> =>
  onNode(node, `rm -f /run/sealift-pod-ip-${node}.log`);

/** Each client counts on, without a gap and without a number twice. */
async function expectClientsContinue(clients: readonly Client[]): Promise<void> {
  for (const { name, numbers } of clients) {
    await expectCountsOn({ name, numbers, more: 4, within: RESUME_SECONDS });
  }
}

/** What the nodes have of the address: routes, answers for it, reservations. */
async function tracesOf(context: CaseContext, address: string): Promise<string> {
  const line =
    `ip route show table 7460 | grep -F ${address}; ip neigh show proxy | grep -F ${address}; ` +
    `grep -l sealift /run/cni-ipam/pods/${address} 2>/dev/null; true`;
  const found = await Promise.all(context.nodes.map((node) => onNode(node, line)));
  return found.join('').trim();
}

async function tcp(context: CaseContext): Promise<void> {
  const { namespace, nodes, log } = context;
  let pod = 'echo';
  // One process listens; each connection gets one of its own.
  const command = ['nc', '-ll', '-p', String(PORT), '-e', 'cat'];
  await startPod({ namespace, name: pod, node: nodes[0], command });
  const address = await podIp(namespace, pod);
  const clients = [
    await podClient(context, nodes[0], address),
    await podClient(context, nodes[1], address),
    await nodeClient(nodes[0], address),
    await nodeClient(nodes[1], address),
  ];
  try {
    await expectClientsContinue(clients);
    for (const to of [nodes[1], nodes[0], nodes[1]]) {
      const moved = await move({ namespace, pod, to, workload: 'tcp at the pod IP' }, log);
      context.results.moves.push(moved.entry);
      pod = moved.pod;
      const now = await podIp(namespace, pod);
      expect(now === address, `pod ${pod} has address ${now}, not ${address}`);
      await expectClientsContinue(clients);
    }
    await abortOne(context, pod, address, clients);
  } finally {
    await Promise.all(nodes.map(endNodeClient));
  }
  await kubectl('-n', namespace, 'delete', 'pod', pod, '--wait=true', '--timeout=120s');
  await until('nothing is left of the address', { within: 90, every: 3 }, async () =>
    (await tracesOf(context, address)) === '' ? true : undefined,
  );
}

/** Back to its first node, but aborted: nothing changes on the nodes, and every connection goes on. */
async function abortOne(
  context: CaseContext,
  pod: string,
  address: string,
  clients: readonly Client[],
): Promise<void> {
  const { namespace, nodes } = context;
  const before = await tracesOf(context, address);
  await abortInTransfer(context, { namespace, pod, to: nodes[0] }, nodes[1]);
  await expectClientsContinue(clients);
  await until('the nodes are as before', { within: 90, every: 3 }, async () =>
    (await tracesOf(context, address)) === before ? true : undefined,
  );
}

/** How long a node takes from its reset until its pods run again. */
const BOOT_SECONDS = 900;
/** From the new sandbox's readiness on: the kubelet reports it, then the other node routes it. */
const ROUTED_SECONDS = 10;

/** Whether a node has an echo from the address within two seconds. */
async function echoes(node: string, address: string): Promise<boolean> {
  const script =
    `exec 3<>/dev/tcp/${address}/${PORT}; echo ping >&3; read -r -t 2 line <&3; ` +
    '[ "$line" = ping ] && echo pong';
  return (await onNode(node, `timeout 3 bash -c '${script}' 2>/dev/null; true`)).includes('pong');
}

/** Kills the first process of a pod's sandbox. The kubelet makes another one, for the same pod. */
async function killSandbox(node: string, namespace: string, pod: string): Promise<void> {
  const uid = (
    await kubectl('-n', namespace, 'get', 'pod', pod, '-o', 'jsonpath={.metadata.uid}')
  ).trim();
  // With the systemd driver a cgroup's name has underscores.
  const names = `${uid}|${uid.replaceAll('-', '_')}`;
  const found = await onNode(
    node,
    `for p in $(pgrep -x pause); do grep -qsE '${names}' /proc/$p/cgroup && kill -9 $p && echo $p; done; true`,
  );
  expect(found.trim() !== '', `node ${node} has no sandbox of pod ${pod}`);
}

/**
 * CNI's library does not sync its cache: after a loss of power a new sandbox's record may be empty, and containerd then fails
 * to end the sandbox until somebody removes the file.
 */
async function syncAndReset(node: string): Promise<void> {
  await onNode(node, 'sync');
  await provider.reset(node);
}

/** A pod that has moved keeps its address, though its request is gone: when its sandbox is made anew, and over a boot. */
async function anew(context: CaseContext): Promise<void> {
  const { namespace, nodes, log } = context;
  const command = ['nc', '-ll', '-p', String(PORT), '-e', 'cat'];
  await startPod({ namespace, name: 'echo', node: nodes[0], command, restartPolicy: 'OnFailure' });
  const address = await podIp(namespace, 'echo');
  const { entry, pod } = await move(
    { namespace, pod: 'echo', to: nodes[1], workload: 'echo' },
    log,
  );
  context.results.moves.push(entry);
  await kubectl('-n', namespace, 'delete', 'mreq', '--all', '--wait=true', '--timeout=120s');
  for (const [what, within, make] of [
    ['its sandbox is made anew', 180, () => killSandbox(nodes[1], namespace, pod)],
    ['its node has booted', BOOT_SECONDS, () => syncAndReset(nodes[1])],
  ] as const) {
    const { restarts } = await podStatus(namespace, pod);
    await make();
    await until(`pod ${pod} runs again, as ${what}`, { within, every: 1 }, async () => {
      const now = await podStatus(namespace, pod);
      return now.ready && now.restarts > restarts ? true : undefined;
    });
    const now = await podIp(namespace, pod);
    expect(now === address, `pod ${pod} has address ${now}, not ${address}, after ${what}`);
    for (const node of [nodes[1], nodes[0]]) {
      await until(
        `node ${node} reaches it, as ${what}`,
        { within: ROUTED_SECONDS, every: 1 },
        async () => ((await echoes(node, address)) ? true : undefined),
      );
    }
    log(`  ${address} is reached again: ${what}`);
  }
  await kubectl('-n', namespace, 'delete', 'pod', pod, '--wait=true', '--timeout=120s');
  await until('nothing is left of the address', { within: 90, every: 3 }, async () =>
    (await tracesOf(context, address)) === '' ? true : undefined,
  );
}

/** The kubelet's report of both pods is the same address before and after. */
async function ledger(context: CaseContext): Promise<void> {
  const pair = new LedgerPair(context, { rate: 120, controlOnPodIp: true });
  await pair.start();
  const addressOf = (endpoint: Endpoint): Promise<string> =>
    podIp(context.namespace, pair.pods[endpoint]);
  const before = [await addressOf('client'), await addressOf('server')].join();
  for (const endpoint of ['server', 'client', 'server'] as const) {
    await pair.waitForOperations(endpoint, 300);
    await pair.move(endpoint);
  }
  await pair.waitForOperations('client', 300);
  const after = [await addressOf('client'), await addressOf('server')].join();
  expect(after === before, `addresses ${after}, before the moves ${before}`);
  // The end is agreed upon over the control connection.
  await expectBalanced(pair, context.log);
}

export const cases: readonly Case[] = [
  {
    name: 'pod-ip-tcp',
    promise:
      'Established TCP connections at the pod IP, of pods and nodes that know nothing of Sealift, survive three moves and an abort; then nothing is left of the address.',
    needs: ['shell'],
    run: tcp,
  },
  {
    name: 'pod-ip-anew',
    promise:
      'A pod that has moved keeps its IP when its sandbox is made anew and when its node boots, and nodes reach it again within seconds.',
    needs: ['shell', 'reset'],
    run: anew,
  },
  {
    name: 'pod-ip-ledger',
    promise:
      'A ledger pair whose control connection is between the pod IPs loses nothing over three moves of either end.',
    run: ledger,
  },
];
