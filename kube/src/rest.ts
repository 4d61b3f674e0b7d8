// SPDX-License-Identifier: Apache-2.0
// Raw requests to the API server: JSON in, JSON out, and watches line by line. Address, TLS, proxy and credentials come
// from client-node. Its typed calls and its Watch do not, because they give listed and watched objects different shapes
// and end a watch after 30 s without an event.
import { HttpMethod, RequestContext, type KubeConfig } from '@kubernetes/client-node';
import { fetch, type Dispatcher, type Response } from 'undici';
import { dispatcherOf } from './dispatcher.ts';
import { ApiError, ConnectionError, messageOf } from './errors.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface RestRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Query | undefined;
  readonly body?: unknown;
  readonly contentType?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Default 10 s. Longer while the API server does not answer in time: see `TimeoutFactor`. */
  readonly timeoutMs?: number | undefined;
}

export interface WatchLine {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: unknown;
}

const jsonType = 'application/json';
const credentialsMs = 30_000;
const defaultTimeoutMs = 10_000;
const maxBody = 64 * 1024 * 1024;

/** How much longer than at first a request waits at most. */
export const longestFactor = 8;

/**
 * How long requests wait. A timeout doubles it and an answer halves it: with a limit that the TLS handshake alone exceeds
 * on a starved machine, each request would start from nothing and none would end.
 */
class TimeoutFactor {
  #now = 1;

  get now(): number {
    return this.#now;
  }

  /** @param used by the request that had no answer: of several at a time one counts */
  timedOut(used: number): void {
    if (used === this.#now) this.#now = Math.min(longestFactor, this.#now * 2);
  }

  answered(): void {
    this.#now = Math.max(1, this.#now / 2);
  }
}

interface Access {
  readonly dispatcher: Dispatcher;
  readonly credentials: Record<string, string>;
}

export class Rest {
  readonly #config: KubeConfig;
  readonly #base: string;
  readonly #userAgent: string;
  readonly #factor = new TimeoutFactor();
  #access: Access | undefined;
  #credentialsAt = 0;

  constructor(config: KubeConfig, userAgent = 'sealift') {
    this.#config = config;
    this.#base = (config.getCurrentCluster()?.server ?? '').replace(/\/+$/, '');
    this.#userAgent = userAgent;
  }

  /**
   * One request, one JSON answer.
   * @throws ApiError for an answer outside 2xx; ConnectionError without an answer.
   */
  async request(request: RestRequest): Promise<unknown> {
    const factor = this.#factor.now;
    const timeoutMs = (request.timeoutMs ?? defaultTimeoutMs) * factor;
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = request.signal ? AbortSignal.any([request.signal, timeout]) : timeout;
    try {
      const response = await this.#send(request, signal);
      const text = await response.text();
      this.#factor.answered();
      return text === '' ? undefined : (JSON.parse(text) as unknown);
    } catch (error) {
      if (error instanceof ApiError) {
        this.#factor.answered();
        throw error;
      }
      if (request.signal?.aborted)
        throw new ConnectionError(
          'Cancelled',
          `${request.method} ${request.path} was cancelled`,
          error,
        );
      if (timeout.aborted) {
        this.#factor.timedOut(factor);
        throw new ConnectionError(
          'RequestTimeout',
          `${request.method} ${request.path}: no answer within ${timeoutMs} ms`,
          error,
        );
      }
      throw new ConnectionError(
        'Unreachable',
        `${request.method} ${request.path}: ${messageOf(error)}`,
        error,
      );
    }
  }

  /**
   * A watch. It ends when the server ends it, or when nothing (not even a bookmark) came for `idleMs`.
   * @param opened is called once the server has accepted it
   * @throws ApiError when the server refuses the watch; ConnectionError when it breaks, and when nobody answers within `idleMs`:
   * whoever follows by such a watch sees nothing, and has to know.
   */
  async *watch(
    path: string,
    query: Query,
    signal: AbortSignal,
    idleMs: number,
    opened?: () => void,
  ): AsyncGenerator<WatchLine> {
    const idle = new AbortController();
    const both = AbortSignal.any([signal, idle.signal]);
    const timer = setTimeout(() => idle.abort(), idleMs);
    let isOpen = false;
    try {
      const response = await this.#send({ method: 'GET', path, query }, both);
      isOpen = true;
      opened?.();
      if (response.body === null) return;
      const decoder = new TextDecoderStream();
      let rest = '';
      for await (const chunk of response.body.pipeThrough(decoder)) {
        timer.refresh();
        rest += chunk;
        if (rest.length > maxBody) throw new Error('a watch line is longer than 64 MiB');
        let end: number;
        while ((end = rest.indexOf('\n')) >= 0) {
          const line = rest.slice(0, end);
          rest = rest.slice(end + 1);
          if (line.trim() !== '') yield JSON.parse(line) as WatchLine;
        }
      }
    } catch (error) {
      if (signal.aborted || (idle.signal.aborted && isOpen)) return;
      if (error instanceof ApiError) throw error;
      if (idle.signal.aborted) {
        const message = `watch ${path}: no answer within ${idleMs} ms`;
        throw new ConnectionError('RequestTimeout', message, error);
      }
      throw new ConnectionError('Unreachable', `watch ${path}: ${messageOf(error)}`, error);
    } finally {
      clearTimeout(timer);
      idle.abort();
    }
  }

  async #send(request: RestRequest, signal: AbortSignal): Promise<Response> {
    const url = new URL(this.#base + request.path);
    for (const [key, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const type = body === undefined ? {} : { 'Content-Type': request.contentType ?? jsonType };
    const { dispatcher, credentials } = await this.#authenticate(url.href);
    const response = await fetch(url, {
      method: request.method,
      headers: { Accept: jsonType, 'User-Agent': this.#userAgent, ...type, ...credentials },
      dispatcher,
      signal,
      ...(body === undefined ? {} : { body }),
    });
    if (response.ok) return response;
    const text = await response.text();
    throw ApiError.from(response.status, text, response.headers.get('retry-after') ?? undefined);
  }

  /** Address and credentials of the API server. They are read again from time to time, because tokens on disk are renewed. */
  async #authenticate(url: string): Promise<Access> {
    const now = performance.now();
    if (this.#access && now - this.#credentialsAt < credentialsMs) return this.#access;
    const context = new RequestContext(url, HttpMethod.GET);
    await this.#config.applySecurityAuthentication(context);
    // The first dispatcher stays, and its connections with it.
    const dispatcher = this.#access?.dispatcher ?? (await dispatcherOf(this.#config, context));
    this.#access = { dispatcher, credentials: context.getHeaders() };
    this.#credentialsAt = now;
    return this.#access;
  }
}
