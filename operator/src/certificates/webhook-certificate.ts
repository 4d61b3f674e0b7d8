// SPDX-License-Identifier: Apache-2.0
// The certificate of the eviction webhook. Each replica of the operator makes its own key, and signs its certificate with the
// authority that all share. The API server trusts that one alone: it is in the webhook's configuration.
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { agentCertificate } from '../../../crds/src/index.ts';
import {
  keepRefreshed,
  secrets,
  type Api,
  type Call,
  type Clock,
  type Logger,
} from '../../../kube/src/index.ts';
import { AuthorityStore } from './authority.ts';
import { signServer, type Signer } from './x509.ts';

/** Clocks differ. */
const BACKDATED_MS = 3_600_000;

export interface ServerCertificate {
  /** In PEM. */
  readonly cert: string;
  readonly key: string;
}

export interface WebhookCertificateParts {
  readonly api: Api;
  readonly log: Logger;
  readonly clock: Clock;
  /** The chart's. */
  readonly namespace: string;
  /** The chart's Secret with the authority's keys. */
  readonly secret: string;
  /** By which the API server calls the webhook. */
  readonly dnsName: string;
  /** Writes the authority's certificates, in PEM, into the webhook's configuration. */
  readonly publish: (certificates: string, call: Call) => Promise<void>;
  /** Gets each new certificate. */
  readonly use: (certificate: ServerCertificate) => void;
}

export class WebhookCertificate {
  readonly #parts: WebhookCertificateParts;
  readonly #store: AuthorityStore;
  #current: X509Certificate | undefined;

  constructor(parts: WebhookCertificateParts) {
    this.#parts = parts;
    this.#store = new AuthorityStore(parts);
  }

  /** Runs until the signal aborts. */
  run(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#parts;
    const refresh = (): Promise<void> => this.refresh({ signal });
    const failed = "the webhook's certificate is not ready";
    return keepRefreshed({ refresh, failed, log, clock }, signal);
  }

  /** @throws Error if the chart's Secret is missing; ApiError, `Conflict` among them, if another replica was faster */
  async refresh(call: Call = {}): Promise<void> {
    const { clock, use, log, dnsName } = this.#parts;
    const signer = await this.#store.refresh(call);
    const now = clock.now();
    if (this.#current && isGood(this.#current, signer, now)) return;
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const lifetime = { from: now - BACKDATED_MS, to: now + agentCertificate.lifetimeMs };
    const cert = signServer(signer, { publicKey, dnsName }, lifetime);
    this.#current = new X509Certificate(cert);
    use({ cert, key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString() });
    log.info({ until: new Date(lifetime.to).toISOString() }, 'the webhook has a new certificate');
  }
}

/** By this authority, and younger than its renewal. */
function isGood(certificate: X509Certificate, signer: Signer, now: number): boolean {
  const renewAt =
    Date.parse(certificate.validTo) -
    agentCertificate.lifetimeMs * (1 - agentCertificate.renewAfter);
  return now < renewAt && certificate.verify(signer.publicKey);
}

/** Of the Secret: the path's secret part; and the one of releases that showed it to whoever evicted a pod (docs/adr/0028). */
const [field, shownField] = ['path', 'token'] as const;

/**
 * A secret part of the webhook's path, which only whoever may read the webhook's configuration knows: the API server. Others
 * that reach the port cannot ask for moves. It is kept beside the authority's keys. That of an earlier release is not used.
 * @throws ApiError `Conflict` if another replica was faster
 */
export async function webhookToken(
  { api, namespace, secret }: Pick<WebhookCertificateParts, 'api' | 'namespace' | 'secret'>,
  make: () => string,
  call: Call = {},
): Promise<string> {
  const { metadata, data } = await api.get(secrets, namespace, secret, call);
  const known = Buffer.from(data[field] ?? '', 'base64').toString();
  if (known !== '' && data[shownField] === undefined) return known;
  const token = known === '' ? make() : known;
  const { resourceVersion } = metadata;
  const patch = {
    metadata: { resourceVersion },
    data: {
      [field]: Buffer.from(token).toString('base64'),
      ...(data[shownField] !== undefined && { [shownField]: null }),
    },
  };
  await api.merge(secrets, namespace, secret, patch, call);
  return token;
}
