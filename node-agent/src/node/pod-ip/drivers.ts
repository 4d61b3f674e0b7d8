// SPDX-License-Identifier: Apache-2.0
// What Sealift has to know of a CNI plugin in order that a moved pod keeps its address: one driver each (docs/pod-ip.md
// has the table for users). A plugin without a driver gives a moved pod a new address.
import { isAbsolute, join } from 'node:path';
import { z } from 'zod';
import type { HostEnd } from '../../../../native/addon/index.ts';
import type { ClusterNetwork, PluginConf } from './cluster-network.ts';
import { familyOf } from './prefix.ts';

export interface PodIpDriver {
  /** The type of the plugin that makes the interface. */
  readonly type: string;
  /** Why addresses cannot be kept with this configuration; undefined: they can. */
  refusal(plugin: PluginConf): string | undefined;
  /** The node's interface behind which a pod of this node is. */
  nodeInterface(end: HostEnd): string;
  /** The node's interface on which pods look for each other's addresses, if pods of one node share a link. */
  sharedLink(plugin: PluginConf): string | undefined;
}

const bridgeConf = z.looseObject({
  bridge: z.string().default('cni0'),
  isGateway: z.boolean().default(false),
  isDefaultGateway: z.boolean().default(false),
  ipMasq: z.boolean().default(false),
  vlan: z.number().default(0),
});

const masquerades =
  'ipMasq: the plugin would masquerade what the pod sends by the address that it gives, not by the one that is kept. ' +
  'Let a program of the node masquerade for all pods.';

const bridge: PodIpDriver = {
  type: 'bridge',
  refusal(plugin) {
    const conf = bridgeConf.safeParse(plugin).data;
    if (!conf) return 'The configuration cannot be read.';
    if (conf.ipMasq) return masquerades;
    if (conf.vlan !== 0) return 'A VLAN per pod keeps a pod from its gateway on another node.';
    if (conf.isGateway || conf.isDefaultGateway) return undefined;
    return 'The bridge has no address (isGateway), so the node routes nothing to its pods.';
  },
  nodeInterface: (end) => end.bridge ?? end.ifname,
  sharedLink: (plugin) => bridgeConf.safeParse(plugin).data?.bridge,
};

const ptp: PodIpDriver = {
  type: 'ptp',
  refusal: (plugin) => (plugin['ipMasq'] === true ? masquerades : undefined),
  nodeInterface: (end) => end.ifname,
  sharedLink: () => undefined,
};

export const drivers: readonly PodIpDriver[] = [bridge, ptp];

/** Plugins that do nothing by the address. */
const harmless = new Set(['portmap', 'tuning', 'bandwidth']);

/** The configuration of an IPAM of type host-local. */
export const hostLocal = z.looseObject({
  type: z.literal('host-local'),
  dataDir: z
    .string()
    .default('')
    .transform((dir) => (dir === '' ? '/var/lib/cni/networks' : dir))
    .refine(isAbsolute),
  subnet: z.string().optional(),
  ranges: z.array(z.array(z.looseObject({ subnet: z.string() }))).default([]),
});

/** Subnets whose addresses host-local gives to pods. */
export const subnetsOf = ({ subnet, ranges }: z.infer<typeof hostLocal>): string[] =>
  [subnet ?? [], ranges.flat().map((one) => one.subnet)].flat();

/** A network in which a moved pod keeps its address. */
export interface KeepingNetwork {
  readonly network: ClusterNetwork;
  readonly driver: PodIpDriver;
  /** Directory on the host in which IPAM (host-local) records who has an address: a file for each. */
  readonly recordsDir: string;
  /** Subnets whose addresses this node's IPAM gives to pods. */
  readonly subnets: readonly string[];
}

/** Families of the addresses that pods get; none where IPAM is told by somebody else. */
export const familiesOf = ({ subnets }: Pick<KeepingNetwork, 'subnets'>): string[] =>
  [...new Set(subnets.map((subnet) => `IPv${familyOf(subnet)}`))].sort();

/** The driver of a network, or a sentence why there is none. */
export function keepingNetwork(network: ClusterNetwork): KeepingNetwork | string {
  const [first, ...others] = network.plugins;
  const driver = drivers.find((one) => one.type === first.type);
  if (!driver) return `Sealift has no driver for CNI plugin ${first.type}.`;
  const ipam = hostLocal.safeParse(first['ipam']).data;
  if (!ipam) return `CNI plugin ${first.type} does not use host-local for its addresses.`;
  const unknown = others.find((one) => !harmless.has(one.type));
  if (unknown) return `CNI plugin ${unknown.type} may know the pod by its address.`;
  const refusal = driver.refusal(first);
  if (refusal !== undefined) return `CNI plugin ${first.type}: ${refusal}`;
  const recordsDir = join(ipam.dataDir, network.name);
  return { network, driver, recordsDir, subnets: subnetsOf(ipam) };
}
