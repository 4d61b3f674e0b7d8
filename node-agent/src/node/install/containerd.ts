// SPDX-License-Identifier: Apache-2.0
// The containerd that runs on the node: where its configuration is, and how it is given another one.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename, posix } from 'node:path';
import { Writable } from 'node:stream';
import { AgentError, isErrno } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';

export interface Containerd {
  readonly pid: number;
  /** Path of the program on the host. */
  readonly program: string;
  /** Path of the main configuration file on the host, whether or not there is one. */
  readonly mainFile: string;
  /** The systemd unit that it is of. */
  readonly unit: string;
}

/** Where the agent's container has it from (charts/sealift), and `runtime/containers.ts` looks. */
const STATE_DIR = '/run/containerd';
/** Where the kubelet finds it, unless somebody has told it otherwise. */
export const SOCKET = `${STATE_DIR}/containerd.sock`;
export const DEFAULT_CONFIG = '/etc/containerd/config.toml';
/** Distributions that write containerd's configuration anew at each start, from templates of their own. */
const GENERATED = /\/(rancher|k0s|microk8s)\//;

/** The value of `--config` or `-c`, as containerd's command line has it. Pure. */
export function configPathOf(argv: readonly string[]): string {
  for (const [n, one] of argv.entries()) {
    const joined = /^(?:--?config|-c)=(.+)$/.exec(one)?.[1];
    if (joined !== undefined) return joined;
    const next = argv[n + 1];
    if (/^(--?config|-c)$/.test(one) && next !== undefined) return next;
  }
  return DEFAULT_CONFIG;
}

/** The unit in a process's cgroup (cgroups(7), /proc/[pid]/cgroup). Pure. */
export function unitOf(cgroup: string): string | undefined {
  return /\/([^/\n]+\.service)\s*$/m.exec(cgroup)?.[1];
}

/** Major version of the node's runtime as the kubelet reports it, e.g. `containerd://1.7.24`. @throws AgentError RuntimeUnsupported */
export function majorOf(runtimeVersion: string): number {
  const [name = '', version = ''] = runtimeVersion.split('://');
  const [, first, second] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
  const [major, minor] = [Number(first), Number(second)];
  if (name === 'containerd' && (major >= 2 || (major === 1 && minor >= 7))) return major;
  throw new AgentError(
    'RuntimeUnsupported',
    `This node's container runtime is ${runtimeVersion || 'unknown'}. Sealift works with containerd 1.7 and 2.x. Install one of them, or keep the agent off this node with agent.nodeSelector.`,
  );
}

interface Candidate extends Omit<Containerd, 'unit'> {
  readonly unit: string | undefined;
}

const linkOf = (path: string): Promise<string | undefined> => readlink(path).catch(() => undefined);

/** A process of containerd's that belongs to the node itself. Docker has one of its own, and so has a container that runs Docker or kind. */
async function candidate(proc: string, entry: string): Promise<Candidate | undefined> {
  const argv = (await readFile(`${proc}/${entry}/cmdline`, 'utf8')).split('\0').filter(Boolean);
  if (basename(argv[0] ?? '') !== 'containerd') return undefined;
  if (argv.includes('/var/run/docker/containerd/containerd.toml')) return undefined;
  const own = await linkOf(`${proc}/1/ns/pid`);
  if ((await linkOf(`${proc}/${entry}/ns/pid`)) !== own) return undefined;
  const unit = unitOf(await readFile(`${proc}/${entry}/cgroup`, 'utf8'));
  const exe = (await linkOf(`${proc}/${entry}/exe`)) ?? argv[0] ?? '';
  // An update of the package has put another program in its place, which runs from the next start on.
  const program = exe.replace(/ \(deleted\)$/, '');
  return { pid: Number(entry), program, mainFile: configPathOf(argv), unit };
}

/** The process listens on the socket that the kubelet has by default. */
async function servesKubelet(proc: string, { pid }: Candidate): Promise<boolean> {
  const sockets = await readFile(`${proc}/${pid}/net/unix`, 'utf8').catch(() => '');
  // proc_net(5): Num RefCount Protocol Flags Type St Inode Path
  const inodes = sockets
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , , , , , path]) => path === SOCKET || path === `/var${SOCKET}`)
    .map(([, , , , , , inode]) => `socket:[${inode}]`);
  for (const fd of await readdir(`${proc}/${pid}/fd`).catch(() => [])) {
    const link = await linkOf(`${proc}/${pid}/fd/${fd}`);
    if (link !== undefined && inodes.includes(link)) return true;
  }
  return false;
}

