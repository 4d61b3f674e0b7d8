// SPDX-License-Identifier: Apache-2.0
// Which frames leave a locked namespace, captured at the other end of its veth pair; and that every way out unlocks it.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { nft } from '../../../../native/addon/index.ts';
import { Checkpointer } from '../dump/checkpointer.ts';
import { Host } from '../host/host.ts';
import { RdmaDriver } from '../device/driver.ts';
import { Restorer } from '../restore/restorer.ts';
import { able, netnsPath, sh, works } from '../../testing/namespaces.ts';
import { NetworkLock } from './network-lock.ts';

const run = promisify(execFile);
const FRAMES = fileURLToPath(new URL('../../testing/frames.py', import.meta.url));
const [pod, peer] = [`slt-p${process.pid}`, `slt-q${process.pid}`];
const MAC = '02:00:00:00:77:01';
const POD = ['10.9.7.1', 'fd00:77::1'];
const PEER = ['10.9.7.2', 'fd00:77::2'];

class DriverWithoutDevices extends RdmaDriver {
  override async interfaces(): Promise<string[]> {
    return [];
  }
  override async resume(): Promise<void> {}
}

const inside = (name: string, ...args: string[]) =>
  run('ip', ['netns', 'exec', name, 'python3', FRAMES, ...args]);

/** Resolves once the peer listens. `seen`: the kinds of frames that have come from the pod within so many seconds. */
async function listen(seconds: number): Promise<{ seen: () => Promise<string[]> }> {
  const listening = inside(peer, 'capture', 'v0', MAC, String(seconds));
  // Its first line says that it is ready.
  const { child } = listening;
  await Promise.race([once(child.stdout ?? child, 'data'), listening]);
  return {
    seen: async () => {
      const { stdout } = await listening;
      return JSON.parse(stdout.slice(stdout.indexOf('['))) as string[];
    },
  };
}

/** The kinds of frames that the pod sends while it and its peer send every kind. */
async function capture(): Promise<string[]> {
  // Both sides resolve each other's address again.
  sh(`ip -n ${peer} neigh flush dev v0; ip -n ${pod} neigh flush dev v0`);
  const { seen } = await listen(6);
  await inside(peer, 'provoke', ...POD);
  // The pod has learned its peer's address from the request.
  sh(`ip -n ${pod} neigh flush dev v0`);
  await inside(pod, 'speak', 'v0', ...PEER);
  return seen();
}

describe.runIf(able && works('command -v python3'))('the network lock', () => {
  const driver = new DriverWithoutDevices();
  const lock = new NetworkLock(nft);
  const netns = netnsPath(pod);
  const exec = { allow: async () => undefined };
  const parts = { host: new Host({ root: '/' }), lock, driver, exec };
  const checkpointer = new Checkpointer(
    parts as unknown as ConstructorParameters<typeof Checkpointer>[0],
  );
  const restorer = new Restorer(parts as unknown as ConstructorParameters<typeof Restorer>[0]);

  beforeAll(() => {
    for (const name of [pod, peer]) sh(`ip netns add ${name}; ip -n ${name} link set lo up`);
    sh(`ip -n ${pod} link add v0 address ${MAC} type veth peer name v0 netns ${peer}`);
    for (const [name, [v4, v6]] of [[pod, POD] as const, [peer, PEER] as const]) {
      sh(`ip -n ${name} addr add ${v4}/24 dev v0; ip -n ${name} addr add ${v6}/64 dev v0 nodad
        ip -n ${name} link set v0 up
        ip netns exec ${name} sysctl -qw net.ipv4.ping_group_range='0 0' || true`);
    }
  });
  afterAll(() => {
    sh(`ip netns del ${pod}; ip netns del ${peer}`);
  });
  afterEach(async () => {
    await lock.unlock(netns);
  });

  it('has every kind of frame to hold back', async () => {
    expect(await capture()).toEqual(
      expect.arrayContaining([
        ...['arp', 'syn', 'rst', 'roce', 'udp', 'icmp-error', 'ping', 'pong', 'igmp'],
        ...['syn6', 'rst6', 'roce6', 'udp6', 'icmp6-error', 'ping6', 'pong6', 'mld'],
        ...['nd-solicit', 'nd-advert'],
      ]),
    );
  }, 30_000);

  it('lets nothing out when it is total', async () => {
    await lock.lock(netns, 'total');
    expect(await capture()).toEqual([]);
  }, 30_000);

  it('lets out RoCE, ARP and neighbour discovery when its kind is roce', async () => {
    await lock.lock(netns, 'roce');
    const kinds = await capture();
    expect(kinds).toEqual(
      expect.arrayContaining(['arp', 'nd-advert', 'nd-solicit', 'roce', 'roce6']),
    );
    const allowed = ['arp', 'nd-advert', 'nd-solicit', 'router-solicit', 'roce', 'roce6'];
    expect(kinds.filter((one) => !allowed.includes(one))).toEqual([]);
  }, 30_000);

  it('lets nothing out when an interface comes up under it', async () => {
    await lock.lock(netns, 'total');
    const { seen } = await listen(3);
    sh(`ip netns exec ${pod} sysctl -qw net.ipv4.conf.v0.arp_notify=1
      ip -n ${pod} link set v0 down; ip -n ${pod} link set v0 up
      ip -n ${pod} addr replace ${POD[0]}/24 dev v0; ip -n ${pod} addr replace ${POD[1]}/64 dev v0`);
    expect(await seen()).toEqual([]);
  }, 30_000);

  it.each([
    ['a source is resumed', () => checkpointer.resumePod({ podUid: 'none', netns })],
    ['a target is released', () => restorer.resumePod(netns)],
  ])('is lifted when %s, also a second time', async (_what, lift) => {
    for (const kind of ['roce', 'total'] as const) {
      await lock.lock(netns, kind);
      await lift();
      expect(await lock.isLocked(netns)).toBe(false);
      await lift();
    }
    const tables = sh(`ip netns exec ${pod} nft list tables`);
    expect(tables).not.toMatch(/sealift/);
  });

  it('stays on a stopped source, and does nothing to a namespace that is gone', async () => {
    await checkpointer.stopPod({ podUid: 'none', netns });
    expect(await lock.isLocked(netns)).toBe(true);
    const gone = netnsPath('slt-gone');
    await checkpointer.resumePod({ podUid: 'none', netns: gone });
    await checkpointer.stopPod({ podUid: 'none', netns: gone });
    await restorer.resumePod(gone);
    await lock.unlock(gone);
    // A file on which nothing is mounted any more.
    sh(`touch ${gone}`);
    await checkpointer.resumePod({ podUid: 'none', netns: gone });
    await checkpointer.stopPod({ podUid: 'none', netns: gone });
    await restorer.resumePod(gone);
    sh(`rm ${gone}`);
    // Another task's namespace by now, perhaps.
    await checkpointer.resumePod({ podUid: 'none', netns: '/proc/1/ns/net' });
    expect(await lock.isLocked(netns)).toBe(true);
  });
});
