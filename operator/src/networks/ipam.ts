// SPDX-License-Identifier: Apache-2.0
// Which IPAM plugins of an RDMA network let a pod have addresses that it asks for, so that nobody else gets them
// (docs/adr/0026). The CNI delegate refuses the others, too: native/shim/src/ipam.c. Pure.
import type { Refusal } from '../refusal.ts';

/** `static` gives no addresses of its own; for host-local the CNI delegate and the agents write records. */
const recorded = new Set(['', 'static', 'host-local']);

/**
 * @param config a NetworkAttachmentDefinition's `spec.config`; of one that cannot be read, Multus says so
 * @returns the IPAM of a Sealift network that could give a moved pod's address to another pod; undefined: there is none
 */
export function unrecordedIpam(config: string | undefined): string | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(config ?? 'null');
  } catch {
    return undefined;
  }
  return typesIn(parsed).find((type) => !recorded.has(type));
}

/** A pod whose addresses could be given to another pod after a move. */
export function* ipamRefusals(configs: ReadonlyMap<string, string>): Generator<Refusal> {
  for (const [network, config] of configs) {
    const type = unrecordedIpam(config);
    if (type === undefined) continue;
    yield {
      reason: 'UnsupportedPod',
      message: `Network ${network} has its addresses from IPAM ${type}, which would give the moved pod's address to another pod. Give that network an IPAM of type static or host-local.`,
    };
  }
}

/** The IPAM types of what Sealift's delegates run, in a single configuration or a list. */
function typesIn(config: unknown): string[] {
  if (typeof config !== 'object' || config === null) return [];
  const { type, delegate, plugins } = config as Record<string, unknown>;
  const own = type === 'sealift' ? [typeOf(delegate)] : [];
  return [...own, ...(Array.isArray(plugins) ? plugins.flatMap(typesIn) : [])];
}

function typeOf(delegate: unknown): string {
  const ipam = (delegate as { ipam?: { type?: unknown } | null } | null | undefined)?.ipam;
  return typeof ipam?.type === 'string' ? ipam.type : '';
}
