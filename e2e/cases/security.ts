// SPDX-License-Identifier: Apache-2.0
// What restricts a container is the same after a move, as its node sees it and as the container does.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { apply, onNode } from '../src/cluster.ts';
import { move } from '../src/move.ts';
import { execInPod, podManifest, podStatus } from '../src/pods.ts';
import { until } from '../src/wait.ts';

const NAME = 'restricted';

interface Manifest {
  spec: { containers: Record<string, unknown>[]; [field: string]: unknown };
}

/** A pod with each restriction that a pod's spec can have, and a volume that is mounted twice. */
function manifest(namespace: string, node: string): object {
  const command = ['/bin/sh', '-c', ': settings-of-a-pod; while :; do sleep 1; done'];
  const pod = podManifest({ namespace, name: NAME, node, command }) as Manifest;
  return {
    ...pod,
    spec: {
      ...pod.spec,
      securityContext: {
        ...{ runAsUser: 1000, runAsGroup: 1000, fsGroup: 30, supplementalGroups: [4, 20] },
        seccompProfile: { type: 'RuntimeDefault' },
      },
      volumes: [{ name: 'data', emptyDir: {} }],
      containers: pod.spec.containers.map((one) => ({
        ...one,
        securityContext: {
          ...{ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
          capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
        },
        volumeMounts: [
          { name: 'data', mountPath: '/data' },
          { name: 'data', mountPath: '/data-ro', readOnly: true },
        ],
      })),
    },
  };
}

/** Files of a cgroup, as far as its controllers have them (a node may be without swap or io), not those that count. */
const LIMITS = [
  ...[
    'memory.max',
    'memory.min',
    'memory.low',
    'memory.high',
    'memory.swap.max',
    'memory.oom.group',
  ],
  ...['cpu.max', 'cpu.weight', 'cpu.idle', 'cpuset.cpus', 'cpuset.mems', 'pids.max'],
  ...['io.max', 'io.weight', 'io.bfq.weight', 'io.latency', 'hugetlb.2MB.max', 'hugetlb.1GB.max'],
];

/** Run on a node: what it knows of the container's first process and of its cgroup. */
const SETTINGS = [
  'pid=$(pgrep -o -f "[:] settings-of-a-pod")',
  'grep -E "^(Umask|Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Speculation|THP|Cpus_allowed_list)" /proc/$pid/status',
  'echo "label $(tr -d "\\0" < /proc/$pid/attr/current 2>/dev/null); slack $(cat /proc/$pid/timerslack_ns); $(ionice -p $pid)"',
  'echo "oom_score_adj $(cat /proc/$pid/oom_score_adj); personality $(cat /proc/$pid/personality)"',
  'cat /proc/$pid/limits',
  'awk \'{ print "mount", $5, $6 }\' /proc/$pid/mountinfo | sort',
  'awk \'/ - cgroup2 / { print "sees all cgroups:", $4 == "/" }\' /proc/$pid/mountinfo',
  '[ $(readlink /proc/$pid/ns/cgroup) = $(readlink /proc/1/ns/cgroup) ] && echo "the node\'s cgroup namespace"',
  'cd /sys/fs/cgroup$(sed -n s/^0:://p /proc/$pid/cgroup) && cat memory.max cpu.max pids.max > /dev/null && ' +
    `for limit in ${LIMITS.join(' ')}; do [ ! -e $limit ] || echo "$limit: $(paste -sd " " $limit)"; done`,
].join('; ');

/** Run in the container: where it can write, and whether it sees other containers' cgroups. */
const WRITES =
  'for at in / /data /data-ro /proc/sys/kernel /sys/fs/cgroup; do touch $at/x 2>/dev/null && echo writes $at; done; ' +
  'ls -d /sys/fs/cgroup/lab.slice 2>/dev/null; cat /proc/self/cgroup; cat /proc/kcore 2>/dev/null | head -c 1 | wc -c';

async function settings(context: CaseContext, node: string, pod: string): Promise<string[]> {
  const outside = await onNode(node, SETTINGS);
  const inside = await execInPod(context.namespace, pod, `${WRITES}; true`);
  return `${outside}\n${inside}`.split('\n').map((line) => line.trim());
}

async function keepsSettings(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  await apply(manifest(namespace, nodes[0]));
  await until('the pod is ready', { within: 240, every: 2 }, async () =>
    (await podStatus(namespace, NAME)).ready ? true : undefined,
  );
  const before = await settings(context, nodes[0], NAME);
  expect(
    before.some((line) => /^mount \/ ro/.test(line)),
    `the case tests nothing: the root is not read-only: ${before.join('; ')}`,
  );
  let pod = NAME;
  for (const to of [nodes[1], nodes[0]]) {
    ({ pod } = await move({ namespace, pod, to, workload: 'restricted' }, context.log));
    const after = await settings(context, to, pod);
    const lost = before.filter((line) => !after.includes(line));
    const gained = after.filter((line) => !before.includes(line));
    expect(
      lost.length + gained.length === 0,
      `after the move to ${to}, lost: ${lost.join('; ')}; gained: ${gained.join('; ')}`,
    );
  }
}

export const cases: readonly Case[] = [
  {
    name: 'security-settings',
    needs: ['shell'],
    promise: 'After each of two moves a container has every restriction that it had.',
    run: keepsSettings,
  },
];
