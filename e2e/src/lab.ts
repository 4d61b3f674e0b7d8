// SPDX-License-Identifier: Apache-2.0
// Access to the lab: kubectl, helm and a shell on each node.
import { execFile, type ExecFileException } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const top = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const labDir = process.env['LAB'] ?? `${top}/build/lab`;

/** A command has failed or timed out (`code` CommandFailed). */
export class CommandError extends Error {
  readonly code = 'CommandFailed';
  readonly stderr: string;
  readonly status: number | undefined;
  constructor(command: string, status: number | undefined, stderr: string, cause: unknown) {
    super(`${command}: status ${status ?? 'none'}: ${stderr.trim().slice(-1500)}`, { cause });
    this.name = 'CommandError';
    this.status = status;
    this.stderr = stderr;
  }
}

export interface RunOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
  readonly env?: Record<string, string>;
}

/** Runs a program. @returns its standard output. @throws CommandError */
export function run(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      [...args],
      {
        cwd: top,
        env: { ...process.env, KUBECONFIG: `${labDir}/kubeconfig`, ...options.env },
        timeout: options.timeoutMs ?? 120_000,
        killSignal: 'SIGKILL',
        maxBuffer: 256 * 1024 * 1024,
      },
      (error: ExecFileException | null, stdout, stderr) => {
        if (!error) resolve(stdout);
        else {
          const status = typeof error.code === 'number' ? error.code : undefined;
          const shown = [file.split('/').at(-1), ...args].join(' ').slice(0, 200);
          reject(new CommandError(shown, status, stderr || error.message, error));
        }
      },
    );
    // A program that ends without reading its input reports that by its status.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}

export const kubectl = (...args: string[]): Promise<string> => run(`${labDir}/bin/kubectl`, args);

export async function kubectlJson(...args: string[]): Promise<unknown> {
  return JSON.parse(await kubectl(...args, '-o', 'json')) as unknown;
}

/** `kubectl apply` of any number of objects. @throws CommandError when the API server refuses one */
export async function apply(...objects: object[]): Promise<string> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  return run(`${labDir}/bin/kubectl`, ['apply', '-f', '-'], { input: JSON.stringify(list) });
}

export const helm = (...args: string[]): Promise<string> =>
  run(`${labDir}/bin/helm`, args, { timeoutMs: 900_000 });

/** Runs a shell line on a node; nodes are named w1, w2, ... */
export const onNode = (node: string, line: string, timeoutMs = 60_000): Promise<string> =>
  run(`${top}/e2e/lab/lab.sh`, ['ssh', node.replace(/^w/, ''), line], { timeoutMs });

export const isLabUp = (): boolean => existsSync(`${labDir}/kubeconfig`);

interface NodeList {
  items: { metadata: { name: string; labels?: Record<string, string> }; status: NodeStatus }[];
}
interface NodeStatus {
  nodeInfo: { kernelVersion: string; containerRuntimeVersion: string; kubeletVersion: string };
  conditions: { type: string; status: string }[];
}

/** Names of the nodes that are Ready, sorted. */
export async function readyNodes(): Promise<string[]> {
  const list = (await kubectlJson('get', 'nodes')) as NodeList;
  return list.items
    .filter((n) => n.status.conditions.some((c) => c.type === 'Ready' && c.status === 'True'))
    .map((n) => n.metadata.name)
    .sort();
}

/** Versions for the report, from the first node. */
export async function versions(): Promise<Record<string, string>> {
  const list = (await kubectlJson('get', 'nodes')) as NodeList;
  const node = list.items[0];
  if (!node) throw new Error('the lab has no nodes');
  const info = node.status.nodeInfo;
  const tools = await onNode(
    node.metadata.name,
    '/opt/sealift/bin/runc --version | head -1; /opt/sealift/bin/criu --version | head -1',
  );
  const pick = (pattern: RegExp): string => pattern.exec(tools)?.[1] ?? 'unknown';
  const sealift = JSON.parse(await helm('list', '-n', 'sealift', '-o', 'json')) as {
    app_version: string;
  }[];
  return {
    kernel: info.kernelVersion,
    criu: pick(/^Version: (\S+)/m),
    runc: pick(/^runc version (\S+)/m),
    containerd: info.containerRuntimeVersion.replace('containerd://', ''),
    kubernetes: info.kubeletVersion.replace(/^v/, ''),
    sealift: sealift[0]?.app_version ?? 'unknown',
  };
}
