// SPDX-License-Identifier: Apache-2.0
// The host as seen from the agent's container: its files through /proc/1/root (the agent shares the host's
// PID namespace), its programs through sealift-host, which enters the host's mount namespace and execs.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { AgentError } from '../../support/errors.ts';

export interface HostOptions {
  /** Where the host's root is seen, `/proc/1/root`, or `/` when the agent runs on the host itself. */
  root: string;
  /** Path of sealift-host; absent when the agent runs on the host itself. */
  enter?: string;
}

export interface RunOptions {
  env?: Record<string, string>;
  timeoutMs?: number;
  /** Ends the program, and whatever it has started. */
  signal?: AbortSignal | undefined;
  /** Asks the program, and whatever it has started, to end; what has not after `graceMs` is killed. */
  interrupt?: Interrupt | undefined;
  stdin?: Readable;
  stdout?: Writable;
}

export interface Interrupt {
  when: AbortSignal;
  with: readonly NodeJS.Signals[];
  graceMs: number;
}

/** What a program left: its exit status and the tail of what it wrote. */
export interface RunResult {
  status: number;
  stdout: string;
  stderr: string;
}

const KEPT_BYTES = 64 * 1024;
/** Sealift's own runc and criu first, then the host's usual places. */
const HOST_PATH = '/opt/sealift/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export class Host {
  readonly #options: HostOptions;

  constructor(options: HostOptions) {
    this.#options = options;
  }

  /**
   * Where the agent finds a path of the host. /var/run is a symbolic link to /run on every current
   * distribution, and an absolute link met on the way would be resolved against the agent's own root.
   */
  path(onHost: string): string {
    const clean = normalize(onHost);
    const real = clean.startsWith('/var/run/') ? clean.slice('/var'.length) : clean;
    return this.#options.root === '/' ? real : join(this.#options.root, real);
  }

  /** The host's mount table, as its init sees it. */
  async mountinfo(): Promise<string> {
    return readFile('/proc/1/mountinfo', 'utf8');
  }

  /**
   * Runs a program in the host's mount namespace and resolves when it ends, whatever its status.
   * @throws AgentError RuntimeFailed if it cannot be started or exceeds its time, Aborted
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

  /** As run, but a status other than 0 is an error. @throws AgentError RuntimeFailed */
  async check(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    const result = await this.run(program, args, options);
    if (result.status === 0) return result.stdout;
    const said = (result.stderr || result.stdout).trim().slice(-1000);
    throw new AgentError(
      'RuntimeFailed',
      `${program} ${args[0] ?? ''} ended with status ${result.status}: ${said}`,
    );
  }
}

function waitFor(child: ChildProcess, program: string, options: RunOptions): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    let late: AgentError | undefined;
    const keep = (old: string, chunk: Buffer) => (old + chunk.toString('utf8')).slice(-KEPT_BYTES);
    const end = (error: AgentError) => {
      late ??= error;
      signalGroup(child, 'SIGKILL');
    };
    const tooLong = `${program} took longer than ${options.timeoutMs} ms`;
    const timer = options.timeoutMs
      ? setTimeout(() => end(new AgentError('RuntimeFailed', tooLong)), options.timeoutMs)
      : undefined;
    const onAbort = () => end(new AgentError('Aborted', `${program} is not needed any more`));
    options.signal?.addEventListener('abort', onAbort, { once: true });
    if (options.signal?.aborted) onAbort();
    const { interrupt } = options;
    let grace: NodeJS.Timeout | undefined;
    const onInterrupt = () => {
      for (const signal of interrupt?.with ?? []) signalGroup(child, signal);
      grace = setTimeout(onAbort, interrupt?.graceMs);
    };
    interrupt?.when.addEventListener('abort', onInterrupt, { once: true });
    if (interrupt?.when.aborted) onInterrupt();
    const done = () => {
      clearTimeout(timer);
      clearTimeout(grace);
      options.signal?.removeEventListener('abort', onAbort);
      interrupt?.when.removeEventListener('abort', onInterrupt);
    };
    if (options.stdin && child.stdin) {
      // A program that ends early closes its input; its status tells what matters.
      child.stdin.on('error', () => undefined);
      options.stdin.pipe(child.stdin);
    }
    if (options.stdout) child.stdout?.pipe(options.stdout);
    else child.stdout?.on('data', (chunk: Buffer) => (stdout = keep(stdout, chunk)));
    child.stderr?.on('data', (chunk: Buffer) => (stderr = keep(stderr, chunk)));
    child.once('error', (cause) => {
      done();
      reject(new AgentError('RuntimeFailed', `cannot run ${program}: ${cause.message}`, { cause }));
    });
    child.once('close', (status, signal) => {
      done();
      if (late) reject(late);
      else {
        resolve({ status: status ?? 128, stdout, stderr: signal ? `${stderr}${signal}` : stderr });
      }
    });
  });
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has just ended by itself.
  }
}

/** Runs a program of the agent's own image. @throws AgentError RuntimeFailed */
export function runHere(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, [...args], { maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      if (error) {
        reject(new AgentError('RuntimeFailed', `${program}: ${stderr.trim() || error.message}`));
      } else resolve(stdout);
    });
  });
}
