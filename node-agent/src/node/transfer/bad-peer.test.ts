// SPDX-License-Identifier: Apache-2.0
// A peer with the right certificate that does the wrong thing: takes no bytes, does not answer, answers nonsense.
import { mkdtemp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { agentDnsName } from '../../../../crds/src/index.ts';
import { certificates } from '../../testing/certificates.ts';
import { MANIFEST_VERSION, type ManifestHeader } from './manifest.ts';
import { Receiver } from './receiver.ts';
import { PlainFiles } from './image-files.ts';
import { sendImages } from './sender.ts';
import { ImageStore } from './image-store.ts';
import { readCertificates } from './tls.ts';

const header: ManifestHeader = {
  ...{
    version: MANIFEST_VERSION,
    id: 'one',
    createdAt: '',
    versions: { sealift: '0', kernel: '6' },
  },
  ...{ containers: [{ name: 'main' }], volumes: [], objects: { qp: 0, cq: 0, mr: 0 } },
  identity: { qpns: [], lkeys: [], rkeys: [], gids: [], ips: [], macs: [] },
  bytes: { pages: 0, verbs: 0, rootfs: 0 },
};

const NAME = agentDnsName('a');
let base: string;
let good: string;
let server: https.Server | undefined;
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'sealift-peer-'));
  good = await certificates(base, { ca: 'ca', san: NAME });
  await mkdir(join(base, 'images', 'main'), { recursive: true });
  await writeFile(join(base, 'images', 'main', 'pages-1.img'), Buffer.alloc(32 << 20));
});
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});
afterAll(async () => {
  await rm(base, { recursive: true });
});

async function peer(serve: RequestListener): Promise<string> {
  const files = await readCertificates(good);
  const listening = https.createServer({ ...files, requestCert: true }, serve);
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(listening.address() as AddressInfo).port}`;
}
const send = async (serve: RequestListener) =>
  sendImages({
    ...{
      address: await peer(serve),
      node: 'a',
      id: 'one',
      images: new PlainFiles(join(base, 'images')),
      manifest: header,
    },
    ...{ certificateDir: good, idleMs: 500 },
  });

describe('certificates', () => {
  it('that are missing are named', async () => {
    await expect(readCertificates(join(base, 'nowhere'))).rejects.toMatchObject({
      code: 'CertificateMissing',
      message: expect.stringContaining('nowhere') as string,
    });
  });
});

describe('a receiver', () => {
  it.each([
    ['that takes no bytes', () => undefined],
    ['that takes them and does not answer', (request) => void request.resume()],
    [
      'that answers nonsense',
      (request, response) => void request.resume().on('end', () => response.end('hello')),
    ],
    [
      'that answers with a code that is not one',
      (request, response) => {
        const reply = { ok: false, code: 'a{label="x"}', message: '' };
        request.resume().on('end', () => response.end(JSON.stringify(reply)));
      },
    ],
    [
      'that has verified other images',
      (request, response) => {
        const reply = { ok: true, digest: `sha256:${'0'.repeat(64)}` };
        request.resume().on('end', () => response.end(JSON.stringify(reply)));
      },
    ],
    ['that hangs up', (request) => void request.socket.destroy()],
  ] as [string, RequestListener][])('%s fails the transfer', async (_what, serve) => {
    await expect(send(serve)).rejects.toMatchObject({ code: 'TransferFailed' });
  });
});

describe('a sender', () => {
  it('that asks for something else, or for a path, is refused and nothing is written', async () => {
    const root = join(base, 'store');
    await mkdir(root);
    const asked: string[] = [];
    const receiver = new Receiver({
      store: new ImageStore(root),
      certificateDir: good,
      log: pino({ level: 'silent' }),
      expected: (id) =>
        asked.push(id) > 0 && id === 'one' ? { imageId: id, node: 'a' } : undefined,
      received: () => undefined,
      failed: () => undefined,
    });
    const port = await receiver.listen(0, '127.0.0.1');
    const files = await readCertificates(good);
    const ask = (method: string, path: string, body = '') =>
      new Promise<string>((resolve, reject) => {
        const options = { ...files, host: '127.0.0.1', port, method, path, agent: false as const };
        const request = https.request({ ...options, servername: NAME }, (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
          response.on('end', () => resolve(text));
        });
        request.on('error', reject);
        request.end(body);
      });
    try {
      for (const [method, path, code] of [
        ['GET', '/v1/images/one', 'BadRequest'],
        ['PUT', '/v1/images/..%2f..%2fetc', 'BadRequest'],
        ['PUT', '/v1/images/', 'BadRequest'],
        ['PUT', '/', 'BadRequest'],
        ['PUT', '/v1/images/two', 'UnexpectedImages'],
        ['PUT', '/v1/images/..', 'UnexpectedImages'],
      ] as const) {
        expect(JSON.parse(await ask(method, path)), path).toMatchObject({ ok: false, code });
      }
      // No tar at all.
      const reply = JSON.parse(await ask('PUT', '/v1/images/one', 'x'.repeat(4096))) as object;
      expect(reply).toMatchObject({ ok: false, code: 'ImageCorrupt' });
      expect(await readdir(root)).toEqual([]);
    } finally {
      await receiver.close();
    }
  });
});
