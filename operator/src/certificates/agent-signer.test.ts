// SPDX-License-Identifier: Apache-2.0
// The agents' certificates from a real API server, with the objects and the rights that the chart grants.
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  certificateSigningRequests,
  configMaps,
  realClock,
  secrets,
  silent,
  type CertificateSigningRequest,
} from '../../../kube/src/index.ts';
import { binaries, startApiServer, type TestServer } from '../../../kube/testing/api-server.ts';
import { render } from '../../../kube/testing/chart.ts';
import { Impersonation, type Identity } from '../../../kube/testing/impersonation.ts';
import { AgentSigner } from './agent-signer.ts';

const found = binaries();
const account = 'system:serviceaccount:sealift:sealift-agent';
const agentOf = (node: string): Identity => ({ user: account, node });
const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const HOUR = 3_600_000;

/** In base64, as openssl makes it: in the name of another node. */
const request = (): string =>
  execFileSync('sh', [
    '-c',
    'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj /CN=x ' +
      '-addext subjectAltName=DNS:b.agents.sealift.dev 2>/dev/null',
  ]).toString('base64');

describe.skipIf(found.missing !== undefined)(
  'the agents’ certificates',
  { timeout: 60_000 },
  () => {
    let server: TestServer;
    let others: Impersonation;
    let stop = new AbortController();
    let running: Promise<unknown> = Promise.resolve();
    let hasChart = true;

    function startSigner(): void {
      stop = new AbortController();
      const signer = new AgentSigner({
        ...{ api: server.connect('sealift:sealift-operator'), log: silent, clock: realClock },
        ...{ namespace: 'sealift', account },
      });
      running = Promise.all([signer.informer.run(stop.signal), signer.run(stop.signal)]);
    }
    async function stopSigner(): Promise<void> {
      stop.abort();
      await running;
    }
    const get = (name: string): Promise<CertificateSigningRequest> =>
      server.client.get(certificateSigningRequests, '', name);
    const body = (name: string, spec: object = {}): object => ({
      ...{
        apiVersion: 'certificates.k8s.io/v1',
        kind: 'CertificateSigningRequest',
        metadata: { name },
      },
      spec: {
        request: request(),
        signerName: 'sealift.dev/agent',
        usages: ['digital signature', 'client auth', 'server auth'],
        expirationSeconds: 86_400,
        ...spec,
      },
    });
    const ask = async (who: Identity, name: string, spec: object = {}): Promise<void> =>
      expect(await others.write(who, 'POST', path, body(name, spec)), name).toBe('written');
    const conditions = async (name: string) => {
      const { status } = await get(name);
      return status.conditions.map(({ type, message }) => `${type}: ${message ?? ''}`).join('\n');
    };
    const signed = async (name: string): Promise<X509Certificate> => {
      const certificate = async () => (await get(name)).status.certificate ?? '';
      await expect.poll(certificate, { timeout: 30_000, interval: 200 }).not.toBe('');
      return new X509Certificate(Buffer.from(await certificate(), 'base64'));
    };
    const trusted = async (): Promise<string> =>
      (await server.client.get(configMaps, 'sealift', 'sealift-agent-ca')).data['ca.crt'] ?? '';

    beforeAll(async () => {
      server = await startApiServer();
      others = new Impersonation(server);
      await server.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'sealift' } });
      for (const template of ['rbac.yaml', 'tls.yaml']) {
        const manifests = render(server, template);
        hasChart &&= manifests !== undefined;
        for (const one of manifests ?? []) await server.create(one);
      }
      startSigner();
    }, 180_000);
    afterAll(async () => {
      await stopSigner();
      await others?.close();
      await server?.stop();
    });

    it('are for the node of the token, for a day, and by an authority that everybody knows', async ({
      skip,
    }) => {
      if (!hasChart) return skip('no helm beside the API server');
      await ask(agentOf('a'), 'one');
      const certificate = await signed('one');
      expect(certificate.subjectAltName).toBe('DNS:a.agents.sealift.dev');
      const ca = new X509Certificate(await trusted());
      expect([certificate.checkIssued(ca), certificate.verify(ca.publicKey)]).toEqual([true, true]);
      const leftMs = Date.parse(certificate.validTo) - Date.now();
      expect(leftMs / HOUR).toBeGreaterThan(23);
      expect(leftMs / HOUR).toBeLessThanOrEqual(24);
      expect(await conditions('one')).toBe('Approved: The agent of node a.');
    });

    it('are by the same authority when the operator has been restarted', async ({ skip }) => {
      if (!hasChart) return skip('no helm beside the API server');
      await stopSigner();
      const before = await trusted();
      // Asked for while nobody answers.
      await ask(agentOf('c'), 'late');
      startSigner();
      expect((await signed('late')).verify(new X509Certificate(before).publicKey)).toBe(true);
      expect(await trusted()).toBe(before);
    });

    it('are for nobody else, nor without a node', async ({ skip }) => {
      if (!hasChart) return skip('no helm beside the API server');
      await ask({ user: 'somebody', node: 'a' }, 'foreign');
      await ask({ user: 'system:serviceaccount:other:sealift-agent', node: 'a' }, 'namesake');
      // With the agents' own rights.
      const agent = server.connect('sealift:sealift-agent');
      await agent.create(certificateSigningRequests, '', body('unbound'));
      await ask(agentOf('a'), 'authority', { usages: ['cert sign'] });
      for (const [name, text] of [
        ['foreign', /^Denied: Only system:serviceaccount:sealift/],
        ['namesake', /^Denied: Only/],
        ['unbound', /^Denied: The token of the agent names no node/],
        ['authority', /^Denied: .*not for "cert sign"/],
      ] as const) {
        await expect.poll(() => conditions(name), { timeout: 30_000 }).toMatch(text);
        expect((await get(name)).status.certificate ?? '').toBe('');
      }
      expect((await agent.get(certificateSigningRequests, '', 'one')).status.certificate).not.toBe(
        '',
      );
    });

    it('are not signed because somebody else has approved', async ({ skip }) => {
      if (!hasChart) return skip('no helm beside the API server');
      await stopSigner();
      await ask({ user: 'somebody' }, 'approved');
      const approved = {
        type: 'Approved',
        status: 'True',
        reason: 'x',
        message: 'by an administrator',
      };
      const patch = { status: { conditions: [approved] } };
      await server.client.merge(certificateSigningRequests, '', 'approved', patch, {
        subresource: 'approval',
      });
      startSigner();
      await expect.poll(() => conditions('approved'), { timeout: 30_000 }).toMatch(/Failed: Only/);
      expect((await get('approved')).status.certificate ?? '').toBe('');
    });

    it('do not let an agent read or change the authority', async ({ skip }) => {
      if (!hasChart) return skip('no helm beside the API server');
      const agent = server.connect('sealift:sealift-agent');
      const name = 'sealift-agent-ca';
      const refused = { code: 'Forbidden' };
      await expect(agent.get(secrets, 'sealift', name)).rejects.toMatchObject(refused);
      const patch = { data: { 'ca.crt': 'x' } };
      await expect(agent.merge(configMaps, 'sealift', name, patch)).rejects.toMatchObject(refused);
      expect((await agent.get(configMaps, 'sealift', name)).data['ca.crt']).toBe(await trusted());
      const status = { status: { certificate: 'eA==' } };
      await expect(
        agent.merge(certificateSigningRequests, '', 'unbound', status, { subresource: 'status' }),
      ).rejects.toMatchObject(refused);
    });
  },
);
