// SPDX-License-Identifier: Apache-2.0
// Our tar against tar-stream, which earlier agents send and receive with: any names, sizes and pieces, both ways.
import fc from 'fast-check';
import tar from 'tar-stream';
import { describe, expect, it } from 'vitest';
import {
  BLOCK_BYTES,
  encodeHeader,
  END_OF_ARCHIVE,
  paddingOf,
  TarReader,
  type TarHeader,
} from './tar-format.ts';

type Entry = readonly [name: string, content: string];

/** What a reader finds in an archive that arrives in pieces of these lengths. */
function read(archive: Buffer, lengths: readonly number[]): { name: string; text: string }[] {
  const found: { name: string; type: string; size: number; text: string }[] = [];
  let open = false;
  const reader = new TarReader({
    begin: (header) => {
      open = true;
      found.push({ ...header, text: '' });
    },
    bytes: (some) => {
      const last = found.at(-1);
      if (!open || !last) throw new Error('bytes of no entry');
      last.text += some.toString('latin1');
    },
    end: () => (open = false),
  });
  for (let at = 0, piece = 0; at < archive.length; piece++) {
    const length = Math.max(lengths[piece % lengths.length] ?? 1, 1);
    reader.push(archive.subarray(at, at + length));
    at += length;
  }
  reader.finish();
  for (const one of found) expect([one.type, one.size]).toEqual(['file', one.text.length]);
  return found.map(({ name, text }) => ({ name, text }));
}

const ours = (entries: readonly Entry[]): Buffer =>
  Buffer.concat([
    ...entries.flatMap(([name, content]) => [
      encodeHeader(name, content.length),
      Buffer.from(content, 'latin1'),
      Buffer.alloc(paddingOf(content.length)),
    ]),
    END_OF_ARCHIVE,
  ]);

async function theirs(entries: readonly Entry[]): Promise<Buffer> {
  const pack = tar.pack();
  const chunks: Buffer[] = [];
  const reading = (async () => {
    for await (const chunk of pack as unknown as AsyncIterable<Buffer>) chunks.push(chunk);
  })();
  for (const [name, content] of entries) pack.entry({ name }, Buffer.from(content, 'latin1'));
  pack.finalize();
  await reading;
  return Buffer.concat(chunks);
}

/** The blocks before an entry's bytes, which are never written. */
async function theirHeader(name: string, size: number): Promise<Buffer> {
  const pack = tar.pack();
  pack.entry({ name, size }).on('error', () => undefined);
  const chunks: Buffer[] = [];
  for await (const chunk of pack as unknown as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    // The entry's own header comes last, after those of pax.
    if (chunk.length === BLOCK_BYTES && chunk[156] === 0x30) break;
  }
  return Buffer.concat(chunks);
}

async function readByTheirs(archive: Buffer): Promise<{ name: string; text: string }[]> {
  const extract = tar.extract();
  extract.end(archive);
  const found: { name: string; text: string }[] = [];
  for await (const entry of extract) {
    let text = '';
    for await (const chunk of entry as AsyncIterable<Buffer>) text += chunk.toString('latin1');
    found.push({ name: entry.header.name, text });
  }
  return found;
}

const part = fc.oneof(
  fc.stringMatching(/^[a-zA-Z0-9._-]{1,120}$/),
  fc.constantFrom('für', '日本語', 'a b', '👋', 'x'.repeat(100), 'x'.repeat(101)),
);
const name = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
const content = fc.string({ unit: fc.constantFrom('a', '\0', 'ÿ'), maxLength: 1500 });
const entries = fc.array(fc.tuple(name, content), { maxLength: 5 });
const pieces = fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 8 });

