// SPDX-License-Identifier: Apache-2.0
// What Node.js cannot do by itself: RDMA netlink, uverbs ioctls, nftables and raw sockets inside
// another network namespace, kernel modules. Every function runs on a thread of its own that enters
// the namespace, does its work and ends, so that no thread of libuv's pool ever changes namespace.
import { existsSync } from 'node:fs';
import { call, native } from './native.ts';
import type {
  Gid,
  HostEnd,
  InterfaceInfo,
  Netns,
  OwnRoute,
  PlainAddress,
  ProxyNeighbour,
  RdmaDevice,
  RdmaNetnsMode,
  RdmaResources,
  RxeContext,
  RxeEventFile,
  RxeInfo,
  RxeNak,
  RxeObject,
  SysvObjects,
  UndumpableSocket,
  UnixSocket,
} from './types.ts';

export { NativeError } from './native.ts';
export type * from './types.ts';

/** Whether RDMA devices belong to one network namespace each. Source: RDMA_NLDEV_CMD_SYS_GET. */
export function rdmaNetnsMode(): Promise<RdmaNetnsMode> {
  return call((addon) => addon.rdmaNetnsMode());
}

/** Rejects with `EBUSY` once other network namespaces exist. */
export function setRdmaNetnsMode(mode: RdmaNetnsMode): Promise<void> {
  return call((addon) => addon.setRdmaNetnsMode(mode));
}

/**
 * Makes an rxe device on `netdev`, an interface of `netns`, where the device lives too.
 * Nothing is left behind on failure. Rejects with `EEXIST` if the interface has a device or the name is
 * taken (names are host-wide even in exclusive mode), `ENODEV` if there is no such interface or no
 * driver, `AbiMismatch` if the driver does not know namespaces.
 */
export function rdmaLinkAdd(of: { netns: Netns; name: string; netdev: string }): Promise<void> {
  return call((addon) => addon.rdmaLinkAdd(of.netns, of.name, of.netdev));
}

/** Rejects with `NoSuchDevice` if it is gone already. Open contexts get a fatal event. */
export function rdmaLinkDelete(of: { netns: Netns; name: string }): Promise<void> {
  return call((addon) => addon.rdmaLinkDelete(of.netns, of.name));
}

/** The devices that `netns` sees. */
export function rdmaDevices(netns: Netns): Promise<RdmaDevice[]> {
  return call((addon) => addon.rdmaDevices(netns));
}

/** Objects of one device, as `rdma resource show` lists them. */
export function rdmaResources(netns: Netns, device: string): Promise<RdmaResources> {
  return call((addon) => addon.rdmaResources(netns, device));
}

/** The filled entries of port 1's GID table. Source: UVERBS_METHOD_QUERY_GID_TABLE. */
export function gids(netns: Netns, device: string): Promise<Gid[]> {
  return call((addon) => addon.gids(netns, device));
}

/** Rejects with `AbiMismatch` if the driver is not Sealift's. */
export function rxeQuery(of: { netns: Netns; device: string }): Promise<RxeInfo> {
  return call((addon) => addon.rxeQuery(of.netns, of.device));
}

/**
 * Holds every queue pair of the device, and those still to come.
 * `rnrTimer` is the RNR timer code (0..31) sent to peers; `timeoutMs` (1 to 60000) bounds the wait for
 * the driver's work queues to be idle (rejects with `ETIMEDOUT`, and the device is as it was).
 * With `choose` each RC queue pair chooses between RNR NAK and silence, what its peer bears longer if it is set up the same
 * (`RxeObject.peer`); `rnrTimer` is for peers that bear it for ever. Without it all answer RNR NAK with `rnrTimer`.
 * With `receiveDatagrams` UD queue pairs still receive, and the driver refuses to dump and restore until it holds the device
 * without. A device that is held takes over what a further call says.
 */
export function rxeHold(of: {
  netns: Netns;
  device: string;
  rnrTimer: number;
  timeoutMs: number;
  receiveDatagrams: boolean;
  choose: boolean;
}): Promise<void> {
  const { netns, device, rnrTimer, timeoutMs, receiveDatagrams, choose } = of;
  return call((addon) =>
    addon.rxeHold(netns, device, rnrTimer, timeoutMs, receiveDatagrams, choose),
  );
}

