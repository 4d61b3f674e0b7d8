// SPDX-License-Identifier: Apache-2.0
// A pod's kept addresses in its new network namespace. The plugin has made the interface with addresses of its own node;
// they are replaced, because an IPAM gives no address outside its node's range. The routes go through the same gateway.
import { z } from 'zod';
import { replaceAddresses, replaceRoute } from '../../../../native/addon/index.ts';
import { AgentError } from '../../support/errors.ts';
import { familyOf, withPrefix } from './prefix.ts';

/** RT_TABLE_MAIN (rtnetlink(7)). */
const MAIN_TABLE = 254;

const ip = z.looseObject({ address: z.string(), gateway: z.string().optional() });
/** The result of an ADD, version 0.4 and later (CNI specification 1.0, Success). */
const addResult = z.looseObject({
  ips: z.array(ip).default([]),
  routes: z
    .array(z.looseObject({ dst: z.string(), gw: z.string().nullish() }))
    .nullish()
    .transform((routes) => routes ?? []),
});
export type AddResult = z.infer<typeof addResult>;

export interface Placement {
  netns: string;
  ifname: string;
  /** What the plugins have printed. */
  result: unknown;
  /** The addresses to keep, without prefix lengths. */
  addresses: readonly string[];
}

/**
 * @returns the result that the runtime is to see
 * @throws AgentError BadRequest for a result from which the gateway cannot be told; NativeError
 */
export async function placeAddresses(of: Placement): Promise<AddResult> {
  const parsed = addResult.safeParse(of.result);
  if (!parsed.success) {
    throw new AgentError(
      'BadRequest',
      `The cluster's network plugin has printed a result that cannot be read: ${z.prettifyError(parsed.error)}.`,
    );
  }
  const { ips, routes } = parsed.data;
  const kept = of.addresses.map((address) => ({ address, own: ownOf(address, ips) }));
  const { netns, ifname } = of;
  const addresses = of.addresses.map(withPrefix);
  await replaceAddresses({ netns, ifname, addresses });
  for (const { address: source, own } of kept) {
    const { gateway } = own;
    const via = { netns, table: MAIN_TABLE, ifname, source };
    await replaceRoute({ ...via, destination: withPrefix(gateway) });
    // The neighbours were on the link. From an address of another node's range they are behind the gateway.
    await replaceRoute({ ...via, destination: own.address, via: gateway });
    for (const { dst, gw } of routes) {
      if (familyOf(dst) !== familyOf(source)) continue;
      await replaceRoute({ ...via, destination: dst, via: gw ?? gateway });
    }
  }
  const given = kept.map(({ address, own }) => ({ ...own, address: withPrefix(address) }));
  return { ...parsed.data, ips: given };
}

/** What the plugin has given in the address's place. */
function ownOf(address: string, ips: AddResult['ips']): { address: string; gateway: string } {
  const own = ips.find((one) => familyOf(one.address) === familyOf(address));
  if (own?.gateway !== undefined) return { ...own, gateway: own.gateway };
  throw new AgentError(
    'BadRequest',
    `The cluster's network plugin names no gateway by which the pod could keep its address ${address}.`,
  );
}
