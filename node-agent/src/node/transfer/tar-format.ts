// SPDX-License-Identifier: Apache-2.0
// The part of the tar format (POSIX.1-2017, pax) that a transfer of images has: plain files. tar-stream does it too, but its
// streams hand on each 16 KiB of a connection several times, at both ends of a blackout (docs/adr/0027). Pure.
import { AgentError } from '../../support/errors.ts';

export const BLOCK_BYTES = 512;
/** Two empty blocks end an archive. */
export const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK_BYTES);
/** Of a pax header: a path has at most 1024 bytes. */
const MAX_PAX_BYTES = 64 << 10;
/** What fits into the eleven octal digits of a header. */
const MAX_OCTAL = 0o77777777777;
const MAX_NAME_BYTES = 100;

/** An entry's header. */
export interface TarHeader {
  readonly name: string;
  /** `file`, or the format's own letter for anything else. */
  readonly type: string;
  readonly size: number;
}

/** Bytes that fill up the last block of an entry. */
export const paddingOf = (size: number): number =>
  (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;

/** @returns the blocks before the entry's bytes */
export function encodeHeader(name: string, size: number): Buffer {
  const isPlain = Buffer.byteLength(name) <= MAX_NAME_BYTES && /^[\x20-\x7e]+$/.test(name);
  if (isPlain && size <= MAX_OCTAL) return block(name, size, '0');
  const records = Buffer.from(paxRecord('path', name) + paxRecord('size', String(size)));
  return Buffer.concat([
    block('PaxHeader', records.length, 'x'),
    records,
    Buffer.alloc(paddingOf(records.length)),
    block('PaxEntry', Math.min(size, MAX_OCTAL), '0'),
  ]);
}

function block(name: string, size: number, type: string): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(name, 0, 'latin1');
  const none = `${'0'.repeat(6)} \0`;
  header.write(`000600 \0${none}${none}`, 100, 'latin1');
  header.write(`${size.toString(8).padStart(11, '0')} `, 124, 'latin1');
  header.write(`${''.padStart(11, '0')} `, 136, 'latin1');
  header.write(type, 156, 'latin1');
  header.write(`ustar\0${'0'.repeat(2)}`, 257, 'latin1');
  header.write(`${checksumOf(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** `<length> <key>=<value>\n`, where the length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes + 1;
  while (String(length).length + bytes !== length) length = String(length).length + bytes;
  return `${length}${rest}`;
}

/** The sum of a header's bytes, its own field taken for blanks. */
function checksumOf(header: Buffer): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < BLOCK_BYTES; at++) if (at < 148 || at >= 156) sum += header[at] ?? 0;
  return sum;
}

/** @returns undefined for an empty block. @throws AgentError ImageCorrupt */
function decodeHeader(header: Buffer): TarHeader | undefined {
  const sum = checksumOf(header);
  if (sum === 8 * 0x20) return undefined;
  if (sum !== octal(header, 148, 8)) throw damaged('the checksum of a header is wrong');
  if (text(header, 257, 5) !== 'ustar') throw damaged('a header is of an unknown format');
  const prefix = text(header, 345, 155);
  const name = text(header, 0, 100);
  const letter = String.fromCharCode(header[156] ?? 0);
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    type: letter === '0' || letter === '\0' ? 'file' : letter,
    size: sizeOf(header),
  };
}

/**
 * Octal digits, or binary ones behind a byte that is 0x80: earlier agents, which write with tar-stream, say so the size of an
 * image of 8 GiB and more.
 */
function sizeOf(header: Buffer): number {
  const sign = header[124] ?? 0;
  if (sign < 0x80) return octal(header, 124, 12);
  // Six bytes are 256 TiB, and a number holds them exactly.
  if (sign !== 0x80 || header.subarray(125, 130).some((byte) => byte !== 0)) {
    throw damaged('the size in a header is negative, or 256 TiB and more');
  }
  return header.readUIntBE(130, 6);
}

function text(header: Buffer, at: number, length: number): string {
  const field = header.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? length : end).toString('utf8');
}

function octal(header: Buffer, at: number, length: number): number {
  const digits = text(header, at, length).trim();
  if (!/^[0-7]{1,12}$/.test(digits)) throw damaged('a number of a header is none');
  return Number.parseInt(digits, 8);
}

/** @throws AgentError ImageCorrupt */
function decodePax(bytes: Buffer): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (let at = 0; at < bytes.length;) {
    const blank = bytes.indexOf(0x20, at);
    const length = Number(bytes.subarray(at, Math.max(blank, at)).toString('latin1'));
    const record = bytes.subarray(blank + 1, at + length).toString('utf8');
    const equals = record.indexOf('=');
    const isWhole = blank > at && Number.isInteger(length) && at + length <= bytes.length;
    if (!isWhole || at + length <= blank || equals < 1 || !record.endsWith('\n')) {
      throw damaged('a pax header cannot be read');
    }
    found[record.slice(0, equals)] = record.slice(equals + 1, -1);
    at += length;
  }
  return found;
}

const damaged = (what: string): AgentError =>
  new AgentError('ImageCorrupt', `The stream of images is damaged: ${what}.`);

/** Takes what a reader finds. Whatever it throws ends the reading. */
export interface TarSink {
  begin(header: TarHeader): void;
  /** Some of the entry's bytes. They stay as they are. */
  bytes(some: Buffer): void;
  end(): void;
}

/** Reads an archive from whatever pieces it comes in. */
export class TarReader {
  readonly #sink: TarSink;
  /** Of a header, or of a pax header's records, until they are whole. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Bytes of the entry that are still to come. */
  #left = 0;
  #padding = 0;
  #state: 'header' | 'pax' | 'skipped' | 'entry' | 'padding' = 'header';
  #pax: Readonly<Record<string, string>> = {};

  constructor(sink: TarSink) {
    this.#sink = sink;
  }

  /** @throws AgentError ImageCorrupt; what the sink throws */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      const wanted = this.#state === 'header' ? BLOCK_BYTES - this.#heldBytes : this.#left;
      const some = chunk.subarray(at, at + wanted);
      at += some.length;
      this.#take(some);
    }
  }

  /** Whether pieces of what has come are kept until more comes. */
  get keeps(): boolean {
    return this.#held.length > 0;
  }

  /** Nothing follows. @throws AgentError ImageTruncated */
  finish(): void {
    if (this.#state === 'header' && this.#heldBytes === 0) return;
    throw new AgentError(
      'ImageTruncated',
      'The stream of images ended early. See the network between the nodes.',
    );
  }

  #take(some: Buffer): void {
    if (this.#state === 'header') return this.#takeHeader(some);
    this.#left -= some.length;
    if (this.#state === 'entry') this.#sink.bytes(some);
    if (this.#state === 'pax') this.#held.push(some);
    if (this.#left === 0) this.#pass();
  }

  #takeHeader(some: Buffer): void {
    this.#held.push(some);
    this.#heldBytes += some.length;
    if (this.#heldBytes < BLOCK_BYTES) return;
    const header = decodeHeader(this.#release());
    if (!header) return;
    this.#left = header.size;
    this.#padding = paddingOf(header.size);
    if (header.type === 'x') {
      if (header.size > MAX_PAX_BYTES) throw damaged('a pax header is too long');
      this.#state = 'pax';
    } else if (header.type === 'g') {
      this.#state = 'skipped';
    } else {
      this.#begin(header);
    }
    if (this.#left === 0) this.#pass();
  }

  #begin(header: TarHeader): void {
    const { path = header.name, size = String(header.size) } = this.#pax;
    this.#pax = {};
    if (!/^\d{1,15}$/.test(size)) throw damaged('a pax header has a size that is none');
    this.#left = Number(size);
    this.#padding = paddingOf(this.#left);
    this.#state = 'entry';
    this.#sink.begin({ name: path, type: header.type, size: this.#left });
  }

  /** The bytes of this state have come. */
  #pass(): void {
    const state = this.#state;
    if (state === 'pax') this.#pax = decodePax(this.#release());
    if (state === 'entry') this.#sink.end();
    this.#left = state === 'padding' ? 0 : this.#padding;
    this.#state = this.#left > 0 ? 'padding' : 'header';
  }

  #release(): Buffer {
    const [only] = this.#held;
    const whole = this.#held.length === 1 && only ? only : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return whole;
  }
}
