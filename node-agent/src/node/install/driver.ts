// SPDX-License-Identifier: Apache-2.0
// Loads Sealift's rdma_rxe for the node's kernel, and what it depends on from the distribution.
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as addon from '../../../../native/addon/index.ts';
import { AgentError, isErrno } from '../../support/errors.ts';
import type { Host } from '../host/host.ts';

/** rdma_ucm serves applications that connect by rdma_cm. */
const dependencies = ['ib_core', 'ib_uverbs', 'rdma_ucm', 'udp_tunnel', 'ip6_udp_tunnel'];
const PROBE = 'sealift-probe';
const HOST_NETNS = '/proc/1/ns/net';

/** `rxe-<abi>` of the driver that is loaded; undefined if it is not Sealift's. */
export async function loadedAbi(): Promise<string | undefined> {
  if (!addon.moduleLoaded('rdma_rxe')) return undefined;
  // Only a device answers. Its name is host-wide: a former probe may have been left by a crash.
  await removeProbe();
  await addon.rdmaLinkAdd({ netns: HOST_NETNS, name: PROBE, netdev: 'lo' });
  try {
    return `rxe-${(await addon.rxeQuery({ netns: HOST_NETNS, device: PROBE })).abi}`;
  } catch (error) {
    if (isErrno(error, 'AbiMismatch')) return undefined;
    throw error;
  } finally {
    await removeProbe();
  }
}

async function removeProbe(): Promise<void> {
  try {
    await addon.rdmaLinkDelete({ netns: HOST_NETNS, name: PROBE });
  } catch (error) {
    if (!isErrno(error, 'NoSuchDevice')) throw error;
  }
}

/**
 * @param modulesDir one folder per kernel release, each with rdma_rxe.ko
 * @returns the driver's ABI
 * @throws AgentError DriverMissing, NetnsModeShared
 */
export async function loadDriver(host: Host, modulesDir: string): Promise<string> {
  const release = addon.kernelRelease();
  const file = join(modulesDir, release, 'rdma_rxe.ko');
  await host.check('modprobe', ['--all', ...dependencies]);
  if (addon.moduleLoaded('rdma_rxe')) {
    const abi = await loadedAbi();
    if (abi !== undefined) return abi;
    await unloadForeign();
  }
  if (!existsSync(file)) {
    const there = existsSync(modulesDir) ? await readdir(modulesDir) : [];
    throw new AgentError(
      'DriverMissing',
      `no rdma_rxe for kernel ${release} in this image (it has ${there.join(', ') || 'none'}): ` +
        'build native/rxe for that kernel and put it into the image',
    );
  }
  try {
    await addon.finitModule(file);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) {
      const said = error instanceof Error ? error.message : String(error);
      throw new AgentError('DriverMissing', `the kernel refuses ${file}: ${said}`, {
        cause: error,
      });
    }
  }
  const abi = await loadedAbi();
  if (abi !== undefined) return abi;
  throw new AgentError('DriverMissing', `${file} is loaded but does not answer Sealift's methods`);
}

/** The distribution's driver has no Sealift methods; nobody loses anything while no device uses it. */
async function unloadForeign(): Promise<void> {
  try {
    await addon.deleteModule('rdma_rxe');
  } catch (error) {
    throw new AgentError(
      'DriverMissing',
      "the distribution's rdma_rxe is in use on this node: remove its devices (rdma link delete) " +
        'or reboot, then restart the agent',
      { cause: error },
    );
  }
}
