// SPDX-License-Identifier: Apache-2.0
// The fabric lock's rulesets, as text for nft. Pure. One transaction replaces one lock by another: there is
// no moment without either.
//
// Why a lock of our own beside CRIU's: TCP acknowledges in the kernel although the task is frozen, and CRIU
// unlocks the network before the decision is known (docs/architecture.md).

/** The table's name in every family; nobody else uses it. */
export const TABLE = 'sealift';

/** RoCE v2's UDP port. */
const ROCE_PORT = 4791;

/**
 * `roce`: nothing but RoCE, ARP and neighbour discovery. The held queue pairs go on answering RNR NAK, so
 * peers must still find the address.
 * `total`: nothing at all. A target before the decision, a source after Committed.
 */
export type LockKind = 'roce' | 'total';

/** Before conntrack (-200), before CRIU's own lock and before any rule of the CNI plugins. */
const PRIORITY = -450;

/**
 * A task that still runs is told of a dropped packet (EPERM from sendto), but not of one for a queue that nobody reads:
 * nf_queue frees it and reports success. Such a queue's number, which nobody takes by accident.
 */
const NOBODY = 65535;

const chain = (family: string, hook: string, rules: readonly string[]): string =>
  [
    `add chain ${family} ${TABLE} ${hook} { type filter hook ${hook} priority ${PRIORITY}; policy drop; }`,
    ...rules.map((rule) => `add rule ${family} ${TABLE} ${hook} ${rule}`),
  ].join('\n');

const roce = `udp dport ${ROCE_PORT} accept`;
const neighbours =
  'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept';

/**
 * A table that exists is removed and made again within the transaction; `add` first, so that removing one that
 * does not exist is no error.
 */
const replace = (family: string): string =>
  `add table ${family} ${TABLE}\ndelete table ${family} ${TABLE}\nadd table ${family} ${TABLE}`;

/**
 * nft commands that put this lock in place of whatever lock there is.
 * @param isSilent tasks that still run see no error from what they send (needs the kernel's nft_queue)
 */
export function lockCommands(kind: LockKind, isSilent = false): string {
  const passes = kind === 'roce' ? [roce, neighbours] : [];
  const inet = [
    chain('inet', 'input', passes),
    chain('inet', 'output', isSilent ? [...passes, `queue num ${NOBODY}`] : passes),
    chain('inet', 'forward', []),
  ];
  const arp = ['input', 'output'].map((hook) => chain('arp', hook, []));
  const lines = [replace('inet'), ...inet];
  // Counted on in both directions: a source lock that replaces a total one must free ARP again.
  if (kind === 'total') lines.push(replace('arp'), ...arp);
  else lines.push(`add table arp ${TABLE}`, `delete table arp ${TABLE}`);
  return `${lines.join('\n')}\n`;
}

/** nft commands that remove any lock; no error if there is none. */
export function unlockCommands(): string {
  return ['inet', 'arp']
    .map((family) => `add table ${family} ${TABLE}\ndelete table ${family} ${TABLE}`)
    .join('\n')
    .concat('\n');
}
