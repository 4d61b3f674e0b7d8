// SPDX-License-Identifier: Apache-2.0
// The network between agents. Images arrive whole, damaged, or not at all.
import { AgentError, reasonOf, type AgentCode } from '../../node-agent/src/support/errors.ts';
import type { NodeOperations, Server } from '../../node-agent/src/node/operations.ts';
import {
  digestOf,
  formatManifest,
  type Manifest,
} from '../../node-agent/src/node/transfer/manifest.ts';
import type { SendOptions, Sent } from '../../node-agent/src/node/transfer/sender.ts';
import type { Machine } from './node/machine.ts';
import { never, type Process } from './process.ts';
import type { Timeline } from './timeline.ts';

type Callbacks = Parameters<NodeOperations['receiver']>[0];

interface Listener {
  readonly on: Callbacks;
  readonly agent: Process;
  readonly machine: Machine;
  readonly busy: Set<string>;
}

/** As in node-agent/src/node/transfer/receiver.ts: a connection without a byte for that long is given up. */
const idleMs = 30_000;

export class Network {
  readonly #timeline: Timeline;
  readonly #listeners = new Map<string, Listener>();
  #cutUntil = 0;
  /** The next images that are sent arrive damaged. */
  damagesNext = false;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  cut(ms: number): void {
    this.#cutUntil = Math.max(this.#cutUntil, this.#timeline.now + ms);
  }

  heal(): void {
    this.#cutUntil = 0;
  }

  get isCut(): boolean {
    return this.#timeline.now < this.#cutUntil;
  }

  receiver(machine: Machine, agent: Process, on: Callbacks): Server {
    const stop = (): void => {
      if (this.#listeners.get(machine.name)?.agent === agent) this.#listeners.delete(machine.name);
    };
    agent.onDeath(stop);
    return {
      listen: async () => {
        this.#listeners.set(machine.name, { on, agent, machine, busy: new Set() });
      },
      close: async () => stop(),
    };
  }

  /** The protocol of sendImages and Receiver, without the bytes. */
  async send(from: Machine, sender: Process, options: SendOptions): Promise<Sent> {
    if (sender.alive) await options.sealed?.(digestOf(formatManifest(manifestOf(options))));
    return this.#send(from, sender, options);
  }

  #send(from: Machine, sender: Process, options: SendOptions): Promise<Sent> {
    if (!sender.alive) return never();
    const { promise, resolve, reject } = Promise.withResolvers<Sent>();
    const timeline = this.#timeline;
    const { signal } = options;
    let isOver = false;
    const fail = (code: string, message: string, ms: number): void => {
      timeline.after(
        ms,
        () => end(() => reject(new AgentError(code as AgentCode, message))),
        sender,
      );
    };
    const end = (settle: () => void): void => {
      if (isOver) return;
      isOver = true;
      settle();
    };
    signal?.addEventListener('abort', () => fail('TransferFailed', 'stopped', 0), { once: true });
    timeline.after(timeline.jitter(1, 3), () => {
      const to = this.#listeners.get(options.address.split(':')[0] ?? '');
      if (this.isCut || !to) {
        fail('TransferFailed', 'no connection (simulated)', this.isCut ? idleMs : 1);
        return;
      }
      timeline.currentProcess = to.agent;
      this.#accept(from, to, options, {
        stopped: () => isOver || !sender.alive,
        ok: (sent) => timeline.after(1, () => end(() => resolve(sent)), sender),
        fail,
      });
    });
    return promise;
  }

  #accept(
    from: Machine,
    to: Listener,
    options: SendOptions,
    reply: {
      stopped(): boolean;
      ok(sent: Sent): void;
      fail(code: string, message: string, ms: number): void;
    },
  ): void {
    const { id } = options;
    const timeline = this.#timeline;
    const expected = to.on.expected(id);
    if (expected === undefined || to.busy.has(id)) {
      reply.fail('UnexpectedImages', `no images of ${id} are expected`, 1);
      return;
    }
    to.busy.add(id);
    to.on.started?.(id);
    timeline.after(timeline.jitter(50, 400), () => {
      to.busy.delete(id);
      if (!to.agent.alive) {
        reply.fail('TransferFailed', 'the connection broke', 1);
        return;
      }
      timeline.currentProcess = to.agent;
      const image = from.images.get(options.manifest.id);
      const refuse = (code: AgentCode, message: string): void => {
        const error = new AgentError(code, message);
        to.on.failed(id, error);
        const cut = this.isCut;
        if (cut) reply.fail('TransferFailed', 'no answer', idleMs);
        else reply.fail(reasonOf(error).code, message, 1);
      };
      if (this.isCut || reply.stopped() || !image) {
        refuse('ImageTruncated', 'the stream of images ended early');
        return;
      }
      if (options.manifest.id !== expected.imageId) {
        refuse('UnexpectedImages', `these are the images of ${options.manifest.id}`);
        return;
      }
      if (this.damagesNext) {
        this.damagesNext = false;
        refuse('ImageCorrupt', 'the images are damaged (simulated)');
        return;
      }
      try {
        to.machine.disk.write();
      } catch (error) {
        refuse(reasonOf(error).code as AgentCode, 'the images cannot be written (simulated)');
        return;
      }
      const manifest = manifestOf(options);
      const memories = structuredClone(image.memories);
      to.machine.images.set(id, { id, manifest: undefined, received: manifest, memories });
      to.on.received(id, manifest);
      const digest = digestOf(formatManifest(manifest));
      if (this.isCut) reply.fail('TransferFailed', 'no answer', idleMs);
      else reply.ok({ manifest, digest });
    });
  }
}

/** A simulated node's images have no files. */
const manifestOf = ({ manifest }: SendOptions): Manifest => ({ ...manifest, files: [] });
