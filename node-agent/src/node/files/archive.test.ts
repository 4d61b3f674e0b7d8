// SPDX-License-Identifier: Apache-2.0
// Writable layers through the host's tar.
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Host, type RunOptions } from '../host/host.ts';
import { applyLayer, packDir } from './archive.ts';

let dir: string;
let root: string;
const host = new Host({ root: '/' });
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-archive-'));
  root = join(dir, 'root');
  await mkdir(root);
});
afterEach(() => rm(dir, { recursive: true }));

/** A packed upper directory in which these files of the image are deleted, and one is new. */
async function layer(deleted: readonly string[]): Promise<string> {
  const pack = tar.pack();
  for (const name of deleted) {
    const header = { type: 'character-device', devmajor: 0, devminor: 0, mode: 0 } as const;
    pack.entry({ name, ...header });
  }
  pack.entry({ name: './new' }, 'new');
  pack.finalize();
  const file = join(dir, 'rootfs.tar');
  await pipeline(pack, createWriteStream(file));
  return file;
}

describe('a writable layer', () => {
  it('deletes files of whatever name', async () => {
    const names = ['plain', 'two\nlines', 'blank ', 'tab\t', 'ends\n', '-dash', '*', 'back\\slash'];
    for (const name of names) await writeFile(join(root, name), 'of the image');
    await writeFile(join(root, 'kept'), 'of the image');
    const file = await layer(names.map((name) => `./${name}`));
    await applyLayer(host, file, root, { what: 'x' });
    // No whiteout is left as a device either.
    expect((await readdir(root)).sort()).toEqual(['kept', 'new']);
  });

  it('is refused if a deleted file’s name cannot be read', async () => {
    const pack = join(dir, 'rootfs.tar');
    const stream = tar.pack();
    stream.entry({ name: './xy', type: 'character-device', devmajor: 0, devminor: 0 });
    stream.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    // The name's last byte, and with it the header's checksum (POSIX ustar, bytes 148 to 155).
    const before = bytes[3] ?? 0;
    bytes[3] = 0xff;
    const sum = parseInt(bytes.subarray(148, 154).toString(), 8) + 0xff - before;
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    await writeFile(pack, bytes);
    await expect(applyLayer(host, pack, root, { what: 'x' })).rejects.toMatchObject({
      code: 'UnsupportedRootfs',
    });
  });
});

describe('tar', () => {
  it('has no time limit of its own, ends with its signal, and is named with what it packs', async () => {
    const seen: RunOptions[] = [];
    class Recording extends Host {
      override check(program: string, args: readonly string[], options: RunOptions = {}) {
        seen.push(options);
        return super.check(program, args, options);
      }
    }
    const recording = new Recording({ root: '/' });
    const { signal } = new AbortController();
    await packDir(recording, root, join(dir, 'a.tar'), { what: 'x', signal });
    expect(seen).toEqual([{ signal }]);
    await expect(
      packDir(recording, join(dir, 'gone'), join(dir, 'a.tar'), { what: 'the emptyDir volume v' }),
    ).rejects.toMatchObject({
      code: 'RuntimeFailed',
      message: expect.stringMatching(/^The agent cannot pack the emptyDir volume v: tar/) as string,
    });
  });
});
