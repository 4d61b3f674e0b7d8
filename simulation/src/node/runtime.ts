// SPDX-License-Identifier: Apache-2.0
// The container runtime of a node as the kubelet calls it: the shim asks the agent whether to run or to restore, CRIU
// restores, its plugin stops at the resume gate.
import type { CreateReply } from '../../../node-agent/src/support/socket-protocol.ts';
import type { StoredObject } from '../api/objects.ts';
import type { Container, Machine, Sandbox } from './machine.ts';
import { askAgent, type Failure } from './socket.ts';

export interface RestoreFaults {
  /** The next restore fails before its gate. */
  restoreFails: boolean;
  /** CRIU dies at the next resume gate, when the tasks are frozen and before it detaches from them. */
  endsAtGate: boolean;
  /** The next restore never reaches its gate. */
  restoreHangs: boolean;
}

export interface RuntimeHooks {
  /** A container has reached its resume gate. CRIU has removed its own network lock by then. */
  restored?(sandbox: Sandbox): void;
}

export class Runtime {
  readonly #machine: Machine;
  readonly #faults: RestoreFaults;
  readonly #hooks: RuntimeHooks;

  constructor(machine: Machine, faults: RestoreFaults, hooks: RuntimeHooks) {
    this.#machine = machine;
    this.#faults = faults;
    this.#hooks = hooks;
  }

  /** The shim's `create`. @returns undefined once it has returned, or was killed */
  async create(
    pod: StoredObject,
    container: Container,
    killed: AbortSignal,
  ): Promise<Failure | undefined> {
    const machine = this.#machine;
    const { id, bundle, name, podUid, sandbox } = container;
    const reply: CreateReply | Failure = await askAgent(
      machine,
      (handlers, gone) =>
        handlers.create(
          {
            ...{ op: 'create', id, bundle, sandboxId: sandbox.id, podUid, container: name },
            ...{ namespace: pod.metadata.namespace, pod: pod.metadata.name },
          },
          gone,
        ),
      killed,
    );
    if (isDead(container)) return undefined;
    if (!reply.ok) {
      machine.removeContainer(container);
      return reply;
    }
    if (reply.action === 'run') {
      await machine.boot.clock.sleep(machine.timeline.jitter(10, 50));
      if (isDead(container)) return undefined;
      container.memory = { application: sandbox.application, done: 0 };
      container.state = 'Running';
      return undefined;
    }
    return this.#restore(container, reply, killed);
  }

  /** `runc restore`: CRIU restores the tasks, its plugin has the agent freeze them, CRIU detaches. */
  async #restore(
    container: Container,
    order: Extract<CreateReply, { action: 'restore' }>,
    killed: AbortSignal,
  ): Promise<Failure | undefined> {
    const machine = this.#machine;
    container.state = 'Restoring';
    const imageId = order.imagePath.split('/').at(-2) ?? '';
    const failed = (): Failure => {
      machine.removeContainer(container);
      return { ok: false, code: 'RestoreFailed', message: 'runc has failed (simulated)' };
    };
    const hangs = this.#faults.restoreHangs;
    this.#faults.restoreHangs = false;
    do await machine.boot.clock.sleep(machine.timeline.jitter(100, 500));
    while (hangs && container.state === 'Restoring' && !killed.aborted);
    if (container.state !== 'Restoring') return undefined;
    const image = machine.images.get(imageId);
    // CRIU reads images that are not synced yet as well as others.
    if (!(image?.manifest ?? image?.received) || this.#faults.restoreFails) {
      this.#faults.restoreFails = false;
      return failed();
    }
    const done = image.memories[container.name]?.done ?? 0;
    container.memory = { application: container.sandbox.application, done };
    container.restored = true;
    this.#hooks.restored?.(container.sandbox);
    const token = order.env['SEALIFT_GATE'] ?? '';
    const { name } = container;
    const reply = await askAgent(
      machine,
      (handlers, gone) => handlers.gate({ op: 'gate', token, container: name, pid: 1 }, gone),
      container.stop.signal,
    );
    if (isDead(container)) return undefined;
    if (!reply.ok || this.#faults.endsAtGate) {
      this.#faults.endsAtGate &&= !reply.ok;
      return failed();
    }
    await machine.boot.clock.sleep(machine.timeline.jitter(2, 20));
    return undefined;
  }
}

/** A function, because the state may have changed during a wait, which the compiler's narrowing ignores. */
export const isDead = ({ state }: Container): boolean => state === 'Dead';
