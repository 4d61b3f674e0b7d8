// SPDX-License-Identifier: Apache-2.0
// The host as seen from the agent's container: its files through /proc/1/root (the agent shares the host's PID
// namespace), its programs through sealift-host, which enters the host's mount namespace and execs (native/shim). All
// that the agent does to the host's files and programs goes through here.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { AgentError, isErrno } from '../../support/errors.ts';

export interface HostOptions {
  /** Path of the host's root: `/proc/1/root`, or `/` when the agent runs on the host itself. */
  root: string;
  /** Path of sealift-host; absent when the agent runs on the host itself. */
  enter?: string;
}

export interface RunOptions {
  /** Added to PATH and LC_ALL. */
  env?: Record<string, string>;
  /** The program is killed then. */
  timeoutMs?: number;
  /** Kills the program, and all that it has started. */
  signal?: AbortSignal | undefined;
  /** Asks the program, and all that it has started, to end. */
  interrupt?: Interrupt | undefined;
  stdin?: Readable;
  stdout?: Writable;
}

/** A request to end. */
export interface Interrupt {
  when: AbortSignal;
  /** Signals to a program that has not ended by then. */
  ask: readonly Ask[];
  /** A program that has not ended by then is killed. */
  graceMs: number;
}

export interface Ask {
  /** Since the request. */
  afterMs: number;
  /** The program alone, or also all that it has started. */
  whom: 'program' | 'all';
  /** In order. */
  with: readonly NodeJS.Signals[];
}

/** How a program has ended. */
export interface RunResult {
  /** Exit status; 128 if a signal has ended it. */
  status: number;
  /** The last 64 KiB of each output. */
  stdout: string;
  stderr: string;
}

/** As many as the kernel follows (path_resolution(7)). */
const MAX_LINKS = 40;
const MAX_OUTPUT_BYTES = 64 * 1024;
/** Sealift's own runc and criu first, then the host's usual places. */
const HOST_PATH = '/opt/sealift/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export class Host {
  readonly #options: HostOptions;

  constructor(options: HostOptions) {
    this.#options = options;
  }

  /**
   * The path by which the agent finds a file of the host. Symbolic links are followed here, the last one too: the kernel
   * would resolve an absolute one (/var/run, or /var/lib/kubelet on a data disk) against the agent's own root.
   * @param onHost absolute path
   */
  path(onHost: string): string {
    const { root } = this.#options;
    return root === '/' ? normalize(onHost) : join(root, followLinks(root, normalize(onHost)));
  }

  /** The path on the host without symbolic links, as far as it exists: also what a link leads to that leads to nothing. */
  resolve(onHost: string): string {
    return followLinks(this.#options.root, normalize(onHost));
  }

  /** The host's mount table, as its init sees it (proc_pid_mountinfo(5)). */
  async mountinfo(): Promise<string> {
    return readFile('/proc/1/mountinfo', 'utf8');
  }

  /**
   * Runs a program in the host's mount namespace and resolves when it has ended, with whatever status.
   * @throws AgentError RuntimeFailed if it cannot be started or exceeds its time; Aborted if a signal has killed it
   */
  async run(
    program: string,
    args: readonly string[],
    options: RunOptions = {},
  ): Promise<RunResult> {
    const { enter } = this.#options;
    const [file, argv] = enter ? [enter, [program, ...args]] : [program, [...args]];
    const child = spawn(file, argv, {
      env: { PATH: HOST_PATH, LC_ALL: 'C', ...options.env },
      stdio: [options.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      // A process group of its own, so that what it starts (runc starts CRIU) ends with it.
      detached: true,
    });
    return waitFor(child, program, options);
  }

  /** As `run`, but a status other than 0 is an error. @returns stdout. @throws AgentError RuntimeFailed, Aborted */
  async check(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    const result = await this.run(program, args, options);
    if (result.status === 0) return result.stdout;
    const output = (result.stderr || result.stdout).trim().slice(-1000);
    const said = output === '' ? 'it printed nothing.' : output.replace(/\.?$/, '.');
    throw new AgentError(
      'RuntimeFailed',
      `${program} ${args[0] ?? ''} ended with status ${result.status}: ${said} Mend the cause on this node, then try again.`,
    );
  }
}

/** The path without symbolic links, as far as it exists. @param path absolute, within the root */
function followLinks(root: string, path: string): string {
  const left = path.split('/').filter(Boolean);
  let found = '/';
  for (let links = 0; left.length > 0;) {
    const name = left.shift() ?? '';
    const next = join(found, name);
    const target = name === '..' ? undefined : readLink(join(root, next));
    if (target === undefined || ++links > MAX_LINKS) {
      found = next;
    } else {
      if (target.startsWith('/')) found = '/';
      left.unshift(...target.split('/').filter(Boolean));
    }
  }
  return found;
}

const NO_LINK = ['EINVAL', 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'];

/** Undefined for what is no link, or not there: whoever opens the path then has the error. */
function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (NO_LINK.some((code) => isErrno(error, code))) return undefined;
    throw error;
  }
}

