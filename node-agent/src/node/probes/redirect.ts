// SPDX-License-Identifier: Apache-2.0
// The rules, as text for nft(8), that hand the kubelet's probes of locked pods to the agent. Pure. They are in the node's
// network namespace, where the kubelet connects from: a pod's own namespace knows nothing of the probes (docs/adr/0011).

/** Name of the table in family inet. */
export const TABLE = 'sealift_probes';

/** Before the rules of Services (NF_IP_PRI_NAT_DST, -100), after conntrack (NF_IP_PRI_CONNTRACK, -200). */
const PRIORITY = -101;

/**
 * Elements vanish by themselves after this long, so that no rule outlives an agent that has gone for good. The agent
 * renews them well before.
 */
export const ELEMENT_SECONDS = 60;

/** An address of a locked pod with a port that is probed. */
export interface RedirectedPort {
  /** IPv4 or IPv6. */
  address: string;
  port: number;
}

/** Ports of this node on which the responder listens: at 127.0.0.1, and at ::1 if the node has IPv6. */
export interface ResponderPorts {
  ipv4: number;
  ipv6?: number | undefined;
}

const families = [
  { key: 'ipv4', set: 'pods4', protocol: 'ip' },
  { key: 'ipv6', set: 'pods6', protocol: 'ip6' },
] as const;

/**
 * nft commands that redirect new connections to these ports, and to no others. Only those that root's processes on the
 * node open: the kubelet is one.
 */
export function redirectCommands(
  targets: readonly RedirectedPort[],
  responder: ResponderPorts,
): string {
  const lines = [
    `add table inet ${TABLE}`,
    `add chain inet ${TABLE} output { type nat hook output priority ${PRIORITY}; policy accept; }`,
    `flush chain inet ${TABLE} output`,
  ];
  for (const { key, set, protocol } of families) {
    const port = responder[key];
    if (port === undefined) continue;
    const isOfFamily = ({ address }: RedirectedPort) => address.includes(':') === (key === 'ipv6');
    const elements = targets.filter(isOfFamily).map((one) => `${one.address} . ${one.port}`);
    lines.push(
      `add set inet ${TABLE} ${set} { typeof ${protocol} daddr . tcp dport; timeout ${ELEMENT_SECONDS}s; }`,
      `flush set inet ${TABLE} ${set}`,
      `add rule inet ${TABLE} output meta l4proto tcp meta skuid 0 ${protocol} daddr . tcp dport @${set} redirect to :${port}`,
    );
    if (elements.length > 0) {
      lines.push(`add element inet ${TABLE} ${set} { ${elements.join(', ')} }`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** nft commands that remove the table. They succeed where there is none. */
export function removeRedirectCommands(): string {
  return `add table inet ${TABLE}\ndelete table inet ${TABLE}\n`;
}
