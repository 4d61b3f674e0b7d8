// SPDX-License-Identifier: Apache-2.0
// Streams a checkpoint's folder to another agent and waits until that one has verified it.
import https from 'node:https';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { z } from 'zod';
import { AgentError, type AgentCode } from '../../support/errors.ts';
import type { Manifest, ManifestHeader } from './manifest.ts';
import { packImages } from './image-stream.ts';
import { readCertificates, SERVER_NAME } from './tls.ts';

export interface SendOptions {
  /** `host:port` of the other agent. */
  address: string;
  id: string;
  dir: string;
  manifest: ManifestHeader | Manifest;
  certificateDir: string;
  signal?: AbortSignal;
  /** No byte for that long: the connection is dead. */
  idleMs?: number;
}

export interface Sent {
  manifest: Manifest;
  /** The receiver's digest of the manifest that it verified. */
  digest: string;
}

/** The receiver makes every file durable before it replies. */
const IDLE_MS = 60_000;
const accepted = z.object({ ok: z.literal(true), digest: z.string() });
const refused = z.object({
  ok: z.literal(false),
  code: z.string().regex(/^[A-Z][A-Za-z]{1,63}$/),
  message: z.string(),
});
const MAX_REPLY_BYTES = 64 * 1024;

/** @throws AgentError TransferFailed, or what the receiver says (ImageCorrupt, DiskFull, ...) */
export async function sendImages(options: SendOptions): Promise<Sent> {
  const { host, port } = splitAddress(options.address);
  const files = await readCertificates(options.certificateDir);
  const request = https.request({
    ...files,
    host,
    port,
    method: 'PUT',
    path: `/v1/images/${options.id}`,
    servername: SERVER_NAME,
    minVersion: 'TLSv1.3',
    agent: false,
    headers: { 'content-type': 'application/x-tar' },
    ...(options.signal ? { signal: options.signal } : {}),
  });
  request.setTimeout(options.idleMs ?? IDLE_MS, () =>
    request.destroy(new AgentError('TransferFailed', 'the other agent takes no more bytes')),
  );
  const reply = readReply(request);
  // A refusal makes the sending fail too; whichever comes first must not leave the other one unhandled.
  reply.catch(() => undefined);
  const pack = tar.pack();
  const piping = pipeline(pack, request);
  piping.catch(() => undefined);
  const packing = packImages(options.dir, options.manifest, pack);
  packing.catch((error: unknown) => {
    if (error instanceof AgentError) request.destroy(error);
  });
  try {
    const manifest = await Promise.race([packing, reply.then(() => packing)]);
    await piping;
    const answer = await reply;
    return { manifest, digest: answer.digest };
  } catch (error) {
    pack.destroy();
    const told = await refusalOf(reply, error);
    request.destroy();
    throw told;
  }
}

/** The receiver's own reason explains more than a broken pipe does: wait a moment for it. */
async function refusalOf(reply: Promise<unknown>, error: unknown): Promise<unknown> {
  if (error instanceof AgentError) return error;
  const late = new Promise((resolve) => setTimeout(resolve, 1000, undefined).unref());
  const told: unknown = await Promise.race([reply.catch((cause: unknown) => cause), late]);
  if (told instanceof AgentError) return told;
  const message = error instanceof Error ? error.message : String(error);
  return new AgentError('TransferFailed', `cannot send the images: ${message}`, { cause: error });
}

function readReply(request: ReturnType<typeof https.request>): Promise<{ digest: string }> {
  return new Promise((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (text.length < MAX_REPLY_BYTES) text += chunk;
      });
      response.once('error', reject);
      response.once('end', () => {
        try {
          resolve(parseReply(text));
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  });
}

function parseReply(text: string): { digest: string } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new AgentError('TransferFailed', 'the other agent answered no JSON', { cause });
  }
  const good = accepted.safeParse(json);
  if (good.success) return good.data;
  const bad = refused.safeParse(json);
  if (!bad.success) throw new AgentError('TransferFailed', 'the other agent answered nonsense');
  throw new AgentError(bad.data.code as AgentCode, bad.data.message);
}

/** `host:port`, IPv6 hosts in brackets. @throws AgentError BadRequest */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-f:]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (!host || port < 1 || port > 65535) {
    throw new AgentError('BadRequest', `not an agent's address: ${address}`);
  }
  return { host, port };
}
