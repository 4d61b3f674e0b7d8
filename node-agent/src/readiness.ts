// SPDX-License-Identifier: Apache-2.0
// What /readyz of the agent asks. A node that lacks one of these can move no pod, or cannot start one of Sealift's runtime.
import { constants } from 'node:fs';
import { access, lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ReadyCheck } from '../../kube/src/index.ts';
import type { Config } from './support/config.ts';
import { isErrno } from './support/errors.ts';

/** What containerd, runc and CRIU execute or load on the node. */
const programs = ['bin/sealift-runc', 'bin/runc', 'bin/criu'];
const libraries = ['lib/criu/ibverbs_plugin.so'];

export interface ReadinessParts {
  /** Directories as the agent sees them. */
  readonly config: Pick<Config, 'installDir' | 'cniBinDir' | 'socketPath'>;
  /** Why the agent does not know of all of its requests. */
  readonly requestsProblem: () => string | undefined;
  readonly leaseProblem: () => string | undefined;
  readonly nodeProblem: () => string | undefined;
  readonly certificateProblem: () => string | undefined;
  /** The node takes no files. It says so on the Node object; an update of the DaemonSet must not wait for it. */
  readonly takesNoFiles?: () => Promise<boolean>;
}

export function readyChecks(parts: ReadinessParts): Record<string, ReadyCheck> {
  const { config, requestsProblem, leaseProblem, nodeProblem, certificateProblem } = parts;
  return {
    requests: requestsProblem,
    'API server': leaseProblem,
    node: nodeProblem,
    certificate: certificateProblem,
    socket: () => socketProblem(config.socketPath),
    files: async () => ((await parts.takesNoFiles?.()) ? undefined : filesProblem(config)),
  };
}

async function socketProblem(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isSocket() ? undefined : `${path} is no socket.`;
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    return `There is no socket ${path}: neither runtime nor CNI plugin reaches the agent.`;
  }
}

async function filesProblem(config: ReadinessParts['config']): Promise<string | undefined> {
  const { installDir, cniBinDir } = config;
  const wanted = [
    ...programs.map((name) => [join(installDir, name), constants.X_OK] as const),
    ...libraries.map((name) => [join(installDir, name), constants.R_OK] as const),
    [join(cniBinDir, 'sealift'), constants.X_OK] as const,
  ];
  const results = await Promise.all(wanted.map(([path, mode]) => isThere(path, mode)));
  const missing = wanted.map(([path]) => path).filter((_path, index) => !results[index]);
  if (missing.length === 0) return undefined;
  return `Missing on the node: ${missing.join(', ')}. Restart the agent's pod, whose init container installs them.`;
}

async function isThere(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode);
    return true;
  } catch {
    return false;
  }
}
