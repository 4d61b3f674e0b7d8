// SPDX-License-Identifier: Apache-2.0
// What a node lacks for Sealift, by name. registration.ts publishes it on the Node object.
import { existsSync } from 'node:fs';
import { readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as addon from '../../../../native/addon/index.ts';
import { messageOf } from '../../../../kube/src/index.ts';
import { isErrno, reasonOf, type Failure } from '../../support/errors.ts';
import { namesIn, textOf } from '../../support/optional-file.ts';
import type { Host } from '../host/host.ts';
import type { HandlerOptions } from './containerd-config.ts';
import { findContainerd, majorOf, type Containerd } from './containerd.ts';
import { configuredHandler, takenBy } from './runtime-handler.ts';

/** Where the kubelet's runtime looks for CNI configuration. */
const CNI_CONFIG_DIR = '/etc/cni/net.d';

/** In the agent's run directory: why the installer could not add the handler. */
export const runtimeProblemFile = (runDir: string): string => join(runDir, 'runtime-problem.json');
/** In the agent's run directory: why the driver could not be loaded. */
export const driverProblemFile = (runDir: string): string => join(runDir, 'driver-problem.json');

/** In the agent's run directory: why the programs could not be put onto the node. */
export const programsProblemFile = (runDir: string): string =>
  join(runDir, 'programs-problem.json');

/** Read-only, or something else is in the place of a directory or of a file. */
const NODE_STATES = ['EROFS', 'EACCES', 'EPERM', 'ENOTDIR', 'EISDIR', 'ELOOP'];
/** The node's own state where a directory is made: /proc and an automounter's directory say ENOENT. Else the agent's image may lack a file. */
const MKDIR_STATES = ['ENOENT', 'EEXIST'];

/** Why a node takes no programs, if that is the node's own state, which another attempt does not change; else undefined. */
export function programsProblem(error: unknown): Failure | undefined {
  const failure = reasonOf(error);
  if (failure.code === 'DiskFull') {
    const message = `This node has no room for Sealift's programs: ${messageOf(error)}. Free space below /opt and in the directory of CNI plugins, then delete the agent's pod of this node.`;
    return { code: 'DiskFull', message };
  }
  const isOf = (codes: readonly string[]): boolean => codes.some((one) => isErrno(error, one));
  const isMkdir = error instanceof Error && 'syscall' in error && error.syscall === 'mkdir';
  if (!isOf(NODE_STATES) && !(isMkdir && isOf(MKDIR_STATES))) return undefined;
  return {
    code: 'NodeReadOnly',
    message:
      `This node takes no programs (${messageOf(error)}). Sealift needs /opt/sealift and the directory of CNI plugins, which ` +
      "agent.cniBinDir names, to be directories that it can make and write. Make them so, then delete the agent's pod of this node, or keep the agent off this " +
      'node with agent.nodeSelector.',
  };
}

/** Writes down why something could not be installed; undefined: it could. */
export async function noteProblem(path: string, problem: Failure | undefined): Promise<void> {
  if (problem) await writeFile(path, JSON.stringify(problem));
  else await rm(path, { force: true });
}

/** What the installer has written down. */
export async function notedProblem(path: string): Promise<Failure | undefined> {
  try {
    const text = await textOf(path);
    return text === undefined ? undefined : (JSON.parse(text) as Failure);
  } catch (error) {
    // A file that was not written to its end.
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

/** containerd as it was found last: it need not be looked for again while it runs. */
let found: Containerd | undefined;

async function knownContainerd(): Promise<Containerd> {
  const program = found && (await readlink(`/proc/${found.pid}/exe`).catch(() => undefined));
  if (!found || program !== found.program) found = await findContainerd();
  return found;
}

/**
 * The runtime is one that Sealift works with, and has the handler. Undefined: it is and has.
 * @param o `runtimeVersion`: as the kubelet reports it. `configured`: by the installer
 */
export async function runtimeProblem(
  host: Host,
  o: HandlerOptions & {
    readonly runtimeVersion: string;
    readonly configured: boolean;
    readonly runDir: string;
    /** The command by which the installer runs again: an agent's container that ends starts again without its init container. */
    readonly restart: string;
  },
  containerd: () => Promise<Pick<Containerd, 'mainFile'>> = knownContainerd,
): Promise<Failure | undefined> {
  try {
    majorOf(o.runtimeVersion);
    const { mainFile } = await containerd();
    const { present, binary } = await configuredHandler(host, mainFile, o.handler);
    if (present && (binary === undefined || binary === o.binary)) return undefined;
    if (present) return reasonOf(takenBy(o, binary));
    const noted = o.configured ? await notedProblem(runtimeProblemFile(o.runDir)) : undefined;
    if (noted) return noted;
    const advice = o.configured
      ? `Something has written the configuration anew since, or the handler is being added. If this stays, run ${o.restart}: the agent adds it again.`
      : 'Set agent.runtime.configure to true in the chart, or add the handler as charts/sealift/README.md says.';
    return {
      code: 'HandlerMissing',
      message: `containerd of this node has no runtime handler ${o.handler} in ${mainFile} or what that file imports. ${advice}`,
    };
  } catch (error) {
    return reasonOf(error);
  }
}

/** Sealift freezes, thaws and kills containers by what cgroup v2 alone has. Undefined: the node has it. */
export function cgroupProblem(host: Host): Failure | undefined {
  if (existsSync(host.path('/sys/fs/cgroup/cgroup.controllers'))) return undefined;
  return {
    code: 'CgroupV1',
    message:
      'This node has cgroup v1, and Sealift freezes containers by cgroup v2. Boot it with systemd.unified_cgroup_hierarchy=1, ' +
      'or keep the agent off this node with agent.nodeSelector.',
  };
}

/** A locked pod's network has rules of nf_tables. Undefined: the kernel has it. It is asked in the host's network namespace, and told nothing. */
export async function nftablesProblem(
  nft: (netns: string, commands: string) => Promise<string> = addon.nft,
): Promise<Failure | undefined> {
  try {
    await nft('/proc/1/ns/net', 'list tables');
    return undefined;
  } catch (error) {
    return {
      code: 'NftablesMissing',
      message:
        `The kernel of this node has no nf_tables, by which Sealift locks the network of a pod that moves (${messageOf(error)}). ` +
        'Load the module nf_tables, or keep the agent off this node with agent.nodeSelector.',
    };
  }
}

/** The first CNI configuration by name, which is the one that counts, is of Multus. Undefined: it is. */
export async function multusProblem(host: Host): Promise<Failure | undefined> {
  let first: string | undefined;
  for (const name of (await namesIn(host.path(CNI_CONFIG_DIR))).sort()) {
    if (!/\.(conf|conflist|json)$/.test(name)) continue;
    // The runtime leaves out what is no file: a directory, or a link that leads nowhere.
    const text = await readFile(host.path(join(CNI_CONFIG_DIR, name)), 'utf8').catch(
      () => undefined,
    );
    if (text === undefined) continue;
    if (/"type"\s*:\s*"multus/.test(text)) return undefined;
    first = join(CNI_CONFIG_DIR, name);
    break;
  }
  return {
    code: 'MultusMissing',
    message:
      `The CNI configuration of this node (${first ?? `none in ${CNI_CONFIG_DIR}`}) is not of Multus. ` +
      'Pods without RDMA can be moved. Install Multus for pods with RDMA.',
  };
}
