// SPDX-License-Identifier: Apache-2.0
// The certificate of this node's agent: asks the operator for one, and for another before it ends (docs/adr/0015). Key and
// certificate are in a directory that does not outlive a boot.
import { createPublicKey, createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { agentAuthority, agentCertificate, agentDnsName } from '../../../../crds/src/index.ts';
import {
  certificateSigningRequests,
  configMaps,
  isNotFound,
  type Api,
  type Clock,
  type Logger,
} from '../../../../kube/src/index.ts';
import { reasonOf } from '../../support/errors.ts';
import { readCertificates, tlsFiles, type Certificates } from '../transfer/tls.ts';
import { makeSigningRequest } from './signing-request.ts';

/** How often the agent looks at its certificate and at what to trust. */
const LOOK_MS = 600_000;
/** Without a certificate that peers accept; and with one, while the next one is not signed. */
const RETRY_MS = 5_000;
const RENEW_RETRY_MS = 60_000;

export interface AgentCertificateParts {
  readonly api: Pick<Api, 'get' | 'create'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly nodeName: string;
  /** The chart's. */
  readonly namespace: string;
  /** A link, which the agent makes, to the directory with the files; directories beside it have names that begin with its own. */
  readonly dir: string;
}

/** A request that is not answered yet. */
interface Pending {
  readonly name: string;
  readonly key: string;
}

export class AgentCertificate {
  readonly #parts: AgentCertificateParts;
  #pending: Pending | undefined;
  #problem: string | undefined = 'The agent has not looked for its certificate yet.';

  constructor(parts: AgentCertificateParts) {
    this.#parts = parts;
  }

  /** Why there is no certificate that peers accept; undefined if there is one. */
  readonly problem = (): string | undefined => this.#problem;

  /** Keeps the certificate until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    while (!signal.aborted) {
      let isDone = false;
      try {
        isDone = await this.look(signal);
      } catch (error) {
        const { message } = reasonOf(error);
        if (this.#problem !== undefined) this.#problem = message;
        if (!signal.aborted) log.warn({ message }, 'no certificate from the operator');
      }
      const retryMs = this.#problem === undefined ? RENEW_RETRY_MS : RETRY_MS;
      await clock.sleep(isDone ? LOOK_MS : retryMs, signal);
    }
  }

  /**
   * Looks once at the certificate, asks for one if it is time, and takes what the operator has answered.
   * @returns whether nothing is left to do for now
   * @throws Error that says why there is no certificate
   */
  async look(signal?: AbortSignal): Promise<boolean> {
    const { dir } = this.#parts;
    const ca = await this.#trusted(signal);
    const current = await readCertificates(dir).catch(() => undefined);
    const state = current ? this.#stateOf(current, ca) : 'unfit';
    this.#problem =
      state === 'unfit'
        ? 'The operator has not signed a certificate for this node yet.'
        : undefined;
    if (state === 'fit') {
      if (current && !current.ca.equals(Buffer.from(ca))) await this.#write({ ...current, ca });
      return true;
    }
    const issued = await this.#ask(signal);
    if (!issued) return false;
    await this.#write({ ca, ...issued });
    this.#problem = undefined;
    this.#parts.log.info({ node: this.#parts.nodeName }, 'the operator has signed a certificate');
    return true;
  }

  /** @returns `old`: peers accept it, and it is time for another one */
  #stateOf({ cert, key }: Certificates, ca: string): 'fit' | 'old' | 'unfit' {
    const certificate = new X509Certificate(cert);
    const now = this.#parts.clock.now();
    const ends = Date.parse(certificate.validTo);
    const isTrusted = splitPem(ca).some((one) =>
      certificate.verify(new X509Certificate(one).publicKey),
    );
    const isOurs = certificate.checkHost(agentDnsName(this.#parts.nodeName)) !== undefined;
    const hasKey = createPublicKey(createPrivateKey(key)).equals(certificate.publicKey);
    if (!isTrusted || !isOurs || !hasKey || ends <= now) return 'unfit';
    const leftMs = agentCertificate.lifetimeMs * (1 - agentCertificate.renewAfter);
    return ends - now < leftMs ? 'old' : 'fit';
  }

  async #trusted(signal: AbortSignal | undefined): Promise<string> {
    const { api, namespace } = this.#parts;
    const { configMap, key } = agentAuthority;
    const published = (await api.get(configMaps, namespace, configMap, { signal })).data[key];
    if (published) return published;
    throw new Error(
      `ConfigMap ${namespace}/${configMap} names no certificate to trust: the operator has not run yet.`,
    );
  }

  /** @returns the certificate with its key, once the operator has signed; undefined until then */
  async #ask(signal: AbortSignal | undefined): Promise<{ cert: string; key: string } | undefined> {
    const { api, nodeName } = this.#parts;
    this.#pending ??= await this.#create(signal);
    const { name, key } = this.#pending;
    const { status } = await api
      .get(certificateSigningRequests, '', name, { signal })
      .catch((error: unknown) => {
        // Kubernetes removes requests that nobody has answered.
        if (isNotFound(error)) this.#pending = undefined;
        throw error;
      });
    const refusal = status.conditions.find(({ type }) => type === 'Denied' || type === 'Failed');
    if (refusal) {
      this.#pending = undefined;
      throw new Error(
        `The operator has refused CertificateSigningRequest ${name} of node ${nodeName}: ${refusal.message ?? refusal.type}`,
      );
    }
    if (!status.certificate) return undefined;
    this.#pending = undefined;
    return { cert: Buffer.from(status.certificate, 'base64').toString(), key };
  }

  async #create(signal: AbortSignal | undefined): Promise<Pending> {
    const { api, nodeName } = this.#parts;
    const { key, request } = makeSigningRequest();
    const created = await api.create(
      certificateSigningRequests,
      '',
      {
        metadata: { generateName: `sealift-agent-${nodeName.slice(0, 180)}-` },
        spec: {
          request: Buffer.from(request).toString('base64'),
          signerName: agentCertificate.signerName,
          usages: agentCertificate.usages,
          expirationSeconds: agentCertificate.lifetimeMs / 1000,
        },
      },
      { signal },
    );
    return { name: certificateSigningRequests.parse(created).metadata.name, key };
  }

  /** A new directory takes the place of the old one at once, which stays for whoever is reading it. */
  async #write(files: Record<keyof Certificates, Buffer | string>): Promise<void> {
    const { dir, clock } = this.#parts;
    const directory = `${dir}.${clock.now()}`;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const [part, name] of Object.entries(tlsFiles) as [keyof Certificates, string][]) {
      await writeFile(join(directory, name), files[part], { mode: 0o600 });
    }
    const link = `${directory}.link`;
    await rm(link, { force: true });
    await symlink(basename(directory), link);
    await rename(link, dir);
    const others = (await readdir(dirname(dir)))
      .filter((name) => name.startsWith(`${basename(dir)}.`) && name !== basename(directory))
      .sort();
    for (const name of others.slice(0, -1)) {
      await rm(join(dirname(dir), name), { recursive: true, force: true });
    }
  }
}

const splitPem = (text: string): string[] =>
  text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
