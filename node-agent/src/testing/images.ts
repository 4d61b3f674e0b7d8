// SPDX-License-Identifier: Apache-2.0
// Images of a pod as files, and what their manifest says.
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { ByteSink } from '../node/transfer/image-stream.ts';
import { MANIFEST_VERSION, type ManifestHeader } from '../node/transfer/manifest.ts';

export const manifestHeader = (id: string): ManifestHeader => ({
  version: MANIFEST_VERSION,
  id,
  createdAt: '2026-01-01T00:00:00Z',
  versions: { sealift: '0.1.0', kernel: '6.12' },
  containers: [{ name: 'main' }],
  volumes: [],
  identity: { qpns: [17], lkeys: [], rkeys: [], gids: [], ips: [], macs: [] },
  bytes: { pages: 1, verbs: 2, rootfs: 3 },
  objects: { qp: 1, cq: 1, mr: 1 },
});

/** Writes images of one container into an empty directory. */
export async function writeImages(dir: string): Promise<void> {
  await mkdir(join(dir, 'main'));
  await writeFile(join(dir, 'main', 'pages-1.img'), randomBytes(300_000));
  await writeFile(join(dir, 'main', 'empty.img'), '');
  await writeFile(join(dir, 'rootfs.tar'), randomBytes(1000));
}

/** Directories that go when the file's tests have ended. */
export class TestDirectories {
  base = '';
  #count = 0;

  constructor() {
    beforeAll(async () => {
      this.base = await mkdtemp(join(tmpdir(), 'sealift-images-'));
    });
    afterAll(() => rm(this.base, { recursive: true, force: true }));
  }

  /** An empty one. */
  async fresh(): Promise<string> {
    const dir = join(this.base, String(this.#count++));
    await mkdir(dir);
    return dir;
  }

  /** One with images. */
  async sample(): Promise<string> {
    const dir = await this.fresh();
    await writeImages(dir);
    return dir;
  }
}

/** A sink that keeps what it gets. */
export function gathered(): { sink: ByteSink; bytes: () => Buffer } {
  const chunks: Buffer[] = [];
  return {
    sink: {
      write: async (bytes) => {
        chunks.push(Buffer.from(bytes));
        await Promise.resolve();
      },
    },
    bytes: () => Buffer.concat(chunks),
  };
}