function waitFor(child: ChildProcess, program: string, options: RunOptions): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    let killReason: AgentError | undefined;
    const append = (old: string, chunk: Buffer) =>
      (old + chunk.toString('utf8')).slice(-MAX_OUTPUT_BYTES);
    const kill = (error: AgentError) => {
      killReason ??= error;
      signalGroup(child, 'SIGKILL');
    };
    const tooLong = `${program} took longer than ${options.timeoutMs} ms and was killed.`;
    const timer = options.timeoutMs
      ? setTimeout(() => kill(new AgentError('RuntimeFailed', tooLong)), options.timeoutMs)
      : undefined;
    const onAbort = () =>
      kill(
        new AgentError(
          'Aborted',
          `${program} was killed: it is not needed any more, or did not end when asked to.`,
        ),
      );
    options.signal?.addEventListener('abort', onAbort, { once: true });
    if (options.signal?.aborted) onAbort();
    const { interrupt } = options;
    const asking: NodeJS.Timeout[] = [];
    const onInterrupt = () => {
      for (const ask of interrupt?.ask ?? []) {
        if (ask.afterMs === 0) send(child, ask);
        else asking.push(setTimeout(() => send(child, ask), ask.afterMs));
      }
      asking.push(setTimeout(onAbort, interrupt?.graceMs));
    };
    interrupt?.when.addEventListener('abort', onInterrupt, { once: true });
    if (interrupt?.when.aborted) onInterrupt();
    const cleanUp = () => {
      clearTimeout(timer);
      for (const one of asking) clearTimeout(one);
      options.signal?.removeEventListener('abort', onAbort);
      interrupt?.when.removeEventListener('abort', onInterrupt);
    };
    if (options.stdin && child.stdin) {
      // A program that ends early closes its input: its status is the error then.
      child.stdin.on('error', () => undefined);
      options.stdin.pipe(child.stdin);
    }
    if (options.stdout) child.stdout?.pipe(options.stdout);
    else child.stdout?.on('data', (chunk: Buffer) => (stdout = append(stdout, chunk)));
    child.stderr?.on('data', (chunk: Buffer) => (stderr = append(stderr, chunk)));
    child.once('error', (cause) => {
      cleanUp();
      reject(
        new AgentError('RuntimeFailed', `The agent cannot run ${program}: ${cause.message}.`, {
          cause,
        }),
      );
    });
    child.once('close', (status, signal) => {
      cleanUp();
      if (killReason) reject(killReason);
      else {
        resolve({ status: status ?? 128, stdout, stderr: signal ? `${stderr}${signal}` : stderr });
      }
    });
  });
}

function send(child: ChildProcess, { whom, with: signals }: Ask): void {
  for (const signal of signals) {
    if (whom === 'all') signalGroup(child, signal);
    else child.kill(signal);
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group has just ended by itself.
  }
}

/** Runs a program of the agent's own image. @returns stdout. @throws AgentError RuntimeFailed */
export function runHere(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, [...args], { maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      if (error) {
        reject(new AgentError('RuntimeFailed', `${program}: ${stderr.trim() || error.message}`));
      } else resolve(stdout);
    });
  });
}
