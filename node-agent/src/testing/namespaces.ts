// SPDX-License-Identifier: Apache-2.0
// For tests: real network namespaces, where this machine lets us make them and the addon is built.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

export const netnsPath = (name: string): string => `/var/run/netns/${name}`;

/** Runs a script; its output. Throws with what it said. */
export function sh(script: string): string {
  return execFileSync('sh', ['-euc', script], { stdio: 'pipe' }).toString();
}

export function works(script: string): boolean {
  try {
    sh(script);
    return true;
  } catch {
    return false;
  }
}

const built = existsSync(new URL('../../../build/native/sealift.node', import.meta.url));
const probe = `slt-probe${process.pid}`;

/** Whether namespaces, nftables, macvlan and the addon can be had here. */
export const able: boolean =
  built &&
  process.getuid?.() === 0 &&
  works(`ip netns add ${probe}; trap 'ip netns del ${probe}' EXIT
    ip netns exec ${probe} nft add table inet x
    ip -n ${probe} link add d0 type veth peer name d1
    ip -n ${probe} link add m0 link d0 type macvlan mode bridge`) &&
  works(
    `${process.execPath} -e "require('${new URL('../../../build/native/sealift.node', import.meta.url).pathname}')"`,
  );