/**
 * Does nothing to a device that is not held. Rejects with `EAGAIN` while a restored responder lacks the
 * memory region that it is writing to.
 */
export function rxeResume(of: { netns: Netns; device: string }): Promise<void> {
  return call((addon) => addon.rxeResume(of.netns, of.device));
}

/**
 * The NAKs that the held device's queue pairs keep, of all packets that it has received before the call. Rejects with `EBUSY`
 * if it is not held, `AbiMismatch`.
 */
export function rxeNaks(of: { netns: Netns; device: string }): Promise<RxeNak[]> {
  return call((addon) => addon.rxeNaks(of.netns, of.device));
}

/**
 * Gives them to restored queue pairs of a held device, which obey them when it resumes. One that keeps a NAK already stays
 * as it is. Resolves with those that the driver refuses: it has no such queue pair, or that one awaits no such answer. Rejects
 * with `EBUSY` if the device is not held, `AbiMismatch`.
 */
export async function rxeRestoreNaks(of: {
  netns: Netns;
  device: string;
  naks: readonly RxeNak[];
}): Promise<RxeNak[]> {
  const { netns, device, naks } = of;
  const numbers = naks.flatMap(({ qpn, psn, syndrome }) => [qpn, psn, syndrome]);
  const refused = await call((addon) => addon.rxeRestoreNaks(netns, device, numbers));
  return naks.filter((_nak, at) => refused.includes(at));
}

/**
 * Every object of the device, of all its contexts and of the kernel, in no order; without the contexts that this process
 * has open for its own calls. What is created meanwhile may be missing. Rejects with `AbiMismatch`.
 */
export function rxeObjects(of: { netns: Netns; device: string }): Promise<RxeObject[]> {
  return call((addon) => addon.rxeObjects(of.netns, of.device));
}

/**
 * The contexts of the device that a process has open; empty for a process that has ended. Descriptors without a context
 * are left out. Rejects with `AbiMismatch`, `EPERM`.
 */
export function rxeContexts(of: {
  netns: Netns;
  device: string;
  pid: number;
}): Promise<RxeContext[]> {
  return call((addon) => addon.rxeContexts(of.netns, of.device, of.pid));
}

/**
 * The event files that these processes have open, and of which of the device's contexts that they have open each is.
 * Rejects with `AbiMismatch`, `EPERM`.
 */
export function rxeEventFiles(of: {
  netns: Netns;
  device: string;
  pids: readonly number[];
}): Promise<RxeEventFile[]> {
  return call((addon) => addon.rxeEventFiles(of.netns, of.device, of.pids));
}

/**
 * Runs nft's commands (what `nft -f -` accepts) as one transaction and resolves with what they print.
 * With `json` it prints JSON, and accepts it. Rejects with `NftFailed`.
 */
export function nft(
  netns: Netns,
  commands: string,
  options: { json?: boolean } = {},
): Promise<string> {
  return call((addon) => addon.nft(netns, commands, options.json ?? false));
}

/** Rejects with `NoSuchInterface`. Source: rtnetlink. */
export function interfaceInfo(netns: Netns, ifname: string): Promise<InterfaceInfo> {
  return call((addon) => addon.interfaceInfo(netns, ifname));
}

/**
 * Rejects with `NoSuchInterface`, `BadArgument`, and the kernel's refusal (`EINVAL`: a macvlan cannot have more than the interface
 * below it). Source: RTM_NEWLINK.
 */
export function setMtu(of: { netns: Netns; ifname: string; mtu: number }): Promise<void> {
  return call((addon) => addon.setMtu(of.netns, of.ifname, of.mtu));
}

/**
 * Keeps a macvlan in bridge mode from taking frames that its siblings on this host send to its MAC while
 * another host's interface still has that MAC, or has it already: they leave by the wire instead (VEPA).
 * Interfaces of other kinds and modes are left alone. Remembered on the interface (its alias): idempotent,
 * also over a restart. `createdHidden` if it was created in VEPA mode only in order to be hidden (the CNI
 * delegate says so). Resolves with whether it is hidden now. Rejects with `NoSuchInterface`.
 */
