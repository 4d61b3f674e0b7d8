// SPDX-License-Identifier: Apache-2.0
// The containerd that runs on the node: where its configuration is, and how it is given another one.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
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

const DEFAULT_CONFIG = '/etc/containerd/config.toml';
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
  const major = Number(/^v?(\d+)\./.exec(version)?.[1] ?? Number.NaN);
  if (name === 'containerd' && major >= 1) return major;
  throw new AgentError(
    'RuntimeUnsupported',
    `This node's container runtime is ${runtimeVersion || 'unknown'}. Sealift works with containerd 1.7 and 2.x. Install one of them, or keep the agent off this node with agent.nodeSelector.`,
  );
}

/**
 * Finds containerd among the host's processes.
 * @param proc where the host's processes are, `/proc` in the host's PID namespace
 * @throws AgentError RuntimeUnsupported
 */
export async function findContainerd(proc = '/proc'): Promise<Containerd> {
  for (const entry of await readdir(proc)) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const argv = (await readFile(`${proc}/${entry}/cmdline`, 'utf8')).split('\0').filter(Boolean);
      if (basename(argv[0] ?? '') !== 'containerd') continue;
      const unit = unitOf(await readFile(`${proc}/${entry}/cgroup`, 'utf8'));
      // Others may run one, too: Docker's has its own process tree and configuration.
      if (argv.includes('/var/run/docker/containerd/containerd.toml')) continue;
      const mainFile = configPathOf(argv);
      if (unit === undefined || GENERATED.test(mainFile))
        throw new AgentError(
          'RuntimeUnsupported',
          `containerd on this node is not a systemd service with a configuration of its own (${mainFile}). ` +
            'Add the runtime handler by hand, as charts/sealift/README.md says, and set agent.runtime.configure to false.',
        );
      const program = await readlink(`${proc}/${entry}/exe`);
      return { pid: Number(entry), program, mainFile, unit };
    } catch (error) {
      // The process has just ended.
      if (!isErrno(error, 'ENOENT') && !isErrno(error, 'ESRCH')) throw error;
    }
  }
  throw new AgentError(
    'RuntimeUnsupported',
    'No containerd runs on this node. Start it, or keep the agent off this node with agent.nodeSelector.',
  );
}

/** The configuration that containerd would have with that main file. @throws AgentError RuntimeFailed if it refuses it */
export function effectiveConfig(
  host: Host,
  containerd: Containerd,
  mainFile: string,
): Promise<string> {
  return host.check(containerd.program, ['--config', mainFile, 'config', 'dump'], {
    timeoutMs: 120_000,
  });
}

/** Restarts containerd. Containers keep running: their shims are processes of their own. @throws AgentError RuntimeFailed */
export async function restartContainerd(host: Host, containerd: Containerd): Promise<void> {
  await host.check('systemctl', ['restart', containerd.unit], { timeoutMs: 300_000 });
}
