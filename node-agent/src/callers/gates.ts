// SPDX-License-Identifier: Apache-2.0
// Who waits on the socket: containers at the create gate, CRIU at the resume gate, and shims that are told when it
// gets there. Nothing here is durable: who waits asks again when it loses its connection, also after the agent's restart.
import { AgentError } from '../support/errors.ts';
import type { CreateAtGate, RestoredAtGate } from '../support/gate-waiters.ts';
import type {
  AtGateReply,
  AtGateRequest,
  CreateReply,
  GateRequest,
  PlainReply,
} from '../support/socket-protocol.ts';

interface Waiting<Request, Reply> {
  request: Request;
  resolve: (reply: Reply) => void;
  reject: (error: Error) => void;
}

/** Containers of one request. */
type Waiters<Request, Reply> = Map<string, Waiting<Request, Reply>>;

class Gate<Request extends { container: string }, Reply> {
  readonly #waiting = new Map<string, Waiters<Request, Reply>>();

  wait(uid: string, request: Request, gone: AbortSignal, changed: () => void): Promise<Reply> {
    // Who left while the request was being looked up must not be taken for one who waits.
    if (gone.aborted) return Promise.reject(new AgentError('Aborted', 'the one who asked is gone'));
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const entry: Waiting<Request, Reply> = { request, resolve: resolve, reject: reject };
    const { container } = request;
    // The same request over a newer connection: the older one has lost its reader.
    const older = this.#take(uid, container);
    older?.reject(new AgentError('Aborted', 'asked again over another connection'));
    const waiters = this.#waiting.get(uid) ?? new Map<string, Waiting<Request, Reply>>();
    this.#waiting.set(uid, waiters.set(container, entry));
    gone.addEventListener(
      'abort',
      () => {
        if (this.#waiting.get(uid)?.get(container) !== entry) return;
        this.#take(uid, container);
        reject(new AgentError('Aborted', 'the one who waited is gone'));
        changed();
      },
      { once: true },
    );
    changed();
    return promise;
  }

  get(uid: string, container: string): Request | undefined {
    return this.#waiting.get(uid)?.get(container)?.request;
  }

  list(uid: string): Request[] {
    return [...(this.#waiting.get(uid)?.values() ?? [])].map((one) => one.request);
  }

  /** @returns whether somebody waited. */
  answer(uid: string, container: string, reply: Reply): boolean {
    const entry = this.#take(uid, container);
    entry?.resolve(reply);
    return entry !== undefined;
  }

  reject(uid: string, container: string, error: Error): void {
    this.#take(uid, container)?.reject(error);
  }

  rejectAll(uid: string, error: Error): void {
    const waiters = [...(this.#waiting.get(uid)?.values() ?? [])];
    this.#waiting.delete(uid);
    for (const one of waiters) one.reject(error);
  }

  #take(uid: string, container: string): Waiting<Request, Reply> | undefined {
    const waiters = this.#waiting.get(uid);
    const entry = waiters?.get(container);
    waiters?.delete(container);
    if (waiters?.size === 0) this.#waiting.delete(uid);
    return entry;
  }
}

/** The gates of every target on this node: one waiter per request's UID and container. */
export class Gates {
  readonly #create = new Gate<CreateAtGate, CreateReply>();
  readonly #resume = new Gate<RestoredAtGate, PlainReply>();
  readonly restored = new Gate<AtGateRequest, AtGateReply>();
  readonly #listeners: ((requestUid: string) => void)[] = [];

  /** Told whenever somebody starts or stops waiting. */
  onChange(listener: (requestUid: string) => void): void {
    this.#listeners.push(listener);
  }

  #changed(uid: string): void {
    for (const listener of this.#listeners) listener(uid);
  }

  waitAtCreateGate(uid: string, request: CreateAtGate, gone: AbortSignal): Promise<CreateReply> {
    return this.#create.wait(uid, request, gone, () => this.#changed(uid));
  }

  /** @param at when it arrived, RFC 3339 with microseconds. */
  waitAtResumeGate(request: GateRequest, at: string, gone: AbortSignal): Promise<PlainReply> {
    const { token: uid, container, pid } = request;
    const waiting = this.#resume.wait(uid, { ...request, at }, gone, () => this.#changed(uid));
    if (this.getAtResumeGate(uid, container))
      this.restored.answer(uid, container, { ok: true, pid });
    return waiting;
  }

  /** Resolves once the container's CRIU waits at the resume gate. */
  async waitForArrival(request: AtGateRequest, gone: AbortSignal): Promise<AtGateReply> {
    const { token: uid, container } = request;
    const there = this.getAtResumeGate(uid, container);
    if (there) return { ok: true, pid: there.pid };
    return this.restored.wait(uid, request, gone, () => undefined);
  }

  /** Containers at the create gate. */
  listAtCreateGate(uid: string): CreateAtGate[] {
    return this.#create.list(uid);
  }

  getAtResumeGate(uid: string, container: string): RestoredAtGate | undefined {
    return this.#resume.get(uid, container);
  }

  /** Containers at the resume gate. */
  listAtResumeGate(uid: string): RestoredAtGate[] {
    return this.#resume.list(uid);
  }

  answerCreate(uid: string, container: string, reply: CreateReply): boolean {
    return this.#create.answer(uid, container, reply);
  }

  /** @returns whether it waited. */
  openResumeGate(uid: string, container: string): boolean {
    return this.#resume.answer(uid, container, { ok: true });
  }

  /** What waits at the resume gate under its name is not to run, but the container may be restored once more. */
  refuseAtResumeGate(uid: string, container: string, why: string): void {
    this.#resume.reject(uid, container, new AgentError('Aborted', why));
  }

  /** Whoever waits is refused: the shim lets the create fail, the plugin kills what was restored. */
  refuseAll(uid: string, error: AgentError): void {
    this.#create.rejectAll(uid, error);
    this.restored.rejectAll(uid, error);
    this.#resume.rejectAll(uid, error);
  }
}
