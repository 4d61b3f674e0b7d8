// SPDX-License-Identifier: Apache-2.0
// The agents' certificates. They are read anew for each use, so that a rotated Secret needs no restart.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentError } from '../../support/errors.ts';

/** Name that every agent's certificate carries, and that both sides insist on. */
export const SERVER_NAME = 'sealift-agent';

export interface Certificates {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

/**
 * Reads ca.crt, tls.crt and tls.key, as a Secret of type kubernetes.io/tls is mounted.
 * @throws AgentError CertificateMissing
 */
export async function readCertificates(dir: string): Promise<Certificates> {
  const read = async (name: string): Promise<Buffer> => {
    try {
      return await readFile(join(dir, name));
    } catch (cause) {
      const said = cause instanceof Error ? cause.message : String(cause);
      throw new AgentError(
        'CertificateMissing',
        `the agents' certificate cannot be read (${said}): is the Secret with ca.crt, tls.crt and tls.key there?`,
        { cause },
      );
    }
  };
  const [ca, cert, key] = [await read('ca.crt'), await read('tls.crt'), await read('tls.key')];
  return { ca, cert, key };
}
