// SPDX-License-Identifier: Apache-2.0
// What the agent reads from and changes in a container's OCI bundle (config.json).
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { AgentError } from '../../support/errors.ts';

/** Device nodes on a disk: the same folder on the host and in the agent's container. */
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
  }),
});
export type OciSpec = z.infer<typeof spec>;

/** A uverbs character device as the node has it. */
export interface UverbsNode {
  /** Path on the node, `/dev/infiniband/uverbs3`. */
  hostPath: string;
  major: number;
  minor: number;
}

/** @throws AgentError BadBundle */
export function parseSpec(text: string): OciSpec {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new AgentError('BadBundle', 'config.json of the bundle is not JSON', { cause });
  }
  const parsed = spec.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new AgentError('BadBundle', `config.json of the bundle: ${z.prettifyError(parsed.error)}`);
}

export async function readSpec(bundle: string): Promise<OciSpec> {
  return parseSpec(await readFile(join(bundle, 'config.json'), 'utf8'));
}

/** The runtime reads config.json right after: replaced whole, never seen half-written. */
export async function writeSpec(bundle: string, content: OciSpec): Promise<void> {
  const file = join(bundle, 'config.json');
  await writeFile(`${file}.sealift`, JSON.stringify(content));
  await rename(`${file}.sealift`, file);
}

/**
 * Gives the container its own uverbs node under the name `inContainer`, which stays the same on every node
 * that the pod ever runs on. A bind mount rather than a device node: it can carry another minor's name, and
 * CRIU treats it as an external mount. Pure; applying it twice changes nothing more.
 */
export function withUverbs(content: OciSpec, node: UverbsNode, inContainer: string): OciSpec {
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
 * The name in the container of the uverbs node that `withUverbs` has given it, open or not: the mount is part of
 * the images either way, and CRIU asks for one of the same name. Undefined: it has none.
 */
export function uverbsPath(content: OciSpec): string | undefined {
  return content.mounts.find((one) => one.source?.startsWith(`${DEVICE_DIR}/`))?.destination;
}

/** The network namespace that the container joins, if it joins one. */
export function networkNamespace(content: OciSpec): string | undefined {
  return content.linux.namespaces.find((one) => one.type === 'network')?.path;
}
