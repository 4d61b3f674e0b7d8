// SPDX-License-Identifier: Apache-2.0
// The eviction webhook of one replica of the operator: every replica answers, not only the one that leads.
import { randomBytes } from 'node:crypto';
import {
  EventRecorder,
  realClock,
  type Api,
  type Call,
  type Clock,
  type Logger,
} from '../../../kube/src/index.ts';
import { WebhookCertificate, webhookToken } from '../certificates/webhook-certificate.ts';
import { Evictor } from './evictor.ts';
import { register } from './registration.ts';
import { WebhookServer } from './webhook-server.ts';

/** Names of the chart's objects. */
export interface WebhookOptions {
  readonly port: number;
  /** Of the ValidatingWebhookConfiguration. */
  readonly configuration: string;
  /** Of the Secret with the authority's keys. */
  readonly secret: string;
  /** By which the API server calls: `<service>.<namespace>.svc`. */
  readonly dnsName: string;
}

export interface WebhookParts extends WebhookOptions {
  readonly api: Api;
  readonly log: Logger;
  readonly clock?: Clock;
  /** The chart's. */
  readonly namespace: string;
}

/** @returns undefined: the chart has no webhook. @throws Error that names the variable */
export function webhookOptionsFrom(
  env: Readonly<Record<string, string | undefined>>,
): WebhookOptions | undefined {
  const {
    SEALIFT_WEBHOOK_PORT: port = '',
    SEALIFT_WEBHOOK_CONFIGURATION: configuration = '',
    SEALIFT_WEBHOOK_SECRET: secret = '',
    SEALIFT_WEBHOOK_DNS_NAME: dnsName = '',
  } = env;
  if (configuration === '') return undefined;
  if (secret === '' || dnsName === '' || !(Number(port) > 0)) {
    throw new Error(
      'SEALIFT_WEBHOOK_CONFIGURATION needs SEALIFT_WEBHOOK_PORT, SEALIFT_WEBHOOK_SECRET and SEALIFT_WEBHOOK_DNS_NAME.',
    );
  }
  return { port: Number(port), configuration, secret, dnsName };
}

export class EvictionWebhook {
  readonly #parts: WebhookParts;
  readonly #server: WebhookServer;
  readonly #certificate: WebhookCertificate;

  constructor(parts: WebhookParts) {
    this.#parts = parts;
    const { api, log, clock = realClock } = parts;
    const events = new EventRecorder({ api, log, component: 'sealift-operator', clock });
    const evictor = new Evictor({ api, events, log });
    this.#server = new WebhookServer({
      log,
      answer: (eviction, signal) => evictor.answer(eviction, signal),
      guard: (eviction, signal) => evictor.guard(eviction, signal),
    });
    this.#certificate = new WebhookCertificate({
      ...parts,
      clock,
      publish: (certificates, call) => this.#publish(certificates, call),
      use: (certificate) => this.#server.use(certificate),
    });
  }

  /** @returns why it cannot answer, as a sentence; undefined: it can */
  problem(): string | undefined {
    return this.#server.problem();
  }

  /** @returns the port. A port in use rejects. */
  listen(): Promise<number> {
    return this.#server.listen(this.#parts.port);
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#certificate.run(signal);
    await this.#server.close();
  }

  async #publish(certificates: string, call: Call): Promise<void> {
    const { api, configuration } = this.#parts;
    const token = await webhookToken(this.#parts, () => randomBytes(24).toString('hex'), call);
    const path = `/evictions/${token}`;
    this.#server.path = path;
    await register(api, configuration, { server: { certificates, path } }, call);
  }
}
