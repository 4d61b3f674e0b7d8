// SPDX-License-Identifier: Apache-2.0
// The manifest of a checkpoint: what it was made of and with, and every file with size and SHA-256. It is the last entry
// of a transfer, and manifest.json beside stored images. The agent trusts images only after every byte has matched.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { AgentError } from '../../support/errors.ts';

/** 2: the emptyDir volumes are in `volumes.d`. */
export const MANIFEST_VERSION = 2;
/** 3: a container has the device of the RDMA connection manager. An agent that does not know it could not restore the container. */
export const RDMA_CM_VERSION = 3;
const versions = [MANIFEST_VERSION, RDMA_CM_VERSION] as const;
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
  /** Whether it has the device of the RDMA connection manager. Absent: it has not. */
  rdmaCm: z.boolean().optional(),
});

export const manifest = z.object({
  version: z.literal(versions),
  id: z.string().min(1).max(128),
  createdAt: z.string(),
  /** The CheckpointRequest that owns stored images, for people who find them on a disk. */
  owner: z
    .object({ kind: z.string(), namespace: z.string(), name: z.string(), uid: z.string() })
    .optional(),
  /** Versions that made the images. The driver's ABI decides whether a node can restore them. */
  versions: z.object({
    sealift: z.string(),
    driverAbi: z.string().optional(),
    /** Of the node that the programs ran on: crds/src/cpu-features.ts. */
    cpuFeatures: z.string().optional(),
    kernel: z.string(),
    criu: z.string().optional(),
  }),
  /** Name of the pod's RDMA device. */
  rdmaDevice: z.string().optional(),
  containers: z.array(manifestContainer).min(1),
  /**
   * Addresses that the target does not have and that CRIU needs: of closed TCP sockets, and of connections, which are restored and
   * reset before a task runs.
   */
  resets: z
    .array(z.union([z.ipv4(), z.ipv6()]))
    .max(16)
    .optional(),
  /** Names of the pod's emptyDir volumes. */
  volumes: z.array(z.string()),
  identity,
  /** Sizes of memory pages, records of verbs objects and files. */
  bytes: z.object({
    pages: z.number().int().nonnegative(),
    verbs: z.number().int().nonnegative(),
    rootfs: z.number().int().nonnegative(),
  }),
  objects: z.object({
    qp: z.number().int().nonnegative(),
    cq: z.number().int().nonnegative(),
    mr: z.number().int().nonnegative(),
    // Manifests of checkpoints from before these could be moved lack them.
    srq: z.number().int().nonnegative().optional(),
    ah: z.number().int().nonnegative().optional(),
  }),
  files: z.array(manifestFile),
});
export type Manifest = z.infer<typeof manifest>;
/** A manifest without its files, which sealing or sending adds. */
export type ManifestHeader = Omit<Manifest, 'files'>;

/** Whether a path of an archive stays inside the directory that it is unpacked to. Pure. */
export function isInside(path: string): boolean {
  if (path.startsWith('/') || path.includes('\0')) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** Parses and checks a manifest. Pure. @throws AgentError ImageVersion, ImageCorrupt */
export function parseManifest(text: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new AgentError('ImageCorrupt', 'The manifest of the images is not JSON.', { cause });
  }
  const version = z.looseObject({ version: z.unknown() }).safeParse(json);
  if (version.success && !(versions as readonly unknown[]).includes(version.data.version)) {
    throw new AgentError(
      'ImageVersion',
      `The images have format version ${String(version.data.version)}, this agent reads versions ${versions.join(' and ')}.`,
    );
  }
  const parsed = manifest.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new AgentError(
    'ImageCorrupt',
    `The manifest of the images is damaged: ${z.prettifyError(parsed.error)}.`,
  );
}

/** The canonical text of a manifest, whatever order its fields were read in. Its digest identifies the checkpoint. Pure. */
export function formatManifest(content: Manifest): string {
  // The schema puts fields in its own order.
  const ordered = manifest.parse(content);
  const files = ordered.files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return `${JSON.stringify({ ...ordered, files }, null, 1)}\n`;
}

/** `sha256:<hex>` of a manifest's canonical text. Pure. */
export function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/**
 * Compares the files that are there with those of the manifest. Pure.
 * @throws AgentError ImageTruncated for a missing or short file; ImageCorrupt for one too many, too long or altered
 */
export function verifyFiles(
  expected: readonly ManifestFile[],
  actual: readonly ManifestFile[],
): void {
  const left = new Map(actual.map((file) => [file.path, file]));
  if (left.size !== actual.length) {
    throw new AgentError('ImageCorrupt', 'A file of the images came twice.');
  }
  for (const file of expected) {
    const found = left.get(file.path);
    if (!found || found.size < file.size) {
      throw new AgentError(
        'ImageTruncated',
        `Image ${file.path} has ${found?.size ?? 0} of ${file.size} bytes.`,
      );
    }
    if (found.size !== file.size || found.sha256 !== file.sha256) {
      throw new AgentError(
        'ImageCorrupt',
        `Image ${file.path} is not what the source wrote: its SHA-256 differs.`,
      );
    }
    left.delete(file.path);
  }
  const [extra] = left.keys();
  if (extra !== undefined) {
    throw new AgentError('ImageCorrupt', `Image ${extra} is not in the manifest.`);
  }
}
