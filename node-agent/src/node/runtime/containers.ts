// SPDX-License-Identifier: Apache-2.0
// Finds a pod's containers in containerd's files on the node: the bundles of its v2 shims, runc's state.json (runc,
// libcontainer/container.go, State) and the CRI plugin's sandboxes.
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { AgentError, isErrno } from '../../support/errors.ts';
import { namesIn } from '../../support/optional-file.ts';
import type { Host } from '../host/host.ts';
import { networkNamespace, readSpec, type OciSpec } from './bundle.ts';

/** runc's `--root` under containerd, on the host. */
export const RUNC_ROOT = '/run/containerd/runc/k8s.io';
/** Directory of the containers' bundles on the host. A bundle's name is the container's id. */
export const BUNDLES = '/run/containerd/io.containerd.runtime.v2.task/k8s.io';
const SANDBOXES = '/run/containerd/io.containerd.grpc.v1.cri/sandboxes';

/** Prefix of the annotations that containerd's CRI plugin puts into config.json. */
const CRI = 'io.kubernetes.cri.';

/** A container as containerd and runc describe it. */
export interface Container {
  id: string;
  /** Directory of its OCI bundle on the host. */
  bundle: string;
  sandboxId: string;
  namespace: string;
  pod: string;
  podUid: string;
  name: string;
  spec: OciSpec;
  /** PID of the container's first task, in the host's PID namespace; absent while runc has no state of it. */
  pid?: number;
  /** Directory of its cgroup on the host, `/sys/fs/cgroup/...`; absent with cgroup v1. */
  cgroup?: string;
  /** Path of its network namespace, as the agent can open it. */
  netns: string;
}

const state = z.looseObject({
  init_process_pid: z.number().int().positive(),
  cgroup_paths: z.record(z.string(), z.string()).default({}),
  /** RFC 3339. */
  created: z.string().default(''),
});

/** The pod's containers that runc has a state of, in the order of their names. Sandboxes are left out. */
export async function podContainers(host: Host, podUid: string): Promise<Container[]> {
  const found: Container[] = [];
  for (const id of await containerBundles(host)) {
    const one = await inspectContainer(host, id);
    if (one && one.podUid === podUid && one.pid !== undefined) found.push(one);
  }
  return found.sort((a, b) => a.name.localeCompare(b.name));
}

/**
 * The network namespace of the pod's sandbox, as the agent can open it; undefined while runc has no state of one. A sandbox
 * outlives its containers.
 */
export async function sandboxNetns(host: Host, podUid: string): Promise<string | undefined> {
  let newest: { netns: string; created: string } | undefined;
  for (const id of await containerBundles(host)) {
    const content = await specOf(host, join(BUNDLES, id));
    if (content?.annotations[`${CRI}container-type`] !== 'sandbox') continue;
    if (content.annotations[`${CRI}sandbox-uid`] !== podUid) continue;
    const running = await runningState(host, id);
    if (!running) continue;
    const { pid, created } = running;
    // The one before it may not be removed yet.
    if (!newest || created > newest.created)
      newest = { netns: netnsOf(host, content, pid), created };
  }
  return newest?.netns;
}

/** The path of a namespace if it still leads there later on. One through a PID may lead to another pod then. */
export function lastingNetns(netns: string | undefined): string | undefined {
  return netns !== undefined && /^\/proc\/\d+\/ns\//.test(netns) ? undefined : netns;
}

/** Directory on the host of a sandbox's cgroup; undefined: runc keeps no state of it, or with cgroup v1. */
export async function sandboxCgroup(host: Host, sandboxId: string): Promise<string | undefined> {
  return (await runningState(host, sandboxId))?.cgroup;
}

/** Ids of all containers that have a bundle, sandboxes included. */
export function containerBundles(host: Host): Promise<string[]> {
  return namesIn(host.path(BUNDLES));
}

/** One container by its id; undefined for a sandbox and for a container that is being created or removed. */
export async function inspectContainer(host: Host, id: string): Promise<Container | undefined> {
  const bundle = join(BUNDLES, id);
  const content = await specOf(host, bundle);
  if (content?.annotations[`${CRI}container-type`] !== 'container') return undefined;
  const running = await runningState(host, id);
  const { pid, cgroup } = running ?? {};
  return {
    id,
    bundle,
    sandboxId: content.annotations[`${CRI}sandbox-id`] ?? '',
    namespace: content.annotations[`${CRI}sandbox-namespace`] ?? '',
    pod: content.annotations[`${CRI}sandbox-name`] ?? '',
    podUid: content.annotations[`${CRI}sandbox-uid`] ?? '',
    name: content.annotations[`${CRI}container-name`] ?? '',
    spec: content,
    ...(pid === undefined ? {} : { pid }),
    ...(cgroup === undefined ? {} : { cgroup }),
    netns: netnsOf(host, content, pid),
  };
}

/** Undefined for a bundle that is being made or removed. */
async function specOf(host: Host, bundle: string): Promise<OciSpec | undefined> {
  try {
    return await cachedSpec(host, bundle);
  } catch (error) {
    if (isErrno(error, 'ENOENT') || error instanceof AgentError) return undefined;
    throw error;
  }
}

/** A config.json that was read, and by what it is known that it is still the same file. */
interface Known {
  version: string;
  content: OciSpec;
}

/** By bundle. A node has hundreds of containers, and the agent looks for a pod's at each step of a move. */
const known = new WeakMap<Host, Map<string, Known>>();
/** More containers than a kubelet runs; then those that are gone are forgotten. */
const MAX_KNOWN = 2000;

/** As readSpec, of a bundle on the host. Whoever changes a config.json replaces the file (writeSpec, containerd). */
async function cachedSpec(host: Host, bundle: string): Promise<OciSpec> {
  const { ino, mtimeNs, size } = await stat(host.path(join(bundle, 'config.json')), {
    bigint: true,
  });
  const version = `${ino} ${mtimeNs} ${size}`;
  const specs = known.get(host) ?? new Map<string, Known>();
  known.set(host, specs);
  const before = specs.get(bundle);
  if (before?.version === version) return before.content;
  const content = await readSpec(host.path(bundle));
  if (specs.size >= MAX_KNOWN) specs.clear();
  specs.set(bundle, { version, content });
  return content;
}

/** The path by which the agent opens a network namespace of the host: it shares /proc (hostPID), but not files. */
export function openableNetns(host: Host, path: string): string {
  return path.startsWith('/proc/') ? path : host.path(path);
}

/** Directory on the host of a sandbox's /dev/shm. */
export function sandboxShm(sandboxId: string): string {
  return join(SANDBOXES, sandboxId, 'shm');
}

function netnsOf(host: Host, content: OciSpec, pid: number | undefined): string {
  const named = networkNamespace(content);
  if (named) return openableNetns(host, named);
  if (pid !== undefined) return `/proc/${pid}/ns/net`;
  throw new AgentError(
    'BadBundle',
    'The container joins no network namespace. A pod with hostNetwork cannot be moved.',
  );
}

async function runningState(
  host: Host,
  id: string,
): Promise<{ pid: number; created: string; cgroup: string | undefined } | undefined> {
  try {
    const text = await readFile(host.path(join(RUNC_ROOT, id, 'state.json')), 'utf8');
    const { init_process_pid: pid, cgroup_paths, created } = state.parse(JSON.parse(text));
    return { pid, created, cgroup: cgroup_paths[''] };
  } catch (error) {
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError || error instanceof z.ZodError) {
      return undefined;
    }
    throw error;
  }
}
