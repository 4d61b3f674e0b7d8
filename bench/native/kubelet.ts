// SPDX-License-Identifier: Apache-2.0
// Stands for kubelet and containerd on a node of the native part: makes the containers of the pods that are bound to the
// node, calls sealift-runc as containerd does, and reports the pods' status. It makes no CNI calls: the pods of the
// native part have no fabric network.
import { randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Informer, pods, silent, type Client, type Pod } from '../../kube/src/index.ts';
import { runHere } from '../../node-agent/src/node/host/host.ts';
import { RUNC_ROOT } from '../../node-agent/src/node/runtime/containers.ts';
import { makeContainer } from './container.ts';

const SEALIFT_RUNC = '/opt/sealift/bin/sealift-runc';

export interface KubeletOptions {
  readonly client: Client;
  readonly nodeName: string;
  /** Directory with the files of the only image. */
  readonly image: string;
  /** Directory on the node's disk for writable layers. */
  readonly layers: string;
  /** What every container runs. */
  readonly args: readonly string[];
}

export interface RunningContainer {
  readonly id: string;
  readonly bundle: string;
  /** Directory of the writable layer. */
  readonly upper: string;
}

export class Kubelet {
  readonly #options: KubeletOptions;
  readonly #seen = new Set<string>();
  readonly #running = new Map<string, RunningContainer>();

  constructor(options: KubeletOptions) {
    this.#options = options;
  }

  /** Serves until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    const { client, nodeName } = this.#options;
    const selection = { fieldSelector: `spec.nodeName=${nodeName}` };
    const informer = new Informer({ api: client, resource: pods, log: silent, selection });
    informer.listen((_key, pod) => {
      if (!pod) return;
      const { uid, deletionTimestamp } = pod.metadata;
      const isNew = !this.#seen.has(uid);
      this.#seen.add(uid);
      const work =
        deletionTimestamp !== undefined
          ? this.#remove(pod)
          : isNew
            ? this.#start(pod)
            : Promise.resolve();
      work.catch((error: unknown) => {
        process.stderr.write(`kubelet ${nodeName}: ${String(error)}\n`);
      });
    });
    return informer.run(signal);
  }

  /** @throws Error if the pod has no container here */
  container(podUid: string): RunningContainer {
    const found = this.#running.get(podUid);
    if (!found) throw new Error(`Pod ${podUid} has no container on ${this.#options.nodeName}.`);
    return found;
  }

  async #start(pod: Pod): Promise<void> {
    const { image, layers, args } = this.#options;
    const { namespace = 'default', name, uid } = pod.metadata;
    const [sandboxId, id] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];
    const netns = `bench-${uid}`;
    await runHere('ip', ['netns', 'add', netns]);
    const [container] = pod.spec.containers;
    const { bundle, upper } = await makeContainer({
      ...{ id, sandboxId, image, layers, args, netns: `/run/netns/${netns}` },
      pod: { namespace, name, uid },
      container: container?.name ?? '',
    });
    this.#running.set(uid, { id, bundle, upper });
    const log = join(bundle, 'log.json');
    await runc('--root', RUNC_ROOT, '--log', log, '--log-format', 'json', 'create', '--bundle', bundle, '--pid-file', join(bundle, 'init.pid'), id); // prettier-ignore
    await runc('--root', RUNC_ROOT, 'start', id);
    await this.#reportRunning(pod, id);
  }

  async #reportRunning(pod: Pod, id: string): Promise<void> {
    const { namespace = 'default', name } = pod.metadata;
    const now = new Date().toISOString();
    const status = {
      phase: 'Running',
      podIPs: [{ ip: '10.244.0.2' }],
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'PodScheduled', status: 'True' },
      ],
      containerStatuses: pod.spec.containers.map((one) => ({
        ...{ name: one.name, ready: true, started: true, restartCount: 0, image: 'x', imageID: '' },
        ...{ containerID: `containerd://${id}`, state: { running: { startedAt: now } } },
      })),
    };
    await this.#options.client.merge(pods, namespace, name, { status }, { subresource: 'status' });
  }

  async #remove(pod: Pod): Promise<void> {
    const { namespace = 'default', name, uid } = pod.metadata;
    const container = this.#running.get(uid);
    if (!container) return;
    this.#running.delete(uid);
    await runc('--root', RUNC_ROOT, 'delete', '--force', container.id).catch(() => undefined);
    await runHere('umount', ['-l', join(container.bundle, 'rootfs')]);
    await rm(container.bundle, { recursive: true, force: true });
    await rm(join(container.upper, '..'), { recursive: true, force: true });
    await runHere('ip', ['netns', 'del', `bench-${uid}`]);
    await this.#options.client.delete(pods, namespace, name, { gracePeriodSeconds: 0, uid });
  }
}

/** sealift-runc with no terminal, as containerd starts it. @throws Error with what it has written to standard error */
export async function runc(...args: string[]): Promise<void> {
  await program(SEALIFT_RUNC, args);
}

/**
 * Runs a program whose output is a pipe, as under containerd's shim: a container keeps its end of it, and CRIU restores a
 * pipe of the outside but not a socket, which is what Node.js would give it.
 * @throws Error with the end of what the program has written
 */
export async function program(
  file: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<void> {
  const log = join(tmpdir(), `output-${randomBytes(8).toString('hex')}`);
  // The program may end before the copier has begun.
  await writeFile(log, '');
  const script = 'exec "$@" < /dev/null > >(exec cat > "$0") 2>&1';
  const child = spawn('bash', ['-c', script, log, file, ...args], {
    stdio: 'ignore',
    env: { PATH: '/opt/sealift/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...env },
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  const text = await readFile(log, 'utf8');
  await rm(log);
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${text.trim().slice(-2000)}`);
}

/** The gaps that a workload has written, in microseconds since the epoch. */
export async function readGaps(upper: string): Promise<{ from: number; to: number }[]> {
  const text = await readFile(join(upper, 'gaps'), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map(Number))
    .map(([from = 0, to = 0]) => ({ from, to }))
    .filter(({ from, to }) => to > from);
}