export function hideInterface(
  netns: Netns,
  ifname: string,
  options: { createdHidden?: boolean } = {},
): Promise<boolean> {
  return call((addon) => addon.hideInterface(netns, ifname, options.createdHidden ?? false));
}

/** Ends what `hideInterface` began; resolves with whether there was anything to end. */
export function showInterface(netns: Netns, ifname: string): Promise<boolean> {
  return call((addon) => addon.showInterface(netns, ifname));
}

/**
 * Tells the network where the interface's addresses are: for each IPv4 address a gratuitous ARP request
 * and reply, for each IPv6 address an unsolicited neighbour advertisement; `count` times (default 3, as one
 * frame may be lost), `intervalMs` (default 20) apart. With `address` it announces that one only, whether or not the interface has it.
 * Resolves with the number of frames sent.
 */
export function announce(of: {
  netns: Netns;
  ifname: string;
  count?: number;
  intervalMs?: number;
  address?: string;
}): Promise<number> {
  const { netns, ifname, count = 3, intervalMs = 20, address } = of;
  return call((addon) => addon.announce(netns, ifname, count, intervalMs, address));
}

/**
 * Gives an interface these addresses (`10.0.0.1/32`) and takes every other but link-local ones from it. Without duplicate
 * address detection. Routes that need an address that goes, go with it. Rejects with `NoSuchInterface`, `BadArgument`.
 */
export function replaceAddresses(of: {
  netns: Netns;
  ifname: string;
  addresses: readonly string[];
}): Promise<void> {
  return call((addon) => addon.replaceAddresses(of.netns, of.ifname, [...of.addresses]));
}

/**
 * Without duplicate address detection. Rejects with `EEXIST` if the interface has it, `NoSuchInterface`, `BadArgument`, and the
 * kernel's refusal (`EACCES`: IPv6 is off). Source: RTM_NEWADDR.
 */
export function addAddress(of: {
  netns: Netns;
  ifname: string;
  address: PlainAddress;
}): Promise<void> {
  return call((addon) => addon.addAddress(of.netns, of.ifname, of.address));
}

/** Resolves with whether it was there; it is found by address, prefix length and peer. Rejects as `addAddress`. */
export function removeAddress(of: {
  netns: Netns;
  ifname: string;
  address: PlainAddress;
}): Promise<boolean> {
  return call((addon) => addon.removeAddress(of.netns, of.ifname, of.address));
}

/**
 * Routes by the interface that neither the kernel nor a router has made, for `giveRoutesBack`. Those over several interfaces are not
 * among them.
 */
export function keptRoutes(of: { netns: Netns; ifname: string }): Promise<Buffer[]> {
  return call((addon) => addon.keptRoutes(of.netns, of.ifname));
}

/**
 * Makes those of the routes that have gone meanwhile. Resolves with how many the kernel refuses: their gateway is out of reach now, or
 * their source address is not there.
 */
export function giveRoutesBack(of: { netns: Netns; routes: readonly Buffer[] }): Promise<number> {
  return call((addon) => addon.giveRoutesBack(of.netns, [...of.routes]));
}

/** The other end, in `hostNetns`, of a pod's veth. Rejects with `NoSuchInterface` for one that has no other end. */
export function hostEnd(of: { netns: Netns; ifname: string; hostNetns: Netns }): Promise<HostEnd> {
  return call((addon) => addon.hostEnd(of.netns, of.ifname, of.hostNetns));
}

/**
 * Adds a route to `destination` (`10.0.0.1/32`), or changes the one that is there. With `via` and `ifname` the gateway
 * need not be within a subnet of the interface. Rejects with the kernel's refusal (`ENETUNREACH`: the gateway is not
 * reached directly), `NoSuchInterface`, `BadArgument`. Source: RTM_NEWROUTE.
 */
export function replaceRoute(of: {
  netns: Netns;
  table: number;
  destination: string;
  via?: string | undefined;
  ifname?: string | undefined;
  source?: string | undefined;
}): Promise<void> {
  const { netns, table, destination, via, ifname, source } = of;
  return call((addon) => addon.replaceRoute(netns, table, destination, via, ifname, source));
}

/** Resolves with whether there was one of Sealift's. */
export function deleteRoute(of: {
  netns: Netns;
  table: number;
  destination: string;
}): Promise<boolean> {
  return call((addon) => addon.deleteRoute(of.netns, of.table, of.destination));
}

