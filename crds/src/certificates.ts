// SPDX-License-Identifier: Apache-2.0
// What operator and agents agree on about the agents' certificates (docs/adr/0015).

/** The DNS name in the certificate of a node's agent, and its only name. The domain is Sealift's, whatever the node is called. */
export const agentDnsName = (node: string): string => `${node}.agents.sealift.dev`;

export const agentCertificate = {
  /** Of the CertificateSigningRequests that the operator signs. */
  signerName: 'sealift.dev/agent',
  usages: ['digital signature', 'client auth', 'server auth'],
  lifetimeMs: 24 * 3_600_000,
  /** ECDSA with SHA-256, the only one that operator and agents sign with (RFC 5758). */
  signatureAlgorithm: '1.2.840.10045.4.3.2',
  /** The agent renews when this share of the lifetime has passed. */
  renewAfter: 2 / 3,
} as const;

/** Both in the chart's namespace: the Secret with the authority's keys, the ConfigMap with the certificates to trust. */
export const agentAuthority = {
  secret: 'sealift-agent-ca',
  configMap: 'sealift-agent-ca',
  key: 'ca.crt',
} as const;

/** In a token's, and so in a CertificateSigningRequest's `extra`: the node that the API server has bound the token to. */
export const nodeClaim = 'authentication.kubernetes.io/node-name';
