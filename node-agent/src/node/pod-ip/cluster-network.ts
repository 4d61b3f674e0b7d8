// SPDX-License-Identifier: Apache-2.0
// The cluster's own network on this node: the plugins that make a pod's first interface, as Multus would run them (CNI
// specification 1.0, network configuration format; Multus' `delegates` and `clusterNetwork`).
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { namesIn } from '../../support/optional-file.ts';
import type { Host } from '../host/host.ts';

const CONF_DIR = '/etc/cni/net.d';

const plugin = z.looseObject({ type: z.string().min(1) });
export type PluginConf = z.infer<typeof plugin>;

/** A single plugin's configuration, or a list of them. */
const configuration = z.looseObject({
  cniVersion: z.string().default('0.3.1'),
  name: z.string().default(''),
  type: z.string().optional(),
  plugins: z.array(plugin).optional(),
  delegates: z.array(z.looseObject({})).optional(),
  clusterNetwork: z.string().optional(),
});
type Configuration = z.infer<typeof configuration>;

export interface ClusterNetwork {
  readonly cniVersion: string;
  /** IPAM keeps its records under this name. */
  readonly name: string;
  /** In the order in which they run. */
  readonly plugins: readonly [PluginConf, ...PluginConf[]];
}

/** Undefined where the runtime does not call Multus, or what Multus would call cannot be told from the files. */
export async function readClusterNetwork(host: Host): Promise<ClusterNetwork | undefined> {
  const files = await configurations(host);
  const [first] = files;
  if (!first || !isMultus(first.content)) return undefined;
  const { delegates, clusterNetwork } = first.content;
  const delegate = delegates?.[0] && configuration.safeParse(delegates[0]).data;
  if (delegate) return networkIn(delegate);
  // Thick Multus names none if it is to take the next file.
  const others = files.filter(({ content }) => !isMultus(content));
  const named = others.find(
    ({ file, content }) =>
      clusterNetwork !== undefined &&
      (basename(clusterNetwork) === file || clusterNetwork === content.name),
  );
  const chosen = clusterNetwork === undefined ? others[0] : named;
  return chosen && networkIn(chosen.content);
}

/** The node's network configurations in the order in which a runtime reads them: it takes the first. */
async function configurations(host: Host): Promise<{ file: string; content: Configuration }[]> {
  const dir = host.path(CONF_DIR);
  const names = (await namesIn(dir)).filter((one) => /\.(conf|conflist|json)$/.test(one)).sort();
  const found: { file: string; content: Configuration }[] = [];
  for (const file of names) {
    const content = parse(await readFile(join(dir, file), 'utf8'));
    if (content) found.push({ file, content });
  }
  return found;
}

function parse(text: string): Configuration | undefined {
  try {
    return configuration.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** `multus-shim` is the thick plugin's. */
const isMultus = ({ type, plugins }: Configuration): boolean =>
  [type, ...(plugins ?? []).map((one) => one.type)].some((one) =>
    /^multus(-shim)?$/.test(one ?? ''),
  );

function networkIn(content: Configuration): ClusterNetwork | undefined {
  const { cniVersion, name, plugins, type } = content;
  const single = type === undefined ? undefined : plugin.safeParse(content).data;
  const [first, ...rest] = plugins ?? (single ? [single] : []);
  if (!first || name === '') return undefined;
  return { cniVersion, name, plugins: [first, ...rest] };
}
