// SPDX-License-Identifier: Apache-2.0
// The agent's interface to the RDMA driver: make, remove, hold, resume and describe the devices of a pod's network
// namespace. Besides it only install/driver.ts, which loads the module, knows rxe. Callers name a namespace by a path that
// the agent can open. A method that works on "the devices" works on all devices of the namespace, and does nothing where
// there are none.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DEFAULT_RNR_TIMER, type GidEntry, type Identity } from '../../../../crds/src/index.ts';
import * as addon from '../../../../native/addon/index.ts';
import { AgentError, isErrno, unlessErrno } from '../../support/errors.ts';
import type { HoldAnswer } from '../../support/peers.ts';
import { gidOf } from './address-order.ts';

/** How long the driver may take until the queues of a device that it holds are idle. */
const HOLD_TIMEOUT_MS = 5000;

/** A character device. */
export interface CharDevice {
  /** Of its node, `uverbs<n>`. */
  name: string;
  major: number;
  minor: number;
}

/** A uverbs character device. */
export interface UverbsDevice extends CharDevice {
  /** `/dev/infiniband/uverbs<n>` on the host. */
  hostPath: string;
}

const CHOOSE: HoldAnswer = { rnrTimer: DEFAULT_RNR_TIMER, chooses: true };

export class RdmaDriver {
  /** The node has RDMA in exclusive network namespace mode (rdma-system(8)). @throws AgentError NetnsModeShared */
  async checkNetnsMode(): Promise<void> {
    if ((await addon.rdmaNetnsMode()) === 'exclusive') return;
    throw new AgentError(
      'NetnsModeShared',
      'All network namespaces of this node share the RDMA devices, and the kernel changes that only while there is no container. ' +
        'Write `options ib_core netns_mode=0` into a file of /etc/modprobe.d, make the initramfs anew (Debian: update-initramfs -u), ' +
        'and reboot the node.',
    );
  }

  /** The devices, with their uverbs nodes. None where the kernel is built without the RDMA subsystem. */
  async devices(netns: string): Promise<addon.RdmaDevice[]> {
    try {
      return await addon.rdmaDevices(netns);
    } catch (error) {
      if (isErrno(error, 'EPROTONOSUPPORT')) return [];
      throw error;
    }
  }

  /** The uverbs device of the first RDMA device that has one; undefined without. */
  async uverbs(netns: string): Promise<UverbsDevice | undefined> {
    for (const device of await this.devices(netns)) {
      if (!device.uverbs) continue;
      const { name, major, minor } = device.uverbs;
      return { name, hostPath: `/dev/infiniband/${name}`, major, minor };
    }
    return undefined;
  }

  /**
   * Makes a node of the device on a disk. CRIU opens a file that a process has mapped from a file system without a block
   * device (devtmpfs, tmpfs), and uverbs refuses to be opened from another network namespace. Of a file on a disk CRIU
   * takes the mapping's path only (criu/proc_parse.c, vma_get_mapfile()).
   * @param directory the same path on the host and in the agent's container, not mounted `nodev`
   * @returns the node's path
   */
  async makeNode(device: CharDevice, directory: string): Promise<string> {
    await mkdir(directory, { recursive: true, mode: 0o755 });
    const path = join(directory, device.name);
    await addon.makeCharDevice(path, device.major, device.minor);
    return path;
  }

  /**
   * Makes an rxe device on the interface, unless it is there already.
   * @throws AgentError DriverMissing, DeviceNameTaken
   */
  async create(netns: string, name: string, netdev: string): Promise<void> {
    const existing = (await this.devices(netns)).find((device) => device.name === name);
    if (existing?.netdev === netdev) return;
    if (existing) {
      throw new AgentError(
        'DeviceNameTaken',
        `The pod's RDMA device ${name} is on ${existing.netdev ?? 'no interface'}, not on ${netdev}. Give the pod one fabric ` +
          'network, or delete the device (`rdma link delete` in its network namespace).',
      );
    }
    try {
      await addon.rdmaLinkAdd({ netns, name, netdev });
    } catch (error) {
      if (isErrno(error, 'EOPNOTSUPP') || isErrno(error, 'ENODEV') || isErrno(error, 'ENOENT')) {
        throw new AgentError(
          'DriverMissing',
          `The kernel cannot make an rxe device on ${netdev}: ${error.message}. Check that Sealift's rdma_rxe is loaded on the node.`,
          { cause: error },
        );
      }
      if (isErrno(error, 'EEXIST')) {
        throw new AgentError(
          'DeviceNameTaken',
          `Another RDMA device of this node has the name ${name}, or ${netdev} has a device already. ` +
            'Delete the pod that has it (`rdma link` in its network namespace shows it), or choose another node.',
          { cause: error },
        );
      }
      throw error;
    }
  }

