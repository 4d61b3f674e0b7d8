// SPDX-License-Identifier: Apache-2.0
// The seam to the RDMA driver: make, remove, hold, resume and describe the devices of a pod's network
// namespace. Everything that knows rxe in the agent is here.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DEFAULT_RNR_TIMER, type Identity } from '../../../../crds/src/index.ts';
import * as addon from '../../../../native/addon/index.ts';
import { AgentError, isErrno } from '../../support/errors.ts';
import { checkSupported } from './supported-objects.ts';

/** A held device waits at most that long for the driver's queues to be idle. */
const HOLD_TIMEOUT_MS = 5000;
/** Frames of one announcement may be lost; peers' caches must not wait for the next one. */
const ANNOUNCEMENTS = 3;

export interface UverbsDevice {
  name: string;
  hostPath: string;
  major: number;
  minor: number;
}

export class RdmaDriver {
  /** @throws AgentError NetnsModeShared */
  async checkNetnsMode(): Promise<void> {
    if ((await addon.rdmaNetnsMode()) === 'exclusive') return;
    throw new AgentError(
      'NetnsModeShared',
      'RDMA devices are shared between network namespaces on this node: run ' +
        '`rdma system set netns exclusive` at boot, before any container starts ' +
        '(or load ib_core with netns_mode=0)',
    );
  }

  /** The pod's devices with their uverbs nodes. */
  async devices(netns: string): Promise<addon.RdmaDevice[]> {
    return addon.rdmaDevices(netns);
  }

  async uverbs(netns: string): Promise<UverbsDevice | undefined> {
    for (const device of await this.devices(netns)) {
      if (!device.uverbs) continue;
      const { name, major, minor } = device.uverbs;
      return { name, hostPath: `/dev/infiniband/${name}`, major, minor };
    }
    return undefined;
  }

  /**
   * A node of the device on a disk. CRIU opens what a process has mapped from a file system without a
   * block device (devtmpfs, tmpfs), and uverbs refuses to be opened from another network namespace;
   * from a disk it takes the mapping's path only (criu/proc_parse.c, vma_get_mapfile()).
   * @param folder of the host and of the agent, not mounted `nodev`
   * @returns the node's path
   */
  async makeNode(device: UverbsDevice, folder: string): Promise<string> {
    await mkdir(folder, { recursive: true, mode: 0o755 });
    const path = join(folder, device.name);
    await addon.makeCharDevice(path, device.major, device.minor);
    return path;
  }

  /** Makes the device on the interface, or finds it there. @throws AgentError DriverMissing, DeviceNameTaken */
  async create(netns: string, name: string, netdev: string): Promise<void> {
    const existing = (await this.devices(netns)).find((device) => device.name === name);
    if (existing) return;
    try {
      await addon.rdmaLinkAdd({ netns, name, netdev });
    } catch (error) {
      if (isErrno(error, 'EOPNOTSUPP') || isErrno(error, 'ENODEV') || isErrno(error, 'ENOENT')) {
        throw new AgentError(
          'DriverMissing',
          `cannot make an rxe device on ${netdev}: ${error.message}; is Sealift's rdma_rxe loaded?`,
          { cause: error },
        );
      }
      if (isErrno(error, 'EEXIST')) {
        throw new AgentError(
          'DeviceNameTaken',
          `another RDMA device of this node has the name ${name}, or ${netdev} has a device already: ` +
            'delete the pod that has it (`rdma link` in its network namespace shows it), or choose another node',
          { cause: error },
        );
      }
      throw error;
    }
  }

  /** Removes every device of the namespace, and does nothing to one that is gone. */
  async removeAll(netns: string): Promise<void> {
    for (const device of await this.devices(netns)) {
      try {
        await addon.rdmaLinkDelete({ netns, name: device.name });
      } catch (error) {
        if (!isErrno(error, 'NoSuchDevice')) throw error;
      }
    }
  }

  /** Holds every device of the pod. A pod without one has nothing to hold. @throws AgentError HoldFailed */
  async hold(netns: string, rnrTimer = DEFAULT_RNR_TIMER): Promise<void> {
    for (const { name } of await this.devices(netns)) {
      try {
        await addon.rxeHold({ netns, device: name, rnrTimer, timeoutMs: HOLD_TIMEOUT_MS });
      } catch (error) {
        throw new AgentError('HoldFailed', `cannot hold ${name}: ${messageOf(error)}`, {
          cause: error,
        });
      }
    }
  }

  async resume(netns: string): Promise<void> {
    for (const { name } of await this.devices(netns)) {
      await addon.rxeResume({ netns, device: name });
    }
  }

