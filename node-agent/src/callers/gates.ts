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
  settle: (reply: Reply) => void;
  fail: (error: Error) => void;
}

/** Containers of one request. */
type Waiters<Request, Reply> = Map<string, Waiting<Request, Reply>>;

class Gate<Request extends { container: string }, Reply> {
  readonly #waiting = new Map<string, Waiters<Request, Reply>>();

  wait(uid: string, request: Request, gone: AbortSignal, changed: () => void): Promise<Reply> {
    // Who left while the request was being looked up must not be taken for one who waits.
    if (gone.aborted) return Promise.reject(new AgentError('Aborted', 'the one who asked is gone'));
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const entry: Waiting<Request, Reply> = { request, settle: resolve, fail: reject };
    const { container } = request;
    // The same request over a newer connection: the older one has lost its reader.
    const older = this.#take(uid, container);
    older?.fail(new AgentError('Aborted', 'asked again over another connection'));
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

  all(uid: string): Request[] {
    return [...(this.#waiting.get(uid)?.values() ?? [])].map((one) => one.request);
  }

  /** @returns whether somebody waited. */
  settle(uid: string, container: string, reply: Reply): boolean {
    const entry = this.#take(uid, container);
    entry?.settle(reply);
    return entry !== undefined;
  }

  failOne(uid: string, container: string, error: Error): void {
    this.#take(uid, container)?.fail(error);
  }

  fail(uid: string, error: Error): void {
    const waiters = [...(this.#waiting.get(uid)?.values() ?? [])];
    this.#waiting.delete(uid);
    for (const one of waiters) one.fail(error);
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

  waitCreate(uid: string, request: CreateAtGate, gone: AbortSignal): Promise<CreateReply> {
    return this.#create.wait(uid, request, gone, () => this.#changed(uid));
  }

  /** @param at when it arrived, RFC 3339 with microseconds. */
  waitResume(request: GateRequest, at: string, gone: AbortSignal): Promise<PlainReply> {
    const { token: uid, container, pid } = request;
    const waiting = this.#resume.wait(uid, { ...request, at }, gone, () => this.#changed(uid));
    if (this.atResume(uid, container)) this.restored.settle(uid, container, { ok: true, pid });
    return waiting;
  }

  /** Resolves once the container's CRIU waits at the resume gate. */
  async waitRestored(request: AtGateRequest, gone: AbortSignal): Promise<AtGateReply> {
    const { token: uid, container } = request;
    const there = this.atResume(uid, container);
    if (there) return { ok: true, pid: there.pid };
    return this.restored.wait(uid, request, gone, () => undefined);
  }

  /** Containers at the create gate. */
  atCreate(uid: string): CreateAtGate[] {
    return this.#create.all(uid);
  }

  atResume(uid: string, container: string): RestoredAtGate | undefined {
    return this.#resume.get(uid, container);
  }

  /** Containers at the resume gate. */
  rebuilt(uid: string): RestoredAtGate[] {
    return this.#resume.all(uid);
  }

  answerCreate(uid: string, container: string, reply: CreateReply): boolean {
    return this.#create.settle(uid, container, reply);
  }

  /** @returns whether it waited. */
  open(uid: string, container: string): boolean {
    return this.#resume.settle(uid, container, { ok: true });
  }

  /** What waits at the resume gate under its name is not to run, but the container may be restored once more. */
  dismiss(uid: string, container: string, why: string): void {
    this.#resume.failOne(uid, container, new AgentError('Aborted', why));
  }

  /** Whoever waits is refused: the shim lets the create fail, the plugin kills what was restored. */
  refuse(uid: string, error: AgentError): void {
    this.#create.fail(uid, error);
    this.restored.fail(uid, error);
    this.#resume.fail(uid, error);
  }
}
