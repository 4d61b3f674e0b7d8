// SPDX-License-Identifier: Apache-2.0
// The rulesets of the network lock, as text for nft(8). Pure. One transaction replaces a lock by another, so that a
// namespace is never without one in between. NetworkLock applies them; the simulation compares them.
//
// CRIU's own network lock does not do: TCP acknowledges data in the kernel although the task is frozen, and CRIU unlocks
// the network before the decision is known (docs/architecture.md).

/** Name of Sealift's table in every family. */
export const TABLE = 'sealift';

/** UDP port of RoCE v2 (IANA: roce). */
const ROCE_PORT = 4791;

/**
 * `roce`: only RoCE, ARP and neighbour discovery pass. Held queue pairs answer peers with RNR NAK, so peers must find the
 * address: a source before the decision, a target that answers for it after Committed.
 * `total`: nothing passes. A target before the decision, a source after Committed.
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

const roce = `udp dport ${ROCE_PORT} accept`;
const neighbours =
  'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept';

/** Makes a table anew. `add` comes first, because deleting a table that does not exist is an error. */
const replaceTable = (family: string): string =>
  `add table ${family} ${TABLE}\ndelete table ${family} ${TABLE}\nadd table ${family} ${TABLE}`;

/**
 * nft commands that replace any lock of the namespace by this one.
 * @param dropSilently tasks that still run see no error from what they send (needs the kernel's nft_queue)
 */
export function lockCommands(kind: LockKind, dropSilently = false): string {
  const passes = kind === 'roce' ? [roce, neighbours] : [];
  const inet = [
    chain('inet', 'input', passes),
    chain('inet', 'output', dropSilently ? [...passes, `queue num ${UNREAD_QUEUE}`] : passes),
    chain('inet', 'forward', []),
  ];
  const arp = ['input', 'output'].map((hook) => chain('arp', hook, []));
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
