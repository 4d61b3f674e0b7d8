// SPDX-License-Identifier: Apache-2.0
// The addresses and MTUs of a pod's interfaces in the RDMA network, as the source's agent reads them. The target's agent gives its pod
// the same ones (node-agent/src/node/device/address-order.ts).
import { z } from 'zod';
import { atomicList } from './atoms.ts';

const Seconds = z.int().min(0).max(0xffff_ffff).meta({ format: 'int64' });
const Text = z.string().max(64);

/** More than anybody gives to an interface: a longer list is not reported. */
export const MAX_FABRIC_ADDRESSES = 256;

export const FabricAddress = z.object({
  address: Text.meta({ description: 'An IPv4 or IPv6 address.' }),
  prefix: z.int().min(0).max(128).meta({ description: 'Length of its prefix.' }),
  peer: Text.optional().meta({
    description: 'The address of the other end, on a point-to-point link.',
  }),
  broadcast: Text.optional().meta({ description: 'The broadcast address.' }),
  scope: z.int().min(0).max(255).optional().meta({
    description: 'The kernel’s number of the scope. Absent: global.',
  }),
  flags: z.int().min(0).max(0xffff_ffff).optional().meta({
    format: 'int64',
    description:
      'Those flags of the kernel (IFA_F_*) that whoever adds an address may choose. Absent: none.',
  }),
  label: z.string().max(15).optional().meta({
    description: 'The label. Absent: the interface’s name.',
  }),
  metric: z.int().min(1).max(0xffff_ffff).optional().meta({
    format: 'int64',
    description: 'Metric of the routes that the kernel makes by the address.',
  }),
  validSeconds: Seconds.optional().meta({
    description: 'How long it is valid, when the agent read it. Absent: for ever.',
  }),
  preferredSeconds: Seconds.optional().meta({
    description: 'How long it is preferred, when the agent read it. Absent: for ever.',
  }),
  gidIndex: z.int().min(0).max(1023).optional().meta({
    description: 'Its index in the GID table. Absent: it has none.',
  }),
});
export type FabricAddress = z.infer<typeof FabricAddress>;

const FabricInterface = z.object({
  name: z.string().max(15).meta({ description: 'The interface that an RDMA device is on.' }),
  mtu: z.int().min(1).max(0x7fff_ffff).optional().meta({
    format: 'int64',
    description:
      'Its MTU, in bytes, by which the device’s own goes. Absent: the target keeps its own.',
  }),
  addresses: z
    .array(FabricAddress)
    .max(MAX_FABRIC_ADDRESSES)
    .meta({
      description: 'Its addresses, in an order in which adding them makes the same interface.',
      ...atomicList,
    }),
});
export type FabricInterface = z.infer<typeof FabricInterface>;

export const Fabric = z
  .object({
    digest: Text.meta({ description: 'Digest of the list, without the seconds that pass.' }),
    interfaces: z
      .array(FabricInterface)
      .max(8)
      .meta({ description: 'One for each RDMA device.', ...atomicList }),
  })
  .meta({
    description:
      'The addresses and MTUs that the target’s agent gives to the target before the source is locked.',
  });
export type Fabric = z.infer<typeof Fabric>;

export const PlacedFabric = z
  .object({
    digest: Text.optional().meta({
      description:
        'The digest that the source’s agent has reported of the addresses that the target has now. Absent: it has those of ' +
        'its networks.',
    }),
  })
  .meta({
    description:
      'The target’s agent gives the target its source’s addresses. The source’s agent locks no pod before the two digests ' +
      'are the same. Absent: an agent of an earlier version, which does not.',
  });
export type PlacedFabric = z.infer<typeof PlacedFabric>;
