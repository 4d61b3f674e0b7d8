// SPDX-License-Identifier: Apache-2.0
// The agents' certificates, for sender and receiver. Each use reads the files again, so that a rotated Secret needs no
// restart.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../../support/errors.ts';

/** DNS name in every agent's certificate. Both sides check it. */
export const SERVER_NAME = 'sealift-agent';

/** In PEM. */
export interface Certificates {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

/**
 * Reads ca.crt, tls.crt and tls.key.
 * @param dir where a Secret of type kubernetes.io/tls is mounted
 * @throws AgentError CertificateMissing
 */
export async function readCertificates(dir: string): Promise<Certificates> {
  const read = async (name: string): Promise<Buffer> => {
    try {
      return await readFile(join(dir, name));
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new AgentError(
        'CertificateMissing',
        `The agent cannot read its certificate (${message}). Check the Secret with ca.crt, tls.crt and tls.key.`,
        { cause },
      );
    }
  };
  const [ca, cert, key] = [await read('ca.crt'), await read('tls.crt'), await read('tls.key')];
  return { ca, cert, key };
}
