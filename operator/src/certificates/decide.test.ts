// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { certificateSigningRequests } from '../../../kube/src/index.ts';
import { decideCertificate } from './decide.ts';

const account = 'system:serviceaccount:sealift:sealift-agent';
const hours = 3_600_000;

/** As openssl makes them. */
function request(options: string, script = 'cat'): string {
  const command = `openssl req -new ${options} -nodes -keyout /dev/null -subj /CN=other -addext subjectAltName=DNS:b.agents.sealift.dev 2>/dev/null | ${script}`;
  return execFileSync('sh', ['-c', command]).toString('base64');
}
const p256 = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha256';
const good = request(p256);

const asked = (spec: object = {}) =>
  certificateSigningRequests.parse({
    metadata: { name: 'x', namespace: '', uid: 'u', resourceVersion: '1' },
    spec: {
      request: good,
      signerName: 'sealift.dev/agent',
      username: account,
      extra: { 'authentication.kubernetes.io/node-name': ['a'] },
      usages: ['digital signature', 'client auth', 'server auth'],
      ...spec,
    },
  });

describe('a request for a certificate', () => {
  it('is granted for the node of the token, whatever else it names', () => {
    expect(decideCertificate(asked(), account)).toMatchObject({
      node: 'a',
      lifetimeMs: 24 * hours,
    });
    expect(decideCertificate(asked({ expirationSeconds: 3600 }), account)).toMatchObject({
      lifetimeMs: hours,
    });
    const long = { expirationSeconds: 999_999_999 };
    expect(decideCertificate(asked(long), account)).toMatchObject({ lifetimeMs: 24 * hours });
  });

  it.each([
    ['of another account', { username: 'system:serviceaccount:x:sealift-agent' }, /^Only system/],
    ['of a token without a node', { extra: {} }, /names no node/],
    [
      'of a token with two nodes',
      { extra: { 'authentication.kubernetes.io/node-name': ['a', 'b'] } },
      /names no node/,
    ],
    ['for signing others', { usages: ['cert sign'] }, /not for "cert sign"/],
    ['that is no request', { request: Buffer.from('hello').toString('base64') }, /not in PEM/],
    ['with a key of another kind', { request: request('-newkey rsa:2048') }, /curve P-256/],
    [
      'with a key of another curve',
      { request: request('-newkey ec -pkeyopt ec_paramgen_curve:P-384') },
      /curve P-256/,
    ],
    [
      'with another digest',
      { request: request(p256.replace('256 -sha256', '256 -sha512')) },
      /SHA-256/,
    ],
    ['that is cut', { request: request(p256, "sed '4d'") }, /cannot be used/],
    ['that was changed after it was signed', { request: changed() }, /not by its own key/],
  ])('is refused: %s', (_what, spec, text) => {
    expect(decideCertificate(asked(spec), account)).toMatchObject({
      refusal: expect.stringMatching(text) as string,
    });
  });
});

/** Signed, and then changed. */
function changed(): string {
  const text = Buffer.from(good, 'base64').toString();
  const body = Buffer.from(text.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64');
  body.write('Other', body.indexOf('other'));
  const lines = body.toString('base64').match(/.{1,64}/g) ?? [];
  const [begin, end] = ['BEGIN', 'END'].map((word) => `-----${word} CERTIFICATE REQUEST-----`);
  return Buffer.from([begin, ...lines, end, ''].join('\n')).toString('base64');
}
