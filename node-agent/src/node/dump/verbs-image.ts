// SPDX-License-Identifier: Apache-2.0
// Reads the plugin's images, `ibverbs-<n>.img`: what the pod's peers know it by, and the counts for status and manifest.
// The checkpointer calls it after each container's dump. Format: native/proto/ibverbs.proto, an Envelope around a
// Context.
import { existsSync, readFileSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import protobuf from 'protobufjs';
import { z } from 'zod';
import type { ObjectCounts } from '../../../../crds/src/index.ts';
import { AgentError } from '../../support/errors.ts';

/** `SLFT`, little endian. */
const MAGIC = 0x54464c53;
/** Those that the plugin reads. What the agent looks at is the same in each. */
const IMAGE_VERSIONS = { oldest: 1, newest: 2 } as const;
/** enum ib_qp_state (include/rdma/ib_verbs.h). */
const QP_STATES = ['RESET', 'INIT', 'RTR', 'RTS', 'SQD', 'SQE', 'ERR'] as const;

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
  srqs: z.array(z.looseObject({})).default([]),
  ahs: z.array(z.looseObject({})).default([]),
});

/** Sums over all contexts of one container. */
export interface VerbsSummary {
  /** Contexts, one per open uverbs file. */
  contexts: number;
  /** Path of a uverbs node by which a process has opened the device. After a move it has several names. */
  uverbs?: string;
  /** `<driver>-<ABI>`, for instance `rxe-10`. */
  driverAbi?: string;
  objects: Record<keyof ObjectCounts, number>;
  qpns: number[];
  lkeys: number[];
  rkeys: number[];
  /** Source GIDs of connected queue pairs, in IPv6 notation, none twice. */
  gids: string[];
  /** One per queue pair, in the order of `qpns`. */
  qpStates: string[];
  /** Size of the image files. */
  bytes: number;
}

let types: { envelope: protobuf.Type; context: protobuf.Type } | undefined;

/** From SEALIFT_PROTO, or the checkout's file, or the copy beside the bundled agent. @throws AgentError Internal */
function schema(): { envelope: protobuf.Type; context: protobuf.Type } {
  if (types) return types;
  const named = process.env['SEALIFT_PROTO'];
  const places = named ? [named] : ['../../../../native/proto/ibverbs.proto', './ibverbs.proto'];
  const file = places
    .map((place) =>
      place.startsWith('/') ? place : fileURLToPath(new URL(place, import.meta.url)),
    )
    .find((one) => existsSync(one));
  if (!file)
    throw new AgentError(
      'Internal',
      `There is no ibverbs.proto at ${places.join(' or ')}. The agent's image is incomplete: install it again.`,
    );
  const { root } = protobuf.parse(readFileSync(file, 'utf8'));
  types = {
    envelope: root.lookupType('sealift.ibverbs.Envelope'),
    context: root.lookupType('sealift.ibverbs.Context'),
  };
  return types;
}

/**
 * The envelope's body, once magic, version and CRC-32 are right.
 * @param name of the file, for the message
 * @throws AgentError ImageCorrupt, ImageVersion
 */
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
    throw new AgentError('ImageCorrupt', `${name} is not an image of verbs objects.`);
  }
  const { version, body } = envelope.data;
  if (version < IMAGE_VERSIONS.oldest || version > IMAGE_VERSIONS.newest) {
    throw new AgentError(
      'ImageVersion',
      `${name} has format version ${version}, this node reads versions ${IMAGE_VERSIONS.oldest} to ${IMAGE_VERSIONS.newest}.`,
    );
  }
  if (crc32(body) !== envelope.data.crc32) {
    throw new AgentError('ImageCorrupt', `${name} is damaged: its checksum differs.`);
  }
  return body;
}

function decode(type: protobuf.Type, bytes: Uint8Array, name: string): unknown {
  try {
    return type.toObject(type.decode(bytes), { longs: Number });
  } catch (cause) {
    throw new AgentError('ImageCorrupt', `${name} is damaged and cannot be decoded.`, { cause });
  }
}

/**
 * Sums up every context of one container's images; zeros for a container without RDMA.
 * @param dir directory of the images, as the agent sees it
 * @throws AgentError ImageCorrupt, ImageVersion
 */
export async function readVerbs(dir: string): Promise<VerbsSummary> {
  const summary: VerbsSummary = {
    contexts: 0,
    objects: { qp: 0, cq: 0, mr: 0, srq: 0, ah: 0 },
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
      throw new AgentError('ImageCorrupt', `${name} is damaged: ${z.prettifyError(parsed.error)}.`);
    }
    addContext(summary, parsed.data);
  }
  return summary;
}

function addContext(summary: VerbsSummary, of: z.infer<typeof context>): void {
  summary.contexts += 1;
  summary.uverbs ??= of.nodePath;
  summary.driverAbi ??= `${of.driver.name}-${of.driver.abi}`;
  summary.objects.qp += of.qps.length;
  summary.objects.cq += of.cqs.length;
  summary.objects.mr += of.mrs.length;
  summary.objects.srq += of.srqs.length;
  summary.objects.ah += of.ahs.length;
  for (const qp of of.qps) {
    summary.qpns.push(qp.qpn);
    summary.qpStates.push(QP_STATES[qp.state] ?? String(qp.state));
    const gid = qp.path && formatGid(qp.path.sgid);
    if (gid && !summary.gids.includes(gid)) summary.gids.push(gid);
  }
  for (const mr of of.mrs) {
    summary.lkeys.push(mr.lkey);
    summary.rkeys.push(mr.rkey);
  }
}

/** A GID's 16 bytes in IPv6 notation, mapped IPv4 addresses as `::ffff:192.0.2.1`; other lengths in hexadecimal. Pure. */
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
