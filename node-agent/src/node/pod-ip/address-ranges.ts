// SPDX-License-Identifier: Apache-2.0
// Which addresses an IPAM gives to pods, from the subnets of its configuration.
import { BlockList, isIP } from 'node:net';

/** @param subnets `<address>/<bits>`; others are left out */
export function blockListOf(subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [net = '', bits = ''] = subnet.split('/');
    const family = isIP(net);
    if (family === 0 || !/^\d{1,3}$/.test(bits)) continue;
    if (Number(bits) <= (family === 6 ? 128 : 32))
      list.addSubnet(net, Number(bits), family === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}
