// SPDX-License-Identifier: Apache-2.0
// Loads Sealift's rdma_rxe for the node's kernel, and the distribution's modules that it depends on. main.ts calls it: the
// init container loads, the agent asks for the ABI.
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as addon from '../../../../native/addon/index.ts';
import { AgentError, isErrno } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';
import { deviceThere, DRIVER } from './loaded-modules.ts';

/** Besides ib_core. rdma_ucm is there for applications that connect with librdmacm. */
const dependencies = ['ib_uverbs', 'rdma_ucm', 'udp_tunnel', 'ip6_udp_tunnel'];
const HOST_NETNS = '/proc/1/ns/net';
const PROBE = 'sealift-probe-';

/**
 * Name of the RDMA device that asks the driver for its ABI. Names are unique in a kernel, and several nodes may share one
 * (kind): the name has the inode number of the node's network namespace, which no other node of that kernel has.
 */
async function probeName(): Promise<string> {
  return `${PROBE}${(await stat(HOST_NETNS)).ino}`;
}

/** Whether an rdma_rxe is loaded: Sealift's or the distribution's. */
export const driverLoaded = (): boolean => addon.moduleLoaded(DRIVER);

/** `rxe-<ABI version>` of the loaded driver; undefined if none is loaded or it is not Sealift's. */
export async function loadedAbi(): Promise<string | undefined> {
  if (!driverLoaded()) return undefined;
  // Only a device answers. A crash may have left an earlier probe.
  const device = await probeName();
  await removeProbe(device);
  await addon.rdmaLinkAdd({ netns: HOST_NETNS, name: device, netdev: 'lo' });
  try {
    return `rxe-${(await addon.rxeQuery({ netns: HOST_NETNS, device })).abi}`;
  } catch (error) {
    if (isErrno(error, 'AbiMismatch')) return undefined;
    throw error;
  } finally {
    await removeProbe(device);
  }
}

async function removeProbe(name: string): Promise<void> {
  try {
    await addon.rdmaLinkDelete({ netns: HOST_NETNS, name });
  } catch (error) {
    if (!isErrno(error, 'NoSuchDevice')) throw error;
  }
}

/**
 * Loads ib_core in exclusive network namespace mode (`netns_mode=0`), unless it is there, in whichever mode: that can't be
 * changed while there are containers.
 * @throws AgentError RuntimeFailed
 */
export async function loadInfiniBand(
  host: Pick<Host, 'check'>,
  isLoaded = addon.moduleLoaded,
): Promise<void> {
  if (isLoaded('ib_core')) return;
  await host.check('modprobe', ['ib_core', 'netns_mode=0']);
}

const fileOf = (modulesDir: string, release: string): string =>
  join(modulesDir, release, 'rdma_rxe.ko');

/**
 * There is a driver for the node's kernel, in the agent's image or loaded by somebody else. Nothing is loaded before this:
 * a node that Sealift has no driver for stays as it is.
 * @throws AgentError DriverMissing
 */
export async function requireDriver(
  modulesDir: string,
  of: Pick<typeof addon, 'kernelRelease' | 'moduleLoaded'> = addon,
): Promise<void> {
  const release = of.kernelRelease();
  if (of.moduleLoaded(DRIVER) || existsSync(fileOf(modulesDir, release))) return;
  throw await missing(modulesDir, release);
}

async function missing(modulesDir: string, release: string): Promise<AgentError> {
  const releases = existsSync(modulesDir) ? await readdir(modulesDir) : [];
  return new AgentError(
    'DriverMissing',
    `The agent's image has no rdma_rxe for kernel ${release} (it has ${releases.join(', ') || 'none'}). ` +
      'Build native/rxe for that kernel and put it into the image.',
  );
}

export interface DriverParts {
  readonly host: Pick<Host, 'check' | 'run'>;
  /** Directory with `<kernel release>/rdma_rxe.ko`, as the agent sees it. */
  readonly modulesDir: string;
  /** The rdma_rxe that is loaded is one of Sealift's, of whatever version. */
  readonly isOwn: () => boolean;
  /** Whether other nodes have the same kernel, or may have. */
  readonly isShared: () => Promise<boolean>;
}

/**
 * Loads the driver, unless Sealift's is loaded already: a node that is a container finds it there, and may load nothing.
 * @returns the driver's ABI, and whether the distribution's rdma_rxe had to give way
 * @throws AgentError DriverMissing, DriverOutdated, RuntimeFailed
 */
