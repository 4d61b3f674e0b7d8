// SPDX-License-Identifier: Apache-2.0
// The rulesets of the network lock, as text for nft(8). Pure. One transaction replaces a lock by another, so that a
// namespace is never without one in between. NetworkLock applies them; the simulation compares them.
//
// CRIU's own network lock does not do: TCP acknowledges data in the kernel although the task is frozen, and CRIU unlocks
// the network before the decision is known (docs/architecture.md).

import { isIP } from 'node:net';

/** Name of Sealift's table in every family. */
export const TABLE = 'sealift';

/** UDP port of RoCE v2 (IANA: roce). */
const ROCE_PORT = 4791;

/**
 * `roce`: only RoCE, ARP and neighbour discovery pass. Held queue pairs answer peers with RNR NAK, so peers must find the
 * address: a source before the decision, a target that answers for it after Committed.
 * `total`: nothing passes. A target before the decision, a source after Committed, whose cluster addresses may be left to tell
 * peers that their TCP connections have ended.
 */
export type LockKind = 'roce' | 'total';

/** Before conntrack (NF_IP_PRI_CONNTRACK, -200), before CRIU's lock and before the rules of CNI plugins. */
const PRIORITY = -450;

/**
 * An nfqueue that no program reads. A task that still runs gets EPERM from sendto() for a packet that a rule drops, but
 * not for one that goes to such a queue: nf_queue frees the packet and reports success (net/netfilter/nf_queue.c).
 */
const UNREAD_QUEUE = 65535;

const chain = (family: string, hook: string, rules: readonly string[]): string =>
  [
    `add chain ${family} ${TABLE} ${hook} { type filter hook ${hook} priority ${PRIORITY}; policy drop; }`,
    ...rules.map((rule) => `add rule ${family} ${TABLE} ${hook} ${rule}`),
  ].join('\n');

/** What a lock lets pass besides. */
export interface LockOptions {
  /** Tasks that still run see no error from what they send (needs the kernel's nft_queue). */
  readonly dropSilently?: boolean;
  /**
   * Addresses from which TCP resets pass, with what makes the kernel send them: TCP that comes in, and the search for
   * neighbours. Nothing else that has these addresses passes, and nothing at all that has others.
   */
  readonly resetsFrom?: readonly string[];
}

const roce = `udp dport ${ROCE_PORT} accept`;
const neighbours =
  'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept';

/**
 * With this mark CRIU sends a restored socket, from its peer's address, what makes it half closed: a FIN or the answer to one
 * (SOCCR_MARK in soccr/soccr.c). It does so within the namespace, before any task runs.
 */
const CRIU_MARK = '0xc114';
const fromCriu = (direction: 'iif' | 'oif'): string =>
  `${direction}name "lo" meta mark ${CRIU_MARK} accept`;

/** Makes a table anew. `add` comes first, because deleting a table that does not exist is an error. */
const replaceTable = (family: string): string =>
  `add table ${family} ${TABLE}\ndelete table ${family} ${TABLE}\nadd table ${family} ${TABLE}`;

/** What a lock lets pass for TCP resets. A solicitation goes to a multicast address: that of the answer is looked at. */
function resetRules(address: string): {
  in: string[];
  out: string[];
  arpIn: string[];
  arpOut: string[];
} {
  const reset = (family: string): string =>
    `${family} saddr ${address} tcp flags & rst == rst accept`;
  if (isIP(address) === 6) {
    const search = 'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept';
    const tcp = `ip6 daddr ${address} meta l4proto tcp accept`;
    return {
      in: [tcp, search],
      out: [reset('ip6'), `ip6 saddr ${address} ${search}`],
      arpIn: [],
      arpOut: [],
    };
  }
  return {
    in: [`ip daddr ${address} meta l4proto tcp accept`],
    out: [reset('ip')],
    arpIn: [`arp daddr ip ${address} accept`],
    arpOut: [`arp saddr ip ${address} accept`],
  };
}

/** nft commands that replace any lock of the namespace by this one. */
export function lockCommands(
  kind: LockKind,
  { dropSilently = false, resetsFrom = [] }: LockOptions = {},
): string {
  const of = (direction: 'iif' | 'oif') =>
    kind === 'roce' ? [roce, neighbours] : [fromCriu(direction)];
  const resets = resetsFrom.map(resetRules);
  const out = [...of('oif'), ...resets.flatMap((one) => one.out)];
  const inet = [
    chain('inet', 'input', [...of('iif'), ...resets.flatMap((one) => one.in)]),
    chain('inet', 'output', dropSilently ? [...out, `queue num ${UNREAD_QUEUE}`] : out),
    chain('inet', 'forward', []),
  ];
  const arp = [
    chain(
      'arp',
      'input',
      resets.flatMap((one) => one.arpIn),
    ),
    chain(
      'arp',
      'output',
      resets.flatMap((one) => one.arpOut),
    ),
  ];
  const lines = [replaceTable('inet'), ...inet];
  // A roce lock that replaces a total one must let ARP pass again.
  if (kind === 'total') lines.push(replaceTable('arp'), ...arp);
  else lines.push(`add table arp ${TABLE}`, `delete table arp ${TABLE}`);
  return `${lines.join('\n')}\n`;
}

/** nft commands that remove any lock. They succeed where there is none. */
export function unlockCommands(): string {
  return ['inet', 'arp']
    .map((family) => `add table ${family} ${TABLE}\ndelete table ${family} ${TABLE}`)
    .join('\n')
    .concat('\n');
}
