// SPDX-License-Identifier: Apache-2.0
// Addresses in the kernel's tables of sockets: /proc/net/tcp and its like (proc_net_tcp.rst). Pure.

/** The kernel prints an address as words of 32 bits in its own byte order, little-endian on all that Sealift runs on. */
export function addressIn(hex: string): string {
  const bytes = Buffer.concat(
    (hex.match(/.{8}/g) ?? []).map((word) => Buffer.from(word, 'hex').reverse()),
  );
  if (bytes.length === 4) return bytes.join('.');
  const isMapped = bytes.subarray(0, 12).toString('hex') === '00000000000000000000ffff';
  if (isMapped) return bytes.subarray(12).join('.');
  return canonical((bytes.toString('hex').match(/.{4}/g) ?? []).join(':'));
}

/** Of an IPv6 address there is more than one spelling. */
export const canonical = (address: string): string =>
  address.includes(':') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
