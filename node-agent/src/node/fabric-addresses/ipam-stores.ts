// SPDX-License-Identifier: Apache-2.0
// Where this node's IPAM (host-local) records who has which address: directories that the CNI delegate has noted, with the
// ranges of their networks, and those below host-local's own default.
import { isIP } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import { namesIn, textOf } from '../../support/optional-file.ts';
import type { Host } from '../host/host.ts';
import { hostLocal, subnetsOf } from '../pod-ip/drivers.ts';
import { blockListOf } from '../pod-ip/address-ranges.ts';
import { AddressRecords } from '../pod-ip/address-records.ts';

/** The delegate's notes, one file for each directory of records (native/shim/src/ipam.c). */
const NOTES = '/var/lib/sealift/ipam';
const DEFAULT_DATA_DIR = '/var/lib/cni/networks';
/** native/shim/src/ipam.c knows it too. Another one than that of addresses in the cluster's network. */
const MARK = 'sealift-fabric ';

const note = z.looseObject({ name: z.string().regex(/^(?!\.{1,2}$)[^/]+$/), ipam: hostLocal });

export interface IpamStore {
  readonly records: AddressRecords;
  /** Whether the node's IPAM may give the address to a pod; false where the ranges are not known. */
  readonly gives: (address: string) => boolean;
}

export async function ipamStores(host: Host): Promise<IpamStore[]> {
  const subnets = new Map<string, readonly string[]>();
  for (const name of await namesIn(host.path(DEFAULT_DATA_DIR))) {
    subnets.set(join(DEFAULT_DATA_DIR, name), []);
  }
  const notes = host.path(NOTES);
  for (const file of await namesIn(notes)) {
    const found = file.endsWith('.json') && parse(await textOf(join(notes, file)));
    if (found) subnets.set(join(found.ipam.dataDir, found.name), subnetsOf(found.ipam));
  }
  return [...subnets].map(([dir, nets]) => {
    const own = blockListOf(nets);
    const gives = (address: string): boolean =>
      own.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
    return { records: new AddressRecords(host.path(dir), MARK), gives };
  });
}

/** Undefined for a note that was not written to its end: the next pod of that network writes it again. */
function parse(text: string | undefined): z.infer<typeof note> | undefined {
  try {
    return note.safeParse(JSON.parse(text ?? '')).data;
  } catch {
    return undefined;
  }
}