  /** Removes the devices. */
  async removeAll(netns: string): Promise<void> {
    for (const device of await this.devices(netns)) {
      try {
        await addon.rdmaLinkDelete({ netns, name: device.name });
      } catch (error) {
        if (!isErrno(error, 'NoSuchDevice')) throw error;
      }
    }
  }

  /**
   * Holds the devices: they put in-sequence requests off, with RNR NAK or silence, and send nothing of their own (method
   * HOLD of native/rxe). They drop datagrams.
   * @throws AgentError HoldFailed
   */
  async hold(netns: string, answer = CHOOSE): Promise<void> {
    await this.#eachDevice(netns, (device) => holdDevice({ netns, device, ...answer }));
  }

  /**
   * Holds the devices, but for datagrams: nobody repeats one, and the answer to the last one that the pod has sent may be
   * on its way. Nothing can be dumped until `stopDatagrams`.
   * @throws AgentError HoldFailed
   */
  async holdButDatagrams(netns: string, answer = CHOOSE): Promise<void> {
    await this.#eachDevice(netns, (device) =>
      holdDevice({ netns, device, ...answer, receiveDatagrams: true }),
    );
  }

  /** Holds the devices as `hold` does, and answers as they did. @throws AgentError HoldFailed */
  async stopDatagrams(netns: string): Promise<void> {
    await this.#eachDevice(netns, async (device) => {
      const { rnrTimer, chooses } = await addon.rxeQuery({ netns, device });
      await holdDevice({ netns, device, rnrTimer, chooses });
    });
  }

  /** Lets the devices receive datagrams, those that are held. @throws AgentError HoldFailed */
  async receiveDatagrams(netns: string): Promise<void> {
    await this.#eachDevice(netns, async (device) => {
      const { held, rnrTimer, chooses } = await addon.rxeQuery({ netns, device });
      if (held) await holdDevice({ netns, device, rnrTimer, chooses, receiveDatagrams: true });
    });
  }

  /** @throws AgentError HoldFailed */
  async #eachDevice(netns: string, hold: (device: string) => Promise<void>): Promise<void> {
    for (const { name } of await this.devices(netns)) {
      try {
        await hold(name);
      } catch (error) {
        throw new AgentError(
          'HoldFailed',
          `The driver cannot hold RDMA device ${name}: ${messageOf(error)}. See the node's kernel log.`,
          {
            cause: error,
          },
        );
      }
    }
  }

  /** Ends the hold of the devices (method RESUME of native/rxe). @throws the driver's error */
  async resume(netns: string): Promise<void> {
    for (const { name } of await this.devices(netns)) {
      await addon.rxeResume({ netns, device: name });
    }
  }

  /** Whether any of the devices is held. */
  async isHeld(netns: string): Promise<boolean> {
    for (const { name } of await this.devices(netns)) {
      if ((await addon.rxeQuery({ netns, device: name })).held) return true;
    }
    return false;
  }

  /** All that the kernel reports of the devices, for people who look into a failure. A part that fails is its message. */
  async describe(netns: string): Promise<object[]> {
    const descriptions: object[] = [];
    for (const device of await this.devices(netns)) {
      const { name, netdev } = device;
      descriptions.push({
        device,
        driver: await orReason(addon.rxeQuery({ netns, device: name })),
        objects: await orReason(addon.rdmaResources(netns, name)),
        gids: await orReason(addon.gids(netns, name)),
        interface: netdev === undefined ? {} : await orReason(addon.interfaceInfo(netns, netdev)),
      });
    }
    return descriptions;
  }

  /** Every object of the device, of all processes and of the kernel (method LIST of native/rxe). @throws AgentError DriverMissing */
  async objects(netns: string, device: string): Promise<addon.RxeObject[]> {
    return sealiftDriver(device, addon.rxeObjects({ netns, device }));
  }

  /** The device's contexts that a process has open; empty if it has ended. @throws AgentError DriverMissing */
  async contexts(netns: string, device: string, pid: number): Promise<addon.RxeContext[]> {
    return sealiftDriver(device, addon.rxeContexts({ netns, device, pid }));
  }

  /** The event files that these processes have open, with their contexts on the device. @throws AgentError DriverMissing */
  async eventFiles(
    netns: string,
    device: string,
    pids: readonly number[],
  ): Promise<addon.RxeEventFile[]> {
    return sealiftDriver(device, addon.rxeEventFiles({ netns, device, pids }));
  }

  /** The filled entries of a device's GID table. */
  async gids(netns: string, device: string): Promise<addon.Gid[]> {
    return addon.gids(netns, device);
  }

  /** GID tables of the devices. */
  async gidEntries(netns: string): Promise<GidEntry[]> {
    const entries: GidEntry[] = [];
    for (const { name, netdev } of await this.devices(netns)) {
      if (netdev === undefined) continue;
      for (const { index, gid } of await addon.gids(netns, name))
        entries.push({ interface: netdev, index, gid });
    }
    return entries;
  }

  /** Addresses of these interfaces, in the notation of GIDs. */
  async addressesAsGids(netns: string): Promise<string[]> {
    const gids: string[] = [];
    for (const ifname of await this.interfaces(netns)) {
      const { addresses } = await addon.interfaceInfo(netns, ifname);
      gids.push(...addresses.map(gidOf));
    }
    return gids;
  }

  /** As `uname -r`. */
  kernelRelease(): string {
    return addon.kernelRelease();
  }

  /** `rxe-<ABI version>` of the driver that made this device. */
  async abi(netns: string, device: string): Promise<string> {
    return `rxe-${(await addon.rxeQuery({ netns, device })).abi}`;
  }

  /** Names of the interfaces that the devices are on. */
  async interfaces(netns: string): Promise<string[]> {
    const names = (await this.devices(netns)).flatMap((one) => (one.netdev ? [one.netdev] : []));
    return [...new Set(names)];
  }

  /**
   * Keeps these macvlans from taking frames that sibling macvlans of this node send to a MAC which another node has by
   * now (native/addon, hideInterface). Skips interfaces of other kinds and those that are gone.
   * @param createdHidden whether the CNI plugin has created them hidden, because the agent asked for it
   */
  async hide(netns: string, interfaces: readonly string[], createdHidden = false): Promise<void> {
    for (const ifname of interfaces) {
      await unlessGone(addon.hideInterface(netns, ifname, { createdHidden }));
    }
  }

  /** Undoes `hide`. Neither is an event of the port (native/rxe, patch 0054). */
  async show(netns: string, interfaces: readonly string[]): Promise<void> {
    for (const ifname of interfaces) await unlessGone(addon.showInterface(netns, ifname));
  }

  /** Sends gratuitous ARP and unsolicited neighbour advertisements for the addresses of these interfaces. */
  async announce(netns: string, interfaces: readonly string[]): Promise<void> {
    for (const ifname of interfaces) {
      await addon.announce({ netns, ifname });
    }
  }

  /** What peers know the pod by, read from the kernel's objects. Sorted, so that source and target compare equal. */
  async identity(netns: string): Promise<Identity> {
    const found = { qpns: new Set<number>(), lkeys: new Set<number>(), rkeys: new Set<number>() };
    const gids = new Set<string>();
    const gidTable: string[] = [];
    const [ips, macs] = [new Set<string>(), new Set<string>()];
    for (const device of await this.devices(netns)) {
      const objects = await addon.rdmaResources(netns, device.name);
      // An object without a PID is the kernel's own, or its thread has ended: of queue pairs the type tells.
      for (const qp of objects.qp) if (/^(RC|UD)$/.test(qp.type)) found.qpns.add(qp.lqpn);
      for (const mr of objects.mr) {
        if (mr.pid === undefined) continue;
        if (mr.lkey !== undefined) found.lkeys.add(mr.lkey);
        if (mr.rkey !== undefined) found.rkeys.add(mr.rkey);
      }
      for (const { index, gid } of await addon.gids(netns, device.name)) {
        gids.add(gid);
        gidTable.push(`${device.netdev ?? '-'} ${index} ${gid}`);
      }
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
      gidTable: gidTable.sort(),
      ips: [...ips].sort(),
      macs: [...macs].sort(),
    };
  }
}

