// SPDX-License-Identifier: Apache-2.0
// What fails in the fault matrix. Each victim injects its failure and returns a function that ends it.
import { onNode } from '../src/cluster.ts';
import { cancelMove } from '../src/move.ts';
import { provider } from '../src/provider/choice.ts';
import type { Ability, Provider } from '../src/provider/provider.ts';
import { sleepSeconds } from '../src/wait.ts';

export interface FaultContext {
  readonly namespace: string;
  /** The MigrationRequest's name. */
  readonly request: string;
  readonly source: string;
  readonly target: string;
  /** The target pod's UID, once there is one. */
  targetUid(): Promise<string>;
}

/** Ends the failure. Does nothing if the victim recovers by itself. */
export type Undo = () => Promise<void>;
const nothing: Undo = () => Promise.resolve();

export interface Victim {
  readonly name: string;
  /** The node whose memory is lost, and with it the copy that runs there. */
  readonly loses?: 'source' | 'target';
  /** Steps at which the failure makes sense. Absent: all. */
  readonly steps?: readonly string[];
  /** What it does besides running commands on nodes. */
  readonly needs?: readonly Ability[];
  inject(context: FaultContext): Promise<Undo>;
}

const killProcesses = (pick: (context: FaultContext) => readonly string[], pattern: string) => {
  return async (context: FaultContext): Promise<Undo> => {
    // The pattern must not find the shell that runs it.
    const line = `pkill -KILL -f '[${pattern[0]}]${pattern.slice(1)}' || true`;
    await Promise.all(pick(context).map((node) => onNode(node, line)));
    return nothing;
  };
};

/** On a node: CRIU's work directories, `<request UID>/<container>`. */
const WORK = '/var/lib/sealift/work';

/**
 * A shell line that does something as soon as CRIU is at work, which takes a second or so. One that was started before its pod
 * was locked, and is not begun, is not at work yet (docs/adr/0033). A dump has the highest priority on its
 * node, so the shell that waits for it runs with a real-time priority.
 */
export const whenCriuRuns = (line: string): string =>
  'chrt -f -p 10 $$ && ' +
  'works() { pgrep -x criu > /dev/null || return 1; for file in ' +
  `${WORK}/*/*/begin.waits; do ` +
  '[ -e "$file" ] && [ ! -e "${file%.waits}" ] && return 1; done; return 0; }; ' +
  'for i in $(seq 1000); do works && break; sleep 0.1; done; ' +
  line;

/** Kills the oldest CRIU process, not those that it has forked. */
const killCriu = (role: 'source' | 'target') => {
  return async (context: FaultContext): Promise<Undo> => {
    await onNode(context[role], whenCriuRuns('pkill -KILL -o -x criu'), 90_000);
    return nothing;
  };
};

/** Drops all packets between a node and an address for `ms` milliseconds. */
const cut = (
  role: 'source' | 'target',
  from: (context: FaultContext) => Parameters<Provider['addressOf']>[0],
  ms: number,
) => {
  return async (context: FaultContext): Promise<Undo> => {
    const node = context[role];
    const address = await provider.addressOf(from(context));
    const rules = ['input', 'output'].map((hook) => {
      const match = hook === 'input' ? 'saddr' : 'daddr';
      return `chain ${hook} { type filter hook ${hook} priority -300; ip ${match} ${address} drop; };`;
    });
    await onNode(node, `nft 'table ip sealift_e2e { ${rules.join(' ')} }'`);
    return async () => {
      await sleepSeconds(ms / 1000);
      await onNode(node, 'nft delete table ip sealift_e2e');
    };
  };
};

const agentPid = 'pgrep -f "[/]opt/app/agent.js run" | head -1';

export const victims: readonly Victim[] = [
  {
    // No failure: a user cancels the move. Shows what an abort at that step costs.
    name: 'cancel',
    async inject({ namespace, request }) {
      await cancelMove(namespace, request);
      return nothing;
    },
  },
  {
    name: 'operator',
    inject: killProcesses((context) => [context.source, context.target], '/opt/app/operator.js'),
  },
  {
    name: 'source-agent',
    inject: killProcesses((context) => [context.source], '/opt/app/agent.js'),
  },
  {
    name: 'target-agent',
    inject: killProcesses((context) => [context.target], '/opt/app/agent.js'),
  },
  {
    name: 'source-containerd',
    inject: killProcesses((context) => [context.source], '/bin/containerd$'),
  },
  {
    name: 'target-containerd',
    inject: killProcesses((context) => [context.target], '/bin/containerd$'),
  },
  {
    // A restarted kubelet finds the containers that are started. A create that waits at its gate ends together with the kubelet that called it.
    name: 'source-kubelet',
    inject: killProcesses((context) => [context.source], '/usr/local/bin/kubelet '),
  },
  {
    name: 'target-kubelet',
    inject: killProcesses((context) => [context.target], '/usr/local/bin/kubelet '),
  },
  { name: 'source-criu', steps: ['dumping'], inject: killCriu('source') },
  // It ends at the resume gate.
  { name: 'target-criu', steps: ['restoring'], inject: killCriu('target') },
  {
    name: 'source-reset',
    loses: 'source',
    needs: ['reset'],
    inject: (context) => provider.reset(context.source).then(() => nothing),
  },
  {
    name: 'target-reset',
    loses: 'target',
    needs: ['reset'],
    inject: (context) => provider.reset(context.target).then(() => nothing),
  },
  {
    name: 'api-server',
    needs: ['control-plane'],
    async inject() {
      await provider.controlPlane('kube-apiserver', 'stop');
      return async () => {
        await sleepSeconds(10);
        await provider.controlPlane('kube-apiserver', 'start');
      };
    },
  },
  { name: 'link-nodes', inject: cut('target', (context) => ({ node: context.source }), 15_000) },
  { name: 'link-source-api', inject: cut('source', () => 'api-server', 20_000) },
  { name: 'link-target-api', inject: cut('target', () => 'api-server', 20_000) },
  {
    name: 'disk-full',
    steps: ['locking', 'holding', 'dumping', 'transferring'],
    async inject(context) {
      // Only in the agent's mount namespace. A node whose whole disk is full would also be a failure of the kubelet.
      const enter = `nsenter -t $(${agentPid}) -m`;
      const directory = '/var/lib/sealift/checkpoints';
      await onNode(context.target, `${enter} mount -t tmpfs -o size=64k none ${directory}`);
      return async () => {
        await sleepSeconds(20);
        await onNode(context.target, `${enter} umount -l ${directory}`);
      };
    },
  },
  {
    name: 'corruption',
    steps: ['locking', 'holding', 'dumping', 'transferring'],
    async inject(context) {
      await onNode(context.source, 'tc qdisc add dev eth0 root netem corrupt 20%');
      return async () => {
        await sleepSeconds(20);
        await onNode(context.source, 'tc qdisc del dev eth0 root');
      };
    },
  },
  {
    name: 'target-memory',
    steps: ['locking', 'holding', 'dumping', 'transferring', 'restoring'],
    async inject(context) {
      const uid = (await context.targetUid()).replaceAll('-', '[-_]');
      const find = `find /sys/fs/cgroup -type d -name '*pod${uid}*' | head -1`;
      await onNode(context.target, `echo 3M > "$(${find})"/memory.max`);
      return nothing;
    },
  },
];
