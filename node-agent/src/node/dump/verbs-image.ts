// SPDX-License-Identifier: Apache-2.0
// Reads the RDMA part of a checkpoint, ibverbs-<n>.img: what the pod is known by to its peers, and how much of
// it there is. The format is native/proto/ibverbs.proto.
import { existsSync, readFileSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import protobuf from 'protobufjs';
import { z } from 'zod';
import { AgentError } from '../../support/errors.ts';

const MAGIC = 0x54464c53;
export const IMAGE_VERSION = 1;
const RC_STATES = ['RESET', 'INIT', 'RTR', 'RTS', 'SQD', 'SQE', 'ERR'] as const;

const path = z.looseObject({ sgid: z.instanceof(Uint8Array), destQpn: z.number() });
const context = z.looseObject({
  nodePath: z.string(),
  driver: z.looseObject({ name: z.string(), abi: z.number() }),
  cqs: z.array(z.looseObject({ handle: z.number() })).default([]),
  qps: z
    .array(
      z.looseObject({
        qpn: z.number(),
        type: z.number(),
        state: z.number(),
        path: path.optional(),
      }),
    )
    .default([]),
  mrs: z.array(z.looseObject({ lkey: z.number(), rkey: z.number() })).default([]),
});

export interface VerbsSummary {
  /** Contexts, one per open uverbs file. */
  contexts: number;
  /** Path of the uverbs node as the process opened it; all contexts of a pod have the same. */
  uverbs?: string;
  driverAbi?: string;
  objects: { qp: number; cq: number; mr: number };
  qpns: number[];
  lkeys: number[];
  rkeys: number[];
  gids: string[];
  qpStates: string[];
  /** Size of the records. */
  bytes: number;
}

let types: { envelope: protobuf.Type; context: protobuf.Type } | undefined;

/** The checkout's file, or the copy beside the bundled agent. */
function schema(): { envelope: protobuf.Type; context: protobuf.Type } {
  if (types) return types;
  const named = process.env['SEALIFT_PROTO'];
  const places = named ? [named] : ['../../../../native/proto/ibverbs.proto', './ibverbs.proto'];
  const file = places
    .map((place) =>
      place.startsWith('/') ? place : fileURLToPath(new URL(place, import.meta.url)),
    )
    .find((one) => existsSync(one));
  if (!file) throw new AgentError('Internal', `no ibverbs.proto at ${places.join(' or ')}`);
  const { root } = protobuf.parse(readFileSync(file, 'utf8'));
  types = {
    envelope: root.lookupType('sealift.ibverbs.Envelope'),
    context: root.lookupType('sealift.ibverbs.Context'),
  };
  return types;
}

/** The envelope's body. @throws AgentError ImageCorrupt, ImageVersion */
export function openEnvelope(bytes: Uint8Array, name: string): Uint8Array {
  const envelope = z
    .looseObject({
      magic: z.number(),
      version: z.number(),
      crc32: z.number(),
      body: z.instanceof(Uint8Array),
    })
    .safeParse(decode(schema().envelope, bytes, name));
  if (!envelope.success || envelope.data.magic !== MAGIC) {
    throw new AgentError('ImageCorrupt', `${name} is not an image of verbs objects`);
  }
  const { version, body } = envelope.data;
  if (version !== IMAGE_VERSION) {
    throw new AgentError(
      'ImageVersion',
      `${name} is of version ${version}, this node reads ${IMAGE_VERSION}: checkpoint again`,
    );
  }
  if (crc32(body) !== envelope.data.crc32) {
    throw new AgentError('ImageCorrupt', `${name} is damaged: its checksum differs`);
  }
  return body;
}

function decode(type: protobuf.Type, bytes: Uint8Array, name: string): unknown {
  try {
    return type.toObject(type.decode(bytes), { longs: Number });
  } catch (cause) {
    throw new AgentError('ImageCorrupt', `${name} cannot be read: checkpoint again`, { cause });
  }
}

/** Reads every context of one container's images; none at all is a pod without RDMA. */
export async function readVerbs(dir: string): Promise<VerbsSummary> {
  const summary: VerbsSummary = {
    contexts: 0,
    objects: { qp: 0, cq: 0, mr: 0 },
    qpns: [],
    lkeys: [],
    rkeys: [],
    gids: [],
    qpStates: [],
    bytes: 0,
  };
  const names = (await readdir(dir)).filter((name) => /^ibverbs-(\d+|files)\.img$/.test(name));
  for (const name of names.sort()) {
    const file = join(dir, name);
    summary.bytes += (await stat(file)).size;
    if (name === 'ibverbs-files.img') continue;
    const body = openEnvelope(await readFile(file), name);
    const parsed = context.safeParse(decode(schema().context, body, name));
    if (!parsed.success) {
      throw new AgentError('ImageCorrupt', `${name}: ${z.prettifyError(parsed.error)}`);
    }
    add(summary, parsed.data);
  }
  return summary;
}

function add(summary: VerbsSummary, of: z.infer<typeof context>): void {
  summary.contexts += 1;
  summary.uverbs ??= of.nodePath;
  summary.driverAbi ??= `${of.driver.name}-${of.driver.abi}`;
  summary.objects.qp += of.qps.length;
  summary.objects.cq += of.cqs.length;
  summary.objects.mr += of.mrs.length;
  for (const qp of of.qps) {
    summary.qpns.push(qp.qpn);
    summary.qpStates.push(RC_STATES[qp.state] ?? String(qp.state));
    const gid = qp.path && formatGid(qp.path.sgid);
    if (gid && !summary.gids.includes(gid)) summary.gids.push(gid);
  }
  for (const mr of of.mrs) {
    summary.lkeys.push(mr.lkey);
    summary.rkeys.push(mr.rkey);
  }
}

/** 16 bytes in IPv6 notation, mapped IPv4 addresses as `::ffff:192.0.2.1`. */
export function formatGid(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes);
  if (buffer.length !== 16) return buffer.toString('hex');
  if (buffer.subarray(0, 12).equals(Buffer.from('00000000000000000000ffff', 'hex'))) {
    return `::ffff:${[...buffer.subarray(12)].join('.')}`;
  }
  const groups = Array.from({ length: 8 }, (_, at) => buffer.readUInt16BE(at * 2).toString(16));
  const text = new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
  return isIPv6(text) ? text : groups.join(':');
}
