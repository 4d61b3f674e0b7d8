// SPDX-License-Identifier: Apache-2.0
// An agent's certificate through its life. The test signs as the operator does, with openssl, which also verifies.
import { execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { lstat, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { certificateSigningRequests, configMaps } from '../../../../kube/src/index.ts';
import { clockAt } from '../../../../kube/testing/clock.ts';
import { MemoryApi } from '../../testing/api.ts';
import { readCertificates } from '../transfer/tls.ts';
import { AgentCertificate } from './agent-certificate.ts';

const HOUR = 3_600_000;
let dir: string;
let api: MemoryApi;
let now: number;
let made: string[];
let agent: AgentCertificate;

const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });

/** Makes an authority and publishes that it is to be trusted. */
function authority(name: string): string {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.crt`,
    '-subj',
    `/CN=${name}`,
  );
  return execFileSync('cat', [join(dir, `${name}.crt`)]).toString();
}
const publish = (ca: string | undefined): void =>
  api.put(configMaps, {
    metadata: { name: 'sealift-agent-ca', namespace: 'sealift', uid: 'c', resourceVersion: '' },
    ...(ca !== undefined && { data: { 'ca.crt': ca } }),
  });

/** Answers the newest request. */
async function answer(status: object): Promise<void> {
  const name = made.at(-1) ?? '';
  const request = await api.get(certificateSigningRequests, '', name);
  api.put(certificateSigningRequests, { ...request, status });
}

async function sign(ca: string, node = 'node-a'): Promise<void> {
  const { spec } = await api.get(certificateSigningRequests, '', made.at(-1) ?? '');
  expect(spec).toMatchObject({
    signerName: 'sealift.dev/agent',
    usages: ['digital signature', 'client auth', 'server auth'],
    expirationSeconds: 86_400,
  });
  await writeFile(join(dir, 'csr'), Buffer.from(spec.request, 'base64'));
  openssl('req', '-in', 'csr', '-verify', '-noout');
  await writeFile(join(dir, 'ext'), `subjectAltName=DNS:${node}.agents.sealift.dev`);
  openssl(
    ...['x509', '-req', '-in', 'csr', '-CA', `${ca}.crt`, '-CAkey', `${ca}.key`, '-CAcreateserial'],
    ...['-days', '1', '-out', 'cert', '-extfile', 'ext'],
  );
  await answer({ certificate: (await readFile(join(dir, 'cert'))).toString('base64') });
}

const start = (): AgentCertificate =>
  new AgentCertificate({
    api: {
      get: api.get.bind(api),
      // The API server makes the name and fills in who asks.
      create: async (resource, namespace, body) => {
        const name = `csr-${made.length}`;
        made.push(name);
        const metadata = { name, namespace: '', uid: name, resourceVersion: '' };
        api.put(resource, { ...body, metadata });
        return api.getRaw(resource, namespace, name);
      },
    },
    clock: clockAt(() => now),
    log: pino({ level: 'silent' }),
    ...{ nodeName: 'node-a', namespace: 'sealift', dir: join(dir, 'tls') },
  });

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-agent-cert-'));
  api = new MemoryApi();
  now = Date.now();
  made = [];
  agent = start();
});
afterEach(() => rm(dir, { recursive: true }));

/** Has a certificate of the authority `ca1`. */
async function begin(): Promise<void> {
  publish(authority('ca1'));
  expect(await agent.look()).toBe(false);
  await sign('ca1');
  expect(await agent.look()).toBe(true);
}
const current = () => readCertificates(join(dir, 'tls'));

describe('the certificate of a node’s agent', () => {
  it('is asked for once, and readable by nobody else', async () => {
    publish(authority('ca1'));
    expect(agent.problem()).toMatch(/has not looked/);
    for (let n = 0; n < 3; n++) expect(await agent.look()).toBe(false);
    expect(agent.problem()).toMatch(/has not signed/);
    expect(made).toEqual(['csr-0']);
    await sign('ca1');
    expect(await agent.look()).toBe(true);
    expect(agent.problem()).toBeUndefined();
    const { cert, key } = await current();
    expect(new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))).toBe(true);
    const modes = await Promise.all(
      ['tls/', 'tls/tls.key'].map(async (path) => (await stat(join(dir, path))).mode & 0o777),
    );
    expect(modes).toEqual([0o700, 0o600]);
  });

  it('outlives the agent, and is renewed when a third of its life is left', async () => {
    await begin();
    const { cert } = await current();
    agent = start();
    now += 15 * HOUR;
    expect(await agent.look()).toBe(true);
    expect(made.length).toBe(1);
    now += 2 * HOUR;
    expect(await agent.look()).toBe(false);
    expect([made.length, agent.problem()], 'the old one still counts').toEqual([2, undefined]);
    expect((await current()).cert).toEqual(cert);
    await sign('ca1');
    expect(await agent.look()).toBe(true);
    expect((await current()).cert).not.toEqual(cert);
    const isLink = (await lstat(join(dir, 'tls'))).isSymbolicLink();
    const directories = (await readdir(dir)).filter((name) => name.startsWith('tls.'));
    expect([isLink, directories.length], 'whoever reads the old one may finish').toEqual([true, 2]);
  });

  it('is not a node’s whose name differs, nor of an authority that nobody trusts any more', async () => {
    await begin();
    const next = authority('ca2');
    publish(`${next}${(await current()).ca.toString()}`);
    expect(await agent.look(), 'a new authority is announced').toBe(true);
    expect((await current()).ca.toString()).toContain(next);
    publish(next);
    expect(await agent.look()).toBe(false);
    await sign('ca2', 'node-b');
    expect(await agent.look()).toBe(true);
    expect(await agent.look(), 'signed for another node').toBe(false);
  });

  it('is missing for a reason that is named', async () => {
    await expect(agent.look()).rejects.toMatchObject({ code: 'NotFound' });
    publish(undefined);
    await expect(agent.look()).rejects.toThrow(/names no certificate to trust/);
    publish(authority('ca1'));
    await agent.look();
    await answer({ conditions: [{ type: 'Denied', message: 'no node in the token' }] });
    await expect(agent.look()).rejects.toThrow(/csr-0 of node node-a: no node in the token/);
    // It asks again.
    expect(await agent.look()).toBe(false);
    expect(made).toEqual(['csr-0', 'csr-1']);
    api.remove(certificateSigningRequests, '', 'csr-1');
    await expect(agent.look(), 'nobody answered').rejects.toMatchObject({ code: 'NotFound' });
    expect(await agent.look()).toBe(false);
    expect(made.length).toBe(3);
  });
});
