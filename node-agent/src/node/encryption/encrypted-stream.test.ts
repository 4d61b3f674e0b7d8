// SPDX-License-Identifier: Apache-2.0
// Encrypted files as an attacker with the disk may leave them: altered, cut, reordered, repeated, extended, renamed.
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CHUNK_BYTES,
  DecryptStream,
  encryptedSize,
  EncryptStream,
  TAG_BYTES,
} from './encrypted-stream.ts';
import { DataKey } from './data-key.ts';

const key: Buffer = randomBytes(32);
const PIECE = CHUNK_BYTES + TAG_BYTES;

async function through(bytes: Buffer, stream: EncryptStream | DecryptStream, step = 10_000) {
  const parts: Buffer[] = [];
  const pieces = function* () {
    for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
  };
  await pipeline(Readable.from(pieces()), stream, async (output: AsyncIterable<Buffer>) => {
    for await (const part of output) parts.push(part);
  });
  return Buffer.concat(parts);
}
const encrypt = (plain: Buffer, step?: number) => through(plain, new EncryptStream(key), step);
const decrypt = (bytes: Buffer, of = key) =>
  through(bytes, new DecryptStream(of, 'main/pages-1.img'));
const outcome = (bytes: Buffer, of = key): Promise<string> =>
  decrypt(bytes, of).then(
    () => 'accepted',
    (error: { code: string }) => error.code,
  );

describe('an encrypted file', () => {
  const sizes = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES];

  it.each(sizes)('of %d bytes is decrypted to what it was', async (size) => {
    const plain = randomBytes(size);
    const bytes = await encrypt(plain);
    expect(bytes).toHaveLength(encryptedSize(size));
    expect(Buffer.compare(await decrypt(bytes), plain)).toBe(0);
  });

  it('is the same however its bytes come in', async () => {
    const plain = randomBytes(2 * CHUNK_BYTES + 5);
    const whole = await encrypt(plain, plain.length);
    expect(Buffer.compare(await encrypt(plain, 777), whole)).toBe(0);
  });

  it('shows nothing of the plain bytes, not even that two chunks are the same', async () => {
    const bytes = await encrypt(Buffer.alloc(2 * CHUNK_BYTES, 'secret'));
    expect(bytes.includes('secret')).toBe(false);
    expect(bytes.subarray(0, 100).equals(bytes.subarray(PIECE, PIECE + 100))).toBe(false);
  });

  it('is refused with any single altered byte, and under another key', async () => {
    const bytes = await encrypt(randomBytes(2 * CHUNK_BYTES + 100));
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: bytes.length - 1 }), async (at) => {
        const altered = Buffer.from(bytes);
        altered[at] = (altered[at] ?? 0) ^ 1;
        expect(await outcome(altered)).toBe('ImageCorrupt');
      }),
      { numRuns: 25 },
    );
    expect(await outcome(bytes, randomBytes(32))).toBe('ImageCorrupt');
  });

  it('is refused at any length but its own', async () => {
    const bytes = await encrypt(randomBytes(2 * CHUNK_BYTES + 100));
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: bytes.length - 1 }), async (length) => {
        expect(await outcome(bytes.subarray(0, length))).toMatch(/^Image(Truncated|Corrupt)$/);
      }),
      { numRuns: 25 },
    );
    // A cut between two chunks leaves chunks that are all authentic.
    expect(await outcome(bytes.subarray(0, 2 * PIECE))).toBe('ImageTruncated');
    expect(await outcome(bytes.subarray(0, 0))).toBe('ImageTruncated');
    expect(await outcome(Buffer.concat([bytes, randomBytes(10)]))).toBe('ImageCorrupt');
  });

  it('is refused with chunks swapped, repeated, left out or appended from another file', async () => {
    const bytes = await encrypt(randomBytes(4 * CHUNK_BYTES));
    const [a, b, c, d] = [0, 1, 2, 3].map((n) => bytes.subarray(n * PIECE, (n + 1) * PIECE)) as [
      Buffer,
      Buffer,
      Buffer,
      Buffer,
    ];
    expect(await outcome(Buffer.concat([a, b, c, d]))).toBe('accepted');
    for (const pieces of [
      [b, a, c, d],
      [a, a, c, d],
      [a, c, d],
      [a, b, c, d, d],
      [a, b, d, c],
    ]) {
      expect(await outcome(Buffer.concat(pieces))).toBe('ImageCorrupt');
    }
  });

  it('passes on nothing that it has not authenticated', async () => {
    const plain = randomBytes(2 * CHUNK_BYTES + 100);
    const bytes = await encrypt(plain);
    bytes[PIECE + 5] = (bytes[PIECE + 5] ?? 0) ^ 1;
    const passed: Buffer[] = [];
    const stream = new DecryptStream(key, 'x');
    stream.on('data', (part: Buffer) => passed.push(part));
    await expect(pipeline(Readable.from([bytes]), stream)).rejects.toMatchObject({
      code: 'ImageCorrupt',
    });
    const all = Buffer.concat(passed);
    expect(all.equals(plain.subarray(0, all.length))).toBe(true);
    expect(all.length).toBeLessThanOrEqual(CHUNK_BYTES);
  });

  it('cannot take the place of another file of the same checkpoint', async () => {
    const dataKey = DataKey.make();
    const bytes = await through(
      randomBytes(1000),
      new EncryptStream(dataKey.ofFile('main/pages-1.img')),
    );
    expect(await outcome(bytes, dataKey.ofFile('main/pages-1.img'))).toBe('accepted');
    expect(await outcome(bytes, dataKey.ofFile('main/pages-2.img'))).toBe('ImageCorrupt');
    expect(await outcome(bytes, DataKey.make().ofFile('main/pages-1.img'))).toBe('ImageCorrupt');
  });
});
