// SPDX-License-Identifier: Apache-2.0
// What the agent reads from and changes in the config.json of a container's OCI bundle (OCI runtime specification,
// config.md and config-linux.md). Fields that the agent does not know stay as they are, to the last digit.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { annotations } from '../../../../crds/src/index.ts';
import { AgentError } from '../../support/errors.ts';
import { parseLossless } from './lossless-json.ts';

/** Directory of the devices' nodes on a disk: the same path on the host and in the agent's container. */
export const DEVICE_DIR = '/var/lib/sealift/dev';

const mount = z.looseObject({
  destination: z.string(),
  source: z.string().optional(),
  type: z.string().optional(),
  options: z.array(z.string()).optional(),
});
const deviceRule = z.looseObject({
  allow: z.boolean(),
  type: z.string().optional(),
  major: z.number().optional(),
  minor: z.number().optional(),
  access: z.string().optional(),
});
const spec = z.looseObject({
  annotations: z.record(z.string(), z.string()).default({}),
  mounts: z.array(mount).default([]),
  root: z.looseObject({ path: z.string() }).optional(),
  linux: z.looseObject({
    namespaces: z
      .array(z.looseObject({ type: z.string(), path: z.string().optional() }))
      .default([]),
    resources: z.looseObject({ devices: z.array(deviceRule).default([]) }).default({ devices: [] }),
    maskedPaths: z.array(z.string()).optional(),
    readonlyPaths: z.array(z.string()).optional(),
  }),
});
export type OciSpec = z.infer<typeof spec>;

/** A character device as the node has it. */
export interface DeviceNode {
  /** Path on the node, `/var/lib/sealift/dev/uverbs3`. */
  hostPath: string;
  major: number;
  minor: number;
}

/** @throws AgentError BadBundle */
export function parseSpec(text: string): OciSpec {
  let json: unknown;
  try {
    json = parseLossless(text);
  } catch (cause) {
    throw new AgentError('BadBundle', 'The config.json of the bundle is not JSON.', { cause });
  }
  const parsed = spec.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new AgentError(
    'BadBundle',
    `The config.json of the bundle is not valid: ${z.prettifyError(parsed.error)}.`,
  );
}

/** @param bundle directory, as the agent sees it. @throws AgentError BadBundle; ENOENT */
export async function readSpec(bundle: string): Promise<OciSpec> {
  return parseSpec(await readFile(join(bundle, 'config.json'), 'utf8'));
}

/** Replaces config.json by rename, because runc reads it right after. @param bundle directory, as the agent sees it */
export async function writeSpec(bundle: string, content: OciSpec): Promise<void> {
  const file = join(bundle, 'config.json');
  await writeFile(`${file}.sealift`, JSON.stringify(content));
  await rename(`${file}.sealift`, file);
}

/** Where a container has the device of the RDMA connection manager. */
export const RDMA_CM = '/dev/infiniband/rdma_cm';

/**
 * Adds a device to the container's mounts and its device cgroup rules. It is a bind mount rather than a device of
 * `linux.devices`: its name may be that of another minor, and CRIU treats it as an external mount. Pure, and applying it
 * twice changes nothing more.
 * @param inContainer path in the container, which stays the same on every node that the pod runs on
 */
export function withDevice(content: OciSpec, node: DeviceNode, inContainer: string): OciSpec {
  const { type, major, minor } = { type: 'c', major: node.major, minor: node.minor };
  const rules = content.linux.resources.devices.filter(
    (rule) => !(rule.type === type && rule.major === major && rule.minor === minor),
  );
  const mounts = content.mounts.filter((one) => one.destination !== inContainer);
  return {
    ...content,
    mounts: [
      ...mounts,
      {
        destination: inContainer,
        source: node.hostPath,
        type: 'bind',
        options: ['bind', 'nosuid', 'noexec', 'rw'],
      },
    ],
    linux: {
      ...content.linux,
      resources: {
        ...content.linux.resources,
        devices: [...rules, { allow: true, type, major, minor, access: 'rwm' }],
      },
    },
  };
}

/**
 * Path in the container of the uverbs node that `withDevice` has added; undefined without one. The mount is part of
 * CRIU's images whether or not a process has the node open, and CRIU expects it at the same path.
 */
export function uverbsPath(content: OciSpec): string | undefined {
  return content.mounts.find((one) => one.source?.startsWith(`${DEVICE_DIR}/uverbs`))?.destination;
}

/** Whether `withDevice` has added the device of the RDMA connection manager. Its mount is part of CRIU's images too. */
export function hasRdmaCm(content: OciSpec): boolean {
  return content.mounts.some((one) => one.source?.startsWith(`${DEVICE_DIR}/rdma_cm`));
}

/** Whether the pod asks for that device. @throws AgentError BadAnnotation */
export function wantsRdmaCm(content: OciSpec): boolean {
  const { [annotations.rdmaCm]: wanted = 'false' } = content.annotations;
  if (wanted === 'true' || wanted === 'false') return wanted === 'true';
  throw new AgentError(
    'BadAnnotation',
    `The pod's annotation ${annotations.rdmaCm} is ${JSON.stringify(wanted)}. Make the pod anew with "true", or without it.`,
  );
}

/**
 * Environment in which the CRIU plugin covers the paths that the container must not read or write: CRIU restores the
 * mounts that the source had, and this node's kernel may have other files in /proc and /sys.
 * @throws AgentError BadBundle for a path with a line feed, which separates them
 */
export function coverEnvironment({ linux }: OciSpec): Record<string, string> {
  const lists = {
    SEALIFT_MASKED_PATHS: linux.maskedPaths ?? [],
    SEALIFT_READONLY_PATHS: linux.readonlyPaths ?? [],
  };
  const set = Object.entries(lists).filter(([, paths]) => paths.length > 0);
  const bad = set.flatMap(([, paths]) => paths).find((path) => path.includes('\n'));
  if (bad !== undefined) {
    throw new AgentError(
      'BadBundle',
      `The bundle masks ${JSON.stringify(bad)}, a path with a line feed.`,
    );
  }
  return Object.fromEntries(set.map(([name, paths]) => [name, paths.join('\n')]));
}

/** Path on the host of the network namespace that the container joins; undefined if it joins none. */
export function networkNamespace(content: OciSpec): string | undefined {
  return content.linux.namespaces.find((one) => one.type === 'network')?.path;
}
