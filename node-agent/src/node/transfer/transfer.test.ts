// SPDX-License-Identifier: Apache-2.0
// Images over real TLS, on real sockets and files: whole, altered, cut, too big for the disk, wrong certificate.
import {
  appendFile,
  cp,
  readFile,
  readdir,
  rename,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { agentDnsName } from '../../../../crds/src/index.ts';
import { manifestHeader, TestDirectories } from '../../testing/images.ts';
import { KEY_2026, MountedKeys, randomKey } from '../../testing/image-keys.ts';
import { certificates } from '../../testing/certificates.ts';
import { reasonOf } from '../../support/errors.ts';
import { Receiver } from './receiver.ts';
import { PlainFiles } from './image-files.ts';
import { sendImages } from './sender.ts';
import { splitAddress } from './tls.ts';
import { WarmConnections } from './warm-connections.ts';
import { ImageStore } from './image-store.ts';

const directories = new TestDirectories();

describe('agent to agent', () => {
  const log = pino({ level: 'silent' });

  async function receiver(certificateDir: string, reloadMs?: number) {
    const root = await directories.fresh();
    const store = new ImageStore(root);
    const failures: unknown[] = [];
    const server = new Receiver({
      store,
      certificateDir,
      ...(reloadMs !== undefined && { reloadMs }),
      log,
      expected: (id) => (['one', 'copy'].includes(id) ? { imageId: 'one', node: 'a' } : undefined),
      received: () => undefined,
      failed: (_id, error) => failures.push(error),
    });
    const port = await server.listen(0, '127.0.0.1');
    return { root, store, server, failures, address: `127.0.0.1:${port}` };
  }

  it('lets an agent in, however many connections others hold open', async () => {
    const good = await certificates(directories.base, { ca: 'ca1', san: agentDnsName('a') });
    const to = await receiver(good);
    const port = Number(to.address.split(':')[1]);
    const idle: Socket[] = [];
    try {
      for (let n = 0; n < 200; n++) {
        const socket = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2' });
        socket.on('error', () => undefined);
        await once(socket, 'connect');
        idle.push(socket);
      }
      const sent = await sendImages({
        ...{ address: to.address, node: 'a', id: 'one', certificateDir: good },
        images: new PlainFiles(await directories.sample()),
        manifest: manifestHeader('one'),
      });
      expect((await to.store.manifest('one'))?.digest).toBe(sent.digest);
    } finally {
      for (const socket of idle) socket.destroy();
      await to.server.close();
    }
  });

  it('sends no faster than it may', async () => {
    const good = await certificates(directories.base, { ca: 'ca1', san: agentDnsName('a') });
    const to = await receiver(good);
    const dir = await directories.sample();
    await writeFile(join(dir, 'main', 'pages-2.img'), Buffer.alloc(600_000, 7));
    const send = (bytesPerSecond: number | undefined) =>
      sendImages({
        ...{ address: to.address, node: 'a', id: 'one', certificateDir: good, bytesPerSecond },
        ...{ images: new PlainFiles(dir), manifest: manifestHeader('one') },
      });
    try {
      const began = performance.now();
      const { manifest, digest } = await send(500_000);
      const bytes = manifest.files.reduce((sum, { size }) => sum + size, 0);
      expect(performance.now() - began).toBeGreaterThan((bytes * 1000) / 500_000 - 100);
      expect((await to.store.manifest('one'))?.digest).toBe(digest);
    } finally {
      await to.server.close();
    }
  });

  it('delivers over mutual TLS, and only images that are awaited', async () => {
    const good = await certificates(directories.base, { ca: 'ca1', san: agentDnsName('a') });
    const to = await receiver(good);
    const dir = await directories.sample();
    try {
      const sent = await sendImages({
        address: to.address,
        node: 'a',
        id: 'one',
        images: new PlainFiles(dir),
        manifest: manifestHeader('one'),
        certificateDir: good,
      });
      const stored = await to.store.manifest('one');
      expect(stored?.manifest.files).toEqual(sent.manifest.files);
      expect(stored?.digest).toBe(sent.digest);
      expect(await readFile(join(to.root, 'one', 'main', 'pages-1.img'))).toEqual(
        await readFile(join(dir, 'main', 'pages-1.img')),
      );
      // Sent again, they stay the files that they are; others take their place.
      const files = async () => (await stat(join(to.root, 'one', 'main', 'pages-1.img'))).ino;
      const first = await files();
      const one = {
        address: to.address,
        node: 'a',
        id: 'one',
        images: new PlainFiles(dir),
        certificateDir: good,
      };
      expect((await sendImages({ ...one, manifest: manifestHeader('one') })).digest).toBe(
        sent.digest,
      );
      expect(await files()).toBe(first);
      await sendImages({ ...one, manifest: { ...manifestHeader('one'), createdAt: 'later' } });
      expect(await files()).not.toBe(first);
      expect((await readdir(to.root)).sort()).toEqual(['one']);
      // A checkpoint's images, for a request that restores from it.
      const again = {
        address: to.address,
        node: 'a',
        id: 'copy',
        images: new PlainFiles(dir),
        certificateDir: good,
      };
      await sendImages({ ...again, manifest: manifestHeader('one') });
      expect((await to.store.manifest('copy'))?.manifest.id).toBe('one');
      await expect(sendImages({ ...again, manifest: manifestHeader('two') })).rejects.toMatchObject(
        {
          code: 'UnexpectedImages',
        },
      );
      await expect(
        sendImages({
          address: to.address,
          node: 'a',
          id: 'two',
          images: new PlainFiles(dir),
          manifest: manifestHeader('two'),
          certificateDir: good,
        }),
      ).rejects.toMatchObject({ code: 'UnexpectedImages' });
    } finally {
      await to.server.close();
    }
  });

  it('delivers over a connection that was opened before, and over a new one when that is gone', async () => {
    const good = await certificates(directories.base, { ca: 'ca1', san: agentDnsName('a') });
    const to = await receiver(good);
    const connections = new WarmConnections();
    const one = { address: to.address, node: 'a', certificateDir: good };
    const images = new PlainFiles(await directories.sample());
    const send = async (connection?: TLSSocket) =>
      sendImages({ ...one, id: 'one', images, manifest: manifestHeader('one'), connection });
    try {
      connections.prepare(one);
      connections.prepare(one);
      const connection = await connections.take(one);
      expect(connection?.authorized).toBe(true);
      // Nobody else gets it.
      expect(await connections.take(one)).toBeUndefined();
      const { port } = connection?.address() as { port: number };
      const { digest } = await send(connection);
      expect(digest).toBe((await to.store.manifest('one'))?.digest);
      expect(port).toBeGreaterThan(0);
      connections.prepare(one);
      const other = await connections.take(one);
      connections.prepare(one);
      await to.server.close();
      await expect.poll(() => connections.take(one)).toBeUndefined();
      other?.destroy();
    } finally {
      await to.server.close();
    }
  });

  it('does not wait for a connection that another agent never answers', async () => {
    const good = await certificates(directories.base, { ca: 'ca1', san: agentDnsName('a') });
    const accepted: Socket[] = [];
    const silent = createServer((socket) => accepted.push(socket)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    const connections = new WarmConnections();
    const one = { address: `127.0.0.1:${port}`, node: 'a', certificateDir: good };
    const begun = performance.now();
    connections.prepare(one);
    expect(await connections.take(one)).toBeUndefined();
    expect(performance.now() - begun).toBeLessThan(5000);
    for (const socket of accepted) socket.destroy();
    silent.close();
  });

  it('has no connection opened before to another node’s agent', async () => {
    const good = await certificates(directories.base, { ca: 'ca1', san: agentDnsName('a') });
    const to = await receiver(good);
    const connections = new WarmConnections();
    const wrong = { address: to.address, node: 'b', certificateDir: good };
    try {
      connections.prepare(wrong);
      expect(await connections.take(wrong)).toBeUndefined();
    } finally {
      await to.server.close();
    }
  });

  it('reports images that the source’s disk has damaged, and stores nothing', async () => {
    const good = await certificates(directories.base, { ca: 'ca1', san: agentDnsName('a') });
    const to = await receiver(good);
    const root = await directories.fresh();
    await cp(await directories.sample(), join(root, 'one'), { recursive: true });
    const store = new ImageStore(root);
    const manifest = await store.seal('one', manifestHeader('one'));
    const dir = store.dir('one');
    const { address } = to;
    const send = () =>
      sendImages({
        address,
        node: 'a',
        id: 'one',
        images: new PlainFiles(dir),
        manifest,
        certificateDir: good,
      });
    try {
      await appendFile(join(dir, 'rootfs.tar'), 'x');
      await expect(send()).rejects.toMatchObject({ code: 'ImageCorrupt' });
      await truncate(join(dir, 'rootfs.tar'), 10);
      await expect(send()).rejects.toMatchObject({ code: 'ImageTruncated' });
      expect(to.failures).toHaveLength(2);
      expect(await readdir(to.root)).toEqual([]);
    } finally {
      await to.server.close();
    }
  });

  it('delivers a checkpoint that is encrypted on the sender’s disk, and reports that the disk has damaged it', async () => {
    const good = await certificates(directories.base, { ca: 'ca1', san: agentDnsName('a') });
    const to = await receiver(good);
    const root = await directories.fresh();
    const whole = await directories.sample();
    await cp(whole, join(root, 'one'), { recursive: true });
    const mounted = new MountedKeys(await directories.fresh());
    await mounted.mount({ [KEY_2026]: randomKey() });
    const store = new ImageStore(root, { isOn: true, keys: mounted.keys });
    const manifest = await store.seal('one', manifestHeader('one'));
    const { address } = to;
    const send = async () =>
      sendImages({
        ...{ address, node: 'a', id: 'one', manifest, certificateDir: good },
        images: await store.files('one', manifest),
      });
    const encrypted = join(store.dir('one'), 'main', 'pages-1.img.enc');
    try {
      await send();
      const [sent, stored] = [whole, join(to.root, 'one')].map((dir) =>
        readFile(join(dir, 'main', 'pages-1.img')),
      );
      expect(await stored).toEqual(await sent);
      await to.store.remove('one');
      const bytes = await readFile(encrypted);
      bytes[200_000] = (bytes[200_000] ?? 0) ^ 1;
      await writeFile(encrypted, bytes);
      await expect(send()).rejects.toMatchObject({ code: 'ImageCorrupt' });
      await truncate(encrypted, 1000);
      await expect(send()).rejects.toMatchObject({ code: 'ImageTruncated' });
      await expect.poll(() => readdir(to.root)).toEqual([]);
    } finally {
      await to.server.close();
    }
  });

  it('refuses certificates of another CA, for another name, and none', async () => {
    const good = await certificates(directories.base, { ca: 'ca1', san: agentDnsName('a') });
    const foreign = await certificates(directories.base, { ca: 'ca2', san: agentDnsName('a') });
    const otherName = await certificates(directories.base, { ca: 'ca1', san: 'something-else' });
    const to = await receiver(good);
    const dir = await directories.sample();
    const attempt = (certificateDir: string) =>
      sendImages({
        address: to.address,
        node: 'a',
        id: 'one',
        images: new PlainFiles(dir),
        manifest: manifestHeader('one'),
        certificateDir,
      });
    try {
      await expect(attempt(foreign)).rejects.toMatchObject({ code: 'TransferFailed' });
      await expect(attempt(otherName)).rejects.toMatchObject({ code: 'BadRequest' });
      // The agent of another node, for images that are awaited from node a.
      const other = await certificates(directories.base, { ca: 'ca1', san: agentDnsName('b') });
      await expect(attempt(other)).rejects.toMatchObject({
        code: 'BadRequest',
        message: expect.stringMatching(
          /awaited from node a.*DNS:b\.agents\.sealift\.dev/,
        ) as string,
      });
      // Trusts the right CA, shows a certificate of the wrong one.
      const mixed = await directories.fresh();
      await cp(foreign, mixed, { recursive: true });
      await cp(join(good, 'ca.crt'), join(mixed, 'ca.crt'));
      await expect(attempt(mixed)).rejects.toMatchObject({ code: 'TransferFailed' });
      expect(await readdir(to.root)).toEqual([]);
    } finally {
      await to.server.close();
    }
    const impostor = await receiver(otherName);
    try {
      await expect(
        sendImages({
          address: impostor.address,
          node: 'a',
          id: 'one',
          images: new PlainFiles(dir),
          manifest: manifestHeader('one'),
          certificateDir: good,
        }),
      ).rejects.toMatchObject({ code: 'TransferFailed' });
    } finally {
      await impostor.server.close();
    }
  });

  it('does not send to the agent of another node than the request’s', async () => {
    const good = await certificates(directories.base, { ca: 'ca1', san: agentDnsName('a') });
    const to = await receiver(good);
    try {
      const dir = await directories.sample();
      const options = {
        address: to.address,
        id: 'one',
        images: new PlainFiles(dir),
        manifest: manifestHeader('one'),
      };
      await expect(
        sendImages({ ...options, node: 'b', certificateDir: good }),
      ).rejects.toMatchObject({ code: 'TransferFailed' });
      expect(await readdir(to.root)).toEqual([]);
    } finally {
      await to.server.close();
    }
  });

  it('goes on when certificate and authority are replaced, and then takes only the new ones', async () => {
    const [first, second] = await Promise.all(
      ['ca1', 'ca3'].map((ca) => certificates(directories.base, { ca, san: agentDnsName('a') })),
    );
    if (first === undefined || second === undefined) throw new Error('no certificates');
    const link = join(await directories.fresh(), 'tls');
    // Without a certificate, nobody is served.
    const to = await receiver(link, 20);
    const dir = await directories.sample();
    const attempt = (certificateDir: string, sealed?: () => Promise<void>) =>
      sendImages({
        ...{
          address: to.address,
          node: 'a',
          id: 'one',
          images: new PlainFiles(dir),
          manifest: manifestHeader('one'),
        },
        ...{ certificateDir, ...(sealed && { sealed }) },
      });
    const become = async (directory: string): Promise<void> => {
      await symlink(directory, `${link}.new`);
      await rename(`${link}.new`, link);
    };
    try {
      await expect(attempt(first)).rejects.toMatchObject({ code: 'TransferFailed' });
      await become(first);
      await expect
        .poll(() =>
          attempt(first).then(
            () => 'sent',
            () => 'refused',
          ),
        )
        .toBe('sent');
      // Everything but the manifest is on its way when the certificate changes.
      const sent = await attempt(first, async () => {
        await become(second);
        await expect
          .poll(() => attempt(second).catch((error: unknown) => reasonOf(error).code))
          .toBe('UnexpectedImages');
      });
      expect(sent.digest).toBe((await to.store.manifest('one'))?.digest);
      await expect(attempt(first)).rejects.toMatchObject({ code: 'TransferFailed' });
      expect((await attempt(second)).digest).toBe(sent.digest);
    } finally {
      await to.server.close();
    }
  });

  it('reads addresses', () => {
    expect(splitAddress('10.0.0.1:9443')).toEqual({ host: '10.0.0.1', port: 9443 });
    expect(splitAddress('[fd00::1]:9443')).toEqual({ host: 'fd00::1', port: 9443 });
    for (const bad of ['', '10.0.0.1', 'a:b', 'fd00::1:1', 'h:0', 'h:70000']) {
      expect(() => splitAddress(bad)).toThrow(/is not an agent's address/);
    }
  });
});
