// SPDX-License-Identifier: Apache-2.0
// HTTP to the API server: JSON in, JSON out, and line-wise watches. Written on node:https because
// loading the generated client costs a node under emulation ten seconds and 100 MB (see README).
import http from 'node:http';
import https from 'node:https';
import type { ClusterConfig } from './config.ts';
import { ApiError, ConnectionError, messageOf } from './errors.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface RestRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Query | undefined;
  readonly body?: unknown;
  readonly contentType?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Default 10 s. */
  readonly timeoutMs?: number | undefined;
}

export interface WatchLine {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: unknown;
}

const defaultTimeoutMs = 10_000;
const maxBody = 64 * 1024 * 1024;

export class Rest {
  readonly #config: ClusterConfig;
  readonly #base: URL;
  readonly #agent: http.Agent;
  readonly #userAgent: string;

  constructor(config: ClusterConfig, userAgent = 'sealift') {
    this.#config = config;
    this.#base = new URL(config.server);
    this.#userAgent = userAgent;
    const options = { keepAlive: true, keepAliveMsecs: 10_000, maxSockets: 32 };
    this.#agent =
      this.#base.protocol === 'http:'
        ? new http.Agent(options)
        : new https.Agent({
            ...options,
            ca: config.ca,
            cert: config.cert,
            key: config.key,
            servername: config.serverName,
            rejectUnauthorized: config.insecure !== true,
          });
  }

  /**
   * One request, one JSON answer.
   * @throws ApiError for an answer outside 2xx; ConnectionError when there was none.
   */
  async request(request: RestRequest): Promise<unknown> {
    const timeoutMs = request.timeoutMs ?? defaultTimeoutMs;
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = request.signal ? AbortSignal.any([request.signal, timeout]) : timeout;
    try {
      const response = await this.#send(request, signal);
      const text = await readAll(response);
      return text === '' ? undefined : (JSON.parse(text) as unknown);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      if (request.signal?.aborted)
        throw new ConnectionError(
          'Cancelled',
          `${request.method} ${request.path} was cancelled`,
          error,
        );
      if (timeout.aborted)
        throw new ConnectionError(
          'RequestTimeout',
          `${request.method} ${request.path}: no answer within ${timeoutMs} ms`,
          error,
        );
      throw new ConnectionError(
        'Unreachable',
        `${request.method} ${request.path}: ${messageOf(error)}`,
        error,
      );
    }
  }

  /**
   * A watch. Ends when the server ends it or nothing (not even a bookmark) came for `idleMs`.
   * @throws ApiError when the watch is refused; ConnectionError when it breaks.
   */
  async *watch(
    path: string,
    query: Query,
    signal: AbortSignal,
    idleMs: number,
  ): AsyncGenerator<WatchLine> {
    const idle = new AbortController();
    const both = AbortSignal.any([signal, idle.signal]);
    const timer = setTimeout(() => idle.abort(), idleMs);
    try {
      const response = await this.#send({ method: 'GET', path, query }, both);
      response.setEncoding('utf8');
      let rest = '';
      for await (const chunk of response as AsyncIterable<string>) {
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
      if (signal.aborted || idle.signal.aborted) return;
      if (error instanceof ApiError) throw error;
      throw new ConnectionError('Unreachable', `watch ${path}: ${messageOf(error)}`, error);
    } finally {
      clearTimeout(timer);
      idle.abort();
    }
  }

  /** Closes idle connections, so that a process can end. */
  close(): void {
    this.#agent.destroy();
  }

  #send(request: RestRequest, signal: AbortSignal): Promise<http.IncomingMessage> {
    const url = new URL(this.#base.href.replace(/\/+$/, '') + request.path);
    for (const [key, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const headers: Record<string, string | number> = {
      accept: 'application/json',
      'user-agent': this.#userAgent,
    };
    const token = this.#config.token?.();
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
    if (body !== undefined) {
      headers['content-type'] = request.contentType ?? 'application/json';
      headers['content-length'] = Buffer.byteLength(body);
    }
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    const transport = url.protocol === 'http:' ? http : https;
    const sent = transport.request(url, {
      method: request.method,
      headers,
      agent: this.#agent,
      signal,
    });
    sent.on('error', reject);
    sent.on('response', (response) => {
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) return resolve(response);
      readAll(response).then(
        (text) => reject(ApiError.from(status, text, response.headers['retry-after'])),
        reject,
      );
    });
    sent.end(body);
    return promise;
  }
}

async function readAll(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBody) throw new Error('the answer is longer than 64 MiB');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
