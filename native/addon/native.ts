// SPDX-License-Identifier: Apache-2.0
// Loads the addon and calls it; its functions as the binary has them. index.ts is the face for everybody else.
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type {
  ClosedTcp,
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
  Unshared,
} from './types.ts';

/**
 * A failed native call.
 * `code` is an errno's name (`ENOENT`, `EPERM`, `EBUSY`, ...) when the kernel refused, or one of:
 * `AddonMissing` (the addon's file is absent or does not load), `BadArgument`, `NoSuchDevice` (no RDMA
 * device of that name in that namespace), `NoSuchInterface`, `NftFailed` (the message is libnftables'
 * own), `AbiMismatch` (the loaded driver has no Sealift methods or another version of them).
 */
export class NativeError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NativeError';
    this.code = code;
  }
}

interface Native {
  rdmaNetnsMode(): Promise<RdmaNetnsMode>;
  setRdmaNetnsMode(mode: RdmaNetnsMode): Promise<void>;
  rdmaLinkAdd(netns: Netns, name: string, netdev: string): Promise<void>;
  rdmaLinkDelete(netns: Netns, name: string): Promise<void>;
  rdmaDevices(netns: Netns): Promise<RdmaDevice[]>;
  rdmaResources(netns: Netns, device: string): Promise<RdmaResources>;
  gids(netns: Netns, device: string): Promise<Gid[]>;
  rxeQuery(netns: Netns, device: string): Promise<RxeInfo>;
  rxeHold(
    netns: Netns,
    device: string,
    rnrTimer: number,
    timeoutMs: number,
    receiveDatagrams: boolean,
    choose: boolean,
  ): Promise<void>;
  rxeResume(netns: Netns, device: string): Promise<void>;
  rxeObjects(netns: Netns, device: string): Promise<RxeObject[]>;
  rxeContexts(netns: Netns, device: string, pid: number): Promise<RxeContext[]>;
  rxeEventFiles(netns: Netns, device: string, pids: readonly number[]): Promise<RxeEventFile[]>;
  rxeNaks(netns: Netns, device: string): Promise<RxeNak[]>;
  rxeRestoreNaks(netns: Netns, device: string, naks: readonly number[]): Promise<number[]>;
  nft(netns: Netns, commands: string, json: boolean): Promise<string>;
  interfaceInfo(netns: Netns, ifname: string): Promise<InterfaceInfo>;
  setMtu(netns: Netns, ifname: string, mtu: number): Promise<void>;
  hideInterface(netns: Netns, ifname: string, createdHidden: boolean): Promise<boolean>;
  showInterface(netns: Netns, ifname: string): Promise<boolean>;
  announce(
    netns: Netns,
    ifname: string,
    count: number,
    intervalMs: number,
    address?: string,
  ): Promise<number>;
  replaceAddresses(netns: Netns, ifname: string, addresses: string[]): Promise<void>;
  addAddress(netns: Netns, ifname: string, address: PlainAddress): Promise<void>;
  removeAddress(netns: Netns, ifname: string, address: PlainAddress): Promise<boolean>;
  keptRoutes(netns: Netns, ifname: string): Promise<Buffer[]>;
  giveRoutesBack(netns: Netns, routes: Buffer[]): Promise<number>;
  hostEnd(netns: Netns, ifname: string, hostNetns: Netns): Promise<HostEnd>;
  replaceRoute(
    netns: Netns,
    table: number,
    destination: string,
    via: string | undefined,
    ifname: string | undefined,
    source: string | undefined,
  ): Promise<void>;
  deleteRoute(netns: Netns, table: number, destination: string): Promise<boolean>;
  routes(netns: Netns, table: number): Promise<OwnRoute[]>;
  ensureRule(netns: Netns, table: number, priority: number): Promise<void>;
  removeRule(netns: Netns, table: number, priority: number): Promise<void>;
  addProxyNeighbour(netns: Netns, ifname: string, address: string): Promise<boolean>;
  deleteProxyNeighbour(netns: Netns, ifname: string, address: string): Promise<boolean>;
  proxyNeighbours(netns: Netns): Promise<ProxyNeighbour[]>;
  finitModule(path: string, params: string): Promise<void>;
  deleteModule(name: string): Promise<void>;
  fsyncDir(path: string): Promise<void>;
  makeCharDevice(path: string, major: number, minor: number): Promise<void>;
  kernelRelease(): string;
  sysvipc(path: string): Promise<SysvObjects>;
  undumpableSockets(pid: number): Promise<UndumpableSocket[]>;
  unixSockets(netns: string): Promise<UnixSocket[]>;
  unshared(pid: number): Promise<Unshared[]>;
  endTcpRepair(pid: number): Promise<number>;
  endTcpOrphans(netns: Netns): Promise<number>;
  closedTcpOf(netns: string, pid: number): Promise<ClosedTcp[]>;
  resetTcpOf(pid: number, addresses: readonly string[]): Promise<number>;
  endTcpAt(netns: Netns, addresses: readonly string[]): Promise<number>;
}

let loaded: Native | undefined;

/** Where the addon may be: SEALIFT_ADDON, else the checkout's build, else beside a bundled file. */
function candidates(): string[] {
  const named = process.env['SEALIFT_ADDON'];
  if (named) return [named];
  return ['../../build/native/sealift.node', './sealift.node'].map((at) =>
    fileURLToPath(new URL(at, import.meta.url)),
  );
}

/** The addon itself. @throws NativeError AddonMissing */
export function native(): Native {
  if (loaded) return loaded;
  const path = candidates().find((file) => existsSync(file));
  if (!path) {
    throw new NativeError('AddonMissing', `no native addon at ${candidates().join(' or ')}`);
  }
  try {
    loaded = createRequire(import.meta.url)(path) as Native;
  } catch (error) {
    throw new NativeError('AddonMissing', `${path} does not load: ${String(error)}`, {
      cause: error,
    });
  }
  return loaded;
}

/** Calls the addon, which is loaded the first time. @throws NativeError */
export async function call<T>(work: (addon: Native) => Promise<T>): Promise<T> {
  try {
    return await work(native());
  } catch (error) {
    if (error instanceof NativeError || !(error instanceof Error)) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'BadArgument';
    throw new NativeError(code, error.message, { cause: error });
  }
}
