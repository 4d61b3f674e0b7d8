// SPDX-License-Identifier: Apache-2.0
// The agents' certificates. They are read anew for each use, so that a rotated Secret needs no restart.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Name that every agent's certificate carries, and that both sides insist on. */
export const SERVER_NAME = 'sealift-agent';

export interface Certificates {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

/** Reads ca.crt, tls.crt and tls.key, as a Secret of type kubernetes.io/tls is mounted. */
export async function readCertificates(dir: string): Promise<Certificates> {
  const [ca, cert, key] = await Promise.all(
    ['ca.crt', 'tls.crt', 'tls.key'].map((name) => readFile(join(dir, name))),
  );
  if (!ca || !cert || !key) throw new Error('unreachable: Promise.all keeps its length');
  return { ca, cert, key };
}
