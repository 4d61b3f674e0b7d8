// SPDX-License-Identifier: Apache-2.0
// The create gate and the resume gate (docs/architecture.md): which callers of the socket wait there. A container waits
// at the create gate until its images are here, CRIU at the resume gate until the decision is recorded. A shim whose
// restore runs in the background waits for CRIU to arrive. The socket's handlers put callers in; the target's reconciler
// opens or refuses. Nothing here is durable: a caller that loses its connection asks again, also after a restart of the
// agent.
import { AgentError } from '../support/errors.ts';
import type { CreateAtGate, RestoredAtGate } from '../support/gate-waiters.ts';
import type {
  AtGateReply,
  AtGateRequest,
  CreateReply,
  GateRequest,
  PlainReply,
} from '../support/socket-protocol.ts';

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

  get(uid: string, container: string): Request | undefined {
    return this.#waiting.get(uid)?.get(container)?.request;
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

  reject(uid: string, container: string, error: Error): void {
    this.#take(uid, container)?.reject(error);
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
  readonly #resume = new Gate<RestoredAtGate, PlainReply>();
  readonly #arrivals = new Gate<AtGateRequest, AtGateReply>();
  readonly #listeners: ((requestUid: string) => void)[] = [];

  /** Calls the listener whenever a caller begins to wait or leaves. */
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

  /**
   * Resolves when `openResumeGate` is called.
   * @param at when CRIU arrived, RFC 3339 with microseconds
   * @throws AgentError Aborted, or the error of `refuseAll`
   */
  waitAtResumeGate(request: GateRequest, at: string, gone: AbortSignal): Promise<PlainReply> {
    const { token: uid, container, pid } = request;
    const waiting = this.#resume.wait(uid, { ...request, at }, gone, () => this.#changed(uid));
    if (this.getAtResumeGate(uid, container))
      this.#arrivals.answer(uid, container, { ok: true, pid });
    return waiting;
  }

  /** Resolves with the first task's PID once CRIU waits at the resume gate. @throws the error of `refuseAll` */
  async waitForArrival(request: AtGateRequest, gone: AbortSignal): Promise<AtGateReply> {
    const { token: uid, container } = request;
    const arrived = this.getAtResumeGate(uid, container);
    if (arrived) return { ok: true, pid: arrived.pid };
    return this.#arrivals.wait(uid, request, gone, () => undefined);
  }

  /** The containers at the create gate. */
  listAtCreateGate(uid: string): CreateAtGate[] {
    return this.#create.list(uid);
  }

  /** What the CRIU plugin has sent at the resume gate; undefined if it is not there. */
  getAtResumeGate(uid: string, container: string): RestoredAtGate | undefined {
    return this.#resume.get(uid, container);
  }

  /** The containers whose CRIU waits at the resume gate. */
  listAtResumeGate(uid: string): RestoredAtGate[] {
    return this.#resume.list(uid);
  }

  /** Answers a container at the create gate. @returns whether it waited */
  answerCreate(uid: string, container: string, reply: CreateReply): boolean {
    return this.#create.answer(uid, container, reply);
  }

  /** Lets CRIU resume the container's tasks. @returns whether it waited */
  openResumeGate(uid: string, container: string): boolean {
    return this.#resume.answer(uid, container, { ok: true });
  }

  /** Refuses CRIU at the resume gate: the plugin kills the restored tasks. The container may be restored once more. */
  refuseAtResumeGate(uid: string, container: string, message: string): void {
    this.#resume.reject(uid, container, new AgentError('Aborted', message));
  }

  /** Refuses all callers of a request: the shim fails the create, the plugin kills the restored tasks. */
  refuseAll(uid: string, error: AgentError): void {
    this.#create.rejectAll(uid, error);
    this.#arrivals.rejectAll(uid, error);
    this.#resume.rejectAll(uid, error);
  }
}
