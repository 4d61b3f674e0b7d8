// SPDX-License-Identifier: Apache-2.0
// Makes one executable of a bundle and Node.js (nodejs.org/api/single-executable-applications.html). Node reads the blob from an ELF
// note with the name NODE_SEA_BLOB, by dl_iterate_phdr(3); no package is needed to put it there.
//   node images/single-executable.ts BUNDLE EXECUTABLE
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NOTE_NAME = 'NODE_SEA_BLOB';
/** Node looks for a blob only if this byte string ends with 1. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:';
const PAGE = 0x1000;
/** elf(5): types of segments, and the layout of ELF64. */
const PT = { load: 1, note: 4, phdr: 6 } as const;
const PHDR_SIZE = 56;
const READ = 4;

const up = (value: number, to: number): number => Math.ceil(value / to) * to;

interface Segment {
  readonly type: number;
  readonly raw: Buffer;
}

/** Of the table of segments. @throws Error for what is no ELF64 executable of a fixed address, which Node's own builds are */
function segmentsOf(elf: Buffer): Segment[] {
  const isElf64 = elf.subarray(0, 6).equals(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]));
  if (!isElf64 || elf.readUInt16LE(16) !== 2) {
    throw new Error('Node.js is no ELF64 executable of a fixed address: use the bundle instead.');
  }
  const [offset, size, count] = [
    Number(elf.readBigUInt64LE(32)),
    elf.readUInt16LE(54),
    elf.readUInt16LE(56),
  ];
  if (size !== PHDR_SIZE) throw new Error('The table of segments has another layout.');
  return Array.from({ length: count }, (_, index) => {
    const raw = Buffer.from(elf.subarray(offset + index * size, offset + (index + 1) * size));
    return { type: raw.readUInt32LE(0), raw };
  });
}

function segment(type: number, place: { offset: number; address: number; size: number }): Segment {
  const raw = Buffer.alloc(PHDR_SIZE);
  raw.writeUInt32LE(type, 0);
  raw.writeUInt32LE(READ, 4);
  raw.writeBigUInt64LE(BigInt(place.offset), 8);
  for (const at of [16, 24]) raw.writeBigUInt64LE(BigInt(place.address), at);
  for (const at of [32, 40]) raw.writeBigUInt64LE(BigInt(place.size), at);
  raw.writeBigUInt64LE(BigInt(type === PT.load ? PAGE : 4), 48);
  return { type, raw };
}

/** elf(5), Elf64_Nhdr: sizes, type, name and content, each a multiple of four bytes. */
function noteOf(content: Buffer): Buffer {
  const name = Buffer.alloc(up(NOTE_NAME.length + 1, 4));
  name.write(NOTE_NAME);
  const head = Buffer.alloc(12);
  head.writeUInt32LE(NOTE_NAME.length + 1, 0);
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, name, content, Buffer.alloc(up(content.length, 4) - content.length)]);
}

/**
 * The table has no room for more segments. A program of a fixed address needs no PT_PHDR, and nothing that runs reads the
 * notes of the linker: the new segments take their places.
 */
function withBlob(elf: Buffer, blob: Buffer): Buffer {
  const segments = segmentsOf(elf);
  const loads = segments.filter(({ type }) => type === PT.load);
  const others = segments.filter(
    ({ type }) => type !== PT.load && type !== PT.phdr && type !== PT.note,
  );
  const end = Math.max(
    ...loads.map(({ raw }) => Number(raw.readBigUInt64LE(16) + raw.readBigUInt64LE(40))),
  );
  const note = noteOf(blob);
  const place = { offset: up(elf.length, PAGE), address: up(end, PAGE) + PAGE, size: note.length };
  const table = [...loads, segment(PT.load, place), ...others, segment(PT.note, place)];
  // The dynamic loader's path comes before everything else (elf(5), PT_INTERP).
  table.sort((a, b) => Number(b.type === 3) - Number(a.type === 3));
  if (table.length > segments.length) throw new Error('The table of segments has no room.');
  const out = Buffer.concat([elf, Buffer.alloc(place.offset - elf.length), note]);
  const start = Number(elf.readBigUInt64LE(32));
  out.fill(0, start, start + segments.length * PHDR_SIZE);
  for (const [index, { raw }] of table.entries()) raw.copy(out, start + index * PHDR_SIZE);
  out.writeUInt16LE(table.length, 56);
  const fuse = out.indexOf(FUSE);
  if (fuse < 0) throw new Error('This Node.js cannot be made a single executable.');
  out.write('1', fuse + FUSE.length);
  return out;
}

function make(bundle: string, executable: string): void {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-executable-'));
  try {
    const [config, blob] = [join(directory, 'config.json'), join(directory, 'blob')];
    const options = { main: bundle, output: blob, disableExperimentalSEAWarning: true };
    writeFileSync(config, JSON.stringify(options));
    execFileSync(process.execPath, ['--experimental-sea-config', config], { stdio: 'pipe' });
    const node = readFileSync(realpathSync(process.execPath));
    writeFileSync(executable, withBlob(node, readFileSync(blob)));
    chmodSync(executable, 0o755);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const [bundle, executable] = process.argv.slice(2);
if (bundle === undefined || executable === undefined) {
  console.error('usage: node images/single-executable.ts BUNDLE EXECUTABLE');
  process.exitCode = 2;
} else make(bundle, executable);
