// SPDX-License-Identifier: Apache-2.0
// Other peers: a machine without any part of Sealift, and queue pairs with a retry limit.
import { annotations } from '../../crds/src/index.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectBalanced, expectMoveFails, expectContinues } from '../src/checks.ts';
import { kubectl, onNode } from '../src/cluster.ts';
import { move } from '../src/move.ts';
import { LedgerPair } from '../src/ledger-pair.ts';
import type { Endpoint } from '../src/pair.ts';
import { newAddress, waitUntilPodEnded, podLog, startPod } from '../src/pods.ts';
import { provider } from '../src/provider/choice.ts';
import type { OutsidePeer } from '../src/provider/provider.ts';
import { RUN_SECONDS } from '../src/run-time.ts';
import { sleepSeconds, until } from '../src/wait.ts';

/** Starts a machine outside the cluster. It must have the distribution's own driver. */
async function startOutsidePeer(context: CaseContext): Promise<OutsidePeer> {
  context.log('  starting the machine outside the cluster');
  const peer = await provider.startOutsidePeer();
  const module = await onNode(
    peer.name,
    `modprobe rdma_rxe && { rdma link add rxe0 type rxe netdev ${peer.netdev} 2>/dev/null; modinfo -n rdma_rxe; ls /opt/sealift 2>&1; true; }`,
  );
  expect(module.includes('/kernel/drivers/'), `its rdma_rxe is not the distribution's: ${module}`);
  expect(module.includes('No such file'), 'Sealift is on that machine');
  return peer;
}

async function distributionPeer(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const outside = await startOutsidePeer(context);
  const line = ['ib_write_bw', '-F', '-s', '4096', '-D', String(RUN_SECONDS)];
  await onNode(
    outside.name,
    `rm -f /run/perftest.exit; (${line.join(' ')} >/run/perftest.log 2>&1; echo $? >/run/perftest.exit) >/dev/null 2>&1 &`,
  );
  const pod = { namespace, name: 'client', node: nodes[0], address: newAddress(), prefix: 16 };
  await startPod({ ...pod, command: [...line, outside.address] });
  await sleepSeconds(5);
  const counters = `rdma -j statistic show | tr ',' '\\n' | grep -E 'retry_exceeded|rnr_exceeded|rcvd_rnr' | tr -d ' \\n'`;
  const moved = await move(
    { namespace, pod: 'client', to: nodes[1], workload: 'perftest client, peer outside' },
    context.log,
  );
  context.results.moves.push(moved.entry);
  const client = await waitUntilPodEnded(namespace, moved.pod, 300);
  const server = await until(
    'the peer ends',
    { within: 60 },
    async () =>
      (await onNode(outside.name, 'cat /run/perftest.exit 2>/dev/null || true')).trim() ||
      undefined,
  );
  context.log(`  the peer's device: ${await onNode(outside.name, counters)}`);
  const logs = `${await podLog(namespace, moved.pod)}\n${await onNode(outside.name, 'cat /run/perftest.log')}`;
  expect(client.exitCode === 0 && server === '0', `${client.exitCode} and ${server}:\n${logs}`);
}

/** Peers give up after `count` retries without an answer. Only RNR NAKs let them wait longer. */
async function limitedRetryCount(
  context: CaseContext,
  count: number,
  endpoint: Endpoint,
): Promise<void> {
  const more = ['--retry-count', String(count)];
  const pair = new LedgerPair(context, { rate: 120, extraArguments: more });
  await pair.start();
  await pair.waitForOperations('client', 300);
  await pair.move(endpoint);
  await expectContinues(context, pair, 300);
}

/**
 * Peers that give up at their seventh RNR NAK. A blackout on an emulated node takes longer, so every move is aborted in
 * time. A wrong value of the annotation fails the request before the pod is touched.
 */
async function limitedRnrRetry(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  const [key, count] = [annotations.peerRnrRetry, '6'];
  const pair = new LedgerPair(context, {
    ...{ rate: 120, extraArguments: ['--rnr-retry', count] },
    serverAnnotations: { [key]: count },
  });
  await pair.start();
  await pair.waitForOperations('client', 300);
  const pod = pair.pods.server;
  for (const [value, reason] of [
    ['many', 'BadAnnotation'],
    ['1', 'PeerRetryBudgetTooShort'],
    [count, 'PeerRetryBudgetExceeded'],
    [count, 'PeerRetryBudgetExceeded'],
  ] as const) {
    await kubectl('-n', namespace, 'annotate', '--overwrite', 'pod', pod, `${key}=${value}`);
    await expectMoveFails(context, { pod, to: nodes[1], reason });
    await pair.waitForOperations('client', 200);
  }
  await expectBalanced(pair, context.log);
}

export const cases: readonly Case[] = [
  {
    name: 'peer-outside',
    promise: "A peer outside the cluster, with the distribution's driver, sees only a pause.",
    needs: ['shell', 'outside-peer'],
    run: distributionPeer,
  },
  {
    name: 'peer-gives-up',
    promise:
      'Peers with rnr_retry 6 never see an error. A move that would take too long for them is aborted.',
    run: limitedRnrRetry,
  },
  ...[0, 1, 2, 3, 4, 5, 6, 7].map((count) => ({
    name: `peer-retry-${count}`,
    promise: `Peers with retry_cnt ${count} see only a pause.`,
    run: (context: CaseContext) => limitedRetryCount(context, count, 'server'),
  })),
];
