// SPDX-License-Identifier: Apache-2.0
// What the addon's functions take and return.

/** Path of a network namespace, for example `/proc/123/ns/net` or `/var/run/netns/x`. */
export type Netns = string;

export type RdmaNetnsMode = 'shared' | 'exclusive';

export interface RdmaDevice {
  /** nldev's device index: unique on the host until it boots again. */
  index: number;
  name: string;
  /** Sixteen hex digits in groups of four, `5054:00ff:fe12:3456`. */
  nodeGuid: string;
  /** Interface beneath port 1, where the driver reports it. */
  netdev?: string;
  /** The character device; absent while ib_uverbs is not loaded. */
  uverbs?: { name: string; major: number; minor: number };
}

/** `type` and `state` are verbs' names (`RC`, `RTS`); `pid` is absent for objects of the kernel. */
export interface RdmaQp {
  lqpn: number;
  rqpn?: number;
  type: string;
  state: string;
  sqPsn?: number;
  rqPsn?: number;
  pid?: number;
}
export interface RdmaCq {
  cqn: number;
  /** Capacity in completions. */
  cqe: number;
  users: number;
  pid?: number;
}
export interface RdmaMr {
  mrn: number;
  /** The kernel shows keys to CAP_NET_ADMIN only. */
  rkey?: number;
  lkey?: number;
  /** Length in bytes. */
  mrlen: number;
  pid?: number;
}
export interface RdmaPd {
  pdn: number;
  users: number;
  pid?: number;
}
export interface RdmaResources {
  qp: RdmaQp[];
  cq: RdmaCq[];
  mr: RdmaMr[];
  pd: RdmaPd[];
}

export interface Gid {
  index: number;
  /** IPv6 notation, IPv4 addresses as `::ffff:192.0.2.1`. */
  gid: string;
  netdev?: string;
  type: 'IB/RoCE v1' | 'RoCE v2' | 'IB';
}

/** What the driver says of one rxe device: native/rxe/uapi/sealift_rxe.h. */
export interface RxeInfo {
  /** ABI version of the driver's Sealift methods. */
  abi: number;
  held: boolean;
  /** Held, but its UD queue pairs still receive. */
  receivesDatagrams: boolean;
  /** RNR timer code (0..31) in use while held. */
  rnrTimer: number;
  /** Held, and each queue pair chooses between RNR NAK and silence. */
  chooses: boolean;
  /** Objects on the device: queue pairs, completion queues, memory regions. */
  qps: number;
  cqs: number;
  mrs: number;
}

/** An object of a device: native/rxe/uapi/sealift_rxe.h, sealift_rxe_device_object. */
export interface RxeObject {
  kind: 'context' | 'pd' | 'ah' | 'srq' | 'qp' | 'cq' | 'mr' | 'mw' | 'other';
  /** Of a context its number, of a queue pair its QPN, of a region or window its rkey; else unique for the kind. */
  number: number;
  /** In its context; absent for contexts and for what is the kernel's. */
  handle?: number;
  /** Number of the context that it belongs to; absent for what is the kernel's. */
  context?: number;
  /**
   * PID, in the caller's PID namespace: of a region the process whose memory it is, of others the one that created it.
   * Absent if no process that runs and is visible is that.
   */
  owner?: number;
  /** Of a queue pair: verbs' name (`RC`). */
  type?: string;
  /** Of a queue pair: multicast groups that it is attached to; absent if there are none. */
  multicastGroups?: number;
  /** Of a queue pair or an address handle: its source address is no longer in the GID table; absent if it is. */
  sourceAddressLost?: boolean;
  /** The same, with a path: index of its source address in the GID table. */
  sourceIndex?: number;
  /** Of a completion queue, a shared receive queue or a queue pair: as `RxeContext.unreadEvents`; absent if there are none. */
  unreadEvents?: number;
  /** Of a completion queue: unread completion events; absent if there are none. */
  unreadCompletions?: number;
  /** Of the same: its queues in memory; of a queue pair first that of requests to send. Absent if there are none. */
  rings?: { offset: number; size: number }[];
  /** Of a region: it is over plain memory of a process. */
  isUserMemory?: boolean;
  /** Of such a region. */
  memory?: RxeMemory;
  /** Of an RC queue pair in RTS, SQD or SQE. */
  peer?: RxePeer;
}

/** Addresses of a region in its owner, which may have protected them since. */
export interface RxeMemory {
  start: number;
  length: number;
  /** The device may write there. */
  isWritable: boolean;
  /** The first address where the owner no longer has what it registered: it has freed or replaced that memory. Absent: it has all. */
  remappedAt?: number;
}

/** How the peer of a queue pair retries if it is set up as the queue pair is, and what a hold that chooses makes of it. */
export interface RxePeer {
  /** `rnr_retry`, 0..7. */
  rnrRetry: number;
  /** `retry_cnt`, 0..7. */
  retryCount: number;
  /** Code of the response timeout, 0..31: 4.096 us x 2^code; 0: none. */
  timeout: number;
  /** The queue pair answers nothing; else RNR NAK, with `rnrTimer`. */
  isSilent: boolean;
  /** Code 0..31. */
  rnrTimer: number;
  /** For how many milliseconds it retries; absent: without a limit. */
  budgetMs?: number;
}

