// SPDX-License-Identifier: Apache-2.0
// The node's certificate as sender, receiver and probe answers use it (docs/adr/0015). Each use reads the files again, so
// that a new certificate needs no restart; open connections keep the old one.
import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../../support/errors.ts';

/** In PEM. */
export interface Certificates {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

/**
 * TLS 1.3 with the cheapest of its ciphers first: both ends are node agents, and encryption is a large part of a transfer's
 * processor time.
 */
export const CIPHERS = {
  minVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
} as const;

/** Names of the files in the directory. */
export const tlsFiles = { ca: 'ca.crt', cert: 'tls.crt', key: 'tls.key' } as const;

/**
 * Reads the three files of one certificate.
 * @param dir a link to the directory that has them: it changes at once
 * @throws AgentError CertificateMissing
 */
export async function readCertificates(dir: string): Promise<Certificates> {
  try {
    const directory = await realpath(dir);
    const read = (name: string): Promise<Buffer> => readFile(join(directory, name));
    const [ca, cert, key] = await Promise.all([
      read(tlsFiles.ca),
      read(tlsFiles.cert),
      read(tlsFiles.key),
    ]);
    return { ca, cert, key };
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new AgentError(
      'CertificateMissing',
      `The agent has no certificate (${message}). See the operator's log, and \`kubectl get csr\` for signer sealift.dev/agent.`,
      { cause },
    );
  }
}

/** Splits `host:port`, with an IPv6 host in brackets. Pure. @throws AgentError BadRequest */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-f:]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (!host || port < 1 || port > 65535) {
    throw new AgentError(
      'BadRequest',
      `${address} is not an agent's address. Check the node's annotation sealift.dev/agent-address.`,
    );
  }
  return { host, port };
}
