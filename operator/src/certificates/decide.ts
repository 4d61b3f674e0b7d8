// SPDX-License-Identifier: Apache-2.0
// Who gets a certificate, and for which node. Pure.
import type { KeyObject } from 'node:crypto';
import { agentCertificate, nodeClaim } from '../../../crds/src/index.ts';
import { messageOf, type CertificateSigningRequest } from '../../../kube/src/index.ts';
import { requestedKey } from './x509.ts';

export type CertificateDecision =
  | { readonly node: string; readonly publicKey: KeyObject; readonly lifetimeMs: number }
  | { readonly refusal: string };

const MIN_LIFETIME_MS = 600_000;

/**
 * The node comes from the claim that the API server has read from the agent's token, and nothing but the key from what the
 * agent wrote.
 * @param account of the agents: `system:serviceaccount:<namespace>:<name>`
 */
export function decideCertificate(
  { spec }: CertificateSigningRequest,
  account: string,
): CertificateDecision {
  if (spec.username !== account) {
    return {
      refusal: `Only ${account} may have a certificate of ${agentCertificate.signerName}, and ${spec.username} has asked.`,
    };
  }
  const [node, ...others] = spec.extra[nodeClaim] ?? [];
  if (node === undefined || others.length > 0) {
    return {
      refusal: `The token of the agent names no node (${nodeClaim}): Kubernetes 1.30 and later put it there (feature gate ServiceAccountTokenPodNodeInfo).`,
    };
  }
  const usages: readonly string[] = agentCertificate.usages;
  const usage = spec.usages.find((one) => !usages.includes(one));
  if (usage !== undefined) return { refusal: `An agent's certificate is not for "${usage}".` };
  const askedMs = (spec.expirationSeconds ?? Infinity) * 1000;
  const lifetimeMs = Math.max(Math.min(askedMs, agentCertificate.lifetimeMs), MIN_LIFETIME_MS);
  try {
    const publicKey = requestedKey(Buffer.from(spec.request, 'base64').toString());
    return { node, publicKey, lifetimeMs };
  } catch (error) {
    return { refusal: `The certificate request cannot be used: ${messageOf(error)}.` };
  }
}
