// SPDX-License-Identifier: Apache-2.0
// The kernel as native/addon calls it: nftables, rxe devices, interfaces. The product's RdmaDriver and NetworkLock run on
// it. The path of a network namespace contains the node's name, or a PID of the node whose agent calls.
import { lockCommands, TABLE, unlockCommands } from '../../../node-agent/src/node/lock/rules.ts';
import { never } from '../process.ts';
import type { Timeline } from '../timeline.ts';
import type { Machine, Sandbox } from './machine.ts';

const key = Symbol.for('sealift.simulation.kernel');

const coded = (code: string, message: string): Error => Object.assign(new Error(message), { code });

export class Kernel {
  readonly #timeline: Timeline;
  readonly #machines: ReadonlyMap<string, Machine>;
  /** The next hold times out, on whatever node. */
  holdFails = false;

  constructor(timeline: Timeline, machines: ReadonlyMap<string, Machine>) {
    this.#timeline = timeline;
    this.#machines = machines;
  }

  /** Makes `addon.cjs` call this kernel. */
  install(): void {
    (globalThis as Record<symbol, unknown>)[key] = this;
  }

  rdmaNetnsMode(): Promise<string> {
    return this.#call(() => 'exclusive');
  }

  rdmaDevices(netns: string): Promise<object[]> {
    return this.#inNamespace(netns, 0.3, ({ device }) => {
      if (!device) return [];
      const uverbs = { name: 'uverbs0', major: 231, minor: 192 };
      return [{ index: 1, name: device.name, nodeGuid: '0', netdev: 'net1', uverbs }];
    });
  }

  rdmaLinkAdd(netns: string, name: string): Promise<void> {
    return this.#inNamespace(netns, 2, (sandbox) => {
      sandbox.device ??= { name, held: false, receivesDatagrams: false };
    });
  }

  rdmaLinkDelete(netns: string): Promise<void> {
    return this.#inNamespace(netns, 2, (sandbox) => {
      sandbox.device = undefined;
    });
  }

  rdmaResources(netns: string): Promise<object> {
    return this.#inNamespace(netns, 0.3, () => ({ qp: [], cq: [], mr: [], pd: [] }));
  }

  gids(netns: string): Promise<object[]> {
    return this.#inNamespace(netns, 0.3, () => []);
  }

  interfaceInfo(netns: string): Promise<object> {
    return this.#inNamespace(netns, 0.3, () => ({
      ...{ index: 2, mac: '02:00:00:00:00:01', mtu: 1500, up: true, carrier: true, addresses: [] },
    }));
  }

  rxeQuery(netns: string): Promise<object> {
    return this.#inNamespace(netns, 0.3, ({ device }) => ({
      ...{ abi: 1, held: device?.held ?? false, rnrTimer: 20, qps: 1, cqs: 1, mrs: 1 },
      receivesDatagrams: device?.receivesDatagrams ?? false,
    }));
  }

  rxeHold(netns: string, ...of: [string, number, number, boolean]): Promise<void> {
    const receivesDatagrams = of[3];
    return this.#inNamespace(netns, 5, ({ device }) => {
      if (this.holdFails) {
        this.holdFails = false;
        throw coded('ETIMEDOUT', 'the queues did not become idle');
      }
      if (device) Object.assign(device, { held: true, receivesDatagrams });
    });
  }

  rxeResume(netns: string): Promise<void> {
    return this.#inNamespace(netns, 1, ({ device }) => {
      if (!device) return;
      if (device.held && device.nak) device.obeyed = device.nak;
      delete device.nak;
      Object.assign(device, { held: false, receivesDatagrams: false });
    });
  }

  rxeNaks(netns: string): Promise<object[]> {
    return this.#inNamespace(netns, 1, ({ device }) => {
      if (!device?.held) throw coded('EBUSY', 'the device is not held');
      return device.nak ? [{ ...device.nak }] : [];
    });
  }

  rxeRestoreNaks(
    netns: string,
    _device: string,
    [qpn, psn, syndrome]: number[],
  ): Promise<number[]> {
    return this.#inNamespace(netns, 1, ({ device }) => {
      if (!device?.held) throw coded('EBUSY', 'the device is not held');
      if (qpn === undefined || psn === undefined || syndrome === undefined) return [];
      device.nak ??= { qpn, psn, syndrome };
      return [];
    });
  }

  nft(netns: string, commands: string): Promise<string> {
    return this.#inNamespace(netns, 2, (sandbox) => {
      if (commands === lockCommands('roce', { dropSilently: true })) sandbox.lock = 'source';
      else if (commands === lockCommands('total')) sandbox.lock = 'total';
      else if (commands === unlockCommands()) sandbox.lock = 'none';
      else if (commands.startsWith('list tables')) {
        return sandbox.lock === 'none' ? '' : `table inet ${TABLE}\n`;
      } else throw coded('NftFailed', `not simulated: ${commands}`);
      return '';
    });
  }

  hideInterface(netns: string): Promise<boolean> {
    return this.#inNamespace(netns, 1, (sandbox) => (sandbox.hidden = true));
  }

  showInterface(netns: string): Promise<boolean> {
    return this.#inNamespace(netns, 1, (sandbox) => {
      const was = sandbox.hidden;
      sandbox.hidden = false;
      return was;
    });
  }

  announce(netns: string): Promise<number> {
    return this.#inNamespace(netns, 20, (sandbox) => {
      sandbox.announced = true;
      return 3;
    });
  }

  endTcpOrphans(netns: string): Promise<number> {
    return this.#inNamespace(netns, 0.3, () => 0);
  }

  sysvipc(): Promise<object> {
    return this.#call(() => ({ shm: 0, sem: 0, msg: 0 }));
  }

  makeCharDevice(): Promise<void> {
    return this.#call(() => undefined);
  }

  kernelRelease(): string {
    return '6.12-simulated';
  }

  #inNamespace<T>(netns: string, ms: number, work: (sandbox: Sandbox) => T): Promise<T> {
    const caller = this.#timeline.currentProcess?.name.replace('agent/', '');
    return this.#call(() => {
      const isByTask = netns.startsWith('/proc/');
      const node = (isByTask ? caller : netns.split('/').at(-2)) ?? '';
      const all = this.#machines.get(node)?.sandboxes.values() ?? [];
      const sandbox = [...all].find((one) => (isByTask ? one.taskNetns : one.netns) === netns);
      if (!sandbox) throw coded('ENOENT', `no network namespace ${netns}`);
      return work(sandbox);
    }, ms);
  }

  #call<T>(work: () => T, ms = 0.2): Promise<T> {
    return runEffect(this.#timeline, ms, work);
  }
}

/**
 * Something that the running process does to its node and that takes about `ms` milliseconds. If the process dies
 * meanwhile, the effect happens or not, by chance.
 */
export function runEffect<T>(timeline: Timeline, ms: number, work: () => T): Promise<T> {
  const process = timeline.currentProcess;
  if (process?.alive !== true) return never();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  timeline.after(timeline.jitter(ms * 0.5, ms * 1.5), () => {
    if (!process.alive) {
      if (timeline.random.chance(0.5)) runIgnoringErrors(work);
      return;
    }
    const answer = runNow(work, resolve, reject);
    // A paused process does not stop its kernel. It sees the result later.
    if (process.pausedUntil > timeline.now) {
      timeline.after(0, answer, process);
      return;
    }
    timeline.currentProcess = process;
    answer();
  });
  return promise;
}

function runNow<T>(
  work: () => T,
  resolve: (value: T) => void,
  reject: (error: unknown) => void,
): () => void {
  try {
    const result = work();
    return () => resolve(result);
  } catch (error) {
    return () => reject(error);
  }
}

function runIgnoringErrors(work: () => unknown): void {
  try {
    work();
  } catch {
    // The process that would see the error is dead.
  }
}
