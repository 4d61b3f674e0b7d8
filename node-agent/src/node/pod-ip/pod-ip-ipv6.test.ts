// SPDX-License-Identifier: Apache-2.0
// A pod with addresses of both families keeps both: as pod-ip.test.ts, without connections.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { able, sh, works } from '../../testing/namespaces.ts';
import { hasPlugins, TestCluster } from '../../testing/pod-network.ts';

/** A bridge's own address is detected for duplicates first. */
const patiently = { timeout: 20_000, interval: 200 };
const all = [true, true, true, true];

const reaches = (from: string, address: string): boolean =>
  works(`ip netns exec ${from} ping -c1 -W2 ${address}`);

describe.runIf(able && hasPlugins).each(['bridge', 'ptp'] as const)(
  'a pod of both families on CNI plugin %s',
  (type) => {
    const prefix = `s6${type[0] ?? ''}${process.pid % 100_000}`;
    let cluster: TestCluster;
    beforeAll(async () => {
      cluster = new TestCluster(prefix, type, true);
      await cluster.open();
    });
    afterAll(async () => {
      await cluster.close();
    });

    it('keeps both addresses, and gives both back', async () => {
      const [a, b, c] = cluster.nodes;
      const source = await a.addPod(`${prefix}p1`);
      const peer = await c.addPod(`${prefix}p2`);
      expect(source.addresses).toEqual([
        expect.stringMatching(/^10\.88\.1\./),
        expect.stringMatching(/^fd88:0:0:1:/),
      ]);
      const target = await b.addMoved(`${prefix}p3`, [...source.addresses]);
      expect(target.addresses).toEqual(source.addresses);
      const from = [peer.name, a.name, b.name, c.name];
      for (const address of source.addresses) {
        await expect.poll(() => from.map((one) => reaches(one, address)), patiently).toEqual(all);
      }
      await a.podIp.reserve(source.addresses);
      await a.lock.lock(source.netns, 'total');
      for (const address of source.addresses) expect(reaches(peer.name, address)).toBe(false);
      await cluster.route(target, b);
      await b.lock.unlock(target.netns);
      for (const address of source.addresses) {
        await expect.poll(() => from.map((one) => reaches(one, address)), patiently).toEqual(all);
        // Its own way out, with the address that it has kept.
        expect(reaches(target.name, peer.addresses[address.includes(':') ? 1 : 0] ?? '')).toBe(
          true,
        );
      }
      await a.deletePod(source, false);
      const kept = sh(`ls ${a.dir}/ipam/pods`).split('\n');
      for (const address of source.addresses) expect(kept).toContain(address);
      await b.deletePod(target, true);
      await cluster.route(undefined, a);
      await a.podIp.release(() => false);
      expect(sh(`ls ${a.dir}/ipam/pods | grep -c ':' || true`).trim()).toBe('0');
      const left = `ip -n ${b.name} -6 route show table 7460; ip -n ${b.name} -6 rule | grep -c 7460 || true`;
      expect(sh(left).trim()).toBe('0');
      await c.deletePod(peer, false);
    }, 120_000);
  },
);
