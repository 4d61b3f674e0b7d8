// SPDX-License-Identifier: Apache-2.0
// For tests: certificates as the chart makes them, of any CA and for any name.
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runHere } from '../node/host/host.ts';

/** @returns the directory with ca.crt, tls.crt and tls.key; the CA is made once per `dir`. */
export async function certificates(
  dir: string,
  names: { ca: string; san: string },
): Promise<string> {
  const out = join(dir, `${names.ca}-${names.san}`);
  await mkdir(out, { recursive: true });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const ca = join(dir, names.ca);
  await runHere('sh', [
    '-c',
    `test -f ${ca}.crt || openssl req -x509 ${key.join(' ')} -keyout ${ca}.key -out ${ca}.crt -days 2 -subj /CN=${names.ca}`,
  ]);
  await runHere('openssl', [
    'req',
    ...key,
    '-keyout',
    `${out}/tls.key`,
    '-out',
    `${out}/csr`,
    '-subj',
    '/CN=agent',
  ]);
  await writeFile(`${out}/ext`, `subjectAltName=DNS:${names.san}`);
  await runHere('openssl', [
    'x509',
    '-req',
    '-in',
    `${out}/csr`,
    '-CA',
    `${ca}.crt`,
    '-CAkey',
    `${ca}.key`,
    '-CAcreateserial',
    '-days',
    '2',
    '-out',
    `${out}/tls.crt`,
    '-extfile',
    `${out}/ext`,
  ]);
  await cp(`${ca}.crt`, `${out}/ca.crt`);
  return out;
}
