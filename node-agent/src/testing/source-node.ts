// SPDX-License-Identifier: Apache-2.0
// A source's node for tests: its pod is a few flags, and its agent dies where it is told to.
import { expect } from 'vitest';
import type { Checkpointer, Dumped } from '../checkpoint/checkpointer.ts';
import { AgentError } from '../errors.ts';
import type { sendImages } from '../transfer/sender.ts';
import { REQUEST_UID, SOURCE_UID } from './objects.ts';

export const effects = ['lock', 'hold', 'freeze', 'dump', 'send'] as const;
export type Point = `${(typeof effects)[number] | 'release' | 'end'}.${'before' | 'after'}`;

const dumped = {
  header: { id: REQUEST_UID },
  identity: { qpns: [17] },
  objects: { qp: 1, cq: 1, mr: 1 },
  bytes: { pages: 4096, verbs: 100, rootfs: 0 },
} as unknown as Dumped;

/** One node and its pod. */
export class World {
  locked = false;
  held: number | undefined;
  frozen = false;
  dead = false;
  sent = 0;
  readonly did: string[] = [];
  /** The node was reset, or the container has ended. */
  gone = false;
  /** CRIU hangs until it is cut; what it was cut for. */
  hangs = false;
  cut: unknown;
  /** The agent dies here: what it was doing never comes back. */
  dieAt: Point | undefined;
  died = Promise.withResolvers<void>();
  fail: { at: string; error: Error } | undefined;

  async #pass(name: (typeof effects)[number] | 'release' | 'end', work: () => void): Promise<void> {
    await this.#die(`${name}.before`);
    if (this.fail?.at === name) throw this.fail.error;
    this.did.push(name);
    work();
    await this.#die(`${name}.after`);
  }
  async #die(at: Point): Promise<void> {
    if (this.dieAt !== at) return;
    this.died.resolve();
    await new Promise(() => undefined);
  }

  readonly checkpointer = {
    inspect: async (podUid: string) => {
      if (this.fail?.at === 'inspect') throw this.fail.error;
      return this.checkpointer.find(podUid);
    },
    find: async () => {
      if (this.fail?.at === 'find') throw this.fail.error;
      if (this.gone) throw new AgentError('PodNotFound', 'no running container');
      return { podUid: SOURCE_UID, netns: '/run/netns/x', containers: [{ id: 'c', name: 'main' }] };
    },
    runningIds: async () => (this.gone ? [] : ['c']),
    lock: () => this.#pass('lock', () => (this.locked = true)),
    hold: (_pod: unknown, timer: number) => this.#pass('hold', () => (this.held = timer)),
    freeze: () => this.#pass('freeze', () => (this.frozen = true)),
    dump: async (_pod: unknown, _id: string, signal: AbortSignal) => {
      if (this.hangs) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        this.cut = signal.reason;
        throw new AgentError('CheckpointFailed', 'interrupted');
      }
      expect([this.locked, this.frozen]).toEqual([true, true]);
      await this.#pass('dump', () => undefined);
      return dumped;
    },
    release: () =>
      this.#pass('release', () => {
        expect(this.dead).toBe(false);
        [this.locked, this.held, this.frozen] = [false, undefined, false];
      }),
    end: () => this.#pass('end', () => (this.dead = true)),
  } as unknown as Checkpointer;

  readonly send: typeof sendImages = async () => {
    await this.#pass('send', () => this.sent++);
    return { manifest: {}, digest: 'sha256:x' } as unknown as Awaited<
      ReturnType<typeof sendImages>
    >;
  };

  get asItWas(): boolean {
    return !this.locked && this.held === undefined && !this.frozen && !this.dead;
  }
}
