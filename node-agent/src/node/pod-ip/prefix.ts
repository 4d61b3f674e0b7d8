// SPDX-License-Identifier: Apache-2.0
// Single addresses as the kernel's routes and interfaces name them.
import { isIP } from 'node:net';

/** 4 or 6; 0 for what is no address. @param address with or without a prefix length */
export const familyOf = (address: string): number => isIP(address.split('/')[0] ?? '');

/** `10.0.0.1/32`, `fd00::1/128`. */
export const withPrefix = (address: string): string =>
  `${address}/${familyOf(address) === 6 ? 128 : 32}`;
