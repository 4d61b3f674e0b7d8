// SPDX-License-Identifier: Apache-2.0
// The list of a checkpoint's files: last entry of a transfer, and manifest.json beside kept images.
// An image is trusted only after every byte of it has matched its digest here.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { AgentError } from '../../support/errors.ts';

export const MANIFEST_VERSION = 1;
export const MANIFEST_NAME = 'manifest.json';

const relativePath = z
  .string()
  .min(1)
  .max(1024)
  .refine((path) => isInside(path), { message: 'must be a relative path without . or ..' });

export const manifestFile = z.object({
  path: relativePath,
  size: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type ManifestFile = z.infer<typeof manifestFile>;

const numbers = z.array(z.number().int().nonnegative());
export const identity = z.object({
  qpns: numbers.default([]),
  lkeys: numbers.default([]),
  rkeys: numbers.default([]),
  gids: z.array(z.string()).default([]),
  ips: z.array(z.string()).default([]),
  macs: z.array(z.string()).default([]),
});
export type ManifestIdentity = z.infer<typeof identity>;

export const manifestContainer = z.object({
  name: z.string().min(1).max(253),
  /** Path of the uverbs node inside the container, if it has one. */
  uverbs: z.string().startsWith('/').optional(),
});

export const manifest = z.object({
  version: z.literal(MANIFEST_VERSION),
  id: z.string().min(1).max(128),
  createdAt: z.string(),
  /** Whose they are, where they are kept on purpose: for people who find them on a disk. */
  owner: z
    .object({ kind: z.string(), namespace: z.string(), name: z.string(), uid: z.string() })
    .optional(),
  /** What the images were made with; the driver's ABI decides whether a node can restore them. */
  versions: z.object({
    sealift: z.string(),
    driverAbi: z.string().optional(),
    kernel: z.string(),
    criu: z.string().optional(),
  }),
  rdmaDevice: z.string().optional(),
  containers: z.array(manifestContainer).min(1),
  /** Names of the pod's memory or disk volumes that travel, and whether /dev/shm does. */
  volumes: z.array(z.string()),
  identity,
  bytes: z.object({
    pages: z.number().int().nonnegative(),
    verbs: z.number().int().nonnegative(),
    rootfs: z.number().int().nonnegative(),
  }),
  objects: z.object({
    qp: z.number().int().nonnegative(),
    cq: z.number().int().nonnegative(),
    mr: z.number().int().nonnegative(),
  }),
  files: z.array(manifestFile),
});
export type Manifest = z.infer<typeof manifest>;
/** Everything but the files, which the transfer itself fills in. */
export type ManifestHeader = Omit<Manifest, 'files'>;

/** Whether a path, taken from an archive, stays inside the folder that it is unpacked to. */
export function isInside(path: string): boolean {
  if (path.startsWith('/') || path.includes('\0') || path.includes('\\')) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** @throws AgentError ImageVersion, ImageCorrupt */
export function parseManifest(text: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new AgentError('ImageCorrupt', 'the manifest is not JSON: checkpoint again', { cause });
  }
  const version = z.looseObject({ version: z.unknown() }).safeParse(json);
  if (version.success && version.data.version !== MANIFEST_VERSION) {
    throw new AgentError(
      'ImageVersion',
      `the images are of version ${String(version.data.version)}, this agent reads ${MANIFEST_VERSION}: ` +
        'checkpoint again with the Sealift that is installed now',
    );
  }
  const parsed = manifest.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new AgentError('ImageCorrupt', `the manifest is damaged: ${z.prettifyError(parsed.error)}`);
}

/** The one text of a manifest, whoever writes it and from whatever it was read; its digest names the checkpoint. */
export function formatManifest(content: Manifest): string {
  // The schema puts fields in its own order.
  const ordered = manifest.parse(content);
  const files = ordered.files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return `${JSON.stringify({ ...ordered, files }, null, 1)}\n`;
}

/** `sha256:<hex>` of the manifest's text. */
export function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/**
 * Compares what arrived with what the manifest promises.
 * @throws AgentError ImageTruncated (missing or short), ImageCorrupt (too many, too long, other content)
 */
export function verifyFiles(promised: readonly ManifestFile[], got: readonly ManifestFile[]): void {
  const arrived = new Map(got.map((file) => [file.path, file]));
  if (arrived.size !== got.length) {
    throw new AgentError('ImageCorrupt', 'a file of the images came twice');
  }
  for (const file of promised) {
    const found = arrived.get(file.path);
    if (!found || found.size < file.size) {
      throw new AgentError(
        'ImageTruncated',
        `${file.path} has ${found?.size ?? 0} of ${file.size} bytes: checkpoint again`,
      );
    }
    if (found.size !== file.size || found.sha256 !== file.sha256) {
      throw new AgentError(
        'ImageCorrupt',
        `${file.path} is not what the source wrote (SHA-256 differs): checkpoint again`,
      );
    }
    arrived.delete(file.path);
  }
  const [extra] = arrived.keys();
  if (extra !== undefined) {
    throw new AgentError('ImageCorrupt', `${extra} is not in the manifest`);
  }
}
