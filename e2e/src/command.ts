// SPDX-License-Identifier: Apache-2.0
// Runs programs of this machine.
import { execFile, type ExecFileException } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const top = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

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

/** Runs a program at the top of the checkout. @returns its standard output. @throws CommandError */
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
        env: { ...process.env, ...options.env },
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
