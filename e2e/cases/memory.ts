// SPDX-License-Identifier: Apache-2.0
// A pod goes only where its memory fits, whatever its requests say; and files in its memory stay its own (docs/adr/0042).
import { agentLease, annotations, parseNodeMemory } from '../../crds/src/index.ts';
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { kubectlJson, onNode } from '../src/cluster.ts';
import { move, requestMove } from '../src/move.ts';
import { execInPod, IMAGE, podStatus, startPod } from '../src/pods.ts';
import { migration, succeededCondition, waitUntilEnded } from '../src/requests.ts';
import { until } from '../src/wait.ts';

const MIB = 2 ** 20;
/** In a volume of the pod, whose container may have 256 MiB. With what is kept free it needs 411 MiB. */
const HELD_MIB = 200;
/** What the other node has left meanwhile: above the kubelet's threshold of evictions. */
const LEFT_MIB = 350;
const FILL = '/run/sealift-e2e-memory';

interface Lease {
  metadata: { name: string; annotations?: Record<string, string> };
  spec: { renewTime?: string };
}

/** As the node's agent says with its Lease. */
async function availableOn(node: string): Promise<number | undefined> {
  const all = await kubectlJson('get', 'leases', '-A', '-l', 'sealift.dev/agent');
  const { items } = all as { items: Lease[] };
  const found = items.find(({ metadata }) => metadata.name === agentLease.name(node));
  const said = found?.metadata.annotations?.[annotations.memory];
  return parseNodeMemory(said, found?.spec.renewTime)?.available;
}

const waitFor = (node: string, what: string, isSo: (available: number) => boolean) =>
  until(what, { within: 90, every: 2 }, async () => {
    const available = await availableOn(node);
    return available !== undefined && isSo(available) ? available : undefined;
  });

const fill = (node: string): Promise<string> =>
  onNode(
    node,
    `mkdir -p ${FILL} && mount -t tmpfs -o size=100% none ${FILL} && ` +
      `mib=$(($(sed -n "s/^MemAvailable: *\\([0-9]*\\) kB/\\1/p" /proc/meminfo) / 1024 - ${LEFT_MIB})) && ` +
      `dd if=/dev/zero of=${FILL}/fill bs=1M count=$mib 2>&1`,
    300_000,
  );
const empty = (node: string): Promise<string> =>
  onNode(node, `umount ${FILL} 2>&1; rmdir ${FILL} 2>&1; true`);

/** Bytes in memory of no file, of the pod's own cgroup. */
async function chargedTo(node: string, uid: string): Promise<number> {
  const slice = uid.replaceAll('-', '_');
  const find = `find /sys/fs/cgroup -type d \\( -name "*pod${uid}" -o -name "*pod${slice}.slice" \\)`;
  const text = await onNode(node, `grep -h "^shmem " $(${find} | head -1)/memory.stat`);
  return Number(text.trim().split(' ')[1]);
}

async function tooLittle(context: CaseContext): Promise<void> {
  const { namespace, nodes, log, results } = context;
  const [from, to] = nodes;
  const memory = { name: 'memory', emptyDir: { medium: 'Memory' } };
  const mounts = [{ name: 'memory', mountPath: '/memory' }];
  const hold = `dd if=/dev/zero of=/memory/held bs=1M count=${HELD_MIB}; echo kept >/memory/mark; while :; do sleep 1; done`;
  await startPod({
    ...{ namespace, name: 'large', node: from, image: IMAGE, command: ['/bin/sh', '-c', hold] },
    extras: { initContainers: [], containers: [], volumes: [memory], mounts },
  });
  await until('the pod holds its memory', { within: 120 }, async () =>
    (await execInPod(namespace, 'large', 'cat /memory/mark 2>/dev/null || true')).includes('kept')
      ? true
      : undefined,
  );
  try {
    await fill(to);
    await waitFor(to, 'the agent says so', (bytes) => bytes < (LEFT_MIB + 40) * MIB);
    const name = await requestMove({ namespace, pod: 'large', to });
    const request = await waitUntilEnded(migration, { namespace, name, within: 90 }, log);
    const { reason, message = '' } = succeededCondition(request) ?? {};
    expect(reason === 'NotEnoughMemory', `${reason}: ${message}`);
    const numbers = message.match(/\(\d+ bytes\)/g) ?? [];
    expect(numbers.length >= 2, `it does not say both numbers: ${message}`);
    const { target, deadlines, report, sourceAgent } = request.status ?? {};
    expect(target?.podUID === undefined, `a target was created: ${JSON.stringify(target)}`);
    const isUntouched =
      deadlines?.blackout === undefined && (sourceAgent?.steps ?? []).length === 0;
    expect(isUntouched && (report?.blackoutMs ?? 0) === 0, 'the pod stood still');
    const status = await podStatus(namespace, 'large');
    expect(status.ready && status.node === from && status.restarts === 0, JSON.stringify(status));
  } finally {
    await empty(to);
  }
  await waitFor(to, 'the node has its memory again', (bytes) => bytes > 3 * HELD_MIB * MIB);
  const { pod, entry } = await move({ namespace, pod: 'large', to, workload: 'memory' }, log);
  results.moves.push(entry);
  const held = await execInPod(namespace, pod, 'cat /memory/mark; wc -c </memory/held');
  expect(held.split(/\s+/).join(' ').trim() === `kept ${HELD_MIB * MIB}`, `it has lost: ${held}`);
  const raw = await kubectlJson('-n', namespace, 'get', 'pod', pod);
  const charged = await chargedTo(to, (raw as { metadata: { uid: string } }).metadata.uid);
  expect(charged >= HELD_MIB * MIB, `only ${charged} bytes of it are charged to the pod`);
}

export const cases: readonly Case[] = [
  {
    name: 'memory-too-little',
    promise:
      'A pod whose memory the other node does not have is refused before anything is done to it, with both numbers; once the node has it, the pod moves, and its memory is charged to it.',
    needs: ['shell', 'own-kernel'],
    run: tooLittle,
  },
];