/** A verbs context that a process has open. */
export interface RxeContext {
  fd: number;
  /** As `RxeObject.context`. */
  context: number;
  /** Unread events of the device and its port: bit n for event type n (enum ibv_event_type). */
  unreadEvents: number;
  /** How many completion channels and files of asynchronous events it has. */
  channels: number;
  asyncFiles: number;
  /** Objects of kinds that `RxeObject` does not have; their types are UVERBS_OBJECT_* (rdma/ib_user_ioctl_cmds.h). */
  others: { type: number; handle: number }[];
}

/** A completion channel or a file of asynchronous events that a process has open. */
export interface RxeEventFile {
  pid: number;
  fd: number;
  /** What it is, whose and with how many unread events; absent if it is of none of the contexts that were looked at. */
  kind?: 'channel' | 'async';
  context?: number;
  unread?: number;
}

/** A NAK that ends a connection, which a peer sends once. A held queue pair keeps it. */
export interface RxeNak {
  qpn: number;
  /** Of the request that the peer has refused. */
  psn: number;
  /** 0x61 invalid request, 0x62 remote access error, 0x63 remote operational error. */
  syndrome: number;
}

/** What there is of an address beside the address itself; absent: the kernel's default. */
export interface AddressDetails {
  /** The other end's, on a point-to-point link. */
  peer?: string | undefined;
  broadcast?: string | undefined;
  /** The kernel's number (RT_SCOPE_*). */
  scope?: number | undefined;
  /** IFA_F_* */
  flags?: number | undefined;
  label?: string | undefined;
  /** Of the routes that the kernel makes by it. */
  metric?: number | undefined;
  /** Absent: for ever. */
  validSeconds?: number | undefined;
  preferredSeconds?: number | undefined;
}

export interface InterfaceAddress extends AddressDetails {
  family: 'ipv4' | 'ipv6';
  address: string;
  /** Length of the prefix. */
  prefix: number;
  /** Who has made it (IFAPROT_*): 1 to 3 the kernel. Absent: not known. */
  protocol?: number;
}

/** An address to be added or removed. */
export interface PlainAddress extends AddressDetails {
  address: string;
  prefix: number;
}
export interface InterfaceInfo {
  index: number;
  /** Lower-case, colons. */
  mac: string;
  mtu: number;
  /** IFF_UP. */
  up: boolean;
  /** IFF_LOWER_UP: there is a carrier. */
  carrier: boolean;
  /** In the kernel's order: IPv4 first; of IPv6 the newest first, link-local ones at the end. */
  addresses: InterfaceAddress[];
}

/** The host's end of a pod's veth, and the bridge that it is a port of. */
export interface HostEnd {
  ifname: string;
  bridge?: string;
}

/** A route of Sealift's. `destination` has a prefix length; `ifname` is empty if the interface is gone. */
export interface OwnRoute {
  destination: string;
  via?: string;
  ifname: string;
}

export interface ProxyNeighbour {
  address: string;
  ifname: string;
}

/** Numbers of System V IPC objects. */
export interface SysvObjects {
  /** Shared memory segments. */
  shm: number;
  /** Semaphore sets. */
  sem: number;
  /** Message queues. */
  msg: number;
}

/** A local address of closed TCP sockets. */
export interface ClosedTcp {
  address: string;
  /** Whether the namespace has it. */
  isThere: boolean;
}

/** A socket that CRIU cannot dump. */
export interface UndumpableSocket {
  fd: number;
  /** AF_INET is 2, AF_INET6 10 (socket(2)). */
  family: number;
  /** IPPROTO_MPTCP is 262. */
  protocol: number;
  listens: boolean;
  /** The local one; 0 if there is none. */
  port: number;
  /**
   * Of one that CRIU could dump otherwise: an upper layer of TCP, which it would leave out; keys of TCP-AO or of TCP MD5, which it
   * would lose; an eBPF program as filter, which nobody can read.
   */
  has?: 'ulp' | 'ao' | 'md5' | 'bpf';
  /** Of an upper layer: its name, `tls`. */
  layer?: string;
}

/** What one thread of a process has apart from it. */
export interface Unshared {
  tid: number;
  /**
   * `files`, `directory`, `namespace`: of its own; `children`: a namespace for its next children; `tracer`: has one; `first`: it is the
   * first thread, and has ended before others.
   */
  what: 'files' | 'directory' | 'namespace' | 'children' | 'tracer' | 'first';
  /** PID of the tracer. */
  tracer?: number;
}

/** A Unix socket (unix(7)). */
export interface UnixSocket {
  inode: number;
  /** Inode of the socket that it is connected to. */
  peer?: number;
  /** What it is bound to: a path, or a zero byte and an abstract name. */
  name?: Buffer;
  /** Of one that listens: inodes of the clients that it has not accepted yet; 0 for one that is closed. */
  waiting: number[];
}
