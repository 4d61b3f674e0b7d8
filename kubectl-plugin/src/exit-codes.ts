// SPDX-License-Identifier: Apache-2.0
// What the plugin exits with. README.md has the same table; scripts rely on it.

export const exitCodes = {
  /** What was asked for has happened, or nothing is wrong. */
  ok: 0,
  /** A request was refused, aborted or lost; a pod cannot be moved; doctor has found a fault. */
  failed: 1,
  /** The command line is wrong. Nothing was done. */
  usage: 2,
  /** The API server did not answer, or refused the call. */
  cluster: 3,
  /** --timeout is over. The request goes on. */
  timeout: 4,
  /** Ctrl-C. The request goes on. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends the program with a message and an exit code. */
export class CommandError extends Error {
  readonly code: ExitCode;

  constructor(code: ExitCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'CommandError';
    this.code = code;
  }
}

/** The command line is wrong: the message names the argument and says what to do. */
export const usageError = (message: string): CommandError =>
  new CommandError(exitCodes.usage, message);
