// SPDX-License-Identifier: Apache-2.0
// What RDMA applications use that cannot be moved yet, and what they can do instead. The inspection names it before
// anything is held. A kind that Sealift learns to move leaves this table, and its place in supported-objects.ts or
// dump/unmovable.ts says what must hold for it.

export interface UnsupportedKind {
  /** For people, with an article: `a memory window`. */
  what: string;
  /** What to do, without the full stop: `Use RC instead`. */
  advice: string;
}

/** Queue pairs by verbs' name of their type. Those of the kernel alone (GSI, SMI) no process can make. */
const queuePairs: Readonly<Record<string, UnsupportedKind>> = {
  UC: {
    what: 'an unreliable connection',
    advice: 'Use RC (perftest: -c RC)',
  },
  RAW_PACKET: {
    what: 'a raw packet queue pair',
    advice:
      'Use a packet socket instead, which is moved with the pod, or end the program that captures packets',
  },
  XRC_INI: xrc(),
  XRC_TGT: xrc(),
};

function xrc(): UnsupportedKind {
  return {
    what: 'an extended reliable connection',
    advice:
      'Use RC (UCX: UCX_TLS=rc_verbs,ud_verbs,tcp; libfabric: FI_VERBS_PREFER_XRC=0; perftest: -c RC)',
  };
}

export const unsupportedQueuePair = (type: string | undefined): UnsupportedKind =>
  queuePairs[type ?? ''] ?? {
    what: 'a type that this version of Sealift does not know',
    advice: 'Use RC or UD (UCX: UCX_TLS=rc_verbs,ud_verbs,tcp)',
  };

/** Of a queue pair: the switches of the network and the interface know a group's members, and a restore tells neither. */
export const multicastMember: UnsupportedKind = {
  what: 'a multicast group',
  advice:
    'Detach it from the group (ibv_detach_mcast()), or let the program send to each of its peers (perftest: without -g)',
};

/** Objects of LIST (native/rxe) that are no queue pairs. */
export const unsupportedObjects = {
  mw: {
    what: 'a memory window',
    advice: 'Deallocate it (ibv_dealloc_mw()), and give peers the keys of regions',
  },
  other: {
    what: 'an object of a kind that this version of Sealift does not know',
    advice: 'Destroy it',
  },
} as const satisfies Record<string, UnsupportedKind>;

/** A region that is not over plain memory of a process: fast registration, device memory, dma-buf, on-demand paging. */
export const unsupportedRegion: UnsupportedKind = {
  what: 'over something else than its memory (fast registration, device memory, dma-buf)',
  advice: 'Deregister it, and register plain memory instead',
};

/** A region is registered again over what its process has mapped. */
export const freedMemory: UnsupportedKind = {
  what: 'over memory that it has unmapped or protected since',
  advice:
    'Deregister the region (ibv_dereg_mr()) before its memory is freed. A library that caches registrations (UCX) ' +
    'deregisters it with its next operations: let it go on, or switch that cache off',
};

/** The device and its peers would use what is at these addresses after the move, and nothing would say so. */
export const remappedMemory: UnsupportedKind = {
  what: 'over memory that it has freed or replaced since',
  advice:
    'Deregister the region (ibv_dereg_mr()) before its memory is freed, given up (MADV_DONTNEED) or mapped anew. UCX ' +
    'does so unless its hooks are off (UCX_MEM_MMAP_HOOK_MODE=none): then switch its cache off, too (UCX_RCACHE_ENABLE=n)',
};

/** Character devices of the RDMA core beside uverbs, by the name of their node below /dev/infiniband. */
const devices: readonly { name: RegExp; kind: UnsupportedKind }[] = [
  {
    name: /^rdma_cm$/,
    kind: {
      what: "librdmacm's connections (rdma_cm)",
      advice:
        'Let it connect without librdmacm (perftest: without -R; UCX: UCX_SOCKADDR_TLS_PRIORITY=tcp; libfabric: ' +
        'FI_PROVIDER=tcp; Valkey, rsockets: plain TCP), or close its event channels (rdma_destroy_event_channel())',
    },
  },
  {
    name: /^(umad|issm)\d+$/,
    kind: {
      what: 'management datagrams (libibumad)',
      advice:
        'End the program that manages the fabric (opensm, ibdiagnet), or run it in another pod',
    },
  },
  {
    name: /^ucm\d+$/,
    kind: {
      what: "libibcm's connections",
      advice: 'Exchange connection parameters over TCP instead',
    },
  },
];

/** @param name of a device's node, without its directory; undefined for one that can be moved, or is none of RDMA's */
export const unsupportedDevice = (name: string): UnsupportedKind | undefined =>
  devices.find((one) => one.name.test(name))?.kind;

/** Any other node below /dev/infiniband: a dump takes verbs contexts only. */
export const unknownDevice: UnsupportedKind = {
  what: 'something else than verbs',
  advice: 'Close it',
};
