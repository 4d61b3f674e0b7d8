// SPDX-License-Identifier: Apache-2.0
// How shim, CRIU plugin and CNI delegate call the agent: if the connection ends before a reply, they send the same request
// again every 500 ms, for up to 110 s (docs/architecture.md).
import { reasonOf } from '../../../node-agent/src/support/errors.ts';
import type { SocketHandlers } from '../../../node-agent/src/callers/socket/server.ts';
import type { Machine } from './machine.ts';

const retryMs = 500;
const retryBudgetMs = 110_000;

export interface Failure {
  readonly ok: false;
  readonly code: string;
  readonly message: string;
}

type Ask<R> = (handlers: SocketHandlers, gone: AbortSignal) => Promise<R>;

/** @param gone the client is killed: its connection closes, and nothing waits for the reply. */
export async function askAgent<R>(
  machine: Machine,
  ask: Ask<R>,
  gone: AbortSignal,
): Promise<R | Failure> {
  const { timeline, boot } = machine;
  const until = timeline.now + retryBudgetMs;
  for (;;) {
    if (gone.aborted) return { ok: false, code: 'Killed', message: 'the client was killed' };
    const reply = await attempt(machine, ask, gone);
    if (reply !== undefined) return reply;
    if (timeline.now >= until) {
      return { ok: false, code: 'AgentUnreachable', message: 'no agent answers (simulated)' };
    }
    await boot.clock.sleep(retryMs, gone);
  }
}

/** One connection. @returns undefined if it ended without a reply */
function attempt<R>(
  machine: Machine,
  ask: Ask<R>,
  gone: AbortSignal,
): Promise<R | Failure | undefined> {
  const { timeline, boot, socket } = machine;
  if (!socket) return Promise.resolve(undefined);
  const { agent, handlers } = socket;
  const { promise, resolve } = Promise.withResolvers<R | Failure | undefined>();
  const answer = (reply: R | Failure | undefined): void => {
    timeline.after(0.2, () => resolve(reply), boot);
  };
  agent.onDeath(() => answer(undefined));
  const closed = new AbortController();
  const close = (): void => {
    timeline.after(0.2, () => closed.abort(), agent);
  };
  gone.addEventListener('abort', close, { once: true });
  boot.onDeath(close);
  timeline.after(
    0.2,
    () => {
      ask(handlers, closed.signal).then(answer, (error: unknown) => {
        answer({ ok: false, ...reasonOf(error) });
      });
    },
    agent,
  );
  return promise;
}
