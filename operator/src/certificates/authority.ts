// SPDX-License-Identifier: Apache-2.0
// An authority: the one that signs the agents' certificates, and that of the eviction webhook. Its keys are in a Secret that
// only the operator reads. The operator publishes a new one for the lifetime of one certificate before it signs with it: an
// agent that has not read of it by then has no valid certificate either.
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  X509Certificate,
} from 'node:crypto';
import { agentCertificate } from '../../../crds/src/index.ts';
import {
  isNotFound,
  secrets,
  type Api,
  type Call,
  type Clock,
  type KeyValues,
} from '../../../kube/src/index.ts';
import { signAuthority, type Signer } from './x509.ts';

const DAY_MS = 24 * 3_600_000;
const LIFETIME_MS = 365 * DAY_MS;
/** Another authority is made when this share of the lifetime has passed. */
const RENEW_AFTER = 2 / 3;
const ANNOUNCED_MS = agentCertificate.lifetimeMs;
/** Clocks of nodes differ. */
const BACKDATED_MS = 3_600_000;

/** In PEM. */
export interface Issuer {
  readonly certificate: string;
  readonly key: string;
}

export interface Authority {
  /** Signs certificates. */
  readonly current: Issuer;
  /** It is trusted already; it signs next. */
  readonly next?: Issuer | undefined;
  /** Certificate of the issuer that signed before `current`. */
  readonly previous?: string | undefined;
}

/**
 * The authority as it is to be now: the same object, if nothing is to be done.
 * @param make a new issuer
 */
export function planAuthority(
  authority: Authority | undefined,
  now: number,
  make: (now: number) => Issuer = makeIssuer,
): Authority {
  if (!authority || lifetimeOf(authority.current.certificate).to <= now)
    return { current: make(now) };
  const { current, next, previous } = authority;
  if (next && madeAt(next.certificate) + ANNOUNCED_MS <= now) {
    return { current: next, previous: current.certificate };
  }
  // By then every certificate that the previous issuer has signed has expired.
  if (previous !== undefined && madeAt(current.certificate) + 2 * ANNOUNCED_MS < now) {
    return { current, next };
  }
  if (!next && madeAt(current.certificate) + LIFETIME_MS * RENEW_AFTER <= now) {
    return { ...authority, next: make(now) };
  }
  return authority;
}

/** The certificates to trust, in PEM. */
export const trusted = ({ current, next, previous }: Authority): string =>
  [current.certificate, next?.certificate, previous].filter((one) => one !== undefined).join('');

/** @param name in its certificate */
export function makeIssuer(now: number, name = 'sealift'): Issuer {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const lifetime = { from: now - BACKDATED_MS, to: now + LIFETIME_MS };
  return {
    certificate: signAuthority({ name, publicKey, privateKey }, lifetime),
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
}

export function signerOf({ certificate, key }: Issuer): Signer {
  const { publicKey, subject } = new X509Certificate(certificate);
  const privateKey = createPrivateKey(key);
  if (!createPublicKey(privateKey).equals(publicKey)) {
    throw new Error(`The key of authority ${subject} is not its certificate's.`);
  }
  return { name: subject.replace(/^CN=/, ''), publicKey, privateKey };
}

function lifetimeOf(certificate: string): { from: number; to: number } {
  const { validFrom, validTo } = new X509Certificate(certificate);
  return { from: Date.parse(validFrom), to: Date.parse(validTo) };
}

const madeAt = (certificate: string): number => lifetimeOf(certificate).from + BACKDATED_MS;

export interface AuthorityStoreParts {
  readonly api: Api;
  readonly clock: Clock;
  /** The chart's. */
  readonly namespace: string;
  /** Name of the Secret. */
  readonly secret: string;
  /** Tells whoever has to trust the authority, unless they know. @param certificates in PEM */
  readonly publish: (certificates: string, call: Call) => Promise<void>;
}

/** The authority in its Secret, which the chart makes empty. */
export class AuthorityStore {
  readonly #parts: AuthorityStoreParts;

  constructor(parts: AuthorityStoreParts) {
    this.#parts = parts;
  }

  /**
   * Reads the authority, renews it if it is time, and publishes what to trust.
   * @throws Error if the chart's objects are missing; ApiError, `Conflict` among them, if another operator was faster
   */
  async refresh(call: Call = {}): Promise<Signer> {
    const { api, clock, namespace, secret, publish } = this.#parts;
    const stored = await this.#get(call);
    const before = parse(stored.data);
    const now = planAuthority(before, clock.now(), (at) => makeIssuer(at, secret));
    if (now !== before) {
      const { resourceVersion } = stored.metadata;
      const patch = { metadata: { resourceVersion }, data: format(now, stored.data) };
      await api.merge(secrets, namespace, secret, patch, call);
    }
    await publish(trusted(now), call);
    return signerOf(now.current);
  }

  async #get(call: Call): Promise<KeyValues> {
    const { api, namespace, secret } = this.#parts;
    try {
      return await api.get(secrets, namespace, secret, call);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw new Error(
        `Secret ${namespace}/${secret} is missing: there is no authority. Install the chart again.`,
        { cause: error },
      );
    }
  }
}

const fields = ['tls.crt', 'tls.key', 'next.crt', 'next.key', 'previous.crt'] as const;

/** Undefined for a Secret that contains nothing yet. */
function parse(data: Record<string, string>): Authority | undefined {
  const [certificate, key, nextCertificate, nextKey, previous] = fields.map((field) => {
    const value = data[field];
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString();
  });
  if (certificate === undefined || key === undefined) return undefined;
  const next =
    nextCertificate === undefined || nextKey === undefined
      ? undefined
      : { certificate: nextCertificate, key: nextKey };
  return { current: { certificate, key }, next, previous };
}

/** As a merge patch: null removes a field. */
function format(
  { current, next, previous }: Authority,
  before: Record<string, string>,
): Record<string, string | null> {
  const values = [current.certificate, current.key, next?.certificate, next?.key, previous];
  const entries = fields.map((field, index): [string, string | null] => {
    const value = values[index];
    return [field, value === undefined ? null : Buffer.from(value).toString('base64')];
  });
  return Object.fromEntries(entries.filter(([field, value]) => value !== null || field in before));
}