/** The routes that `replaceRoute` has put into a table. */
export function routes(netns: Netns, table: number): Promise<OwnRoute[]> {
  return call((addon) => addon.routes(netns, table));
}

/** Has the kernel look into a table before those whose rules have higher priority numbers. May be repeated. */
export function ensureRule(of: { netns: Netns; table: number; priority: number }): Promise<void> {
  return call((addon) => addon.ensureRule(of.netns, of.table, of.priority));
}

/** Ends what `ensureRule` has begun. May be repeated. */
export function removeRule(of: { netns: Netns; table: number; priority: number }): Promise<void> {
  return call((addon) => addon.removeRule(of.netns, of.table, of.priority));
}

/** The host answers neighbours on the interface for the address (ARP; for IPv6 only with the sysctl proxy_ndp). */
export function addProxyNeighbour(of: {
  netns: Netns;
  ifname: string;
  address: string;
}): Promise<boolean> {
  return call((addon) => addon.addProxyNeighbour(of.netns, of.ifname, of.address));
}

/** Resolves with whether there was one. */
export function deleteProxyNeighbour(of: {
  netns: Netns;
  ifname: string;
  address: string;
}): Promise<boolean> {
  return call((addon) => addon.deleteProxyNeighbour(of.netns, of.ifname, of.address));
}

/** Those that `addProxyNeighbour` has added. */
export function proxyNeighbours(netns: Netns): Promise<ProxyNeighbour[]> {
  return call((addon) => addon.proxyNeighbours(netns));
}

/** Loads a kernel module from a file; `params` as on modprobe's command line. */
export function finitModule(path: string, params = ''): Promise<void> {
  return call((addon) => addon.finitModule(path, params));
}

/** Rejects with `EWOULDBLOCK` (`EAGAIN`) while the module is in use, `ENOENT` if it is not loaded. */
export function deleteModule(name: string): Promise<void> {
  return call((addon) => addon.deleteModule(name));
}

/** Whether the module is loaded or built in. */
export function moduleLoaded(name: string): boolean {
  return existsSync(`/sys/module/${name.replaceAll('-', '_')}`);
}

/** Makes a directory's entries (renames, new files) durable. */
export function fsyncDir(path: string): Promise<void> {
  return call((addon) => addon.fsyncDir(path));
}

/** A character device's node, mode 0666; one of another number in its place is replaced. */
export function makeCharDevice(path: string, major: number, minor: number): Promise<void> {
  return call((addon) => addon.makeCharDevice(path, major, minor));
}

/** `uname -r`. */
export function kernelRelease(): string {
  return native().kernelRelease();
}

/** The objects of an IPC namespace, by its path, `/proc/123/ns/ipc`. Codes: ENOENT (its task is gone), EPERM. */
export function sysvipc(path: string): Promise<SysvObjects> {
  return call((addon) => addon.sysvipc(path));
}

/** The sockets of a process that CRIU cannot dump; empty for one that has ended. Codes: EPERM. */
export function undumpableSockets(pid: number): Promise<UndumpableSocket[]> {
  return call((addon) => addon.undumpableSockets(pid));
}

/** The Unix sockets of a network namespace, those that no process has any more included. Codes: ENOENT: no unix_diag. */
export function unixSockets(netns: Netns): Promise<UnixSocket[]> {
  return call((addon) => addon.unixSockets(netns));
}

/**
 * Takes the TCP sockets of a task out of repair mode (tcp(7)), in which a CRIU that was killed has left them.
 * @returns how many were in it; 0 for a task that has ended
 * Codes: EPERM.
 */
export function endTcpRepair(pid: number): Promise<number> {
  return call((addon) => addon.endTcpRepair(pid));
}

/**
 * Ends the TCP connections of a namespace that are on their way out and that no process has any more: their address and
 * port pairs are free again. A peer that can be reached gets a RST.
 * @returns how many there were
 * Codes: EPERM; ENOENT: no such namespace, or a kernel without inet_diag.
 */
export function endTcpOrphans(netns: Netns): Promise<number> {
  return call((addon) => addon.endTcpOrphans(netns));
}