async function candidates(proc: string): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const entry of await readdir(proc)) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const one = await candidate(proc, entry);
      if (one) found.push(one);
    } catch (error) {
      // The process has just ended.
      if (!isErrno(error, 'ENOENT') && !isErrno(error, 'ESRCH')) throw error;
    }
  }
  return found;
}

/**
 * Finds containerd among the host's processes.
 * @param proc where the host's processes are, `/proc` in the host's PID namespace
 * @throws AgentError RuntimeUnsupported
 */
export async function findContainerd(proc = '/proc'): Promise<Containerd> {
  const all = await candidates(proc);
  const [first] = all;
  if (!first)
    throw new AgentError(
      'RuntimeUnsupported',
      'No containerd runs on this node. Start it, or keep the agent off this node with agent.nodeSelector.',
    );
  let chosen: Candidate | undefined = all.length === 1 ? first : undefined;
  for (const one of chosen ? [] : all) if (await servesKubelet(proc, one)) chosen ??= one;
  if (!chosen)
    throw new AgentError(
      'RuntimeUnsupported',
      `${all.length} containerds run on this node (${all.map(({ mainFile }) => mainFile).join(', ')}), and none serves ${SOCKET}. ` +
        'Keep the agent off this node with agent.nodeSelector.',
    );
  const { unit, mainFile } = chosen;
  if (GENERATED.test(mainFile))
    throw new AgentError(
      'RuntimeUnsupported',
      `The distribution of this node generates containerd's configuration (${mainFile}) and keeps its state elsewhere. ` +
        'Sealift does not work with it. Keep the agent off this node with agent.nodeSelector.',
    );
  if (unit === undefined)
    throw new AgentError(
      'RuntimeUnsupported',
      `containerd on this node is no systemd service (${mainFile}), so Sealift cannot restart it. ` +
        'Add the runtime handler by hand, as charts/sealift/README.md says, and set agent.runtime.configure to false.',
    );
  return { ...chosen, unit };
}

/**
 * The configuration that containerd would have with that main file.
 * @param mainFile empty: without one
 * @throws AgentError RuntimeFailed if it refuses it
 */
export async function effectiveConfig(
  host: Host,
  containerd: Containerd,
  mainFile: string,
): Promise<string> {
  const chunks: Buffer[] = [];
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  const args = mainFile === '' ? ['config', 'dump'] : ['--config', mainFile, 'config', 'dump'];
  // Whole: the host's `check` keeps the end of a long output only.
  const end = await host.check(containerd.program, args, { timeoutMs: 120_000, stdout });
  return chunks.length > 0 ? Buffer.concat(chunks).toString('utf8') : end;
}

/** containerd's state is where the agent looks for its containers. @throws AgentError RuntimeUnsupported */
export function refuseOtherState(effective: string): void {
  const state = /^state\s*=\s*["'](.*)["']\s*$/m.exec(effective)?.[1];
  if (state === undefined || posix.normalize(state).replace(/\/$/, '') === STATE_DIR) return;
  throw new AgentError(
    'RuntimeUnsupported',
    `containerd of this node has its state in ${state}, and Sealift looks for containers in ${STATE_DIR}. ` +
      'Keep the agent off this node with agent.nodeSelector.',
  );
}

/**
 * containers' shims are in the cgroup of containerd's unit. By its KillMode a restart may end them, and with them every pod.
 * @throws AgentError RuntimeUnsupported
 */
export async function refuseIfRestartKills(host: Host, { unit }: Containerd): Promise<void> {
  const shown = await host.check('systemctl', ['show', '--property=KillMode', unit]);
  const mode = /^KillMode=(.+)$/m.exec(shown)?.[1];
  if (mode !== 'control-group' && mode !== 'mixed') return;
  throw new AgentError(
    'RuntimeUnsupported',
    `A restart of ${unit} would end every container of this node (KillMode=${mode}), so Sealift does not change containerd's ` +
      `configuration. Set KillMode=process in the unit, then restart the agent.`,
  );
}

/** Restarts containerd. Containers keep running: their shims are processes of their own. @throws AgentError RuntimeFailed */
export async function restartContainerd(host: Host, containerd: Containerd): Promise<void> {
  // After some failed starts systemd refuses another one until this.
  await host.run('systemctl', ['reset-failed', containerd.unit], { timeoutMs: 60_000 });
  await host.check('systemctl', ['restart', containerd.unit], { timeoutMs: 300_000 });
}
