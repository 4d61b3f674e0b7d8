// SPDX-License-Identifier: Apache-2.0
// Images as a stream, and back to files: any names and sizes, altered, cut, entries that lead elsewhere.
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import fc from 'fast-check';
import tar from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { gathered, manifestHeader, TestDirectories } from '../../testing/images.ts';
import {
  digestOf,
  formatManifest,
  MANIFEST_NAME,
  RDMA_CM_VERSION,
  type Manifest,
  type ManifestHeader,
} from './manifest.ts';
import { PlainFiles } from './image-files.ts';
import { packImages, unpackImages } from './image-stream.ts';

type Head = Partial<tar.Header> & Pick<tar.Header, 'name'>;

const directories = new TestDirectories();

async function packed(dir: string, of: ManifestHeader | Manifest): Promise<Buffer> {
  const { sink, bytes } = gathered();
  await packImages(new PlainFiles(dir), of, sink);
  return bytes();
}

describe('packing', () => {
  it('returns any set of files, byte for byte', async () => {
    const name = fc.stringMatching(/^[a-z0-9]{1,8}(\/[a-z0-9]{1,8})?\.img$/);
    const files = fc.dictionary(name, fc.uint8Array({ maxLength: 5000 }), { maxKeys: 6 });
    await fc.assert(
      fc.asyncProperty(files, async (content) => {
        const [from, to] = [await directories.fresh(), await directories.fresh()];
        for (const [path, bytes] of Object.entries(content)) {
          await mkdir(dirname(join(from, path)), { recursive: true });
          await writeFile(join(from, path), bytes);
        }
        const manifest = await unpackImages(
          Readable.from([await packed(from, manifestHeader('x'))]),
          to,
        );
        expect(manifest.files.map((file) => file.path).sort()).toEqual(Object.keys(content).sort());
        for (const [path, bytes] of Object.entries(content)) {
          expect(Buffer.compare(await readFile(join(to, path)), bytes)).toBe(0);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('tells the manifest’s digest before the images are whole', async () => {
    const { sink, bytes } = gathered();
    const text = (): string => bytes().toString('latin1');
    let reported = '';
    const manifest = await packImages(
      new PlainFiles(await directories.sample()),
      manifestHeader('x'),
      sink,
      async (digest) => {
        expect([text().includes('rootfs.tar'), text().includes(MANIFEST_NAME)]).toEqual([
          true,
          false,
        ]);
        reported = digest;
      },
    );
    expect(reported).toBe(digestOf(formatManifest(manifest)));
    expect(text().includes(MANIFEST_NAME)).toBe(true);
  });

  it('frees a request’s buffers at once, and none of which it still needs a part', async () => {
    const [from, to] = [await directories.fresh(), await directories.fresh()];
    const sizes = { 'a.img': 50_000, 'b.img': 3_000_000, 'c.img': 60_000, 'd.img': 700_001 };
    for (const [name, size] of Object.entries(sizes)) {
      await writeFile(join(from, name), randomBytes(size));
    }
    const bytes = await packed(from, manifestHeader('x'));
    const chunks: Buffer[] = [];
    const received = Promise.withResolvers<Manifest>();
    const server = createServer((request, response) => {
      const push = request.push.bind(request);
      request.push = (chunk: Buffer | null) => {
        if (chunk) chunks.push(chunk);
        return push(chunk);
      };
      unpackImages(request, to).then(received.resolve, received.reject);
      void received.promise.then(() => response.end());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    const { port } = server.address() as AddressInfo;
    const sending = request({ host: '127.0.0.1', port, method: 'PUT' });
    sending.on('error', () => undefined);
    try {
      sending.end(bytes);
      const { files } = await received.promise;
      expect(files.map(({ path }) => path)).toEqual(Object.keys(sizes));
    } finally {
      sending.destroy();
      server.close();
    }
    for (const name of Object.keys(sizes)) {
      expect(Buffer.compare(await readFile(join(to, name)), await readFile(join(from, name)))).toBe(
        0,
      );
    }
    const left = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    expect(chunks.length).toBeGreaterThan(20);
    expect(left).toBeLessThan(bytes.length / 5);
  });

  it('refuses any single altered byte and any cut', async () => {
    const whole = await packed(await directories.sample(), manifestHeader('x'));
    const outcome = async (bytes: Buffer): Promise<string> => {
      try {
        await unpackImages(Readable.from([bytes]), await directories.fresh());
        return 'accepted';
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(await outcome(whole)).toBe('accepted');
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 300_000 }), async (at) => {
        // Past the first header, inside the pages: only the digest shows it.
        const bytes = Buffer.from(whole);
        const where = 4 * 512 + (at % 290_000);
        bytes[where] = (bytes[where] ?? 0) ^ 1;
        expect(await outcome(bytes)).toBe('ImageCorrupt');
      }),
      { numRuns: 20 },
    );
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: whole.length - 1100 }), async (length) => {
        expect(await outcome(whole.subarray(0, length))).toBe('ImageTruncated');
      }),
      { numRuns: 20 },
    );
  });

  it('refuses entries that would leave the directory, links, doubles and what follows the manifest', async () => {
    const build = async (entries: [Head, string][]) => {
      const pack = tar.pack();
      for (const [head, text] of entries) pack.entry(head, text);
      pack.finalize();
      return unpackImages(pack.pipe(new PassThrough()), await directories.fresh());
    };
    const manifest: [Head, string] = [
      { name: MANIFEST_NAME },
      formatManifest({ ...manifestHeader('x'), files: [] }),
    ];
    await expect(build([[{ name: '../evil' }, 'x'], manifest])).rejects.toMatchObject({
      code: 'ImageCorrupt',
    });
    await expect(
      build([[{ name: 'a', type: 'symlink', linkname: '/etc' }, ''], manifest]),
    ).rejects.toMatchObject({ code: 'ImageCorrupt' });
    await expect(build([[{ name: 'a' }, 'x'], manifest])).rejects.toMatchObject({
      code: 'ImageCorrupt',
      message: 'Image a is not in the manifest.',
    });
    await expect(build([manifest, [{ name: 'a' }, 'x']])).rejects.toMatchObject({
      code: 'ImageCorrupt',
    });
    const other: [Head, string] = [
      { name: MANIFEST_NAME },
      JSON.stringify({ version: RDMA_CM_VERSION + 1 }),
    ];
    await expect(build([other])).rejects.toMatchObject({ code: 'ImageVersion' });
  });
});

it('gives a manifest one text, whatever order its fields were read in', () => {
  const content: Manifest = { ...manifestHeader('x'), files: [] };
  const reversed = Object.fromEntries(Object.entries(content).reverse()) as unknown as Manifest;
  expect(Object.keys(reversed)).not.toEqual(Object.keys(content));
  expect(formatManifest(reversed)).toBe(formatManifest(content));
});
