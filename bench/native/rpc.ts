// SPDX-License-Identifier: Apache-2.0
// Calls from the bench to a process that it has forked, over Node.js' IPC channel.
import type { ChildProcess } from 'node:child_process';

interface Call {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

type Answer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

/** Answers calls of the parent process with these functions. */
export function serve(functions: Record<string, (argument: never) => unknown>): void {
  process.on('message', (call: Call) => {
    const work = async (): Promise<unknown> => functions[call.name]?.(call.argument as never);
    work().then(
      (result) => process.send?.({ id: call.id, result }),
      (error: unknown) =>
        process.send?.({
          id: call.id,
          error: error instanceof Error ? (error.stack ?? error.message) : String(error),
        }),
    );
  });
  // However the bench ends, nothing of it stays.
  process.once('disconnect', () => process.exit(1));
  process.send?.({ id: 0, result: undefined });
}

export class Peer {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #last = 0;
  /** Resolves once the process serves. */
  readonly ready: Promise<unknown>;

  constructor(child: ChildProcess, name: string) {
    this.#child = child;
    const ready = Promise.withResolvers<unknown>();
    this.ready = ready.promise;
    this.#waiting.set(0, ready);
    child.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ('error' in answer) waiting?.reject(new Error(`${name}: ${answer.error}`));
      else waiting?.resolve(answer.result);
    });
    child.on('exit', (status, signal) => {
      const ended = new Error(`${name} has ended with ${signal ?? `status ${status}`}.`);
      for (const one of this.#waiting.values()) one.reject(ended);
      this.#waiting.clear();
    });
  }

  /** @throws Error of the function, or if the process has ended */
  call<R>(name: string, argument?: unknown): Promise<R> {
    const id = ++this.#last;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#child.send({ id, name, argument } satisfies Call);
    return waiting.promise as Promise<R>;
  }
}