  async isHeld(netns: string): Promise<boolean> {
    for (const { name } of await this.devices(netns)) {
      if ((await addon.rxeQuery({ netns, device: name })).held) return true;
    }
    return false;
  }

  /** Everything that can be told of the namespace's devices: for people, after a failure. */
  async describe(netns: string): Promise<object[]> {
    const told: object[] = [];
    for (const device of await this.devices(netns)) {
      const { name, netdev } = device;
      told.push({
        device,
        driver: await orReason(addon.rxeQuery({ netns, device: name })),
        objects: await orReason(addon.rdmaResources(netns, name)),
        gids: await orReason(addon.gids(netns, name)),
        interface: netdev === undefined ? {} : await orReason(addon.interfaceInfo(netns, netdev)),
      });
    }
    return told;
  }

  /** @throws AgentError UnsupportedObject */
  async checkSupported(netns: string): Promise<void> {
    for (const { name } of await this.devices(netns)) {
      checkSupported(name, await addon.rdmaResources(netns, name));
    }
  }

  kernelRelease(): string {
    return addon.kernelRelease();
  }

  /** `rxe-<abi>` of the driver that made this device. */
  async abi(netns: string, device: string): Promise<string> {
    return `rxe-${(await addon.rxeQuery({ netns, device })).abi}`;
  }

  /** Names of the interfaces beneath the pod's devices. */
  async interfaces(netns: string): Promise<string[]> {
    const names = (await this.devices(netns)).flatMap((one) => (one.netdev ? [one.netdev] : []));
    return [...new Set(names)];
  }

  /**
   * Keeps these macvlans from taking frames that siblings on this node send to a MAC that is another node's:
   * native/addon. Interfaces of other kinds and those that are gone are left alone.
   * @param born they were made so, at the agent's wish
   */
  async hide(netns: string, interfaces: readonly string[], born = false): Promise<void> {
    for (const ifname of interfaces) {
      await unlessGone(addon.hideInterface(netns, ifname, { born }));
    }
  }

  /** Ends what `hide` began. */
  async show(netns: string, interfaces: readonly string[]): Promise<void> {
    for (const ifname of interfaces) await unlessGone(addon.showInterface(netns, ifname));
  }

  /** Tells the network where the addresses of these interfaces are now. */
  async announce(netns: string, interfaces: readonly string[]): Promise<void> {
    for (const ifname of interfaces) {
      await addon.announce({ netns, ifname, count: ANNOUNCEMENTS });
    }
  }

  /** What peers know the pod by, read from kernel objects; sorted, so that both ends compare equal. */
  async identity(netns: string): Promise<Identity> {
    const found = { qpns: new Set<number>(), lkeys: new Set<number>(), rkeys: new Set<number>() };
    const gids = new Set<string>();
    const [ips, macs] = [new Set<string>(), new Set<string>()];
    for (const device of await this.devices(netns)) {
      const objects = await addon.rdmaResources(netns, device.name);
      // Objects without a pid are the kernel's own.
      for (const qp of objects.qp) if (qp.pid !== undefined) found.qpns.add(qp.lqpn);
      for (const mr of objects.mr) {
        if (mr.pid === undefined) continue;
        if (mr.lkey !== undefined) found.lkeys.add(mr.lkey);
        if (mr.rkey !== undefined) found.rkeys.add(mr.rkey);
      }
      for (const { gid } of await addon.gids(netns, device.name)) gids.add(gid);
      if (!device.netdev) continue;
      const info = await addon.interfaceInfo(netns, device.netdev);
      macs.add(info.mac);
      for (const one of info.addresses) ips.add(one.address);
    }
    const ordered = (values: Set<number>) => [...values].sort((a, b) => a - b);
    return {
      qpns: ordered(found.qpns),
      lkeys: ordered(found.lkeys),
      rkeys: ordered(found.rkeys),
      gids: [...gids].sort(),
      ips: [...ips].sort(),
      macs: [...macs].sort(),
    };
  }
}

async function orReason(work: Promise<unknown>): Promise<unknown> {
  try {
    return await work;
  } catch (error) {
    return messageOf(error);
  }
}

async function unlessGone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isErrno(error, 'NoSuchInterface')) throw error;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Name of a pod's device where no annotation asks for another. */
export function deviceName(podUid: string, wanted?: string): string {
  if (wanted !== undefined) {
    if (/^[A-Za-z0-9_.-]{1,63}$/.test(wanted)) return wanted;
    throw new AgentError('BadRequest', `sealift.dev/rdma-device is no device name: ${wanted}`);
  }
  const hex = podUid.replaceAll('-', '').slice(0, 10).toLowerCase();
  return `rxe${hex}`;
}
