// SPDX-License-Identifier: Apache-2.0
// A node of the native part: the first program in PID, mount and network namespaces of their own (nodes.ts makes them). It
// runs the node's kubelet and its agent, and does what the bench asks of the node.
import { spawn } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { access, mkdir, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { Client, loadConfig, Rest } from '../../kube/src/index.ts';
import { RUNC_ROOT } from '../../node-agent/src/node/runtime/containers.ts';
import { nowMs, type Span } from '../src/api-log.ts';
import { measuredCheckout } from './checkout.ts';
import { Kubelet, program, readGaps } from './kubelet.ts';
import { Sampler } from './sampler.ts';
import { serve } from './rpc.ts';
import { Transfers } from '../transfer/transfers.ts';

/** What the bench tells a node at its start. */
export interface NodeOptions {
  readonly name: string;
  readonly address: string;
  /** Directory on the disk, for state, layers and logs. */
  readonly directory: string;
  readonly certificates: string;
  readonly image: string;
  readonly kubeconfig: string;
  readonly memoryMiB: number;
  /** File for the spans of the agent's API requests. */
  readonly spans: string;
}

const RUNC = '/opt/sealift/bin/runc';
/** CRIU does with the floor's network what it does with the agent's: nothing. Its plugin is left out. */
const CRIU = { CRIU_CONFIG_FILE: '/opt/sealift/etc/criu.conf' };
let options: NodeOptions;
let kubelet: Kubelet;
let sampler: Sampler | undefined;
let transfers: Transfers;
let agentPid = 0;
const stop = new AbortController();

const agentMain = join(measuredCheckout, 'bench/native/agent.ts');

serve({
  async start(given: NodeOptions) {
    options = given;
    transfers = new Transfers(options);
    const client = new Client(new Rest(loadConfig(options.kubeconfig)));
    const { name, image, directory, memoryMiB } = options;
    kubelet = new Kubelet({
      ...{ client, nodeName: name, image, layers: join(directory, 'layers') },
      args: ['/bin/workload', String(memoryMiB)],
    });
    void kubelet.run(stop.signal);
  },

  /** Starts the agent and waits until it serves its socket. */
  async startAgent() {
    const { name, address, directory, certificates, kubeconfig, spans } = options;
    await mkdir(join(directory, 'state'), { recursive: true });
    const log = openSync(join(directory, 'agent.log'), 'a');
    const child = spawn(process.execPath, [agentMain], {
      stdio: ['ignore', log, log],
      env: {
        ...process.env,
        NODE_CHANNEL_FD: undefined,
        KUBECONFIG: kubeconfig,
        NODE_NAME: name,
        NODE_IP: address,
        SEALIFT_TLS_DIR: certificates,
        SEALIFT_STATE_DIR: join(directory, 'state'),
        SEALIFT_ENCRYPT_IMAGES: 'false',
        SEALIFT_HOST_ROOT: '/',
        SEALIFT_HOST_ENTER: '',
        BENCH_SPANS: spans,
      },
    });
    agentPid = child.pid ?? 0;
    await exists('/run/sealift/agent.sock');
  },

  /** Of this node's agent, its runtime and all programs that they have started and that have ended, in milliseconds. */
  processorMs: () => [agentPid, process.pid].reduce((sum, pid) => sum + processorMsOf(pid), 0),

  /** Gaps of a pod's workload, in microseconds since the epoch. */
  gaps: (podUid: string) => readGaps(kubelet.container(podUid).upper),

  /** Checkpoints the pod's container and restores it, by runc alone: what CRIU and runc take without Sealift. */
  async floor(podUid: string) {
    const { id, bundle } = kubelet.container(podUid);
    const directory = join(options.directory, 'floor');
    await rm(directory, { recursive: true, force: true });
    const images = join(directory, 'images');
    await mkdir(images, { recursive: true });
    const common = ['--image-path', images, '--work-path', directory, '--tcp-established', '--file-locks', '--manage-cgroups-mode', 'ignore']; // prettier-ignore
    const from = nowMs();
    await program(RUNC, ['--root', RUNC_ROOT, 'checkpoint', ...common, id], CRIU);
    const between = nowMs();
    await program(RUNC, ['--root', RUNC_ROOT, 'restore', '--detach', '--bundle', bundle, ...common, id], CRIU); // prettier-ignore
    return { checkpointMs: between - from, restoreMs: nowMs() - between };
  },

  /** Bytes of the images that `floor` has left. */
  floorBytes: () => transfers.sizeOf(join(options.directory, 'floor', 'images')),

  sample: async () => {
    sampler = await Sampler.start(`node ${options.name}`, join(options.directory, 'state'));
  },
  samples: (): Span[] => sampler?.stop() ?? [],

  makeImages: (bytes: number) => transfers.make(bytes),
  listen: () => transfers.listen(),
  sendByAgent: (to: string) => transfers.sendByAgent(to),
  sendByTcp: (to: string) => transfers.sendByTcp(to),
} satisfies Record<string, (argument: never) => unknown>);

/** Processor time of a process and of its children that it has waited for: proc_pid_stat(5), 14 to 17, in ticks of 10 ms. */
function processorMsOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * 10, 0);
}

async function exists(path: string): Promise<void> {
  const end = nowMs() + 120_000;
  for (;;) {
    try {
      await access(path);
      return;
    } catch (error) {
      if (nowMs() > end) throw error;
      await sleep(20);
    }
  }
}
