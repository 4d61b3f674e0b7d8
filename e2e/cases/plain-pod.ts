// SPDX-License-Identifier: Apache-2.0
// Pods without RDMA: memory and files move too, and TCP connections on the fabric network survive.
import { arm, disarm, waitUntilTripped } from '../faults/arming.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { numbersIn } from '../src/checks.ts';
import { onNode } from '../src/cluster.ts';
import { move } from '../src/move.ts';
import { execInPod, newAddress, podLog, startPod } from '../src/pods.ts';
import { provider } from '../src/provider/choice.ts';
import { until } from '../src/wait.ts';

const LOCKED = 'source.lock.after';

/** Between lock and freeze the pod's packets are dropped, and its send calls succeed. */
async function expectLockedSend(node: string): Promise<void> {
  await waitUntilTripped(node, LOCKED, 120);
  const inside = 'nsenter -n -t $(pgrep -f "[w]hile :; do echo [$]i" | head -1)';
  const address = await provider.addressOf('api-server');
  const [rules, sent] = await Promise.all([
    onNode(node, `${inside} nft list table inet sealift`),
    onNode(node, `${inside} bash -c 'echo x > /dev/udp/${address}/9' 2>&1 && echo sent`),
  ]);
  expect(rules.includes('policy drop'), `the pod is not locked: ${rules}`);
  expect(sent.trim() === 'sent', `sending a datagram failed: ${sent}`);
}

async function counter(context: CaseContext): Promise<void> {
  const name = 'counter';
  const { namespace } = context;
  const line = 'echo here > /tmp/mark; i=0; while :; do echo $i; i=$((i+1)); sleep 0.5; done';
  await startPod({ namespace, name, node: context.nodes[0], command: ['/bin/sh', '-c', line] });
  await until('the counter counts', { within: 60 }, async () =>
    numbersIn(await podLog(namespace, name)).length > 5 ? true : undefined,
  );
  await arm(context.nodes[0], [LOCKED], 'delay:6000');
  const [{ pod, entry }] = await Promise.all([
    move({ namespace, pod: name, to: context.nodes[1], workload: 'counter' }, context.log),
    expectLockedSend(context.nodes[0]),
  ]).finally(() => disarm(context.nodes));
  context.results.moves.push(entry);
  const before = (entry.objects.qp + entry.objects.mr).toString();
  expect(before === '0', `a pod without RDMA has ${before} RDMA objects`);
  const after = await until('the counter continues', { within: 60 }, async () => {
    const seen = numbersIn(await podLog(namespace, pod));
    return seen.length > 3 ? seen : undefined;
  });
  expect((after[0] ?? 0) > 5, `it began again at ${after[0]}`);
  expect(
    after.every((n, i) => i === 0 || n === (after[i - 1] ?? 0) + 1),
    `the numbers have gaps: ${after.join(' ')}`,
  );
  expect(
    (await execInPod(namespace, pod, 'cat /tmp/mark')).trim() === 'here',
    'a file of the writable layer is missing',
  );
}

async function tcp(context: CaseContext): Promise<void> {
  const { namespace } = context;
  const [address, peer] = [newAddress(), newAddress()];
  // A shell loop: other programs buffer their output.
  const check =
    'n=0; while read -r i; do [ "$i" = $n ] || { echo "gap at $i after $((n-1))"; exit 1; }; ' +
    'n=$((n+1)); [ $((n % 20)) = 0 ] && echo $n; done';
  await startPod({
    namespace,
    name: 'sink',
    node: context.nodes[0],
    address,
    // nc would close the connection at the end of its input. `sleep` would not do: a move interrupts it.
    command: ['/bin/sh', '-c', `tail -f /dev/null | nc -l -p 7000 | { ${check}; }`],
  });
  const count = 'i=0; while :; do echo $i; i=$((i+1)); usleep 20000; done';
  await startPod({
    namespace,
    name: 'source',
    node: context.nodes[1],
    address: peer,
    command: ['/bin/sh', '-c', `${count} | nc ${address} 7000`],
  });
  const last = async (pod: string): Promise<number> =>
    numbersIn(await podLog(namespace, pod)).at(-1) ?? 0;
  await until('lines arrive', { within: 90 }, async () =>
    (await last('sink')) >= 100 ? true : undefined,
  );
  const { pod, entry } = await move(
    { namespace, pod: 'sink', to: context.nodes[1], workload: 'tcp sink' },
    context.log,
  );
  context.results.moves.push(entry);
  const more = async (than: number): Promise<number> =>
    until('lines arrive after the move', { within: 120 }, async () => {
      const n = await last(pod);
      return n > than ? n : undefined;
    });
  // The first lines had arrived before the dump. The peer retransmits the others, with growing intervals.
  await more(await more(await more(0)));
  const log = await podLog(namespace, pod);
  expect(!log.includes('gap'), log.slice(-500));
}

export const cases: readonly Case[] = [
  {
    name: 'plain-pod',
    promise: 'A pod without RDMA moves with its memory and its files.',
    inTest: true,
    needs: ['shell'],
    run: counter,
  },
  {
    name: 'plain-tcp',
    promise: 'A TCP connection on the fabric network survives. No byte is lost or repeated.',
    run: tcp,
  },
];