describe('an archive', () => {
  it('of ours is read in any pieces, and by tar-stream', async () => {
    await fc.assert(
      fc.asyncProperty(entries, pieces, async (all, lengths) => {
        const wanted = all.map(([one, text]) => ({ name: one, text }));
        expect(read(ours(all), lengths)).toEqual(wanted);
        expect(await readByTheirs(ours(all))).toEqual(wanted);
      }),
      { numRuns: 150 },
    );
  });

  it('of tar-stream is read by ours', async () => {
    await fc.assert(
      fc.asyncProperty(entries, pieces, async (all, lengths) => {
        const wanted = all.map(([one, text]) => ({ name: one, text }));
        expect(read(await theirs(all), lengths)).toEqual(wanted);
      }),
      { numRuns: 150 },
    );
  });

  it('says the size of a file that is larger than the format’s eleven digits', () => {
    const size = 2 ** 40 + 1;
    let found = 0;
    const none = (): void => undefined;
    const sink = { begin: (header: { size: number }) => (found = header.size), bytes: none };
    new TarReader({ ...sink, end: none }).push(encodeHeader('pages-1.img', size));
    expect(found).toBe(size);
  });

  it.each([2 ** 33 - 1, 2 ** 33, 9 * 2 ** 30, 2 ** 40 + 1, 2 ** 48 - 1])(
    'of tar-stream says a size of %d bytes, for which it may take binary digits',
    async (size) => {
      for (const name of ['pages-1.img', `${'d'.repeat(120)}/${'f'.repeat(120)}`]) {
        const found: TarHeader[] = [];
        const none = (): void => undefined;
        const reader = new TarReader({ begin: (one) => found.push(one), bytes: none, end: none });
        reader.push(await theirHeader(name, size));
        expect(found).toEqual([{ name, type: 'file', size }]);
      }
    },
  );
});

describe('damage', () => {
  const silent = { begin: () => undefined, bytes: () => undefined, end: () => undefined };
  const whole = ours([
    ['a', 'x'.repeat(700)],
    [`${'b'.repeat(120)}`, 'y'],
  ]);

  it('of any byte of a header is refused, but of the blank behind the checksum', () => {
    for (let at = 0; at < 512; at++) {
      if (at === 155) continue;
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      expect(() => new TarReader(silent).push(bytes), String(at)).toThrow(
        expect.objectContaining({ code: 'ImageCorrupt' }) as Error,
      );
    }
  });

  it.each([
    ['negative', 'ff'.repeat(12)],
    ['2^48 bytes', `80${'00'.repeat(4)}01${'00'.repeat(6)}`],
    ['2^88 bytes', `81${'00'.repeat(11)}`],
    ['2^80 bytes', `8001${'00'.repeat(10)}`],
  ])('to a size that is %s is refused', (_what, field) => {
    const bytes = Buffer.from(whole.subarray(0, BLOCK_BYTES));
    Buffer.from(field, 'hex').copy(bytes, 124);
    bytes.fill(0x20, 148, 156);
    const sum = bytes.reduce((all, one) => all + one, 0);
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    expect(() => new TarReader(silent).push(bytes)).toThrow(
      expect.objectContaining({
        code: 'ImageCorrupt',
        message: expect.stringContaining('size') as string,
      }) as Error,
    );
  });

  it('of a length is truncation, wherever it is within an entry', () => {
    for (let length = 1; length < whole.length - 1024; length += 37) {
      const reader = new TarReader(silent);
      reader.push(whole.subarray(0, length));
      expect(() => reader.finish(), String(length)).toThrow(
        expect.objectContaining({ code: 'ImageTruncated' }) as Error,
      );
    }
  });

  it('of any kind ends in an error of ours, and never in a loop', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4096 }), fc.nat(whole.length), (noise, at) => {
        const bytes = Buffer.concat([whole.subarray(0, at), noise, whole.subarray(at)]);
        try {
          const reader = new TarReader(silent);
          reader.push(bytes);
          reader.finish();
        } catch (error) {
          expect((error as { code?: string }).code).toMatch(/^Image/);
        }
      }),
      { numRuns: 500 },
    );
  });
});
