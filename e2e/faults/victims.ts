// SPDX-License-Identifier: Apache-2.0
// What fails: each does its harm when it is called and gives what makes it good again.
import { kubectl, onNode, run, top } from '../src/lab.ts';
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

/** Called once the move may go on; nothing to do for what comes back by itself. */
export type Undo = () => Promise<void>;
const nothing: Undo = () => Promise.resolve();

export interface Victim {
  readonly name: string;
  /** The machine that has what runs there only in its memory: lost with it. */
  readonly loses?: 'source' | 'target';
  /** Steps at which it makes sense; absent: every one. */
  readonly steps?: readonly string[];
  inject(scene: FaultContext): Promise<Undo>;
}

const lab = (...args: string[]): Promise<string> =>
  run(`${top}/e2e/lab/lab.sh`, args, { timeoutMs: 120_000 });

const killProcesses = (pick: (scene: FaultContext) => readonly string[], pattern: string) => {
  return async (scene: FaultContext): Promise<Undo> => {
    // The pattern must not find the shell that runs it.
    const line = `pkill -KILL -f '[${pattern[0]}]${pattern.slice(1)}' || true`;
    await Promise.all(pick(scene).map((node) => onNode(node, line)));
    return nothing;
  };
};

/**
 * A line that does something as soon as CRIU runs, which it does for a second or so. A dump comes before all else on its
 * node, so that whoever waits for it has to be real-time to see it.
 */
export const whenCriuRuns = (line: string): string =>
  'chrt -f -p 10 $$ && ' +
  'for i in $(seq 1000); do pgrep -x criu > /dev/null && break; sleep 0.1; done; ' +
  line;

/** The oldest: before whatever it has forked. */
const killCriu = (role: 'source' | 'target') => {
  return async (scene: FaultContext): Promise<Undo> => {
    await onNode(scene[role], whenCriuRuns('pkill -KILL -o -x criu'), 90_000);
    return nothing;
  };
};

const address = (node: string): string => `10.77.0.1${node.slice(1)}`;
const API_SERVER = '10.77.0.1';

/** Nothing passes between a node and an address for a while. */
const cut = (role: 'source' | 'target', from: (scene: FaultContext) => string, ms: number) => {
  return async (scene: FaultContext): Promise<Undo> => {
    const node = scene[role];
    const rules = ['input', 'output'].map((hook) => {
      const match = hook === 'input' ? 'saddr' : 'daddr';
      return `chain ${hook} { type filter hook ${hook} priority -300; ip ${match} ${from(scene)} drop; };`;
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
    // Nothing fails: somebody changes his mind. What an abort at that step costs.
    name: 'cancel',
    async inject({ namespace, request }) {
      const patch = '{"spec":{"cancel":true}}';
      await kubectl('-n', namespace, 'patch', 'mreq', request, '--type=merge', '-p', patch);
      return nothing;
    },
  },
  { name: 'operator', inject: killProcesses((s) => [s.source, s.target], '/opt/app/operator.js') },
  { name: 'source-agent', inject: killProcesses((s) => [s.source], '/opt/app/agent.js') },
  { name: 'target-agent', inject: killProcesses((s) => [s.target], '/opt/app/agent.js') },
  { name: 'source-containerd', inject: killProcesses((s) => [s.source], '/usr/bin/containerd$') },
  { name: 'target-containerd', inject: killProcesses((s) => [s.target], '/usr/bin/containerd$') },
  { name: 'source-criu', steps: ['dumping'], inject: killCriu('source') },
  {
    name: 'target-criu',
    steps: ['restoring', 'at-the-gate', 'decided'],
    inject: killCriu('target'),
  },
  {
    name: 'source-reset',
    loses: 'source',
    inject: (s) => lab('reset', s.source.slice(1)).then(() => nothing),
  },
  {
    name: 'target-reset',
    loses: 'target',
    inject: (s) => lab('reset', s.target.slice(1)).then(() => nothing),
  },
  {
    name: 'api-server',
    async inject() {
      await lab('part', 'stop', 'kube-apiserver');
      return async () => {
        await sleepSeconds(10);
        await lab('part', 'start', 'kube-apiserver');
      };
    },
  },
  { name: 'link-nodes', inject: cut('target', (s) => address(s.source), 15_000) },
  { name: 'link-source-api', inject: cut('source', () => API_SERVER, 20_000) },
  { name: 'link-target-api', inject: cut('target', () => API_SERVER, 20_000) },
  {
    name: 'disk-full',
    steps: ['before-hold', 'held', 'dumping', 'streaming'],
    async inject(s) {
      // Only the agent sees it: the node's own disk being full would be another failure, of the kubelet.
      const enter = `nsenter -t $(${agentPid}) -m`;
      const folder = '/var/lib/sealift/checkpoints';
      await onNode(s.target, `${enter} mount -t tmpfs -o size=64k none ${folder}`);
      return async () => {
        await sleepSeconds(20);
        await onNode(s.target, `${enter} umount -l ${folder}`);
      };
    },
  },
  {
    name: 'corruption',
    steps: ['before-hold', 'held', 'dumping', 'streaming'],
    async inject(s) {
      await onNode(s.source, 'tc qdisc add dev eth0 root netem corrupt 20%');
      return async () => {
        await sleepSeconds(20);
        await onNode(s.source, 'tc qdisc del dev eth0 root');
      };
    },
  },
  {
    name: 'target-memory',
    steps: ['before-hold', 'held', 'dumping', 'streaming', 'restoring'],
    async inject(s) {
      const uid = (await s.targetUid()).replaceAll('-', '[-_]');
      const find = `find /sys/fs/cgroup -type d -name '*pod${uid}*' | head -1`;
      await onNode(s.target, `echo 3M > "$(${find})"/memory.max`);
      return nothing;
    },
  },
];
