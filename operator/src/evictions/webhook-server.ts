// SPDX-License-Identifier: Apache-2.0
// HTTPS for the API server: it asks about each eviction.
import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { codeOf, messageOf, type Logger } from '../../../kube/src/index.ts';
import type { Eviction, EvictionAnswer } from './decide.ts';
import { evictionsAnswered, evictionSeconds } from '../metrics.ts';
import { answerReview, readReview } from './review.ts';

/** Less than the timeoutSeconds of the chart's configuration (10): the API server gets an answer that says what is wrong. */
const answerMs = 8_000;
/**
 * Longer than the API server keeps a connection that has nothing to do (90 s, net/http's default transport in Go). The side
 * that sends closes first: else a review may go out on a connection that is just being closed, and `kubectl drain`, which
 * asks again every 5 s and repeats nothing but a 429, ends with an internal error.
 */
const keepAliveMs = 120_000;
/** A review of an eviction is about 2 KiB. */
const maxBody = 256 * 1024;

type Answer = (eviction: Eviction, signal: AbortSignal) => Promise<EvictionAnswer>;

/** The path of the guard. It is no secret: when nobody answers, the API server shows it to whoever evicts (docs/adr/0028). */
export const GUARD_PATH = '/guard';

export interface WebhookServerParts {
  /** At the secret path. */
  readonly answer: Answer;
  /** At `GUARD_PATH`, for anybody. */
  readonly guard: Answer;
  readonly log: Logger;
}

export class WebhookServer {
  readonly #parts: WebhookServerParts;
  readonly #server: https.Server;
  #path: string | undefined;
  #hasCertificate = false;

  constructor(parts: WebhookServerParts) {
    this.#parts = parts;
    this.#server = https.createServer({ minVersion: 'TLSv1.2' }, (request, response) => {
      void this.#serve(request, response);
    });
    this.#server.requestTimeout = 30_000;
    this.#server.keepAliveTimeout = keepAliveMs;
  }

  /** @returns why it cannot answer, as a sentence; undefined: it can */
  problem(): string | undefined {
    if (!this.#server.listening) return 'The eviction webhook does not listen.';
    if (!this.#hasCertificate) return 'The eviction webhook has no certificate yet.';
    return this.#path === undefined ? 'The eviction webhook has no path yet.' : undefined;
  }

  /** Connections that are open keep the certificate that they have. */
  use(certificate: { readonly cert: string; readonly key: string }): void {
    this.#server.setSecureContext(certificate);
    this.#hasCertificate = true;
  }

  /** The secret one: whoever knows it may ask for moves. */
  set path(path: string) {
    this.#path = path;
  }

  /** @param port 0: any. @returns the port */
  async listen(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const status = (code: number): void => void response.writeHead(code).end();
    const path = (request.url ?? '').split('?')[0] ?? '';
    const isGuard = path === GUARD_PATH;
    if (request.method !== 'POST' || !(isGuard || isSame(path, this.#path))) return status(404);
    if (Number(request.headers['content-length'] ?? Infinity) > maxBody) return status(413);
    const { answer: inFull, guard } = this.#parts;
    const stop = isGuard ? undefined : evictionSeconds.startTimer();
    const count = (verdict: string): void => {
      if (!isGuard) evictionsAnswered.inc({ verdict });
    };
    try {
      const { uid, eviction } = readReview(JSON.parse(await text(request)));
      const ask = isGuard ? guard : inFull;
      const answer = await ask(eviction, AbortSignal.timeout(answerMs));
      count(answer.verdict);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(answerReview(uid, answer)));
    } catch (error) {
      // The failurePolicy of the configuration says what happens then.
      count('Error');
      this.#parts.log.warn(
        { code: codeOf(error), detail: messageOf(error) },
        'eviction not answered',
      );
      status(500);
    } finally {
      stop?.();
    }
  }
}

function isSame(given: string, wanted: string | undefined): boolean {
  if (wanted === undefined) return false;
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}
