// SPDX-License-Identifier: Apache-2.0
// The create gate and the resume gate (docs/architecture.md). A container waits at the create gate until its images are
// here. At the resume gate CRIU waits for a moment: the agent freezes the tasks. The socket's handlers put callers in; the
// target's reconciler answers. Nothing here is durable: a caller that loses its connection asks again, also after a restart
// of the agent, and whether a container is frozen is read from its cgroup.
import { AgentError } from '../support/errors.ts';
import type { CreateAtGate, RestoredAtGate } from '../support/gate-waiters.ts';
import type { CreateReply } from '../support/socket-protocol.ts';

interface Waiter<Request, Reply> {
  request: Request;
  resolve: (reply: Reply) => void;
  reject: (error: Error) => void;
}

/** The waiters of one request, by container. */
type Waiters<Request, Reply> = Map<string, Waiter<Request, Reply>>;

/** Callers that wait for a reply: at most one per request's UID and container. */
class Gate<Request extends { container: string }, Reply> {
  readonly #waiting = new Map<string, Waiters<Request, Reply>>();

  /**
   * Resolves with the reply of `answer`.
   * @param gone aborts when the caller closes its connection
   * @param onChange is called when the caller begins to wait and when it leaves
   * @throws AgentError Aborted when the caller has left, or asks again over another connection
   */
  wait(uid: string, request: Request, gone: AbortSignal, onChange: () => void): Promise<Reply> {
    // The caller may have left while its pod was looked up.
    if (gone.aborted)
      return Promise.reject(new AgentError('Aborted', 'The caller has closed its connection.'));
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const entry: Waiter<Request, Reply> = { request, resolve, reject };
    const { container } = request;
    // The caller asks again over a new connection: the older one has no reader.
    const older = this.#take(uid, container);
    older?.reject(new AgentError('Aborted', 'The caller has asked again over another connection.'));
    const waiters = this.#waiting.get(uid) ?? new Map<string, Waiter<Request, Reply>>();
    this.#waiting.set(uid, waiters.set(container, entry));
    gone.addEventListener(
      'abort',
      () => {
        if (this.#waiting.get(uid)?.get(container) !== entry) return;
        this.#take(uid, container);
        reject(new AgentError('Aborted', 'The caller has closed its connection.'));
        onChange();
      },
      { once: true },
    );
    onChange();
    return promise;
  }

  list(uid: string): Request[] {
    return [...(this.#waiting.get(uid)?.values() ?? [])].map((one) => one.request);
  }

  /** @returns whether a caller waited */
  answer(uid: string, container: string, reply: Reply): boolean {
    const entry = this.#take(uid, container);
    entry?.resolve(reply);
    return entry !== undefined;
  }

  /** Rejects every waiter of a request. */
  rejectAll(uid: string, error: Error): void {
    const waiters = [...(this.#waiting.get(uid)?.values() ?? [])];
    this.#waiting.delete(uid);
    for (const one of waiters) one.reject(error);
  }

  #take(uid: string, container: string): Waiter<Request, Reply> | undefined {
    const waiters = this.#waiting.get(uid);
    const entry = waiters?.get(container);
    waiters?.delete(container);
    if (waiters?.size === 0) this.#waiting.delete(uid);
    return entry;
  }
}

/** The gates of every target on this node. `uid` is the request's, which the socket calls `token`. */
export class Gates {
  readonly #create = new Gate<CreateAtGate, CreateReply>();
  readonly #passed = new Map<string, Map<string, RestoredAtGate>>();
  readonly #listeners: ((requestUid: string) => void)[] = [];

  /** Calls the listener whenever a caller begins to wait or leaves, and when a restored container is started. */
  onChange(listener: (requestUid: string) => void): void {
    this.#listeners.push(listener);
  }

  #changed(uid: string): void {
    for (const listener of this.#listeners) listener(uid);
  }

  /** Resolves with the reply of `answerCreate`. @throws AgentError Aborted, or the error of `refuseAll` */
  waitAtCreateGate(uid: string, request: CreateAtGate, gone: AbortSignal): Promise<CreateReply> {
    return this.#create.wait(uid, request, gone, () => this.#changed(uid));
  }

  /** The container's tasks are frozen: CRIU may detach from them. */
  passResumeGate(restored: RestoredAtGate): void {
    const { token: uid, container } = restored;
    const passed = this.#passed.get(uid) ?? new Map<string, RestoredAtGate>();
    this.#passed.set(uid, passed.set(container, restored));
    this.#changed(uid);
  }

  /** The runtime has started a container of the request: its create has returned. */
  started(uid: string): void {
    this.#changed(uid);
  }

  /** The containers at the create gate. */
  listAtCreateGate(uid: string): CreateAtGate[] {
    return this.#create.list(uid);
  }

  /** The containers that have passed their resume gate since this agent's start. */
  listPassed(uid: string): RestoredAtGate[] {
    return [...(this.#passed.get(uid)?.values() ?? [])];
  }

  /** Answers a container at the create gate. @returns whether it waited */
  answerCreate(uid: string, container: string, reply: CreateReply): boolean {
    return this.#create.answer(uid, container, reply);
  }

  /** The container is restored again, from its create on. */
  forgetPassed(uid: string, container: string): void {
    this.#passed.get(uid)?.delete(container);
  }

  /** Refuses all callers of a request: the shim fails the create. */
  refuseAll(uid: string, error: AgentError): void {
    this.#create.rejectAll(uid, error);
    this.#passed.delete(uid);
  }
}
