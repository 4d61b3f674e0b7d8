// SPDX-License-Identifier: Apache-2.0
// Approves and signs the agents' CertificateSigningRequests, and keeps the authority that signs them.
import { agentAuthority, agentCertificate, agentDnsName } from '../../../crds/src/index.ts';
import {
  certificateSigningRequests,
  configMaps,
  Controller,
  Informer,
  isNotFound,
  keepRefreshed,
  keyOf,
  type Api,
  type Call,
  type CertificateSigningRequest,
  type Clock,
  type Context,
  type Logger,
} from '../../../kube/src/index.ts';
import { AuthorityStore } from './authority.ts';
import { decideCertificate, type CertificateDecision } from './decide.ts';
import { signAgent, type Signer } from './x509.ts';

/** Clocks of nodes differ. */
const BACKDATED_MS = 3_600_000;

export interface AgentSignerParts {
  readonly api: Api;
  readonly log: Logger;
  readonly clock: Clock;
  /** The chart's. */
  readonly namespace: string;
  /** The agents' service account: `system:serviceaccount:<namespace>:<name>`. */
  readonly account: string;
}

export class AgentSigner {
  readonly #parts: AgentSignerParts;
  readonly #store: AuthorityStore;
  readonly informer: Informer<CertificateSigningRequest>;
  readonly #controller: Controller;

  constructor(parts: AgentSignerParts) {
    this.#parts = parts;
    const { secret } = agentAuthority;
    const publish = (certificates: string, call: Call): Promise<void> =>
      publishTrust(parts, certificates, call);
    this.#store = new AuthorityStore({ ...parts, secret, publish });
    const { api, log, clock } = parts;
    const selection = { fieldSelector: `spec.signerName=${agentCertificate.signerName}` };
    const resource = certificateSigningRequests;
    this.informer = new Informer({ api, resource, log, clock, selection });
    this.#controller = new Controller({
      name: 'agent-signer',
      reconcile: (key, context) => this.#reconcile(key, context),
      log,
      clock,
    });
    this.informer.listen((key) => this.#controller.enqueue(key));
  }

  /** Runs until the signal aborts; whoever calls runs the informer. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#parts;
    // The authority may have to be renewed, and somebody may have changed its objects.
    const refresh = (): Promise<unknown> => this.#store.refresh({ signal });
    const failed = "the agents' authority is not ready";
    await Promise.all([
      this.#controller.run(signal),
      keepRefreshed({ refresh, failed, log, clock }, signal),
    ]);
  }

  async #reconcile(key: string, { signal, log }: Context): Promise<void> {
    const request = this.informer.get(key);
    if (!request || isOver(request)) return;
    const decision = decideCertificate(request, this.#parts.account);
    if ('refusal' in decision) {
      log.warn({ request: keyOf(request), detail: decision.refusal }, 'certificate refused');
      await this.#refuse(request, decision.refusal, signal);
      return;
    }
    const signer = await this.#store.refresh({ signal });
    if (!has(request, 'Approved')) {
      await this.#conclude(
        request,
        'approval',
        'Approved',
        `The agent of node ${decision.node}.`,
        signal,
      );
    }
    const { api, clock } = this.#parts;
    const certificate = Buffer.from(issue(signer, decision, clock.now())).toString('base64');
    const patch = { status: { certificate } };
    await api.merge(certificateSigningRequests, '', request.metadata.name, patch, {
      subresource: 'status',
      signal,
    });
    log.info({ node: decision.node, request: keyOf(request) }, 'certificate signed');
  }

  /** One that somebody else has approved can't be denied any more. */
  #refuse(request: CertificateSigningRequest, message: string, signal: AbortSignal): Promise<void> {
    return has(request, 'Approved')
      ? this.#conclude(request, 'status', 'Failed', message, signal)
      : this.#conclude(request, 'approval', 'Denied', message, signal);
  }

  async #conclude(
    { metadata, status }: CertificateSigningRequest,
    subresource: 'approval' | 'status',
    type: 'Approved' | 'Denied' | 'Failed',
    message: string,
    signal: AbortSignal,
  ): Promise<void> {
    const condition = { type, status: 'True', reason: 'SealiftAgent', message };
    const patch = { status: { conditions: [...status.conditions, condition] } };
    const { api } = this.#parts;
    await api.merge(certificateSigningRequests, '', metadata.name, patch, { subresource, signal });
  }
}

/** Into the ConfigMap that the agents read. */
async function publishTrust(
  { api, namespace }: AgentSignerParts,
  certificates: string,
  call: Call,
): Promise<void> {
  const { configMap, key } = agentAuthority;
  try {
    const published = await api.get(configMaps, namespace, configMap, call);
    if (published.data[key] === certificates) return;
    await api.merge(configMaps, namespace, configMap, { data: { [key]: certificates } }, call);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    throw new Error(
      `ConfigMap ${namespace}/${configMap} is missing: agents get no certificates. Install the chart again.`,
      { cause: error },
    );
  }
}

const has = ({ status }: CertificateSigningRequest, type: string): boolean =>
  status.conditions.some((one) => one.type === type);

const isOver = (request: CertificateSigningRequest): boolean =>
  Boolean(request.status.certificate) || has(request, 'Denied') || has(request, 'Failed');

function issue(
  signer: Signer,
  { node, publicKey, lifetimeMs }: Exclude<CertificateDecision, { refusal: string }>,
  now: number,
): string {
  const lifetime = { from: now - BACKDATED_MS, to: now + lifetimeMs };
  return signAgent(signer, { publicKey, dnsName: agentDnsName(node) }, lifetime);
}