export async function loadDriver(
  { host, modulesDir, isOwn, isShared }: DriverParts,
  of: Kernel = addon,
  abiOf = loadedAbi,
): Promise<{ abi: string; replacedDriver: boolean }> {
  const release = of.kernelRelease();
  const file = fileOf(modulesDir, release);
  const present = await abiOf();
  if (present !== undefined) {
    // Applications may want rdma_ucm, too. A node that may load no modules has what it has.
    await host.run('modprobe', ['--all', '--quiet', ...dependencies]);
    return { abi: present, replacedDriver: false };
  }
  const isThere = of.moduleLoaded(DRIVER);
  const replacedDriver = isThere && !isOwn();
  if (isThere && (await isShared())) throw replacedDriver ? foreignShared() : outdatedShared();
  if (!existsSync(file)) throw await missing(modulesDir, release);
  await host.check('modprobe', ['--all', ...dependencies]);
  // Not before it is known that there is another one.
  if (isThere) await (replacedDriver ? unloadForeign(of) : unloadOutdated(of));
  try {
    await of.finitModule(file);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) {
      if (replacedDriver) await host.run('modprobe', [DRIVER]);
      throw refused(file, error);
    }
  }
  const abi = await abiOf();
  if (abi !== undefined) return { abi, replacedDriver };
  throw new AgentError(
    'DriverMissing',
    `${file} is loaded but does not answer Sealift's methods. Build native/rxe again for this version.`,
  );
}

/** Sealift's driver has a parameter that the distribution's has not. */
export const isSealiftsDriver = (noted: readonly string[], sys = '/sys'): boolean =>
  noted.includes(DRIVER) || existsSync(`${sys}/module/${DRIVER}/parameters/fault`);

const byHand =
  'load the one of this version as charts/sealift/README.md says under "What the agents do to nodes"';

const foreignShared = (): AgentError =>
  new AgentError(
    'DriverMissing',
    "This node shares its kernel with other nodes, and the distribution's rdma_rxe is loaded in it. No agent unloads it there. " +
      `Unload it on the machine, where nobody uses it, and ${byHand}.`,
  );

const outdatedShared = (): AgentError =>
  new AgentError(
    'DriverOutdated',
    'This node shares its kernel with other nodes, and an rdma_rxe of another version of Sealift is loaded in it. No agent ' +
      'unloads it there. Delete the pods with RDMA devices of all these nodes, unload rdma_rxe on the machine, and ' +
      `${byHand}.`,
  );

const outdated = (there: string, cause?: unknown): AgentError =>
  new AgentError(
    'DriverOutdated',
    `The rdma_rxe of another version of Sealift is loaded on this node, and in use: ${there}. Pods keep their devices, but none ` +
      "can be moved to or from here. Delete this node's pods with RDMA devices (kubectl drain), then delete the agent's pod of " +
      'this node: the next one loads the driver of this version. Or reboot the node.',
    { cause },
  );

/** Unloads a driver of another version of Sealift, where nobody has a device of it. @throws AgentError DriverOutdated */
async function unloadOutdated(of: Kernel): Promise<void> {
  const there = await deviceThere(of, '/proc', (name) => name.startsWith(PROBE));
  if (there !== undefined) throw outdated(there);
  try {
    await of.deleteModule(DRIVER);
  } catch (error) {
    throw outdated(error instanceof Error ? error.message : String(error), error);
  }
}

/** What loading the driver asks the kernel. */
export type Kernel = Pick<
  typeof addon,
  'kernelRelease' | 'moduleLoaded' | 'finitModule' | 'deleteModule' | 'rdmaDevices'
>;

/** Why the kernel does not take the module, as far as its error says (finit_module(2), module signing). */
function refused(file: string, error: unknown): AgentError {
  const message = error instanceof Error ? error.message : String(error);
  const isLocked = ['EPERM', 'EKEYREJECTED', 'ENOKEY'].some((code) => isErrno(error, code));
  const cause = isLocked
    ? 'It takes signed modules only (Secure Boot, lockdown), or none from a container. Sign the module with a key of the ' +
      'machine, or load it by hand, as charts/sealift/README.md says.'
    : "See the kernel's log.";
  return new AgentError('DriverMissing', `The kernel refuses ${file}: ${message}. ${cause}`, {
    cause: error,
  });
}

/**
 * Unloads the distribution's driver, which lacks Sealift's methods. The kernel refuses while somebody has a device of it
 * open; it would remove those that nobody has open just now.
 */
async function unloadForeign(of: Kernel): Promise<void> {
  const advice = 'Remove its devices (`rdma link delete`) or reboot, then restart the agent.';
  const there = await deviceThere(of, '/proc', (name) => name.startsWith(PROBE));
  if (there !== undefined)
    throw new AgentError(
      'DriverMissing',
      `The distribution's rdma_rxe is in use on this node: ${there}. ${advice}`,
    );
  try {
    await of.deleteModule(DRIVER);
  } catch (error) {
    throw new AgentError(
      'DriverMissing',
      `The distribution's rdma_rxe is in use on this node. ${advice}`,
      { cause: error },
    );
  }
}