function holdDevice({
  chooses: choose,
  ...of
}: HoldAnswer & { netns: string; device: string; receiveDatagrams?: boolean }): Promise<void> {
  return addon.rxeHold({ receiveDatagrams: false, ...of, choose, timeoutMs: HOLD_TIMEOUT_MS });
}

async function orReason(work: Promise<unknown>): Promise<unknown> {
  try {
    return await work;
  } catch (error) {
    return messageOf(error);
  }
}

/** @throws AgentError DriverMissing for a device of another driver */
async function sealiftDriver<T>(device: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isErrno(error, 'AbiMismatch')) throw error;
    throw new AgentError(
      'DriverMissing',
      `RDMA device ${device} cannot be moved: ${error.message}. Only devices of the rdma_rxe that this version of Sealift ` +
        'has loaded can be. Create the pod anew on a node whose Sealift agent is ready.',
      { cause: error },
    );
  }
}

const unlessGone = (work: Promise<unknown>): Promise<unknown> =>
  unlessErrno(work, 'NoSuchInterface');

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Name of a pod's RDMA device: that of the annotation `sealift.dev/rdma-device`, or made of the pod's UID. Pure.
 * @throws AgentError BadRequest
 */
export function deviceName(podUid: string, wanted?: string): string {
  if (wanted !== undefined) {
    if (/^[A-Za-z0-9_.-]{1,63}$/.test(wanted)) return wanted;
    throw new AgentError(
      'BadRequest',
      `Annotation sealift.dev/rdma-device is not a device name: ${wanted}. Use up to 63 of A-Z, a-z, 0-9, "_", "." and "-".`,
    );
  }
  const hex = podUid.replaceAll('-', '').slice(0, 10).toLowerCase();
  return `rxe${hex}`;
}
