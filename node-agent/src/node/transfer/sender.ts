// SPDX-License-Identifier: Apache-2.0
// Streams images to another agent over TLS and waits until that agent has verified it. The reconcilers of
// source and image sender call it.
import https from 'node:https';
import type { TLSSocket } from 'node:tls';
import { z } from 'zod';
import { agentDnsName } from '../../../../crds/src/index.ts';
import { AgentError, type AgentCode } from '../../support/errors.ts';
import type { Manifest, ManifestHeader } from './manifest.ts';
import type { ImageFiles } from './image-files.ts';
import { packImages } from './image-stream.ts';
import { paced } from './pace.ts';
import { sinkOf } from './request-sink.ts';
import { CIPHERS, readCertificates, splitAddress } from './tls.ts';
import type { Destination } from './warm-connections.ts';

/** What to send, and to whom. */
export interface SendOptions extends Destination {
  /** Directory of the images on the other node. */
  id: string;
  images: ImageFiles;
  /** A header if the images were not sealed: their digests are computed on the way. */
  manifest: ManifestHeader | Manifest;
  /** Called with the manifest's digest before the images are whole on the other node. */
  sealed?: (digest: string) => Promise<void>;
  /** At most; undefined: as fast as it goes. */
  bytesPerSecond?: number | undefined;
  /** Ends the transfer. */
  signal?: AbortSignal;
  /** A connection that takes no byte for that long is dead. */
  idleMs?: number;
  /** A connection to that agent; absent: a new one is made. */
  connection?: TLSSocket | undefined;
}

/** A transfer that succeeded. */
export interface Sent {
  manifest: Manifest;
  /** Digest of the manifest, which the receiver has verified too. */
  digest: string;
}

/** Long enough for a receiver whose disk is slow. */
const IDLE_MS = 60_000;
const accepted = z.object({ ok: z.literal(true), digest: z.string() });
const refused = z.object({
  ok: z.literal(false),
  code: z.string().regex(/^[A-Z][A-Za-z]{1,63}$/),
  message: z.string(),
});
const MAX_REPLY_BYTES = 64 * 1024;

/**
 * Sends `PUT /v1/images/<id>` with a tar stream.
 * @throws AgentError CertificateMissing, BadRequest for an address, TransferFailed, or the receiver's code (ImageCorrupt,
 * ImageTruncated, ImageVersion, UnexpectedImages, DiskFull)
 */
export async function sendImages(options: SendOptions): Promise<Sent> {
  const { connection } = options;
  connection?.ref();
  const { host, port } = splitAddress(options.address);
  const files = await readCertificates(options.certificateDir);
  const request = https.request({
    ...files,
    host,
    port,
    method: 'PUT',
    path: `/v1/images/${options.id}`,
    servername: agentDnsName(options.node),
    ...CIPHERS,
    agent: false,
    ...(connection && { createConnection: () => connection }),
    headers: { 'content-type': 'application/x-tar' },
    ...(options.signal ? { signal: options.signal } : {}),
  });
  request.setTimeout(options.idleMs ?? IDLE_MS, () =>
    request.destroy(
      new AgentError(
        'TransferFailed',
        "The target node's agent takes no more bytes. See its logs and the network between the nodes.",
      ),
    ),
  );
  const reply = readReply(request);
  // A refusal fails the sending too. Neither rejection may stay unhandled.
  reply.catch(() => undefined);
  let packed: string | undefined;
  const { bytesPerSecond } = options;
  const whole = sinkOf(request);
  const sink = bytesPerSecond === undefined ? whole : paced(whole, bytesPerSecond);
  const packing = packImages(options.images, options.manifest, sink, async (digest) => {
    packed = digest;
    await options.sealed?.(digest);
  });
  packing.catch((error: unknown) => {
    if (error instanceof AgentError) request.destroy(error);
  });
  try {
    const manifest = await Promise.race([packing, reply.then(() => packing)]);
    request.end();
    const { digest } = await reply;
    // The target's agent restores what has this digest, and no other images.
    if (digest !== packed) {
      throw new AgentError(
        'TransferFailed',
        'The target node’s agent has verified other images than this agent has sent.',
      );
    }
    return { manifest, digest };
  } catch (error) {
    const cause = await refusalOf(reply, error);
    request.destroy();
    throw cause;
  }
}

/** The receiver's error says more than a broken pipe: waits up to a second for it. */
async function refusalOf(reply: Promise<unknown>, error: unknown): Promise<unknown> {
  if (error instanceof AgentError) return error;
  const late = new Promise((resolve) => setTimeout(resolve, 1000, undefined).unref());
  const refusal: unknown = await Promise.race([reply.catch((cause: unknown) => cause), late]);
  if (refusal instanceof AgentError) return refusal;
  const message = error instanceof Error ? error.message : String(error);
  return new AgentError(
    'TransferFailed',
    `The agent cannot send the images to the target node's agent: ${message}. See the network between the nodes.`,
    {
      cause: error,
    },
  );
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
    throw new AgentError(
      'TransferFailed',
      "The target node's agent has answered with something that is not JSON. Check that both nodes have the same version of Sealift.",
      { cause },
    );
  }
  const acceptance = accepted.safeParse(json);
  if (acceptance.success) return acceptance.data;
  const refusal = refused.safeParse(json);
  if (!refusal.success)
    throw new AgentError(
      'TransferFailed',
      "The target node's agent has answered with an unknown reply. Check that both nodes have the same version of Sealift.",
    );
  throw new AgentError(refusal.data.code as AgentCode, refusal.data.message);
}
