// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { TestDirectories } from '../../testing/images.ts';
import { FileWriter, type OpenFile } from './file-writer.ts';

const directories = new TestDirectories();
const MIB = 1 << 20;
/** Each is small, and all of them together are below what may be in memory. */
const FILES = 600;

/** Of this process. */
const openFiles = (): number => readdirSync('/proc/self/fd').length;

function writePieces(file: OpenFile, pieces: number): void {
  for (let at = 0; at < pieces; at++) file.write(Buffer.from('x'));
  file.end();
}

it.each([1, 16_384, MIB - 1, MIB, MIB + 1, 3 * MIB + 7])(
  'a file of %d bytes is what was written, in whatever pieces',
  async (size) => {
    const dir = await directories.fresh();
    const writer = new FileWriter();
    const content = randomBytes(size);
    const file = writer.open(join(dir, 'a/b/pages-1.img'));
    for (let at = 0, length = 1; at < size; at += length, length = (length * 7) % 65_537 || 1) {
      const piece = Buffer.from(content.subarray(at, at + length));
      file.write(piece);
      // The connection may use its buffer again.
      piece.fill(0);
      await writer.drain();
    }
    file.end();
    await writer.settle();
    expect((await readFile(join(dir, 'a/b/pages-1.img'))).equals(content)).toBe(true);
    expect((await stat(join(dir, 'a/b/pages-1.img'))).mode & 0o777).toBe(0o600);
  },
);

it('files one after another do not mix, though they share blocks', async () => {
  const dir = await directories.fresh();
  const writer = new FileWriter();
  const contents = [2 * MIB + 5, 3, MIB].map((size) => randomBytes(size));
  for (const [at, content] of contents.entries()) {
    const file = writer.open(join(dir, String(at)));
    file.write(content);
    file.end();
    writer.whole(join(dir, `whole-${at}`), content);
  }
  await writer.settle();
  for (const [at, content] of contents.entries()) {
    for (const name of [String(at), `whole-${at}`]) {
      expect((await readFile(join(dir, name))).equals(content), name).toBe(true);
    }
  }
});

it('the caller waits while much is not written', async () => {
  const dir = await directories.fresh();
  const writer = new FileWriter();
  const file = writer.open(join(dir, 'x'));
  expect(writer.drain()).toBeUndefined();
  for (let at = 0; at < 10; at++) file.write(Buffer.alloc(MIB));
  const wait = writer.drain();
  expect(wait).toBeInstanceOf(Promise);
  await wait;
  expect(writer.drain()).toBeUndefined();
  file.end();
  await writer.settle();
});

it.each([
  ['whole', (writer: FileWriter, file: string) => writer.whole(file, Buffer.from('x'))],
  ['whole and empty', (writer: FileWriter, file: string) => writer.whole(file, Buffer.alloc(0))],
  ['in pieces', (writer: FileWriter, file: string) => writePieces(writer.open(file), 1)],
  ['in no piece', (writer: FileWriter, file: string) => writePieces(writer.open(file), 0)],
])('the caller waits while many files are open, however small: %s', async (_what, write) => {
  const dir = await directories.fresh();
  const writer = new FileWriter();
  const before = openFiles();
  let [peak, waits] = [0, 0];
  for (let at = 0; at < FILES; at++) {
    write(writer, join(dir, String(at)));
    const wait = writer.drain();
    if (wait) waits++;
    await wait;
    if (at % 16 === 0) peak = Math.max(peak, openFiles() - before);
  }
  // Those that the last call has left are opened in the background.
  const settled = writer.settle();
  await turn();
  peak = Math.max(peak, openFiles() - before);
  await settled;
  expect(waits).toBeGreaterThan(0);
  expect(peak).toBeLessThan(256);
  expect(await readdir(dir)).toHaveLength(FILES);
});

it('a file that is there already, or a directory that cannot be made, fails it', async () => {
  const dir = await directories.fresh();
  await writeFile(join(dir, 'there'), '');
  for (const [path, code] of [
    ['there', 'EEXIST'],
    ['there/below/x', 'ENOTDIR'],
  ] as const) {
    const writer = new FileWriter();
    const file = writer.open(join(dir, path));
    file.write(Buffer.alloc(2 * MIB));
    file.end();
    await expect(writer.settle()).rejects.toMatchObject({ code });
    expect(() => writer.drain()).toThrow(code);
  }
  await mkdir(join(dir, 'whole'));
  const writer = new FileWriter();
  writer.whole(join(dir, 'whole'), Buffer.from('x'));
  await expect(writer.settle()).rejects.toMatchObject({ code: 'EEXIST' });
});
