// SPDX-License-Identifier: Apache-2.0
// Multus' annotations: what networks a pod is attached to, and a target's request for the same addresses. Pure.
import { isIP, BlockList } from 'node:net';
import { annotations } from '../../../crds/src/index.ts';

/** An element of k8s.v1.cni.cncf.io/networks. */
export interface NetworkSelection {
  readonly name: string;
  readonly namespace?: string;
  readonly interface?: string;
  readonly ips?: readonly string[];
  readonly mac?: string;
  readonly [other: string]: unknown;
}

interface NetworkStatus {
  readonly name?: string;
  readonly interface?: string;
  readonly ips?: readonly string[];
  readonly mac?: string;
  readonly default?: boolean;
}

export class NetworksError extends Error {
  override readonly name = 'NetworksError';
  readonly code = 'BadNetworksAnnotation';
}

/**
 * Reads both forms of the annotation: JSON, or `[namespace/]name[@interface]` separated by commas.
 * @throws NetworksError
 */
export function parseNetworks(text: string | undefined): NetworkSelection[] {
  const trimmed = (text ?? '').trim();
  if (trimmed === '') return [];
  if (trimmed.startsWith('[') || trimmed.startsWith('{')) {
    const parsed = parseJson(trimmed);
    const list = (Array.isArray(parsed) ? parsed : [parsed]) as NetworkSelection[];
    if (list.some((one) => typeof one?.name !== 'string')) {
      throw new NetworksError(
        `The annotation ${annotations.networks} has an element without a name. Create the pod with one that names every network.`,
      );
    }
    return list;
  }
  return trimmed.split(',').map((item) => {
    const match = /^(?:([^/@]+)\/)?([^/@]+)(?:@([^/@]+))?$/.exec(item.trim());
    if (!match)
      throw new NetworksError(
        `The annotation ${annotations.networks} cannot be read: ${item} is not [namespace/]name[@interface]. Create the pod with a valid one.`,
      );
    const [, namespace, name = '', iface] = match;
    return { name, ...(namespace ? { namespace } : {}), ...(iface ? { interface: iface } : {}) };
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new NetworksError(
      'A network annotation of the pod (k8s.v1.cni.cncf.io) is not valid JSON. Create the pod with a valid one.',
      { cause: error },
    );
  }
}

/**
 * @param namespace of the pod
 * @param config the NetworkAttachmentDefinition's `spec.config`, by `namespace/name`
 * @returns the value of the target's annotation, asking for the interface, addresses and MAC of the
 * source; undefined when the source has no further networks.
 * @throws NetworksError
 */
export function keepAddresses(
  source: Readonly<Record<string, string>>,
  namespace: string,
  config: ReadonlyMap<string, string>,
): string | undefined {
  const selections = parseNetworks(source[annotations.networks]);
  if (selections.length === 0) return undefined;
  const text = source[annotations.networkStatus];
  const states = text === undefined ? [] : (parseJson(text) as NetworkStatus[]);
  const free = states.filter((state) => state.default !== true);
  const wanted = selections.map((selection) => {
    const full = `${selection.namespace ?? namespace}/${selection.name}`;
    const index = free.findIndex(
      (state) =>
        state.name === full &&
        (selection.interface === undefined || state.interface === selection.interface),
    );
    // Each interface belongs to one selection: a pod may be attached to the same network twice.
    const [state] = index < 0 ? [] : free.splice(index, 1);
    if (!state) return selection;
    const prefixes = [...(selection.ips ?? []), ...subnets(config.get(full))];
    return {
      ...selection,
      namespace: selection.namespace ?? namespace,
      ...(state.interface ? { interface: state.interface } : {}),
      ...(state.ips?.length ? { ips: state.ips.map((ip) => withPrefix(ip, prefixes)) } : {}),
      ...(state.mac ? { mac: state.mac } : {}),
    };
  });
  return JSON.stringify(wanted);
}

/**
 * The addresses that a pod asks for and those that it has got, on each of its further networks.
 * @param podAnnotations of any pod; none are read from annotations that cannot be read
 */
export function attachedTo(
  podAnnotations: Readonly<Record<string, string>>,
  namespace: string,
): { network: string; addresses: string[] }[] {
  const addresses = ({ ips, mac }: NetworkSelection | NetworkStatus): string[] =>
    [ips, mac].flat().filter((one) => typeof one === 'string');
  const out: { network: string; addresses: string[] }[] = [];
  try {
    for (const one of parseNetworks(podAnnotations[annotations.networks])) {
      out.push({ network: `${one.namespace ?? namespace}/${one.name}`, addresses: addresses(one) });
    }
    const text = podAnnotations[annotations.networkStatus];
    for (const state of text === undefined ? [] : (parseJson(text) as NetworkStatus[])) {
      if (state.default === true || state.name === undefined) continue;
      out.push({ network: state.name, addresses: addresses(state) });
    }
  } catch {
    // Multus refuses such a pod, too.
  }
  return out;
}

/** The addresses that a networks annotation asks for, as host-local writes them: without prefix length, IPv6 compressed. */
export function askedFor(networks: string | undefined): string[] {
  const all = parseNetworks(networks).flatMap(({ ips }) =>
    Array.isArray(ips) ? (ips as unknown[]) : [],
  );
  return [...new Set(all.filter((one) => typeof one === 'string').map((one) => canonical(one)))];
}

/** One form for each address: without prefix length, IPv6 compressed, lower case. */
export function canonical(address: string): string {
  const [bare = ''] = address.split(/[/%]/);
  return isIP(bare) === 6 ? new URL(`http://[${bare}]`).hostname.slice(1, -1) : bare.toLowerCase();
}

/** The networks that a pod is attached to, as `namespace/name`. */
export function networkNames(
  source: Readonly<Record<string, string>>,
  namespace: string,
): string[] {
  return parseNetworks(source[annotations.networks]).map(
    (one) => `${one.namespace ?? namespace}/${one.name}`,
  );
}

/**
 * The static IPAM needs an address with its prefix length. The network-status annotation has none; the pod's own
 * request or the network's IPAM configuration has it. host-local takes both forms.
 */
export function withPrefix(ip: string, networks: readonly string[]): string {
  if (ip.includes('/')) return ip;
  for (const network of networks) {
    const [base = '', bits] = network.split('/');
    const family = isIP(base);
    if (family === 0 || family !== isIP(ip)) continue;
    if (!/^\d{1,3}$/.test(bits ?? '') || Number(bits) > (family === 4 ? 32 : 128)) continue;
    const list = new BlockList();
    const kind = family === 4 ? 'ipv4' : 'ipv6';
    list.addSubnet(base, Number(bits), kind);
    if (list.check(ip, kind)) return `${ip}/${bits}`;
  }
  return ip;
}

/** Every `subnet`, `address` and `range` under an `ipam`, at any depth: a delegate may nest it. */
export function subnets(config: string | undefined): string[] {
  if (config === undefined) return [];
  const out: string[] = [];
  const walk = (node: unknown, inside: boolean): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      const ipam = inside || key === 'ipam';
      if (inside && (key === 'subnet' || key === 'address' || key === 'range')) {
        if (typeof value === 'string' && value.includes('/')) out.push(value);
      }
      walk(value, ipam);
    }
  };
  try {
    walk(JSON.parse(config), false);
  } catch {
    // Multus reports it when it attaches the pod.
  }
  return out;
}
