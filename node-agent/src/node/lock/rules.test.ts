// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { lockCommands, unlockCommands } from './rules.ts';

describe('the rules of the network lock', () => {
  it('let RoCE and neighbour discovery pass under a roce lock, and leave ARP alone', () => {
    expect(lockCommands('roce')).toMatchInlineSnapshot(`
      "add table inet sealift
      delete table inet sealift
      add table inet sealift
      add chain inet sealift input { type filter hook input priority -450; policy drop; }
      add rule inet sealift input udp dport 4791 accept
      add rule inet sealift input icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept
      add chain inet sealift output { type filter hook output priority -450; policy drop; }
      add rule inet sealift output udp dport 4791 accept
      add rule inet sealift output icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept
      add chain inet sealift forward { type filter hook forward priority -450; policy drop; }
      add table arp sealift
      delete table arp sealift
      "
    `);
  });

  it('drop silently what running tasks send, if asked to', () => {
    const lines = (dropSilently: boolean) => lockCommands('roce', { dropSilently }).split('\n');
    const added = lines(true).filter((line) => !lines(false).includes(line));
    expect(added).toEqual(['add rule inet sealift output queue num 65535']);
  });

  it('let nothing pass under a total lock', () => {
    expect(lockCommands('total')).toMatchInlineSnapshot(`
      "add table inet sealift
      delete table inet sealift
      add table inet sealift
      add chain inet sealift input { type filter hook input priority -450; policy drop; }
      add rule inet sealift input iifname "lo" meta mark 0xc114 accept
      add chain inet sealift output { type filter hook output priority -450; policy drop; }
      add rule inet sealift output oifname "lo" meta mark 0xc114 accept
      add chain inet sealift forward { type filter hook forward priority -450; policy drop; }
      add table arp sealift
      delete table arp sealift
      add table arp sealift
      add chain arp sealift input { type filter hook input priority -450; policy drop; }
      add chain arp sealift output { type filter hook output priority -450; policy drop; }
      "
    `);
  });

  it('lets resets of given addresses pass, and of others nothing', () => {
    const resetsFrom = ['10.1.2.3', 'fd00::3'];
    const rules = lockCommands('total', { resetsFrom })
      .split('\n')
      .filter((line) => line.startsWith('add rule'));
    expect(rules).toMatchInlineSnapshot(`
      [
        "add rule inet sealift input iifname "lo" meta mark 0xc114 accept",
        "add rule inet sealift input ip daddr 10.1.2.3 meta l4proto tcp accept",
        "add rule inet sealift input ip6 daddr fd00::3 meta l4proto tcp accept",
        "add rule inet sealift input icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
        "add rule inet sealift output oifname "lo" meta mark 0xc114 accept",
        "add rule inet sealift output ip saddr 10.1.2.3 tcp flags & rst == rst accept",
        "add rule inet sealift output ip6 saddr fd00::3 tcp flags & rst == rst accept",
        "add rule inet sealift output ip6 saddr fd00::3 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
        "add rule arp sealift input arp daddr ip 10.1.2.3 accept",
        "add rule arp sealift output arp saddr ip 10.1.2.3 accept",
      ]
    `);
  });

  it('are removed without an error where there are none', () => {
    expect(unlockCommands()).toMatchInlineSnapshot(`
      "add table inet sealift
      delete table inet sealift
      add table arp sealift
      delete table arp sealift
      "
    `);
  });
});
