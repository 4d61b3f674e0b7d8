// SPDX-License-Identifier: Apache-2.0
// Which addresses a pod that is restored from a checkpoint asks for. The checkpointed pod may still run with the old
// ones: under its own name or, once moved, under another. Pure.
import { isIP } from 'node:net';
import { annotations, RUNTIME_CLASS, type Addresses } from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';
import {
  attachedTo,
  canonical,
  parseNetworks,
  subnets,
  withPrefix,
  type NetworkSelection,
} from './networks.ts';
import type { Refusal } from '../refusal.ts';
import { unrecordedIpam } from './ipam.ts';
import { rdmaDevice } from '../target-pod/manifest.ts';

/** From `<namespace>/<network> <ip or mac>` to `<namespace>/<pod>`. */
export type AddressOwners = ReadonlyMap<string, string>;

export interface AddressQuestion {
  /** The checkpointed pod's annotations; its networks name the addresses that it had. */
  readonly source: Readonly<Record<string, string>>;
  /** The new pod's. */
  readonly namespace: string;
  /** spec.addresses */
  readonly wanted: readonly Addresses[];
  readonly owners: AddressOwners;
  /** A NetworkAttachmentDefinition's `spec.config`, by `namespace/name`. */
  readonly configs: ReadonlyMap<string, string>;
}

/**
 * @returns the value of the new pod's networks annotation (undefined: it has no further networks), or
 * why it cannot have the addresses that it needs.
 */
export function planAddresses(question: AddressQuestion): { networks?: string } | Refusal {
  const { source, namespace, configs } = question;
  const remaining = [...question.wanted];
  const pairs = parseNetworks(source[annotations.networks]).map((selection) => {
    const network = `${selection.namespace ?? namespace}/${selection.name}`;
    const index = remaining.findIndex((one) => qualified(one.network, namespace) === network);
    const [own] = index < 0 ? [] : remaining.splice(index, 1);
    return { selection, network, own };
  });
  const [unmatched] = remaining;
  if (unmatched) {
    return {
      reason: 'BadAddress',
      message: `spec.addresses names network ${unmatched.network} more often than the checkpointed pod was attached to it. Name it once for each of that pod's interfaces.`,
    };
  }
  const out: NetworkSelection[] = [];
  for (const { selection, network, own } of pairs) {
    const next = own
      ? replaced(selection, own, configs.get(network))
      : { selection: kept(selection, network, question) };
    if ('reason' in next) return next;
    const owner = ownerOf(next.selection, network, question.owners);
    if (owner) return inUse(network, owner.address, owner.pod);
    out.push(next.selection);
  }
  return out.length > 0 ? { networks: JSON.stringify(out) } : {};
}

function replaced(
  selection: NetworkSelection,
  own: Addresses,
  config: string | undefined,
): { selection: NetworkSelection } | Refusal {
  const bad = own.ips.find((ip) => !isAddress(ip));
  if (bad !== undefined) {
    return {
      reason: 'BadAddress',
      message: `spec.addresses: ${bad} is not an IP address. Write an IPv4 or IPv6 address, with or without a prefix length.`,
    };
  }
  const { ips, mac: _mac, ...rest } = selection;
  const prefixes = [...(ips ?? []), ...subnets(config)];
  const full = own.ips.map((ip) => withPrefix(ip, prefixes));
  const ipam = full.length > 0 ? unrecordedIpam(config) : undefined;
  if (ipam !== undefined) {
    return {
      reason: 'BadAddress',
      message: `spec.addresses: network ${own.network} has its addresses from IPAM ${ipam}, which would give ${full.join(' and ')} to another pod too. Leave the network out of spec.addresses.`,
    };
  }
  const bare = full.find((ip) => !ip.includes('/'));
  if (bare !== undefined && !assignsAddresses(config)) {
    return {
      reason: 'BadAddress',
      message: `spec.addresses: write ${bare} with a prefix length; the configuration of network ${own.network} has none for it.`,
    };
  }
  const mac = own.mac === undefined ? {} : { mac: own.mac };
  return { selection: { ...rest, ips: full, ...mac } };
}

/**
 * The old addresses, unless the network's IPAM can assign others and another pod owns them, or may get them: an IPAM that
 * does not record them.
 */
function kept(
  selection: NetworkSelection,
  network: string,
  { owners, configs }: AddressQuestion,
): NetworkSelection {
  const config = configs.get(network);
  const mayClash = ownerOf(selection, network, owners) ?? unrecordedIpam(config);
  if (mayClash === undefined || !assignsAddresses(config)) return selection;
  const { ips: _ips, mac: _mac, ...rest } = selection;
  return rest;
}

function ownerOf(
  selection: NetworkSelection,
  network: string,
  owners: AddressOwners,
): { address: string; pod: string } | undefined {
  const { ips = [], mac } = selection;
  for (const address of [...ips, ...(mac === undefined ? [] : [mac])]) {
    const pod = owners.get(`${network} ${canonical(address)}`);
    if (pod !== undefined) return { address: address.replace(/\/.*/, ''), pod };
  }
  return undefined;
}

function inUse(network: string, address: string, pod: string): Refusal {
  return {
    reason: 'AddressInUse',
    message: `${address} on network ${network} belongs to pod ${pod}; delete that pod, or give the new one another address in spec.addresses.`,
  };
}

/** Whether a network's IPAM assigns addresses by itself. One that cannot be read does not. */
function assignsAddresses(config: string | undefined): boolean {
  if (config === undefined) return false;
  let found = false;
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      const type = key === 'ipam' && (value as { type?: unknown } | null)?.type;
      if (typeof type === 'string' && type !== '' && type !== 'static') found = true;
      walk(value);
    }
  };
  try {
    walk(JSON.parse(config));
  } catch {
    return false;
  }
  return found;
}

const hasEnded = ({ status }: Pod): boolean =>
  status.phase === 'Succeeded' || status.phase === 'Failed';

/**
 * Names of the RDMA devices of all pods. The kernel allows a name once per node, whatever the network namespace. Pods
 * move, so a copy of a pod needs a name of its own.
 */
export function devicesOf(pods: readonly Pod[], exceptUid: string): Set<string> {
  const own = pods.filter(
    (pod) =>
      pod.spec.runtimeClassName === RUNTIME_CLASS &&
      pod.metadata.annotations[annotations.requestUid] !== exceptUid &&
      !hasEnded(pod),
  );
  return new Set(own.map((pod) => rdmaDevice(pod)));
}

/** Addresses that pods own, or have asked for, on their further networks. Pods that have ended own none. */
export function addressOwners(pods: readonly Pod[], exceptUid: string): Map<string, string> {
  const out = new Map<string, string>();
  for (const pod of pods) {
    const { metadata } = pod;
    if (hasEnded(pod) || metadata.annotations[annotations.requestUid] === exceptUid) continue;
    const name = `${metadata.namespace}/${metadata.name}`;
    for (const { network, addresses } of attachedTo(metadata.annotations, metadata.namespace)) {
      for (const address of addresses) out.set(`${network} ${canonical(address)}`, name);
    }
  }
  return out;
}

const qualified = (name: string, namespace: string): string =>
  name.includes('/') ? name : `${namespace}/${name}`;

function isAddress(text: string): boolean {
  const [ip = '', bits, ...more] = text.split('/');
  const family = isIP(ip);
  if (family === 0 || more.length > 0) return false;
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
  );
}
