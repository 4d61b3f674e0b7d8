// SPDX-License-Identifier: Apache-2.0
// What Node.js cannot do by itself: RDMA netlink, uverbs ioctls, nftables and raw sockets inside
// another network namespace, kernel modules. Every function runs on a thread of its own that enters
// the namespace, does its work and ends, so that no thread of libuv's pool ever changes namespace.
import { existsSync } from 'node:fs';
import { call, native } from './native.ts';
import type {
  ClosedTcp,
  Gid,
  Netns,
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
  Unshared,
} from './types.ts';

export { NativeError } from './native.ts';
export * from './interfaces.ts';
export * from './routes.ts';
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

/**
 * The sockets of a process that CRIU cannot dump, or would restore without what makes them safe; empty for one that has ended.
 * Codes: EPERM; ENOENT: a kernel without inet_diag, if the process has TCP sockets.
 */
export function undumpableSockets(pid: number): Promise<UndumpableSocket[]> {
  return call((addon) => addon.undumpableSockets(pid));
}

/** What threads of a process do not share with it, one of each kind; empty for one that has ended. Codes: EPERM. */
export function unshared(pid: number): Promise<Unshared[]> {
  return call((addon) => addon.unshared(pid));
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

/**
 * The local addresses of the closed TCP sockets that a task has open, each once; none of an unbound socket. The kernel
 * lists such sockets nowhere. Empty for a task that has ended.
 * @param netns where the addresses are looked for
 * Codes: EPERM; ENOENT: no such namespace.
 */
export function closedTcpOf(netns: string, pid: number): Promise<ClosedTcp[]> {
  return call((addon) => addon.closedTcpOf(netns, pid));
}

/**
 * Resets the TCP connections that a task has open at the addresses, or from a loopback address to them, as their peers' RST would: its next call gets ECONNRESET,
 * what it reads after that is at its end. What it has not read is lost. The peers get a RST if they can be reached. For a task
 * that stands still: a call that waits would end with EPIPE.
 * @returns how many there were; 0 for a task that has ended
 * Codes: EPERM, BadArgument.
 */
export function resetTcpOf(pid: number, addresses: readonly string[]): Promise<number> {
  return call((addon) => addon.resetTcpOf(pid, [...addresses]));
}

/**
 * Ends every TCP connection of a namespace at the addresses, or from a loopback address to them, also one that nobody has accepted yet or has any more. A peer that
 * can be reached gets a RST; a process that has it gets ECONNABORTED. Listening sockets stay.
 * @returns how many there were
 * One that the kernel refuses to end keeps no other from it.
 * Codes: EPERM; ENOENT: no such namespace, or a kernel without inet_diag; BadArgument.
 */
export function endTcpAt(netns: Netns, addresses: readonly string[]): Promise<number> {
  return call((addon) => addon.endTcpAt(netns, [...addresses]));
}
