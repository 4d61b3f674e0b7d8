// SPDX-License-Identifier: Apache-2.0
// Who waits on the socket: containers at the create gate, CRIU at the resume gate. Nothing here is durable: who
// waits asks again when it loses its connection, also after the agent's restart.
import { AgentError } from '../errors.ts';
import type { CreateReply, CreateRequest, GateRequest, PlainReply } from '../socket/protocol.ts';

interface Waiting<Request, Reply> {
  request: Request;
  settle: (reply: Reply) => void;
  fail: (error: Error) => void;
}

class Gate<Request, Reply> {
  readonly #waiting = new Map<string, Waiting<Request, Reply>>();

  wait(key: string, request: Request, gone: AbortSignal, changed: () => void): Promise<Reply> {
    // Who left while the request was being looked up must not be taken for one who waits.
    if (gone.aborted) return Promise.reject(new AgentError('Aborted', 'the one who asked is gone'));
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const entry: Waiting<Request, Reply> = { request, settle: resolve, fail: reject };
    // The same request over a newer connection: the older one has lost its reader.
    this.fail(key, new AgentError('Aborted', 'asked again over another connection'));
    this.#waiting.set(key, entry);
    gone.addEventListener(
      'abort',
      () => {
        if (this.#waiting.get(key) !== entry) return;
        this.#waiting.delete(key);
        reject(new AgentError('Aborted', 'the one who waited is gone'));
        changed();
      },
      { once: true },
    );
    changed();
    return promise;
  }

  get(key: string): Request | undefined {
    return this.#waiting.get(key)?.request;
  }

  /** @returns whether somebody waited. */
  settle(key: string, reply: Reply): boolean {
    const entry = this.#waiting.get(key);
    this.#waiting.delete(key);
    entry?.settle(reply);
    return entry !== undefined;
  }

  fail(key: string, error: Error): boolean {
    const entry = this.#waiting.get(key);
    this.#waiting.delete(key);
    entry?.fail(error);
    return entry !== undefined;
  }
}

/** A container at the create gate, with what its pod's annotation asks of a held device. */
export type CreateAtGate = CreateRequest & { rnrTimer: number };

/** Both gates of every target on this node; keys are the UIDs of the requests. */
export class Gates {
  readonly #create = new Gate<CreateAtGate, CreateReply>();
  readonly #resume = new Gate<GateRequest & { at: string }, PlainReply>();
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
    const uid = request.token;
    return this.#resume.wait(uid, { ...request, at }, gone, () => this.#changed(uid));
  }

  atCreate(uid: string): CreateAtGate | undefined {
    return this.#create.get(uid);
  }

  atResume(uid: string): (GateRequest & { at: string }) | undefined {
    return this.#resume.get(uid);
  }

  answerCreate(uid: string, reply: CreateReply): boolean {
    return this.#create.settle(uid, reply);
  }

  open(uid: string): boolean {
    return this.#resume.settle(uid, { ok: true });
  }

  /** Whoever waits is refused: the shim lets the create fail, the plugin kills what was restored. */
  refuse(uid: string, error: AgentError): void {
    this.#create.fail(uid, error);
    this.#resume.fail(uid, error);
  }
}
