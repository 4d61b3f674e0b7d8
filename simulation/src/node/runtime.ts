// SPDX-License-Identifier: Apache-2.0
// The container runtime of a node as the kubelet calls it: the shim asks the agent whether to run or to restore, CRIU
// restores, its plugin waits at the resume gate.
import type { CreateReply } from '../../../node-agent/src/support/socket-protocol.ts';
import type { StoredObject } from '../api/objects.ts';
import type { Container, Machine, Sandbox } from './machine.ts';
import { askAgent, type Failure } from './socket.ts';

export interface RestoreFaults {
  /** The next restore fails before its gate. */
  restoreFails: boolean;
  /** CRIU dies at the next resume gate that is opened, before it detaches from the tasks. */
  endsAtGate: boolean;
  /** The next restore never reaches its gate. */
  restoreHangs: boolean;
}

export interface RuntimeHooks {
  /** A container has reached its resume gate. CRIU has removed its own network lock by then. */
  restored?(sandbox: Sandbox): void;
  /** A restore in the background has failed after the shim had returned. */
  failedInBackground(podUid: string): void;
}

/** Of one attempt. Undefined: the container runs, or was killed. `failed`: runc has failed, and the shim asks again. */
type Outcome = Failure | 'failed' | undefined;

export class Runtime {
  readonly #machine: Machine;
  readonly #faults: RestoreFaults;
  readonly #hooks: RuntimeHooks;

  constructor(machine: Machine, faults: RestoreFaults, hooks: RuntimeHooks) {
    this.#machine = machine;
    this.#faults = faults;
    this.#hooks = hooks;
  }

  /** The shim's `create`: repeats the request when a restore has failed. */
  async create(
    pod: StoredObject,
    container: Container,
    killed: AbortSignal,
  ): Promise<Failure | undefined> {
    const { clock } = this.#machine.boot;
    const since = Math.floor(this.#machine.timeline.now);
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#createOnce(pod, container, { since, attempt }, killed);
      if (outcome !== 'failed') return outcome;
      await clock.sleep(Math.min(attempt, 5) * 1000, killed);
      if (isDead(container)) return undefined;
    }
  }

  async #createOnce(
    pod: StoredObject,
    container: Container,
    when: { since: number; attempt: number },
    killed: AbortSignal,
  ): Promise<Outcome> {
    const machine = this.#machine;
    const { id, bundle, name, podUid, sandbox } = container;
    const reply: CreateReply | Failure = await askAgent(
      machine,
      (handlers, gone) =>
        handlers.create(
          {
            ...{ op: 'create', id, bundle, sandboxId: sandbox.id, podUid, container: name },
            ...{ namespace: pod.metadata.namespace, pod: pod.metadata.name },
            ...when,
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

  /** `runc restore`: CRIU restores the tasks, its plugin asks at the gate. */
  async #restore(
    container: Container,
    order: Extract<CreateReply, { action: 'restore' }>,
    killed: AbortSignal,
  ): Promise<Outcome> {
    const machine = this.#machine;
    container.state = 'Restoring';
    const imageId = order.imagePath.split('/').at(-2) ?? '';
    // The restored tasks are gone, the bundle stays.
    const failed = (): 'failed' => {
      machine.endRestore(container);
      return 'failed';
    };
    const hangs = this.#faults.restoreHangs;
    this.#faults.restoreHangs = false;
    do await machine.boot.clock.sleep(machine.timeline.jitter(100, 500));
    while (hangs && container.state === 'Restoring' && !killed.aborted);
    if (container.state !== 'Restoring') return undefined;
    const image = machine.images.get(imageId);
    if (!image?.manifest || this.#faults.restoreFails) {
      this.#faults.restoreFails = false;
      return failed();
    }
    const done = image.memories[container.name]?.done ?? 0;
    container.memory = { application: container.sandbox.application, done };
    container.restored = true;
    container.state = 'AtResumeGate';
    this.#hooks.restored?.(container.sandbox);
    const token = order.env['SEALIFT_GATE'] ?? '';
    machine.detached.delete(`${token}/${container.name}`);
    const opened = this.#waitAtGate(container, token, failed);
    if (order.background !== true) return opened;
    // The shim returns once the agent says that the container is at its gate; the restore continues without it.
    let isInBackground = false;
    void opened.then((outcome) => {
      if (outcome === undefined || !isInBackground) return;
      machine.removeContainer(container);
      this.#hooks.failedInBackground(container.podUid);
    });
    const reported = askAgent(
      machine,
      (handlers, gone) => handlers.atGate({ op: 'atGate', token, container: container.name }, gone),
      killed,
    );
    const reply = await Promise.race([reported, opened]);
    // The gate is open already, or the restore has failed.
    if (reply === undefined || reply === 'failed' || isDead(container)) return opened;
    isInBackground = reply.ok;
    return reply.ok ? undefined : reply;
  }

  /** The CRIU plugin's part: waits until it may resume the tasks. Ends when they are killed. */
  async #waitAtGate(
    container: Container,
    token: string,
    failed: () => 'failed',
  ): Promise<'failed' | undefined> {
    const machine = this.#machine;
    const { name } = container;
    const reply = await askAgent(
      machine,
      (handlers, gone) => handlers.gate({ op: 'gate', token, container: name, pid: 1 }, gone),
      container.stop.signal,
    );
    if (container.state !== 'AtResumeGate') return undefined;
    if (!reply.ok) return failed();
    if (this.#faults.endsAtGate) {
      this.#faults.endsAtGate = false;
      return failed();
    }
    container.state = 'Running';
    machine.detached.add(`${token}/${name}`);
    return undefined;
  }
}

/** A function, because the state may have changed during a wait, which the compiler's narrowing ignores. */
export const isDead = ({ state }: Container): boolean => state === 'Dead';
