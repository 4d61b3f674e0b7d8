// SPDX-License-Identifier: Apache-2.0
// The authority through its life, and what its certificates are worth.
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { makeIssuer, planAuthority, signerOf, trusted, type Authority } from './authority.ts';
import { signAgent } from './x509.ts';

const DAY = 24 * 3_600_000;
const START = Date.UTC(2026, 0, 1);

describe('the authority', () => {
  it('is made once', () => {
    const first = planAuthority(undefined, START);
    expect(planAuthority(first, START + 200 * DAY)).toBe(first);
    expect(trusted(first)).toBe(first.current.certificate);
  });

  it('is replaced so that whoever has a certificate trusts the next one before it signs', () => {
    let authority: Authority = planAuthority(undefined, START);
    const first = authority.current;
    authority = planAuthority(authority, START + 244 * DAY);
    const { next } = authority;
    expect(authority.current).toEqual(first);
    expect(trusted(authority)).toBe(`${first.certificate}${next?.certificate}`);
    expect(planAuthority(authority, START + 245 * DAY - 1)).toBe(authority);
    authority = planAuthority(authority, START + 245 * DAY);
    expect(authority.current).toEqual(next);
    expect(trusted(authority)).toBe(`${next?.certificate}${first.certificate}`);
    expect(planAuthority(authority, START + 246 * DAY)).toBe(authority);
    // The last certificate of the first one is over.
    authority = planAuthority(authority, START + 246 * DAY + 1);
    expect(trusted(authority)).toBe(next?.certificate);
  });

  it('is made anew when nobody has renewed it in time', () => {
    const first = planAuthority(undefined, START);
    expect(planAuthority(first, START + 366 * DAY).current).not.toEqual(first.current);
  });

  it('signs what its own certificate, and no other, verifies', () => {
    const now = Date.now();
    const [one, other] = [makeIssuer(now), makeIssuer(now)];
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const wanted = { publicKey, dnsName: 'a.agents.sealift.dev' };
    const pem = signAgent(signerOf(one), wanted, { from: now - DAY, to: now + DAY });
    const certificate = new X509Certificate(pem);
    const [ca, stranger] = [one, other].map((of) => new X509Certificate(of.certificate));
    expect(ca && certificate.checkIssued(ca) && certificate.verify(ca.publicKey)).toBe(true);
    expect(stranger && certificate.verify(stranger.publicKey)).toBe(false);
    expect([certificate.ca, ca?.ca]).toEqual([false, true]);
    expect(certificate.subjectAltName).toBe('DNS:a.agents.sealift.dev');
    expect(certificate.publicKey.equals(publicKey)).toBe(true);
    expect(() => signerOf({ certificate: one.certificate, key: other.key })).toThrow(/is not its/);
  });
});
